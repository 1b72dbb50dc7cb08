//! `landfall helm install`.

use super::act::{ActFlags, DryRun, Stage, check_release_name};
use super::connect::Connection;
use super::name::NameFlags;
use super::output::{self, View};
use super::{Settings, world};
use anyhow::{Context, anyhow, bail};
use helm::release::Status;
use helm::{Chart, Release, RenderOptions, Values};
use releases::{Crds, Fault, Prepared, Removal};

/// Arguments of `helm install`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: NameFlags,
    /// Use the name of an uninstalled or failed release again
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    flags: ActFlags,
}

/// Installs and prints the release.
pub fn run(args: &Args, settings: &Settings) -> anyhow::Result<()> {
    let release = installed(args, settings).context("INSTALLATION FAILED")?;
    print(&release, &args.flags, settings)
}

/// Prints a release as install and upgrade do.
pub fn print(release: &Release, flags: &ActFlags, settings: &Settings) -> anyhow::Result<()> {
    let view = View { debug: settings.debug, hide_notes: flags.hide_notes, ..View::default() };
    super::print(&output::release(release, flags.output, view, &Default::default())?)
}

fn installed(args: &Args, settings: &Settings) -> anyhow::Result<Release> {
    let (name, path) = args.name.read("install", &world::world(), |chart| unnamed(args, chart))?;
    let chart = args.flags.chart(&path)?;
    let values = args.flags.values.read()?;
    super::wait_for(async {
        let connection = settings.connect().await?;
        install(&connection, &args.flags, &name, &chart, &values, args.replace).await
    })
}

/// The name that `--generate-name` makes: the chart's, and the time.
fn unnamed(args: &Args, chart: &str) -> anyhow::Result<String> {
    if !args.name.generate_name {
        bail!("must either provide a name or specify --generate-name");
    }
    let base = chart.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let base = match base.split('.').next().unwrap_or_default() {
        "" => "chart",
        base => base,
    };
    Ok(format!("{base}-{}", jiff::Timestamp::now().as_second()))
}

/// Installs.
pub async fn install(
    connection: &Connection,
    flags: &ActFlags,
    name: &str,
    chart: &Chart,
    values: &Values,
    replace: bool,
) -> anyhow::Result<Release> {
    let dry_run = flags.dry_run()?;
    check_release_name(name)?;
    let stage = Stage::new(connection, name);
    let actions = stage.actions();
    let last = match dry_run {
        DryRun::No => stage.storage.last().await?,
        _ => None,
    };
    if let Some(last) = &last
        && !(replace && matches!(last.info.status, Status::Uninstalled | Status::Failed))
    {
        bail!("cannot re-use a name that is still in use");
    }
    if !flags.skip_crds && dry_run == DryRun::No {
        let crds: Vec<helm::Crd> = chart.crds();
        actions.apply_crds(&crds, Crds::Create).await.map_err(said)?;
    }
    let options = RenderOptions {
        release_name: name.to_owned(),
        namespace: connection.namespace.clone(),
        ..RenderOptions::default()
    };
    let rendered = flags.rendered(connection, chart, values, options, dry_run).await?;
    let version = last.as_ref().map_or(1, |last| last.version.saturating_add(1));
    let prepared = Prepared { chart, values, rendered, version, labels: flags.labels(&Default::default())? };
    let policy = flags.policy();
    if dry_run != DryRun::No {
        actions.check(&prepared.rendered.manifests, None, &policy).await.map_err(said)?;
        return Ok(actions.draft(&prepared, None, "Dry run complete"));
    }
    if flags.create_namespace {
        actions.ensure_namespace().await.map_err(said)?;
    }
    if let Some(mut last) = last.filter(|last| last.info.status != Status::Failed) {
        last.info.status = Status::Superseded;
        last.info.description = "superseded by new release".into();
        stage.storage.update(&last, jiff::Timestamp::now().as_second()).await?;
    }
    let (mut release, result) = actions.install(prepared, &policy).await;
    let Err(fault) = result else { return Ok(release) };
    // What was never stored cannot be undone either.
    if !flags.atomic || stage.storage.get(release.version).await?.is_none() {
        return Err(said(fault));
    }
    let removal = Removal { hooks: policy.hooks, timeout: policy.timeout, ..Removal::default() };
    match actions.uninstall(&mut release, &removal).await {
        Ok(_) => Err(said(
            fault.wrap(format!("release {name} failed, and has been uninstalled due to atomic being set")),
        )),
        Err(second) => Err(said(second.wrap(format!(
            "an error occurred while uninstalling the release. original install error: {fault}"
        )))),
    }
}

/// A fault as an error, with the template it comes from.
pub fn said(fault: Fault) -> anyhow::Error {
    match fault {
        Fault::Failed { message, file: Some(file), line, .. } if !message.contains(&file) => match line {
            Some(line) => anyhow!("{message} ({file}:{line})"),
            None => anyhow!("{message} ({file})"),
        },
        other => anyhow!("{other}"),
    }
}
