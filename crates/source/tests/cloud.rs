//! Identities in clouds, against stand-ins on loopback.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use source::cloud::{Account, Cloud};
use source::{Credentials, Fetcher, Options};
use testkit::http::{Request, Response, Server};

const KEYS: &str = "<R><Credentials><AccessKeyId>AK</AccessKeyId><SecretAccessKey>SK</SecretAccessKey>\
    <SessionToken>ST</SessionToken><Expiration>2096-01-01T00:00:00Z</Expiration></Credentials></R>";

fn form(request: &Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(&request.body).into_owned().collect()
}

/// All clouds in one place; what was asked for is noted.
fn clouds(log: Arc<Mutex<Vec<String>>>) -> Server {
    Server::start(move |request| {
        let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
        let form = form(request);
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        let said = format!("{} {} {}", request.method, request.path, field("Action"));
        log.lock().unwrap().push(said.trim().to_owned());
        let json = |text: &str| Response::new(200, text.to_owned());
        match request.path.as_str() {
            "/" if field("Action") == "AssumeRoleWithWebIdentity" => match field("WebIdentityToken").as_str()
            {
                "k8s sts.amazonaws.com" if field("RoleArn") == "arn:aws:iam::1:role/app" => json(KEYS),
                "from-file" if field("RoleArn") == "arn:aws:iam::1:role/own" => json(KEYS),
                _ => Response::new(
                    403,
                    "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>",
                ),
            },
            "/" if header("x-amz-target").ends_with("GetAuthorizationToken") => {
                assert!(
                    header("authorization").contains("Credential=AK/")
                        && header("x-amz-security-token") == "ST"
                );
                let token = STANDARD.encode("AWS:ecr-password");
                json(&format!(r#"{{"authorizationData": [{{"authorizationToken": "{token}"}}]}}"#))
            }
            "/ldap" => match (field("LDAPUsername").as_str(), field("LDAPPassword").as_str()) {
                ("me", "pass") => json(KEYS),
                _ => Response::new(400, "<E><Code>InvalidParameterValue</Code></E>"),
            },
            "/latest/api/token" => json("imds"),
            "/latest/meta-data/iam/security-credentials/" if header("x-aws-ec2-metadata-token") == "imds" => {
                json("machine")
            }
            "/latest/meta-data/iam/security-credentials/machine" | "/container" => json(
                r#"{"AccessKeyId": "MK", "SecretAccessKey": "MS", "Token": "MT", "Expiration": "2096-01-01T00:00:00Z"}"#,
            ),
            "/tenant/oauth2/v2.0/token" if field("client_assertion") == "k8s api://AzureADTokenExchange" => {
                json(&format!(r#"{{"access_token": "azure {}", "expires_in": 3599}}"#, field("scope")))
            }
            "/metadata/identity/oauth2/token" if header("metadata") == "true" => {
                json(r#"{"access_token": "managed", "expires_in": "86399"}"#)
            }
            "/oauth2/exchange" if field("access_token").starts_with("azure https://containerregistry") => {
                json(r#"{"refresh_token": "acr"}"#)
            }
            "/v1/token" if field("subject_token").starts_with("k8s //iam.googleapis.com/projects/1/") => {
                json(r#"{"access_token": "federated", "expires_in": 3600}"#)
            }
            "/v1/projects/-/serviceAccounts/app@p.iam.gserviceaccount.com:generateAccessToken"
                if header("authorization") == "Bearer federated" =>
            {
                json(r#"{"accessToken": "impersonated", "expireTime": "2096-01-01T00:00:00Z"}"#)
            }
            "/computeMetadata/v1/instance/service-accounts/default/token"
                if header("metadata-flavor") == "Google" =>
            {
                json(r#"{"access_token": "machine", "expires_in": 3600}"#)
            }
            _ => Response::new(404, "canary"),
        }
    })
}

fn fetcher(server: &Server, more: &[(&str, &str)]) -> Fetcher {
    let fetcher = Fetcher::new(Options::default()).unwrap();
    let url = server.url();
    let mut variables = BTreeMap::new();
    for name in [
        "AWS_ENDPOINT_URL",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AZURE_AUTHORITY_HOST",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        "GCE_METADATA_HOST",
        "LANDFALL_GOOGLE_STS",
        "LANDFALL_GOOGLE_IAM",
    ] {
        variables.insert(name.to_owned(), url.clone());
    }
    variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    fetcher.set_environment(variables);
    fetcher
}

fn account(annotations: &[(&str, &str)]) -> Account {
    Account {
        namespace: "apps".into(),
        name: "app".into(),
        annotations: annotations
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        issuer: Arc::new(|audience| Box::pin(async move { Ok(format!("k8s {audience}")) })),
    }
}

#[tokio::test]
async fn amazon() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let server = clouds(log.clone());
    let none = Credentials::default();
    let app = account(&[("eks.amazonaws.com/role-arn", "arn:aws:iam::1:role/app")]);
    let asked = fetcher(&server, &[]);
    for _ in 0..2 {
        let keys = asked.aws_keys(Some(&app), "eu-west-1", None, &none).await.unwrap();
        assert_eq!((keys.access.as_str(), keys.session.as_deref()), ("AK", Some("ST")));
    }
    let times = log.lock().unwrap().iter().filter(|line| line.contains("AssumeRoleWithWebIdentity")).count();
    assert_eq!(times, 1, "keys are kept while they are good");
    let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let login = asked.registry_login(Cloud::Aws, host, Some(&app), &none).await.unwrap();
    assert_eq!((login.username.as_deref(), login.password.as_deref()), (Some("AWS"), Some("ecr-password")));
    let other = account(&[("eks.amazonaws.com/role-arn", "arn:aws:iam::1:role/other")]);
    let why = asked.aws_keys(Some(&other), "eu-west-1", None, &none).await.err().unwrap().to_string();
    assert!(why.contains("AccessDenied") && !why.contains("k8s "), "{why}");
    let why = asked.aws_keys(Some(&account(&[])), "eu-west-1", None, &none).await.err().unwrap().to_string();
    assert!(why.contains("eks.amazonaws.com/role-arn"), "{why}");
    let keys = asked.ldap_keys(&format!("{}/ldap", server.url()), "me", "pass", &none).await.unwrap();
    assert_eq!(keys.access, "AK");
    let why = asked.ldap_keys(&format!("{}/ldap", server.url()), "me", "wrong", &none).await.err().unwrap();
    assert!(!why.to_string().contains("wrong"), "{why}");
}

#[tokio::test]
async fn amazon_in_the_order_of_its_own_programs() {
    let server = clouds(Arc::default());
    let none = Credentials::default();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "from-file\n").unwrap();
    let file = file.to_str().unwrap();
    let container = format!("{}/container", server.url());
    for (variables, access) in [
        (vec![("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "x")], "ENV"),
        (
            vec![
                ("AWS_WEB_IDENTITY_TOKEN_FILE", file),
                ("AWS_ROLE_ARN", "arn:aws:iam::1:role/own"),
                ("AWS_REGION", "eu-west-1"),
            ],
            "AK",
        ),
        (vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.as_str())], "MK"),
        (vec![], "MK"),
    ] {
        let keys = fetcher(&server, &variables).aws_keys(None, "", None, &none).await.unwrap();
        assert_eq!(keys.access, access);
    }
    let alone = fetcher(&server, &[("AWS_EC2_METADATA_DISABLED", "true")]);
    assert!(alone.aws_keys(None, "", None, &none).await.is_err());
}

#[tokio::test]
async fn azure() {
    let server = clouds(Arc::default());
    let none = Credentials::default();
    let asked = fetcher(&server, &[]);
    let app = account(&[
        ("azure.workload.identity/tenant-id", "tenant"),
        ("azure.workload.identity/client-id", "client"),
    ]);
    let git = "https://dev.azure.com/o/p/_git/r";
    let login = asked.git_login(Cloud::Azure, git, Some(&app), &none).await.unwrap();
    assert!(login.bearer_token.unwrap().starts_with("azure 499b84ac"));
    let host = server.url().replace("http://", "");
    let login = asked.registry_login(Cloud::Azure, &host, Some(&app), &none).await.unwrap();
    assert_eq!(login.password.as_deref(), Some("acr"));
    let token = asked.azure_token(None, source::cloud::BLOBS, &none).await.unwrap();
    assert_eq!(token, "managed");
}

#[tokio::test]
async fn google() {
    let server = clouds(Arc::default());
    let none = Credentials::default();
    let asked = fetcher(&server, &[]);
    let provider = "projects/1/locations/global/workloadIdentityPools/p/providers/q";
    let direct = account(&[("gcp.auth.fluxcd.io/workload-identity-provider", provider)]);
    assert_eq!(asked.google_token(Some(&direct), &none).await.unwrap(), "federated");
    let member = account(&[
        ("gcp.auth.fluxcd.io/workload-identity-provider", provider),
        ("iam.gke.io/gcp-service-account", "app@p.iam.gserviceaccount.com"),
    ]);
    let login =
        asked.registry_login(Cloud::Google, "europe-docker.pkg.dev", Some(&member), &none).await.unwrap();
    assert_eq!(login.username.as_deref(), Some("oauth2accesstoken"));
    assert_eq!(login.password.as_deref(), Some("impersonated"));
    assert_eq!(asked.google_token(None, &none).await.unwrap(), "machine");
}
