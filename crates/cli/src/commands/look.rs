//! Looking at a cluster from outside the engine: the units from their own status.

use crate::errors::usage;
use cluster::{Cluster, ListOptions};
use controller::{Snapshot, Unit};
use health::Status;
use object::selector::LabelSelector;
use object::{Gvk, Key, Value, get, get_str, meta};

/// The units of the cluster as their objects tell.
pub async fn snapshot(cluster: &Cluster, selector: Option<&str>) -> anyhow::Result<Snapshot> {
    let mut objects = flux::list(cluster).await?;
    objects.extend(argo::list(cluster).await?);
    if let Some(selector) = selector {
        let wanted =
            LabelSelector::parse(selector).map_err(|error| usage(format!("-l {selector}: {error}")))?;
        objects.retain(|object| wanted.matches_object(object));
    }
    // Kinds describe objects without fetching anything; the fetcher stays unused.
    let fetcher = source::Fetcher::new(source::Options::default())?;
    let mut kinds = argo::kinds(argo::Options::new(fetcher.clone()));
    kinds.extend(flux::kinds(flux::Options::new(fetcher)));
    Ok(Snapshot::of_objects(&kinds, &objects))
}

/// The line that explains a unit: its first cause, and below an unhealthy workload what its pods say.
pub async fn first_cause(cluster: &Cluster, snapshot: &Snapshot, unit: &Unit) -> anyhow::Result<String> {
    let hops = snapshot.why(&unit.key);
    let last = hops.last().and_then(|hop| snapshot.unit(&hop.unit)).unwrap_or(unit);
    let said =
        snapshot.first_cause(&unit.key).map_or_else(|| last.message.clone(), |cause| cause.line_text());
    match unhealthy(cluster, last).await? {
        Some(found) if !said.contains(found.as_str()) => Ok(format!("{said}; {found}")),
        _ => Ok(said),
    }
}

/// The first object of the inventory that is not healthy, with its own message.
async fn unhealthy(cluster: &Cluster, unit: &Unit) -> anyhow::Result<Option<String>> {
    let cluster = &match elsewhere(cluster, unit).await {
        Ok(there) => there,
        // Why it cannot be reached, the unit's own condition tells.
        Err(_) => return Ok(None),
    };
    for entry in &unit.inventory {
        let found = cluster.get(&entry.gvk(), &entry.key.namespace, &entry.key.name).await?;
        let Some(object) = found else {
            return Ok(Some(format!("{} is gone", shown(&entry.key))));
        };
        let health = health::status(&object, now());
        if health.status != Status::Current {
            let pods = pod_trouble(cluster, &object).await?;
            let said = pods.unwrap_or(health.message);
            return Ok(Some(format!("{}: {said}", shown(&entry.key))));
        }
    }
    Ok(None)
}

/// The cluster that a unit delivers to.
///
/// # Errors
/// With the line for people, when it cannot be told.
pub async fn elsewhere(cluster: &Cluster, unit: &Unit) -> Result<Cluster, String> {
    if !unit.elsewhere {
        return Ok(cluster.clone());
    }
    let key = &unit.key;
    let gvk = argo::gvks()
        .into_iter()
        .chain(flux::gvks())
        .find(|gvk| gvk.kind == key.kind && gvk.group == key.group);
    let gvk = gvk.ok_or_else(|| format!("{} is not known", key.kind))?;
    let found = cluster.get(&gvk, &key.namespace, &key.name).await.map_err(|error| error.to_string())?;
    let object = found.ok_or_else(|| format!("{} is gone", shown(key)))?;
    if gvk.group == argo::names::GROUP {
        let destination = argo::application::spec::Destination::of_spec(&object["spec"]);
        let home = get_str(&object, &["status", "controllerNamespace"]).unwrap_or("argocd");
        return argo::sites::connect(cluster, home, &destination).await;
    }
    flux::target::connect(cluster, &object).await
}

/// What the first pod of a workload that does not run says: image, scheduling, crash.
async fn pod_trouble(cluster: &Cluster, workload: &Value) -> anyhow::Result<Option<String>> {
    let Some(labels) = get(workload, &["spec", "selector", "matchLabels"]).and_then(Value::as_object) else {
        return Ok(None);
    };
    let selector: Vec<String> = labels
        .iter()
        .filter_map(|(key, value)| value.as_str().map(|value| format!("{key}={value}")))
        .collect();
    let gvk = Gvk { group: String::new(), version: "v1".into(), kind: "Pod".into() };
    let options = ListOptions {
        namespace: meta::namespace(workload).unwrap_or_default().to_owned(),
        labels: selector.join(","),
        ..ListOptions::default()
    };
    let pods = cluster.list(&gvk, &options).await?;
    Ok(pods.iter().find_map(|pod| pod_message(pod).map(|said| format!("pod {}: {said}", meta::name(pod)))))
}

fn pod_message(pod: &Value) -> Option<String> {
    let statuses = get(pod, &["status", "containerStatuses"]).and_then(Value::as_array);
    let waiting = statuses.into_iter().flatten().find_map(|status| {
        let waiting = get(status, &["state", "waiting"])?;
        let reason = get_str(waiting, &["reason"])?;
        let message = get_str(waiting, &["message"]).unwrap_or_default();
        Some(format!("{reason} {message}").trim().to_owned())
    });
    waiting.or_else(|| {
        let conditions = get(pod, &["status", "conditions"]).and_then(Value::as_array)?;
        conditions.iter().find_map(|condition| {
            let off = get_str(condition, &["status"]) == Some("False");
            let message = get_str(condition, &["message"]).filter(|message| !message.is_empty())?;
            off.then(|| message.to_owned())
        })
    })
}

/// `kind/name` with the namespace behind it.
pub fn shown(key: &Key) -> String {
    match key.namespace.as_str() {
        "" => format!("{}/{}", key.kind.to_lowercase(), key.name),
        namespace => format!("{}/{}.{namespace}", key.kind.to_lowercase(), key.name),
    }
}

/// The time in seconds, as judgements of health take it.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
