//! Statuses of commits at Git forges.

use object::{Value, meta};
use serde_json::json;

use super::event::Event;
use super::provider::{Call, Target};
use crate::cel;
use crate::common::str_at;

/// Does the type set statuses?
pub(super) fn is_for(kind: &str) -> bool {
    matches!(kind, "github" | "gitlab" | "gitea" | "bitbucket" | "bitbucketserver" | "azuredevops")
}

/// A forge's API and the repository in it.
pub(super) struct Api {
    pub base: String,
    pub id: String,
}

/// `https://host` and `owner/repository` of a clone address.
fn split(address: &str) -> Result<(String, String), String> {
    let url = url::Url::parse(address).map_err(|_| "the provider's address is no URL")?;
    let scheme = if url.scheme() == "ssh" { "https" } else { url.scheme() };
    let host = url.host_str().ok_or("the provider's address has no host")?;
    let port = match (url.scheme(), url.port()) {
        ("ssh", _) | (_, None) => String::new(),
        (_, Some(port)) => format!(":{port}"),
    };
    let id = url.path().trim_matches('/');
    Ok((format!("{scheme}://{host}{port}"), id.strip_suffix(".git").unwrap_or(id).to_owned()))
}

fn two_parts(id: &str) -> Result<(&str, &str), String> {
    id.split_once('/')
        .filter(|(_, repository)| !repository.contains('/'))
        .ok_or_else(|| format!("invalid repository id {id:?}"))
}

/// GitHub's API: its own, or the one below an enterprise server.
pub(super) fn github_api(address: &str) -> Result<Api, String> {
    let (host, id) = split(address)?;
    two_parts(&id)?;
    let base =
        if host == "https://github.com" { "https://api.github.com".into() } else { format!("{host}/api/v3") };
    Ok(Api { base, id })
}

pub(super) fn gitea_api(address: &str) -> Result<Api, String> {
    let (host, id) = split(address)?;
    two_parts(&id)?;
    Ok(Api { base: format!("{host}/api/v1"), id })
}

pub(super) fn gitlab_api(address: &str) -> Result<Api, String> {
    let (host, id) = split(address)?;
    Ok(Api { base: format!("{host}/api/v4"), id: id.replace('/', "%2F") })
}

/// The name of the status: of the object and the provider, or as `commitStatusExpr` says.
pub(super) fn context(provider: &Value, alert: &Value, event: &Event) -> Result<String, String> {
    let expression = str_at(provider, &["spec", "commitStatusExpr"]);
    if !expression.is_empty() {
        let event = event.json();
        let variables = [("event", &event), ("alert", alert), ("provider", provider)];
        return cel::string(expression, &variables).map_err(|error| error.to_string());
    }
    let uid = meta::uid(provider).split('-').next().unwrap_or_default().to_owned();
    let about = &event.involved_object;
    Ok(format!("{}/{}/{uid}", about.kind, about.name).to_lowercase())
}

/// Sets the status of the event's commit, unless it is that already.
pub(super) async fn post(target: &Target, event: &Event) -> Result<(), String> {
    if event.reason == "Progressing" {
        return Ok(());
    }
    let commit = event.commit()?;
    match target.kind.as_str() {
        "github" => github(target, event, &commit).await,
        "gitlab" => gitlab(target, event, &commit).await,
        "gitea" => gitea(target, event, &commit).await,
        "bitbucket" => bitbucket(target, event, &commit).await,
        "bitbucketserver" => bitbucket_server(target, event, &commit).await,
        _ => azure(target, event, &commit).await,
    }
}

fn state<'t>(event: &Event, good: &'t str, bad: &'t str) -> Result<&'t str, String> {
    match event.severity.as_str() {
        "info" => Ok(good),
        "error" => Ok(bad),
        other => Err(format!("severity {other} is no state of a commit")),
    }
}

fn need_token(target: &Target) -> Result<(), String> {
    if target.token.is_empty() { Err("the token cannot be empty".into()) } else { Ok(()) }
}

/// Is the newest status of this name already so?
fn is_set(statuses: &Value, name: (&str, &str), wanted: &[(&str, &str)]) -> bool {
    let own = statuses.as_array().into_iter().flatten().find(|status| str_at(status, &[name.0]) == name.1);
    own.is_some_and(|status| wanted.iter().all(|(field, value)| str_at(status, &[field]) == *value))
}

async fn github(target: &Target, event: &Event, commit: &str) -> Result<(), String> {
    need_token(target)?;
    let api = github_api(&target.address)?;
    let state = state(event, "success", "failure")?;
    let description = event.description();
    let call = |call: Call| call.header("Accept", "application/vnd.github+json").bearer(&target.token);
    let list = format!("{}/repos/{}/commits/{commit}/statuses?per_page=50", api.base, api.id);
    let known = target.post(call(Call::get(list))).await?.json();
    if is_set(&known, ("context", &target.status), &[("state", state), ("description", &description)]) {
        return Ok(());
    }
    let body = json!({"state": state, "context": target.status, "description": description});
    let url = format!("{}/repos/{}/statuses/{commit}", api.base, api.id);
    target.post(call(Call::json(url, &body))).await.map(|_| ())
}

async fn gitea(target: &Target, event: &Event, commit: &str) -> Result<(), String> {
    need_token(target)?;
    let api = gitea_api(&target.address)?;
    let state = state(event, "success", "failure")?;
    let description = event.description();
    let call = |call: Call| call.header("Authorization", format!("token {}", target.token));
    let list = format!("{}/repos/{}/commits/{commit}/statuses?limit=50", api.base, api.id);
    let known = target.post(call(Call::get(list))).await?.json();
    if is_set(&known, ("context", &target.status), &[("status", state), ("description", &description)]) {
        return Ok(());
    }
    let body = json!({"state": state, "context": target.status, "description": description, "target_url": target.address});
    let url = format!("{}/repos/{}/statuses/{commit}", api.base, api.id);
    target.post(call(Call::json(url, &body))).await.map(|_| ())
}

fn query(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn gitlab(target: &Target, event: &Event, commit: &str) -> Result<(), String> {
    need_token(target)?;
    let api = gitlab_api(&target.address)?;
    let state = state(event, "success", "failed")?;
    let description = event.description();
    let call = |call: Call| call.header("PRIVATE-TOKEN", target.token.clone());
    let list = format!(
        "{}/projects/{}/repository/commits/{commit}/statuses?{}",
        api.base,
        api.id,
        query(&[("name", &target.status)])
    );
    let known = target.post(call(Call::get(list))).await?.json();
    if is_set(&known, ("name", &target.status), &[("status", state), ("description", &description)]) {
        return Ok(());
    }
    let body = json!({"name": target.status, "description": description, "state": state});
    let url = format!("{}/projects/{}/statuses/{commit}", api.base, api.id);
    target.post(call(Call::json(url, &body))).await.map(|_| ())
}

/// Keys have at most 40 letters there.
fn short_key(status: &str) -> String {
    hex::encode(<sha1::Sha1 as sha1::Digest>::digest(status))
}

async fn bitbucket(target: &Target, event: &Event, commit: &str) -> Result<(), String> {
    let (user, password) =
        target.token.split_once(':').ok_or("invalid token format, expected to be <user>:<password>")?;
    let (host, id) = split(&target.address)?;
    let (owner, repository) = two_parts(&id)?;
    let base = if host == "https://bitbucket.org" { "https://api.bitbucket.org".to_owned() } else { host };
    let state = state(event, "SUCCESSFUL", "FAILED")?;
    let (key, description) = (short_key(&target.status), event.description());
    let at = format!("{base}/2.0/repositories/{owner}/{repository}/commit/{commit}/statuses/build");
    let known = target.send(Call::get(format!("{at}/{key}")).basic(user, password)).await?;
    match known.status {
        200..=299 => {
            let known = known.json();
            if str_at(&known, &["state"]) == state && str_at(&known, &["description"]) == description {
                return Ok(());
            }
        }
        404 => {}
        status => return Err(format!("could not get commit status: the server answered {status}")),
    }
    let body = json!({
        "state": state, "key": key, "name": event.name(), "description": description, "url": "https://bitbucket.org",
    });
    target.post(Call::json(at, &body).basic(user, password)).await.map(|_| ())
}

async fn bitbucket_server(target: &Target, event: &Event, commit: &str) -> Result<(), String> {
    if target.token.is_empty() && (target.username.is_empty() || target.password.is_empty()) {
        return Err("invalid credentials, expected to be one of username/password or API Token".into());
    }
    let (host, id) = split(&target.address)?;
    let (before, id) = id.rsplit_once("scm/").ok_or("the address is no http(s) git clone url")?;
    let (project, repository) = two_parts(id)?;
    let before = before.trim_end_matches('/');
    let prefix = if before.is_empty() { String::new() } else { format!("/{before}") };
    let state = state(event, "SUCCESSFUL", "FAILED")?;
    let (key, description) = (short_key(&target.status), event.description());
    let name = format!("{} [{description}]", event.name());
    let call = |call: Call| {
        let call = call.header("x-atlassian-token", "no-check").header("x-requested-with", "XMLHttpRequest");
        match target.token.as_str() {
            "" => call.basic(&target.username, &target.password),
            token => call.bearer(token),
        }
    };
    let at = format!(
        "{host}{prefix}/rest/api/latest/projects/{project}/repos/{repository}/commits/{commit}/builds"
    );
    let known = target.send(call(Call::get(format!("{at}?key={key}")))).await?;
    if known.status >= 400 && known.status != 404 {
        return Err(format!("could not get existing commit status: the server answered {}", known.status));
    }
    let wanted = [("key", &*key), ("state", state), ("description", &*description), ("name", &*name)];
    let known = known.json();
    if wanted.iter().all(|(field, value)| str_at(&known, &[field]) == *value) {
        return Ok(());
    }
    let body =
        json!({"key": key, "state": state, "url": target.address, "description": description, "name": name});
    target.post(call(Call::json(at, &body))).await.map(|_| ())
}

async fn azure(target: &Target, event: &Event, commit: &str) -> Result<(), String> {
    need_token(target)?;
    let (host, id) = split(&target.address)?;
    let parts: Vec<&str> = id.split('/').collect();
    let [organisation, project, "_git", repository] = parts.as_slice() else {
        return Err(format!("invalid repository id {id:?}"));
    };
    let state = state(event, "succeeded", "error")?;
    let description = event.description();
    let at = format!(
        "{host}/{organisation}/{project}/_apis/git/repositories/{repository}/commits/{commit}/statuses?api-version=7.0"
    );
    let known = target.post(Call::get(at.as_str()).basic("", &target.token)).await?.json();
    let same = |status: &&Value| {
        str_at(status, &["context", "name"]) == target.status
            && str_at(status, &["context", "genre"]) == "fluxcd"
    };
    let newest = known.get("value").and_then(Value::as_array).into_iter().flatten().find(same);
    let is_so =
        |known: &Value| str_at(known, &["state"]) == state && str_at(known, &["description"]) == description;
    if newest.is_some_and(is_so) {
        return Ok(());
    }
    let body = json!({
        "state": state, "description": description, "context": {"genre": "fluxcd", "name": target.status},
    });
    target.post(Call::json(at, &body).basic("", &target.token)).await.map(|_| ())
}
