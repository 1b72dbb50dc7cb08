//! RSA by aws-lc: the key is handed over in PKCS #1 form.

use crate::{Error, Result};
use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::rsa::{KeyPair, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{self, RsaEncoding};
use num_bigint::BigUint;
use pgp::crypto::hash::HashAlgorithm;
use pgp::ser::Serialize as _;
use pgp::types::{Mpi, PublicParams, SignatureBytes};

/// A key pair that signs.
#[derive(Debug)]
pub(crate) struct Pair(KeyPair);

impl Pair {
    pub(crate) fn new(public: &PublicParams, secret: &pgp::crypto::rsa::SecretKey) -> Result<Pair> {
        let key = pkcs1(public, secret)?;
        KeyPair::from_der(&key).map(Pair).map_err(|error| {
            Error::CannotSign(format!("RSA key: {error} (keys of 2048 to 8192 bits are allowed)"))
        })
    }

    pub(crate) fn sign(&self, hash: HashAlgorithm, digest: &[u8]) -> pgp::errors::Result<SignatureBytes> {
        let failed = || std::io::Error::other("RSA cannot sign with this hash");
        let (algorithm, padding): (_, &'static dyn RsaEncoding) = match hash {
            HashAlgorithm::Sha256 => (&digest::SHA256, &signature::RSA_PKCS1_SHA256),
            HashAlgorithm::Sha384 => (&digest::SHA384, &signature::RSA_PKCS1_SHA384),
            HashAlgorithm::Sha512 => (&digest::SHA512, &signature::RSA_PKCS1_SHA512),
            _ => return Err(failed().into()),
        };
        let digest = Digest::import_less_safe(digest, algorithm).map_err(|_| failed())?;
        let mut bytes = vec![0; self.0.public_modulus_len()];
        self.0.sign_digest(padding, &digest, &mut bytes).map_err(|_| failed())?;
        Ok(SignatureBytes::Mpis(vec![Mpi::from_slice(&bytes)]))
    }
}

/// A key pair that opens what was encrypted to it, in a time that does not depend on what is in it.
pub(crate) struct Opener(Pkcs1PrivateDecryptingKey);

impl Opener {
    pub(crate) fn new(public: &PublicParams, secret: &pgp::crypto::rsa::SecretKey) -> Result<Opener> {
        // PKCS #8: version, algorithm (rsaEncryption without parameters), key.
        let algorithm = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0];
        let mut body = integer(&[0]);
        body.extend(tagged(0x30, &algorithm));
        body.extend(tagged(0x04, &pkcs1(public, secret)?));
        PrivateDecryptingKey::from_pkcs8(&tagged(0x30, &body))
            .ok()
            .and_then(|key| Pkcs1PrivateDecryptingKey::new(key).ok())
            .map(Opener)
            .ok_or_else(|| Error::CannotDecrypt("RSA key: keys of 2048 to 8192 bits are allowed".into()))
    }

    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let size = self.0.key_size_bytes();
        // OpenPGP leaves leading zeros away.
        let mut padded = vec![0; size.checked_sub(sealed.len())?];
        padded.extend_from_slice(sealed);
        let mut plain = vec![0; self.0.min_output_size()];
        self.0.decrypt(&padded, &mut plain).ok().map(|plain| plain.to_vec())
    }
}

/// The key in PKCS #1 form.
fn pkcs1(public: &PublicParams, secret: &pgp::crypto::rsa::SecretKey) -> Result<Vec<u8>> {
    let mut written = Vec::new();
    public.to_writer(&mut written).map_err(|error| Error::CannotSign(error.to_string()))?;
    let parts = integers(&written).filter(|parts| parts.len() == 2);
    let [n, e] = <[Vec<u8>; 2]>::try_from(parts.unwrap_or_default())
        .map_err(|_| Error::CannotSign("the RSA key is incomplete".into()))?;
    // OpenPGP keeps the inverse of p modulo q, PKCS #1 that of its second prime: so the primes change places.
    let (d, p, q, inverse) = secret.to_bytes();
    let number = |bytes: &[u8]| BigUint::from_bytes_be(bytes);
    let reduced = |prime: &[u8]| match number(prime) {
        prime if prime > BigUint::from(1u8) => Ok((number(&d) % (prime - 1u8)).to_bytes_be()),
        _ => Err(Error::CannotSign("the RSA key is no key".into())),
    };
    let (at_q, at_p) = (reduced(&q)?, reduced(&p)?);
    let mut body = integer(&[0]);
    for part in [&n, &e, &d, &q, &p, &at_q, &at_p, &inverse] {
        body.extend(integer(part));
    }
    Ok(tagged(0x30, &body))
}

/// OpenPGP's numbers: a length in bits, and the bytes.
fn integers(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*head)).div_ceil(8);
        let (number, rest) = rest.split_at_checked(length)?;
        found.push(number.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(found)
}

/// A number in DER: without leading zeros, but with one where it would look negative.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    let mut number = bytes.get(start..).unwrap_or_default().to_vec();
    if number.first().is_none_or(|first| first & 0x80 != 0) {
        number.insert(0, 0);
    }
    tagged(0x02, &number)
}

fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(body.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length: Vec<u8> =
                body.len().to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            // A usize has eight bytes at most.
            out.push(0x80 | length.len() as u8);
            out.extend(length);
        }
    }
    out.extend_from_slice(body);
    out
}
