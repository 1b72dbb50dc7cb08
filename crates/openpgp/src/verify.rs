//! Whether a signature holds: who made it, for what, and whether the key may still be trusted.

use crate::ring::{Key, KeyRing, hex, made_by};
use crate::{Error, Result, packets};
use pgp::composed::SignedPublicSubKey;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{RevocationCode, Signature, SignatureType};
use pgp::types::{KeyDetails, VerifyingKey};

/// A signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The names of the key.
    pub names: Vec<String>,
    /// The fingerprint of its primary key in upper-case hex.
    pub fingerprint: String,
    /// The short name of its primary key: 16 digits of upper-case hex.
    pub key_id: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
}

/// What a signing key is known by: the signature that grants it to sign, and those that take it back.
struct Grant<'k> {
    own: &'k Signature,
    revocations: Vec<&'k Signature>,
}

impl KeyRing {
    /// Checks a detached signature (binary or armoured) over data at a moment (seconds since 1970).
    pub fn verify(&self, data: &[u8], signature: &[u8], now: i64) -> Result<Verified> {
        for signature in packets::signatures(signature)? {
            if signature.issuer_key_id().is_empty() && signature.issuer_fingerprint().is_empty() {
                return Err(Error::Malformed("signature doesn't have an issuer".into()));
            }
            let mut verdict = None;
            for key in &self.keys().iter().collect::<Vec<_>>() {
                match key.verify(data, &signature, now) {
                    None => {}
                    Some(Ok(verified)) => return Ok(verified),
                    Some(Err(error)) => verdict = Some(error),
                }
            }
            if let Some(error) = verdict {
                return Err(error);
            }
        }
        Err(Error::UnknownIssuer)
    }
}

impl Key {
    /// The verdict over a signature, if it says that it is of this key or a subkey that may sign.
    fn verify(&self, data: &[u8], signature: &Signature, now: i64) -> Option<Result<Verified>> {
        let own = self.own_signature();
        let primary = &self.public.primary_key;
        if made_by(signature, primary)
            && let Some(own) = own.filter(|own| own.key_flags().sign())
        {
            return Some(self.checked(primary, data, signature, None, own, now));
        }
        for subkey in self.public.public_subkeys.iter().filter(|subkey| made_by(signature, &subkey.key)) {
            let Some(grant) = self.grant(subkey) else { continue };
            let Some(own) = own else { continue };
            return Some(self.checked(&subkey.key, data, signature, Some(&grant), own, now));
        }
        None
    }

    /// What lets a subkey sign for this key.
    fn grant<'k>(&'k self, subkey: &'k SignedPublicSubKey) -> Option<Grant<'k>> {
        let primary = &self.public.primary_key;
        let valid = |one: &&Signature| one.verify_subkey_binding(primary, &subkey.key).is_ok();
        let of = |kind| subkey.signatures.iter().filter(move |one| one.typ() == Some(kind)).filter(valid);
        let newest = of(SignatureType::SubkeyBinding).max_by_key(|one| one.created());
        let own = newest.filter(|binding| binding.key_flags().sign())?;
        // The subkey must agree to belong to this key: or else anybody could claim another's signatures.
        own.embedded_signature()
            .filter(|agreed| agreed.verify_primary_key_binding(&subkey.key, primary).is_ok())?;
        Some(Grant { own, revocations: of(SignatureType::SubkeyRevocation).collect() })
    }

    /// May the primary key sign at this moment?
    pub(crate) fn primary_may_sign(&self, now: i64) -> bool {
        let primary = &self.public.primary_key;
        let own = self.own_signature().filter(|own| own.key_flags().sign());
        own.is_some_and(|own| !key_expired(primary, own, now)) && !self.revoked(now)
    }

    /// May a subkey sign at this moment?
    pub(crate) fn may_sign(&self, subkey: &SignedPublicSubKey, now: i64) -> bool {
        let Some(grant) = self.grant(subkey) else { return false };
        let expired = key_expired(&subkey.key, grant.own, now) || signature_expired(grant.own, now);
        !expired && !grant.revocations.iter().any(|one| holds(one, now)) && !self.revoked(now)
    }

    /// Was the whole key revoked?
    fn revoked(&self, now: i64) -> bool {
        let primary = &self.public.primary_key;
        let revocations = self.public.details.revocation_signatures.iter();
        revocations.filter(|one| one.verify_key(primary).is_ok()).any(|one| holds(one, now))
    }

    /// The certification of the name that speaks for the key.
    fn own_signature(&self) -> Option<&Signature> {
        let named = self
            .names
            .iter()
            .max_by_key(|name| (name.revocations.is_empty(), name.own.is_primary(), name.own.created()));
        let direct = &self.public.details.direct_signatures;
        named.map(|name| &name.own).or_else(|| {
            let valid = direct.iter().filter(|one| one.verify_key(&self.public.primary_key).is_ok());
            valid.max_by_key(|one| one.created())
        })
    }

    fn checked(
        &self,
        key: &impl VerifyingKey,
        data: &[u8],
        signature: &Signature,
        subkey: Option<&Grant<'_>>,
        own: &Signature,
        now: i64,
    ) -> Result<Verified> {
        if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
            return Err(Error::Malformed("signature is not over data".into()));
        }
        if signature.hash_alg() == Some(HashAlgorithm::Md5) {
            return Err(Error::Weak("hash MD5".into()));
        }
        signature.verify(key, data).map_err(|_| wrong(key.algorithm()))?;
        let primary = &self.public.primary_key;
        let taken_back = subkey.iter().flat_map(|grant| grant.revocations.iter().copied());
        let name = self.names.iter().find(|name| std::ptr::eq(&name.own, own));
        let renamed = name.iter().flat_map(|name| &name.revocations);
        if self.revoked(now) || taken_back.chain(renamed).any(|one| holds(one, now)) {
            return Err(Error::Revoked);
        }
        let expired =
            key_expired(primary, own, now) || subkey.is_some_and(|grant| key_expired(key, grant.own, now));
        if expired {
            return Err(Error::KeyExpired);
        }
        let grants = subkey.map(|grant| grant.own);
        if [Some(signature), Some(own), grants].into_iter().flatten().any(|one| signature_expired(one, now)) {
            return Err(Error::SignatureExpired);
        }
        Ok(Verified {
            names: self.names().map(str::to_owned).collect(),
            fingerprint: self.fingerprint(),
            key_id: hex(self.public.primary_key.legacy_key_id().as_ref()),
            created: signature.created().map_or(0, |time| i64::from(time.as_secs())),
        })
    }
}

/// A revocation counts while it holds; one for a compromised key counts from the beginning of time.
fn holds(revocation: &Signature, now: i64) -> bool {
    revocation.revocation_reason_code() == Some(&RevocationCode::KeyCompromised)
        || !signature_expired(revocation, now)
}

fn signature_expired(signature: &Signature, now: i64) -> bool {
    let created = signature.created().map_or(0, |time| i64::from(time.as_secs()));
    over(created, signature.signature_expiration_time().map(|time| time.as_secs()), now)
}

fn key_expired(key: &impl KeyDetails, own: &Signature, now: i64) -> bool {
    let created = i64::from(key.created_at().as_secs());
    over(created, own.key_expiration_time().map(|time| time.as_secs()), now)
}

/// Is something not yet begun, or over? A lifetime of zero never ends.
fn over(created: i64, lifetime: Option<u32>, now: i64) -> bool {
    let end =
        lifetime.filter(|seconds| *seconds > 0).map(|seconds| created.saturating_add(i64::from(seconds)));
    created > now || end.is_some_and(|end| now > end)
}

fn wrong(algorithm: PublicKeyAlgorithm) -> Error {
    let name = match algorithm {
        PublicKeyAlgorithm::RSA | PublicKeyAlgorithm::RSASign => "RSA",
        PublicKeyAlgorithm::DSA => "DSA",
        PublicKeyAlgorithm::ECDSA => "ECDSA",
        PublicKeyAlgorithm::EdDSALegacy => "EdDSA",
        PublicKeyAlgorithm::Ed25519 => "Ed25519",
        PublicKeyAlgorithm::Ed448 => "ed448",
        _ => return Error::Wrong("Unsupported public key algorithm used in signature".into()),
    };
    Error::Wrong(format!("{name} verification failure"))
}
