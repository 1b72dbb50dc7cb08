//! Signing with a key that was unlocked.

use crate::ring::Key;
use crate::{Error, Result, rsa};
use pgp::composed::{ArmorOptions, DetachedSignature};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{
    Fingerprint, KeyDetails, KeyId, KeyVersion, Password, PlainSecretParams, PublicParams, SignatureBytes,
    SigningKey, Timestamp,
};

/// A secret key, ready to sign.
pub struct Signer<'k> {
    key: Unlocked<'k>,
    passphrase: Password,
}

/// What unlocking gives: the pair of an RSA key; other keys sign by themselves.
fn pair(public: &PublicParams, plain: &PlainSecretParams) -> pgp::errors::Result<Option<Result<rsa::Pair>>> {
    Ok(match plain {
        PlainSecretParams::RSA(key) => Some(rsa::Pair::new(public, key)),
        _ => None,
    })
}

impl Key {
    /// Unlocks the secret half of the primary key; the passphrase is not looked at when it is not locked.
    pub fn unlock(&self, passphrase: &[u8]) -> Result<Signer<'_>> {
        let secret = &self.secret.as_ref().ok_or(Error::NotSecret)?.primary_key;
        let passphrase = Password::from(passphrase);
        Signer::new(secret, secret.unlock(&passphrase, pair), passphrase)
    }

    /// The same of the key that signs data at a moment (seconds since 1970): the newest subkey that is meant for it,
    /// or else the primary key.
    pub fn unlock_to_sign(&self, passphrase: &[u8], now: i64) -> Result<Signer<'_>> {
        let whole = self.secret.as_ref().ok_or(Error::NotSecret)?;
        let usable = whole.secret_subkeys.iter().filter(|subkey| {
            let id = subkey.key.fingerprint();
            let public = self.public.public_subkeys.iter().find(|public| public.key.fingerprint() == id);
            public.is_some_and(|public| self.may_sign(public, now))
        });
        let Some(subkey) = usable.max_by_key(|subkey| subkey.key.created_at()) else {
            if !self.primary_may_sign(now) {
                return Err(Error::CannotSign("no key is meant for signing and still holds".into()));
            }
            return self.unlock(passphrase);
        };
        let passphrase = Password::from(passphrase);
        Signer::new(&subkey.key, subkey.key.unlock(&passphrase, pair), passphrase)
    }
}

type Opened = pgp::errors::Result<pgp::errors::Result<Option<Result<rsa::Pair>>>>;

impl<'k> Signer<'k> {
    fn new(secret: &'k dyn SigningKey, opened: Opened, passphrase: Password) -> Result<Signer<'k>> {
        let rsa = opened
            .and_then(|inner| inner)
            .map_err(|_| Error::Malformed("private key checksum failure".into()))?;
        Ok(Signer { key: Unlocked { secret, rsa: rsa.transpose()? }, passphrase })
    }
}

impl Signer<'_> {
    /// An armoured detached signature over bytes, made at a moment (seconds since 1970).
    pub fn sign(&self, data: &[u8], now: i64) -> Result<String> {
        self.signature(SignatureType::Binary, data, now)
    }

    /// The same over text whose lines end with CRLF.
    pub(crate) fn sign_text(&self, data: &[u8], now: i64) -> Result<String> {
        self.signature(SignatureType::Text, data, now)
    }

    fn signature(&self, kind: SignatureType, data: &[u8], now: i64) -> Result<String> {
        let created = u32::try_from(now).map_err(|_| Error::CannotSign("the clock is wrong".into()))?;
        let made = || -> pgp::errors::Result<String> {
            let key = &self.key;
            let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha512);
            config.hashed_subpackets = vec![
                Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(created)))?,
                Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?,
                Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
            ];
            let signature = DetachedSignature::new(config.sign(key, &self.passphrase, data)?);
            signature.to_armored_string(ArmorOptions::default())
        };
        if self.key.version() != KeyVersion::V4 {
            return Err(Error::CannotSign("only keys of version 4 sign".into()));
        }
        made().map_err(|error| Error::CannotSign(error.to_string()))
    }
}

/// The key as the library wants to sign with it; RSA goes another way.
struct Unlocked<'k> {
    secret: &'k dyn SigningKey,
    rsa: Option<rsa::Pair>,
}

// Nothing of a key is ever shown.
impl std::fmt::Debug for Unlocked<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Unlocked({})", self.secret.fingerprint())
    }
}

impl KeyDetails for Unlocked<'_> {
    fn version(&self) -> KeyVersion {
        self.secret.version()
    }
    fn legacy_key_id(&self) -> KeyId {
        self.secret.legacy_key_id()
    }
    fn fingerprint(&self) -> Fingerprint {
        self.secret.fingerprint()
    }
    fn algorithm(&self) -> PublicKeyAlgorithm {
        self.secret.algorithm()
    }
    fn created_at(&self) -> Timestamp {
        self.secret.created_at()
    }
    fn legacy_v3_expiration_days(&self) -> Option<u16> {
        self.secret.legacy_v3_expiration_days()
    }
    fn public_params(&self) -> &PublicParams {
        self.secret.public_params()
    }
}

impl SigningKey for Unlocked<'_> {
    fn sign(
        &self,
        password: &Password,
        hash: HashAlgorithm,
        digest: &[u8],
    ) -> pgp::errors::Result<SignatureBytes> {
        match &self.rsa {
            Some(pair) => pair.sign(hash, digest),
            None => SigningKey::sign(self.secret, password, hash, digest),
        }
    }
    fn hash_alg(&self) -> HashAlgorithm {
        HashAlgorithm::Sha512
    }
}
