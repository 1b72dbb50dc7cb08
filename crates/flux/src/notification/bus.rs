//! Message buses: NATS, Google's Pub/Sub and Azure's event hubs. An event is sent as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use delivery::nats::{Login, Message, publish};
use object::Value;
use serde_json::json;
use source::cloud::EVENT_HUBS;

use super::event::Event;
use super::payload::hmac_base64;
use super::provider::{Call, Target};

/// Is it a type that is served here?
pub(super) fn is_for(kind: &str) -> bool {
    matches!(kind, "nats" | "googlepubsub" | "azureeventhub")
}

/// Sends an event.
pub(super) async fn post(target: &Target, event: &Event) -> Result<(), String> {
    if target.channel.is_empty() && !target.address.contains("SharedAccessKey") {
        return Err("the provider needs a channel".into());
    }
    match target.kind.as_str() {
        "nats" => nats(target, &event.json()).await,
        "googlepubsub" => pub_sub(target, &event.json()).await,
        _ => event_hub(target, &event.json()).await,
    }
}

/// One of several servers takes it.
async fn nats(target: &Target, event: &Value) -> Result<(), String> {
    let login = Login { client: "landfall", user: &target.username, password: &target.password };
    let payload = event.to_string();
    let message = Message { subject: &target.channel, headers: &[], payload: &payload };
    let mut last = String::new();
    for server in target.address.split(',').map(str::trim).filter(|server| !server.is_empty()) {
        match publish(server, login, message).await {
            Ok(()) => return Ok(()),
            Err(why) => last = why,
        }
    }
    Err(format!("error publishing to NATS: {last}"))
}

/// The address is the project, the channel the topic; the token a service account's key, or else an identity.
async fn pub_sub(target: &Target, event: &Value) -> Result<(), String> {
    let clouds = target.clouds()?;
    let none = source::Credentials::default();
    let token = match target.token.as_str() {
        "" => clouds.google_token(target.account.as_ref(), &none).await,
        key => clouds.google_key_token(key, &none).await,
    };
    let token = token.map_err(|error| format!("no token of Google: {error}"))?;
    let origin = clouds.service("PUBSUB_EMULATOR_HOST", "https://pubsub.googleapis.com");
    let encode = |text: &str| source::sign::encode(text, false);
    let url = format!(
        "{origin}/v1/projects/{}/topics/{}:publish",
        encode(&target.address),
        encode(&target.channel)
    );
    let mut message = json!({"data": STANDARD.encode(event.to_string())});
    if !target.headers.is_empty() {
        message["attributes"] = json!(target.headers);
    }
    target.post(Call::json(url, &json!({"messages": [message]})).bearer(&token)).await.map(|_| ())
}

/// A connection string, or the hub as the address and its namespace as the channel, with a token or an identity.
async fn event_hub(target: &Target, event: &Value) -> Result<(), String> {
    if target.address.contains("SharedAccessKey") {
        if !target.token.is_empty() {
            return Err("a token and a connection string cannot be set at the same time".into());
        }
        let (url, authorization) = shared_access(&target.address, jiff::Timestamp::now().as_second())?;
        let call = Call::json(url, event).header("Authorization", authorization);
        return target.post(call).await.map(|_| ());
    }
    let (none, clouds) = (source::Credentials::default(), target.clouds()?);
    let token = match target.token.as_str() {
        "" => clouds.azure_token(target.account.as_ref(), EVENT_HUBS, &none).await,
        given => Ok(given.to_owned()),
    };
    let token = token.map_err(|error| format!("no token of Azure: {error}"))?;
    let url = match target.address.starts_with("http") {
        true => target.address.clone(),
        false => {
            let usual = format!("https://{}.servicebus.windows.net", target.channel);
            let origin = clouds.service("LANDFALL_AZURE_EVENTHUB", &usual);
            format!("{origin}/{}/messages", source::sign::encode(&target.address, false))
        }
    };
    target.post(Call::json(url, event).bearer(&token)).await.map(|_| ())
}

/// Address and authorization of `Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…`. Errors hold no
/// part of it.
fn shared_access(text: &str, now: i64) -> Result<(String, String), String> {
    let field = |name: &str| {
        let found = text.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        found.filter(|value| !value.is_empty()).ok_or_else(|| format!("the connection string has no {name}"))
    };
    let (name, key, hub) = (field("SharedAccessKeyName")?, field("SharedAccessKey")?, field("EntityPath")?);
    let host = field("Endpoint")?.trim_start_matches("sb://").trim_end_matches('/').to_owned();
    let is_local = host.starts_with("127.0.0.1") || host.starts_with("localhost");
    let origin = format!("{}://{host}", if is_local { "http" } else { "https" });
    let encode = |text: &str| source::sign::encode(text, false);
    let (resource, end) = (encode(&format!("{origin}/{hub}").to_lowercase()), now + 300);
    let signature = hmac_base64(key, &format!("{resource}\n{end}"));
    let authorization = format!(
        "SharedAccessSignature sr={resource}&sig={}&se={end}&skn={}",
        encode(&signature),
        encode(name)
    );
    Ok((format!("{origin}/{hub}/messages"), authorization))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings() {
        let text = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=canary=;EntityPath=hub";
        let (url, authorization) = shared_access(text, 1_700_000_000).unwrap();
        assert_eq!(url, "https://ns.servicebus.windows.net/hub/messages");
        assert!(
            authorization
                .starts_with("SharedAccessSignature sr=https%3A%2F%2Fns.servicebus.windows.net%2Fhub&sig=")
        );
        assert!(authorization.ends_with("&se=1700000300&skn=send") && !authorization.contains("canary"));
        let why = shared_access("Endpoint=sb://x/;SharedAccessKey=canary", 0).unwrap_err();
        assert!(why.contains("SharedAccessKeyName") && !why.contains("canary"));
    }
}
