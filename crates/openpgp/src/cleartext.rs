//! Cleartext signatures: text that people can read with the signature behind it (RFC 9580, section 7).

use crate::{Result, Signer};

const HEAD: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";
const HASHES: [&str; 8] =
    ["SHA1", "RIPEMD160", "SHA224", "SHA256", "SHA384", "SHA512", "SHA3-256", "SHA3-512"];

/// A text and its signature, taken apart; whether it holds says [`crate::KeyRing::verify`] of the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleartext {
    /// The text for readers.
    pub text: Vec<u8>,
    /// What is signed: lines without blanks at their ends, CRLF between them.
    pub signed: Vec<u8>,
    /// The armoured signature.
    pub signature: Vec<u8>,
}

impl Cleartext {
    /// The first signed message in a text; what stands before and behind it is not looked at.
    pub fn parse(bytes: &[u8]) -> Option<Cleartext> {
        let mut lines =
            bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        lines.find(|line| *line == HEAD.as_bytes())?;
        loop {
            let line = lines.next()?;
            if line.iter().all(u8::is_ascii_whitespace) {
                break;
            }
            check_header(line)?;
        }
        let mut body: Vec<&[u8]> = Vec::new();
        loop {
            let line = lines.next()?;
            if line == SIGNATURE.as_bytes() {
                break;
            }
            let line = line.strip_prefix(b"- ").unwrap_or(line);
            body.push(trimmed(line));
        }
        let mut signature = SIGNATURE.as_bytes().to_vec();
        loop {
            let line = lines.next()?;
            signature.push(b'\n');
            signature.extend_from_slice(line);
            if line == END.as_bytes() {
                signature.push(b'\n');
                return Some(Cleartext {
                    text: body.join(&b"\n"[..]),
                    signed: body.join(&b"\r\n"[..]),
                    signature,
                });
            }
        }
    }

    /// Signs a text: the message with its signature.
    pub fn sign(text: &str, signer: &Signer<'_>, now: i64) -> Result<String> {
        let lines: Vec<&str> = text.split('\n').collect();
        let signed: Vec<&str> = lines.iter().map(|line| line.trim_end_matches([' ', '\t', '\r'])).collect();
        let signature = signer.sign_text(signed.join("\r\n").as_bytes(), now)?;
        let mut message = format!("{HEAD}\nHash: SHA512\n\n");
        for line in lines {
            if line.starts_with('-') {
                message.push_str("- ");
            }
            message.push_str(line);
            message.push('\n');
        }
        Ok(message + signature.trim_end())
    }
}

/// Only headers that name hashes are allowed: any other could pass for signed text.
fn check_header(line: &[u8]) -> Option<()> {
    let line = std::str::from_utf8(line).ok()?;
    if line.bytes().any(|byte| !(0x20..=0x7e).contains(&byte)) {
        return None;
    }
    let (key, values) = line.split_once(':')?;
    let known = |value: &str| HASHES.contains(&value.trim().to_ascii_uppercase().as_str());
    (key.trim() == "Hash" && values.split(',').all(known)).then_some(())
}

fn trimmed(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    line.get(..end).unwrap_or_default()
}
