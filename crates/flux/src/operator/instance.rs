//! FluxInstance: what it syncs is set up; the controllers it would install are part of this process.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Apply, EventType};
use controller::{Cause, Context, Description, Kind, Outcome};
use futures::future::BoxFuture;
use object::{Gvk, Value, get};
use serde_json::json;

use super::{GROUP, MANAGER, every, gvk, is_disabled};
use crate::common::{self, Pass, str_at};

pub(super) struct Instances;

impl Kind for Instances {
    fn gvk(&self) -> Gvk {
        gvk("FluxInstance")
    }

    fn describe(&self, object: &Value) -> Description {
        let mut description = common::describe(object);
        description.suspended = is_disabled(object);
        description
    }

    fn trigger(&self, object: &Value) -> String {
        super::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let mut pass = Pass::new(context, object, MANAGER);
            match steps(&mut pass).await {
                Ok(outcome) => outcome,
                Err(_) if pass.context.cancel.is_cancelled() => Outcome::preempted(),
                Err(error) => {
                    pass.fail("ReconciliationFailed", &error.to_string());
                    let _ = pass.write().await;
                    Outcome::retry(Duration::from_secs(300), Cause::new(error.to_string()))
                }
            }
        })
    }
}

async fn steps(pass: &mut Pass) -> Result<Outcome, cluster::Error> {
    if pass.is_deleted() {
        // Whatever was synced stays: it is this process that would have been uninstalled.
        pass.remove_finalizer().await?;
        return Ok(Outcome::done());
    }
    pass.ensure_finalizer().await?;
    if is_disabled(&pass.object) {
        return Ok(Outcome::done());
    }
    let mut message = "Flux is part of this process; no distribution is installed".to_owned();
    if let Some(sync) = get(&pass.object, &["spec", "sync"]).filter(|sync| sync.is_object()).cloned() {
        let objects = objects(pass.namespace(), &sync);
        for object in &objects {
            pass.context.cluster.apply(object, &Apply::forced(MANAGER)).await?;
        }
        message = format!("{message}; syncing {} at {}", str_at(&sync, &["url"]), str_at(&sync, &["ref"]));
    }
    if !common::is_true(&pass.object, "Ready") {
        pass.event(EventType::Normal, "ReconciliationSucceeded", &message, "");
    }
    let version = str_at(&pass.object, &["spec", "distribution", "version"]).to_owned();
    pass.set(&["lastAppliedRevision"], json!(format!("landfall@{version}")));
    pass.succeed("ReconciliationSucceeded", &message);
    pass.write().await?;
    Ok(Outcome::after(every(&pass.object, "reconcileEvery", Duration::from_secs(3600))))
}

/// The source and the Kustomization of a sync.
fn objects(namespace: &str, sync: &Value) -> Vec<Value> {
    let text = |field: &str, default: &str| match str_at(sync, &[field]) {
        "" => default.to_owned(),
        given => given.to_owned(),
    };
    let (kind, name, interval) =
        (text("kind", "GitRepository"), text("name", namespace), text("interval", "1m"));
    let metadata = json!({
        "name": name, "namespace": namespace, "labels": {format!("{GROUP}/sync"): "true"},
    });
    let mut spec = json!({"interval": interval, "url": text("url", "")});
    let reference = text("ref", "");
    match kind.as_str() {
        "OCIRepository" => {
            spec["ref"] = json!({"tag": if reference.is_empty() { "latest" } else { &reference }})
        }
        "Bucket" => {
            spec = json!({"interval": interval, "endpoint": text("url", ""), "bucketName": reference});
        }
        _ => spec["ref"] = json!({"name": reference}),
    }
    let secret = text("pullSecret", "");
    if !secret.is_empty() {
        spec["secretRef"] = json!({"name": secret});
    }
    let provider = text("provider", "");
    if !provider.is_empty() {
        spec["provider"] = json!(provider);
    }
    vec![
        json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": kind, "metadata": metadata, "spec": spec,
        }),
        json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": metadata,
            "spec": {
                "interval": "10m", "path": text("path", "./"), "prune": true,
                "sourceRef": {"kind": kind, "name": name},
            },
        }),
    ]
}
