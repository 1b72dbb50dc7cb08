//! Volumes that outlive Pods, and claims of them.

use object::{Quantity, Value, meta};

use super::at::{At, Errors};
use super::{internal, pod, quantities, validate};
use crate::FieldError;

const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const MORE: &str = "may not specify more than 1 volume type";
/// What a volume may be made from, in the order in which they are looked at.
const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

fn access_modes(own: &At<'_>, errors: &mut Errors) {
    let modes = own.texts();
    for mode in modes.iter().filter(|mode| !MODES.contains(mode)) {
        errors.push(FieldError::not_supported(&own.path, *mode, &MODES));
    }
    let one_pod = modes.contains(&"ReadWriteOncePod");
    if one_pod && modes.iter().any(|mode| *mode != "ReadWriteOncePod" && MODES.contains(mode)) {
        own.forbidden("may not use ReadWriteOncePod with other access modes", errors);
    }
}

/// The name of a driver.
pub(super) fn driver_name(own: &At<'_>, errors: &mut Errors) {
    own.must(errors);
    if own.text().len() > 63 {
        errors.push(FieldError::too_long(&own.path, 63));
    }
    let wrong = super::names::dns_subdomains(&own.text().to_lowercase());
    own.judge(wrong, errors);
}

/// A volume.
pub(super) fn volume(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = At::new(object, "").get("spec");
    volume_spec(&spec, meta::name(object), errors);
    let Some(old) = old else { return };
    let before = At::new(old, "").get("spec");
    let source = |spec: &At<'_>| {
        let mut source = object::Map::new();
        for field in SOURCES {
            if spec.get(field).some() {
                source.insert(field.to_owned(), spec.get(field).value.clone());
            }
        }
        Value::Object(source)
    };
    let (new, earlier) = (source(&spec), source(&before));
    if new != earlier {
        let diff = internal::diff("PersistentVolumeSource", &earlier, &new);
        let detail = format!("spec.persistentvolumesource is immutable after creation\n{diff}");
        errors.push(FieldError::forbidden("spec.persistentvolumesource", detail));
    }
    let mode = spec.get("volumeMode").named("volumeMode");
    mode.unchanged(&before.get("volumeMode"), errors);
    let affinity = spec.get("nodeAffinity").named("nodeAffinity");
    if before.get("nodeAffinity").some() && affinity.value != before.get("nodeAffinity").value {
        let shown = internal::shown("VolumeNodeAffinity", affinity.value);
        let shown = if affinity.some() { shown } else { "null".to_owned() };
        let detail = "field is immutable, except for updating from beta label to GA";
        errors.push(FieldError::invalid_shown(&affinity.path, &shown, detail));
    }
    let class = spec.get("volumeAttributesClassName");
    if before.get("volumeAttributesClassName").some() && !class.some() {
        class.forbidden("update from non-nil value to nil is forbidden", errors);
    }
}

fn volume_spec(spec: &At<'_>, name: &str, errors: &mut Errors) {
    let modes = spec.get("accessModes");
    modes.must(errors);
    access_modes(&modes, errors);
    let capacity = spec.get("capacity");
    capacity.must(errors);
    if capacity.len() != 1 || !capacity.get("storage").some() {
        let shown = capacity.value.clone();
        errors.push(FieldError::not_supported(&capacity.path, shown, &["storage"]));
    }
    for (_, own) in capacity.entries() {
        let Some(size) = own.quantity() else { continue };
        if size.is_negative() {
            own.invalid_as(size.value(), "must be a valid resource quantity", errors);
        }
        if size.is_negative() || size.is_zero() {
            own.invalid(super::NOT_POSITIVE, errors);
        }
    }
    let policy = spec.get("persistentVolumeReclaimPolicy");
    if !policy.text().is_empty() {
        policy.one_of(&["Delete", "Recycle", "Retain"], errors);
    }
    let affinity = spec.get("nodeAffinity");
    if affinity.some() {
        if affinity.get("required").some() {
            pod::node_selector(&affinity.get("required"), errors);
        } else {
            affinity.get("required").required_because("must specify required node constraints", errors);
        }
    }
    let mut any = false;
    for field in SOURCES {
        let own = spec.get(field);
        if !own.some() {
            continue;
        }
        if any && field != "flexVolume" {
            let shown = if field == "cephfs" { "cephFS" } else { field };
            errors.push(FieldError::forbidden(spec.child(shown), MORE));
            continue;
        }
        any = true;
        volume_source(field, &own, spec, name, errors);
    }
    if !any {
        spec.required_because("must specify a volume type", errors);
    }
    if spec.get("hostPath").get("path").text() == "/" && policy.text() == "Recycle" {
        policy.forbidden("may not be 'recycle' for a hostPath mount of '/'", errors);
    }
    if !spec.get("storageClassName").text().is_empty() {
        spec.get("storageClassName").subdomain(errors);
    }
    spec.get("volumeMode").may_be_one_of(&["Block", "Filesystem"], errors);
    let class = spec.get("volumeAttributesClassName");
    if class.some() {
        if class.text().is_empty() {
            class.required_because("an empty string is disallowed", errors);
        } else {
            class.subdomain(errors);
        }
        if !spec.get("csi").some() {
            let detail = "has to be specified when using volumeAttributesClassName";
            spec.get("csi").required_because(detail, errors);
        }
    }
}

fn volume_source(field: &str, own: &At<'_>, spec: &At<'_>, name: &str, errors: &mut Errors) {
    let placed = |own: &At<'_>, errors: &mut Errors| {
        if own.some() {
            own.get("name").must(errors);
            own.get("namespace").must(errors);
        }
    };
    match field {
        "iscsi" => {
            let portal = own.get("targetPortal");
            if own.get("initiatorName").some() && name.len() + 1 + portal.text().len() > 64 {
                let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
                portal.named(own.child("targetportal")).invalid(detail, errors);
            }
            pod::iscsi(own, true, errors);
        }
        "csi" => {
            driver_name(&own.get("driver"), errors);
            own.get("volumeHandle").must(errors);
            for field in [
                "controllerPublishSecretRef",
                "controllerExpandSecretRef",
                "nodePublishSecretRef",
                "nodeExpandSecretRef",
            ] {
                secret_reference(&own.get(field), errors);
            }
        }
        "local" => {
            if own.get("path").must(errors) {
                pod::no_backsteps(&own.get("path"), errors);
            }
            if !spec.get("nodeAffinity").some() {
                spec.get("nodeAffinity").required_because("Local volume requires node affinity", errors);
            }
        }
        "azureFile" => {
            pod::common_source(field, own, errors);
            let namespace = own.get("secretNamespace");
            if namespace.some() {
                namespace.must(errors);
            }
        }
        "glusterfs" => {
            pod::common_source(field, own, errors);
            let namespace = own.get("endpointsNamespace");
            if namespace.some() && namespace.text().is_empty() {
                let detail = "if the endpointnamespace is set, it must be a valid namespace name";
                namespace.invalid(detail, errors);
            } else if namespace.some() {
                namespace.label(errors);
            }
        }
        "cinder" => {
            own.get("volumeID").must(errors);
            placed(&own.get("secretRef"), errors);
        }
        "storageos" => {
            pod::common_source(field, own, errors);
            if own.get("secretRef").some() {
                own.get("secretRef").get("namespace").must(errors);
            }
        }
        _ => pod::common_source(field, own, errors),
    }
}

fn secret_reference(own: &At<'_>, errors: &mut Errors) {
    if !own.some() {
        return;
    }
    if own.get("name").must(errors) {
        own.get("name").subdomain(errors);
    }
    if own.get("namespace").must(errors) {
        own.get("namespace").label(errors);
    }
}

/// The specification of a claim.
pub(super) fn claim_spec(spec: &At<'_>, errors: &mut Errors) {
    let modes = spec.get("accessModes");
    if modes.len() == 0 {
        modes.required_because("at least 1 access mode is required", errors);
    }
    let selector = spec.get("selector");
    if selector.some() {
        validate::selector(selector.value, &selector.path, errors);
    }
    access_modes(&modes, errors);
    let wanted = spec.get("resources").get("requests").get("storage");
    let size = wanted.named(format!("{}[storage]", spec.child("resources")));
    match size.quantity() {
        None => size.required(errors),
        Some(own) if own.is_negative() || own.is_zero() => size.invalid(super::NOT_POSITIVE, errors),
        Some(_) => quantities::amount("storage", &size, errors),
    }
    if !spec.get("storageClassName").text().is_empty() {
        spec.get("storageClassName").subdomain(errors);
    }
    spec.get("volumeMode").may_be_one_of(&["Block", "Filesystem"], errors);
    let (source, reference) = (spec.get("dataSource"), spec.get("dataSourceRef"));
    for own in [&source, &reference] {
        if own.some() {
            data_source(own, errors);
        }
    }
    if source.some() && reference.some() {
        let shown = "{}";
        let same = ["apiGroup", "kind", "name"]
            .iter()
            .all(|field| source.get(field).value == reference.get(field).value);
        if !reference.get("namespace").text().is_empty() {
            let detail = "may not be specified when dataSourceRef.namespace is specified";
            errors.push(FieldError::invalid_shown(&spec.path, shown, detail));
        } else if !same {
            errors.push(FieldError::invalid_shown(&spec.path, shown, "must match dataSourceRef"));
        }
    }
    if !spec.get("volumeAttributesClassName").text().is_empty() {
        spec.get("volumeAttributesClassName").subdomain(errors);
    }
}

fn data_source(own: &At<'_>, errors: &mut Errors) {
    own.get("name").must(errors);
    own.get("kind").must(errors);
    let (group, kind) = (own.get("apiGroup"), own.get("kind"));
    if group.text().is_empty() {
        if kind.text() != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            own.invalid_as(kind.text(), detail, errors);
        }
    } else {
        group.subdomain(errors);
    }
    if !own.get("namespace").text().is_empty() {
        own.get("namespace").label(errors);
    }
}

/// A claim.
pub(super) fn claim(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
    let root = At::new(object, "");
    let spec = root.get("spec");
    claim_spec(&spec, errors);
    let Some(old) = old else { return };
    let old_root = At::new(old, "");
    let before = old_root.get("spec");
    let annotated = meta::annotation(old, CLASS);
    if annotated != meta::annotation(object, CLASS) {
        let shown = meta::annotation(object, CLASS).unwrap_or_default();
        let path = format!("metadata.annotations[{CLASS}]");
        errors.push(FieldError::invalid(path, shown, "field is immutable"));
    }
    let (mut new, mut kept) = (spec.value.clone(), before.value.clone());
    let copy = |from: &At<'_>, to: &mut Value, path: &[&str]| match object::get(from.value, path) {
        Some(value) => object::set(to, path, value.clone()),
        None => {
            object::remove(to, path);
        }
    };
    if before.get("volumeName").text().is_empty() {
        copy(&spec, &mut kept, &["volumeName"]);
    }
    let (class, earlier) = (spec.get("storageClassName"), before.get("storageClassName"));
    if class.some() && !earlier.some() && annotated.is_none_or(|own| own == class.text()) {
        copy(&before, &mut new, &["storageClassName"]);
    }
    if root.get("status").get("phase").text() == "Bound" {
        if object::get(&new, &["resources", "requests"]).is_some() {
            copy(&before, &mut new, &["resources", "requests", "storage"]);
        }
        copy(&before, &mut new, &["volumeAttributesClassName"]);
    }
    if new != kept {
        let diff = internal::diff("PersistentVolumeClaimSpec", &kept, &new);
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{diff}"
        );
        spec.forbidden(detail, errors);
    }
    let size = |root: &At<'_>, path: [&str; 3]| {
        let value = object::get(root.value, &path);
        value.and_then(|value| Quantity::from_value(value).ok()).unwrap_or_else(|| Quantity::whole(0))
    };
    let requested = ["resources", "requests", "storage"];
    let (now, then) = (size(&spec, requested), size(&before, requested));
    if now < then && now <= size(&old_root, ["status", "capacity", "storage"]) {
        let path = "spec.resources.requests.storage";
        errors.push(FieldError::forbidden(path, "field can not be less than status.capacity"));
    }
    let mode = spec.get("volumeMode").named("volumeMode");
    mode.unchanged(&before.get("volumeMode"), errors);
    let current = old_root.get("status").get("currentVolumeAttributesClassName");
    let (class, earlier) = (spec.get("volumeAttributesClassName"), before.get("volumeAttributesClassName"));
    if class.value != earlier.value && current.some() {
        if !class.some() {
            let detail = "update to nil is forbidden when status.currentVolumeAttributesClassName is not nil";
            class.forbidden(detail, errors);
        } else if class.text().is_empty() {
            let detail =
                "update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil";
            class.forbidden(detail, errors);
        }
    }
}
