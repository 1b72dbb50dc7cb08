//! `LimitRange`: defaults for containers, and bounds for containers, pods and claims.

use object::quota::{Amounts, amounts, pod_resources};
use object::{Quantity, get, get_str, meta, set};
use serde_json::Value;

use crate::app::App;
use crate::catalog::Resource;
use crate::status::Failure;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

fn ranges(app: &App, namespace: &str) -> Vec<Value> {
    let (_, found) = app.store.list("limitranges", &format!("{namespace}/"));
    found.iter().map(|range| range.value()).collect()
}

fn items<'a>(range: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let list = get(range, &["spec", "limits"]).and_then(Value::as_array);
    list.into_iter().flatten().filter(move |item| get_str(item, &["type"]) == Some(kind))
}

/// Gives the containers of a new pod what they do not say themselves.
pub fn complete(app: &App, pod: &mut Value) {
    for range in ranges(app, meta::namespace(pod).unwrap_or_default()) {
        let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
        for item in items(&range, "Container") {
            requests.extend(amounts(get(item, &["defaultRequest"])));
            limits.extend(amounts(get(item, &["default"])));
        }
        let mut said = Vec::new();
        for (field, shown) in [("containers", "container"), ("initContainers", "init container")] {
            let list = object::get_mut(pod, &["spec", field]).and_then(Value::as_array_mut);
            for container in list.into_iter().flatten() {
                let name = get_str(container, &["name"]).unwrap_or_default().to_owned();
                for (side, defaults, what) in
                    [("requests", &requests, "request"), ("limits", &limits, "limit")]
                {
                    let set = fill(container, side, defaults);
                    if !set.is_empty() {
                        said.push(format!("{} {what} for {shown} {name}", set.join(", ")));
                    }
                }
            }
        }
        if !said.is_empty() {
            meta::set_annotation(pod, ANNOTATION, &format!("LimitRanger plugin set: {}", said.join("; ")));
        }
    }
}

fn fill(container: &mut Value, side: &str, defaults: &Amounts) -> Vec<String> {
    let missing: Vec<(&String, &Quantity)> = defaults
        .iter()
        .filter(|(name, _)| get(container, &["resources", side, name.as_str()]).is_none())
        .collect();
    for (name, amount) in &missing {
        set(container, &["resources", side, name.as_str()], amount.to_string().into());
    }
    missing.into_iter().map(|(name, _)| name.clone()).collect()
}

/// Refuses what is out of bounds.
pub fn check(app: &App, resource: &Resource, value: &Value, is_update: bool) -> Result<(), Failure> {
    let is_pod = &*resource.table == "pods";
    if !(is_pod && !is_update || &*resource.table == "persistentvolumeclaims") {
        return Ok(());
    }
    for range in ranges(app, meta::namespace(value).unwrap_or_default()) {
        let mut errors = Vec::new();
        if is_pod {
            pod(&range, value, &mut errors);
        } else {
            for item in items(&range, "PersistentVolumeClaim") {
                let requests = amounts(get(value, &["spec", "resources", "requests"]));
                let bounds = Bounds { kind: "PersistentVolumeClaim", requests, limits: Amounts::new() };
                bounds.check_minimum(item, &mut errors);
                bounds.check_maximum_request(item, &mut errors);
            }
        }
        let why = match errors.as_slice() {
            [] => continue,
            [only] => only.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        return Err(Failure::forbidden(&resource.group, &resource.name, meta::name(value), &why));
    }
    Ok(())
}

fn pod(range: &Value, pod: &Value, errors: &mut Vec<String>) {
    let list = get(range, &["spec", "limits"]).and_then(Value::as_array);
    for item in list.into_iter().flatten() {
        match get_str(item, &["type"]) {
            Some("Container") => {
                for field in ["containers", "initContainers"] {
                    let list = get(pod, &["spec", field]).and_then(Value::as_array);
                    for container in list.into_iter().flatten() {
                        let side = |side: &str| amounts(get(container, &["resources", side]));
                        Bounds { kind: "Container", requests: side("requests"), limits: side("limits") }
                            .check(item, errors);
                    }
                }
            }
            Some("Pod") => {
                let side = |side: &str| pod_resources(pod, side);
                Bounds { kind: "Pod", requests: side("requests"), limits: side("limits") }
                    .check(item, errors);
            }
            _ => {}
        }
    }
}

/// What is held against a range's item.
struct Bounds {
    kind: &'static str,
    requests: Amounts,
    limits: Amounts,
}

impl Bounds {
    fn check(&self, item: &Value, errors: &mut Vec<String>) {
        self.check_minimum(item, errors);
        self.check_maximum(item, errors);
        self.check_ratio(item, errors);
    }

    fn check_minimum(&self, item: &Value, errors: &mut Vec<String>) {
        for (name, bound) in amounts(get(item, &["min"])) {
            let rule = format!("minimum {name} usage per {} is {bound}", self.kind);
            let (request, limit) = (self.requests.get(&name), self.limits.get(&name));
            match (request, limit) {
                (None, _) => errors.push(format!("{rule}.  No request is specified")),
                (Some(own), _) if *own < bound => errors.push(format!("{rule}, but request is {own}")),
                (_, Some(own)) if *own < bound => errors.push(format!("{rule}, but limit is {own}")),
                _ => {}
            }
        }
    }

    fn check_maximum(&self, item: &Value, errors: &mut Vec<String>) {
        for (name, bound) in amounts(get(item, &["max"])) {
            let rule = format!("maximum {name} usage per {} is {bound}", self.kind);
            let (request, limit) = (self.requests.get(&name), self.limits.get(&name));
            match (request, limit) {
                (_, None) => errors.push(format!("{rule}.  No limit is specified")),
                (_, Some(own)) if *own > bound => errors.push(format!("{rule}, but limit is {own}")),
                (Some(own), _) if *own > bound => errors.push(format!("{rule}, but request is {own}")),
                _ => {}
            }
        }
    }

    /// For kinds that have no limits of their own.
    fn check_maximum_request(&self, item: &Value, errors: &mut Vec<String>) {
        for (name, bound) in amounts(get(item, &["max"])) {
            let rule = format!("maximum {name} usage per {} is {bound}", self.kind);
            match self.requests.get(&name) {
                None => errors.push(format!("{rule}.  No request is specified")),
                Some(own) if *own > bound => errors.push(format!("{rule}, but request is {own}")),
                Some(_) => {}
            }
        }
    }

    fn check_ratio(&self, item: &Value, errors: &mut Vec<String>) {
        for (name, bound) in amounts(get(item, &["maxLimitRequestRatio"])) {
            let rule = format!("{name} max limit to request ratio per {} is {bound}", self.kind);
            let some = |amounts: &Amounts| amounts.get(&name).filter(|own| !own.is_zero()).copied();
            match (some(&self.requests), some(&self.limits)) {
                (None, _) => errors.push(format!("{rule}, but no request is specified or request is 0")),
                (_, None) => errors.push(format!("{rule}, but no limit is specified or limit is 0")),
                (Some(request), Some(limit)) => {
                    let ratio = limit.milli_value() as f64 / request.milli_value() as f64;
                    if ratio * 1000.0 > bound.milli_value() as f64 {
                        errors.push(format!("{rule}, but provided ratio is {ratio:.6}"));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_is_filled_and_said() {
        let mut container = json!({"name": "c", "resources": {"limits": {"cpu": "1"}}});
        let defaults = amounts(Some(&json!({"cpu": "100m", "memory": "1Gi"})));
        assert_eq!(fill(&mut container, "limits", &defaults), ["memory"]);
        assert_eq!(container["resources"]["limits"], json!({"cpu": "1", "memory": "1Gi"}));
    }
}
