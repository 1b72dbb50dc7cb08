//! `landfall get`: one line per delivered object.

use super::named;
use crate::target::Target;
use crate::views::{Output, live, one_line, structured, table::table};
use cluster::Cluster;
use controller::{Snapshot, Unit};
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;

/// Arguments of `landfall get`.
#[derive(clap::Args)]
pub struct Args {
    /// KIND, KIND/NAME or KIND NAME … [default: everything]
    objects: Vec<String>,
    /// The namespace [default: all]
    #[arg(short, long)]
    namespace: Option<String>,
    /// All namespaces (the default; accepted as kubectl's users type it)
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only what matches these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Print again whenever something changes
    #[arg(short, long)]
    watch: bool,
    /// The format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    target: Target,
}

/// Lists and prints.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (kind, names) = named::split(&args.objects)?;
    let cluster = Cluster::new(args.target.client().await?);
    let mut last = String::new();
    loop {
        let snapshot = super::look::snapshot(&cluster, args.selector.as_deref()).await?;
        let units: Vec<&Unit> = snapshot
            .units
            .iter()
            .filter(|unit| kind.is_none_or(|kind| kind.kind == unit.key.kind))
            .filter(|unit| names.is_empty() || names.contains(&unit.key.name))
            .filter(|unit| {
                args.all_namespaces
                    || args.namespace.as_ref().is_none_or(|wanted| *wanted == unit.key.namespace)
            })
            .collect();
        let text = text(&snapshot, &units, args.output)?;
        if text != last {
            print!("{text}");
            last = text;
        }
        if !args.watch {
            if let Some(missing) = names.iter().find(|name| !units.iter().any(|unit| unit.key.name == **name))
            {
                anyhow::bail!("{missing} is not there");
            }
            return Ok(ExitCode::SUCCESS);
        }
        tokio::select! {
            result = tokio::signal::ctrl_c() => {
                result?;
                return Ok(ExitCode::SUCCESS);
            }
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
}

fn text(snapshot: &Snapshot, units: &[&Unit], output: Output) -> anyhow::Result<String> {
    let data = Value::Array(units.iter().map(|unit| live::unit_data(snapshot, unit)).collect());
    if let Some(text) = structured(&data, output)? {
        return Ok(text);
    }
    if output == Output::Name {
        return Ok(units
            .iter()
            .map(|unit| format!("{}/{}\n", unit.key.kind.to_lowercase(), unit.key.name))
            .collect());
    }
    if units.is_empty() {
        return Ok("nothing is delivered here\n".to_owned());
    }
    let wide = output == Output::Wide;
    let rows: Vec<Vec<String>> = units.iter().map(|unit| row(snapshot, unit, wide)).collect();
    let mut header = vec!["NAMESPACE", "NAME", "READY", "REVISION", "MESSAGE"];
    if wide {
        header.extend(["OBJECTS", "CAUSE"]);
    }
    Ok(table(&header, &rows))
}

fn row(snapshot: &Snapshot, unit: &Unit, wide: bool) -> Vec<String> {
    let ready = if unit.suspended { "Suspended" } else { unit.ready.as_str() };
    let revision = unit.revision.as_deref().unwrap_or_default();
    let mut row = vec![
        unit.key.namespace.clone(),
        format!("{}/{}", unit.key.kind.to_lowercase(), unit.key.name),
        ready.to_owned(),
        if wide { revision.to_owned() } else { live::short_revision(revision) },
        if wide { unit.message.replace('\n', " ") } else { one_line(&unit.message, 100) },
    ];
    if wide {
        row.push(unit.inventory.len().to_string());
        row.push(live::cause(snapshot, unit).unwrap_or_default());
    }
    row
}
