//! Secrets that sources refer to, read so that their change wakes the source.

use std::collections::BTreeMap;

use controller::aspect;
pub(crate) use delivery::fields::secret_data;
use object::{Gvk, Value};
use source::Credentials;
use source::cloud::Cloud;

use super::Failure;
use crate::common::{Pass, str_at};
use crate::identity;
use crate::options::Shared;

/// The decoded data of the Secret `name` beside the object.
pub(crate) async fn read(pass: &Pass, name: &str) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let gvk = Gvk::new("", "v1", "Secret");
    let failure = |why: String| Failure::new("FetchFailed", "AuthenticationFailed", why);
    let found = pass.context.read(&gvk, pass.namespace(), name, aspect::content, true).await;
    match found {
        Ok(Some(secret)) => Ok(secret_data(&secret)),
        Ok(None) => Err(failure(format!("failed to get secret '{}/{name}': not found", pass.namespace()))),
        Err(error) => Err(failure(format!("failed to get secret '{}/{name}': {error}", pass.namespace()))),
    }
}

/// The credentials of something in a registry, those of its cloud included.
pub(crate) async fn of_registry(shared: &Shared, pass: &Pass, url: &str) -> Result<Credentials, Failure> {
    let given = credentials(pass).await?;
    let cloud = Cloud::of(str_at(&pass.object, &["spec", "provider"]));
    let login = identity::registry(shared, pass, cloud, url, given).await;
    login.map_err(|why| Failure::new("FetchFailed", "AuthenticationFailed", why))
}

/// What `secretRef`, `certSecretRef`, `proxySecretRef` and the service account's pull secrets give.
pub(crate) async fn credentials(pass: &Pass) -> Result<Credentials, Failure> {
    let mut credentials = Credentials::default();
    let account = str_at(&pass.object, &["spec", "serviceAccountName"]);
    let pulls = match pass.gvk().kind.as_str() {
        "OCIRepository" | "ImageRepository" => true,
        _ => str_at(&pass.object, &["spec", "type"]) == "OCIArtifactTag",
    };
    if !account.is_empty() && pulls {
        let gvk = Gvk::new("", "v1", "ServiceAccount");
        let found = pass.context.read(&gvk, pass.namespace(), account, aspect::version, true).await;
        let found =
            found.map_err(|error| Failure::new("FetchFailed", "AuthenticationFailed", error.to_string()))?;
        let Some(found) = found else {
            let why = format!("failed to get service account '{}/{account}': not found", pass.namespace());
            return Err(Failure::new("FetchFailed", "AuthenticationFailed", why));
        };
        for entry in found.get("imagePullSecrets").and_then(Value::as_array).into_iter().flatten() {
            credentials.add_secret(&read(pass, str_at(entry, &["name"])).await?);
        }
    }
    for field in ["secretRef", "certSecretRef"] {
        let name = str_at(&pass.object, &["spec", field, "name"]);
        if !name.is_empty() {
            credentials.add_secret(&read(pass, name).await?);
        }
    }
    let proxy = str_at(&pass.object, &["spec", "proxySecretRef", "name"]);
    if !proxy.is_empty() {
        credentials.set_proxy_secret(&read(pass, proxy).await?);
    }
    Ok(credentials)
}
