//! What an application wants and what is live, side by side.

use std::collections::{BTreeMap, BTreeSet};

use cluster::ErrorKind;
use controller::Context;
use delivery::fields::{list_at, str_at};
use object::{Gvk, Key, Value, get, get_str, meta};
use serde_json::json;

use super::spec::Spec;
use crate::diff::{self, Compared, Predict, Rules};
use crate::health::{self, Health, Part};
use crate::installation::Installation;
use crate::names;
use crate::options::Shared;
use crate::project::Project;
use crate::sites::Site;
use crate::sync::hooks;
use crate::sync::options::words;
use crate::sync::tasks::{Resource, needs_word};

/// One object.
#[derive(Debug, Clone)]
pub struct Item {
    /// Which, in which version, wanted and live.
    pub resource: Resource,
    /// Does what is live differ from what is wanted? `None` where that does not count.
    pub synced: Option<bool>,
    /// The verdict on it.
    pub health: Option<Health>,
}

impl Item {
    /// Is it live without being wanted?
    pub fn is_extra(&self) -> bool {
        self.resource.target.is_none()
    }

    fn object(&self) -> &Value {
        self.resource.target.as_ref().or(self.resource.live.as_ref()).unwrap_or(&Value::Null)
    }

    fn is_hook(&self) -> bool {
        hooks::is_hook(self.object())
    }

    /// Its entry in `status.resources`.
    fn entry(&self) -> Value {
        let key = &self.resource.key;
        let mut entry = json!({"version": self.resource.gvk.version, "kind": key.kind, "name": key.name});
        for (field, text) in [("group", &key.group), ("namespace", &key.namespace)] {
            if !text.is_empty() {
                entry[field] = json!(text);
            }
        }
        if let Some(synced) = self.synced {
            entry["status"] = json!(if synced { "Synced" } else { "OutOfSync" });
        }
        if let Some(health) = &self.health {
            entry["health"] = json!({"status": health.status.as_str()});
            if !health.message.is_empty() {
                entry["health"]["message"] = json!(health.message);
            }
        }
        if self.is_hook() {
            entry["hook"] = json!(true);
        } else if self.is_extra() {
            entry["requiresPruning"] = json!(true);
            if needs_word(self.object()) {
                entry["requiresDeletionConfirmation"] = json!(true);
            }
        }
        let wave = hooks::wave(self.object());
        if wave != 0 {
            entry["syncWave"] = json!(wave);
        }
        entry
    }
}

/// The whole picture.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Plain objects, wanted or live.
    pub items: Vec<Item>,
    /// Hooks that are wanted.
    pub hooks: Vec<Resource>,
    /// Warnings: the type of condition and the line.
    pub warnings: Vec<(&'static str, String)>,
    /// Objects that another application claims.
    pub shared: Vec<String>,
    /// What is looked at besides, as it should be.
    pub beside: Option<Resource>,
}

/// What targets are made with.
pub struct Frame<'a> {
    /// What all share.
    pub shared: &'a Shared,
    /// The cluster.
    pub site: &'a Site,
    /// The spec.
    pub spec: &'a Spec,
    /// The application's name in tracking ids.
    pub instance: &'a str,
    /// The installation's settings.
    pub installation: &'a Installation,
    /// Whose differences do not count.
    pub rules: Rules,
    /// The project.
    pub project: Project,
    /// Is the server asked what an apply would change?
    pub asking: Asking,
}

/// An object as it is, and as a sync would leave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Which.
    pub key: Key,
    /// As it is; `None` when it would be made.
    pub live: Option<Value>,
    /// As it would be; `None` when it would be pruned.
    pub wanted: Option<Value>,
}

/// Who says what an apply would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asking {
    /// The server, in a dry run.
    pub server: bool,
    /// Does it count what its webhooks change then?
    pub webhooks: bool,
}

impl Asking {
    /// What an Application says in its compare options, else what holds for the installation.
    pub fn of(application: &Value, server: bool) -> Asking {
        let words = words(application, names::COMPARE_OPTIONS);
        let says = |word: &str| words.iter().any(|one| one == word);
        let server = (server || says("ServerSideDiff=true")) && !says("ServerSideDiff=false");
        Asking { server, webhooks: server && says("IncludeMutationWebhook=true") }
    }
}

/// The labels by which Flux knows what it applied, and the kinds that they name.
const FLUX_LABELS: [(&str, &str); 2] =
    [("kustomize.toolkit.fluxcd.io", "Kustomization"), ("helm.toolkit.fluxcd.io", "HelmRelease")];

/// Who of another dialect applied an object, by labels that the application itself does not set.
fn foreign_owner(live: &Value, target: &Value) -> Option<String> {
    FLUX_LABELS.iter().find_map(|(group, kind)| {
        let label = |field: &str| meta::label(live, &format!("{group}/{field}"));
        let own = meta::label(target, &format!("{group}/name")).is_some();
        let (namespace, name) = (label("namespace")?, label("name")?);
        (!own).then(|| format!("{kind} {namespace}/{name}"))
    })
}

/// What never belongs into an applied object.
fn clean(object: &mut Value) {
    object::remove(object, &["status"]);
    for field in ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"] {
        object::remove(object, &["metadata", field]);
    }
    meta::remove_annotation(object, "kubectl.kubernetes.io/last-applied-configuration");
}

impl Frame<'_> {
    /// Makes targets of rendered objects: namespaces are filled in, marks set, repetitions dropped.
    pub async fn targets(
        &self,
        context: &Context,
        objects: Vec<Value>,
        state: &mut State,
    ) -> Result<Vec<(Key, Gvk, Value)>, cluster::Error> {
        let scopes = self.scopes(context, &objects).await?;
        let mut seen: BTreeMap<Key, usize> = BTreeMap::new();
        let mut counts: BTreeMap<Key, usize> = BTreeMap::new();
        let mut targets: Vec<Option<(Key, Gvk, Value)>> = Vec::new();
        for mut object in objects {
            let gvk = Gvk::of(&object);
            clean(&mut object);
            match scopes.get(&gvk) {
                Some(false) => {
                    object::remove(&mut object, &["metadata", "namespace"]);
                }
                _ => {
                    if meta::namespace(&object).unwrap_or_default().is_empty()
                        && !self.spec.destination.namespace.is_empty()
                    {
                        let namespace = Value::from(self.spec.destination.namespace.clone());
                        object::set(&mut object, &["metadata", "namespace"], namespace);
                    }
                }
            }
            let namespace = meta::namespace(&object).unwrap_or_default().to_owned();
            let key = Key::new(gvk.group.clone(), gvk.kind.clone(), namespace, meta::name(&object));
            if !self.installation.settings.sees(&key.group, &key.kind, &self.site.server) {
                let line =
                    format!("Resource {}/{} {} is excluded in the settings", key.group, key.kind, key.name);
                state.warnings.push(("ExcludedResourceWarning", line));
                continue;
            }
            self.installation.tracking.claim(
                &mut object,
                &key,
                self.instance,
                &self.spec.destination.namespace,
            );
            if self.shared.options.stand_in && delivery::standin::is_stand_in(&object) {
                delivery::standin::mark(&mut object);
            }
            // Hooks that get their name at each sync are all different.
            if !key.name.is_empty() {
                *counts.entry(key.clone()).or_default() += 1;
                if let Some(before) = seen.insert(key.clone(), targets.len())
                    && let Some(slot) = targets.get_mut(before)
                {
                    *slot = None;
                }
            }
            targets.push(Some((key, gvk, object)));
        }
        for (key, count) in counts.into_iter().filter(|(_, count)| *count > 1) {
            let line = format!(
                "Resource {}/{}/{}/{} appeared {count} times among application resources.",
                key.group, key.kind, key.namespace, key.name
            );
            state.warnings.push(("RepeatedResourceWarning", line));
        }
        Ok(targets.into_iter().flatten().collect())
    }

    /// Which kinds live in namespaces; kinds that are not served are looked up among the definitions at hand.
    async fn scopes(
        &self,
        context: &Context,
        objects: &[Value],
    ) -> Result<BTreeMap<Gvk, bool>, cluster::Error> {
        let kinds: BTreeSet<Gvk> = objects.iter().map(Gvk::of).collect();
        let mut scopes = BTreeMap::new();
        for gvk in kinds {
            match context.watch(&gvk).await {
                Ok(()) => {
                    let resource = self.site.cluster.resource(&gvk).await?;
                    scopes.insert(gvk, resource.namespaced);
                }
                Err(error) if error.kind == ErrorKind::MissingKind => {
                    let definition = objects.iter().find(|object| {
                        meta::kind(object) == "CustomResourceDefinition"
                            && get_str(object, &["spec", "group"]) == Some(gvk.group.as_str())
                            && get_str(object, &["spec", "names", "kind"]) == Some(gvk.kind.as_str())
                    });
                    let scope = definition.and_then(|found| get_str(found, &["spec", "scope"]));
                    scopes.insert(gvk, scope != Some("Cluster"));
                }
                Err(error) => return Err(error),
            }
        }
        if scopes.keys().any(|gvk| schema::builtin().type_of(gvk).is_none()) {
            context.watch(&delivery::memory::definition()).await?;
        }
        Ok(scopes)
    }

    /// Lays targets beside what is live.
    pub async fn compare(
        &self,
        context: &Context,
        targets: &[(Key, Gvk, Value)],
        old: &Value,
        state: &mut State,
    ) -> Result<(), cluster::Error> {
        let store = self.site.cluster.store().clone();
        state.items.clear();
        state.hooks.clear();
        let mut wanted = BTreeSet::new();
        for (key, gvk, target) in targets {
            wanted.insert(key.clone());
            let live = store.get(key);
            let resource =
                Resource { key: key.clone(), gvk: gvk.clone(), target: Some(target.clone()), live };
            if hooks::is_hook(target) {
                // A hook shows among the objects only while it is live.
                if let Some(live) = &resource.live {
                    let health = self.judge(context, live);
                    let shown = Resource { target: None, ..resource.clone() };
                    state.items.push(Item { resource: shown, synced: None, health });
                }
                state.hooks.push(resource);
                continue;
            }
            if hooks::is_skipped(target) {
                continue;
            }
            self.warn_shared(&resource, state);
            let mut differs = resource.live.as_ref().map(|live| self.differs(key, live, target));
            // Without its webhooks the server sees no difference where we see none.
            if self.asking.server
                && let (Some(Ok(seems)), Some(live)) = (&differs, &resource.live)
                && (*seems || self.asking.webhooks)
            {
                differs = Some(self.asked(live, target).await.map(|compared| compared.differs()));
            }
            let synced = match differs {
                None => false,
                Some(Ok(differs)) => !differs,
                Some(Err(why)) => {
                    let line = format!("Failed to compare desired state to live state: {key}: {why}");
                    state.warnings.push(("ComparisonError", line));
                    false
                }
            };
            let health = resource.live.as_ref().and_then(|live| self.judge(context, live));
            state.items.push(Item { resource, synced: Some(synced), health });
        }
        state.beside = None;
        if let Some(resource) = self.namespace(context, &wanted).await? {
            wanted.insert(resource.key.clone());
            match (&resource.live, &resource.target) {
                (Some(live), Some(target)) if self.differs(&resource.key, live, target).unwrap_or(true) => {
                    state.items.push(Item { resource, synced: Some(false), health: None });
                }
                _ => state.beside = Some(resource),
            }
        }
        for (key, gvk) in self.known(context, old).await? {
            if wanted.contains(&key) {
                continue;
            }
            let Some(live) = store.get(&key) else { continue };
            if self.installation.tracking.owner(&live, &key) != Some(self.instance)
                || hooks::is_skipped(&live)
            {
                continue;
            }
            let health = self.judge(context, &live);
            let synced = if hooks::is_hook(&live) { None } else { Some(false) };
            let resource = Resource { key, gvk, target: None, live: Some(live) };
            state.items.push(Item { resource, synced, health });
        }
        state.items.sort_by(|a, b| a.resource.key.cmp(&b.resource.key));
        self.warn_orphans(state);
        Ok(())
    }

    /// The namespace whose labels and annotations the policy manages, when it does not stand among the sources. It is
    /// nobody's object: it bears no mark, is never pruned, and one that is missing is made by the next sync.
    async fn namespace(
        &self,
        context: &Context,
        wanted: &BTreeSet<Key>,
    ) -> Result<Option<Resource>, cluster::Error> {
        let name = &self.spec.destination.namespace;
        let key = Key::new("", "Namespace", "", name.clone());
        if !self.spec.options.is("CreateNamespace") || name.is_empty() || wanted.contains(&key) {
            return Ok(None);
        }
        let Some(target) = self.spec.managed_namespace() else { return Ok(None) };
        let gvk = Gvk::of(&target);
        context.watch(&gvk).await?;
        let live = self.site.cluster.store().get(&key);
        Ok(Some(Resource { key, gvk, target: Some(target), live }))
    }

    /// Objects of the destination's namespace that no application has and no other object owns, among the kinds that
    /// are watched.
    fn warn_orphans(&self, state: &mut State) {
        state.warnings.retain(|(kind, _)| *kind != "OrphanedResourceWarning");
        let namespace = &self.spec.destination.namespace;
        if self.project.orphans() != Some(true) || namespace.is_empty() {
            return;
        }
        let store = self.site.cluster.store();
        let own: BTreeSet<&Key> = state.items.iter().map(|item| &item.resource.key).collect();
        let is_orphan = |key: &Key| {
            let settings = &self.installation.settings;
            !own.contains(key)
                && settings.sees(&key.group, &key.kind, &self.site.server)
                && key.group != names::GROUP
                && self.project.is_orphan(&key.group, &key.kind, &key.namespace, &key.name)
                && store.get(key).is_some_and(|live| {
                    meta::owner_references(&live).is_empty()
                        && self.installation.tracking.owner(&live, key).is_none()
                })
        };
        let count = store.in_namespace(namespace).iter().filter(|key| is_orphan(key)).count();
        if count > 0 {
            let line = format!("Application has {count} orphaned resources");
            state.warnings.push(("OrphanedResourceWarning", line));
        }
    }

    fn warn_shared(&self, resource: &Resource, state: &mut State) {
        let Some(live) = &resource.live else { return };
        let owner = self.installation.tracking.owner(live, &resource.key);
        let other = owner.filter(|other| *other != self.instance).map(str::to_owned);
        let target = resource.target.as_ref().unwrap_or(&Value::Null);
        for other in other.into_iter().chain(foreign_owner(live, target)) {
            let line = format!(
                "{}/{} is part of applications {} and {other}",
                resource.key.kind, resource.key.name, self.instance
            );
            if !state.shared.contains(&line) {
                state.shared.push(line.clone());
                state.warnings.push(("SharedResourceWarning", line));
            }
        }
    }

    /// Objects that were the application's before, or say they are.
    async fn known(&self, context: &Context, old: &Value) -> Result<BTreeMap<Key, Gvk>, cluster::Error> {
        let mut known = BTreeMap::new();
        for entry in list_at(old, &["resources"]) {
            let gvk =
                Gvk::new(str_at(entry, &["group"]), str_at(entry, &["version"]), str_at(entry, &["kind"]));
            match context.watch(&gvk).await {
                Ok(()) => {}
                // Without its kind there is no object either.
                Err(error) if error.kind == ErrorKind::MissingKind => continue,
                Err(error) => return Err(error),
            }
            let (namespace, name) = (str_at(entry, &["namespace"]), str_at(entry, &["name"]));
            known.insert(Key::new(gvk.group.clone(), gvk.kind.clone(), namespace, name), gvk);
        }
        for key in self.site.owned.of(self.instance) {
            if let Some(live) = self.site.cluster.store().get(&key) {
                known.entry(key).or_insert_with(|| Gvk::of(&live));
            }
        }
        Ok(known)
    }

    fn judge(&self, context: &Context, live: &Value) -> Option<Health> {
        health::judge(&self.installation.judge, live, context.clock().now().as_second())
    }

    /// What the server would make of an apply, beside what is live.
    async fn asked(&self, live: &Value, target: &Value) -> Result<Compared, String> {
        let how = cluster::Apply { dry_run: true, ..cluster::Apply::forced(names::MANAGER) };
        let mut predicted = self.site.cluster.apply(target, &how).await.map_err(|error| error.to_string())?;
        let mut live = live.clone();
        let ty = self.site.memory.type_or_deduced(self.site.cluster.store(), &Gvk::of(target));
        if !self.asking.webhooks {
            predicted = diff::without_webhooks(&predicted, &live, &ty, names::MANAGER)?;
        }
        for object in [&mut predicted, &mut live] {
            diff::normalize(object, self.installation.settings.normalize);
        }
        self.rules.remove(&mut predicted, &mut live, &ty);
        for object in [&mut predicted, &mut live] {
            diff::forget(object);
            diff::normalize(object, self.installation.settings.normalize);
        }
        Ok(Compared { live, predicted })
    }

    /// What an apply would change, as far as it counts.
    fn compared(&self, live: &Value, target: &Value) -> Result<Compared, String> {
        let store = self.site.cluster.store();
        let memory = &self.site.memory;
        let ty = memory.type_or_deduced(store, &Gvk::of(target));
        let (options, how) =
            (self.installation.settings.normalize, Predict::Structured { manager: names::MANAGER });
        let mut compared = diff::compare(target, live, &ty, &self.rules, options, how)?;
        if compared.differs() {
            // What the server adds by itself is no difference, unless it is ignored anyway.
            let Compared { live, predicted } = &mut compared;
            memory.default(store, predicted);
            self.rules.remove(predicted, live, &ty);
            diff::normalize(predicted, options);
            diff::normalize(live, options);
        }
        Ok(compared)
    }

    /// Would applying change anything that counts?
    fn differs(&self, key: &Key, live: &Value, target: &Value) -> Result<bool, String> {
        if self.site.memory.is_settled(names::MANAGER, key, live, target) {
            return Ok(false);
        }
        let Compared { live, predicted } = self.compared(live, target)?;
        if predicted != live && tracing::enabled!(tracing::Level::DEBUG) {
            let secret = key.kind == "Secret";
            let patch = delivery::status::difference(&live, &predicted).filter(|_| !secret);
            tracing::debug!(%key, patch = %patch.unwrap_or_default(), "it is not as it is wanted");
        }
        Ok(predicted != live)
    }

    /// The objects that a sync would change, make or prune, each as it is and as it would be; what Secrets hold is
    /// masked.
    pub async fn differences(&self, state: &State) -> Result<Vec<Difference>, cluster::Error> {
        let hidden: Vec<&str> =
            self.installation.settings.sensitive_annotations.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        for item in state.items.iter().filter(|item| item.synced == Some(false)) {
            let Resource { key, target, live, .. } = &item.resource;
            let (mut live, mut wanted) = match (live, target) {
                (Some(live), Some(target)) => {
                    let compared = match self.asking.server {
                        true => self.asked(live, target).await,
                        false => self.compared(live, target),
                    };
                    let failed = |why| cluster::Error::new(ErrorKind::Invalid, format!("{key}: {why}"));
                    let Compared { live, predicted } = compared.map_err(failed)?;
                    (Some(live), Some(predicted))
                }
                (live, target) => (live.clone(), target.clone()),
            };
            let mut both: Vec<&mut Value> = live.iter_mut().chain(wanted.iter_mut()).collect();
            both.iter_mut().for_each(|object| diff::forget(object));
            diff::mask(&mut both, &hidden);
            found.push(Difference { key: key.clone(), live, wanted });
        }
        Ok(found)
    }
}

impl State {
    /// Is everything as it is wanted? Extra objects that say so do not count.
    pub fn is_synced(&self) -> bool {
        self.items.iter().all(|item| {
            let forgiven = item.is_extra()
                && words(item.object(), names::COMPARE_OPTIONS).iter().any(|word| word == "IgnoreExtraneous");
            item.synced != Some(false) || forgiven
        })
    }

    /// All objects whose changes are to be seen.
    pub fn followed(&self) -> impl Iterator<Item = &Resource> {
        self.items.iter().map(|item| &item.resource).chain(&self.beside)
    }

    /// `status.resources`.
    pub fn entries(&self) -> Vec<Value> {
        self.items.iter().map(Item::entry).collect()
    }

    /// The objects that are not as they are wanted.
    pub fn out_of_sync(&self) -> Vec<Key> {
        let out = self.items.iter().filter(|item| item.synced == Some(false));
        out.map(|item| item.resource.key.clone()).collect()
    }

    /// The application's health, and the object that decides it.
    pub fn health(&self, own: &Key) -> (health::Status, Option<(Key, String)>) {
        let counts = |item: &&Item| !item.is_hook() && item.resource.key != *own;
        health::aggregate(self.items.iter().filter(counts).map(|item| Part {
            key: &item.resource.key,
            target: item.resource.target.as_ref(),
            live: item.resource.live.as_ref(),
            health: item.health.as_ref(),
        }))
    }

    /// Where what is live answers people.
    pub fn addresses(&self) -> Vec<String> {
        let live = self.items.iter().filter_map(|item| item.resource.live.as_ref());
        live.flat_map(super::addresses::of).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The images of all wanted objects.
    pub fn images(&self) -> Vec<String> {
        let mut images = BTreeSet::new();
        for item in &self.items {
            for path in [
                &["spec", "template", "spec"][..],
                &["spec"],
                &["spec", "jobTemplate", "spec", "template", "spec"],
            ] {
                let Some(pod) = get(item.object(), path) else { continue };
                for list in ["containers", "initContainers"] {
                    let found = list_at(pod, &[list]).iter().map(|one| str_at(one, &["image"]).to_owned());
                    images.extend(found.filter(|image| !image.is_empty()));
                }
            }
        }
        images.into_iter().collect()
    }
}
