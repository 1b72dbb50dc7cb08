//! ControllerRevisions: the past templates of StatefulSets and DaemonSets.

use super::common::{claim, controller_reference};
use crate::api::Policy;
use crate::error::{Error, Result, UnlessGone};
use crate::kind::{self, Kind};
use crate::names::{join, template_hash};
use crate::world::World;
use object::{Value, get, get_i64, meta, set};
use serde_json::json;
use std::sync::Arc;

/// The label that says which revision a pod is of.
pub(crate) const HASH: &str = "controller-revision-hash";

/// The revision of the owner's template.
pub(crate) struct Current {
    /// Of the ControllerRevision.
    pub(crate) name: String,
    /// What its label says.
    pub(crate) hash: String,
}

/// Makes sure that the owner's template is a revision, the newest. Whoever wrote the revision: it is the content that
/// counts, so that going back to a template goes back to its revision.
pub(crate) async fn sync(world: &World, kind: Kind, owner: &Value, in_use: &[String]) -> Result<Current> {
    let template = get(owner, &["spec", "template"]).cloned().unwrap_or_default();
    let data = data(template.clone());
    let mut all: Vec<Arc<Value>> = claim(world, kind::CONTROLLER_REVISION, kind, owner).await?;
    all.retain(|own| meta::deletion_timestamp(own).is_none());
    all.sort_by_key(|own| number(own));
    let newest = all.last().map_or(0, |own| number(own));
    let current = match all.iter().rev().find(|own| own.get("data") == Some(&data)) {
        Some(own) => {
            if number(own) != newest {
                let patch = json!({"revision": newest + 1});
                world.patch(kind::CONTROLLER_REVISION, own, "", patch).await.unless_gone()?;
            }
            Current {
                name: meta::name(own).to_owned(),
                hash: meta::label(own, HASH).unwrap_or_default().to_owned(),
            }
        }
        None => create(world, kind, owner, &template, data, newest + 1).await?,
    };
    let limit = usize::try_from(get_i64(owner, &["spec", "revisionHistoryLimit"]).unwrap_or(10)).unwrap_or(0);
    let used = |own: &Value| {
        let hash = meta::label(own, HASH);
        meta::name(own) == current.name
            || in_use.iter().any(|used| used == meta::name(own) || Some(used.as_str()) == hash)
    };
    let idle: Vec<&Arc<Value>> = all.iter().filter(|own| !used(own)).collect();
    for own in idle.iter().take(idle.len().saturating_sub(limit)) {
        world.delete(kind::CONTROLLER_REVISION, own, Policy::Background).await?;
    }
    Ok(current)
}

/// Names tried in one pass: others may have taken them.
const TRIES: i64 = 5;

async fn create(
    world: &World,
    kind: Kind,
    owner: &Value,
    template: &Value,
    data: Value,
    number: i64,
) -> Result<Current> {
    let collisions = get_i64(owner, &["status", "collisionCount"]).unwrap_or(0);
    let mut last = None;
    for collision in collisions..collisions + TRIES {
        let hash = template_hash(template, collision);
        let name = join(meta::name(owner), &hash);
        let object = revision(kind, owner, &name, &hash, template, data.clone(), number);
        match world.create(kind::CONTROLLER_REVISION, object).await {
            Err(error) if error.is_there() => {
                // Ours already, and the watch is late; or another's with other content.
                let path = kind::CONTROLLER_REVISION.path(meta::namespace(owner).unwrap_or_default(), &name);
                if world.read(&path).await?.is_some_and(|own| own.get("data") == Some(&data)) {
                    return Ok(Current { name, hash });
                }
                last = Some(error);
            }
            other => {
                other.unless_gone()?;
                return Ok(Current { name, hash });
            }
        }
    }
    Err(last.unwrap_or_else(|| Error::new("no name is free for the revision")))
}

/// What a revision keeps: the template, as a patch that replaces it.
fn data(mut template: Value) -> Value {
    set(&mut template, &["$patch"], "replace".into());
    json!({"spec": {"template": template}})
}

/// The template that a revision keeps.
pub(crate) fn template(revision: &Value) -> Option<Value> {
    let mut kept = get(revision, &["data", "spec", "template"])?.clone();
    object::remove(&mut kept, &["$patch"]);
    Some(kept)
}

fn number(revision: &Value) -> i64 {
    get_i64(revision, &["revision"]).unwrap_or(0)
}

fn revision(
    kind: Kind,
    owner: &Value,
    name: &str,
    hash: &str,
    template: &Value,
    data: Value,
    number: i64,
) -> Value {
    let mut labels = get(template, &["metadata", "labels"]).cloned().unwrap_or_else(|| json!({}));
    set(&mut labels, &[HASH], hash.into());
    let mut object = json!({
        "metadata": {
            "name": name, "namespace": meta::namespace(owner).unwrap_or_default(), "labels": labels,
            "ownerReferences": [controller_reference(kind, owner)],
        },
        "data": data,
        "revision": number,
    });
    if let Some(annotations) = get(owner, &["metadata", "annotations"]).filter(|own| own.is_object()) {
        set(&mut object, &["metadata", "annotations"], annotations.clone());
    }
    object
}
