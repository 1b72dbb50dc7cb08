//! The order of the output.

use crate::error::Error;
use crate::ids::{Gvk, ResId};
use crate::kustomization::SortOptions;
use crate::resmap::ResMap;
use std::cmp::Ordering;
use std::collections::HashMap;

const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// The rank of a kind in the default order: negative first, positive last.
pub(crate) fn default_rank(kind: &str) -> i32 {
    if let Some(at) = FIRST.iter().position(|one| *one == kind) {
        return at as i32 - FIRST.len() as i32;
    }
    LAST.iter().position(|one| *one == kind).map_or(0, |at| at as i32 + 1)
}

fn gvk_text(gvk: &Gvk) -> String {
    let part = |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
    format!("{}_{}_{}", part(&gvk.group, "~G"), part(&gvk.version, "~V"), part(&gvk.kind, "~K"))
}

fn id_text(id: &ResId) -> String {
    let part = |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
    format!("{}|{}|{}", id.gvk, part(&id.namespace, "~X"), part(&id.name, "~N"))
}

fn compare(a: &(ResId, i32, String, String), b: &(ResId, i32, String, String)) -> Ordering {
    if a.0.gvk == b.0.gvk {
        return a.3.cmp(&b.3);
    }
    if a.1 != b.1 {
        return a.1.cmp(&b.1);
    }
    let namespaces = a.0.gvk.kind == "Namespace" && b.0.gvk.kind == "Namespace";
    if namespaces && (a.0.gvk.group.is_empty() || b.0.gvk.group.is_empty()) {
        return b.2.cmp(&a.2);
    }
    a.2.cmp(&b.2)
}

/// Sorts as `sortOptions` says.
pub(crate) fn sort(map: &mut ResMap, options: &SortOptions) -> Result<(), Error> {
    match options.order.as_str() {
        "legacy" => {}
        "fifo" => {
            return match options.legacy_sort_options {
                None => Ok(()),
                Some(_) => Err(Error::new(
                    "the field 'sortOptions.legacySortOptions' is set but the selected sort order is 'fifo', not 'legacy'",
                )
                .in_field("sortOptions")),
            };
        }
        _ => {
            return Err(Error::new("the field 'sortOptions.order' must be one of [fifo, legacy]")
                .in_field("sortOptions"));
        }
    }
    let ranks: Option<HashMap<&str, i32>> = options.legacy_sort_options.as_ref().map(|orders| {
        let mut ranks = HashMap::new();
        for (at, kind) in orders.order_first.iter().enumerate() {
            ranks.insert(kind.as_str(), at as i32 - orders.order_first.len() as i32);
        }
        for (at, kind) in orders.order_last.iter().enumerate() {
            ranks.insert(kind.as_str(), at as i32 + 1);
        }
        ranks
    });
    let rank = |kind: &str| match &ranks {
        Some(ranks) => ranks.get(kind).copied().unwrap_or(0),
        None => default_rank(kind),
    };
    let schema = map.schema().clone();
    let list = map.list_mut();
    let mut keyed: Vec<_> = std::mem::take(list)
        .into_iter()
        .map(|resource| {
            let id = resource.current_id(&schema);
            let key = (rank(&id.gvk.kind), gvk_text(&id.gvk), id_text(&id));
            ((id, key.0, key.1, key.2), resource)
        })
        .collect();
    keyed.sort_by(|(a, _), (b, _)| compare(a, b));
    let mut seen = std::collections::HashSet::new();
    for ((id, ..), resource) in keyed {
        if !seen.insert(id.key()) {
            return Err(Error::new(format!(
                "SortOrderTransformer: Failed to append to resources: may not add resource with an already registered id: {id}"
            )));
        }
        list.push(resource);
    }
    Ok(())
}
