//! Addresses to trees: the kinds of `source.toolkit.fluxcd.io` and the ArtifactGenerator.

mod bucket;
mod chart;
mod external;
mod generator;
mod git;
mod helm_repository;
mod oci;
mod pattern;
pub(crate) mod secrets;
mod verification;

use std::sync::Arc;
use std::time::Duration;

use cluster::EventType;
use controller::{Cause, Context, Kind, Outcome};
use object::{Gvk, Key, Value};
use source::Artifact;

use crate::artifacts::Offered;
use crate::common::{Pass, SOURCE_GROUP, interval};
use crate::options::Shared;

pub(crate) use git::git_credentials;
pub(crate) use secrets::{credentials, of_registry, secret_data};

/// A source fetched too seldom by mistake is harmless; one without interval is fetched this often.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
/// The longest pause between two tries.
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// Every source kind.
pub fn kinds(shared: &Arc<Shared>) -> Vec<Arc<dyn Kind>> {
    vec![
        Arc::new(git::GitRepositories { shared: shared.clone() }),
        Arc::new(oci::OciRepositories { shared: shared.clone() }),
        Arc::new(helm_repository::HelmRepositories { shared: shared.clone() }),
        Arc::new(chart::HelmCharts { shared: shared.clone() }),
        Arc::new(bucket::Buckets { shared: shared.clone() }),
        Arc::new(external::ExternalArtifacts),
        Arc::new(generator::ArtifactGenerators { shared: shared.clone() }),
    ]
}

/// What a HelmChart would offer that is not in the cluster.
pub(crate) async fn package(
    shared: &Arc<Shared>,
    context: Context,
    chart: Value,
) -> Result<Fetched, Failure> {
    let mut pass = Pass::new(context, chart, "source-controller");
    chart::HelmCharts { shared: shared.clone() }.fetch(&mut pass).await
}

/// A kind of `source.toolkit.fluxcd.io`.
pub(crate) fn source_gvk(kind: &str) -> Gvk {
    Gvk::new(SOURCE_GROUP, "v1", kind)
}

/// The key of a source object.
pub(crate) fn source_key(kind: &str, namespace: &str, name: &str) -> Key {
    Key::new(SOURCE_GROUP, kind, namespace, name)
}

/// Why a source has no new artifact.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// The condition that names the step that failed.
    pub condition: &'static str,
    /// Flux's reason word.
    pub reason: String,
    /// The line for people.
    pub message: String,
    /// Only a changed spec can help.
    pub stalled: bool,
    /// Only what it is made from is not there again yet after a start: nothing to tell.
    pub resumes: bool,
    /// Where to look.
    pub cause: Cause,
}

impl Failure {
    pub fn new(condition: &'static str, reason: &str, message: impl Into<String>) -> Failure {
        let message = message.into();
        Failure {
            condition,
            reason: reason.into(),
            cause: Cause::new(message.clone()),
            message,
            stalled: false,
            resumes: false,
        }
    }

    pub fn stalled(mut self) -> Failure {
        self.stalled = true;
        self
    }

    /// A failed fetch; `reason` is used where the error has no word of its own.
    pub fn fetch(reason: &str, prefix: &str, error: &source::Error) -> Failure {
        let word = match error {
            source::Error::Denied { .. } => "AuthenticationFailed",
            _ => reason,
        };
        let mut failure = Failure::new("FetchFailed", word, format!("{prefix}: {error}"));
        failure.stalled = matches!(error, source::Error::Invalid(_));
        failure
    }
}

/// What a fetch brought, and how Flux says so.
pub(crate) struct Fetched {
    pub artifact: Artifact,
    pub reason: &'static str,
    pub message: String,
}

/// How one kind of source fetches.
pub(crate) trait Fetch: Send + Sync + 'static {
    fn shared(&self) -> &Arc<Shared>;
    /// Fetches; may set fields of the status on the way.
    fn fetch<'a>(&'a self, pass: &'a mut Pass) -> futures::future::BoxFuture<'a, Result<Fetched, Failure>>;
}

/// One pass over any source: finalizer, fetch, artifact, conditions.
pub(crate) async fn reconcile(kind: &impl Fetch, context: Context, object: Value) -> Outcome {
    let mut pass = Pass::new(context, object, "source-controller");
    let done = steps(kind, &mut pass).await;
    pass.outcome(done, LONGEST_RETRY)
}

async fn steps(kind: &impl Fetch, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
    let shared = kind.shared().clone();
    let key = pass.context.key.clone();
    if pass.is_deleted() {
        if shared.artifacts.withdraw(&key) {
            shared.announce(&pass.context, &key);
        }
        pass.remove_finalizer().await?;
        return Ok(Outcome::done());
    }
    pass.ensure_finalizer().await?;
    if pass.is_suspended() {
        return Ok(Outcome::done());
    }
    let context = pass.context.clone();
    let fetched = tokio::select! {
        fetched = kind.fetch(pass) => fetched,
        () = context.cancel.cancelled() => return Ok(Outcome::preempted()),
    };
    match fetched {
        Ok(fetched) => publish(&shared, pass, &key, fetched).await,
        Err(failure) => fail(pass, failure).await,
    }
}

async fn publish(
    shared: &Shared,
    pass: &mut Pass,
    key: &Key,
    fetched: Fetched,
) -> Result<Outcome, cluster::Error> {
    // Content that was there before this process began keeps its time.
    let known = object::get(&pass.object, &["status", "artifact"]).cloned();
    let mut offered = Offered::new(fetched.artifact, pass.context.clock().stamp());
    offered.keep_time(known.as_ref());
    let (offered, new) = shared.artifacts.offer(key, offered);
    let status = offered.status(key);
    pass.set(&["artifact"], status.clone());
    for condition in
        ["FetchFailed", "ArtifactOutdated", "BuildFailed", "StorageOperationFailed", "IncludeUnavailable"]
    {
        pass.drop_condition(condition);
    }
    pass.condition("ArtifactInStorage", "True", fetched.reason, &fetched.message);
    pass.succeed(fetched.reason, &fetched.message);
    // Consumers start from the artifact itself: they need not wait for the status to be written.
    if new {
        shared.announce(&pass.context, key);
        if known.as_ref() != Some(&status) {
            pass.event(EventType::Normal, "NewArtifact", &fetched.message, &offered.revision);
        }
    }
    pass.write().await?;
    Ok(Outcome::after(interval(&pass.object, DEFAULT_INTERVAL)))
}

async fn fail(pass: &mut Pass, failure: Failure) -> Result<Outcome, cluster::Error> {
    if failure.resumes {
        return Ok(Outcome::wait(DEFAULT_INTERVAL, failure.cause));
    }
    let before = pass.ready_message();
    // All others name a fault.
    let holds = if failure.condition == "SourceVerified" { "False" } else { "True" };
    pass.condition(failure.condition, holds, &failure.reason, &failure.message);
    pass.refuse(&failure.reason, &failure.message, failure.stalled, &before);
    pass.write().await?;
    let ceiling = interval(&pass.object, DEFAULT_INTERVAL).min(LONGEST_RETRY);
    Ok(Outcome::retry(ceiling, failure.cause))
}

/// What a consumer of a source depends on: that it offers another artifact.
pub(crate) fn artifact_aspect(object: Option<&Value>) -> String {
    let Some(object) = object else { return "absent".into() };
    let field = |name: &str| object::get_str(object, &["status", "artifact", name]).unwrap_or_default();
    format!("{} {}", field("revision"), field("digest"))
}

/// What every source says of itself.
pub(crate) fn describe_source(object: &Value) -> controller::Description {
    let mut description = crate::common::describe(object);
    description.revision = object::get_str(object, &["status", "artifact", "revision"]).map(str::to_owned);
    description
}

/// Has edits of the folder that serves `url` wake this source.
pub(crate) fn follow(shared: &Shared, pass: &Pass, url: &str) {
    let maps = shared.options.fetcher.maps();
    let path = match maps.find(url) {
        Some(mapped) => mapped.path,
        None => match url.strip_prefix("file://") {
            Some(path) => path.into(),
            None => return,
        },
    };
    shared.watches.follow(&path, pass.context.waker());
}
