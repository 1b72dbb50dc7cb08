//! `landfall helm get`: what is stored of a release.

use super::output::{self, Format, View};
use super::{Settings, connect::Connection};
use helm::{Dependency, Release};
use serde::Serialize;
use std::collections::BTreeMap;

/// What of a release is shown.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Everything
    All(Args),
    /// Its hooks
    Hooks(Args),
    /// Its manifests
    Manifest(Args),
    /// Its chart, revision and status
    Metadata(FormatArgs),
    /// Its notes
    Notes(Args),
    /// Its values
    Values(ValuesArgs),
}

/// Which revision.
#[derive(clap::Args)]
pub struct Args {
    /// The release
    release: String,
    /// The revision [default: the newest]
    #[arg(long, default_value_t = 0)]
    revision: u64,
}

/// Which revision, in which format.
#[derive(clap::Args)]
pub struct FormatArgs {
    #[command(flatten)]
    which: Args,
    /// The format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Which values.
#[derive(clap::Args)]
pub struct ValuesArgs {
    #[command(flatten)]
    which: Args,
    /// The chart's own values too
    #[arg(short, long)]
    all: bool,
    /// The format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Prints it.
pub async fn run(command: &Command, settings: &Settings) -> anyhow::Result<()> {
    let connection = settings.connect().await?;
    let stored = async |args: &Args| super::stored(&connection, &args.release, args.revision).await;
    let text = match command {
        Command::All(args) => {
            let view = View { debug: true, metadata: true, ..View::default() };
            output::release(&stored(args).await?, Format::Table, view, "")?
        }
        Command::Hooks(args) => {
            let release = stored(args).await?;
            let hooks = release.hooks.iter();
            hooks.map(|hook| format!("---\n# Source: {}\n{}\n", hook.path, hook.manifest)).collect()
        }
        Command::Manifest(args) => format!("{}\n", stored(args).await?.manifest),
        Command::Notes(args) => match stored(args).await?.info.notes {
            notes if notes.is_empty() => notes,
            notes => format!("NOTES:\n{notes}\n"),
        },
        Command::Values(args) => values(&stored(&args.which).await?, args)?,
        Command::Metadata(args) => metadata(&connection, &args.which, args.output).await?,
    };
    super::print(&text)
}

fn values(release: &Release, args: &ValuesArgs) -> anyhow::Result<String> {
    let shown = match args.all {
        true => output::computed(release)?.to_json(),
        false if release.config.is_empty() => object::Value::Null,
        false => release.config.to_json(),
    };
    if let Some(text) = args.output.data(&shown)? {
        return Ok(text);
    }
    let title = if args.all { "COMPUTED VALUES:" } else { "USER-SUPPLIED VALUES:" };
    Ok(format!("{title}\n{}", yaml::to_string(&shown)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    chart: String,
    version: String,
    app_version: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<Dependency>,
    namespace: String,
    revision: u64,
    status: &'static str,
    deployed_at: String,
}

async fn metadata(connection: &Connection, args: &Args, format: Format) -> anyhow::Result<String> {
    let release = super::stored(connection, &args.release, args.revision).await?;
    let chart = release.chart.metadata;
    let shown = Metadata {
        name: release.name,
        chart: chart.name,
        version: chart.version,
        app_version: chart.app_version,
        annotations: chart.annotations.into_iter().collect(),
        dependencies: chart.dependencies,
        namespace: release.namespace,
        revision: release.version,
        status: release.info.status.as_str(),
        deployed_at: output::formatted(&release.info.last_deployed, "2006-01-02T15:04:05Z07:00"),
    };
    if let Some(text) = format.data(&shown)? {
        return Ok(text);
    }
    let annotations: Vec<String> =
        shown.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut names: Vec<&str> = shown.dependencies.iter().map(|wanted| wanted.name.as_str()).collect();
    names.sort_unstable();
    let lines = [
        ("NAME", shown.name.clone()),
        ("CHART", shown.chart.clone()),
        ("VERSION", shown.version.clone()),
        ("APP_VERSION", shown.app_version.clone()),
        ("ANNOTATIONS", annotations.join(",")),
        ("DEPENDENCIES", names.join(",")),
        ("NAMESPACE", shown.namespace.clone()),
        ("REVISION", shown.revision.to_string()),
        ("STATUS", shown.status.to_owned()),
        ("DEPLOYED_AT", shown.deployed_at.clone()),
    ];
    Ok(lines.map(|(name, value)| format!("{name}: {value}\n")).concat())
}
