//! Garbage collection by owner references: in the background, in the foreground, and orphaning.

use crate::api::Policy;
use crate::error::{Result, UnlessGone};
use crate::graph::{Node, Owner};
use crate::queue::Work;
use crate::world::World;
use object::{Value, meta};
use serde_json::json;

/// What became of an owner.
enum State {
    Solid,
    /// It is gone, or was another object of the same name.
    Dangling,
    /// It waits for this object to go.
    Waiting,
}

/// Looks at one object.
pub(crate) async fn collect(world: &World, uid: &str) -> Result<()> {
    let Some(node) = world.state().graph.get(uid).cloned() else { return Ok(()) };
    if node.orphan {
        return orphan(world, &node).await;
    }
    if node.foreground {
        return foreground(world, &node).await;
    }
    if node.deleting || node.owners.is_empty() {
        return Ok(());
    }
    let Some(path) = world.path_of(&node.key) else { return Ok(()) };
    let (mut solid, mut dangling, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    for owner in &node.owners {
        match owner_state(world, &node, owner).await? {
            State::Solid => solid.push(owner.clone()),
            State::Dangling => dangling.push(owner.clone()),
            State::Waiting => waiting.push(owner.clone()),
        }
    }
    if !solid.is_empty() {
        if dangling.is_empty() && waiting.is_empty() {
            return Ok(());
        }
        // Somebody still wants it: only the references that mean nothing any more go.
        return drop_owners(world, &path, &node, |owner| {
            dangling.iter().chain(&waiting).any(|gone| gone.uid == owner)
        })
        .await;
    }
    let has_dependents = !world.state().graph.dependents(uid).is_empty();
    let policy = if !waiting.is_empty() && has_dependents { Policy::Foreground } else { Policy::Background };
    world.delete_at(&path, uid, policy, false).await
}

async fn owner_state(world: &World, node: &Node, owner: &Owner) -> Result<State> {
    let known = world.state().graph.get(&owner.uid).cloned();
    if let Some(known) = known {
        // An owner in another namespace is none: references do not cross.
        if !known.key.namespace.is_empty() && known.key.namespace != node.key.namespace {
            return Ok(if node.key.namespace.is_empty() { State::Solid } else { State::Dangling });
        }
        return Ok(if known.foreground && owner.block { State::Waiting } else { State::Solid });
    }
    // Absence is only believed when the API says so itself.
    let mut looked = false;
    for key in node.owner_keys(owner) {
        let Some(path) = world.path_of(&key) else { continue };
        looked = true;
        if is_namespaced(world, owner) && key.namespace.is_empty() {
            // A cluster-scoped object names an owner that lives in some namespace: nobody can say which.
            if node.key.namespace.is_empty() {
                return Ok(State::Solid);
            }
            continue;
        }
        if let Some(found) = world.read(&path).await?
            && meta::uid(&found) == owner.uid
        {
            return Ok(State::Solid);
        }
    }
    // A kind that is not served: its objects may come back with it.
    Ok(if looked { State::Dangling } else { State::Solid })
}

fn is_namespaced(world: &World, owner: &Owner) -> bool {
    let state = world.state();
    state.resources.iter().any(|own| own.kind == owner.kind && own.group == owner.group && own.namespaced)
}

/// Deletes the dependents that block; when there are none any more the object may go.
async fn foreground(world: &World, node: &Node) -> Result<()> {
    let dependents = world.state().graph.dependents(&node.uid);
    let blocks = |dependent: &Node| dependent.owners.iter().any(|owner| owner.uid == node.uid && owner.block);
    let blocking = dependents.iter().filter(|dependent| blocks(dependent)).count();
    for dependent in &dependents {
        if !dependent.deleting {
            world.add(Work::Collect(dependent.uid.clone()));
        }
    }
    if blocking > 0 {
        return Ok(());
    }
    remove_finalizer(world, node, "foregroundDeletion").await
}

/// Takes the reference to the object out of all dependents; then it may go.
async fn orphan(world: &World, node: &Node) -> Result<()> {
    let dependents = world.state().graph.dependents(&node.uid);
    for dependent in dependents {
        let Some(path) = world.path_of(&dependent.key) else { continue };
        drop_owners(world, &path, &dependent, |uid| uid == node.uid).await?;
    }
    remove_finalizer(world, node, "orphan").await
}

async fn drop_owners(world: &World, path: &str, node: &Node, goes: impl Fn(&str) -> bool) -> Result<()> {
    let Some(live) = world.read(path).await? else { return Ok(()) };
    if meta::uid(&live) != node.uid {
        return Ok(());
    }
    let list = object::get(&live, &["metadata", "ownerReferences"]).and_then(Value::as_array).cloned();
    let stays: Vec<Value> = list
        .unwrap_or_default()
        .into_iter()
        .filter(|owner| !goes(object::get_str(owner, &["uid"]).unwrap_or_default()))
        .collect();
    let stays = if stays.is_empty() { Value::Null } else { Value::Array(stays) };
    let version = meta::resource_version(&live);
    let patch = json!({"metadata": {"resourceVersion": version, "ownerReferences": stays}});
    world.patch_at(path, "", patch).await.unless_gone()?;
    Ok(())
}

async fn remove_finalizer(world: &World, node: &Node, name: &str) -> Result<()> {
    let Some(path) = world.path_of(&node.key) else { return Ok(()) };
    let Some(live) = world.read(&path).await? else { return Ok(()) };
    if meta::uid(&live) != node.uid || !meta::finalizers(&live).any(|own| own == name) {
        return Ok(());
    }
    let stays: Vec<Value> = meta::finalizers(&live).filter(|own| *own != name).map(Value::from).collect();
    let stays = if stays.is_empty() { Value::Null } else { Value::Array(stays) };
    let patch = json!({"metadata": {"resourceVersion": meta::resource_version(&live), "finalizers": stays}});
    world.patch_at(&path, "", patch).await.unless_gone()?;
    Ok(())
}
