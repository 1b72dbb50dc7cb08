//! Message buses: NATS, Google's Pub/Sub and Azure's event hubs. An event is sent as JSON.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use object::Value;
use serde_json::json;
use source::cloud::EVENT_HUBS;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};

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

/// One of several servers takes it. The protocol is a few lines of text, for which a client with its own connections
/// and tasks would be much.
async fn nats(target: &Target, event: &Value) -> Result<(), String> {
    let mut last = String::new();
    for server in target.address.split(',').map(str::trim).filter(|server| !server.is_empty()) {
        match published(server, target, event).await {
            Ok(()) => return Ok(()),
            Err(why) => last = why,
        }
    }
    Err(format!("error publishing to NATS: {last}"))
}

async fn published(server: &str, target: &Target, event: &Value) -> Result<(), String> {
    let full = if server.contains("://") { server.to_owned() } else { format!("nats://{server}") };
    let url = url::Url::parse(&full).map_err(|_| "the address is no URL")?;
    if url.scheme() != "nats" {
        return Err(format!("{}:// is not supported: only nats:// without TLS", url.scheme()));
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    let connect = tokio::net::TcpStream::connect((host, url.port().unwrap_or(4222)));
    let connected = tokio::time::timeout(Duration::from_secs(5), connect).await;
    let stream = connected.map_err(|_| "no connection")?.map_err(|error| error.to_string())?;
    let (reader, writer) = stream.into_split();
    let user = if target.username.is_empty() { url.username() } else { &target.username };
    let password =
        if target.password.is_empty() { url.password().unwrap_or_default() } else { &target.password };
    talk(BufReader::new(reader), writer, (user, password), &target.channel, event).await
}

/// The server greets, we say who we are, publish, and ask for a sign of life: what went wrong comes before it.
async fn talk(
    reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    (user, password): (&str, &str),
    subject: &str,
    event: &Value,
) -> Result<(), String> {
    if subject.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return Err("the channel is no subject".into());
    }
    let mut lines = BufReader::new(reader).lines();
    let mut next = async || -> Result<String, String> {
        let line = lines.next_line().await.map_err(|error| error.to_string())?;
        line.ok_or_else(|| "the server closed the connection".to_owned())
    };
    let greeting = next().await?;
    let info = greeting.strip_prefix("INFO ").ok_or("the server does not speak NATS")?;
    let info: Value = serde_json::from_str(info).unwrap_or_default();
    if info.get("tls_required") == Some(&Value::Bool(true)) {
        return Err("the server requires TLS, which is not supported".into());
    }
    let mut connect = json!({
        "verbose": false, "pedantic": false, "tls_required": false, "name": "landfall", "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"), "protocol": 1,
    });
    if !user.is_empty() && !password.is_empty() {
        connect["user"] = json!(user);
        connect["pass"] = json!(password);
    }
    let payload = event.to_string();
    let text = format!("CONNECT {connect}\r\nPUB {subject} {}\r\n{payload}\r\nPING\r\n", payload.len());
    writer.write_all(text.as_bytes()).await.map_err(|error| error.to_string())?;
    writer.flush().await.map_err(|error| error.to_string())?;
    loop {
        let line = next().await?;
        if line.starts_with("PONG") {
            return Ok(());
        }
        if let Some(why) = line.strip_prefix("-ERR") {
            return Err(why.trim().trim_matches('\'').to_owned());
        }
        // When it is gone by now, reading says so.
        if line.starts_with("PING") && writer.write_all(b"PONG\r\n").await.is_err() {
            continue;
        }
    }
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

    async fn said(answer: &'static str, login: (&str, &str)) -> (Result<(), String>, String) {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (reader, writer) = tokio::io::split(ours);
        let server = tokio::spawn(async move {
            let (reader, mut writer) = tokio::io::split(theirs);
            writer.write_all(b"INFO {\"server_id\": \"x\"}\r\n").await.unwrap();
            let mut lines = BufReader::new(reader).lines();
            let mut heard = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                heard.push_str(&line);
                heard.push('\n');
                if line == "PING" {
                    writer.write_all(answer.as_bytes()).await.unwrap();
                    break;
                }
            }
            heard
        });
        let done = talk(reader, writer, login, "flux.events", &json!({"a": 1})).await;
        (done, server.await.unwrap())
    }

    #[tokio::test]
    async fn nats_is_told() {
        let (done, heard) = said("PING\r\nPONG\r\n", ("me", "pass")).await;
        assert_eq!(done, Ok(()));
        assert!(
            heard.contains(r#""user":"me""#) && heard.contains("PUB flux.events 7\n{\"a\":1}\n"),
            "{heard}"
        );
        let (done, heard) = said("-ERR 'Authorization Violation'\r\n", ("", "")).await;
        assert_eq!(done, Err("Authorization Violation".into()));
        assert!(!heard.contains("user"));
    }

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
