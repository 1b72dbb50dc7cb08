//! Progressive syncs: Applications change step by step, each step when the one before is healthy.
//!
//! [`decide`] looks at the steps, at what was decided before, and at the Applications as they are now; it tells who may
//! sync and what to write down. What was written down for other revisions than the current ones counts for nothing, so
//! that no step follows from a stale status.

use object::{Value, get, get_str, meta};
use serde_json::{Value as Json, json};

/// How far an Application is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// An earlier step is not through, or there is no room.
    Waiting,
    /// It is its turn: a sync is asked for.
    Pending,
    /// It is being synced, or becomes healthy.
    Progressing,
    /// It is through.
    Healthy,
}

impl State {
    /// As `status.applicationStatus` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Waiting => "Waiting",
            State::Pending => "Pending",
            State::Progressing => "Progressing",
            State::Healthy => "Healthy",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [State::Waiting, State::Pending, State::Progressing, State::Healthy]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// What is decided about one Application.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Its name.
    pub application: String,
    /// Its step, from 1; -1 when no step selects it.
    pub step: i64,
    /// How far it is.
    pub state: State,
    /// Whether a sync is to be asked for now.
    pub sync: bool,
    /// Why, for people.
    pub message: String,
    /// The revisions that it goes to.
    pub revisions: Vec<String>,
}

impl Turn {
    /// An entry of `status.applicationStatus`; `since` is when this state began.
    pub fn entry(&self, since: &str) -> Value {
        json!({
            "application": self.application, "step": self.step.to_string(), "status": self.state.as_str(),
            "message": self.message, "targetRevisions": self.revisions, "lastTransitionTime": since,
        })
    }
}

/// Whether a set rolls: `spec.strategy.type` is `RollingSync` and there are steps.
pub fn is_rolling(set: &Value) -> bool {
    get_str(set, &["spec", "strategy", "type"]) == Some("RollingSync") && !steps(set).is_empty()
}

/// Whether its Applications are deleted step by step, the last step first.
pub fn deletes_in_reverse(set: &Value) -> bool {
    let order = get_str(set, &["spec", "strategy", "deletionOrder"]).unwrap_or_default();
    is_rolling(set) && order.eq_ignore_ascii_case("Reverse")
}

/// The Applications by their steps, the first step first; those of no step do not wait for others.
pub fn by_step<'a>(set: &Value, applications: &'a [Value]) -> Vec<Vec<&'a Value>> {
    let steps = steps(set);
    (0..steps.len())
        .map(|at| applications.iter().filter(|one| step_of(steps, one) == Some(at)).collect())
        .collect()
}

fn steps(set: &Value) -> &[Value] {
    get(set, &["spec", "strategy", "rollingSync", "steps"])
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The Applications of a rolling set sync when it is their turn, never by themselves.
pub fn hold(application: &mut Value) {
    if let Some(policy) = application.pointer_mut("/spec/syncPolicy").and_then(Value::as_object_mut) {
        policy.remove("automated");
    }
}

/// The step that selects an Application.
fn step_of(steps: &[Value], application: &Value) -> Option<usize> {
    steps.iter().position(|step| {
        let rules = step.get("matchExpressions").and_then(Value::as_array);
        rules.into_iter().flatten().all(|rule| {
            let key = get_str(rule, &["key"]).unwrap_or_default();
            let label = meta::label(application, key);
            let values = rule.get("values").and_then(Value::as_array);
            let listed = values.into_iter().flatten().any(|value| value.as_str() == label && label.is_some());
            match get_str(rule, &["operator"]) {
                Some("In") => listed,
                Some("NotIn") => !listed,
                _ => false,
            }
        })
    })
}

/// How many Applications of a step may move at once.
fn room(step: &Value, count: usize) -> usize {
    match step.get("maxUpdate") {
        Some(Json::Number(number)) => {
            number.as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(0).min(count)
        }
        Some(Json::String(text)) => {
            match text.strip_suffix('%').and_then(|share| share.parse::<usize>().ok()) {
                Some(0) => 0,
                // A share is rounded down, but never to nobody.
                Some(share) => (count * share.min(100) / 100).max(1).min(count),
                None => text.parse::<usize>().unwrap_or(0).min(count),
            }
        }
        _ => count,
    }
}

/// The revisions that an Application would be synced to, as its last comparison found them.
fn revisions(application: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let many = get(application, &["status", "sync", "revisions"]).and_then(Value::as_array);
    match many.filter(|list| !list.is_empty()) {
        Some(list) => list.iter().filter_map(text).collect(),
        None => get(application, &["status", "sync", "revision"]).and_then(text).into_iter().collect(),
    }
}

fn is_synced(application: &Value) -> bool {
    get_str(application, &["status", "sync", "status"]) == Some("Synced")
}

fn health(application: &Value) -> &str {
    get_str(application, &["status", "health", "status"]).unwrap_or_default()
}

fn phase(application: &Value) -> &str {
    get_str(application, &["status", "operationState", "phase"]).unwrap_or_default()
}

/// Whether its last operation was for the revisions that it goes to now.
fn operated(application: &Value, wanted: &[String]) -> bool {
    let result = get(application, &["status", "operationState", "syncResult"]).unwrap_or(&Value::Null);
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let many = result.get("revisions").and_then(Value::as_array).filter(|list| !list.is_empty());
    let found: Vec<String> = match many {
        Some(list) => list.iter().filter_map(text).collect(),
        None => result.get("revision").and_then(text).into_iter().collect(),
    };
    found == wanted
}

/// Where an Application stands, from what was written down and from what it is now.
fn state_of(application: &Value, before: Option<&Value>, wanted: &[String]) -> (State, String) {
    let written: Vec<String> = before
        .and_then(|entry| entry.get("targetRevisions"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect();
    let known = before.and_then(|entry| get_str(entry, &["status"])).and_then(State::parse);
    let current = known.filter(|_| written == wanted);
    let (synced, healthy) = (is_synced(application), health(application) == "Healthy");
    let running = matches!(phase(application), "Running" | "Terminating");
    let failed = matches!(phase(application), "Failed" | "Error");
    let done = synced && healthy && !running;
    match current {
        None if done => (State::Healthy, "Application resource is already Healthy and Synced.".to_owned()),
        None => (State::Waiting, "Application has pending changes, setting status to Waiting.".to_owned()),
        Some(State::Healthy) if !synced => {
            (State::Waiting, "Application has pending changes, setting status to Waiting.".to_owned())
        }
        Some(State::Healthy) => (State::Healthy, "Application resource is Healthy.".to_owned()),
        Some(State::Waiting) if done => {
            (State::Healthy, "Application resource became Healthy, updating status to Healthy.".to_owned())
        }
        Some(State::Waiting) => (State::Waiting, "Application is waiting for its turn.".to_owned()),
        Some(_) if done => {
            (State::Healthy, "Application resource became Healthy, updating status to Healthy.".to_owned())
        }
        Some(_) if failed && operated(application, wanted) => {
            (State::Progressing, "Application's sync failed, it will be tried again.".to_owned())
        }
        Some(_) if running || synced || operated(application, wanted) => (
            State::Progressing,
            "Application resource became Progressing, updating status to Progressing.".to_owned(),
        ),
        Some(state) => (state, "Application moved to Pending status, watching for its sync.".to_owned()),
    }
}

/// Decides about every Application of a rolling set, in the order given. `written` is `status.applicationStatus`.
pub fn decide(set: &Value, applications: &[Value], written: &[Value]) -> Vec<Turn> {
    let steps = steps(set);
    let mut turns: Vec<(Option<usize>, Turn)> = applications
        .iter()
        .map(|application| {
            let name = meta::name(application);
            let before = written.iter().find(|entry| get_str(entry, &["application"]) == Some(name));
            let revisions = revisions(application);
            let (state, message) = state_of(application, before, &revisions);
            let step = step_of(steps, application);
            let number = step.and_then(|step| i64::try_from(step + 1).ok()).unwrap_or(-1);
            (
                step,
                Turn { application: name.to_owned(), step: number, state, sync: false, message, revisions },
            )
        })
        .collect();
    for (index, step) in steps.iter().enumerate() {
        let members = || turns.iter().filter(move |(of, _)| *of == Some(index));
        let count = members().count();
        let moving =
            members().filter(|(_, turn)| matches!(turn.state, State::Pending | State::Progressing)).count();
        let mut free = room(step, count).saturating_sub(moving);
        let mut through = true;
        for (_, turn) in turns.iter_mut().filter(|(of, _)| *of == Some(index)) {
            if turn.state == State::Waiting && free > 0 {
                free -= 1;
                turn.state = State::Pending;
                turn.message = "Application moved to Pending status, watching for its sync.".to_owned();
            }
            turn.sync = turn.state == State::Pending;
            through &= turn.state == State::Healthy;
        }
        if !through {
            break;
        }
    }
    turns.into_iter().map(|(_, turn)| turn).collect()
}
