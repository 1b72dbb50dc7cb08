//! Logins that follow from an identity: at a cloud's registry, and at its Git hosting.

use super::{Account, Asker, Cloud, DEVOPS, text_at};
use crate::sign::{self, AwsKeys};
use crate::{Credentials, Error, Fetcher, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

/// Of a registry of Azure, beside a token as the password.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
const PUBLIC: &str = "public.ecr.aws";

/// The region of a registry's host; `public.ecr.aws` is in one.
fn registry_region(host: &str) -> Option<String> {
    if host == PUBLIC || host == "ecr-public.aws.com" {
        return Some("us-east-1".into());
    }
    let (account, rest) = host.split_once(".dkr.ecr").or_else(|| host.split_once(".dkr-ecr"))?;
    let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let region = rest.trim_start_matches("-fips").strip_prefix('.')?.split('.').next()?;
    (digits && !region.is_empty()).then(|| region.to_owned())
}

/// The region in `git-codecommit.REGION.amazonaws.com`.
pub(super) fn git_region(host: &str) -> Option<&str> {
    let mut parts = host.split('.');
    let service = parts.next()?;
    let region = parts.next()?;
    let known = matches!(service, "git-codecommit" | "git-codecommit-fips");
    (known && host.contains(".amazonaws.com")).then_some(region)
}

fn with(credentials: &Credentials, user: &str, password: &str) -> Credentials {
    Credentials {
        username: Some(user.to_owned()),
        password: Some(password.to_owned()),
        bearer_token: None,
        docker_config: None,
        ..credentials.clone()
    }
}

impl Fetcher {
    /// The login at a cloud's registry (`host[:port]`), added to the credentials.
    ///
    /// # Errors
    /// When the registry is none of the cloud's, or the identity is refused.
    pub async fn registry_login(
        &self,
        cloud: Cloud,
        host: &str,
        account: Option<&Account>,
        credentials: &Credentials,
    ) -> Result<Credentials> {
        match cloud {
            Cloud::Google => {
                let token = self.google_token(account, credentials).await?;
                Ok(with(credentials, "oauth2accesstoken", &token))
            }
            Cloud::Azure => {
                let token =
                    self.azure_token(account, "https://containerregistry.azure.net/.default", credentials);
                let token = token.await?;
                let asker = Asker::new(self, credentials)?;
                let scheme = if crate::oci::is_loopback(host) { "http" } else { "https" };
                let url = format!("{scheme}://{host}/oauth2/exchange");
                let form =
                    [("access_token", token.as_str()), ("grant_type", "access_token"), ("service", host)];
                let answer = asker.json(&url, asker.form(&url, &form)).await?;
                let token = text_at(&answer, "/refresh_token")
                    .ok_or_else(|| Error::Refused(format!("{url}: the answer holds no token")))?;
                Ok(with(credentials, NOBODY, token))
            }
            Cloud::Aws => {
                let region = registry_region(host).ok_or_else(|| {
                    Error::Invalid(format!("invalid AWS registry: '{host}' is none of Amazon's"))
                })?;
                let keys = self.aws_keys(account, &region, None, credentials).await?;
                let (service, target) = match host {
                    PUBLIC | "ecr-public.aws.com" => {
                        (("ecr-public", "api.ecr-public"), "SpencerFrontendService.GetAuthorizationToken")
                    }
                    _ => (("ecr", "api.ecr"), "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"),
                };
                let answer = self.aws_call(service, &region, target, &json!({}), &keys, credentials).await?;
                let token = text_at(&answer, "/authorizationData/0/authorizationToken")
                    .or_else(|| text_at(&answer, "/authorizationData/authorizationToken"));
                let pair = token.and_then(|token| STANDARD.decode(token).ok());
                let pair = pair.and_then(|pair| String::from_utf8(pair).ok()).unwrap_or_default();
                let (user, password) = pair
                    .split_once(':')
                    .ok_or_else(|| Error::Refused("the answer of ECR holds no token".into()))?;
                Ok(with(credentials, user, password))
            }
        }
    }

    /// The login at a cloud's Git hosting: Azure DevOps or CodeCommit.
    ///
    /// # Errors
    /// When the address is none of the cloud's, or the identity is refused.
    pub async fn git_login(
        &self,
        cloud: Cloud,
        url: &str,
        account: Option<&Account>,
        credentials: &Credentials,
    ) -> Result<Credentials> {
        match cloud {
            Cloud::Azure => {
                let token = self.azure_token(account, DEVOPS, credentials).await?;
                Ok(Credentials {
                    bearer_token: Some(token),
                    username: None,
                    password: None,
                    ..credentials.clone()
                })
            }
            Cloud::Aws => {
                let parsed = url::Url::parse(url).map_err(|_| Error::Invalid(format!("{url}: is no URL")))?;
                let host = parsed.host_str().unwrap_or_default();
                let region = git_region(host)
                    .ok_or_else(|| Error::Invalid(format!("{url}: is no repository of AWS CodeCommit")))?;
                let keys = self.aws_keys(account, region, None, credentials).await?;
                let (user, password) = code_commit(host, parsed.path(), region, &keys, &sign::aws_time());
                Ok(with(credentials, &user, &password))
            }
            Cloud::Google => Err(Error::Invalid("Google hosts no Git repositories any more".into())),
        }
    }
}

/// User and password of CodeCommit: a signature of the address.
fn code_commit(host: &str, path: &str, region: &str, keys: &AwsKeys, time: &str) -> (String, String) {
    let (date, stamp) = (time.get(..8).unwrap_or_default(), time.trim_end_matches('Z'));
    let canonical = format!("GIT\n{path}\n\nhost:{host}\n\nhost\n");
    let scope = format!("{date}/{region}/codecommit/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let signature = sign::aws_signature(keys, date, region, "codecommit", &text);
    let user = match &keys.session {
        Some(session) => format!("{}%{session}", keys.access),
        None => keys.access.clone(),
    };
    (user, format!("{stamp}Z{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions() {
        for (host, region) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("123456789012.dkr-ecr.eu-west-1.on.aws", Some("eu-west-1")),
            ("public.ecr.aws", Some("us-east-1")),
            ("ghcr.io", None),
            ("1.dkr.ecr.eu-west-1.amazonaws.com", None),
        ] {
            assert_eq!(registry_region(host).as_deref(), region, "{host}");
        }
        assert_eq!(git_region("git-codecommit.eu-west-1.amazonaws.com"), Some("eu-west-1"));
        assert_eq!(git_region("github.com"), None);
    }

    #[test]
    fn a_signature_as_a_password() {
        let keys = AwsKeys { access: "AKID".into(), secret: "s".into(), session: Some("t".into()) };
        let host = "git-codecommit.us-east-1.amazonaws.com";
        let (user, password) = code_commit(host, "/v1/repos/r", "us-east-1", &keys, "20260102T030405Z");
        assert_eq!(user, "AKID%t");
        assert!(password.starts_with("20260102T030405Z") && password.len() == 16 + 64, "{password}");
    }
}
