//! HelmChart: a chart out of a repository, or packaged from a folder of another source.

use std::collections::BTreeMap;
use std::sync::Arc;

use controller::{Context, Description, Kind, Outcome, Relation, aspect};
use futures::future::BoxFuture;
use object::{Gvk, Value, get, meta};
use serde_json::json;
use source::{Artifact, Limits, Revision, Tree};

use super::{
    Failure, Fetch, Fetched, artifact_aspect, helm_repository, source_gvk, source_key, verification,
};
use crate::artifacts::Offered;
use crate::common::{self, Pass, bool_at, reference, str_at, strings_at};
use crate::options::{Shared, resumes};

pub(crate) struct HelmCharts {
    pub shared: Arc<Shared>,
}

impl Kind for HelmCharts {
    fn gvk(&self) -> Gvk {
        source_gvk("HelmChart")
    }

    fn describe(&self, object: &Value) -> Description {
        let mut description = super::describe_source(object);
        if let Some(source) = reference(object, &["spec", "sourceRef"]) {
            let key = source_key(&source.kind, meta::namespace(object).unwrap_or_default(), &source.name);
            description.edges.push((Relation::Source, key));
        }
        description
    }

    fn trigger(&self, object: &Value) -> String {
        common::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move { super::reconcile(&*self, context, object).await })
    }
}

/// What of a repository decides which chart comes out of it.
fn repository_aspect(object: Option<&Value>) -> String {
    let Some(object) = object else { return "absent".into() };
    format!("{} {}", object.get("spec").cloned().unwrap_or_default(), artifact_aspect(Some(object)))
}

fn files_of(tree: &Tree) -> Result<BTreeMap<String, Vec<u8>>, source::Error> {
    tree.files().map(|(path, _)| Ok((path.to_owned(), tree.read(path)?.to_vec()))).collect()
}

fn unavailable(error: impl std::fmt::Display) -> Failure {
    Failure::new("FetchFailed", "SourceUnavailable", format!("failed to get source: {error}"))
}

fn build_failed(error: impl std::fmt::Display) -> Failure {
    Failure::new("BuildFailed", "ChartPackageError", format!("failed to package chart: {error}"))
}

impl Fetch for HelmCharts {
    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn fetch<'a>(&'a self, pass: &'a mut Pass) -> BoxFuture<'a, Result<Fetched, Failure>> {
        Box::pin(async move {
            let object = pass.object.clone();
            let Some(reference) = reference(&object, &["spec", "sourceRef"]) else {
                return Err(unavailable("spec.sourceRef is missing").stalled());
            };
            let verifies = get(&object, &["spec", "verify"]).is_some_and(Value::is_object);
            if verifies && reference.kind != "HelmRepository" {
                let why = format!(
                    "spec.verify: a chart out of a {} has no signatures of its own; verify the source instead",
                    reference.kind
                );
                return Err(verification::failed(why).stalled());
            }
            // A HelmChart refers only to its own namespace.
            let gvk = source_gvk(&reference.kind);
            let aspect =
                if reference.kind == "HelmRepository" { repository_aspect } else { aspect::existence };
            let source = pass.context.read(&gvk, pass.namespace(), &reference.name, aspect, true).await;
            let source = source.map_err(unavailable)?;
            let Some(source) = source else {
                let why = format!(
                    "failed to get source: {}.source.toolkit.fluxcd.io \"{}\" not found",
                    plural(&reference.kind),
                    reference.name
                );
                return Err(Failure::new("FetchFailed", "SourceUnavailable", why));
            };
            if reference.kind == "HelmRepository" {
                self.pull(pass, &object, source).await
            } else {
                let key = source_key(&reference.kind, pass.namespace(), &reference.name);
                let Some(offered) = self.shared.offered(&pass.context, &key) else {
                    let why =
                        format!("no artifact available for {} source '{}'", reference.kind, reference.name);
                    let mut failure = Failure::new("FetchFailed", "NoSourceArtifact", why);
                    failure.resumes = resumes(&source, &object);
                    return Err(failure);
                };
                self.package(pass, &object, &offered).await
            }
        })
    }
}

fn plural(kind: &str) -> String {
    match kind {
        "GitRepository" => "gitrepositories".to_owned(),
        "HelmRepository" => "helmrepositories".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    }
}

impl HelmCharts {
    async fn pull(&self, pass: &mut Pass, object: &Value, repository: Value) -> Result<Fetched, Failure> {
        let name = str_at(object, &["spec", "chart"]).to_owned();
        let version = str_at(object, &["spec", "version"]).to_owned();
        let holder = Pass::new(pass.context.clone(), repository, "source-controller");
        let mut request = helm_repository::request(&self.shared, &holder).await?;
        request.verify = verification::cosign(pass).await?;
        super::follow(&self.shared, pass, &request.url);
        let pulled = self.shared.options.fetcher.helm_chart(&request, &name, &version).await;
        let chart = pulled.map_err(|error| match error {
            source::Error::Unverified { why, .. } => {
                verification::failed(format!("chart verification error: failed to verify '{name}': {why}"))
            }
            error => Failure::fetch(
                "ChartPullError",
                &format!("chart pull error: failed to get chart '{name}'"),
                &error,
            ),
        })?;
        let said = format!("verified signature of version {}", chart.version);
        let said = chart.verified.is_some().then_some(said.as_str());
        verification::say(pass, request.verify.is_some(), said, chart.mapped.as_deref());
        let mut chart_version = chart.version.clone();
        let mut artifact = Artifact::of_blob(Revision::new(chart_version.clone(), ""), chart.archive.clone());
        let values_files = strings_at(object, &["spec", "valuesFiles"]);
        if !values_files.is_empty() {
            let limits = *self.shared.options.fetcher.limits();
            let tree = Tree::from_tar_gz(&chart.archive, &limits).map_err(build_failed)?;
            let inner = tree.subtree(&chart.name).map_err(build_failed)?;
            let mut files = files_of(&inner).map_err(build_failed)?;
            merge_values(&mut files, &inner, "", &values_files, ignore_missing(object))?;
            artifact.tree = Tree::from_files(files).map_err(build_failed)?;
            artifact.blob = None;
            chart_version = with_metadata(&chart_version, &meta::generation(object).to_string());
            artifact.revision = Revision::new(chart_version.clone(), "");
        }
        artifact.mapped = chart.mapped;
        pass.set(&["observedChartName"], json!(chart.name));
        pass.set(&["observedValuesFiles"], observed_values(&values_files));
        let message = format!("pulled '{}' chart with version '{chart_version}'", chart.name);
        Ok(Fetched { artifact, reason: "ChartPullSucceeded", message })
    }

    async fn package(&self, pass: &mut Pass, object: &Value, source: &Offered) -> Result<Fetched, Failure> {
        let path = str_at(object, &["spec", "chart"]).trim_start_matches("./").trim_matches('/').to_owned();
        let limits = *self.shared.options.fetcher.limits();
        let whole = &source.artifact.tree;
        let inner = match whole.subtree(&path) {
            Ok(inner) => inner,
            Err(error) => {
                let mut failure =
                    Failure::new("BuildFailed", "ChartPackageError", format!("chart '{path}': {error}"));
                failure.cause.file = Some(path.clone());
                return Err(failure);
            }
        };
        let text = inner.read("Chart.yaml").map_err(|error| build_failed(format!("{path}: {error}")))?;
        let chart = yaml::from_str(&String::from_utf8_lossy(&text)).map_err(|error| {
            let mut failure = build_failed(format!("{path}/Chart.yaml: {error}"));
            failure.cause.file = Some(format!("{path}/Chart.yaml"));
            failure.cause.line = Some(error.line).filter(|line| *line > 0);
            failure
        })?;
        let (name, version) = (str_at(&chart, &["name"]).to_owned(), str_at(&chart, &["version"]).to_owned());
        if name.is_empty() || version.is_empty() {
            return Err(build_failed(format!("{path}/Chart.yaml: name and version are required")));
        }
        let by_revision = str_at(object, &["spec", "reconcileStrategy"]) == "Revision";
        let version = if by_revision {
            let hex: String = source.artifact.revision.hex().chars().take(12).collect();
            with_metadata(&version, &hex)
        } else {
            version
        };
        let mut files = files_of(&inner).map_err(build_failed)?;
        let values_files = strings_at(object, &["spec", "valuesFiles"]);
        merge_values(&mut files, whole, &path, &values_files, ignore_missing(object))?;
        self.dependencies(pass, &chart, &mut files, whole, &path, &limits).await?;
        let tree = Tree::from_files(files).map_err(build_failed)?;
        let artifact = Artifact::of_tree(Revision::new(version.clone(), ""), tree);
        pass.set(&["observedChartName"], json!(name));
        pass.set(&["observedSourceArtifactRevision"], json!(source.revision));
        pass.set(&["observedValuesFiles"], observed_values(&values_files));
        let message = format!("packaged '{name}' chart with version '{version}'");
        Ok(Fetched { artifact, reason: "ChartPackageSucceeded", message })
    }

    /// Adds the dependencies that the chart's `charts/` folder does not hold.
    async fn dependencies(
        &self,
        pass: &Pass,
        chart: &Value,
        files: &mut BTreeMap<String, Vec<u8>>,
        whole: &Tree,
        path: &str,
        limits: &Limits,
    ) -> Result<(), Failure> {
        let lock =
            files.get("Chart.lock").and_then(|lock| yaml::from_str(&String::from_utf8_lossy(lock)).ok());
        let locked = |name: &str| {
            let list = lock.as_ref()?.get("dependencies")?.as_array()?;
            let entry = list.iter().find(|entry| str_at(entry, &["name"]) == name)?;
            Some(str_at(entry, &["version"]).to_owned())
        };
        for dependency in chart.get("dependencies").and_then(Value::as_array).into_iter().flatten() {
            let (name, repository) = (str_at(dependency, &["name"]), str_at(dependency, &["repository"]));
            let folder = format!("charts/{name}/");
            let archive = format!("charts/{name}-");
            let present = files.keys().any(|file| {
                file.starts_with(&folder) || (file.starts_with(&archive) && file.ends_with(".tgz"))
            });
            if present || name.is_empty() {
                continue;
            }
            if let Some(local) = repository.strip_prefix("file://") {
                let at = join(path, local);
                let tree = whole
                    .subtree(&at)
                    .map_err(|error| build_failed(format!("dependency {name}: {error}")))?;
                for (file, bytes) in files_of(&tree).map_err(build_failed)? {
                    files.insert(format!("{folder}{file}"), bytes);
                }
                continue;
            }
            if repository.is_empty() {
                return Err(build_failed(format!(
                    "dependency {name} is neither in charts/ nor has it a repository"
                )));
            }
            let version = locked(name).unwrap_or_else(|| str_at(dependency, &["version"]).to_owned());
            let request = repository_of(&self.shared, pass, repository).await?;
            let pulled = self.shared.options.fetcher.helm_chart(&request, name, &version).await;
            let pulled = pulled.map_err(|error| build_failed(format!("dependency {name}: {error}")))?;
            if pulled.archive.len() as u64 > limits.download_bytes {
                return Err(build_failed(format!("dependency {name} is too large")));
            }
            files.insert(format!("charts/{name}-{}.tgz", pulled.version), pulled.archive.to_vec());
        }
        Ok(())
    }
}

/// The repository of a dependency: the HelmRepository of this namespace with that address, with its credentials, or
/// the address as it is. `@name` and `alias:name` are names of HelmRepositories.
async fn repository_of(
    shared: &Shared,
    pass: &Pass,
    address: &str,
) -> Result<source::helm_repo::Request, Failure> {
    let gvk = source_gvk("HelmRepository");
    let name = address.strip_prefix('@').or_else(|| address.strip_prefix("alias:"));
    pass.context.watch(&gvk).await.map_err(build_failed)?;
    let options = cluster::ListOptions { namespace: pass.namespace().to_owned(), ..Default::default() };
    let all = pass.context.cluster.list(&gvk, &options).await.map_err(build_failed)?;
    let plain = |url: &str| url.trim_end_matches('/').to_lowercase();
    let found = all.into_iter().find(|repository| match name {
        Some(name) => meta::name(repository) == name,
        None => plain(str_at(repository, &["spec", "url"])) == plain(address),
    });
    match (found, name) {
        (Some(found), _) => {
            let holder = Pass::new(pass.context.clone(), found, "source-controller");
            helm_repository::request(shared, &holder).await
        }
        (None, Some(name)) => {
            Err(build_failed(format!("no HelmRepository is called {name}, as a dependency wants")))
        }
        (None, None) => Ok(source::helm_repo::Request::new(address)),
    }
}

fn join(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

fn with_metadata(version: &str, extra: &str) -> String {
    if version.contains('+') { format!("{version}.{extra}") } else { format!("{version}+{extra}") }
}

fn ignore_missing(object: &Value) -> bool {
    bool_at(object, &["spec", "ignoreMissingValuesFiles"])
}

fn observed_values(files: &[String]) -> Value {
    if files.is_empty() { Value::Null } else { json!(files) }
}

/// Merges the listed values files, in order, into `values.yaml`: what is not listed is not kept.
fn merge_values(
    files: &mut BTreeMap<String, Vec<u8>>,
    tree: &Tree,
    chart: &str,
    values_files: &[String],
    ignore_missing: bool,
) -> Result<(), Failure> {
    if values_files.is_empty() {
        return Ok(());
    }
    let bad = |why: String| {
        Failure::new("BuildFailed", "ValuesFilesError", format!("values files merge error: {why}"))
    };
    let mut merged = json!({});
    for file in values_files {
        // In a chart of a repository paths are the chart's, in a source they are the source's.
        let at = if chart.is_empty() {
            join("", file)
        } else {
            join(if tree.is_file(file) { "" } else { chart }, file)
        };
        let bytes = match tree.read(&at) {
            Ok(bytes) => bytes,
            Err(source::Error::NotFound(_)) if ignore_missing => continue,
            Err(error) => return Err(bad(format!("failed to read values from '{file}': {error}"))),
        };
        let values = yaml::from_str(&String::from_utf8_lossy(&bytes)).map_err(|error| {
            let mut failure = bad(format!("{file}: {error}"));
            failure.cause.file = Some(at.clone());
            failure.cause.line = Some(error.line).filter(|line| *line > 0);
            failure
        })?;
        merge(&mut merged, values);
    }
    files.insert("values.yaml".into(), yaml::to_string(&merged).into_bytes());
    Ok(())
}

/// Maps are merged, everything else is replaced.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}
