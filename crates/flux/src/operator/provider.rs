//! ResourceSetInputProvider: inputs from its spec, a registry's tags, a Git forge, a service, or ExternalArtifacts;
//! whenever its schedule allows.

use std::sync::Arc;
use std::time::Duration;

use cluster::{EventType, ListOptions};
use controller::{Cause, Context, Description, Kind, Next, Outcome, aspect};
use futures::future::BoxFuture;
use object::selector::LabelSelector;
use object::{Gvk, Value, get, meta};
use serde_json::{Map, json};
use source::Credentials;
use source::cloud::Cloud;
use source::oci::Request;

use super::filter::{self, Filter};
use super::forges::{Forge, Repository};
use super::schedule::{Scheduler, until};
use super::{every, gvk, inputs, is_disabled};
use crate::common::{self, FORCE_AT, Pass, REQUESTED_AT, bool_at, sha256, str_at};
use crate::identity;
use crate::options::Shared;
use crate::sources::{credentials, secret_data, source_gvk};

pub(super) struct Providers {
    pub shared: Arc<Shared>,
}

impl Kind for Providers {
    fn gvk(&self) -> Gvk {
        gvk("ResourceSetInputProvider")
    }

    fn describe(&self, object: &Value) -> Description {
        let mut description = common::describe(object);
        description.suspended = is_disabled(object);
        description
    }

    fn trigger(&self, object: &Value) -> String {
        super::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let mut pass = Pass::new(context, object, super::MANAGER);
            let done = self.steps(&mut pass).await;
            pass.outcome(done, Duration::from_secs(300))
        })
    }
}

/// Why nothing is exported.
enum Failure {
    /// The line: another time may be better.
    Passing(String),
    /// Reason and line: only a changed spec can help.
    Spec(&'static str, String),
}

fn passing(why: impl std::fmt::Display) -> Failure {
    Failure::Passing(why.to_string())
}

fn invalid(why: impl Into<String>) -> Failure {
    Failure::Spec("InvalidSpec", why.into())
}

/// Does somebody ask to be heard in spite of a schedule?
fn forced(pass: &mut Pass) -> bool {
    let asked = meta::annotation(&pass.object, FORCE_AT).unwrap_or_default().to_owned();
    let requested = meta::annotation(&pass.object, REQUESTED_AT).unwrap_or_default();
    let forced =
        !asked.is_empty() && asked == requested && asked != str_at(pass.status(), &["lastHandledForceAt"]);
    if forced {
        pass.set(&["lastHandledForceAt"], json!(asked));
    }
    forced
}

impl Providers {
    async fn steps(&self, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
        if pass.is_deleted() {
            pass.remove_finalizer().await?;
            return Ok(Outcome::done());
        }
        pass.ensure_finalizer().await?;
        if is_disabled(&pass.object) {
            return Ok(Outcome::done());
        }
        let limit = every(&pass.object, "reconcileTimeout", Duration::from_secs(120));
        let spec = get(&pass.object, &["spec"]).cloned().unwrap_or_default();
        let scheduler = match Scheduler::new(&spec, limit) {
            Ok(scheduler) => scheduler,
            Err(why) => return self.refuse(pass, Failure::Spec("InvalidSchedule", why)).await,
        };
        let now = pass.context.clock().now();
        if !forced(pass) && !scheduler.allows(now) {
            return self.wait_for_schedule(pass, &scheduler).await;
        }
        let context = pass.context.clone();
        let exported = tokio::select! {
            exported = tokio::time::timeout(limit, self.export(pass, &spec)) => exported,
            () = context.cancel.cancelled() => return Ok(Outcome::preempted()),
        };
        let exported = exported.unwrap_or_else(|_| Err(passing(format!("no answer within {limit:?}"))));
        let exported = match exported {
            Ok(exported) => exported,
            Err(failure) => return self.refuse(pass, failure).await,
        };
        let interval = every(&pass.object, "reconcileEvery", Duration::from_secs(600));
        let (pause, next) = scheduler.after(pass.context.clock().now(), interval);
        pass.set(&["nextSchedule"], next.map(|next| next.status()).unwrap_or_default());
        pass.set(&["lastExportedRevision"], json!(sha256(json!(exported).to_string())));
        pass.set(&["exportedInputs"], json!(exported));
        pass.succeed("ReconciliationSucceeded", "Reconciliation finished");
        pass.write().await?;
        Ok(Outcome::after(pause))
    }

    /// What was exported stays until the schedule begins.
    async fn wait_for_schedule(
        &self,
        pass: &mut Pass,
        scheduler: &Scheduler,
    ) -> Result<Outcome, cluster::Error> {
        let now = pass.context.clock().now();
        let Some(next) = scheduler.next(now) else {
            let why = "the schedule has no next time".to_owned();
            return self.refuse(pass, Failure::Spec("InvalidSchedule", why)).await;
        };
        pass.set(&["nextSchedule"], next.status());
        let status = next.status();
        let when = str_at(&status, &["when"]).to_owned();
        let message = format!("Reconciliation skipped, next scheduled at {when}");
        if pass.get_condition("Ready").is_none() {
            pass.succeed("SkippedDueToSchedule", &message);
        }
        pass.event(EventType::Normal, "SkippedDueToSchedule", &message, "");
        pass.write().await?;
        Ok(Outcome::after(until(now, next.when)))
    }

    async fn refuse(&self, pass: &mut Pass, failure: Failure) -> Result<Outcome, cluster::Error> {
        let before = pass.ready_message();
        let (reason, why, stalled) = match failure {
            Failure::Passing(why) => ("ReconciliationFailed", why, false),
            Failure::Spec(reason, why) => (reason, why, true),
        };
        pass.refuse(reason, &why, stalled, &before);
        pass.write().await?;
        let cause = Cause::new(why);
        if stalled {
            return Ok(Outcome { next: Next::Nothing, cause: Some(cause) });
        }
        Ok(Outcome::retry(Duration::from_secs(300), cause))
    }

    async fn export(&self, pass: &Pass, spec: &Value) -> Result<Vec<Value>, Failure> {
        let kind = str_at(spec, &["type"]).to_owned();
        let filter = Filter::new(spec).map_err(invalid)?;
        let mut found = match kind.as_str() {
            "Static" => vec![id_of(&inputs::id(meta::uid(&pass.object)))],
            "OCIArtifactTag" | "ACRArtifactTag" | "ECRArtifactTag" | "GARArtifactTag" => {
                self.tags(pass, spec, &filter).await?
            }
            "ExternalService" => external(pass, spec, &filter).await?,
            "ExternalArtifact" => self.artifacts(pass, spec, &filter).await?,
            _ => match Forge::of(&kind) {
                Some((forge, what)) => self.forge(pass, spec, (forge, what), &filter).await?,
                None => {
                    return Err(invalid(format!("the input provider type '{kind}' is not supported")));
                }
            },
        };
        let defaults = get(spec, &["defaultValues"]).and_then(Value::as_object);
        for map in &mut found {
            for (key, value) in defaults.into_iter().flatten() {
                map.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        Ok(found.into_iter().map(Value::Object).collect())
    }
    async fn tags(
        &self,
        pass: &Pass,
        spec: &Value,
        filter: &Filter,
    ) -> Result<Vec<Map<String, Value>>, Failure> {
        let url = str_at(spec, &["url"]);
        if !url.strip_prefix("oci://").is_some_and(|rest| rest.contains('/')) {
            return Err(invalid(format!("spec.url '{url}' must be oci://HOST/REPOSITORY")));
        }
        let mut request = Request::new(url);
        let cloud = match str_at(spec, &["type"]) {
            "ACRArtifactTag" => Some(Cloud::Azure),
            "ECRArtifactTag" => Some(Cloud::Aws),
            "GARArtifactTag" => Some(Cloud::Google),
            _ => None,
        };
        let given = credentials(pass).await.map_err(|failure| passing(failure.message))?;
        let login = identity::registry(&self.shared, pass, cloud, url, given).await;
        request.credentials = login.map_err(passing)?;
        request.insecure = bool_at(spec, &["insecure"]);
        let fetcher = &self.shared.options.fetcher;
        let mut found = Vec::new();
        for tag in filter.tags(fetcher.oci_tags(&request).await.map_err(passing)?) {
            request.reference.tag = Some(tag.clone());
            let digest = fetcher.oci_digest(&request).await.map_err(passing)?;
            let mut map = id_of(&inputs::id(&tag));
            map.insert("tag".into(), json!(tag));
            map.insert("digest".into(), json!(digest));
            found.push(map);
        }
        Ok(found)
    }

    async fn forge(
        &self,
        pass: &Pass,
        spec: &Value,
        (forge, what): (Forge, &str),
        filter: &Filter,
    ) -> Result<Vec<Map<String, Value>>, Failure> {
        let given = self.login(pass, spec, forge).await?;
        let repository = Repository::open(forge, str_at(spec, &["url"]), given).map_err(invalid)?;
        let found = repository.inputs(what, filter).await.map_err(passing)?;
        Ok(held(found, spec, pass.status()))
    }

    /// What a forge is asked with: a token in the Secret, or one of a GitHub App.
    async fn login(&self, pass: &Pass, spec: &Value, forge: Forge) -> Result<Credentials, Failure> {
        let mut given = credentials(pass).await.map_err(|failure| passing(failure.message))?;
        let name = str_at(spec, &["secretRef", "name"]);
        if name.is_empty() {
            let fetcher = &self.shared.options.fetcher;
            if forge != Forge::AzureDevOps {
                return Ok(given);
            }
            let account = str_at(spec, &["serviceAccountName"]);
            let account = identity::account(&self.shared, pass, account).await.map_err(passing)?;
            let url = str_at(spec, &["url"]);
            return fetcher.git_login(Cloud::Azure, url, account.as_ref(), &given).await.map_err(passing);
        }
        let secret = Gvk::new("", "v1", "Secret");
        let found = pass.context.read(&secret, pass.namespace(), name, aspect::content, true).await;
        let data = found.map_err(passing)?.map(|found| secret_data(&found)).unwrap_or_default();
        if forge == Forge::GitHub && data.contains_key("githubAppID") {
            return self.shared.options.fetcher.github_app(&data, &given).await.map_err(passing);
        }
        for key in ["username", "password"] {
            if !data.contains_key(key) {
                let place = format!("{}/{name}", pass.namespace());
                return Err(passing(format!("invalid secret '{place}': key '{key}' is missing")));
            }
        }
        given.password = given.password.map(|token| token.trim().to_owned());
        Ok(given)
    }

    /// The ExternalArtifacts that any selector means, each once; a change of one is noticed.
    async fn artifacts(
        &self,
        pass: &Pass,
        spec: &Value,
        filter: &Filter,
    ) -> Result<Vec<Map<String, Value>>, Failure> {
        let selectors = get(spec, &["selectors"]).and_then(Value::as_array).filter(|list| !list.is_empty());
        let selectors = selectors
            .ok_or_else(|| invalid("spec.selectors must be set when spec.type is 'ExternalArtifact'"))?;
        if !str_at(spec, &["url"]).is_empty() {
            return Err(invalid("spec.url must be empty when spec.type is 'ExternalArtifact'"));
        }
        let gvk = source_gvk("ExternalArtifact");
        pass.context.watch(&gvk).await.map_err(passing)?;
        pass.context.any(&gvk.group, &gvk.kind);
        let default = self.shared.options.default_service_account.as_deref();
        let cluster = pass.impersonated(default).await.map_err(passing)?;
        let cluster = cluster.ok_or_else(|| passing("service account not found"))?;
        let mut found = std::collections::BTreeMap::new();
        for selector in selectors {
            let namespace = match str_at(selector, &["namespace"]) {
                "" => pass.namespace(),
                given => given,
            };
            let everywhere = namespace == "*";
            if self.shared.options.no_cross_namespace_refs && namespace != pass.namespace() {
                return Err(invalid("spec.selectors: cross-namespace references have been blocked"));
            }
            let labels = LabelSelector::from_object(selector).map_err(|error| invalid(error.to_string()))?;
            let name = str_at(selector, &["name"]);
            let options = ListOptions {
                namespace: if everywhere { String::new() } else { namespace.to_owned() },
                ..ListOptions::default()
            };
            for artifact in cluster.list(&gvk, &options).await.map_err(passing)? {
                let fits = match name {
                    "" => labels.matches(meta::labels(&artifact)),
                    name => meta::name(&artifact) == name,
                };
                if fits {
                    let key =
                        (meta::namespace(&artifact).map(str::to_owned), meta::name(&artifact).to_owned());
                    found.insert(key, artifact);
                }
            }
        }
        Ok(found.into_values().take(filter.limit).map(|artifact| artifact_input(&artifact)).collect())
    }
}

fn id_of(id: &str) -> Map<String, Value> {
    Map::from_iter([("id".to_owned(), json!(id))])
}

/// An ExternalArtifact: its labels, and what it is.
fn artifact_input(artifact: &Value) -> Map<String, Value> {
    let (namespace, name) = (meta::namespace(artifact).unwrap_or_default(), meta::name(artifact));
    let mut map: Map<String, Value> = Map::new();
    for (key, value) in common::string_map(artifact, &["metadata", "labels"]) {
        map.insert(key, json!(value));
    }
    map.insert("id".into(), json!(inputs::id(&format!("{namespace}/{name}"))));
    map.insert("name".into(), json!(name));
    map.insert("namespace".into(), json!(namespace));
    let revision = str_at(artifact, &["status", "artifact", "revision"]);
    if !revision.is_empty() {
        map.insert("revision".into(), json!(revision));
    }
    map
}

/// `spec.skip`: what is skipped stays as it was exported before; what is new is left out.
fn held(found: Vec<Map<String, Value>>, spec: &Value, status: &Value) -> Vec<Map<String, Value>> {
    let before = status.get("exportedInputs").and_then(Value::as_array).cloned().unwrap_or_default();
    let keep = |mut map: Map<String, Value>| {
        let labels = map.get("labels").and_then(Value::as_array).into_iter().flatten();
        let labels: Vec<String> = labels.filter_map(Value::as_str).map(str::to_owned).collect();
        if !filter::skips(spec, &labels) {
            return Some(map);
        }
        let known = before.iter().find(|known| known.get("id") == map.get("id"))?;
        for field in ["sha", "branch", "tag", "slug", "author", "title", "labels"] {
            match known.get(field) {
                Some(value) => map.insert(field.into(), value.clone()),
                None => map.remove(field),
            };
        }
        Some(map)
    };
    found.into_iter().filter_map(keep).collect()
}

/// What a service answers: JSON with a list of `inputs`, each with an `id` of its own.
async fn external(pass: &Pass, spec: &Value, filter: &Filter) -> Result<Vec<Map<String, Value>>, Failure> {
    const MOST: usize = 900 * 1024;
    let url = str_at(spec, &["url"]);
    let allowed = url.starts_with("https://") || (bool_at(spec, &["insecure"]) && url.starts_with("http://"));
    if !allowed {
        return Err(invalid("spec.url must use 'https://' unless spec.insecure is true"));
    }
    let given = credentials(pass).await.map_err(|failure| passing(failure.message))?;
    let client = source::http_client(&given, Duration::from_secs(30)).map_err(passing)?;
    let mut call = client.get(url).header("accept", "application/json");
    let name = str_at(spec, &["secretRef", "name"]);
    let secret = Gvk::new("", "v1", "Secret");
    let token = if name.is_empty() {
        None
    } else {
        let found = pass.context.read(&secret, pass.namespace(), name, aspect::content, true).await;
        found.map_err(passing)?.and_then(|found| secret_data(&found).remove("token"))
    };
    if let Some(token) = token {
        call = call.bearer_auth(String::from_utf8_lossy(&token).trim());
    } else if let Some(user) = &given.username {
        call = call.basic_auth(user, given.password.as_deref());
    }
    let answer = call.send().await.map_err(|error| passing(error.without_url()))?;
    if !answer.status().is_success() {
        return Err(passing(format!("{url}: the server answered {}", answer.status())));
    }
    let body = answer.bytes().await.map_err(|error| passing(error.without_url()))?;
    if body.len() > MOST {
        return Err(passing(format!("{url}: the answer is larger than 900 KiB")));
    }
    let answer: Value =
        serde_json::from_slice(&body).map_err(|_| passing(format!("{url}: the answer is not JSON")))?;
    let inputs = answer.get("inputs").and_then(Value::as_array);
    let inputs = inputs.ok_or_else(|| passing(format!("{url}: the answer has no list of inputs")))?;
    let mut seen = std::collections::BTreeSet::new();
    let mut found = Vec::new();
    for input in inputs {
        let map = input.as_object().cloned().unwrap_or_default();
        let id = map.get("id").and_then(Value::as_str).map(str::to_owned);
        let id = id.ok_or_else(|| passing(format!("{url}: an input has no id")))?;
        if !seen.insert(id.clone()) {
            return Err(passing(format!("{url}: two inputs have the id '{id}'")));
        }
        found.push(map);
    }
    found.truncate(filter.limit);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_skipped_stays_as_it_was() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let found = vec![
            map(json!({"id": "1", "sha": "new", "labels": ["hold"]})),
            map(json!({"id": "2", "sha": "new", "labels": ["hold"]})),
            map(json!({"id": "3", "sha": "new"})),
        ];
        let spec = json!({"skip": {"labels": ["hold"]}});
        let status = json!({"exportedInputs": [{"id": "1", "sha": "old", "extra": "default"}, {"id": "3", "sha": "old"}]});
        let kept = held(found, &spec, &status);
        assert_eq!(json!(kept), json!([{"id": "1", "sha": "old"}, {"id": "3", "sha": "new"}]));
    }
}
