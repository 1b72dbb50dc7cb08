//! `landfall kustomize build`.

use super::world::DiskWorld;
use anyhow::{Context, bail};
use kustomize::{LoadRestrictions, Options, Reorder};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder with a kustomization, or the address of one; the present folder when left out
    #[arg(value_name = "DIR")]
    dirs: Vec<String>,
    /// Write to this file, or one file per object into this folder
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// `LoadRestrictionsNone` lets kustomizations read files outside their folders
    #[arg(long, default_value = "LoadRestrictionsRootOnly", value_name = "RULE")]
    load_restrictor: String,
    /// The order of the output: `legacy` or `none`
    #[arg(long, value_name = "ORDER")]
    reorder: Option<String>,
    /// Inflate helmCharts
    #[arg(long)]
    enable_helm: bool,
    /// Accepted for scripts: our own Helm is used
    #[arg(long, default_value = "helm", value_name = "COMMAND")]
    helm_command: String,
    /// API versions that charts see besides the usual ones
    #[arg(long, value_name = "VERSION")]
    helm_api_versions: Vec<String>,
    /// The Kubernetes version that charts see
    #[arg(long, default_value = "", value_name = "VERSION")]
    helm_kube_version: String,
    /// Accepted for scripts: faults of charts are always told in full
    #[arg(long)]
    helm_debug: bool,
    /// Allow plugins that are not built in
    #[arg(long)]
    enable_alpha_plugins: bool,
    /// Allow functions that are programs on this machine
    #[arg(long)]
    enable_exec: bool,
    /// Label everything with app.kubernetes.io/managed-by
    #[arg(long)]
    enable_managedby_label: bool,
    /// Environment of functions: NAME=VALUE, or NAME for the present value
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Run functions as the present user, which they always are here
    #[arg(long)]
    as_current_user: bool,
    /// Accepted for scripts: there are no containers here
    #[arg(long)]
    network: bool,
    /// Accepted for scripts: there are no containers here
    #[arg(long, default_value = "bridge", value_name = "NAME")]
    network_name: String,
    /// Accepted for scripts: there are no containers here
    #[arg(long, value_name = "MOUNT")]
    mount: Vec<String>,
    /// Serve a remote source from a local folder, archive or mirror
    #[arg(long, value_name = "URL=PATH")]
    map: Vec<String>,
}

impl Args {
    /// Those of a call that only names the folder.
    pub fn of_folder(dir: Option<&str>) -> Args {
        Args {
            dirs: dir.map(str::to_owned).into_iter().collect(),
            output: None,
            load_restrictor: "LoadRestrictionsRootOnly".to_owned(),
            reorder: None,
            enable_helm: false,
            helm_command: "helm".to_owned(),
            helm_api_versions: Vec::new(),
            helm_kube_version: String::new(),
            helm_debug: false,
            enable_alpha_plugins: false,
            enable_exec: false,
            enable_managedby_label: false,
            env: Vec::new(),
            as_current_user: false,
            network: false,
            network_name: "bridge".to_owned(),
            mount: Vec::new(),
            map: Vec::new(),
        }
    }

    fn options(&self) -> anyhow::Result<Options> {
        let load_restrictions = match self.load_restrictor.as_str() {
            "LoadRestrictionsNone" | "none" => LoadRestrictions::None,
            "LoadRestrictionsRootOnly" | "" => LoadRestrictions::RootOnly,
            other => bail!(
                "illegal flag value --load-restrictor {other}; legal values: [LoadRestrictionsRootOnly LoadRestrictionsNone]"
            ),
        };
        let reorder = match self.reorder.as_deref() {
            None => Reorder::Unspecified,
            Some("legacy") => Reorder::Legacy,
            Some("none") => Reorder::None,
            Some(other) => bail!("illegal flag value --reorder {other}; legal values: [legacy none]"),
        };
        let helm = self.enable_helm || self.enable_alpha_plugins;
        Ok(Options {
            load_restrictions,
            reorder,
            enable_helm: helm,
            enable_plugins: self.enable_alpha_plugins,
            enable_exec: self.enable_exec,
            managed_by_label: self.enable_managedby_label,
            helm_kube_version: self.helm_kube_version.clone(),
            helm_api_versions: self.helm_api_versions.clone(),
            // Only charts see the time and random values.
            helm_time: if helm { jiff::Timestamp::now().as_second() } else { 0 },
            helm_seed: if helm { crate::commands::helm::world::seed() } else { [0; 32] },
        })
    }
}

/// Builds and prints.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let target = match args.dirs.as_slice() {
        [] => ".",
        [dir] => dir.as_str(),
        _ => bail!("specify one path to kustomization.yaml"),
    };
    let options = args.options()?;
    if args.reorder.is_some() {
        eprintln!(
            "Flag --reorder has been deprecated, use the new 'sortOptions' field in kustomization.yaml instead."
        );
    }
    if args.enable_managedby_label {
        eprintln!(
            "Flag --enable-managedby-label has been deprecated, The flag `enable-managedby-label` has been deprecated. Use the `managedByLabel` option in the `buildMetadata` field instead."
        );
    }
    let world = DiskWorld::new(&args.map, args.env.clone())?;
    let dir = if kustomize::RepoSpec::parse(target).is_some() {
        target.to_owned()
    } else {
        super::absolute(target)?
    };
    let mut warnings = Vec::new();
    let built = kustomize::build_noting(&world, &dir, &options, &mut warnings);
    for warning in warnings {
        eprintln!("{warning}");
    }
    let built = built.map_err(|error| super::told(&error))?;
    match &args.output {
        Some(path) if path.is_dir() => write_each(path, &built.to_values()),
        Some(path) => std::fs::write(path, built.to_yaml()).with_context(|| path.display().to_string()),
        None => print(built),
    }
}

/// Writes in pieces of some size: a build of thousands of objects is not needed as one text.
fn print(built: kustomize::Built) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut waiting = String::new();
    for piece in built.into_yaml_pieces() {
        waiting += &piece;
        if waiting.len() > 8 << 10 {
            out.write_all(waiting.as_bytes())?;
            waiting.clear();
        }
    }
    out.write_all(waiting.as_bytes())?;
    Ok(out.flush()?)
}

/// One file per object; the namespace leads the name where there are several.
fn write_each(dir: &Path, objects: &[Value]) -> anyhow::Result<()> {
    let text = |object: &Value, pointer: &str| {
        object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_lowercase()
    };
    let namespace =
        |object: &Value| match (text(object, "/metadata/namespace"), kustomize::is_cluster_scoped(object)) {
            (_, true) => None,
            (name, false) if name.is_empty() => Some("default".to_owned()),
            (name, false) => Some(name),
        };
    let namespaces: BTreeSet<String> = objects.iter().filter_map(namespace).collect();
    for object in objects {
        let api_version = text(object, "/apiVersion");
        let parts = [api_version.replace('/', "_"), text(object, "/kind")];
        let kind = parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("_");
        let mut name = format!("{kind}_{}.yaml", text(object, "/metadata/name"));
        if let (Some(namespace), true) = (namespace(object), namespaces.len() > 1) {
            name = format!("{namespace}_{name}");
        }
        let path = dir.join(name);
        std::fs::write(&path, yaml::to_string(object)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Args;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Whole {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_short_way_means_what_the_long_one_means() {
        for dir in [None, Some("a/b")] {
            let whole = Whole::parse_from(std::iter::once("build").chain(dir));
            assert_eq!(format!("{:?}", whole.args), format!("{:?}", Args::of_folder(dir)));
        }
    }
}
