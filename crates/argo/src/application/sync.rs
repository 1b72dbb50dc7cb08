//! One sync of an application: what it does, and how it is told.

use std::time::Duration;

use cluster::{ErrorKind, EventType};
use controller::Cause;
use delivery::fields::{list_at, str_at};
use object::{Gvk, Key, Value, get, meta};
use serde_json::json;

use super::pass::Pass;
use super::spec::Spec;
use super::state::{Frame, State};
use crate::names;
use crate::sync::operation::Operation;
use crate::sync::options::SyncOptions;
use crate::sync::run::{Runner, Stop};
use crate::sync::tasks::{Resource, Rules, tasks};

/// What is synced.
pub struct Job<'a> {
    /// What targets were made with.
    pub frame: &'a Frame<'a>,
    /// The spec.
    pub spec: &'a Spec,
    /// What is asked for.
    pub operation: &'a Operation,
    /// What is wanted and live.
    pub state: &'a State,
    /// The revisions that were rendered.
    pub revisions: &'a [String],
    /// The sources that were rendered.
    pub sources: &'a [Value],
    /// The cluster, possibly as somebody else.
    pub cluster: &'a cluster::Cluster,
}

/// Carries it out and notes what came of it in the status. `Err(None)`: something newer came.
pub async fn sync(pass: &mut Pass, job: &Job<'_>) -> Result<(), Option<Cause>> {
    let operation = job.operation;
    let options = operation.options.clone().unwrap_or_else(|| job.spec.options.clone());
    let started = pass.context.clock().stamp();
    pass.sync_started = Some(started.clone());
    begin(pass, job);
    let shown = job.revisions.join(", ");
    let who = if operation.automated { "Initiated automated sync to" } else { "Initiated sync to" };
    // A try again is no news.
    if pass.context.attempts == 0 {
        pass.event(EventType::Normal, "OperationStarted", &format!("{who} '{shown}'"));
    }
    if !job.state.shared.is_empty() && options.is("FailOnSharedResource") {
        let message = format!("Shared resource found: {}", job.state.shared.join(", "));
        return Err(Some(failed(pass, job, &message, None, &[])));
    }
    let time = pass.context.clock().now().as_second();
    let plain = !operation.is_selective() && !operation.apply_only;
    let rules = Rules {
        prune: operation.prune,
        skip_hooks: !plain,
        prune_last: options.is("PruneLast"),
        confirmed: confirmed(pass, &started),
        revision: job.revisions.first().cloned().unwrap_or_default(),
        time,
    };
    let wanted = |resource: &&Resource| operation.includes(&resource.key);
    let only_drift = options.is("ApplyOutOfSyncOnly");
    let resources: Vec<Resource> = job
        .state
        .items
        .iter()
        .filter(|item| !(only_drift && item.synced == Some(true)))
        .map(|item| &item.resource)
        .filter(wanted)
        .cloned()
        .map(|mut resource| {
            if options.is("RespectIgnoreDifferences") {
                respect(job.frame, &mut resource);
            }
            resource
        })
        .collect();
    let planned = tasks(resources, job.state.hooks.clone(), &options, &rules);
    if let Err(error) = namespace(pass, job, &options).await {
        return Err(Some(failed(pass, job, &error.to_string(), None, &[])));
    }
    let installation = job.frame.installation;
    let clock = pass.context.clock().clone();
    let judge = move |live: &Value| crate::health::judge(&installation.judge, live, clock.now().as_second());
    let mut runner = Runner {
        site: job.frame.site,
        cluster: job.cluster.clone(),
        operation,
        options,
        judge: &judge,
        project: &job.frame.project,
        results: Vec::new(),
    };
    pass.context.progress(format!("syncing {} objects", planned.len()));
    let limit = installation.parameters.sync_timeout;
    let over = over(pass, limit);
    let done = tokio::select! {
        done = runner.run(pass, planned) => done,
        () = over => Err(Stop::Failed {
            message: "Operation terminated, triggered by controller sync timeout".into(),
            object: None,
        }),
    };
    let results = runner.results;
    match done {
        Err(Stop::Preempted) => Err(None),
        Err(Stop::Failed { message, object }) => Err(Some(failed(pass, job, &message, object, &results))),
        Ok(()) => {
            let message = "successfully synced (all tasks run)";
            pass.operation_state(operation, "Succeeded", message, &results);
            pass.operated();
            if !operation.is_selective() && !operation.dry_run {
                history(pass, job, &started);
            }
            let line = format!("Sync operation to {shown} succeeded");
            pass.event(EventType::Normal, "OperationCompleted", &line);
            Ok(())
        }
    }
}

/// Waits until a sync has taken as long as it may, counted from its first try.
fn over(pass: &Pass, limit: Option<Duration>) -> impl Future<Output = ()> + use<> {
    let clock = pass.context.clock().clone();
    let state = get(&pass.object, &["status", "operationState"]).filter(|_| pass.context.attempts > 0);
    let began = state.and_then(|state| str_at(state, &["startedAt"]).parse::<jiff::Timestamp>().ok());
    let now = clock.now();
    let spent =
        began.and_then(|began| Duration::try_from(now.duration_since(began)).ok()).unwrap_or_default();
    async move {
        match limit {
            Some(limit) => clock.sleep(limit.saturating_sub(spent)).await,
            None => std::future::pending().await,
        }
    }
}

/// What the sync is of, before anything is done.
fn begin(pass: &mut Pass, job: &Job<'_>) {
    let mut result = json!({});
    if job.spec.multiple {
        result["revisions"] = json!(job.revisions);
        result["sources"] = json!(job.sources);
        result["revision"] = json!("");
    } else {
        result["revision"] = json!(job.revisions.first());
        result["source"] = json!(job.sources.first());
    }
    if let Some((labels, annotations)) = &job.spec.namespace_metadata {
        result["managedNamespaceMetadata"] = json!({"labels": labels, "annotations": annotations});
    }
    pass.set(&["operationState"], json!({"syncResult": result}));
    pass.operation_state(job.operation, "Running", "", &[]);
}

fn failed(
    pass: &mut Pass,
    job: &Job<'_>,
    message: &str,
    object: Option<Key>,
    results: &[crate::sync::run::Outcome],
) -> Cause {
    let retry = match job.operation.automated {
        true => super::spec::Retry::of(job.spec.retry.as_ref(), 5),
        false => super::spec::Retry::of(get(&job.operation.raw, &["retry"]), 0),
    };
    let attempt = i64::from(pass.context.attempts);
    let goes_on = retry.limit < 0 || attempt < retry.limit;
    if goes_on {
        let line = format!("{message} Retrying attempt #{}.", attempt + 1);
        pass.operation_state(job.operation, "Running", &line, results);
    } else {
        pass.operation_state(job.operation, "Failed", message, results);
        pass.operated();
        let line = format!("Sync operation to {} failed: {message}", job.revisions.join(", "));
        pass.event(EventType::Warning, "OperationCompleted", &line);
    }
    Cause { object, ..Cause::new(message) }
}

/// Was somebody's word given since the sync began to be wanted?
fn confirmed(pass: &Pass, started: &str) -> bool {
    let Some(text) = meta::annotation(&pass.object, names::DELETION_APPROVED) else { return false };
    let given: Option<jiff::Timestamp> = text.parse().ok();
    let began = str_at(&pass.object, &["status", "operationState", "startedAt"]);
    let began: Option<jiff::Timestamp> = if began.is_empty() { started } else { began }.parse().ok();
    match (given, began) {
        (Some(given), Some(began)) => given >= began,
        _ => false,
    }
}

/// Fields whose differences do not count stay as they are live.
fn respect(frame: &Frame<'_>, resource: &mut Resource) {
    let Some(live) = &resource.live else { return };
    let Some(target) = &resource.target else { return };
    let ty = frame.site.memory.type_or_deduced(frame.site.cluster.store(), &resource.gvk);
    resource.target = Some(crate::diff::respecting(target, live, &ty, &frame.rules));
}

/// `CreateNamespace`: the destination's namespace comes first, with the labels and annotations of the policy.
async fn namespace(pass: &Pass, job: &Job<'_>, options: &SyncOptions) -> Result<(), cluster::Error> {
    let name = &job.spec.destination.namespace;
    let given = job.state.items.iter().any(|item| {
        item.resource.key.kind == "Namespace" && item.resource.key.name == *name && !item.is_extra()
    });
    if !options.is("CreateNamespace") || name.is_empty() || given || job.operation.dry_run {
        return Ok(());
    }
    let gvk = Gvk::new("", "v1", "Namespace");
    job.frame.site.look(&pass.context).watch(&gvk).await?;
    let live = job.frame.site.cluster.store().get(&Key::new("", "Namespace", "", name.clone()));
    if (live.is_none() || job.spec.namespace_metadata.is_some())
        && !job.frame.project.permits_kind("", "Namespace", name, false)
    {
        let project = job.frame.project.name();
        let message = format!("resource :Namespace is not permitted in project {project}");
        return Err(cluster::Error::new(ErrorKind::Forbidden, message));
    }
    let wanted = match (job.spec.managed_namespace(), live) {
        (None, Some(_)) => return Ok(()),
        (None, None) => json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        (Some(wanted), None) => wanted,
        (Some(wanted), Some(live)) => {
            let memory = &job.frame.site.memory;
            if !memory.would_change(job.frame.site.cluster.store(), names::MANAGER, &live, &wanted) {
                return Ok(());
            }
            wanted
        }
    };
    let apply = cluster::Apply::forced(names::MANAGER);
    match job.cluster.apply(&wanted, &apply).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// `status.history`.
fn history(pass: &mut Pass, job: &Job<'_>, started: &str) {
    let mut history = list_at(pass.status(), &["history"]).to_vec();
    let id =
        history.last().and_then(|last| object::get_i64(last, &["id"])).map_or(0, |id| id.saturating_add(1));
    let mut entry = json!({
        "id": id, "deployStartedAt": started, "deployedAt": pass.context.clock().stamp(),
    });
    if let Some(by) = get(&job.operation.raw, &["initiatedBy"]) {
        entry["initiatedBy"] = by.clone();
    }
    if job.spec.multiple {
        entry["revisions"] = json!(job.revisions);
        entry["sources"] = json!(job.sources);
        entry["source"] = json!({"repoURL": ""});
    } else {
        entry["revision"] = json!(job.revisions.first());
        entry["source"] = json!(job.sources.first());
    }
    history.push(entry);
    let most = job.spec.history_limit;
    if history.len() > most {
        history.drain(..history.len() - most);
    }
    pass.set(&["history"], if history.is_empty() { Value::Null } else { Value::Array(history) });
}
