//! What a chart may know of the cluster it is rendered for.

use crate::{Error, Result, Stage};

/// A Kubernetes version as `.Capabilities.KubeVersion` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeVersion {
    /// With its `v`: `v1.34.0`.
    pub version: String,
    /// The major number.
    pub major: String,
    /// The minor number.
    pub minor: String,
}

impl Default for KubeVersion {
    /// What `helm template` assumes without `--kube-version`.
    fn default() -> Self {
        KubeVersion { version: "v1.20.0".into(), major: "1".into(), minor: "20".into() }
    }
}

impl KubeVersion {
    /// Reads `1.34`, `v1.34.2` or `v1.34.2+k3s1`; what follows the numbers is dropped, as Helm drops it.
    pub fn parse(text: &str) -> Result<Self> {
        let fail = || {
            let quoted = crate::error::quote(text);
            let reason = format!("could not parse {quoted} as version");
            Error::new(Stage::KubeVersion, format!("invalid kube version '{text}': {reason}"))
        };
        let trimmed = text.trim();
        let rest = trimmed.strip_prefix('v').unwrap_or(trimmed);
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let numbers = rest.get(..end).unwrap_or_default();
        let parts: Vec<&str> = numbers.split('.').collect();
        if parts.len() < 2 {
            return Err(fail());
        }
        let mut read = Vec::new();
        for part in &parts {
            if part.len() > 1 && part.starts_with('0') {
                return Err(fail());
            }
            read.push(part.parse::<u64>().map_err(|_| fail())?);
        }
        read.resize(read.len().max(3), 0);
        let version: Vec<String> = read.iter().map(u64::to_string).collect();
        let number = |at: usize| version.get(at).cloned().unwrap_or_default();
        Ok(KubeVersion { major: number(0), minor: number(1), version: format!("v{}", version.join(".")) })
    }

    /// A version as a server reports it, kept whole: `v1.34.2+k3s1`, major `1`, minor `34`.
    pub fn of_server(version: &str, major: &str, minor: &str) -> Self {
        KubeVersion { version: version.into(), major: major.into(), minor: minor.into() }
    }
}

/// What `.Capabilities` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The Kubernetes version.
    pub kube_version: KubeVersion,
    /// The served API versions: `apps/v1`, and with a cluster at hand also `apps/v1/Deployment`.
    pub api_versions: Vec<String>,
    /// The version of Helm that the chart sees.
    pub helm_version: String,
    /// The Go release that Helm says it was built with.
    pub go_version: String,
}

impl Default for Capabilities {
    fn default() -> Self {
        Capabilities {
            kube_version: KubeVersion::default(),
            api_versions: DEFAULT_API_VERSIONS.iter().map(|version| (*version).to_owned()).collect(),
            helm_version: HELM_VERSION.into(),
            go_version: "go1.26.8".into(),
        }
    }
}

impl Capabilities {
    /// Whether an API version (`policy/v1` or `policy/v1/PodDisruptionBudget`) is served.
    pub fn has(&self, api_version: &str) -> bool {
        self.api_versions.iter().any(|known| known == api_version)
    }
}

/// The Helm whose behaviour this is.
pub const HELM_VERSION: &str = "v3.22";

/// The API versions `helm template` knows without a cluster: those of its client library.
pub const DEFAULT_API_VERSIONS: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "lifecycle.k8s.io/v1alpha1",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_as_kubernetes_reads_them() {
        for (text, version, minor) in
            [("1.34", "v1.34.0", "34"), ("v1.29.3+k3s1", "v1.29.3", "29"), ("1.20.0-alpha", "v1.20.0", "20")]
        {
            let read = KubeVersion::parse(text).expect("a version");
            assert_eq!((read.version.as_str(), read.minor.as_str()), (version, minor));
        }
        for text in ["", "1", "v1.x", "1.02"] {
            assert!(KubeVersion::parse(text).is_err(), "{text}");
        }
    }
}
