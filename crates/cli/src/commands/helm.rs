//! `landfall helm`: the verbs, flags, output and exit codes of `helm`.

mod act;
mod ask;
mod connect;
mod dependency;
mod env;
mod fetch;
mod flags;
mod get;
mod index;
mod install;
mod lint;
mod locate;
mod logins;
mod look;
mod name;
mod output;
mod package;
mod pull;
mod registry;
mod repo;
mod resources;
mod rollback;
mod settings;
mod show;
mod table;
mod template;
mod upgrade;
mod verify;
pub mod world;

use super::later::Later;
use crate::target::Target;
use clap::{Args, Subcommand};
use connect::Connection;
use helm::Release;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `landfall helm`.
#[derive(Args)]
pub struct HelmArgs {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

/// What every verb takes.
#[derive(Args)]
struct Shared {
    /// The namespace of the release
    #[arg(short, long, global = true, env = "HELM_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// Say more about what goes wrong
    #[arg(long, global = true, env = "HELM_DEBUG", value_parser = clap::builder::FalseyValueParser::new())]
    debug: bool,
    /// Use this context of the kubeconfig
    #[arg(long, global = true, env = "HELM_KUBECONTEXT", value_name = "NAME")]
    kube_context: Option<String>,
    /// The kubeconfig file
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The state directory of an embedded cluster
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    places: settings::Places,
    #[command(flatten)]
    cluster: Cluster,
}

/// A verb's arguments.
type Verb<T> = Later<T, true>;

#[derive(Subcommand)]
enum Command {
    /// Render a chart's templates and print them
    #[command(disable_version_flag = true)]
    Template(Verb<template::Args>),
    /// Look for faults in a chart
    Lint(Verb<lint::Args>),
    /// Show what a chart holds
    #[command(alias = "inspect", subcommand)]
    Show(Verb<show::Command>),
    /// Pack a chart's folder into an archive
    #[command(disable_version_flag = true)]
    Package(Verb<package::Args>),
    /// The charts that a chart depends on
    #[command(visible_aliases = ["dep", "dependencies"], subcommand)]
    Dependency(Verb<dependency::Command>),
    /// Fetch a chart from a repository
    #[command(visible_alias = "fetch", disable_version_flag = true)]
    Pull(Verb<pull::Args>),
    /// The chart repositories that go by a name
    #[command(subcommand)]
    Repo(Verb<repo::Command>),
    /// Look for charts
    #[command(subcommand)]
    Search(Verb<repo::Search>),
    /// Install a chart as a release
    #[command(disable_version_flag = true)]
    Install(Verb<install::Args>),
    /// Upgrade a release
    #[command(disable_version_flag = true)]
    Upgrade(Verb<upgrade::Args>),
    /// Go back to an earlier revision of a release
    Rollback(Verb<rollback::RollbackArgs>),
    /// Remove releases and their objects
    #[command(aliases = ["del", "delete", "un"])]
    Uninstall(Verb<rollback::UninstallArgs>),
    /// Run the tests of a release
    Test(Verb<rollback::TestArgs>),
    /// List releases
    #[command(visible_alias = "ls")]
    List(Verb<look::ListArgs>),
    /// List the revisions of a release
    #[command(alias = "hist")]
    History(Verb<look::HistoryArgs>),
    /// Show how a release stands
    Status(Verb<look::StatusArgs>),
    /// Show what is stored of a release
    #[command(subcommand)]
    Get(Verb<get::Command>),
    /// Check an archive with its provenance file
    Verify(Verb<verify::Args>),
    /// Upload a chart to a registry
    Push(Verb<registry::PushArgs>),
    /// Log in to a registry, or out of it
    #[command(subcommand)]
    Registry(Verb<registry::Command>),
    /// Make the folder of a new chart
    Create(Verb<env::CreateArgs>),
    /// Print the settings
    Env(Verb<env::EnvArgs>),
    /// Print the version of Helm whose behaviour this is
    Version(Verb<env::VersionArgs>),
    /// Print a completion script for a shell
    Completion(Verb<env::CompletionArgs>),
    /// Helm's plugins (not served)
    Plugin(Verb<env::PluginArgs>),
}

/// What of a kubeconfig is overridden.
#[derive(Args, Clone, Debug)]
struct Cluster {
    /// The address of the API server
    #[arg(long, global = true, env = "HELM_KUBEAPISERVER", value_name = "URL")]
    kube_apiserver: Option<String>,
    /// A token for it
    #[arg(long, global = true, env = "HELM_KUBETOKEN", value_name = "TEXT", hide_env_values = true)]
    kube_token: Option<String>,
    /// Act as this user
    #[arg(long, global = true, env = "HELM_KUBEASUSER", value_name = "NAME")]
    kube_as_user: Option<String>,
    /// Act as a member of this group
    #[arg(long, global = true, env = "HELM_KUBEASGROUPS", value_name = "NAME", value_delimiter = ',')]
    kube_as_group: Vec<String>,
    /// Its certificate authority
    #[arg(long, global = true, env = "HELM_KUBECAFILE", value_name = "FILE")]
    kube_ca_file: Option<PathBuf>,
    /// Take any certificate of it
    #[arg(long, global = true, env = "HELM_KUBEINSECURE_SKIP_TLS_VERIFY", value_parser = clap::builder::FalseyValueParser::new())]
    kube_insecure_skip_tls_verify: bool,
    /// The name that its certificate must have
    #[arg(long, global = true, env = "HELM_KUBETLS_SERVER_NAME", value_name = "NAME")]
    kube_tls_server_name: Option<String>,
    /// Accepted for scripts written for helm: requests are not throttled here
    #[arg(long, global = true, env = "HELM_BURST_LIMIT", default_value_t = 100, hide = true)]
    burst_limit: u32,
    /// Accepted for scripts written for helm: requests are not throttled here
    #[arg(long, global = true, env = "HELM_QPS", default_value_t = 0.0, hide = true)]
    qps: f32,
}

impl Cluster {
    /// Puts what was given over a configuration.
    fn over(&self, config: &mut kube::Config) -> anyhow::Result<()> {
        use anyhow::Context as _;
        if let Some(url) = &self.kube_apiserver {
            let full = if url.contains("://") { url.clone() } else { format!("https://{url}") };
            config.cluster_url = full.parse().with_context(|| format!("--kube-apiserver {url}"))?;
        }
        let auth = &mut config.auth_info;
        if let Some(token) = &self.kube_token {
            auth.token = Some(token.clone().into());
        }
        if self.kube_as_user.is_some() {
            auth.impersonate.clone_from(&self.kube_as_user);
        }
        if !self.kube_as_group.is_empty() {
            auth.impersonate_groups = Some(self.kube_as_group.clone());
        }
        if let Some(path) = &self.kube_ca_file {
            let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
            config.root_cert = Some(certificates(&pem).with_context(|| path.display().to_string())?);
        }
        config.accept_invalid_certs |= self.kube_insecure_skip_tls_verify;
        if self.kube_tls_server_name.is_some() {
            config.tls_server_name.clone_from(&self.kube_tls_server_name);
        }
        Ok(())
    }

    /// Whether an API server is named.
    fn names_one(&self) -> bool {
        self.kube_apiserver.is_some()
    }
}

/// The certificates of a PEM file in DER.
fn certificates(pem: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).map(|one| one.map(|one| one.to_vec())).collect();
    Ok(found?)
}

impl HelmArgs {
    /// The command line of this verb alone, when there is such a verb.
    pub fn only(verb: &std::ffi::OsStr) -> Option<clap::Command> {
        let all = Command::augment_subcommands(clap::Command::new("helm"));
        let verb = all.find_subcommand(verb)?.clone();
        Some(Shared::augment_args(clap::Command::new("helm")).subcommand(verb))
    }

    /// May it talk to a server before it looks for a chart?
    pub fn reaches_out(&self) -> bool {
        !matches!(
            self.command,
            Command::Template(_)
                | Command::Lint(_)
                | Command::Show(_)
                | Command::Package(_)
                | Command::Verify(_)
                | Command::Create(_)
                | Command::Env(_)
                | Command::Version(_)
        )
    }
}

/// What every verb is told.
struct Settings {
    namespace: Option<String>,
    debug: bool,
    target: Target,
    cluster: Cluster,
}

impl Settings {
    /// The namespace where no cluster has a say.
    fn namespace_or_default(&self) -> String {
        self.namespace.clone().unwrap_or_else(|| "default".into())
    }
}

/// Runs a verb. Failures are printed as `helm` prints them.
pub fn run(args: HelmArgs) -> anyhow::Result<ExitCode> {
    let Shared { namespace, debug, kube_context, kubeconfig, state, places, cluster } = args.shared;
    let told = Settings {
        namespace: namespace.filter(|name| !name.is_empty()),
        debug,
        target: Target { context: kube_context, kubeconfig, state },
        cluster,
    };
    settings::note(places);
    let result = match args.command {
        Command::Template(args) => template::run(&args, &told),
        Command::Lint(args) => lint::run(&args, &told),
        Command::Show(command) => show::run(&command),
        Command::Package(args) => package::run(&args),
        Command::Dependency(command) => dependency::run(&command),
        Command::Pull(args) => pull::run(&args),
        Command::Repo(command) => repo::run(&command),
        Command::Search(command) => repo::search(&command),
        Command::Install(args) => install::run(&args, &told),
        Command::Upgrade(args) => upgrade::run(&args, &told),
        Command::Rollback(args) => wait_for(rollback::rollback(&args, &told)),
        Command::Uninstall(args) => wait_for(rollback::uninstall(&args, &told)),
        Command::Test(args) => wait_for(rollback::test(&args, &told)),
        Command::List(args) => wait_for(look::list(&args, &told)),
        Command::History(args) => wait_for(look::history(&args, &told)),
        Command::Status(args) => wait_for(look::status(&args, &told)),
        Command::Get(command) => wait_for(get::run(&command, &told)),
        Command::Verify(args) => verify::run(&args),
        Command::Push(args) => registry::push(&args),
        Command::Registry(command) => registry::run(&command),
        Command::Create(args) => env::create(&args),
        Command::Env(args) => env::env(&args, &told),
        Command::Version(args) => env::version(&args),
        Command::Completion(args) => env::completion(&args),
        Command::Plugin(args) => env::plugin(&args),
    };
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("Error: {error:#}");
            if told.debug
                && let Some(error) = error.downcast_ref::<helm::Error>()
                && !error.excerpt.is_empty()
            {
                eprintln!("{}", error.excerpt);
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Prints to standard output without a newline of its own.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Waits for what talks to a server, on a runtime of its own.
fn wait_for<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}

/// A release's name, or Helm's words for why it is none.
fn checked_name<'n>(name: &'n str, words: &str) -> anyhow::Result<&'n str> {
    match helm::release::check_name(name) {
        Ok(()) => Ok(name),
        Err(_) => Err(anyhow::anyhow!("{words}: {name}")),
    }
}

/// A stored revision of a release (0: the newest).
async fn stored(connection: &Connection, name: &str, revision: u64) -> anyhow::Result<Release> {
    let name = checked_name(name, "releaseContent: Release name is invalid")?;
    let storage = connection.storage(name);
    let found = match revision {
        0 => storage.last().await?,
        revision => storage.get(revision).await?,
    };
    found.ok_or_else(|| anyhow::anyhow!("release: not found"))
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    /// Verbs whose answer is the reason why they are not served; they take any flags.
    const REFUSED: [&str; 2] = ["plugin", "search hub"];

    fn find<'c>(root: &'c Command, path: &str) -> Option<&'c Command> {
        path.split_whitespace().try_fold(root, |command, word| command.find_subcommand(word))
    }

    fn lacking(root: &Command, path: &str, flags: &[String]) -> Vec<String> {
        // The shells are arguments here.
        let verb = if path.starts_with("completion") { "completion" } else { path };
        let Some(command) = find(root, verb) else { return vec![format!("no verb {verb:?}")] };
        let known: Vec<&clap::Arg> = root.get_arguments().chain(command.get_arguments()).collect();
        let there = |flag: &String| {
            let (short, long) = flag.split_once("--").unwrap_or(("", flag));
            let short = short.trim().chars().nth(1);
            long == "help"
                || known
                    .iter()
                    .any(|arg| arg.get_long() == Some(long) && (short.is_none() || arg.get_short() == short))
        };
        flags.iter().filter(|flag| !there(flag)).map(|flag| format!("{path}: {flag}")).collect()
    }

    #[test]
    fn every_verb_and_flag_of_helm_is_there() {
        let text = include_str!("../../testdata/helm-verbs/verbs.json");
        let verbs: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let mut root = super::env::Alone::command();
        root.build();
        let mut missing = Vec::new();
        for (path, facts) in verbs.as_object().expect("verbs") {
            if REFUSED.iter().any(|refused| path.starts_with(refused)) {
                assert!(find(&root, path.split(' ').next().unwrap_or(path)).is_some(), "{path}");
                continue;
            }
            let list = |field: &str| -> Vec<String> {
                serde_json::from_value(facts[field].clone()).expect("a list of texts")
            };
            missing.extend(lacking(&root, path, &list("flags")));
            let parent = path.rsplit_once(' ').map_or("", |(parent, _)| parent);
            for alias in list("aliases") {
                missing.extend(lacking(&root, format!("{parent} {alias}").trim(), &[]));
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
