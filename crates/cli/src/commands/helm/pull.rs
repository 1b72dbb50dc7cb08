//! `landfall helm pull`.

use super::flags::ChartFlags;
use super::locate;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// Arguments of `helm pull`.
#[derive(clap::Args)]
pub struct Args {
    /// The charts: repo/name, URLs, or names with --repo
    #[arg(required = true)]
    charts: Vec<String>,
    #[command(flatten)]
    flags: ChartFlags,
    /// Unpack the archive
    #[arg(long)]
    untar: bool,
    /// Where to unpack it, below --destination
    #[arg(long, default_value = ".", value_name = "DIR")]
    untardir: String,
    /// Where to put it
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    destination: String,
}

/// Fetches.
pub fn run(args: &Args) -> anyhow::Result<()> {
    for chart in &args.charts {
        let fetched = super::wait_for(locate::fetch(chart, &args.flags))?;
        super::print(&fetched.said)?;
        let folder = Path::new(&args.destination);
        if !args.untar {
            let file = folder.join(&fetched.file);
            std::fs::write(&file, &fetched.archive)
                .map_err(|error| locate::go_error("open", &file.display().to_string(), &error))?;
            continue;
        }
        unpack(chart, &fetched.archive, &args.untardir, folder)?;
    }
    Ok(())
}

fn unpack(chart: &str, archive: &[u8], inner: &str, destination: &Path) -> anyhow::Result<()> {
    let folder = match Path::new(inner).is_absolute() {
        true => PathBuf::from(inner),
        false => destination.join(inner),
    };
    let named = folder.join(chart.rsplit('/').next().unwrap_or(chart));
    if named.exists() {
        let shown = named.strip_prefix("./").unwrap_or(&named);
        bail!("failed to untar: a file or directory with the name {} already exists", shown.display());
    }
    let loaded = helm::Chart::load_archive(archive)?;
    let root = folder.join(loaded.chart.name());
    let limits = Default::default();
    for file in helm::chart::read_archive(archive, limits)? {
        let path = root.join(&file.name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).context("failed to untar (mkdir)")?;
        }
        std::fs::write(&path, &file.data).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
