//! One pass over an Application.

mod admit;
mod report;

use std::sync::Arc;
use std::time::Duration;

use controller::{Cause, Context, Next, Outcome};
use delivery::fields::str_at;
use object::{Gvk, Key, Value, get, meta};

use super::decide::{self, Verdict};
use super::load::{self, Fault, Loaded, Wanted};
use super::pass::Pass;
use super::spec::{self, Source, Spec};
use super::state::{Asking, Difference, Frame, State};
use super::{finalize, hydrate, sync};
use crate::diff::Rules;
use crate::health::{self, Status};
use crate::installation::Installation;
use crate::names;
use crate::options::Shared;
use crate::project::{Decision, Signers, Subject};
use crate::sync::operation::Operation;

/// The longest pause between two tries.
const LONGEST_RETRY: Duration = Duration::from_secs(180);
/// When to look again at what was not as it was left right after a sync.
const AFTERMATH: Duration = Duration::from_secs(1);
/// Changes of live objects come in bursts.
const BURST: Duration = Duration::from_millis(20);

/// Tells what a sync would change; nothing is written. `None`: something newer came.
pub(super) async fn look(
    shared: &Arc<Shared>,
    context: Context,
    object: Value,
    revisions: Vec<String>,
) -> Option<Result<Vec<Difference>, String>> {
    let mut pass = Pass::looking(context, object, revisions);
    let done = whole(shared, &mut pass).await;
    let found = pass.look.take().and_then(|look| look.found);
    match (found, done) {
        (Some(found), _) => Some(Ok(found)),
        _ if pass.context.cancel.is_cancelled() => None,
        (None, Ok(outcome)) => {
            let why = outcome.cause.map(|cause| cause.line_text());
            Some(Err(why.unwrap_or_else(|| "it is being deleted".to_owned())))
        }
        (None, Err(error)) => Some(Err(error.to_string())),
    }
}

pub(super) async fn reconcile(shared: &Arc<Shared>, context: Context, object: Value) -> Outcome {
    let mut pass = Pass::new(context, object);
    let done = whole(shared, &mut pass).await;
    pass.outcome(done, LONGEST_RETRY)
}

async fn whole(shared: &Arc<Shared>, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
    let installation = Installation::read(&pass.context, &shared.options.namespace).await?;
    let problems = installation.settings.problems.iter().chain(&installation.parameters.problems);
    shared.tell(problems);
    let looks = pass.look.as_ref().map(|look| look.revisions.clone());
    if meta::deletion_timestamp(&pass.object).is_some() {
        if looks.is_some() {
            return Ok(Outcome::done());
        }
        return finalize::finalize(shared, pass, &installation).await;
    }
    if meta::annotation(&pass.object, names::SKIP_RECONCILE) == Some("true") && looks.is_none() {
        return Ok(Outcome::done());
    }
    let spec = Spec::of(&pass.object);
    let (project, site, faults) = admit::faults(shared, pass, &spec, &installation).await?;
    let mut unreadable = None;
    let rules = match Rules::parse(get(&pass.object, &["spec", "ignoreDifferences"])) {
        Ok(mut rules) => {
            rules.0.extend(installation.settings.ignored.iter().cloned());
            rules
        }
        Err(why) => {
            unreadable = Some(format!("Failed to compare desired state to live state: {why}"));
            Rules::default()
        }
    };
    let Some(site) = site.filter(|_| faults.is_empty()) else {
        return report::refuse(pass, &faults).await;
    };
    if let Some(line) = unreadable {
        return report::unknown(pass, &line, Cause::new(line.clone())).await;
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
            Some(every) => every,
            None => shared.options.refresh,
        },
    };
    let hydrated = hydrate::hydrate(shared, pass, &project, &site, &installation, max_age).await;
    let max_age = match hydrated {
        Ok(false) => max_age,
        // What was just committed is wanted.
        Ok(true) => Duration::ZERO,
        Err(()) => return Ok(Outcome::preempted()),
    };
    let signers = admit::signers(shared, pass, &project).await?;
    let wanted = Wanted {
        sources: &spec.sources,
        first: 0,
        revisions: looks.as_deref().unwrap_or_default(),
        max_age,
        installation: &installation,
        signers: Some(&signers),
        site: &site,
    };
    let loaded = match load::load(shared, pass, &spec, &wanted).await {
        Ok(loaded) => loaded,
        Err(Fault::Preempted) => return Ok(Outcome::preempted()),
        Err(Fault::Failed(message, cause)) => return report::unknown(pass, &message, cause).await,
    };
    let instance = spec::instance(&pass.object, &shared.options.namespace);
    let frame = Frame {
        shared,
        site: &site,
        spec: &spec,
        instance: &instance,
        installation: &installation,
        rules,
        project,
        asking: Asking::of(&pass.object, installation.parameters.server_side_diff),
    };
    let done = Look { signers, shared, frame: &frame, spec: &spec, loaded }.at(pass).await;
    match done {
        // What another cluster does not tell is a word about that cluster.
        Err(error) if !site.is_own() && !pass.context.cancel.is_cancelled() => {
            let message = format!("Failed to load live state of {}: {error}", site.server);
            report::unknown(pass, &message, Cause::new(message.clone())).await
        }
        done => done,
    }
}

/// The rest of a pass, once it is known what is wanted.
struct Look<'a> {
    signers: Signers,
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
        let context = self.frame.site.look(&pass.context);
        let mut state = State::default();
        let targets = self.frame.targets(&context, self.loaded.objects.clone(), &mut state).await?;
        let warnings = std::mem::take(&mut state.warnings);
        finalize::announce_hooks(pass, &targets).await?;
        let store = self.frame.site.cluster.store().clone();
        let started = pass.context.clock().now();
        let mut first = true;
        loop {
            state.warnings.clone_from(&warnings);
            state.shared.clear();
            let old = pass.status().clone();
            self.frame.compare(&context, &targets, &old, &mut state).await?;
            if let Some(look) = &mut pass.look {
                look.found = Some(self.frame.differences(&state).await?);
                return Ok(Outcome::done());
            }
            let interest = store.interest(state.followed().map(|resource| resource.key.clone()));
            let seen: Vec<(Key, String)> = state
                .followed()
                .map(|resource| (resource.key.clone(), health::aspect(resource.live.as_ref())))
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
        let context = self.frame.site.look(&pass.context);
        for resource in state.followed() {
            let seen = health::aspect(resource.live.as_ref());
            context.follow(&resource.key, health::aspect, &seen);
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
                let healing = self.frame.installation.parameters.healing;
                let revisions = &self.loaded.revisions;
                match decide::automated(self.spec, state, pass.status(), revisions, healing, now) {
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
            match self.operate(pass, state, &operation).await? {
                Ok(()) => {}
                Err(None) => return Ok(Round::Over(Outcome::preempted())),
                Err(Some(cause)) => failure = Some(cause),
            }
            let old = pass.status().clone();
            state.warnings.retain(|(kind, _)| *kind != "SharedResourceWarning");
            state.shared.clear();
            self.frame.compare(&self.frame.site.look(&pass.context), targets, &old, state).await?;
        }
        // Somebody was at it between the sync and the look after it: nothing else would wake us.
        if synced
            && failure.is_none()
            && !state.is_synced()
            && self.spec.automated.is_some_and(|policy| policy.self_heal)
        {
            pause = pause.or(Some(AFTERMATH));
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
        let destination = self.frame.site.at(namespace);
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

    /// The cluster as it is written to: with impersonation as the service account of the destination.
    fn actor(&self) -> Result<cluster::Cluster, String> {
        let cluster = self.frame.site.cluster.clone();
        if !self.frame.installation.settings.impersonation {
            return Ok(cluster);
        }
        let at = self.frame.site.at(&self.spec.destination.namespace);
        let account = self.frame.project.service_account(&at)?;
        match account {
            Some((namespace, name)) => {
                Ok(cluster.as_user(&format!("system:serviceaccount:{namespace}:{name}")))
            }
            None if !self.frame.installation.settings.enforced => Ok(cluster),
            None => Err(format!(
                "no matching service account found for destination server {} and namespace {}",
                at.server, at.namespace
            )),
        }
    }

    /// Carries out an operation, at the revisions and of the sources that it names.
    async fn operate(
        &self,
        pass: &mut Pass,
        state: &mut State,
        operation: &Operation,
    ) -> Result<Result<(), Option<Cause>>, cluster::Error> {
        let cluster = match self.actor() {
            Ok(cluster) => cluster,
            Err(why) => {
                pass.operation_state(operation, "Error", &why, &[]);
                pass.operated();
                return Ok(Err(Some(Cause::new(why))));
            }
        };
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
                cluster: &cluster,
            };
            return Ok(sync::sync(pass, &job).await);
        }
        let spec = Spec {
            sources: sources.iter().map(|raw| Source { raw: raw.clone() }).collect(),
            ..self.spec.clone()
        };
        let wanted = Wanted {
            sources: &spec.sources,
            first: 0,
            revisions: &named,
            max_age: self.shared.options.refresh,
            installation: self.frame.installation,
            signers: Some(&self.signers),
            site: self.frame.site,
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
        let context = self.frame.site.look(&pass.context);
        let targets = self.frame.targets(&context, loaded.objects, &mut other).await?;
        let old = pass.status().clone();
        self.frame.compare(&context, &targets, &old, &mut other).await?;
        let job = sync::Job {
            frame: self.frame,
            spec: &spec,
            operation,
            state: &other,
            revisions: &loaded.revisions,
            sources: &sources,
            cluster: &cluster,
        };
        Ok(sync::sync(pass, &job).await)
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
