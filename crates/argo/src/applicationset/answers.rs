//! Answers to the questions of generators: repositories, Secrets, forges, plugins and other objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use controller::{Context, aspect};
use delivery::fields::secret_data;
use futures::future::BoxFuture;
use jiff::Timestamp;
use object::{Gvk, Key, Value, get_str, meta};
use serde_json::json;

use super::kind::{ApplicationSets, REFRESH, interval};
use super::{Answer, Question};
use crate::application::spec::Origin;
use crate::forges::{self, Secrets};
use crate::names;
use crate::options::Shared;
use crate::repositories::Address;
use crate::settings::{Parameters, SetParameters};

/// What forges and plugins said, as long as it counts: a set is looked at far more often than they are asked.
pub(super) type Known = std::sync::Mutex<BTreeMap<(Key, Question), Said>>;

/// An answer, of whom it was asked and when.
pub(super) struct Said {
    answer: Answer,
    at: Timestamp,
    uid: String,
    spec: String,
}

/// Secrets and ConfigMaps of a namespace. The set runs again when one of them changes.
struct Beside<'a> {
    context: &'a Context,
    shared: &'a Shared,
    namespace: &'a str,
    /// Do only Secrets count that are labelled as those of forges?
    strict: bool,
}

impl Secrets for Beside<'_> {
    fn get<'a>(
        &'a self,
        kind: &'a str,
        name: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            let place = format!("{kind} {}/{name}", self.namespace);
            let gvk = Gvk::new("", "v1", kind);
            let found = self.context.read(&gvk, self.namespace, name, aspect::content, true).await;
            let found = found.map_err(|error| format!("{place}: {error}"))?;
            let found = found.ok_or_else(|| format!("{place} not found"))?;
            let text = match kind {
                "Secret" if self.strict && meta::label(&found, names::SECRET_TYPE) != Some("scm-creds") => {
                    return Err(format!(
                        "secret {}/{name} is not a valid SCM creds secret: secret must have label {:?}=\"scm-creds\"",
                        self.namespace,
                        names::SECRET_TYPE
                    ));
                }
                "Secret" => {
                    secret_data(&found).get(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
                }
                _ => get_str(&found, &["data", key]).map(str::to_owned),
            };
            text.ok_or_else(|| format!("key {key:?} in {place} not found"))
        })
    }

    fn app(&self, data: BTreeMap<String, Vec<u8>>) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async move {
            let fetcher = self.shared.repositories.fetcher();
            let given = fetcher.github_app(&data, &source::Credentials::default()).await;
            let given = given.map_err(|error| error.to_string())?;
            given.password.ok_or_else(|| "the GitHub App has no token".to_owned())
        })
    }
}

impl ApplicationSets {
    pub(super) async fn answer(
        &self,
        context: &Context,
        set: &Value,
        question: &Question,
        parameters: &Parameters,
    ) -> Result<Result<Answer, String>, cluster::Error> {
        Ok(match question {
            Question::Files { repo, revision, project } => {
                let revision = if revision.is_empty() { "HEAD" } else { revision };
                let address = Address {
                    origin: Origin::Git,
                    url: repo.clone(),
                    revision: revision.to_owned(),
                    chart: String::new(),
                    signers: None,
                    project: project.clone(),
                    submodules: parameters.sets.submodules,
                    pass_credentials: false,
                    tag_prefix: String::new(),
                };
                let age = parameters.sets.requeue.unwrap_or(self.shared.options.refresh);
                let fetched = self.shared.repositories.get(context, &address, age).await;
                fetched.map(|fetched| Answer::Files(Arc::new(fetched.tree.clone())))
            }
            Question::Clusters => {
                let secrets = self.shared.sites.declared(context).await?;
                Ok(Answer::List(Arc::new(secrets)))
            }
            Question::Decisions(spec) => self.decisions(context, set, spec).await?,
            Question::Repositories(spec) | Question::PullRequests(spec) | Question::Plugin(spec) => {
                self.forge(context, set, question, spec, &parameters.sets).await
            }
        })
    }

    /// The objects that decide about clusters, with what the ConfigMap of the generator says about them.
    async fn decisions(
        &self,
        context: &Context,
        set: &Value,
        spec: &str,
    ) -> Result<Result<Answer, String>, cluster::Error> {
        let spec: Value = serde_json::from_str(spec).unwrap_or_default();
        let text = |value: &Value, path: &[&str]| get_str(value, path).unwrap_or_default().to_owned();
        let home = meta::namespace(set).unwrap_or_default();
        let name = text(&spec, &["configMapRef"]);
        let map = context.read(&Gvk::new("", "v1", "ConfigMap"), home, &name, aspect::content, true).await?;
        let Some(map) = map else { return Ok(Err(format!("ConfigMap {home}/{name} not found"))) };
        let data = |key: &str| text(&map, &["data", key]);
        let labels = match spec.get("labelSelector").map(object::LabelSelector::from_object) {
            Some(Ok(selector)) => Some(selector),
            Some(Err(error)) => return Ok(Err(error.to_string())),
            None => None,
        };
        let wanted = text(&spec, &["name"]);
        if wanted.is_empty() == labels.is_none() {
            return Ok(Err("exactly one of name and labelSelector must be given".to_owned()));
        }
        // The ConfigMap names the resource as addresses do, in the plural.
        let (api_version, plural) = (data("apiVersion"), data("kind"));
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let path = format!("/{root}/{api_version}/namespaces/{home}/{plural}");
        let found = match context.cluster.raw("GET", &path, None, "").await {
            Ok(found) => found,
            Err(error) => return Ok(Err(format!("cannot list {plural} of {api_version}: {error}"))),
        };
        let objects = found.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        let chosen: Vec<Value> = objects
            .into_iter()
            .filter(|object| match &labels {
                Some(selector) => selector.matches_object(object),
                None => meta::name(object) == wanted,
            })
            .map(|object| {
                json!({ "object": object, "matchKey": data("matchKey"), "statusListKey": data("statusListKey") })
            })
            .collect();
        if chosen.is_empty() {
            return Ok(Err(format!("no object of {plural} that decides about clusters was found")));
        }
        Ok(Ok(Answer::List(Arc::new(chosen))))
    }

    /// What a forge or a plugin says; what it said is good until the set's generators are to be asked again.
    async fn forge(
        &self,
        context: &Context,
        set: &Value,
        question: &Question,
        spec: &str,
        parameters: &SetParameters,
    ) -> Result<Answer, String> {
        let slot = (context.key.clone(), question.clone());
        let now = context.clock().now();
        let whole = set.get("spec").map(Value::to_string).unwrap_or_default();
        let asked = meta::annotation(set, REFRESH).is_some();
        {
            let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let longest = interval(set, parameters);
            // What nobody asks any more goes.
            known.retain(|(key, _), said| {
                *key != slot.0
                    || (!asked
                        && said.uid == meta::uid(set)
                        && said.spec == whole
                        && std::time::Duration::try_from(now.duration_since(said.at))
                            .is_ok_and(|age| age < longest))
            });
            if let Some(said) = known.get(&slot) {
                return Ok(said.answer.clone());
            }
        }
        let spec: Value = serde_json::from_str(spec).map_err(|error| error.to_string())?;
        let own = meta::namespace(set).unwrap_or_default();
        let home = self.shared.options.namespace.as_str();
        if !matches!(question, Question::Plugin(_)) {
            parameters.permits(&forges::api(&spec))?;
        }
        let strict = parameters.strict_tokens && !matches!(question, Question::Plugin(_));
        let beside = |namespace| Beside { context, shared: &self.shared, namespace, strict };
        let addresses = &self.shared.options.forges;
        let sets = match question {
            Question::Repositories(_) => forges::repositories(&spec, addresses, &beside(own)).await,
            Question::PullRequests(_) => forges::changes(&spec, addresses, &beside(own)).await,
            _ => forges::plugin(&spec, meta::name(set), &beside(home)).await,
        }?;
        let answer = Answer::List(Arc::new(sets));
        let said = Said { answer: answer.clone(), at: now, uid: meta::uid(set).to_owned(), spec: whole };
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(slot, said);
        Ok(answer)
    }
}
