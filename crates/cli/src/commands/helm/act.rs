//! What install and upgrade share: flags, rendering against the cluster, and the policy.

use super::connect::{Connection, MANAGER};
use super::flags::{ChartFlags, ValueFlags};
use super::output::{self, Format};
use super::{locate, template};
use anyhow::{anyhow, bail};
use helm::release::check_name;
use helm::{Chart, RenderOptions, Rendered, Values};
use releases::{Actions, Crds, Direct, Policy, Storage};
use std::collections::BTreeMap;
use std::time::Duration;

/// Flags of install and upgrade.
#[derive(clap::Args)]
pub struct ActFlags {
    #[command(flatten)]
    pub values: ValueFlags,
    #[command(flatten)]
    pub chart: ChartFlags,
    /// Render and show what would be done; `server` also lets templates look into the cluster
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "client", value_name = "MODE")]
    pub dry_run: Option<String>,
    /// Hide Secrets in what a dry run shows
    #[arg(long)]
    pub hide_secret: bool,
    /// Replace objects instead of patching them
    #[arg(long)]
    pub force: bool,
    /// Run no hooks
    #[arg(long)]
    pub no_hooks: bool,
    /// The limit of each wait
    #[arg(long, default_value = "5m0s", value_parser = output::duration, value_name = "DURATION")]
    pub timeout: Duration,
    /// Be done only when everything is ready
    #[arg(long)]
    pub wait: bool,
    /// With --wait, wait for Jobs too
    #[arg(long)]
    pub wait_for_jobs: bool,
    /// Undo everything when it fails (implies --wait)
    #[arg(long)]
    pub atomic: bool,
    /// The description of the revision
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Fetch missing dependencies first
    #[arg(long)]
    pub dependency_update: bool,
    /// Accepted for scripts written for helm: the server validates
    #[arg(long)]
    pub disable_openapi_validation: bool,
    /// Leave the definitions of crds/ alone
    #[arg(long)]
    pub skip_crds: bool,
    /// Show the notes of subcharts too
    #[arg(long)]
    pub render_subchart_notes: bool,
    /// Let values through that break values.schema.json
    #[arg(long)]
    pub skip_schema_validation: bool,
    /// Let templates ask for the addresses of hosts
    #[arg(long)]
    pub enable_dns: bool,
    /// Labels of the stored revision
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// Show no notes
    #[arg(long)]
    pub hide_notes: bool,
    /// Take over objects that are there already, whoever owns them
    #[arg(long)]
    pub take_ownership: bool,
    /// Create the namespace if it is not there
    #[arg(long)]
    pub create_namespace: bool,
    /// A program that the manifests go through
    #[arg(long, value_name = "PROGRAM")]
    pub post_renderer: Option<String>,
    /// Its arguments
    #[arg(long, value_name = "ARG")]
    pub post_renderer_args: Vec<String>,
    /// The format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// How a dry run is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// Not at all.
    No,
    /// Without lookups.
    Client,
    /// With lookups.
    Server,
}

impl ActFlags {
    /// `--dry-run`.
    pub fn dry_run(&self) -> anyhow::Result<DryRun> {
        let mode = match self.dry_run.as_deref() {
            None | Some("none" | "false" | "") => DryRun::No,
            Some("client" | "true") => DryRun::Client,
            Some("server") => DryRun::Server,
            Some(_) => bail!(
                "Invalid dry-run flag. Flag must one of the following: false, true, none, client, server"
            ),
        };
        if mode == DryRun::No && self.hide_secret {
            bail!("Hiding Kubernetes secrets requires a dry-run mode");
        }
        Ok(mode)
    }

    /// The chart, ready to be installed.
    pub fn chart(&self, path: &str) -> anyhow::Result<Chart> {
        let mut chart = locate::find(path, &self.chart)?;
        helm::check_installable(&chart)?;
        locate::warn_deprecated(&chart);
        if let Err(error) = helm::check_present(&chart) {
            if !self.dependency_update {
                return Err(error.into());
            }
            let how = super::dependency::How {
                access: self.chart.access.clone(),
                keyring: self.chart.keyring.clone(),
                ..Default::default()
            };
            super::dependency::update(path, &how, &mut std::io::stdout())?;
            chart = locate::chart(path)?;
        }
        Ok(chart)
    }

    /// The labels; a value of `null` takes one away.
    pub fn labels(&self, old: &BTreeMap<String, String>) -> anyhow::Result<BTreeMap<String, String>> {
        const OWN: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];
        let mut labels = old.clone();
        for text in &self.labels {
            let (key, value) =
                text.split_once('=').ok_or_else(|| anyhow!("{text} must be formatted as key=value"))?;
            if OWN.contains(&key) {
                bail!(
                    "user supplied labels contains system reserved label name. System labels: [{}]",
                    OWN.join(" ")
                );
            }
            match value {
                "null" => labels.remove(key),
                value => labels.insert(key.to_owned(), value.to_owned()),
            };
        }
        Ok(labels)
    }

    /// How it is done.
    pub fn policy(&self) -> Policy {
        Policy {
            hooks: !self.no_hooks,
            wait: self.wait || self.atomic,
            wait_for_jobs: self.wait_for_jobs,
            timeout: self.timeout,
            force: self.force,
            take_ownership: self.take_ownership,
            check_first: true,
            crds: Crds::Skip,
            description: self.description.clone(),
            ..Policy::default()
        }
    }

    /// Renders against the cluster. A dry run on the client finds nothing by lookups.
    pub async fn rendered(
        &self,
        connection: &Connection,
        chart: &Chart,
        values: &Values,
        mut options: RenderOptions,
        dry_run: DryRun,
    ) -> anyhow::Result<Rendered> {
        options.capabilities = releases::capabilities(&connection.cluster).await?;
        options.skip_schema_validation = self.skip_schema_validation;
        options.sub_notes = self.render_subchart_notes;
        let (chart, values, cluster) = (chart.clone(), values.clone(), connection.cluster.clone());
        let runtime = tokio::runtime::Handle::current();
        let alone = match dry_run {
            DryRun::Client => Some(super::world::world_with(self.enable_dns)),
            _ => None,
        };
        let hosts = super::world::hosts(self.enable_dns);
        let work = move || match alone {
            Some(world) => helm::render(&chart, &values, &options, &world),
            None => {
                let world = releases::Live::new(cluster, runtime, jiff::Timestamp::now()).with_hosts(hosts);
                helm::render(&chart, &values, &options, &world)
            }
        };
        let mut rendered = tokio::task::spawn_blocking(work).await??;
        for warning in &rendered.warnings {
            eprintln!("{warning}");
        }
        if let Some(program) = &self.post_renderer {
            rendered
                .post_render(&mut |text| template::post_render(program, &self.post_renderer_args, text))?;
        }
        if self.hide_secret {
            for manifest in &mut rendered.manifests {
                if manifest.kind == "Secret" && manifest.api_version == "v1" {
                    manifest.content = "# HIDDEN: The Secret output has been suppressed".to_owned();
                }
            }
        }
        Ok(rendered)
    }
}

/// The actions on a release, and what they need.
pub struct Stage {
    pub storage: Storage,
    pub driver: Direct,
    pub namespace: String,
}

impl Stage {
    /// On a release of the connection's namespace.
    pub fn new(connection: &Connection, name: &str) -> Stage {
        Stage {
            storage: connection.storage(name),
            driver: Direct::new(connection.cluster.clone(), name, &connection.namespace, MANAGER)
                .with_output(|text| eprint!("{text}")),
            namespace: connection.namespace.clone(),
        }
    }

    /// The actions.
    pub fn actions(&self) -> Actions<'_, Direct> {
        Actions { driver: &self.driver, storage: &self.storage, namespace: &self.namespace }
    }
}

/// Says whether a release's name can be one.
pub fn check_release_name(name: &str) -> anyhow::Result<()> {
    check_name(name).map_err(|error| anyhow!("release name {name:?}: {error}"))
}
