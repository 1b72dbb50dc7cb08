//! What every cluster has from the start: namespaces, roles, priority classes, the API's own service.

use std::sync::Arc;

use object::{get_str, meta};
use serde_json::{Value, json};

use crate::OpenError;
use crate::api::write::{self, Context, Proposal};
use crate::app::App;
use crate::status::Failure;
use crate::store::Durable;

const NAMESPACES: &[&str] = &["default", "kube-node-lease", "kube-public", "kube-system"];
/// Roles, bindings and priority classes of Kubernetes 1.34.
const OBJECTS: &str = include_str!("../data/bootstrap.json");

/// Creates what is not there yet.
pub async fn run(app: &Arc<App>) -> Result<(), OpenError> {
    let mut last = None;
    for name in NAMESPACES {
        ensure(app, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}), &mut last)
            .await?;
    }
    // Every cluster that was set up before has these; only a new one reads the list.
    if app.store.count("clusterroles.rbac.authorization.k8s.io", "") == 0 {
        let objects: Vec<Value> = serde_json::from_str(OBJECTS)
            .map_err(|e| OpenError::Certificates(format!("the built-in roles: {e}")))?;
        for object in objects {
            ensure(app, object, &mut last).await?;
        }
    }
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {
            "type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            "sessionAffinity": "None", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        },
    });
    ensure(app, service, &mut last).await?;
    let settled = write::settle(last).await;
    settled.map_err(|failure| preload_error("the initial objects", &failure))
}

async fn ensure(app: &Arc<App>, value: Value, last: &mut Option<Durable>) -> Result<(), OpenError> {
    let name = meta::name(&value).to_owned();
    let namespace = meta::namespace(&value).unwrap_or_default().to_owned();
    let Some(resource) = resource_of(app, &value) else { return Ok(()) };
    if app.object(&resource, &namespace, &name).is_some() {
        return Ok(());
    }
    let context = Context::system("kube-apiserver");
    match write::create_object(app, &resource, &context, value, &mut Vec::new()).await {
        Ok(write::Written::Stored(_, durable)) => {
            *last = durable;
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(failure) => Err(preload_error(&format!("{}/{name}", resource.kind), &failure)),
    }
}

fn preload_error(name: &str, failure: &Failure) -> OpenError {
    OpenError::Preload { name: name.to_owned(), message: failure.message().to_owned() }
}

fn resource_of(app: &App, value: &Value) -> Option<Arc<crate::catalog::Resource>> {
    let version = get_str(value, &["apiVersion"]).unwrap_or_default();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    app.catalog().find_kind(group, version, meta::kind(value)).cloned()
}

/// Creates or updates cluster-scoped objects (definitions) that the caller brings along.
pub async fn preload(app: &Arc<App>, objects: &[Value]) -> Result<(), OpenError> {
    let mut last = None;
    for value in objects {
        let name = format!("{}/{}", meta::kind(value), meta::name(value));
        let Some(resource) = resource_of(app, value) else {
            return Err(OpenError::Preload {
                name,
                message: format!("{} is not served", meta::api_version(value)),
            });
        };
        let context = Context::system("landfall");
        let exists = app.object(&resource, "", meta::name(value)).is_some();
        let result = if exists {
            write::modify(app, &resource, "", meta::name(value), &context, &mut Vec::new(), |live| {
                let mut next = live.clone();
                for field in ["spec", "rules"] {
                    if let Some(part) = value.get(field) {
                        object::set(&mut next, &[field], part.clone());
                    }
                }
                for field in ["labels", "annotations"] {
                    let part = object::get(value, &["metadata", field]).and_then(Value::as_object);
                    for (key, text) in part.into_iter().flatten() {
                        object::set(&mut next, &["metadata", field, key], text.clone());
                    }
                }
                Ok(Proposal::update(next))
            })
            .await
        } else {
            write::create_object(app, &resource, &context, value.clone(), &mut Vec::new()).await
        };
        match result {
            Ok(write::Written::Stored(_, durable)) => last = durable.or(last),
            Ok(_) => {}
            Err(failure) => return Err(preload_error(&name, &failure)),
        }
    }
    let settled = write::settle(last).await;
    settled.map_err(|failure| preload_error("the preloaded objects", &failure))
}
