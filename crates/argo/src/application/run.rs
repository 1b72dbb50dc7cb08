//! One pass over an Application.

use std::sync::Arc;
use std::time::Duration;

use cluster::EventType;
use controller::{Cause, Context, Next, Outcome};
use delivery::fields::str_at;
use object::{Gvk, Key, Value, get, meta};
use serde_json::json;

use super::decide::{self, Verdict};
use super::load::{self, Fault, Loaded, Wanted};
use super::pass::Pass;
use super::spec::{self, Source, Spec};
use super::state::{Frame, State};
use super::{finalize, sync};
use crate::diff::Rules;
use crate::health::{self, Status};
use crate::installation::Installation;
use crate::names;
use crate::options::Shared;
use crate::project::{Decision, Destination, Project, Subject};
use crate::sync::operation::Operation;

/// The longest pause between two tries.
const LONGEST_RETRY: Duration = Duration::from_secs(180);
/// Changes of live objects come in bursts.
const BURST: Duration = Duration::from_millis(20);
/// Conditions that comparing sets anew.
const COMPARED: &[&str] = &[
    "InvalidSpecError",
    "ComparisonError",
    "UnknownError",
    "SharedResourceWarning",
    "RepeatedResourceWarning",
    "ExcludedResourceWarning",
    "OrphanedResourceWarning",
];

pub(super) async fn reconcile(shared: &Arc<Shared>, context: Context, object: Value) -> Outcome {
    shared.owned.start(&context.cluster);
    let mut pass = Pass::new(context, object);
    let done = whole(shared, &mut pass).await;
    pass.outcome(done, LONGEST_RETRY)
}

async fn whole(shared: &Arc<Shared>, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
    let installation = Installation::read(&pass.context, &shared.options.namespace).await?;
    if meta::deletion_timestamp(&pass.object).is_some() {
        return finalize::finalize(shared, pass, &installation).await;
    }
    if meta::annotation(&pass.object, names::SKIP_RECONCILE) == Some("true") {
        return Ok(Outcome::done());
    }
    let spec = Spec::of(&pass.object);
    let (project, mut faults) = faults(shared, pass, &spec, &installation).await?;
    let rules = match Rules::parse(get(&pass.object, &["spec", "ignoreDifferences"])) {
        Ok(mut rules) => {
            rules.0.extend(installation.settings.ignored.iter().cloned());
            rules
        }
        Err(why) => {
            faults.push(format!("spec.ignoreDifferences: {why}"));
            Rules::default()
        }
    };
    if !faults.is_empty() {
        return refuse(pass, &faults).await;
    }
    let max_age = match meta::annotation(&pass.object, names::REFRESH) {
        Some("hard") => {
            for at in 0..spec.sources.len() {
                shared.options.renders.forget(&(pass.context.key.clone(), at));
            }
            Duration::ZERO
        }
        Some(_) => Duration::ZERO,
        None => match installation.settings.reconciliation {
            Some(seconds) => Duration::from_secs(seconds),
            None => shared.options.refresh,
        },
    };
    let wanted = Wanted {
        sources: &spec.sources,
        revisions: &[],
        max_age,
        build_options: &installation.settings.kustomize_options,
    };
    let loaded = match load::load(shared, pass, &spec, &wanted).await {
        Ok(loaded) => loaded,
        Err(Fault::Preempted) => return Ok(Outcome::preempted()),
        Err(Fault::Failed(message, cause)) => return unknown(pass, &message, cause).await,
    };
    let instance = spec::instance(&pass.object, &shared.options.namespace);
    let cluster = pass.context.cluster.clone();
    let frame = Frame {
        shared,
        cluster: &cluster,
        spec: &spec,
        instance: &instance,
        installation: &installation,
        rules,
        project,
    };
    Look { shared, frame: &frame, spec: &spec, loaded }.at(pass).await
}

/// The project, and what is wrong with the spec, its project or its destination.
async fn faults(
    shared: &Shared,
    pass: &Pass,
    spec: &Spec,
    installation: &Installation,
) -> Result<(Project, Vec<String>), cluster::Error> {
    let mut faults = spec.faults();
    if !faults.is_empty() {
        return Ok((Project::everything(), faults));
    }
    let (server, name) = (&spec.destination.server, &spec.destination.name);
    if !spec.destination.is_in_cluster() {
        faults.push(if server.is_empty() {
            format!("there are no clusters with this name: {name}")
        } else {
            format!("cluster {server:?} not found: only the cluster that this runs in is delivered to")
        });
    }
    let gvk = names::gvk(names::APP_PROJECT);
    let home = &shared.options.namespace;
    let found = match pass.context.read(&gvk, home, &spec.project, project_aspect, true).await {
        Ok(found) => found,
        Err(error) if error.kind == cluster::ErrorKind::MissingKind => None,
        Err(error) => return Err(error),
    };
    // Argo CD makes the project `default` when it starts; without it everything is allowed just as well.
    let project = match found {
        Some(found) => Project::new(found),
        None if spec.project == "default" => Project::everything(),
        None => {
            faults.push(format!("Application referencing project {} which does not exist", spec.project));
            return Ok((Project::everything(), faults));
        }
    };
    let store = pass.context.cluster.store().clone();
    let global = |name: &str| store.get(&names::key(names::APP_PROJECT, home, name)).map(Project::new);
    let project = installation.settings.inherit(project, global);
    for source in spec.sources.iter().filter(|source| !project.permits_source(source.repo_url())) {
        faults.push(format!(
            "application repo {} is not permitted in project '{}'",
            source.repo_url(),
            project.name()
        ));
    }
    let namespace = &spec.destination.namespace;
    let at = Destination { server: spec::IN_CLUSTER, name: spec::IN_CLUSTER_NAME, namespace };
    if spec.destination.is_in_cluster() && !project.permits_destination(&at) {
        faults.push(format!(
            "application destination server '{}' and namespace '{namespace}' do not match any of the allowed \
             destinations in project '{}'",
            spec::IN_CLUSTER,
            project.name()
        ));
    }
    if !project.permits_namespace(pass.namespace(), home) {
        faults.push(format!(
            "application '{}' in namespace '{}' is not permitted to use project '{}'",
            pass.name(),
            pass.namespace(),
            project.name()
        ));
    }
    Ok((project, faults))
}

/// What of a project decides: its spec, and the labels by which global projects select it.
fn project_aspect(object: Option<&Value>) -> String {
    let labels = object.and_then(|object| get(object, &["metadata", "labels"])).map(Value::to_string);
    format!("{} {}", controller::aspect::content(object), labels.unwrap_or_default())
}

/// A spec that cannot be worked with.
async fn refuse(pass: &mut Pass, faults: &[String]) -> Result<Outcome, cluster::Error> {
    let found: Vec<(&str, String)> = faults.iter().map(|fault| ("InvalidSpecError", fault.clone())).collect();
    pass.conditions(COMPARED, &found);
    pass.set(&["sync", "status"], json!("Unknown"));
    pass.set(&["sync", "comparedTo"], compared_to(&pass.object));
    set_health(pass, Status::Unknown);
    pass.refreshed();
    // Nobody will carry out what is asked of it as it stands.
    if let Some(operation) = get(&pass.object, &["operation"]).and_then(Operation::of) {
        pass.operation_state(&operation, "Error", &faults.join("; "), &[]);
        pass.operated();
    }
    pass.write().await?;
    let cause = Cause::new(faults.join("; "));
    Ok(Outcome { next: Next::Nothing, cause: Some(cause) })
}

/// What is wanted cannot be known now. What is live stays as it is: a failed read is never an empty one.
async fn unknown(pass: &mut Pass, message: &str, cause: Cause) -> Result<Outcome, cluster::Error> {
    pass.conditions(COMPARED, &[("ComparisonError", message.to_owned())]);
    pass.set(&["sync", "status"], json!("Unknown"));
    pass.set(&["sync", "comparedTo"], compared_to(&pass.object));
    if get(pass.status(), &["health", "status"]).is_none() {
        set_health(pass, Status::Unknown);
    }
    pass.refreshed();
    if let Some(operation) = get(&pass.object, &["operation"]).and_then(Operation::of) {
        pass.operation_state(&operation, "Error", message, &[]);
        pass.operated();
    }
    pass.write().await?;
    Ok(Outcome::retry(LONGEST_RETRY, cause))
}

fn compared_to(object: &Value) -> Value {
    let mut compared = json!({});
    for field in ["source", "sources", "destination", "ignoreDifferences"] {
        if let Some(value) = get(object, &["spec", field]) {
            compared[field] = value.clone();
        }
    }
    compared
}

fn set_health(pass: &mut Pass, status: Status) {
    let before = str_at(pass.status(), &["health", "status"]).to_owned();
    if before != status.as_str() {
        let now = pass.context.clock().stamp();
        pass.set(&["health"], json!({"status": status.as_str(), "lastTransitionTime": now}));
        if !before.is_empty() {
            let line = format!("Updated health status: {before} -> {}", status.as_str());
            pass.event(EventType::Normal, "ResourceUpdated", &line);
        }
    }
}

/// The rest of a pass, once it is known what is wanted.
struct Look<'a> {
    shared: &'a Arc<Shared>,
    frame: &'a Frame<'a>,
    spec: &'a Spec,
    loaded: Loaded,
}

/// How a round ended.
enum Round {
    /// All is said.
    Over(Outcome),
    /// Objects are still on their way.
    Moving(Cause),
}

impl Look<'_> {
    async fn at(&self, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
        let mut state = State::default();
        let targets = self.frame.targets(&pass.context, self.loaded.objects.clone(), &mut state).await?;
        let warnings = std::mem::take(&mut state.warnings);
        finalize::announce_hooks(pass, &targets).await?;
        let store = pass.context.cluster.store().clone();
        let started = pass.context.clock().now();
        let mut first = true;
        loop {
            state.warnings.clone_from(&warnings);
            state.shared.clear();
            let old = pass.status().clone();
            self.frame.compare(&pass.context, &targets, &old, &mut state).await?;
            let interest = store.interest(state.items.iter().map(|item| item.resource.key.clone()));
            let seen: Vec<(Key, String)> = state
                .items
                .iter()
                .map(|item| (item.resource.key.clone(), health::aspect(item.resource.live.as_ref())))
                .collect();
            let moving = match self.round(pass, &targets, &mut state, first).await? {
                Round::Over(outcome) => {
                    self.follow(pass, &state);
                    return Ok(outcome);
                }
                Round::Moving(cause) => cause,
            };
            first = false;
            let age = pass.context.clock().now().duration_since(started);
            if Duration::try_from(age).is_ok_and(|age| age > self.shared.options.refresh) {
                self.follow(pass, &state);
                return Ok(Outcome { next: Next::After(Duration::from_millis(1)), cause: Some(moving) });
            }
            // Whatever changed while the round went on is looked at without waiting.
            let same = |(key, text): &(Key, String)| health::aspect(store.get(key).as_ref()) == *text;
            if seen.iter().all(same) {
                tokio::select! {
                    () = pass.context.cancel.cancelled() => return Ok(Outcome::preempted()),
                    () = interest.changed() => {}
                    () = pass.context.clock().sleep(self.shared.options.refresh) => {}
                }
            }
            if !pass.context.sleep(BURST).await {
                return Ok(Outcome::preempted());
            }
        }
    }

    /// Has changes of the application's objects wake it.
    fn follow(&self, pass: &Pass, state: &State) {
        for item in &state.items {
            let seen = health::aspect(item.resource.live.as_ref());
            pass.context.follow(&item.resource.key, health::aspect, &seen);
        }
    }

    async fn round(
        &self,
        pass: &mut Pass,
        targets: &[(Key, Gvk, Value)],
        state: &mut State,
        first: bool,
    ) -> Result<Round, cluster::Error> {
        let asked = get(&pass.object, &["operation"]).filter(|_| first).and_then(Operation::of);
        let mut refused = None;
        let mut pause = None;
        let operation = match asked {
            Some(operation) => Some(operation),
            None => {
                let now = pass.context.clock().now();
                match decide::automated(self.spec, state, pass.status(), &self.loaded.revisions, now) {
                    Verdict::Nothing => None,
                    Verdict::Sync(operation) => Some(*operation),
                    Verdict::Later(time) => {
                        pause = Some(time);
                        None
                    }
                    Verdict::Refused(line) => {
                        refused = Some(line);
                        None
                    }
                }
            }
        };
        let operation = match operation {
            Some(operation) => match self.closed(pass, &operation) {
                None => Some(operation),
                Some((why, time)) if operation.automated => {
                    pass.context.progress(why);
                    pause = Some(time);
                    None
                }
                // Whoever asked for it is told, and it runs as soon as it may.
                Some((_, time)) => {
                    pass.operation_state(&operation, "Running", "Sync operation blocked by sync window", &[]);
                    pause = Some(time);
                    None
                }
            },
            None => None,
        };
        let mut failure = None;
        let synced = operation.is_some();
        if let Some(operation) = operation {
            match self.operate(pass, targets, state, &operation).await? {
                Ok(()) => {}
                Err(None) => return Ok(Round::Over(Outcome::preempted())),
                Err(Some(cause)) => failure = Some(cause),
            }
            let old = pass.status().clone();
            state.warnings.retain(|(kind, _)| *kind != "SharedResourceWarning");
            state.shared.clear();
            self.frame.compare(&pass.context, targets, &old, state).await?;
        }
        let health = self.conclude(pass, state, failure.as_ref(), refused.as_deref());
        if pass.context.cancel.is_cancelled() {
            return Ok(Round::Over(Outcome::preempted()));
        }
        if self.is_worth_writing(pass) {
            let _turn = if synced { None } else { self.shared.turn(&pass.context.clone()).await };
            pass.write().await?;
        }
        Ok(self.end(state, health, failure, refused, pause))
    }

    /// Why a window of the project forbids a sync now, and how long to wait.
    fn closed(&self, pass: &Pass, operation: &Operation) -> Option<(String, Duration)> {
        let windows = match self.frame.project.windows() {
            Ok(windows) => windows,
            Err(why) => return Some((why, self.shared.options.refresh)),
        };
        let namespace = &self.spec.destination.namespace;
        let destination = Destination { server: spec::IN_CLUSTER, name: spec::IN_CLUSTER_NAME, namespace };
        let windows = windows.about(&Subject { application: pass.name(), destination });
        let now = pass.context.clock().now().as_second();
        let running = str_at(pass.status(), &["operationState", "phase"]) == "Running";
        let began: Option<jiff::Timestamp> =
            str_at(pass.status(), &["operationState", "startedAt"]).parse().ok();
        let since = began.filter(|_| running).map(jiff::Timestamp::as_second);
        match windows.decide(now, !operation.automated, since) {
            Ok(Decision::Allowed) => None,
            Ok(Decision::Denied { reason, until }) => {
                let pause = until.and_then(|until| u64::try_from(until.saturating_sub(now)).ok());
                let longest = self.shared.options.refresh;
                Some((reason, pause.map_or(longest, |pause| Duration::from_secs(pause.max(1)).min(longest))))
            }
            Err(why) => Some((why, self.shared.options.refresh)),
        }
    }

    /// Carries out an operation, at the revisions and of the sources that it names.
    async fn operate(
        &self,
        pass: &mut Pass,
        targets: &[(Key, Gvk, Value)],
        state: &mut State,
        operation: &Operation,
    ) -> Result<Result<(), Option<Cause>>, cluster::Error> {
        let own: Vec<Value> = self.spec.sources.iter().map(|source| source.raw.clone()).collect();
        let sources = operation.sources().unwrap_or_else(|| own.clone());
        let named = operation.revisions();
        let pinned = !operation.automated && !named.is_empty() && named != self.loaded.revisions;
        if sources == own && !pinned {
            let job = sync::Job {
                frame: self.frame,
                spec: self.spec,
                operation,
                state,
                revisions: &self.loaded.revisions,
                sources: &own,
            };
            let _ = targets;
            return Ok(sync::sync(pass, &job).await);
        }
        let spec = Spec {
            sources: sources.iter().map(|raw| Source { raw: raw.clone() }).collect(),
            ..self.spec.clone()
        };
        let wanted = Wanted {
            sources: &spec.sources,
            revisions: &named,
            max_age: self.shared.options.refresh,
            build_options: &self.frame.installation.settings.kustomize_options,
        };
        let loaded = match load::load(self.shared, pass, &spec, &wanted).await {
            Ok(loaded) => loaded,
            Err(Fault::Preempted) => return Ok(Err(None)),
            Err(Fault::Failed(message, cause)) => {
                pass.operation_state(operation, "Error", &message, &[]);
                pass.operated();
                return Ok(Err(Some(cause)));
            }
        };
        let mut other = State::default();
        let targets = self.frame.targets(&pass.context, loaded.objects, &mut other).await?;
        let old = pass.status().clone();
        self.frame.compare(&pass.context, &targets, &old, &mut other).await?;
        let job = sync::Job {
            frame: self.frame,
            spec: &spec,
            operation,
            state: &other,
            revisions: &loaded.revisions,
            sources: &sources,
        };
        Ok(sync::sync(pass, &job).await)
    }

    /// Writes what was found into the status.
    fn conclude(
        &self,
        pass: &mut Pass,
        state: &State,
        failure: Option<&Cause>,
        refused: Option<&str>,
    ) -> (Status, Option<(Key, String)>) {
        pass.conditions(
            COMPARED,
            &state.warnings.iter().map(|(kind, line)| (*kind, line.clone())).collect::<Vec<_>>(),
        );
        let phase = str_at(pass.status(), &["operationState", "phase"]).to_owned();
        let automated =
            get(pass.status(), &["operationState", "operation", "initiatedBy", "automated"]).is_some();
        let sync_error = match (refused, failure) {
            (Some(line), _) => Some(line.to_owned()),
            (None, Some(cause)) if automated && phase == "Failed" => Some(format!(
                "Failed sync attempt to {}: {}",
                self.loaded.revisions.join(", "),
                cause.message
            )),
            _ => None,
        };
        pass.conditions(
            &["SyncError"],
            &sync_error.map(|line| ("SyncError", line)).into_iter().collect::<Vec<_>>(),
        );
        let mut compared = json!({
            "status": if state.is_synced() { "Synced" } else { "OutOfSync" },
            "comparedTo": compared_to(&pass.object),
        });
        let tools: Vec<&str> = self.loaded.tools.iter().map(|tool| tool.as_str()).collect();
        if self.spec.multiple {
            compared["revisions"] = json!(self.loaded.revisions);
            pass.set(&["sourceTypes"], json!(tools));
            pass.set(&["sourceType"], Value::Null);
        } else {
            compared["revision"] = json!(self.loaded.revisions.first());
            pass.set(&["sourceType"], json!(tools.first()));
            pass.set(&["sourceTypes"], Value::Null);
        }
        let before = str_at(pass.status(), &["sync", "status"]).to_owned();
        let now = str_at(&compared, &["status"]).to_owned();
        if !before.is_empty() && before != now {
            let line = format!("Updated sync status: {before} -> {now}");
            pass.event(EventType::Normal, "ResourceUpdated", &line);
        }
        pass.set(&["sync"], compared);
        let entries = state.entries();
        pass.set(&["resources"], if entries.is_empty() { Value::Null } else { Value::Array(entries) });
        let images = state.images();
        pass.set(&["summary"], if images.is_empty() { json!({}) } else { json!({"images": images}) });
        pass.set(&["controllerNamespace"], json!(self.shared.options.namespace));
        let own = pass.context.key.clone();
        let (status, why) = state.health(&own);
        set_health(pass, status);
        pass.refreshed();
        (status, why)
    }

    /// A new revision alone is no reason to write at once: a thousand Applications would, at every commit. It is
    /// written when the last look was long ago, or with whatever else there is to say.
    fn is_worth_writing(&self, pass: &mut Pass) -> bool {
        let mut before = get(&pass.object, &["status"]).cloned().unwrap_or(Value::Null);
        let mut after = pass.status().clone();
        for status in [&mut before, &mut after] {
            object::remove(status, &["sync", "revision"]);
            object::remove(status, &["sync", "revisions"]);
        }
        let now = pass.context.clock().now();
        let last: Option<jiff::Timestamp> = str_at(pass.status(), &["reconciledAt"]).parse().ok();
        let old = last.is_none_or(|last| {
            Duration::try_from(now.duration_since(last)).is_ok_and(|age| age >= self.shared.options.refresh)
        });
        let worth = before != after || !pass.is_as_read() && old;
        if worth || meta::annotation(&pass.object, names::REFRESH).is_some() {
            let stamp = pass.context.clock().stamp();
            pass.set(&["reconciledAt"], json!(stamp));
            return true;
        }
        false
    }

    fn end(
        &self,
        state: &State,
        health: (Status, Option<(Key, String)>),
        failure: Option<Cause>,
        refused: Option<String>,
        pause: Option<Duration>,
    ) -> Round {
        let refresh = self.shared.options.refresh;
        if let Some(cause) = failure {
            let ceiling = super::spec::Retry::of(self.spec.retry.as_ref(), 5).max;
            return Round::Over(Outcome::retry(ceiling, cause));
        }
        if let Some(line) = refused {
            return Round::Over(Outcome { next: Next::After(refresh), cause: Some(Cause::new(line)) });
        }
        if let Some(pause) = pause {
            let line = format!("the next sync is not before {} s have passed", pause.as_secs());
            let cause = Cause::new(line);
            return Round::Over(Outcome { next: Next::After(pause.min(refresh)), cause: Some(cause) });
        }
        let leaving = state.items.iter().find(|item| {
            item.is_extra()
                && item.resource.live.as_ref().is_some_and(|live| meta::deletion_timestamp(live).is_some())
        });
        let cause = |key: &Key, line: String| Cause { object: Some(key.clone()), ..Cause::new(line) };
        match (health, leaving) {
            ((Status::Progressing, Some((key, why))), _) => {
                Round::Moving(cause(&key, format!("{key}: {why}")))
            }
            (_, Some(leaving)) => {
                let key = &leaving.resource.key;
                Round::Moving(cause(key, format!("{key} is being deleted")))
            }
            ((status @ (Status::Degraded | Status::Unknown), Some((key, why))), _) => {
                let line = format!("{}: {key}: {why}", status.as_str());
                Round::Over(Outcome { next: Next::After(refresh), cause: Some(cause(&key, line)) })
            }
            _ => Round::Over(Outcome::after(refresh)),
        }
    }
}
