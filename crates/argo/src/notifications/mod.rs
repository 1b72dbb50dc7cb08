//! Notifications: which triggers fire for an Application, to whom, with which text. All but [`start`], which delivers
//! them, is pure.
//!
//! [`Config`] is `argocd-notifications-cm`. [`Config::due`] looks at an Application and at what was already told (the
//! annotation [`STATE`]) and gives what is to be told now, with the annotation as it becomes.

mod deliver;
mod exchanges;
pub mod expr;
mod mail;
mod nats;
pub mod services;

pub use deliver::{send, start};

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use gotemplate::{Env, FixedHost, MissingKey, Templates, Value as Item};
use object::{Value, get, get_str, meta};
use serde_json::json;
use sha1::{Digest as _, Sha1};

use expr::{Expression, Scope};

/// The annotation that remembers what was told.
pub const STATE: &str = "notified.notifications.argoproj.io";
/// Before the names of triggers and services in annotations.
const SUBSCRIBE: &str = "notifications.argoproj.io/subscribe.";
/// Several subscriptions in one annotation.
const SUBSCRIPTIONS: &str = "notifications.argoproj.io/subscriptions";
/// The most that the annotation remembers.
const REMEMBERED: usize = 100;

/// A condition of a trigger.
#[derive(Debug, Clone)]
struct Condition {
    when: Expression,
    /// The text of `when`, made short: part of what is remembered.
    key: String,
    once_per: Option<Expression>,
    send: Vec<String>,
}

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Config {
    triggers: BTreeMap<String, Vec<Condition>>,
    templates: BTreeMap<String, Value>,
    /// Services by name, as they are written.
    pub services: BTreeMap<String, String>,
    /// The kinds of services by their names.
    pub kinds: BTreeMap<String, String>,
    defaults: Vec<String>,
    /// Triggers of a service alone.
    service_defaults: BTreeMap<String, Vec<String>>,
    subscriptions: Vec<Value>,
    context: Value,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// The trigger.
    pub trigger: String,
    /// The service.
    pub service: String,
    /// Whom.
    pub recipient: String,
    /// The notification: `message`, and what templates say for the service alone.
    pub notification: Value,
    /// Under what it is remembered.
    pub key: String,
}

/// What a look at an Application comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// What is to be told.
    pub due: Vec<Due>,
    /// The annotation as it becomes; empty when there is nothing to remember.
    pub state: BTreeMap<String, i64>,
    /// What failed, for people.
    pub failures: Vec<String>,
}

impl Config {
    /// Reads `argocd-notifications-cm`.
    pub fn parse(object: &Value) -> Self {
        let mut config = Config::default();
        let data = get(object, &["data"]).and_then(Value::as_object).into_iter().flatten();
        for (key, value) in data.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))) {
            if let Err(error) = config.entry(key, value) {
                config.problems.push(format!("argocd-notifications-cm: {key}: {error}"));
            }
        }
        config
    }

    fn entry(&mut self, key: &str, text: &str) -> Result<(), String> {
        let parsed = || yaml::from_str(text).map_err(|error| error.to_string());
        let texts = |value: &Value| {
            let list = value.as_array().into_iter().flatten();
            list.filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        if let Some(name) = key.strip_prefix("trigger.") {
            let mut conditions = Vec::new();
            for condition in parsed()?.as_array().into_iter().flatten() {
                let when = get_str(condition, &["when"]).unwrap_or_default();
                let once_per = get_str(condition, &["oncePer"]).filter(|text| !text.is_empty());
                conditions.push(Condition {
                    when: Expression::parse(when)?,
                    key: format!("[{}].{}", conditions.len(), short(when)),
                    once_per: once_per.map(Expression::parse).transpose()?,
                    send: texts(condition.get("send").unwrap_or(&Value::Null)),
                });
            }
            self.triggers.insert(name.to_owned(), conditions);
        } else if let Some(name) = key.strip_prefix("template.") {
            self.templates.insert(name.to_owned(), parsed()?);
        } else if let Some(name) = key.strip_prefix("service.") {
            // `service.<type>` or `service.<type>.<name>`.
            let (kind, name) = name.split_once('.').unwrap_or((name, name));
            self.kinds.insert(name.to_owned(), kind.to_owned());
            self.services.insert(name.to_owned(), text.to_owned());
        } else if let Some(service) = key.strip_prefix("defaultTriggers.") {
            self.service_defaults.insert(service.to_owned(), texts(&parsed()?));
        } else {
            match key {
                "defaultTriggers" => self.defaults = texts(&parsed()?),
                "subscriptions" => self.subscriptions = parsed()?.as_array().cloned().unwrap_or_default(),
                "context" => self.context = parsed()?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whom an Application's annotations, its project's and the installation's subscriptions name, by trigger.
    pub fn recipients(
        &self,
        application: &Value,
        project: Option<&Value>,
    ) -> BTreeMap<String, BTreeSet<(String, String)>> {
        let mut found: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
        for object in [Some(application), project].into_iter().flatten() {
            for (key, value) in meta::annotations(object).into_iter().flatten() {
                let value = value.as_str().unwrap_or_default();
                if let Some(rest) = key.strip_prefix(SUBSCRIBE) {
                    let (trigger, service) = match rest.split_once('.') {
                        Some((trigger, service)) => (Some(trigger), service),
                        None => (None, rest),
                    };
                    self.subscribe(
                        &mut found,
                        trigger.map(|one| vec![one.to_owned()]),
                        service,
                        &split(value),
                    );
                } else if key == SUBSCRIPTIONS {
                    self.listed(&mut found, value);
                }
            }
        }
        for entry in &self.subscriptions {
            let selector = get_str(entry, &["selector"]).filter(|text| !text.is_empty());
            let chosen = selector.is_none_or(|text| {
                object::LabelSelector::parse(text).is_ok_and(|selector| selector.matches_object(application))
            });
            if !chosen {
                continue;
            }
            let triggers = names(entry, "triggers");
            for recipient in names(entry, "recipients") {
                let (service, recipient) = recipient.split_once(':').unwrap_or((recipient.as_str(), ""));
                let triggers = (!triggers.is_empty()).then(|| triggers.clone());
                self.subscribe(&mut found, triggers, service, &[recipient.to_owned()]);
            }
        }
        found
    }

    /// The annotation that holds a list of triggers and destinations.
    fn listed(&self, found: &mut BTreeMap<String, BTreeSet<(String, String)>>, text: &str) {
        let Ok(value) = yaml::from_str(text) else { return };
        for entry in value.as_array().into_iter().flatten() {
            let triggers = names(entry, "trigger");
            for destination in entry.get("destinations").and_then(Value::as_array).into_iter().flatten() {
                let service = get_str(destination, &["service"]).unwrap_or_default();
                let mut recipients = names(destination, "recipients");
                if recipients.is_empty() {
                    recipients.push(String::new());
                }
                let triggers = (!triggers.is_empty()).then(|| triggers.clone());
                self.subscribe(found, triggers, service, &recipients);
            }
        }
    }

    fn subscribe(
        &self,
        found: &mut BTreeMap<String, BTreeSet<(String, String)>>,
        triggers: Option<Vec<String>>,
        service: &str,
        recipients: &[String],
    ) {
        let triggers =
            triggers.unwrap_or_else(|| self.service_defaults.get(service).unwrap_or(&self.defaults).clone());
        for trigger in triggers {
            let entry = found.entry(trigger).or_default();
            entry.extend(recipients.iter().map(|recipient| (service.to_owned(), recipient.clone())));
        }
    }

    /// What is to be told about an Application now. `call` answers functions such as `repo.GetCommitMetadata`.
    pub fn due(
        &self,
        application: &Value,
        project: Option<&Value>,
        secrets: &Value,
        now: i64,
        call: &dyn Fn(&str, &[Value]) -> Result<Value, String>,
    ) -> Verdict {
        let mut verdict = Verdict { state: state(application), ..Verdict::default() };
        let variables = json!({ "app": application });
        let scope = Scope { variables: &variables, now, call };
        for (trigger, recipients) in self.recipients(application, project) {
            let Some(conditions) = self.triggers.get(&trigger) else {
                verdict.failures.push(format!("trigger {trigger} is not configured"));
                continue;
            };
            for condition in conditions {
                // A condition that fails has nothing to say: members of it may not be there yet.
                let holds = condition.when.holds(&scope).unwrap_or(false);
                let once = match &condition.once_per {
                    Some(once) => match once.value(&scope) {
                        Ok(expr::Item::Json(Value::String(text))) => text,
                        Ok(expr::Item::Json(Value::Null)) | Err(_) => String::new(),
                        Ok(other) => format!("{other:?}"),
                    },
                    None => String::new(),
                };
                for (service, recipient) in &recipients {
                    let mut key = format!("{trigger}:{}:{service}:{recipient}", condition.key);
                    if !once.is_empty() {
                        key = format!("{once}:{key}");
                    }
                    if !holds {
                        // Once per something means: not again when it holds again.
                        if once.is_empty() {
                            verdict.state.remove(&key);
                        }
                        continue;
                    }
                    if verdict.state.contains_key(&key) {
                        continue;
                    }
                    let variables = self.variables(application, project, secrets, service, recipient);
                    match self.notification(&condition.send, &variables, now) {
                        Ok(notification) => {
                            verdict.due.push(Due {
                                trigger: trigger.clone(),
                                service: service.clone(),
                                recipient: recipient.clone(),
                                notification,
                                key: key.clone(),
                            });
                            verdict.state.insert(key, now);
                        }
                        Err(error) => verdict.failures.push(format!("trigger {trigger}: {error}")),
                    }
                }
            }
        }
        while verdict.state.len() > REMEMBERED {
            let oldest = verdict.state.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone());
            match oldest {
                Some(key) => verdict.state.remove(&key),
                None => break,
            };
        }
        verdict
    }

    fn variables(
        &self,
        application: &Value,
        project: Option<&Value>,
        secrets: &Value,
        service: &str,
        recipient: &str,
    ) -> Value {
        json!({
            "app": application, "appProject": project, "context": self.context, "secrets": secrets,
            "serviceType": service, "recipient": recipient,
        })
    }

    /// The templates, filled: the later ones add to the earlier.
    fn notification(&self, send: &[String], variables: &Value, now: i64) -> Result<Value, String> {
        let mut merged = json!({});
        for name in send {
            let template =
                self.templates.get(name).ok_or_else(|| format!("template {name} is not configured"))?;
            let filled =
                fill(template, variables, now).map_err(|error| format!("template {name}: {error}"))?;
            object::merge_patch::apply(&mut merged, &filled);
        }
        Ok(merged)
    }
}

fn names(value: &Value, field: &str) -> Vec<String> {
    match value.get(field) {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

fn split(text: &str) -> Vec<String> {
    if text.trim().is_empty() {
        return vec![String::new()];
    }
    text.split(';').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

/// An expression in few characters.
fn short(text: &str) -> String {
    base64::engine::general_purpose::URL_SAFE.encode(Sha1::digest(text.as_bytes()))
}

/// What was already told; an annotation that cannot be read tells nothing.
fn state(application: &Value) -> BTreeMap<String, i64> {
    let text = meta::annotation(application, STATE).unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

/// Every text of a template, filled.
fn fill(template: &Value, variables: &Value, now: i64) -> Result<Value, String> {
    Ok(match template {
        Value::String(text) if text.contains("{{") => {
            let mut set = Templates::sprig(MissingKey::Invalid);
            set.parse("notification", text).map_err(|error| error.to_string())?;
            let host = FixedHost::new(now, 1);
            let data = Item::from_json(variables);
            Value::String(
                set.execute("notification", &data, &mut Env::new(&host))
                    .map_err(|error| error.to_string())?,
            )
        }
        Value::Array(list) => {
            Value::Array(list.iter().map(|item| fill(item, variables, now)).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, item)| Ok((key.clone(), fill(item, variables, now)?)))
                .collect::<Result<_, String>>()?,
        ),
        other => other.clone(),
    })
}
