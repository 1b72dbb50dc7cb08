//! Gitea and Forgejo.

use super::door::{Asked, Door, Http};
use super::github::{change, has_content, labelled};
use super::{Api, Change, Listed, Repo, address, text, texts};

/// The page size that servers allow without being told otherwise.
const PAGE: (&str, usize) = ("limit", 50);

async fn http(door: &Door<'_>) -> Result<Http, String> {
    let base = door.needed("api")?;
    let base = base.trim_end_matches('/').trim_end_matches("/api/v1").to_owned() + "/api/v1";
    let token = door.secret(&["tokenRef"]).await?;
    let headers = token.map(|token| ("Authorization", format!("token {token}")));
    door.client(&base, headers.into_iter().collect()).await
}

/// Repositories of an organization.
pub(super) async fn repositories(door: &Door<'_>) -> Result<Listed, String> {
    let http = http(door).await?;
    let owner = door.needed("owner")?;
    let found = http.numbered(&["orgs", &owner, "repos"], &[], PAGE).await?;
    let mut repos = Vec::new();
    for item in found {
        let (organization, name) = (text(&item, &["owner", "login"]), text(&item, &["name"]));
        let labels = http.numbered(&["repos", &organization, &name, "labels"], &[], PAGE).await?;
        repos.push(Repo {
            url: address("Gitea", door.spec, text(&item, &["ssh_url"]), text(&item, &["html_url"]))?,
            id: item.get("id").cloned().unwrap_or_default(),
            branch: text(&item, &["default_branch"]),
            labels: texts(&serde_json::json!({ "labels": labels }), "labels"),
            sha: String::new(),
            organization,
            name,
        });
    }
    Ok(Listed { repos, api: Box::new(Gitea(http)) })
}

struct Gitea(Http);

impl Api for Gitea {
    fn branches<'a>(&'a self, repo: &'a Repo, all: bool) -> Asked<'a, Vec<Repo>> {
        Box::pin(async move {
            let base = ["repos", &repo.organization, &repo.name, "branches"];
            self.0.branches(&base, repo, all, PAGE, "id").await
        })
    }

    fn has_path<'a>(&'a self, repo: &'a Repo, path: &'a str) -> Asked<'a, bool> {
        Box::pin(async move { has_content(&self.0, repo, path).await })
    }
}

/// Open change requests of a repository.
pub(super) async fn changes(door: &Door<'_>) -> Result<Vec<Change>, String> {
    let http = http(door).await?;
    let (owner, repo) = (door.needed("owner")?, door.needed("repo")?);
    let found = http.numbered(&["repos", &owner, &repo, "pulls"], &[("state", "open")], PAGE).await?;
    Ok(found.iter().map(change).filter(|change| labelled(door.block, change)).collect())
}
