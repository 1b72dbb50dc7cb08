//! Connections to an API server that cost the client little: HTTP/1.1 over TLS, kept open, nothing parsed.

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Media type of server-side apply.
pub const APPLY: &str = "application/apply-patch+yaml";
/// Media type of plain objects.
pub const JSON: &str = "application/json";

/// A server and who asks it.
pub struct Target {
    address: String,
    authorization: String,
    tls: Arc<ClientConfig>,
}

impl Target {
    /// The server of a kubeconfig with a bearer token.
    pub fn of(kubeconfig: &Path) -> anyhow::Result<Target> {
        let text = std::fs::read_to_string(kubeconfig).with_context(|| kubeconfig.display().to_string())?;
        let config = yaml::from_str(&text)?;
        let text = |pointer: &str| {
            config.pointer(pointer).and_then(|value| value.as_str()).with_context(|| pointer.to_owned())
        };
        let server = text("/clusters/0/cluster/server")?;
        let address = server.strip_prefix("https://").with_context(|| format!("not TLS: {server}"))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
            .with_no_client_auth();
        Ok(Target {
            address: address.trim_end_matches('/').to_owned(),
            authorization: format!("Bearer {}", text("/users/0/user/token")?),
            tls: Arc::new(tls),
        })
    }

    /// A connection with the handshake done.
    async fn connect(&self) -> anyhow::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(&self.address).await.context("connect")?;
        stream.set_nodelay(true)?;
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        let name = ServerName::try_from(host.to_owned())?;
        TlsConnector::from(self.tls.clone()).connect(name, stream).await.context("TLS")
    }
}

/// Accepts every certificate: both servers run on loopback for the time of one measurement.
#[derive(Debug)]
struct AnyServer(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// One open connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    target: Arc<Target>,
}

impl Connection {
    /// Connects, with the handshake done.
    pub async fn open(target: &Arc<Target>) -> anyhow::Result<Connection> {
        let stream = target.connect().await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Its end is seen by whoever sends or reads.
        tokio::spawn(async move { connection.await.ok() });
        Ok(Connection { sender, target: target.clone() })
    }

    /// Sends a request and gives the body of a good answer as it comes.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        media: &str,
        body: Bytes,
    ) -> anyhow::Result<Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.target.address)
            .header(header::AUTHORIZATION, &self.target.authorization)
            .header(header::CONTENT_TYPE, media)
            .header(header::ACCEPT, JSON)
            .body(Full::new(body))?;
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        if !head.status.is_success() {
            let said = body.collect().await?.to_bytes();
            bail!("{path}: {} {}", head.status, String::from_utf8_lossy(&said));
        }
        Ok(body)
    }

    /// Sends a request and reads the whole answer; its size is what comes back.
    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        media: &str,
        body: Bytes,
    ) -> anyhow::Result<usize> {
        let mut body = self.send(method, path, media, body).await?;
        let mut size = 0;
        while let Some(frame) = body.frame().await {
            size += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(size)
    }
}

/// A watch whose lines are counted and not looked at.
pub struct Lines {
    stream: TlsStream<TcpStream>,
    buffer: Box<[u8]>,
    /// The last byte seen: a line may be cut anywhere.
    last: u8,
    seen: usize,
}

impl Lines {
    /// Sends the request, and waits for the head of its answer.
    pub async fn open(target: &Target, path: &str) -> anyhow::Result<Lines> {
        let mut stream = target.connect().await?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nAccept: {JSON}\r\n\r\n",
            target.address, target.authorization
        );
        stream.write_all(head.as_bytes()).await?;
        let mut lines = Lines { stream, buffer: vec![0; 16 * 1024].into(), last: 0, seen: 0 };
        let size = lines.stream.read(&mut lines.buffer).await?;
        let said = lines.buffer.get(..size).unwrap_or_default();
        if !said.starts_with(b"HTTP/1.1 200") {
            bail!("{path}: {}", String::from_utf8_lossy(said));
        }
        lines.note(size);
        Ok(lines)
    }

    /// Waits for so many events; each is an object and the end of its line, which nothing else in the answer is.
    pub async fn count(&mut self, events: usize) -> anyhow::Result<()> {
        while self.seen < events {
            let size = self.stream.read(&mut self.buffer).await?;
            if size == 0 {
                bail!("a watch ended after {} of {events} events", self.seen);
            }
            self.note(size);
        }
        Ok(())
    }

    fn note(&mut self, size: usize) {
        let bytes = self.buffer.get(..size).unwrap_or_default();
        let Some((first, last)) = bytes.first().zip(bytes.last()) else { return };
        self.seen += usize::from(self.last == b'}' && *first == b'\n');
        self.seen += memchr::memmem::find_iter(bytes, b"}\n").count();
        self.last = *last;
    }
}
