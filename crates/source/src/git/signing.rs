//! Keys that sign commits: OpenPGP and SSH.

use super::ssh_signature::{self, Wire, put};
use crate::{Error, Result};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
};
use aws_lc_rs::{rand::SystemRandom, rsa, signature};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigUint;
use openpgp::KeyRing;
use std::sync::Arc;

/// A key that signs commits.
#[derive(Clone)]
pub struct SigningKey(Arc<Secret>);

enum Secret {
    Pgp { ring: KeyRing, passphrase: Vec<u8> },
    Ssh(SshKey),
}

// Nothing of a key is ever shown.
impl std::fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match *self.0 {
            Secret::Pgp { .. } => "SigningKey(OpenPGP)",
            Secret::Ssh(_) => "SigningKey(SSH)",
        })
    }
}

impl SigningKey {
    /// An armoured OpenPGP key pair with its passphrase, in the words of Flux where it is none.
    ///
    /// # Errors
    /// When it is no key, several, or locked without the passphrase; never with a part of it.
    pub fn pgp(armored: &[u8], passphrase: Option<&[u8]>, secret: &str) -> Result<SigningKey> {
        let unread =
            |why: &str| Error::Invalid(format!("could not read signing key from secret '{secret}': {why}"));
        let ring = KeyRing::parse(armored).map_err(|error| unread(&error.to_string()))?;
        let key = match ring.keys() {
            [key] => key,
            [] => return Err(unread("openpgp: invalid argument: no armored data found")),
            _ => {
                return Err(Error::Invalid(format!(
                    "multiple entities read from secret '{secret}', could not determine which signing key to use"
                )));
            }
        };
        if key.locked() == Some(true) && passphrase.is_none() {
            return Err(Error::Invalid(format!(
                "can not use passphrase protected signing key without 'passphrase' field present in secret {secret}"
            )));
        }
        let passphrase = passphrase.unwrap_or_default().to_vec();
        key.unlock(&passphrase).map_err(|error| {
            Error::Invalid(format!(
                "could not decrypt private key of the signing key present in secret {secret}: {error}"
            ))
        })?;
        Ok(SigningKey(Arc::new(Secret::Pgp { ring, passphrase })))
    }

    /// An SSH private key: OpenSSH's form (with its passphrase, where it has one), PKCS #8 or, for RSA, PKCS #1.
    ///
    /// # Errors
    /// When it is none that can be used; never with a part of it.
    pub fn ssh(pem: &[u8], passphrase: Option<&str>) -> Result<SigningKey> {
        let key = super::passphrase::unlocked(pem, passphrase)
            .and_then(|pem| SshKey::parse(&String::from_utf8_lossy(&pem)));
        let key = key.map_err(|why| Error::Invalid(format!("could not parse SSH signing key: {why}")))?;
        Ok(SigningKey(Arc::new(Secret::Ssh(key))))
    }

    /// The armoured signature of a commit.
    pub(super) fn sign(&self, data: &[u8], now: i64) -> Result<String> {
        match &*self.0 {
            Secret::Pgp { ring, passphrase } => {
                let key = ring.keys().first().ok_or_else(|| Error::Other("no signing key".into()))?;
                key.unlock_to_sign(passphrase, now)
                    .and_then(|signer| signer.sign(data, now))
                    .map_err(|error| Error::Other(format!("signing the commit: {error}")))
            }
            Secret::Ssh(key) => {
                key.sign(data).ok_or_else(|| Error::Other("the SSH key cannot sign the commit".into()))
            }
        }
    }
}

enum SshKey {
    Ed25519(Ed25519KeyPair),
    Ecdsa(&'static Curve, EcdsaKeyPair),
    Rsa(rsa::KeyPair),
}

struct Curve {
    name: &'static str,
    algorithm: &'static EcdsaSigningAlgorithm,
}

static CURVES: [Curve; 3] = [
    Curve { name: "nistp256", algorithm: &ECDSA_P256_SHA256_FIXED_SIGNING },
    Curve { name: "nistp384", algorithm: &ECDSA_P384_SHA384_FIXED_SIGNING },
    Curve { name: "nistp521", algorithm: &ECDSA_P521_SHA512_FIXED_SIGNING },
];

impl SshKey {
    fn parse(text: &str) -> Result<SshKey, String> {
        let none = || "ssh: no key found".to_owned();
        let (_, rest) = text.split_once("-----BEGIN ").ok_or_else(none)?;
        let (label, rest) = rest.split_once("-----").ok_or_else(none)?;
        let (body, _) = rest.split_once("-----END ").ok_or_else(none)?;
        if body.contains("ENCRYPTED") {
            return Err("it is locked with a passphrase, which is not supported here".into());
        }
        let bytes = STANDARD.decode(body.split_whitespace().collect::<String>()).map_err(|_| none())?;
        let damaged = || "the key is damaged".to_owned();
        match label {
            "OPENSSH PRIVATE KEY" => SshKey::openssh(&bytes)?.ok_or_else(damaged),
            "RSA PRIVATE KEY" => {
                rsa::KeyPair::from_der(&bytes).map(SshKey::Rsa).map_err(|why| why.to_string())
            }
            "PRIVATE KEY" => SshKey::pkcs8(&bytes).ok_or_else(|| {
                "no Ed25519, ECDSA (P-256, P-384, P-521) or RSA key of 2048 to 8192 bits".to_owned()
            }),
            other => Err(format!("ssh: unsupported key type {other:?}")),
        }
    }

    fn pkcs8(bytes: &[u8]) -> Option<SshKey> {
        if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes) {
            return Some(SshKey::Ed25519(key));
        }
        for curve in &CURVES {
            if let Ok(key) = EcdsaKeyPair::from_pkcs8(curve.algorithm, bytes) {
                return Some(SshKey::Ecdsa(curve, key));
            }
        }
        rsa::KeyPair::from_pkcs8(bytes).ok().map(SshKey::Rsa)
    }

    /// OpenSSH's own form; `None` when it is damaged.
    fn openssh(bytes: &[u8]) -> Result<Option<SshKey>, String> {
        let Some(mut wire) = bytes.strip_prefix(b"openssh-key-v1\0").map(Wire) else { return Ok(None) };
        let Some(cipher) = wire.string() else { return Ok(None) };
        if cipher != b"none" {
            return Err("it is locked with a passphrase, which is not supported here".into());
        }
        Ok(SshKey::fields(wire))
    }

    fn fields(mut wire: Wire<'_>) -> Option<SshKey> {
        let (_derivation, _options) = (wire.string()?, wire.string()?);
        let mut wire = Wire(wire.0.strip_prefix(&1u32.to_be_bytes())?);
        let _public = wire.string()?;
        let mut wire = Wire(wire.string()?);
        // The same number twice tells that the key was unlocked rightly.
        let (check, rest) = wire.0.split_first_chunk::<4>()?;
        wire.0 = rest.strip_prefix(check)?;
        match wire.string()? {
            b"ssh-ed25519" => {
                let (public, secret) = (wire.string()?, wire.string()?);
                let key = Ed25519KeyPair::from_seed_and_public_key(secret.get(..32)?, public).ok()?;
                Some(SshKey::Ed25519(key))
            }
            b"ssh-rsa" => {
                let mut next = || wire.number();
                let (n, e, d, inverse, p, q) = (next()?, next()?, next()?, next()?, next()?, next()?);
                let key = rsa::KeyPair::from_der(&pkcs1(n, e, d, p, q, inverse)?).ok()?;
                Some(SshKey::Rsa(key))
            }
            kind => {
                let name = kind.strip_prefix(b"ecdsa-sha2-")?;
                let curve = CURVES.iter().find(|curve| curve.name.as_bytes() == name)?;
                let (_name, point, secret) = (wire.string()?, wire.string()?, wire.number()?);
                // Numbers are as long as the curve's.
                let size = (point.len().checked_sub(1)?) / 2;
                let mut padded = vec![0; size.checked_sub(secret.len())?];
                padded.extend_from_slice(secret);
                let key = EcdsaKeyPair::from_private_key_and_public_key(curve.algorithm, &padded, point);
                Some(SshKey::Ecdsa(curve, key.ok()?))
            }
        }
    }

    /// The public key as it goes over the wire.
    fn public(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            SshKey::Ed25519(key) => {
                put(&mut out, b"ssh-ed25519");
                put(&mut out, key.public_key().as_ref());
            }
            SshKey::Ecdsa(curve, key) => {
                put(&mut out, format!("ecdsa-sha2-{}", curve.name).as_bytes());
                put(&mut out, curve.name.as_bytes());
                put(&mut out, key.public_key().as_ref());
            }
            SshKey::Rsa(key) => {
                let public = key.public_key();
                put(&mut out, b"ssh-rsa");
                put(&mut out, &positive(public.exponent().big_endian_without_leading_zero()));
                put(&mut out, &positive(public.modulus().big_endian_without_leading_zero()));
            }
        }
        out
    }

    fn sign(&self, data: &[u8]) -> Option<String> {
        let message = ssh_signature::message(data);
        let mut signed = Vec::new();
        match self {
            SshKey::Ed25519(key) => {
                put(&mut signed, b"ssh-ed25519");
                put(&mut signed, key.sign(&message).as_ref());
            }
            SshKey::Ecdsa(curve, key) => {
                let both = key.sign(&SystemRandom::new(), &message).ok()?;
                let (r, s) = both.as_ref().split_at_checked(both.as_ref().len() / 2)?;
                let mut numbers = Vec::new();
                put(&mut numbers, &positive(r));
                put(&mut numbers, &positive(s));
                put(&mut signed, format!("ecdsa-sha2-{}", curve.name).as_bytes());
                put(&mut signed, &numbers);
            }
            SshKey::Rsa(key) => {
                let mut made = vec![0; key.public_modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA512, &SystemRandom::new(), &message, &mut made).ok()?;
                put(&mut signed, b"rsa-sha2-512");
                put(&mut signed, &made);
            }
        }
        Some(ssh_signature::armored(&self.public(), &signed))
    }
}

/// A number of the wire: no leading zeros, but one where it would look negative.
fn positive(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut number = bytes.get(zeros..).unwrap_or_default().to_vec();
    if number.first().is_some_and(|first| first & 0x80 != 0) {
        number.insert(0, 0);
    }
    number
}

/// The key in PKCS #1 form: OpenSSH leaves two of its numbers to be computed.
fn pkcs1(n: &[u8], e: &[u8], d: &[u8], p: &[u8], q: &[u8], inverse: &[u8]) -> Option<Vec<u8>> {
    let number = |bytes: &[u8]| BigUint::from_bytes_be(bytes);
    let reduced = |prime: &[u8]| {
        let prime = number(prime);
        (prime > BigUint::from(1u8)).then(|| (number(d) % (prime - 1u8)).to_bytes_be())
    };
    let (at_p, at_q) = (reduced(p)?, reduced(q)?);
    let mut body = vec![2, 1, 0];
    for part in [n, e, d, p, q, &at_p, &at_q, inverse] {
        let mut part = positive(part);
        if part.is_empty() {
            part.push(0);
        }
        body.extend(tagged(2, &part));
    }
    Some(tagged(0x30, &body))
}

fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(body.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = positive(&body.len().to_be_bytes());
            let length = length.strip_prefix(&[0]).unwrap_or(&length);
            out.push(0x80 | length.len() as u8);
            out.extend(length);
        }
    }
    out.extend_from_slice(body);
    out
}
