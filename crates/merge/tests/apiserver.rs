//! Our decoding, defaulting, validation and managed fields beside the answers of a real API server.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use merge::{Error, Manager};
use object::{Gvk, Value, get, meta, strategic};
use schema::{Crd, FieldError, TypeRef, builtin, crd, native};
use serde_json::json;

/// What the API server's strategies and admission set, which is not ours to set.
fn strip(gvk: &Gvk, object: &mut Value) {
    for field in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "namespace",
        "finalizers",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        object::remove(object, &["metadata", field]);
    }
    if let Some(Value::Array(entries)) = object::get_mut(object, &["metadata", "managedFields"]) {
        entries.iter_mut().for_each(|entry| drop(object::take(entry, &["time"])));
    }
    object::remove(object, &["status"]);
    let spec: &[&str] = match gvk.kind.as_str() {
        "Service" => &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"],
        "Pod" => &["tolerations", "priority", "preemptionPolicy"],
        "Namespace" => &["finalizers"],
        "Node" => &["taints"],
        _ => &[],
    };
    for field in spec {
        object::remove(object, &["spec", field]);
    }
    for port in
        object::get_mut(object, &["spec", "ports"]).and_then(Value::as_array_mut).into_iter().flatten()
    {
        object::remove(port, &["nodePort"]);
    }
}

/// When the real server handled the request: the newest time in its answer.
fn newest(result: &Value) -> String {
    let entries = get(result, &["metadata", "managedFields"]).and_then(Value::as_array);
    let times = entries.into_iter().flatten().filter_map(|entry| entry["time"].as_str());
    times.max().unwrap_or("2026-01-01T00:00:00Z").to_owned()
}

struct Server {
    widgets: Crd,
    live: Option<Value>,
}

impl Server {
    fn type_of(&self, gvk: &Gvk) -> TypeRef {
        if gvk.kind == "Widget" {
            self.widgets.versions[0].structural.type_ref().clone()
        } else {
            builtin().type_of(gvk).unwrap()
        }
    }

    fn finish(&self, gvk: &Gvk, object: &mut Value) -> Result<(), (u16, String)> {
        if gvk.kind == "Widget" {
            let structural = &self.widgets.versions[0].structural;
            structural.prune(object);
            structural.default(object);
            return Ok(());
        }
        native::decode(&self.type_of(gvk), object).map_err(|message| {
            (
                400,
                format!(
                    "{} in version \"{}\" cannot be handled as a {}: {message}",
                    gvk.kind, gvk.version, gvk.kind
                ),
            )
        })?;
        native::default(gvk, object);
        if gvk.kind == "CustomResourceDefinition" {
            crd::default_definition(object);
        }
        Ok(())
    }

    fn validate(&self, gvk: &Gvk, object: &Value) -> Result<(), (u16, String)> {
        let old = self.live.as_ref();
        let mut with = object.clone();
        let namespaced = gvk.kind == "Widget" || builtin().by_kind(gvk).unwrap().namespaced;
        if namespaced {
            meta::set_namespace(&mut with, "default");
        }
        // The API server gives a Job its selector before it is judged.
        if gvk.kind == "Job" && object::get(&with, &["spec", "selector"]).is_none() {
            let labels = json!({
                "controller-uid": "", "batch.kubernetes.io/controller-uid": "",
                "job-name": meta::name(object), "batch.kubernetes.io/job-name": meta::name(object),
            });
            object::set(&mut with, &["spec", "selector"], json!({"matchLabels": labels}));
            object::set(&mut with, &["spec", "template", "metadata", "labels"], labels);
        }
        let mut before = old.cloned();
        if let (true, Some(before)) = (namespaced, &mut before) {
            meta::set_namespace(before, "default");
        }
        let errors: Vec<FieldError> = if gvk.kind == "Widget" {
            self.widgets.versions[0].structural.validate(&with, before.as_ref())
        } else {
            native::validate(gvk, &with, before.as_ref())
        };
        if errors.is_empty() {
            return Ok(());
        }
        let status = schema::invalid_status(gvk, meta::name(object), &errors);
        Err((422, status["message"].as_str().unwrap().to_owned()))
    }

    fn step(&mut self, step: &Value) -> Result<Value, (u16, String)> {
        let input = &step["object"];
        let gvk = Gvk::of(input);
        let ty = self.type_of(&gvk);
        let operation = step["op"].as_str().unwrap();
        let subresource = if operation == "status" { "status" } else { "" };
        let manager = Manager {
            name: step["manager"].as_str().unwrap_or("m1").to_owned(),
            api_version: gvk.api_version(),
            subresource: subresource.to_owned(),
            time: newest(&step["result"]),
        };
        let widget = gvk.kind == "Widget";
        let ignored: &[&[&str]] = if widget && subresource.is_empty() {
            &[&["status"]]
        } else {
            native::reset_fields(&gvk, subresource)
        };
        let base = self.live.clone();
        let mut new = match operation {
            "apply" => {
                let applied =
                    merge::apply(base.as_ref(), input, &manager, step["force"] == true, &ty, ignored);
                let mut object = match applied {
                    Ok(applied) => applied.object,
                    Err(error @ Error::Conflicts(_)) => return Err((409, error.to_string())),
                    Err(error @ Error::Invalid(_)) => return Err((400, error.to_string())),
                    Err(error) => return Err((500, error.to_string())),
                };
                self.finish(&gvk, &mut object)?;
                self.validate(&gvk, &object)?;
                self.live = Some(object.clone());
                return Ok(object);
            }
            "create" | "replace" => input.clone(),
            "merge" | "status" => {
                let mut object = base.clone().unwrap();
                object::merge_patch::apply(&mut object, &step["patch"]);
                object
            }
            "json" => {
                let mut object = base.clone().unwrap();
                object::json_patch::apply(&mut object, &step["patch"]).unwrap();
                object
            }
            _ => {
                let mut object = base.clone().unwrap();
                strategic::apply(&mut object, &step["patch"], &ty).unwrap();
                object
            }
        };
        self.finish(&gvk, &mut new)?;
        let object = merge::update(base.as_ref(), &new, &manager, &ty, ignored)
            .map_err(|error| (500, error.to_string()))?;
        self.validate(&gvk, &object)?;
        if operation != "create" || self.live.is_none() {
            self.live = Some(object.clone());
        }
        Ok(object)
    }
}

fn differences(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let missing = Value::from("<absent>");
                differences(
                    &format!("{path}.{key}"),
                    a.get(key).unwrap_or(&missing),
                    b.get(key).unwrap_or(&missing),
                    found,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{index}]"), a, b, found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{path}: ours {ours}, theirs {theirs}")),
    }
}

#[test]
fn as_the_real_api_server() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/kube-apiserver/cases.jsonl"))
            .unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut definition = lines.next().unwrap()["crd"].clone();
    crd::default_definition(&mut definition);
    let widgets = Crd::parse(&definition).unwrap();
    let mut failed = Vec::new();
    for case in lines {
        let mut server = Server { widgets: widgets.clone(), live: None };
        let independent =
            case["name"].as_str().unwrap().contains("invalid") || case["name"] == "apply-errors";
        for (index, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            if independent {
                server.live = None;
            }
            let name = format!("{}#{index}", case["name"].as_str().unwrap());
            let code = step["code"].as_u64().unwrap() as u16;
            let theirs = &step["result"];
            match server.step(step) {
                Ok(mut ours) if code < 300 => {
                    let mut theirs = theirs.clone();
                    let gvk = Gvk::of(&ours);
                    strip(&gvk, &mut ours);
                    strip(&gvk, &mut theirs);
                    let mut found = Vec::new();
                    differences("", &ours, &theirs, &mut found);
                    failed.extend(found.into_iter().map(|difference| format!("{name}: {difference}")));
                }
                Ok(_) => failed.push(format!("{name}: accepted, theirs {code} {}", theirs["message"])),
                Err((ours, message)) => {
                    let wanted = get(theirs, &["message"]).and_then(Value::as_str).unwrap_or_default();
                    if ours != code || message != wanted {
                        failed.push(format!("{name}:\n  ours   {ours} {message}\n  theirs {code} {wanted}"));
                    }
                }
            }
        }
    }
    assert!(failed.is_empty(), "{} differences\n{}", failed.len(), failed.join("\n"));
}
