//! The loopback listener: TLS, HTTP/1.1 and HTTP/2, one task per connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::ServeError;
use crate::app::App;
use crate::server::ApiService;

/// How long a client may take for its handshake and its request headers.
const PATIENCE: Duration = Duration::from_secs(20);

/// Binds and serves until the server is shut down.
pub async fn start(app: &Arc<App>, service: ApiService, addr: SocketAddr) -> Result<SocketAddr, ServeError> {
    let listener = TcpListener::bind(addr).await.map_err(|source| {
        if source.kind() == std::io::ErrorKind::AddrInUse {
            ServeError::PortInUse { addr }
        } else {
            ServeError::Bind { addr, source }
        }
    })?;
    let bound = listener.local_addr().map_err(|source| ServeError::Bind { addr, source })?;
    let acceptor = acceptor(app, bound)?;
    let stop = app.stop.clone();
    tokio::spawn(async move {
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Out of file descriptors: others may go away soon.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
                () = stop.cancelled() => return,
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "nodelay");
            }
            let (acceptor, service, stop) = (acceptor.clone(), service.clone(), stop.clone());
            tokio::spawn(async move {
                let handshake = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await;
                let Ok(Ok(stream)) = handshake else { return };
                let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let service = service.certified(certificate.and_then(crate::certificates::user_of));
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
                builder
                    .http2()
                    .timer(TokioTimer::new())
                    .max_concurrent_streams(1000)
                    .keep_alive_interval(Some(Duration::from_secs(30)));
                let service = TowerToHyperService::new(service);
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    ended = connection => {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a connection ended");
                        }
                    }
                    () = stop.cancelled() => {}
                }
            });
        }
    });
    Ok(bound)
}

fn acceptor(app: &App, addr: SocketAddr) -> Result<TlsAcceptor, ServeError> {
    let failed = |e: &dyn std::fmt::Display| ServeError::Tls(e.to_string());
    let (chain, key) = app.credentials.server_certificate(addr.ip()).map_err(|e| failed(&e))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // Whoever has a certificate of the cluster's authority needs no token.
    let authority =
        CertificateDer::from_pem_slice(app.credentials.ca_pem.as_bytes()).map_err(|e| failed(&e))?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority).map_err(|e| failed(&e))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|e| failed(&e))?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(&e))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|e| failed(&e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
