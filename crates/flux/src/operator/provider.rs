//! ResourceSetInputProvider: inputs from its spec, from a registry's tags, or from a Git forge.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::EventType;
use controller::{Cause, Context, Description, Kind, Outcome};
use futures::future::BoxFuture;
use object::{Gvk, Value, get};
use regex::Regex;
use serde_json::{Map, json};
use source::oci::Request;

use super::{every, gvk, inputs, is_disabled};
use crate::common::{self, Pass, bool_at, sha256, str_at, strings_at};
use crate::options::Shared;
use crate::sources::credentials;

pub(super) struct Providers {
    pub shared: Arc<Shared>,
}

impl Kind for Providers {
    fn gvk(&self) -> Gvk {
        gvk("ResourceSetInputProvider")
    }

    fn describe(&self, object: &Value) -> Description {
        let mut description = common::describe(object);
        description.suspended = is_disabled(object);
        description
    }

    fn trigger(&self, object: &Value) -> String {
        super::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let mut pass = Pass::new(context, object, super::MANAGER);
            let done = self.steps(&mut pass).await;
            pass.outcome(done, Duration::from_secs(300))
        })
    }
}

/// Why nothing is exported: the line, and whether only a changed spec can help.
struct Failure(String, bool);

fn passing(why: impl Into<String>) -> Failure {
    Failure(why.into(), false)
}

/// Pages of a forge's list.
const MAX_PAGES: usize = 50;

impl Providers {
    async fn steps(&self, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
        if pass.is_deleted() {
            pass.remove_finalizer().await?;
            return Ok(Outcome::done());
        }
        pass.ensure_finalizer().await?;
        if is_disabled(&pass.object) {
            return Ok(Outcome::done());
        }
        let limit = every(&pass.object, "reconcileTimeout", Duration::from_secs(120));
        let context = pass.context.clone();
        let exported = tokio::select! {
            exported = tokio::time::timeout(limit, self.export(pass)) => exported,
            () = context.cancel.cancelled() => return Ok(Outcome::preempted()),
        };
        let exported = exported.unwrap_or_else(|_| Err(passing(format!("no answer within {limit:?}"))));
        match exported {
            Ok(exported) => {
                pass.set(&["lastExportedRevision"], json!(sha256(json!(exported).to_string())));
                pass.set(&["exportedInputs"], json!(exported));
                pass.succeed("ReconciliationSucceeded", "Reconciliation finished");
                pass.write().await?;
                Ok(Outcome::after(every(&pass.object, "reconcileEvery", Duration::from_secs(600))))
            }
            Err(Failure(why, stalled)) => {
                let before = pass.ready_message();
                if stalled {
                    pass.stall("InvalidProvider", &why);
                } else {
                    pass.fail("ReconciliationFailed", &why);
                    pass.observe_generation();
                }
                if before != why {
                    pass.event(EventType::Warning, "ReconciliationFailed", &why, "");
                }
                pass.write().await?;
                Ok(Outcome::retry(Duration::from_secs(300), Cause::new(why)))
            }
        }
    }

    async fn export(&self, pass: &Pass) -> Result<Vec<Value>, Failure> {
        let kind = str_at(&pass.object, &["spec", "type"]).to_owned();
        let defaults = get(&pass.object, &["spec", "defaultValues"]).and_then(Value::as_object).cloned();
        let defaults = defaults.unwrap_or_default();
        let mut found = match kind.as_str() {
            "Static" => vec![json!({"id": inputs::id(object::meta::uid(&pass.object))})],
            "OCIArtifactTag" => self.tags(pass).await?,
            "ExternalService" => self.external(pass).await?,
            _ => {
                let forge = ["GitHub", "GitLab", "Gitea"].into_iter().find(|forge| kind.starts_with(forge));
                let forge = forge.ok_or_else(|| {
                    Failure(format!("the input provider type '{kind}' cannot be served yet"), true)
                })?;
                self.forge(pass, forge, kind.strip_prefix(forge).unwrap_or_default()).await?
            }
        };
        for input in &mut found {
            if let Some(map) = input.as_object_mut() {
                for (key, value) in &defaults {
                    map.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        Ok(found)
    }

    async fn tags(&self, pass: &Pass) -> Result<Vec<Value>, Failure> {
        let url = str_at(&pass.object, &["spec", "url"]);
        if !url.starts_with("oci://") {
            return Err(Failure(format!("'{url}' is no oci:// address"), true));
        }
        let mut request = Request::new(url);
        request.credentials = credentials(pass).await.map_err(|failure| passing(failure.message))?;
        request.insecure = bool_at(&pass.object, &["spec", "insecure"]);
        let tags = self
            .shared
            .options
            .fetcher
            .oci_tags(&request)
            .await
            .map_err(|error| passing(error.to_string()))?;
        let tags = self.filtered(pass, "Tag", tags)?;
        let mut found = Vec::new();
        for tag in tags {
            request.reference.tag = Some(tag.clone());
            let digest = self.shared.options.fetcher.oci_digest(&request).await;
            let digest = digest.map_err(|error| passing(error.to_string()))?;
            found.push(json!({"id": inputs::id(&tag), "tag": tag, "digest": digest}));
        }
        Ok(found)
    }

    /// What a service answers: JSON with a list of `inputs`, each with its `id`.
    async fn external(&self, pass: &Pass) -> Result<Vec<Value>, Failure> {
        const MOST: usize = 900 * 1024;
        let url = str_at(&pass.object, &["spec", "url"]);
        let insecure = bool_at(&pass.object, &["spec", "insecure"]);
        let allowed = url.starts_with("https://") || (insecure && url.starts_with("http://"));
        if !allowed {
            return Err(Failure(format!("'{url}' is no https:// address"), true));
        }
        let given = credentials(pass).await.map_err(|failure| passing(failure.message))?;
        let client = source::http_client(&given, Duration::from_secs(30))
            .map_err(|error| passing(error.to_string()))?;
        let mut call = client.get(url);
        if let Some(token) = &given.bearer_token {
            call = call.bearer_auth(token);
        } else if let Some(user) = &given.username {
            call = call.basic_auth(user, given.password.as_deref());
        }
        let answer = call.send().await.map_err(|error| passing(error.without_url().to_string()))?;
        if !answer.status().is_success() {
            return Err(passing(format!("{url}: the server answered {}", answer.status())));
        }
        let body = answer.bytes().await.map_err(|error| passing(error.without_url().to_string()))?;
        if body.len() > MOST {
            return Err(passing(format!("{url}: the answer is larger than 900 KiB")));
        }
        let answer: Value =
            serde_json::from_slice(&body).map_err(|_| passing(format!("{url}: the answer is not JSON")))?;
        let inputs = answer.get("inputs").and_then(Value::as_array).cloned();
        let inputs = inputs.ok_or_else(|| passing(format!("{url}: the answer has no list of inputs")))?;
        let named = |input: &Value| input.get("id").is_some_and(Value::is_string);
        if !inputs.iter().all(named) {
            return Err(passing(format!("{url}: an input has no id")));
        }
        Ok(inputs.into_iter().take(self.limit(pass)).collect())
    }

    /// The names that the filter leaves, at most as many as it allows, newest versions first.
    fn filtered(&self, pass: &Pass, what: &str, names: Vec<String>) -> Result<Vec<String>, Failure> {
        let filter = get(&pass.object, &["spec", "filter"]).cloned().unwrap_or_default();
        let pattern = |field: String| -> Result<Option<Regex>, Failure> {
            let text = str_at(&filter, &[&field]);
            if text.is_empty() {
                return Ok(None);
            }
            Regex::new(text)
                .map(Some)
                .map_err(|_| Failure(format!("invalid regex '{text}' in filter.{field}"), true))
        };
        let (include, exclude) = (pattern(format!("include{what}"))?, pattern(format!("exclude{what}"))?);
        let mut kept: Vec<String> = names
            .into_iter()
            .filter(|name| include.as_ref().is_none_or(|pattern| pattern.is_match(name)))
            .filter(|name| !exclude.as_ref().is_some_and(|pattern| pattern.is_match(name)))
            .collect();
        let range = str_at(&filter, &["semver"]);
        if !range.is_empty() {
            let mut rest = std::mem::take(&mut kept);
            // The best of what is left, again and again: newest first.
            while let Some(best) = source::best_version(range, rest.iter().map(String::as_str))
                .map_err(|error| Failure(error.to_string(), true))?
                .map(str::to_owned)
            {
                rest.retain(|name| *name != best);
                kept.push(best);
            }
        } else if what == "Tag" {
            kept.sort();
            kept.reverse();
        }
        kept.truncate(self.limit(pass));
        Ok(kept)
    }

    fn limit(&self, pass: &Pass) -> usize {
        let limit = object::get_i64(&pass.object, &["spec", "filter", "limit"]).unwrap_or(100);
        usize::try_from(limit).unwrap_or(100)
    }

    async fn forge(&self, pass: &Pass, forge: &str, what: &str) -> Result<Vec<Value>, Failure> {
        let address = str_at(&pass.object, &["spec", "url"]);
        let url = url::Url::parse(address).map_err(|_| Failure(format!("'{address}' is no URL"), true))?;
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let root = format!("{}://{host}{port}", url.scheme());
        let id = url.path().trim_matches('/').trim_end_matches(".git").to_owned();
        let base = match forge {
            "GitHub" if host == "github.com" => format!("https://api.github.com/repos/{id}"),
            "GitHub" => format!("{root}/api/v3/repos/{id}"),
            "GitLab" => format!("{root}/api/v4/projects/{}", id.replace('/', "%2F")),
            _ => format!("{root}/api/v1/repos/{id}"),
        };
        let given = credentials(pass).await.map_err(|failure| passing(failure.message))?;
        let token = given.password.clone().unwrap_or_default();
        let client = source::http_client(&given, Duration::from_secs(30))
            .map_err(|error| passing(error.to_string()))?;
        let path = match (forge, what) {
            ("GitLab", "MergeRequest") => "merge_requests?state=opened&",
            ("GitLab", "Branch") => "repository/branches?",
            ("GitLab", "Tag") => "repository/tags?",
            (_, "PullRequest") => "pulls?state=open&",
            (_, "Branch") => "branches?",
            (_, "Tag") => "tags?",
            _ => {
                return Err(Failure(
                    format!("the input provider type '{forge}{what}' cannot be served yet"),
                    true,
                ));
            }
        };
        let mut entries: Vec<Value> = Vec::new();
        for page in 1..=MAX_PAGES {
            let mut call = client.get(format!("{base}/{path}per_page=100&limit=50&page={page}"));
            if !token.is_empty() {
                call = match forge {
                    "GitLab" => call.header("PRIVATE-TOKEN", &token),
                    "Gitea" => call.header("Authorization", format!("token {token}")),
                    _ => call.bearer_auth(&token),
                };
            }
            let answer = call.send().await.map_err(|error| passing(error.without_url().to_string()))?;
            if !answer.status().is_success() {
                return Err(passing(format!("{root}: the server answered {}", answer.status())));
            }
            let list: Value =
                answer.json().await.map_err(|_| passing(format!("{root}: the answer is not JSON")))?;
            let list = list.as_array().cloned().unwrap_or_default();
            let last = list.len() < if forge == "Gitea" { 50 } else { 100 };
            entries.extend(list);
            if last {
                break;
            }
        }
        match what {
            "Branch" | "Tag" => self.named(pass, what, &entries),
            _ => self.requests(pass, forge, &entries),
        }
    }

    fn named(&self, pass: &Pass, what: &str, entries: &[Value]) -> Result<Vec<Value>, Failure> {
        let field = what.to_lowercase();
        let mut shas: BTreeMap<String, String> = BTreeMap::new();
        for entry in entries {
            let commit = entry.get("commit").cloned().unwrap_or_default();
            let sha =
                [str_at(&commit, &["sha"]), str_at(&commit, &["id"])].into_iter().find(|sha| !sha.is_empty());
            shas.insert(str_at(entry, &["name"]).to_owned(), sha.unwrap_or_default().to_owned());
        }
        let names = self.filtered(pass, what, shas.keys().cloned().collect())?;
        Ok(names
            .into_iter()
            .map(|name| {
                let sha = shas.get(&name).cloned().unwrap_or_default();
                let mut map = Map::new();
                map.insert("id".into(), json!(inputs::id(&name)));
                map.insert("sha".into(), json!(sha));
                map.insert(field.clone(), json!(name));
                Value::Object(map)
            })
            .collect())
    }

    fn requests(&self, pass: &Pass, forge: &str, entries: &[Value]) -> Result<Vec<Value>, Failure> {
        let wanted = strings_at(&pass.object, &["spec", "filter", "labels"]);
        let skipped = strings_at(&pass.object, &["spec", "skip", "labels"]);
        let mut found = Vec::new();
        for entry in entries {
            let labels: Vec<String> = entry
                .get("labels")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|label| label.as_str().or_else(|| label.get("name")?.as_str()))
                .map(str::to_owned)
                .collect();
            // A skipped label with `!` in front must be there.
            let skip = skipped.iter().any(|label| match label.strip_prefix('!') {
                Some(label) => !labels.iter().any(|own| own == label),
                None => labels.contains(label),
            });
            if skip || !wanted.iter().all(|label| labels.contains(label)) {
                continue;
            }
            let (number, sha, branch, author) = match forge {
                "GitLab" => (
                    "iid",
                    str_at(entry, &["sha"]),
                    str_at(entry, &["source_branch"]),
                    str_at(entry, &["author", "username"]),
                ),
                _ => (
                    "number",
                    str_at(entry, &["head", "sha"]),
                    str_at(entry, &["head", "ref"]),
                    str_at(entry, &["user", "login"]),
                ),
            };
            let id = entry.get(number).map(Value::to_string).unwrap_or_default();
            found.push(json!({
                "id": id, "sha": sha, "branch": branch, "author": author,
                "title": str_at(entry, &["title"]), "labels": labels,
            }));
        }
        let branches = found.iter().map(|input| str_at(input, &["branch"]).to_owned()).collect();
        let kept = self.filtered(pass, "Branch", branches)?;
        found.retain(|input| kept.iter().any(|branch| branch == str_at(input, &["branch"])));
        found.truncate(self.limit(pass));
        Ok(found)
    }
}
