//! `landfall helm get`: what is stored of a release.

use super::output::{self, Format, View};
use super::{Settings, connect::Connection};
use helm::{Dependency, Release};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What of a release is shown.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Everything
    All(AllArgs),
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

/// Which revision, and how it is shown.
#[derive(clap::Args)]
pub struct AllArgs {
    #[command(flatten)]
    which: Args,
    /// A template for the output
    #[arg(long, default_value = "", value_name = "TEMPLATE")]
    template: String,
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
            let release = stored(&args.which).await?;
            match args.template.as_str() {
                "" => output::release(&release, Format::Table, view, &Default::default())?,
                template => templated(&release, template)?,
            }
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

/// The release through a template, in which its fields have the names of Helm's program.
fn templated(release: &Release, template: &str) -> anyhow::Result<String> {
    let data = serde_json::json!({"Release": upper(serde_json::to_value(release)?, "Release")});
    let mut templates = gotemplate::Templates::new(Default::default());
    templates.parse("", template)?;
    let host = gotemplate::FixedHost::new(jiff::Timestamp::now().as_second(), 0);
    Ok(templates.execute("", &gotemplate::Value::from_json(&data), &mut gotemplate::Env::new(&host))?)
}

/// Fields with a capital, as far as they are Helm's own: values keep their names.
fn upper(value: Value, name: &str) -> Value {
    const INITIALS: [(&str, &str); 2] = [("apiVersion", "APIVersion"), ("url", "URL")];
    match value {
        Value::Object(map) if !matches!(name, "config" | "values" | "labels" | "annotations" | "schema") => {
            let renamed = map.into_iter().map(|(key, value)| {
                let known =
                    INITIALS.iter().find(|(short, _)| *short == key).map(|(_, long)| (*long).to_owned());
                let mut letters = key.chars();
                let first = letters.next().map(|first| first.to_ascii_uppercase());
                let field = known.unwrap_or_else(|| first.into_iter().chain(letters).collect());
                (field, upper(value, &key))
            });
            Value::Object(renamed.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| upper(item, name)).collect()),
        other => other,
    }
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
