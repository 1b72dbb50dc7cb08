//! Messages that were encrypted to keys of a ring.

use crate::ring::KeyRing;
use crate::{Error, Result, packets, rsa};
use pgp::composed::{DecryptionOptions, Esk, Message, PlainSessionKey, TheRing};
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::PublicKeyEncryptedSessionKey;
use pgp::types::{
    DecryptionKey, EskType, KeyDetails, Password, PkeskBytes, PkeskVersion, PlainSecretParams, PublicParams,
};
use std::io::Read as _;

/// The most bytes that a message may become.
const MAX_PLAIN: u64 = 16 << 20;

type Half<'k> = &'k dyn Open;

/// The secret half of a key or subkey.
trait Open {
    fn is_meant(&self, sealed: &PublicKeyEncryptedSessionKey) -> bool;
    fn open(&self, passphrase: &Password, sealed: &PublicKeyEncryptedSessionKey) -> Option<PlainSessionKey>;
}

macro_rules! open {
    ($kind:ty) => {
        impl Open for $kind {
            fn is_meant(&self, sealed: &PublicKeyEncryptedSessionKey) -> bool {
                self.algorithm().can_encrypt() && sealed.match_identity(self)
            }

            fn open(
                &self,
                passphrase: &Password,
                sealed: &PublicKeyEncryptedSessionKey,
            ) -> Option<PlainSessionKey> {
                let kind = kind_of(sealed)?;
                let values = sealed.values().ok()?;
                match values {
                    PkeskBytes::Rsa { mpi } => {
                        let opener = self.unlock(passphrase, opener).ok()?.ok()??;
                        session_key(&opener.open(mpi.as_ref())?, kind)
                    }
                    _ => self.decrypt(passphrase, values, kind).ok()?.ok(),
                }
            }
        }
    };
}

open!(pgp::packet::SecretKey);
open!(pgp::packet::SecretSubkey);

fn opener(public: &PublicParams, plain: &PlainSecretParams) -> pgp::errors::Result<Option<rsa::Opener>> {
    Ok(match plain {
        PlainSecretParams::RSA(key) => rsa::Opener::new(public, key).ok(),
        _ => None,
    })
}

fn kind_of(sealed: &PublicKeyEncryptedSessionKey) -> Option<EskType> {
    match sealed.version() {
        PkeskVersion::V3 => Some(EskType::V3_4),
        PkeskVersion::V6 => Some(EskType::V6),
        PkeskVersion::Other(_) => None,
    }
}

/// Algorithm (in old messages), key, and the sum of the key's bytes.
fn session_key(plain: &[u8], kind: EskType) -> Option<PlainSessionKey> {
    let (algorithm, rest) = match kind {
        EskType::V3_4 => plain.split_first().map(|(first, rest)| (Some(*first), rest))?,
        EskType::V6 => (None, plain),
    };
    let (key, sum) = rest.split_last_chunk::<2>()?;
    let actual = key.iter().fold(0u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
    if actual != u16::from_be_bytes(*sum) {
        return None;
    }
    Some(match algorithm.map(SymmetricKeyAlgorithm::from) {
        Some(sym_alg) if sym_alg.key_size() == key.len() => {
            PlainSessionKey::V3_4 { sym_alg, key: key.into() }
        }
        Some(_) => return None,
        None => PlainSessionKey::V6 { key: key.into() },
    })
}

impl KeyRing {
    /// Decrypts a message (binary or armoured) with the secret keys of the ring; the passphrase is not looked at for
    /// keys that are not locked.
    ///
    /// # Errors
    /// With the names of the keys that the message is encrypted to when none of them opens it.
    pub fn decrypt(&self, message: &[u8], passphrase: &[u8]) -> Result<Vec<u8>> {
        let malformed = |error: pgp::errors::Error| Error::Malformed(error.to_string());
        let block = packets::blocks(message)?.into_iter().next().unwrap_or_default();
        let read = || Message::from_bytes(block.as_slice()).map_err(malformed);
        let Message::Encrypted { esk, .. } = read()? else {
            return Err(Error::Malformed("the message is not encrypted".into()));
        };
        let passphrase = Password::from(passphrase);
        let mut recipients = Vec::new();
        for sealed in &esk {
            let Esk::PublicKeyEncryptedSessionKey(sealed) = sealed else { continue };
            let meant = self.halves().filter(|half| half.is_meant(sealed));
            for session in meant.filter_map(|half| half.open(&passphrase, sealed)) {
                // A message to nobody in particular may be opened by the wrong key: then the next one is tried.
                if let Some(plain) = self::plain(read()?, session) {
                    return Ok(plain);
                }
            }
            recipients
                .push(sealed.id().map_or_else(|_| "another".into(), ToString::to_string).to_uppercase());
        }
        Err(Error::CannotDecrypt(format!(
            "no private key opens it; it is encrypted to {}",
            if recipients.is_empty() { "no key".into() } else { recipients.join(", ") }
        )))
    }

    fn halves(&self) -> impl Iterator<Item = Half<'_>> {
        let secrets = self.keys().iter().filter_map(|key| key.secret.as_ref());
        secrets.flat_map(|secret| {
            let subkeys = secret.secret_subkeys.iter().map(|subkey| &subkey.key as Half<'_>);
            subkeys.chain([&secret.primary_key as Half<'_>])
        })
    }
}

/// What is in a message; nothing if the key is not the right one or the message was changed.
fn plain(message: Message<'_>, session: PlainSessionKey) -> Option<Vec<u8>> {
    let ring = TheRing {
        session_keys: vec![session],
        decrypt_options: DecryptionOptions::new().enable_gnupg_aead(),
        ..TheRing::default()
    };
    let (mut message, _) = message.decrypt_the_ring(ring, true).ok()?;
    if message.is_compressed() {
        message = message.decompress().ok()?;
    }
    let mut bytes = Vec::new();
    (&mut message).take(MAX_PLAIN + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= MAX_PLAIN).then_some(bytes)
}
