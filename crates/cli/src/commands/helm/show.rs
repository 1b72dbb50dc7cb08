//! `landfall helm show`.

use super::flags::ChartFlags;
use super::locate;
use helm::Chart;

/// What of a chart is shown.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Everything
    #[command(disable_version_flag = true)]
    All(Args),
    /// Chart.yaml
    #[command(disable_version_flag = true)]
    Chart(Args),
    /// values.yaml
    #[command(disable_version_flag = true)]
    Values(ValuesArgs),
    /// The README
    #[command(disable_version_flag = true)]
    Readme(Args),
    /// The CRDs
    #[command(disable_version_flag = true)]
    Crds(Args),
}

/// The chart.
#[derive(clap::Args)]
pub struct Args {
    chart: String,
    #[command(flatten)]
    flags: ChartFlags,
}

impl Args {
    fn load(&self) -> anyhow::Result<Chart> {
        locate::find(&self.chart, &self.flags)
    }
}

/// The chart, and a part of its values.
#[derive(clap::Args)]
pub struct ValuesArgs {
    #[command(flatten)]
    which: Args,
    /// Only what this JSONPath template selects
    #[arg(long, value_name = "TEMPLATE")]
    jsonpath: Option<String>,
}

/// Prints.
pub fn run(command: &Command) -> anyhow::Result<()> {
    let text = match command {
        Command::All(args) => all(&args.load()?),
        Command::Chart(args) => format!("{}\n", args.load()?.metadata.to_yaml()),
        Command::Values(args) => values(&args.which.load()?, args.jsonpath.as_deref())?,
        Command::Readme(args) => readme(&args.load()?).unwrap_or_default(),
        Command::Crds(args) => crds(&args.load()?),
    };
    super::print(&text)
}

fn all(chart: &Chart) -> String {
    let mut text = format!("{}\n", chart.metadata.to_yaml());
    if chart.values.is_some() {
        text.push_str("---\n");
        text.push_str(&raw_values(chart));
    }
    if let Some(readme) = readme(chart) {
        text.push_str("---\n");
        text.push_str(&readme);
    }
    let crds = crds(chart);
    if !crds.is_empty() {
        if !crds.starts_with("---") {
            text.push_str("---\n");
        }
        text.push_str(&crds);
    }
    text
}

fn raw_values(chart: &Chart) -> String {
    chart.raw_file("values.yaml").map(|file| format!("{}\n", file.text())).unwrap_or_default()
}

fn values(chart: &Chart, template: Option<&str>) -> anyhow::Result<String> {
    let Some(template) = template else {
        return Ok(if chart.values.is_some() { raw_values(chart) } else { String::new() });
    };
    let Some(values) = &chart.values else { return Ok(String::new()) };
    let path = object::jsonpath::JsonPath::template(template)
        .map_err(|error| anyhow::anyhow!("error parsing jsonpath {template}: {error}"))?;
    Ok(path.render(&values.to_json())?)
}

fn readme(chart: &Chart) -> Option<String> {
    let names = ["readme.md", "readme.txt", "readme"];
    let found = chart.files.iter().find(|file| names.iter().any(|name| file.name.eq_ignore_ascii_case(name)));
    found.map(|file| format!("{}\n", file.text()))
}

fn crds(chart: &Chart) -> String {
    chart.crds().iter().map(|crd| format!("{}\n", crd.text())).collect()
}
