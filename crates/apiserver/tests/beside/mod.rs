//! A program that stands beside the API: a TLS server on loopback whose answers are a function, and that remembers
//! what it was asked.
// Each test file uses a part of it.
#![allow(dead_code)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use apiserver::Server;
use base64::Engine;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tower::ServiceExt;

/// What a path answers to a review.
pub type Answers = fn(&str, &Value) -> (u16, Value);

/// The running server.
pub struct Beside {
    /// `https://localhost:PORT`.
    pub url: String,
    /// Its port.
    pub port: u16,
    /// Its certificate, as a `caBundle`.
    pub ca: String,
    seen: Arc<Mutex<HashMap<String, Value>>>,
}

impl Beside {
    /// Starts it.
    pub async fn start(answers: Answers) -> Beside {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<HashMap<String, Value>>> = Arc::default();
        let noted = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, noted) = (acceptor.clone(), noted.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service =
                        hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                            let noted = noted.clone();
                            async move {
                                let path = request.uri().path().to_owned();
                                let body = request.into_body().collect().await.unwrap().to_bytes();
                                let review: Value = serde_json::from_slice(&body).unwrap();
                                let (code, answer) = answers(&path, &review);
                                noted.lock().unwrap().insert(path, review);
                                let response = http::Response::builder().status(code);
                                Ok::<_, Infallible>(
                                    response.body(Full::new(bytes::Bytes::from(answer.to_string()))).unwrap(),
                                )
                            }
                        });
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    builder.serve_connection(TokioIo::new(stream), service).await.ok();
                });
            }
        });
        let ca = base64::engine::general_purpose::STANDARD.encode(made.cert.pem());
        Beside { url: format!("https://localhost:{port}"), port, ca, seen }
    }

    /// The last review that a path got.
    pub fn last(&self, path: &str) -> Value {
        self.seen.lock().unwrap().get(path).cloned().unwrap_or_default()
    }
}

/// A request as the administrator; warnings stand beside the body.
pub async fn request(server: &Server, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media)
        .body(Full::new(bytes::Bytes::from(text)))
        .unwrap();
    let response = server.service().oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    let warnings: Vec<Value> =
        response.headers().get_all("warning").iter().map(|w| w.to_str().unwrap().into()).collect();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    let mut body: Value = serde_json::from_slice(&text).unwrap_or_else(|_| json!({}));
    if !warnings.is_empty() {
        body["warnings"] = warnings.into();
    }
    (code, body)
}
