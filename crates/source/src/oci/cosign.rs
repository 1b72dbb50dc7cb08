//! Signatures of cosign: who signed a manifest's digest, by a key or by a certificate for an identity.
//!
//! Semantics: Flux's `spec.verify` of OCI artifacts (with keys the transparency log is not asked; without, a
//! certificate of the trusted root for one of the accepted identities and its entry in the log are wanted).

use crate::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use object::Value;
use serde_json::json;
use sha2::Digest as _;
use sigstore_verify::crypto::{KeyAlgorithm, VerificationKey};
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_verify::types::{
    Artifact, Bundle, DerCertificate, DerPublicKey, HashAlgorithm, Sha256Hash, SignatureBytes,
    SignatureContent, Statement,
};
use sigstore_verify::{VerificationPolicy, VerificationResult, Verifier};
use std::collections::BTreeMap;

/// The media type of what cosign 2 signs.
pub(super) const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// How the media types of bundles begin.
pub(super) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// What a statement that is signed in a bundle is.
const STATEMENT: &str = "application/vnd.in-toto+json";

/// Whose signatures are accepted.
pub struct Cosign {
    trust: Trust,
    /// Which trust this is, so that a verdict can be kept.
    pub(super) fingerprint: String,
}

enum Trust {
    /// Any of these public keys.
    Keys(Vec<DerPublicKey>),
    /// Any certificate for one of these identities; for any identity when there is none.
    Identities { accepted: Vec<Identity>, verifier: Box<Verifier> },
}

/// Patterns for the issuer and the subject of a certificate.
struct Identity {
    issuer: regex::Regex,
    subject: regex::Regex,
}

/// A signature as a registry holds it.
pub(super) enum Signature {
    /// A bundle that refers to the manifest, in JSON.
    Bundle(String),
    /// A layer of the manifest that is tagged after the digest: what was signed, and the rest in annotations.
    Simple { payload: Vec<u8>, annotations: BTreeMap<String, String> },
}

impl std::fmt::Debug for Cosign {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.trust {
            Trust::Keys(keys) => write!(out, "Cosign({} keys)", keys.len()),
            Trust::Identities { accepted, .. } => write!(out, "Cosign({} identities)", accepted.len()),
        }
    }
}

impl Cosign {
    /// Trusts the public keys among a Secret's entries: those whose names end in `.pub`.
    ///
    /// # Errors
    /// When there is none, or one is no public key in PEM.
    pub fn with_keys(data: &BTreeMap<String, Vec<u8>>) -> Result<Cosign> {
        let mut keys = Vec::new();
        for (name, value) in data.iter().filter(|(name, _)| name.ends_with(".pub")) {
            let wrong =
                |why: &dyn std::fmt::Display| Error::Invalid(format!("{name}: is no public key: {why}"));
            let key =
                DerPublicKey::from_pem(&String::from_utf8_lossy(value)).map_err(|error| wrong(&error))?;
            KeyAlgorithm::from_spki(&key).map_err(|error| wrong(&error))?;
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(Error::Invalid("no public keys found: no entry's name ends in .pub".into()));
        }
        let parts: Vec<&[u8]> = keys.iter().map(DerPublicKey::as_bytes).collect();
        let fingerprint = crate::tree::sha256(&parts.concat());
        Ok(Cosign { trust: Trust::Keys(keys), fingerprint })
    }

    /// Trusts certificates for the given identities (patterns for issuer and subject, found anywhere in them; with
    /// none, any identity) that the trusted root vouches for: a `trusted_root.json`, or the public Sigstore's.
    ///
    /// # Errors
    /// When a pattern or the trusted root cannot be read.
    pub fn keyless(identities: &[(String, String)], trusted_root: Option<&[u8]>) -> Result<Cosign> {
        let pattern = |text: &str| {
            regex::Regex::new(text)
                .map_err(|error| Error::Invalid(format!("matchOIDCIdentity {text:?}: {error}")))
        };
        let accepted = identities
            .iter()
            .map(|(issuer, subject)| Ok(Identity { issuer: pattern(issuer)?, subject: pattern(subject)? }))
            .collect::<Result<Vec<Identity>>>()?;
        let unreadable = |error: String| Error::Invalid(format!("unable to parse trusted root: {error}"));
        let text = match trusted_root {
            Some(bytes) => std::str::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))?,
            None => SIGSTORE_PRODUCTION_TRUSTED_ROOT,
        };
        let root = TrustedRoot::from_json(text).map_err(|error| unreadable(error.to_string()))?;
        let verifier = Box::new(Verifier::new(&root).map_err(|error| unreadable(error.to_string()))?);
        let fingerprint = crate::tree::sha256(format!("{identities:?} {text}").as_bytes());
        Ok(Cosign { trust: Trust::Identities { accepted, verifier }, fingerprint })
    }

    /// Whether one of the signatures is accepted for the manifest of this digest; who signed, in words.
    ///
    /// # Errors
    /// When none is, with the reason of the last one that was looked at.
    pub(super) fn verify(&self, digest: &str, signatures: &[Signature]) -> Result<String, String> {
        let mut why = "no signatures found".to_owned();
        for signature in signatures {
            match self.accepts(digest, signature) {
                Ok(who) => return Ok(who),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    fn accepts(&self, digest: &str, signature: &Signature) -> Result<String, String> {
        let hex =
            digest.strip_prefix("sha256:").ok_or_else(|| format!("the digest {digest} is not sha256"))?;
        let hash = Sha256Hash::from_hex(hex).map_err(|error| error.to_string())?;
        match (&self.trust, signature) {
            (Trust::Keys(keys), Signature::Bundle(text)) => {
                signed_by_key(keys, |key| bundle_by_key(text, &hash, key))
            }
            (Trust::Keys(keys), Signature::Simple { payload, annotations }) => {
                names(payload, digest)?;
                let signature = signature_of(annotations)?;
                signed_by_key(keys, |key| by_key(key, payload, &signature))
            }
            (Trust::Identities { accepted, verifier }, Signature::Bundle(text)) => {
                let bundle = Bundle::from_json(text).map_err(|error| error.to_string())?;
                let policy = VerificationPolicy::any_identity();
                let found = verifier.verify(Artifact::from_digest(hash), &bundle, &policy);
                identified(accepted, &found.map_err(|error| error.to_string())?)
            }
            (Trust::Identities { accepted, verifier }, Signature::Simple { payload, annotations }) => {
                names(payload, digest)?;
                let bundle = as_bundle(payload, annotations)?;
                // These signatures carry the log's promise and no proof; the promise is verified as the time of
                // signing, and the entry must be of this very signature.
                let policy = VerificationPolicy::any_identity().skip_tlog_unsafe();
                let found = verifier.verify(payload.as_slice(), &bundle, &policy);
                identified(accepted, &found.map_err(|error| error.to_string())?)
            }
        }
    }
}

fn signed_by_key(
    keys: &[DerPublicKey],
    check: impl Fn(&DerPublicKey) -> Result<(), String>,
) -> Result<String, String> {
    let mut why = String::new();
    for key in keys {
        match check(key) {
            Ok(()) => return Ok(format!("the public key {}", crate::tree::sha256(key.as_bytes()))),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// Cosign signs with SHA-256, whatever the key.
fn by_key(key: &DerPublicKey, data: &[u8], signature: &SignatureBytes) -> Result<(), String> {
    let scheme = KeyAlgorithm::from_spki(key)
        .and_then(|algorithm| algorithm.resolve_signing_scheme(HashAlgorithm::Sha2256))
        .map_err(|error| error.to_string())?;
    let key = VerificationKey::from_spki_with_scheme(key, scheme).map_err(|error| error.to_string())?;
    key.verify(data, signature).map_err(|_| "the signature is not of this key".to_owned())
}

fn bundle_by_key(text: &str, hash: &Sha256Hash, key: &DerPublicKey) -> Result<(), String> {
    let bundle = Bundle::from_json(text).map_err(|error| error.to_string())?;
    match &bundle.content {
        SignatureContent::DsseEnvelope(envelope) => {
            if envelope.payload_type != STATEMENT {
                return Err(format!("the bundle signs {:?}, not a statement", envelope.payload_type));
            }
            by_key(key, &envelope.pae(), &envelope.signature.sig)?;
            let statement: Statement = serde_json::from_slice(envelope.payload.as_bytes())
                .map_err(|error| format!("the bundle's statement: {error}"))?;
            if statement.matches_sha256(hash) {
                Ok(())
            } else {
                Err("the statement is of something else".into())
            }
        }
        _ => Err("the bundle holds no statement about an image".into()),
    }
}

/// What was signed must name the manifest.
fn names(payload: &[u8], digest: &str) -> Result<(), String> {
    let value: Value =
        serde_json::from_slice(payload).map_err(|error| format!("what was signed is not JSON: {error}"))?;
    let named = object::get_str(&value, &["critical", "image", "docker-manifest-digest"]).unwrap_or_default();
    if named == digest { Ok(()) } else { Err(format!("the signature is of {named:?}")) }
}

fn annotation<'a>(annotations: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str, String> {
    annotations.get(name).map(String::as_str).ok_or_else(|| format!("the signature has no annotation {name}"))
}

fn signature_of(annotations: &BTreeMap<String, String>) -> Result<SignatureBytes, String> {
    let text = annotation(annotations, "dev.cosignproject.cosign/signature")?;
    let bytes = STANDARD.decode(text).map_err(|error| format!("the signature is not base64: {error}"))?;
    Ok(SignatureBytes::new(bytes))
}

/// Whether a verified certificate is for an accepted identity; which one, in words.
fn identified(accepted: &[Identity], found: &VerificationResult) -> Result<String, String> {
    let subject = found.identity().map(|identity| identity.as_str()).unwrap_or_default();
    let issuer = found.issuer().unwrap_or_default();
    let fits = |identity: &Identity| identity.issuer.is_match(issuer) && identity.subject.is_match(subject);
    if accepted.is_empty() || accepted.iter().any(fits) {
        return Ok(format!("{subject} by {issuer}"));
    }
    Err(format!(
        "none of the expected identities matched what was in the certificate: {subject:?} by {issuer:?}"
    ))
}

/// The signature of cosign 2 as a bundle: certificate, chain and the log's promise are in annotations.
fn as_bundle(payload: &[u8], annotations: &BTreeMap<String, String>) -> Result<Bundle, String> {
    let mut certificates = Vec::new();
    for name in ["dev.sigstore.cosign/certificate", "dev.sigstore.cosign/chain"] {
        let text = match annotation(annotations, name) {
            Ok(text) => text,
            Err(_) if !certificates.is_empty() => continue,
            Err(error) => return Err(error),
        };
        for block in
            text.split_inclusive("-----END CERTIFICATE-----").filter(|block| !block.trim().is_empty())
        {
            let der = DerCertificate::from_pem(block).map_err(|error| format!("{name}: {error}"))?;
            certificates.push(json!({"rawBytes": STANDARD.encode(der.as_bytes())}));
        }
    }
    let entry = log_entry(annotation(annotations, "dev.sigstore.cosign/bundle")?)
        .map_err(|error| format!("dev.sigstore.cosign/bundle: {error}"))?;
    let digest = sha2::Sha256::digest(payload);
    let bundle = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "verificationMaterial": {
            "x509CertificateChain": {"certificates": certificates},
            "tlogEntries": [entry],
        },
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(digest)},
            "signature": STANDARD.encode(signature_of(annotations)?.as_bytes()),
        },
    });
    Bundle::from_json(&bundle.to_string()).map_err(|error| error.to_string())
}

/// An entry of the log as cosign 2 keeps it, in the words of bundles.
fn log_entry(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let text_at = |path: &[&str]| {
        object::get_str(&value, path)
            .map(str::to_owned)
            .ok_or_else(|| format!("{} is missing", path.join(".")))
    };
    let number_at = |path: &[&str]| {
        object::get_i64(&value, path).ok_or_else(|| format!("{} is no whole number", path.join(".")))
    };
    let body = text_at(&["Payload", "body"])?;
    let decoded = STANDARD.decode(&body).map_err(|error| format!("Payload.body: {error}"))?;
    let entry: Value = serde_json::from_slice(&decoded).map_err(|error| format!("Payload.body: {error}"))?;
    let id =
        hex::decode(text_at(&["Payload", "logID"])?).map_err(|error| format!("Payload.logID: {error}"))?;
    Ok(json!({
        "logIndex": number_at(&["Payload", "logIndex"])?.to_string(),
        "logId": {"keyId": STANDARD.encode(id)},
        "kindVersion": {"kind": entry.get("kind"), "version": entry.get("apiVersion")},
        "integratedTime": number_at(&["Payload", "integratedTime"])?.to_string(),
        "inclusionPromise": {"signedEntryTimestamp": text_at(&["SignedEntryTimestamp"])?},
        "canonicalizedBody": body,
    }))
}
