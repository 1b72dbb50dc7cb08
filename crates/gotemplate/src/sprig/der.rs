//! The little of DER and PEM that keys need.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;

pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
pub(super) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
pub(super) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
pub(super) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// A tagged value.
pub(super) fn element(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = body.len().to_be_bytes();
    let significant = length.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<u8>>();
    if body.len() < 0x80 {
        out.push(body.len() as u8);
    } else {
        out.push(0x80 | significant.len() as u8);
        out.extend(significant);
    }
    out.extend_from_slice(body);
    out
}

/// An integer that is not negative.
pub(super) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let trimmed: Vec<u8> = bytes.iter().skip_while(|byte| **byte == 0).copied().collect();
    let sign = trimmed.first().is_none_or(|byte| *byte >= 0x80);
    let body = if sign { [&[0], trimmed.as_slice()].concat() } else { trimmed };
    element(INTEGER, &body)
}

/// The first element: its tag, its body, and what follows.
pub(super) fn read(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        let digits = rest.get(..count).filter(|_| count <= 4)?;
        (digits.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest.get(count..)?)
    };
    Some((*tag, rest.get(..length)?, rest.get(length..)?))
}

/// A PKCS #8 key: the elements of its algorithm and the key itself.
pub(super) fn pkcs8(algorithm: &[&[u8]], null: bool, key: &[u8]) -> Vec<u8> {
    let mut names: Vec<u8> = algorithm.iter().flat_map(|name| element(OID, name)).collect();
    if null {
        names.extend([0x05, 0x00]);
    }
    let body = [unsigned(&[0]), element(SEQUENCE, &names), element(OCTET_STRING, key)].concat();
    element(SEQUENCE, &body)
}

/// The algorithm and the key of a PKCS #8 key.
pub(super) fn unwrap_pkcs8(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, body, _) = read(bytes)?;
    let (_, _, rest) = read(body)?;
    let (_, algorithm, rest) = read(rest)?;
    let (_, name, _) = read(algorithm)?;
    let (_, key, _) = read(rest)?;
    Some((name, key))
}

/// A PEM block.
pub(super) fn pem(label: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// The label and bytes of the first PEM block in a text.
pub(super) fn unpem(text: &str) -> Option<(String, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let digits: String =
        body.lines().filter(|line| !line.contains(':')).flat_map(|line| line.trim().chars()).collect();
    Some((label.to_owned(), STANDARD.decode(digits).ok()?))
}
