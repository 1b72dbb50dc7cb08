//! `image.toolkit.fluxcd.io`: which tags a registry has, which of them is wanted, and the commit that says so.

mod automation;
mod policy;
mod repository;
mod setters;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use controller::{Kind, Outcome};
use delivery::images::{address, canonical};
use object::{Gvk, Key, Value};
pub(crate) use repository::adler32;

use crate::common::{Pass, namespace_of, str_at};
use crate::options::Shared;

/// The group.
pub const GROUP: &str = "image.toolkit.fluxcd.io";

/// A kind of the group.
pub(crate) fn gvk(kind: &str) -> Gvk {
    Gvk::new(GROUP, "v1", kind)
}

/// The kinds, as they are reconciled.
pub fn gvks() -> Vec<Gvk> {
    ["ImageRepository", "ImagePolicy", "ImageUpdateAutomation"].map(gvk).to_vec()
}

/// Every kind.
pub fn kinds(shared: &Arc<Shared>) -> Vec<Arc<dyn Kind>> {
    let tags: Arc<Tags> = Arc::default();
    vec![
        Arc::new(repository::ImageRepositories { shared: shared.clone(), tags: tags.clone() }),
        Arc::new(policy::ImagePolicies { shared: shared.clone(), tags }),
        Arc::new(automation::Automations { shared: shared.clone() }),
    ]
}

/// What was scanned, by the ImageRepository.
#[derive(Default)]
pub(crate) struct Tags(Mutex<HashMap<Key, Arc<Vec<String>>>>);

impl Tags {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Vec<String>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing is done: the cluster is a try-out that leaves the world alone.
async fn rest(pass: &mut Pass) -> Result<Outcome, cluster::Error> {
    let message =
        "not acted upon: this cluster leaves registries and repositories alone (landfall up --outward)";
    pass.succeed("Inert", message);
    pass.write().await?;
    Ok(Outcome::done())
}

/// Namespace and name of what a field of the spec refers to.
fn referred(object: &Value, field: &str) -> (String, String) {
    let namespace = namespace_of(object, str_at(object, &["spec", field, "namespace"]));
    (namespace.to_owned(), str_at(object, &["spec", field, "name"]).to_owned())
}

/// Why nothing came of it: reason, line, and whether only a changed spec can help.
struct Failure(&'static str, String, bool);

/// What readers of a scan depend on.
fn scan_input(key: &Key) -> Key {
    Key { group: format!("scan.{}", key.group), ..key.clone() }
}

/// `name:tag@digest` of a reference in a status.
fn reference(value: &Value) -> String {
    let text = |field: &str| object::get_str(value, &[field]).unwrap_or_default();
    let digest = text("digest");
    let at = if digest.is_empty() { String::new() } else { format!("@{digest}") };
    format!("{}:{}{at}", text("name"), text("tag"))
}
