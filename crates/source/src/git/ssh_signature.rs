//! Signatures made with SSH keys (`ssh-keygen -Y sign -n git`), as Git stores them.

use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha512};

/// A public key of an `authorized_keys` line.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    blob: Vec<u8>,
}

/// Reads public keys, one a line; empty lines and comments are left out.
///
/// # Errors
/// With the number of the line that is none.
pub fn public_keys(text: &str) -> Result<Vec<PublicKey>, String> {
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        // Options may stand before the type.
        let at = words.iter().position(|word| {
            word.starts_with("ssh-") || word.starts_with("ecdsa-sha2-") || word.starts_with("sk-")
        });
        let blob = at.and_then(|at| words.get(at + 1)).and_then(|blob| STANDARD.decode(blob).ok());
        keys.push(PublicKey {
            blob: blob.ok_or_else(|| format!("line {}: it is no public key", index + 1))?,
        });
    }
    Ok(keys)
}

impl PublicKey {
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        let digest = base64::engine::general_purpose::STANDARD_NO_PAD.encode(Sha256::digest(&self.blob));
        format!("SHA256:{digest}")
    }
}

/// Reads the wire format: lengths and what they measure.
pub(super) struct Wire<'b>(pub(super) &'b [u8]);

impl<'b> Wire<'b> {
    pub(super) fn string(&mut self) -> Option<&'b [u8]> {
        let (length, rest) = self.0.split_at_checked(4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
        let (text, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    pub(super) fn number(&mut self) -> Option<&'b [u8]> {
        let bytes = self.string()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.get(zeros..)
    }
}

pub(super) fn put(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u32).to_be_bytes());
    out.extend(text);
}

/// What is signed of data, with Git's name and the hash that Git uses.
pub(super) fn message(data: &[u8]) -> Vec<u8> {
    let mut message = b"SSHSIG".to_vec();
    for part in [b"git".as_slice(), b"", b"sha512", &Sha512::digest(data)] {
        put(&mut message, part);
    }
    message
}

/// A signature as Git stores it.
pub(super) fn armored(public: &[u8], signed: &[u8]) -> String {
    let mut blob = b"SSHSIG\0\0\0\x01".to_vec();
    for part in [public, b"git", b"", b"sha512", signed] {
        put(&mut blob, part);
    }
    let text = STANDARD.encode(blob);
    let mut out = "-----BEGIN SSH SIGNATURE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(70).unwrap_or((rest, ""));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out + "-----END SSH SIGNATURE-----\n"
}

/// Which of `keys` made the signature of `data`.
///
/// # Errors
/// Why none did.
pub fn verify<'k>(data: &[u8], signature: &str, keys: &'k [PublicKey]) -> Result<&'k PublicKey, String> {
    let damaged = || "the SSH signature is damaged".to_owned();
    let body = signature
        .trim()
        .strip_prefix("-----BEGIN SSH SIGNATURE-----")
        .and_then(|rest| rest.strip_suffix("-----END SSH SIGNATURE-----"))
        .ok_or_else(damaged)?;
    let blob = STANDARD.decode(body.split_whitespace().collect::<String>()).map_err(|_| damaged())?;
    let rest = blob.strip_prefix(b"SSHSIG\0\0\0\x01").ok_or_else(damaged)?;
    let mut wire = Wire(rest);
    let mut next = || wire.string().ok_or_else(damaged);
    let (public, namespace, reserved, hash, signed) = (next()?, next()?, next()?, next()?, next()?);
    if namespace != b"git" {
        return Err("the SSH signature was not made for Git".into());
    }
    let digest = match hash {
        b"sha256" => Sha256::digest(data).to_vec(),
        b"sha512" => Sha512::digest(data).to_vec(),
        _ => return Err("the SSH signature's hash is not known".into()),
    };
    let mut message = b"SSHSIG".to_vec();
    for part in [namespace, reserved, hash, &digest] {
        put(&mut message, part);
    }
    let key = keys.iter().find(|key| key.blob == public);
    let key = key.ok_or_else(|| {
        let own = PublicKey { blob: public.to_vec() }.fingerprint();
        format!("the SSH key {own} is not among the trusted ones")
    })?;
    check(public, signed, &message).ok_or_else(|| "the SSH signature does not fit".to_owned())?;
    Ok(key)
}

fn check(public: &[u8], signed: &[u8], message: &[u8]) -> Option<()> {
    let (mut public, mut signed) = (Wire(public), Wire(signed));
    let (kind, algorithm, signature) = (public.string()?, signed.string()?, signed.string()?);
    match (kind, algorithm) {
        (b"ssh-ed25519", b"ssh-ed25519") => {
            UnparsedPublicKey::new(&signature::ED25519, public.string()?).verify(message, signature).ok()
        }
        (b"ssh-rsa", b"rsa-sha2-256" | b"rsa-sha2-512") => {
            let (e, n) = (public.number()?, public.number()?);
            let parameters = match algorithm {
                b"rsa-sha2-256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                _ => &signature::RSA_PKCS1_2048_8192_SHA512,
            };
            RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).ok()
        }
        (b"ecdsa-sha2-nistp256" | b"ecdsa-sha2-nistp384" | b"ecdsa-sha2-nistp521", named)
            if named == kind =>
        {
            let _curve = public.string()?;
            let point = public.string()?;
            let (parameters, size): (&signature::EcdsaVerificationAlgorithm, usize) = match kind {
                b"ecdsa-sha2-nistp256" => (&signature::ECDSA_P256_SHA256_FIXED, 32),
                b"ecdsa-sha2-nistp384" => (&signature::ECDSA_P384_SHA384_FIXED, 48),
                _ => (&signature::ECDSA_P521_SHA512_FIXED, 66),
            };
            let mut numbers = Wire(signature);
            let mut fixed = Vec::new();
            for number in [numbers.number()?, numbers.number()?] {
                fixed.extend(std::iter::repeat_n(0, size.checked_sub(number.len())?));
                fixed.extend(number);
            }
            UnparsedPublicKey::new(parameters, point).verify(message, &fixed).ok()
        }
        _ => None,
    }
}
