//! `landfall helm upgrade`.

use super::Settings;
use super::act::{ActFlags, DryRun, Stage};
use super::connect::Connection;
use super::install::{self, said};
use super::output::Format;
use anyhow::{Context, bail};
use helm::release::Status;
use helm::{Chart, Release, RenderOptions, Values};
use releases::{Crds, Policy, Prepared};

/// Arguments of `helm upgrade`.
#[derive(clap::Args)]
pub struct Args {
    /// The release
    release: String,
    /// The chart
    name: String,
    /// Install the release if it is not there
    #[arg(short, long)]
    install: bool,
    /// Take the chart's values and what is given, nothing of the last release
    #[arg(long)]
    reset_values: bool,
    /// Take the last release's values and what is given on top
    #[arg(long)]
    reuse_values: bool,
    /// Take the chart's values, what the user set for the last release, and what is given on top
    #[arg(long)]
    reset_then_reuse_values: bool,
    /// Remove what is new when it fails
    #[arg(long)]
    cleanup_on_fail: bool,
    /// The most revisions that are kept (0: all)
    #[arg(long, default_value_t = 10, env = "HELM_MAX_HISTORY")]
    history_max: usize,
    /// Accepted for scripts written for helm; does nothing
    #[arg(long, hide = true)]
    recreate_pods: bool,
    #[command(flatten)]
    flags: ActFlags,
}

/// Upgrades (or installs) and prints the release.
pub fn run(args: &Args, settings: &Settings) -> anyhow::Result<()> {
    let people = args.flags.output == Format::Table;
    let chart = args.flags.chart(&args.name)?;
    args.flags.dry_run()?;
    let values = args.flags.values.read()?;
    let (release, installed) = super::wait_for(async {
        let connection = settings.connect().await?;
        if args.install {
            let last = connection.storage(&args.release).last().await?;
            let gone = last.as_ref().is_some_and(|last| last.info.status == Status::Uninstalled);
            if last.is_none() || gone {
                if people {
                    println!("Release {:?} does not exist. Installing it now.", args.release);
                }
                let flags = &args.flags;
                let done = install::install(&connection, flags, &args.release, &chart, &values, gone).await;
                return Ok((done?, true));
            }
        }
        let upgraded = upgrade(&connection, args, chart.clone(), &values).await;
        Ok((upgraded.context("UPGRADE FAILED")?, false))
    })?;
    if people && !installed {
        println!("Release {:?} has been upgraded. Happy Helming!", args.release);
    }
    install::print(&release, &args.flags, settings)
}

async fn upgrade(
    connection: &Connection,
    args: &Args,
    mut chart: Chart,
    values: &Values,
) -> anyhow::Result<Release> {
    let dry_run = args.flags.dry_run()?;
    let name = super::checked_name(&args.release, "release name is invalid")?;
    let mut stage = Stage::new(connection, name);
    let Some(mut last) = stage.storage.last().await? else {
        bail!("{name:?} has no deployed releases");
    };
    if last.info.status.is_pending() {
        recover(&stage, &mut last, &args.flags, dry_run).await?;
    }
    let current = current(&stage, &last).await?;
    stage.namespace.clone_from(&current.namespace);
    let values = reused(args, &mut chart, &current, values)?;
    let version = last.version.saturating_add(1);
    let options = RenderOptions {
        release_name: name.to_owned(),
        namespace: current.namespace.clone(),
        revision: version,
        is_install: false,
        is_upgrade: true,
        ..RenderOptions::default()
    };
    let rendered = args.flags.rendered(connection, &chart, &values, options, dry_run).await?;
    let labels = args.flags.labels(&last.labels)?;
    let prepared = Prepared { chart: &chart, values: &values, rendered, version, labels };
    let policy = Policy {
        cleanup_on_fail: args.cleanup_on_fail,
        history_max: args.history_max,
        crds: Crds::Skip,
        ..args.flags.policy()
    };
    let actions = stage.actions();
    if dry_run != DryRun::No {
        actions.check(&prepared.rendered.manifests, Some(&current), &policy).await.map_err(said)?;
        let text = args.flags.description.as_deref().unwrap_or("Dry run complete");
        return Ok(actions.draft(&prepared, Some(&current), text));
    }
    let (release, result) = actions.upgrade(prepared, &current, &policy).await;
    match result {
        Ok(()) => Ok(release),
        Err(fault) if args.flags.atomic && stage.storage.get(version).await?.is_some() => {
            Err(undo(&stage, &release, &policy, fault).await?)
        }
        Err(fault) => Err(said(fault)),
    }
}

/// A revision that is pending may be under way elsewhere, or left by a crash. When it is older than the
/// time it had, nobody works on it any more: it counts as failed, and the upgrade goes on from what is live.
async fn recover(stage: &Stage, last: &mut Release, flags: &ActFlags, dry_run: DryRun) -> anyhow::Result<()> {
    let began: Option<jiff::Timestamp> = last.info.last_deployed.parse().ok();
    let now = jiff::Timestamp::now();
    let age = began.map(|began| now.as_second().saturating_sub(began.as_second()));
    let limit = i64::try_from(flags.timeout.as_secs()).unwrap_or(i64::MAX);
    if age.is_none_or(|age| age <= limit) {
        bail!("another operation (install/upgrade/rollback) is in progress");
    }
    eprintln!(
        "WARNING: revision {} was left {} by something that did not end; going on from what is live",
        last.version, last.info.status
    );
    let was = last.info.status;
    last.info.status = Status::Failed;
    last.info.description = format!("Release unlocked from stale '{was}' state");
    if dry_run == DryRun::No {
        stage.storage.update(last, now.as_second()).await?;
    }
    Ok(())
}

/// The revision whose objects are live: the deployed one, or else the newest if that one failed.
async fn current(stage: &Stage, last: &Release) -> anyhow::Result<Release> {
    if last.info.status == Status::Deployed {
        return Ok(last.clone());
    }
    match stage.storage.deployed().await? {
        Some(deployed) => Ok(deployed),
        None if matches!(last.info.status, Status::Failed | Status::Superseded) => Ok(last.clone()),
        None => bail!("{:?} has no deployed releases", stage.storage.name),
    }
}

/// The values of an upgrade, by Helm's rules for those of the last release.
fn reused(args: &Args, chart: &mut Chart, current: &Release, given: &Values) -> anyhow::Result<Values> {
    let mut values = given.clone();
    if args.reset_values {
        return Ok(values);
    }
    if args.reuse_values {
        chart.values = Some(super::output::computed(current)?);
        values.coalesce(&current.config);
    } else if args.reset_then_reuse_values {
        values.coalesce(&current.config);
    } else if values.is_empty() {
        values = current.config.clone();
    }
    Ok(values)
}

/// Rolls back to the newest revision that worked.
async fn undo(
    stage: &Stage,
    failed: &Release,
    policy: &Policy,
    fault: releases::Fault,
) -> anyhow::Result<anyhow::Error> {
    let history = stage.storage.history().await?;
    let good = |release: &&Release| matches!(release.info.status, Status::Superseded | Status::Deployed);
    let Some(target) = history.iter().rev().find(good) else {
        return Ok(said(fault.wrap(
            "unable to find a previously successful release when attempting to rollback. original upgrade error",
        )));
    };
    let policy = Policy {
        wait: true,
        check_first: false,
        cleanup_on_fail: false,
        description: None,
        ..policy.clone()
    };
    let (_, result) = stage.actions().rollback(target, failed, &policy).await;
    let name = &failed.name;
    Ok(match result {
        Ok(()) => {
            let words = format!("release {name} failed, and has been rolled back due to atomic being set");
            said(fault.wrap(words))
        }
        Err(second) => said(second.wrap(format!(
            "an error occurred while rolling back the release. original upgrade error: {fault}"
        ))),
    })
}
