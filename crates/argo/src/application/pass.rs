//! The Application of a running pass: its status before and after, and the writes between.
//!
//! Applications have no status subresource, so one request writes the status, takes `.operation` away when it is done
//! and removes the annotation that asked for a refresh.

use std::time::Duration;

use cluster::{EventNote, EventType, PatchKind, PatchOptions};
use controller::{Cause, Context, Outcome};
use delivery::fields::{list_at, str_at};
use delivery::status::difference;
use object::{Gvk, Value, get, meta};
use serde_json::json;

use super::state::Difference;
use crate::names;
use crate::sync::operation::Operation;
use crate::sync::run;

/// The one who speaks in events.
const COMPONENT: &str = "argocd-application-controller";

/// A running pass.
pub struct Pass {
    /// The engine's side.
    pub context: Context,
    /// The Application as it was read.
    pub object: Value,
    gvk: Gvk,
    status: Value,
    written: Value,
    drop_operation: bool,
    drop_refresh: bool,
    drop_hydrate: bool,
    /// When the running sync began.
    pub sync_started: Option<String>,
    /// What is looked for, when nothing is to be done.
    pub look: Option<Look>,
}

/// A pass that only tells what a sync would change, and writes nothing.
#[derive(Default)]
pub struct Look {
    /// The revisions that are looked at in place of those of the sources.
    pub revisions: Vec<String>,
    /// What was found.
    pub found: Option<Vec<Difference>>,
}

impl Pass {
    /// Begins a pass.
    pub fn new(context: Context, object: Value) -> Pass {
        let written = object.get("status").cloned().unwrap_or_else(|| json!({}));
        Pass {
            gvk: Gvk::of(&object),
            status: written.clone(),
            written,
            context,
            object,
            drop_operation: false,
            drop_refresh: false,
            drop_hydrate: false,
            sync_started: None,
            look: None,
        }
    }

    /// Begins a pass that writes nothing.
    pub fn looking(context: Context, object: Value, revisions: Vec<String>) -> Pass {
        Pass { look: Some(Look { revisions, found: None }), ..Pass::new(context, object) }
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        meta::namespace(&self.object).unwrap_or_default()
    }

    /// The name.
    pub fn name(&self) -> &str {
        meta::name(&self.object)
    }

    /// Kind, group and version as it was read.
    pub fn gvk(&self) -> &Gvk {
        &self.gvk
    }

    /// The status as it will be written.
    pub fn status(&self) -> &Value {
        &self.status
    }

    /// Is the status still what was last read or written, and nothing else to be taken away?
    pub fn is_as_read(&self) -> bool {
        self.status == self.written && !self.drop_operation && !self.drop_refresh && !self.drop_hydrate
    }

    /// Sets a field of the status; null removes it.
    pub fn set(&mut self, path: &[&str], value: Value) {
        if value.is_null() {
            object::remove(&mut self.status, path);
        } else {
            object::set(&mut self.status, path, value);
        }
    }

    /// The asked-for refresh was done.
    pub fn refreshed(&mut self) {
        self.drop_refresh = meta::annotation(&self.object, names::REFRESH).is_some();
    }

    /// The asked-for hydration was done, or failed.
    pub fn hydrated(&mut self) {
        self.drop_hydrate = meta::annotation(&self.object, names::HYDRATE).is_some();
    }

    /// The asked-for operation has come to its end.
    pub fn operated(&mut self) {
        self.drop_operation = get(&self.object, &["operation"]).is_some();
    }

    /// Sets the conditions of these types to what is found now; the others stay.
    pub fn conditions(&mut self, types: &[&str], found: &[(&str, String)]) {
        let now = self.context.clock().stamp();
        let old = list_at(&self.status, &["conditions"]).to_vec();
        let mut kept: Vec<Value> =
            old.iter().filter(|one| !types.contains(&str_at(one, &["type"]))).cloned().collect();
        for (kind, message) in found {
            let same = old
                .iter()
                .find(|one| str_at(one, &["type"]) == *kind && str_at(one, &["message"]) == message.as_str());
            kept.push(same.cloned().unwrap_or_else(
                || json!({"type": kind, "message": bounded(message), "lastTransitionTime": now}),
            ));
        }
        kept.sort_by(|a, b| str_at(a, &["type"]).cmp(str_at(b, &["type"])));
        self.set(&["conditions"], if kept.is_empty() { Value::Null } else { Value::Array(kept) });
    }

    /// A sync is going on, and what it waits for.
    pub async fn running(
        &mut self,
        operation: &Operation,
        message: &str,
        results: &[run::Outcome],
    ) -> Result<(), cluster::Error> {
        self.operation_state(operation, "Running", message, results);
        self.write().await
    }

    /// `status.operationState`.
    pub fn operation_state(
        &mut self,
        operation: &Operation,
        phase: &str,
        message: &str,
        results: &[run::Outcome],
    ) {
        let now = self.context.clock().stamp();
        let started = self.sync_started.clone().unwrap_or_else(|| now.clone());
        let mut result =
            get(&self.status, &["operationState", "syncResult"]).cloned().unwrap_or_else(|| json!({}));
        let entries: Vec<Value> = results.iter().map(run::Outcome::entry).collect();
        if entries.is_empty() {
            object::remove(&mut result, &["resources"]);
        } else {
            result["resources"] = Value::Array(entries);
        }
        let mut state = json!({
            "operation": operation.raw, "phase": phase, "message": bounded(message), "startedAt": started,
        });
        // Without a revision the API refuses it.
        if result.as_object().is_some_and(|result| !result.is_empty()) {
            state["syncResult"] = result;
        }
        if phase != "Running" {
            state["finishedAt"] = json!(now);
        }
        let retries = self.context.attempts;
        if retries > 0 {
            state["retryCount"] = json!(retries);
        }
        self.set(&["operationState"], state);
    }

    /// Writes the status if it differs from what was last written.
    pub async fn write(&mut self) -> Result<(), cluster::Error> {
        if self.look.is_some() {
            return Ok(());
        }
        let mut patch = json!({});
        if let Some(changed) = difference(&self.written, &self.status) {
            patch["status"] = changed;
        }
        if self.drop_operation {
            patch["operation"] = Value::Null;
        }
        for (done, annotation) in [(self.drop_refresh, names::REFRESH), (self.drop_hydrate, names::HYDRATE)] {
            if done {
                patch["metadata"]["annotations"][annotation] = Value::Null;
            }
        }
        if patch.as_object().is_some_and(|map| map.is_empty()) {
            return Ok(());
        }
        let options = PatchOptions { manager: names::MANAGER.into(), ..PatchOptions::default() };
        let done = self
            .context
            .cluster
            .patch(&self.gvk, self.namespace(), self.name(), PatchKind::Merge, &patch, &options)
            .await;
        match done {
            Ok(_) => {
                self.written = self.status.clone();
                self.drop_operation = false;
                self.drop_refresh = false;
                self.drop_hydrate = false;
                Ok(())
            }
            // Deleted meanwhile: nobody is left to read it.
            Err(error) if error.kind == cluster::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the finalizers.
    pub async fn finalizers(&mut self, wanted: &[String]) -> Result<(), cluster::Error> {
        if self.look.is_some() {
            return Ok(());
        }
        let patch = json!({"metadata": {
            "finalizers": wanted, "resourceVersion": meta::resource_version(&self.object),
        }});
        let options = PatchOptions { manager: names::MANAGER.into(), ..PatchOptions::default() };
        let cluster = &self.context.cluster;
        let done =
            cluster.patch(&self.gvk, self.namespace(), self.name(), PatchKind::Merge, &patch, &options).await;
        match done {
            Ok(live) => {
                self.object = live;
                Ok(())
            }
            Err(error) if error.kind == cluster::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What a pass comes to when the API may have failed it.
    pub fn outcome(&self, done: Result<Outcome, cluster::Error>, pause: Duration) -> Outcome {
        match done {
            Ok(outcome) => outcome,
            Err(error) if self.context.cancel.is_cancelled() => {
                tracing::debug!(%error, "cancelled");
                Outcome::preempted()
            }
            Err(error) => Outcome::retry(pause, Cause::new(error.to_string())),
        }
    }

    /// Writes an event about the Application.
    pub fn event(&self, event_type: EventType, reason: &str, message: &str) {
        if self.look.is_some() {
            return;
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
            message: message.to_owned(),
            component: COMPONENT.to_owned(),
            annotations: Vec::new(),
            time: self.context.clock().stamp(),
        });
    }
}

/// Messages are for people: a page is enough.
fn bounded(message: &str) -> String {
    const LIMIT: usize = 10_000;
    if message.len() <= LIMIT {
        return message.to_owned();
    }
    let end = (0..=LIMIT).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", message.get(..end).unwrap_or_default())
}
