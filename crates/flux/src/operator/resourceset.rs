//! ResourceSet: render, apply, prune, wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, EventType, ListOptions};
use controller::{Cause, Context, Description, Kind, Outcome, Relation, WaitError, aspect, wait_for};
use futures::future::BoxFuture;
use object::{Gvk, Key, Value, get, meta};
use plan::{Action, Marks, ObjectRef};
use serde_json::json;

use super::template::Step;
use super::{GROUP, MANAGER, configs, every, gvk, inputs, is_disabled, template};
use crate::apply::{self, Applier, Desired};
use crate::common::{
    self, Pass, format_duration, is_true, namespace_of, observed, parse_duration, sha256, str_at, string_map,
};
use crate::kustomization::APPROVE_DELETIONS;
use crate::options::Shared;
use crate::{cel, health};

pub(super) struct ResourceSets {
    pub shared: Arc<Shared>,
}

impl Kind for ResourceSets {
    fn gvk(&self) -> Gvk {
        gvk("ResourceSet")
    }

    fn describe(&self, object: &Value) -> Description {
        let mut description = common::describe(object);
        description.suspended = is_disabled(object);
        description.revision = object::get_str(object, &["status", "lastAppliedRevision"]).map(str::to_owned);
        description.inventory =
            ObjectRef::parse_entries(get(object, &["status", "inventory"])).unwrap_or_default();
        let namespace = meta::namespace(object).unwrap_or_default();
        for entry in get(object, &["spec", "inputsFrom"]).and_then(Value::as_array).into_iter().flatten() {
            let name = str_at(entry, &["name"]);
            if !name.is_empty() {
                let key = Key::new(GROUP, "ResourceSetInputProvider", namespace, name);
                description.edges.push((Relation::Source, key));
            }
        }
        for (gvk, key, _) in dependencies(object) {
            let key = Key { group: gvk.group, ..key };
            description.edges.push((Relation::DependsOn, key));
        }
        description
    }

    fn trigger(&self, object: &Value) -> String {
        super::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let mut pass = Pass::new(context, object, MANAGER);
            let done = self.whole(&mut pass).await;
            pass.outcome(done, Duration::from_secs(300))
        })
    }
}

/// A pass that did not succeed.
pub(super) enum Stop {
    Api(cluster::Error),
    Preempted,
    Failed(&'static str, String, Cause),
    Waiting(String, Cause),
    Stalled(&'static str, String),
}

impl From<cluster::Error> for Stop {
    fn from(error: cluster::Error) -> Stop {
        Stop::Api(error)
    }
}

fn failed(reason: &'static str, message: impl Into<String>) -> Stop {
    let message = message.into();
    Stop::Failed(reason, message.clone(), Cause::new(message))
}

fn marks(object: &Value) -> Marks {
    Marks {
        group: format!("resourceset.{GROUP}"),
        name: meta::name(object).into(),
        namespace: meta::namespace(object).unwrap_or_default().into(),
    }
}

/// What must be there before: kind, key, and the entry of the spec.
fn dependencies(object: &Value) -> Vec<(Gvk, Key, Value)> {
    let list = get(object, &["spec", "dependsOn"]).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|entry| {
            let gvk = Gvk::from_api_version(str_at(entry, &["apiVersion"]), str_at(entry, &["kind"]));
            let namespace = namespace_of(object, str_at(entry, &["namespace"]));
            let key = Key::new(gvk.group.clone(), gvk.kind.clone(), namespace, str_at(entry, &["name"]));
            (gvk, key, entry.clone())
        })
        .collect()
}

impl ResourceSets {
    async fn whole(&self, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
        const EVERY: Duration = Duration::from_secs(3600);
        if pass.is_deleted() {
            return self.finalize(pass).await;
        }
        pass.ensure_finalizer().await?;
        if is_disabled(&pass.object) {
            return Ok(Outcome::done());
        }
        let started = pass.context.clock().now();
        let before = pass.ready_message();
        let outcome = match self.steps(pass).await {
            Ok(changed) => {
                let took = pass.context.clock().now().duration_since(started);
                let took = format_duration(Duration::try_from(took).unwrap_or_default());
                // The line changes only when something was done: nobody needs a write to read how long it took.
                let message = match !changed && is_true(&pass.object, "Ready") {
                    true => before,
                    false => format!("Reconciliation finished in {took}"),
                };
                pass.succeed("ReconciliationSucceeded", &message);
                if changed {
                    pass.event(EventType::Normal, "ReconciliationSucceeded", &message, "");
                }
                Outcome::after(every(&pass.object, "reconcileEvery", EVERY))
            }
            Err(Stop::Preempted) => return Ok(Outcome::preempted()),
            Err(Stop::Api(error)) => return Err(error),
            Err(Stop::Failed(reason, message, cause)) => {
                pass.refuse(reason, &message, false, &before);
                Outcome::retry(Duration::from_secs(300), cause)
            }
            Err(Stop::Waiting(message, cause)) => {
                pass.wait("DependencyNotReady", &message);
                Outcome::wait(Duration::from_secs(30), cause)
            }
            Err(Stop::Stalled(reason, message)) => {
                pass.refuse(reason, &message, true, &before);
                Outcome { next: controller::Next::Nothing, cause: Some(Cause::new(message)) }
            }
        };
        pass.write().await?;
        Ok(outcome)
    }

    /// Says whether anything was changed.
    async fn steps(&self, pass: &mut Pass) -> Result<bool, Stop> {
        self.check_dependencies(pass).await?;
        let providers = self.providers(pass).await?;
        let spec = pass.object.get("spec").cloned().unwrap_or_default();
        let from_providers =
            get(&spec, &["inputsFrom"]).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        let rounds = inputs::combine(&pass.object, &providers)
            .map_err(|why| Stop::Stalled("BuildFailed", format!("failed to combine inputs: {why}")))?;
        let now = pass.context.clock().now().as_second();
        // Providers that export nothing mean: nothing, not once without inputs.
        let steps = if rounds.is_empty() && from_providers {
            Vec::new()
        } else {
            let work = move || template::build(&spec, &rounds, now);
            let done = pass.context.compute(work).await.map_err(|why| failed("BuildFailed", why))?;
            done.map_err(|why| failed("BuildFailed", format!("build failed: {why}")))?
        };
        let Some(cluster) = self.impersonated(pass).await? else {
            let name = str_at(&pass.object, &["spec", "serviceAccountName"]);
            return Err(failed("ReconciliationFailed", format!("service account '{name}' not found")));
        };
        self.apply(pass, cluster, steps).await
    }

    async fn check_dependencies(&self, pass: &Pass) -> Result<(), Stop> {
        let mut blocked = None;
        for (gvk, key, entry) in dependencies(&pass.object) {
            let place = format!("{}/{}/{}", gvk.kind, key.namespace, key.name);
            // A kind without namespaces has its objects under no namespace.
            let namespace = match pass.context.cluster.resource(&gvk).await {
                Ok(resource) if !resource.namespaced => "",
                _ => key.namespace.as_str(),
            };
            let found = match pass.context.read(&gvk, namespace, &key.name, aspect::version, false).await {
                Ok(found) => found,
                Err(error) if error.kind == cluster::ErrorKind::MissingKind => None,
                Err(error) => return Err(error.into()),
            };
            let by = |why: String| Cause { via: Some(key.clone()), ..Cause::new(why) };
            if blocked.is_some() {
                continue;
            }
            let Some(found) = found else {
                let why = format!("dependency {place} not found");
                blocked = Some(Stop::Waiting(why.clone(), by(why)));
                continue;
            };
            let expression = str_at(&entry, &["readyExpr"]);
            let ready = if !expression.is_empty() {
                let variables: Vec<(&str, &Value)> = cel::fields(&found);
                cel::boolean(expression, &variables)
                    .map_err(|error| Stop::Stalled("InvalidExpression", error.to_string()))?
            } else if entry.get("ready") == Some(&json!(true)) {
                (observed(&found) || found.pointer("/status/observedGeneration").is_none())
                    && is_true(&found, "Ready")
            } else {
                true
            };
            if !ready {
                let why = format!("dependency {place} not ready");
                blocked = Some(Stop::Waiting(why.clone(), by(why)));
            }
        }
        blocked.map_or(Ok(()), Err)
    }

    /// The providers that the spec names or selects, each once, by name.
    async fn providers(&self, pass: &Pass) -> Result<Vec<Value>, Stop> {
        let gvk = gvk("ResourceSetInputProvider");
        let mut found: BTreeMap<String, Value> = BTreeMap::new();
        for entry in
            get(&pass.object, &["spec", "inputsFrom"]).and_then(Value::as_array).into_iter().flatten()
        {
            let mut names = Vec::new();
            match (str_at(entry, &["name"]), entry.get("selector")) {
                ("", Some(selector)) => {
                    let selector = object::selector::LabelSelector::from_object(selector)
                        .map_err(|error| Stop::Stalled("InvalidSelector", error.to_string()))?;
                    pass.context.watch(&gvk).await?;
                    // One that is made later may be meant, too.
                    pass.context.any(&gvk.group, &gvk.kind);
                    let options =
                        ListOptions { namespace: pass.namespace().to_owned(), ..ListOptions::default() };
                    for one in pass.context.cluster.list(&gvk, &options).await? {
                        // All are inputs, so that one that gets the label is noticed.
                        names.push((meta::name(&one).to_owned(), selector.matches(meta::labels(&one))));
                    }
                }
                (name, _) => names.push((name.to_owned(), true)),
            }
            for (name, wanted) in names {
                let provider = pass.context.read(&gvk, pass.namespace(), &name, exported, true).await?;
                if !wanted {
                    continue;
                }
                let key = Key::new(GROUP, "ResourceSetInputProvider", pass.namespace(), name.as_str());
                let by =
                    |why: String| Stop::Waiting(why.clone(), Cause { via: Some(key), ..Cause::new(why) });
                let Some(provider) = provider else {
                    return Err(by(format!("input provider {}/{name} not found", pass.namespace())));
                };
                if !is_true(&provider, "Ready") {
                    return Err(by(format!("input provider {}/{name} not ready", pass.namespace())));
                }
                found.insert(name, provider);
            }
        }
        Ok(found.into_values().collect())
    }

    async fn impersonated(&self, pass: &Pass) -> Result<Option<Cluster>, cluster::Error> {
        pass.impersonated(self.shared.options.default_service_account.as_deref()).await
    }

    /// Applies the steps one after the other; deletes what is no longer wanted when all are applied.
    async fn apply(&self, pass: &mut Pass, cluster: Cluster, mut steps: Vec<Step>) -> Result<bool, Stop> {
        let marks = marks(&pass.object);
        let labels = string_map(&pass.object, &["spec", "commonMetadata", "labels"]);
        let annotations = string_map(&pass.object, &["spec", "commonMetadata", "annotations"]);
        let mut objects: Vec<&mut Value> = steps.iter_mut().flat_map(|step| &mut step.objects).collect();
        configs::fill(pass, &mut objects).await?;
        for object in objects {
            marks.claim(object);
            labels.iter().for_each(|(key, value)| meta::set_label(object, key, value));
            annotations.iter().for_each(|(key, value)| meta::set_annotation(object, key, value));
        }
        let context = pass.context.clone();
        let applier = Applier {
            context: &context,
            cluster,
            manager: MANAGER,
            memory: &self.shared.memory,
            take_over: true,
        };
        let old = ObjectRef::parse_entries(get(&pass.object, &["status", "inventory"]))
            .map_err(|error| failed("ReconciliationFailed", error.to_string()))?;
        let many = steps.len() > 1;
        let mut inventory: Vec<ObjectRef> = Vec::new();
        let mut log = Vec::new();
        let all: Vec<Value> = steps.iter().flat_map(|step| step.objects.clone()).collect();
        for step in &steps {
            let (applied, lines) = self.apply_step(pass, &applier, &marks, step).await?;
            log.extend(lines);
            let wait = common::bool_at(&pass.object, &["spec", "wait"]) || many;
            if wait {
                self.wait(pass, step, &applied).await?;
            }
            inventory.extend(applied);
        }
        log.extend(self.prune(pass, &applier, &marks, all, &old).await?);
        let entries: Vec<Value> = inventory.iter().map(ObjectRef::entry).collect();
        pass.set(&["inventory"], json!({"entries": entries}));
        let text: Vec<String> = steps.iter().flat_map(|step| &step.objects).map(yaml::to_string).collect();
        pass.set(&["lastAppliedRevision"], json!(sha256(text.join("---\n"))));
        if !log.is_empty() {
            pass.event(EventType::Normal, "ApplySucceeded", &log.join("\n"), "");
        }
        Ok(!log.is_empty())
    }

    async fn apply_step(
        &self,
        pass: &mut Pass,
        applier: &Applier<'_>,
        marks: &Marks,
        step: &Step,
    ) -> Result<(Vec<ObjectRef>, Vec<String>), Stop> {
        let mut objects = step.objects.clone();
        if self.shared.options.stand_in {
            apply::mark_stand_ins(&mut objects);
        }
        if self.shared.options.stop_stand_ins {
            apply::stop_stand_ins(&mut objects);
        }
        applier.prepare(&mut objects, &[]).await?;
        let known = ObjectRef::parse_entries(pass.status().get("inventory"))
            .map_err(|error| failed("ReconciliationFailed", error.to_string()))?;
        if let Some(foreseen) = ObjectRef::foreseen(&objects, &known) {
            let entries: Vec<Value> = foreseen.iter().map(ObjectRef::entry).collect();
            pass.set(&["inventory"], json!({"entries": entries}));
            pass.write().await?;
            if pass.context.cancel.is_cancelled() {
                return Err(Stop::Preempted);
            }
        }
        let desired = Desired { marks, objects, inventory: &[], prune: false, force: false };
        let (plan, report) =
            applier.carry_out(desired).await.map_err(|error| failed("ReconciliationFailed", error))?;
        if report.preempted {
            return Err(Stop::Preempted);
        }
        if !report.errors.is_empty() {
            return Err(Stop::Failed("ReconciliationFailed", report.error_text(), report.cause()));
        }
        Ok((plan.inventory(), report.lines()))
    }

    async fn wait(&self, pass: &mut Pass, step: &Step, applied: &[ObjectRef]) -> Result<(), Stop> {
        const TIMEOUT: Duration = Duration::from_secs(300);
        let expressions =
            health::expressions(&pass.object).map_err(|why| Stop::Stalled("InvalidCELExpression", why))?;
        let limit = step.timeout.as_deref().and_then(parse_duration);
        let limit = limit.unwrap_or_else(|| every(&pass.object, "reconcileTimeout", TIMEOUT));
        let context = pass.context.clone();
        for entry in applied {
            context.watch(&entry.gvk()).await?;
        }
        let keys: Vec<Key> =
            applied.iter().map(|entry| entry.key.clone()).filter(|key| *key != context.key).collect();
        let clock = context.clock().clone();
        let judge =
            |key: &Key, live: Option<&Value>| health::judge(key, live, &expressions, clock.now().as_second());
        let pending = keys.iter().any(|key| {
            !matches!(judge(key, context.cluster.store().get(key).as_ref()), controller::Judgement::Done)
        });
        if pending {
            pass.progressing(&format!(
                "Health checking step {:?} with a timeout of {}",
                step.name,
                format_duration(limit)
            ));
            pass.write().await?;
        }
        let unready = |words: &str, rest: &[(Key, String)]| {
            let list: Vec<String> = rest.iter().map(|(key, why)| format!("{key} {why}")).collect();
            let mut cause = Cause::new(list.first().cloned().unwrap_or_default());
            cause.object = rest.first().map(|(key, _)| key.clone());
            Stop::Failed("HealthCheckFailed", format!("{words}: [{}]", list.join(", ")), cause)
        };
        match wait_for(&context, &keys, limit, judge).await {
            Ok(()) => Ok(()),
            Err(WaitError::Preempted) => Err(Stop::Preempted),
            Err(WaitError::Failed(rest)) => Err(unready("health check failed", &rest)),
            Err(WaitError::TimedOut(rest)) => Err(unready("timeout waiting for", &rest)),
        }
    }

    /// Deletes what was applied before and is not wanted any more: Flux's own objects first.
    async fn prune(
        &self,
        pass: &mut Pass,
        applier: &Applier<'_>,
        marks: &Marks,
        mut desired: Vec<Value>,
        old: &[ObjectRef],
    ) -> Result<Vec<String>, Stop> {
        applier.prepare(&mut desired, old).await?;
        let deletions = deletions(applier, marks, desired, old);
        let deletions = deletions.map_err(|error| failed("ReconciliationFailed", error))?;
        let stale = deletions.iter().filter(|step| step.action == Action::Delete).count();
        if let Err(exceeded) = self.shared.options.deletion_budget.check(stale, old.len(), None) {
            return Err(failed("PruneFailed", exceeded.to_string()));
        }
        let doomed = deletions.iter().filter(|step| step.action == Action::Delete);
        let word = plan::word_for(doomed.map(|step| &step.target));
        let approved = meta::annotation(&pass.object, APPROVE_DELETIONS) == Some(word.as_str());
        let held = match self.shared.options.protect && !approved {
            true => applier.held(&deletions).await?,
            false => Vec::new(),
        };
        if !held.is_empty() {
            let names: Vec<String> = held.iter().map(ToString::to_string).collect();
            let message = format!(
                "nothing was deleted, as data would go, too: {}; to delete, annotate the ResourceSet with \
                 {APPROVE_DELETIONS}={word}",
                names.join(", ")
            );
            return Err(failed("PruneFailed", message));
        }
        let report = applier.delete(&deletions).await;
        if report.preempted {
            return Err(Stop::Preempted);
        }
        if !report.errors.is_empty() {
            return Err(failed("PruneFailed", format!("prune failed: {}", report.error_text())));
        }
        pass.context.progress("pruned");
        Ok(report.lines())
    }

    async fn finalize(&self, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
        if !pass.reread().await? {
            return Ok(Outcome::done());
        }
        let inventory = match ObjectRef::parse_entries(get(&pass.object, &["status", "inventory"])) {
            Ok(inventory) => inventory,
            // Not being able to read what it applied must not look like having applied nothing.
            Err(error) => {
                let message = format!("prune failed: the inventory cannot be read: {error}");
                pass.event(EventType::Warning, "PruneFailed", &message, "");
                return Ok(Outcome::retry(Duration::from_secs(60), Cause::new(message)));
            }
        };
        if !inventory.is_empty() && !is_disabled(&pass.object) {
            match self.impersonated(pass).await? {
                Some(cluster) => {
                    let context = pass.context.clone();
                    let applier = Applier {
                        context: &context,
                        cluster,
                        manager: MANAGER,
                        memory: &self.shared.memory,
                        take_over: false,
                    };
                    let marks = marks(&pass.object);
                    // Deleting the set deletes all of it: the budget is for what changes by the way.
                    applier.prepare(&mut [], &inventory).await?;
                    let deletions = deletions(&applier, &marks, Vec::new(), &inventory)
                        .map_err(|error| cluster::Error::new(cluster::ErrorKind::Other, error))?;
                    let report = applier.delete(&deletions).await;
                    if report.preempted {
                        return Ok(Outcome::preempted());
                    }
                    if !report.errors.is_empty() {
                        let message = format!("prune failed: {}", report.error_text());
                        pass.event(EventType::Warning, "PruneFailed", &message, "");
                        return Ok(Outcome::retry(Duration::from_secs(60), Cause::new(message)));
                    }
                    if !report.entries.is_empty() {
                        pass.event(EventType::Normal, "ReconciliationSucceeded", &report.log(), "");
                    }
                }
                None => {
                    let why = "service account not found: what it applied stays";
                    pass.event(EventType::Warning, "PruneFailed", why, "");
                }
            }
        }
        pass.remove_finalizer().await?;
        Ok(Outcome::done())
    }
}

/// What is deleted, Flux's own objects first.
fn deletions(
    applier: &Applier<'_>,
    marks: &Marks,
    desired: Vec<Value>,
    old: &[ObjectRef],
) -> Result<Vec<plan::Step>, String> {
    let mut deletions = applier.deletions(marks, desired, old)?;
    deletions.sort_by_key(|step| !step.target.key.group.ends_with(".fluxcd.io"));
    Ok(deletions)
}

/// What of a provider decides: what it exports, and whether that counts.
fn exported(provider: Option<&Value>) -> String {
    let Some(provider) = provider else { return "absent".into() };
    let inputs = provider.pointer("/status/exportedInputs").map(Value::to_string).unwrap_or_default();
    let labels = provider.pointer("/metadata/labels").map(Value::to_string).unwrap_or_default();
    format!("{inputs} {labels} {}", is_true(provider, "Ready"))
}
