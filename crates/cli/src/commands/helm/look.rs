//! `landfall helm list`, `history` and `status`.

use super::output::{self, ANSIC, Format, GO, View};
use super::{Settings, table};
use helm::Release;
use helm::release::Status;
use object::LabelSelector;
use serde::Serialize;
use std::collections::BTreeMap;

/// Arguments of `helm list`.
#[derive(clap::Args)]
pub struct ListArgs {
    /// Only names
    #[arg(short = 'q', long)]
    short: bool,
    /// No headers
    #[arg(long)]
    no_headers: bool,
    /// The layout of times, as Go writes them
    #[arg(long, value_name = "LAYOUT")]
    time_format: Option<String>,
    /// Sort by date
    #[arg(short = 'd', long)]
    date: bool,
    /// Sort the other way round
    #[arg(short, long)]
    reverse: bool,
    /// All of them, whatever their state
    #[arg(short, long)]
    all: bool,
    /// Those that were uninstalled and keep their history
    #[arg(long)]
    uninstalled: bool,
    /// Those that a newer revision replaced
    #[arg(long)]
    superseded: bool,
    /// Those being uninstalled
    #[arg(long)]
    uninstalling: bool,
    /// Those that are deployed
    #[arg(long)]
    deployed: bool,
    /// Those that failed
    #[arg(long)]
    failed: bool,
    /// Those under way
    #[arg(long)]
    pending: bool,
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// The most that are shown
    #[arg(short, long, default_value_t = 256)]
    max: usize,
    /// How many are left out at the beginning
    #[arg(long, default_value_t = 0)]
    offset: usize,
    /// Only names that match this regular expression
    #[arg(short, long)]
    filter: Option<String>,
    /// Only those with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// The format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Element {
    name: String,
    namespace: String,
    revision: String,
    updated: String,
    status: &'static str,
    chart: String,
    app_version: String,
}

impl ListArgs {
    fn shows(&self, status: Status) -> bool {
        let chosen = self.uninstalled
            || self.superseded
            || self.uninstalling
            || self.deployed
            || self.failed
            || self.pending;
        if self.all {
            return true;
        }
        match status {
            Status::Deployed => self.deployed || !chosen,
            Status::Failed => self.failed || !chosen,
            Status::Uninstalled => self.uninstalled,
            Status::Superseded => self.superseded,
            Status::Uninstalling => self.uninstalling,
            Status::Unknown => false,
            pending => pending.is_pending() && self.pending,
        }
    }

    /// Only superseded revisions are asked for: then not just the newest of each release counts.
    fn only_superseded(&self) -> bool {
        self.superseded
            && !(self.all
                || self.uninstalled
                || self.uninstalling
                || self.deployed
                || self.failed
                || self.pending)
    }

    fn sort(&self, releases: &mut [Release]) {
        match self.date {
            true => {
                releases.sort_by_key(|release| output::time(&release.info.last_deployed).map(|t| t.unix()))
            }
            false => releases.sort_by(|a, b| a.name.cmp(&b.name)),
        }
        // Helm's own word for the newest first is the plain date order.
        if self.reverse {
            releases.reverse();
        }
    }
}

/// Lists.
pub async fn list(args: &ListArgs, settings: &Settings) -> anyhow::Result<()> {
    let filter = args.filter.as_deref().map(regex::Regex::new).transpose()?;
    let selector = LabelSelector::parse(args.selector.as_deref().unwrap_or_default())?;
    let connection = settings.connect().await?;
    let namespace = if args.all_namespaces { "" } else { &connection.namespace };
    let mut found = releases::all(&connection.cluster, connection.holder, namespace, "").await?;
    found.retain(|release| filter.as_ref().is_none_or(|filter| filter.is_match(&release.name)));
    if !args.only_superseded() {
        found = newest(found);
    }
    let labels = |release: &Release| -> object::Map {
        release.labels.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect()
    };
    found.retain(|release| args.shows(release.info.status) && selector.matches(Some(&labels(release))));
    args.sort(&mut found);
    let most = if args.max == 0 { usize::MAX } else { args.max };
    let shown: Vec<Release> = found.into_iter().skip(args.offset).take(most).collect();
    if args.short {
        let names: Vec<&str> = shown.iter().map(|release| release.name.as_str()).collect();
        let lines = || names.iter().map(|name| format!("{name}\n")).collect();
        return super::print(&args.output.data(&names)?.unwrap_or_else(lines));
    }
    let layout = args.time_format.as_deref().unwrap_or(GO);
    let elements: Vec<Element> = shown.iter().map(|release| element(release, layout)).collect();
    if let Some(text) = args.output.data(&elements)? {
        return super::print(&text);
    }
    let mut rows = Vec::new();
    if !args.no_headers {
        let headers = ["NAME", "NAMESPACE", "REVISION", "UPDATED", "STATUS", "CHART", "APP VERSION"];
        rows.push(headers.map(str::to_owned).to_vec());
    }
    for e in elements {
        rows.push(vec![e.name, e.namespace, e.revision, e.updated, e.status.into(), e.chart, e.app_version]);
    }
    super::print(&format!("{}\n", table::table(&rows, usize::MAX)))
}

/// The newest revision of each release.
fn newest(releases: Vec<Release>) -> Vec<Release> {
    let mut newest: BTreeMap<(String, String), Release> = BTreeMap::new();
    for release in releases {
        let key = (release.namespace.clone(), release.name.clone());
        if newest.get(&key).is_none_or(|known| known.version <= release.version) {
            newest.insert(key, release);
        }
    }
    newest.into_values().collect()
}

fn element(release: &Release, layout: &str) -> Element {
    let updated = output::time(&release.info.last_deployed).map(|time| time.format(layout));
    Element {
        name: release.name.clone(),
        namespace: release.namespace.clone(),
        revision: release.version.to_string(),
        updated: updated.unwrap_or_else(|| "-".to_owned()),
        status: release.info.status.as_str(),
        chart: release.chart_name(),
        app_version: release.chart.metadata.app_version.clone(),
    }
}

/// Arguments of `helm history`.
#[derive(clap::Args)]
pub struct HistoryArgs {
    /// The release
    release: String,
    /// The most revisions that are shown
    #[arg(long, default_value_t = 256)]
    max: usize,
    /// The format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Revision {
    revision: u64,
    updated: String,
    status: &'static str,
    chart: String,
    app_version: String,
    description: String,
}

/// Shows the revisions.
pub async fn history(args: &HistoryArgs, settings: &Settings) -> anyhow::Result<()> {
    let connection = settings.connect().await?;
    let name = super::checked_name(&args.release, "history: Release name is invalid")?;
    let history = connection.storage(name).history().await?;
    if history.is_empty() {
        anyhow::bail!("release: not found");
    }
    let from = history.len().saturating_sub(args.max);
    let revisions: Vec<Revision> = history.iter().skip(from).map(revision).collect();
    if let Some(text) = args.output.data(&revisions)? {
        return super::print(&text);
    }
    let headers = ["REVISION", "UPDATED", "STATUS", "CHART", "APP VERSION", "DESCRIPTION"];
    let mut rows = vec![headers.map(str::to_owned).to_vec()];
    for r in revisions {
        let updated = output::formatted(&r.updated, ANSIC);
        rows.push(vec![
            r.revision.to_string(),
            updated,
            r.status.into(),
            r.chart,
            r.app_version,
            r.description,
        ]);
    }
    super::print(&format!("{}\n", table::table(&rows, usize::MAX)))
}

fn revision(release: &Release) -> Revision {
    Revision {
        revision: release.version,
        updated: release.info.last_deployed.clone(),
        status: release.info.status.as_str(),
        chart: release.chart_name(),
        app_version: release.chart.metadata.app_version.clone(),
        description: release.info.description.clone(),
    }
}

/// Arguments of `helm status`.
#[derive(clap::Args)]
pub struct StatusArgs {
    /// The release
    release: String,
    /// The revision [default: the newest]
    #[arg(long, default_value_t = 0)]
    revision: u64,
    /// Show the description
    #[arg(long)]
    show_desc: bool,
    /// Show the release's objects
    #[arg(long)]
    show_resources: bool,
    /// The format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Shows how a release stands.
pub async fn status(args: &StatusArgs, settings: &Settings) -> anyhow::Result<()> {
    let connection = settings.connect().await?;
    let release = super::stored(&connection, &args.release, args.revision).await?;
    let resources = match args.show_resources {
        true => super::resources::gather(&connection, &release, args.output == Format::Table).await?,
        false => Default::default(),
    };
    let view = View { description: args.show_desc, without_chart: true, ..View::default() };
    super::print(&output::release(&release, args.output, view, &resources)?)
}
