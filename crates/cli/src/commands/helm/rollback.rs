//! `landfall helm rollback`, `uninstall` and `test`.

use super::Settings;
use super::act::Stage;
use super::install::said;
use super::output::{self, Format, View};
use anyhow::{anyhow, bail};
use cluster::Propagation;
use helm::release::Status;
use releases::{Policy, Removal};
use std::time::Duration;

/// Arguments of `helm rollback`.
#[derive(clap::Args)]
pub struct RollbackArgs {
    /// The release
    release: String,
    /// The revision [default: the one before]
    revision: Option<String>,
    /// Only look whether it could be done
    #[arg(long)]
    dry_run: bool,
    /// Replace objects instead of patching them
    #[arg(long)]
    force: bool,
    /// Run no hooks
    #[arg(long)]
    no_hooks: bool,
    /// The limit of each wait
    #[arg(long, default_value = "5m0s", value_parser = output::duration, value_name = "DURATION")]
    timeout: Duration,
    /// Be done only when everything is ready
    #[arg(long)]
    wait: bool,
    /// With --wait, wait for Jobs too
    #[arg(long)]
    wait_for_jobs: bool,
    /// Remove what is new when it fails
    #[arg(long)]
    cleanup_on_fail: bool,
    /// The most revisions that are kept (0: all)
    #[arg(long, default_value_t = 10, env = "HELM_MAX_HISTORY")]
    history_max: usize,
    /// Accepted for scripts written for helm; does nothing
    #[arg(long, hide = true)]
    recreate_pods: bool,
}

/// Rolls back.
pub async fn rollback(args: &RollbackArgs, settings: &Settings) -> anyhow::Result<()> {
    let wanted: i64 = match &args.revision {
        None => 0,
        Some(text) => text.parse().map_err(|_| {
            anyhow!("could not convert revision to a number: strconv.Atoi: parsing {text:?}: invalid syntax")
        })?,
    };
    let connection = settings.connect().await?;
    let name = super::checked_name(&args.release, "prepareRollback: Release name is invalid")?;
    let wanted = u64::try_from(wanted).map_err(|_| anyhow!("invalid release revision"))?;
    let mut stage = Stage::new(&connection, name);
    let Some(last) = stage.storage.last().await? else { bail!("release: not found") };
    let version = if wanted == 0 { last.version.saturating_sub(1) } else { wanted };
    let Some(target) = stage.storage.get(version).await? else {
        bail!("release has no {version} version");
    };
    stage.namespace.clone_from(&last.namespace);
    if !args.dry_run {
        let policy = Policy {
            hooks: !args.no_hooks,
            wait: args.wait,
            wait_for_jobs: args.wait_for_jobs,
            timeout: args.timeout,
            force: args.force,
            take_ownership: true,
            cleanup_on_fail: args.cleanup_on_fail,
            history_max: args.history_max,
            ..Policy::default()
        };
        let (_, result) = stage.actions().rollback(&target, &last, &policy).await;
        result.map_err(said)?;
    }
    super::print("Rollback was a success! Happy Helming!\n")
}

/// Arguments of `helm uninstall`.
#[derive(clap::Args)]
pub struct UninstallArgs {
    /// The releases
    #[arg(required = true)]
    releases: Vec<String>,
    /// Only look whether it could be done
    #[arg(long)]
    dry_run: bool,
    /// Run no hooks
    #[arg(long)]
    no_hooks: bool,
    /// A release that is not there is no fault
    #[arg(long)]
    ignore_not_found: bool,
    /// Keep the revisions, marked as uninstalled
    #[arg(long)]
    keep_history: bool,
    /// Be done only when everything is gone
    #[arg(long)]
    wait: bool,
    /// What happens to dependents: background, orphan or foreground
    #[arg(long, default_value = "background")]
    cascade: String,
    /// The limit of each wait
    #[arg(long, default_value = "5m0s", value_parser = output::duration, value_name = "DURATION")]
    timeout: Duration,
    /// The description that is kept
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// Uninstalls.
pub async fn uninstall(args: &UninstallArgs, settings: &Settings) -> anyhow::Result<()> {
    let propagation = match args.cascade.as_str() {
        "background" => Propagation::Background,
        "foreground" => Propagation::Foreground,
        "orphan" => Propagation::Orphan,
        other => {
            bail!("invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\"")
        }
    };
    let removal = Removal {
        leftovers: Vec::new(),
        hooks: !args.no_hooks,
        wait: args.wait,
        timeout: args.timeout,
        keep_history: args.keep_history,
        propagation,
        description: args.description.clone(),
    };
    let connection = settings.connect().await?;
    for name in &args.releases {
        super::checked_name(name, "uninstall: Release name is invalid")?;
        let mut stage = Stage::new(&connection, name);
        let Some(mut release) = stage.storage.last().await? else {
            if args.ignore_not_found {
                super::print(&format!("release \"{name}\" uninstalled\n"))?;
                continue;
            }
            bail!("uninstall: Release not loaded: {name}: release: not found");
        };
        if !args.dry_run {
            stage.namespace.clone_from(&release.namespace);
            if release.info.status == Status::Uninstalled {
                if args.keep_history {
                    bail!("the release named {name:?} is already deleted");
                }
                stage.storage.purge().await?;
            } else {
                let kept = stage.actions().uninstall(&mut release, &removal).await.map_err(said)?;
                if !kept.is_empty() {
                    let lines: String = kept.iter().map(|line| format!("{line}\n")).collect();
                    let title = "These resources were kept due to the resource policy:";
                    super::print(&format!("{title}\n{lines}\n"))?;
                }
            }
        }
        super::print(&format!("release \"{name}\" uninstalled\n"))?;
    }
    Ok(())
}

/// Arguments of `helm test`.
#[derive(clap::Args)]
pub struct TestArgs {
    /// The release
    release: String,
    /// The limit of each wait
    #[arg(long, default_value = "5m0s", value_parser = output::duration, value_name = "DURATION")]
    timeout: Duration,
    /// Print the logs of the tests' pods
    #[arg(long)]
    logs: bool,
    /// Only these tests (name=…), or all but these (!name=…)
    #[arg(long, value_delimiter = ',')]
    filter: Vec<String>,
    /// Show no notes
    #[arg(long)]
    hide_notes: bool,
}

/// Runs the tests and prints the release.
pub async fn test(args: &TestArgs, settings: &Settings) -> anyhow::Result<()> {
    let connection = settings.connect().await?;
    let name = super::checked_name(&args.release, "releaseTest: Release name is invalid")?;
    let mut stage = Stage::new(&connection, name);
    let Some(mut release) = stage.storage.last().await? else { bail!("release: not found") };
    stage.namespace.clone_from(&release.namespace);
    let only: Vec<&str> = args.filter.iter().filter_map(|filter| filter.strip_prefix("name=")).collect();
    let never: Vec<&str> = args
        .filter
        .iter()
        .filter_map(|filter| filter.strip_prefix('!'))
        .filter_map(|filter| filter.strip_prefix(' ').unwrap_or(filter).strip_prefix("name="))
        .collect();
    let wanted = |name: &str| !never.contains(&name) && (only.is_empty() || only.contains(&name));
    let result = stage.actions().test(&mut release, args.timeout, &wanted).await;
    let view = View { debug: settings.debug, hide_notes: args.hide_notes, ..View::default() };
    super::print(&output::release(&release, Format::Table, view, &Default::default())?)?;
    if args.logs {
        super::print("\n")?;
        for hook in helm::release::hooks_for(&release.hooks, helm::Event::Test) {
            if wanted(&hook.name) {
                super::print(&logs(&connection, &hook.name).await?)?;
            }
        }
    }
    result.map_err(said)
}

async fn logs(connection: &super::connect::Connection, pod: &str) -> anyhow::Result<String> {
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/log", connection.namespace);
    let request = http::Request::get(path).body(Vec::new())?;
    let text = connection.cluster.client().request_text(request).await;
    let text = text.map_err(|error| anyhow!("unable to get pod logs for {pod}: {error}"))?;
    Ok(format!("POD LOGS: {pod}\n{text}\n"))
}
