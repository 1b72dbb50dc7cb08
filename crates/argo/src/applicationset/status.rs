//! The status of an ApplicationSet.

use object::{Value, get, get_str, meta};
use serde_json::json;

use super::rolling::{self, Turn};
use crate::names::{APPLICATION, GROUP, VERSION};

/// The status as it will be written.
pub(super) struct Status {
    pub(super) value: Value,
    now: String,
}

impl Status {
    pub(super) fn new(set: &Value, now: String) -> Self {
        Status { value: set.get("status").cloned().unwrap_or_else(|| json!({})), now }
    }

    /// Sets a condition; when it says the same as before it keeps its time.
    fn condition(&mut self, kind: &str, holds: bool, reason: &str, message: &str) {
        let status = if holds { "True" } else { "False" };
        let mut list = self.value.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let old = list.iter().position(|one| get_str(one, &["type"]) == Some(kind));
        let old = old.map(|at| list.remove(at));
        let same = old.filter(|one| {
            get_str(one, &["status"]) == Some(status)
                && get_str(one, &["reason"]) == Some(reason)
                && get_str(one, &["message"]) == Some(message)
        });
        list.push(same.unwrap_or_else(|| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": message,
                "lastTransitionTime": self.now,
            })
        }));
        list.sort_by(|a, b| get_str(a, &["type"]).cmp(&get_str(b, &["type"])));
        object::set(&mut self.value, &["conditions"], Value::Array(list));
    }

    pub(super) fn failed(&mut self, reason: &str, message: &str) {
        let generated = reason == "UpdateApplicationError" || reason == "RenderTemplateParamsError";
        self.condition("ErrorOccurred", true, reason, message);
        match generated {
            true => self.condition(
                "ParametersGenerated",
                true,
                "ParametersGenerated",
                "Successfully generated parameters for all Applications",
            ),
            false => self.condition("ParametersGenerated", false, "ErrorOccurred", message),
        }
        self.condition("ResourcesUpToDate", false, reason, message);
    }

    pub(super) fn succeeded(&mut self, turns: &[Turn], rolls: bool) {
        const DONE: &str = "All applications have been generated successfully";
        self.condition("ErrorOccurred", false, "ApplicationSetUpToDate", DONE);
        self.condition(
            "ParametersGenerated",
            true,
            "ParametersGenerated",
            "Successfully generated parameters for all Applications",
        );
        self.condition("ResourcesUpToDate", true, "ApplicationSetUpToDate", DONE);
        if rolls {
            let through = turns.iter().all(|turn| turn.state == rolling::State::Healthy);
            match through {
                true => self.condition(
                    "RolloutProgressing",
                    false,
                    "ApplicationSetRolloutComplete",
                    "ApplicationSet Rollout has completed",
                ),
                false => self.condition(
                    "RolloutProgressing",
                    true,
                    "ApplicationSetModified",
                    "ApplicationSet is performing rollout of step",
                ),
            }
        }
    }

    pub(super) fn resources(&mut self, desired: &[Value], existing: &[Value], most: usize) {
        let mut all: Vec<Value> = desired
            .iter()
            .map(|wanted| {
                let name = meta::name(wanted);
                let live = existing.iter().find(|found| meta::name(found) == name).unwrap_or(wanted);
                let mut entry = json!({
                    "group": GROUP, "version": VERSION, "kind": APPLICATION, "name": name,
                    "namespace": meta::namespace(wanted).unwrap_or_default(),
                });
                if let Some(sync) = get_str(live, &["status", "sync", "status"]) {
                    object::set(&mut entry, &["status"], sync.into());
                }
                if let Some(health) = get(live, &["status", "health"]) {
                    object::set(&mut entry, &["health"], health.clone());
                }
                entry
            })
            .collect();
        all.sort_by(|a, b| get_str(a, &["name"]).cmp(&get_str(b, &["name"])));
        object::set(&mut self.value, &["resourcesCount"], all.len().into());
        all.truncate(most);
        object::set(&mut self.value, &["resources"], Value::Array(all));
    }

    pub(super) fn turns(&mut self, turns: &[Turn]) {
        let old = self.value.get("applicationStatus").and_then(Value::as_array).cloned().unwrap_or_default();
        if turns.is_empty() {
            object::remove(&mut self.value, &["applicationStatus"]);
            return;
        }
        let entries = turns
            .iter()
            .map(|turn| {
                let before =
                    old.iter().find(|entry| get_str(entry, &["application"]) == Some(&turn.application));
                let since = before
                    .filter(|entry| get_str(entry, &["status"]) == Some(turn.state.as_str()))
                    .and_then(|entry| get_str(entry, &["lastTransitionTime"]));
                turn.entry(since.unwrap_or(&self.now))
            })
            .collect();
        object::set(&mut self.value, &["applicationStatus"], Value::Array(entries));
    }
}
