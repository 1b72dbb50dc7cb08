//! The loop itself: one task that owns the order of things, one task for each running pass.

use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BinaryHeap};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::{Change, Cluster, ErrorKind};
use jiff::{SignedDuration, Timestamp};
use object::Key;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::context::Context;
use crate::kind::{Cause, Description, Kind, Next, Outcome};
use crate::metrics::Metrics;
use crate::places::Places;
use crate::snapshot::{self, Snapshot, Unit};
use crate::work::{Inputs, Wake, lock};

/// Settings of the engine.
#[derive(Clone)]
pub struct Options {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Intervals vary by this share, so that a thousand units do not come due at once.
    pub jitter_percent: u8,
    /// How many renders may run at once.
    pub cores: usize,
    /// The first pause after a failure; it doubles with each one more.
    pub first_retry: Duration,
    /// Only objects with such labels are units: the others are another process' share. What a unit refers to is
    /// found in any case.
    pub selector: Option<object::selector::LabelSelector>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            clock: Arc::new(SystemClock),
            jitter_percent: 5,
            cores: std::thread::available_parallelism().map_or(2, |cores| cores.get()),
            first_retry: Duration::from_secs(1),
            selector: None,
        }
    }
}

pub(crate) enum Message {
    Done(Key, u64, Outcome),
    /// An object that was in the store before the loop listened.
    Found(Key),
    /// An object of another cluster, by its name among the inputs.
    Elsewhere(Key, Option<serde_json::Value>),
    Announced(Key, String),
    Progress(Key, Cause),
    Poke(Key),
    /// What the unit applied is not as it was left.
    Moved(Key),
}

#[derive(Default)]
pub(crate) struct UnitState {
    pub trigger: String,
    pub description: Arc<Description>,
    pub run: u64,
    began: Option<tokio::time::Instant>,
    pub running: Option<CancellationToken>,
    /// Something changed during the pass: run again as soon as it ends.
    pub again: bool,
    pub attempts: u32,
    /// A pass ended since the last change.
    pub ran: bool,
    pub cause: Option<Cause>,
    /// The last pass ended because something else comes first.
    pub waiting: bool,
    pub progress: Option<Cause>,
    pub due: Option<Timestamp>,
    /// Changes by others of what the unit applied: how many one after the other, and the last one.
    moves: u32,
    moved: Option<Timestamp>,
    /// When to look at the last of them.
    later: Option<Timestamp>,
}

#[derive(Default)]
pub(crate) struct Shared {
    pub inputs: Arc<Inputs>,
    pub places: Places,
    pub units: Mutex<BTreeMap<Key, UnitState>>,
    metrics: Metrics,
    /// Told when a definition of a kind came, changed or went.
    defined: tokio::sync::Notify,
    pending_kinds: AtomicUsize,
    stopped: AtomicBool,
}

/// A unit whose objects others change again and again looks at once for the first times, then ever more seldom.
const PATIENT_MOVES: u32 = 5;
const FIRST_CALM: Duration = Duration::from_millis(200);
const LONGEST_CALM: Duration = Duration::from_secs(300);
/// A quiet time after which it is as in the beginning.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// A pause that doubles each time.
fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.min(16))
}

fn later(now: Timestamp, pause: Duration) -> Option<Timestamp> {
    SignedDuration::try_from(pause).ok().and_then(|pause| now.checked_add(pause).ok())
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}

impl UnitState {
    /// How long to wait before looking at what somebody else changed.
    fn calm_down(&mut self, now: Timestamp) -> Duration {
        let pause = |moves: u32| match moves.checked_sub(PATIENT_MOVES) {
            None => Duration::ZERO,
            Some(more) => doubled(FIRST_CALM, more).min(LONGEST_CALM),
        };
        let quiet = pause(self.moves).saturating_mul(2).max(FORGOTTEN);
        let recent = self.moved.is_some_and(|moved| {
            Duration::try_from(now.duration_since(moved)).is_ok_and(|passed| passed < quiet)
        });
        self.moves = if recent { self.moves.saturating_add(1) } else { 0 };
        self.moved = Some(now);
        pause(self.moves)
    }
}

impl Shared {
    pub fn cycle(&self, start: &Key) -> Option<Vec<Key>> {
        let units = lock(&self.units);
        snapshot::cycle(start, |key| {
            units.get(key).map(|unit| unit.description.edges.clone()).unwrap_or_default()
        })
    }
}

struct Inner {
    shared: Arc<Shared>,
    messages: mpsc::UnboundedSender<Message>,
    version: watch::Sender<u64>,
}

/// A running engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

impl Engine {
    /// Starts to reconcile every object of `kinds` in the cluster, until `cancel` fires.
    pub fn start(
        cluster: Cluster,
        kinds: Vec<Arc<dyn Kind>>,
        options: Options,
        cancel: CancellationToken,
    ) -> Engine {
        let shared = Arc::new(Shared::default());
        shared.pending_kinds.store(kinds.len(), Ordering::SeqCst);
        let (messages, inbox) = mpsc::unbounded_channel();
        let (version, _) = watch::channel(0);
        let inner = Arc::new(Inner { shared: shared.clone(), messages: messages.clone(), version });
        let engine = Engine { inner };
        let changes = cluster.store().changes();
        for kind in &kinds {
            tokio::spawn(watch_kind(cluster.clone(), kind.clone(), engine.clone(), cancel.clone()));
        }
        let cores = Arc::new(Semaphore::new(options.cores.max(1)));
        let by_kind = kinds
            .into_iter()
            .map(|kind| {
                let gvk = kind.gvk();
                ((gvk.group, gvk.kind), kind)
            })
            .collect();
        let event_loop = Loop {
            cluster,
            kinds: by_kind,
            options,
            cancel,
            shared,
            messages,
            cores,
            timers: BinaryHeap::new(),
            runs: 0,
            engine: engine.clone(),
        };
        tokio::spawn(event_loop.run(changes, inbox));
        engine
    }

    /// How every unit stands.
    pub fn snapshot(&self) -> Snapshot {
        let units = lock(&self.inner.shared.units);
        let list = units.iter().map(|(key, state)| Unit::of_state(key, state)).collect();
        Snapshot::new(list, self.inner.shared.pending_kinds.load(Ordering::SeqCst) == 0)
    }

    /// Changes its value whenever a snapshot would differ.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.version.subscribe()
    }

    /// What it did, as Prometheus reads it.
    pub fn metrics(&self) -> String {
        self.inner.shared.metrics.text(&self.snapshot())
    }

    /// Runs a unit now.
    pub fn poke(&self, key: &Key) {
        let _ = self.inner.messages.send(Message::Poke(key.clone()));
    }

    /// Has it ended after its token was cancelled, every pass included?
    pub fn is_stopped(&self) -> bool {
        self.inner.shared.stopped.load(Ordering::SeqCst)
    }

    fn bump(&self) {
        self.inner.version.send_modify(|version| *version += 1);
    }
}

/// Watches one kind; a kind that is not served yet is asked for again and again.
async fn watch_kind(cluster: Cluster, kind: Arc<dyn Kind>, engine: Engine, cancel: CancellationToken) {
    let gvk = kind.gvk();
    let mut counted = false;
    let mut pause = FIRST_SEARCH;
    loop {
        // Before the question: what is defined after the answer must wake us.
        let defined = engine.inner.shared.defined.notified();
        tokio::pin!(defined);
        defined.as_mut().enable();
        let done = watch_any_version(&cluster, &gvk).await;
        let settled = match &done {
            Ok(()) => true,
            Err(error) => error.kind == ErrorKind::MissingKind,
        };
        if settled && !counted {
            counted = true;
            engine.inner.shared.pending_kinds.fetch_sub(1, Ordering::SeqCst);
            engine.bump();
        }
        if settled
            && done.is_err()
            && let Err(error) = cluster.watch(&definitions()).await
        {
            tracing::debug!(%error, "definitions are not watched");
        }
        match done {
            Ok(()) => {
                // Objects that were in the store before the loop listened.
                for key in cluster.store().keys(&gvk.group, &gvk.kind) {
                    let _ = engine.inner.messages.send(Message::Found(key));
                }
                return;
            }
            Err(error) => tracing::debug!(kind = gvk.kind, %error, "not watched yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(if settled { pause } else { pause.min(LONGEST_FAILURE) }) => {}
            () = &mut defined => {
                // What was just defined is served a little later.
                pause = FIRST_SEARCH;
                continue;
            }
            () = cancel.cancelled() => return,
        }
        pause = (pause * 2).min(LONGEST_SEARCH);
    }
}

/// A kind that is not served is asked for again when a definition changes; this seldom in any case, for kinds that
/// are served without one.
const LONGEST_SEARCH: Duration = Duration::from_secs(300);
const FIRST_SEARCH: Duration = Duration::from_millis(50);
/// A failure that is none of the kind's passes sooner.
const LONGEST_FAILURE: Duration = Duration::from_secs(5);

fn definitions() -> object::Gvk {
    object::Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
}

/// The version the dialect was written for, or else whichever is served.
async fn watch_any_version(cluster: &Cluster, gvk: &object::Gvk) -> Result<(), cluster::Error> {
    match cluster.watch(gvk).await {
        Err(error) if error.kind == ErrorKind::MissingKind => {
            let served = cluster.resource_any_version(&gvk.group, &gvk.kind).await?;
            let served = object::Gvk::new(served.group, served.version, served.kind);
            cluster.watch(&served).await
        }
        other => other,
    }
}

struct Loop {
    cluster: Cluster,
    kinds: BTreeMap<(String, String), Arc<dyn Kind>>,
    options: Options,
    cancel: CancellationToken,
    shared: Arc<Shared>,
    messages: mpsc::UnboundedSender<Message>,
    cores: Arc<Semaphore>,
    timers: BinaryHeap<Reverse<(Timestamp, Key)>>,
    runs: u64,
    engine: Engine,
}

impl Loop {
    async fn run(
        mut self,
        mut changes: mpsc::UnboundedReceiver<Change>,
        mut inbox: mpsc::UnboundedReceiver<Message>,
    ) {
        loop {
            let pause = self.next_pause();
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => break,
                // Changes first: a child that a pass wrote is known before the pass is seen to end.
                change = changes.recv() => match change {
                    Some(change) => self.on_change(&change.key),
                    None => break,
                },
                message = inbox.recv() => match message {
                    Some(message) => {
                        self.on_message(message, &mut changes);
                    }
                    None => break,
                },
                () = self.options.clock.sleep(pause) => self.on_time(),
            }
        }
        self.stop(inbox).await;
    }

    async fn stop(&mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        let mut running = 0;
        for state in lock(&self.shared.units).values_mut() {
            if let Some(token) = &state.running {
                token.cancel();
                running += 1;
            }
        }
        while running > 0 {
            let next = tokio::time::timeout(Duration::from_secs(5), inbox.recv()).await;
            match next {
                Ok(Some(Message::Done(key, _, _))) => {
                    running -= 1;
                    if let Some(state) = lock(&self.shared.units).get_mut(&key) {
                        state.running = None;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.engine.bump();
    }

    fn on_change(&mut self, key: &Key) {
        if key.kind == "CustomResourceDefinition" {
            self.shared.defined.notify_waiters();
        }
        let slot = (key.group.clone(), key.kind.clone());
        let is_unit = self.kinds.contains_key(&slot);
        if !is_unit && !self.shared.inputs.has_readers(key) {
            return;
        }
        let object = self.cluster.store().get(key);
        if let Some(kind) = self.kinds.get(&slot).cloned() {
            self.on_unit(key, &kind, object.as_ref());
        }
        for wake in self.shared.inputs.changed(key, object.as_ref()) {
            self.wake(&wake);
        }
    }

    fn on_unit(&mut self, key: &Key, kind: &Arc<dyn Kind>, object: Option<&serde_json::Value>) {
        let selector = self.options.selector.as_ref();
        let object = object
            .filter(|object| selector.is_none_or(|selector| selector.matches(object::meta::labels(object))));
        let Some(object) = object else {
            self.shared.metrics.forget(key);
            if let Some(state) = lock(&self.shared.units).remove(key)
                && let Some(token) = state.running
            {
                token.cancel();
            }
            self.shared.inputs.forget_unit(key);
            self.engine.bump();
            return;
        };
        let trigger = kind.trigger(object);
        let description = Arc::new(kind.describe(object));
        let changed = {
            let mut units = lock(&self.shared.units);
            let fresh = !units.contains_key(key);
            let state = units.entry(key.clone()).or_default();
            state.description = description;
            let changed = fresh || state.trigger != trigger;
            state.trigger = trigger;
            changed
        };
        self.engine.bump();
        if changed {
            tracing::debug!(unit = %key, "its spec changed");
            self.wake(&Wake { unit: key.clone(), preempts: true, follows: false });
        }
    }

    fn on_message(&mut self, message: Message, changes: &mut mpsc::UnboundedReceiver<Change>) {
        match message {
            Message::Done(key, run, outcome) => {
                // What the pass wrote comes before its end.
                while let Ok(change) = changes.try_recv() {
                    self.on_change(&change.key);
                }
                self.on_done(&key, run, outcome);
            }
            Message::Found(key) => self.on_change(&key),
            Message::Elsewhere(key, object) => {
                for wake in self.shared.inputs.changed(&key, object.as_ref()) {
                    self.wake(&wake);
                }
            }
            Message::Announced(key, text) => {
                for wake in self.shared.inputs.announced(&key, &text) {
                    self.wake(&wake);
                }
            }
            Message::Progress(key, now) => {
                if let Some(state) = lock(&self.shared.units).get_mut(&key) {
                    state.progress = Some(now);
                }
                self.engine.bump();
            }
            Message::Poke(key) => self.wake(&Wake { unit: key, preempts: false, follows: false }),
            Message::Moved(key) => self.wake(&Wake { unit: key, preempts: false, follows: true }),
        }
    }

    fn wake(&mut self, wake: &Wake) {
        tracing::trace!(unit = %wake.unit, preempts = wake.preempts, "woken");
        {
            let mut units = lock(&self.shared.units);
            let Some(state) = units.get_mut(&wake.unit) else { return };
            if wake.follows {
                let now = self.options.clock.now();
                let pause = state.calm_down(now);
                if let Some(later) = later(now, pause).filter(|_| !pause.is_zero()) {
                    state.later = Some(later);
                    if state.running.is_none() {
                        state.due = earliest(state.due, state.later.take());
                        self.timers.extend(state.due.map(|due| Reverse((due, wake.unit.clone()))));
                    }
                    return;
                }
            }
            state.attempts = 0;
            state.ran = false;
            if let Some(token) = &state.running {
                state.again = true;
                if wake.preempts {
                    token.cancel();
                }
                return;
            }
        }
        self.start_pass(&wake.unit);
    }

    fn start_pass(&mut self, key: &Key) {
        let Some(kind) = self.kinds.get(&(key.group.clone(), key.kind.clone())).cloned() else { return };
        let Some(object) = self.cluster.store().get(key) else { return };
        let context = {
            let mut units = lock(&self.shared.units);
            let Some(state) = units.get_mut(key) else { return };
            self.runs += 1;
            state.run = self.runs;
            state.again = false;
            state.due = None;
            let token = self.cancel.child_token();
            state.running = Some(token.clone());
            state.began = Some(tokio::time::Instant::now());
            Context {
                key: key.clone(),
                cluster: self.cluster.clone(),
                cancel: token,
                attempts: state.attempts,
                clock: self.options.clock.clone(),
                shared: self.shared.clone(),
                messages: self.messages.clone(),
                cores: self.cores.clone(),
                run: self.runs,
                place: None,
            }
        };
        let (messages, run, key) = (self.messages.clone(), self.runs, key.clone());
        self.shared.inputs.started(&key, run);
        tokio::spawn(async move {
            // A task of its own, so that a defect in one pass ends that pass only.
            let outcome = match tokio::spawn(kind.reconcile(context, object)).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    tracing::error!(unit = %key, %error, "a pass panicked");
                    let cause = Cause::new(format!("internal error: {error}"));
                    Outcome::retry(Duration::from_secs(300), cause)
                }
            };
            let _ = messages.send(Message::Done(key, run, outcome));
        });
        self.engine.bump();
    }

    fn on_done(&mut self, key: &Key, run: u64, outcome: Outcome) {
        let now = self.options.clock.now();
        let preempted = outcome.next == Next::Preempted;
        if preempted {
            self.shared.inputs.interrupted(key);
        } else {
            self.shared.inputs.finished(key, run);
        }
        let again = {
            let mut units = lock(&self.shared.units);
            let Some(state) = units.get_mut(key) else { return };
            if state.run != run {
                return;
            }
            state.running = None;
            state.progress = None;
            if let Some(began) = state.began.take() {
                self.shared.metrics.passed(key, began.elapsed(), &outcome);
            }
            if !preempted {
                state.cause = outcome.cause;
                state.waiting = matches!(outcome.next, Next::Wait(_));
                state.ran = !state.again;
            }
            state.attempts =
                if matches!(outcome.next, Next::Retry(_)) { state.attempts.saturating_add(1) } else { 0 };
            let pause = match &outcome.next {
                Next::After(interval) => Some(self.jitter(key, *interval)),
                Next::Retry(ceiling) => Some(self.back_off(state.attempts, *ceiling)),
                Next::Wait(at_most) => Some(*at_most),
                Next::Nothing => None,
                Next::Preempted => Some(Duration::ZERO),
            };
            state.due = earliest(pause.and_then(|pause| later(now, pause)), state.later.take());
            if let Some(due) = state.due {
                self.timers.push(Reverse((due, key.clone())));
            }
            state.again
        };
        self.engine.bump();
        if again {
            self.start_pass(key);
        }
    }

    fn next_pause(&self) -> Duration {
        let Some(Reverse((due, _))) = self.timers.peek() else { return Duration::from_secs(3600) };
        let pause = due.duration_since(self.options.clock.now());
        Duration::try_from(pause).unwrap_or(Duration::ZERO)
    }

    fn on_time(&mut self) {
        let now = self.options.clock.now();
        while let Some(Reverse((due, key))) = self.timers.peek().cloned() {
            if due > now {
                return;
            }
            self.timers.pop();
            let is_due = lock(&self.shared.units)
                .get(&key)
                .is_some_and(|state| state.due == Some(due) && state.running.is_none());
            if is_due {
                self.start_pass(&key);
            }
        }
    }

    fn back_off(&self, attempts: u32, ceiling: Duration) -> Duration {
        let doubled = doubled(self.options.first_retry, attempts.saturating_sub(1));
        doubled.min(ceiling.max(self.options.first_retry))
    }

    /// The same unit always gets the same share, so that a schedule can be repeated.
    fn jitter(&self, key: &Key, interval: Duration) -> Duration {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let share = (hasher.finish() % 2001) as f64 / 1000.0 - 1.0;
        let factor = 1.0 + share * f64::from(self.options.jitter_percent.min(90)) / 100.0;
        interval.mul_f64(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_changed_again_and_again_looks_ever_more_seldom() {
        let mut state = UnitState::default();
        let start: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        let mut now = start;
        let mut pauses = Vec::new();
        // Whoever fights answers at once.
        for _ in 0..20 {
            let pause = state.calm_down(now);
            now = later(now, pause + Duration::from_millis(10)).expect("a time");
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses[..7], [0, 0, 0, 0, 0, 200, 400]);
        assert_eq!(pauses[19], LONGEST_CALM.as_millis());
        assert!(pauses.is_sorted());
        let quiet = later(now, LONGEST_CALM * 2).expect("a time");
        assert_eq!(state.calm_down(quiet), Duration::ZERO, "forgotten");
    }
}
