//! Forges' APIs: repositories (`scmProvider`) and open change requests (`pullRequest`) as sets of parameters.
//!
//! Every answer is read to its last page; whatever fails on the way is an error of the whole, never a shorter list.

mod azure;
mod bitbucket;
mod door;
mod filters;
mod gitea;
mod github;
mod gitlab;
mod plugin;

use object::{Value, get_str};
use serde_json::json;

use crate::applicationset::{sanitize, slugify};
use door::Door;
pub use door::Secrets;
use filters::{Requested, Wanted};
pub use plugin::plugin;

/// Most entries that a forge may list.
const MAX_ENTRIES: usize = 10_000;
/// The longest slug of a branch.
const SLUG: usize = 50;

/// Where the forges' public services answer.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// GitHub's API.
    pub github: String,
    /// GitLab.
    pub gitlab: String,
    /// Bitbucket Cloud's API.
    pub bitbucket: String,
    /// Azure DevOps.
    pub azure: String,
}

impl Default for Addresses {
    fn default() -> Addresses {
        Addresses {
            github: "https://api.github.com".into(),
            gitlab: "https://gitlab.com".into(),
            bitbucket: "https://api.bitbucket.org/2.0".into(),
            azure: "https://dev.azure.com".into(),
        }
    }
}

/// A repository at one of its branches.
#[derive(Debug, Clone, Default)]
struct Repo {
    organization: String,
    name: String,
    id: Value,
    url: String,
    branch: String,
    sha: String,
    labels: Vec<String>,
}

impl Repo {
    fn params(&self) -> Value {
        json!({
            "organization": self.organization, "repository": self.name, "repository_id": self.id, "url": self.url,
            "branch": self.branch, "branchNormalized": sanitize(&self.branch), "sha": self.sha,
            "short_sha": first(&self.sha, 8), "short_sha_7": first(&self.sha, 7), "labels": self.labels.join(","),
        })
    }
}

/// An open change request.
#[derive(Debug, Clone, Default)]
struct Change {
    number: i64,
    title: String,
    branch: String,
    target: String,
    sha: String,
    author: String,
    labels: Vec<String>,
}

impl Change {
    fn params(&self) -> Value {
        json!({
            "number": self.number.to_string(), "title": self.title, "branch": self.branch,
            "branch_slug": slugify(SLUG, false, &self.branch), "target_branch": self.target,
            "target_branch_slug": slugify(SLUG, false, &self.target), "head_sha": self.sha,
            "head_short_sha": first(&self.sha, 8), "head_short_sha_7": first(&self.sha, 7),
            "author": self.author, "labels": self.labels,
        })
    }
}

fn first(sha: &str, length: usize) -> String {
    sha.chars().take(length).collect()
}

fn text(value: &Value, path: &[&str]) -> String {
    get_str(value, path).unwrap_or_default().to_owned()
}

fn texts(value: &Value, field: &str) -> Vec<String> {
    let list = value.get(field).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| item.as_str().or_else(|| get_str(item, &["name"]))).map(str::to_owned).collect()
}

fn flag(value: &Value, field: &str) -> bool {
    value.get(field) == Some(&Value::Bool(true))
}

/// The ssh or the https address of a repository, as `cloneProtocol` says.
fn address(forge: &str, spec: &Value, ssh: String, https: String) -> Result<String, String> {
    match get_str(spec, &["cloneProtocol"]).unwrap_or_default() {
        "" | "ssh" => Ok(ssh),
        "https" => Ok(https),
        other => Err(format!("unknown clone protocol for {forge} {other}")),
    }
}

/// One of the forges.
enum Forge {
    GitHub,
    GitLab,
    Gitea,
    Bitbucket,
    BitbucketServer,
    Azure,
}

fn forge_of<'a>(spec: &'a Value, names: &[(&str, Forge)]) -> Result<(usize, &'a Value), String> {
    let found = names.iter().position(|(name, _)| spec.get(*name).is_some_and(Value::is_object));
    if spec.get("awsCodeCommit").is_some_and(Value::is_object) {
        return Err("awsCodeCommit signs in through AWS, which is not done here".into());
    }
    let at = found.ok_or("no SCM provider implementation configured")?;
    let block = names.get(at).and_then(|(name, _)| spec.get(*name)).unwrap_or(&Value::Null);
    Ok((at, block))
}

/// The address of its own that a generator asks, if it names one.
pub fn api(spec: &Value) -> String {
    let blocks = spec.as_object().into_iter().flatten().map(|(_, block)| block);
    blocks
        .filter_map(|block| get_str(block, &["api"]))
        .find(|api| !api.is_empty())
        .unwrap_or_default()
        .to_owned()
}

/// The sets of a `scmProvider` generator.
///
/// # Errors
/// When the forge cannot be asked, or a filter cannot be read.
pub async fn repositories(
    spec: &Value,
    addresses: &Addresses,
    secrets: &dyn Secrets,
) -> Result<Vec<Value>, String> {
    let names = [
        ("github", Forge::GitHub),
        ("gitlab", Forge::GitLab),
        ("gitea", Forge::Gitea),
        ("bitbucketServer", Forge::BitbucketServer),
        ("azureDevOps", Forge::Azure),
        ("bitbucket", Forge::Bitbucket),
    ];
    let (at, block) = forge_of(spec, &names)?;
    let wanted = Wanted::parse(spec)?;
    let door = Door { spec, block, addresses, secrets };
    let listed = match names.get(at).map(|(_, forge)| forge) {
        Some(Forge::GitHub) => github::repositories(&door).await,
        Some(Forge::GitLab) => gitlab::repositories(&door).await,
        Some(Forge::Gitea) => gitea::repositories(&door).await,
        Some(Forge::Bitbucket) => bitbucket::cloud_repositories(&door).await,
        Some(Forge::BitbucketServer) => bitbucket::server_repositories(&door).await,
        Some(Forge::Azure) | None => azure::repositories(&door).await,
    };
    let listed = listed.map_err(|why| format!("error listing repos: {why}"))?;
    let mut made = Vec::new();
    for repo in listed.repos.iter().filter(|repo| wanted.is_about(repo)) {
        let branches = listed
            .api
            .branches(repo, flag(block, "allBranches"))
            .await
            .map_err(|why| format!("error getting branches of {}: {why}", repo.name))?;
        for branch in branches {
            if wanted.keeps(&branch, listed.api.as_ref()).await? {
                made.push(branch.params());
            }
            if made.len() > MAX_ENTRIES {
                return Err(format!("the forge lists more than {MAX_ENTRIES} repositories"));
            }
        }
    }
    Ok(made)
}

/// The sets of a `pullRequest` generator.
///
/// # Errors
/// When the forge cannot be asked, or a filter cannot be read.
pub async fn changes(
    spec: &Value,
    addresses: &Addresses,
    secrets: &dyn Secrets,
) -> Result<Vec<Value>, String> {
    let names = [
        ("github", Forge::GitHub),
        ("gitlab", Forge::GitLab),
        ("gitea", Forge::Gitea),
        ("bitbucketServer", Forge::BitbucketServer),
        ("bitbucket", Forge::Bitbucket),
        ("azuredevops", Forge::Azure),
    ];
    let (at, block) =
        forge_of(spec, &names).map_err(|why| why.replace("SCM provider", "Pull Request provider"))?;
    let requested = Requested::parse(spec)?;
    let door = Door { spec, block, addresses, secrets };
    let listed = match names.get(at).map(|(_, forge)| forge) {
        Some(Forge::GitHub) => github::changes(&door).await,
        Some(Forge::GitLab) => gitlab::changes(&door).await,
        Some(Forge::Gitea) => gitea::changes(&door).await,
        Some(Forge::Bitbucket) => bitbucket::cloud_changes(&door).await,
        Some(Forge::BitbucketServer) => bitbucket::server_changes(&door).await,
        Some(Forge::Azure) | None => azure::changes(&door).await,
    };
    let listed = match listed {
        // Who asks for it takes a repository that is gone, or not there yet, for one without change requests.
        Err(why) if why.ends_with(door::NOT_FOUND) && flag(spec, "continueOnRepoNotFoundError") => Vec::new(),
        listed => listed.map_err(|why| format!("error listing repos: {why}"))?,
    };
    let kept = listed.iter().filter(|change| requested.keeps(change));
    Ok(kept.map(Change::params).collect())
}

/// What can be asked about one repository.
trait Api: Send + Sync {
    /// Its branches, or only the one that it begins with; none when that does not exist.
    fn branches<'a>(&'a self, repo: &'a Repo, all: bool) -> door::Asked<'a, Vec<Repo>>;
    /// Is there a file or folder at the path of the branch?
    fn has_path<'a>(&'a self, repo: &'a Repo, path: &'a str) -> door::Asked<'a, bool>;
}

/// What a forge lists.
struct Listed {
    repos: Vec<Repo>,
    api: Box<dyn Api>,
}
