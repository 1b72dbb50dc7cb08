//! Clients that are slow, silent or greedy: others are served as if they were not there.

mod beside;

use std::sync::Arc;
use std::time::Duration;

use apiserver::{Options, Server, Serving};
use beside::request;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn started() -> (Server, Serving) {
    let server = Server::open(Options::default()).await.unwrap();
    let serving = server.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    (server, serving)
}

/// A connection on which nothing has been said yet.
async fn connect(serving: &Serving) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(serving.ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(serving.addr).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

fn head(serving: &Serving, method: &str, path: &str, more: &str) -> String {
    let token = &serving.token;
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{more}\r\n")
}

/// A whole request on a connection of its own, up to the end of the answer.
async fn ask(serving: &Serving, method: &str, path: &str, body: &str) -> String {
    let mut stream = connect(serving).await;
    let more =
        format!("Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    stream.write_all(head(serving, method, path, &more).as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The end may come without a farewell; what counts is the answer.
    let _farewell = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn map(name: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"t": text}})
}

/// Another client makes, reads and deletes something.
async fn assert_served(serving: &Serving, name: &str) {
    let work = async {
        let made = ask(serving, "POST", MAPS, &map(name, "x").to_string()).await;
        assert!(made.starts_with("HTTP/1.1 201"), "{made}");
        let read = ask(serving, "GET", &format!("{MAPS}/{name}"), "").await;
        assert!(read.starts_with("HTTP/1.1 200"), "{read}");
        let gone = ask(serving, "DELETE", &format!("{MAPS}/{name}"), "").await;
        assert!(gone.starts_with("HTTP/1.1 200"), "{gone}");
    };
    tokio::time::timeout(Duration::from_secs(15), work).await.expect("others are served");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_half_of_it_keeps_nobody_waiting() {
    let (server, serving) = started().await;
    let mut held: Vec<TlsStream<TcpStream>> = Vec::new();
    let mut silent = Vec::new();
    for n in 0..150 {
        silent.push(TcpStream::connect(serving.addr).await.unwrap());
        let mut stream = connect(&serving).await;
        let half = match n % 3 {
            0 => "GET /api HTTP/1.1\r\nHost: loc".to_owned(),
            // A body that is announced and does not come.
            1 => head(&serving, "POST", MAPS, "Content-Type: application/json\r\nContent-Length: 1000\r\n"),
            // One that comes in pieces and never ends.
            _ => {
                head(
                    &serving,
                    "POST",
                    MAPS,
                    "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
                ) + "5\r\n{\"a\":"
            }
        };
        stream.write_all(half.as_bytes()).await.unwrap();
        held.push(stream);
    }
    assert_served(&serving, "beside-silence").await;
    // Half-open ones go away; nothing of what they began is there.
    drop((held, silent));
    assert_served(&serving, "after-silence").await;
    let (_, list) = request(&server, "GET", MAPS, &Value::Null).await;
    assert_eq!(list["items"], json!([]));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_that_do_not_read_hold_nobody_up() {
    let (server, serving) = started().await;
    let mut deaf = Vec::new();
    for _ in 0..300 {
        let mut stream = connect(&serving).await;
        let path = format!("{MAPS}?watch=1&resourceVersion=0");
        stream.write_all(head(&serving, "GET", &path, "").as_bytes()).await.unwrap();
        deaf.push(stream);
    }
    // More than any socket buffers, for each of them.
    let text = "x".repeat(100_000);
    for n in 0..100 {
        let map = map(&format!("m{n}"), &text);
        let made = request(&server, "POST", MAPS, &map);
        let (code, _) = tokio::time::timeout(Duration::from_secs(15), made).await.expect("writes go on");
        assert_eq!(code, 201);
    }
    assert_served(&serving, "beside-the-deaf").await;
    // Whoever begins to read gets what it missed, in order, or is told that it is gone.
    let mut stream = deaf.pop().unwrap();
    let mut seen = String::new();
    let mut buffer = vec![0; 1 << 16];
    let reading = async {
        while !seen.contains("\"m20\"") && !seen.contains("\"code\":410") {
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "it ended without a word");
            seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    };
    tokio::time::timeout(Duration::from_secs(15), reading).await.expect("it catches up");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_too_deep_and_broken_bodies_are_refused_by_name() {
    let (server, serving) = started().await;
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(3 << 20));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases = [
        (large.as_str(), "HTTP/1.1 413", "RequestEntityTooLarge"),
        (deep.as_str(), "HTTP/1.1 400", "BadRequest"),
        ("{\"kind\": ", "HTTP/1.1 400", "BadRequest"),
        (
            "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":3}}",
            "HTTP/1.1 400",
            "BadRequest",
        ),
        ("\u{0}\u{1}", "HTTP/1.1 400", "BadRequest"),
    ];
    for (body, code, reason) in cases {
        let answer = ask(&serving, "POST", MAPS, body).await;
        let shown = &answer[..answer.len().min(400)];
        assert!(answer.starts_with(code), "{code}: {shown}");
        assert!(answer.contains(reason), "{reason}: {shown}");
    }
    assert_served(&serving, "after-the-broken").await;
    server.shutdown().await;
}
