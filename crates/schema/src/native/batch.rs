//! Jobs, and what makes them by the clock.

use std::collections::BTreeSet;

use object::{LabelSelector, Value, meta};

use super::at::{At, Errors};
use super::{internal, pod, small, validate};
use crate::{FieldError, Reason};

const MOST_INDEXES: i64 = 100_000;
const MOST_AT_ONCE: i64 = 10_000;
const INDEXED_ONLY: &str = "requires indexed completion mode";

/// A Job.
pub(super) fn job(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = At::new(object, "");
    let spec = root.get("spec");
    if old.is_none() {
        generated_selector(object, &spec, errors);
    }
    job_spec(&spec, errors);
    let selector = spec.get("selector");
    if selector.some() {
        validate::selector(selector.value, &selector.path, errors);
    } else {
        selector.required(errors);
    }
    let labels = spec.get("template").get("metadata").get("labels");
    let fits = match LabelSelector::from_object(selector.value) {
        Ok(own) if selector.some() => own.matches(labels.value.as_object()),
        _ => false,
    };
    if !fits {
        labels.invalid("`selector` does not match template `labels`", errors);
    }
    match old {
        None => {
            let count = spec.get("completions").number();
            if spec.get("completionMode").text() == "Indexed" && count > 0 {
                let name = format!("{}-{}", meta::name(object), count - 1);
                if !super::names::dns_labels(&name).is_empty() {
                    let detail = format!("will not able to create pod with invalid DNS label: {name}");
                    root.get("metadata").get("name").invalid_as(meta::name(object), detail, errors);
                }
            }
        }
        Some(old) => changes(&spec, &At::new(old, "").get("spec"), old, errors),
    }
}

/// Gives a new Job its selector, as the server does before it judges it: by labels of its Pods that its UID makes
/// unique. One with `manualSelector` keeps its own.
pub(super) fn select_own_pods(job: &mut Value) {
    if object::get_bool(job, &["spec", "manualSelector"]) == Some(true) {
        return;
    }
    let (uid, name) = (meta::uid(job).to_owned(), meta::name(job).to_owned());
    for (key, text) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        object::set(job, &["spec", "template", "metadata", "labels", key], text.as_str().into());
    }
    if object::get(job, &["spec", "selector"]).is_none_or(Value::is_null) {
        let selector = serde_json::json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
        object::set(job, &["spec", "selector"], selector);
    }
}

/// The labels that the server gives the Pods of a Job.
fn generated_selector(object: &Value, spec: &At<'_>, errors: &mut Errors) {
    if spec.get("manualSelector").yes() || !spec.get("selector").some() {
        return;
    }
    let labels = spec.get("template").get("metadata").get("labels");
    let (uid, name) = (meta::uid(object), meta::name(object));
    for (key, wanted) in [
        ("controller-uid", uid),
        ("job-name", name),
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
    ] {
        let path = format!("{}[{key}]", labels.path);
        match labels.value.get(key).and_then(Value::as_str) {
            None => errors.push(FieldError::required(path, format!("must be '{wanted}'"))),
            Some(own) if own != wanted => {
                errors.push(FieldError::invalid(
                    &labels.path,
                    labels.value.clone(),
                    format!("must be '{wanted}'"),
                ));
            }
            Some(_) => {}
        }
    }
    let wanted = serde_json::json!({
        "controller-uid": uid, "job-name": name,
        "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name,
    });
    let selector = spec.get("selector");
    let fits = LabelSelector::from_object(selector.value).is_ok_and(|own| own.matches(wanted.as_object()));
    if !fits {
        selector.invalid_selector("`selector` not auto-generated", errors);
    }
}

/// What of a Job may not change.
fn changes(spec: &At<'_>, before: &At<'_>, old: &Value, errors: &mut Errors) {
    let (count, earlier) = (spec.get("completions"), before.get("completions"));
    if spec.get("completionMode").text() == "Indexed" {
        if count.value != earlier.value && count.some() && count.number() != spec.get("parallelism").number()
        {
            count.invalid("can only be modified in tandem with spec.parallelism", errors);
        }
    } else {
        count.unchanged(&earlier, errors);
    }
    spec.get("selector").unchanged_selector(&before.get("selector"), errors);
    let template = spec.get("template");
    let mut kept = before.get("template").value.clone();
    // What has not begun may still be sent elsewhere.
    let waits =
        before.get("suspend").yes() && At::new(old, "").get("status").get("startTime").value.is_null();
    if waits {
        for path in [
            &["spec", "affinity", "nodeAffinity"][..],
            &["spec", "nodeSelector"],
            &["spec", "tolerations"],
            &["spec", "schedulingGates"],
            &["metadata", "annotations"],
            &["metadata", "labels"],
        ] {
            match object::get(template.value, path) {
                Some(value) => object::set(&mut kept, path, value.clone()),
                None => {
                    object::remove(&mut kept, path);
                }
            }
        }
    }
    if *template.value != kept {
        let shown = internal::shown("PodTemplateSpec", template.value);
        errors.push(FieldError::invalid_shown(&template.path, &shown, "field is immutable"));
    }
    spec.get("completionMode").unchanged(&before.get("completionMode"), errors);
    for (field, name) in [
        ("podFailurePolicy", "batch.PodFailurePolicy"),
        ("backoffLimitPerIndex", ""),
        ("managedBy", ""),
        ("successPolicy", "batch.SuccessPolicy"),
    ] {
        let own = spec.get(field);
        if own.value == before.get(field).value {
            continue;
        }
        if name.is_empty() || !own.some() {
            own.invalid("field is immutable", errors);
        } else {
            let shown = internal::shown(name, own.value);
            errors.push(FieldError::invalid_shown(&own.path, &shown, "field is immutable"));
        }
    }
}

fn job_spec(spec: &At<'_>, errors: &mut Errors) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        spec.get(field).not_negative(errors);
    }
    let each = spec.get("backoffLimitPerIndex");
    let failed = spec.get("maxFailedIndexes");
    if failed.some() && !each.some() {
        each.required_because("when maxFailedIndexes is specified", errors);
    }
    let manager = spec.get("managedBy");
    if manager.some() {
        small::domain_path(&manager, errors);
        if manager.text().len() > 63 {
            errors.push(FieldError::too_long(&manager.path, 63));
        }
    }
    let mode = spec.get("completionMode");
    mode.may_be_one_of(&["NonIndexed", "Indexed"], errors);
    if mode.text() == "Indexed" {
        indexed(spec, errors);
    } else if !mode.some() || mode.text() == "NonIndexed" {
        for own in [&each, &failed] {
            if own.some() {
                own.invalid(INDEXED_ONLY, errors);
            }
        }
    }
    let policy = spec.get("podFailurePolicy");
    if policy.some() {
        failure_policy(spec, &policy, errors);
    }
    let success = spec.get("successPolicy");
    if success.some() {
        if mode.text() == "Indexed" {
            success_policy(spec, &success, errors);
        } else {
            let shown = internal::shown("batch.SuccessPolicy", success.value);
            errors.push(FieldError::invalid_shown(&success.path, &shown, INDEXED_ONLY));
        }
    }
    let replacement = spec.get("podReplacementPolicy");
    let known: &[&str] = if policy.some() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    replacement.may_be_one_of(known, errors);
    pod::template(&spec.get("template"), errors);
    let restart = spec.get("template").get("spec").get("restartPolicy");
    match restart.text() {
        "" | "Always" => restart.required_because("valid values: \"OnFailure\", \"Never\"", errors),
        "OnFailure" if policy.some() => {
            restart.invalid("only \"Never\" is supported when podFailurePolicy is specified", errors);
        }
        _ => restart.one_of(&["OnFailure", "Never"], errors),
    }
}

fn indexed(spec: &At<'_>, errors: &mut Errors) {
    let (count, width) = (spec.get("completions"), spec.get("parallelism"));
    let failed = spec.get("maxFailedIndexes");
    if !count.some() {
        count.required_because("when completion mode is Indexed", errors);
    }
    if width.number() > MOST_INDEXES {
        let detail = format!("must be less than or equal to {MOST_INDEXES} when completion mode is Indexed");
        width.invalid(detail, errors);
    }
    if count.some() && failed.number() > count.number() {
        failed.invalid("must be less than or equal to completions", errors);
    }
    if failed.number() > MOST_INDEXES {
        failed.invalid(format!("must be less than or equal to {MOST_INDEXES}"), errors);
    }
    if count.number() > MOST_INDEXES && spec.get("backoffLimitPerIndex").some() {
        if !failed.some() {
            let detail = format!("must be specified when completions is above {MOST_INDEXES}");
            failed.required_because(&detail, errors);
        }
        for own in [width, failed] {
            if own.number() > MOST_AT_ONCE {
                let detail = format!(
                    "must be less than or equal to {MOST_AT_ONCE} when completions are above {MOST_INDEXES} and used with backoff limit per index"
                );
                own.invalid(detail, errors);
            }
        }
    }
}

/// Text that must be one of a few; messages list them as Go prints lists.
fn choice(own: &At<'_>, known: &[&str], errors: &mut Errors) {
    if own.text().is_empty() {
        let quoted: Vec<String> = known.iter().map(|known| format!("{known:?}")).collect();
        own.required_because(&format!("valid values: [{}]", quoted.join(" ")), errors);
    } else {
        own.one_of(known, errors);
    }
}

fn failure_policy(spec: &At<'_>, policy: &At<'_>, errors: &mut Errors) {
    let rules = policy.get("rules");
    if rules.len() > 20 {
        errors.push(FieldError::too_many(&rules.path, rules.len() as i64, 20));
    }
    let template = spec.get("template").get("spec");
    let containers: Vec<At<'_>> =
        template.get("containers").items().chain(template.get("initContainers").items()).collect();
    let known: BTreeSet<&str> = containers.iter().map(|own| own.get("name").text()).collect();
    let unspoken = |rule: &At<'_>, detail: &str, errors: &mut Errors| {
        errors.push(FieldError {
            reason: Reason::Invalid,
            field: rule.path.clone(),
            value: None,
            detail: detail.to_owned(),
        });
    };
    for rule in rules.items() {
        let action = rule.get("action");
        if action.text() == "FailIndex" {
            if !spec.get("backoffLimitPerIndex").some() {
                action.invalid("requires the backoffLimitPerIndex to be set", errors);
            }
        } else {
            choice(&action, &["Count", "FailIndex", "FailJob", "Ignore"], errors);
        }
        let (codes, conditions) = (rule.get("onExitCodes"), rule.get("onPodConditions"));
        if codes.some() {
            exit_codes(&codes, &known, errors);
        }
        if conditions.len() > 20 {
            errors.push(FieldError::too_many(&conditions.path, conditions.len() as i64, 20));
        }
        for pattern in conditions.items() {
            pattern.get("type").qualified(errors);
            choice(&pattern.get("status"), &["False", "True", "Unknown"], errors);
        }
        match (codes.some(), conditions.len() > 0) {
            (true, true) => {
                unspoken(&rule, "specifying both OnExitCodes and OnPodConditions is not supported", errors);
            }
            (false, false) => {
                unspoken(&rule, "specifying one of OnExitCodes and OnPodConditions is required", errors);
            }
            _ => {}
        }
    }
}

fn exit_codes(own: &At<'_>, containers: &BTreeSet<&str>, errors: &mut Errors) {
    let operator = own.get("operator");
    choice(&operator, &["In", "NotIn"], errors);
    let name = own.get("containerName");
    if name.some() && !containers.contains(name.text()) {
        let detail = "must be one of the container or initContainer names in the pod template";
        name.invalid(detail, errors);
    }
    let values = own.get("values");
    match values.len() {
        0 => values.invalid("at least one value is required", errors),
        256.. => errors.push(FieldError::too_many(&values.path, values.len() as i64, 255)),
        _ => {}
    }
    let (mut seen, mut last, mut ordered) = (BTreeSet::new(), None, true);
    for value in values.items() {
        if operator.text() == "In" && value.number() == 0 {
            value.invalid("must not be 0 for the In operator", errors);
        }
        if !seen.insert(value.number()) {
            value.duplicate(value.number(), errors);
        }
        ordered &= last.is_none_or(|last| last <= value.number());
        last = Some(value.number());
    }
    if !ordered {
        values.invalid("must be ordered", errors);
    }
}

fn success_policy(spec: &At<'_>, policy: &At<'_>, errors: &mut Errors) {
    let rules = policy.get("rules");
    match rules.len() {
        0 => {
            let detail = "at least one rules must be specified when the successPolicy is specified";
            rules.required_because(detail, errors);
        }
        21.. => errors.push(FieldError::too_many(&rules.path, rules.len() as i64, 20)),
        _ => {}
    }
    let all = spec.get("completions").number();
    for rule in rules.items() {
        let (count, indexes) = (rule.get("succeededCount"), rule.get("succeededIndexes"));
        if !count.some() && !indexes.some() {
            let detail = "at least one of succeededCount or succeededIndexes must be specified";
            rule.required_because(detail, errors);
        }
        let mut total = 0;
        if indexes.some() {
            match index_count(indexes.text(), all) {
                Ok(number) => total = number,
                Err(why) => {
                    indexes.invalid(format!("error parsing succeededIndexes: {why}"), errors);
                }
            }
        }
        if count.some() {
            count.not_negative(errors);
            if count.number() > all {
                let detail =
                    format!("must be less than or equal to {all} (the number of specified completions)");
                count.invalid(detail, errors);
            }
            if indexes.some() && count.number() > total {
                let detail = format!(
                    "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
                );
                count.invalid(detail, errors);
            }
        }
    }
}

/// How many indexes `1,3-5` names.
fn index_count(text: &str, most: i64) -> Result<i64, String> {
    let (mut total, mut last): (i64, Option<i64>) = (0, None);
    if text.is_empty() {
        return Ok(0);
    }
    for part in text.split(',') {
        let numbers: Vec<&str> = part.split('-').collect();
        if numbers.len() > 2 {
            return Err(format!(
                "the fragment {part:?} violates the requirement that an index interval can have at most two parts separated by '-'"
            ));
        }
        let mut found = Vec::new();
        for number in &numbers {
            let Ok(value) = number.parse::<i64>() else {
                return Err(format!("cannot convert string to integer for index: {number:?}"));
            };
            if value >= most {
                return Err(format!("too large index: {number:?}"));
            }
            found.push(value);
        }
        let (first, end) = match found.as_slice() {
            [first] => (*first, *first),
            [first, end] => (*first, *end),
            _ => continue,
        };
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        if numbers.len() == 2 && end <= first {
            return Err(format!("non-increasing order, previous: {first}, current: {end}"));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

/// A CronJob.
pub(super) fn cron_job(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = At::new(object, "");
    let spec = root.get("spec");
    let text = spec.get("schedule");
    if text.must(errors) {
        if let Err(why) = gotime::cron::Schedule::parse(text.text()) {
            text.invalid(why, errors);
        }
        let zoned = text.text().contains("TZ");
        let before =
            old.is_some_and(|old| At::new(old, "").get("spec").get("schedule").text().contains("TZ"));
        if zoned && !before {
            text.invalid("cannot use TZ or CRON_TZ in schedule, use timeZone field instead", errors);
        } else if zoned && spec.get("timeZone").some() {
            text.invalid("cannot use both timeZone field and TZ or CRON_TZ in schedule", errors);
        }
    }
    spec.get("startingDeadlineSeconds").not_negative(errors);
    let zone = spec.get("timeZone");
    if zone.some() && old.is_none_or(|old| At::new(old, "").get("spec").get("timeZone").value != zone.value) {
        time_zone(&zone, errors);
    }
    spec.get("concurrencyPolicy").must_be_one_of(&["Allow", "Forbid", "Replace"], errors);
    let job = spec.get("jobTemplate").get("spec");
    job_spec(&job, errors);
    if job.get("selector").some() {
        job.get("selector").invalid_selector("`selector` will be auto-generated", errors);
    }
    if job.get("manualSelector").yes() {
        let known = ["nil", "false"];
        errors.push(FieldError::not_supported(job.child("manualSelector"), true, &known));
    }
    spec.get("successfulJobsHistoryLimit").not_negative(errors);
    spec.get("failedJobsHistoryLimit").not_negative(errors);
    if old.is_none() && meta::name(object).len() > 52 {
        root.get("metadata").get("name").invalid("must be no more than 52 characters", errors);
    }
}

fn time_zone(zone: &At<'_>, errors: &mut Errors) {
    let text = zone.text();
    if text.is_empty() {
        zone.invalid("timeZone must be nil or non-empty string", errors);
        return;
    }
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    let fits = |part: &str| {
        !matches!(part, "." | "..")
            && !part.starts_with('-')
            && (1..=14).contains(&part.len())
            && part.chars().all(word)
    };
    if !text.split('/').all(fits) {
        zone.invalid(format!("unknown time zone {text}"), errors);
        return;
    }
    if text.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        zone.invalid(detail, errors);
    }
    if let Err(why) = gotime::cron::zone(text) {
        zone.invalid(why, errors);
    }
}
