//! What verbs print: formats, times and releases as `helm` shows them.

use super::resources::{self, Resources};
use anyhow::Context as _;
use gotemplate::{Time, Zone};
use helm::release::{Hook, Info, StoredChart};
use helm::{Event, Release, Values};
use serde::Serialize;

/// `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// JSON in one line.
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// Data in this format; `None` for people.
    pub fn data(self, data: &impl Serialize) -> anyhow::Result<Option<String>> {
        match self {
            Format::Table => Ok(None),
            Format::Json => json(data).map(Some),
            Format::Yaml => Ok(Some(yaml::to_string(&serde_json::to_value(data)?))),
        }
    }
}

/// JSON as Go's encoder writes it: in one line, with what HTML gives a meaning escaped.
pub fn json(data: &impl Serialize) -> anyhow::Result<String> {
    Ok(helm::go_json(data).context("unable to write JSON output")? + "\n")
}

/// A stored time; `None` when there is none.
pub fn time(text: &str) -> Option<Time> {
    let at: jiff::Timestamp = text.parse().ok()?;
    let offset = match jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%:z", text) {
        Ok(parts) => parts.offset().map_or(0, jiff::tz::Offset::seconds),
        Err(_) => 0,
    };
    let zone = if offset == 0 { Zone::utc() } else { Zone::fixed(&zone_name(offset), offset) };
    let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or_default();
    Some(Time::new(at.as_second(), nanos, zone))
}

/// Go prints the offset where a zone has no name.
fn zone_name(offset: i32) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.abs() / 60;
    format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
}

/// The present time as Go writes it in JSON, in the machine's zone.
pub fn now() -> String {
    let now = jiff::Zoned::now();
    let zone = match now.offset().is_zero() {
        true => "Z".to_owned(),
        false => now.strftime("%:z").to_string(),
    };
    format!("{}{zone}", now.strftime("%Y-%m-%dT%H:%M:%S%.f"))
}

/// A time as C's `asctime` has it.
pub const ANSIC: &str = "Mon Jan _2 15:04:05 2006";
/// A time as Go prints it by itself.
pub const GO: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

/// A stored time in a layout; nothing when there is none.
pub fn formatted(text: &str, layout: &str) -> String {
    time(text).map(|time| time.format(layout)).unwrap_or_default()
}

/// A release as `-o json` shows it: as it is stored, but where a chart is not asked for, without it.
#[derive(Serialize)]
struct Shown<'r> {
    name: &'r str,
    info: ShownInfo<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chart: Option<&'r StoredChart>,
    #[serde(skip_serializing_if = "Values::is_empty")]
    config: &'r Values,
    #[serde(skip_serializing_if = "str::is_empty")]
    manifest: &'r str,
    #[serde(skip_serializing_if = "<[Hook]>::is_empty")]
    hooks: &'r [Hook],
    version: u64,
    namespace: &'r str,
}

#[derive(Serialize)]
struct ShownInfo<'r> {
    #[serde(flatten)]
    info: &'r Info,
    #[serde(skip_serializing_if = "Resources::is_empty")]
    resources: &'r Resources,
}

/// What of a release is shown.
#[derive(Clone, Copy, Default)]
pub struct View {
    /// Values, hooks and manifest.
    pub debug: bool,
    /// The description.
    pub description: bool,
    /// The chart's name and versions.
    pub metadata: bool,
    /// No notes.
    pub hide_notes: bool,
    /// No chart in JSON and YAML.
    pub without_chart: bool,
}

/// A release in a format. `resources` is what `--show-resources` adds.
pub fn release(
    release: &Release,
    format: Format,
    view: View,
    resources: &Resources,
) -> anyhow::Result<String> {
    let shown = Shown {
        name: &release.name,
        info: ShownInfo { info: &release.info, resources },
        chart: (!view.without_chart).then_some(&release.chart),
        config: &release.config,
        manifest: &release.manifest,
        hooks: &release.hooks,
        version: release.version,
        namespace: &release.namespace,
    };
    match format.data(&shown)? {
        Some(text) => Ok(text),
        None => table(release, view, resources),
    }
}

fn table(release: &Release, view: View, resources: &Resources) -> anyhow::Result<String> {
    let mut out = format!("NAME: {}\n", release.name);
    if let Some(time) = time(&release.info.last_deployed) {
        out.push_str(&format!("LAST DEPLOYED: {}\n", time.format(ANSIC)));
    }
    out.push_str(&format!("NAMESPACE: {}\n", release.namespace));
    out.push_str(&format!("STATUS: {}\n", release.info.status));
    out.push_str(&format!("REVISION: {}\n", release.version));
    let metadata = &release.chart.metadata;
    if view.metadata {
        out.push_str(&format!("CHART: {}\n", metadata.name));
        out.push_str(&format!("VERSION: {}\n", metadata.version));
        out.push_str(&format!("APP_VERSION: {}\n", metadata.app_version));
    }
    if view.description {
        out.push_str(&format!("DESCRIPTION: {}\n", release.info.description));
    }
    out.push_str(&resources::section(resources));
    out.push_str(&tests(release));
    if view.debug {
        out.push_str("USER-SUPPLIED VALUES:\n");
        out.push_str(&user_values(release));
        out.push_str("\nCOMPUTED VALUES:\n");
        out.push_str(&computed(release)?.to_yaml());
        out.push('\n');
    }
    if view.debug || release.info.description.eq_ignore_ascii_case("Dry run complete") {
        out.push_str("HOOKS:\n");
        for hook in &release.hooks {
            out.push_str(&format!("---\n# Source: {}\n{}\n", hook.path, hook.manifest));
        }
        out.push_str(&format!("MANIFEST:\n{}\n", release.manifest));
    }
    if !view.hide_notes && !release.info.notes.is_empty() {
        out.push_str(&format!("NOTES:\n{}\n", release.info.notes.trim()));
    }
    Ok(out)
}

/// What the user set, as YAML; `null` when it is nothing.
pub fn user_values(release: &Release) -> String {
    if release.config.is_empty() { "null\n".to_owned() } else { release.config.to_yaml() }
}

/// The values that a stored chart was rendered with.
pub fn computed(release: &Release) -> anyhow::Result<Values> {
    let mut values = release.config.clone();
    values.coalesce(release.chart.values.as_ref().unwrap_or(&Values::new()));
    Ok(values)
}

fn tests(release: &Release) -> String {
    let tests: Vec<&Hook> = release.hooks.iter().filter(|hook| hook.runs_at(Event::Test)).collect();
    if tests.is_empty() {
        return "TEST SUITE: None\n".to_owned();
    }
    let mut out = String::new();
    for hook in tests {
        if time(&hook.last_run.started_at).is_none() {
            continue;
        }
        out.push_str(&format!(
            "TEST SUITE:     {}\nLast Started:   {}\nLast Completed: {}\nPhase:          {:?}\n",
            hook.name,
            formatted(&hook.last_run.started_at, ANSIC),
            time(&hook.last_run.completed_at)
                .map_or_else(|| Time::zero().format(ANSIC), |time| time.format(ANSIC)),
            hook.last_run.phase,
        ));
    }
    out
}

/// Reads a duration as Go writes it: `300s`, `5m0s`, `1h30m`; `0` alone needs no unit.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    gotime::duration::span(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_go_prints_them() {
        let at = "2026-01-02T03:04:05.120000000Z";
        assert_eq!(formatted(at, GO), "2026-01-02 03:04:05.12 +0000 UTC");
        assert_eq!(formatted(at, ANSIC), "Fri Jan  2 03:04:05 2026");
        assert_eq!(formatted("2026-01-02T03:04:05+02:00", GO), "2026-01-02 03:04:05 +0200 +0200");
        assert_eq!(formatted("", GO), "");
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        assert_eq!(duration("5m0s"), Ok(std::time::Duration::from_secs(300)));
        assert_eq!(duration("1.5s"), Ok(std::time::Duration::from_millis(1500)));
        assert_eq!(duration("0"), Ok(std::time::Duration::ZERO));
        for bad in ["", "5", "s", "5x", "1e400h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_escapes_what_html_gives_a_meaning() {
        assert_eq!(json(&"a<b>&").unwrap(), "\"a\\u003cb\\u003e\\u0026\"\n");
    }
}
