//! Naming delivery objects on the command line, as kubectl and flux do: `kustomization/apps`, `ks apps`.

use crate::errors::usage;
use object::Gvk;

/// A kind that Landfall delivers, with the words that mean it.
pub struct Delivered {
    /// API group.
    pub group: &'static str,
    /// The version that is asked for.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Other words for it, lower case.
    pub words: &'static [&'static str],
}

/// Every delivered kind, in the order in which lists show them.
pub const DELIVERED: &[Delivered] = &[
    Delivered {
        group: "source.toolkit.fluxcd.io",
        version: "v1",
        kind: "GitRepository",
        words: &["gitrepository", "gitrepositories", "gitrepo"],
    },
    Delivered {
        group: "source.toolkit.fluxcd.io",
        version: "v1",
        kind: "OCIRepository",
        words: &["ocirepository", "ocirepositories", "ocirepo"],
    },
    Delivered {
        group: "source.toolkit.fluxcd.io",
        version: "v1",
        kind: "Bucket",
        words: &["bucket", "buckets"],
    },
    Delivered {
        group: "source.toolkit.fluxcd.io",
        version: "v1",
        kind: "HelmRepository",
        words: &["helmrepository", "helmrepositories", "helmrepo"],
    },
    Delivered {
        group: "source.toolkit.fluxcd.io",
        version: "v1",
        kind: "HelmChart",
        words: &["helmchart", "helmcharts", "hc"],
    },
    Delivered {
        group: "source.toolkit.fluxcd.io",
        version: "v1",
        kind: "ExternalArtifact",
        words: &["externalartifact", "externalartifacts"],
    },
    Delivered {
        group: "source.extensions.fluxcd.io",
        version: "v1beta1",
        kind: "ArtifactGenerator",
        words: &["artifactgenerator", "artifactgenerators", "ag"],
    },
    Delivered {
        group: "kustomize.toolkit.fluxcd.io",
        version: "v1",
        kind: "Kustomization",
        words: &["kustomization", "kustomizations", "ks"],
    },
    Delivered {
        group: "helm.toolkit.fluxcd.io",
        version: "v2",
        kind: "HelmRelease",
        words: &["helmrelease", "helmreleases", "hr"],
    },
    Delivered {
        group: argo::names::GROUP,
        version: argo::names::VERSION,
        kind: argo::names::APPLICATION,
        words: &["application", "applications", "app", "apps"],
    },
    Delivered {
        group: argo::names::GROUP,
        version: argo::names::VERSION,
        kind: argo::names::APPLICATION_SET,
        words: &["applicationset", "applicationsets", "appset", "appsets"],
    },
];

impl Delivered {
    /// Is it one of Argo CD's?
    pub fn is_argo(&self) -> bool {
        self.group == argo::names::GROUP
    }

    /// The namespace where its objects usually stand.
    pub fn home(&self) -> &'static str {
        if self.is_argo() { "argocd" } else { "flux-system" }
    }

    /// Its group, version and kind.
    pub fn gvk(&self) -> Gvk {
        Gvk { group: self.group.into(), version: self.version.into(), kind: self.kind.into() }
    }
}

/// The kind that a word means.
pub fn kind(word: &str) -> anyhow::Result<&'static Delivered> {
    let lower = word.to_lowercase();
    let bare = lower.split('.').next().unwrap_or(&lower);
    DELIVERED.iter().find(|delivered| delivered.words.contains(&bare)).ok_or_else(|| {
        let kinds: Vec<&str> =
            DELIVERED.iter().filter_map(|delivered| delivered.words.first().copied()).collect();
        usage(format!("{word} is no kind that is delivered; there are {}", kinds.join(", ")))
    })
}

/// Splits `KIND/NAME` or `KIND NAME…`; no names means all of the kind, nothing at all means everything.
pub fn split(words: &[String]) -> anyhow::Result<(Option<&'static Delivered>, Vec<String>)> {
    let Some(first) = words.first() else { return Ok((None, Vec::new())) };
    if let Some((word, name)) = first.split_once('/') {
        let found = kind(word)?;
        let mut names = vec![name.to_owned()];
        for other in words.iter().skip(1) {
            match other.split_once('/') {
                Some((word, name)) if kind(word)?.kind == found.kind => names.push(name.to_owned()),
                _ => return Err(usage(format!("{other}: name objects of one kind, as KIND/NAME"))),
            }
        }
        return Ok((Some(found), names));
    }
    if first == "all" {
        return Ok((None, Vec::new()));
    }
    Ok((Some(kind(first)?), words.get(1..).unwrap_or_default().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn both_spellings_name_the_same() {
        for spelling in [words(&["ks", "apps"]), words(&["Kustomization/apps"])] {
            let (kind, names) = split(&spelling).expect("understood");
            assert_eq!(kind.map(|kind| kind.kind), Some("Kustomization"));
            assert_eq!(names, ["apps"]);
        }
    }

    #[test]
    fn strange_kinds_are_named() {
        let error = split(&words(&["pod"])).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with("pod is no kind"), "{error}");
    }
}
