//! age files, opened with X25519 identities: the format of age-encryption.org/v1.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// A secret key.
pub struct Identity {
    secret: Vec<u8>,
    recipient: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Identity({})", self.recipient())
    }
}

/// Reads a file of identities: `AGE-SECRET-KEY-1…` lines, comments and empty lines.
///
/// # Errors
/// With the number of the line that is none; never with its text.
pub fn identities(text: &str) -> Result<Vec<Identity>, String> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        found.push(Identity::parse(line).map_err(|why| format!("line {}: {why}", index + 1))?);
    }
    if found.is_empty() {
        return Err("no age identities found".into());
    }
    Ok(found)
}

impl Identity {
    fn parse(line: &str) -> Result<Identity, String> {
        if line.starts_with("AGE-PLUGIN-") || line.starts_with("AGE-SECRET-KEY-PQ-") {
            return Err("only X25519 identities (AGE-SECRET-KEY-1…) can be used".into());
        }
        let (prefix, secret) = bech32(line).ok_or("it is no age identity")?;
        if prefix != "age-secret-key-" || secret.len() != 32 {
            return Err("it is no age identity".into());
        }
        let key = PrivateKey::from_private_key(&X25519, &secret).map_err(|_| "it is no X25519 key")?;
        let recipient = key.compute_public_key().map_err(|_| "it is no X25519 key")?.as_ref().to_vec();
        Ok(Identity { secret, recipient })
    }

    /// `age1…`: whom to encrypt to.
    pub fn recipient(&self) -> String {
        to_bech32("age", &self.recipient)
    }

    /// The file key of a stanza, if it is for this identity.
    fn unwrap(&self, share: &[u8], body: &[u8]) -> Option<Vec<u8>> {
        let key = PrivateKey::from_private_key(&X25519, &self.secret).ok()?;
        let peer = UnparsedPublicKey::new(&X25519, share);
        let salt = [share, &self.recipient].concat();
        let wrap = agreement::agree(&key, peer, (), |secret| {
            derive(&salt, secret, b"age-encryption.org/v1/X25519").ok_or(())
        });
        open(&wrap.ok()?, [0; 12], body).filter(|key| key.len() == 16)
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-SHA-256, 32 bytes.
fn derive(salt: &[u8], secret: &[u8], info: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; 32];
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    prk.expand(&[info], Length(32)).ok()?.fill(&mut out).ok()?;
    Some(out)
}

/// ChaCha20-Poly1305 without additional data.
fn open(key: &[u8], nonce: [u8; 12], sealed: &[u8]) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
    let mut bytes = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    Some(key.open_in_place(nonce, Aad::empty(), &mut bytes).ok()?.to_vec())
}

/// Decrypts an age file, armored or not.
///
/// # Errors
/// Why not.
pub fn decrypt(file: &[u8], identities: &[Identity]) -> Result<Vec<u8>, String> {
    let unarmored = armor(file)?;
    let file = unarmored.as_deref().unwrap_or(file);
    let header = Header::read(file)?;
    let file_key = header
        .stanzas
        .iter()
        .find_map(|(share, body)| identities.iter().find_map(|identity| identity.unwrap(share, body)))
        .ok_or("none of the identities is among its recipients")?;
    let damaged = || "the age file is damaged".to_owned();
    let mac_key = derive(&[], &file_key, b"header").ok_or_else(damaged)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &mac_key);
    hmac::verify(&key, header.signed, &header.mac)
        .map_err(|_| "the age file's header was changed".to_owned())?;
    let (nonce, payload) = header.payload.split_at_checked(16).ok_or_else(damaged)?;
    let key = derive(nonce, &file_key, b"payload").ok_or_else(damaged)?;
    stream(&key, payload).ok_or_else(damaged)
}

/// Chunks of 64 KiB with a counter and a mark on the last.
fn stream(key: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    const CHUNK: usize = 64 * 1024 + 16;
    let mut plain = Vec::new();
    let last = payload.len().div_ceil(CHUNK).checked_sub(1)?;
    for (index, chunk) in payload.chunks(CHUNK).enumerate() {
        let mut nonce = [0; 12];
        nonce.get_mut(3..11)?.copy_from_slice(&(index as u64).to_be_bytes());
        *nonce.last_mut()? = u8::from(index == last);
        plain.extend(open(key, nonce, chunk)?);
    }
    Some(plain)
}

struct Header<'f> {
    /// Share and body of every X25519 stanza.
    stanzas: Vec<(Vec<u8>, Vec<u8>)>,
    /// What the MAC covers.
    signed: &'f [u8],
    mac: Vec<u8>,
    payload: &'f [u8],
}

impl<'f> Header<'f> {
    fn read(file: &'f [u8]) -> Result<Header<'f>, String> {
        let wrong = || "it is no age file of version 1".to_owned();
        let mut at = 0;
        let mut next = || {
            let rest = file.get(at..)?;
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let line = std::str::from_utf8(rest.get(..end)?).ok()?;
            let start = at;
            at += end + 1;
            Some((start, at, line))
        };
        match next() {
            Some((_, _, "age-encryption.org/v1")) => {}
            _ => return Err(wrong()),
        }
        let mut stanzas = Vec::new();
        let mut line = next().ok_or_else(wrong)?;
        loop {
            if let Some(mac) = line.2.strip_prefix("--- ") {
                return Ok(Header {
                    stanzas,
                    signed: file.get(..line.0 + 3).ok_or_else(wrong)?,
                    mac: STANDARD_NO_PAD.decode(mac).map_err(|_| wrong())?,
                    payload: file.get(line.1..).ok_or_else(wrong)?,
                });
            }
            let arguments: Vec<&str> = line.2.strip_prefix("-> ").ok_or_else(wrong)?.split(' ').collect();
            let mut body = Vec::new();
            loop {
                let (_, _, text) = next().ok_or_else(wrong)?;
                body.extend(STANDARD_NO_PAD.decode(text).map_err(|_| wrong())?);
                if text.len() < 64 {
                    break;
                }
            }
            if let ["X25519", share] = arguments.as_slice() {
                stanzas.push((STANDARD_NO_PAD.decode(share).map_err(|_| wrong())?, body));
            }
            line = next().ok_or_else(wrong)?;
        }
    }
}

/// The bytes inside of PEM lines; `None` when there are none.
fn armor(file: &[u8]) -> Result<Option<Vec<u8>>, String> {
    const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
    const END: &str = "-----END AGE ENCRYPTED FILE-----";
    let Ok(text) = std::str::from_utf8(file) else { return Ok(None) };
    let Some(inner) = text.trim().strip_prefix(BEGIN) else { return Ok(None) };
    let inner = inner.strip_suffix(END).ok_or("the age file's armor does not end")?;
    let joined: String = inner.split_whitespace().collect();
    STANDARD.decode(joined).map(Some).map_err(|_| "the age file's armor is not base64".to_owned())
}

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

fn checksum(prefix: &str, values: &[u8]) -> u32 {
    let high = prefix.bytes().map(|byte| byte >> 5);
    let low = prefix.bytes().map(|byte| byte & 31);
    high.chain([0]).chain(low).chain(values.iter().copied()).fold(1, |sum, value| {
        let top = sum >> 25;
        let mut sum = (sum & 0x1ff_ffff) << 5 ^ u32::from(value);
        for (bit, part) in
            [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3].into_iter().enumerate()
        {
            if top >> bit & 1 == 1 {
                sum ^= part;
            }
        }
        sum
    })
}

/// Bits of one size as bits of another; padding of whole groups and padding that is not zero are refused.
fn regroup(values: &[u8], from: u32, to: u32, pad: bool) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::new());
    for value in values {
        bits = bits << from | u32::from(*value);
        count += from;
        while count >= to {
            count -= to;
            out.push((bits >> count & ((1 << to) - 1)) as u8);
        }
        bits &= (1 << count) - 1;
    }
    if pad {
        if count > 0 {
            out.push((bits << (to - count) & ((1 << to) - 1)) as u8);
        }
    } else if count >= from || bits != 0 {
        return None;
    }
    Some(out)
}

/// The prefix in lower case and the bytes.
fn bech32(text: &str) -> Option<(String, Vec<u8>)> {
    let lower = text.to_ascii_lowercase();
    if text != lower && text != text.to_ascii_uppercase() {
        return None;
    }
    let (prefix, data) = lower.rsplit_once('1')?;
    let position = |byte: u8| ALPHABET.iter().position(|known| *known == byte).map(|at| at as u8);
    let values = data.bytes().map(position).collect::<Option<Vec<u8>>>()?;
    if checksum(prefix, &values) != 1 {
        return None;
    }
    let values = values.get(..values.len().checked_sub(6)?)?;
    Some((prefix.to_owned(), regroup(values, 5, 8, false)?))
}

fn to_bech32(prefix: &str, bytes: &[u8]) -> String {
    let mut values = regroup(bytes, 8, 5, true).unwrap_or_default();
    let sum = checksum(prefix, &[values.as_slice(), &[0; 6]].concat()) ^ 1;
    values.extend((0..6).map(|at| (sum >> (5 * (5 - at)) & 31) as u8));
    let letters = values.iter().filter_map(|value| ALPHABET.get(usize::from(*value)));
    format!("{prefix}1{}", letters.map(|letter| char::from(*letter)).collect::<String>())
}
