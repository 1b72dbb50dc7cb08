//! Google: tokens of a service account of Google's, or of a federated one.

use super::{Account, Asker, end_of, seconds, text_at};
use crate::{Credentials, Error, Fetcher, Result, sign};
use object::Value;
use serde_json::json;

const PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
const MEMBER: &str = "iam.gke.io/gcp-service-account";
const PROVIDER: &str = "gcp.auth.fluxcd.io/workload-identity-provider";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

impl Fetcher {
    /// A token of an account, or of the identity that this process has.
    ///
    /// # Errors
    /// When there is no identity, or it is refused.
    pub async fn google_token(&self, account: Option<&Account>, credentials: &Credentials) -> Result<String> {
        let asker = Asker::new(self, credentials)?;
        let key = format!("google {}", account.map(Account::digest).unwrap_or_default());
        asker
            .kept(key, async {
                match account {
                    Some(account) => asker.federated(account).await,
                    None => asker.default_token().await,
                }
            })
            .await
    }
}

impl Fetcher {
    /// A token for the key of a service account (JSON).
    ///
    /// # Errors
    /// When it is no key, or it is refused.
    pub async fn google_key_token(&self, key: &str, credentials: &Credentials) -> Result<String> {
        let wrong = || Error::Invalid("the key of the service account is not JSON".into());
        let account: Value = serde_json::from_str(key).map_err(|_| wrong())?;
        let asker = Asker::new(self, credentials)?;
        let known = format!("google key {}", crate::tree::sha256(key.as_bytes()));
        asker.kept(known, asker.of_key(&account, PLATFORM)).await
    }
}

fn answered(answer: &Value) -> Result<(String, i64)> {
    let token = text_at(answer, "/access_token");
    let token = token.ok_or_else(|| Error::Refused("the answer of Google holds no token".into()))?;
    Ok((token.to_owned(), end_of(answer)))
}

impl Asker<'_> {
    fn metadata_origin(&self) -> String {
        match self.variable("GCE_METADATA_HOST") {
            Some(host) if host.contains("://") => host.trim_end_matches('/').to_owned(),
            Some(host) => format!("http://{host}"),
            None => "http://metadata.google.internal".to_owned(),
        }
    }

    async fn metadata(&self, path: &str) -> Result<String> {
        let url = format!("{}/computeMetadata/v1/{path}", self.metadata_origin());
        let call = self.client.get(&url).header("metadata-flavor", "Google");
        let bytes = self.bytes(&url, call.timeout(std::time::Duration::from_secs(10))).await;
        let bytes = bytes.map_err(|error| Error::Denied {
            url: url.clone(),
            cause: format!(
                "there are no Google credentials in the environment, and the machine has none: {error}"
            ),
        })?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// A token of Kubernetes for one of Google: by the provider that the account names, or the one of a GKE cluster.
    async fn federated(&self, account: &Account) -> Result<(String, i64)> {
        let (issued_for, audience) = match account.annotation(PROVIDER) {
            Some(provider) => {
                let full = format!("//iam.googleapis.com/{provider}");
                (full.clone(), full)
            }
            None => {
                let project = self.metadata("project/project-id").await?;
                let location = self.metadata("instance/attributes/cluster-location").await?;
                let name = self.metadata("instance/attributes/cluster-name").await?;
                let cluster = format!(
                    "https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{name}"
                );
                let pool = format!("{project}.svc.id.goog");
                (pool.clone(), format!("identitynamespace:{pool}:{cluster}"))
            }
        };
        let token = account.token(&issued_for).await?;
        self.exchanged(&audience, &token, account.annotation(MEMBER)).await
    }

    /// The token service, and then the account of Google that is acted as, if there is one.
    async fn exchanged(&self, audience: &str, token: &str, member: Option<&str>) -> Result<(String, i64)> {
        let origin = self.address(&["LANDFALL_GOOGLE_STS"], "https://sts.googleapis.com");
        let url = format!("{origin}/v1/token");
        let direct = format!("{PLATFORM} {EMAIL}");
        let form = [
            ("audience", audience),
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("scope", if member.is_some() { PLATFORM } else { &direct }),
            ("subject_token", token),
            ("subject_token_type", JWT),
        ];
        let federated = answered(&self.json(&url, self.form(&url, &form)).await?)?;
        let Some(member) = member else { return Ok(federated) };
        let origin = self.address(&["LANDFALL_GOOGLE_IAM"], "https://iamcredentials.googleapis.com");
        let member = sign::encode(member, false).replace("%40", "@");
        let url = format!("{origin}/v1/projects/-/serviceAccounts/{member}:generateAccessToken");
        let call = self.client.post(&url).bearer_auth(federated.0);
        let answer =
            self.json(&url, call.json(&json!({"lifetime": "3600s", "scope": [PLATFORM, EMAIL]}))).await?;
        let token = text_at(&answer, "/accessToken");
        let token = token.ok_or_else(|| Error::Refused("the answer of Google holds no token".into()))?;
        let until = text_at(&answer, "/expireTime").and_then(seconds);
        Ok((token.to_owned(), until.unwrap_or_else(|| super::now() + 3600)))
    }

    /// Application default credentials: a file, or the machine's.
    async fn default_token(&self) -> Result<(String, i64)> {
        if let Some(path) = self.variable("GOOGLE_APPLICATION_CREDENTIALS") {
            let wrong = |why: &str| Error::Invalid(format!("GOOGLE_APPLICATION_CREDENTIALS: {why}"));
            let file: Value = serde_json::from_str(&self.file(path)?).map_err(|_| wrong("it is not JSON"))?;
            return match text_at(&file, "/type") {
                Some("external_account") => self.of_external(&file).await,
                _ => self.of_key(&file, &format!("{PLATFORM} {EMAIL}")).await,
            };
        }
        let text = self.metadata("instance/service-accounts/default/token").await?;
        answered(&serde_json::from_str(&text).unwrap_or_default())
    }

    /// The key of a service account.
    async fn of_key(&self, account: &Value, scope: &str) -> Result<(String, i64)> {
        let uri = text_at(account, "/token_uri").unwrap_or("https://oauth2.googleapis.com/token");
        let now = super::now();
        let claims = json!({
            "iss": text_at(account, "/client_email"), "scope": scope, "aud": uri, "iat": now, "exp": now + 3600,
        });
        let key = text_at(account, "/private_key").unwrap_or_default();
        let assertion = sign::jwt(&claims, key.as_bytes())?;
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        let form = [("assertion", assertion.as_str()), ("grant_type", grant)];
        answered(&self.json(uri, self.form(uri, &form)).await?)
    }

    /// Workload identity federation with a token in a file.
    async fn of_external(&self, file: &Value) -> Result<(String, i64)> {
        let wrong = |why: &str| Error::Invalid(format!("GOOGLE_APPLICATION_CREDENTIALS: {why}"));
        let audience = text_at(file, "/audience").ok_or_else(|| wrong("it has no audience"))?;
        let path = text_at(file, "/credential_source/file")
            .ok_or_else(|| wrong("only credential_source.file is supported"))?;
        let content = self.file(path)?;
        let token = match text_at(file, "/credential_source/format/subject_token_field_name") {
            Some(field) => {
                let content: Value = serde_json::from_str(&content).unwrap_or_default();
                text_at(&content, &format!("/{field}")).unwrap_or_default().to_owned()
            }
            None => content,
        };
        let member = text_at(file, "/service_account_impersonation_url").and_then(|url| {
            let rest = url.rsplit_once("/serviceAccounts/")?.1;
            rest.strip_suffix(":generateAccessToken")
        });
        self.exchanged(audience, &token, member).await
    }
}
