//! Bitbucket Cloud and Bitbucket Server (Data Center).

use base64::Engine as _;
use object::{Value, get};

use super::door::{Asked, Door, Http};
use super::{Api, Change, Listed, Repo, address, text};

/// The clone address of one of these names.
fn clone_link(item: &Value, names: &[&str]) -> String {
    let links = get(item, &["links", "clone"]).and_then(Value::as_array).into_iter().flatten();
    let found = links.into_iter().find(|link| names.contains(&text(link, &["name"]).as_str()));
    found.map(|link| text(link, &["href"])).unwrap_or_default()
}

fn link(forge: &str, door: &Door<'_>, item: &Value) -> Result<String, String> {
    address(forge, door.spec, clone_link(item, &["ssh"]), clone_link(item, &["https", "http"]))
}

/// Repositories of a workspace.
pub(super) async fn cloud_repositories(door: &Door<'_>) -> Result<Listed, String> {
    let (owner, user) = (door.needed("owner")?, door.text("user"));
    let password = door.secret(&["appPasswordRef"]).await?;
    let login = password.map(|password| {
        let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        ("Authorization", format!("Basic {both}"))
    });
    let http = door.client(&door.addresses.bitbucket, login.into_iter().collect()).await?;
    let found = http.linked(&["repositories", &owner], &[("pagelen", "100"), ("role", "member")]).await?;
    let mut repos = Vec::new();
    for item in found {
        repos.push(Repo {
            organization: owner.clone(),
            name: text(&item, &["name"]),
            id: item.get("uuid").cloned().unwrap_or_default(),
            url: link("bitbucket cloud", door, &item)?,
            branch: text(&item, &["mainbranch", "name"]),
            ..Repo::default()
        });
    }
    Ok(Listed { repos, api: Box::new(Cloud(http)) })
}

struct Cloud(Http);

impl Api for Cloud {
    fn branches<'a>(&'a self, repo: &'a Repo, all: bool) -> Asked<'a, Vec<Repo>> {
        Box::pin(async move {
            let base = ["repositories", &repo.organization, &repo.name, "refs", "branches"];
            let found = if all {
                self.0.linked(&base, &[("pagelen", "100")]).await?
            } else {
                let one = [&base[..], &[&repo.branch]].concat();
                self.0.one(&one, &[]).await?.into_iter().collect()
            };
            let of = |item: &Value| Repo {
                branch: text(item, &["name"]),
                sha: text(item, &["target", "hash"]),
                ..repo.clone()
            };
            Ok(found.iter().map(of).collect())
        })
    }

    fn has_path<'a>(&'a self, repo: &'a Repo, path: &'a str) -> Asked<'a, bool> {
        Box::pin(async move {
            let mut segments = vec!["repositories", &repo.organization, &repo.name, "src", &repo.sha];
            segments.extend(path.split('/'));
            self.0.exists(&segments, &[("format", "meta")]).await
        })
    }
}

/// Open change requests of a repository in the cloud.
pub(super) async fn cloud_changes(door: &Door<'_>) -> Result<Vec<Change>, String> {
    let base = match door.text("api") {
        api if api.is_empty() => door.addresses.bitbucket.clone(),
        api => api,
    };
    let login = door.bitbucket_login().await?.map(|login| ("Authorization", login));
    let http = door.client(&base, login.into_iter().collect()).await?;
    let (owner, repo) = (door.needed("owner")?, door.needed("repo")?);
    let segments = ["repositories", &owner, &repo, "pullrequests"];
    let found = http.linked(&segments, &[("state", "OPEN"), ("pagelen", "50")]).await?;
    let of = |item: &Value| Change {
        number: get(item, &["id"]).and_then(Value::as_i64).unwrap_or_default(),
        title: text(item, &["title"]),
        branch: text(item, &["source", "branch", "name"]),
        target: text(item, &["destination", "branch", "name"]),
        sha: text(item, &["source", "commit", "hash"]),
        author: text(item, &["author", "nickname"]),
        labels: Vec::new(),
    };
    Ok(found.iter().map(of).collect())
}

async fn server(door: &Door<'_>) -> Result<Http, String> {
    let base = door.needed("api")?;
    let base = base.trim_end_matches('/').trim_end_matches("/rest").to_owned() + "/rest/api/1.0";
    let login = door.bitbucket_login().await?.map(|login| ("Authorization", login));
    door.client(&base, login.into_iter().collect()).await
}

/// Repositories of a project.
pub(super) async fn server_repositories(door: &Door<'_>) -> Result<Listed, String> {
    let http = server(door).await?;
    let project = door.needed("project")?;
    let found = http.started(&["projects", &project, "repos"], &[]).await?;
    let mut repos = Vec::new();
    for item in found {
        repos.push(Repo {
            organization: text(&item, &["project", "key"]),
            name: text(&item, &["slug"]),
            id: item.get("id").cloned().unwrap_or_default(),
            url: link("Bitbucket Server", door, &item)?,
            ..Repo::default()
        });
    }
    Ok(Listed { repos, api: Box::new(Server(http)) })
}

struct Server(Http);

impl Api for Server {
    fn branches<'a>(&'a self, repo: &'a Repo, all: bool) -> Asked<'a, Vec<Repo>> {
        Box::pin(async move {
            let base = ["projects", &repo.organization, "repos", &repo.name, "branches"];
            let found = if all {
                self.0.started(&base, &[]).await?
            } else {
                let one = [&base[..], &["default"]].concat();
                // A repository without any commit has no branch, and says so with an empty answer.
                self.0.one(&one, &[]).await?.into_iter().filter(Value::is_object).collect()
            };
            let of = |item: &Value| Repo {
                branch: text(item, &["displayId"]),
                sha: text(item, &["latestCommit"]),
                ..repo.clone()
            };
            Ok(found.iter().map(of).collect())
        })
    }

    fn has_path<'a>(&'a self, repo: &'a Repo, path: &'a str) -> Asked<'a, bool> {
        Box::pin(async move {
            let mut segments = vec!["projects", &repo.organization, "repos", &repo.name, "browse"];
            segments.extend(path.split('/'));
            self.0.exists(&segments, &[("at", &repo.sha), ("limit", "1")]).await
        })
    }
}

/// Open change requests of a repository of a server.
pub(super) async fn server_changes(door: &Door<'_>) -> Result<Vec<Change>, String> {
    let http = server(door).await?;
    let (project, repo) = (door.needed("project")?, door.needed("repo")?);
    let segments = ["projects", &project, "repos", &repo, "pull-requests"];
    let found = http.started(&segments, &[("state", "OPEN")]).await?;
    let of = |item: &Value| Change {
        number: get(item, &["id"]).and_then(Value::as_i64).unwrap_or_default(),
        title: text(item, &["title"]),
        branch: text(item, &["fromRef", "displayId"]),
        target: text(item, &["toRef", "displayId"]),
        sha: text(item, &["fromRef", "latestCommit"]),
        author: text(item, &["author", "user", "name"]),
        labels: Vec::new(),
    };
    Ok(found.iter().map(of).collect())
}
