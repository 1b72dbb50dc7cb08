//! HelmRepository: an index over HTTP, or the mere address of an OCI registry.

use std::sync::Arc;
use std::time::Duration;

use controller::{Context, Description, Kind, Outcome, Ready};
use futures::future::BoxFuture;
use object::{Gvk, Value};
use source::helm_repo::Request;
use source::{Artifact, Tree};

use super::{Failure, Fetch, Fetched, secrets, source_gvk};
use crate::common::{self, Pass, bool_at, duration_at, str_at};
use crate::options::Shared;

pub(crate) struct HelmRepositories {
    pub shared: Arc<Shared>,
}

/// An OCI repository is static: never fetched, without status.
fn is_static(object: &Value) -> bool {
    str_at(object, &["spec", "type"]) == "oci" || str_at(object, &["spec", "url"]).starts_with("oci://")
}

impl Kind for HelmRepositories {
    fn gvk(&self) -> Gvk {
        source_gvk("HelmRepository")
    }

    fn describe(&self, object: &Value) -> Description {
        let mut description = super::describe_source(object);
        if is_static(object) {
            description.ready = Ready::True;
            description.observed = true;
        }
        description
    }

    fn trigger(&self, object: &Value) -> String {
        common::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            if is_static(&object) {
                let mut pass = Pass::new(context, object, "source-controller");
                let done = rest(&mut pass).await;
                return pass.outcome(done.map(|()| Outcome::done()), Duration::from_secs(60));
            }
            super::reconcile(&*self, context, object).await
        })
    }
}

/// A static repository has no status: one that has (an unobserved generation is enough) never looks ready to whoever
/// waits for it.
async fn rest(pass: &mut Pass) -> Result<(), cluster::Error> {
    pass.remove_finalizer().await?;
    let fields: Vec<String> =
        pass.status().as_object().into_iter().flat_map(|status| status.keys().cloned()).collect();
    for field in fields {
        pass.set(&[field.as_str()], Value::Null);
    }
    pass.write().await
}

/// How a repository is asked; the credentials are read in the namespace of `pass`, which is its own.
pub(crate) async fn request(shared: &Shared, pass: &Pass) -> Result<Request, Failure> {
    let object = &pass.object;
    let mut request = Request::new(str_at(object, &["spec", "url"]));
    request.credentials = match request.url.starts_with("oci://") {
        true => secrets::of_registry(shared, pass, &request.url).await?,
        false => secrets::credentials(pass).await?,
    };
    request.pass_credentials = bool_at(object, &["spec", "passCredentials"]);
    request.insecure = bool_at(object, &["spec", "insecure"]);
    request.timeout = duration_at(object, &["spec", "timeout"]).unwrap_or(Duration::from_secs(60));
    Ok(request)
}

impl Fetch for HelmRepositories {
    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn fetch<'a>(&'a self, pass: &'a mut Pass) -> BoxFuture<'a, Result<Fetched, Failure>> {
        Box::pin(async move {
            let request = request(&self.shared, pass).await?;
            super::follow(&self.shared, pass, &request.url);
            let index =
                self.shared.options.fetcher.helm_index(&request).await.map_err(|error| {
                    Failure::fetch("Failed", "failed to fetch Helm repository index", &error)
                })?;
            pass.set(&["url"], Value::Null);
            let artifact = Artifact::of_tree(index.revision.clone(), Tree::default());
            let message = format!("stored artifact: revision '{}'", artifact.revision);
            Ok(Fetched { artifact, reason: "Succeeded", message })
        })
    }
}
