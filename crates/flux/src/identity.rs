//! Who a unit is in a cloud: the identity of a service account, or that of this process.

use std::sync::Arc;

use cluster::Cluster;
use controller::aspect;
use futures::FutureExt as _;
use object::{Gvk, Value, meta};
use serde_json::json;
use source::Credentials;
use source::cloud::{Account, Cloud};

use crate::common::{Pass, str_at, string_map};
use crate::options::Shared;

/// The account `name` beside the unit of a pass, or the default one; `None` where there is neither, and the process
/// itself is meant. A change of it wakes the unit.
///
/// # Errors
/// When it is not there.
pub(crate) async fn account(shared: &Shared, pass: &Pass, name: &str) -> Result<Option<Account>, String> {
    let given = Some(name).filter(|name| !name.is_empty());
    let Some(name) = given.or(shared.options.default_service_account.as_deref()) else { return Ok(None) };
    let namespace = pass.namespace();
    let failed = |why: String| format!("failed to get service account '{namespace}/{name}': {why}");
    let gvk = Gvk::new("", "v1", "ServiceAccount");
    let found = pass.context.read(&gvk, namespace, name, aspect::version, true).await;
    let found = found.map_err(|error| failed(error.to_string()))?;
    let found = found.ok_or_else(|| failed("not found".into()))?;
    Ok(Some(of(&pass.context.cluster, &found)))
}

/// A service account as it is in the cluster.
pub(crate) fn of(cluster: &Cluster, account: &Value) -> Account {
    let (namespace, name) = (meta::namespace(account).unwrap_or_default(), meta::name(account));
    Account {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        annotations: string_map(account, &["metadata", "annotations"]),
        issuer: issuer(cluster.clone(), namespace.to_owned(), name.to_owned()),
    }
}

/// Asks the cluster for tokens of an account.
fn issuer(cluster: Cluster, namespace: String, name: String) -> source::cloud::Issuer {
    Arc::new(move |audience| {
        let (cluster, namespace, name) = (cluster.clone(), namespace.clone(), name.clone());
        async move {
            let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
            let request = json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                "spec": {"audiences": [audience]},
            });
            let answer = cluster.raw("POST", &path, Some(&request), "application/json").await;
            let answer = answer.map_err(|error| error.to_string())?;
            match str_at(&answer, &["status", "token"]) {
                "" => Err("the answer has no token".to_owned()),
                token => Ok(token.to_owned()),
            }
        }
        .boxed()
    })
}

/// The login at a registry (`oci://host/path`) that `spec.provider` promises, unless a Secret gives one, or the address
/// is served from disk.
///
/// # Errors
/// In the words of the cloud.
pub(crate) async fn registry(
    shared: &Shared,
    pass: &Pass,
    cloud: Option<Cloud>,
    url: &str,
    given: Credentials,
) -> Result<Credentials, String> {
    let fetcher = &shared.options.fetcher;
    let has_login = given.docker_config.is_some() || given.username.is_some() || given.bearer_token.is_some();
    let (Some(cloud), false, None) = (cloud, has_login, fetcher.maps().find(url)) else { return Ok(given) };
    let host = url.strip_prefix("oci://").unwrap_or(url).split('/').next().unwrap_or_default();
    let account = account(shared, pass, str_at(&pass.object, &["spec", "serviceAccountName"])).await?;
    let login = fetcher.registry_login(cloud, host, account.as_ref(), &given).await;
    login.map_err(|error| format!("failed to get credentials for '{host}' from the cloud: {error}"))
}
