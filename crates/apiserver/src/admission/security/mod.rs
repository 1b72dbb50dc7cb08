//! Pod security: the standards that a namespace's labels ask for, enforced on pods and warned of for what makes pods.

mod checks;

use std::collections::BTreeMap;

use object::{get, get_str, meta};
use serde_json::Value;

use crate::api::write::Context;
use crate::app::App;
use crate::catalog::Resource;
use crate::status::{Cause, Failure};

const PREFIX: &str = "pod-security.kubernetes.io/";
/// How many pods of a namespace are looked at when it becomes stricter.
const MOST_PODS: usize = 3000;

/// How strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Option<Level> {
        match text {
            "privileged" => Some(Level::Privileged),
            "baseline" => Some(Level::Baseline),
            "restricted" => Some(Level::Restricted),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }
}

/// A level as of a minor version of Kubernetes; the newest without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standard {
    level: Level,
    minor: Option<u32>,
}

impl Standard {
    const NONE: Standard = Standard { level: Level::Privileged, minor: None };

    fn name(self) -> String {
        match self.minor {
            Some(minor) => format!("{}:v1.{minor}", self.level.name()),
            None => format!("{}:latest", self.level.name()),
        }
    }
}

/// What a namespace asks for. Nobody reads audit annotations here, so that mode has no effect but on validation.
struct Policy {
    enforce: Standard,
    warn: Standard,
}

impl Policy {
    /// From a namespace's labels; a label that cannot be read counts as the strictest for what is enforced, and as
    /// none for what is warned of.
    fn of(namespace: &Value) -> (Policy, Vec<Cause>) {
        let mut causes = Vec::new();
        let mut policy = Policy { enforce: Standard::NONE, warn: Standard::NONE };
        let label = |name: &str| meta::label(namespace, &format!("{PREFIX}{name}"));
        let mut level = |name: &str, otherwise: Level| {
            let text = label(name)?;
            let parsed = Level::parse(text);
            if parsed.is_none() {
                let why = "must be one of privileged, baseline, restricted";
                causes.push(Cause::invalid(field(name), &text.into(), why));
            }
            Some((parsed.unwrap_or(otherwise), parsed.is_some()))
        };
        let enforce = level("enforce", Level::Restricted);
        level("audit", Level::Privileged);
        let warn = level("warn", Level::Privileged);
        let mut version = |name: &str| {
            let text = label(name)?;
            let minor = minor(text);
            if minor.is_none() {
                causes.push(Cause::invalid(field(name), &text.into(), "must be \"latest\" or \"v1.x\""));
            }
            minor.flatten()
        };
        policy.enforce.minor = version("enforce-version");
        version("audit-version");
        policy.warn.minor = version("warn-version");
        if let Some((level, _)) = enforce {
            policy.enforce.level = level;
        }
        if let Some((level, _)) = warn {
            policy.warn.level = level;
        }
        // Whoever enforces is warned of the same, unless it is said otherwise.
        if let (None, Some((level, true))) = (warn, enforce) {
            policy.warn.level = level;
            if label("warn-version").is_none() {
                policy.warn.minor = policy.enforce.minor;
            }
        }
        causes.sort_by_key(|cause| order(&cause.field));
        (policy, causes)
    }
}

fn field(label: &str) -> String {
    format!("metadata.labels[{PREFIX}{label}]")
}

/// Errors are told mode by mode.
fn order(field: &str) -> usize {
    let modes = ["enforce]", "enforce-version]", "audit]", "audit-version]", "warn]", "warn-version]"];
    modes.iter().position(|mode| field.ends_with(mode)).unwrap_or(modes.len())
}

/// `latest` is `Some(None)`.
fn minor(text: &str) -> Option<Option<u32>> {
    if text == "latest" {
        return Some(None);
    }
    let digits = text.strip_prefix("v1.")?;
    let canonical = digits == "0" || !digits.starts_with('0');
    let plain = canonical && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok().map(Some)).flatten()
}

/// What is wrong with a pod by a standard.
struct Violations(Vec<checks::Violation>);

impl Violations {
    fn of(standard: Standard, pod: &Value) -> Violations {
        Violations(match standard.level {
            Level::Privileged => Vec::new(),
            Level::Baseline => checks::baseline(pod, standard.minor),
            Level::Restricted => checks::restricted(pod, standard.minor),
        })
    }

    fn details(&self) -> Option<String> {
        let shown = self.0.iter().map(|own| format!("{} ({})", own.reason, own.detail));
        (!self.0.is_empty()).then(|| shown.collect::<Vec<_>>().join(", "))
    }

    fn reasons(&self) -> Option<String> {
        let shown = self.0.iter().map(|own| own.reason.as_str());
        (!self.0.is_empty()).then(|| shown.collect::<Vec<_>>().join(", "))
    }
}

/// Judges a write of a namespace, a pod, or something that makes pods.
pub fn check(
    app: &App,
    resource: &Resource,
    context: &Context,
    value: &Value,
    live: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    if !context.subresource.is_empty() && context.subresource != "ephemeralcontainers" {
        return Ok(());
    }
    let template: &[&str] = match &*resource.table {
        "namespaces" => return namespace(app, resource, value, live, warnings),
        "pods" => &[],
        "podtemplates" => &["template"],
        "replicationcontrollers"
        | "deployments.apps"
        | "daemonsets.apps"
        | "statefulsets.apps"
        | "replicasets.apps"
        | "jobs.batch" => &["spec", "template"],
        "cronjobs.batch" => &["spec", "jobTemplate", "spec", "template"],
        _ => return Ok(()),
    };
    let Some(found) = app.store.get("namespaces", meta::namespace(value).unwrap_or_default()) else {
        return Ok(());
    };
    if !found.labels.iter().any(|(key, _)| key.starts_with(PREFIX)) {
        return Ok(());
    }
    let (policy, _) = Policy::of(&found.value());
    let Some(pod) = get(value, template).filter(|pod| pod.is_object()) else { return Ok(()) };
    let is_pod = template.is_empty();
    if is_pod && live.is_some_and(|live| same_images(live, value)) {
        return Ok(());
    }
    if is_pod && let Some(details) = Violations::of(policy.enforce, pod).details() {
        let why = format!("violates PodSecurity {:?}: {details}", policy.enforce.name());
        return Err(Failure::forbidden(&resource.group, &resource.name, meta::name(value), &why));
    }
    if let Some(details) = Violations::of(policy.warn, pod).details() {
        warnings.push(format!("would violate PodSecurity {:?}: {details}", policy.warn.name()));
    }
    Ok(())
}

/// Only images can change in a pod's containers.
fn same_images(live: &Value, value: &Value) -> bool {
    let images = |pod: &Value| -> Vec<(String, String)> {
        checks::containers(pod)
            .map(|own| {
                let text = |field: &str| get_str(own, &[field]).unwrap_or_default().to_owned();
                (text("name"), text("image"))
            })
            .collect()
    };
    images(live) == images(value)
}

fn namespace(
    app: &App,
    resource: &Resource,
    value: &Value,
    live: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let (policy, causes) = Policy::of(value);
    let before = live.map(Policy::of);
    let known = before.as_ref().is_some_and(|(_, old)| *old == causes);
    if !causes.is_empty() && !known {
        return Err(Failure::invalid(&resource.group, &resource.kind, meta::name(value), &causes));
    }
    let Some((old, _)) = before else { return Ok(()) };
    let (new, old) = (policy.enforce, old.enforce);
    let relaxed = new.minor == old.minor && new.level <= old.level;
    if new != old && new.level != Level::Privileged && !relaxed {
        existing_pods(app, meta::name(value), new, warnings);
    }
    Ok(())
}

/// Warns of pods that could not be made any more.
fn existing_pods(app: &App, namespace: &str, enforce: Standard, warnings: &mut Vec<String>) {
    let pods = app.store.list("pods", &format!("{namespace}/")).1;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in pods.iter().take(MOST_PODS) {
        if let Some(reasons) = Violations::of(enforce, &pod.value()).reasons() {
            found.entry(reasons).or_default().push(pod.name().to_owned());
        }
    }
    if pods.len() > MOST_PODS {
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {MOST_PODS} of {} existing pods",
            pods.len()
        ));
    }
    if !found.is_empty() {
        warnings.push(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level {:?}",
            enforce.name()
        ));
    }
    let mut lines: Vec<String> = found
        .into_iter()
        .map(|(reasons, names)| {
            let first = names.iter().min().cloned().unwrap_or_default();
            match names.len() {
                0 | 1 => format!("{first}: {reasons}"),
                2 => format!("{first} (and 1 other pod): {reasons}"),
                many => format!("{first} (and {} other pods): {reasons}", many - 1),
            }
        })
        .collect();
    // The original sorts the lines by what they say, with the names in front.
    lines.sort();
    warnings.extend(lines);
}
