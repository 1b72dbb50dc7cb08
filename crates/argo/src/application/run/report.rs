//! What a pass found, as the status says it.

use std::time::Duration;

use cluster::EventType;
use controller::{Cause, Next, Outcome};
use delivery::fields::str_at;
use object::{Key, Value, get, meta};
use serde_json::json;

use super::{LONGEST_RETRY, Look};
use crate::application::pass::Pass;
use crate::application::state::State;
use crate::health::Status;
use crate::names;
use crate::sync::operation::Operation;

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

/// A spec that cannot be worked with.
pub(super) async fn refuse(pass: &mut Pass, faults: &[String]) -> Result<Outcome, cluster::Error> {
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
pub(super) async fn unknown(pass: &mut Pass, message: &str, cause: Cause) -> Result<Outcome, cluster::Error> {
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

pub(super) fn compared_to(object: &Value) -> Value {
    let mut compared = json!({});
    for field in ["source", "sources", "destination", "ignoreDifferences"] {
        if let Some(value) = get(object, &["spec", field]) {
            compared[field] = value.clone();
        }
    }
    compared
}

pub(super) fn set_health(pass: &mut Pass, status: Status) {
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

impl Look<'_> {
    /// Writes what was found into the status.
    pub(super) fn conclude(
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
        let mut summary = json!({});
        for (field, found) in [("images", state.images()), ("externalURLs", state.addresses())] {
            if !found.is_empty() {
                summary[field] = json!(found);
            }
        }
        if state.items.iter().any(|item| item.resource.gvk == names::gvk(names::APPLICATION)) {
            summary["isAppOfApps"] = json!(true);
        }
        pass.set(&["summary"], summary);
        pass.set(&["controllerNamespace"], json!(self.shared.options.namespace));
        let own = pass.context.key.clone();
        let (status, why) = state.health(&own);
        set_health(pass, status);
        pass.refreshed();
        (status, why)
    }

    /// A new revision alone is no reason to write at once: a thousand Applications would, at every commit. It is
    /// written when the last look was long ago, or with whatever else there is to say.
    pub(super) fn is_worth_writing(&self, pass: &mut Pass) -> bool {
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
        let asked = |name: &str| meta::annotation(&pass.object, name).is_some();
        if worth || asked(names::REFRESH) || asked(names::HYDRATE) {
            let stamp = pass.context.clock().stamp();
            pass.set(&["reconciledAt"], json!(stamp));
            return true;
        }
        false
    }
}
