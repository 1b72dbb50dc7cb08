//! `landfall actions`: what can be done with an object, and doing it, as Argo CD's resource actions.

use crate::errors::usage;
use crate::target::Target;
use crate::views::{Output, structured, table::table};
use cluster::{Cluster, ErrorKind, ListOptions, PatchKind, PatchOptions};
use health::argo::actions::{Action, Impacted, Operation};
use object::{Gvk, Value, get_str, meta};
use serde_json::json;
use std::process::ExitCode;

/// Who acts, in the managed fields.
const MANAGER: &str = "landfall-cli";

/// Arguments of `landfall actions`.
#[derive(clap::Args)]
pub struct Args {
    /// KIND/NAME of any object of the cluster (KIND.GROUP/NAME when several groups have the kind)
    object: String,
    /// The action to run [default: list the actions]
    action: Option<String>,
    /// A parameter of the action
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// The namespace
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// The namespace of argocd-cm, whose own actions count
    #[arg(long, default_value = "argocd", value_name = "NAMESPACE")]
    settings: String,
    /// Print what would be patched or created, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// The format of the list
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    target: Target,
}

/// Lists or runs.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Some((word, name)) = args.object.split_once('/') else {
        return Err(usage("name an object: KIND/NAME"));
    };
    let cluster = Cluster::new(args.target.client().await?);
    let gvk = kind_of(&cluster, word).await?;
    let namespaced = cluster.resource(&gvk).await?.namespaced;
    let namespace = if namespaced { args.namespace.as_str() } else { "" };
    let Some(object) = cluster.get(&gvk, namespace, name).await? else {
        anyhow::bail!("{} is not there{}", args.object, in_namespace(namespace));
    };
    let settings = cluster.get(&Gvk::new("", "v1", "ConfigMap"), &args.settings, "argocd-cm").await?;
    let judge = argo::installation::Installation::of(&settings.unwrap_or_default()).judge;
    let now = jiff::Timestamp::now().as_second();
    let offered = judge.actions(&object, now)?;
    let Some(action) = &args.action else { return list(&args, &offered) };
    let params = chosen(&args, &offered, action)?;
    let impacted = judge.act(&object, action, &params, now)?;
    for impact in &impacted {
        let shown = format!("{}/{}", meta::kind(&impact.object).to_lowercase(), meta::name(&impact.object));
        let verb = carry_out(&cluster, &object, impact, args.dry_run).await?;
        println!("{shown} {verb}");
    }
    Ok(ExitCode::SUCCESS)
}

fn in_namespace(namespace: &str) -> String {
    if namespace.is_empty() {
        String::new()
    } else {
        format!(" in namespace {namespace}; choose another with -n")
    }
}

fn list(args: &Args, offered: &[Action]) -> anyhow::Result<ExitCode> {
    if let Some(text) = structured(&serde_json::to_value(offered)?, args.output)? {
        print!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    if offered.is_empty() {
        println!("{} offers no actions", args.object);
        return Ok(ExitCode::SUCCESS);
    }
    let row = |action: &Action| {
        let params: Vec<&str> = action.params.iter().map(|param| param.name.as_str()).collect();
        vec![action.name.clone(), if action.disabled { "no" } else { "yes" }.to_owned(), params.join(",")]
    };
    let rows: Vec<Vec<String>> = offered.iter().map(row).collect();
    print!("{}", table(&["ACTION", "ENABLED", "PARAMETERS"], &rows));
    Ok(ExitCode::SUCCESS)
}

/// The parameters that were given, for an action that can be run now.
fn chosen(args: &Args, offered: &[Action], name: &str) -> anyhow::Result<Vec<(String, String)>> {
    let Some(action) = offered.iter().find(|action| action.name == name) else {
        let known: Vec<&str> = offered.iter().map(|action| action.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(usage(format!("{} offers no action {name}; there are: {known}", args.object)));
    };
    if action.disabled {
        anyhow::bail!("{name} makes no sense for {} as it is now", args.object);
    }
    let mut params: Vec<(String, String)> = Vec::new();
    for param in &args.params {
        let Some((key, value)) = param.split_once('=') else {
            return Err(usage(format!("{param}: a parameter is NAME=VALUE")));
        };
        params.push((key.to_owned(), value.to_owned()));
    }
    Ok(params)
}

/// Patches the object, or makes a new one; says which.
async fn carry_out(
    cluster: &Cluster,
    before: &Value,
    impact: &Impacted,
    dry_run: bool,
) -> anyhow::Result<String> {
    if impact.operation == Operation::Create {
        if dry_run {
            return Ok(format!("would be created:\n{}", yaml::to_string(&impact.object).trim_end()));
        }
        cluster.create(&impact.object, MANAGER).await?;
        return Ok("created".to_owned());
    }
    let gvk = Gvk::of(&impact.object);
    let (namespace, name) = (meta::namespace(&impact.object).unwrap_or_default(), meta::name(&impact.object));
    let same = meta::uid(&impact.object) == meta::uid(before);
    let live = if same { Some(before.clone()) } else { cluster.get(&gvk, namespace, name).await? };
    let Some(live) = live else { anyhow::bail!("{}/{name} is not there", gvk.kind) };
    let mut patch = object::merge_patch::diff(&live, &impact.object);
    let status = patch.as_object_mut().and_then(|patch| patch.remove("status"));
    let mut done = Vec::new();
    for (subresource, patch) in
        [("", Some(patch)), ("status", status.map(|status| json!({"status": status})))]
    {
        let Some(patch) = patch.filter(|patch| patch.as_object().is_some_and(|map| !map.is_empty())) else {
            continue;
        };
        if dry_run {
            done.push(format!("would be patched: {patch}"));
            continue;
        }
        let options = PatchOptions {
            manager: MANAGER.into(),
            subresource: subresource.to_owned(),
            ..PatchOptions::default()
        };
        let patched = cluster.patch(&gvk, namespace, name, PatchKind::Merge, &patch, &options).await;
        match patched {
            // A kind without that subresource takes its status like any other field.
            Err(error) if error.kind == ErrorKind::NotFound && !subresource.is_empty() => {
                let options = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
                cluster.patch(&gvk, namespace, name, PatchKind::Merge, &patch, &options).await?;
            }
            other => {
                other?;
            }
        }
        done.push("patched".to_owned());
    }
    done.dedup();
    Ok(if done.is_empty() { "unchanged".to_owned() } else { done.join("\n") })
}

/// The kind that a word means: kind, plural or short name, with `.GROUP` where it is needed.
async fn kind_of(cluster: &Cluster, word: &str) -> anyhow::Result<Gvk> {
    let wanted = word.to_lowercase();
    let (name, group) =
        wanted.split_once('.').map_or((wanted.as_str(), None), |(name, group)| (name, Some(group)));
    let fits = |names: &[&str]| names.iter().any(|known| known.to_lowercase() == name);
    let builtin = schema::builtin().resources().iter().find(|one| {
        let names = [one.kind.as_str(), &one.resource, &one.singular];
        let short = one.short_names.iter().any(|short| short == name);
        (fits(&names) || short) && group.is_none_or(|group| group == one.group)
    });
    if let Some(found) = builtin {
        return Ok(Gvk::new(found.group.as_str(), found.version.as_str(), found.kind.as_str()));
    }
    let definitions = Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    for definition in cluster.list(&definitions, &ListOptions::default()).await? {
        let text = |path: &[&str]| get_str(&definition, path).unwrap_or_default().to_owned();
        let names = ["kind", "plural", "singular"].map(|field| text(&["spec", "names", field]));
        let short = definition.pointer("/spec/names/shortNames").and_then(Value::as_array);
        let short = short.into_iter().flatten().any(|short| short == name);
        let own = text(&["spec", "group"]);
        if (fits(&names.each_ref().map(String::as_str)) || short) && group.is_none_or(|group| group == own) {
            let found = cluster.resource_any_version(&own, &text(&["spec", "names", "kind"])).await?;
            return Ok(Gvk::new(found.group, found.version, found.kind));
        }
    }
    Err(usage(format!("the cluster serves no kind {word}")))
}
