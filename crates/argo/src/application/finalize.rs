//! Deletion of an Application: its hooks, its objects in the mirrored order of their waves, its hooks again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Delete, ErrorKind, EventType, Propagation};
use controller::{Cause, Context, Judgement, Outcome, WaitError, wait_for};
use delivery::fields::list_at;
use object::{Gvk, Key, Value, meta};

use super::load::{self, Fault, Wanted};
use super::pass::Pass;
use super::spec::{self, Spec};
use super::state::{Asking, Frame, Item, State};
use crate::diff::Rules;
use crate::health::Status;
use crate::installation::Installation;
use crate::names;
use crate::options::Shared;
use crate::project::Project;
use crate::sync::hooks::{self, Hook};
use crate::sync::options;

/// The longest pause between two tries.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// For how long objects of a wave may take to go before people are told.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why the deletion does not go on.
enum Stop {
    Preempted,
    Failed(String, Option<Key>),
    Api(cluster::Error),
}

impl From<cluster::Error> for Stop {
    fn from(error: cluster::Error) -> Stop {
        Stop::Api(error)
    }
}

fn has(object: &Value, wanted: &str) -> bool {
    meta::finalizers(object).any(|name| name == wanted || name.strip_suffix("/cleanup") == Some(wanted))
}

/// What is to become of the objects; `None`: they stay.
fn propagation(object: &Value) -> Option<Propagation> {
    if has(object, names::FINALIZER_BACKGROUND) {
        return Some(Propagation::Background);
    }
    (has(object, names::FINALIZER) || has(object, names::FINALIZER_FOREGROUND))
        .then_some(Propagation::Foreground)
}

/// Does what the finalizers ask for, then lets the Application go.
pub(super) async fn finalize(
    shared: &Arc<Shared>,
    pass: &mut Pass,
    installation: &Installation,
) -> Result<Outcome, cluster::Error> {
    match steps(shared, pass, installation).await {
        Ok(()) => {
            for at in 0..Spec::of(&pass.object).sources.len() {
                shared.options.renders.forget(&(pass.context.key.clone(), at));
            }
            Ok(Outcome::done())
        }
        Err(Stop::Preempted) => Ok(Outcome::preempted()),
        Err(Stop::Api(error)) => Err(error),
        Err(Stop::Failed(message, object)) => {
            pass.conditions(&["DeletionError"], &[("DeletionError", message.clone())]);
            pass.event(EventType::Warning, "ResourceDeleted", &message);
            pass.write().await?;
            let cause = Cause { object, ..Cause::new(message) };
            Ok(Outcome::retry(LONGEST_RETRY, cause))
        }
    }
}

async fn steps(shared: &Arc<Shared>, pass: &mut Pass, installation: &Installation) -> Result<(), Stop> {
    let spec = Spec::of(&pass.object);
    let instance = spec::instance(&pass.object, &shared.options.namespace);
    // A cluster that is not known any more holds nothing that could be deleted.
    let found = shared.sites.find(&pass.context, &spec.destination).await?;
    let reachable = found.is_ok();
    let site = found.unwrap_or_else(|_| shared.sites.own(&pass.context));
    let frame = Frame {
        shared,
        site: &site,
        spec: &spec,
        instance: &instance,
        installation,
        rules: Rules::default(),
        project: Project::everything(),
        asking: Asking::default(),
    };
    if reachable && has(&pass.object, names::PRE_DELETE_FINALIZER) {
        run_hooks(pass, &frame, Hook::PreDelete).await?;
    }
    drop_finalizers(pass, &[names::PRE_DELETE_FINALIZER]).await?;
    if reachable && let Some(propagation) = propagation(&pass.object) {
        delete_objects(pass, &frame, propagation).await?;
    }
    if reachable && has(&pass.object, names::POST_DELETE_FINALIZER) {
        run_hooks(pass, &frame, Hook::PostDelete).await?;
    }
    let ours = [
        names::FINALIZER,
        names::FINALIZER_FOREGROUND,
        names::FINALIZER_BACKGROUND,
        names::POST_DELETE_FINALIZER,
    ];
    drop_finalizers(pass, &ours).await
}

/// Hooks of a deletion need a finalizer to be run at all: it comes and goes with them.
pub(super) async fn announce_hooks(
    pass: &mut Pass,
    targets: &[(Key, Gvk, Value)],
) -> Result<(), cluster::Error> {
    let mut wanted: Vec<String> = meta::finalizers(&pass.object).map(str::to_owned).collect();
    let before = wanted.clone();
    for (which, name) in
        [(Hook::PreDelete, names::PRE_DELETE_FINALIZER), (Hook::PostDelete, names::POST_DELETE_FINALIZER)]
    {
        let needed = targets.iter().any(|(_, _, target)| hooks::types(target).contains(&which));
        let there = wanted.iter().any(|known| known == name);
        if needed && !there {
            wanted.push(name.to_owned());
        } else if !needed && there {
            wanted.retain(|known| known != name);
        }
    }
    if wanted == before { Ok(()) } else { pass.finalizers(&wanted).await }
}

async fn drop_finalizers(pass: &mut Pass, names: &[&str]) -> Result<(), Stop> {
    let object = pass.object.clone();
    let ours =
        |name: &str| names.contains(&name) || names.contains(&name.strip_suffix("/cleanup").unwrap_or(name));
    if !meta::finalizers(&object).any(ours) {
        return Ok(());
    }
    let rest: Vec<String> = meta::finalizers(&object).filter(|name| !ours(name)).map(str::to_owned).collect();
    Ok(pass.finalizers(&rest).await?)
}

/// Deletes what belongs to the application, the last wave first; each wave is gone before the next goes.
async fn delete_objects(pass: &mut Pass, frame: &Frame<'_>, propagation: Propagation) -> Result<(), Stop> {
    let context = frame.site.look(&pass.context);
    for entry in list_at(pass.status(), &["resources"]) {
        let text = |field: &str| object::get_str(entry, &[field]).unwrap_or_default().to_owned();
        match context.watch(&Gvk::new(text("group"), text("version"), text("kind"))).await {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::MissingKind => {}
            Err(error) => return Err(Stop::Api(error)),
        }
    }
    let mut state = State::default();
    let old = pass.status().clone();
    frame.compare(&context, &[], &old, &mut state).await?;
    let approved = meta::annotation(&pass.object, names::DELETION_APPROVED).is_some();
    let mut waves: BTreeMap<i64, Vec<Item>> = BTreeMap::new();
    for item in state.items {
        let Some(live) = &item.resource.live else { continue };
        let definition = item.resource.key.kind == "CustomResourceDefinition";
        if definition
            || options::keeps_from_delete(live)
            || (frame.site.is_own() && item.resource.key == context.key)
        {
            continue;
        }
        if options::delete_needs_word(live) && !approved {
            let line = format!(
                "{} is deleted only when somebody agrees: annotate the Application with {}",
                item.resource.key,
                names::DELETION_APPROVED
            );
            return Err(Stop::Failed(line, Some(item.resource.key.clone())));
        }
        waves.entry(hooks::wave(live)).or_default().push(item);
    }
    for items in waves.into_values().rev() {
        let mut keys = Vec::new();
        for item in &items {
            let (key, live) = (&item.resource.key, item.resource.live.as_ref());
            keys.push(key.clone());
            if live.is_some_and(|live| meta::deletion_timestamp(live).is_some()) {
                continue;
            }
            let uid = live.map(|live| meta::uid(live).to_owned()).filter(|uid| !uid.is_empty());
            let how = Delete { uid, propagation, ..Delete::default() };
            match frame.site.cluster.delete(&item.resource.gvk, &key.namespace, &key.name, &how).await {
                Ok(_) => frame.site.memory.forget(names::MANAGER, key),
                Err(error) if error.kind == ErrorKind::Conflict => {}
                Err(error) => return Err(Stop::Failed(format!("{key}: {error}"), Some(key.clone()))),
            }
        }
        context.progress(format!("deleting {} objects", keys.len()));
        gone(&context, &keys).await?;
    }
    Ok(())
}

async fn gone(context: &Context, keys: &[Key]) -> Result<(), Stop> {
    let waited = wait_for(context, keys, PATIENCE, controller::gone);
    match waited.await {
        Ok(()) => Ok(()),
        Err(WaitError::Preempted) => Err(Stop::Preempted),
        Err(WaitError::TimedOut(rest) | WaitError::Failed(rest)) => {
            let first = rest.into_iter().next().map(|(key, _)| key);
            let name = first.as_ref().map(Key::to_string).unwrap_or_default();
            Err(Stop::Failed(format!("{name} is still being deleted"), first))
        }
    }
}

/// Runs the hooks of a deletion, all together; they are rendered from the sources as they are now.
async fn run_hooks(pass: &mut Pass, frame: &Frame<'_>, which: Hook) -> Result<(), Stop> {
    let context = frame.site.look(&pass.context);
    let wanted = Wanted {
        sources: &frame.spec.sources,
        first: 0,
        revisions: &[],
        max_age: frame.shared.options.refresh,
        installation: frame.installation,
        // What is to be deleted was applied already.
        signers: None,
        site: frame.site,
    };
    let loaded = match load::load(frame.shared, pass, frame.spec, &wanted).await {
        Ok(loaded) => loaded,
        Err(Fault::Preempted) => return Err(Stop::Preempted),
        Err(Fault::Failed(message, _)) => return Err(Stop::Failed(message, None)),
    };
    let mut state = State::default();
    let targets = frame.targets(&context, loaded.objects, &mut state).await?;
    let hooks: Vec<(Key, Gvk, Value)> =
        targets.into_iter().filter(|(_, _, target)| hooks::types(target).contains(&which)).collect();
    let store = context.cluster.store().clone();
    let judge = |live: &Value| {
        crate::health::judge(&frame.installation.judge, live, context.clock().now().as_second())
    };
    for (key, gvk, target) in &hooks {
        let failed = |error: cluster::Error| Stop::Failed(format!("{key}: {error}"), Some(key.clone()));
        if let Some(live) = store.get(key) {
            // One that failed is made anew.
            if judge(&live).is_none_or(|health| health.status != Status::Degraded) {
                continue;
            }
            let how = Delete::default();
            frame.site.cluster.delete(gvk, &key.namespace, &key.name, &how).await.map_err(failed)?;
            gone(&context, std::slice::from_ref(key)).await?;
        }
        frame.site.cluster.apply(target, &cluster::Apply::forced(names::MANAGER)).await.map_err(failed)?;
    }
    let keys: Vec<Key> = hooks.iter().map(|(key, _, _)| key.clone()).collect();
    context.progress(format!("waiting for {} {} hooks", keys.len(), which.as_str()));
    let waited = wait_for(&context, &keys, PATIENCE, |_, live| match live.map(&judge) {
        None => Judgement::Pending("it is missing".into()),
        Some(None) => Judgement::Done,
        Some(Some(health)) => match health.status {
            Status::Healthy => Judgement::Done,
            Status::Degraded => Judgement::Failed(health.message),
            _ => Judgement::Pending(health.message),
        },
    });
    match waited.await {
        Ok(()) => {}
        Err(WaitError::Preempted) => return Err(Stop::Preempted),
        Err(WaitError::TimedOut(rest) | WaitError::Failed(rest)) => {
            let Some((key, why)) = rest.into_iter().next() else { return Ok(()) };
            return Err(Stop::Failed(format!("{} hook {key}: {why}", which.as_str()), Some(key)));
        }
    }
    for (key, gvk, _) in &hooks {
        let how = Delete::default();
        frame.site.cluster.delete(gvk, &key.namespace, &key.name, &how).await?;
    }
    Ok(())
}
