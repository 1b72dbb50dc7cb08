//! Addresses to trees, one fetch for all Applications that want the same.
//!
//! What an address holds is an input of every Application that uses it: when a fetch brings something else, they are
//! told. Working copies are watched, remote repositories are asked again when what is known is too old.

mod access;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use controller::Context;
use jiff::Timestamp;
use object::Key;
use sha2::Digest as _;
use source::git::{Mode, Reference, Verify};
use source::{Fetcher, Tree, Watcher};

use crate::application::spec::{Origin, Source};
use access::{Owners, Use};

/// A burst of edits counts as one.
const QUIET: Duration = Duration::from_millis(40);
/// For how long a failed fetch stands for all who want the same.
const FAILED_FOR: Duration = Duration::from_secs(3);
/// A pattern that no file has: Argo CD leaves nothing out of a repository.
const NOTHING_IGNORED: &str = "/.landfall-leaves-nothing-out";

/// Something to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// As what.
    pub origin: Origin,
    /// Where.
    pub url: String,
    /// Which revision, as it was asked for.
    pub revision: String,
    /// Which chart.
    pub chart: String,
    /// The keys of which one must have signed the commit, armored; nothing when any commit will do.
    pub signers: Option<Vec<String>>,
    /// The project whose credentials count.
    pub project: String,
    /// Are submodules fetched?
    pub submodules: bool,
    /// What stands before the version in names of tags.
    pub tag_prefix: String,
    /// Is the password sent also to charts on other hosts?
    pub pass_credentials: bool,
}

impl Address {
    /// Of a source; `revision` in place of its own when an operation names one.
    pub fn of(source: &Source, revision: Option<&str>) -> Address {
        Address {
            origin: source.origin(),
            url: source.repo_url().to_owned(),
            revision: revision.unwrap_or(source.target_revision()).to_owned(),
            chart: source.chart().to_owned(),
            signers: None,
            project: String::new(),
            submodules: true,
            tag_prefix: object::get_str(&source.raw, &["tagPrefix"]).unwrap_or_default().to_owned(),
            pass_credentials: object::get(&source.raw, &["helm", "passCredentials"])
                == Some(&object::Value::Bool(true)),
        }
    }

    /// How the commit is checked.
    fn verify(&self) -> Result<Option<Verify>, String> {
        let Some(keys) = &self.signers else { return Ok(None) };
        if keys.is_empty() {
            return Err(
                "the project asks for signed commits, and none of its keys is in argocd-gpg-keys-cm".into()
            );
        }
        let data = keys.iter().enumerate().map(|(at, key)| (format!("{at}.asc"), key.clone().into_bytes()));
        let verify = Verify::from_secret(Mode::Head, &data.collect()).map_err(|error| error.to_string())?;
        Ok(Some(verify))
    }

    fn input(&self) -> Key {
        let signed = self.signers.as_ref().map(|keys| hex::encode(sha2::Sha256::digest(keys.join("\n"))));
        let signed = signed.unwrap_or_default();
        let how =
            format!("{} {} {} {}", self.project, self.submodules, self.pass_credentials, self.tag_prefix);
        let name = format!("{:?} {} {} {} {signed} {how}", self.origin, self.url, self.revision, self.chart);
        Key::new("artifact.argoproj.io", "Repository", "", name)
    }
}

/// What was fetched.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The revision: a commit, a chart's version, a digest.
    pub revision: String,
    /// The files: the repository's, or the chart's own.
    pub tree: Tree,
}

impl Fetched {
    fn identity(&self) -> String {
        format!("{} {}", self.revision, self.tree.digest())
    }
}

#[derive(Default)]
struct State {
    fetched: Option<(Arc<Fetched>, Timestamp)>,
    failed: Option<(String, Timestamp)>,
}

#[derive(Default)]
struct Entry {
    state: tokio::sync::Mutex<State>,
}

/// All repositories of this process.
pub struct Repositories {
    fetcher: Fetcher,
    home: String,
    entries: Mutex<HashMap<Address, Arc<Entry>>>,
    /// The branches that are written, so that those who write one take turns.
    written: Mutex<HashMap<(String, String), Arc<tokio::sync::Mutex<()>>>>,
    folders: Mutex<HashMap<PathBuf, HashSet<Address>>>,
    /// The projects that have repositories of their own, as Secrets last told.
    owners: Mutex<Owners>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn age(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

impl Repositories {
    /// Through a fetcher; credentials are Secrets in the namespace `home`.
    pub fn new(fetcher: Fetcher, home: &str) -> Arc<Repositories> {
        Arc::new(Repositories {
            fetcher,
            home: home.to_owned(),
            entries: Mutex::default(),
            written: Mutex::default(),
            folders: Mutex::default(),
            owners: Mutex::default(),
        })
    }

    /// The fetcher.
    pub fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// What the address holds, not older than `max_age`. The unit of `context` runs again when that changes.
    ///
    /// # Errors
    /// With the line for people.
    pub async fn get(
        self: &Arc<Self>,
        context: &Context,
        address: &Address,
        max_age: Duration,
    ) -> Result<Arc<Fetched>, String> {
        let owner = self.owner(&context.cluster, &address.url, &address.project).await?;
        let address = &Address { project: owner, ..address.clone() };
        self.follow(context, address);
        let entry = lock(&self.entries).entry(address.clone()).or_default().clone();
        // Who waits for a fetch that began after it was asked takes what that one brings: a thousand Applications that
        // are refreshed together fetch once or twice.
        let asked = context.clock().now();
        let mut state = entry.state.lock().await;
        let now = context.clock().now();
        if let Some((fetched, at)) = &state.fetched
            && (age(*at, now) < max_age || *at >= asked)
        {
            context.depend(&address.input(), &fetched.identity());
            return Ok(fetched.clone());
        }
        if let Some((why, at)) = &state.failed
            && (age(*at, now) < FAILED_FOR.min(max_age) || *at >= asked)
        {
            context.depend(&address.input(), "");
            return Err(why.clone());
        }
        match self.renew(context, address, &mut state).await {
            Ok(fetched) => {
                context.depend(&address.input(), &fetched.identity());
                Ok(fetched)
            }
            Err(why) => {
                context.depend(&address.input(), "");
                Err(why)
            }
        }
    }

    async fn renew(
        &self,
        context: &Context,
        address: &Address,
        state: &mut State,
    ) -> Result<Arc<Fetched>, String> {
        let now = context.clock().now();
        match self.fetch(context, address).await {
            Ok(fetched) => {
                let known = state.fetched.as_ref().map(|(known, _)| known.clone());
                let fetched = match known {
                    // The same content keeps its place in memory.
                    Some(known) if known.identity() == fetched.identity() => known,
                    _ => {
                        let fetched = Arc::new(fetched);
                        context.announce(&address.input(), &fetched.identity());
                        fetched
                    }
                };
                state.fetched = Some((fetched.clone(), now));
                state.failed = None;
                Ok(fetched)
            }
            Err(why) => {
                state.failed = Some((why.clone(), now));
                Err(why)
            }
        }
    }

    /// Has edits of the folder that serves the address lead to a new look.
    fn follow(self: &Arc<Self>, context: &Context, address: &Address) {
        let folder = match self.fetcher.maps().find(&plain(&address.url)) {
            Some(mapped) => mapped.path,
            None => match address.url.strip_prefix("file://") {
                Some(path) => path.into(),
                None => return,
            },
        };
        let mut folders = lock(&self.folders);
        let fresh = !folders.contains_key(&folder);
        folders.entry(folder.clone()).or_default().insert(address.clone());
        drop(folders);
        if !fresh {
            return;
        }
        let watcher = match Watcher::start(&folder, QUIET) {
            Ok(watcher) => watcher,
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "edits are seen at the next refresh only");
                return;
            }
        };
        let (weak, context) = (Arc::downgrade(self), context.clone());
        tokio::spawn(async move {
            let mut changes = watcher.changes();
            while changes.changed().await.is_ok() {
                let Some(repositories) = weak.upgrade() else { return };
                let known: Vec<Address> =
                    lock(&repositories.folders).get(&folder).into_iter().flatten().cloned().collect();
                for address in known {
                    let entry = lock(&repositories.entries).entry(address.clone()).or_default().clone();
                    let mut state = entry.state.lock().await;
                    let before = state.failed.take();
                    match repositories.renew(&context, &address, &mut state).await {
                        // Whoever failed is told also when the content is the one of before.
                        Ok(fetched) if before.is_some() => {
                            context.announce(&address.input(), &fetched.identity());
                        }
                        Ok(_) => {}
                        Err(why) => tracing::debug!(%why, "an edited folder cannot be read"),
                    }
                }
            }
        });
    }

    async fn fetch(&self, context: &Context, address: &Address) -> Result<Fetched, String> {
        let said = |error: source::Error| error.to_string();
        match address.origin {
            Origin::Git => self.git(context, address).await,
            Origin::Helm => {
                let access = self.access(&context.cluster, &address.url, &address.project, Use::Read).await?;
                let mut request = source::helm_repo::Request::new(access.helm_url(&address.url));
                request.credentials = access.credentials;
                request.pass_credentials = address.pass_credentials;
                request.insecure = access.plain_http;
                let wanted = self.fetcher.helm_chart(&request, &address.chart, &address.revision);
                let chart = wanted.await.map_err(said)?;
                let limits = *self.fetcher.limits();
                let tree = Tree::from_tar_gz(&chart.archive, &limits).map_err(said)?;
                let tree = tree.subtree(&chart.name).map_err(said)?;
                Ok(Fetched { revision: chart.version, tree })
            }
            Origin::Oci => {
                let access = self.access(&context.cluster, &address.url, &address.project, Use::Read).await?;
                let mut request = source::oci::Request::new(address.url.clone());
                request.credentials = access.credentials;
                request.insecure = access.plain_http;
                request.ignore = Some(NOTHING_IGNORED.into());
                request.reference = oci_reference(&address.revision);
                let artifact = self.fetcher.oci(&request).await.map_err(said)?;
                Ok(Fetched { revision: artifact.revision.digest.clone(), tree: artifact.tree })
            }
        }
    }

    async fn git(&self, context: &Context, address: &Address) -> Result<Fetched, String> {
        let url = plain(&address.url);
        let mapped = self.fetcher.maps().find(&url);
        let mut request = source::git::Request::new(url.clone());
        request.ignore = Some(NOTHING_IGNORED.into());
        request.recurse_submodules = address.submodules;
        request.verify = address.verify()?;
        if mapped.is_none() && !url.starts_with("file://") {
            let access = self.access(&context.cluster, &address.url, &address.project, Use::Read).await?;
            request.credentials = access.credentials;
        }
        let mut first: Option<String> = None;
        for reference in git_references(&address.revision, mapped.is_some()) {
            request.reference = Reference { tag_prefix: address.tag_prefix.clone(), ..reference };
            match self.fetcher.git(&request).await {
                Ok(artifact) => {
                    if request.verify.is_some() && artifact.revision.dirty.is_some() {
                        return Err(
                            "the working copy has changes that nobody has committed and signed".into()
                        );
                    }
                    let revision = match &artifact.revision.dirty {
                        Some(dirty) => format!("{}-dirty.{dirty}", artifact.revision.hex()),
                        None => artifact.revision.hex().to_owned(),
                    };
                    return Ok(Fetched { revision, tree: artifact.tree });
                }
                // The first meaning is the likeliest, so its failure is the one to tell.
                Err(error) => first = first.or(Some(error.to_string())),
            }
        }
        Err(first.unwrap_or_default())
    }

    /// The turn to write a branch.
    pub fn writing(&self, url: &str, branch: &str) -> Arc<tokio::sync::Mutex<()>> {
        lock(&self.written).entry((comparable(url), branch.to_owned())).or_default().clone()
    }
}

/// `git@host:path` as an address with a scheme.
pub fn plain(url: &str) -> String {
    match url.split_once(':') {
        Some((host, path)) if !url.contains("://") && !host.contains('/') => {
            format!("ssh://{host}/{}", path.trim_start_matches('/'))
        }
        _ => url.to_owned(),
    }
}

/// An address as two spellings of the same one compare.
fn comparable(url: &str) -> String {
    let url = plain(url).to_lowercase();
    url.trim_end_matches('/').trim_end_matches(".git").to_owned()
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A range of versions rather than a name?
fn is_range(text: &str) -> bool {
    let operators = text.contains(['*', '>', '<', '=', '~', '^', '|', ',']);
    let wildcard = text.split('.').any(|part| matches!(part, "x" | "X"));
    (operators || (wildcard && text.starts_with(|c: char| c.is_ascii_digit() || c == 'v')))
        && !text.contains('/')
}

/// What a target revision may mean, the likeliest first.
pub(crate) fn git_references(revision: &str, mapped: bool) -> Vec<Reference> {
    let branch = |name: &str| Reference { branch: Some(name.to_owned()), ..Reference::default() };
    let tag = |name: &str| Reference { tag: Some(name.to_owned()), ..Reference::default() };
    let named = |name: &str| Reference { name: Some(name.to_owned()), ..Reference::default() };
    match revision {
        // A checkout stands for its branch, uncommitted edits included.
        "" | "HEAD" if mapped => vec![branch("HEAD"), named("HEAD")],
        "" | "HEAD" => vec![named("HEAD")],
        commit if is_commit(commit) => {
            vec![Reference { commit: Some(commit.to_owned()), ..Reference::default() }]
        }
        range if is_range(range) => {
            vec![Reference { semver: Some(range.to_owned()), ..Reference::default() }]
        }
        full if full.starts_with("refs/") => vec![named(full)],
        name => {
            let version = name.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
            let short = name.len() >= 7 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            let mut tries =
                if version { vec![tag(name), branch(name)] } else { vec![branch(name), tag(name)] };
            if short {
                tries.insert(0, Reference { commit: Some(name.to_owned()), ..Reference::default() });
            }
            tries
        }
    }
}

pub(crate) fn oci_reference(revision: &str) -> source::oci::Reference {
    let mut reference = source::oci::Reference::default();
    match revision {
        "" => reference.tag = Some("latest".into()),
        digest if digest.starts_with("sha256:") => reference.digest = Some(digest.to_owned()),
        range if is_range(range) => reference.semver = Some(range.to_owned()),
        tag => reference.tag = Some(tag.to_owned()),
    }
    reference
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_mean_what_they_look_like() {
        let first = |text: &str| git_references(text, false).into_iter().next().unwrap_or_default();
        assert_eq!(first("").name.as_deref(), Some("HEAD"));
        assert_eq!(first("main").branch.as_deref(), Some("main"));
        assert_eq!(first("v1.2.3").tag.as_deref(), Some("v1.2.3"));
        assert_eq!(first("1.x").semver.as_deref(), Some("1.x"));
        assert_eq!(first(">=1.0.0 <2.0.0").semver.as_deref(), Some(">=1.0.0 <2.0.0"));
        assert!(first("0123456789012345678901234567890123456789").commit.is_some());
        assert_eq!(first("feature/x").branch.as_deref(), Some("feature/x"));
    }

    #[test]
    fn spellings_of_one_repository_compare() {
        assert_eq!(comparable("git@Example.com:a/b.git"), comparable("ssh://git@example.com/a/b"));
        let access = access::Access::default();
        assert_eq!(access.helm_url("ghcr.io/org/charts"), "oci://ghcr.io/org/charts");
        assert_eq!(access.helm_url("https://charts.example.com"), "https://charts.example.com");
    }
}
