//! Private keys in OpenSSH's own form that are locked with a passphrase.
//!
//! The part with the secret numbers is encrypted with a key that bcrypt derives from the passphrase. It is unlocked in
//! the process: neither `ssh` nor anybody else is told the passphrase.

use aws_lc_rs::cipher::{AES_128, AES_256, Algorithm, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ssh_signature::{Wire, put};

const MAGIC: &[u8] = b"openssh-key-v1\0";
const HEAD: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const TAIL: &str = "-----END OPENSSH PRIVATE KEY-----";
/// `ssh-keygen` takes 16 by itself; each costs the time of a few hashes.
const MOST_ROUNDS: u32 = 4096;

/// A key that `ssh` reads without a passphrase; one that is not locked is given back as it is.
pub(super) fn unlocked(text: &[u8], passphrase: Option<&str>) -> Result<Vec<u8>, String> {
    let shown = String::from_utf8_lossy(text);
    if shown.contains("Proc-Type: 4,ENCRYPTED") || shown.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        return Err(
            "the key is locked in a form that is not supported: `ssh-keygen -p -f FILE` writes it anew"
                .into(),
        );
    }
    let Some((_, rest)) = shown.split_once(HEAD) else { return Ok(text.to_vec()) };
    let body = rest.split_once(TAIL).map_or(rest, |(body, _)| body);
    let damaged = || "the SSH key is damaged".to_owned();
    let bytes = STANDARD.decode(body.split_whitespace().collect::<String>()).map_err(|_| damaged())?;
    let locked = Locked::parse(&bytes).ok_or_else(damaged)?;
    if locked.cipher == b"none" {
        return Ok(text.to_vec());
    }
    let passphrase = passphrase
        .filter(|given| !given.is_empty())
        .ok_or("the SSH key has a passphrase, and the secret has no 'password'")?;
    let secret = locked.open(passphrase.as_bytes())?;
    Ok(locked.written(&secret).into_bytes())
}

struct Locked<'a> {
    cipher: &'a [u8],
    derivation: &'a [u8],
    options: &'a [u8],
    public: &'a [u8],
    secret: &'a [u8],
}

impl<'a> Locked<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Locked<'a>> {
        let mut wire = Wire(bytes.strip_prefix(MAGIC)?);
        let (cipher, derivation, options) = (wire.string()?, wire.string()?, wire.string()?);
        let mut wire = Wire(wire.0.strip_prefix(&1u32.to_be_bytes())?);
        let (public, secret) = (wire.string()?, wire.string()?);
        Some(Locked { cipher, derivation, options, public, secret })
    }

    fn open(&self, passphrase: &[u8]) -> Result<Vec<u8>, String> {
        let (algorithm, size, chained): (&'static Algorithm, usize, bool) = match self.cipher {
            b"aes256-ctr" => (&AES_256, 32, false),
            b"aes128-ctr" => (&AES_128, 16, false),
            b"aes256-cbc" => (&AES_256, 32, true),
            b"aes128-cbc" => (&AES_128, 16, true),
            other => {
                let name = String::from_utf8_lossy(other);
                return Err(format!("the SSH key is locked with {name}, which is not supported"));
            }
        };
        let damaged = || "the SSH key is damaged".to_owned();
        let mut options = Wire(self.options);
        let salt = options.string().ok_or_else(damaged)?;
        let rounds = options.0.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)).ok_or_else(damaged)?;
        if self.derivation != b"bcrypt" || rounds == 0 || rounds > MOST_ROUNDS {
            return Err("the SSH key's passphrase is stretched in a way that is not supported".into());
        }
        let mut derived = vec![0; size + 16];
        bcrypt_pbkdf::bcrypt_pbkdf(passphrase, salt, rounds, &mut derived).map_err(|_| damaged())?;
        let (key, start) = derived.split_at(size);
        let start: [u8; 16] = start.try_into().map_err(|_| damaged())?;
        let key = UnboundCipherKey::new(algorithm, key).map_err(|_| damaged())?;
        let key = if chained { DecryptingKey::cbc(key) } else { DecryptingKey::ctr(key) };
        let key = key.map_err(|_| damaged())?;
        let mut secret = self.secret.to_vec();
        let context = DecryptionContext::Iv128(FixedLength::from(start));
        let opened = key.decrypt(&mut secret, context).map_err(|_| damaged())?.to_vec();
        // The same number twice tells that it was unlocked rightly.
        let fits = opened.get(..4).is_some_and(|first| opened.get(4..8) == Some(first));
        if fits { Ok(opened) } else { Err("the passphrase of the SSH key is wrong".into()) }
    }

    /// The key without a lock.
    fn written(&self, secret: &[u8]) -> String {
        let mut out = MAGIC.to_vec();
        for part in [b"none".as_slice(), b"none", b""] {
            put(&mut out, part);
        }
        out.extend(1u32.to_be_bytes());
        put(&mut out, self.public);
        put(&mut out, secret);
        let mut text = format!("{HEAD}\n");
        for line in STANDARD.encode(out).as_bytes().chunks(70) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text + TAIL + "\n"
    }
}
