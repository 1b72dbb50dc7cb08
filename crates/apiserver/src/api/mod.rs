//! Requests for objects: who asks, for what, and which handler answers.

pub mod body;
pub mod connect;
pub mod delete;
pub mod patch;
pub mod read;
pub mod review;
pub mod subresource;
pub mod watch;
pub mod write;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};

use crate::app::App;
use crate::auth::User;
use crate::catalog::Resource;
use crate::components;
use crate::request::{self, Format, Query, Target};
use crate::server::Body;
use crate::status::Failure;

/// One request for a resource.
pub struct Call {
    /// The API.
    pub app: Arc<App>,
    /// Who asks.
    pub user: User,
    /// HTTP method.
    pub method: Method,
    /// What the path names.
    pub target: Target,
    /// The query.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The resource that the path names.
    pub resource: Arc<Resource>,
    /// How to answer.
    pub format: Format,
}

impl Call {
    /// The namespace in the path, empty for none.
    pub fn namespace(&self) -> &str {
        self.target.namespace.as_deref().unwrap_or_default()
    }

    /// The name in the path, empty for none.
    pub fn name(&self) -> &str {
        self.target.name.as_deref().unwrap_or_default()
    }

    /// The subresource in the path, empty for none.
    pub fn subresource(&self) -> &str {
        self.target.subresource.as_deref().unwrap_or_default()
    }

    /// 404 for the object that the path names.
    pub fn not_found(&self) -> Failure {
        Failure::not_found(&self.resource.group, &self.resource.name, self.name())
    }

    /// `dryRun=All`, or what is wrong with the parameter.
    pub fn dry_run(&self) -> Result<bool, Failure> {
        let mut dry = false;
        for value in self.query.all("dryRun") {
            match value {
                "All" => dry = true,
                "" => {}
                other => {
                    let kind = match self.method {
                        Method::POST => "CreateOptions",
                        Method::PUT => "UpdateOptions",
                        Method::DELETE => "DeleteOptions",
                        _ => "PatchOptions",
                    };
                    let cause =
                        crate::status::Cause::unsupported("dryRun", &serde_json::json!([other]), &["All"]);
                    return Err(Failure::invalid("meta.k8s.io", kind, "", &[cause]));
                }
            }
        }
        Ok(dry)
    }

    /// The field manager: as asked, or the user agent's first word.
    pub fn manager(&self) -> String {
        if let Some(manager) = self.query.text("fieldManager") {
            return manager.to_owned();
        }
        let agent =
            self.headers.get(http::header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let name = agent.split('/').next().unwrap_or_default();
        if name.is_empty() { "unknown".to_owned() } else { name.chars().take(128).collect() }
    }
}

/// Answers a request for a resource.
pub async fn dispatch(call: Call, body: Bytes) -> Result<Response<Body>, Failure> {
    let verb = request::verb(&call.method, &call.target, &call.query);
    if let Some(name) = call.target.subresource.clone() {
        let Some(subresource) = call.resource.subresource(&name).cloned() else {
            return Err(unknown_resource());
        };
        if !subresource.verbs.iter().any(|v| **v == *verb) {
            return Err(Failure::method_not_allowed());
        }
        crate::conversion::prepare(&call.app, &call.resource).await?;
        return subresource::dispatch(call, &subresource, verb, &body).await;
    }
    let named = call.target.name.is_some();
    let fits = match verb {
        "create" => !named,
        "update" | "patch" => named,
        _ => true,
    };
    if !fits || !call.resource.allows(verb) {
        return Err(Failure::method_not_allowed());
    }
    if call.resource.namespaced && call.target.namespace.is_none() {
        match verb {
            "create" if !review::is_review(&call.resource) => return Err(Failure::method_not_allowed()),
            "deletecollection" => return Err(Failure::method_not_allowed()),
            _ if named => return Err(unknown_resource()),
            _ => {}
        }
    }
    if &*call.resource.table == components::TABLE {
        return components::answer(&call, verb);
    }
    crate::conversion::prepare(&call.app, &call.resource).await?;
    match verb {
        "get" => read::get(&call),
        "list" => read::list(&call),
        "watch" => watch::watch(&call),
        "create" if review::is_review(&call.resource) => review::create(&call, &body),
        "create" => write::create(&call, &body).await,
        "update" => write::update(&call, &body).await,
        "patch" => patch::patch(&call, &body).await,
        "delete" => delete::delete(&call, &body).await,
        _ => delete::delete_collection(&call, &body).await,
    }
}

/// 404 for a path that no resource serves.
pub fn unknown_resource() -> Failure {
    Failure::new(404, "NotFound", "the server could not find the requested resource").empty_details()
}
