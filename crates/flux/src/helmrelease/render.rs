//! A chart and values to a release: templates, post-renderers, labels.

use std::sync::Arc;

use cluster::Cluster;
use helm::{Chart, RenderOptions, Rendered, Values};
use jiff::Timestamp;
use kustomize::MemoryWorld;
use object::{Value, get, meta};
use serde_json::json;
use tokio::runtime::Handle;

use crate::common::{str_at, string_map};

/// What a render needs.
pub(super) struct Job {
    pub chart: Arc<Chart>,
    pub values: Values,
    pub options: RenderOptions,
    /// The HelmRelease.
    pub object: Value,
    pub cluster: Cluster,
    pub now: Timestamp,
}

/// Renders. Blocks; lookups go to the cluster.
pub(super) fn render(job: Job, runtime: Handle) -> Result<Rendered, helm::Error> {
    let world = releases::Live::new(job.cluster, runtime, job.now);
    let mut rendered = helm::render(&job.chart, &job.values, &job.options, &world)?;
    post_render(&mut rendered, &job.object)?;
    Ok(rendered)
}

fn post_render(rendered: &mut Rendered, object: &Value) -> Result<(), helm::Error> {
    let bad = |why: String| {
        helm::Error::new(helm::Stage::Manifest, format!("error while running post render on files: {why}"))
    };
    let renderers =
        get(object, &["spec", "postRenderers"]).and_then(Value::as_array).cloned().unwrap_or_default();
    let specs: Vec<&Value> = renderers.iter().filter_map(|renderer| renderer.get("kustomize")).collect();
    for spec in &specs {
        let objects: Vec<Value> = rendered.manifests.iter().map(|manifest| manifest.object.clone()).collect();
        let built = kustomized(spec, &objects).map_err(bad)?;
        let old = std::mem::take(&mut rendered.manifests);
        for object in built {
            let same = |known: &&helm::Manifest| {
                known.kind == meta::kind(&object) && known.name == meta::name(&object)
            };
            let path = old.iter().find(same).map_or("manifest", |known| known.path.as_str());
            rendered.manifests.push(helm::Manifest::parse(path, &document(&object))?);
        }
        if str_at(object, &["spec", "postRenderStrategy"]) != "nohooks" {
            for hook in &mut rendered.hooks {
                let one = [hook.object()?];
                if let Some(changed) = kustomized(spec, &one).map_err(bad)?.first() {
                    hook.manifest = document(changed);
                }
            }
        }
    }
    for manifest in &mut rendered.manifests {
        if manifest.object.is_object() {
            label(&mut manifest.object, object);
            manifest.content = document(&manifest.object);
        }
    }
    Ok(())
}

/// A document without its last line break: what is before it may belong to a block scalar.
fn document(object: &Value) -> String {
    let mut text = yaml::to_string(object);
    if text.ends_with('\n') {
        text.pop();
    }
    text
}

/// The labels that name the HelmRelease, and the spec's common metadata below them.
fn label(into: &mut Value, object: &Value) {
    for (key, value) in string_map(object, &["spec", "commonMetadata", "labels"]) {
        meta::set_label(into, &key, &value);
    }
    for (key, value) in string_map(object, &["spec", "commonMetadata", "annotations"]) {
        meta::set_annotation(into, &key, &value);
    }
    meta::set_label(into, &format!("{}/name", super::GROUP), meta::name(object));
    meta::set_label(
        into,
        &format!("{}/namespace", super::GROUP),
        meta::namespace(object).unwrap_or_default(),
    );
}

/// Runs patches and images over objects.
fn kustomized(spec: &Value, objects: &[Value]) -> Result<Vec<Value>, String> {
    let mut kustomization = json!({"resources": ["helm-output.yaml"]});
    for field in ["patches", "images", "patchesStrategicMerge", "patchesJson6902"] {
        if let Some(list) = spec.get(field).filter(|list| list.is_array()) {
            kustomization[field] = list.clone();
        }
    }
    let text: Vec<String> = objects.iter().filter(|object| object.is_object()).map(yaml::to_string).collect();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut world = MemoryWorld::new();
    world.insert("/helm-output.yaml", text.join("---\n").into_bytes());
    world.insert("/kustomization.yaml", yaml::to_string(&kustomization).into_bytes());
    let built =
        kustomize::build(&world, "/", &kustomize::Options::default()).map_err(|error| error.to_string())?;
    Ok(built.into_values())
}
