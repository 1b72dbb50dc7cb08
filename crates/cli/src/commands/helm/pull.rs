//! `landfall helm pull`.

use super::flags::ChartFlags;
use super::{fetch, locate, verify};
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
    /// Fetch the provenance file too, without looking into it
    #[arg(long)]
    prov: bool,
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
    args.charts.iter().try_for_each(|chart| one(chart, args))
}

fn one(chart: &str, args: &Args) -> anyhow::Result<()> {
    let wanted = args.prov || args.flags.verify;
    let fetched = super::wait_for(fetch::fetch(chart, &args.flags, wanted))?;
    eprint!("{}", fetched.said);
    let folder = Path::new(&args.destination);
    if !args.untar {
        put(&folder.join(&fetched.file), &fetched.archive)?;
        if let Some(Ok(provenance)) = &fetched.provenance {
            put(&folder.join(format!("{}.prov", fetched.file)), provenance)?;
        }
    }
    if args.flags.verify {
        let verified = fetched.verified(&args.flags.keyring)?;
        super::print(&verify::report(&verified, &fetched.archive))?;
    } else if let Some(Err(error)) = &fetched.provenance {
        super::print(&format!("WARNING: Verification not found for {chart}: {error:#}\n"))?;
    }
    match args.untar {
        true => unpack(chart, &fetched.archive, &args.untardir, folder),
        false => Ok(()),
    }
}

fn put(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(file, bytes).map_err(|error| locate::go_error("open", &file.display().to_string(), &error))
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
