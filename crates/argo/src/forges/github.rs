//! GitHub and GitHub Enterprise.

use object::{Value, get, get_str};

use super::door::{Asked, Door, Http};
use super::{Api, Change, Listed, Repo, address, flag, text, texts};

async fn http(door: &Door<'_>) -> Result<Http, String> {
    let base = match door.text("api") {
        api if api.is_empty() => door.addresses.github.clone(),
        api => api,
    };
    let app = door.text("appSecretName");
    let token =
        if app.is_empty() { door.secret(&["tokenRef"]).await? } else { Some(app_token(door, &app).await?) };
    let mut headers = vec![("X-GitHub-Api-Version", "2022-11-28".to_owned())];
    headers.extend(token.map(|token| ("Authorization", format!("Bearer {token}"))));
    door.client(&base, headers).await
}

/// The token of an installation of a GitHub App.
async fn app_token(door: &Door<'_>, secret: &str) -> Result<String, String> {
    let mut data = std::collections::BTreeMap::new();
    for key in ["githubAppID", "githubAppInstallationID", "githubAppPrivateKey"] {
        data.insert(key.to_owned(), door.secrets.get("Secret", secret, key).await?.into_bytes());
    }
    if let Ok(base) = door.secrets.get("Secret", secret, "githubAppEnterpriseBaseUrl").await {
        data.insert("githubAppBaseURL".to_owned(), base.into_bytes());
    } else if !door.text("api").is_empty() {
        data.insert("githubAppBaseURL".to_owned(), door.text("api").into_bytes());
    }
    door.secrets.app(data).await
}

/// Repositories of an organization.
pub(super) async fn repositories(door: &Door<'_>) -> Result<Listed, String> {
    let http = http(door).await?;
    let organization = door.needed("organization")?;
    let found = http.numbered(&["orgs", &organization, "repos"], &[], ("per_page", 100)).await?;
    let mut repos = Vec::new();
    for item in found {
        if flag(door.block, "excludeArchivedRepos") && flag(&item, "archived") {
            continue;
        }
        repos.push(Repo {
            organization: text(&item, &["owner", "login"]),
            name: text(&item, &["name"]),
            id: item.get("id").cloned().unwrap_or_default(),
            url: address("GitHub", door.spec, text(&item, &["ssh_url"]), text(&item, &["clone_url"]))?,
            branch: text(&item, &["default_branch"]),
            labels: texts(&item, "topics"),
            sha: String::new(),
        });
    }
    Ok(Listed { repos, api: Box::new(GitHub(http)) })
}

struct GitHub(Http);

impl Api for GitHub {
    fn branches<'a>(&'a self, repo: &'a Repo, all: bool) -> Asked<'a, Vec<Repo>> {
        Box::pin(async move {
            let base = ["repos", &repo.organization, &repo.name, "branches"];
            self.0.branches(&base, repo, all, ("per_page", 100), "sha").await
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
    let found =
        http.numbered(&["repos", &owner, &repo, "pulls"], &[("state", "open")], ("per_page", 100)).await?;
    Ok(found.iter().map(change).filter(|change| labelled(door.block, change)).collect())
}

/// Is there a file or folder at the path of the branch, as GitHub and Gitea tell?
pub(super) async fn has_content(http: &Http, repo: &Repo, path: &str) -> Result<bool, String> {
    let mut segments = vec!["repos", &repo.organization, &repo.name, "contents"];
    segments.extend(path.split('/'));
    http.exists(&segments, &[("ref", &repo.branch)]).await
}

/// Does a change have all labels that are asked for?
pub(super) fn labelled(block: &Value, change: &Change) -> bool {
    texts(block, "labels").iter().all(|label| change.labels.contains(label))
}

/// A change request as GitHub and Gitea tell of it.
pub(super) fn change(item: &Value) -> Change {
    Change {
        number: get(item, &["number"]).and_then(Value::as_i64).unwrap_or_default(),
        title: text(item, &["title"]),
        branch: text(item, &["head", "ref"]),
        target: text(item, &["base", "ref"]),
        sha: text(item, &["head", "sha"]),
        author: get_str(item, &["user", "login"]).unwrap_or_default().to_owned(),
        labels: texts(item, "labels"),
    }
}
