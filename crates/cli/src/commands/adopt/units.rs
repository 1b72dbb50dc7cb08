//! Taking over objects and releases that kubectl, helm, Terraform or Argo CD brought.

use super::door::{self, Differences};
use super::{Args, Form, MANAGER};
use crate::commands::named::{self, Delivered};
use crate::errors::usage;
use anyhow::Context as _;
use cluster::{Cluster, ListOptions, PatchKind, PatchOptions};
use controller::Engine;
use delivery::adoption::{self, Finding, State};
use delivery::memory::Memory;
use flux::options::{Rehearsal, Rehearsed};
use object::{Gvk, Key, Value, get, get_str, meta};
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a rehearsal of one unit came to.
struct Found {
    unit: Key,
    rehearsed: Rehearsed,
    findings: Vec<Finding>,
    /// What else stands in the way.
    obstacles: Vec<String>,
}

impl Found {
    fn is_same(&self) -> bool {
        self.obstacles.is_empty() && self.findings.iter().all(|finding| finding.state == State::Same)
    }
}

/// Rehearses, and takes over what would not change.
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (kind, names) = named::split(&args.what)?;
    let kind = kind.filter(|kind| matches!(kind.kind, "Kustomization" | "HelmRelease"));
    let Some(kind) = kind.filter(|_| !names.is_empty()) else {
        return Err(usage("name flux, kustomization/NAME or helmrelease/NAME"));
    };
    let cluster = Cluster::new(args.target.client().await?);
    let units: Vec<Key> =
        names.iter().map(|name| Key::new(kind.group, kind.kind, &args.namespace, name)).collect();
    for unit in &units {
        let live = cluster.get(&kind.gvk(), &unit.namespace, &unit.name).await?;
        let live = live.with_context(|| format!("{unit} is not in the cluster"))?;
        if get(&live, &["spec", "suspend"]) != Some(&Value::Bool(true)) {
            return Err(usage(format!("{unit} is not suspended: what it names may be applied already")));
        }
        if get(&live, &["spec", "kubeConfig"]).is_some_and(Value::is_object) {
            return Err(usage(format!("{unit} delivers to another cluster: nothing is taken over there")));
        }
    }
    let rehearsed = rehearse(args, &units).await?;
    let memory = Memory::new(&[]);
    let mut all = Vec::new();
    for (unit, rehearsed) in units.into_iter().zip(rehearsed) {
        all.push(compare(&cluster, &memory, unit, rehearsed, args).await?);
    }
    print(args, &all);
    let same = all.iter().all(Found::is_same);
    if args.dry_run || (!same && !args.force) {
        if !args.dry_run && args.output == Form::Text {
            println!("not taken over; --force takes over nevertheless");
        }
        return Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    for found in &all {
        take_over(&cluster, &memory, kind, found, args).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What each unit would apply.
async fn rehearse(args: &Args, units: &[Key]) -> anyhow::Result<Vec<Rehearsed>> {
    let client = door::only(args.target.client().await?, units);
    let client = door::rehearsing(client, Differences::default());
    let mut maps = source::Maps::default();
    let here = std::env::current_dir().context("the current folder")?;
    for line in &args.maps {
        maps.add_line(line, &here).map_err(|error| usage(error.to_string()))?;
    }
    let sources = source::Fetcher::new(source::Options { maps, ..source::Options::default() })?;
    let rehearsal = Rehearsal::default();
    let mut settings = flux::Options::new(sources);
    settings.outward = false;
    settings.rehearsal = Some(rehearsal.clone());
    let cancel = CancellationToken::new();
    let options = controller::Options::default();
    let engine = Engine::start(Cluster::new(client), flux::kinds(settings), options, cancel.clone());
    let mut changes = engine.changed();
    let until = tokio::time::Instant::now() + Duration::from_secs(args.timeout);
    let done = loop {
        let known: Vec<Option<Rehearsed>> = units.iter().map(|unit| rehearsal.of(unit)).collect();
        if let Some(all) = known.into_iter().collect::<Option<Vec<_>>>() {
            break Ok(all);
        }
        let snapshot = engine.snapshot();
        let stuck = units.iter().filter(|unit| rehearsal.of(unit).is_none()).find_map(|unit| {
            let state = |key: &Key| snapshot.units.iter().find(|state| state.key == *key);
            let own = state(unit)?;
            // What its source says is the cause, when that is what it waits for.
            let source = own.cause.as_ref().and_then(|cause| cause.via.as_ref()).and_then(state);
            let failed = [Some(own), source].into_iter().flatten().rfind(|state| state.attempts > 1)?;
            failed.cause.as_ref().map(|cause| format!("{unit} cannot be rehearsed: {}", cause.line_text()))
        });
        if let Some(why) = stuck {
            break Err(anyhow::anyhow!(why));
        }
        if tokio::time::timeout_at(until, changes.changed()).await.is_err() {
            let causes = snapshot.units.iter().filter_map(|unit| unit.cause.as_ref());
            let causes: Vec<String> = causes.map(controller::Cause::line_text).collect();
            break Err(anyhow::anyhow!("the rehearsal did not end in time: {}", causes.join("; ")));
        }
    };
    cancel.cancel();
    done
}

async fn compare(
    cluster: &Cluster,
    memory: &Memory,
    unit: Key,
    rehearsed: Rehearsed,
    args: &Args,
) -> anyhow::Result<Found> {
    let mut found = Found { unit, rehearsed, findings: Vec::new(), obstacles: Vec::new() };
    for desired in &found.rehearsed.objects {
        match adoption::compare(cluster, memory, found.rehearsed.manager, desired, &args.from).await {
            Ok(finding) => found.findings.push(finding),
            Err(error) => {
                found.obstacles.push(format!("{}/{}: {error}", meta::kind(desired), meta::name(desired)))
            }
        }
    }
    let mut tracking: Vec<String> =
        found.findings.iter().filter_map(|finding| finding.application.clone()).collect();
    tracking.sort();
    tracking.dedup();
    if !tracking.is_empty() {
        found.obstacles.extend(syncing(cluster, &tracking).await?);
    }
    Ok(found)
}

/// Applications that would take the objects back.
async fn syncing(cluster: &Cluster, names: &[String]) -> anyhow::Result<Vec<String>> {
    let gvk = Gvk::new("argoproj.io", "v1alpha1", "Application");
    let all = match cluster.list(&gvk, &ListOptions::default()).await {
        Ok(all) => all,
        Err(error) if error.kind == cluster::ErrorKind::MissingKind => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let known = |object: &&Value| {
        let name = meta::name(object);
        let long = format!("{}_{name}", meta::namespace(object).unwrap_or_default());
        names.iter().any(|wanted| *wanted == name || *wanted == long)
            && get(object, &["spec", "syncPolicy", "automated"]).is_some_and(Value::is_object)
    };
    let line = |object: &Value| {
        format!(
            "Application {} syncs these objects by itself; suspend it first: landfall suspend app {}",
            meta::name(object),
            meta::name(object)
        )
    };
    Ok(all.iter().filter(known).map(line).collect())
}

fn print(args: &Args, all: &[Found]) {
    let state = |finding: &Finding| match finding.state {
        State::Same => "same",
        State::Differs => "differs",
        State::Missing => "missing",
    };
    if args.output == Form::Json {
        let units: Vec<Value> = all
            .iter()
            .map(|found| {
                let objects: Vec<Value> = found
                    .findings
                    .iter()
                    .map(|finding| {
                        json!({"object": finding.key.to_string(), "state": state(finding), "fields": finding.fields,
                            "managers": finding.managers, "application": finding.application})
                    })
                    .collect();
                json!({"unit": found.unit.to_string(), "same": found.is_same(), "objects": objects,
                    "obstacles": found.obstacles})
            })
            .collect();
        println!("{}", json!({"units": units, "dryRun": args.dry_run}));
        return;
    }
    for found in all {
        for finding in &found.findings {
            let mut line = match finding.state {
                State::Same => format!("{} is the same", finding.key),
                State::Differs => format!("{} would change: {}", finding.key, finding.fields.join(", ")),
                State::Missing => format!("{} would be created", finding.key),
            };
            if !finding.managers.is_empty() {
                line.push_str(&format!(" (fields of {})", finding.managers.join(", ")));
            }
            println!("{line}");
        }
        found.obstacles.iter().for_each(|line| println!("{line}"));
        let changing = found.findings.iter().filter(|finding| finding.state != State::Same).count();
        match changing + found.obstacles.len() {
            0 => println!("{}: nothing would change", found.unit),
            count => println!("{}: {count} differences", found.unit),
        }
    }
}

/// The fields become the unit's, and it is resumed.
async fn take_over(
    cluster: &Cluster,
    memory: &Memory,
    kind: &Delivered,
    found: &Found,
    args: &Args,
) -> anyhow::Result<()> {
    for object in &found.rehearsed.objects {
        let taken = adoption::take(cluster, memory, found.rehearsed.manager, object, &args.from).await;
        taken.with_context(|| format!("{}/{} is not taken over", meta::kind(object), meta::name(object)))?;
    }
    let stamp = jiff::Timestamp::now().to_string();
    let patch = json!({"spec": {"suspend": null},
        "metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": stamp}}});
    let options = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
    let (namespace, name) = (&found.unit.namespace, &found.unit.name);
    cluster.patch(&kind.gvk(), namespace, name, PatchKind::Merge, &patch, &options).await?;
    if args.output == Form::Text {
        println!("{} has {} objects now", found.unit, found.rehearsed.objects.len());
    }
    Ok(())
}

/// Whether an object in a list of units is one of these.
pub(super) fn is_one_of(units: &[Key], object: &Value) -> bool {
    let name = get_str(object, &["metadata", "name"]).unwrap_or_default();
    let namespace = get_str(object, &["metadata", "namespace"]).unwrap_or_default();
    units.iter().any(|unit| unit.name == name && unit.namespace == namespace)
}
