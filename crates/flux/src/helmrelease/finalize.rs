//! Releases that go: with their HelmRelease, or because it means another release now.

use std::sync::Arc;

use cluster::EventType;
use controller::{Cause, Outcome};
use helm::Release;
use object::Value;

use super::act::name_of;
use super::action::{Fault, Storage};
use super::guard::Guard;
use super::run::{Stop, Wanted, actor, inventory, newest, stop_of, storage};
use super::{chart, every, storage_namespace, target_namespace};
use crate::common::{Pass, str_at};
use crate::options::Shared;
use crate::target::{self, NoTarget, Target};

/// Removes the release that is noted, and what attempts at it may have left. Returns its name.
async fn remove(
    shared: &Shared,
    pass: &mut Pass,
    target: &Target,
    noted: &Value,
    stored: &Storage,
) -> Result<Option<String>, (String, Fault)> {
    let object = pass.object.clone();
    let name = format!("{}/{}", str_at(noted, &["namespace"]), stored.name);
    let unnamed = |fault: Fault| (name.clone(), fault);
    let Ok(inventory) = inventory(pass) else {
        return Err(unnamed(Fault::failed("status.inventory cannot be read")));
    };
    let options = &shared.options;
    let mut actor = actor(target, options, &object, stored, &[], inventory);
    actor.guard = Arc::new(Guard::of_whole(options, &object));
    actor.namespace = str_at(noted, &["namespace"]).to_owned();
    let history = stored.history().await.map_err(|error| unnamed(error.into()))?;
    // A release of that name that is not among those that are noted is somebody else's.
    let ours = |release: &Release| {
        let noted = pass.status().get("history").and_then(Value::as_array);
        noted.into_iter().flatten().any(|entry| entry["version"] == release.version)
    };
    let done = match history.iter().any(ours) {
        false if history.is_empty() => actor.sweep(&[]).await.map(|()| None).map_err(unnamed),
        false => Ok(None),
        true => match history.into_iter().next_back() {
            None => Ok(None),
            Some(mut release) => {
                let name = name_of(&release);
                match actor.uninstall(&mut release).await {
                    Ok(()) => Ok(Some(name)),
                    Err(fault) => Err((name, fault)),
                }
            }
        },
    };
    actor.tell_deletions(pass);
    done
}

/// The release's identity changed: what was installed under the old one goes first.
pub(super) async fn move_away(
    shared: &Shared,
    pass: &mut Pass,
    target: &Target,
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
    let into = target_namespace(&pass.object);
    let same = str_at(&known, &["name"]) == new.name
        && str_at(&known, &["namespace"]) == into
        && namespace == new.namespace
        && !(chart_changed && reinstall);
    if same {
        return Ok(());
    }
    let old = storage(target, namespace, str_at(&known, &["name"]).to_owned());
    match remove(shared, pass, target, &known, &old).await {
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
    if !pass.is_suspended() {
        if let Some(known) = newest(pass.status()).cloned() {
            let done = uninstall(shared, pass, &known).await;
            if pass.context.cancel.is_cancelled() {
                return Ok(Outcome::preempted());
            }
            // Another cluster that fails us can be told of.
            let done = match done {
                Err(error) if target::has_kubeconfig(&pass.object) => Err(Cause::new(error.to_string())),
                done => done?,
            };
            if let Err(cause) = done {
                let before = pass.ready_message();
                pass.refuse("UninstallFailed", &cause.message, false, &before);
                pass.write().await?;
                return Ok(Outcome::retry(every(&pass.object), cause));
            }
        }
        chart::remove_generated(pass).await?;
    }
    shared.targets.leave(&pass.context);
    pass.remove_finalizer().await?;
    Ok(Outcome::done())
}

/// Removes the release, unless whoever may do so is gone. Says why that cannot be done.
async fn uninstall(
    shared: &Shared,
    pass: &mut Pass,
    known: &Value,
) -> Result<Result<(), Cause>, cluster::Error> {
    let namespace = match str_at(pass.status(), &["storageNamespace"]) {
        "" => storage_namespace(&pass.object),
        given => given.to_owned(),
    };
    let name = str_at(known, &["name"]).to_owned();
    let target = match target::find(shared, pass).await? {
        Ok(target) => target,
        Err(gone @ (NoTarget::NoAccount(_) | NoTarget::NoDescription(..))) => {
            let message = format!("Helm release {namespace}/{name} is not uninstalled: {}", gone.why());
            pass.event(EventType::Warning, "UninstallFailed", &message, "");
            return Ok(Ok(()));
        }
        Err(NoTarget::Unusable(why)) => {
            let words = format!("Helm uninstall failed for release {namespace}/{name}");
            return Ok(Err(Cause::new(format!("{words}: {why}"))));
        }
    };
    let stored = storage(&target, namespace, name);
    Ok(match remove(shared, pass, &target, known, &stored).await {
        Ok(None) => Ok(()),
        Ok(Some(name)) => {
            let message = format!("Helm uninstall succeeded for release {name}");
            pass.event(EventType::Normal, "UninstallSucceeded", &message, "");
            Ok(())
        }
        Err((name, fault)) => {
            let text = match fault {
                Fault::Failed { message, .. } => message,
                Fault::Preempted => "something newer came".into(),
            };
            Err(Cause::new(format!("Helm uninstall failed for release {name}: {text}")))
        }
    })
}
