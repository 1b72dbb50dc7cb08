//! `landfall helm package`.

use super::flags::Access;
use super::locate;
use super::verify::SignFlags;
use anyhow::{Context, anyhow, bail};
use helm::Chart;
use std::path::{Path, PathBuf};

/// Arguments of `helm package`.
#[derive(clap::Args)]
pub struct Args {
    /// The charts' folders
    charts: Vec<String>,
    /// Set the chart's version
    #[arg(long)]
    version: Option<String>,
    /// Set the version of what it installs
    #[arg(long)]
    app_version: Option<String>,
    /// Where the archives go
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    destination: String,
    /// Fetch the dependencies first
    #[arg(short = 'u', long)]
    dependency_update: bool,
    #[command(flatten)]
    sign: SignFlags,
    #[command(flatten)]
    access: Access,
}

/// Packs every chart.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if args.charts.is_empty() {
        bail!("need at least one argument, the path to the chart");
    }
    args.sign.check()?;
    for path in &args.charts {
        std::fs::metadata(path).map_err(|error| locate::go_error("stat", path, &error))?;
        if args.dependency_update {
            let how = super::dependency::How { access: args.access.clone(), ..Default::default() };
            super::dependency::update(path, &how, &mut std::io::sink())?;
        }
        let mut chart = Chart::from_files(locate::folder(Path::new(path))?)?;
        if let Some(version) = &args.version {
            chart.metadata.version.clone_from(version);
        }
        helm::version::Version::parse(&chart.metadata.version).map_err(|error| anyhow!(error))?;
        if let Some(version) = &args.app_version {
            chart.metadata.app_version.clone_from(version);
        }
        helm::check_present(&chart).map_err(|error| anyhow!(unwrapped(&error.message)))?;
        let folder = match args.destination.as_str() {
            "." => std::env::current_dir()?,
            other => PathBuf::from(other),
        };
        let file = save(&chart, &folder).context("failed to save")?;
        if args.sign.sign {
            args.sign.sign(&file)?;
        }
        super::print(&format!("Successfully packaged chart and saved it to: {}\n", file.display()))?;
    }
    Ok(())
}

/// Packing says what is missing without the hint that rendering adds.
fn unwrapped(message: &str) -> String {
    message.split_once(": found in").map_or(message.to_owned(), |(_, rest)| format!("found in{rest}"))
}

/// Writes the packed chart into a folder.
pub fn save(chart: &Chart, folder: &Path) -> anyhow::Result<PathBuf> {
    let now = jiff::Timestamp::now().as_second();
    let (name, bytes) = chart.package(u64::try_from(now).unwrap_or_default())?;
    std::fs::create_dir_all(folder)?;
    let file = folder.join(name);
    std::fs::write(&file, bytes)
        .map_err(|error| locate::go_error("open", &file.display().to_string(), &error))?;
    Ok(file)
}
