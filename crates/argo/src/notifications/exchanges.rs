//! Services that are told in several requests: Rocket.Chat, GitHub, Amazon's queues and Google's topics.

use std::collections::BTreeMap;

use base64::Engine as _;
use delivery::fields::{bool_at, list_at, str_at};
use object::{Value, get};
use reqwest::Method;
use serde_json::json;
use source::Fetcher;
use source::sign::{self, AwsKeys, AwsRequest};

use super::Due;

/// How much of an answer is read.
const MAX_ANSWER: usize = 4 << 20;
/// The longest description of a commit's status or a deployment.
const DESCRIPTION: usize = 140;
/// The longest comment.
const COMMENT: usize = 65_536;

/// A service, what is to be told, and whereby.
pub(super) struct Exchange<'a> {
    pub client: &'a reqwest::Client,
    pub fetcher: &'a Fetcher,
    pub service: &'a Value,
    pub due: &'a Due,
    pub application: &'a Value,
}

type Header<'a> = (&'a str, String);

impl Exchange<'_> {
    fn set(&self, field: &str) -> &str {
        str_at(self.service, &[field])
    }

    fn needed(&self, field: &str) -> Result<&str, String> {
        match self.set(field) {
            "" => Err(format!("{field} is missing")),
            value => Ok(value),
        }
    }

    fn or<'v>(&'v self, field: &str, default: &'v str) -> &'v str {
        let own = self.set(field);
        (if own.is_empty() { default } else { own }).trim_end_matches('/')
    }

    fn message(&self) -> &str {
        str_at(&self.due.notification, &["message"])
    }

    /// One request with JSON. Errors name neither the address, which may hold a token, nor what was sent.
    async fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[Header<'_>],
        body: Option<String>,
    ) -> Result<Value, (Option<u16>, String)> {
        let mut request = self.client.request(method, url).header("Accept", "application/json");
        let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let Some(body) = body {
            if !typed {
                request = request.header("Content-Type", "application/json");
            }
            request = request.body(body);
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await.map_err(|error| (None, error.without_url().to_string()))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| (None, error.without_url().to_string()))?;
        if !status.is_success() {
            return Err((Some(status.as_u16()), format!("the service answered {status}")));
        }
        let bytes = bytes.get(..bytes.len().min(MAX_ANSWER)).unwrap_or_default();
        Ok(serde_json::from_slice(bytes).unwrap_or_default())
    }

    async fn post(&self, url: &str, headers: &[Header<'_>], body: &Value) -> Result<Value, String> {
        self.call(Method::POST, url, headers, Some(body.to_string())).await.map_err(|(_, why)| why)
    }

    /// Signs in with a password, and posts to a channel (`#`), a person (`@`) or a room.
    pub async fn rocketchat(&self) -> Result<(), String> {
        let base = self.or("serverUrl", "https://open.rocket.chat").to_owned();
        let login = json!({"user": self.needed("email")?, "password": self.needed("password")?});
        let signed = self.post(&format!("{base}/api/v1/login"), &[], &login).await?;
        let headers = [
            ("X-Auth-Token", str_at(&signed, &["data", "authToken"]).to_owned()),
            ("X-User-Id", str_at(&signed, &["data", "userId"]).to_owned()),
        ];
        let to = self.due.recipient.as_str();
        let room = if to.starts_with(['#', '@']) { "channel" } else { "roomId" };
        let mut body = json!({room: to, "text": self.message()});
        let icon = self.set("icon");
        for (field, value, fits) in [
            ("alias", self.set("alias"), true),
            ("emoji", icon, icon.len() > 2 && icon.starts_with(':') && icon.ends_with(':')),
            ("avatar", self.set("avatar"), self.set("avatar").starts_with("http")),
        ] {
            if fits && !value.is_empty() {
                body[field] = json!(value);
            }
        }
        let attachments = str_at(&self.due.notification, &["rocketchat", "attachments"]);
        if !attachments.is_empty() {
            let parsed = yaml::from_str(attachments).map_err(|error| format!("attachments: {error}"))?;
            body["attachments"] = parsed;
        }
        let said = self.post(&format!("{base}/api/v1/chat.postMessage"), &headers, &body).await?;
        match bool_at(&said, &["success"]) {
            true => Ok(()),
            false => Err(format!("the service refused: {}", str_at(&said, &["error"]))),
        }
    }

    /// Puts the message into a queue; the recipient may name another one than the service.
    pub async fn awssqs(&self) -> Result<(), String> {
        let region = self.needed("region")?;
        let queue = match self.due.recipient.as_str() {
            "" => self.needed("queue")?,
            named => named,
        };
        let keys = AwsKeys {
            access: self.needed("key")?.to_owned(),
            secret: self.needed("secret")?.to_owned(),
            session: None,
        };
        let default = format!("https://sqs.{region}.amazonaws.com");
        let base = self.or("endpointUrl", &default).to_owned();
        let mut wanted = json!({"QueueName": queue});
        if !self.set("account").is_empty() {
            wanted["QueueOwnerAWSAccountId"] = json!(self.set("account"));
        }
        let found = self.sqs(&base, region, &keys, "GetQueueUrl", &wanted).await?;
        let url = str_at(&found, &["QueueUrl"]);
        let mut body = json!({"QueueUrl": url, "MessageBody": self.message()});
        let own = get(&self.due.notification, &["awssqs"]).unwrap_or(&Value::Null);
        let attributes = get(own, &["messageAttributes"]).and_then(Value::as_object);
        for (name, value) in attributes.into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            body["MessageAttributes"][name] = json!({"DataType": "String", "StringValue": text});
        }
        for (field, name) in
            [("messageGroupId", "MessageGroupId"), ("messageDeduplicationId", "MessageDeduplicationId")]
        {
            let above = str_at(&self.due.notification, &[field]);
            let value = match str_at(own, &[field]) {
                "" => above,
                own => own,
            };
            if !value.is_empty() {
                body[name] = json!(value);
            }
        }
        self.sqs(&base, region, &keys, "SendMessage", &body).await.map(|_| ())
    }

    async fn sqs(
        &self,
        base: &str,
        region: &str,
        keys: &AwsKeys,
        action: &str,
        body: &Value,
    ) -> Result<Value, String> {
        let url = url::Url::parse(base).map_err(|error| format!("endpointUrl: {error}"))?;
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let text = body.to_string();
        let (kind, target) = ("application/x-amz-json-1.0", format!("AmazonSQS.{action}"));
        let time = sign::aws_time();
        let request = AwsRequest {
            method: "POST",
            host: &host,
            path: "/",
            query: &[],
            headers: &[("content-type", kind), ("x-amz-target", &target)],
            body: text.as_bytes(),
            region,
            service: "sqs",
            time: &time,
        };
        let mut headers: Vec<(String, String)> = sign::aws(&request, keys);
        for (name, value) in [("content-type", kind), ("x-amz-target", target.as_str())] {
            if !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        let headers: Vec<Header<'_>> =
            headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let done = self.call(Method::POST, &format!("{base}/"), &headers, Some(text)).await;
        done.map_err(|(_, why)| format!("{action}: {why}"))
    }

    /// Publishes to a topic, as the service account whose key stands in a file.
    pub async fn pubsub(&self) -> Result<(), String> {
        let topic = match self.due.recipient.as_str() {
            "" => self.needed("topic")?,
            named => named,
        };
        let project = self.needed("project")?;
        let file = match self.set("keyFile") {
            "" => return Err("keyFile is missing: the credentials of the machine are not asked for".into()),
            file => file.to_owned(),
        };
        let key = tokio::fs::read(&file).await.map_err(|error| format!("keyFile: {error}"))?;
        let account: Value =
            serde_json::from_slice(&key).map_err(|_| "keyFile: it holds no key of a service account")?;
        let base = self.or("apiURL", "https://pubsub.googleapis.com");
        let token = self.google(&account, "https://www.googleapis.com/auth/pubsub").await?;
        let data = base64::engine::general_purpose::STANDARD.encode(self.message());
        let mut message = json!({ "data": data });
        if let Some(attributes) = get(&self.due.notification, &["gcppubsub", "attributes"]) {
            message["attributes"] = attributes.clone();
        }
        let url = format!("{base}/v1/projects/{project}/topics/{topic}:publish");
        let headers = [("Authorization", format!("Bearer {token}"))];
        self.post(&url, &headers, &json!({ "messages": [message] })).await.map(|_| ())
    }

    async fn google(&self, account: &Value, scope: &str) -> Result<String, String> {
        let uri = match str_at(account, &["token_uri"]) {
            "" => "https://oauth2.googleapis.com/token",
            given => given,
        };
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({
            "iss": str_at(account, &["client_email"]), "scope": scope, "aud": uri, "iat": now, "exp": now + 3600,
        });
        let jwt = sign::jwt(&claims, str_at(account, &["private_key"]).as_bytes());
        let jwt = jwt.map_err(|error| format!("keyFile: {error}"))?;
        let form = sign::query(&[
            ("assertion", &jwt),
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ]);
        let headers = [("Content-Type", "application/x-www-form-urlencoded".to_owned())];
        let answer = self.call(Method::POST, uri, &headers, Some(form)).await.map_err(|(_, why)| why)?;
        match str_at(&answer, &["access_token"]) {
            "" => Err("no token for the service account".into()),
            token => Ok(token.to_owned()),
        }
    }

    /// A commit's status, a deployment, a check or a comment on change requests, as a GitHub App.
    pub async fn github(&self) -> Result<(), String> {
        let own = get(&self.due.notification, &["github"]).filter(|own| own.is_object());
        let own = own.ok_or("the templates say nothing for github")?;
        let or = |field: &str, path: &[&str]| match str_at(own, &[field]) {
            "" => str_at(self.application, path).to_owned(),
            given => given.to_owned(),
        };
        let address = or("repoURLPath", &["spec", "source", "repoURL"]);
        let revision = or("revisionPath", &["status", "operationState", "syncResult", "revision"]);
        let repo =
            repository(&address).ok_or_else(|| format!("{address:?} names no repository of GitHub"))?;
        let base = self.or("enterpriseBaseURL", "https://api.github.com").to_owned();
        let hub = Hub {
            exchange: self,
            token: self.app(&base).await?,
            repo: format!("{base}/repos/{repo}"),
            revision,
        };
        let block = |field: &str| get(own, &[field]).filter(|block| block.is_object());
        if let Some(status) = block("status") {
            hub.status(status).await?;
        }
        if let Some(deployment) = block("deployment") {
            hub.deployment(deployment).await?;
        }
        if let Some(comment) = block("pullRequestComment") {
            hub.comment(comment).await?;
        }
        if let Some(check) = block("checkRun") {
            hub.check(check).await?;
        }
        Ok(())
    }

    async fn app(&self, base: &str) -> Result<String, String> {
        let text = |field: &str| {
            let value = get(self.service, &[field]).cloned().unwrap_or_default();
            value.as_str().map_or_else(|| value.to_string(), str::to_owned).into_bytes()
        };
        let data = BTreeMap::from([
            ("githubAppID".to_owned(), text("appID")),
            ("githubAppInstallationID".to_owned(), text("installationID")),
            ("githubAppPrivateKey".to_owned(), text("privateKey")),
            ("githubAppBaseURL".to_owned(), base.as_bytes().to_vec()),
        ]);
        let given = self.fetcher.github_app(&data, &source::Credentials::default()).await;
        given
            .map_err(|error| error.to_string())?
            .password
            .ok_or_else(|| "the GitHub App has no token".to_owned())
    }
}

/// The first two parts of a repository's path.
fn repository(address: &str) -> Option<String> {
    let plain = crate::repositories::plain(address);
    let path = url::Url::parse(&plain).ok()?.path().trim_end_matches(".git").to_owned();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).take(2).collect();
    (parts.len() == 2).then(|| parts.join("/"))
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(3)).chain("...".chars()).collect()
}

/// One repository of GitHub at one revision.
struct Hub<'a> {
    exchange: &'a Exchange<'a>,
    token: String,
    /// Its address at the API.
    repo: String,
    revision: String,
}

impl Hub<'_> {
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, (Option<u16>, String)> {
        let headers = [("Authorization", format!("Bearer {}", self.token))];
        let url = format!("{}{path}", self.repo);
        self.exchange.call(method, &url, &headers, body.map(Value::to_string)).await
    }

    async fn must(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        self.call(method, path, body).await.map_err(|(_, why)| format!("{path}: {why}"))
    }

    async fn status(&self, status: &Value) -> Result<(), String> {
        let text = |field: &str| str_at(status, &[field]);
        let body = json!({
            "state": text("state"), "context": text("label"), "target_url": text("targetURL"),
            "description": shortened(self.exchange.message(), DESCRIPTION),
        });
        let path = format!("/statuses/{}", self.revision);
        match self.call(Method::POST, &path, Some(&body)).await {
            // A commit holds a thousand statuses of one name: there is no use in trying again.
            Ok(_) | Err((Some(422), _)) => Ok(()),
            Err((_, why)) => Err(format!("{path}: {why}")),
        }
    }

    async fn deployment(&self, deployment: &Value) -> Result<(), String> {
        let text = |field: &str| str_at(deployment, &[field]);
        let environment = text("environment");
        let query = sign::query(&[("ref", self.revision.as_str()), ("environment", environment)]);
        let known = self.must(Method::GET, &format!("/deployments?{query}"), None).await?;
        let id = known.as_array().and_then(|list| list.first()).and_then(|one| object::get_i64(one, &["id"]));
        let id = match id {
            Some(id) => id,
            None => {
                let reference = match text("reference") {
                    "" => self.revision.as_str(),
                    given => given,
                };
                let mut body = json!({
                    "ref": reference, "environment": environment,
                    "required_contexts": list_at(deployment, &["requiredContexts"]),
                });
                for (field, name) in
                    [("autoMerge", "auto_merge"), ("transientEnvironment", "transient_environment")]
                {
                    if let Some(value) = get(deployment, &[field]) {
                        body[name] = value.clone();
                    }
                }
                let made = self.must(Method::POST, "/deployments", Some(&body)).await?;
                object::get_i64(&made, &["id"]).ok_or("the deployment has no id")?
            }
        };
        let body = json!({
            "state": text("state"), "log_url": text("logURL"), "environment": environment,
            "environment_url": text("environmentURL"),
            "description": shortened(self.exchange.message(), DESCRIPTION),
        });
        self.must(Method::POST, &format!("/deployments/{id}/statuses"), Some(&body)).await.map(|_| ())
    }

    /// A comment on each change request that holds the commit; one with the same tag is written anew.
    async fn comment(&self, comment: &Value) -> Result<(), String> {
        let tag = str_at(comment, &["commentTag"]);
        let mark = format!("<!-- argocd-notifications {tag} -->");
        let mut text = shortened(str_at(comment, &["content"]), COMMENT.saturating_sub(mark.len() + 1));
        if !tag.is_empty() {
            text = format!("{text}\n{mark}");
        }
        let body = json!({ "body": text });
        let path = format!("/commits/{}/pulls", self.revision);
        let changes = self.must(Method::GET, &path, None).await?;
        for number in
            changes.as_array().into_iter().flatten().filter_map(|one| object::get_i64(one, &["number"]))
        {
            let list = format!("/issues/{number}/comments");
            let mut known = None;
            if !tag.is_empty() {
                let found = self.must(Method::GET, &format!("{list}?per_page=100"), None).await?;
                let found = found.as_array().cloned().unwrap_or_default();
                let ours = found.iter().find(|one| str_at(one, &["body"]).contains(&mark));
                known = ours.and_then(|one| object::get_i64(one, &["id"]));
            }
            match known {
                Some(id) => {
                    self.must(Method::PATCH, &format!("/issues/comments/{id}"), Some(&body)).await?;
                }
                None => {
                    self.must(Method::POST, &list, Some(&body)).await?;
                }
            }
        }
        Ok(())
    }

    async fn check(&self, check: &Value) -> Result<(), String> {
        let mut body = json!({"head_sha": self.revision});
        for field in ["name", "details_url", "status", "conclusion", "started_at", "completed_at"] {
            if !str_at(check, &[field]).is_empty() {
                body[field] = json!(str_at(check, &[field]));
            }
        }
        if let Some(output) = get(check, &["output"]).filter(|output| output.is_object()) {
            body["output"] = output.clone();
        }
        self.must(Method::POST, "/check-runs", Some(&body)).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_and_texts() {
        assert_eq!(repository("git@github.com:org/web.git").as_deref(), Some("org/web"));
        assert_eq!(repository("https://github.com/org/web/tree").as_deref(), Some("org/web"));
        assert_eq!(repository("https://github.com/org"), None);
        assert_eq!(shortened("abcdef", 5), "ab...");
        assert_eq!(shortened("äöü", 3), "äöü");
    }
}
