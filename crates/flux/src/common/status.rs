//! One pass over an object: its status before and after, and the writes between.

use std::time::Duration;

use cluster::{Cluster, EventNote, EventType, PatchKind, PatchOptions};
use controller::{Cause, Context, Description, Outcome, Ready, aspect};
use delivery::status::difference;
use object::{Gvk, Value, get, get_str, meta};
use serde_json::json;

use super::secrecy::Secrecy;
use super::{FINALIZER, REQUESTED_AT, bool_at, str_at};

/// A condition of an object's status.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = get(object, &["status", "conditions"]).and_then(Value::as_array)?;
    conditions.iter().find(|condition| str_at(condition, &["type"]) == kind)
}

/// Is the condition `True`?
pub fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| str_at(condition, &["status"]) == "True")
}

/// Has the status seen the newest spec?
pub fn observed(object: &Value) -> bool {
    object::get_i64(object, &["status", "observedGeneration"]) == Some(meta::generation(object))
}

/// The same, for kinds too whose status has no observed generation of its own.
pub fn is_current(object: &Value) -> bool {
    let of_ready =
        condition(object, "Ready").and_then(|ready| ready.get("observedGeneration")).and_then(Value::as_i64);
    observed(object) || of_ready == Some(meta::generation(object))
}

/// The Ready condition.
pub fn ready_of(object: &Value) -> Ready {
    match condition(object, "Ready").map(|condition| str_at(condition, &["status"])) {
        Some("True") => Ready::True,
        Some("False") => Ready::False,
        _ => Ready::Unknown,
    }
}

/// The description that all kinds share: Ready, suspension, owner.
pub fn describe(object: &Value) -> Description {
    let ready = condition(object, "Ready");
    let text = |field: &str| ready.and_then(|ready| get_str(ready, &[field])).unwrap_or_default().to_owned();
    Description {
        ready: ready_of(object),
        reason: text("reason"),
        message: text("message"),
        revision: None,
        suspended: bool_at(object, &["spec", "suspend"]),
        observed: observed(object),
        edges: Vec::new(),
        inventory: Vec::new(),
        elsewhere: crate::target::has_kubeconfig(object),
        parent: super::parent(object),
    }
}

/// The object of a running pass. Status changes are collected here and written with one request when they
/// matter; a status that does not differ is not written.
pub struct Pass {
    /// The engine's side.
    pub context: Context,
    /// The object as it was read.
    pub object: Value,
    gvk: Gvk,
    manager: String,
    component: String,
    secrecy: Secrecy,
    status: Value,
    written: Value,
}

impl Pass {
    /// Begins a pass. `component` is the Flux controller whose words are spoken (`kustomize-controller`).
    pub fn new(context: Context, object: Value, component: &str) -> Pass {
        let written = object.get("status").cloned().unwrap_or_else(|| json!({}));
        Pass {
            gvk: Gvk::of(&object),
            manager: format!("gotk-{component}"),
            component: component.to_owned(),
            secrecy: Secrecy::default(),
            status: written.clone(),
            written,
            context,
            object,
        }
    }

    /// Kind, group and version as the object was read.
    pub fn gvk(&self) -> &Gvk {
        &self.gvk
    }

    /// The object's namespace.
    pub fn namespace(&self) -> &str {
        meta::namespace(&self.object).unwrap_or_default()
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        meta::name(&self.object)
    }

    /// Is it being deleted?
    pub fn is_deleted(&self) -> bool {
        meta::deletion_timestamp(&self.object).is_some()
    }

    /// Is it suspended?
    pub fn is_suspended(&self) -> bool {
        bool_at(&self.object, &["spec", "suspend"])
    }

    /// The status as it will be written.
    pub fn status(&self) -> &Value {
        &self.status
    }

    /// Is the status still what was last read or written?
    pub fn is_as_read(&self) -> bool {
        self.status == self.written
    }

    /// Sets a field of the status; `null` removes it.
    pub fn set(&mut self, path: &[&str], value: Value) {
        if value.is_null() {
            object::remove(&mut self.status, path);
        } else {
            object::set(&mut self.status, path, value);
        }
    }

    /// Says that the newest spec was seen to its end.
    pub fn observe_generation(&mut self) {
        self.set(&["observedGeneration"], json!(meta::generation(&self.object)));
    }

    /// Sets a condition. Its time moves only when its status does.
    pub fn condition(&mut self, kind: &str, value: &str, reason: &str, message: &str) {
        let now = self.context.clock().stamp();
        let generation = meta::generation(&self.object);
        let mut conditions = self.take_conditions();
        let old = conditions.iter().position(|condition| str_at(condition, &["type"]) == kind);
        let time = match old.and_then(|at| conditions.get(at)) {
            Some(old) if str_at(old, &["status"]) == value => str_at(old, &["lastTransitionTime"]).to_owned(),
            _ => now.clone(),
        };
        let time = if time.is_empty() { now } else { time };
        let new = json!({
            "type": kind, "status": value, "reason": reason, "message": bounded(&self.secrecy.told(message)),
            "observedGeneration": generation, "lastTransitionTime": time,
        });
        match old.and_then(|at| conditions.get_mut(at)) {
            Some(slot) => *slot = new,
            None => conditions.push(new),
        }
        conditions.sort_by_key(|condition| rank(str_at(condition, &["type"])));
        self.set(&["conditions"], Value::Array(conditions));
    }

    /// Removes a condition.
    pub fn drop_condition(&mut self, kind: &str) {
        let mut conditions = self.take_conditions();
        conditions.retain(|condition| str_at(condition, &["type"]) != kind);
        self.set(&["conditions"], if conditions.is_empty() { Value::Null } else { Value::Array(conditions) });
    }

    /// A condition as it will be written.
    pub fn get_condition(&self, kind: &str) -> Option<&Value> {
        let conditions = self.status.get("conditions").and_then(Value::as_array)?;
        conditions.iter().find(|condition| str_at(condition, &["type"]) == kind)
    }

    /// The line of the Ready condition.
    pub fn ready_message(&self) -> String {
        self.get_condition("Ready").map(|ready| str_at(ready, &["message"]).to_owned()).unwrap_or_default()
    }

    fn take_conditions(&self) -> Vec<Value> {
        self.status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default()
    }

    /// It works: the message says on what.
    pub fn progressing(&mut self, message: &str) {
        self.condition("Reconciling", "True", "Progressing", message);
        self.condition("Ready", "Unknown", "Progressing", "Reconciliation in progress");
        self.drop_condition("Stalled");
    }

    /// It succeeded.
    pub fn succeed(&mut self, reason: &str, message: &str) {
        self.condition("Ready", "True", reason, message);
        self.drop_condition("Reconciling");
        self.drop_condition("Stalled");
        self.observe_generation();
        self.handled_request();
    }

    /// It failed and will be tried again.
    pub fn fail(&mut self, reason: &str, message: &str) {
        self.condition("Ready", "False", reason, message);
        self.condition("Reconciling", "True", "ProgressingWithRetry", message);
        self.drop_condition("Stalled");
        self.handled_request();
    }

    /// It failed, and only a change can help.
    pub fn stall(&mut self, reason: &str, message: &str) {
        self.condition("Ready", "False", reason, message);
        self.condition("Stalled", "True", reason, message);
        self.drop_condition("Reconciling");
        self.observe_generation();
        self.handled_request();
    }

    /// Something it needs is not there yet.
    pub fn wait(&mut self, reason: &str, message: &str) {
        self.condition("Ready", "False", reason, message);
        self.condition("Reconciling", "True", "ProgressingWithRetry", message);
        self.handled_request();
    }

    /// It failed, for good with `stalled`: the conditions say so, and an event unless `before`, the line of the
    /// pass before, said the same.
    pub fn refuse(&mut self, reason: &str, message: &str, stalled: bool, before: &str) {
        if stalled {
            self.stall(reason, message);
        } else {
            self.fail(reason, message);
            self.observe_generation();
        }
        if before != message {
            self.event(EventType::Warning, reason, message, "");
        }
    }

    /// What a pass comes to when the API may have failed it; it is then repeated after a pause.
    pub fn outcome(&self, done: Result<Outcome, cluster::Error>, pause: Duration) -> Outcome {
        match done {
            Ok(Outcome { next, cause }) => {
                let told = |cause: Cause| Cause { message: self.secrecy.told(&cause.message), ..cause };
                Outcome { next, cause: cause.map(told) }
            }
            Err(error) if self.context.cancel.is_cancelled() => {
                tracing::debug!(%error, "cancelled");
                Outcome::preempted()
            }
            Err(error) => Outcome::retry(pause, Cause::new(self.secrecy.told(&error.to_string()))),
        }
    }

    /// From now on nothing that is said holds what is in this text, which was read from a Secret.
    pub fn hide(&mut self, text: &str) {
        self.secrecy.hide(text);
    }

    /// The cluster with the rights of `spec.serviceAccountName`, or of the default account; `None` when that account
    /// is gone.
    pub async fn impersonated(&self, default: Option<&str>) -> Result<Option<Cluster>, cluster::Error> {
        let Some(name) = self.account(default) else { return Ok(Some(self.context.cluster.clone())) };
        let gvk = Gvk::new("", "v1", "ServiceAccount");
        let found = self.context.read(&gvk, self.namespace(), name, aspect::existence, false).await?;
        let user = format!("system:serviceaccount:{}:{name}", self.namespace());
        Ok(found.map(|_| self.context.cluster.as_user(&user)))
    }

    /// The account that it acts with, if not with our own rights.
    pub fn account<'a>(&'a self, default: Option<&'a str>) -> Option<&'a str> {
        let given = Some(str_at(&self.object, &["spec", "serviceAccountName"]));
        given.filter(|name| !name.is_empty()).or(default)
    }

    /// Echoes the request annotation.
    pub fn handled_request(&mut self) {
        if let Some(value) = meta::annotation(&self.object, REQUESTED_AT) {
            let value = json!(value);
            self.set(&["lastHandledReconcileAt"], value);
        }
    }

    /// Writes the status if it differs from what was last written.
    pub async fn write(&mut self) -> Result<(), cluster::Error> {
        let Some(patch) = difference(&self.written, &self.status) else { return Ok(()) };
        let options = PatchOptions {
            manager: self.manager.clone(),
            subresource: "status".into(),
            ..PatchOptions::default()
        };
        // What was applied must not be forgotten: an inventory, or a history, takes the place of the one that was read,
        // of no other.
        const EXACT: [&str; 2] = ["inventory", "history"];
        let exact = EXACT.iter().any(|field| patch.get(field).is_some());
        let mut body = json!({"status": patch});
        let cluster = self.context.cluster.clone();
        loop {
            if exact {
                body["metadata"] = json!({"resourceVersion": meta::resource_version(&self.object)});
            }
            let done = cluster
                .patch(&self.gvk, self.namespace(), self.name(), PatchKind::Merge, &body, &options)
                .await;
            match done {
                Ok(live) => {
                    self.written = self.status.clone();
                    self.at_version(&live);
                    return Ok(());
                }
                Err(error) if error.kind == cluster::ErrorKind::NotFound => {
                    self.end();
                    return Ok(());
                }
                Err(error) if exact && error.kind == cluster::ErrorKind::Conflict => {
                    let live = cluster.get(&self.gvk, self.namespace(), self.name()).await?;
                    let Some(live) = live else {
                        self.end();
                        return Ok(());
                    };
                    cluster.store().observe(&live);
                    let known = |status: Option<&Value>| {
                        EXACT.map(|field| status.and_then(|status| status.get(field)).cloned())
                    };
                    let same_object = meta::uid(&live) == meta::uid(&self.object);
                    let unchanged = meta::resource_version(&live) == meta::resource_version(&self.object);
                    if unchanged || !same_object || known(live.get("status")) != known(Some(&self.written)) {
                        return Err(error);
                    }
                    self.at_version(&live);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The object was deleted meanwhile: nobody is left to read a status, and what would be applied now nobody would
    /// ever delete.
    fn end(&self) {
        self.context.cancel.cancel();
    }

    fn at_version(&mut self, live: &Value) {
        let version = meta::resource_version(live).to_owned();
        object::set(&mut self.object, &["metadata", "resourceVersion"], version.into());
    }

    /// Takes the object as it is now, before anything was said about it.
    fn take(&mut self, live: Value) {
        if self.is_as_read() {
            self.written = live.get("status").cloned().unwrap_or_else(|| json!({}));
            self.status = self.written.clone();
        }
        self.object = live;
    }

    /// Reads the object anew from the API: what the store has may be older than what an earlier process wrote.
    /// `false` when it is gone.
    pub async fn reread(&mut self) -> Result<bool, cluster::Error> {
        let cluster = self.context.cluster.clone();
        let live = cluster.get(&self.gvk, self.namespace(), self.name()).await?;
        let Some(live) = live.filter(|live| meta::uid(live) == meta::uid(&self.object)) else {
            return Ok(false);
        };
        cluster.store().observe(&live);
        self.take(live);
        Ok(true)
    }

    /// Puts Flux's finalizer on the object, if it is missing.
    pub async fn ensure_finalizer(&mut self) -> Result<(), cluster::Error> {
        if meta::finalizers(&self.object).any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        let mut finalizers: Vec<String> = meta::finalizers(&self.object).map(str::to_owned).collect();
        finalizers.push(FINALIZER.to_owned());
        self.patch_finalizers(finalizers).await
    }

    /// Takes Flux's finalizer from the object.
    pub async fn remove_finalizer(&mut self) -> Result<(), cluster::Error> {
        if !meta::finalizers(&self.object).any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        let finalizers =
            meta::finalizers(&self.object).filter(|name| *name != FINALIZER).map(str::to_owned).collect();
        match self.patch_finalizers(finalizers).await {
            Err(error) if error.kind == cluster::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The list is replaced only if nobody changed it since it was read.
    async fn patch_finalizers(&mut self, finalizers: Vec<String>) -> Result<(), cluster::Error> {
        let patch = json!({"metadata": {
            "finalizers": finalizers, "resourceVersion": meta::resource_version(&self.object),
        }});
        let options = PatchOptions { manager: self.manager.clone(), ..PatchOptions::default() };
        let cluster = &self.context.cluster;
        let gvk = self.gvk.clone();
        let done =
            cluster.patch(&gvk, self.namespace(), self.name(), PatchKind::Merge, &patch, &options).await;
        let live = match done {
            Ok(live) => live,
            Err(error) if error.kind == cluster::ErrorKind::Conflict => {
                let again = cluster.get(&gvk, self.namespace(), self.name()).await?;
                let Some(again) = again else {
                    self.end();
                    return Ok(());
                };
                cluster.store().observe(&again);
                // Another one under its name has finalizers of its own.
                if meta::uid(&again) != meta::uid(&self.object) {
                    self.end();
                    return Ok(());
                }
                self.take(again);
                return Box::pin(async {
                    if finalizers.iter().any(|name| name == FINALIZER) {
                        self.ensure_finalizer().await
                    } else {
                        self.remove_finalizer().await
                    }
                })
                .await;
            }
            Err(error) => return Err(error),
        };
        self.take(live);
        Ok(())
    }

    /// Writes an event about the object, in Flux's form.
    pub fn event(&self, event_type: EventType, reason: &str, message: &str, revision: &str) {
        self.event_with(event_type, reason, message, revision, &[]);
    }

    /// The same, with more metadata: names without the group, and their values.
    pub fn event_with(
        &self,
        event_type: EventType,
        reason: &str,
        message: &str,
        revision: &str,
        more: &[(&str, &str)],
    ) {
        let mut annotations = Vec::new();
        for (name, value) in meta::annotations(&self.object).into_iter().flatten() {
            if let (true, Some(value)) = (name.starts_with("event.toolkit.fluxcd.io/"), value.as_str()) {
                annotations.push((name.clone(), value.to_owned()));
            }
        }
        for (name, value) in more.iter().filter(|(_, value)| !value.is_empty()) {
            annotations.push((format!("{}/{name}", self.gvk.group), (*value).to_owned()));
        }
        if !revision.is_empty() {
            annotations.push((format!("{}/revision", self.gvk.group), revision.to_owned()));
        }
        let metadata = self.object.get("metadata").cloned().unwrap_or_default();
        let about = json!({"apiVersion": self.gvk.api_version(), "kind": self.gvk.kind, "metadata": {
            "name": metadata.get("name"), "namespace": metadata.get("namespace"), "uid": metadata.get("uid"),
            "resourceVersion": metadata.get("resourceVersion"),
        }});
        self.context.cluster.record(EventNote {
            about,
            event_type,
            reason: reason.to_owned(),
            message: self.secrecy.told(message),
            component: self.component.clone(),
            annotations,
            time: self.context.clock().stamp(),
        });
    }
}

/// The API refuses condition messages above 32 KiB.
fn bounded(message: &str) -> String {
    const LIMIT: usize = 30_000;
    if message.len() <= LIMIT {
        return message.to_owned();
    }
    let mut end = LIMIT;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", message.get(..end).unwrap_or_default())
}

fn rank(kind: &str) -> (u8, String) {
    let first = match kind {
        "Stalled" => 0,
        "Reconciling" => 1,
        "Ready" => 2,
        _ => 3,
    };
    (first, kind.to_owned())
}
