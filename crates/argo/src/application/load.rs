//! The sources of an application, fetched and rendered.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use controller::{Cause, Context};
use delivery::fields::str_at;
use object::{Gvk, Value};

use super::pass::Pass;
use super::spec::{Origin, Source, Spec};
use crate::installation::Installation;
use crate::options::Shared;
use crate::project::Signers;
use crate::render::{self, Input, Tool, Trees};
use crate::repositories::{Address, Fetched};
use crate::sites::Site;

/// What came of the sources.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The revision of each source.
    pub revisions: Vec<String>,
    /// The tool of each source that makes objects.
    pub tools: Vec<Tool>,
    /// All objects, in the order of the sources.
    pub objects: Vec<Value>,
}

/// Why nothing came of them.
pub enum Fault {
    /// Something newer came.
    Preempted,
    /// The line, and where to look.
    Failed(String, Cause),
}

fn failed(message: String) -> Fault {
    let cause = Cause::new(message.clone());
    Fault::Failed(message, cause)
}

/// Which sources, at which revisions.
pub struct Wanted<'a> {
    /// The sources.
    pub sources: &'a [Source],
    /// The place of the first among those whose renders are remembered.
    pub first: usize,
    /// Their revisions where an operation names them.
    pub revisions: &'a [String],
    /// How old what is known may be.
    pub max_age: Duration,
    /// The installation's settings.
    pub installation: &'a Installation,
    /// The keys of which one must have signed commits.
    pub signers: Option<&'a Signers>,
    /// The cluster that charts may ask about.
    pub site: &'a Site,
}

/// Fetches and renders.
pub async fn load(shared: &Shared, pass: &Pass, spec: &Spec, wanted: &Wanted<'_>) -> Result<Loaded, Fault> {
    let context = pass.context.clone();
    let addresses: Vec<Address> = wanted
        .sources
        .iter()
        .enumerate()
        .map(|(at, source)| {
            let named = wanted.revisions.get(at).map(String::as_str).filter(|revision| !revision.is_empty());
            let mut address = Address::of(source, named);
            address.submodules = wanted.installation.parameters.submodules;
            address.project.clone_from(&spec.project);
            if let Some(signers) = wanted.signers.filter(|_| address.origin == Origin::Git) {
                address.signers = signers.of(&address.url).map_err(failed)?;
            }
            Ok(address)
        })
        .collect::<Result<_, Fault>>()?;
    let fetches = addresses.iter().map(|address| shared.repositories.get(&context, address, wanted.max_age));
    let Some(fetched) = context.unless_cancelled(futures::future::join_all(fetches)).await else {
        return Err(Fault::Preempted);
    };
    let count = wanted.sources.len();
    let mut trees: Vec<Arc<Fetched>> = Vec::with_capacity(count);
    for (at, outcome) in fetched.into_iter().enumerate() {
        match outcome {
            Ok(found) => trees.push(found),
            Err(why) => {
                let line = format!(
                    "Failed to load target state: failed to generate manifest for source {} of {count}: {why}",
                    at + 1
                );
                return Err(failed(line));
            }
        }
    }
    let lent: BTreeMap<String, source::Tree> = wanted
        .sources
        .iter()
        .zip(&trees)
        .filter(|(source, _)| !source.reference().is_empty())
        .map(|(source, fetched)| (source.reference().to_owned(), fetched.tree.clone()))
        .collect();
    let mut loaded = Loaded {
        revisions: trees.iter().map(|fetched| fetched.revision.clone()).collect(),
        tools: Vec::new(),
        objects: Vec::new(),
    };
    for (at, (source, fetched)) in wanted.sources.iter().zip(&trees).enumerate() {
        if source.only_lends() {
            continue;
        }
        let trees = Trees { own: fetched.tree.clone(), lent: lent.clone() };
        let one = One { shared, pass, spec, at, source, fetched, trees, wanted };
        let (objects, tool) = one.render().await.map_err(|fault| match fault {
            Fault::Preempted => Fault::Preempted,
            Fault::Failed(why, mut cause) => {
                cause.message.clone_from(&why);
                let line = format!(
                    "Failed to load target state: failed to generate manifest for source {} of {count}: {why}",
                    at + 1
                );
                Fault::Failed(line, cause)
            }
        })?;
        loaded.tools.push(tool);
        loaded.objects.extend(objects);
    }
    Ok(loaded)
}

/// The plugins that ConfigMaps of the installation declare.
async fn declared(shared: &Shared, context: &Context) -> Result<Vec<Value>, cluster::Error> {
    let gvk = Gvk::new("", "v1", "ConfigMap");
    context.watch(&gvk).await?;
    let home = &shared.options.namespace;
    let mut found = Vec::new();
    for key in context.cluster.store().keys("", "ConfigMap") {
        if key.namespace == *home {
            let map = context.read(&gvk, home, &key.name, controller::aspect::content, true).await?;
            found.extend(map.iter().flat_map(render::plugin::declared));
        }
    }
    Ok(found)
}

struct One<'a> {
    shared: &'a Shared,
    pass: &'a Pass,
    spec: &'a Spec,
    at: usize,
    source: &'a Source,
    fetched: &'a Fetched,
    trees: Trees,
    wanted: &'a Wanted<'a>,
}

impl One<'_> {
    async fn render(&self) -> Result<(Vec<Value>, Tool), Fault> {
        let of_failure = |failure: render::Failure| {
            let mut cause = Cause::new(failure.message.clone());
            cause.file = failure.file.filter(|file| !file.is_empty());
            cause.line = failure.line;
            Fault::Failed(failure.message, cause)
        };
        let context = &self.pass.context;
        let instance = super::spec::instance(&self.pass.object, &self.shared.options.namespace);
        let source = render::effective(&self.trees.own, &self.source.raw, &instance).map_err(of_failure)?;
        let capabilities = self.wanted.site.capabilities().await;
        let capabilities = capabilities.map_err(|error| failed(error.to_string()))?;
        let mut plugins = Vec::new();
        if self.shared.options.plugins {
            plugins = declared(self.shared, context).await.map_err(|error| failed(error.to_string()))?;
        }
        let mut env = render::env::of(
            self.pass.name(),
            &self.spec.destination.namespace,
            &self.spec.project,
            &self.fetched.revision,
            str_at(&source, &["path"]),
            self.source.repo_url(),
            self.source.target_revision(),
        );
        if !plugins.is_empty() {
            env.insert(
                "KUBE_VERSION".into(),
                capabilities.kube_version.version.trim_start_matches('v').to_owned(),
            );
            let versions: Vec<&str> = capabilities.api_versions.iter().map(String::as_str).collect();
            env.insert("KUBE_API_VERSIONS".into(), versions.join(","));
        }
        let settings = &self.wanted.installation.settings;
        let version = str_at(&source, &["kustomize", "version"]);
        let terms = render::Terms {
            build_options: settings.kustomize_options(version).map_err(failed)?.to_owned(),
            schemes: settings.values_schemes.clone(),
            disabled: settings.disabled_tools.clone(),
            manifests_size: self.wanted.installation.parameters.manifests_size,
        };
        let mut hasher = DefaultHasher::new();
        capabilities.api_versions.hash(&mut hasher);
        capabilities.kube_version.version.hash(&mut hasher);
        let input = Input {
            // A program may look at any of them.
            env: if plugins.is_empty() { render::env::visible(env, &source) } else { env },
            source,
            name: self.pass.name().to_owned(),
            namespace: self.spec.destination.namespace.clone(),
            capabilities: hasher.finish(),
            plugins,
            run_plugins: self.shared.options.plugins,
            terms,
        };
        let unit = (context.key.clone(), self.wanted.first.saturating_add(self.at));
        let renders = &self.shared.options.renders;
        if let Some((rendered, tool)) = render::recall(renders, &unit, &input, &self.trees) {
            return Ok((rendered.objects, tool));
        }
        let door = (self.shared.options.fetcher.clone(), tokio::runtime::Handle::current());
        let (trees, work, now) = (self.trees.clone(), input.clone(), context.clock().now());
        let evaluator = self.shared.options.jsonnet.clone();
        let (repositories, cluster) = (self.shared.repositories.clone(), context.cluster.clone());
        let project = self.spec.project.clone();
        let done = context
            .compute(move || {
                let runtime = door.1.clone();
                let keys = Box::new(move |address: &str| {
                    runtime.block_on(repositories.remote(&cluster, address, &project))
                });
                let means = render::Means { door, keys, evaluator: &evaluator, now };
                render::render(&trees, &work, &capabilities, means)
            })
            .await;
        if context.cancel.is_cancelled() {
            return Err(Fault::Preempted);
        }
        let (rendered, seen) = done.map_err(failed)?.map_err(of_failure)?;
        let tool = seen.tool();
        renders.keep(unit, input, seen, &rendered);
        Ok((rendered.objects, tool))
    }
}
