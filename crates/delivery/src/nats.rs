//! Publishing to a NATS server in its plain text protocol: a few lines of text, for which a client with its own
//! connections and tasks would be much. Neither TLS nor keys (nkeys) are spoken.

use object::Value;
use serde_json::json;
use std::time::Duration;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;

/// The longest time for all of it.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time until the server is reached.
const CONNECTING: Duration = Duration::from_secs(5);
/// The longest line of a server.
const LONGEST: u64 = 64 << 10;
/// Where servers listen unless their address says otherwise.
const PORT: u16 = 4222;

/// Who publishes. What is empty is taken from the address, or not said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Login<'a> {
    /// How the client calls itself.
    pub client: &'a str,
    /// The user.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
}

/// What is published.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Where to.
    pub subject: &'a str,
    /// Names and values that stand before it.
    pub headers: &'a [(String, String)],
    /// The message itself.
    pub payload: &'a str,
}

/// Publishes to the server at `nats://[USER:PASSWORD@]HOST[:PORT]`, and returns when the server has taken it.
///
/// # Errors
/// Says what went wrong, without what signs in.
pub async fn publish(address: &str, login: Login<'_>, message: Message<'_>) -> Result<(), String> {
    let done = tokio::time::timeout(TIMEOUT, reach(address, login, message)).await;
    done.unwrap_or_else(|_| Err(format!("the server did not answer within {} s", TIMEOUT.as_secs())))
}

async fn reach(address: &str, login: Login<'_>, message: Message<'_>) -> Result<(), String> {
    let full = if address.contains("://") { address.to_owned() } else { format!("nats://{address}") };
    let url = url::Url::parse(&full).map_err(|error| format!("the address is no URL: {error}"))?;
    if url.scheme() != "nats" {
        return Err(format!("{}:// is not served: only nats:// without TLS", url.scheme()));
    }
    let host = url.host_str().unwrap_or("127.0.0.1");
    let connecting = TcpStream::connect((host, url.port().unwrap_or(PORT)));
    let connected = tokio::time::timeout(CONNECTING, connecting).await;
    let stream = connected.map_err(|_| format!("{host}: no connection"))?;
    let (reader, writer) = stream.map_err(|error| format!("{host}: {error}"))?.into_split();
    let (user, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
    let login = Login {
        user: if login.user.is_empty() { &user } else { login.user },
        password: if login.password.is_empty() { &password } else { login.password },
        ..login
    };
    talk(BufReader::new(reader), writer, login, message).await
}

/// A part of an address without its percent signs.
fn decoded(text: &str) -> String {
    let joined = format!("x={}", text.replace('+', "%2B"));
    let mut pairs = url::form_urlencoded::parse(joined.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// The server greets, we say who we are, publish, and ask for a sign of life: what went wrong comes before it.
async fn talk(
    mut reader: impl AsyncBufRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    login: Login<'_>,
    message: Message<'_>,
) -> Result<(), String> {
    let words = publication(message)?;
    let greeting = line(&mut reader).await?;
    let info = greeting.strip_prefix("INFO ").ok_or("the server does not greet as NATS does")?;
    let info: Value = serde_json::from_str(info).map_err(|_| "the server's greeting is not JSON")?;
    if info.get("tls_required") == Some(&Value::Bool(true)) {
        return Err("the server requires TLS, which is not spoken to NATS here".into());
    }
    let mut connect = json!({
        "verbose": false, "pedantic": false, "tls_required": false, "name": login.client, "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"), "protocol": 1, "headers": true, "no_responders": false,
    });
    for (field, value) in [("user", login.user), ("pass", login.password)] {
        if !value.is_empty() {
            connect[field] = value.into();
        }
    }
    let text = format!("CONNECT {connect}\r\n{words}PING\r\n");
    writer.write_all(text.as_bytes()).await.map_err(|error| error.to_string())?;
    writer.flush().await.map_err(|error| error.to_string())?;
    loop {
        let line = line(&mut reader).await?;
        if line.starts_with("PONG") {
            return Ok(());
        }
        if let Some(why) = line.strip_prefix("-ERR") {
            return Err(format!("the server refused: {}", why.trim().trim_matches('\'')));
        }
        // When it is gone by now, reading says so.
        if line.starts_with("PING") && writer.write_all(b"PONG\r\n").await.is_err() {
            continue;
        }
    }
}

/// The lines that publish a message.
fn publication(message: Message<'_>) -> Result<String, String> {
    let Message { subject, payload, .. } = message;
    if subject.is_empty() || subject.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("{subject:?} is no subject"));
    }
    if message.headers.is_empty() {
        return Ok(format!("PUB {subject} {}\r\n{payload}\r\n", payload.len()));
    }
    let mut headers = String::from("NATS/1.0\r\n");
    for (name, value) in message.headers {
        if [name, value].iter().any(|text| text.contains(['\r', '\n'])) || name.contains(':') {
            return Err(format!("header {name:?} cannot be sent"));
        }
        headers.push_str(&format!("{name}: {value}\r\n"));
    }
    headers.push_str("\r\n");
    let total = headers.len() + payload.len();
    Ok(format!("HPUB {subject} {} {total}\r\n{headers}{payload}\r\n", headers.len()))
}

async fn line(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<String, String> {
    let mut bytes = Vec::new();
    reader.take(LONGEST).read_until(b'\n', &mut bytes).await.map_err(|error| error.to_string())?;
    if !bytes.ends_with(b"\n") {
        return Err("the server closed the connection".into());
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server that answers so at the sign of life makes of it, and what it heard.
    async fn said(answer: &'static str, login: Login<'_>) -> (Result<(), String>, String) {
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
        let headers = [("a".to_owned(), "b".to_owned())];
        let message = Message { subject: "flux.events", headers: &headers, payload: "{}" };
        let done = talk(BufReader::new(reader), writer, login, message).await;
        (done, server.await.unwrap())
    }

    #[tokio::test]
    async fn a_server_is_told() {
        let login = Login { client: "test", user: "me", password: "canary" };
        let (done, heard) = said("PING\r\nPONG\r\n", login).await;
        assert_eq!(done, Ok(()));
        assert!(heard.contains(r#""user":"me""#), "{heard}");
        assert!(heard.contains("HPUB flux.events 18 20\nNATS/1.0\na: b\n\n{}\n"), "{heard}");
        let (done, heard) = said("-ERR 'Authorization Violation'\r\n", Login::default()).await;
        assert_eq!(done, Err("the server refused: Authorization Violation".into()));
        assert!(!heard.contains("user"));
    }

    #[test]
    fn nothing_slips_into_the_protocol() {
        let message = |subject| Message { subject, headers: &[], payload: "x" };
        assert_eq!(publication(message("a")), Ok("PUB a 1\r\nx\r\n".into()));
        assert!(publication(message("a\r\nPUB b")).is_err() && publication(message("")).is_err());
        let headers = [("a".to_owned(), "b\r\nPUB b".to_owned())];
        assert!(publication(Message { headers: &headers, ..message("a") }).is_err());
    }
}
