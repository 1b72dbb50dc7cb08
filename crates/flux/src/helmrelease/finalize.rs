//! Releases that go: with their HelmRelease, or because it means another release now.

use std::sync::Arc;

use cluster::{Cluster, EventType};
use controller::{Cause, Outcome};
use helm::Release;
use object::Value;

use super::act::name_of;
use super::action::{Actor, Fault, Storage};
use super::run::{Stop, Wanted, actor, impersonated, inventory, newest, stop_of, storage};
use super::{chart, every, storage_namespace, target_namespace};
use crate::common::{Pass, str_at};
use crate::options::Shared;

/// Removes the release that is noted, and what attempts at it may have left. Returns its name.
async fn remove(
    shared: &Shared,
    pass: &Pass,
    cluster: &Cluster,
    noted: &Value,
    stored: &Storage,
) -> Result<Option<String>, (String, Fault)> {
    let name = format!("{}/{}", str_at(noted, &["namespace"]), stored.name);
    let unnamed = |fault: Fault| (name.clone(), fault);
    let inventory = match inventory(pass) {
        Ok(inventory) => inventory,
        Err(_) => return Err(unnamed(Fault::failed("status.inventory cannot be read"))),
    };
    let mut actor: Actor<'_> = actor(shared, &pass.context, &pass.object, cluster, stored, &[], inventory);
    actor.namespace = str_at(noted, &["namespace"]).to_owned();
    let history = stored.history().await.map_err(|error| unnamed(error.into()))?;
    // A release of that name that is not among those that are noted is somebody else's.
    let ours = |release: &Release| {
        let noted = pass.status().get("history").and_then(Value::as_array);
        noted.into_iter().flatten().any(|entry| entry["version"] == release.version)
    };
    if !history.iter().any(ours) {
        return match history.is_empty() {
            true => actor.sweep().await.map(|()| None).map_err(unnamed),
            false => Ok(None),
        };
    }
    let Some(mut release) = history.into_iter().next_back() else { return Ok(None) };
    let name = name_of(&release);
    match actor.uninstall(&mut release).await {
        Ok(()) => Ok(Some(name)),
        Err(fault) => Err((name, fault)),
    }
}

/// The release's identity changed: what was installed under the old one goes first.
pub(super) async fn move_away(
    shared: &Shared,
    pass: &mut Pass,
    cluster: &Cluster,
    new: &Storage,
    wanted: &Wanted,
) -> Result<(), Stop> {
    let Some(known) = newest(pass.status()).cloned() else { return Ok(()) };
    let namespace = match str_at(pass.status(), &["storageNamespace"]) {
        "" => new.namespace.clone(),
        given => given.to_owned(),
    };
    let reinstall = str_at(&pass.object, &["spec", "upgrade", "chartNameChangeStrategy"]) != "InPlaceUpdate";
    let chart_changed = str_at(&known, &["chartName"]) != wanted.loaded.chart.name();
    let target = target_namespace(&pass.object);
    let same = str_at(&known, &["name"]) == new.name
        && str_at(&known, &["namespace"]) == target
        && namespace == new.namespace
        && !(chart_changed && reinstall);
    if same {
        return Ok(());
    }
    let old = storage(pass, namespace, str_at(&known, &["name"]).to_owned());
    match remove(shared, pass, cluster, &known, &old).await {
        Ok(None) => {}
        Ok(Some(name)) => {
            let message =
                format!("Helm uninstall succeeded for release {name}: its name, namespace or chart changed");
            pass.event(EventType::Normal, "UninstallSucceeded", &message, "");
        }
        Err((name, fault)) => {
            let words = format!("Helm uninstall failed for release {name}");
            return Err(stop_of(fault, "UninstallFailed", &words, None, false));
        }
    }
    for field in ["history", "inventory"] {
        pass.set(&[field], Value::Null);
    }
    Ok(())
}

/// Deletion of the HelmRelease: the release goes with it, unless it is suspended.
pub(super) async fn finalize(shared: &Arc<Shared>, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
    if !pass.reread().await? {
        return Ok(Outcome::done());
    }
    let object = pass.object.clone();
    let cluster = impersonated(shared, pass).await?;
    if !pass.is_suspended()
        && let Some(cluster) = cluster
        && let Some(known) = newest(pass.status()).cloned()
    {
        let namespace = match str_at(pass.status(), &["storageNamespace"]) {
            "" => storage_namespace(&object),
            given => given.to_owned(),
        };
        let stored = storage(pass, namespace, str_at(&known, &["name"]).to_owned());
        match remove(shared, pass, &cluster, &known, &stored).await {
            Ok(None) => {}
            Ok(Some(name)) => {
                let message = format!("Helm uninstall succeeded for release {name}");
                pass.event(EventType::Normal, "UninstallSucceeded", &message, "");
            }
            Err((_, Fault::Preempted)) => return Ok(Outcome::preempted()),
            Err((name, Fault::Failed { message, .. })) => {
                let message = format!("Helm uninstall failed for release {name}: {message}");
                pass.event(EventType::Warning, "UninstallFailed", &message, "");
                pass.fail("UninstallFailed", &message);
                pass.write().await?;
                return Ok(Outcome::retry(every(&object), Cause::new(message)));
            }
        }
    }
    if !pass.is_suspended() {
        chart::remove_generated(pass).await?;
    }
    pass.remove_finalizer().await?;
    Ok(Outcome::done())
}
