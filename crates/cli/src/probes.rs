//! What a cluster asks of a controller: is it alive, is it ready, and how is it getting on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The longest head of a request.
const MAX_HEAD: usize = 8 << 10;
/// Askers at a time.
const CONNECTIONS: usize = 64;
/// Whoever takes longer is hung up on.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is said of a path: status, content type and body. `None`: there is no such path.
pub type Answer = Arc<dyn Fn(&str) -> Option<(u16, &'static str, String)> + Send + Sync>;

/// `:8080` as Flux's flags spell it, or a whole address.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let whole = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    whole.parse().map_err(|_| format!("{text:?} is no address; write :8080 or 127.0.0.1:8080"))
}

/// Answers on an address until `cancel` fires; gives the address, since port 0 takes any free one.
pub async fn serve(at: SocketAddr, answer: Answer, cancel: CancellationToken) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(at).await.with_context(|| format!("cannot listen on {at}"))?;
    let bound = listener.local_addr()?;
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = cancel.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, most likely: later there may be some.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Ok(permit) = permits.clone().acquire_owned().await else { return };
            let answer = answer.clone();
            tokio::spawn(async move {
                if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, talk(stream, &answer)).await {
                    tracing::debug!(%error, "a probe was not answered");
                }
                drop(permit);
            });
        }
    });
    Ok(bound)
}

async fn talk(mut stream: TcpStream, answer: &Answer) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&head);
    let mut words = text.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    let (status, content, body) = match method {
        "GET" | "HEAD" => answer(path).unwrap_or((404, "text/plain", "404 page not found\n".into())),
        _ => (405, "text/plain", "method not allowed\n".into()),
    };
    let words = if status == 200 { "OK" } else { "Not OK" };
    let mut out = format!(
        "HTTP/1.1 {status} {words}\r\nContent-Type: {content}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if method != "HEAD" {
        out.push_str(&body);
    }
    stream.write_all(out.as_bytes()).await?;
    stream.shutdown().await
}
