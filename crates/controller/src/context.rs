//! What a pass sees of the engine.

use std::sync::Arc;

use cluster::{Cluster, Error, ErrorKind};
use object::{Gvk, Key};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::engine::{Message, Shared};
use crate::kind::Cause;

/// What one unit is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// Its content comes from there.
    Source,
    /// It must be ready before.
    DependsOn,
    /// Values or variables come from there.
    Values,
    /// Credentials and the like.
    Reference,
}

/// The part of an object that a reader depends on, as text. An absent object is `None`.
pub type Aspect = fn(Option<&Value>) -> String;

/// Common aspects.
pub mod aspect {
    use serde_json::Value;

    /// Any change of what people wrote: everything but status and bookkeeping.
    pub fn content(object: Option<&Value>) -> String {
        let Some(object) = object else { return String::new() };
        let mut object = object.clone();
        if let Some(map) = object.as_object_mut() {
            map.remove("status");
            map.remove("metadata");
        }
        object.to_string()
    }

    /// Any change that is not the object's own report: its spec, labels, annotations and data. Where the server
    /// counts generations, those stand for the spec.
    pub fn declared(object: Option<&Value>) -> String {
        let Some(object) = object else { return "absent".into() };
        let metadata =
            |field: &str| object::get(object, &["metadata", field]).map(Value::to_string).unwrap_or_default();
        let of_metadata = ["uid", "labels", "annotations", "deletionTimestamp"].map(metadata).join(" ");
        match object::meta::generation(object) {
            0 => format!("{of_metadata} {}", content(Some(object))),
            generation => format!("{of_metadata} {generation}"),
        }
    }

    /// Any change at all.
    pub fn version(object: Option<&Value>) -> String {
        object.map(|object| object::meta::resource_version(object).to_owned()).unwrap_or_default()
    }

    /// Its coming and going, and its being replaced.
    pub fn existence(object: Option<&Value>) -> String {
        object.map(|object| object::meta::uid(object).to_owned()).unwrap_or_default()
    }
}

/// Handed to every pass.
#[derive(Clone)]
pub struct Context {
    /// The unit.
    pub key: Key,
    /// The cluster it is in.
    pub cluster: Cluster,
    /// Fires when this pass became pointless.
    pub cancel: CancellationToken,
    /// How often it failed in a row.
    pub attempts: u32,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) messages: mpsc::UnboundedSender<Message>,
    pub(crate) cores: Arc<Semaphore>,
    pub(crate) run: u64,
    /// The name of the cluster, when it is not the one that the units are in.
    pub(crate) place: Option<Arc<str>>,
}

impl Context {
    /// The same pass, looking at another cluster: what it reads, follows and waits for is there. `place` is the name of
    /// that cluster; it is remembered, with its watches, until [`Context::leave`].
    pub fn at(&self, place: &str, cluster: &Cluster) -> Context {
        self.shared.places.feed(place, cluster, &self.shared.inputs, &self.messages);
        Context { cluster: cluster.clone(), place: Some(place.into()), ..self.clone() }
    }

    /// Forgets another cluster.
    pub fn leave(&self, place: &str) {
        self.shared.places.leave(place);
    }

    /// An object of the cluster that is looked at, among all inputs.
    fn input(&self, key: &Key) -> Key {
        match &self.place {
            None => key.clone(),
            Some(place) => crate::places::input(place, key),
        }
    }

    /// The time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Reads an object through the store and remembers it as an input of this unit: when `aspect` of it
    /// changes, the unit runs again; with `preempts` a running pass is cancelled for it.
    pub async fn read(
        &self,
        gvk: &Gvk,
        namespace: &str,
        name: &str,
        aspect: Aspect,
        preempts: bool,
    ) -> Result<Option<Value>, Error> {
        self.watch(gvk).await?;
        let key = Key::new(gvk.group.clone(), gvk.kind.clone(), namespace, name);
        let object = self.cluster.store().get(&key);
        self.shared.inputs.record(
            &self.key,
            self.run,
            self.input(&key),
            aspect,
            preempts,
            aspect(object.as_ref()),
        );
        // It may have changed between the two lines above, before anybody was told to look.
        let again = self.cluster.store().get(&key);
        if aspect(again.as_ref()) != aspect(object.as_ref()) {
            let input = self.input(&key);
            self.shared.inputs.record(&self.key, self.run, input, aspect, preempts, aspect(again.as_ref()));
        }
        Ok(again)
    }

    /// Follows an object that this unit applied, or found as it wanted it: when `aspect` of it is not `seen` any
    /// more, the unit runs again, after growing pauses when that happens over and over.
    pub fn follow(&self, key: &Key, aspect: Aspect, seen: &str) {
        self.shared.inputs.follow(&self.key, self.run, self.input(key), aspect, seen);
        // It may have changed since, before anybody was told to look.
        if aspect(self.cluster.store().get(key).as_ref()) != seen {
            let _ = self.messages.send(Message::Moved(self.key.clone()));
        }
    }

    /// Watches a kind. When it is not served, the unit is woken as soon as a definition appears or changes.
    pub async fn watch(&self, gvk: &Gvk) -> Result<(), Error> {
        let done = self.cluster.watch(gvk).await;
        if let Err(error) = &done
            && error.kind == ErrorKind::MissingKind
        {
            self.needs_definitions();
        }
        done
    }

    /// Wakes this unit when any CRD appears or changes.
    pub fn needs_definitions(&self) {
        self.any("apiextensions.k8s.io", "CustomResourceDefinition");
    }

    /// Wakes this unit when any object of a watched kind appears, changes or goes.
    pub fn any(&self, group: &str, kind: &str) {
        let kind = self.input(&Key::new(group, kind, "", ""));
        self.shared.inputs.record_any(&self.key, self.run, &kind.group, &kind.kind);
    }

    /// Remembers an input that is no object of the cluster, seen as `text` says. When something else is
    /// [announced](Context::announce) under its key, the unit runs again and a running pass is cancelled.
    pub fn depend(&self, key: &Key, text: &str) {
        self.shared.inputs.record(&self.key, self.run, key.clone(), |_| String::new(), true, text.to_owned());
    }

    /// Says what an input that is no object is now. Units that saw something else run again.
    pub fn announce(&self, key: &Key, text: &str) {
        let _ = self.messages.send(Message::Announced(key.clone(), text.to_owned()));
    }

    /// A handle that runs this unit again whenever somebody outside of the cluster has a reason.
    pub fn waker(&self) -> Waker {
        Waker { key: self.key.clone(), messages: self.messages.clone() }
    }

    /// Something that happens now, for people who watch.
    pub fn progress(&self, text: impl Into<String>) {
        self.progress_at(text, None);
    }

    /// The same, with the object that is waited for.
    pub fn progress_at(&self, text: impl Into<String>, object: Option<Key>) {
        let now = Cause { object, ..Cause::new(text) };
        let _ = self.messages.send(Message::Progress(self.key.clone(), now));
    }

    /// The dependency cycle that this unit is part of, starting and ending with it.
    pub fn cycle(&self) -> Option<Vec<Key>> {
        self.shared.cycle(&self.key)
    }

    /// Runs something that needs a core for a while, at most as many at once as there are cores.
    pub async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let _permit = self.cores.clone().acquire_owned().await;
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => Ok(done),
            Err(error) => Err(format!("internal error: {error}")),
        }
    }

    /// Sleeps, or returns `false` at once when the pass is cancelled.
    pub async fn sleep(&self, pause: std::time::Duration) -> bool {
        tokio::select! {
            () = self.clock.sleep(pause) => true,
            () = self.cancel.cancelled() => false,
        }
    }

    /// Does `future` unless the pass is cancelled first.
    pub async fn unless_cancelled<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = future => Some(done),
            () = self.cancel.cancelled() => None,
        }
    }
}

/// Runs a unit again.
#[derive(Clone)]
pub struct Waker {
    key: Key,
    messages: mpsc::UnboundedSender<Message>,
}

impl Waker {
    /// Whose.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Now. `false` when the engine has ended.
    pub fn wake(&self) -> bool {
        self.messages.send(Message::Poke(self.key.clone())).is_ok()
    }
}
