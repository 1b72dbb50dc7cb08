//! `landfall helm lint`.

use super::flags::ValueFlags;
use super::{Settings, locate, world};
use anyhow::anyhow;
use helm::lint::{Findings, Input, Severity};
use helm::{Chart, KubeVersion};
use std::collections::BTreeMap;
use std::path::Path;

/// Arguments of `helm lint`.
#[derive(clap::Args)]
pub struct Args {
    /// The charts' folders or archives
    #[arg(default_value = ".")]
    paths: Vec<String>,
    #[command(flatten)]
    values: ValueFlags,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
    /// Look into the charts below charts/ too
    #[arg(long)]
    with_subcharts: bool,
    /// Print only warnings and errors
    #[arg(long)]
    quiet: bool,
    /// Let values through that break values.schema.json
    #[arg(long)]
    skip_schema_validation: bool,
    /// The Kubernetes version for capabilities and deprecations
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
}

/// Looks at every chart and prints what it finds.
pub fn run(args: &Args, settings: &Settings) -> anyhow::Result<()> {
    let kube_version = args.kube_version.as_deref().map(KubeVersion::parse).transpose()?;
    let mut paths = args.paths.clone();
    if args.with_subcharts {
        for path in &args.paths {
            // As Go joins paths: without a `.` in front.
            let below = Path::new(path).join("charts");
            inner_charts(below.strip_prefix(".").unwrap_or(&below), &mut paths);
        }
    }
    let values = args.values.read()?;
    let lowest = if args.strict { Severity::Warning } else { Severity::Error };
    let (mut failed, mut noted) = (0, 0);
    let mut text = String::new();
    for path in &paths {
        let result = one(path, &values, settings, kube_version.as_ref(), args.skip_schema_validation);
        let worst = result
            .as_ref()
            .map_or(true, |findings| findings.messages.iter().any(|m| m.severity > Severity::Info));
        result.iter().flat_map(|findings| &findings.notes).for_each(|note| eprintln!("{note}"));
        noted += usize::from(worst);
        if args.quiet && !worst {
            continue;
        }
        text.push_str(&format!("==> Linting {path}\n"));
        match result {
            Err(error) => {
                failed += 1;
                text.push_str(&format!("Error {error:#}\n"));
            }
            Ok(Findings { messages, .. }) => {
                failed += usize::from(messages.iter().any(|message| message.severity >= lowest));
                let shown = messages.iter().filter(|m| !args.quiet || m.severity > Severity::Info);
                text.extend(shown.map(|message| format!("{message}\n")));
            }
        }
        text.push('\n');
    }
    super::print(&text)?;
    let summary = format!("{} chart(s) linted, {failed} chart(s) failed", paths.len());
    if failed > 0 {
        return Err(anyhow!(summary));
    }
    if !args.quiet || noted > 0 {
        super::print(&format!("{summary}\n"))?;
    }
    Ok(())
}

fn one(
    path: &str,
    values: &helm::Values,
    settings: &Settings,
    kube_version: Option<&KubeVersion>,
    skip_schema_validation: bool,
) -> anyhow::Result<Findings> {
    let place = Path::new(path);
    let packed = path.ends_with(".tgz") || path.ends_with(".tar.gz");
    let (files, shown) = if packed {
        let bytes = std::fs::read(place).map_err(|error| locate::go_error("open", path, &error))?;
        (unpacked(&bytes).map_err(|error| anyhow!("unable to extract tarball: {error}"))?, path.to_owned())
    } else {
        let file = place.join("Chart.yaml");
        std::fs::metadata(&file).map_err(|error| {
            let error = locate::go_error("stat", &file.display().to_string(), &error);
            anyhow!("unable to check Chart.yaml file in chart: {error}")
        })?;
        let whole = std::path::absolute(place)?;
        (locate::folder(place)?, whole.display().to_string())
    };
    // Only files of Helm 2 are warned of, and Helm does it while it loads the chart.
    if (files.contains_key("requirements.yaml") || files.contains_key("requirements.lock"))
        && let Ok(loaded) = Chart::load_files(files.clone())
    {
        loaded.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    }
    let input = Input {
        files: &files,
        folder: &shown,
        values,
        namespace: &settings.namespace_or_default(),
        kube_version,
        skip_schema_validation,
    };
    Ok(helm::lint::lint(&input, &world::world()))
}

/// The files of a packed chart, which must have a name.
fn unpacked(bytes: &[u8]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    if bytes.is_empty() {
        return Err(anyhow!("EOF"));
    }
    let files = helm::chart::read_archive(bytes, Default::default())?;
    let files: BTreeMap<String, Vec<u8>> =
        files.into_iter().map(|file| (file.name, file.data.to_vec())).collect();
    let text = files.get("Chart.yaml").map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
    let named = yaml::from_str(&text).map_err(|error| anyhow!("cannot load Chart.yaml: {error}"))?;
    match object::get_str(&named, &["name"]) {
        None | Some("") => Err(anyhow!("chart name not specified")),
        Some(_) => Ok(files),
    }
}

/// Charts at any depth below a folder, packed or not.
fn inner_charts(folder: &Path, out: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() {
            inner_charts(&path, out);
        } else if name == "Chart.yaml" {
            out.extend(path.parent().map(|parent| parent.display().to_string()));
        } else if name.ends_with(".tgz") || name.ends_with(".tar.gz") {
            out.push(path.display().to_string());
        }
    }
}
