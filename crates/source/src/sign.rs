//! Signatures that clouds ask for: AWS's version 4, and JSON web tokens with RSA.

use crate::{Error, Result};
use aws_lc_rs::{hmac, rand, rsa, signature};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// HMAC-SHA-256.
pub(crate) fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

/// Keys of an AWS account, or of whatever speaks S3.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AwsKeys {
    /// `accesskey`.
    pub access: String,
    /// `secretkey`.
    pub secret: String,
    /// Of temporary credentials.
    pub session: Option<String>,
}

/// What a version 4 signature covers.
pub struct AwsRequest<'a> {
    /// `GET`, `POST` …
    pub method: &'a str,
    /// Host with its port.
    pub host: &'a str,
    /// Path, already percent-encoded.
    pub path: &'a str,
    /// Query pairs, not encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// More headers to sign, in lower case and sorted.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
    /// `us-east-1`.
    pub region: &'a str,
    /// `s3`, `kms`.
    pub service: &'a str,
    /// `20260102T030405Z`.
    pub time: &'a str,
}

/// Percent-encodes all but letters, digits and `-._~` (and `/` where it is kept).
pub fn encode(text: &str, keep_slash: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slash && byte == b'/');
        if plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The query as it is signed and sent.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let mut encoded: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name, false), encode(value, false)))
        .collect();
    encoded.sort();
    encoded.join("&")
}

/// The headers that authenticate a request.
pub fn aws(request: &AwsRequest<'_>, keys: &AwsKeys) -> Vec<(String, String)> {
    let date = request.time.get(..8).unwrap_or_default();
    let payload = hex::encode(Sha256::digest(request.body));
    let mut headers: Vec<(String, String)> =
        request.headers.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect();
    headers.push(("host".into(), request.host.into()));
    headers.push(("x-amz-content-sha256".into(), payload.clone()));
    headers.push(("x-amz-date".into(), request.time.into()));
    if let Some(session) = &keys.session {
        headers.push(("x-amz-security-token".into(), session.clone()));
    }
    headers.sort();
    let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{payload}",
        request.method,
        request.path,
        query(request.query)
    );
    let scope = format!("{date}/{}/{}/aws4_request", request.region, request.service);
    let text =
        format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", request.time, hex::encode(Sha256::digest(canonical)));
    let signed = aws_signature(keys, date, request.region, request.service, &text);
    headers.retain(|(name, _)| name != "host");
    headers.push((
        "authorization".into(),
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signed}",
            keys.access
        ),
    ));
    headers
}

/// The signature of a text that names what is signed, in hexadecimal.
pub(crate) fn aws_signature(keys: &AwsKeys, date: &str, region: &str, service: &str, text: &str) -> String {
    let mut key = format!("AWS4{}", keys.secret).into_bytes();
    for part in [date, region, service, "aws4_request"] {
        key = hmac_sha256(&key, part.as_bytes());
    }
    hex::encode(hmac_sha256(&key, text.as_bytes()))
}

/// An address that is signed itself: a `GET` of `https://HOST/` for fifteen minutes, with these headers.
pub(crate) fn presigned(
    (host, region, service): (&str, &str, &str),
    query: &[(&str, &str)],
    headers: &[(&str, &str)],
    keys: &AwsKeys,
    time: &str,
) -> String {
    let date = time.get(..8).unwrap_or_default();
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let credential = format!("{}/{scope}", keys.access);
    let mut signed = vec![("host", host)];
    signed.extend_from_slice(headers);
    signed.sort_unstable();
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let mut pairs = query.to_vec();
    pairs.extend([
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", credential.as_str()),
        ("X-Amz-Date", time),
        ("X-Amz-Expires", "900"),
        ("X-Amz-SignedHeaders", names.as_str()),
    ]);
    pairs.extend(keys.session.as_deref().map(|session| ("X-Amz-Security-Token", session)));
    let query = self::query(&pairs);
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let empty = hex::encode(Sha256::digest(b""));
    let canonical = format!("GET\n/\n{query}\n{lines}\n{names}\n{empty}");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    format!("https://{host}/?{query}&X-Amz-Signature={}", aws_signature(keys, date, region, service, &text))
}

/// A signed JSON web token: RS256 with a PEM key of PKCS#1 or PKCS#8.
///
/// # Errors
/// When the key is none; never with a part of it.
pub fn jwt(claims: &serde_json::Value, pem: &[u8]) -> Result<String> {
    let key = rsa_key(pem)?;
    let head = serde_json::json!({"alg": "RS256", "typ": "JWT"});
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(&head), encode(claims));
    let mut signed = vec![0; key.public_modulus_len()];
    key.sign(&signature::RSA_PKCS1_SHA256, &rand::SystemRandom::new(), text.as_bytes(), &mut signed)
        .map_err(|_| Error::Invalid("the private key cannot sign".into()))?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signed)))
}

fn rsa_key(pem: &[u8]) -> Result<rsa::KeyPair> {
    let wrong = || Error::Invalid("the private key is no RSA key in PEM form".into());
    let text = String::from_utf8_lossy(pem);
    let begin = text.find("-----BEGIN ").ok_or_else(wrong)?;
    let (label, rest) = text.get(begin + 11..).and_then(|rest| rest.split_once("-----")).ok_or_else(wrong)?;
    let (body, _) = rest.split_once("-----END ").ok_or_else(wrong)?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| wrong())?;
    let key = match label {
        "RSA PRIVATE KEY" => rsa::KeyPair::from_der(&der),
        _ => rsa::KeyPair::from_pkcs8(&der),
    };
    key.map_err(|_| wrong())
}

/// Now as AWS writes it: `20260102T030405Z`.
pub fn aws_time() -> String {
    jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of AWS's own documentation of S3 (GET of an object with a range).
    #[test]
    fn the_documented_example() {
        let keys = AwsKeys {
            access: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session: None,
        };
        let request = AwsRequest {
            method: "GET",
            host: "examplebucket.s3.amazonaws.com",
            path: "/test.txt",
            query: &[],
            headers: &[("range", "bytes=0-9")],
            body: b"",
            region: "us-east-1",
            service: "s3",
            time: "20130524T000000Z",
        };
        let headers = aws(&request, &keys);
        let authorization = headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value);
        assert!(
            authorization.is_some_and(|value| value
                .ends_with("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")),
            "{authorization:?}"
        );
    }
}
