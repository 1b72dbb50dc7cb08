//! `componentstatuses`: what a cluster consists of. Nothing is stored of it; controllers are well where they are
//! simulated.

use http::{Response, StatusCode};
use object::meta;
use serde_json::{Value, json};

use crate::api::{Call, read};
use crate::respond;
use crate::server::Body;
use crate::status::Failure;

/// Its table.
pub const TABLE: &str = "componentstatuses";
/// What is said to whoever asks.
pub const DEPRECATED: &str = "v1 ComponentStatus is deprecated in v1.19+";

fn component(name: &str, port: Option<u16>) -> Value {
    let (status, message) = match port {
        None => ("True", "ok".to_owned()),
        Some(port) => {
            let address = format!("127.0.0.1:{port}");
            let why = format!("dial tcp {address}: connect: connection refused");
            ("False", format!("Get \"https://{address}/healthz\": {why}"))
        }
    };
    json!({
        "apiVersion": "v1", "kind": "ComponentStatus", "metadata": {"name": name},
        "conditions": [{"type": "Healthy", "status": status, "message": message}],
    })
}

/// Answers a read.
pub fn answer(call: &Call, verb: &str) -> Result<Response<Body>, Failure> {
    let runs = call.app.options.service_accounts;
    let all = [
        component("scheduler", (!runs).then_some(10259)),
        component("controller-manager", (!runs).then_some(10257)),
        component("etcd-0", None),
    ];
    match verb {
        "get" => {
            let found = all.iter().find(|own| meta::name(own) == call.name());
            let missing = || Failure::not_found("", "componentstatus", call.name());
            Ok(read::answer_tree(call, StatusCode::OK, found.ok_or_else(missing)?))
        }
        "list" => {
            let list = read::list_tree(call, &all);
            Ok(respond::tree(StatusCode::OK, &list, call.format.media))
        }
        _ => Err(Failure::method_not_allowed()),
    }
}
