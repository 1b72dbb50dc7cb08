//! Service account tokens: signed by the cluster's own key, bound to the account.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Response, StatusCode};
use object::{get, get_i64, get_str, meta, set};
use serde_json::{Value, json};

use crate::api::{Call, body, read};
use crate::app::{App, time_text};
use crate::auth::User;
use crate::server::Body;
use crate::status::{Cause, Failure};

/// The issuer of tokens, and their audience unless asked otherwise.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const MIN_SECONDS: i64 = 600;
const MAX_SECONDS: i64 = 1 << 32;
const DEFAULT_SECONDS: i64 = 3600;

/// A good token.
pub struct Verified {
    /// Whose it is.
    pub user: User,
    /// The audiences that both sides named.
    pub audiences: Vec<String>,
}

/// POST of `serviceaccounts/NAME/token`.
pub fn create(call: &Call, body: &Bytes) -> Result<Response<Body>, Failure> {
    let (mut request, _) = body::object(call, body, "authentication.k8s.io/v1", "TokenRequest")?;
    let account = call
        .app
        .object(&call.resource, call.namespace(), call.name())
        .ok_or_else(|| call.not_found())?
        .value();
    let seconds = get_i64(&request, &["spec", "expirationSeconds"]).unwrap_or(DEFAULT_SECONDS);
    if seconds < MIN_SECONDS {
        let cause = Cause::invalid(
            "spec.expirationSeconds",
            &seconds.into(),
            "may not specify a duration less than 10 minutes",
        );
        return Err(Failure::invalid("authentication.k8s.io", "TokenRequest", "", &[cause]));
    }
    if seconds > MAX_SECONDS {
        let why = "may not specify a duration larger than 2^32 seconds";
        let cause = Cause::invalid("spec.expirationSeconds", &seconds.into(), why);
        return Err(Failure::invalid("authentication.k8s.io", "TokenRequest", "", &[cause]));
    }
    let bound = bound(call, &request)?;
    let mut audiences = get(&request, &["spec", "audiences"]).cloned().unwrap_or_default();
    if audiences.as_array().is_none_or(Vec::is_empty) {
        audiences = json!([ISSUER]);
    }
    let now = jiff::Timestamp::now();
    let end = now.as_second() + seconds;
    let mut claims = json!({
        "aud": audiences,
        "exp": end,
        "iat": now.as_second(),
        "nbf": now.as_second(),
        "iss": ISSUER,
        "jti": uuid::Uuid::new_v4().to_string(),
        "sub": format!("system:serviceaccount:{}:{}", call.namespace(), call.name()),
        "kubernetes.io": {
            "namespace": call.namespace(),
            "serviceaccount": {"name": call.name(), "uid": meta::uid(&account)},
        },
    });
    if let Some((claim, name, uid)) = bound {
        claims["kubernetes.io"][claim] = json!({"name": name, "uid": uid});
    }
    let text = sign(&call.app, &claims)?;
    let expires = jiff::Timestamp::from_second(end).unwrap_or(now);
    set(&mut request, &["spec", "audiences"], audiences);
    set(&mut request, &["spec", "expirationSeconds"], seconds.into());
    if get(&request, &["spec", "boundObjectRef"]).is_none() {
        set(&mut request, &["spec", "boundObjectRef"], Value::Null);
    }
    set(
        &mut request,
        &["metadata"],
        json!({"name": call.name(), "namespace": call.namespace(), "creationTimestamp": time_text(now)}),
    );
    set(&mut request, &["status"], json!({"token": text, "expirationTimestamp": time_text(expires)}));
    Ok(read::answer_tree(call, StatusCode::CREATED, &request))
}

/// What a token is to end with, besides its account: the claim's name, the object's name and UID.
fn bound(call: &Call, request: &Value) -> Result<Option<(&'static str, String, String)>, Failure> {
    let Some(reference) = get(request, &["spec", "boundObjectRef"]).filter(|own| own.is_object()) else {
        return Ok(None);
    };
    let text = |field: &str| get_str(reference, &[field]).unwrap_or_default();
    let (namespace, name) = (call.namespace(), text("name"));
    let (claim, plural, key) = match (text("apiVersion"), text("kind")) {
        ("v1", "Pod") => ("pod", "pods", format!("{namespace}/{name}")),
        ("v1", "Secret") => ("secret", "secrets", format!("{namespace}/{name}")),
        ("v1", "Node") => ("node", "nodes", name.to_owned()),
        (version, kind) => {
            let why = format!("cannot bind token to object of type {version}, Kind={kind}");
            return Err(Failure::bad_request(why));
        }
    };
    let found = call.app.tree(plural, &key).ok_or_else(|| Failure::not_found("", plural, name))?;
    let uid = meta::uid(&found).to_owned();
    let asked = text("uid");
    if !asked.is_empty() && asked != uid {
        let why = format!(
            "the UID in the bound object reference ({asked}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Failure::conflict("", plural, name, &why));
    }
    Ok(Some((claim, name.to_owned(), uid)))
}

fn key(app: &App) -> Option<signature::EcdsaKeyPair> {
    signature::EcdsaKeyPair::from_pkcs8(
        &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &app.credentials.signing_key,
    )
    .ok()
}

fn sign(app: &App, claims: &Value) -> Result<String, Failure> {
    let header = json!({"alg": "ES256", "kid": "landfall"});
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let failed = || Failure::internal("the token could not be signed");
    let signature =
        key(app).ok_or_else(failed)?.sign(&SystemRandom::new(), input.as_bytes()).map_err(|_| failed())?;
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
}

/// Checks a token: signature, time, audience, and that its account is still there.
pub fn verify(app: &App, text: &str, audiences: &[String]) -> Option<Verified> {
    let (input, signature) = text.rsplit_once('.')?;
    let (_, payload) = input.split_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let key = key(app)?;
    signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, key.public_key().as_ref())
        .verify(input.as_bytes(), &signature)
        .ok()?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let now = jiff::Timestamp::now().as_second();
    if get_i64(&claims, &["exp"])? <= now || get_i64(&claims, &["nbf"])? > now + 60 {
        return None;
    }
    let own: Vec<String> =
        claims.get("aud")?.as_array()?.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
    let wanted: Vec<String> = if audiences.is_empty() { vec![ISSUER.to_owned()] } else { audiences.to_vec() };
    let common: Vec<String> = wanted.into_iter().filter(|a| own.contains(a)).collect();
    if common.is_empty() {
        return None;
    }
    let bound = claims.get("kubernetes.io")?;
    let namespace = get_str(bound, &["namespace"])?;
    let name = get_str(bound, &["serviceaccount", "name"])?;
    let uid = get_str(bound, &["serviceaccount", "uid"])?;
    let account = app.tree("serviceaccounts", &format!("{namespace}/{name}"))?;
    // A token ends with what it is bound to.
    for (claim, table) in [("pod", "pods"), ("secret", "secrets"), ("node", "nodes")] {
        let Some(of) = bound.get(claim) else { continue };
        let own = get_str(of, &["name"])?;
        let key = if claim == "node" { own.to_owned() } else { format!("{namespace}/{own}") };
        if meta::uid(&app.tree(table, &key)?) != get_str(of, &["uid"])? {
            return None;
        }
    }
    (meta::uid(&account) == uid).then(|| {
        let mut user = User::service_account(namespace, name, uid);
        let mut extra = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                user.extra.push((format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]));
            }
        };
        let id = get_str(&claims, &["jti"]).map(|id| format!("JTI={id}"));
        extra("credential-id", id.as_deref());
        extra("pod-name", get_str(bound, &["pod", "name"]));
        extra("pod-uid", get_str(bound, &["pod", "uid"]));
        Verified { user, audiences: common }
    })
}
