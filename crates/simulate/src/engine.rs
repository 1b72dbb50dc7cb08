//! The loop: events in, work out.

use crate::error::Result;
use crate::feed::{self, Event, Resource};
use crate::kind::Kind;
use crate::queue::Work;
use crate::world::World;
use crate::{Options, garbage, kinds};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Pieces of work side by side.
const WORKERS: usize = 48;
/// Events on their way.
const EVENTS: usize = 512;
/// For the first lists; what is not there by then is taken as it comes.
const PATIENCE: Duration = Duration::from_secs(10);

struct Feeds {
    events: mpsc::Sender<Event>,
    running: BTreeMap<Resource, CancellationToken>,
    /// Resources whose first list is awaited.
    awaited: std::collections::BTreeSet<Resource>,
}

pub(crate) async fn run(client: kube::Client, options: Options, stop: CancellationToken) {
    let world = World::new(client, options);
    let (events, mut received) = mpsc::channel(EVENTS);
    let mut feeds = Feeds { events, running: BTreeMap::new(), awaited: std::collections::BTreeSet::new() };
    // Dropping the guard ends the feeds however this ends.
    let _guard = stop.clone().drop_guard();
    if !start(&world, &mut feeds, &mut received, &stop).await {
        return;
    }
    world.add(Work::Foundation);
    let mut running: FuturesUnordered<BoxFuture<'static, (Work, Result<()>)>> = FuturesUnordered::new();
    loop {
        let next = {
            let mut state = world.state();
            let next = state.queue.due(world.now());
            while running.len() < WORKERS {
                let Some(work) = state.queue.take() else { break };
                running.push(Box::pin(perform(world.clone(), work)));
            }
            next
        };
        let alarm = async {
            match next {
                Some(time) => {
                    let pause = time.duration_since(world.now()).unsigned_abs();
                    world.options.clock.sleep(pause.max(Duration::from_millis(1))).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            Some(event) = received.recv() => {
                take_in(&world, &mut feeds, event);
                while let Ok(event) = received.try_recv() {
                    take_in(&world, &mut feeds, event);
                }
            }
            Some((work, result)) = running.next(), if !running.is_empty() => {
                finish(&world, &mut feeds, &work, result, &stop).await;
            }
            () = world.wake.notified() => {}
            () = alarm => {}
        }
    }
}

/// Learns what there is, and waits for the first lists, so that nothing is judged by half a picture.
async fn start(
    world: &Arc<World>,
    feeds: &mut Feeds,
    received: &mut mpsc::Receiver<Event>,
    stop: &CancellationToken,
) -> bool {
    while let Err(error) = rediscover(world, feeds, stop).await {
        tracing::warn!(%error, "the API cannot be read; trying again");
        tokio::select! {
            () = stop.cancelled() => return false,
            () = world.options.clock.sleep(Duration::from_millis(500)) => {}
        }
    }
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    while !feeds.awaited.is_empty() {
        tokio::select! {
            () = stop.cancelled() => return false,
            Some(event) = received.recv() => take_in(world, feeds, event),
            () = &mut patience => {
                for resource in &feeds.awaited {
                    tracing::warn!(resource = resource.plural, group = resource.group, "not listed yet");
                }
                break;
            }
        }
    }
    true
}

/// Starts feeds of new resources and ends those of old ones.
async fn rediscover(world: &Arc<World>, feeds: &mut Feeds, stop: &CancellationToken) -> Result<()> {
    let found = feed::discover(&world.client).await?;
    feeds.running.retain(|resource, token| {
        let stays = found.contains(resource);
        if !stays {
            token.cancel();
            feeds.awaited.remove(resource);
            let mut state = world.state();
            for (key, uid) in state.known(&resource.group, &resource.kind) {
                state.remove(&key, &uid);
            }
        }
        stays
    });
    for resource in &found {
        if !feeds.running.contains_key(resource) {
            let token = stop.child_token();
            feeds.running.insert(resource.clone(), token.clone());
            feeds.awaited.insert(resource.clone());
            tokio::spawn(feed::follow(world.clone(), resource.clone(), feeds.events.clone(), token));
        }
    }
    world.state().resources = found;
    Ok(())
}

fn take_in(world: &World, feeds: &mut Feeds, event: Event) {
    match event {
        Event::Listed(resource, objects) => {
            feeds.awaited.remove(&resource);
            let known = world.state().known(&resource.group, &resource.kind);
            let mut seen = std::collections::HashSet::new();
            for object in objects {
                seen.insert(object::meta::uid(&object).to_string());
                world.observe(resource.key(&object), typed(&resource, object));
            }
            for (key, uid) in known.into_iter().filter(|(_, uid)| !seen.contains(uid)) {
                world.forget(&key, &uid);
            }
        }
        Event::Changed(resource, object) => {
            let remote = object::get(&object, &["spec", "service"]).is_some_and(|own| !own.is_null());
            if resource.kind == "CustomResourceDefinition" || (resource.kind == "APIService" && remote) {
                world.add(Work::Discover);
            }
            world.observe(resource.key(&object), typed(&resource, object));
        }
        Event::Gone(resource, object) => {
            if resource.kind == "CustomResourceDefinition" {
                world.add(Work::Discover);
            }
            world.forget(&resource.key(&object), object::meta::uid(&object));
        }
    }
}

/// Items of lists leave their type out.
fn typed(resource: &Resource, mut object: object::Value) -> object::Value {
    if let (Some(kind), Some(map)) = (Kind::of(&resource.group, &resource.kind), object.as_object_mut()) {
        map.insert("apiVersion".into(), kind.api_version().into());
        map.insert("kind".into(), kind.kind.into());
    }
    object
}

async fn perform(world: Arc<World>, work: Work) -> (Work, Result<()>) {
    let result = match &work {
        Work::Object(kind, namespace, name) => kinds::reconcile(&world, *kind, namespace, name).await,
        Work::Collect(uid) => garbage::collect(&world, uid).await,
        Work::Foundation => kinds::foundation(&world).await,
        // The loop itself does it: it owns the feeds.
        Work::Discover => Ok(()),
    };
    (work, result)
}

async fn finish(
    world: &Arc<World>,
    feeds: &mut Feeds,
    work: &Work,
    result: Result<()>,
    stop: &CancellationToken,
) {
    let result = match (work, result) {
        (Work::Discover, Ok(())) => rediscover(world, feeds, stop).await,
        (_, result) => result,
    };
    let failed = match &result {
        Ok(()) => false,
        Err(error) if error.is_gone() || error.is_ending() => {
            tracing::debug!(error = world.about(work, error), "not needed any more");
            false
        }
        Err(error) => {
            let text = world.about(work, error);
            if error.is_conflict() {
                tracing::debug!(error = text, "looking again");
            } else {
                tracing::warn!(error = text, "trying again");
            }
            true
        }
    };
    world.state().queue.done(work, failed, world.now());
}
