//! Master keys that a server holds, asked through HTTP APIs: HashiCorp Vault and OpenBao, AWS KMS, Google's Cloud KMS,
//! Azure Key Vault.
//!
//! Builds run on threads that may wait, so these calls block.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use object::Value;
use serde_json::json;
use sops::MasterKey;
use source::cloud::{Account, VAULT};
use source::sign::{self, AwsKeys};
use source::{Credentials, Fetcher};

use crate::common::str_at;

/// How long one key may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The credentials for such servers.
#[derive(Default)]
pub struct Remote {
    vault_token: Option<String>,
    aws: Option<AwsKeys>,
    /// Google's service account.
    gcp: Option<Value>,
    /// Azure's application: tenant, client, secret, authority.
    azure: Option<Value>,
    /// Who asks where no credentials were given.
    identity: Option<Workload>,
}

/// An identity in the clouds: of an account, or of this process.
#[derive(Clone)]
pub struct Workload {
    /// Asks the clouds.
    pub fetcher: Fetcher,
    /// The account.
    pub account: Option<Account>,
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

impl Remote {
    /// From the decoded data of a Secret: `sops.vault-token`, `sops.aws-kms`, `sops.gcp-kms`, `sops.azure-kv`.
    pub fn of_secret(data: &BTreeMap<String, Vec<u8>>) -> Result<Remote, String> {
        let text = |name: &str| data.get(name).map(|value| String::from_utf8_lossy(value).trim().to_owned());
        let structured = |name: &str| -> Result<Option<Value>, String> {
            let Some(text) = text(name) else { return Ok(None) };
            yaml::from_str(&text).map(Some).map_err(|_| format!("{name}: it is not YAML"))
        };
        let aws = structured("sops.aws-kms")?.map(|aws| AwsKeys {
            access: str_at(&aws, &["aws_access_key_id"]).to_owned(),
            secret: str_at(&aws, &["aws_secret_access_key"]).to_owned(),
            session: Some(str_at(&aws, &["aws_session_token"]).to_owned()).filter(|token| !token.is_empty()),
        });
        Ok(Remote {
            vault_token: text("sops.vault-token").filter(|token| !token.is_empty()),
            aws,
            gcp: structured("sops.gcp-kms")?,
            azure: structured("sops.azure-kv")?,
            identity: None,
        })
    }

    /// The same, with an identity where there are no credentials.
    pub fn with_identity(mut self, identity: Workload) -> Remote {
        self.identity = Some(identity);
        self
    }

    fn identity(&self, missing: &str) -> Result<&Workload, String> {
        self.identity.as_ref().ok_or_else(|| format!("there is no {missing}"))
    }

    /// The data key that `key` protects.
    pub fn open(&self, key: &MasterKey) -> Result<Vec<u8>, String> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| "no network here")?;
        runtime.block_on(async {
            match key {
                MasterKey::Vault { address, engine, name, enc } => {
                    self.vault(address, engine, name, enc).await
                }
                MasterKey::AwsKms { arn, role, context, enc } => self.aws(arn, role, context, enc).await,
                MasterKey::GcpKms { resource, enc } => self.gcp(resource, enc).await,
                MasterKey::AzureKv { vault, name, version, enc } => {
                    self.azure(vault, name, version, enc).await
                }
                MasterKey::Pgp { .. } => Err("OpenPGP keys cannot be used yet; add an age recipient".into()),
                _ => Err("this kind of key is not known".into()),
            }
        })
    }

    async fn vault(&self, address: &str, engine: &str, name: &str, enc: &str) -> Result<Vec<u8>, String> {
        let token = self.vault_token.as_deref().ok_or("there is no sops.vault-token")?;
        let url = format!("{}/v1/{}/decrypt/{name}", address.trim_end_matches('/'), engine.trim_matches('/'));
        let call = client()?.put(&url).header("X-Vault-Token", token).json(&json!({"ciphertext": enc}));
        let answer = ask(call).await?;
        STANDARD.decode(str_at(&answer, &["data", "plaintext"])).map_err(|_| no_key())
    }

    async fn aws(
        &self,
        arn: &str,
        role: &str,
        context: &BTreeMap<String, String>,
        enc: &str,
    ) -> Result<Vec<u8>, String> {
        if !role.is_empty() {
            return Err("roles cannot be assumed; use a key that the credentials may use".into());
        }
        let region =
            arn.split(':').nth(3).filter(|region| !region.is_empty()).ok_or("its ARN has no region")?;
        let none = Credentials::default();
        let identity = self.identity("sops.aws-kms")?;
        let keys = match &self.aws {
            Some(keys) => keys.clone(),
            None => {
                let keys = identity.fetcher.aws_keys(identity.account.as_ref(), region, None, &none).await;
                keys.map_err(|error| error.to_string())?
            }
        };
        let mut body = json!({"CiphertextBlob": enc, "KeyId": arn});
        if !context.is_empty() {
            body["EncryptionContext"] = json!(context);
        }
        let call =
            identity.fetcher.aws_call(("kms", "kms"), region, "TrentService.Decrypt", &body, &keys, &none);
        let answer = call.await.map_err(|error| error.to_string())?;
        STANDARD.decode(str_at(&answer, &["Plaintext"])).map_err(|_| no_key())
    }

    async fn gcp(&self, resource: &str, enc: &str) -> Result<Vec<u8>, String> {
        let token = match &self.gcp {
            Some(account) => google_token(account).await?,
            None => {
                let identity = self.identity("sops.gcp-kms")?;
                let none = Credentials::default();
                let token = identity.fetcher.google_token(identity.account.as_ref(), &none).await;
                token.map_err(|error| error.to_string())?
            }
        };
        let url = format!("https://cloudkms.googleapis.com/v1/{resource}:decrypt");
        let answer = ask(client()?.post(url).bearer_auth(token).json(&json!({"ciphertext": enc}))).await?;
        STANDARD.decode(str_at(&answer, &["plaintext"])).map_err(|_| no_key())
    }

    async fn azure(&self, vault: &str, name: &str, version: &str, enc: &str) -> Result<Vec<u8>, String> {
        let token = match &self.azure {
            Some(account) => azure_token(account).await?,
            None => {
                let identity = self.identity("sops.azure-kv")?;
                let none = Credentials::default();
                let token = identity.fetcher.azure_token(identity.account.as_ref(), VAULT, &none).await;
                token.map_err(|error| error.to_string())?
            }
        };
        let url = format!("{}/keys/{name}/{version}/decrypt?api-version=7.4", vault.trim_end_matches('/'));
        let body = json!({"alg": "RSA-OAEP-256", "value": enc});
        let answer = ask(client()?.post(url).bearer_auth(token).json(&body)).await?;
        URL_SAFE_NO_PAD.decode(str_at(&answer, &["value"]).trim_end_matches('=')).map_err(|_| no_key())
    }
}

/// A token for a service account's key.
async fn google_token(account: &Value) -> Result<String, String> {
    let uri = match str_at(account, &["token_uri"]) {
        "" => "https://oauth2.googleapis.com/token",
        given => given,
    };
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": str_at(account, &["client_email"]), "scope": "https://www.googleapis.com/auth/cloudkms",
        "aud": uri, "iat": now, "exp": now + 3600,
    });
    let assertion = sign::jwt(&claims, str_at(account, &["private_key"]).as_bytes())
        .map_err(|error| error.to_string())?;
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    token(uri, &[("assertion", &assertion), ("grant_type", grant)]).await
}

/// A token for an application's secret.
async fn azure_token(account: &Value) -> Result<String, String> {
    let field = |name: &str| str_at(account, &[name]).to_owned();
    let authority = match field("authorityHost") {
        given if given.is_empty() => "https://login.microsoftonline.com".to_owned(),
        given => given.trim_end_matches('/').to_owned(),
    };
    let (id, secret) = (field("clientId"), field("clientSecret"));
    let form = [
        ("client_id", id.as_str()),
        ("client_secret", &secret),
        ("grant_type", "client_credentials"),
        ("scope", VAULT),
    ];
    token(&format!("{authority}/{}/oauth2/v2.0/token", field("tenantId")), &form).await
}

fn no_key() -> String {
    "the server's answer holds no key".into()
}

fn client() -> Result<reqwest::Client, String> {
    reqwest::Client::builder().timeout(TIMEOUT).build().map_err(|_| "no HTTP client".to_owned())
}

/// The answer as JSON. Errors name the status only: bodies may repeat what was sent.
async fn ask(call: reqwest::RequestBuilder) -> Result<Value, String> {
    let answer = call.send().await.map_err(|_| "the server cannot be reached")?;
    if !answer.status().is_success() {
        return Err(format!("the server answered {}", answer.status()));
    }
    answer.json().await.map_err(|_| "the server's answer is not JSON".to_owned())
}

/// An OAuth token.
async fn token(url: &str, form: Pairs<'_>) -> Result<String, String> {
    let call = client()?.post(url).header("content-type", "application/x-www-form-urlencoded");
    let answer = ask(call.body(sign::query(form))).await.map_err(|why| format!("no token: {why}"))?;
    let token = answer.get("access_token").and_then(Value::as_str).map(str::to_owned);
    token.ok_or_else(|| "no token: the answer holds none".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::http::{Response, Server};

    #[tokio::test(flavor = "multi_thread")]
    async fn an_identity_opens_what_no_credentials_are_for() {
        let server = Server::start(|request| {
            let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
            match (request.path.as_str(), header("x-amz-target").as_str()) {
                ("/", "TrentService.Decrypt") if header("authorization").contains("Credential=ENV/") => {
                    Response::new(200, r#"{"Plaintext": "a2V5"}"#)
                }
                ("/metadata/identity/oauth2/token", _) => {
                    Response::new(200, r#"{"access_token": "managed", "expires_in": 3600}"#)
                }
                ("/keys/k/7/decrypt", _) if header("authorization") == "Bearer managed" => {
                    Response::new(200, r#"{"value": "a2V5"}"#)
                }
                _ => Response::new(403, "canary"),
            }
        });
        let fetcher = Fetcher::new(source::Options::default()).unwrap();
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        fetcher.set_environment(BTreeMap::from([
            variable("AWS_ACCESS_KEY_ID", "ENV"),
            variable("AWS_SECRET_ACCESS_KEY", "x"),
            variable("AWS_ENDPOINT_URL_KMS", &server.url()),
            variable("AZURE_POD_IDENTITY_AUTHORITY_HOST", &server.url()),
        ]));
        let remote = Remote::default().with_identity(Workload { fetcher, account: None });
        let aws = MasterKey::AwsKms {
            arn: "arn:aws:kms:eu-west-1:1:key/k".into(),
            role: String::new(),
            context: BTreeMap::new(),
            enc: "x".into(),
        };
        let azure = MasterKey::AzureKv {
            vault: server.url(),
            name: "k".into(),
            version: "7".into(),
            enc: "x".into(),
        };
        tokio::task::spawn_blocking(move || {
            assert_eq!(remote.open(&aws).as_deref(), Ok(&b"key"[..]));
            assert_eq!(remote.open(&azure).as_deref(), Ok(&b"key"[..]));
            drop(server);
        })
        .await
        .unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn servers_open_keys() {
        let server = Server::start(|request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
            match request.path.as_str() {
                "/v1/sops/decrypt/key"
                    if header("x-vault-token") == "t" && body["ciphertext"] == "vault:v1:x" =>
                {
                    Response::new(200, r#"{"data": {"plaintext": "a2V5"}}"#)
                }
                "/tenant/oauth2/v2.0/token" => Response::new(200, r#"{"access_token": "let-me-in"}"#),
                "/keys/k/7/decrypt"
                    if header("authorization") == "Bearer let-me-in" && body["value"] == "x" =>
                {
                    Response::new(200, r#"{"value": "a2V5"}"#)
                }
                _ => Response::new(403, "canary"),
            }
        });
        let azure =
            format!("tenantId: tenant\nclientId: c\nclientSecret: s\nauthorityHost: {}\n", server.url());
        let secret = |token: &str| {
            BTreeMap::from([
                ("sops.vault-token".to_owned(), format!("{token}\n").into_bytes()),
                ("sops.azure-kv".to_owned(), azure.clone().into_bytes()),
            ])
        };
        let vault = MasterKey::Vault {
            address: server.url(),
            engine: "sops".into(),
            name: "key".into(),
            enc: "vault:v1:x".into(),
        };
        let key = MasterKey::AzureKv {
            vault: server.url(),
            name: "k".into(),
            version: "7".into(),
            enc: "x".into(),
        };
        let (good, bad) =
            (Remote::of_secret(&secret("t")).unwrap(), Remote::of_secret(&secret("other")).unwrap());
        tokio::task::spawn_blocking(move || {
            assert_eq!(good.open(&vault).as_deref(), Ok(&b"key"[..]));
            assert_eq!(good.open(&key).as_deref(), Ok(&b"key"[..]));
            let refused = bad.open(&vault).unwrap_err();
            assert_eq!(refused, "the server answered 403 Forbidden");
            let none = Remote::default().open(&vault).unwrap_err();
            assert_eq!(none, "there is no sops.vault-token");
            drop(server);
        })
        .await
        .unwrap();
    }
}
