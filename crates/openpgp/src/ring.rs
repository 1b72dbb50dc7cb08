//! Key rings: the keys of a file, and which of them a name means.

use crate::{Error, Result, packets};
use pgp::composed::{PublicOrSecret, SignedPublicKey, SignedSecretKey};
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails as _, KeyVersion, Tag};

/// The most keys that one ring may have.
const MAX_KEYS: usize = 100_000;

/// The keys of a file such as `~/.gnupg/pubring.gpg`.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    keys: Vec<Key>,
}

/// A key with the names it goes by, checked: each name and each subkey is signed by the key itself.
#[derive(Debug, Clone)]
pub struct Key {
    pub(crate) public: SignedPublicKey,
    pub(crate) secret: Option<SignedSecretKey>,
    pub(crate) names: Vec<Name>,
}

/// A user ID that the key vouches for.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) text: String,
    /// The newest certification by the key itself.
    pub(crate) own: Signature,
    pub(crate) revocations: Vec<Signature>,
}

impl KeyRing {
    /// Reads keys, public or secret, binary or armoured (also several blocks one after the other).
    /// Keys that cannot be read are left out, as GnuPG's own files hold all kinds; it is an error when none can.
    pub fn parse(bytes: &[u8]) -> Result<KeyRing> {
        if bytes.get(8..12) == Some(b"KBXf") {
            let hint = "this is GnuPG's keybox format; `gpg --export > pubring.gpg` makes a key ring of it";
            return Err(Error::Malformed(format!("tag byte does not have MSB set ({hint})")));
        }
        let mut ring = KeyRing::default();
        let mut last = None;
        for block in packets::blocks(bytes)? {
            if block.first().is_some_and(|byte| byte & 0x80 == 0) {
                return Err(Error::Malformed("tag byte does not have MSB set".into()));
            }
            let keys = PublicOrSecret::from_bytes_many(block.as_slice()).map_err(malformed)?;
            for key in keys.take(MAX_KEYS) {
                match key.map_err(malformed).and_then(Key::new) {
                    Ok(key) => ring.keys.push(key),
                    Err(error) => last = Some(error),
                }
            }
        }
        match last {
            Some(error) if ring.keys.is_empty() => Err(error),
            _ => Ok(ring),
        }
    }

    /// The keys.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Adds the keys of another ring.
    pub fn extend(&mut self, other: KeyRing) {
        self.keys.extend(other.keys);
    }

    /// The key that goes by a name, or else the only one whose name contains the text.
    pub fn find(&self, id: &str) -> Result<Option<&Key>> {
        let names = || self.keys.iter().flat_map(|key| key.names.iter().map(move |name| (name, key)));
        if let Some((_, key)) = names().find(|(name, _)| name.text == id) {
            return Ok(Some(key));
        }
        let mut matching = names().filter(|(name, _)| name.text.contains(id)).map(|(_, key)| key);
        let first = matching.next();
        match matching.next() {
            Some(_) => Err(Error::Ambiguous(id.to_owned())),
            None => Ok(first),
        }
    }
}

fn malformed(error: pgp::errors::Error) -> Error {
    Error::Malformed(error.to_string())
}

impl Key {
    fn new(parsed: PublicOrSecret) -> Result<Key> {
        let (public, secret) = match parsed {
            PublicOrSecret::Public(key) => (key, None),
            PublicOrSecret::Secret(key) => (key.to_public_key(), Some(key)),
        };
        if !public.primary_key.algorithm().can_sign() {
            return Err(Error::Malformed("primary key cannot be used for signatures".into()));
        }
        let mut names = Vec::new();
        for user in &public.details.users {
            let (mut own, mut revocations) = (None::<Signature>, Vec::new());
            for signature in user.signatures.iter().filter(|one| made_by(one, &public.primary_key)) {
                signature
                    .verify_certification(&public.primary_key, Tag::UserId, &user.id)
                    .map_err(|error| Error::Malformed(format!("user ID self-signature invalid: {error}")))?;
                if signature.typ() == Some(SignatureType::CertRevocation) {
                    revocations.push(signature.clone());
                } else if own.as_ref().is_none_or(|own| signature.created() > own.created()) {
                    own = Some(signature.clone());
                }
            }
            let text = String::from_utf8_lossy(user.id.id()).into_owned();
            names.extend(own.map(|own| Name { text, own, revocations }));
        }
        if names.is_empty() && public.primary_key.version() != KeyVersion::V6 {
            return Err(Error::Malformed("entity without any identities".into()));
        }
        Ok(Key { public, secret, names })
    }

    /// The names it goes by: `NAME (COMMENT) <ADDRESS>`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| name.text.as_str())
    }

    /// The fingerprint of the primary key in upper-case hex.
    pub fn fingerprint(&self) -> String {
        hex(self.public.primary_key.fingerprint().as_bytes())
    }

    /// Is the secret half here, and is it locked with a passphrase?
    pub fn locked(&self) -> Option<bool> {
        self.secret.as_ref().map(|key| key.primary_key.secret_params().is_encrypted())
    }
}

/// Does a signature say that it is of this key?
pub(crate) fn made_by(signature: &Signature, key: &impl pgp::types::KeyDetails) -> bool {
    let (id, fingerprint) = (key.legacy_key_id(), key.fingerprint());
    signature.issuer_fingerprint().contains(&&fingerprint) || signature.issuer_key_id().contains(&&id)
}

/// Upper-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
