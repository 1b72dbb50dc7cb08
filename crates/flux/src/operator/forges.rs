//! What Git forges have: branches, tags, requests, environments, each as an input.

use std::time::Duration;

use serde_json::{Map, json};
use source::Credentials;

use object::Value;

use super::filter::Filter;
use super::inputs;
use crate::common::str_at;

/// Pages of a list.
const MAX_PAGES: usize = 50;
/// One answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Which forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forge {
    GitHub,
    GitLab,
    Gitea,
    AzureDevOps,
}

impl Forge {
    /// The forge of a provider's type, and what of it is listed.
    pub fn of(kind: &str) -> Option<(Forge, &str)> {
        [
            ("GitHub", Forge::GitHub),
            ("GitLab", Forge::GitLab),
            ("Gitea", Forge::Gitea),
            ("AzureDevOps", Forge::AzureDevOps),
        ]
        .into_iter()
        .find_map(|(name, forge)| Some((forge, kind.strip_prefix(name)?)))
    }
}

/// A repository of a forge.
pub(super) struct Repository {
    forge: Forge,
    base: String,
    client: reqwest::Client,
    credentials: Credentials,
}

fn encoded(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F").replace(' ', "%20").replace(['?', '#', '&'], "")
}

/// One thing, without what it does not have.
fn input(fields: &[(&str, &str)], labels: &[String]) -> Map<String, Value> {
    let mut map = Map::new();
    for (name, value) in fields {
        // These two are there in any case.
        if !value.is_empty() || matches!(*name, "id" | "sha") {
            map.insert((*name).to_owned(), json!(value));
        }
    }
    if !labels.is_empty() {
        map.insert("labels".into(), json!(labels));
    }
    map
}

impl Repository {
    /// The repository at an address.
    ///
    /// # Errors
    /// When the address is none of this forge.
    pub fn open(forge: Forge, address: &str, credentials: Credentials) -> Result<Repository, String> {
        let url = url::Url::parse(address).map_err(|_| format!("'{address}' is no URL"))?;
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let root = format!("{}://{host}{port}", url.scheme());
        let path = url.path().trim_matches('/').trim_end_matches(".git").to_owned();
        let base = match forge {
            Forge::GitHub if host == "github.com" => format!("https://api.github.com/repos/{path}"),
            Forge::GitHub => format!("{root}/api/v3/repos/{path}"),
            Forge::GitLab => format!("{root}/api/v4/projects/{}", encoded(&path)),
            Forge::Gitea => format!("{root}/api/v1/repos/{path}"),
            Forge::AzureDevOps => {
                let parts: Vec<&str> = path.split('/').collect();
                let [owner, project, "_git", name] = parts.as_slice() else {
                    return Err(format!(
                        "invalid AzureDevOps URL '{address}': it must be https://HOST/ORGANIZATION/PROJECT/_git/REPOSITORY"
                    ));
                };
                format!("{root}/{owner}/{project}/_apis/git/repositories/{name}")
            }
        };
        let client = source::http_client(&credentials, TIMEOUT).map_err(|error| error.to_string())?;
        Ok(Repository { forge, base, client, credentials })
    }

    async fn ask(&self, url: &str) -> Result<(Value, Option<String>), String> {
        let mut call = self.client.get(url).header("accept", "application/json");
        let token = self.credentials.password.as_deref().unwrap_or_default();
        if let Some(bearer) = &self.credentials.bearer_token {
            call = call.bearer_auth(bearer);
        } else if !token.is_empty() {
            call = match self.forge {
                Forge::GitLab => call.header("PRIVATE-TOKEN", token),
                Forge::Gitea => call.header("Authorization", format!("token {token}")),
                Forge::AzureDevOps => call.basic_auth("", Some(token)),
                Forge::GitHub => call.bearer_auth(token),
            };
        }
        let answer = call.send().await.map_err(|error| error.without_url().to_string())?;
        let next = answer.headers().get("x-ms-continuationtoken");
        let next = next.and_then(|next| next.to_str().ok()).map(str::to_owned);
        // A sign-in page, which Azure sends with a status of success.
        let status = answer.status();
        if !status.is_success() || status.as_u16() == 203 {
            return Err(format!("the server answered {status}"));
        }
        let body = answer.json().await.map_err(|_| "the answer is not JSON".to_owned())?;
        Ok((body, next))
    }

    /// All entries of a list, page by page.
    async fn list(&self, path: &str, query: &str) -> Result<Vec<Value>, String> {
        let mut entries: Vec<Value> = Vec::new();
        let mut token: Option<String> = None;
        for page in 1..=MAX_PAGES {
            let paging = match self.forge {
                Forge::AzureDevOps => {
                    let token =
                        token.as_deref().map(|token| format!("&continuationToken={}", encoded(token)));
                    format!("api-version=7.1&$top=100&$skip={}{}", entries.len(), token.unwrap_or_default())
                }
                Forge::Gitea => format!("limit=50&page={page}"),
                _ => format!("per_page=100&page={page}"),
            };
            let mark = if query.is_empty() { "" } else { "&" };
            let url = format!("{}/{path}?{query}{mark}{paging}", self.base);
            let (answer, next) = self.ask(&url).await.map_err(|why| format!("{}: {why}", self.base))?;
            let list = match self.forge {
                Forge::AzureDevOps => answer.get("value").cloned().unwrap_or_default(),
                _ => answer,
            };
            let list = list.as_array().cloned().unwrap_or_default();
            let full = list.len() >= if self.forge == Forge::Gitea { 50 } else { 100 };
            // Branches of Azure DevOps come all at once.
            let more = full && (self.forge != Forge::AzureDevOps || next.is_some() || path == "pullrequests");
            entries.extend(list);
            token = next;
            if !more {
                break;
            }
        }
        Ok(entries)
    }

    /// All inputs that the filter leaves.
    ///
    /// # Errors
    /// What the forge says, or that it has nothing of this name.
    pub async fn inputs(&self, what: &str, filter: &Filter) -> Result<Vec<Map<String, Value>>, String> {
        let mut found = match what {
            "Branch" => self.branches(filter).await?,
            "Tag" => self.tags(filter).await?,
            "PullRequest" if self.forge != Forge::GitLab => self.requests(filter).await?,
            "MergeRequest" if self.forge == Forge::GitLab => self.requests(filter).await?,
            "Environment" if self.forge == Forge::GitLab => return self.environments(filter).await,
            _ => return Err(format!("{:?} has no list of {what}s", self.forge)),
        };
        if what != "Tag" {
            found.truncate(filter.limit);
        }
        Ok(found)
    }

    async fn branches(&self, filter: &Filter) -> Result<Vec<Map<String, Value>>, String> {
        let path = match self.forge {
            Forge::GitLab => "repository/branches",
            Forge::AzureDevOps => "stats/branches",
            _ => "branches",
        };
        let all = self.list(path, "").await?;
        let wanted = all.iter().filter(|entry| filter.takes(str_at(entry, &["name"])));
        Ok(wanted
            .map(|entry| {
                let name = str_at(entry, &["name"]);
                input(&[("id", &inputs::id(name)), ("sha", commit(entry)), ("branch", name)], &[])
            })
            .collect())
    }

    async fn tags(&self, filter: &Filter) -> Result<Vec<Map<String, Value>>, String> {
        let (path, query) = match self.forge {
            Forge::GitLab => ("repository/tags", ""),
            Forge::AzureDevOps => ("refs", "filter=tags&peelTags=true"),
            _ => ("tags", ""),
        };
        let all = self.list(path, query).await?;
        let named = |entry: &Value| str_at(entry, &["name"]).trim_start_matches("refs/tags/").to_owned();
        let shas: std::collections::BTreeMap<String, String> =
            all.iter().map(|entry| (named(entry), commit(entry).to_owned())).collect();
        let names = filter.tags(shas.keys().cloned().collect());
        let made = names.iter().map(|name| {
            let sha = shas.get(name).map(String::as_str).unwrap_or_default();
            input(&[("id", &inputs::id(name)), ("sha", sha), ("tag", name)], &[])
        });
        Ok(made.collect())
    }

    async fn requests(&self, filter: &Filter) -> Result<Vec<Map<String, Value>>, String> {
        let (path, query) = match self.forge {
            Forge::GitLab => ("merge_requests", "state=opened"),
            Forge::AzureDevOps => ("pullrequests", "searchCriteria.status=active"),
            _ => ("pulls", "state=open"),
        };
        let all = self.list(path, query).await?;
        Ok(all.iter().filter_map(|entry| self.request(entry, filter)).collect())
    }

    fn request(&self, entry: &Value, filter: &Filter) -> Option<Map<String, Value>> {
        let (number, sha, branch, author): (&str, &[&str], &[&str], &[&str]) = match self.forge {
            Forge::GitLab => ("iid", &["sha"], &["source_branch"], &["author", "username"]),
            Forge::AzureDevOps => (
                "pullRequestId",
                &["lastMergeSourceCommit", "commitId"],
                &["sourceRefName"],
                &["createdBy", "displayName"],
            ),
            _ => ("number", &["head", "sha"], &["head", "ref"], &["user", "login"]),
        };
        let branch = str_at(entry, branch).trim_start_matches("refs/heads/");
        let labels: Vec<String> = entry
            .get("labels")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|label| label.as_str().or_else(|| label.get("name")?.as_str()))
            .map(str::to_owned)
            .collect();
        if !filter.takes(branch) || !filter.labelled(&labels) {
            return None;
        }
        let id = entry.get(number).map(Value::to_string).unwrap_or_default();
        let slug = if self.forge == Forge::GitLab { slug(branch) } else { String::new() };
        let fields = [
            ("id", id.as_str()),
            ("sha", str_at(entry, sha)),
            ("branch", branch),
            ("slug", &slug),
            ("author", str_at(entry, author)),
            ("title", str_at(entry, &["title"])),
        ];
        Some(input(&fields, &labels))
    }

    /// Environments, each with what was deployed there last or is about to be.
    async fn environments(&self, filter: &Filter) -> Result<Vec<Map<String, Value>>, String> {
        let mut found = Vec::new();
        for entry in self.list("environments", "").await? {
            let name = str_at(&entry, &["name"]);
            if !filter.takes(name) {
                continue;
            }
            let url = format!(
                "{}/deployments?order_by=created_at&sort=desc&environment={}",
                self.base,
                encoded(name)
            );
            let (deployments, _) = self.ask(&url).await.map_err(|why| format!("{}: {why}", self.base))?;
            let is_there = str_at(&entry, &["state"]) == "available";
            let counts = |status: &str| status == "running" || (is_there && status == "success");
            let last = deployments.as_array().into_iter().flatten();
            let Some(last) = last.into_iter().find(|one| counts(str_at(one, &["status"]))) else { continue };
            let id = entry.get("id").map(Value::to_string).unwrap_or_default();
            let fields = [
                ("id", id.as_str()),
                ("sha", str_at(last, &["deployable", "commit", "id"])),
                ("branch", str_at(last, &["deployable", "ref"])),
                ("slug", str_at(&entry, &["slug"])),
                ("author", str_at(last, &["user", "username"])),
                ("title", name),
            ];
            found.push(input(&fields, &[]));
            if found.len() >= filter.limit {
                break;
            }
        }
        Ok(found)
    }
}

/// The commit that a branch or tag means, in the words of any forge.
fn commit(entry: &Value) -> &str {
    let places: [&[&str]; 5] =
        [&["commit", "sha"], &["commit", "id"], &["commit", "commitId"], &["peeledObjectId"], &["objectId"]];
    places.into_iter().map(|place| str_at(entry, place)).find(|sha| !sha.is_empty()).unwrap_or_default()
}

/// A branch's name as GitLab writes it into addresses.
fn slug(branch: &str) -> String {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let slug: String = branch
        .to_lowercase()
        .chars()
        .map(|letter| if plain(letter) { letter } else { '-' })
        .take(63)
        .collect();
    slug.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::http::{Response, Server};

    fn server() -> Server {
        Server::start(|request| {
            let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
            let query = request.query.as_str();
            let answer = match request.path.as_str() {
                "/api/v4/projects/g%2Fp/merge_requests" if header("private-token") == "t" => {
                    json!([{"iid": 7, "sha": "s", "source_branch": "feat/A_b", "author": {"username": "me"},
                        "title": "T", "labels": ["deploy"]},
                        {"iid": 8, "sha": "s", "source_branch": "x", "author": {"username": "me"}, "labels": []}])
                }
                "/api/v4/projects/g%2Fp/environments" => {
                    json!([{"id": 3, "name": "review/1", "slug": "review-1", "state": "stopped"},
                        {"id": 4, "name": "prod", "slug": "prod", "state": "available"}])
                }
                "/api/v4/projects/g%2Fp/deployments" if query.contains("review%2F1") => {
                    json!([{"status": "success", "deployable": {"ref": "old", "commit": {"id": "0"}}}])
                }
                "/api/v4/projects/g%2Fp/deployments" => {
                    json!([{"status": "failed"}, {"status": "success", "user": {"username": "me"},
                        "deployable": {"ref": "main", "commit": {"id": "1"}}}])
                }
                "/o/p/_apis/git/repositories/r/refs" if header("authorization") == "Basic OnQ=" => {
                    json!({"value": [{"name": "refs/tags/v1.0.0", "objectId": "a", "peeledObjectId": "b"},
                        {"name": "refs/tags/v2.0.0", "objectId": "c"}]})
                }
                "/o/p/_apis/git/repositories/r/stats/branches" => {
                    json!({"value": [{"name": "main", "commit": {"commitId": "a"}}]})
                }
                "/o/p/_apis/git/repositories/r/pullrequests" => {
                    json!({"value": [{"pullRequestId": 5, "sourceRefName": "refs/heads/f", "title": "T",
                        "lastMergeSourceCommit": {"commitId": "a"}, "createdBy": {"displayName": "Me"},
                        "labels": [{"name": "deploy"}]}]})
                }
                _ => return Response::new(404, "{}"),
            };
            Response::new(200, answer.to_string())
        })
    }

    async fn listed(forge: Forge, path: &str, what: &str, filter: Value) -> Result<Value, String> {
        let server = server();
        let credentials = Credentials { password: Some("t".into()), ..Credentials::default() };
        let repository = Repository::open(forge, &format!("{}/{path}", server.url()), credentials)?;
        let filter = Filter::new(&json!({"filter": filter}))?;
        Ok(json!(repository.inputs(what, &filter).await?))
    }

    #[tokio::test]
    async fn gitlab() {
        let found = listed(Forge::GitLab, "g/p.git", "MergeRequest", json!({"labels": ["deploy"]})).await;
        let wanted = json!([{"id": "7", "sha": "s", "branch": "feat/A_b", "slug": "feat-a-b", "author": "me",
            "title": "T", "labels": ["deploy"]}]);
        assert_eq!(found.unwrap(), wanted);
        let found = listed(Forge::GitLab, "g/p", "Environment", json!({})).await;
        let wanted = json!([{"id": "4", "sha": "1", "branch": "main", "slug": "prod", "author": "me", "title": "prod"}]);
        assert_eq!(found.unwrap(), wanted);
        assert!(listed(Forge::GitLab, "g/p", "PullRequest", json!({})).await.is_err());
    }

    #[tokio::test]
    async fn azure() {
        let path = "o/p/_git/r";
        let found = listed(Forge::AzureDevOps, path, "Tag", json!({"semver": "1.x"})).await.unwrap();
        assert_eq!(
            (&found[0]["tag"], &found[0]["sha"], found.as_array().unwrap().len()),
            (&json!("v1.0.0"), &json!("b"), 1)
        );
        let found = listed(Forge::AzureDevOps, path, "Branch", json!({})).await.unwrap();
        assert_eq!((&found[0]["branch"], &found[0]["sha"]), (&json!("main"), &json!("a")));
        let found = listed(Forge::AzureDevOps, path, "PullRequest", json!({})).await.unwrap();
        let wanted = json!([{"id": "5", "sha": "a", "branch": "f", "author": "Me", "title": "T", "labels": ["deploy"]}]);
        assert_eq!(found, wanted);
        assert!(listed(Forge::AzureDevOps, "o/p/r", "Tag", json!({})).await.unwrap_err().contains("_git"));
    }
}
