//! Azure DevOps.

use base64::Engine as _;
use object::{Value, get};

use super::door::{Asked, Door, Http};
use super::github::labelled;
use super::{Api, Change, Listed, Repo, text, texts};

const VERSION: (&str, &str) = ("api-version", "7.0");

async fn http(door: &Door<'_>, token: &str) -> Result<Http, String> {
    let base = match door.text("api") {
        api if api.is_empty() => door.addresses.azure.clone(),
        api => api,
    };
    let login = door.secret(&[token]).await?.map(|token| {
        let both = base64::engine::general_purpose::STANDARD.encode(format!(":{token}"));
        ("Authorization", format!("Basic {both}"))
    });
    door.client(&base, login.into_iter().collect()).await
}

fn short(name: String) -> String {
    name.strip_prefix("refs/heads/").map_or(name.clone(), str::to_owned)
}

/// Repositories of a project of a team.
pub(super) async fn repositories(door: &Door<'_>) -> Result<Listed, String> {
    let http = http(door, "accessTokenRef").await?;
    let (organization, project) = (door.needed("organization")?, door.needed("teamProject")?);
    let segments = [organization.as_str(), &project, "_apis", "git", "repositories"];
    let found = http.one(&segments, &[VERSION]).await?.ok_or("the project is not found")?;
    let list = found.get("value").and_then(Value::as_array).ok_or("the answer holds no list")?;
    let repos = list
        .iter()
        // One without any commit has no branch.
        .filter(|item| !text(item, &["defaultBranch"]).is_empty())
        .map(|item| Repo {
            organization: text(item, &["project", "name"]),
            name: text(item, &["name"]),
            id: item.get("id").cloned().unwrap_or_default(),
            url: text(item, &["remoteUrl"]),
            branch: short(text(item, &["defaultBranch"])),
            ..Repo::default()
        })
        .collect();
    Ok(Listed { repos, api: Box::new(Azure { http, organization, project }) })
}

struct Azure {
    http: Http,
    organization: String,
    project: String,
}

impl Azure {
    fn below<'a>(&'a self, repo: &'a Repo, rest: &[&'a str]) -> Vec<&'a str> {
        let base = [self.organization.as_str(), &self.project, "_apis", "git", "repositories", &repo.name];
        [&base[..], rest].concat()
    }
}

impl Api for Azure {
    fn branches<'a>(&'a self, repo: &'a Repo, all: bool) -> Asked<'a, Vec<Repo>> {
        Box::pin(async move {
            let segments = self.below(repo, &["stats", "branches"]);
            let found: Vec<Value> = if all {
                let found = self.http.one(&segments, &[VERSION]).await?.unwrap_or_default();
                found.get("value").and_then(Value::as_array).cloned().ok_or("the answer holds no list")?
            } else {
                let query = [("name", repo.branch.as_str()), VERSION];
                self.http.one(&segments, &query).await?.into_iter().collect()
            };
            let of = |item: &Value| Repo {
                branch: text(item, &["name"]),
                sha: text(item, &["commit", "commitId"]),
                ..repo.clone()
            };
            Ok(found.iter().map(of).collect())
        })
    }

    fn has_path<'a>(&'a self, repo: &'a Repo, path: &'a str) -> Asked<'a, bool> {
        Box::pin(async move {
            let path = format!("/{path}");
            let query = [("path", path.as_str()), ("versionDescriptor.version", &repo.branch), VERSION];
            self.http.exists(&self.below(repo, &["items"]), &query).await
        })
    }
}

/// Active change requests of a repository.
pub(super) async fn changes(door: &Door<'_>) -> Result<Vec<Change>, String> {
    let http = http(door, "tokenRef").await?;
    let (organization, project, repo) =
        (door.needed("organization")?, door.needed("project")?, door.needed("repo")?);
    let segments = [organization.as_str(), &project, "_apis", "git", "repositories", &repo, "pullrequests"];
    let found = http.skipped(&segments, &[("searchCriteria.status", "active"), VERSION]).await?;
    let of = |item: &Value| {
        let author = text(item, &["createdBy", "uniqueName"]);
        Change {
            number: get(item, &["pullRequestId"]).and_then(Value::as_i64).unwrap_or_default(),
            title: text(item, &["title"]),
            branch: short(text(item, &["sourceRefName"])),
            target: short(text(item, &["targetRefName"])),
            sha: text(item, &["lastMergeSourceCommit", "commitId"]),
            author: author.split('@').next().unwrap_or_default().to_owned(),
            labels: texts(item, "labels"),
        }
    };
    Ok(found.iter().map(of).filter(|change| labelled(door.block, change)).collect())
}
