//! Hashes, passwords, ciphers and encodings of bytes.

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Digest as _;

use super::{Res, bytes, text};
use crate::func::{Context, FuncError, Function, Param};
use crate::value::{UintType, Value};

/// The cost that Go's bcrypt takes by default.
const BCRYPT_COST: u32 = 10;
const BLOCK: usize = 16;

pub(super) fn functions() -> Vec<Function> {
    use Param::{String, Uint32};
    const ONE: &[Param] = &[String];
    const TWO: &[Param] = &[String, String];
    let native = Function::native;
    vec![
        native("sha1sum", ONE, false, |_, args| {
            Ok(Value::from(hex::encode(sha1::Sha1::digest(bytes(args, 0)))))
        }),
        native("sha256sum", ONE, false, |_, args| {
            Ok(Value::from(hex::encode(sha2::Sha256::digest(bytes(args, 0)))))
        }),
        native("sha512sum", ONE, false, |_, args| {
            Ok(Value::from(hex::encode(sha2::Sha512::digest(bytes(args, 0)))))
        }),
        native("adler32sum", ONE, false, |_, args| Ok(Value::from(adler32(bytes(args, 0)).to_string()))),
        native("bcrypt", ONE, false, |context, args| Ok(Value::from(bcrypt(context, bytes(args, 0))))),
        native("htpasswd", TWO, false, |context, args| {
            let user = text(args, 0);
            if user.contains(':') {
                return Ok(Value::from(format!("invalid username: {user}")));
            }
            Ok(Value::from(format!("{user}:{}", bcrypt(context, bytes(args, 1)))))
        }),
        native("derivePassword", &[Uint32, String, String, String, String], false, derive_password),
        native("encryptAES", TWO, false, encrypt),
        native("decryptAES", TWO, false, decrypt),
        native("b64enc", ONE, false, |_, args| Ok(Value::from(STANDARD.encode(bytes(args, 0))))),
        native("b64dec", ONE, false, |_, args| Ok(decoded(base64(bytes(args, 0)), 64))),
        native("b32enc", ONE, false, |_, args| Ok(Value::from(base32(bytes(args, 0))))),
        native("b32dec", ONE, false, |_, args| Ok(decoded(unbase32(bytes(args, 0)), 32))),
    ]
}

fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    let (mut a, mut b) = (1u32, 0u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % MODULUS;
        b = (b + a) % MODULUS;
    }
    b << 16 | a
}

/// The bytes, or as text the byte at which reading failed.
fn decoded(result: Result<Vec<u8>, usize>, base: u32) -> Value {
    match result {
        Ok(bytes) => Value::str(bytes),
        Err(at) => Value::from(format!("illegal base{base} data at input byte {at}")),
    }
}

/// Reads padded base64; line ends are passed over. The error is the place that Go names.
pub(super) fn base64(source: &[u8]) -> Result<Vec<u8>, usize> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(source.len() / 4 * 3);
    let mut input = source.iter().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n')).peekable();
    while input.peek().is_some() {
        let mut group: u32 = 0;
        let mut digits = 0;
        while digits < 4 {
            let Some((at, byte)) = input.next() else {
                // Go names the beginning of the group, counted from the end of what there is.
                return Err(source.len() - digits);
            };
            if let Some(value) = ALPHABET.iter().position(|digit| digit == byte) {
                group = group << 6 | value as u32;
                digits += 1;
                continue;
            }
            if *byte != b'=' || digits < 2 {
                return Err(at);
            }
            if digits == 2 {
                match input.next() {
                    Some((_, b'=')) => {}
                    Some((next, _)) => return Err(next),
                    None => return Err(source.len()),
                }
            }
            if let Some((next, _)) = input.next() {
                return Err(next);
            }
            let bytes = (group << (6 * (4 - digits))).to_be_bytes();
            out.extend_from_slice(bytes.get(1..digits).unwrap_or_default());
            return Ok(out);
        }
        out.extend_from_slice(&group.to_be_bytes()[1..]);
    }
    Ok(out)
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(source: &[u8]) -> String {
    let mut out = String::with_capacity(source.len().div_ceil(5) * 8);
    for chunk in source.chunks(5) {
        let mut group = [0u8; 8];
        for (target, byte) in group.iter_mut().skip(3).zip(chunk) {
            *target = *byte;
        }
        let group = u64::from_be_bytes(group);
        let digits = (chunk.len() * 8).div_ceil(5);
        for index in 0..8 {
            let digit = (group >> (35 - 5 * index) & 31) as usize;
            out.push(if index < digits { char::from(BASE32[digit]) } else { '=' });
        }
    }
    out
}

fn unbase32(source: &[u8]) -> Result<Vec<u8>, usize> {
    let clean: Vec<u8> = source.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let total = clean.len();
    let mut out = Vec::with_capacity(total / 8 * 5);
    let mut rest = clean.as_slice();
    while !rest.is_empty() {
        let mut group: u64 = 0;
        let mut digits = 0;
        while digits < 8 {
            let Some((byte, tail)) = rest.split_first() else {
                return Err(total - digits);
            };
            let at = total - rest.len();
            if *byte == b'=' && digits >= 2 {
                // Padding fills the group and ends the text.
                if tail.len() + digits < 7 {
                    return Err(total);
                }
                let padding = 7 - digits;
                if let Some(wrong) = tail.iter().take(padding).position(|byte| *byte != b'=') {
                    return Err(at + wrong);
                }
                if matches!(digits, 3 | 6) || digits == 1 {
                    return Err(at);
                }
                if tail.len() > padding {
                    return Err(at + padding + 1);
                }
                let bytes = (group << (5 * (8 - digits))).to_be_bytes();
                out.extend_from_slice(bytes.get(3..3 + digits * 5 / 8).unwrap_or_default());
                return Ok(out);
            }
            let Some(value) = BASE32.iter().position(|digit| digit == byte) else {
                return Err(at);
            };
            group = group << 5 | value as u64;
            digits += 1;
            rest = tail;
        }
        out.extend_from_slice(&group.to_be_bytes()[3..]);
    }
    Ok(out)
}

fn bcrypt(context: &Context<'_, '_>, password: &[u8]) -> String {
    let failed = |reason: &str| format!("failed to encrypt string with bcrypt: {reason}");
    if password.len() > 72 {
        return failed("bcrypt: password length exceeds 72 bytes");
    }
    let mut salt = [0; BLOCK];
    context.host().random(&mut salt);
    match bcrypt::hash_with_salt(password, BCRYPT_COST, salt) {
        Ok(parts) => parts.format_for_version(bcrypt::Version::TwoA),
        Err(error) => failed(&error.to_string()),
    }
}

/// The forms of Master Password: a letter for each kind of character.
fn password_forms(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        "long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        "medium" => &["CvcnoCvc", "CvcCvcno"],
        "short" => &["Cvcn"],
        "basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        "pin" => &["nnnn"],
        _ => return None,
    })
}

fn password_characters(kind: u8) -> &'static str {
    match kind {
        b'V' => "AEIOU",
        b'C' => "BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => "aeiou",
        b'c' => "bcdfghjklmnpqrstvwxyz",
        b'A' => "AEIOUBCDFGHJKLMNPQRSTVWXYZ",
        b'a' => "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => "0123456789",
        b'o' => "@&%?,=[]_:-+*$#!'^~;()/.",
        _ => "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

fn derive_password(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    const SCOPE: &[u8] = b"com.lyndir.masterpassword";
    let counter = match args.first() {
        Some(Value::Uint(counter, UintType::Uint32)) => *counter as u32,
        _ => 0,
    };
    let kind = text(args, 1);
    let Some(forms) = password_forms(&kind) else {
        return Ok(Value::from(format!("cannot find password template {kind}")));
    };
    let (password, user, site) = (bytes(args, 2), bytes(args, 3), bytes(args, 4));
    let salt = [SCOPE, &(user.len() as u32).to_be_bytes(), user].concat();
    let mut key = [0; 64];
    let failed =
        |error: &dyn std::fmt::Display| FuncError::new(format!("failed to derive password: {error}"));
    let params = scrypt::Params::new(15, 8, 2).map_err(|error| failed(&error))?;
    scrypt::scrypt(password, &salt, &params, &mut key).map_err(|error| failed(&error))?;
    let message = [SCOPE, &(site.len() as u32).to_be_bytes(), site, &counter.to_be_bytes()].concat();
    let seed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &message);
    let mut seed = seed.as_ref().iter().map(|byte| usize::from(*byte));
    let form = forms.get(seed.next().unwrap_or(0) % forms.len()).copied().unwrap_or("");
    let pick = |(kind, number): (u8, usize)| {
        let characters = password_characters(kind);
        characters.as_bytes().get(number % characters.len()).map_or('?', |byte| char::from(*byte))
    };
    Ok(Value::from(form.bytes().zip(seed).map(pick).collect::<String>()))
}

/// The key of a password: cut or filled with zeros to 32 bytes.
fn aes_key(password: &[u8]) -> Result<UnboundCipherKey, FuncError> {
    let mut key = [0; 32];
    for (target, byte) in key.iter_mut().zip(password) {
        *target = *byte;
    }
    UnboundCipherKey::new(&AES_256, &key).map_err(|_| "the key is not usable".into())
}

fn encrypt(context: &mut Context<'_, '_>, args: &[Value]) -> Res {
    use aws_lc_rs::cipher::PaddedBlockEncryptingKey;
    if bytes(args, 1).is_empty() {
        return Ok(Value::from(""));
    }
    let mut vector = [0; BLOCK];
    context.host().random(&mut vector);
    let failed = |_| FuncError::from("the text cannot be encrypted");
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(aes_key(bytes(args, 0))?).map_err(failed)?;
    let mut text = bytes(args, 1).to_vec();
    key.less_safe_encrypt(&mut text, EncryptionContext::Iv128(vector.into())).map_err(failed)?;
    Ok(Value::from(STANDARD.encode([vector.as_slice(), text.as_slice()].concat())))
}

fn decrypt(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    if bytes(args, 1).is_empty() {
        return Ok(Value::from(""));
    }
    let all = base64(bytes(args, 1))
        .map_err(|at| FuncError::new(format!("illegal base64 data at input byte {at}")))?;
    let Some((vector, text)) = all.split_first_chunk::<BLOCK>() else {
        return Err(format!(
            "runtime error: slice bounds out of range [:{BLOCK}] with capacity {}",
            all.len()
        )
        .into());
    };
    if text.len() % BLOCK != 0 {
        return Err("crypto/cipher: input not full blocks".into());
    }
    if text.is_empty() {
        return Err("runtime error: index out of range [-1]".into());
    }
    let failed = |_| FuncError::from("the text cannot be decrypted");
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(aes_key(bytes(args, 0))?).map_err(failed)?;
    let mut text = text.to_vec();
    let plain = key.decrypt(&mut text, DecryptionContext::Iv128((*vector).into())).map_err(failed)?;
    Ok(Value::str(&*plain))
}
