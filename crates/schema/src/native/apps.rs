//! Deployments, ReplicaSets, DaemonSets, StatefulSets, replication controllers and revisions of them.

use object::{LabelSelector, Value, get};
use serde_json::json;

use super::at::{At, Errors};
use super::{internal, persistent, pod, validate};
use crate::FieldError;

const MISMATCH: &str = "`selector` does not match template `labels`";

/// A workload of the group `apps`.
pub(super) fn workload(kind: &str, object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = At::new(object, "").get("spec");
    let before = old.map(|old| At::new(old, "").get("spec"));
    match kind {
        "Deployment" => {
            spec.get("replicas").not_negative(errors);
            replicated(&spec, "deployment", errors);
            deployment(&spec, errors);
            if let Some(before) = &before {
                spec.get("selector").unchanged_selector(&before.get("selector"), errors);
            }
        }
        "ReplicaSet" => {
            spec.get("replicas").not_negative(errors);
            spec.get("minReadySeconds").not_negative(errors);
            replicated(&spec, "deployment", errors);
            if let Some(before) = &before {
                spec.get("selector").unchanged_selector(&before.get("selector"), errors);
            }
        }
        "DaemonSet" => {
            if let Some(before) = &before {
                spec.get("selector").unchanged_selector(&before.get("selector"), errors);
            }
            daemon_set(&spec, errors);
        }
        "StatefulSet" => stateful_set(&spec, before.as_ref(), errors),
        _ => {}
    }
}

/// The selector of a workload that must have one; `named` as messages name the kind.
fn required_selector(spec: &At<'_>, named: &str, errors: &mut Errors) {
    let own = spec.get("selector");
    if !own.some() {
        own.required(errors);
        return;
    }
    validate::selector(own.value, &own.path, errors);
    if own.get("matchLabels").len() + own.get("matchExpressions").len() == 0 {
        own.invalid_selector(&format!("empty selector is invalid for {named}"), errors);
    }
}

/// Whether a template has the labels that its owner selects; `None` when the selector cannot be used.
fn selects(spec: &At<'_>) -> Option<bool> {
    let own = spec.get("selector");
    if !own.some() {
        return Some(false);
    }
    let mut wrong = Errors::new();
    validate::selector(own.value, "", &mut wrong);
    let keys_only = wrong.iter().all(|error| error.field.ends_with("matchLabels") && error.value.is_none());
    if !wrong.is_empty() && !keys_only {
        return None;
    }
    if own.get("matchLabels").len() + own.get("matchExpressions").len() == 0 {
        return Some(true);
    }
    let labels = get(spec.value, &["template", "metadata", "labels"]);
    let selector = LabelSelector::from_object(own.value).ok()?;
    Some(selector.matches(labels.and_then(Value::as_object)))
}

fn mismatch(spec: &At<'_>, errors: &mut Errors) {
    spec.get("template").get("metadata").get("labels").invalid(MISMATCH, errors);
}

fn replicated(spec: &At<'_>, named: &str, errors: &mut Errors) {
    required_selector(spec, named, errors);
    match selects(spec) {
        None => {
            spec.get("selector").invalid_selector("invalid label selector", errors);
            return;
        }
        Some(false) => mismatch(spec, errors),
        Some(true) => {}
    }
    pod::template(&spec.get("template"), errors);
    always(spec, "ReplicaSet", errors);
}

/// Pods that are meant to go on.
fn always(spec: &At<'_>, kind: &str, errors: &mut Errors) {
    let own = spec.get("template").get("spec");
    own.get("restartPolicy").one_of(&["Always"], errors);
    let deadline = own.get("activeDeadlineSeconds");
    if deadline.some() {
        deadline.forbidden(format!("activeDeadlineSeconds in {kind} is not Supported"), errors);
    }
}

/// A number or a share, as a number; text that is no share counts as what Go's parser makes of it.
pub(super) fn number_or_share(own: &At<'_>) -> i64 {
    match own.value {
        Value::String(text) => match share(text) {
            Some(share) => share,
            None => text.parse().unwrap_or(0),
        },
        other => other.as_i64().unwrap_or(0),
    }
}

fn share(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    let fits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| digits.parse().unwrap_or(i64::MAX))
}

/// A number that is not negative, or a share.
pub(super) fn positive_or_share(own: &At<'_>, errors: &mut Errors) {
    match own.value {
        Value::String(text) if share(text).is_none() => {
            let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
            own.invalid(detail, errors);
        }
        Value::String(_) => {}
        _ => own.not_negative(errors),
    }
}

/// A share of no more than all.
pub(super) fn at_most_all(own: &At<'_>, errors: &mut Errors) {
    if own.value.as_str().and_then(share).is_some_and(|share| share > 100) {
        own.invalid("must not be greater than 100%", errors);
    }
}

fn deployment(spec: &At<'_>, errors: &mut Errors) {
    let strategy = spec.get("strategy");
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "Recreate" => {
            if rolling.some() {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                rolling.forbidden(detail, errors);
            }
        }
        "RollingUpdate" => {
            let (away, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            positive_or_share(&away, errors);
            positive_or_share(&surge, errors);
            if number_or_share(&away) == 0 && number_or_share(&surge) == 0 {
                away.invalid("may not be 0 when `maxSurge` is 0", errors);
            }
            at_most_all(&away, errors);
        }
        _ => unknown_strategy(&strategy, "apps.DeploymentStrategy", &["Recreate", "RollingUpdate"], errors),
    }
    spec.get("minReadySeconds").not_negative(errors);
    spec.get("revisionHistoryLimit").not_negative(errors);
    let deadline = spec.get("progressDeadlineSeconds");
    if deadline.some() {
        deadline.not_negative(errors);
        if deadline.number() <= spec.get("minReadySeconds").number() {
            deadline.invalid("must be greater than minReadySeconds", errors);
        }
    }
}

fn unknown_strategy(own: &At<'_>, name: &str, known: &[&str], errors: &mut Errors) {
    let quoted: Vec<String> = known.iter().map(|known| format!("{known:?}")).collect();
    errors.push(FieldError {
        reason: crate::Reason::NotSupported,
        field: own.path.clone(),
        value: None,
        detail: format!("{}: supported values: {}", internal::shown(name, own.value), quoted.join(", ")),
    });
}

fn daemon_set(spec: &At<'_>, errors: &mut Errors) {
    let selector = spec.get("selector");
    if selector.some() {
        validate::selector(selector.value, &selector.path, errors);
    }
    if selects(spec) == Some(false) {
        mismatch(spec, errors);
    }
    if selector.some() && selector.get("matchLabels").len() + selector.get("matchExpressions").len() == 0 {
        selector.invalid_selector("empty selector is invalid for daemonset", errors);
    }
    pod::template(&spec.get("template"), errors);
    always(spec, "DaemonSet", errors);
    spec.get("minReadySeconds").not_negative(errors);
    let strategy = spec.get("updateStrategy");
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "OnDelete" => {}
        "RollingUpdate" if !rolling.some() => rolling.required(errors),
        "RollingUpdate" => {
            let (away, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            positive_or_share(&away, errors);
            positive_or_share(&surge, errors);
            at_most_all(&away, errors);
            at_most_all(&surge, errors);
            match (number_or_share(&away) != 0, number_or_share(&surge) != 0) {
                (true, true) => surge.invalid("may not be set when maxUnavailable is non-zero", errors),
                (false, false) => away.required_because("cannot be 0 when maxSurge is 0", errors),
                _ => {}
            }
        }
        _ => unknown_strategy(
            &strategy,
            "apps.DaemonSetUpdateStrategy",
            &["RollingUpdate", "OnDelete"],
            errors,
        ),
    }
    spec.get("revisionHistoryLimit").not_negative(errors);
}

fn stateful_set(spec: &At<'_>, before: Option<&At<'_>>, errors: &mut Errors) {
    let management = spec.get("podManagementPolicy");
    match management.text() {
        "" => management.required(errors),
        "OrderedReady" | "Parallel" => {}
        _ => management.invalid("must be 'OrderedReady' or 'Parallel'", errors),
    }
    update_strategy(&spec.get("updateStrategy"), errors);
    let retention = spec.get("persistentVolumeClaimRetentionPolicy");
    if retention.some() {
        retention.get("whenDeleted").one_of(&["Retain", "Delete"], errors);
        retention.get("whenScaled").one_of(&["Retain", "Delete"], errors);
    }
    if before.is_none() {
        for claim in spec.get("volumeClaimTemplates").items() {
            persistent::claim_spec(&claim.get("spec"), errors);
        }
    }
    spec.get("replicas").not_negative(errors);
    spec.get("minReadySeconds").not_negative(errors);
    spec.get("ordinals").get("start").not_negative(errors);
    let service = spec.get("serviceName");
    if before.is_none() && !service.text().is_empty() {
        service.label(errors);
    }
    required_selector(spec, "statefulset", errors);
    match selects(spec) {
        None => {
            let shown = internal::shown("meta.LabelSelector", spec.get("selector").value);
            errors.push(FieldError {
                reason: crate::Reason::Invalid,
                field: spec.child("selector"),
                value: None,
                detail: shown,
            });
        }
        Some(fits) => {
            if !fits {
                mismatch(spec, errors);
            }
            let completed = with_claims(spec.value);
            let template = At::new(&completed, "spec").get("template");
            pod::template(&template, errors);
            // Labels of these are looked at twice.
            let meta = template.get("metadata");
            super::metadata::labels(meta.get("labels").value, &template.child("labels"), errors);
            super::metadata::annotations_at(
                &meta.get("annotations").named(template.child("annotations")),
                errors,
            );
        }
    }
    always(spec, "StatefulSet", errors);
    let Some(before) = before else { return };
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        for field in MUTABLE {
            object::remove(&mut spec, &[field]);
        }
        spec
    };
    if fixed(spec.value) != fixed(before.value) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        spec.forbidden(detail, errors);
    }
}

const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

fn update_strategy(own: &At<'_>, errors: &mut Errors) {
    let rolling = own.get("rollingUpdate");
    match own.get("type").text() {
        "" => own.required(errors),
        "OnDelete" => {
            if rolling.some() {
                let shown = internal::shown("apps.RollingUpdateStatefulSetStrategy", rolling.value);
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                errors.push(FieldError::invalid_shown(&rolling.path, &shown, detail));
            }
        }
        "RollingUpdate" => {
            rolling.get("partition").not_negative(errors);
            let away = rolling.get("maxUnavailable");
            if away.some() {
                positive_or_share(&away, errors);
                if number_or_share(&away) == 0 {
                    away.invalid("cannot be 0", errors);
                }
                at_most_all(&away, errors);
            }
        }
        _ => {
            let shown = internal::shown("apps.StatefulSetUpdateStrategy", own.value);
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            errors.push(FieldError::invalid_shown(&own.path, &shown, detail));
        }
    }
}

/// The specification of a StatefulSet with its claim templates as the volumes that they become.
fn with_claims(spec: &Value) -> Value {
    let mut completed = spec.clone();
    let none = At::new(spec, "spec");
    let mut made: Vec<(&str, Value)> = Vec::new();
    let templates: Vec<At<'_>> = none.get("volumeClaimTemplates").items().collect();
    for claim in &templates {
        let name = claim.get("metadata").get("name").text();
        if !made.iter().any(|(known, _)| *known == name) {
            made.push((name, json!({"name": name, "persistentVolumeClaim": {"claimName": name}})));
        }
    }
    for field in ["hostname", "subdomain"] {
        object::remove(&mut completed, &["template", "spec", field]);
    }
    if made.is_empty() {
        return completed;
    }
    let own = get(spec, &["template", "spec", "volumes"]).and_then(Value::as_array);
    let kept = own.into_iter().flatten().filter(|volume| {
        let name = object::get_str(volume, &["name"]).unwrap_or_default();
        !made.iter().any(|(known, _)| *known == name)
    });
    let volumes: Vec<Value> = made.iter().map(|(_, volume)| volume.clone()).chain(kept.cloned()).collect();
    object::set(&mut completed, &["template", "spec", "volumes"], volumes.into());
    completed
}

/// A replication controller.
pub(super) fn replication_controller(object: &Value, errors: &mut Errors) {
    let spec = At::new(object, "").get("spec");
    spec.get("minReadySeconds").not_negative(errors);
    let selector = spec.get("selector");
    if selector.len() == 0 {
        selector.required(errors);
    }
    spec.get("replicas").not_negative(errors);
    let template = spec.get("template");
    if !template.some() {
        template.required(errors);
        return;
    }
    let labels = template.get("metadata").get("labels");
    if selector.entries().any(|(key, wanted)| labels.value.get(key) != Some(wanted.value)) {
        labels.invalid(MISMATCH, errors);
    }
    pod::template(&template, errors);
    always(&spec, "ReplicationController", errors);
}

/// A revision of a workload.
pub(super) fn revision(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = At::new(object, "");
    root.get("revision").not_negative(errors);
    let data = root.get("data");
    match old {
        None if !data.some() => data.required_because("data is mandatory", errors),
        None if !data.value.is_object() => {
            data.required_because("data must be a valid JSON object", errors);
        }
        None => {}
        Some(old) => data.unchanged(&At::new(old, "").get("data"), errors),
    }
}
