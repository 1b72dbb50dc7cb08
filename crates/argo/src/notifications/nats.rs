//! Notifications to a subject of a NATS server, in its plain text protocol.

use std::time::Duration;

use delivery::fields::str_at;
use object::{Value, get};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use super::Due;

/// The longest time for all of it.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest line of a server.
const LONGEST: usize = 64 << 10;

/// Publishes the message of a notification to the subject that the recipient names.
///
/// # Errors
/// Without what signs in, for people.
pub(super) async fn send(service: &Value, due: &Due) -> Result<(), String> {
    let sent = tokio::time::timeout(TIMEOUT, publish(service, due)).await;
    sent.unwrap_or_else(|_| Err(format!("the server did not answer within {} s", TIMEOUT.as_secs())))
}

async fn publish(service: &Value, due: &Due) -> Result<(), String> {
    let address = str_at(service, &["url"]);
    let url = url::Url::parse(address).map_err(|error| format!("url: {error}"))?;
    if url.scheme() != "nats" {
        return Err(format!("url: {} is not served, only nats://", url.scheme()));
    }
    if !str_at(service, &["nkey"]).is_empty() {
        return Err("signing in with an nkey is not done here: use user and password".into());
    }
    let subject = due.recipient.as_str();
    if subject.is_empty() || subject.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("{subject:?} is no subject"));
    }
    let host = url.host_str().unwrap_or("127.0.0.1");
    let stream = TcpStream::connect((host, url.port().unwrap_or(4222))).await;
    let (read, mut write) = stream.map_err(|error| format!("{host}: {error}"))?.into_split();
    let mut read = BufReader::new(read);
    let greeting = line(&mut read).await?;
    let info = greeting.strip_prefix("INFO ").ok_or("the server does not greet as NATS does")?;
    let info: Value = serde_json::from_str(info).map_err(|_| "the server's greeting is not JSON")?;
    if get(&info, &["tls_required"]) == Some(&Value::Bool(true)) {
        return Err("the server wants TLS, which is not spoken to NATS here".into());
    }
    let mut connect = json!({
        "verbose": false, "pedantic": false, "lang": "rust", "version": "1", "name": "argocd-notifications",
        "headers": true, "no_responders": false,
    });
    let decoded = |text: &str| percent(text);
    for (field, name, of_url) in [
        ("user", "user", decoded(url.username())),
        ("pass", "password", decoded(url.password().unwrap_or(""))),
    ] {
        let own = str_at(service, &[name]).to_owned();
        let value = if own.is_empty() { of_url } else { own };
        if !value.is_empty() {
            connect[field] = Value::String(value);
        }
    }
    let message = str_at(&due.notification, &["message"]);
    let headers = headers(service)?;
    let mut out = format!("CONNECT {connect}\r\n").into_bytes();
    if headers.is_empty() {
        out.extend(format!("PUB {subject} {}\r\n", message.len()).into_bytes());
    } else {
        let total = headers.len() + message.len();
        out.extend(format!("HPUB {subject} {} {total}\r\n{headers}", headers.len()).into_bytes());
    }
    out.extend(message.as_bytes());
    // Whatever was wrong with it is said before the answer to a ping.
    out.extend(b"\r\nPING\r\n");
    write.write_all(&out).await.map_err(|error| format!("{host}: {error}"))?;
    loop {
        let line = line(&mut read).await?;
        if line == "PONG" {
            return Ok(());
        }
        if let Some(why) = line.strip_prefix("-ERR") {
            return Err(format!("the server refused: {}", why.trim().trim_matches('\'')));
        }
    }
}

fn percent(text: &str) -> String {
    let joined = format!("x={}", text.replace('+', "%2B"));
    let mut pairs = url::form_urlencoded::parse(joined.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// The headers as they stand before a message; nothing without any.
fn headers(service: &Value) -> Result<String, String> {
    let given = get(service, &["headers"]).and_then(Value::as_object);
    let mut text = String::new();
    for (name, value) in given.into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        if format!("{name}{value}").contains(['\r', '\n']) || name.contains(':') {
            return Err(format!("header {name:?} cannot be sent"));
        }
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    Ok(if text.is_empty() { text } else { format!("NATS/1.0\r\n{text}\r\n") })
}

async fn line(read: &mut BufReader<OwnedReadHalf>) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut limited = tokio::io::AsyncReadExt::take(&mut *read, LONGEST as u64);
    limited.read_until(b'\n', &mut bytes).await.map_err(|error| error.to_string())?;
    if !bytes.ends_with(b"\n") {
        return Err("the server ended the connection".into());
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}
