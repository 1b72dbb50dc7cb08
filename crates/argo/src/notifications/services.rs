//! Requests that tell a notification: one for each kind of service. Pure.

use object::{Value, get, get_str};
use serde_json::json;

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The method.
    pub method: String,
    /// The address.
    pub url: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// Must the answer say `ok: true`? Some services answer 200 to what they refuse.
    pub must_say_ok: bool,
}

impl Call {
    fn json(url: impl Into<String>, body: &Value) -> Call {
        Call {
            method: "POST".into(),
            url: url.into(),
            headers: vec![("Content-Type".into(), "application/json".into())],
            body: body.to_string(),
            must_say_ok: false,
        }
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Call {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn bearer(self, token: &str) -> Call {
        if token.is_empty() { self } else { self.header("Authorization", format!("Bearer {token}")) }
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {both}")
}

/// A notification on its way to a recipient of a service.
struct Letter<'a> {
    kind: &'a str,
    name: &'a str,
    config: &'a Value,
    recipient: &'a str,
    notification: &'a Value,
}

/// The requests for a notification. `kind` and `name` are the service's, `config` is how it is configured.
///
/// # Errors
/// When the service is none of those that are served, or its configuration misses something.
pub fn calls(
    kind: &str,
    name: &str,
    config: &Value,
    recipient: &str,
    notification: &Value,
) -> Result<Vec<Call>, String> {
    let letter = Letter { kind, name, config, recipient, notification };
    Ok(match kind {
        "webhook" => vec![letter.webhook()?],
        "slack" => vec![letter.slack()?],
        "teams" => vec![Call::json(letter.address("recipientUrls")?, &letter.teams())],
        "teams-workflows" => vec![Call::json(letter.address("recipientUrls")?, &letter.workflow())],
        "googlechat" => vec![Call::json(letter.address("webhooks")?, &letter.googlechat())],
        "mattermost" => vec![letter.mattermost()?],
        "telegram" => vec![letter.telegram()?],
        "pushover" => vec![letter.pushover()?],
        "opsgenie" => vec![letter.opsgenie()?],
        "pagerdutyv2" => vec![letter.pagerduty()?],
        "pagerduty" => vec![letter.incident()?],
        "grafana" => vec![letter.grafana()?],
        "newrelic" => vec![letter.newrelic()?],
        "webex" => vec![letter.webex()?],
        "alertmanager" => letter.alertmanager(),
        other => {
            return Err(format!(
                "services of type {other} are not served: use a webhook, or one of alertmanager, awssqs, email, gcppubsub, \
                 github, googlechat, grafana, mattermost, nats, newrelic, opsgenie, pagerduty, pagerdutyv2, pushover, \
                 rocketchat, slack, teams, teams-workflows, telegram, webex"
            ));
        }
    })
}

impl Letter<'_> {
    fn set(&self, field: &str) -> &str {
        get_str(self.config, &[field]).unwrap_or_default()
    }

    fn needed(&self, field: &str) -> Result<&str, String> {
        match self.set(field) {
            "" => Err(format!("service {}: {field} is missing", self.name)),
            value => Ok(value),
        }
    }

    fn base(&self, field: &str, default: &str) -> String {
        let own = self.set(field);
        (if own.is_empty() { default } else { own }).trim_end_matches('/').to_owned()
    }

    fn message(&self) -> &str {
        get_str(self.notification, &["message"]).unwrap_or_default()
    }

    /// What the templates say for this kind of service.
    fn own(&self, field: &str) -> &str {
        get_str(self.notification, &[self.kind, field]).unwrap_or_default()
    }

    /// The same, when it is JSON.
    fn own_json(&self, field: &str) -> Option<Value> {
        match get(self.notification, &[self.kind, field])? {
            Value::String(text) => yaml::from_str(text).ok().filter(|value| !value.is_null()),
            other => Some(other.clone()),
        }
    }

    /// The recipient's address.
    fn address(&self, field: &str) -> Result<String, String> {
        let found = get_str(self.config, &[field, self.recipient]).filter(|url| !url.is_empty());
        found
            .map(str::to_owned)
            .ok_or_else(|| format!("service {}: no {field} for the recipient {}", self.name, self.recipient))
    }

    fn webhook(&self) -> Result<Call, String> {
        let said =
            |field: &str| get_str(self.notification, &["webhook", self.name, field]).unwrap_or_default();
        let path = said("path");
        let base = self.needed("url")?;
        let url = match path {
            "" => base.to_owned(),
            path => format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/')),
        };
        let mut call = Call::json(url, &Value::Null);
        call.headers.clear();
        call.method = match said("method") {
            "" => "GET".to_owned(),
            method => method.to_uppercase(),
        };
        call.body = said("body").to_owned();
        for header in self.config.get("headers").and_then(Value::as_array).into_iter().flatten() {
            let part = |field: &str| get_str(header, &[field]).unwrap_or_default();
            call = call.header(part("name"), part("value"));
        }
        let login = |field: &str| get_str(self.config, &["basicAuth", field]).unwrap_or_default();
        if !login("username").is_empty() {
            call = call.header("Authorization", basic(login("username"), login("password")));
        }
        Ok(call)
    }

    fn slack(&self) -> Result<Call, String> {
        let url = format!("{}/chat.postMessage", self.base("apiURL", "https://slack.com/api"));
        let mut body = json!({ "channel": self.recipient, "text": self.message() });
        for field in ["attachments", "blocks"] {
            if let Some(value) = self.own_json(field) {
                body[field] = value;
            }
        }
        let icon = match self.own("icon") {
            "" => self.set("icon"),
            own => own,
        };
        if !icon.is_empty() {
            body[if icon.starts_with(':') { "icon_emoji" } else { "icon_url" }] = json!(icon);
        }
        let user = match self.own("username") {
            "" => self.set("username"),
            own => own,
        };
        if !user.is_empty() {
            body["username"] = json!(user);
        }
        let call = Call::json(url, &body).bearer(self.needed("token")?);
        Ok(Call { must_say_ok: true, ..call })
    }

    fn teams(&self) -> Value {
        if let Some(whole) = self.own_json("template") {
            return whole;
        }
        let text = match self.own("text") {
            "" => self.message(),
            own => own,
        };
        let mut card =
            json!({"@type": "MessageCard", "context": "https://schema.org/extensions", "text": text});
        for field in ["title", "summary", "themeColor"] {
            if !self.own(field).is_empty() {
                card[field] = json!(self.own(field));
            }
        }
        if let Some(actions) = self.own_json("potentialAction") {
            card["potentialAction"] = actions;
        }
        let mut sections =
            self.own_json("sections").and_then(|found| found.as_array().cloned()).unwrap_or_default();
        if let Some(facts) = self.own_json("facts") {
            sections.push(json!({ "facts": facts }));
        }
        if !sections.is_empty() {
            card["sections"] = Value::Array(sections);
        }
        card
    }

    fn workflow(&self) -> Value {
        let plain = || {
            let text = match self.own("text") {
                "" => self.message(),
                own => own,
            };
            let mut body = Vec::new();
            if !self.own("title").is_empty() {
                body.push(
                    json!({"type": "TextBlock", "text": self.own("title"), "weight": "Bolder", "wrap": true}),
                );
            }
            body.push(json!({"type": "TextBlock", "text": text, "wrap": true}));
            json!({"type": "AdaptiveCard", "version": "1.4", "body": body})
        };
        let card = self.own_json("adaptiveCard").unwrap_or_else(plain);
        json!({"type": "message", "attachments": [
            {"contentType": "application/vnd.microsoft.card.adaptive", "content": card},
        ]})
    }

    fn googlechat(&self) -> Value {
        match (self.own_json("cardsV2"), self.own_json("cards")) {
            (Some(cards), _) => json!({ "cardsV2": cards }),
            (None, Some(cards)) => json!({ "cards": cards }),
            (None, None) => json!({ "text": self.message() }),
        }
    }

    fn mattermost(&self) -> Result<Call, String> {
        let url = format!("{}/api/v4/posts", self.needed("apiURL")?.trim_end_matches('/'));
        let mut body = json!({ "channel_id": self.recipient, "message": self.message() });
        if let Some(attachments) = self.own_json("attachments") {
            body["props"] = json!({ "attachments": attachments });
        }
        Ok(Call::json(url, &body).bearer(self.needed("token")?))
    }

    fn telegram(&self) -> Result<Call, String> {
        let base = self.base("apiURL", "https://api.telegram.org");
        let url = format!("{base}/bot{}/sendMessage", self.needed("token")?);
        // Channels of their own are named with an @, groups and people by number.
        let chat = match self.recipient.parse::<i64>() {
            Ok(_) => self.recipient.to_owned(),
            Err(_) => format!("@{}", self.recipient.trim_start_matches('@')),
        };
        let mode = match self.own("parseMode") {
            "" => "Markdown",
            own => own,
        };
        Ok(Call::json(url, &json!({"chat_id": chat, "text": self.message(), "parse_mode": mode})))
    }

    fn pushover(&self) -> Result<Call, String> {
        let url = format!("{}/1/messages.json", self.base("apiURL", "https://api.pushover.net"));
        let body = json!({"token": self.needed("token")?, "user": self.recipient, "message": self.message()});
        Ok(Call::json(url, &body))
    }

    fn opsgenie(&self) -> Result<Call, String> {
        let base = self.base("apiUrl", "api.opsgenie.com");
        let base = if base.contains("://") { base } else { format!("https://{base}") };
        let key = self.address("apiKeys")?;
        let mut body = json!({"message": self.message(), "description": self.own("description")});
        for field in ["priority", "alias", "note"] {
            if !self.own(field).is_empty() {
                body[field] = json!(self.own(field));
            }
        }
        Ok(Call::json(format!("{base}/v2/alerts"), &body).header("Authorization", format!("GenieKey {key}")))
    }

    fn pagerduty(&self) -> Result<Call, String> {
        let url = format!("{}/v2/enqueue", self.base("apiURL", "https://events.pagerduty.com"));
        let summary = match self.own("summary") {
            "" => self.message(),
            own => own,
        };
        let mut payload = json!({"summary": summary, "severity": "info", "source": "argocd"});
        for field in ["severity", "source", "component", "group", "class"] {
            if !self.own(field).is_empty() {
                payload[field] = json!(self.own(field));
            }
        }
        let mut body = json!({"routing_key": self.address("serviceKeys")?, "event_action": "trigger", "payload": payload});
        if !self.own("dedupKey").is_empty() {
            body["dedup_key"] = json!(self.own("dedupKey"));
        }
        Ok(Call::json(url, &body))
    }

    /// An incident of the service that the recipient names.
    fn incident(&self) -> Result<Call, String> {
        let url = format!("{}/incidents", self.base("apiURL", "https://api.pagerduty.com"));
        let title = match self.own("title") {
            "" => self.message(),
            own => own,
        };
        let mut incident = json!({
            "type": "incident", "title": title,
            "service": {"id": self.recipient, "type": "service_reference"},
        });
        if !self.own("body").is_empty() {
            incident["body"] = json!({"type": "incident_body", "details": self.own("body")});
        }
        if !self.own("urgency").is_empty() {
            incident["urgency"] = json!(self.own("urgency"));
        }
        if !self.own("priorityId").is_empty() {
            incident["priority"] = json!({"id": self.own("priorityId"), "type": "priority_reference"});
        }
        let token = self.needed("token")?;
        Ok(Call::json(url, &json!({ "incident": incident }))
            .header("Authorization", format!("Token token={token}"))
            .header("From", self.needed("from")?))
    }

    fn grafana(&self) -> Result<Call, String> {
        let url = format!("{}/annotations", self.needed("apiUrl")?.trim_end_matches('/'));
        let tags: Vec<&str> = self.recipient.split('|').filter(|tag| !tag.is_empty()).collect();
        Ok(Call::json(url, &json!({"text": self.message(), "tags": tags})).bearer(self.needed("apiKey")?))
    }

    fn newrelic(&self) -> Result<Call, String> {
        let base = self.base("apiURL", "https://api.newrelic.com");
        let url = format!("{base}/v2/applications/{}/deployments.json", self.recipient);
        let description = match self.own("description") {
            "" => self.message(),
            own => own,
        };
        let mut deployment = json!({"revision": self.own("revision"), "description": description});
        for field in ["changelog", "user"] {
            if !self.own(field).is_empty() {
                deployment[field] = json!(self.own(field));
            }
        }
        Ok(Call::json(url, &json!({ "deployment": deployment })).header("X-Api-Key", self.needed("apiKey")?))
    }

    fn webex(&self) -> Result<Call, String> {
        let url = format!("{}/v1/messages", self.base("apiURL", "https://webexapis.com"));
        let to = if self.recipient.contains('@') { "toPersonEmail" } else { "roomId" };
        Ok(Call::json(url, &json!({to: self.recipient, "markdown": self.message()}))
            .bearer(self.needed("token")?))
    }

    fn alertmanager(&self) -> Vec<Call> {
        let scheme = match self.set("scheme") {
            "" => "http",
            scheme => scheme,
        };
        let path = match self.set("apiPath") {
            "" => "/api/v2/alerts",
            path => path,
        };
        let part = |field: &str| self.own_json(field).unwrap_or_else(|| json!({}));
        let mut annotations = part("annotations");
        if annotations.as_object().is_some_and(serde_json::Map::is_empty) {
            annotations = json!({ "message": self.message() });
        }
        let mut labels = part("labels");
        if labels.get("alertname").is_none() {
            labels["alertname"] = json!("argocd");
        }
        let alert =
            json!([{"labels": labels, "annotations": annotations, "generatorURL": self.own("generatorURL")}]);
        let targets = self.config.get("targets").and_then(Value::as_array).into_iter().flatten();
        let login = |field: &str| get_str(self.config, &["basicAuth", field]).unwrap_or_default();
        let call = |target: &str| {
            let call =
                Call::json(format!("{scheme}://{target}{path}"), &alert).bearer(self.set("bearerToken"));
            match login("username") {
                "" => call,
                user => call.header("Authorization", basic(user, login("password"))),
            }
        };
        targets.filter_map(Value::as_str).map(call).collect()
    }
}
