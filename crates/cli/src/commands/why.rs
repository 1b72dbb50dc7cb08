//! `landfall why`: the first cause, in one line, with the way to it.

use super::{look, named};
use crate::errors::usage;
use crate::target::Target;
use crate::views::{Output, live, structured};
use cluster::Cluster;
use controller::{Ready, Unit};
use serde_json::Value;
use std::process::ExitCode;

/// Arguments of `landfall why`.
#[derive(clap::Args)]
pub struct Args {
    /// KIND/NAME or KIND NAME [default: everything that is not ready]
    objects: Vec<String>,
    /// The namespace [default: all]
    #[arg(short, long)]
    namespace: Option<String>,
    /// The format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    target: Target,
}

/// Explains.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (kind, names) = named::split(&args.objects)?;
    let cluster = Cluster::new(args.target.client().await?);
    let snapshot = look::snapshot(&cluster, None).await?;
    let wanted = |unit: &&Unit| {
        kind.is_none_or(|kind| kind.kind == unit.key.kind)
            && (names.is_empty() || names.contains(&unit.key.name))
            && args.namespace.as_ref().is_none_or(|namespace| *namespace == unit.key.namespace)
    };
    let units: Vec<&Unit> = snapshot.units.iter().filter(wanted).collect();
    if units.is_empty() && !names.is_empty() {
        return Err(usage(format!("{} is not there; see: landfall get", names.join(", "))));
    }
    let unready: Vec<&Unit> =
        units.iter().filter(|unit| unit.ready != Ready::True && !unit.suspended).copied().collect();
    let data = Value::Array(unready.iter().map(|unit| live::unit_data(&snapshot, unit)).collect());
    if let Some(text) = structured(&data, args.output)? {
        print!("{text}");
        return Ok(code(&unready));
    }
    if unready.is_empty() {
        match units.as_slice() {
            [unit] => println!("{} is ready: {}", live::name(&unit.key), unit.message),
            _ => println!("everything is ready"),
        }
        return Ok(ExitCode::SUCCESS);
    }
    for unit in &unready {
        let hops = snapshot.why(&unit.key);
        let way: Vec<String> = hops.iter().map(|hop| live::name(&hop.unit)).collect();
        let cause = look::first_cause(&cluster, &snapshot, unit).await?;
        println!("{}", way.join(" ← "));
        println!("  {cause}");
    }
    Ok(code(&unready))
}

fn code(unready: &[&Unit]) -> ExitCode {
    if unready.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
