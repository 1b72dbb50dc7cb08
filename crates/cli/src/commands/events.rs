//! `landfall events`: what happened, newest last.

use crate::target::Target;
use crate::views::{Output, age, structured, table::table};
use cluster::{Cluster, ListOptions};
use object::{Gvk, Value, get_str};
use std::process::ExitCode;

/// Arguments of `landfall events`.
#[derive(clap::Args)]
pub struct Args {
    /// Only about this object: KIND/NAME
    about: Option<String>,
    /// The namespace [default: all]
    #[arg(short, long)]
    namespace: Option<String>,
    /// Only of this type: Normal or Warning
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// The format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    target: Target,
}

/// Lists and prints them.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::new(args.target.client().await?);
    let gvk = Gvk { group: String::new(), version: "v1".into(), kind: "Event".into() };
    let options =
        ListOptions { namespace: args.namespace.clone().unwrap_or_default(), ..ListOptions::default() };
    let mut events = cluster.list(&gvk, &options).await?;
    events.retain(|event| is_wanted(event, &args));
    events.sort_by(|a, b| last_seen(a).cmp(last_seen(b)));
    if let Some(text) = structured(&Value::Array(events.clone()), args.output)? {
        print!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    let now = jiff::Timestamp::now();
    let rows: Vec<Vec<String>> = events.iter().map(|event| row(event, now)).collect();
    print!("{}", table(&["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"], &rows));
    Ok(ExitCode::SUCCESS)
}

fn is_wanted(event: &Value, args: &Args) -> bool {
    let about = args.about.as_deref().is_none_or(|about| {
        let kind = get_str(event, &["involvedObject", "kind"]).unwrap_or_default();
        let name = get_str(event, &["involvedObject", "name"]).unwrap_or_default();
        match about.split_once('/') {
            Some((wanted, wanted_name)) => {
                let wanted = super::named::kind(wanted).map_or(wanted, |delivered| delivered.kind);
                kind.eq_ignore_ascii_case(wanted) && name == wanted_name
            }
            None => name == about,
        }
    });
    let typed = args.event_type.as_deref().is_none_or(|wanted| {
        get_str(event, &["type"]).is_some_and(|found| found.eq_ignore_ascii_case(wanted))
    });
    about && typed
}

fn last_seen(event: &Value) -> &str {
    [&["lastTimestamp"][..], &["eventTime"], &["firstTimestamp"], &["metadata", "creationTimestamp"]]
        .iter()
        .find_map(|path| get_str(event, path))
        .unwrap_or_default()
}

fn row(event: &Value, now: jiff::Timestamp) -> Vec<String> {
    let seen = last_seen(event)
        .parse::<jiff::Timestamp>()
        .map_or_else(|_| "<unknown>".to_owned(), |seen| age(now.duration_since(seen).as_secs()));
    let text = |path: &[&str]| get_str(event, path).unwrap_or_default().to_owned();
    let namespace = text(&["involvedObject", "namespace"]);
    let mut object =
        format!("{}/{}", text(&["involvedObject", "kind"]).to_lowercase(), text(&["involvedObject", "name"]));
    if !namespace.is_empty() {
        object = format!("{object}.{namespace}");
    }
    vec![seen, text(&["type"]), text(&["reason"]), object, text(&["message"]).replace('\n', " ")]
}
