//! One run: a server, processes that come and go, a repository, foreign hands, and the verdict.

use super::api::{Api, Weather};
use super::chance::Chance;
use super::git::Repository;
use super::model::{KEEP, NOMAD, State};
use super::releases::RELEASES;
use cluster::{Apply, Cluster, Delete, ListOptions, PatchKind, PatchOptions};
use controller::{Clock, Engine};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use object::{Gvk, Value, get_str, meta};
use serde_json::json;
use source::Fetcher;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What happened in a run, or in all of them.
#[derive(Debug, Default)]
pub struct Told {
    requests: u64,
    commits: u64,
    kills: u64,
    faults: BTreeMap<&'static str, u64>,
}

impl Told {
    pub fn add(&mut self, other: &Told) {
        self.requests += other.requests;
        self.commits += other.commits;
        self.kills += other.kills;
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} requests, {} commits, {} kills", self.requests, self.commits, self.kills)?;
        self.faults.iter().try_for_each(|(name, count)| write!(out, ", {name} {count}"))
    }
}

/// A clock that follows tokio's (which stands still while anybody works), and which jumps.
struct SimulatedClock {
    begin: tokio::time::Instant,
    jumped: AtomicI64,
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let passed = SignedDuration::try_from(self.begin.elapsed()).unwrap();
        start + passed + SignedDuration::from_secs(self.jumped.load(Ordering::SeqCst))
    }

    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(pause))
    }
}

/// A running process.
struct Process {
    api: Api,
    engine: Engine,
    cancel: CancellationToken,
}

struct World {
    chance: Chance,
    server: apiserver::Server,
    /// A way to the API without faults, for the hands of others and for the verdict.
    clean: Cluster,
    weather: Arc<Weather>,
    clock: Arc<SimulatedClock>,
    repository: Repository,
    process: Process,
    told: Told,
    state: State,
    revision: String,
    /// Names that some commit did not have: these may be deleted.
    may_go: BTreeSet<String>,
    /// Units that some commit did not have, or that somebody deleted: their objects may go with them.
    may_end: BTreeSet<String>,
    log: Vec<String>,
}

fn config_maps() -> Gvk {
    Gvk::new("", "v1", "ConfigMap")
}

fn kustomizations() -> Gvk {
    Gvk::new("kustomize.toolkit.fluxcd.io", "v1", "Kustomization")
}

fn helm_releases() -> Gvk {
    Gvk::new("helm.toolkit.fluxcd.io", "v2", "HelmRelease")
}

fn repositories() -> Gvk {
    Gvk::new("source.toolkit.fluxcd.io", "v1", "GitRepository")
}

fn begin(
    server: &apiserver::Server,
    weather: &Arc<Weather>,
    clock: &Arc<SimulatedClock>,
    chance: &mut Chance,
) -> Process {
    // Some die early, some late, some live.
    let until = match chance.below(3) {
        0 => Some(chance.below(60)),
        1 => Some(chance.below(600)),
        _ => None,
    };
    let api = Api::new(server.service(), weather.clone(), chance.branch(), until);
    let cluster = Cluster::new(api.client());
    let fetcher = Fetcher::new(source::Options::default()).unwrap();
    let options = controller::Options { clock: clock.clone(), cores: 1, ..controller::Options::default() };
    let cancel = CancellationToken::new();
    let kinds = flux::kinds(flux::Options::new(fetcher));
    let engine = Engine::start(cluster, kinds, options, cancel.clone());
    Process { api, engine, cancel }
}

/// Definitions of what the simulation uses; others only cost time.
fn definitions() -> Vec<Value> {
    let mut all = schema::crds::flux();
    all.retain(|crd| {
        let name = meta::name(crd);
        let used = ["gitrepositories.", "kustomizations.", "helmreleases.", "helmcharts."];
        used.iter().any(|kind| name.starts_with(kind))
    });
    all
}

/// One run; what is wrong in the end, in words.
pub async fn run(chance: Chance) -> Result<Told, String> {
    let mut world = World::start(chance).await;
    world.script().await;
    let verdict = world.verdict().await;
    world.process.cancel.cancel();
    world.server.shutdown().await;
    world.told.requests = world.weather.requests.load(Ordering::SeqCst);
    world.told.faults = world.weather.met.lock().unwrap().clone();
    match verdict {
        Ok(()) => Ok(world.told),
        Err(why) => Err(format!("{why}\n  {}", world.log.join("\n  "))),
    }
}

impl World {
    async fn start(mut chance: Chance) -> World {
        let options = apiserver::Options { crds: definitions(), ..apiserver::Options::default() };
        let server = apiserver::Server::open(options).await.unwrap();
        let clean = Cluster::new(server.client());
        let clock =
            Arc::new(SimulatedClock { begin: tokio::time::Instant::now(), jumped: AtomicI64::default() });
        let weather = Arc::new(Weather::default());
        weather.faults.store(*chance.pick(&[0, 5, 20, 60, 150]), Ordering::SeqCst);
        weather.slow.store(*chance.pick(&[0, 5, 50, 1500]), Ordering::SeqCst);
        let mut repository = Repository::new();
        let state = State::random(&mut chance, 0);
        let revision = repository.commit(&state.files());
        let mut objects = flux::bootstrap(&repository.url(), "main", "./clusters");
        objects.push(json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "strangers", "namespace": "default"}, "data": {"value": "theirs"}}));
        for object in &mut objects {
            if meta::kind(object) == "Kustomization" {
                object["spec"]["retryInterval"] = json!("1m");
            }
            clean.apply(object, &Apply::forced("people")).await.unwrap();
        }
        let process = begin(&server, &weather, &clock, &mut chance);
        let mut world = World {
            chance,
            server,
            clean,
            weather,
            clock,
            repository,
            process,
            told: Told::default(),
            state: State::default(),
            revision: String::new(),
            may_go: BTreeSet::new(),
            may_end: BTreeSet::new(),
            log: Vec::new(),
        };
        world.committed(state, revision);
        world
    }

    fn say(&mut self, what: impl std::fmt::Display) {
        self.log.push(format!("{:.3} s: {what}", self.clock.begin.elapsed().as_secs_f64()));
    }

    fn committed(&mut self, state: State, revision: String) {
        let maps = state.maps();
        let mut names: BTreeSet<String> = maps.keys().cloned().collect();
        for unit in super::model::UNITS {
            for index in 0..4 {
                let name = format!("{unit}-{index}");
                if !names.remove(&name) {
                    self.may_go.insert(name);
                }
            }
            if !state.units.contains_key(unit) {
                self.may_end.insert(unit.to_owned());
            }
        }
        let installed = state.releases.maps();
        for name in ["alpha", "beta", "gamma", "delta"] {
            let rests = (0..3).map(|index| index.to_string()).chain(["chart".to_owned(), "hook".to_owned()]);
            let gone = rests.map(|rest| format!("{name}-{rest}")).filter(|map| !installed.contains_key(map));
            self.may_go.extend(gone);
            if name != "alpha" {
                // It is repaired, or it wanders.
                self.may_end.insert(name.to_owned());
            }
        }
        let what = match (&state.broken, &state.releases.broken) {
            (Some((unit, fault)), _) => format!("{fault:?} in {unit}"),
            (_, Some((chart, fault))) => format!("{fault:?} in chart {chart}"),
            _ => {
                let names = maps.keys().chain(installed.keys());
                format!("{:?} {:?}", names.collect::<Vec<_>>(), state.releases.all.keys())
            }
        };
        self.say(format!("commit {} (0.1.{}) {what}", &revision[..8], state.releases.number));
        self.told.commits += 1;
        (self.state, self.revision) = (state, revision);
    }

    fn commit(&mut self, broken: bool) {
        let number = self.told.commits;
        let mut state = State::random(&mut self.chance, number);
        if broken {
            state = state.broken(&mut self.chance);
        }
        let revision = self.repository.commit(&state.files());
        self.committed(state, revision);
    }

    /// Tells that there is a commit, as a webhook does.
    async fn ask(&self) {
        let stamp = format!("{:?}", self.clock.begin.elapsed());
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": stamp}}});
        self.patch(&repositories(), "flux-system", "flux-system", &patch).await;
    }

    async fn patch(&self, gvk: &Gvk, namespace: &str, name: &str, patch: &Value) {
        let options = PatchOptions { manager: "people".into(), ..PatchOptions::default() };
        // What is not there is not patched.
        let _ = self.clean.patch(gvk, namespace, name, PatchKind::Merge, patch, &options).await;
    }

    /// Another process takes the place of this one, which is killed, or told to stop: it then has a moment.
    async fn restart(&mut self, gently: bool) {
        self.told.kills += 1;
        self.process.cancel.cancel();
        if gently {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.process.api.kill();
        let (server, weather, clock) = (self.server.clone(), self.weather.clone(), self.clock.clone());
        self.process = begin(&server, &weather, &clock, &mut self.chance);
    }

    /// Random things at random moments.
    async fn script(&mut self) {
        let steps = 4 + self.chance.below(24);
        for _ in 0..steps {
            let pause = match self.chance.below(4) {
                0 => self.chance.below(50),
                1 => self.chance.below(1_000),
                2 => self.chance.below(8_000),
                _ => self.chance.below(120_000),
            };
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if self.process.api.is_dead() {
                self.say("the process died; another one starts");
                self.restart(false).await;
            }
            self.step().await;
        }
    }

    async fn step(&mut self) {
        match self.chance.below(20) {
            0..=5 => {
                self.commit(false);
                if self.chance.happens(700) {
                    self.ask().await;
                }
            }
            6 | 7 => {
                self.commit(true);
                self.ask().await;
            }
            8 | 9 => {
                self.say("killed");
                self.restart(false).await;
            }
            10 => {
                self.say("stopped and started");
                self.restart(true).await;
            }
            11 | 12 => {
                let name = self.some_map();
                self.say(format!("somebody deletes {name}"));
                let _ = self.clean.delete(&config_maps(), "default", &name, &Delete::default()).await;
            }
            13 | 14 => {
                let name = self.some_map();
                self.say(format!("somebody changes {name}"));
                self.patch(
                    &config_maps(),
                    "default",
                    &name,
                    &json!({"data": {"value": "changed", "more": "x"}}),
                )
                .await;
            }
            15 => {
                let (gvk, unit) = match self.chance.happens(500) {
                    true => (kustomizations(), *self.chance.pick(&super::model::UNITS)),
                    false => (helm_releases(), *self.chance.pick(&RELEASES)),
                };
                self.say(format!("somebody deletes the {} {unit}", gvk.kind));
                self.may_end.insert(unit.to_owned());
                let _ = self.clean.delete(&gvk, "flux-system", unit, &Delete::default()).await;
            }
            16 => {
                let on = self.chance.happens(500);
                self.say(format!("suspend: {on}"));
                let patch = json!({"spec": {"suspend": on}});
                self.patch(&repositories(), "flux-system", "flux-system", &patch).await;
            }
            17 => {
                let by = *self.chance.pick(&[-7200, -30, 30, 7200]);
                self.say(format!("the clock jumps by {by} s"));
                self.clock.jumped.fetch_add(by, Ordering::SeqCst);
            }
            18 => {
                let faults = *self.chance.pick(&[0, 5, 20, 60, 150, 500]);
                self.say(format!("faults: {faults} of 1000"));
                self.weather.faults.store(faults, Ordering::SeqCst);
            }
            _ => {
                self.ask().await;
                self.ask().await;
            }
        }
    }

    fn some_map(&mut self) -> String {
        let installed = self.state.releases.maps();
        let names: Vec<String> = self.state.maps().into_keys().chain(installed.into_keys()).collect();
        self.chance.pick(&names).clone()
    }

    /// The last commit is a good one; then there is time, and few or no faults.
    async fn verdict(&mut self) -> Result<(), String> {
        if self.process.api.is_dead() {
            self.restart(false).await;
        }
        let faults = *self.chance.pick(&[0, 0, 10]);
        self.weather.faults.store(faults, Ordering::SeqCst);
        self.weather.slow.store(self.weather.slow.load(Ordering::SeqCst).min(50), Ordering::SeqCst);
        self.patch(&repositories(), "flux-system", "flux-system", &json!({"spec": {"suspend": false}})).await;
        self.commit(false);
        if self.chance.happens(500) {
            self.ask().await;
        }
        self.say(format!("the last commit; {faults} faults of 1000"));
        let mut left = String::new();
        // Two hours: many times what any pause may be.
        for _ in 0..7200 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.process.api.is_dead() {
                self.say("the process died; another one starts");
                self.restart(false).await;
                continue;
            }
            left = self.missing().await;
            if left.is_empty() {
                break;
            }
        }
        if !left.is_empty() {
            let snapshot = self.process.engine.snapshot();
            let units = snapshot
                .units
                .iter()
                .map(|unit| format!("{}: {:?} {}", unit.key, unit.phase(), unit.message));
            return Err(format!(
                "it does not end at the newest commit: {left}\n{}\n{}",
                units.collect::<Vec<_>>().join("\n"),
                self.trace(&left)
            ));
        }
        self.nothing_wrong_was_deleted()?;
        self.stays().await
    }

    /// What is not yet as the newest commit wants it.
    async fn missing(&self) -> String {
        let mut missing = Vec::new();
        let units = self.clean.list(&kustomizations(), &ListOptions::default()).await.unwrap();
        let mut names: BTreeSet<&str> = self.state.units.keys().map(String::as_str).collect();
        names.extend(["flux-system", "releases"]);
        for unit in &units {
            let name = meta::name(unit);
            if !names.remove(name) {
                missing.push(format!("the unit {name} is still there"));
                continue;
            }
            let revision = get_str(unit, &["status", "lastAppliedRevision"]).unwrap_or_default();
            if !revision.ends_with(&self.revision) {
                missing.push(format!("{name} is at {revision}"));
            }
            let conditions = object::get(unit, &["status", "conditions"]).and_then(Value::as_array);
            let ready = conditions.into_iter().flatten().find(|one| one["type"] == "Ready");
            let generation = ready.and_then(|one| one["observedGeneration"].as_i64());
            if ready.is_none_or(|one| one["status"] != "True") || generation != Some(meta::generation(unit)) {
                missing.push(format!("{name} is not ready: {ready:?}"));
            }
        }
        missing.extend(names.iter().map(|name| format!("there is no unit {name}")));
        let (mut wanted, mut installed) = (self.state.maps(), self.state.releases.maps());
        let options = ListOptions { namespace: "default".into(), ..ListOptions::default() };
        for map in self.clean.list(&config_maps(), &options).await.unwrap() {
            let name = meta::name(&map);
            if name == "strangers" || name == "kube-root-ca.crt" {
                continue;
            }
            let helm = installed.contains_key(name);
            let Some((value, unit)) = wanted.remove(name).or_else(|| installed.remove(name)) else {
                missing.push(format!("{name} is still there"));
                continue;
            };
            if map["data"]["value"] != value.as_str() {
                missing.push(format!("{name} is {}", map["data"]));
            }
            let owner = match helm {
                true => meta::annotation(&map, "meta.helm.sh/release-name"),
                false => meta::label(&map, "kustomize.toolkit.fluxcd.io/name"),
            };
            let owner = owner.unwrap_or_default();
            if owner != unit {
                missing.push(format!("{name} is of {owner}"));
            }
        }
        missing.extend(wanted.keys().chain(installed.keys()).map(|name| format!("{name} is not there")));
        self.missing_releases(&mut missing).await;
        missing.join("; ")
    }

    /// What is wrong with the HelmReleases, their charts, and the Secrets of releases.
    async fn missing_releases(&self, missing: &mut Vec<String>) {
        let releases = &self.state.releases;
        let version = format!("0.1.{}", releases.number);
        let mut names: BTreeSet<&str> = releases.all.keys().map(String::as_str).collect();
        for found in self.clean.list(&helm_releases(), &ListOptions::default()).await.unwrap() {
            let name = meta::name(&found);
            if !names.remove(name) {
                missing.push(format!("the release {name} is still there"));
                continue;
            }
            let revision = get_str(&found, &["status", "lastAttemptedRevision"]).unwrap_or_default();
            if revision.split('+').next() != Some(&version) {
                missing.push(format!("{name} is at {revision}"));
            }
            let conditions = object::get(&found, &["status", "conditions"]).and_then(Value::as_array);
            let ready = conditions.into_iter().flatten().find(|one| one["type"] == "Ready");
            let generation = ready.and_then(|one| one["observedGeneration"].as_i64());
            if ready.is_none_or(|one| one["status"] != "True") || generation != Some(meta::generation(&found))
            {
                missing.push(format!("{name} is not ready: {ready:?}"));
            }
        }
        missing.extend(names.iter().map(|name| format!("there is no release {name}")));
        let charts = Gvk::new("source.toolkit.fluxcd.io", "v1", "HelmChart");
        for chart in self.clean.list(&charts, &ListOptions::default()).await.unwrap() {
            let name = meta::name(&chart).strip_prefix("flux-system-").unwrap_or_default();
            if !releases.all.contains_key(name) {
                missing.push(format!("the chart {} is still there", meta::name(&chart)));
            }
        }
        let mut stored: BTreeMap<(String, String), Vec<(u64, String)>> = BTreeMap::new();
        let options = ListOptions { labels: "owner=helm".into(), ..ListOptions::default() };
        for secret in self.clean.list(&Gvk::new("", "v1", "Secret"), &options).await.unwrap() {
            let label = |name: &str| meta::label(&secret, name).unwrap_or_default().to_owned();
            let place = (meta::namespace(&secret).unwrap_or_default().to_owned(), label("name"));
            stored.entry(place).or_default().push((label("version").parse().unwrap(), label("status")));
        }
        for (name, release) in &releases.all {
            let mut found =
                stored.remove(&(release.storage.clone(), release.name.clone())).unwrap_or_default();
            found.sort();
            let deployed = found.iter().filter(|(_, status)| status == "deployed").count();
            let newest = found.last().map(|(_, status)| status.as_str());
            let over = |status: &str| matches!(status, "deployed" | "superseded" | "failed");
            if newest != Some("deployed")
                || deployed != 1
                || found.len() > release.history
                || !found.iter().all(|(_, status)| over(status))
            {
                missing.push(format!("{name} is stored as {found:?}"));
            }
        }
        missing.extend(
            stored.keys().map(|(namespace, name)| format!("Secrets of {namespace}/{name} are still there")),
        );
    }

    /// The last that was asked for of what is not as it should be.
    fn trace(&self, left: &str) -> String {
        let names: Vec<&str> = left.split(' ').filter(|word| word.contains('-')).collect();
        let units: Vec<&str> = names.iter().filter_map(|name| name.split('-').next()).collect();
        let trace = self.weather.trace.lock().unwrap();
        let about = |line: &&String| {
            names.iter().any(|name| line.contains(name))
                || units.iter().any(|unit| line.contains(&format!("kustomizations/{unit}")))
                || units.iter().any(|unit| line.contains(&format!("helmreleases/{unit}")))
                || units.iter().any(|unit| line.contains(&format!("release.v1.{unit}")))
        };
        let lines: Vec<&str> = trace.iter().filter(about).map(String::as_str).collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    fn nothing_wrong_was_deleted(&self) -> Result<(), String> {
        let deleted = self.weather.deleted.lock().unwrap();
        for name in deleted.iter() {
            let unit = name.split('-').next().unwrap_or_default();
            let may = self.may_go.contains(name) || self.may_end.contains(unit) || name == NOMAD;
            let may = may || name.ends_with("-hook");
            if !may || name == "strangers" {
                return Err(format!("{name} was deleted, and every commit has it ({KEEP})"));
            }
        }
        Ok(())
    }

    /// Once all is done nothing is written any more, and what is foreign is as it was.
    async fn stays(&mut self) -> Result<(), String> {
        self.weather.faults.store(0, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(120)).await;
        let before = self.weather.writes.load(Ordering::SeqCst);
        let requests = self.weather.requests.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(900)).await;
        if self.process.api.is_dead() {
            return Ok(());
        }
        let writes = self.weather.writes.load(Ordering::SeqCst) - before;
        let requests = self.weather.requests.load(Ordering::SeqCst) - requests;
        if writes > 0 || requests > 400 {
            let trace = self.weather.trace.lock().unwrap();
            return Err(format!(
                "{writes} writes and {requests} requests in a quarter of an hour in which nothing changed:\n{}",
                trace[trace.len().saturating_sub(60)..].join("\n")
            ));
        }
        let left = self.missing().await;
        if !left.is_empty() {
            return Err(format!("it did not stay: {left}"));
        }
        let strangers = self.clean.get(&config_maps(), "default", "strangers").await.unwrap();
        match strangers {
            Some(found) if found["data"]["value"] == "theirs" => Ok(()),
            other => Err(format!("what is not of this repository was touched: {other:?}")),
        }
    }
}
