//! Units that have an identity in a cloud, by a service account: its token, exchanged at stand-ins on loopback.
#![allow(clippy::disallowed_methods)]

mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cluster::Apply;
use object::{Gvk, Value};
use testkit::http::{Request, Response, Server};
use world::World;

/// Amazon's token service with a bucket, and Azure's with a registry.
fn clouds(tokens: Arc<Mutex<Vec<String>>>) -> Server {
    const KEYS: &str = "<R><AccessKeyId>AK</AccessKeyId><SecretAccessKey>SK</SecretAccessKey>\
        <SessionToken>ST</SessionToken><Expiration>2096-01-01T00:00:00Z</Expiration></R>";
    Server::start(move |request| {
        let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(&request.body).into_owned().collect();
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        match request.path.as_str() {
            "/" if field("RoleArn") == "arn:aws:iam::1:role/reader" => {
                tokens.lock().unwrap().push(field("WebIdentityToken"));
                Response::new(200, KEYS)
            }
            "/ldap" if field("LDAPUsername") == "me" => Response::new(200, KEYS),
            "/tenant/oauth2/v2.0/token" => {
                tokens.lock().unwrap().push(field("client_assertion"));
                Response::new(200, r#"{"access_token": "azure", "expires_in": 3600}"#)
            }
            "/oauth2/exchange" if field("access_token") == "azure" => {
                Response::new(200, r#"{"refresh_token": "acr"}"#)
            }
            path if path.starts_with("/v2/") => registry(request, &header("authorization")),
            _ if !header("authorization").contains("Credential=AK/")
                || header("x-amz-security-token") != "ST" =>
            {
                Response::new(403, "")
            }
            "/bucket" => Response::new(
                200,
                "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a.yaml</Key><ETag>1</ETag></Contents></ListBucketResult>",
            ),
            "/bucket/a.yaml" => Response::new(200, "a: b\n"),
            _ => Response::new(404, ""),
        }
    })
}

fn registry(request: &Request, authorization: &str) -> Response {
    // 00000000-0000-0000-0000-000000000000:acr
    let wanted = "Basic MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOmFjcg==";
    if authorization != wanted {
        return Response::new(401, "").header("www-authenticate", "Basic realm=\"acr\"");
    }
    match request.path.as_str() {
        "/v2/app/tags/list" => Response::new(200, r#"{"name": "app", "tags": ["v1"]}"#),
        "/v2/app/manifests/v1" => Response::new(200, r#"{"schemaVersion": 2, "config": {}, "layers": []}"#)
            .header("content-type", "application/vnd.oci.image.manifest.v1+json"),
        _ => Response::new(200, "{}"),
    }
}

fn subject(token: &str) -> String {
    use base64::Engine as _;
    let claims = token.split('.').nth(1).unwrap_or_default();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&claims).unwrap_or_default();
    format!("{} {}", claims["sub"].as_str().unwrap_or_default(), claims["aud"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_accounts_are_identities() {
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let server = clouds(tokens.clone());
    let url = server.url();
    let host = url.trim_start_matches("http://").to_owned();
    let variables =
        ["AWS_ENDPOINT_URL_STS", "AZURE_AUTHORITY_HOST"].map(|name| (name.to_owned(), url.clone()));
    let empty = [(
        "clusters/test/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n",
    )];
    let world = World::start_as(&empty, false, |settings| {
        settings.fetcher.set_environment(variables.into_iter().collect());
    })
    .await;
    let objects = format!(
        "apiVersion: v1
kind: ServiceAccount
metadata:
  name: reader
  namespace: default
  annotations:
    eks.amazonaws.com/role-arn: arn:aws:iam::1:role/reader
    azure.workload.identity/tenant-id: tenant
    azure.workload.identity/client-id: client
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: Bucket
metadata: {{name: mine, namespace: default}}
spec: {{provider: aws, endpoint: '{host}', bucketName: bucket, region: eu-west-1, insecure: true, interval: 1h, serviceAccountName: reader}}
---
apiVersion: v1
kind: Secret
metadata: {{name: directory, namespace: default}}
stringData: {{username: me, password: secret-word}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: Bucket
metadata: {{name: directory, namespace: default}}
spec: {{endpoint: '{host}', bucketName: bucket, insecure: true, interval: 1h, sts: {{provider: ldap, endpoint: '{url}/ldap', secretRef: {{name: directory}}}}}}
---
apiVersion: fluxcd.controlplane.io/v1
kind: ResourceSetInputProvider
metadata: {{name: tags, namespace: default}}
spec: {{type: ACRArtifactTag, url: 'oci://{host}/app', serviceAccountName: reader}}
"
    );
    for object in yaml::documents(&objects).unwrap() {
        world.cluster.apply(&object, &Apply::forced("somebody")).await.unwrap();
    }
    let source = |kind: &str| Gvk::new("source.toolkit.fluxcd.io", "v1", kind);
    let provider = Gvk::new("fluxcd.controlplane.io", "v1", "ResourceSetInputProvider");
    for (gvk, name) in [(source("Bucket"), "mine"), (source("Bucket"), "directory"), (provider, "tags")] {
        let mut last = Value::Null;
        for _ in 0..200 {
            last = world.cluster.get(&gvk, "default", name).await.unwrap().unwrap_or_default();
            let ready = last
                .pointer("/status/conditions")
                .and_then(Value::as_array)
                .is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"));
            if ready {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let text = last["status"].to_string();
        assert!(text.contains(r#""type":"Ready""#) && text.contains(r#""status":"True""#), "{name}: {text}");
        assert!(!text.contains("secret-word"));
        if name == "tags" {
            assert_eq!(last["status"]["exportedInputs"][0]["tag"], "v1");
        }
    }
    let mut subjects: Vec<String> = tokens.lock().unwrap().iter().map(|token| subject(token)).collect();
    subjects.sort();
    subjects.dedup();
    assert_eq!(
        subjects,
        [
            r#"system:serviceaccount:default:reader ["api://AzureADTokenExchange"]"#,
            r#"system:serviceaccount:default:reader ["sts.amazonaws.com"]"#
        ]
    );
    world.stop().await;
}
