//! Amazon: temporary keys for a role, from the environment, a container, or the machine.

use super::{Account, Asker, now, seconds, text_at};
use crate::bucket::xml;
use crate::sign::{self, AwsKeys, AwsRequest};
use crate::{Credentials, Error, Fetcher, Result};
use object::Value;
use serde_json::json;

const ROLE: &str = "eks.amazonaws.com/role-arn";
const AUDIENCE: &str = "sts.amazonaws.com";

/// The domain of a region's services.
pub(super) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

fn packed(keys: &AwsKeys) -> String {
    json!([keys.access, keys.secret, keys.session]).to_string()
}

fn unpacked(text: &str) -> AwsKeys {
    let parts: Vec<Option<String>> = serde_json::from_str(text).unwrap_or_default();
    let mut parts = parts.into_iter();
    let mut next = || parts.next().flatten();
    AwsKeys {
        access: next().unwrap_or_default(),
        secret: next().unwrap_or_default(),
        session: next().filter(|session| !session.is_empty()),
    }
}

/// Keys with an end out of the JSON that containers and machines are given.
fn handed_out(answer: &Value) -> Result<(String, i64)> {
    let text = |field: &str| text_at(answer, &format!("/{field}")).map(str::to_owned);
    let (Some(access), Some(secret)) = (text("AccessKeyId"), text("SecretAccessKey")) else {
        return Err(Error::Refused("the answer holds no AWS keys".into()));
    };
    let until = text("Expiration").and_then(|end| seconds(&end)).unwrap_or(now() + 3600);
    Ok((packed(&AwsKeys { access, secret, session: text("Token") }), until))
}

impl Fetcher {
    /// Keys of an account's role, or of the role that this process has. `region` is where they are asked for; `sts` the
    /// address of the service that gives them, when it is not the region's.
    ///
    /// # Errors
    /// When there is no role, or it is refused.
    pub async fn aws_keys(
        &self,
        account: Option<&Account>,
        region: &str,
        sts: Option<&str>,
        credentials: &Credentials,
    ) -> Result<AwsKeys> {
        let asker = Asker::new(self, credentials)?;
        let who = account.map(Account::digest).unwrap_or_default();
        let key = format!("aws {region} {} {who}", sts.unwrap_or_default());
        let keys = asker.kept(key, async {
            match account {
                Some(account) => asker.role_of(account, region, sts).await,
                None => asker.own_keys(region, sts).await,
            }
        });
        Ok(unpacked(&keys.await?))
    }

    /// Keys for a user of a directory, from whatever speaks `AssumeRoleWithLDAPIdentity` (`spec.sts` of a Bucket).
    ///
    /// # Errors
    /// What the service says.
    pub async fn ldap_keys(
        &self,
        endpoint: &str,
        user: &str,
        password: &str,
        credentials: &Credentials,
    ) -> Result<AwsKeys> {
        let asker = Asker {
            client: crate::transport::client(credentials, super::TIMEOUT)?,
            ..Asker::new(self, credentials)?
        };
        let known = crate::tree::sha256(password.as_bytes());
        let keys = asker.kept(format!("ldap {endpoint} {user} {known}"), async {
            let form = [
                ("Action", "AssumeRoleWithLDAPIdentity"),
                ("LDAPPassword", password),
                ("LDAPUsername", user),
                ("Version", "2011-06-15"),
            ];
            assumed(&asker.bytes(endpoint, asker.form(endpoint, &form)).await?)
        });
        Ok(unpacked(&keys.await?))
    }

    /// Calls an AWS service in JSON, signed.
    ///
    /// # Errors
    /// What the service says.
    pub async fn aws_call(
        &self,
        service: (&str, &str),
        region: &str,
        target: &str,
        body: &Value,
        keys: &AwsKeys,
        credentials: &Credentials,
    ) -> Result<Value> {
        let (service, subdomain) = service;
        let asker = Asker::new(self, credentials)?;
        let usual = format!("https://{subdomain}.{region}.{}", domain(region));
        let variable = format!("AWS_ENDPOINT_URL_{}", service.to_uppercase().replace('-', "_"));
        let origin = asker.address(&[&variable, "AWS_ENDPOINT_URL"], usual);
        let body = body.to_string();
        let time = sign::aws_time();
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let host = origin.split_once("://").map_or(origin.as_str(), |(_, host)| host);
        let request = AwsRequest {
            method: "POST",
            host,
            path: "/",
            query: &[],
            headers: &headers,
            body: body.as_bytes(),
            region,
            service,
            time: &time,
        };
        let url = format!("{origin}/");
        let mut call = asker.client.post(&url);
        for (name, value) in sign::aws(&request, keys) {
            call = call.header(name, value);
        }
        asker.json(&url, call.body(body)).await
    }
}

impl Asker<'_> {
    async fn role_of(&self, account: &Account, region: &str, sts: Option<&str>) -> Result<(String, i64)> {
        let role =
            account.annotation(ROLE).filter(|role| role.starts_with("arn:aws") && role.contains(":role/"));
        let role = role.ok_or_else(|| {
            Error::Invalid(format!("{} has no role of AWS in the annotation {ROLE}", account.place()))
        })?;
        if region.is_empty() {
            let why =
                "an AWS region is required to use a service account: configure one in the object's spec";
            return Err(Error::Invalid(why.into()));
        }
        let token = account.token(AUDIENCE).await?;
        let session = format!("{}.{}.{region}.fluxcd.io", account.name, account.namespace);
        let session: String = session.chars().take(64).collect();
        self.assume(role, &session, &token, region, sts).await
    }

    /// `AssumeRoleWithWebIdentity`: a token of Kubernetes for keys of a role.
    async fn assume(
        &self,
        role: &str,
        session: &str,
        token: &str,
        region: &str,
        sts: Option<&str>,
    ) -> Result<(String, i64)> {
        let usual = format!("https://sts.{region}.{}", domain(region));
        let origin = match sts {
            Some(given) => given.trim_end_matches('/').to_owned(),
            None => self.address(&["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"], usual),
        };
        let url = format!("{origin}/");
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("RoleArn", role),
            ("RoleSessionName", session),
            ("Version", "2011-06-15"),
            ("WebIdentityToken", token),
        ];
        assumed(&self.bytes(&url, self.form(&url, &form)).await?)
    }

    /// In the order of Amazon's own programs.
    async fn own_keys(&self, region: &str, sts: Option<&str>) -> Result<(String, i64)> {
        let variable = |name: &str| self.variable(name).map(str::to_owned);
        if let (Some(access), Some(secret)) =
            (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
        {
            let keys = AwsKeys { access, secret, session: variable("AWS_SESSION_TOKEN") };
            // They are read anew each time.
            return Ok((packed(&keys), now()));
        }
        if let (Some(file), Some(role)) = (variable("AWS_WEB_IDENTITY_TOKEN_FILE"), variable("AWS_ROLE_ARN"))
        {
            let region = match region {
                "" => variable("AWS_REGION")
                    .or_else(|| variable("AWS_DEFAULT_REGION"))
                    .ok_or_else(|| Error::Invalid("the environment variable AWS_REGION is not set".into()))?,
                given => given.to_owned(),
            };
            let session = variable("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "landfall".into());
            return self.assume(&role, &session, &self.file(&file)?, &region, sts).await;
        }
        let container = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").or_else(|| {
            variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
                .map(|path| format!("http://169.254.170.2{path}"))
        });
        if let Some(url) = container {
            let mut call = self.client.get(&url);
            let token = match variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
                Some(file) => Some(self.file(&file)?),
                None => variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
            };
            if let Some(token) = token {
                call = call.header("authorization", token);
            }
            return handed_out(&self.json(&url, call).await?);
        }
        if variable("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return Err(Error::Invalid("there are no AWS credentials in the environment".into()));
        }
        self.of_machine().await
    }

    /// The role of the machine (IMDSv2).
    async fn of_machine(&self) -> Result<(String, i64)> {
        let origin = self.address(&["AWS_EC2_METADATA_SERVICE_ENDPOINT"], "http://169.254.169.254");
        let url = format!("{origin}/latest/api/token");
        let call = self.client.put(&url).header("x-aws-ec2-metadata-token-ttl-seconds", "60");
        let token =
            self.bytes(&url, call.timeout(std::time::Duration::from_secs(5))).await.map_err(|error| {
                Error::Denied {
                    url: url.clone(),
                    cause: format!(
                        "there are no AWS credentials in the environment, and the machine has none: {error}"
                    ),
                }
            })?;
        let token = String::from_utf8_lossy(&token).trim().to_owned();
        let list = format!("{origin}/latest/meta-data/iam/security-credentials/");
        let get = |url: &str| self.client.get(url).header("x-aws-ec2-metadata-token", &token);
        let roles = self.bytes(&list, get(&list)).await?;
        let roles = String::from_utf8_lossy(&roles).into_owned();
        let role = roles.lines().next().unwrap_or_default().trim();
        let url = format!("{list}{role}");
        handed_out(&self.json(&url, get(&url)).await?)
    }
}

/// The keys in an answer of STS, of any of its actions.
pub(crate) fn assumed(bytes: &[u8]) -> Result<(String, i64)> {
    let text = String::from_utf8_lossy(bytes);
    let field = |name: &str| xml::first(&text, name).filter(|found| !found.is_empty());
    let (Some(access), Some(secret)) = (field("AccessKeyId"), field("SecretAccessKey")) else {
        return Err(Error::Refused("the answer of the token service holds no keys".into()));
    };
    let until = field("Expiration").and_then(|end| seconds(&end)).unwrap_or(now() + 900);
    Ok((packed(&AwsKeys { access, secret, session: field("SessionToken") }), until))
}
