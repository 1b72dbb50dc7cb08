//! `landfall helm dependency`: what a chart depends on, and bringing it into `charts/`.

use super::flags::{Access, ChartFlags};
use super::{locate, package, table};
use anyhow::{Context, anyhow, bail};
use helm::chart::Lock;
use helm::version::{Constraint, Version};
use helm::{Chart, Dependency};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What is done with the dependencies.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List them
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Bring the locked versions into charts/
    Build(Args),
    /// Choose versions, bring them into charts/ and write the lock file
    #[command(visible_alias = "up")]
    Update(Args),
}

/// The chart.
#[derive(clap::Args)]
pub struct ListArgs {
    /// The chart's folder
    #[arg(default_value = ".")]
    chart: String,
    /// The widest that a column may get
    #[arg(long, default_value_t = 80)]
    max_col_width: usize,
}

/// The chart.
#[derive(clap::Args)]
pub struct Args {
    /// The chart's folder
    #[arg(default_value = ".")]
    chart: String,
    /// Accepted for scripts written for helm: repositories have no local cache here
    #[arg(long)]
    skip_refresh: bool,
    /// Check what is fetched with its provenance file
    #[arg(long)]
    verify: bool,
    /// The public keys for that
    #[arg(long, default_value_t = super::settings::keyring(), value_name = "FILE")]
    keyring: String,
    #[command(flatten)]
    access: Access,
}

/// How strictly what is fetched is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Not at all.
    #[default]
    Never,
    /// Where there is a provenance file.
    IfPossible,
    /// Always.
    Always,
}

/// How dependencies are fetched.
#[derive(Clone, Default)]
pub struct How {
    /// Who one is.
    pub access: Access,
    /// With provenance files?
    pub check: Check,
    /// The keys for that.
    pub keyring: String,
}

impl Args {
    fn how(&self, check: Check) -> How {
        let check = if self.verify { check } else { Check::Never };
        How { access: self.access.clone(), check, keyring: self.keyring.clone() }
    }
}

/// Runs the verb.
pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::List(args) => list(&args.chart, args.max_col_width),
        Command::Build(args) => build(&args.chart, &args.how(Check::IfPossible), &mut std::io::stdout()),
        Command::Update(args) => update(&args.chart, &args.how(Check::Always), &mut std::io::stdout()),
    }
}

fn list(path: &str, widest: usize) -> anyhow::Result<()> {
    let chart = locate::chart(path)?;
    let below = Path::new(path).join("charts");
    if chart.metadata.dependencies.is_empty() {
        return super::print(&format!("WARNING: no dependencies at {}\n", below.display()));
    }
    let mut rows: Vec<Vec<String>> =
        vec![["NAME", "VERSION", "REPOSITORY", "STATUS"].map(str::to_owned).to_vec()];
    for wanted in &chart.metadata.dependencies {
        let status = status(&below, wanted, &chart).to_owned();
        rows.push(vec![wanted.name.clone(), wanted.version.clone(), wanted.repository.clone(), status]);
    }
    let mut text = format!("{}\n\n", table::table(&rows, widest));
    for file in sorted(&below) {
        if !file.is_dir() && file.extension().is_none_or(|extension| extension != "tgz") {
            continue;
        }
        let shown = file.display().to_string();
        match locate::load(&shown) {
            Err(_) => text.push_str(&format!("WARNING: {shown:?} is not a chart.\n")),
            Ok(loaded) if !chart.metadata.dependencies.iter().any(|d| d.name == loaded.chart.name()) => {
                text.push_str(&format!("WARNING: {shown:?} is not in Chart.yaml.\n"));
            }
            Ok(_) => {}
        }
    }
    super::print(&text)
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// Helm's word for how a dependency stands.
fn status(below: &Path, wanted: &Dependency, chart: &Chart) -> &'static str {
    let prefix = format!("{}-", wanted.name);
    let mut archives: Vec<(PathBuf, String)> = Vec::new();
    for file in sorted(below) {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(version) = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".tgz")) {
            archives.push((file.clone(), version.to_owned()));
        }
    }
    if archives.len() > 1 {
        archives.retain(|(_, version)| Version::parse_strict(version).is_ok());
        if archives.len() > 1 {
            return "too many matches";
        }
    }
    if let Some((archive, _)) = archives.first() {
        return match locate::load(&archive.display().to_string()) {
            Err(_) => "corrupt",
            Ok(loaded) if loaded.chart.name() != wanted.name => "misnamed",
            Ok(loaded) => fits(&loaded.chart.metadata.version, &wanted.version).unwrap_or("ok"),
        };
    }
    match chart.dependencies.iter().rfind(|child| child.name() == wanted.name) {
        None => "missing",
        Some(child) => fits(&child.metadata.version, &wanted.version).unwrap_or("unpacked"),
    }
}

/// What is wrong with a version, if anything.
fn fits(version: &str, wanted: &str) -> Option<&'static str> {
    if version == wanted {
        return None;
    }
    match (Constraint::parse(wanted), Version::parse(version)) {
        (Ok(constraint), Ok(version)) => (!constraint.check(&version)).then_some("wrong version"),
        _ => Some("invalid version"),
    }
}

fn load(path: &str) -> anyhow::Result<Chart> {
    let found = std::fs::metadata(path).map_err(|error| locate::go_error("stat", path, &error));
    let found = found.with_context(|| format!("could not find {path}"))?;
    if !found.is_dir() {
        bail!("only unpacked charts can be updated");
    }
    Ok(Chart::from_files(locate::folder(Path::new(path))?)?)
}

/// Brings what the lock file names into `charts/`; without one, updates.
fn build(path: &str, how: &How, out: &mut dyn Write) -> anyhow::Result<()> {
    let chart = load(path)?;
    let Some(lock) = &chart.lock else { return update(path, how, out) };
    let declared = resolved(&chart.metadata.dependencies)?;
    let digest = Lock::digest_of(&declared, &lock.dependencies)?;
    if digest != lock.digest {
        let (lock_file, file) = match chart.metadata.api_version.as_str() {
            "v1" => ("requirements.lock", "requirements.yaml"),
            _ => ("Chart.lock", "Chart.yaml"),
        };
        bail!(
            "the lock file ({lock_file}) is out of sync with the dependencies file ({file}). Please update the dependencies"
        );
    }
    fetch(path, &resolved(&lock.dependencies)?, how, out)?;
    Ok(())
}

/// Chooses versions, brings them into `charts/` and writes the lock file when it changed.
pub fn update(path: &str, how: &How, out: &mut dyn Write) -> anyhow::Result<()> {
    let chart = load(path)?;
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    let declared = resolved(&chart.metadata.dependencies)?;
    let chosen = choose(path, &declared, how)?;
    let locked = fetch(path, &chosen, how, out)?;
    let digest = Lock::digest_of(&declared, &locked)?;
    if chart.lock.as_ref().is_some_and(|old| old.digest == digest) {
        return Ok(());
    }
    let name = if chart.metadata.api_version == "v1" { "requirements.lock" } else { "Chart.lock" };
    let file = Path::new(path).join(name);
    if file.is_symlink() {
        let link = std::fs::read_link(&file)?;
        bail!("the {name} file is a symlink to {:?}", link.display().to_string());
    }
    let lock = Lock { generated: jiff::Timestamp::now().to_string(), digest, dependencies: locked };
    std::fs::write(&file, lock.to_yaml())?;
    Ok(())
}

/// The dependencies with addresses instead of the names that `helm repo add` gave to repositories.
fn resolved(declared: &[Dependency]) -> anyhow::Result<Vec<Dependency>> {
    let mut all = declared.to_vec();
    let mut missing = Vec::new();
    for one in &mut all {
        let repository = one.repository.as_str();
        let known = repository.strip_prefix('@').or_else(|| repository.strip_prefix("alias:"));
        match known {
            Some(name) => match super::repo::url_of(name)? {
                Some(url) => one.repository = url,
                None => missing.push(repository.to_owned()),
            },
            None if repository.is_empty() || repository.contains("://") || repository.starts_with('/') => {}
            None => missing.push(repository.to_owned()),
        }
    }
    if missing.is_empty() {
        return Ok(all);
    }
    let mut message =
        format!("no repository definition for {}. Please add them via 'helm repo add'", missing.join(", "));
    if missing.iter().any(|name| !name.starts_with('@') && !name.starts_with("alias:")) {
        message.push_str("\nA repository is an address (https://charts.example.com) or the name of one that was added (@example)");
    }
    bail!(message)
}

fn choose(path: &str, declared: &[Dependency], how: &How) -> anyhow::Result<Vec<Dependency>> {
    let mut chosen = Vec::new();
    let mut missing = Vec::new();
    for wanted in declared {
        let constraint = Constraint::parse(&wanted.version).map_err(|error| {
            anyhow!("dependency {:?} has an invalid version/constraint format: {error}", wanted.name)
        })?;
        let mut locked = Dependency {
            name: wanted.name.clone(),
            repository: wanted.repository.clone(),
            version: wanted.version.clone(),
            ..Dependency::default()
        };
        if wanted.repository.is_empty() {
            local(path, &format!("charts/{}", wanted.name))?;
        } else if is_remote(&wanted.repository) {
            let chart = download(wanted, &How { check: Check::Never, ..how.clone() })?.chart;
            locked.version.clone_from(&chart.metadata.version);
        } else if wanted.repository.starts_with("file://") {
            let child = Chart::from_files(locate::folder(&local(path, &wanted.repository)?)?)?;
            locked.version.clone_from(&child.metadata.version);
            if !Version::parse(&locked.version).is_ok_and(|version| constraint.check(&version)) {
                let (repository, version) = (&wanted.repository, &wanted.version);
                missing.push(format!("{:?} (repository {repository:?}, version {version:?})", wanted.name));
            }
        }
        chosen.push(locked);
    }
    if !missing.is_empty() {
        bail!(
            "can't get a valid version for {} subchart(s): {}. Make sure a matching chart version exists in the repo, or change the version constraint in Chart.yaml",
            missing.len(),
            missing.join(", ")
        );
    }
    Ok(chosen)
}

fn is_remote(repository: &str) -> bool {
    ["http://", "https://", "oci://"].iter().any(|start| repository.starts_with(start))
}

/// A chart from a repository.
struct Download {
    chart: Chart,
    archive: Vec<u8>,
    /// What is said when it could not be checked.
    warning: String,
}

fn download(wanted: &Dependency, how: &How) -> anyhow::Result<Download> {
    let (repository, name) = (&wanted.repository, &wanted.name);
    let mut flags = ChartFlags {
        version: Some(wanted.version.clone()),
        access: how.access.clone(),
        ..ChartFlags::default()
    };
    let reference = match super::repo::name_of(repository)? {
        _ if repository.starts_with("oci://") => format!("{}/{name}", repository.trim_end_matches('/')),
        // An added repository may have a login.
        Some(known) => format!("{known}/{name}"),
        None => {
            flags.repo = Some(repository.clone());
            name.clone()
        }
    };
    let fetched = super::wait_for(super::fetch::fetch(&reference, &flags, how.check != Check::Never))
        .with_context(|| format!("could not fetch {name} from {repository}"))?;
    eprint!("{}", if how.check == Check::Never { "" } else { &fetched.said });
    let warning = match (how.check, &fetched.provenance) {
        (Check::IfPossible, Some(Err(error))) => {
            format!("WARNING: Verification not found for {}: {error:#}\n", fetched.address)
        }
        (Check::Never, _) => String::new(),
        _ => {
            let address = &fetched.address;
            fetched.verified(&how.keyring).with_context(|| format!("could not download {address}"))?;
            String::new()
        }
    };
    let chart = Chart::load_archive(&fetched.archive)?.chart;
    Ok(Download { chart, archive: fetched.archive, warning })
}

/// The folder that a `file://` repository, or a path below the chart, names.
fn local(chart: &str, repository: &str) -> anyhow::Result<PathBuf> {
    let path = repository.strip_prefix("file://").unwrap_or(repository);
    let full = if path.starts_with('/') { PathBuf::from(path) } else { Path::new(chart).join(path) };
    if !full.exists() {
        bail!("directory {} not found", full.display());
    }
    Ok(full)
}

/// Brings the charts into `charts/` and takes older archives of theirs away. Returns them with the versions
/// that were found.
fn fetch(
    path: &str,
    wanted: &[Dependency],
    how: &How,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<Dependency>> {
    let below = Path::new(path).join("charts");
    if below.exists() && !below.is_dir() {
        bail!("{:?} is not a directory", below.display().to_string());
    }
    writeln!(out, "Saving {} charts", wanted.len())?;
    let mut found = Vec::new();
    let mut packed = Vec::new();
    for dependency in wanted {
        match bring(path, &below, dependency, how, out) {
            Ok((dependency, chart)) => {
                packed.extend(chart);
                found.push(dependency);
            }
            Err(error) => {
                writeln!(out, "Save error occurred:  {error:#}")?;
                return Err(error);
            }
        }
    }
    std::fs::create_dir_all(&below)?;
    writeln!(out, "Deleting outdated charts")?;
    let kept: Vec<String> = packed.iter().map(|packed| format!("{}.tgz", packed.chart.full_name())).collect();
    let is_local = |name: &str| wanted.iter().any(|d| d.repository.is_empty() && d.name == name);
    for file in sorted(&below).into_iter().filter(|file| file.is_file()) {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if kept.contains(&name) {
            continue;
        }
        let shown = file.display().to_string();
        match locate::load(&shown) {
            Err(error) => writeln!(out, "Could not verify {shown} for deletion: {error:#} (Skipping)")?,
            Ok(loaded) if is_local(loaded.chart.name()) => {}
            Ok(_) => std::fs::remove_file(&file)?,
        }
    }
    for Packed { chart, archive } in &packed {
        match archive {
            Some(archive) => std::fs::write(below.join(format!("{}.tgz", chart.full_name())), archive)?,
            None => {
                package::save(chart, &below)?;
            }
        }
    }
    Ok(found)
}

/// A chart for `charts/`, with its archive as it was fetched.
struct Packed {
    chart: Chart,
    archive: Option<Vec<u8>>,
}

fn bring(
    path: &str,
    below: &Path,
    wanted: &Dependency,
    how: &How,
    out: &mut dyn Write,
) -> anyhow::Result<(Dependency, Option<Packed>)> {
    let name = &wanted.name;
    if wanted.repository.is_empty() {
        writeln!(
            out,
            "Dependency {name} did not declare a repository. Assuming it exists in the charts directory"
        )?;
        let folder = below.join(name);
        let chart = locate::folder(&folder).and_then(|files| Ok(Chart::from_files(files)?));
        let chart =
            chart.map_err(|error| anyhow!("unable to load chart '{}': {error:#}", folder.display()))?;
        let version = &chart.metadata.version;
        if !helm::version::is_compatible(&wanted.version, version) {
            bail!(
                "dependency {name} at version {version} does not satisfy the constraint {}",
                wanted.version
            );
        }
        return Ok((wanted.clone(), None));
    }
    if is_remote(&wanted.repository) {
        writeln!(out, "Downloading {name} from repo {}", wanted.repository)?;
        let Download { chart, archive, warning } = download(wanted, how)?;
        out.write_all(warning.as_bytes())?;
        let found = Dependency { version: chart.metadata.version.clone(), ..wanted.clone() };
        return Ok((found, Some(Packed { chart, archive: Some(archive) })));
    }
    if !wanted.repository.starts_with("file://") {
        bail!("could not fetch {name} from {}: no such kind of repository", wanted.repository);
    }
    let chart = Chart::from_files(locate::folder(&local(path, &wanted.repository)?)?)?;
    if !helm::version::is_compatible(&wanted.version, &chart.metadata.version) {
        bail!("can't get a valid version for dependency {name}");
    }
    let found = Dependency { version: chart.metadata.version.clone(), ..wanted.clone() };
    Ok((found, Some(Packed { chart, archive: None })))
}
