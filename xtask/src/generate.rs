//! Derives the facts that `crates/schema/data` holds from what Kubernetes publishes.
//!
//! Input is the folder `data` beside the suites: the OpenAPI v3 and discovery documents of one Kubernetes
//! release and CustomResourceDefinitions of other projects. Output keeps types, names, list types, patch
//! keys, defaults and verbs; sentences (descriptions, examples, titles) are dropped. How Go writes fields that
//! hold nothing is not in those documents: `generate/gofacts.go` reads it from the published Go types by
//! reflection (needs `go` and its module cache or network). `generate/goproto.go` reads their protobuf forms so, for
//! `crates/apiserver`: the numbers of fields, and objects in both forms to test by. `generate/gointernal.go` reads how the
//! types inside of Kubernetes are written, as messages show them: `s` text, `b` true or false, `n` a number, `q` a
//! quantity, `i` a number or text, `t` a time, `d` a duration, `B` bytes, `x` anything, `SNAME` a structure, after `*`
//! for a pointer, `[` for a list, `{` for a mapping; `?` after a field that is left out when empty.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

/// Kubernetes' Go modules of the release that the documents describe.
const GO_MODULES: [&str; 5] = [
    "k8s.io/api v0.34.2",
    "k8s.io/apiextensions-apiserver v0.34.2",
    "k8s.io/apimachinery v0.34.2",
    "k8s.io/client-go v0.34.2",
    "k8s.io/kube-aggregator v0.34.2",
];
/// The modules that live in Kubernetes' own repository.
const GO_STAGING: [&str; 31] = [
    "api",
    "apiextensions-apiserver",
    "apimachinery",
    "apiserver",
    "cli-runtime",
    "client-go",
    "cloud-provider",
    "cluster-bootstrap",
    "code-generator",
    "component-base",
    "component-helpers",
    "controller-manager",
    "cri-api",
    "cri-client",
    "csi-translation-lib",
    "dynamic-resource-allocation",
    "endpointslice",
    "externaljwt",
    "kms",
    "kube-aggregator",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "metrics",
    "mount-utils",
    "pod-security-admission",
    "sample-apiserver",
    "sample-cli-plugin",
    "sample-controller",
];
const API_ARCHIVE: &str = "kubernetes-1.34-api.tar.zst";

/// Where to read and write.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The folder with the published documents.
    #[arg(long, default_value = "../shared/data")]
    pub data: PathBuf,
    /// The folder to write.
    #[arg(long, default_value = "crates/schema/data")]
    pub out: PathBuf,
    /// The crate whose messages and their samples are written.
    #[arg(long, default_value = "crates/apiserver")]
    pub api: PathBuf,
}

/// Writes all data files.
///
/// # Errors
/// When an input is missing or not as expected.
pub fn run(args: &Args) -> Result<bool> {
    let documents = read_archive(&args.data.join(API_ARCHIVE))?;
    let protobuf = include_str!("generate/goproto.go");
    write_compressed(&args.api.join("data/protobuf.tsv.z"), &go_run(protobuf, &["table"])?)?;
    write_compressed(&args.api.join("testdata/protobuf.jsonl.z"), &go_run(protobuf, &["samples"])?)?;
    std::fs::create_dir_all(args.out.join("crds"))?;
    write_compressed(&args.out.join("types.tsv.z"), &types(&documents, &go_facts()?)?)?;
    write_compressed(&args.out.join("resources.json.z"), &resources(&documents)?)?;
    let internal = go_run_in(include_str!("generate/gointernal.go"), &internal_modules(), &[])?;
    write_compressed(&args.out.join("internal.tsv.z"), &internal)?;
    for family in std::fs::read_dir(args.data.join("crds"))? {
        let family = family?;
        if family.file_type()?.is_dir() {
            let name = family.file_name().to_string_lossy().into_owned();
            let lines = definitions_of(&family.path())?;
            write_compressed(&args.out.join("crds").join(format!("{name}.jsonl.z")), &lines)?;
        }
    }
    Ok(true)
}

fn read_archive(path: &Path) -> Result<BTreeMap<String, Value>> {
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut archive = tar::Archive::new(zstd::Decoder::new(file)?);
    let mut documents = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        if name.ends_with(".json") {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            documents.insert(name, serde_json::from_str(&text)?);
        }
    }
    Ok(documents)
}

fn write_compressed(path: &Path, text: &str) -> Result<()> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes())?;
    std::fs::write(path, encoder.finish()?).with_context(|| path.display().to_string())
}

/// `definition → field → letter`, from Go.
fn go_facts() -> Result<BTreeMap<String, Value>> {
    Ok(serde_json::from_str(&go_run(include_str!("generate/gofacts.go"), &[])?)?)
}

/// What a Go program prints that reads Kubernetes' types.
fn go_run(program: &str, arguments: &[&str]) -> Result<String> {
    let modules: String = GO_MODULES.iter().map(|module| format!("\t{module}\n")).collect();
    go_run_in(program, &format!("require (\n{modules})\n"), arguments)
}

/// Kubernetes itself, whose modules have a version of their own only outside of it.
fn internal_modules() -> String {
    let replaced: String =
        GO_STAGING.iter().map(|module| format!("\tk8s.io/{module} => k8s.io/{module} v0.34.2\n")).collect();
    format!("require k8s.io/kubernetes v1.34.2\n\nreplace (\n{replaced})\n")
}

fn go_run_in(program: &str, modules: &str, arguments: &[&str]) -> Result<String> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("main.go"), program)?;
    std::fs::write(folder.path().join("go.mod"), format!("module facts\n\ngo 1.24.0\n\n{modules}"))?;
    let output = Command::new("go")
        .args(["run", "-mod=mod", "."])
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .context("go is needed to read the encodings of Kubernetes' types")?;
    if !output.status.success() {
        bail!("go run failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A line for each definition: name, its kinds (`group/version/kind` separated by blanks), its schema.
fn types(documents: &BTreeMap<String, Value>, facts: &BTreeMap<String, Value>) -> Result<String> {
    let mut definitions: BTreeMap<String, (Value, BTreeSet<String>)> = BTreeMap::new();
    for document in
        documents.iter().filter(|(name, _)| name.contains("openapi-spec/v3/")).map(|(_, value)| value)
    {
        let Some(schemas) = document.pointer("/components/schemas").and_then(Value::as_object) else {
            continue;
        };
        for (name, schema) in schemas {
            let mut schema = schema.clone();
            let kinds = take_kinds(&mut schema);
            strip_schema(&mut schema);
            let entry = definitions.entry(name.clone()).or_insert_with(|| (schema, BTreeSet::new()));
            entry.1.extend(kinds);
        }
    }
    let mut text = String::new();
    for (name, (mut schema, kinds)) in definitions {
        if let (Some(facts), Value::Object(schema)) = (facts.get(&name), &mut schema) {
            schema.extend(
                facts.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())),
            );
        }
        let kinds: Vec<String> = kinds.into_iter().collect();
        text.push_str(&format!("{name}\t{}\t{schema}\n", kinds.join(" ")));
    }
    Ok(text)
}

fn take_kinds(schema: &mut Value) -> Vec<String> {
    let kinds = schema.as_object_mut().and_then(|schema| schema.remove("x-kubernetes-group-version-kind"));
    let text = |kind: &Value, key: &str| kind[key].as_str().unwrap_or_default().to_owned();
    kinds
        .as_ref()
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|kind| format!("{}/{}/{}", text(kind, "group"), text(kind, "version"), text(kind, "kind")))
        .collect()
}

/// Removes what is prose from a schema, at every level, without touching properties of these names.
fn strip_schema(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    for key in ["description", "title", "example", "externalDocs"] {
        map.remove(key);
    }
    for (key, value) in map.iter_mut() {
        match key.as_str() {
            "properties" | "patternProperties" | "definitions" => {
                value.as_object_mut().into_iter().flatten().for_each(|(_, schema)| strip_schema(schema));
            }
            "items" | "additionalProperties" | "not" => strip_schema(value),
            "allOf" | "anyOf" | "oneOf" => value.as_array_mut().into_iter().flatten().for_each(strip_schema),
            _ => {}
        }
    }
}

fn resources(documents: &BTreeMap<String, Value>) -> Result<String> {
    let mut groups = Vec::new();
    let mut resources = Vec::new();
    let core = document(documents, "discovery/api__v1.json")?;
    groups.push(json!({"name": "", "versions": ["v1"]}));
    add_resources(&mut resources, "", "v1", core);
    let listed = document(documents, "discovery/apis.json")?;
    for group in listed["groups"].as_array().into_iter().flatten() {
        let name = group["name"].as_str().unwrap_or_default();
        let mut versions: Vec<&str> = group["versions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|version| version["version"].as_str())
            .collect();
        let preferred = group["preferredVersion"]["version"].as_str().unwrap_or_default();
        versions.sort_by_key(|version| *version != preferred);
        for version in &versions {
            let path = format!("discovery/apis__{name}__{version}.json");
            add_resources(&mut resources, name, version, document(documents, &path)?);
        }
        groups.push(json!({"name": name, "versions": versions}));
    }
    Ok(json!({"groups": groups, "resources": resources}).to_string())
}

fn document<'a>(documents: &'a BTreeMap<String, Value>, name: &str) -> Result<&'a Value> {
    documents.get(name).with_context(|| format!("{name} is not in {API_ARCHIVE}"))
}

fn add_resources(all: &mut Vec<Value>, group: &str, version: &str, list: &Value) {
    let mut found: Vec<(String, Value)> = Vec::new();
    let entries: Vec<&Value> = list["resources"].as_array().into_iter().flatten().collect();
    for entry in entries.iter().filter(|entry| !entry["name"].as_str().unwrap_or_default().contains('/')) {
        let name = entry["name"].as_str().unwrap_or_default();
        let list = |key: &str| entry.get(key).cloned().unwrap_or_else(|| json!([]));
        let resource = json!({
            "group": group, "version": version, "resource": name,
            "kind": entry["kind"], "singular": entry["singularName"], "namespaced": entry["namespaced"],
            "verbs": list("verbs"), "short_names": list("shortNames"), "categories": list("categories"),
            "storage_version_hash": entry.get("storageVersionHash").cloned().unwrap_or_else(|| json!("")),
            "subresources": [],
        });
        found.push((name.to_owned(), resource));
    }
    for entry in entries {
        let Some((name, sub)) = entry["name"].as_str().and_then(|name| name.split_once('/')) else {
            continue;
        };
        let text = |key: &str, or: &str| entry.get(key).and_then(Value::as_str).unwrap_or(or).to_owned();
        let subresource = json!({
            "name": sub, "kind": entry["kind"], "verbs": entry["verbs"],
            "group": text("group", if entry.get("version").is_some() { "" } else { group }), "version": text("version", version),
        });
        if let Some((_, resource)) = found.iter_mut().find(|(known, _)| known == name)
            && let Some(list) = resource["subresources"].as_array_mut()
        {
            list.push(subresource);
        }
    }
    all.extend(found.into_iter().map(|(_, resource)| resource));
}

/// A line for each CustomResourceDefinition in the files of a folder.
fn definitions_of(folder: &Path) -> Result<String> {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    names.sort();
    let mut lines = String::new();
    for path in names.iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml")) {
        let text = std::fs::read_to_string(path)?;
        for document in
            yaml::documents(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?
        {
            if document["kind"] == "CustomResourceDefinition" {
                lines.push_str(&definition(&document).to_string());
                lines.push('\n');
            }
        }
    }
    Ok(lines)
}

/// A definition with its facts alone: no prose, no packaging labels and annotations, no status.
fn definition(document: &Value) -> Value {
    let mut spec = document["spec"].clone();
    for version in spec["versions"].as_array_mut().into_iter().flatten() {
        if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
            strip_schema(schema);
        }
        for column in version["additionalPrinterColumns"].as_array_mut().into_iter().flatten() {
            column.as_object_mut().map(|column| column.remove("description"));
        }
        if version["additionalPrinterColumns"].is_null() {
            version.as_object_mut().map(|version| version.remove("additionalPrinterColumns"));
        }
    }
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), document["metadata"]["name"].clone());
    // The approval of protected groups is part of what makes such a definition valid.
    let approved = "api-approved.kubernetes.io";
    if let Some(value) = document["metadata"]["annotations"].get(approved) {
        metadata.insert("annotations".to_owned(), json!({approved: value}));
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": spec,
    })
}
