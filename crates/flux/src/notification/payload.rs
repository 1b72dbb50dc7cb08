//! What chats, pagers and dashboards are sent.

use aws_lc_rs::hmac;
use object::Value;
use serde_json::json;

use super::event::Event;
use super::provider::{Call, Target};

/// Sends an event in the words of the provider's type.
pub(super) async fn post(target: &Target, event: &Event) -> Result<(), String> {
    // Alarms are about ends, not about being under way.
    let under_way = event.reason == "Progressing";
    if under_way && matches!(target.kind.as_str(), "pagerduty" | "incident.io") {
        return Ok(());
    }
    for call in calls(target, event)? {
        let to_api = target.kind == "slack" && call.url == "https://slack.com/api/chat.postMessage";
        let answer = target.post(call).await?;
        // This API answers 200 to everything.
        if to_api && answer.json().get("ok") != Some(&Value::Bool(true)) {
            let why = answer.json().get("error").and_then(Value::as_str).unwrap_or_default().to_owned();
            return Err(format!("Slack responded with error: {why}"));
        }
    }
    Ok(())
}

fn calls(target: &Target, event: &Event) -> Result<Vec<Call>, String> {
    let at = target.address.as_str();
    Ok(vec![match target.kind.as_str() {
        "generic" | "generic-hmac" => generic(target, event),
        "slack" => Call::json(at, &slack(target, event, ["good", "danger"])).bearer(&target.token),
        "discord" => {
            let at = if at.ends_with("/slack") { at.to_owned() } else { below(at, "slack")? };
            Call::json(at, &slack(target, event, ["good", "danger"]))
        }
        "rocket" => Call::json(at, &slack(target, event, ["#0076D7", "#FF0000"])),
        "msteams" => Call::json(at, &teams(at, event)),
        "googlechat" => Call::json(at, &google_chat(event)),
        "webex" => {
            let mut text =
                format!("{} **{}**\n{}\n", pick(event, "✅", "💣"), event.subject(), event.message);
            text.extend(event.metadata.iter().map(|(key, value)| format!(">**{key}**: {value}\n")));
            Call::json(at, &json!({"roomId": target.channel, "markdown": text})).bearer(&target.token)
        }
        "telegram" => telegram(target, event)?,
        "matrix" => matrix(target, event),
        "lark" => Call::json(at, &lark(event)),
        "zulip" => zulip(target, event)?,
        "zoom" => Call::json(at, &zoom(event)).header("Authorization", target.token.clone()),
        "opsgenie" => {
            need(&target.token, "an API key (token)")?;
            let mut details = json!(event.metadata);
            details["severity"] = json!(event.severity);
            let about = &event.involved_object;
            let alert = json!({
                "message": format!("{}/{}", about.kind, about.name),
                "description": event.message, "details": details,
            });
            Call::json(at, &alert).header("Authorization", format!("GenieKey {}", target.token))
        }
        "pagerduty" => return pager_duty(target, event),
        "alertmanager" => authorized(target, Call::json(at, &alert_manager(event))),
        "grafana" => authorized(target, Call::json(at, &grafana(event))),
        "datadog" => {
            need(&target.token, "an API key (token)")?;
            Call::json(below(at, "api/v1/events")?, &datadog(event))
                .header("DD-API-KEY", target.token.clone())
        }
        "incident.io" => {
            need(&target.token, "an API token")?;
            Call::json(at, &incident(event)).bearer(&target.token)
        }
        "sentry" => sentry(target, event)?,
        "githubdispatch" => github_dispatch(target, event)?,
        "otel" => authorized(target, Call::json(trace_address(at), &trace(event))),
        other => return Err(format!("the provider type '{other}' cannot be served yet")),
    }])
}

fn need(value: &str, what: &str) -> Result<(), String> {
    if value.is_empty() { Err(format!("the provider needs {what}")) } else { Ok(()) }
}

fn pick<'t>(event: &Event, good: &'t str, bad: &'t str) -> &'t str {
    if event.is_error() { bad } else { good }
}

/// A path below an address, its query kept.
pub(super) fn below(address: &str, path: &str) -> Result<String, String> {
    let mut url = url::Url::parse(address).map_err(|_| "the provider's address is no URL")?;
    let whole = format!("{}/{path}", url.path().trim_end_matches('/'));
    url.set_path(&whole);
    Ok(url.into())
}

fn authorized(target: &Target, call: Call) -> Call {
    let mut call = call;
    for (name, value) in &target.headers {
        call = call.header(name, value.clone());
    }
    if !target.token.is_empty() {
        call.bearer(&target.token)
    } else if !target.username.is_empty() && !target.password.is_empty() {
        call.basic(&target.username, &target.password)
    } else {
        call
    }
}

/// HMAC-SHA-256 of a text, in base64.
pub(super) fn hmac_base64(key: &str, text: &str) -> String {
    use base64::Engine as _;
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

/// `sha256=<hex>` of a body.
pub(super) fn signature(token: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body)))
}

fn generic(target: &Target, event: &Event) -> Call {
    let mut call = Call::json(target.address.as_str(), &event.json())
        .header("gotk-component", event.reporting_controller.clone());
    for (name, value) in &target.headers {
        call = call.header(name, value.clone());
    }
    if target.kind == "generic-hmac" {
        let signed = signature(&target.token, &call.body);
        call = call.header("X-Signature", signed);
    }
    call
}

fn slack(target: &Target, event: &Event, colors: [&str; 2]) -> Value {
    let fields: Vec<Value> = event
        .metadata
        .iter()
        .map(|(title, value)| json!({"title": title, "value": value, "short": false}))
        .collect();
    let username = match (target.username.as_str(), target.kind.as_str()) {
        ("", "rocket") => String::new(),
        ("", _) => event.reporting_controller.clone(),
        (given, _) => given.to_owned(),
    };
    let channel = if target.kind == "discord" { "" } else { target.channel.as_str() };
    json!({
        "channel": channel, "username": username, "icon_url": "", "icon_emoji": "",
        "attachments": [{
            "color": pick(event, colors[0], colors[1]), "author_name": event.subject(),
            "text": event.message, "mrkdwn_in": ["text"], "fields": fields,
        }],
    })
}

fn teams(address: &str, event: &Event) -> Value {
    let host = url::Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned));
    if host.is_some_and(|host| host.ends_with(".webhook.office.com")) {
        let facts: Vec<Value> =
            event.metadata.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        return json!({
            "@type": "MessageCard", "@context": "http://schema.org/extensions",
            "themeColor": pick(event, "0076D7", "FF0000"), "summary": event.subject(),
            "sections": [{
                "activityTitle": event.message, "activitySubtitle": event.subject(), "facts": facts,
            }],
        });
    }
    let summary = event.metadata.get_key_value("summary");
    let rest = event.metadata.iter().filter(|(name, _)| *name != "summary");
    let facts: Vec<Value> =
        summary.into_iter().chain(rest).map(|(name, value)| json!({"title": name, "value": value})).collect();
    let mut message = json!({"type": "TextBlock", "text": event.message, "wrap": true});
    if event.is_error() {
        message["color"] = json!("attention");
    }
    let mut set = json!({"type": "FactSet"});
    if !facts.is_empty() {
        set["facts"] = json!(facts);
    }
    let title = json!({"type": "TextBlock", "text": event.subject(), "size": "large", "weight": "bolder", "wrap": true});
    json!({"type": "message", "attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "content": {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard",
            "version": "1.4", "msteams": {"width": "Full"},
            "body": [{"type": "Container", "items": [title, message, set]}],
        },
    }]})
}

fn google_chat(event: &Event) -> Value {
    let text = match event.is_error() {
        true => format!("<font color=\"#ff0000\">{}</font>", event.message),
        false => event.message.clone(),
    };
    let mut sections =
        vec![json!({"header": "", "widgets": [{"textParagraph": {"text": text}, "keyValue": null}]})];
    if !event.metadata.is_empty() {
        let widget = |(label, content): (&String, &String)| {
            json!({"textParagraph": null, "keyValue": {
                "topLabel": label, "content": content, "contentMultiline": false, "bottomLabel": null, "icon": null,
            }})
        };
        let widgets: Vec<Value> = event.metadata.iter().map(widget).collect();
        sections.push(json!({"header": "", "widgets": widgets}));
    }
    json!({"cards": [{
        "header": {
            "title": event.subject(), "subtitle": event.reporting_controller, "imageUrl": null, "imageStyle": null,
        },
        "sections": sections,
    }]})
}

/// The marks of MarkdownV2 escaped.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if "\\.-_[]()~>`#+=|{}!*".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

fn telegram(target: &Target, event: &Event) -> Result<Call, String> {
    need(&target.channel, "a channel")?;
    need(&target.token, "a token")?;
    let about = &event.involved_object;
    let heading = format!(
        "{} {}/{}/{}",
        pick(event, "💫", "🚨"),
        about.kind.to_lowercase(),
        about.name,
        about.namespace
    );
    let mut text = format!("*{}*\n{}\n", escape(&heading), escape(&event.message));
    for (key, value) in &event.metadata {
        text.push_str(&format!("\\- *{}*: {}\n", escape(key), escape(value)));
    }
    let (chat, thread) = target.channel.split_once(':').unwrap_or((&target.channel, ""));
    let mut body = json!({"chat_id": chat, "text": text, "parse_mode": "MarkdownV2"});
    if !thread.is_empty() {
        body["message_thread_id"] = json!(thread);
    }
    Ok(Call::json(below(&target.address, &format!("bot{}/sendMessage", target.token))?, &body))
}

fn matrix(target: &Target, event: &Event) -> Call {
    let mut text = format!("{} {}\n{}\n", pick(event, "💫", "🚨"), event.subject(), event.message);
    text.extend(event.metadata.iter().map(|(key, value)| format!("- {key}: {value}\n")));
    let id = <sha1::Sha1 as sha1::Digest>::digest(event.json().to_string());
    let url = format!(
        "{}/_matrix/client/r0/rooms/{}/send/m.room.message/{}",
        target.address.trim_end_matches('/'),
        target.channel,
        hex::encode(id)
    );
    Call::json(url, &json!({"body": text, "msgtype": "m.text"}))
        .method(reqwest::Method::PUT)
        .bearer(&target.token)
}

fn lark(event: &Event) -> Value {
    let mut text = format!("**{}**\n\n", event.message);
    text.extend(event.metadata.iter().map(|(key, value)| format!("{key}: {value}\n")));
    json!({"msg_type": "interactive", "card": {
        "config": {"wide_screen_mode": true},
        "header": {
            "title": {"tag": "plain_text", "content": format!("{} {}", pick(event, "💫", "🚨"), event.subject())},
            "template": pick(event, "turquoise", "red"),
        },
        "elements": [{"tag": "div", "text": {"tag": "lark_md", "content": text}}],
    }})
}

/// Markdown for those who read it.
pub(super) fn markdown(event: &Event) -> String {
    let mut text = format!("**{}**\n\n{}\n", event.subject(), event.message);
    if !event.metadata.is_empty() {
        text.push_str("\n| | |\n| --- | --- |\n");
        text.extend(event.metadata.iter().map(|(key, value)| format!("| {key} | {value} |\n")));
    }
    format!("{} {text}", pick(event, "✅", "🚨"))
}

fn zulip(target: &Target, event: &Event) -> Result<Call, String> {
    let (channel, topic) = target
        .channel
        .split_once('/')
        .filter(|(channel, topic)| !channel.is_empty() && !topic.is_empty())
        .ok_or("the channel must be <channel>/<topic>")?;
    let mut url = url::Url::parse(&target.address).map_err(|_| "the provider's address is no URL")?;
    url.set_path("/api/v1/messages");
    let text = markdown(event);
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("type", "stream")
        .append_pair("to", channel)
        .append_pair("topic", topic)
        .append_pair("content", &text)
        .finish();
    let mut call = Call::json(url.as_str(), &Value::Null).content_type("application/x-www-form-urlencoded");
    call.body = body.into_bytes();
    Ok(call.basic(&target.username, &target.password))
}

fn zoom(event: &Event) -> Value {
    let fields: Vec<Value> =
        event.metadata.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    let head =
        json!({"text": event.subject(), "style": {"bold": true, "color": pick(event, "#1a7f37", "#cf222e")}});
    let mut body = vec![json!({"type": "message", "text": event.message})];
    if !fields.is_empty() {
        body.push(json!({"type": "fields", "items": fields}));
    }
    json!({"content": {"head": head, "body": body}})
}

fn pager_duty(target: &Target, event: &Event) -> Result<Vec<Call>, String> {
    let mut base = url::Url::parse(&target.address).map_err(|_| "the provider's address is no URL")?;
    base.set_query(None);
    let mut at = |path: &str| {
        base.set_path(path);
        base.to_string()
    };
    // The routing key stands in the channel.
    let key = if target.channel.is_empty() { &target.token } else { &target.channel };
    let about = &event.involved_object;
    let summary = format!("{}: {}", event.description(), event.name());
    let from = format!("Flux {}", event.reporting_controller);
    let details = json!({"message": event.message, "metadata": event.metadata});
    let mut alarm = json!({"routing_key": key, "event_action": "resolve", "dedup_key": about.uid});
    if event.is_error() {
        alarm["event_action"] = json!("trigger");
        alarm["payload"] = json!({
            "summary": summary, "source": from, "severity": "error", "timestamp": event.timestamp,
            "component": about.name, "group": about.kind, "custom_details": details,
        });
    }
    let mut calls = vec![Call::json(at("/v2/enqueue"), &alarm)];
    if event.severity == "info" {
        let change = json!({"routing_key": key, "payload": {
            "summary": summary, "source": from, "timestamp": event.timestamp, "custom_details": details,
        }});
        calls.push(Call::json(at("/v2/change/enqueue"), &change));
    }
    Ok(calls)
}

fn alert_manager(event: &Event) -> Value {
    let about = &event.involved_object;
    let mut labels = json!(event.metadata);
    let mut annotations = json!({"message": event.message});
    if let Some(summary) = labels.as_object_mut().and_then(|labels| labels.remove("summary")) {
        annotations["summary"] = summary;
    }
    // One capital, the rest small: as title case makes a word.
    let mut letters = event.reason.chars();
    let reason: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters.flat_map(char::to_lowercase))
        .collect();
    for (name, value) in [
        ("alertname", format!("Flux{}{reason}", about.kind)),
        ("severity", event.severity.clone()),
        ("reason", event.reason.clone()),
        ("kind", about.kind.clone()),
        ("name", about.name.clone()),
        ("namespace", about.namespace.clone()),
        ("reportingcontroller", event.reporting_controller.clone()),
    ] {
        labels[name] = json!(value);
    }
    // An end that is not known is Go's zero time.
    json!([{
        "status": "firing", "labels": labels, "annotations": annotations,
        "startsAt": event.timestamp, "endsAt": "0001-01-01T00:00:00Z",
    }])
}

fn grafana(event: &Event) -> Value {
    let about = &event.involved_object;
    let mut tags = vec!["flux".to_owned(), event.reporting_controller.clone()];
    for (key, value) in &event.metadata {
        tags.push(format!("{}: {}", key.replace(':', "|"), value.replace(':', "|")));
    }
    for (name, value) in [("kind", &about.kind), ("name", &about.name), ("namespace", &about.namespace)] {
        tags.push(format!("{name}: {value}"));
    }
    json!({"when": event.seconds(), "text": event.subject(), "tags": tags})
}

fn datadog(event: &Event) -> Value {
    let about = &event.involved_object;
    let mut tags = vec![
        format!("flux_reporting_controller:{}", event.reporting_controller),
        format!("flux_reason:{}", event.reason),
        format!("kube_kind:{}", about.kind),
        format!("kube_name:{}", about.name),
        format!("kube_namespace:{}", about.namespace),
    ];
    tags.extend(event.metadata.iter().map(|(key, value)| format!("{key}:{value}")));
    let tags: Vec<String> = tags.iter().map(|tag| tag.to_lowercase()).collect();
    json!({
        "title": format!("Events from the {} {}/{}", about.kind, about.name, about.namespace),
        "text": event.message, "tags": tags, "source_type_name": "fluxcd",
        "date_happened": event.seconds(), "alert_type": pick(event, "info", "error"),
    })
}

fn incident(event: &Event) -> Value {
    let mut metadata = json!(event.metadata);
    metadata["severity"] = json!(event.severity);
    metadata["reason"] = json!(event.reason);
    if !event.reporting_controller.is_empty() {
        metadata["reportingController"] = json!(event.reporting_controller);
    }
    json!({
        "title": format!("{}: {}", event.subject(), event.reason),
        "status": pick(event, "resolved", "firing"),
        "deduplication_key": event.involved_object.uid,
        "description": event.message, "metadata": metadata,
    })
}

/// The address is a DSN: `https://KEY@HOST/PROJECT`.
fn sentry(target: &Target, event: &Event) -> Result<Call, String> {
    let dsn = url::Url::parse(&target.address).map_err(|_| "the address is no DSN")?;
    let (path, project) = dsn.path().rsplit_once('/').ok_or("the DSN names no project")?;
    let host = dsn.host_str().ok_or("the DSN names no host")?;
    let port = dsn.port().map(|port| format!(":{port}")).unwrap_or_default();
    let url = format!("{}://{host}{port}{path}/api/{project}/envelope/", dsn.scheme());
    let digest = <sha2::Sha256 as sha2::Digest>::digest(event.json().to_string());
    let id: String = hex::encode(digest).chars().take(32).collect();
    let body = json!({
        "event_id": id, "timestamp": event.timestamp, "platform": "other",
        "level": pick(event, "info", "error"), "message": event.message,
        "server_name": event.reporting_instance, "environment": target.channel,
        "transaction": event.subject(), "extra": event.metadata,
    });
    let envelope = format!("{}\n{}\n{body}\n", json!({"event_id": id}), json!({"type": "event"}));
    let mut call = Call::json(url, &Value::Null).content_type("application/x-sentry-envelope");
    call.body = envelope.into_bytes();
    let auth = format!("Sentry sentry_version=7, sentry_client=landfall/1, sentry_key={}", dsn.username());
    Ok(call.header("X-Sentry-Auth", auth))
}

fn github_dispatch(target: &Target, event: &Event) -> Result<Call, String> {
    need(&target.token, "a token")?;
    let about = &event.involved_object;
    let body = json!({
        "event_type": format!("{}/{}.{}", about.kind, about.name, about.namespace), "client_payload": event.json(),
    });
    let api = super::commit::github_api(&target.address)?;
    Ok(Call::json(format!("{}/repos/{}/dispatches", api.base, api.id), &body)
        .header("Accept", "application/vnd.github+json")
        .bearer(&target.token))
}

fn trace_address(address: &str) -> String {
    if address.ends_with("/v1/traces") {
        return address.to_owned();
    }
    format!("{}/v1/traces", address.trim_end_matches('/'))
}

/// One span; events of one revision of one source share a trace.
fn trace(event: &Event) -> Value {
    let about = &event.involved_object;
    let hash = |text: String, length: usize| {
        hex::encode(<sha2::Sha256 as sha2::Digest>::digest(text)).chars().take(length).collect::<String>()
    };
    let trace = hash(event.revision().unwrap_or(&about.uid).to_owned(), 32);
    let span = hash(event.json().to_string(), 16);
    let nanos = format!("{}000000000", event.seconds());
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let mut attributes = vec![
        text("object.kind", &about.kind),
        text("object.name", &about.name),
        text("object.namespace", &about.namespace),
        text("object.uid", &about.uid),
        text("reason", &event.reason),
        text("message", &event.message),
    ];
    attributes.extend(event.metadata.iter().map(|(key, value)| text(key, value)));
    json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", &event.reporting_controller)]},
        "scopeSpans": [{"scope": {"name": "landfall"}, "spans": [{
            "traceId": trace, "spanId": span, "name": event.subject(), "kind": 1,
            "startTimeUnixNano": nanos, "endTimeUnixNano": nanos, "attributes": attributes,
            "status": {"code": if event.is_error() { 2 } else { 1 }, "message": event.message},
        }]}],
    }]})
}
