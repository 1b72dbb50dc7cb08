//! ControllerRevisions: the past templates of StatefulSets and DaemonSets.

use super::common::controller_reference;
use crate::api::Policy;
use crate::error::{Result, UnlessGone};
use crate::kind::{self, Kind};
use crate::names::{join, template_hash};
use crate::world::World;
use object::{Value, get, get_i64, meta, set};
use serde_json::json;
use std::sync::Arc;

/// The label that says which revision a pod is of.
pub(crate) const HASH: &str = "controller-revision-hash";

/// Makes sure that the owner's template is a revision, the newest; its name.
pub(crate) async fn sync(world: &World, kind: Kind, owner: &Value, in_use: &[String]) -> Result<String> {
    let template = get(owner, &["spec", "template"]).cloned().unwrap_or_default();
    let hash = template_hash(&template, get_i64(owner, &["status", "collisionCount"]).unwrap_or(0));
    let name = join(meta::name(owner), &hash);
    let mut all: Vec<Arc<Value>> = world.controlled(kind::CONTROLLER_REVISION, owner);
    all.sort_by_key(|own| number(own));
    let newest = all.last().map_or(0, |own| number(own));
    match all.iter().find(|own| meta::name(own) == name) {
        Some(own) if number(own) == newest => {}
        Some(own) => {
            let patch = json!({"revision": newest + 1});
            world.patch(kind::CONTROLLER_REVISION, own, "", patch).await.unless_gone()?;
        }
        None => {
            let object = revision(kind, owner, &name, &hash, template, newest + 1);
            match world.create(kind::CONTROLLER_REVISION, object).await {
                Err(error) if error.is_there() => {}
                other => {
                    other.unless_gone()?;
                }
            }
        }
    }
    let limit = usize::try_from(get_i64(owner, &["spec", "revisionHistoryLimit"]).unwrap_or(10)).unwrap_or(0);
    let idle: Vec<&Arc<Value>> = all
        .iter()
        .filter(|own| meta::name(own) != name && !in_use.iter().any(|used| used == meta::name(own)))
        .collect();
    for own in idle.iter().take(idle.len().saturating_sub(limit)) {
        world.delete(kind::CONTROLLER_REVISION, own, Policy::Background).await?;
    }
    Ok(name)
}

fn number(revision: &Value) -> i64 {
    get_i64(revision, &["revision"]).unwrap_or(0)
}

fn revision(kind: Kind, owner: &Value, name: &str, hash: &str, mut template: Value, number: i64) -> Value {
    let mut labels = get(&template, &["metadata", "labels"]).cloned().unwrap_or_else(|| json!({}));
    set(&mut labels, &[HASH], hash.into());
    set(&mut template, &["$patch"], "replace".into());
    json!({
        "metadata": {
            "name": name, "namespace": meta::namespace(owner).unwrap_or_default(), "labels": labels,
            "ownerReferences": [controller_reference(kind, owner)],
        },
        "data": {"spec": {"template": template}},
        "revision": number,
    })
}
