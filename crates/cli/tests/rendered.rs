//! What `up` applies is what the real tools render: compared with recordings of `kustomize build` and
//! `helm template` (`cargo xtask record`; `testdata/flux-example/ORIGIN.md` names the versions).
#![allow(clippy::disallowed_methods)]

mod harness;

use harness::Up;
use object::meta;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn the_flux_example_is_applied_as_the_real_tools_render_it() {
    let Some(folder) = harness::flux_example() else { return };
    let maps: Vec<String> =
        harness::flux_example_maps().into_iter().flat_map(|map| ["--map".to_owned(), map]).collect();
    let maps: Vec<&str> = maps.iter().map(String::as_str).collect();
    for environment in ["staging", "production"] {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("testdata/flux-example")
            .join(format!("{environment}.jsonl.zst"));
        let recorded = testkit::jsonl_zst(&recorded);
        assert!(recorded.len() > 5, "{environment}: {} units are recorded", recorded.len());
        let state = tempfile::tempdir().expect("a folder");
        let up = Up::start(folder.path(), &format!("clusters/{environment}"), state.path(), &maps);
        up.wait_ready(recorded.len());
        for unit in &recorded {
            let name = unit["unit"].as_str().expect("a name");
            let objects = unit["objects"].as_array().expect("objects");
            assert!(!objects.is_empty(), "{environment} {name}");
            let parts: Vec<&str> = name.split('/').collect();
            match parts[..] {
                ["Kustomization", namespace, unit] => kustomization(&up, namespace, unit, objects),
                ["HelmRelease", namespace, unit] => release(&up, namespace, unit, objects),
                _ => panic!("what is {name}?"),
            }
        }
    }
}

/// Applying what the real tool built, as the unit does, changes nothing: neither a value nor an owned field.
fn kustomization(up: &Up, namespace: &str, name: &str, objects: &[Value]) {
    let labelled = |object: &Value| {
        let mut object = object.clone();
        meta::set_label(&mut object, "kustomize.toolkit.fluxcd.io/name", name);
        meta::set_label(&mut object, "kustomize.toolkit.fluxcd.io/namespace", namespace);
        object
    };
    let objects: Vec<Value> = objects.iter().map(labelled).collect();
    let (live, applied) = (get(up, &objects), apply(up, &objects));
    for object in &objects {
        let (key, text) = identity(object);
        assert!(live.contains_key(&key), "{name}: {key} is not live");
        assert_eq!(live.get(&key), applied.get(&key), "{name}: {key}, rendered as {text}");
    }
    let unit = up.kubectl(&["-n", namespace, "get", "kustomization", name, "-o", "json"]);
    let unit: Value = serde_json::from_str(&unit).expect("the unit");
    let inventory = unit["status"]["inventory"]["entries"].as_array().expect("an inventory").len();
    assert_eq!(inventory, objects.len(), "{name}: the inventory holds what was rendered");
    // The comparison can fail: another value, and a field less.
    let key = identity(&objects[0]).0;
    let (mut other, mut less) = (objects[0].clone(), objects[0].clone());
    meta::set_label(&mut other, "app.kubernetes.io/part-of", "something-else");
    less["metadata"]["labels"].as_object_mut().expect("labels").remove("kustomize.toolkit.fluxcd.io/name");
    for changed in [other, less] {
        assert_ne!(live.get(&key), apply(up, &[changed]).get(&key), "{key}");
    }
}

/// The release's Secret holds the manifests that the real tool prints.
fn release(up: &Up, namespace: &str, name: &str, objects: &[Value]) {
    let secrets =
        up.kubectl(&["-n", namespace, "get", "secrets", "-l", "owner=helm,status=deployed", "-o", "json"]);
    let secrets: Value = serde_json::from_str(&secrets).expect("secrets");
    let stored: Vec<helm::release::Release> = secrets["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|secret| helm::release::Holder::Secret.read(secret).ok())
        .filter(|release| release.name == name || release.name == format!("{namespace}-{name}"))
        .collect();
    let [stored] = &stored[..] else { panic!("{namespace}/{name} has {} releases", stored.len()) };
    let ours = by_key(yaml::documents(&stored.manifest).expect("YAML"));
    // Flux's own post-renderer adds where each object came from.
    let labelled = |object: &Value| {
        let mut object = object.clone();
        meta::set_label(&mut object, "helm.toolkit.fluxcd.io/name", name);
        meta::set_label(&mut object, "helm.toolkit.fluxcd.io/namespace", namespace);
        object
    };
    let theirs = by_key(objects.iter().map(labelled).collect());
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{namespace}/{name}");
    for (key, theirs) in &theirs {
        assert_eq!(ours.get(key), Some(theirs), "{namespace}/{name}: {key}");
    }
}

fn by_key(objects: Vec<Value>) -> BTreeMap<String, Value> {
    objects
        .into_iter()
        .filter(|object| !object.is_null())
        .map(|object| (identity(&object).0, object))
        .collect()
}

fn identity(object: &Value) -> (String, String) {
    let namespace = meta::namespace(object).unwrap_or_default();
    let key = format!("{} {namespace}/{}", meta::kind(object), meta::name(object));
    (key, serde_json::to_string_pretty(object).expect("JSON"))
}

fn get(up: &Up, objects: &[Value]) -> BTreeMap<String, Value> {
    kubectl(up, &["get", "-f", "-"], objects)
}

fn apply(up: &Up, objects: &[Value]) -> BTreeMap<String, Value> {
    let manager = ["apply", "--server-side", "--field-manager=kustomize-controller", "--force-conflicts"];
    kubectl(up, &[&manager[..], &["--dry-run=server", "-f", "-"]].concat(), objects)
}

/// The answers, without the times of managed fields.
fn kubectl(up: &Up, arguments: &[&str], objects: &[Value]) -> BTreeMap<String, Value> {
    let mut child = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(up.state.join("kubeconfig"))
        .args(arguments)
        .args(["-o", "json", "--show-managed-fields"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl runs");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    child.stdin.take().expect("a pipe").write_all(list.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("kubectl ends");
    assert!(output.status.success(), "{arguments:?}: {}", harness::said(&output));
    // One object alone, several in a List.
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let items = match said.get("items").and_then(Value::as_array) {
        Some(items) => items.clone(),
        None => vec![said],
    };
    let timeless = |mut object: Value| {
        for entry in
            object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut).into_iter().flatten()
        {
            entry["time"] = Value::Null;
        }
        object
    };
    by_key(items.into_iter().map(timeless).collect())
}
