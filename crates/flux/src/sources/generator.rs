//! ArtifactGenerator: composes and splits sources into ExternalArtifacts.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::{Apply, Delete, EventType};
use controller::{Cause, Context, Description, Kind, Outcome, Relation, aspect};
use futures::future::BoxFuture;
use object::{Gvk, Value, get, meta};
use serde_json::json;
use source::{Artifact, Copy, Revision, Strategy, Tree};

use super::pattern::{self, Wanted};
use super::{LONGEST_RETRY, source_gvk, source_key};
use crate::artifacts::Offered;
use crate::common::{self, Pass, interval, namespace_of, sha256, str_at, strings_at};
use crate::options::{Shared, resumes};

const GROUP: &str = "source.extensions.fluxcd.io";
const MANAGER: &str = "source-watcher";

pub(crate) struct ArtifactGenerators {
    pub shared: Arc<Shared>,
}

struct SourceRef {
    alias: String,
    kind: String,
    namespace: String,
    name: String,
}

fn sources(object: &Value) -> Vec<SourceRef> {
    let list = get(object, &["spec", "sources"]).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|entry| SourceRef {
            alias: str_at(entry, &["alias"]).to_owned(),
            kind: str_at(entry, &["kind"]).to_owned(),
            namespace: namespace_of(object, str_at(entry, &["namespace"])).to_owned(),
            name: str_at(entry, &["name"]).to_owned(),
        })
        .collect()
}

impl Kind for ArtifactGenerators {
    fn gvk(&self) -> Gvk {
        Gvk::new(GROUP, "v1beta1", "ArtifactGenerator")
    }

    fn describe(&self, object: &Value) -> Description {
        let mut description = common::describe(object);
        description.suspended = is_disabled(object);
        description.observed = true;
        for source in sources(object) {
            description
                .edges
                .push((Relation::Source, source_key(&source.kind, &source.namespace, &source.name)));
        }
        description
    }

    fn trigger(&self, object: &Value) -> String {
        let disabled = meta::annotation(object, "source.extensions.fluxcd.io/reconcile").unwrap_or_default();
        format!("{} {disabled}", common::trigger(object))
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let mut pass = Pass::new(context, object, MANAGER);
            match self.steps(&mut pass).await {
                Ok(outcome) => outcome,
                Err(error) => Outcome::retry(LONGEST_RETRY, Cause::new(error.to_string())),
            }
        })
    }
}

/// Has `live` everything that the map at `path` of `wanted` has?
fn contains(live: &Value, wanted: &Value, path: &[&str]) -> bool {
    let wanted = get(wanted, path).and_then(Value::as_object);
    wanted
        .into_iter()
        .flatten()
        .all(|(key, value)| get(live, path).and_then(|map| map.get(key)) == Some(value))
}

fn is_disabled(object: &Value) -> bool {
    meta::annotation(object, "source.extensions.fluxcd.io/reconcile")
        .is_some_and(|value| value.eq_ignore_ascii_case("disabled"))
}

struct Problem {
    reason: &'static str,
    message: String,
    waits: bool,
    resumes: bool,
}

impl ArtifactGenerators {
    async fn steps(&self, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
        if pass.is_deleted() {
            self.remove(pass, &[]).await?;
            pass.remove_finalizer().await?;
            return Ok(Outcome::done());
        }
        pass.ensure_finalizer().await?;
        if is_disabled(&pass.object) {
            return Ok(Outcome::done());
        }
        let done = match self.gather(pass).await? {
            Ok((trees, revisions)) => self.generate(pass, &trees, &revisions).await?,
            Err(problem) => Err(problem),
        };
        match done {
            Ok(message) => {
                pass.succeed("Succeeded", &message);
                pass.write().await?;
                Ok(Outcome::after(interval(&pass.object, std::time::Duration::from_secs(600))))
            }
            Err(problem) if problem.resumes => {
                Ok(Outcome::wait(self.shared.options.requeue_dependency, Cause::new(problem.message)))
            }
            Err(problem) => {
                pass.fail(problem.reason, &problem.message);
                pass.write().await?;
                pass.event(EventType::Warning, problem.reason, &problem.message, "");
                let cause = Cause::new(problem.message);
                Ok(if problem.waits {
                    Outcome::wait(self.shared.options.requeue_dependency, cause)
                } else {
                    Outcome::retry(LONGEST_RETRY, cause)
                })
            }
        }
    }

    async fn gather(
        &self,
        pass: &Pass,
    ) -> Result<Result<(BTreeMap<String, Tree>, BTreeMap<String, Arc<Offered>>), Problem>, cluster::Error>
    {
        let (mut trees, mut revisions) = (BTreeMap::new(), BTreeMap::new());
        for source in sources(&pass.object) {
            let gvk = source_gvk(&source.kind);
            if self.shared.options.no_cross_namespace_refs && source.namespace != pass.namespace() {
                let message = format!(
                    "cross-namespace reference to {}/{} is not allowed",
                    source.namespace, source.name
                );
                return Ok(Err(Problem { reason: "AccessDenied", message, waits: true, resumes: false }));
            }
            let found =
                pass.context.read(&gvk, &source.namespace, &source.name, aspect::existence, true).await?;
            let key = source_key(&source.kind, &source.namespace, &source.name);
            let Some(offered) = self.shared.offered(&pass.context, &key) else {
                let message = format!("source {key} is not ready: it offers no artifact");
                let resumes = found.is_some_and(|found| resumes(&found, &pass.object));
                return Ok(Err(Problem { reason: "SourceFetchFailed", message, waits: true, resumes }));
            };
            trees.insert(source.alias.clone(), offered.artifact.tree.clone());
            revisions.insert(source.alias, offered);
        }
        Ok(Ok((trees, revisions)))
    }

    async fn generate(
        &self,
        pass: &mut Pass,
        trees: &BTreeMap<String, Tree>,
        origins: &BTreeMap<String, Arc<Offered>>,
    ) -> Result<Result<String, Problem>, cluster::Error> {
        let failed = |reason, message| Problem { reason, message, waits: false, resumes: false };
        let outputs = match pattern::expand(get(&pass.object, &["spec"]).unwrap_or(&Value::Null), trees) {
            Ok(outputs) => outputs,
            Err(message) => return Ok(Err(failed("ValidationFailed", message))),
        };
        let mut inventory = Vec::new();
        let mut names = Vec::new();
        for Wanted { output, labels } in &outputs {
            let name = str_at(output, &["name"]).to_owned();
            let artifact = match self.compose(output, trees, origins) {
                Ok(artifact) => artifact,
                Err(message) => {
                    return Ok(Err(failed("BuildFailed", format!("artifact {name}: {message}"))));
                }
            };
            let (offered, key) = self.publish(pass, &name, labels, artifact).await?;
            inventory.push(json!({"name": name, "namespace": pass.namespace(), "digest": offered.digest,
                "filename": offered.status(&key)["path"]}));
            names.push(name);
        }
        self.remove(pass, &names).await?;
        pass.set(&["inventory"], json!(inventory));
        let joined: Vec<String> =
            origins.values().map(|offered| format!("{}:{}", offered.revision, offered.digest)).collect();
        pass.set(&["observedSourcesDigest"], json!(sha256(joined.join("\n"))));
        Ok(Ok(format!("reconciliation succeeded, generated {} artifact(s)", names.len())))
    }

    fn compose(
        &self,
        output: &Value,
        trees: &BTreeMap<String, Tree>,
        origins: &BTreeMap<String, Arc<Offered>>,
    ) -> Result<Artifact, String> {
        let mut copies = Vec::new();
        for entry in output.get("copy").and_then(Value::as_array).into_iter().flatten() {
            copies.push(Copy {
                from: str_at(entry, &["from"]).to_owned(),
                to: str_at(entry, &["to"]).to_owned(),
                exclude: strings_at(entry, &["exclude"]),
                strategy: Strategy::parse(str_at(entry, &["strategy"])).map_err(|error| error.to_string())?,
                optional: false,
            });
        }
        let tree = source::compose(trees, &copies, self.shared.options.fetcher.limits());
        let tree = tree.map_err(|error| error.to_string())?;
        let aliased = |field: &str| -> Result<Option<&Arc<Offered>>, String> {
            let alias = str_at(output, &[field]);
            if alias.is_empty() {
                return Ok(None);
            }
            let found = origins.get(alias.trim_start_matches('@'));
            found.map(Some).ok_or_else(|| format!("{field}: {alias} names no source"))
        };
        let revision = match aliased("revision")? {
            Some(origin) => Revision::parse(&origin.revision),
            None => Revision::new("latest", tree.digest()),
        };
        let mut artifact = Artifact::of_tree(revision, tree);
        if let Some(origin) = aliased("originRevision")? {
            let text = origin.origin_revision().unwrap_or(&origin.revision).to_owned();
            artifact.metadata.insert("org.opencontainers.image.revision".into(), text);
        }
        Ok(artifact)
    }

    async fn publish(
        &self,
        pass: &Pass,
        name: &str,
        captured: &BTreeMap<String, String>,
        artifact: Artifact,
    ) -> Result<(Arc<Offered>, object::Key), cluster::Error> {
        let key = source_key("ExternalArtifact", pass.namespace(), name);
        let mut labels = common::string_map(&pass.object, &["spec", "commonMetadata", "labels"]);
        labels.extend(captured.clone());
        labels.insert("app.kubernetes.io/managed-by".into(), MANAGER.into());
        labels.insert(format!("{GROUP}/generator"), meta::uid(&pass.object).to_owned());
        let annotations = common::string_map(&pass.object, &["spec", "commonMetadata", "annotations"]);
        let object = json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "ExternalArtifact",
            "metadata": {"name": name, "namespace": pass.namespace(), "labels": labels, "annotations": annotations},
            "spec": {"sourceRef": {
                "apiVersion": pass.gvk().api_version(), "kind": "ArtifactGenerator",
                "name": pass.name(), "namespace": pass.namespace(),
            }},
        });
        let cluster = &pass.context.cluster;
        pass.context.watch(&source_gvk("ExternalArtifact")).await?;
        let live = cluster.store().get(&key);
        let differs = live.as_ref().is_none_or(|live| {
            live.get("spec") != object.get("spec")
                || !contains(live, &object, &["metadata", "labels"])
                || !contains(live, &object, &["metadata", "annotations"])
        });
        if differs {
            cluster.apply(&object, &Apply::forced(MANAGER)).await?;
        }
        let mut offered = Offered::new(artifact, pass.context.clock().stamp());
        offered.keep_time(live.as_ref().and_then(|live| get(live, &["status", "artifact"])));
        let (offered, new) = self.shared.artifacts.offer(&key, offered);
        if new {
            self.shared.announce(&pass.context, &key);
        }
        let message = format!("Artifact is ready: revision {}", offered.revision);
        let status = json!({"artifact": offered.status(&key), "conditions": [{
            "type": "Ready", "status": "True", "reason": "Succeeded", "message": message,
            "lastTransitionTime": offered.time,
            "observedGeneration": live.as_ref().map_or(1, meta::generation),
        }]});
        if live.as_ref().and_then(|live| live.get("status")) != Some(&status) {
            let status = json!({
                "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "ExternalArtifact",
                "metadata": {"name": name, "namespace": pass.namespace()}, "status": status,
            });
            let options = Apply { subresource: "status".into(), ..Apply::forced(MANAGER) };
            cluster.apply(&status, &options).await?;
        }
        Ok((offered, key))
    }

    /// Deletes generated artifacts that are not in `keep`.
    async fn remove(&self, pass: &Pass, keep: &[String]) -> Result<(), cluster::Error> {
        let old = get(&pass.object, &["status", "inventory"])
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        for entry in old {
            let (name, namespace) = (str_at(&entry, &["name"]), str_at(&entry, &["namespace"]));
            if name.is_empty() || keep.iter().any(|kept| kept == name) {
                continue;
            }
            let gvk = source_gvk("ExternalArtifact");
            pass.context.cluster.delete(&gvk, namespace, name, &Delete::default()).await?;
            let key = source_key("ExternalArtifact", namespace, name);
            if self.shared.artifacts.withdraw(&key) {
                self.shared.announce(&pass.context, &key);
            }
        }
        Ok(())
    }
}
