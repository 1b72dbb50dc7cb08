//! What is not Kubernetes: backups, and the clusters that this process serves beside its main one.
//!
//! `GET /landfall/backup` · `GET /landfall/clusters` · `POST /landfall/clusters {"name", "from"}` ·
//! `GET /landfall/clusters/NAME` · `DELETE /landfall/clusters/NAME`, for administrators.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::app::App;
use crate::auth::User;
use crate::clusters::{ChildError, Origin, PREFIX};
use crate::respond;
use crate::server::{Body, Server};
use crate::status::Failure;
use crate::store::backup;

/// Answers a request below `/landfall`.
pub async fn answer(
    app: &Arc<App>,
    user: &User,
    method: &Method,
    segments: &[&str],
    body: &Bytes,
) -> Result<Response<Body>, Failure> {
    if !user.is_master() {
        return Err(Failure::forbidden("", "", "", "only administrators manage clusters").empty_details());
    }
    let server = Server::of(app.clone());
    match (method, segments) {
        (&Method::GET, ["landfall", "backup"]) => Ok(send_backup(app)),
        (&Method::GET, ["landfall", "clusters"]) => {
            let names = server.child_names().map_err(|error| refused(&error))?;
            let items: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
            Ok(respond::tree(StatusCode::OK, &json!({"items": items}), crate::request::Media::Json))
        }
        (&Method::POST, ["landfall", "clusters"]) => {
            let (name, origin) = wanted(body)?;
            let child = server.create_child(&name, &origin).await.map_err(|error| refused(&error))?;
            Ok(respond::tree(StatusCode::CREATED, &shown(app, &name, &child), crate::request::Media::Json))
        }
        (&Method::GET, ["landfall", "clusters", name]) => {
            let child = server.child(name).await.map_err(|error| refused(&error))?;
            Ok(respond::tree(StatusCode::OK, &shown(app, name, &child), crate::request::Media::Json))
        }
        (&Method::DELETE, ["landfall", "clusters", name]) => {
            server.delete_child(name).await.map_err(|error| refused(&error))?;
            Ok(respond::tree(StatusCode::OK, &json!({"name": name}), crate::request::Media::Json))
        }
        _ => Err(Failure::page_not_found()),
    }
}

fn shown(app: &App, name: &str, child: &Server) -> Value {
    json!({
        "name": name,
        "path": format!("{PREFIX}{name}"),
        "token": child.token(),
        "caCertificate": app.credentials.ca_pem,
        "revision": child.revision(),
    })
}

/// `{"name": …, "from": …}`: nothing for an empty cluster, `.` for the main one, or the name of a child.
fn wanted(body: &Bytes) -> Result<(String, Origin), Failure> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(schema::gojson::explain(body, &error)))?;
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let origin = match text("from").as_str() {
        "" => Origin::Empty,
        "." => Origin::Parent,
        other => Origin::Child(other.to_owned()),
    };
    Ok((text("name"), origin))
}

fn refused(error: &ChildError) -> Failure {
    let text = error.to_string();
    match error {
        ChildError::BadName(_) => Failure::bad_request(text),
        ChildError::Exists(_) => Failure::new(409, "AlreadyExists", text),
        ChildError::Missing(_) => Failure::new(404, "NotFound", text),
        ChildError::Open(_) | ChildError::Io(_) => Failure::internal(text),
    }
}

/// The backup of this very moment, written as fast as it is taken.
fn send_backup(app: &App) -> Response<Body> {
    let snapshot = app.store.snapshot();
    let (sender, receiver) = mpsc::channel(8);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = backup::write(&snapshot, Chunks { sender }) {
            // Its end is missing, so whoever reads it knows.
            tracing::warn!(%error, "a backup was not taken to its end");
        }
    });
    let stream = ReceiverStream::new(receiver).map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
    respond::stream("application/gzip", stream)
}

struct Chunks {
    sender: mpsc::Sender<Bytes>,
}

impl std::io::Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Bytes::copy_from_slice(bytes)).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
