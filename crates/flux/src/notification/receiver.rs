//! Receiver: a path that others call, and what a call asks for.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use cluster::{Cluster, EventType, ListOptions, PatchKind, PatchOptions};
use controller::{Cause, Context, Description, Kind, Outcome, aspect};
use delivery::doors::{Call, Reply, same, signed};
use futures::future::BoxFuture;
use object::{Gvk, Value, get, meta};
use serde_json::json;

use super::{oidc, receiver_gvk};
use crate::cel;
use crate::common::{
    self, Pass, REQUESTED_AT, bool_at, interval, is_true, namespace_of, str_at, string_map, strings_at,
};
use crate::sources::secret_data;

/// The kind.
pub struct Receivers;

impl Kind for Receivers {
    fn gvk(&self) -> Gvk {
        receiver_gvk()
    }

    fn describe(&self, object: &Value) -> Description {
        common::describe(object)
    }

    fn trigger(&self, object: &Value) -> String {
        common::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let mut pass = Pass::new(context, object, "notification-controller");
            match steps(&mut pass).await {
                Ok(outcome) => outcome,
                Err(error) => Outcome::retry(Duration::from_secs(300), Cause::new(error.to_string())),
            }
        })
    }
}

/// Where a call must go; nobody guesses it without the token.
fn path(token: &str, name: &str, namespace: &str) -> String {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(format!("{token}{name}{namespace}"));
    format!("/hook/{}", hex::encode(digest))
}

async fn steps(pass: &mut Pass) -> Result<Outcome, cluster::Error> {
    const DEFAULT: Duration = Duration::from_secs(600);
    if pass.is_deleted() {
        pass.remove_finalizer().await?;
        return Ok(Outcome::done());
    }
    pass.ensure_finalizer().await?;
    if pass.is_suspended() {
        return Ok(Outcome::done());
    }
    let filter = str_at(&pass.object, &["spec", "resourceFilter"]).to_owned();
    let mut expressions = vec![filter];
    for resource in get(&pass.object, &["spec", "resources"]).and_then(Value::as_array).into_iter().flatten()
    {
        expressions.push(str_at(resource, &["filter"]).to_owned());
    }
    expressions.extend(oidc::expressions(&pass.object));
    for expression in expressions.iter().filter(|expression| !expression.is_empty()) {
        if let Err(error) = cel::check(expression) {
            pass.stall("InvalidCELExpression", &error.to_string());
            pass.set(&["webhookPath"], Value::Null);
            pass.write().await?;
            return Ok(Outcome {
                next: controller::Next::Nothing,
                cause: Some(Cause::new(error.to_string())),
            });
        }
    }
    let secret = str_at(&pass.object, &["spec", "secretRef", "name"]).to_owned();
    let token = if secret.is_empty() {
        Ok(String::new())
    } else {
        let gvk = Gvk::new("", "v1", "Secret");
        let found = pass.context.read(&gvk, pass.namespace(), &secret, aspect::content, true).await?;
        let place = format!("{}/{secret}", pass.namespace());
        match found.map(|found| secret_data(&found)) {
            None => Err(format!("unable to read token from secret '{place}' error: not found")),
            Some(data) => match data.get("token") {
                Some(token) => Ok(String::from_utf8_lossy(token).into_owned()),
                None => Err(format!("invalid '{place}' secret data: required field 'token'")),
            },
        }
    };
    // A newer pass says what is so now.
    if pass.context.cancel.is_cancelled() {
        return Ok(Outcome::preempted());
    }
    let token = match token {
        Ok(token) => token,
        Err(why) => {
            pass.fail("TokenNotFound", &why);
            pass.observe_generation();
            pass.set(&["webhookPath"], Value::Null);
            pass.event(EventType::Warning, "TokenNotFound", &why, "");
            pass.write().await?;
            return Ok(Outcome::retry(Duration::from_secs(300), Cause::new(why)));
        }
    };
    let path = path(&token, pass.name(), pass.namespace());
    let message = format!("Receiver initialized for path: {path}");
    pass.set(&["webhookPath"], json!(path));
    pass.succeed("Succeeded", &message);
    pass.write().await?;
    Ok(Outcome::after(interval(&pass.object, DEFAULT)))
}

/// What a call asks with.
struct Asked {
    /// What expressions see of it.
    request: Value,
    /// The claims of its token.
    claims: Option<Value>,
    no_cross_namespace_refs: bool,
}

/// Handles a call; what to answer. Why it was refused is for the log, and only where the spec says so for the caller.
pub(super) async fn handle(cluster: &Cluster, no_cross_namespace_refs: bool, call: Call) -> Reply {
    let gvk = receiver_gvk();
    if cluster.watch(&gvk).await.is_err() {
        return 404.into();
    }
    let all = cluster.store().list(&gvk.group, &gvk.kind);
    let Some(receiver) = all.iter().find(|one| str_at(one, &["status", "webhookPath"]) == call.path) else {
        return 404.into();
    };
    let place = format!("{}/{}", meta::namespace(receiver).unwrap_or_default(), meta::name(receiver));
    if bool_at(receiver, &["spec", "suspend"]) || !is_true(receiver, "Ready") {
        tracing::warn!(receiver = place, "a call was not taken: the receiver is suspended or not ready");
        return 503.into();
    }
    let claims = match str_at(receiver, &["spec", "type"]) {
        "generic-oidc" => match oidc::claims(receiver, call.header("authorization")).await {
            Ok(claims) => Some(claims),
            Err(why) => {
                tracing::warn!(receiver = place, %why, "a call was refused");
                // The words are the Receiver's own, for who may not call.
                return Reply { status: 400, text: why };
            }
        },
        _ => None,
    };
    let request = match validate(cluster, receiver, &call).await {
        Ok(request) => request,
        Err(why) => {
            tracing::warn!(receiver = place, %why, "a call was refused");
            return 400.into();
        }
    };
    let asked = Asked { request, claims, no_cross_namespace_refs };
    let mut failed = false;
    for resource in get(receiver, &["spec", "resources"]).and_then(Value::as_array).into_iter().flatten() {
        if let Err(why) = ask(cluster, receiver, resource, &asked).await {
            tracing::warn!(receiver = place, %why, "unable to request reconciliation");
            failed = true;
        }
    }
    if failed { 500.into() } else { 200.into() }
}

async fn token(cluster: &Cluster, receiver: &Value) -> Result<String, String> {
    let namespace = meta::namespace(receiver).unwrap_or_default();
    let name = str_at(receiver, &["spec", "secretRef", "name"]);
    let gvk = Gvk::new("", "v1", "Secret");
    let found = cluster.get(&gvk, namespace, name).await.map_err(|error| error.to_string())?;
    let data = secret_data(&found.ok_or("unable to read token: the Secret is gone")?);
    let token = data.get("token").ok_or("invalid secret data: required field 'token'")?;
    Ok(String::from_utf8_lossy(token).into_owned())
}

/// Checks a call as its type wants it; what expressions see of it.
async fn validate(cluster: &Cluster, receiver: &Value, call: &Call) -> Result<Value, String> {
    let header = |name: &str| call.header(name);
    let kind = str_at(receiver, &["spec", "type"]);
    let token = match kind {
        "generic-oidc" => String::new(),
        _ => token(cluster, receiver).await?,
    };
    let allowed = |event: &str| {
        let events = strings_at(receiver, &["spec", "events"]);
        match events.is_empty() || events.iter().any(|one| one.eq_ignore_ascii_case(event)) {
            true => Ok(()),
            false => Err(format!("the event '{event}' is not authorised")),
        }
    };
    let parsed = || -> Result<Value, String> {
        serde_json::from_slice(&call.body).map_err(|_| "the payload is not JSON".to_owned())
    };
    match kind {
        // The token was looked at before.
        "generic" | "generic-oidc" => {}
        "generic-hmac" => signed(header("x-signature"), &token, &call.body)?,
        "github" => {
            let given = match header("x-hub-signature-256") {
                "" => header("x-hub-signature"),
                given => given,
            };
            signed(given, &token, &call.body)?;
            allowed(header("x-github-event"))?;
        }
        "bitbucket" => {
            signed(header("x-hub-signature"), &token, &call.body)?;
            allowed(header("x-event-key"))?;
        }
        "gitlab" => {
            if !same(header("x-gitlab-token"), &token) {
                return Err("the X-Gitlab-Token header value does not match the receiver token".into());
            }
            allowed(header("x-gitlab-event"))?;
        }
        "harbor" => {
            if !same(header("authorization"), &token) {
                return Err("the Harbor Authorization header value does not match the receiver token".into());
            }
        }
        "cdevents" => {
            let event = parsed()?;
            for field in [["context", "type"], ["context", "id"], ["subject", "id"]] {
                if str_at(&event, &field).is_empty() {
                    return Err(format!("no CDEvent: {} is missing", field.join(".")));
                }
            }
            allowed(header("ce-type"))?;
        }
        "quay" | "dockerhub" | "acr" => {
            parsed()?;
        }
        "nexus" => {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes());
            let tag =
                hex::decode(header("x-nexus-webhook-signature")).map_err(|_| "invalid Nexus signature")?;
            hmac::verify(&key, &call.body, &tag).map_err(|_| "invalid Nexus signature")?;
            parsed()?;
        }
        "gcr" => return gcr(cluster, receiver, header("authorization"), parsed()?).await,
        other => return Err(format!("receiver type '{other}' not supported")),
    }
    let is_json = header("content-type").split(',').any(|part| {
        part.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if is_json { parsed() } else { Ok(json!({})) }
}

/// The Secret may say who calls (`email`) and for whom the token is (`audience`); both must be in the bearer's token,
/// whose signature Google is asked about.
async fn gcr(cluster: &Cluster, receiver: &Value, bearer: &str, payload: Value) -> Result<Value, String> {
    const ASK: &str = "https://oauth2.googleapis.com/tokeninfo";
    let token = bearer.strip_prefix("Bearer ").ok_or("the Authorization header is missing or malformed")?;
    let namespace = meta::namespace(receiver).unwrap_or_default();
    let gvk = Gvk::new("", "v1", "Secret");
    let secret = cluster.get(&gvk, namespace, str_at(receiver, &["spec", "secretRef", "name"])).await;
    let data = secret.ok().flatten().map(|secret| secret_data(&secret)).unwrap_or_default();
    let wanted = |name: &str| data.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let client = source::http_client(&source::Credentials::default(), Duration::from_secs(10))
        .map_err(|error| error.to_string())?;
    let mut ask = url::Url::parse(ASK).map_err(|error| error.to_string())?;
    ask.query_pairs_mut().append_pair("id_token", token);
    let answer = client.get(ask).send().await.map_err(|_| "cannot verify the token: no answer")?;
    if !answer.status().is_success() {
        return Err(format!("unable to authenticate the token: {}", answer.status()));
    }
    let claims: Value = answer.json().await.map_err(|_| "unable to authenticate the token")?;
    for (name, claim) in [("email", "email"), ("audience", "aud")] {
        if wanted(name).is_some_and(|wanted| str_at(&claims, &[claim]) != wanted) {
            return Err(format!("the token's {claim} is not the expected one"));
        }
    }
    let data = base64::engine::general_purpose::STANDARD.decode(str_at(&payload, &["message", "data"]));
    let data = data.map_err(|_| "cannot decode the message")?;
    serde_json::from_slice(&data).map_err(|_| "the message is not JSON".to_owned())
}

/// The version that a kind has when a resource names none.
fn kind_of(resource: &Value) -> Result<Gvk, String> {
    let kind = str_at(resource, &["kind"]);
    let given = str_at(resource, &["apiVersion"]);
    if !given.is_empty() {
        return Ok(Gvk::from_api_version(given, kind));
    }
    let known = crate::gvks().into_iter().find(|gvk| gvk.kind == kind);
    known.ok_or_else(|| format!("apiVersion must be specified for kind '{kind}'"))
}

async fn ask(cluster: &Cluster, receiver: &Value, resource: &Value, asked: &Asked) -> Result<(), String> {
    let own = meta::namespace(receiver).unwrap_or_default();
    let namespace = namespace_of(receiver, str_at(resource, &["namespace"]));
    let name = str_at(resource, &["name"]);
    let kind = str_at(resource, &["kind"]);
    if asked.no_cross_namespace_refs && namespace != own {
        return Err(format!(
            "can't access '{kind}/{namespace}/{name}', cross-namespace references have been blocked"
        ));
    }
    let gvk = kind_of(resource)?;
    let objects = if name == "*" {
        let labels = string_map(resource, &["matchLabels"]);
        if labels.is_empty() {
            return Err("matchLabels field not set when using wildcard '*' as name".into());
        }
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let options = ListOptions {
            namespace: namespace.to_owned(),
            labels: labels.join(","),
            ..ListOptions::default()
        };
        cluster.list(&gvk, &options).await.map_err(|error| error.to_string())?
    } else {
        let found = cluster.get(&gvk, namespace, name).await.map_err(|error| error.to_string())?;
        vec![found.ok_or_else(|| format!("unable to read {kind} '{namespace}/{name}' error: not found"))?]
    };
    for object in objects {
        let seen = json!({
            "apiVersion": object.get("apiVersion"), "kind": object.get("kind"), "metadata": object.get("metadata"),
        });
        let mut variables = vec![("res", &seen), ("req", &asked.request)];
        variables.extend(asked.claims.as_ref().map(|claims| ("claims", claims)));
        let filters = [str_at(receiver, &["spec", "resourceFilter"]), str_at(resource, &["filter"])];
        let mut wanted = true;
        for filter in filters.into_iter().filter(|filter| !filter.is_empty()) {
            wanted = wanted && cel::boolean(filter, &variables).map_err(|error| error.to_string())?;
        }
        if !wanted {
            continue;
        }
        let now = jiff::Timestamp::now().to_string();
        let patch = json!({"metadata": {"annotations": {REQUESTED_AT: now}}});
        let options = PatchOptions { manager: "notification-controller".into(), ..PatchOptions::default() };
        cluster
            .patch(&gvk, namespace, meta::name(&object), PatchKind::Merge, &patch, &options)
            .await
            .map_err(|error| format!("failed to annotate resource: {error}"))?;
    }
    Ok(())
}
