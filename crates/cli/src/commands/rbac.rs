//! `landfall rbac`: who may do what in Argo CD, as `argocd admin settings rbac` tells it; read from a cluster, roles of
//! its projects count as well.

use crate::errors::usage;
use crate::target::Target;
use anyhow::Context as _;
use argo::project::Project;
use argo::project::rbac::Policies;
use argo::settings::WrittenPolicies;
use cluster::{Cluster, ErrorKind, ListOptions};
use object::{Gvk, Value};
use std::path::PathBuf;
use std::process::ExitCode;

/// The verbs.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Tell whether a role, person or group may do something: Yes (0) or No (1)
    Can(Can),
    /// Tell whether policies can be read
    Validate(Validate),
}

/// Where policies come from.
#[derive(clap::Args)]
struct Policy {
    /// A file of policies, or a ConfigMap like argocd-rbac-cm
    #[arg(long, value_name = "FILE")]
    policy_file: Option<PathBuf>,
    /// The namespace of Argo CD: its argocd-rbac-cm, and the roles of its projects
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Arguments of `landfall rbac can`.
#[derive(clap::Args)]
pub struct Can {
    /// A role, person or group
    subject: String,
    /// get, create, update, delete, sync, override, action/GROUP/KIND/NAME …
    action: String,
    /// applications, projects, clusters …
    resource: String,
    /// PROJECT/NAME, or what the resource is called [default: all of them]
    #[arg(default_value = "")]
    object: String,
    /// Groups that the subject belongs to
    #[arg(long)]
    group: Vec<String>,
    /// The role that everybody has, in place of policy.default
    #[arg(long, default_value = "")]
    default_role: String,
    /// Leave out role:readonly and role:admin when false
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    use_builtin_policy: bool,
    /// Refuse actions and resources that nobody knows, unless false
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    strict: bool,
    /// Only the exit code tells
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    policy: Policy,
}

/// Arguments of `landfall rbac validate`.
#[derive(clap::Args)]
pub struct Validate {
    #[command(flatten)]
    policy: Policy,
}

/// Short names of resources.
const SHORT: &[(&[&str], &str)] = &[
    (&["account"], "accounts"),
    (&["app", "apps", "application"], "applications"),
    (&["appset", "applicationset"], "applicationsets"),
    (&["cert", "certs", "certificate"], "certificates"),
    (&["cluster"], "clusters"),
    (&["extension"], "extensions"),
    (&["gpgkey", "key"], "gpgkeys"),
    (&["log"], "logs"),
    (&["proj", "projs", "project"], "projects"),
    (&["repo", "repos", "repository"], "repositories"),
];

const ALL: &[&str] = &["create", "get", "update", "delete"];
/// What can be done with a resource.
const ACTIONS: &[(&str, &[&str])] = &[
    ("accounts", &["create", "update"]),
    ("applications", &["create", "get", "update", "delete", "action", "override", "sync", "rollback"]),
    ("applicationsets", ALL),
    ("certificates", &["create", "get", "delete"]),
    ("clusters", ALL),
    ("extensions", &["invoke"]),
    ("gpgkeys", &["create", "get", "delete"]),
    ("logs", &["get"]),
    ("exec", &["create"]),
    ("projects", ALL),
    ("repositories", ALL),
    ("write-repositories", ALL),
];
/// Those whose objects are named with their projects.
const OF_PROJECTS: &[&str] =
    &["applications", "applicationsets", "logs", "exec", "clusters", "repositories", "write-repositories"];

/// Runs a verb.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Can(args) => can(args).await,
        Command::Validate(args) => validate(args).await,
    }
}

async fn can(args: Can) -> anyhow::Result<ExitCode> {
    let resource = long(&args.resource);
    if args.strict {
        check(resource, &args.action).map_err(usage)?;
    }
    let written = read(&args.policy).await?;
    let default_role = match args.default_role.as_str() {
        "" => &written.default_role,
        given => given,
    };
    let mut policies = Policies::bare(default_role, written.matching);
    if args.use_builtin_policy {
        policies.add_built_in();
    }
    policies.add(&written.csv).map_err(usage)?;
    let everything = matches!(args.object.as_str(), "" | "*") && OF_PROJECTS.contains(&resource);
    let object = if everything { "*/*" } else { args.object.as_str() };
    let groups: Vec<&str> = args.group.iter().map(String::as_str).collect();
    let allowed = policies.allows(&args.subject, &groups, resource, &args.action, object);
    if !args.quiet {
        println!("{}", if allowed { "Yes" } else { "No" });
    }
    Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn validate(args: Validate) -> anyhow::Result<ExitCode> {
    let written = read(&args.policy).await?;
    if written.csv.trim().is_empty() {
        return Err(usage("Policy is empty or could not be loaded."));
    }
    match Policies::bare("", written.matching).add(&written.csv) {
        Ok(()) => {
            println!("Policy is valid.");
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => {
            println!("Policy is invalid: {why}");
            Ok(ExitCode::from(1))
        }
    }
}

fn long(resource: &str) -> &str {
    SHORT.iter().find(|(short, _)| short.contains(&resource)).map_or(resource, |(_, long)| long)
}

fn check(resource: &str, action: &str) -> Result<(), String> {
    let known = ACTIONS.iter().find(|(name, _)| *name == resource);
    let (_, actions) = known.ok_or_else(|| format!("'{resource}' is not a valid resource name"))?;
    let (verb, path) = action.split_once('/').map_or((action, false), |(verb, _)| (verb, true));
    let with_path = resource == "applications" && matches!(verb, "update" | "delete" | "action");
    if !actions.contains(&verb) || (path && !with_path) {
        return Err(format!("'{action}' is not a valid action for {resource}"));
    }
    Ok(())
}

async fn read(policy: &Policy) -> anyhow::Result<WrittenPolicies> {
    match (&policy.policy_file, &policy.namespace) {
        (Some(file), None) => {
            let shown = file.display().to_string();
            let text = std::fs::read_to_string(file).with_context(|| shown.clone())?;
            // A file of policies is rarely YAML, and never an object.
            let object = yaml::from_str(&text).unwrap_or_default();
            if object.get("data").is_some() {
                return Ok(WrittenPolicies::of(&object));
            }
            Ok(WrittenPolicies { csv: text, ..WrittenPolicies::default() })
        }
        (None, Some(namespace)) => of_cluster(&Cluster::new(policy.target.client().await?), namespace).await,
        _ => Err(usage("please provide exactly one of --policy-file or --namespace")),
    }
}

/// `argocd-rbac-cm`, and what the roles of projects add to it.
async fn of_cluster(cluster: &Cluster, namespace: &str) -> anyhow::Result<WrittenPolicies> {
    let found = cluster.get(&Gvk::new("", "v1", "ConfigMap"), namespace, "argocd-rbac-cm").await?;
    let mut written = WrittenPolicies::of(&found.unwrap_or(Value::Null));
    let options = ListOptions { namespace: namespace.to_owned(), ..ListOptions::default() };
    let projects = match cluster.list(&argo::names::gvk(argo::names::APP_PROJECT), &options).await {
        Ok(projects) => projects,
        Err(error) if error.kind == ErrorKind::MissingKind => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    for project in projects {
        written.csv.push('\n');
        written.csv.push_str(&Project::new(project).policies());
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_must_make_sense() {
        assert_eq!(long("app"), "applications");
        assert!(check("applications", "action/apps/Deployment/restart").is_ok());
        assert!(check("applications", "sync/x").is_err_and(|why| why.contains("not a valid action")));
        assert!(check("nonsense", "get").is_err_and(|why| why.contains("not a valid resource")));
        assert!(check("logs", "get").is_ok() && check("logs", "create").is_err());
    }
}
