//! ExternalArtifact: somebody else (here the ArtifactGenerator) offers it; there is nothing to do.

use std::sync::Arc;

use controller::{Context, Description, Kind, Outcome, Ready, Relation};
use futures::future::BoxFuture;
use object::{Gvk, Key, Value, get, meta};

use super::source_gvk;
use crate::common::{condition, namespace_of, str_at};

pub(crate) struct ExternalArtifacts;

impl Kind for ExternalArtifacts {
    fn gvk(&self) -> Gvk {
        source_gvk("ExternalArtifact")
    }

    fn describe(&self, object: &Value) -> Description {
        let mut description = super::describe_source(object);
        // Whoever offers it may write no conditions and no observed generation.
        description.observed = true;
        if condition(object, "Ready").is_none() && get(object, &["status", "artifact"]).is_some() {
            description.ready = Ready::True;
        }
        if let Some(source) = get(object, &["spec", "sourceRef"]) {
            let group = str_at(source, &["apiVersion"]).split_once('/').map_or("", |(group, _)| group);
            let namespace = namespace_of(object, str_at(source, &["namespace"]));
            let key = Key::new(group, str_at(source, &["kind"]), namespace, str_at(source, &["name"]));
            description.edges.push((Relation::Source, key));
        }
        description
    }

    fn trigger(&self, object: &Value) -> String {
        meta::uid(object).to_owned()
    }

    fn reconcile(self: Arc<Self>, _context: Context, _object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(std::future::ready(Outcome::done()))
    }
}
