//! The annotations. Pure.

use delivery::images::address;
use object::{Value, meta};
use regex::Regex;

/// Before all of them.
const PREFIX: &str = "argocd-image-updater.argoproj.io/";
/// The images of an Application.
pub const LIST: &str = "argocd-image-updater.argoproj.io/image-list";
/// The most images of one Application.
const MOST: usize = 100;

/// Which of the tags is the newest?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// The highest version.
    #[default]
    Semver,
    /// The one that was built last.
    NewestBuild,
    /// The last in the order of letters.
    Alphabetical,
    /// Always the same tag, by what it points to.
    Digest,
}

/// Which tags are looked at?
#[derive(Debug, Clone)]
pub enum Allowed {
    /// All.
    Any,
    /// Those that the expression finds something in.
    Matching(Regex),
}

/// An image that is to be updated.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// By what other annotations name it.
    pub alias: String,
    /// The image without tag, as it was written.
    pub name: String,
    /// A range of versions, or the tag whose digest is followed.
    pub constraint: String,
    /// Which tag is the newest.
    pub strategy: Strategy,
    /// Which tags are looked at.
    pub allowed: Allowed,
    /// Patterns of tags that are not.
    pub ignored: Vec<String>,
    /// `os/architecture` of which an image must have one; nothing: any.
    pub platforms: Vec<String>,
    /// Is it updated although it does not run?
    pub force: bool,
    /// Where credentials are, if not where the registry's are.
    pub pull_secret: String,
    /// The image that a kustomization names in its place.
    pub kustomize_name: String,
    /// Helm's parameters for the name, the tag, and both at once.
    pub helm: Helm,
}

/// Parameters of a chart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Helm {
    /// For the image without its tag.
    pub name: String,
    /// For the tag.
    pub tag: String,
    /// For both, in place of the other two.
    pub spec: String,
}

/// Where new images are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteBack {
    /// Into the Application.
    Application,
    /// Into its repository.
    Git(Git),
}

/// How the repository is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Git {
    /// Namespace and name of the Secret with credentials; those of the repository without.
    pub secret: Option<(String, String)>,
    /// Another repository.
    pub repository: String,
    /// The branch that is read; that of the source when it is empty.
    pub branch: String,
    /// The branch that is written, a template; the one that is read when it is empty.
    pub target: String,
    /// The file that is written.
    pub file: Target,
}

/// A file for new images. Paths are from the source's folder, or from the root with a slash in front.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Target {
    /// `.argocd-source-<application>.yaml`.
    #[default]
    Parameters,
    /// The kustomization in a folder.
    Kustomization(String),
    /// A file of values.
    Values(String),
}

/// An annotation of the updater.
fn annotation<'a>(application: &'a Value, name: &str) -> &'a str {
    meta::annotation(application, &format!("{PREFIX}{name}")).unwrap_or_default().trim()
}

/// `name`, its tag and its digest in the text of an image.
fn split(image: &str) -> (&str, &str, &str) {
    let (rest, digest) = image.split_once('@').unwrap_or((image, ""));
    let after = rest.rfind('/').map_or(0, |at| at + 1);
    match rest.get(after..).and_then(|last| last.find(':')) {
        Some(at) => {
            let (name, tag) = rest.split_at(after + at);
            (name, tag.trim_start_matches(':'), digest)
        }
        None => (rest, "", digest),
    }
}

/// What tells one version of an image from another: the digest, else the tag.
pub fn tag_of(image: &str) -> String {
    match split(image) {
        (_, tag, "") => tag.to_owned(),
        (_, _, digest) => digest.to_owned(),
    }
}

impl Wanted {
    /// All that an Application names.
    ///
    /// # Errors
    /// When one of them is malformed.
    pub fn all(application: &Value) -> Result<Vec<Wanted>, String> {
        let list = meta::annotation(application, LIST).unwrap_or_default();
        let words = list.split(',').map(str::trim).filter(|word| !word.is_empty());
        let all: Vec<&str> = words.take(MOST + 1).collect();
        if all.len() > MOST {
            return Err(format!("{LIST} names more than {MOST} images"));
        }
        all.into_iter().map(|word| Wanted::one(application, word)).collect()
    }

    fn one(application: &Value, word: &str) -> Result<Wanted, String> {
        let (alias, image) = word.split_once('=').unwrap_or(("", word));
        let (name, constraint, _) = split(image);
        address(name)?;
        // What is said of the image, else of the whole Application.
        let said = |what: &str| {
            let own = if alias.is_empty() {
                ""
            } else {
                annotation(application, &format!("{}.{what}", alias.replace('/', "_")))
            };
            if own.is_empty() { annotation(application, what) } else { own }
        };
        let own = |what: &str| {
            let alias = alias.replace('/', "_");
            if alias.is_empty() { "" } else { annotation(application, &format!("{alias}.{what}")) }.to_owned()
        };
        let strategy = match said("update-strategy") {
            "" | "semver" => Strategy::Semver,
            "latest" | "newest-build" => Strategy::NewestBuild,
            "name" | "alphabetical" => Strategy::Alphabetical,
            "digest" => Strategy::Digest,
            other => return Err(format!("unknown update strategy {other:?} of {name}")),
        };
        let allowed = match said("allow-tags") {
            "" | "any" => Allowed::Any,
            text => match text.strip_prefix("regexp:") {
                Some(pattern) => Allowed::Matching(
                    Regex::new(pattern)
                        .map_err(|_| format!("allow-tags of {name}: {pattern:?} is no expression"))?,
                ),
                None => return Err(format!("allow-tags of {name}: {text:?} is neither any nor regexp:…")),
            },
        };
        let listed = |what: &str| -> Vec<String> {
            said(what).split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        Ok(Wanted {
            alias: alias.to_owned(),
            name: name.to_owned(),
            constraint: constraint.to_owned(),
            strategy,
            allowed,
            ignored: listed("ignore-tags"),
            platforms: listed("platforms"),
            force: said("force-update") == "true",
            pull_secret: said("pull-secret").to_owned(),
            kustomize_name: own("kustomize.image-name"),
            helm: Helm {
                name: own("helm.image-name"),
                tag: own("helm.image-tag"),
                spec: own("helm.image-spec"),
            },
        })
    }

    /// Is it the image that runs under this name?
    pub fn means(&self, running: &str) -> bool {
        let same = |name: &str| !name.is_empty() && address(split(running).0) == address(split(name).0);
        same(&self.name) || same(&self.kustomize_name)
    }
}

/// Where an Application wants new images written.
///
/// # Errors
/// When it names a way that there is not.
pub fn write_back(application: &Value) -> Result<WriteBack, String> {
    let method = annotation(application, "write-back-method");
    let (method, secret) = method.split_once(':').unwrap_or((method, ""));
    match method {
        "" | "argocd" => return Ok(WriteBack::Application),
        "git" => {}
        other => return Err(format!("unknown write-back method {other:?}")),
    }
    let secret = match secret {
        "" | "repocreds" => None,
        named => {
            let place = named.strip_prefix("secret:").and_then(|place| place.split_once('/'));
            let (namespace, name) = place
                .ok_or_else(|| format!("write-back-method git:{named}: it is git:secret:NAMESPACE/NAME"))?;
            Some((namespace.to_owned(), name.to_owned()))
        }
    };
    let target = annotation(application, "write-back-target");
    let file = match target.split_once(':').unwrap_or((target, "")) {
        ("" | "default", _) => Target::Parameters,
        ("kustomization", folder) => Target::Kustomization(folder.to_owned()),
        ("helmvalues", "") => Target::Values("values.yaml".to_owned()),
        ("helmvalues", path) => Target::Values(path.to_owned()),
        (other, _) => return Err(format!("unknown write-back target {other:?}")),
    };
    let branch = annotation(application, "git-branch");
    let (branch, target) = branch.split_once(':').unwrap_or((branch, ""));
    Ok(WriteBack::Git(Git {
        secret,
        repository: annotation(application, "git-repository").to_owned(),
        branch: branch.to_owned(),
        target: target.to_owned(),
        file,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_tags_behind_ports() {
        assert_eq!(split("localhost:5000/a/b:1@sha256:0"), ("localhost:5000/a/b", "1", "sha256:0"));
        assert_eq!(split("localhost:5000/a"), ("localhost:5000/a", "", ""));
        assert_eq!(tag_of("nginx:1.2"), "1.2");
        assert_eq!(tag_of("nginx:1.2@sha256:ab"), "sha256:ab");
    }
}
