//! What Argo CD's programs are started with (`argocd-cmd-params-cm`), as far as it decides what is done.

use std::time::Duration;

use object::{Quantity, Value};

use super::data;
use crate::applicationset::policy::Policy;

/// The pauses between repairs of the same drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Healing {
    /// The first pause, in seconds.
    pub first: u64,
    /// What it grows by.
    pub factor: u64,
    /// The longest, in seconds.
    pub longest: u64,
}

impl Default for Healing {
    fn default() -> Self {
        Healing { first: 2, factor: 3, longest: 300 }
    }
}

impl Healing {
    /// The pause before the repair after `count` others.
    pub fn pause(&self, count: u32) -> Duration {
        let seconds = match count {
            0 => 0,
            count => self.first.saturating_mul(self.factor.saturating_pow(count - 1)).min(self.longest),
        };
        Duration::from_secs(seconds)
    }
}

/// The parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Is the server asked what an apply would change (`controller.diff.server.side`)?
    pub server_side_diff: bool,
    /// Pauses of `selfHeal` (`controller.self.heal.*`).
    pub healing: Healing,
    /// How long a sync may take (`controller.sync.timeout.seconds`).
    pub sync_timeout: Option<Duration>,
    /// The size of all files of a directory together (`reposerver.max.combined.directory.manifests.size`).
    pub manifests_size: usize,
    /// Are submodules fetched (`reposerver.enable.git.submodule`)?
    pub submodules: bool,
    /// Do generators see folders that begin with a dot (`reposerver.include.hidden.directories`)?
    pub hidden_folders: bool,
    /// What holds for ApplicationSets.
    pub sets: SetParameters,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// Parameters of the ApplicationSet controller (`applicationsetcontroller.*`).
#[derive(Debug, Clone, PartialEq)]
pub struct SetParameters {
    /// `policy`: for all sets.
    pub policy: Option<Policy>,
    /// `enable.policy.override`: may a set's own policy stand in its place?
    pub may_override: bool,
    /// `global.preserved.annotations`.
    pub annotations: Vec<String>,
    /// `global.preserved.labels`.
    pub labels: Vec<String>,
    /// `enable.new.git.file.globbing`.
    pub new_globbing: bool,
    /// `enable.scm.providers`.
    pub providers: bool,
    /// `allowed.scm.providers`: the only addresses of forges that sets may name.
    pub allowed: Vec<String>,
    /// `enable.tokenref.strict.mode`: only Secrets that say so are for forges.
    pub strict_tokens: bool,
    /// `enable.git.submodule`.
    pub submodules: bool,
    /// `dryrun`: nothing is done with Applications.
    pub dry_run: bool,
    /// `requeue.after`: how often a repository is looked at when its generator does not say.
    pub requeue: Option<Duration>,
    /// `status.max.resources.count`.
    pub most_resources: usize,
}

impl Default for SetParameters {
    fn default() -> Self {
        SetParameters {
            policy: None,
            may_override: true,
            annotations: Vec::new(),
            labels: Vec::new(),
            new_globbing: false,
            providers: true,
            allowed: Vec::new(),
            strict_tokens: false,
            submodules: true,
            dry_run: false,
            requeue: None,
            most_resources: 5000,
        }
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters {
            server_side_diff: false,
            healing: Healing::default(),
            sync_timeout: None,
            manifests_size: 10 << 20,
            submodules: true,
            hidden_folders: false,
            sets: SetParameters::default(),
            problems: Vec::new(),
        }
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

impl Parameters {
    /// Reads the ConfigMap. What is malformed becomes a problem; the rest counts.
    pub fn parse(object: &Value) -> Self {
        let mut parameters = Parameters::default();
        // As in Argo CD, a policy of the controller is overridden only where that is allowed.
        let mut may_override = None;
        for (key, value) in data(object) {
            let value = value.trim();
            match key {
                "applicationsetcontroller.enable.policy.override" => may_override = Some(value == "true"),
                _ if value.is_empty() => {}
                _ => {
                    if let Err(why) = parameters.entry(key, value) {
                        parameters.problems.push(format!("argocd-cmd-params-cm: {key}: {why}"));
                    }
                }
            }
        }
        parameters.sets.may_override = may_override.unwrap_or(parameters.sets.policy.is_none());
        parameters
    }

    fn entry(&mut self, key: &str, value: &str) -> Result<(), String> {
        let number = || value.parse::<u64>().map_err(|_| format!("{value:?} is no number"));
        let on = value == "true";
        if let Some(rest) = key.strip_prefix("applicationsetcontroller.") {
            return self.sets.entry(rest, value);
        }
        match key {
            "controller.diff.server.side" => self.server_side_diff = on,
            "controller.self.heal.backoff.timeout.seconds" => self.healing.first = number()?,
            "controller.self.heal.backoff.factor" => self.healing.factor = number()?,
            "controller.self.heal.backoff.cap.seconds" => self.healing.longest = number()?,
            "controller.sync.timeout.seconds" => {
                self.sync_timeout = Some(number()?).filter(|most| *most > 0).map(Duration::from_secs);
            }
            "reposerver.max.combined.directory.manifests.size" => {
                let size: Quantity = value.parse().map_err(|_| format!("{value:?} is no quantity"))?;
                self.manifests_size = usize::try_from(size.value()).unwrap_or(0);
            }
            "reposerver.enable.git.submodule" => self.submodules = on,
            "reposerver.include.hidden.directories" => self.hidden_folders = on,
            _ => {}
        }
        Ok(())
    }
}

impl SetParameters {
    fn entry(&mut self, key: &str, value: &str) -> Result<(), String> {
        let on = value == "true";
        match key {
            "policy" => {
                let policy = Policy::parse(value);
                self.policy = Some(policy.ok_or_else(|| format!("unknown policy {value}"))?);
            }
            "global.preserved.annotations" => self.annotations = list(value),
            "global.preserved.labels" => self.labels = list(value),
            "enable.new.git.file.globbing" => self.new_globbing = on,
            "enable.scm.providers" => self.providers = on,
            "allowed.scm.providers" => self.allowed = list(value),
            "enable.git.submodule" => self.submodules = on,
            "dryrun" => self.dry_run = on,
            "enable.tokenref.strict.mode" => self.strict_tokens = on,
            "requeue.after" => {
                let every = gotime::duration::span(value).map_err(|error| error.to_string())?;
                self.requeue = Some(every).filter(|every| !every.is_zero());
            }
            "status.max.resources.count" => {
                let most = value.parse().map_err(|_| format!("{value:?} is no number"))?;
                self.most_resources = if most == 0 { usize::MAX } else { most };
            }
            _ => {}
        }
        Ok(())
    }

    /// May a generator ask the forge at `api`? Those that name none ask the public one.
    ///
    /// # Errors
    /// With the line for people.
    pub fn permits(&self, api: &str) -> Result<(), String> {
        if !self.providers {
            return Err("scm providers are disabled".into());
        }
        if api.is_empty() || self.allowed.is_empty() || self.allowed.iter().any(|one| one == api) {
            return Ok(());
        }
        Err(format!("scm provider {api:?} not allowed, must use one of: {}", self.allowed.join(", ")))
    }
}
