//! `landfall helm env`, `version`, `completion` and `plugin`: what concerns the tool itself.

use super::{Cluster, Settings, settings};
use anyhow::{Context as _, bail};
use clap::CommandFactory as _;
use gotemplate::{Templates, Value};
use serde_json::json;
use std::collections::BTreeMap;

/// Which variable.
#[derive(clap::Args)]
pub struct EnvArgs {
    /// Print only this one
    name: Option<String>,
}

/// Prints the settings as variables.
pub fn env(args: &EnvArgs, all: &Settings) -> anyhow::Result<()> {
    let variables = variables(all)?;
    if let Some(name) = &args.name {
        return super::print(&format!("{}\n", variables.get(name.as_str()).map_or("", String::as_str)));
    }
    let lines: String = variables.iter().map(|(name, value)| format!("{name}=\"{value}\"\n")).collect();
    super::print(&lines)
}

fn variables(all: &Settings) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let shown = |path: std::path::PathBuf| path.display().to_string();
    let set = |name: &str, default: &str| {
        std::env::var(name).ok().filter(|v| !v.is_empty()).unwrap_or(default.into())
    };
    let Cluster { kube_apiserver, kube_token, kube_as_user, kube_as_group, .. } = &all.cluster;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut found = BTreeMap::from([
        ("HELM_BIN", std::env::args().next().unwrap_or_default()),
        ("HELM_CACHE_HOME", shown(settings::cache_home()?)),
        ("HELM_CONFIG_HOME", shown(settings::config()?)),
        ("HELM_DATA_HOME", shown(settings::data_home()?)),
        ("HELM_DEBUG", all.debug.to_string()),
        ("HELM_PLUGINS", set("HELM_PLUGINS", &shown(settings::data_home()?.join("plugins")))),
        ("HELM_REGISTRY_CONFIG", shown(settings::registry_config()?)),
        ("HELM_REPOSITORY_CACHE", shown(settings::cache()?)),
        ("HELM_REPOSITORY_CONFIG", shown(settings::repositories()?)),
        ("HELM_NAMESPACE", all.namespace_or_default()),
        ("HELM_MAX_HISTORY", set("HELM_MAX_HISTORY", "10")),
        ("HELM_BURST_LIMIT", all.cluster.burst_limit.to_string()),
        ("HELM_QPS", format!("{:.2}", all.cluster.qps)),
        ("HELM_KUBECONTEXT", text(&all.target.context)),
        ("HELM_KUBETOKEN", text(kube_token)),
        ("HELM_KUBEASUSER", text(kube_as_user)),
        ("HELM_KUBEASGROUPS", kube_as_group.join(",")),
        ("HELM_KUBEAPISERVER", text(kube_apiserver)),
        ("HELM_KUBECAFILE", all.cluster.kube_ca_file.clone().map(shown).unwrap_or_default()),
        ("HELM_KUBEINSECURE_SKIP_TLS_VERIFY", all.cluster.kube_insecure_skip_tls_verify.to_string()),
        ("HELM_KUBETLS_SERVER_NAME", text(&all.cluster.kube_tls_server_name)),
    ]);
    let kubeconfig = all.target.kubeconfig.clone().map(shown).unwrap_or_else(|| set("KUBECONFIG", ""));
    if !kubeconfig.is_empty() {
        found.insert("KUBECONFIG", kubeconfig);
    }
    Ok(found)
}

/// How the version is printed.
#[derive(clap::Args)]
pub struct VersionArgs {
    /// Only the number
    #[arg(long)]
    short: bool,
    /// A template for the output
    #[arg(long, default_value = "", value_name = "TEMPLATE")]
    template: String,
    /// Accepted for scripts written for helm 2
    #[arg(short, long, hide = true)]
    client: bool,
}

/// The version of Helm that the behaviour is of.
const VERSION: &str = "v3.22.0";

/// Prints the version of Helm whose behaviour this is; the last field names the tool itself.
pub fn version(args: &VersionArgs) -> anyhow::Result<()> {
    let own = concat!("landfall-", env!("CARGO_PKG_VERSION"));
    let text = match (args.template.as_str(), args.short) {
        ("", true) => format!("{VERSION}\n"),
        ("", false) => format!(
            "version.BuildInfo{{Version:\"{VERSION}\", GitCommit:\"\", GitTreeState:\"\", GoVersion:\"{own}\"}}\n"
        ),
        (template, _) => {
            let data = json!({"Version": VERSION, "GitCommit": "", "GitTreeState": "", "GoVersion": own});
            let mut templates = Templates::new(Default::default());
            templates.parse("_", template)?;
            let host = gotemplate::FixedHost::new(jiff::Timestamp::now().as_second(), 0);
            templates.execute("_", &Value::from_json(&data), &mut gotemplate::Env::new(&host))?
        }
    };
    super::print(&text)
}

/// The shell.
#[derive(clap::Args)]
pub struct CompletionArgs {
    shell: clap_complete::Shell,
    /// Accepted for scripts written for helm: the scripts have no descriptions to leave out
    #[arg(long)]
    no_descriptions: bool,
}

/// A command named `helm`, for its completion.
#[derive(clap::Parser)]
#[command(name = "helm")]
pub struct Alone {
    #[command(flatten)]
    args: super::HelmArgs,
}

/// Prints the script for `helm` as an alias of `landfall helm`.
pub fn completion(args: &CompletionArgs) -> anyhow::Result<()> {
    crate::commands::later::all_at_once();
    clap_complete::generate(args.shell, &mut Alone::command(), "helm", &mut std::io::stdout());
    Ok(())
}

/// Whatever was asked of plugins.
#[derive(clap::Args)]
pub struct PluginArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

/// Says why there are none.
pub fn plugin(args: &PluginArgs) -> anyhow::Result<()> {
    bail!(
        "plugin {}: not served: plugins are programs that expect the real helm around them; run them with it (both \
         tools share repositories, logins and releases)",
        args.rest.join(" ")
    )
}

/// The new chart.
#[derive(clap::Args)]
pub struct CreateArgs {
    /// The chart's folder; its last part is the chart's name
    name: String,
    /// A chart to copy instead of the built-in one: a path, or a name below the starters of the data folder
    #[arg(short = 'p', long, default_value = "", value_name = "CHART")]
    starter: String,
}

/// The files of the built-in starter; `<CHARTNAME>` stands for the name.
const STARTER: [(&str, &str); 8] = [
    ("Chart.yaml", include_str!("starter/Chart.yaml")),
    ("values.yaml", include_str!("starter/values.yaml")),
    (".helmignore", ".git/\n*.bak\n*.swp\n*.tmp\n*~\n"),
    ("templates/_helpers.tpl", include_str!("starter/_helpers.tpl")),
    ("templates/deployment.yaml", include_str!("starter/deployment.yaml")),
    ("templates/service.yaml", include_str!("starter/service.yaml")),
    ("templates/NOTES.txt", include_str!("starter/NOTES.txt")),
    ("templates/tests/connection.yaml", include_str!("starter/connection.yaml")),
];

/// Makes a chart's folder.
pub fn create(args: &CreateArgs) -> anyhow::Result<()> {
    super::print(&format!("Creating {}\n", args.name))?;
    let name = args.name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(legal) || name.len() > 250 {
        bail!("chart name must match the regular expression \"^[a-zA-Z0-9._-]+$\"");
    }
    let files: BTreeMap<String, Vec<u8>> = match args.starter.as_str() {
        "" => STARTER.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect(),
        starter => {
            let own = settings::data_home()?.join("starters").join(starter);
            let folder = if std::path::Path::new(starter).is_absolute() { starter.into() } else { own };
            let shown = folder.display().to_string();
            super::locate::folder(&folder).with_context(|| format!("could not load {shown}"))?
        }
    };
    let root = std::path::Path::new(&args.name);
    for (path, bytes) in files {
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => text.replace("<CHARTNAME>", name).into_bytes(),
            Err(binary) => binary.into_bytes(),
        };
        let file = root.join(&path);
        if file.exists() {
            eprintln!("WARNING: File {:?} already exists. Overwriting.", file.display().to_string());
        }
        std::fs::create_dir_all(file.parent().unwrap_or(root))?;
        std::fs::write(&file, bytes)
            .map_err(|error| super::locate::go_error("open", &file.display().to_string(), &error))?;
    }
    Ok(std::fs::create_dir_all(root.join("charts"))?)
}
