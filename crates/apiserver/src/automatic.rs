//! Objects that follow from others, which the original's API server keeps itself: an IPAddress for each cluster address
//! of a Service, an APIService for each version of custom resources, a Lease for the server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object::{get, meta};
use serde_json::{Value, json};

use crate::app::App;
use crate::bootstrap::seed;
use crate::store::{Expect, Object, Write};

const ADDRESSES: &str = "ipaddresses.networking.k8s.io";
const API_SERVICES: &str = "apiservices.apiregistration.k8s.io";
const LEASES: &str = "leases.coordination.k8s.io";
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
const ALLOCATOR: &str = "ipallocator.k8s.io";
const AUTOMATIC: &str = "kube-aggregator.kubernetes.io/automanaged";

fn addresses(service: Option<&Value>) -> BTreeSet<String> {
    let list = service.and_then(|own| get(own, &["spec", "clusterIPs"])).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.filter(|own| own.parse::<std::net::IpAddr>().is_ok()).map(str::to_owned).collect()
}

/// Keeps the addresses of a service, of which one state or both are known.
pub fn service(app: &Arc<App>, before: Option<&Value>, after: Option<&Value>) {
    let (old, new) = (addresses(before), addresses(after));
    if let Some(service) = after {
        for address in new.iter().filter(|own| app.store.get(ADDRESSES, own).is_none()) {
            let family = if address.contains(':') { "IPv6" } else { "IPv4" };
            let object = json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
                "metadata": {"name": address, "labels": {
                    "ipaddress.kubernetes.io/ip-family": family, MANAGED_BY: ALLOCATOR,
                }},
                "spec": {"parentRef": {
                    "resource": "services", "namespace": meta::namespace(service), "name": meta::name(service),
                }},
            });
            written(seed(app, object, &mut None), address);
        }
    }
    for address in old.difference(&new) {
        let own = app.store.get(ADDRESSES, address).filter(|own| own.label(MANAGED_BY) == Some(ALLOCATOR));
        let Some(own) = own else { continue };
        if app.store.commit(ADDRESSES, address, Expect::Revision(own.revision), Write::Remove).is_err() {
            tracing::debug!(address, "somebody else wrote it meanwhile");
        }
    }
}

fn written(result: Result<(), crate::OpenError>, name: &str) {
    if let Err(error) = result {
        tracing::warn!(name, %error, "an object that follows from another one cannot be written");
    }
}

/// Keeps an APIService for each version of custom resources that is served, and none for others.
pub fn api_services(app: &Arc<App>) {
    let catalog = app.catalog();
    let mut wanted = BTreeMap::new();
    for resource in catalog.all().filter(|own| own.custom.is_some()) {
        let name = format!("{}.{}", resource.version, resource.group);
        wanted.insert(name, (resource.group.clone(), resource.version.clone()));
    }
    for own in app.store.list(API_SERVICES, "").1 {
        let automatic = own.label(AUTOMATIC) == Some("true");
        if wanted.remove(own.name()).is_some() || !automatic {
            continue;
        }
        let group = own.name().split_once('.').map_or("", |(_, group)| group);
        if app.builtin.group(group).is_some() {
            continue;
        }
        let expect = Expect::Revision(own.revision);
        if app.store.commit(API_SERVICES, &own.key, expect, Write::Remove).is_err() {
            tracing::debug!(name = own.name(), "somebody else wrote it meanwhile");
        }
    }
    for (name, (group, version)) in wanted {
        let object = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": name, "labels": {AUTOMATIC: "true"}},
            "spec": {
                "group": *group, "version": *version, "groupPriorityMinimum": 1000, "versionPriority": 100,
            },
            "status": {"conditions": [{
                "type": "Available", "status": "True", "reason": "Local",
                "message": "Local APIServices are always available",
            }]},
        });
        written(seed(app, object, &mut None), &name);
    }
}

/// Says that the server is there, and lets go of the leases of servers that were there before. The original renews
/// its lease every ten seconds and holds it for an hour; here that is done when old changes are forgotten.
pub fn renew(app: &Arc<App>) {
    use sha2::Digest;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().to_owned();
    let digest = hex::encode(sha2::Sha256::digest(format!("landfall/{host}")));
    let name = format!("apiserver-{}", digest.get(..26).unwrap_or(&digest));
    let key = format!("kube-system/{name}");
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let host = if host.is_empty() { "localhost".to_owned() } else { host };
    let object = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-system", "labels": {
            "apiserver.kubernetes.io/identity": "kube-apiserver", "kubernetes.io/hostname": host,
        }},
        "spec": {
            "holderIdentity": format!("{name}_{}", app.credentials.identity), "leaseDurationSeconds": 3600,
            "renewTime": time,
        },
    });
    match app.store.get(LEASES, &key) {
        None => written(seed(app, object, &mut None), &name),
        Some(_) => crate::bootstrap::replace(app, &object, &["spec.holderIdentity", "spec.renewTime"]),
    }
}

/// What is kept here comes back when somebody deletes it.
pub fn after_remove(app: &Arc<App>, table: &str, last: &Object) {
    if table == API_SERVICES && last.label(AUTOMATIC) == Some("true") {
        api_services(app);
    }
}
