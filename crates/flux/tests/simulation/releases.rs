//! The HelmReleases of a commit, and what must be there because of them.

use super::chance::Chance;
use super::git::Files;
use super::model::KEEP;
use std::collections::BTreeMap;

/// The HelmReleases that the repository may describe; the first one is always there, and has no remediation: what it
/// keeps is never deleted. The second one is repaired when it fails, the third one changes its name, its chart and the
/// place of its Secrets.
pub const RELEASES: [&str; 3] = ["alpha", "beta", "gamma"];

/// One release as a commit wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `spec.releaseName`.
    pub name: String,
    /// The folder of the chart.
    pub chart: String,
    /// The namespace of its Secrets.
    pub storage: String,
    /// ConfigMaps by the rest of their name, with their value.
    pub maps: BTreeMap<String, String>,
    /// `spec.maxHistory`.
    pub history: usize,
    /// More of the spec.
    spec: String,
}

impl Release {
    fn random(name: &str, chance: &mut Chance, number: u64) -> Release {
        let mut maps = BTreeMap::from([(KEEP.to_owned(), format!("kept {}", chance.below(3)))]);
        for index in 0..3 {
            if chance.happens(500) {
                maps.insert(index.to_string(), format!("{number} {}", chance.below(2)));
            }
        }
        let wanders = name == "gamma";
        let strategy = *chance.pick(&["Revision", "ChartVersion"]);
        let repairs = match name {
            "alpha" => *chance.pick(&[
                "",
                "  upgrade: {strategy: {name: RetryOnFailure, retryInterval: 30s}}\n",
            ]),
            _ => *chance.pick(&[
                "  install: {remediation: {retries: 2}}\n  upgrade: {remediation: {retries: 2}}\n",
                "  install: {remediation: {retries: -1}}\n  upgrade: {remediation: {retries: 1, strategy: uninstall}}\n",
                "  upgrade: {remediation: {remediateLastFailure: true}}\n",
            ]),
        };
        let moved =
            |chance: &mut Chance, of: [&str; 2]| of[usize::from(wanders && chance.happens(300))].to_owned();
        Release {
            name: if wanders { moved(chance, ["gamma", "delta"]) } else { name.to_owned() },
            chart: moved(chance, ["one", "two"]),
            storage: moved(chance, ["flux-system", "default"]),
            maps,
            history: *chance.pick(&[2, 5]),
            spec: format!("{repairs}    reconcileStrategy: {strategy}\n"),
        }
    }

    fn text(&self, name: &str) -> String {
        let (repairs, strategy) = self.spec.split_once("    reconcileStrategy").unwrap();
        let maps: String =
            self.maps.iter().map(|(name, value)| format!("      \"{name}\": \"{value}\"\n")).collect();
        format!(
            "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n\
             metadata: {{name: {name}, namespace: flux-system}}\nspec:\n  interval: 10m\n  timeout: 1m\n  \
             releaseName: {}\n  targetNamespace: default\n  storageNamespace: {}\n  maxHistory: {}\n  \
             driftDetection: {{mode: enabled}}\n{repairs}  chart:\n    spec:\n      chart: ./charts/{}\n      \
             reconcileStrategy{}      sourceRef: {{kind: GitRepository, name: flux-system}}\n  \
             values:\n    maps:\n{maps}",
            self.name, self.storage, self.history, self.chart, strategy
        )
    }
}

/// How a chart can be bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its template does not parse.
    Syntax,
    /// Its template says no.
    Fails,
    /// An object that the API refuses.
    Refused,
    /// An object of a kind that nobody serves.
    UnknownKind,
}

/// All of a commit's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Releases {
    /// By the HelmRelease's name.
    pub all: BTreeMap<String, Release>,
    /// The number of the commit, which is in the charts' version.
    pub number: u64,
    /// Does the unit wait for them?
    pub wait: bool,
    /// A chart that cannot be used.
    pub broken: Option<(String, Fault)>,
}

impl Releases {
    pub fn random(chance: &mut Chance, number: u64) -> Releases {
        let mut releases = Releases { number, wait: chance.happens(500), ..Releases::default() };
        for name in RELEASES {
            if name == "alpha" || chance.happens(750) {
                releases.all.insert(name.to_owned(), Release::random(name, chance, number));
            }
        }
        releases
    }

    pub fn broken(&mut self, chance: &mut Chance) {
        let faults = [Fault::Syntax, Fault::Fails, Fault::Refused, Fault::UnknownKind];
        self.broken = Some(((*chance.pick(&["one", "two"])).to_owned(), *chance.pick(&faults)));
    }

    /// The ConfigMaps that must be there, with their value and their release.
    pub fn maps(&self) -> BTreeMap<String, (String, String)> {
        let mut maps = BTreeMap::new();
        for release in self.all.values() {
            let mut put = |rest: &str, value: String| {
                maps.insert(format!("{}-{rest}", release.name), (value, release.name.clone()));
            };
            release.maps.iter().for_each(|(rest, value)| put(rest, value.clone()));
            put("chart", format!("{} 0.1.{}", release.chart, self.number));
        }
        maps
    }

    pub fn files(&self, files: &mut Files) {
        files.insert(
            "clusters/releases.yaml".into(),
            format!(
                "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: releases, \
                 namespace: flux-system}}\nspec:\n  interval: 10m\n  retryInterval: 1m\n  path: ./releases\n  \
                 prune: true\n  wait: {}\n  sourceRef: {{kind: GitRepository, name: flux-system}}\n",
                self.wait
            ),
        );
        for (name, release) in &self.all {
            files.insert(format!("releases/{name}.yaml"), release.text(name));
        }
        for chart in ["one", "two"] {
            let mut put = |path: &str, text: String| files.insert(format!("charts/{chart}/{path}"), text);
            put("Chart.yaml", format!("apiVersion: v2\nname: {chart}\nversion: 0.1.{}\n", self.number));
            put("values.yaml", "maps: {}\n".into());
            put(
                "templates/maps.yaml",
                "{{- range $name, $value := .Values.maps }}\n---\napiVersion: v1\nkind: ConfigMap\n\
                 metadata: {name: \"{{ $.Release.Name }}-{{ $name }}\"}\ndata: {value: \"{{ $value }}\"}\n\
                 {{- end }}\n"
                    .into(),
            );
            put(
                "templates/chart.yaml",
                format!(
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: \"{{{{ .Release.Name }}}}-chart\"}}\n\
                     data: {{value: \"{chart} 0.1.{}\"}}\n",
                    self.number
                ),
            );
            put(
                "templates/hook.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: \"{{ .Release.Name }}-hook\"\n  \
                 annotations:\n    helm.sh/hook: pre-install,pre-upgrade,post-upgrade\n    \
                 helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed\n"
                    .into(),
            );
            let bad = match self.broken.as_ref().filter(|(broken, _)| broken == chart) {
                None => continue,
                Some((_, Fault::Syntax)) => "{{ if }}\n",
                Some((_, Fault::Fails)) => "{{ fail \"no\" }}\n",
                Some((_, Fault::Refused)) => {
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Name}\n"
                }
                Some((_, Fault::UnknownKind)) => {
                    "apiVersion: example.com/v1\nkind: Nothing\nmetadata: {name: nothing}\n"
                }
            };
            put("templates/bad.yaml", bad.into());
        }
    }
}
