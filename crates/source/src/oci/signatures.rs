//! The signatures that a registry holds for a manifest, and the verdict on them.

use super::cosign::{BUNDLE, Cosign, SIMPLE_SIGNING, Signature};
use super::{Request, Store, annotations};
use crate::{Error, Fetcher, Result};
use object::Value;

/// Signatures of one manifest that are looked at, at most.
const MOST: usize = 64;

impl Fetcher {
    /// Who signed the manifest of this digest, in words. A verdict is kept until the artifact or the trust changes.
    pub(super) async fn verified(
        &self,
        store: &Store,
        request: &Request,
        cosign: &Cosign,
        digest: &str,
    ) -> Result<String> {
        let question = format!("{digest} {}", cosign.fingerprint);
        if let Some((known, who)) = self.inner.verdicts.lock().get(&request.url)
            && *known == question
        {
            return Ok(who.clone());
        }
        let signatures = signatures(store, digest).await?;
        let who = cosign.verify(digest, &signatures).map_err(|why| Error::Unverified {
            reason: "VerificationError",
            why: format!("no matching signatures were found for '{}@{digest}': {why}", request.url),
        })?;
        self.inner.verdicts.lock().insert(request.url.clone(), (question, who.clone()));
        Ok(who)
    }
}

/// Bundles that refer to the manifest; without any, the layers of the manifest that is tagged after it.
async fn signatures(store: &Store, digest: &str) -> Result<Vec<Signature>> {
    let mut found = Vec::new();
    let bundles = store.referrers(digest).await?;
    let is_bundle = |one: &&Value| {
        object::get_str(one, &["artifactType"]).is_some_and(|media_type| media_type.starts_with(BUNDLE))
    };
    for descriptor in bundles.iter().filter(is_bundle).take(MOST) {
        let (manifest, _) = store.manifest(digest_of(descriptor)?).await?;
        for layer in layers(&manifest).iter().take(1) {
            let text = String::from_utf8(checked(store, digest_of(layer)?).await?);
            found.extend(text.ok().map(Signature::Bundle));
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let manifest = match store.manifest(&format!("{}.sig", digest.replace(':', "-"))).await {
        Ok((manifest, _)) => manifest,
        Err(Error::NotFound(_)) => return Ok(found),
        Err(error) => return Err(error),
    };
    let is_simple = |one: &&Value| object::get_str(one, &["mediaType"]) == Some(SIMPLE_SIGNING);
    for layer in layers(&manifest).iter().filter(is_simple).take(MOST) {
        let payload = checked(store, digest_of(layer)?).await?;
        found.push(Signature::Simple { payload, annotations: annotations(layer) });
    }
    Ok(found)
}

fn layers(manifest: &Value) -> &[Value] {
    manifest.get("layers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn digest_of(descriptor: &Value) -> Result<&str> {
    let digest = object::get_str(descriptor, &["digest"]).unwrap_or_default();
    if digest.starts_with("sha256:") {
        return Ok(digest);
    }
    Err(Error::Refused(format!("a signature's digest {digest:?} is not sha256")))
}

async fn checked(store: &Store, digest: &str) -> Result<Vec<u8>> {
    let bytes = store.blob(digest).await?;
    super::verify(&bytes, digest)?;
    Ok(bytes)
}
