//! What every cluster has from the start: namespaces, roles, priority classes and levels, the list of what is served,
//! the API's own service and where it is reached.

use std::net::SocketAddr;
use std::sync::Arc;

use object::{get_str, meta, set};
use serde_json::{Value, json};

use crate::OpenError;
use crate::api::write::{self, Context, Proposal};
use crate::app::{App, now};
use crate::catalog::Resource;
use crate::status::Failure;
use crate::store::{Durable, Expect, Write};
use crate::{automatic, conversion, fields, rbac, strategy};

const NAMESPACES: &[&str] = &["default", "kube-node-lease", "kube-public", "kube-system"];
/// What a kube-apiserver of Kubernetes 1.34 makes for itself, without times; `data/generate.py` asked one.
const OBJECTS: &str = include_str!("../data/bootstrap.json");
/// The service range of [`crate::network`] and the API's own address in it.
const SERVICE_RANGE: &str = "10.96.0.0/16";
const API_ADDRESS: &str = "10.96.0.1";
/// The port that the API is said to have until it is served.
const API_PORT: u16 = 6443;

/// Creates what is not there yet.
pub async fn run(app: &Arc<App>) -> Result<(), OpenError> {
    let mut last = None;
    for name in NAMESPACES {
        ensure(app, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}), &mut last)
            .await?;
    }
    // Every cluster that was set up before has these; only a new one reads the list.
    if app.store.count("flowschemas.flowcontrol.apiserver.k8s.io", "") == 0 {
        let objects: Vec<Value> = serde_json::from_str(OBJECTS)
            .map_err(|e| OpenError::Certificates(format!("the built-in roles: {e}")))?;
        for object in objects.into_iter().chain(configuration(app)) {
            seed(app, object, &mut last)?;
        }
    }
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {
            "type": "ClusterIP", "clusterIP": API_ADDRESS, "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": API_PORT}],
            "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
        },
    });
    ensure(app, service, &mut last).await?;
    for object in reached_at(SocketAddr::from(([127, 0, 0, 1], API_PORT))) {
        seed(app, object, &mut last)?;
    }
    if app.options.service_accounts {
        rbac::aggregate(app);
    }
    automatic::renew(app);
    let settled = write::settle(last).await;
    settled.map_err(|failure| preload_error("the initial objects", &failure))
}

/// What differs between clusters: their authority, their age, their addresses.
fn configuration(app: &App) -> Vec<Value> {
    let ready = json!([{
        "type": "Ready", "status": "True", "reason": "", "message": "Kubernetes default Service CIDR is ready",
    }]);
    let owned = json!({"f:conditions": {"k:{\"type\":\"Ready\"}": {
        ".": {}, "f:lastTransitionTime": {}, "f:message": {}, "f:status": {}, "f:type": {},
    }}});
    let managers = json!([
        {
            "manager": "kubernetes-service-cidr-controller", "operation": "Apply", "subresource": "status",
            "apiVersion": "networking.k8s.io/v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:status": owned},
        },
        {
            "manager": "kube-apiserver", "operation": "Update", "apiVersion": "networking.k8s.io/v1",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:cidrs": {}}},
        },
    ]);
    let today = now().split('T').next().unwrap_or_default().to_owned();
    vec![
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
            "data": {"client-ca-file": app.credentials.ca_pem},
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "kube-apiserver-legacy-service-account-token-tracking", "namespace": "kube-system"},
            "data": {"since": today},
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
            "metadata": {"name": "kubernetes", "managedFields": managers},
            "spec": {"cidrs": [SERVICE_RANGE]},
            "status": {"conditions": ready},
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
            "metadata": {"name": API_ADDRESS, "labels": {
                "ipaddress.kubernetes.io/ip-family": "IPv4",
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            }},
            "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "kubernetes"}},
        }),
    ]
}

/// The endpoints of the API's own service.
fn reached_at(address: SocketAddr) -> [Value; 2] {
    let (ip, port) = (address.ip().to_string(), address.port());
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    [
        json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {
                "endpointslice.kubernetes.io/skip-mirror": "true",
            }},
            "subsets": [{
                "addresses": [{"ip": ip}],
                "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            }],
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "kubernetes", "namespace": "default", "generation": 1, "labels": {
                "kubernetes.io/service-name": "kubernetes",
            }},
            "addressType": family,
            "endpoints": [{"addresses": [ip], "conditions": {"ready": true}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }),
    ]
}

/// Says where the API is reached now that it is served.
pub fn reach(app: &Arc<App>, address: SocketAddr) {
    if !address.is_ipv4() {
        return;
    }
    for wanted in reached_at(address) {
        replace(app, &wanted, &["subsets", "endpoints", "ports"]);
    }
    let ports = json!([{"name": "https", "port": 443, "protocol": "TCP", "targetPort": address.port()}]);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes", "namespace": "default"},
        "spec": {"ports": ports},
    });
    replace(app, &service, &["spec.ports"]);
}

/// Gives the fields of `wanted` to the object of its name, if it is there; without the rules for those who ask, which
/// allow no address of this machine only.
pub fn replace(app: &Arc<App>, wanted: &Value, fields: &[&str]) {
    let Some(resource) = resource_of(app, wanted) else { return };
    let key = resource.key(meta::namespace(wanted).unwrap_or_default(), meta::name(wanted));
    let Some(current) = app.store.get(&resource.table, &key) else { return };
    let mut next = current.value();
    for path in fields {
        let path: Vec<&str> = path.split('.').collect();
        if let Some(part) = object::get(wanted, &path) {
            set(&mut next, &path, part.clone());
        }
    }
    let draft = conversion::plain(&resource, next);
    if draft.same_as(&current) {
        return;
    }
    let expect = Expect::Revision(current.revision);
    if app.store.commit(&resource.table, &key, expect, Write::Put(draft)).is_err() {
        tracing::debug!(key, "somebody else wrote it meanwhile");
    }
}

/// Writes down an object of the server's own as it is, when there is none of its name: it needs no admission.
pub fn seed(app: &Arc<App>, mut value: Value, last: &mut Option<Durable>) -> Result<(), OpenError> {
    let Some(resource) = resource_of(app, &value) else { return Ok(()) };
    let key = resource.key(meta::namespace(&value).unwrap_or_default(), meta::name(&value));
    if app.store.get(&resource.table, &key).is_some() {
        return Ok(());
    }
    complete(&resource, &mut value)
        .map_err(|failure| preload_error(&format!("{}/{key}", resource.kind), &failure))?;
    let draft = conversion::plain(&resource, value);
    // Nobody else writes yet.
    if let Ok((_, durable)) = app.store.commit(&resource.table, &key, Expect::Absent, Write::Put(draft)) {
        *last = Some(durable);
    }
    Ok(())
}

/// The system fields of an object of the server's own, and the times that its data leaves out.
fn complete(resource: &Resource, value: &mut Value) -> Result<(), Failure> {
    let time = Value::from(now());
    set(value, &["metadata", "uid"], uuid::Uuid::new_v4().to_string().into());
    set(value, &["metadata", "creationTimestamp"], time.clone());
    if strategy::has_generation(resource) {
        set(value, &["metadata", "generation"], 1.into());
    }
    let list = |value: &mut Value, path: &[&str], field: &str| {
        let entries = object::get_mut(value, path).and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            set(entry, &[field], time.clone());
        }
    };
    list(value, &["status", "conditions"], "lastTransitionTime");
    match fields::take(value) {
        Some(managed) => {
            fields::put(value, Some(managed));
            list(value, &["metadata", "managedFields"], "time");
            Ok(())
        }
        None => fields::on_write(resource, None, value, None, &Context::system("kube-apiserver")),
    }
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
