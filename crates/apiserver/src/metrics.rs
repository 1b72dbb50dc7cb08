//! What is counted of requests, and how Prometheus reads it: the stable names of kube-apiserver.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::app::App;
use crate::request::Target;

/// Upper bounds of the classes into which durations fall, in seconds.
const BOUNDS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0, 30.0, 45.0, 60.0,
];
/// The media type of the text form.
pub const MEDIA: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Requests of one kind.
#[derive(Debug)]
struct Series {
    /// Of all but the code, in the order of their names.
    labels: String,
    codes: BTreeMap<u16, u64>,
    classes: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

/// What was counted since the start. Only requests for what is served are, so that there are few series.
#[derive(Debug, Default)]
pub struct Metrics {
    hasher: RandomState,
    series: Mutex<HashMap<u64, Series>>,
    reading: AtomicI64,
    writing: AtomicI64,
}

/// One request that is worked on.
pub struct Working<'a>(&'a AtomicI64);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a request is for, as far as it is counted.
#[derive(Debug, Clone, Copy, Hash)]
pub struct Asked<'a> {
    /// As it is counted: `LIST`, `APPLY` …
    pub verb: &'static str,
    /// The group, or nothing.
    pub group: &'a str,
    /// The version, or nothing.
    pub version: &'a str,
    /// The resource, or nothing.
    pub resource: &'a str,
    /// The subresource, or the path of what is no resource.
    pub subresource: &'a str,
    /// How much it is about.
    pub scope: &'static str,
    /// Whether it only asks what would happen.
    pub dry_run: bool,
}

impl<'a> Asked<'a> {
    /// A request for a resource; `verb` is the one that is authorized.
    pub fn of(target: &'a Target, verb: &str, applies: bool, dry_run: bool) -> Asked<'a> {
        let verb = match verb {
            "create" => "POST",
            "update" => "PUT",
            "patch" if applies => "APPLY",
            "patch" => "PATCH",
            "delete" => "DELETE",
            "deletecollection" => "DELETECOLLECTION",
            "list" => "LIST",
            "watch" => "WATCH",
            _ => "GET",
        };
        let scope = if target.name.is_some() || verb == "POST" {
            "resource"
        } else if target.namespace.is_some() {
            "namespace"
        } else {
            "cluster"
        };
        let subresource = target.subresource.as_deref().unwrap_or_default();
        let (group, version, resource) = (&*target.group, &*target.version, &*target.resource);
        Asked { verb, group, version, resource, subresource, scope, dry_run }
    }

    fn labels(&self) -> String {
        let Asked { verb, group, version, resource, subresource, scope, dry_run } = self;
        let dry_run = if *dry_run { "All" } else { "" };
        format!(
            "component=\"apiserver\",dry_run=\"{dry_run}\",group=\"{}\",resource=\"{}\",scope=\"{scope}\",subresource=\"{}\",verb=\"{verb}\",version=\"{}\"",
            escaped(group),
            escaped(resource),
            escaped(subresource),
            escaped(version)
        )
    }
}

/// A label's value as it is written.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl Metrics {
    /// Begins to count a request among those that are worked on.
    pub fn work(&self, writes: bool) -> Working<'_> {
        let counter = if writes { &self.writing } else { &self.reading };
        counter.fetch_add(1, Ordering::Relaxed);
        Working(counter)
    }

    /// Counts a request that was answered.
    pub fn answered(&self, asked: &Asked<'_>, code: u16, took: Duration) {
        let took = took.as_secs_f64();
        let key = self.hasher.hash_one(asked);
        let mut all = self.series.lock();
        let series = all.entry(key).or_insert_with(|| Series {
            labels: asked.labels(),
            codes: BTreeMap::new(),
            classes: [0; BOUNDS.len()],
            count: 0,
            sum: 0.0,
        });
        *series.codes.entry(code).or_default() += 1;
        series.count += 1;
        series.sum += took;
        if let Some(class) = BOUNDS.iter().position(|bound| took <= *bound)
            && let Some(slot) = series.classes.get_mut(class)
        {
            *slot += 1;
        }
    }

    fn requests(&self, text: &mut String) -> std::fmt::Result {
        let all = self.series.lock();
        let mut all: Vec<&Series> = all.values().collect();
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        let name = "apiserver_request_total";
        head(text, name, "counter", "[STABLE] Requests that were answered, by what they asked for.")?;
        for series in &all {
            for (code, count) in &series.codes {
                writeln!(text, "{name}{{code=\"{code}\",{}}} {count}", series.labels)?;
            }
        }
        let name = "apiserver_request_duration_seconds";
        head(text, name, "histogram", "[STABLE] How long answers took, without the time of watching.")?;
        for series in &all {
            let mut sum = 0;
            for (bound, count) in BOUNDS.iter().zip(&series.classes) {
                sum += count;
                writeln!(text, "{name}_bucket{{{},le=\"{bound}\"}} {sum}", series.labels)?;
            }
            writeln!(text, "{name}_bucket{{{},le=\"+Inf\"}} {}", series.labels, series.count)?;
            writeln!(text, "{name}_sum{{{}}} {}", series.labels, series.sum)?;
            writeln!(text, "{name}_count{{{}}} {}", series.labels, series.count)?;
        }
        let name = "apiserver_current_inflight_requests";
        head(text, name, "gauge", "[STABLE] Requests that are worked on.")?;
        for (kind, counter) in [("mutating", &self.writing), ("readOnly", &self.reading)] {
            let count = counter.load(Ordering::Relaxed).max(0);
            writeln!(text, "{name}{{request_kind=\"{kind}\"}} {count}")?;
        }
        Ok(())
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// Everything, as Prometheus reads it.
pub fn text(app: &App) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let written = app.metrics.requests(&mut text).and_then(|()| rest(app, &mut text));
    debug_assert!(written.is_ok(), "a string takes everything");
    text
}

fn rest(app: &App, text: &mut String) -> std::fmt::Result {
    let tables = app.store.tables();
    let name = "apiserver_storage_objects";
    head(text, name, "gauge", "[STABLE] Stored objects, by resource.")?;
    for table in &tables {
        writeln!(text, "{name}{{resource=\"{}\"}} {}", escaped(&table.name), table.objects)?;
    }
    let name = "apiserver_longrunning_requests";
    head(text, name, "gauge", "[STABLE] Watches that are open, by resource.")?;
    for table in tables.iter().filter(|table| table.watchers > 0) {
        let (resource, group) = table.name.split_once('.').unwrap_or((&table.name, ""));
        writeln!(
            text,
            "{name}{{component=\"apiserver\",group=\"{}\",resource=\"{}\",verb=\"WATCH\"}} {}",
            escaped(group),
            escaped(resource),
            table.watchers
        )?;
    }
    let name = "apiserver_storage_revision";
    head(text, name, "gauge", "[ALPHA] The newest revision of all objects.")?;
    writeln!(text, "{name} {}", app.store.revision())?;
    let name = "kubernetes_build_info";
    head(text, name, "gauge", "[BETA] The version that is served.")?;
    writeln!(text, "{name}{{git_version=\"v1.34.2\",major=\"1\",minor=\"34\"}} 1")?;
    process(text)
}

/// What the system says of this process, where it says so in files.
fn process(text: &mut String) -> std::fmt::Result {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let stat = read("stat");
    // The second field is the program's name in brackets, which may hold anything.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let number = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
    const TICKS: f64 = 100.0;
    const PAGE: f64 = 4096.0;
    if let (Some(user), Some(system)) = (number(11), number(12)) {
        let name = "process_cpu_seconds_total";
        head(text, name, "counter", "Time of the processor, of the whole process.")?;
        writeln!(text, "{name} {}", (user + system) / TICKS)?;
    }
    for (name, at, unit, help) in [
        ("process_resident_memory_bytes", 21, PAGE, "Memory in use."),
        ("process_virtual_memory_bytes", 20, 1.0, "Addresses in use."),
    ] {
        if let Some(value) = number(at) {
            head(text, name, "gauge", help)?;
            writeln!(text, "{name} {}", value * unit)?;
        }
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        head(text, "process_open_fds", "gauge", "Open files.")?;
        writeln!(text, "process_open_fds {}", files.count())?;
    }
    Ok(())
}
