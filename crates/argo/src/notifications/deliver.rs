//! Telling what is due: follows the Applications of an installation and sends what their triggers say.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use cluster::{Cluster, ErrorKind, PatchKind, PatchOptions};
use delivery::fields::secret_data;
use object::{Gvk, Key, Value, get_str, meta};
use serde_json::json;
use source::Fetcher;
use tokio_util::sync::CancellationToken;

use super::exchanges::Exchange;
use super::services::{Call, calls};
use super::{Config, Due, STATE};
use crate::names;
use crate::settings::resolve;

/// Who writes down what was told.
const MANAGER: &str = "argocd-notifications-controller";
/// Changes come in bursts.
const BURST: Duration = Duration::from_millis(100);
/// When Applications are looked at although nothing changed: times pass, and what could not be told is tried again.
const EVERY: Duration = Duration::from_secs(60);
/// The longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How much of an answer is read.
const MAX_ANSWER: usize = 1 << 20;
/// The settings, and the Secret with what they keep to themselves.
const SETTINGS: &str = "argocd-notifications-cm";
const SECRETS: &str = "argocd-notifications-secret";

/// Starts to tell what happens to Applications, as the ConfigMap in `home` says, until `cancel` fires.
pub fn start(cluster: &Cluster, fetcher: Fetcher, home: &str, cancel: CancellationToken) {
    let teller = Teller { cluster: cluster.clone(), fetcher, home: home.to_owned() };
    tokio::spawn(async move {
        tokio::select! {
            () = teller.run() => {}
            () = cancel.cancelled() => {}
        }
    });
}

struct Teller {
    cluster: Cluster,
    /// Who asks for tokens of apps.
    fetcher: Fetcher,
    home: String,
}

impl Teller {
    async fn run(&self) {
        let mut changes = self.cluster.store().changes();
        for gvk in [Gvk::new("", "v1", "ConfigMap"), Gvk::new("", "v1", "Secret")] {
            while let Err(error) = self.cluster.watch(&gvk).await {
                tracing::debug!(%error, "settings of notifications cannot be read yet");
                tokio::time::sleep(EVERY).await;
            }
        }
        let mut open: BTreeSet<Key> = self.applications();
        loop {
            if !open.is_empty() {
                self.look(std::mem::take(&mut open)).await;
            }
            tokio::select! {
                change = changes.recv() => {
                    let Some(change) = change else { return };
                    open.extend(self.touched(&change.key));
                    tokio::time::sleep(BURST).await;
                    while let Ok(change) = changes.try_recv() {
                        open.extend(self.touched(&change.key));
                    }
                }
                () = tokio::time::sleep(EVERY) => open = self.applications(),
            }
        }
    }

    fn applications(&self) -> BTreeSet<Key> {
        self.cluster.store().keys(names::GROUP, names::APPLICATION).into_iter().collect()
    }

    /// The Applications that a change is about.
    fn touched(&self, key: &Key) -> BTreeSet<Key> {
        match key.kind.as_str() {
            names::APPLICATION if key.group == names::GROUP => BTreeSet::from([key.clone()]),
            "ConfigMap" if key.name == SETTINGS && key.namespace == self.home => self.applications(),
            _ => BTreeSet::new(),
        }
    }

    fn core(&self, kind: &str, name: &str) -> Option<Value> {
        self.cluster.store().get(&Key::new("", kind, self.home.as_str(), name))
    }

    async fn look(&self, applications: BTreeSet<Key>) {
        // Without settings nobody is told anything.
        let Some(settings) = self.core("ConfigMap", SETTINGS) else { return };
        let config = Config::parse(&settings);
        for problem in &config.problems {
            tracing::warn!(problem, "a part of the notifications' settings is left out");
        }
        let secrets: HashMap<String, String> = self
            .core("Secret", SECRETS)
            .map(|secret| secret_data(&secret))
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| (key, String::from_utf8_lossy(&value).into_owned()))
            .collect();
        for key in applications {
            if let Err(error) = self.tell(&config, &secrets, &key).await {
                tracing::warn!(application = %key, %error, "what was told is not written down");
            }
        }
    }

    async fn tell(
        &self,
        config: &Config,
        secrets: &HashMap<String, String>,
        key: &Key,
    ) -> Result<(), cluster::Error> {
        let Some(application) = self.cluster.store().get(key) else { return Ok(()) };
        let project =
            get_str(&application, &["spec", "project"]).filter(|name| !name.is_empty()).unwrap_or("default");
        let project = self.cluster.store().get(&names::key(names::APP_PROJECT, &self.home, project));
        let now = jiff::Timestamp::now().as_second();
        let unknown = |name: &str, _: &[Value]| Err(format!("{name} is not known here"));
        let mut verdict = config.due(&application, project.as_ref(), &json!(secrets), now, &unknown);
        for failure in &verdict.failures {
            tracing::warn!(application = %key, failure, "a notification cannot be made");
        }
        for due in &verdict.due {
            if let Err(why) = send(&self.fetcher, config, secrets, due, &application).await {
                tracing::warn!(application = %key, trigger = due.trigger, service = due.service, why, "not delivered");
                verdict.state.remove(&due.key);
            }
        }
        let before = meta::annotation(&application, STATE).unwrap_or_default();
        let after = if verdict.state.is_empty() { String::new() } else { json!(verdict.state).to_string() };
        if before == after {
            return Ok(());
        }
        let value = if after.is_empty() { Value::Null } else { json!(after) };
        let patch = json!({"metadata": {"annotations": {STATE: value}}});
        let options = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
        let gvk = names::gvk(names::APPLICATION);
        match self.cluster.patch(&gvk, &key.namespace, &key.name, PatchKind::Merge, &patch, &options).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            done => done.map(|_| ()),
        }
    }
}

/// Sends one notification about an Application, as `config` says, with what `$keys` stand for.
///
/// # Errors
/// For people, without what is secret.
pub async fn send(
    fetcher: &Fetcher,
    config: &Config,
    secrets: &HashMap<String, String>,
    due: &Due,
    application: &Value,
) -> Result<(), String> {
    let text = config.services.get(&due.service);
    let text = text.ok_or_else(|| format!("service {} is not configured", due.service))?;
    let kind = config.kinds.get(&due.service).map_or(due.service.as_str(), String::as_str);
    let text = resolve(text, |_, key| secrets.get(key).cloned());
    let service = yaml::from_str(&text).map_err(|error| error.to_string())?;
    let given = source::Credentials {
        any_certificate: ["insecureSkipVerify", "insecure"]
            .iter()
            .any(|field| service.get(*field) == Some(&Value::Bool(true))),
        ..source::Credentials::default()
    };
    let client = source::http_client(&given, TIMEOUT).map_err(|error| error.to_string())?;
    let exchange = Exchange { client: &client, fetcher, service: &service, due, application };
    let done = match kind {
        "email" => Some(super::mail::send(&service, due).await),
        "nats" => Some(super::nats::send(&service, due).await),
        "rocketchat" => Some(exchange.rocketchat().await),
        "awssqs" => Some(exchange.awssqs().await),
        "gcppubsub" => Some(exchange.pubsub().await),
        "github" => Some(exchange.github().await),
        _ => None,
    };
    if let Some(done) = done {
        return done.map_err(|why| format!("service {}: {why}", due.service));
    }
    for call in calls(kind, &due.service, &service, &due.recipient, &due.notification)? {
        one(&client, &call).await?;
    }
    Ok(())
}

/// Errors name neither the address, which may hold a token, nor what was sent.
async fn one(client: &reqwest::Client, call: &Call) -> Result<(), String> {
    let method = reqwest::Method::from_bytes(call.method.as_bytes())
        .map_err(|_| format!("{:?} is no method of HTTP", call.method))?;
    let mut request = client.request(method, &call.url).body(call.body.clone());
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|error| error.without_url().to_string())?;
    if !status.is_success() {
        return Err(format!("the service answered {status}"));
    }
    if call.must_say_ok {
        let said: Value = serde_json::from_slice(body.get(..body.len().min(MAX_ANSWER)).unwrap_or_default())
            .unwrap_or_default();
        if said.get("ok") != Some(&Value::Bool(true)) {
            return Err(format!(
                "the service refused: {}",
                get_str(&said, &["error"]).unwrap_or("no reason given")
            ));
        }
    }
    Ok(())
}
