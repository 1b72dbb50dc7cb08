//! What would need a running container: judged as by Kubernetes up to the point where its kubelet would be asked,
//! which then says that there is none.

use http::{Response, StatusCode};
use object::{get, get_str, meta};
use serde_json::{Value, json};

use super::write::Context;
use super::{Call, patch};
use crate::admission;
use crate::respond;
use crate::server::Body;
use crate::status::Failure;

/// A connection to something: who it is for, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The namespace, empty for a node.
    pub namespace: String,
    /// The name of the pod, service or node.
    pub name: String,
}

/// Connects to a pod, service or node.
pub async fn connect(call: &Call, what: &str) -> Result<Response<Body>, Failure> {
    let mut options = options(call, what);
    let place = Place { namespace: call.namespace().to_owned(), name: call.name().to_owned() };
    let context = Context { place: Some(place), options: Value::Null, ..Context::of(call)? };
    let mut warnings = Vec::new();
    let admitted = admission::connect(&call.app, &call.resource, &context, &mut options, &mut warnings).await;
    admitted.map_err(|failure| failure.warned(&warnings))?;
    let object = patch::current(call).ok_or_else(|| call.not_found())?;
    if &*call.resource.name == "pods" && what != "proxy" {
        if what != "portforward" {
            container(&object, get_str(&options, &["container"]).unwrap_or_default())?;
        }
        if !is_placed(&object) {
            let text = format!("pod {} does not have a host assigned", call.name());
            return Err(Failure::bad_request(text).warned(&warnings));
        }
    }
    let text = format!(
        "{} {:?} is simulated: no container runs here, so there is nothing to {what}",
        call.resource.name,
        call.name()
    );
    Err(Failure::new(501, "NotImplemented", text).warned(&warnings))
}

/// What a container printed, of which there is nothing.
pub fn log(call: &Call) -> Result<Response<Body>, Failure> {
    let pod = patch::current(call).ok_or_else(|| call.not_found())?;
    container(&pod, call.query.text("container").unwrap_or_default())?;
    if !is_placed(&pod) {
        return Ok(respond::bytes(StatusCode::NO_CONTENT, "text/plain", String::new()));
    }
    let text = format!(
        "landfall: pod {}/{} is simulated; no container runs and nothing is logged\n",
        call.namespace(),
        meta::name(&pod)
    );
    Ok(respond::bytes(StatusCode::OK, "text/plain", text))
}

fn is_placed(pod: &Value) -> bool {
    get_str(pod, &["spec", "nodeName"]).is_some_and(|name| !name.is_empty())
}

/// Which container is meant has to be clear.
fn container(pod: &Value, asked: &str) -> Result<(), Failure> {
    let names = |field: &str| -> Vec<&str> {
        let list = get(pod, &["spec", field]).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|own| get_str(own, &["name"])).collect()
    };
    let all = [names("initContainers"), names("containers"), names("ephemeralContainers")].concat();
    let name = meta::name(pod);
    let text = match names("containers").len() {
        _ if !asked.is_empty() && all.contains(&asked) => return Ok(()),
        _ if !asked.is_empty() => format!("container {asked} is not valid for pod {name}"),
        1 => return Ok(()),
        0 => format!("a container name must be specified for pod {name}"),
        _ => {
            let all = all.join(" ");
            format!("a container name must be specified for pod {name}, choose one of: [{all}]")
        }
    };
    Err(Failure::bad_request(text))
}

/// The request as an object, which is what admission sees.
fn options(call: &Call, what: &str) -> Value {
    let kind = match (&*call.resource.name, what) {
        ("pods", "exec") => "PodExecOptions",
        ("pods", "attach") => "PodAttachOptions",
        ("pods", "portforward") => "PodPortForwardOptions",
        ("services", _) => "ServiceProxyOptions",
        ("nodes", _) => "NodeProxyOptions",
        _ => "PodProxyOptions",
    };
    let mut options = json!({"kind": kind, "apiVersion": "v1"});
    match what {
        "exec" | "attach" => {
            for stream in ["stdin", "stdout", "stderr", "tty"] {
                if call.query.flag(stream) {
                    options[stream] = true.into();
                }
            }
            if let Some(container) = call.query.text("container") {
                options["container"] = container.into();
            }
            let command: Vec<&str> = call.query.all("command").collect();
            if what == "exec" {
                options["command"] = if command.is_empty() { Value::Null } else { json!(command) };
            }
        }
        "portforward" => {
            let ports = call.query.all("ports").flat_map(|own| own.split(','));
            let ports: Vec<i64> = ports.filter_map(|own| own.parse().ok()).collect();
            if !ports.is_empty() {
                options["ports"] = json!(ports);
            }
        }
        _ => {
            let path = match call.target.rest.as_str() {
                "" => call.query.text("path").map(str::to_owned),
                rest => Some(format!("/{rest}")),
            };
            if let Some(path) = path {
                options["path"] = path.into();
            }
        }
    }
    options
}
