//! Names and amounts of resources.

use object::Quantity;

use super::at::{At, Errors};
use super::names;

const STANDARD: [&str; 18] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
];
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Whether it is a resource of huge pages.
pub(super) fn is_huge(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified_names(&format!("requests.{name}")).is_empty()
}

/// Whether it needs no domain.
pub(super) fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name)
        || matches!(name, "services.nodeports" | "services.loadbalancers")
        || is_huge(name)
        || name.starts_with("requests.hugepages-")
}

/// Whether more may be asked for than there is.
pub(super) fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge(name)
}

/// The name of any resource; whether it is right.
pub(super) fn resource(name: &str, at: &At<'_>, errors: &mut Errors) -> bool {
    let wrong = names::qualified_names(name);
    let right = wrong.is_empty();
    wrong.into_iter().for_each(|why| at.invalid_as(name, why, errors));
    if right && !name.contains('/') && !is_standard(name) {
        at.invalid_as(name, "must be a standard resource type or fully qualified", errors);
        return false;
    }
    right
}

/// The name of a resource of containers.
pub(super) fn container_resource(name: &str, at: &At<'_>, errors: &mut Errors) {
    resource(name, at, errors);
    if !name.contains('/') {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge(name) {
            at.invalid_as(name, "must be a standard resource for containers", errors);
        }
    } else if !is_native(name) && !is_extended(name) {
        at.invalid_as(name, "doesn't follow extended resource name standard", errors);
    }
}

/// The name of a resource of whole Pods.
pub(super) fn pod_resource(name: &str, at: &At<'_>, errors: &mut Errors) {
    if resource(name, at, errors) && !matches!(name, "cpu" | "memory") && !is_huge(name) {
        let known = ["cpu", "hugepages-", "memory"];
        errors.push(crate::FieldError::not_supported(&at.path, name, &known));
    }
}

/// How much of a resource.
pub(super) fn amount(name: &str, at: &At<'_>, errors: &mut Errors) {
    let Some(quantity) = at.quantity() else { return };
    if quantity.is_negative() {
        at.invalid(super::NOT_NEGATIVE, errors);
    }
    let counted = COUNTED.contains(&name) || is_extended(name);
    if counted && !quantity.is_integer() {
        at.invalid("must be an integer", errors);
    }
}

/// How much of huge pages: a number of whole ones.
pub(super) fn huge_amount(name: &str, at: &At<'_>, errors: &mut Errors) {
    let Some(size) = name.strip_prefix("hugepages-") else { return };
    let size = Quantity::from_value(&size.into()).map_or(0, |size| size.value());
    let Some(own) = at.quantity() else { return };
    if size <= 0 || own.value() % size != 0 {
        at.invalid(format!("{own} is not positive integer multiple of {name}"), errors);
    }
}
