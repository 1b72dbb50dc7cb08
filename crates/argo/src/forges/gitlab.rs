//! GitLab.

use object::{Value, get};

use super::door::{Asked, Door, Http};
use super::{Api, Change, Listed, Repo, address, flag, text, texts};

async fn http(door: &Door<'_>) -> Result<Http, String> {
    let base = match door.text("api") {
        api if api.is_empty() => door.addresses.gitlab.clone(),
        api => api,
    };
    let base = base.trim_end_matches('/').trim_end_matches("/api/v4").to_owned() + "/api/v4";
    let token = door.secret(&["tokenRef"]).await?;
    door.client(&base, token.map(|token| ("PRIVATE-TOKEN", token)).into_iter().collect()).await
}

/// Projects of a group.
pub(super) async fn repositories(door: &Door<'_>) -> Result<Listed, String> {
    let http = http(door).await?;
    let group = door.needed("group")?;
    let yes = |held: bool| if held { "true" } else { "false" };
    let shared = door.block.get("includeSharedProjects") != Some(&Value::Bool(false));
    let topic = door.text("topic");
    let mut query =
        vec![("include_subgroups", yes(flag(door.block, "includeSubgroups"))), ("with_shared", yes(shared))];
    // Without it archived ones are not listed.
    if flag(door.block, "includeArchivedRepos") {
        query.push(("archived", "true"));
    }
    if !topic.is_empty() {
        query.push(("topic", &topic));
    }
    let found = http.numbered(&["groups", &group, "projects"], &query, ("per_page", 100)).await?;
    let mut repos = Vec::new();
    for item in found {
        let labels = texts(&item, "topics");
        repos.push(Repo {
            organization: text(&item, &["namespace", "full_path"]),
            name: text(&item, &["path"]),
            id: item.get("id").cloned().unwrap_or_default(),
            url: address(
                "Gitlab",
                door.spec,
                text(&item, &["ssh_url_to_repo"]),
                text(&item, &["http_url_to_repo"]),
            )?,
            branch: text(&item, &["default_branch"]),
            labels: if labels.is_empty() { texts(&item, "tag_list") } else { labels },
            sha: String::new(),
        });
    }
    Ok(Listed { repos, api: Box::new(GitLab(http)) })
}

struct GitLab(Http);

impl Api for GitLab {
    fn branches<'a>(&'a self, repo: &'a Repo, all: bool) -> Asked<'a, Vec<Repo>> {
        Box::pin(async move {
            // A project without any commit has no branch.
            if repo.branch.is_empty() && !all {
                return Ok(Vec::new());
            }
            let id = repo.id.to_string();
            let base = ["projects", &id, "repository", "branches"];
            self.0.branches(&base, repo, all, ("per_page", 100), "id").await
        })
    }

    fn has_path<'a>(&'a self, repo: &'a Repo, path: &'a str) -> Asked<'a, bool> {
        Box::pin(async move {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let id = repo.id.to_string();
            let segments = ["projects", &id, "repository", "tree"];
            let query = [("path", folder), ("ref", repo.branch.as_str())];
            // A folder that is not there is a 404, and holds nothing.
            if !self.0.exists(&segments, &query).await? {
                return Ok(false);
            }
            let found = self.0.numbered(&segments, &query, ("per_page", 100)).await?;
            Ok(found.iter().any(|entry| text(entry, &["name"]) == name))
        })
    }
}

/// Merge requests of a project.
pub(super) async fn changes(door: &Door<'_>) -> Result<Vec<Change>, String> {
    let http = http(door).await?;
    let project = match door.block.get("project") {
        Some(Value::Number(number)) => number.to_string(),
        _ => door.needed("project")?,
    };
    let (labels, state) = (texts(door.block, "labels").join(","), door.text("pullRequestState"));
    let mut query = Vec::new();
    if !labels.is_empty() {
        query.push(("labels", labels.as_str()));
    }
    if !state.is_empty() {
        query.push(("state", state.as_str()));
    }
    let found = http.numbered(&["projects", &project, "merge_requests"], &query, ("per_page", 100)).await?;
    let of = |item: &Value| Change {
        number: get(item, &["iid"]).and_then(Value::as_i64).unwrap_or_default(),
        title: text(item, &["title"]),
        branch: text(item, &["source_branch"]),
        target: text(item, &["target_branch"]),
        sha: text(item, &["sha"]),
        author: text(item, &["author", "username"]),
        labels: texts(item, "labels"),
    };
    Ok(found.iter().map(of).collect())
}
