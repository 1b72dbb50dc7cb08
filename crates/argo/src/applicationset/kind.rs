//! ApplicationSet as a kind of the engine: asks, generates, and makes its Applications so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Delete, PatchKind, PatchOptions};
use controller::{Cause, Context, Description, Kind, ObjectRef, Outcome, Ready};
use futures::future::BoxFuture;
use object::{Gvk, Key, Value, get, get_str, meta};
use serde_json::json;

use super::answers::Known;
use super::policy::{self, Policy, Step};
use super::rolling::{self, Turn};
use super::status::Status;
use super::{Answer, Error, Generated, Question, Sight, deletion, generate};
use crate::installation::Installation;
use crate::names::{self, APPLICATION, APPLICATION_SET, GROUP, VERSION};
use crate::options::Shared;
use crate::settings::{Parameters, SetParameters};

/// Who writes Applications and the set's status.
pub(super) const MANAGER: &str = "argocd-applicationset-controller";
/// Asks for a look at a set.
pub(super) use crate::names::SET_REFRESH as REFRESH;
/// How often a set is looked at when its generators do not say.
const EVERY: Duration = Duration::from_secs(180);
/// How often forges and plugins are asked when their generators do not say.
const SELDOM: Duration = Duration::from_secs(1800);
/// How often answers to questions may lead to new questions.
const ROUNDS: usize = 16;

/// The kind.
pub struct ApplicationSets {
    pub(super) shared: Arc<Shared>,
    pub(super) known: Known,
}

impl ApplicationSets {
    /// With what all kinds share.
    pub fn new(shared: Arc<Shared>) -> ApplicationSets {
        ApplicationSets { shared, known: Known::default() }
    }
}

fn conditions(object: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let list = get(object, &["status", "conditions"]).and_then(Value::as_array).into_iter().flatten();
    list.map(|one| {
        (get_str(one, &["type"]).unwrap_or_default(), get_str(one, &["status"]).unwrap_or_default(), one)
    })
}

impl Kind for ApplicationSets {
    fn gvk(&self) -> Gvk {
        names::gvk(APPLICATION_SET)
    }

    fn describe(&self, object: &Value) -> Description {
        let text = |one: &Value, key: &str| get_str(one, &[key]).unwrap_or_default().to_owned();
        let mut description = Description { observed: true, ..Description::default() };
        for (kind, status, one) in conditions(object) {
            match (kind, status) {
                ("ErrorOccurred", "True") => {
                    description.ready = Ready::False;
                    (description.reason, description.message) = (text(one, "reason"), text(one, "message"));
                    break;
                }
                ("ResourcesUpToDate", "True") => {
                    description.ready = Ready::True;
                    (description.reason, description.message) = (text(one, "reason"), text(one, "message"));
                }
                _ => {}
            }
        }
        let resources = get(object, &["status", "resources"]).and_then(Value::as_array);
        description.inventory = resources
            .into_iter()
            .flatten()
            .map(|entry| ObjectRef {
                key: Key::new(GROUP, APPLICATION, text(entry, "namespace"), text(entry, "name")),
                version: VERSION.to_owned(),
            })
            .collect();
        description
    }

    fn trigger(&self, object: &Value) -> String {
        let part = |field: &str| get(object, &[field]).map(Value::to_string).unwrap_or_default();
        format!(
            "{} {} {} {}",
            meta::uid(object),
            part("spec"),
            meta::deletion_timestamp(object).unwrap_or_default(),
            meta::annotation(object, REFRESH).unwrap_or_default(),
        )
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            match self.pass(&context, &object).await {
                Ok(outcome) => outcome,
                Err(_) if context.cancel.is_cancelled() => Outcome::preempted(),
                Err(error) => Outcome::retry(Duration::from_secs(300), Cause::new(error.to_string())),
            }
        })
    }
}

/// How often a set is to be looked at: as its most impatient generator says. Who asks others asks them seldom.
pub(super) fn interval(set: &Value, parameters: &SetParameters) -> Duration {
    fn least(value: &Value, every: Duration, found: &mut Option<Duration>) {
        match value {
            Value::Object(map) => {
                for (name, spec) in map {
                    let default = match name.as_str() {
                        "git" | "clusterDecisionResource" => Some(every),
                        "scmProvider" | "pullRequest" | "plugin" => Some(SELDOM),
                        _ => None,
                    };
                    let seconds = spec.get("requeueAfterSeconds").and_then(Value::as_u64).filter(|s| *s > 0);
                    let own = default.map(|default| seconds.map_or(default, Duration::from_secs));
                    *found = found.iter().copied().chain(own).min();
                    if name != "template" {
                        least(spec, every, found);
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|value| least(value, every, found)),
            _ => {}
        }
    }
    let mut found = None;
    let every = parameters.requeue.unwrap_or(EVERY);
    least(get(set, &["spec", "generators"]).unwrap_or(&Value::Null), every, &mut found);
    found.unwrap_or(every)
}

impl ApplicationSets {
    async fn pass(&self, context: &Context, set: &Value) -> Result<Outcome, cluster::Error> {
        let installation = Installation::read(context, &self.shared.options.namespace).await?;
        let parameters = &installation.parameters;
        if meta::deletion_timestamp(set).is_some() {
            return deletion::delete(context, set, &parameters.sets).await;
        }
        deletion::keep_order(context, set).await?;
        let namespace = meta::namespace(set).unwrap_or_default();
        let application = names::gvk(APPLICATION);
        context.watch(&application).await?;
        let mut status = Status::new(set, context.clock().stamp());
        let generated = match self.generated(context, set, parameters).await? {
            Ok(generated) => generated,
            Err(error) => {
                status.failed(error.reason(), &error.to_string());
                self.write(context, set, status).await?;
                return Ok(Outcome::retry(EVERY, Cause::new(error.to_string())));
            }
        };
        let existing: Vec<Value> = context
            .cluster
            .store()
            .list(GROUP, APPLICATION)
            .into_iter()
            .filter(|found| meta::namespace(found) == Some(namespace))
            .collect();
        let mut desired = generated.applications;
        let mut turns = Vec::new();
        if rolling::is_rolling(set) {
            desired.iter_mut().for_each(rolling::hold);
            turns = self.turns(context, set, &desired, &existing);
        }
        let policy = Policy::of(set, parameters.sets.policy, parameters.sets.may_override);
        let kept = policy::Kept::of(set, &parameters.sets);
        let steps = match policy::plan(set, &desired, &existing, policy, &kept) {
            Ok(_) if parameters.sets.dry_run => Vec::new(),
            Ok(steps) => steps,
            Err(why) => {
                status.failed("UpdateApplicationError", &why);
                self.write(context, set, status).await?;
                return Ok(Outcome::retry(EVERY, Cause::new(why)));
            }
        };
        let failures = self.carry_out(context, namespace, steps).await;
        for wanted in &desired {
            if let Ok(key) = Key::of(wanted) {
                context.follow(&key, corrected, &corrected(context.cluster.store().get(&key).as_ref()));
            }
        }
        self.start_syncs(context, namespace, &existing, &turns).await?;
        match failures.first() {
            Some(first) => status.failed("UpdateApplicationError", first),
            None => status.succeeded(&turns, rolling::is_rolling(set)),
        }
        status.resources(&desired, &existing, parameters.sets.most_resources);
        status.turns(&turns);
        self.write(context, set, status).await?;
        Ok(match failures.into_iter().next() {
            Some(first) => Outcome::retry(Duration::from_secs(60), Cause::new(first)),
            None => Outcome::after(interval(set, &parameters.sets)),
        })
    }

    /// Generates, and finds out what generators ask for until there is nothing left to ask.
    async fn generated(
        &self,
        context: &Context,
        set: &Value,
        parameters: &Parameters,
    ) -> Result<Result<Generated, Error>, cluster::Error> {
        let mut answers: BTreeMap<Question, Result<Answer, String>> = BTreeMap::new();
        let now = context.clock().now().as_second();
        for _ in 0..ROUNDS {
            let (owned, known) = (set.clone(), answers.clone());
            let sight = Sight {
                new_globbing: parameters.sets.new_globbing,
                hidden_folders: parameters.hidden_folders,
            };
            let done = context.compute(move || generate(&owned, &known, sight, now)).await;
            let done = match done {
                Ok(done) => done,
                Err(why) => Err(Error::Generator(why)),
            };
            let Err(Error::Needs(questions)) = done else { return Ok(done) };
            for question in questions {
                let answer = self.answer(context, set, &question, parameters).await?;
                answers.insert(question, answer);
            }
        }
        Ok(Err(Error::Generator(format!("the generators still ask after {ROUNDS} rounds of answers"))))
    }

    /// The turns of a rolling set; it runs again when one of its Applications moves.
    fn turns(&self, context: &Context, set: &Value, desired: &[Value], existing: &[Value]) -> Vec<Turn> {
        let live: Vec<Value> = desired
            .iter()
            .filter_map(|wanted| {
                existing.iter().find(|found| meta::name(found) == meta::name(wanted)).cloned()
            })
            .collect();
        for application in &live {
            if let Ok(key) = Key::of(application) {
                context.follow(&key, progress, &progress(Some(application)));
            }
        }
        let written = get(set, &["status", "applicationStatus"]).and_then(Value::as_array);
        rolling::decide(set, &live, written.map_or(&[], Vec::as_slice))
    }

    async fn carry_out(&self, context: &Context, namespace: &str, steps: Vec<Step>) -> Vec<String> {
        let mut failures = Vec::new();
        for step in steps {
            if context.cancel.is_cancelled() {
                break;
            }
            let done = match &step {
                Step::Create(application) => context.cluster.create(application, MANAGER).await.map(|_| ()),
                Step::Update(application) => context.cluster.replace(application, MANAGER).await.map(|_| ()),
                Step::Delete(name) => {
                    let gvk = names::gvk(APPLICATION);
                    context.cluster.delete(&gvk, namespace, name, &Delete::default()).await.map(|_| ())
                }
                Step::Foreign(name) => {
                    failures.push(format!(
                        "Application {name} belongs to another owner: nothing is done with it"
                    ));
                    Ok(())
                }
            };
            if let Err(error) = done {
                failures.push(error.to_string());
            }
        }
        failures
    }

    /// Asks for the syncs of Applications whose turn it is.
    async fn start_syncs(
        &self,
        context: &Context,
        namespace: &str,
        existing: &[Value],
        turns: &[Turn],
    ) -> Result<(), cluster::Error> {
        for turn in turns.iter().filter(|turn| turn.sync) {
            let found = existing.iter().find(|application| meta::name(application) == turn.application);
            let Some(application) = found.filter(|application| application.get("operation").is_none()) else {
                continue;
            };
            let running = get_str(application, &["status", "operationState", "phase"]) == Some("Running");
            if running {
                continue;
            }
            let options =
                get(application, &["spec", "syncPolicy", "syncOptions"]).cloned().unwrap_or(json!([]));
            let patch = json!({ "operation": {
                "initiatedBy": { "username": "applicationset-controller", "automated": true },
                "info": [{ "name": "Reason", "value": "ApplicationSet RollingSync triggered a sync of this Application resource" }],
                "sync": { "syncOptions": options },
            } });
            let write = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
            let gvk = names::gvk(APPLICATION);
            context
                .cluster
                .patch(&gvk, namespace, &turn.application, PatchKind::Merge, &patch, &write)
                .await?;
        }
        Ok(())
    }

    async fn write(&self, context: &Context, set: &Value, status: Status) -> Result<(), cluster::Error> {
        let gvk = names::gvk(APPLICATION_SET);
        let (namespace, name) = (meta::namespace(set).unwrap_or_default(), meta::name(set));
        let old = set.get("status").cloned().unwrap_or_else(|| json!({}));
        if status.value != old {
            let patch = json!({ "status": object::merge_patch::diff(&old, &status.value) });
            let write = PatchOptions {
                manager: MANAGER.into(),
                subresource: "status".into(),
                ..PatchOptions::default()
            };
            let done = context.cluster.patch(&gvk, namespace, name, PatchKind::Merge, &patch, &write).await;
            match done {
                // Deleted meanwhile: nobody is left to read it.
                Err(error) if error.kind == cluster::ErrorKind::NotFound => return Ok(()),
                done => done?,
            };
        }
        if meta::annotation(set, REFRESH).is_some() {
            let patch = json!({ "metadata": { "annotations": { REFRESH: null } } });
            let write = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
            context.cluster.patch(&gvk, namespace, name, PatchKind::Merge, &patch, &write).await?;
        }
        Ok(())
    }
}

/// What of an Application the set corrects when others change it, and how it is: the set's status tells of it.
fn corrected(object: Option<&Value>) -> String {
    let Some(found) = object else { return "absent".to_owned() };
    let part = |path: &[&str]| get(found, path).map(Value::to_string).unwrap_or_default();
    format!("{} {} {} {}", meta::uid(found), part(&["metadata", "labels"]), part(&["spec"]), progress(object))
}

/// What of an Application moves a rolling set on.
fn progress(object: Option<&Value>) -> String {
    let Some(object) = object else { return String::new() };
    let text = |path: &[&str]| get_str(object, path).unwrap_or_default();
    format!(
        "{} {} {} {}",
        text(&["status", "sync", "status"]),
        text(&["status", "sync", "revision"]),
        text(&["status", "health", "status"]),
        text(&["status", "operationState", "phase"]),
    )
}
