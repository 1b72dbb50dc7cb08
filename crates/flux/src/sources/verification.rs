//! `spec.verify`: whose signatures are wanted, and what is said of them.

use std::sync::Arc;

use object::{Value, get};
use source::oci::Cosign;

use super::{Failure, secrets};
use crate::common::{Pass, str_at};

/// A signature that is missing or does not fit.
pub(super) fn failed(why: impl Into<String>) -> Failure {
    Failure::new("SourceVerified", "VerificationError", why)
}

/// The provider in Flux's words: without keys, identities are looked for.
pub(super) fn provider(object: &Value) -> String {
    let provider = str_at(object, &["spec", "verify", "provider"]);
    let provider = if provider.is_empty() { "cosign" } else { provider };
    let has_keys = get(object, &["spec", "verify", "secretRef"]).is_some_and(Value::is_object);
    if provider == "cosign" && !has_keys { "cosign keyless".to_owned() } else { provider.to_owned() }
}

/// Whose signatures an artifact in a registry must have.
pub(super) async fn cosign(pass: &Pass) -> Result<Option<Arc<Cosign>>, Failure> {
    let object = &pass.object;
    let Some(spec) = get(object, &["spec", "verify"]).filter(|found| found.is_object()) else {
        return Ok(None);
    };
    let provider = provider(object);
    let wrong =
        |why: String| failed(format!("failed to verify the signature using provider '{provider}': {why}"));
    if !provider.starts_with("cosign") {
        let why = "these signatures cannot be verified here; sign with cosign, or remove spec.verify";
        return Err(wrong(why.to_owned()).stalled());
    }
    let keys = str_at(spec, &["secretRef", "name"]);
    if !keys.is_empty() {
        let data = secrets::read(pass, keys).await.map_err(|failure| wrong(failure.message))?;
        let named = |error| format!("secret '{}/{keys}': {error}", pass.namespace());
        return Cosign::with_keys(&data).map(Arc::new).map(Some).map_err(|error| wrong(named(error)));
    }
    let root = trusted_root(pass, spec).await.map_err(wrong)?;
    let identities: Vec<(String, String)> = spec
        .get("matchOIDCIdentity")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|one| (str_at(one, &["issuer"]).to_owned(), str_at(one, &["subject"]).to_owned()))
        .collect();
    let cosign = Cosign::keyless(&identities, root.as_deref());
    cosign.map(Arc::new).map(Some).map_err(|error| wrong(error.to_string()))
}

async fn trusted_root(pass: &Pass, spec: &Value) -> Result<Option<Vec<u8>>, String> {
    let name = str_at(spec, &["trustedRootSecretRef", "name"]);
    if name.is_empty() {
        return Ok(None);
    }
    let failed =
        |why: &str| format!("failed to read trusted root from secret '{}/{name}': {why}", pass.namespace());
    let mut data = secrets::read(pass, name).await.map_err(|failure| failed(&failure.message))?;
    data.remove("trusted_root.json").map(Some).ok_or_else(|| failed("no key trusted_root.json"))
}

/// Tells whether the signatures were checked: `said` is the verdict when one was wanted. What a map serves is on this
/// machine, and has none.
pub(super) fn say(pass: &mut Pass, wanted: bool, said: Option<&str>, mapped: Option<&str>) {
    match (wanted, said) {
        (true, Some(said)) => pass.condition("SourceVerified", "True", "Succeeded", said),
        (true, None) => {
            let why = format!("served from {}: it has no signatures", mapped.unwrap_or_default());
            pass.condition("SourceVerified", "False", "Mapped", &why);
        }
        (false, _) => pass.drop_condition("SourceVerified"),
    }
}
