//! Service accounts of pods: the account by default, its token mounted where nobody says otherwise.

use object::{get, get_bool, get_str, meta, set};
use rand::Rng;
use serde_json::{Value, json};

use crate::app::App;
use crate::status::Failure;

const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// An hour and seven seconds: how clients can tell that nobody asked for this life time.
const SECONDS: i64 = 3607;

/// Completes a new pod.
pub fn complete(app: &App, pod: &mut Value) -> Result<(), Failure> {
    if meta::annotation(pod, "kubernetes.io/config.mirror").is_some() {
        return Ok(());
    }
    let asked = get_str(pod, &["spec", "serviceAccountName"]).unwrap_or_default().to_owned();
    let name = if asked.is_empty() { "default".to_owned() } else { asked };
    set(pod, &["spec", "serviceAccountName"], name.as_str().into());
    set(pod, &["spec", "serviceAccount"], name.as_str().into());
    let namespace = meta::namespace(pod).unwrap_or_default().to_owned();
    let account = app.tree("serviceaccounts", &format!("{namespace}/{name}"));
    if account.is_none() && name != "default" {
        let why =
            format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        return Err(Failure::forbidden("", "pods", meta::name(pod), &why));
    }
    // The default account of a new namespace is about to be made.
    let account = account.unwrap_or_else(|| json!({}));
    let automount = get_bool(pod, &["spec", "automountServiceAccountToken"])
        .or_else(|| get_bool(&account, &["automountServiceAccountToken"]))
        .unwrap_or(true);
    if automount {
        mount(pod);
    }
    let pulls = |object: &Value, path: &[&str]| {
        get(object, path).and_then(Value::as_array).filter(|list| !list.is_empty()).cloned()
    };
    if pulls(pod, &["spec", "imagePullSecrets"]).is_none()
        && let Some(own) = pulls(&account, &["imagePullSecrets"])
    {
        set(pod, &["spec", "imagePullSecrets"], own.into());
    }
    Ok(())
}

/// Mounts the token into every container that has nothing at its path.
fn mount(pod: &mut Value) {
    const PREFIX: &str = "kube-api-access-";
    let volumes = |pod: &Value| get(pod, &["spec", "volumes"]).and_then(Value::as_array).cloned();
    let known = volumes(pod).unwrap_or_default();
    let own =
        known.iter().filter_map(|volume| get_str(volume, &["name"])).find(|name| name.starts_with(PREFIX));
    let name = own.map_or_else(|| format!("{PREFIX}{}", letters()), str::to_owned);
    let mut used = false;
    for field in ["initContainers", "containers"] {
        let list = object::get_mut(pod, &["spec", field]).and_then(Value::as_array_mut);
        for container in list.into_iter().flatten() {
            let mounts = get(container, &["volumeMounts"]).and_then(Value::as_array).cloned();
            let mut mounts = mounts.unwrap_or_default();
            if mounts.iter().any(|mount| get_str(mount, &["mountPath"]) == Some(MOUNT)) {
                continue;
            }
            mounts.push(json!({"mountPath": MOUNT, "name": name, "readOnly": true}));
            set(container, &["volumeMounts"], mounts.into());
            used = true;
        }
    }
    if used && !known.iter().any(|volume| get_str(volume, &["name"]) == Some(&name)) {
        let mut all = known;
        all.push(json!({"name": name, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": SECONDS, "path": "token"}},
            {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
            {"downwardAPI": {"items": [
                {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"},
            ]}},
        ]}}));
        set(pod, &["spec", "volumes"], all.into());
    }
}

fn letters() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut random = rand::rng();
    (0..5)
        .map(|_| LETTERS.get(random.random_range(0..LETTERS.len())).map_or('x', |byte| char::from(*byte)))
        .collect()
}
