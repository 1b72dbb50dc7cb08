//! Where the chart of a release comes from.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::{Apply, Delete};
use controller::{Cause, aspect};
use helm::Chart;
use object::{Value, get, meta};
use serde_json::json;

use super::MANAGER;
use crate::artifacts::Offered;
use crate::common::{Pass, condition, reference, str_at, strings_at};
use crate::options::{Shared, resumes};
use crate::sources::{source_gvk, source_key};

/// A loaded chart.
#[derive(Clone)]
pub(super) struct Loaded {
    pub chart: Arc<Chart>,
    /// The version with what tells two builds of it apart.
    pub version: String,
    /// The digest of an OCI artifact.
    pub oci_digest: Option<String>,
}

/// Why there is no chart.
pub(super) struct Missing {
    pub reason: &'static str,
    pub message: String,
    pub cause: Cause,
    /// Waiting helps: an input will wake the unit.
    pub waits: bool,
    /// The source is fetched again after a start: nothing to tell.
    pub resumes: bool,
}

impl Missing {
    fn new(reason: &'static str, message: String) -> Missing {
        Missing { reason, cause: Cause::new(message.clone()), message, waits: false, resumes: false }
    }
}

/// Namespace and name of the HelmChart made for a release.
pub(super) fn generated_name(object: &Value) -> (String, String) {
    let own = meta::namespace(object).unwrap_or_default();
    let namespace = match str_at(object, &["spec", "chart", "spec", "sourceRef", "namespace"]) {
        "" => own,
        given => given,
    };
    (namespace.to_owned(), format!("{own}-{}", meta::name(object)))
}

/// The HelmChart that the template in the spec describes.
fn generated(object: &Value) -> Value {
    let (namespace, name) = generated_name(object);
    let spec = get(object, &["spec", "chart", "spec"]).cloned().unwrap_or_default();
    let mut chart = json!({
        "chart": str_at(&spec, &["chart"]),
        "version": match str_at(&spec, &["version"]) { "" => "*", given => given },
        "sourceRef": {"kind": str_at(&spec, &["sourceRef", "kind"]), "name": str_at(&spec, &["sourceRef", "name"])},
        "interval": match str_at(&spec, &["interval"]) {
            "" => str_at(object, &["spec", "interval"]),
            given => given,
        },
        "reconcileStrategy": match str_at(&spec, &["reconcileStrategy"]) { "" => "ChartVersion", given => given },
    });
    let values_files = strings_at(&spec, &["valuesFiles"]);
    if !values_files.is_empty() {
        chart["valuesFiles"] = json!(values_files);
    }
    for field in ["ignoreMissingValuesFiles", "verify"] {
        if let Some(value) = spec.get(field).filter(|value| !value.is_null()) {
            chart[field] = value.clone();
        }
    }
    let mut metadata = json!({"name": name, "namespace": namespace});
    for field in ["labels", "annotations"] {
        if let Some(map) = get(object, &["spec", "chart", "metadata", field]).filter(|map| map.is_object()) {
            metadata[field] = map.clone();
        }
    }
    for (field, value) in
        [("name", meta::name(object)), ("namespace", meta::namespace(object).unwrap_or_default())]
    {
        metadata["labels"][format!("{}/{field}", super::GROUP)] = json!(value);
    }
    json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmChart", "metadata": metadata, "spec": chart,
    })
}

/// Deletes the HelmChart made for the release, when there is one.
pub(super) async fn remove_generated(pass: &mut Pass) -> Result<(), cluster::Error> {
    let known = str_at(&pass.object, &["status", "helmChart"]).to_owned();
    if let Some((namespace, name)) = known.split_once('/') {
        pass.context.cluster.delete(&source_gvk("HelmChart"), namespace, name, &Delete::default()).await?;
        pass.set(&["helmChart"], Value::Null);
    }
    Ok(())
}

/// Gets the chart: the one referred to, or the one generated for this release.
pub(super) async fn load(
    shared: &Arc<Shared>,
    pass: &mut Pass,
) -> Result<Result<Loaded, Missing>, cluster::Error> {
    let object = pass.object.clone();
    let (kind, namespace, name) = match reference(&object, &["spec", "chartRef"]) {
        Some(found) => {
            if let Some(denied) = denied(shared, &object, &found.namespace, &found.kind, &found.name) {
                return Ok(Err(denied));
            }
            remove_generated(pass).await?;
            (found.kind, found.namespace, found.name)
        }
        None if get(&object, &["spec", "chart", "spec"]).is_some() => {
            let (namespace, name) = generated_name(&object);
            if let Some(denied) = denied(shared, &object, &namespace, "HelmChart", &name) {
                return Ok(Err(denied));
            }
            if shared.options.rehearsal.is_some() {
                return Ok(directly(shared, pass, generated(&object)).await);
            }
            let location = format!("{namespace}/{name}");
            let known = str_at(&object, &["status", "helmChart"]).to_owned();
            if !known.is_empty() && known != location {
                remove_generated(pass).await?;
            }
            let wanted = generated(&object);
            // The answer of the API is not needed: the chart itself says when it is there.
            pass.context.watch(&source_gvk("HelmChart")).await?;
            let current = pass.context.cluster.store().get(&source_key("HelmChart", &namespace, &name));
            if !current.is_some_and(|current| current.get("spec") == wanted.get("spec")) {
                pass.context.cluster.apply(&wanted, &Apply::forced(MANAGER)).await?;
            }
            pass.set(&["helmChart"], json!(location));
            ("HelmChart".to_owned(), namespace, name)
        }
        None => {
            let message = "either spec.chart or spec.chartRef must be set".to_owned();
            return Ok(Err(Missing::new("ArtifactFailed", message)));
        }
    };
    let (gvk, key) = (source_gvk(&kind), source_key(&kind, &namespace, &name));
    let part = if kind == "HelmChart" { generations } else { aspect::existence };
    let source = pass.context.read(&gvk, &namespace, &name, part, true).await?;
    let reason = if kind == "HelmChart" { "HelmChartNotReady" } else { "SourceNotReady" };
    let Some(source) = source else {
        let message = format!("{kind} '{namespace}/{name}' is not ready: it does not exist");
        return Ok(Err(waiting("ArtifactFailed", message, &key)));
    };
    let Some(offered) = shared.offered(&pass.context, &key) else {
        // What is missing is told in the source's own words.
        pass.context.read(&gvk, &namespace, &name, progress, false).await?;
        let why = condition(&source, "Ready")
            .map(|ready| str_at(ready, &["message"]))
            .filter(|why| !why.is_empty());
        let why = why.unwrap_or("latest generation of object has not been reconciled");
        let message = format!("{kind} '{namespace}/{name}' is not ready: {why}");
        let resumes = resumes(&source, &object);
        return Ok(Err(Missing { resumes, ..waiting(reason, message, &key) }));
    };
    if kind == "HelmChart" && !is_current(&source) {
        let why = condition(&source, "Ready").map(|ready| str_at(ready, &["message"])).unwrap_or_default();
        let why = if why.is_empty() { "latest generation of object has not been reconciled" } else { why };
        return Ok(Err(waiting(reason, format!("{kind} '{namespace}/{name}' is not ready: {why}"), &key)));
    }
    let by_digest = kind == "OCIRepository";
    let work = {
        let offered = offered.clone();
        move || read(&offered, by_digest)
    };
    let done = pass.context.compute(work).await;
    Ok(match done {
        Ok(Ok(loaded)) => Ok(loaded),
        Ok(Err(error)) => {
            let mut missing =
                Missing::new("ArtifactFailed", format!("Could not load chart: {}", error.message));
            missing.cause.file = error.file;
            missing.cause.line = Some(error.line).filter(|line| *line > 0);
            Err(missing)
        }
        Err(error) => Err(Missing::new("ArtifactFailed", error)),
    })
}

/// The chart without a HelmChart in the cluster: for a rehearsal, which writes nothing.
async fn directly(shared: &Arc<Shared>, pass: &Pass, chart: Value) -> Result<Loaded, Missing> {
    let stamp = pass.context.clock().stamp();
    let fetched = crate::sources::package(shared, pass.context.clone(), chart).await;
    let fetched = fetched.map_err(|failure| Missing {
        cause: failure.cause,
        ..waiting("HelmChartNotReady", failure.message, &pass.context.key)
    })?;
    read(&Offered::new(fetched.artifact, stamp), false)
        .map_err(|error| Missing::new("ArtifactFailed", format!("Could not load chart: {}", error.message)))
}

fn denied(shared: &Shared, object: &Value, namespace: &str, kind: &str, name: &str) -> Option<Missing> {
    let foreign = meta::namespace(object).unwrap_or_default() != namespace;
    (shared.options.no_cross_namespace_refs && foreign).then(|| {
        let why =
            format!("can't access '{kind}/{namespace}/{name}', cross-namespace references have been blocked");
        Missing::new("AccessDenied", why)
    })
}

fn waiting(reason: &'static str, message: String, key: &object::Key) -> Missing {
    let cause = Cause { via: Some(key.clone()), ..Cause::new(message.clone()) };
    Missing { reason, message, cause, waits: true, resumes: false }
}

/// Has the source's status seen its newest spec?
fn is_current(source: &Value) -> bool {
    crate::common::observed(source)
}

/// Which generation there is, and whether its status has seen it.
fn generations(source: Option<&Value>) -> String {
    let generation = source.map(|source| (meta::uid(source), meta::generation(source), is_current(source)));
    format!("{generation:?}")
}

fn progress(source: Option<&Value>) -> String {
    let ready = source.and_then(|source| condition(source, "Ready"));
    let message = ready.map(|ready| str_at(ready, &["message"])).unwrap_or_default();
    format!("{} {message}", generations(source))
}

fn read(offered: &Offered, by_digest: bool) -> Result<Loaded, helm::Error> {
    let mut chart = match &offered.artifact.blob {
        Some(blob) => Chart::from_archive(blob)?,
        None => Chart::from_files(files(offered)?)?,
    };
    let mut oci_digest = None;
    if by_digest {
        let hex: String = offered.digest.rsplit(':').next().unwrap_or_default().chars().take(12).collect();
        let version = &chart.metadata.version;
        chart.metadata.version =
            if version.contains('+') { format!("{version}.{hex}") } else { format!("{version}+{hex}") };
        oci_digest = Some(offered.digest.clone());
    } else if !offered.artifact.revision.name.is_empty() && offered.artifact.revision.digest.is_empty() {
        // A HelmChart's revision is the version, with what was appended to it.
        chart.metadata.version = offered.artifact.revision.name.clone();
    }
    Ok(Loaded { version: chart.metadata.version.clone(), chart: Arc::new(chart), oci_digest })
}

/// The chart's files: at the top of the tree, or in its only folder.
fn files(offered: &Offered) -> Result<BTreeMap<String, Vec<u8>>, helm::Error> {
    let tree = &offered.artifact.tree;
    let bad = |why: String| helm::Error::new(helm::Stage::Chart, why);
    let prefix = if tree.is_file("Chart.yaml") {
        String::new()
    } else {
        let found = tree
            .files()
            .find_map(|(path, _)| path.strip_suffix("/Chart.yaml").filter(|top| !top.contains('/')));
        format!("{}/", found.ok_or_else(|| bad("Chart.yaml file is missing".to_owned()))?)
    };
    let mut files = BTreeMap::new();
    for (path, _) in tree.files() {
        if let Some(name) = path.strip_prefix(&prefix) {
            files.insert(name.to_owned(), tree.read(path).map_err(|error| bad(error.to_string()))?.to_vec());
        }
    }
    Ok(files)
}
