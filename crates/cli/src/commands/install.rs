//! `landfall install`: the manifests that put the engine on a cluster, from the chart that is part of the program.

use anyhow::Context as _;
use helm::{Chart, NoCluster, RenderOptions, TemplateOptions, Values};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// The chart's files.
const CHART: &[(&str, &str)] = &[
    ("Chart.yaml", include_str!("../../chart/Chart.yaml")),
    ("values.yaml", include_str!("../../chart/values.yaml")),
    ("templates/_helpers.tpl", include_str!("../../chart/templates/_helpers.tpl")),
    ("templates/rbac.yaml", include_str!("../../chart/templates/rbac.yaml")),
    ("templates/deployment.yaml", include_str!("../../chart/templates/deployment.yaml")),
];

/// Print the manifests that install the engine: landfall install | kubectl apply -f -
///
/// Without --cluster-admin the engine may read everything, write its own kinds and act as service accounts; what a
/// Kustomization or HelmRelease applies, it then applies as the service account that it names.
#[derive(clap::Args)]
pub struct Args {
    /// The namespace to install into
    #[arg(short, long, default_value = "landfall-system")]
    namespace: String,
    /// The image that holds the program, for example registry.example.com/landfall:0.1.0
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// How many processes; one leads, the others wait
    #[arg(long, value_name = "N")]
    replicas: Option<u32>,
    /// Reconcile only what bears the label sharding.fluxcd.io/key=KEY
    #[arg(long, value_name = "KEY")]
    shard: Option<String>,
    /// Kustomizations and HelmReleases without a service account use this one
    #[arg(long, value_name = "NAME")]
    default_service_account: Option<String>,
    /// Let the engine apply with the rights of cluster-admin, as Flux's installation does
    #[arg(long)]
    cluster_admin: bool,
    /// Set a value of the chart (KEY=VALUE, repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print the definitions of Flux's kinds too, for clusters that do not have them
    #[arg(long)]
    crds: bool,
    /// Write the Helm chart into this folder instead of printing manifests
    #[arg(long, value_name = "DIR", conflicts_with_all = ["crds", "set"])]
    chart: Option<PathBuf>,
}

/// Prints them.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &args.chart {
        return write_chart(folder);
    }
    let files = CHART.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
    let chart = Chart::from_files(files.collect::<BTreeMap<_, _>>())?;
    let mut given = json!({});
    if let Some(image) = &args.image {
        // A port of the registry is no tag.
        let (name, tag) = match image.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (image.as_str(), ""),
        };
        given["image"] = json!({"repository": name, "tag": tag});
    }
    if let Some(replicas) = args.replicas {
        given["replicas"] = json!(replicas);
    }
    if let Some(shard) = &args.shard {
        given["shard"] = json!(shard);
    }
    if let Some(name) = &args.default_service_account {
        given["defaultServiceAccount"] = json!(name);
    }
    if args.cluster_admin {
        given["rbac"] = json!({"clusterAdmin": true});
    }
    let mut given = Values::from_json(given)?;
    for text in &args.set {
        given.set(text).map_err(|error| crate::errors::usage(format!("--set {text}: {error}")))?;
    }
    let options = RenderOptions {
        release_name: "landfall".into(),
        namespace: args.namespace.clone(),
        ..RenderOptions::default()
    };
    let rendered =
        helm::render(&chart, &given, &options, &NoCluster::new(jiff::Timestamp::UNIX_EPOCH, [0; 32]))?;
    let mut out = std::io::stdout().lock();
    if args.crds {
        for crd in schema::crds::flux() {
            writeln!(out, "---\n{}", yaml::to_string(&crd).trim_end())?;
        }
    }
    writeln!(out, "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {}", args.namespace)?;
    for piece in rendered.template_pieces(&TemplateOptions::default())? {
        out.write_all(piece.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write_chart(folder: &std::path::Path) -> anyhow::Result<ExitCode> {
    for (path, text) in CHART {
        let file = folder.join("landfall").join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        std::fs::write(&file, text).with_context(|| file.display().to_string())?;
    }
    println!("{}", folder.join("landfall").display());
    Ok(ExitCode::SUCCESS)
}
