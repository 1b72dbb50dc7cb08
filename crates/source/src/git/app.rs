//! GitHub Apps: a token of an installation for the app's key.

use crate::{Credentials, Error, Fetcher, Result, sign, transport};
use object::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Pages of installations.
const MAX_PAGES: usize = 50;
/// A token is renewed this long before it ends.
const SPARE: i64 = 300;

impl Fetcher {
    /// Credentials for Git of a GitHub App, as the decoded `data` of a Secret describes it: `githubAppID`,
    /// `githubAppInstallationID` or `githubAppInstallationOwner`, `githubAppPrivateKey`, `githubAppBaseURL`.
    /// A token is kept as long as it is good.
    ///
    /// # Errors
    /// Without any part of the key.
    pub async fn github_app(
        &self,
        data: &BTreeMap<String, Vec<u8>>,
        credentials: &Credentials,
    ) -> Result<Credentials> {
        let text = |name: &str| {
            data.get(name).map(|value| String::from_utf8_lossy(value).trim().to_string()).unwrap_or_default()
        };
        let (app, owner) = (text("githubAppID"), text("githubAppInstallationOwner"));
        let mut installation = text("githubAppInstallationID");
        let key = data.get("githubAppPrivateKey").cloned().unwrap_or_default();
        for (name, missing) in [
            ("githubAppID", app.is_empty()),
            ("githubAppPrivateKey", key.is_empty()),
            (
                "githubAppInstallationID or githubAppInstallationOwner",
                installation.is_empty() && owner.is_empty(),
            ),
        ] {
            if missing {
                return Err(Error::Invalid(format!("the Secret of the GitHub App has no {name}")));
            }
        }
        let base = match text("githubAppBaseURL") {
            base if base.is_empty() => "https://api.github.com".to_string(),
            base => base.trim_end_matches('/').to_string(),
        };
        let now = jiff::Timestamp::now().as_second();
        let digest = crate::tree::sha256(&key);
        let known = format!("{base} {app} {installation} {owner} {digest}");
        if let Some((token, until)) = self.inner.tokens.lock().get(&known)
            && now < *until - SPARE
        {
            return Ok(with_token(credentials, token));
        }
        let claims = json!({"iss": app, "iat": now - 60, "exp": now + 540});
        let jwt = sign::jwt(&claims, &key)?;
        let client = transport::client(credentials, Duration::from_secs(30))?;
        if installation.is_empty() {
            installation = self.installation(&client, &base, &jwt, &owner).await?;
        }
        let url = format!("{base}/app/installations/{installation}/access_tokens");
        let answer = self.app_call(client.post(&url), &url, &jwt).await?;
        let token = answer.get("token").and_then(Value::as_str);
        let token = token.ok_or_else(|| Error::Refused(format!("{url}: the answer holds no token")))?;
        let until = answer.get("expires_at").and_then(Value::as_str);
        let until = until.and_then(|until| until.parse::<jiff::Timestamp>().ok());
        let until = until.map_or(now + 3600, |until| until.as_second());
        self.inner.tokens.lock().insert(known, (token.to_string(), until));
        Ok(with_token(credentials, token))
    }

    async fn installation(
        &self,
        client: &reqwest::Client,
        base: &str,
        jwt: &str,
        owner: &str,
    ) -> Result<String> {
        for page in 1..=MAX_PAGES {
            let url = format!("{base}/app/installations?per_page=100&page={page}");
            let answer = self.app_call(client.get(&url), &url, jwt).await?;
            let list = answer.as_array().map(Vec::as_slice).unwrap_or_default();
            let login = |entry: &&Value| {
                let login = entry.pointer("/account/login").and_then(Value::as_str);
                login.is_some_and(|login| login.eq_ignore_ascii_case(owner))
            };
            if let Some(id) = list.iter().find(login).and_then(|entry| entry.get("id")?.as_i64()) {
                return Ok(id.to_string());
            }
            if list.len() < 100 {
                break;
            }
        }
        Err(Error::NotFound(format!("the GitHub App has no installation of {owner}")))
    }

    async fn app_call(&self, call: reqwest::RequestBuilder, url: &str, jwt: &str) -> Result<Value> {
        let call = call.header("accept", "application/vnd.github+json").bearer_auth(jwt);
        let answer = call.send().await.map_err(|error| transport::unreachable(url, url, &error))?;
        let answer = transport::check(answer, url, url)?;
        let bytes = transport::body(answer, url, url, self.limits()).await?;
        serde_json::from_slice(&bytes).map_err(|_| Error::Refused(format!("{url}: the answer is not JSON")))
    }
}

fn with_token(credentials: &Credentials, token: &str) -> Credentials {
    Credentials {
        username: Some("x-access-token".into()),
        password: Some(token.to_string()),
        bearer_token: None,
        ..credentials.clone()
    }
}
