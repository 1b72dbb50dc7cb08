//! One encrypted value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.

use aes_gcm::aead::consts::{U12, U16, U32};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce};
use base64::Engine as _;

use crate::tree::Leaf;

/// What decrypting says when it is not that.
const NOT_OURS: &str = "the text does not match sops' data format";

struct Parts {
    data: Vec<u8>,
    iv: Vec<u8>,
    kind: String,
}

/// Splits from the right, as the format's pattern does: data may be anything in base64.
fn parse(text: &str) -> Result<Parts, String> {
    let not_ours = || NOT_OURS.to_owned();
    let rest = text.strip_prefix("ENC[AES256_GCM,data:").ok_or_else(not_ours)?;
    let (rest, _) = rest.rsplit_once(']').ok_or_else(not_ours)?;
    let (rest, kind) = rest.rsplit_once(",type:").ok_or_else(not_ours)?;
    let (rest, tag) = rest.rsplit_once(",tag:").ok_or_else(not_ours)?;
    let (data, iv) = rest.rsplit_once(",iv:").ok_or_else(not_ours)?;
    let decode = |what: &str, text: &str| {
        let decoded = base64::engine::general_purpose::STANDARD.decode(text);
        decoded.map_err(|_| format!("its {what} is not base64"))
    };
    let mut data = decode("data", data)?;
    data.extend(decode("tag", tag)?);
    Ok(Parts { data, iv: decode("iv", iv)?, kind: kind.to_owned() })
}

/// The value behind `text`; `path` is what it was bound to when it was encrypted.
pub(crate) fn decrypt(text: &str, key: &[u8], path: &str) -> Result<Leaf, String> {
    if text.is_empty() {
        return Ok(Leaf::Text(String::new()));
    }
    let parts = parse(text)?;
    let plain = open(&parts, key, path)?;
    typed(plain, &parts.kind)
}

fn open(parts: &Parts, key: &[u8], path: &str) -> Result<Vec<u8>, String> {
    if key.len() != 32 {
        return Err(format!("the data key has {} bytes instead of 32", key.len()));
    }
    let payload = Payload { msg: &parts.data, aad: path.as_bytes() };
    let wrong = |_| "it does not open with the data key".to_owned();
    match parts.iv.len() {
        32 => AesGcm::<Aes256, U32>::new_from_slice(key)
            .map_err(|error| error.to_string())?
            .decrypt(Nonce::<U32>::from_slice(&parts.iv), payload)
            .map_err(wrong),
        16 => AesGcm::<Aes256, U16>::new_from_slice(key)
            .map_err(|error| error.to_string())?
            .decrypt(Nonce::<U16>::from_slice(&parts.iv), payload)
            .map_err(wrong),
        12 => AesGcm::<Aes256, U12>::new_from_slice(key)
            .map_err(|error| error.to_string())?
            .decrypt(Nonce::<U12>::from_slice(&parts.iv), payload)
            .map_err(wrong),
        other => Err(format!("its iv has {other} bytes")),
    }
}

fn typed(plain: Vec<u8>, kind: &str) -> Result<Leaf, String> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| format!("it is no {kind}"));
    match kind {
        "str" | "bytes" => Ok(match String::from_utf8(plain) {
            Ok(text) => Leaf::Text(text),
            Err(error) => Leaf::Bytes(error.into_bytes()),
        }),
        "int" | "int64" => text(plain)?.parse().map(Leaf::Int).map_err(|_| "it is no int".to_owned()),
        "float" => text(plain)?.parse().map(Leaf::Float).map_err(|_| "it is no float".to_owned()),
        "bool" => match text(plain)?.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Leaf::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Leaf::Bool(false)),
            _ => Err("it is no bool".to_owned()),
        },
        "time" => Ok(Leaf::Time(text(plain)?)),
        "comment" => Ok(Leaf::Comment(text(plain)?)),
        _ => Err("its type is not known".to_owned()),
    }
}
