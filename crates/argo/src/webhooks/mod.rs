//! Argo CD's `/api/webhook`: forges tell of pushes and pull requests, and what reads the repository is looked at anew.
//!
//! [`payload`] says what a call means, [`refresh`] whom it is about. Whether a call is believed is decided by the secrets
//! of `argocd-secret`; without one every call of that forge is, as in Argo CD: all it can bring about is a look.

pub mod payload;
pub mod refresh;

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use cluster::{Cluster, ErrorKind, ListOptions, PatchKind, PatchOptions};
use delivery::doors::{Call, Door, Reply, same, signed};
use delivery::fields::secret_data;
use futures::future::BoxFuture;
use object::{Gvk, Value, meta};
use serde_json::json;

use crate::{names, settings};
use payload::{Event, Forge};

/// Where forges call.
const PATH: &str = "/api/webhook";
/// The largest payload, Argo CD's default.
const MAX_BODY: usize = 50 << 20;
/// Who asks for a look.
const MANAGER: &str = "argocd-server";

/// Takes the calls of forges for the installation in the namespace `home`.
pub fn door(cluster: &Cluster, home: &str) -> Arc<dyn Door> {
    Arc::new(Webhooks { cluster: cluster.clone(), home: home.to_owned() })
}

struct Webhooks {
    cluster: Cluster,
    home: String,
}

impl Door for Webhooks {
    fn takes(&self, path: &str) -> Option<usize> {
        (path == PATH).then_some(MAX_BODY)
    }

    fn answer(&self, call: Call) -> BoxFuture<'_, Reply> {
        Box::pin(async move { self.handle(&call).await })
    }
}

fn refused(why: &str) -> Reply {
    Reply { status: 400, text: format!("Webhook processing failed: {why}\n") }
}

impl Webhooks {
    async fn handle(&self, call: &Call) -> Reply {
        let Some(forge) = Forge::of(call) else {
            return Reply { status: 400, text: "Unknown webhook event\n".to_owned() };
        };
        let secrets = match self.secrets().await {
            Ok(secrets) => secrets,
            Err(error) => {
                tracing::warn!(%error, "a webhook was not taken: argocd-secret cannot be read");
                return Reply::from(503);
            }
        };
        if let Err(why) = believed(forge, call, &secrets) {
            tracing::warn!(forge = forge.as_str(), why, "a webhook was refused");
            return refused(&why);
        }
        let event = match payload::read(forge, call) {
            Ok(event) => event,
            Err(why) => return refused(&why),
        };
        match self.spread(&event).await {
            Ok(()) => Reply::from(200),
            Err(error) => {
                tracing::warn!(%error, "a webhook asked for looks that could not be asked for");
                Reply::from(500)
            }
        }
    }

    /// What `argocd-secret` holds, where `$secret:key` stands for an entry of another Secret.
    async fn secrets(&self) -> Result<BTreeMap<String, String>, cluster::Error> {
        let gvk = Gvk::new("", "v1", "Secret");
        let read = async |name: &str| -> Result<BTreeMap<String, String>, cluster::Error> {
            let found = self.cluster.get(&gvk, &self.home, name).await?;
            let data = found.map(|found| secret_data(&found)).unwrap_or_default();
            Ok(data
                .into_iter()
                .map(|(key, value)| (key, String::from_utf8_lossy(&value).into_owned()))
                .collect())
        };
        let own = read("argocd-secret").await?;
        let wanted = own.values().filter_map(|value| value.strip_prefix('$')?.split_once(':'));
        let mut others = BTreeMap::new();
        for (name, _) in wanted {
            if !others.contains_key(name) {
                others.insert(name.to_owned(), read(name).await?);
            }
        }
        let lookup = |secret: &str, key: &str| match secret {
            "argocd-secret" => own.get(key).cloned(),
            other => others.get(other)?.get(key).cloned(),
        };
        let webhooks = own.iter().filter(|(key, _)| key.starts_with("webhook."));
        Ok(webhooks.map(|(key, value)| (key.clone(), settings::resolve(value, lookup))).collect())
    }

    /// Has everything looked at that the event is about.
    async fn spread(&self, event: &Event) -> Result<(), cluster::Error> {
        for application in self.all(names::APPLICATION).await? {
            let asks = refresh::application(&application, event);
            if asks.refresh {
                self.ask(&application, names::REFRESH, "normal").await?;
            }
            if asks.hydrate {
                self.ask(&application, names::HYDRATE, "normal").await?;
            }
        }
        for set in self.all(names::APPLICATION_SET).await? {
            if refresh::set(&set, event) {
                self.ask(&set, names::SET_REFRESH, "true").await?;
            }
        }
        Ok(())
    }

    async fn all(&self, kind: &str) -> Result<Vec<Value>, cluster::Error> {
        match self.cluster.list(&names::gvk(kind), &ListOptions::default()).await {
            Err(error) if error.kind == ErrorKind::MissingKind => Ok(Vec::new()),
            other => other,
        }
    }

    async fn ask(&self, object: &Value, annotation: &str, value: &str) -> Result<(), cluster::Error> {
        let patch = json!({"metadata": {"annotations": {annotation: value}}});
        let options = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
        let namespace = meta::namespace(object).unwrap_or_default();
        let gvk = Gvk::of(object);
        let done =
            self.cluster.patch(&gvk, namespace, meta::name(object), PatchKind::Merge, &patch, &options);
        match done.await {
            // Deleted meanwhile: nobody is left to look.
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

/// Does a call come from who knows the forge's secret?
fn believed(forge: Forge, call: &Call, secrets: &BTreeMap<String, String>) -> Result<(), String> {
    let secret = |key: &str| secrets.get(key).map(String::as_str).filter(|secret| !secret.is_empty());
    match forge {
        Forge::GitHub => match secret("webhook.github.secret") {
            Some(secret) => {
                let given = match call.header("x-hub-signature-256") {
                    "" => call.header("x-hub-signature"),
                    given => given,
                };
                signed(given, secret, &call.body)
            }
            None => Ok(()),
        },
        Forge::GitLab => match secret("webhook.gitlab.secret") {
            Some(secret) if !same(call.header("x-gitlab-token"), secret) => {
                Err("X-Gitlab-Token validation failed".into())
            }
            _ => Ok(()),
        },
        Forge::Bitbucket => match secret("webhook.bitbucket.uuid") {
            Some(uuid) if !same(call.header("x-hook-uuid"), uuid) => Err("UUID verification failed".into()),
            _ => Ok(()),
        },
        Forge::BitbucketServer => match secret("webhook.bitbucketserver.secret") {
            // What is sent when a hook is tried is not signed.
            Some(_) if call.header("x-event-key") == "diagnostics:ping" => Ok(()),
            Some(secret) => signed(call.header("x-hub-signature"), secret, &call.body),
            None => Ok(()),
        },
        Forge::Gogs => match secret("webhook.gogs.secret") {
            Some(secret) => {
                signed(&format!("sha256={}", call.header("x-gogs-signature")), secret, &call.body)
            }
            None => Ok(()),
        },
        Forge::AzureDevOps => {
            let user = secret("webhook.azuredevops.username");
            let password = secret("webhook.azuredevops.password");
            if user.is_none() && password.is_none() {
                return Ok(());
            }
            let pair = format!("{}:{}", user.unwrap_or_default(), password.unwrap_or_default());
            let wanted = base64::engine::general_purpose::STANDARD.encode(pair);
            let given = call.header("authorization").strip_prefix("Basic ").unwrap_or_default();
            if same(given.trim(), &wanted) { Ok(()) } else { Err("basic auth verification failed".into()) }
        }
    }
}
