//! Services and Ingresses: endpoints, and addresses from outside.

use super::common::{controller_reference, is_active, is_ready};
use crate::error::{Result, UnlessGone};
use crate::kind;
use crate::names::{join, letters};
use crate::world::World;
use object::{LabelSelector, Value, get, get_bool, get_i64, get_str, meta};
use serde_json::{Map, json};
use std::sync::Arc;

/// The address of every Ingress.
const INGRESS: &str = "10.97.255.254";
const MANAGED: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";
/// Addresses in one slice.
const SLICE: usize = 100;

pub(crate) async fn reconcile(world: &World, service: &Value) -> Result<()> {
    if meta::deletion_timestamp(service).is_some() {
        return Ok(());
    }
    address(world, service).await?;
    let selector =
        get(service, &["spec", "selector"]).filter(|own| own.as_object().is_some_and(|map| !map.is_empty()));
    let Some(selector) = selector.and_then(|own| LabelSelector::from_map(own).ok()) else { return Ok(()) };
    if get_str(service, &["spec", "type"]) == Some("ExternalName") {
        return Ok(());
    }
    let namespace = meta::namespace(service).unwrap_or_default();
    let mut pods = world.list(kind::POD, namespace);
    pods.retain(|pod| {
        selector.matches_object(pod) && is_active(pod) && get_str(pod, &["status", "podIP"]).is_some()
    });
    endpoints(world, service, &pods).await?;
    slices(world, service, &pods).await
}

/// A load balancer's address follows from the cluster address, so that it never changes nor clashes.
async fn address(world: &World, service: &Value) -> Result<()> {
    let foreign = get_str(service, &["spec", "loadBalancerClass"]).is_some();
    if get_str(service, &["spec", "type"]) != Some("LoadBalancer") || foreign {
        if get(service, &["status", "loadBalancer", "ingress"]).is_some() && !foreign {
            world.set_status(kind::SERVICE, service, json!({"loadBalancer": {"ingress": null}})).await?;
        }
        return Ok(());
    }
    let asked = get_str(service, &["spec", "loadBalancerIP"]).filter(|own| !own.is_empty());
    let own = get_str(service, &["spec", "clusterIP"]).unwrap_or_default();
    let ip = match asked {
        Some(asked) => asked.to_string(),
        None => match own.strip_prefix("10.96.") {
            Some(rest) => format!("10.97.{rest}"),
            None => return Ok(()),
        },
    };
    world
        .set_status(
            kind::SERVICE,
            service,
            json!({"loadBalancer": {"ingress": [{"ip": ip, "ipMode": "VIP"}]}}),
        )
        .await?;
    Ok(())
}

pub(crate) async fn ingress(world: &World, ingress: &Value) -> Result<()> {
    if meta::deletion_timestamp(ingress).is_none() {
        let status = json!({"loadBalancer": {"ingress": [{"ip": INGRESS}]}});
        world.set_status(kind::INGRESS, ingress, status).await?;
    }
    Ok(())
}

/// The ports of the service as they are on a pod: names are looked up in its containers.
fn ports(service: &Value, pod: Option<&Value>) -> Vec<Value> {
    let list =
        get(service, &["spec", "ports"]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .filter_map(|port| {
            let number = match get(port, &["targetPort"]) {
                Some(Value::String(name)) => named_port(pod?, name)?,
                Some(Value::Number(number)) if number.as_i64() != Some(0) => number.as_i64()?,
                _ => get_i64(port, &["port"])?,
            };
            let protocol = get_str(port, &["protocol"]).unwrap_or("TCP");
            let mut own = json!({"port": number, "protocol": protocol});
            let name = get_str(port, &["name"]).unwrap_or_default();
            object::set(&mut own, &["name"], name.into());
            if let Some(app) = get_str(port, &["appProtocol"]) {
                object::set(&mut own, &["appProtocol"], app.into());
            }
            Some(own)
        })
        .collect()
}

fn named_port(pod: &Value, name: &str) -> Option<i64> {
    let containers = get(pod, &["spec", "containers"])?.as_array()?;
    let ports = containers.iter().filter_map(|container| get(container, &["ports"])?.as_array()).flatten();
    ports
        .filter(|port| get_str(port, &["name"]) == Some(name))
        .find_map(|port| get_i64(port, &["containerPort"]))
}

fn target(pod: &Value) -> Value {
    json!({"kind": "Pod", "namespace": meta::namespace(pod), "name": meta::name(pod), "uid": meta::uid(pod)})
}

fn counts_as_ready(service: &Value, pod: &Value) -> bool {
    is_ready(pod) || get_bool(service, &["spec", "publishNotReadyAddresses"]).unwrap_or(false)
}

async fn endpoints(world: &World, service: &Value, pods: &[Arc<Value>]) -> Result<()> {
    let mut ready: Vec<Value> = Vec::new();
    let mut waiting: Vec<Value> = Vec::new();
    for pod in pods {
        let address = json!({
            "ip": get_str(pod, &["status", "podIP"]), "nodeName": get_str(pod, &["spec", "nodeName"]),
            "targetRef": target(pod),
        });
        if counts_as_ready(service, pod) { ready.push(address) } else { waiting.push(address) }
    }
    let mut ports = ports(service, pods.first().map(|pod| &**pod));
    for port in &mut ports {
        if get_str(port, &["name"]) == Some("") {
            object::remove(port, &["name"]);
        }
    }
    let mut subset = Map::new();
    for (name, list) in [("addresses", ready), ("notReadyAddresses", waiting), ("ports", ports)] {
        if !list.is_empty() {
            subset.insert(name.into(), Value::Array(list));
        }
    }
    let subsets = if pods.is_empty() { Value::Null } else { json!([subset]) };
    let mut labels = meta::labels(service).cloned().unwrap_or_default();
    labels.insert("endpoints.kubernetes.io/managed-by".into(), "endpoint-controller".into());
    let (namespace, name) = (meta::namespace(service).unwrap_or_default(), meta::name(service));
    match world.get(kind::ENDPOINTS, namespace, name) {
        Some(own) => {
            let have = own.get("subsets").cloned().unwrap_or(Value::Null);
            if have != subsets || meta::labels(&own) != Some(&labels) {
                let patch = json!({"metadata": {"labels": labels}, "subsets": subsets});
                world.patch(kind::ENDPOINTS, &own, "", patch).await.unless_gone()?;
            }
            Ok(())
        }
        None => {
            let mut own = json!({"metadata": {"name": name, "namespace": namespace, "labels": labels}});
            object::set(
                &mut own,
                &["metadata", "ownerReferences"],
                json!([controller_reference(kind::SERVICE, service)]),
            );
            if !subsets.is_null() {
                object::set(&mut own, &["subsets"], subsets);
            }
            create(world, kind::ENDPOINTS, own).await
        }
    }
}

async fn create(world: &World, kind: kind::Kind, object: Value) -> Result<()> {
    match world.create(kind, object).await {
        Err(error) if error.is_there() => Ok(()),
        other => other.unless_gone().map(|_| ()),
    }
}

async fn slices(world: &World, service: &Value, pods: &[Arc<Value>]) -> Result<()> {
    let mut labels = meta::labels(service).cloned().unwrap_or_default();
    labels.insert("kubernetes.io/service-name".into(), meta::name(service).into());
    labels.insert(MANAGED.into(), CONTROLLER.into());
    if get_str(service, &["spec", "clusterIP"]) == Some("None") {
        labels.insert("service.kubernetes.io/headless".into(), "".into());
    }
    let mut have = world.controlled(kind::ENDPOINT_SLICE, service);
    let mut chunks: Vec<&[Arc<Value>]> = pods.chunks(SLICE).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    for (number, chunk) in chunks.iter().enumerate() {
        let name = join(meta::name(service), &letters(&format!("{}{number}", meta::uid(service)), 5));
        let endpoints: Vec<Value> = chunk.iter().map(|pod| endpoint(service, pod)).collect();
        let ports = ports(service, chunk.first().map(|pod| &**pod));
        let ports = if ports.is_empty() { Value::Null } else { Value::Array(ports) };
        let own = have.iter().position(|own| meta::name(own) == name).map(|at| have.remove(at));
        match own {
            Some(own) => {
                let same = own.get("endpoints").cloned().unwrap_or_else(|| json!([])) == json!(endpoints)
                    && own.get("ports").cloned().unwrap_or(Value::Null) == ports
                    && meta::labels(&own) == Some(&labels);
                if !same {
                    let patch =
                        json!({"metadata": {"labels": labels}, "endpoints": endpoints, "ports": ports});
                    world.patch(kind::ENDPOINT_SLICE, &own, "", patch).await.unless_gone()?;
                }
            }
            None => {
                let mut own = json!({
                    "metadata": {
                        "name": name, "namespace": meta::namespace(service), "labels": labels,
                        "generateName": format!("{}-", meta::name(service)),
                        "ownerReferences": [controller_reference(kind::SERVICE, service)],
                    },
                    "addressType": "IPv4", "endpoints": endpoints,
                });
                if !ports.is_null() {
                    object::set(&mut own, &["ports"], ports);
                }
                create(world, kind::ENDPOINT_SLICE, own).await?;
            }
        }
    }
    for surplus in have {
        if meta::label(&surplus, MANAGED) == Some(CONTROLLER) {
            world.delete(kind::ENDPOINT_SLICE, &surplus, crate::api::Policy::Background).await?;
        }
    }
    Ok(())
}

fn endpoint(service: &Value, pod: &Value) -> Value {
    let ready = counts_as_ready(service, pod);
    let mut own = json!({
        "addresses": [get_str(pod, &["status", "podIP"]).unwrap_or_default()],
        "conditions": {"ready": ready, "serving": is_ready(pod), "terminating": false},
        "nodeName": get_str(pod, &["spec", "nodeName"]),
        "targetRef": target(pod),
    });
    let named = get_str(pod, &["spec", "subdomain"]) == Some(meta::name(service));
    if let Some(host) = get_str(pod, &["spec", "hostname"]).filter(|_| named) {
        object::set(&mut own, &["hostname"], host.into());
    }
    own
}
