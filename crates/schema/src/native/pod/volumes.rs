//! What volumes are made from, in Pods and in PersistentVolumes.

use std::collections::{BTreeMap, BTreeSet};

use object::Value;

use super::super::at::{At, Errors};
use super::super::{metadata, names, persistent, validate};
use super::containers;
use crate::FieldError;

const MORE: &str = "may not specify more than 1 volume type";
const RESERVED: &str = "kubernetes.io and k8s.io namespaces are reserved";

/// What a Pod's volume may be made from, in the order in which they are looked at.
const SOURCES: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// The volumes of a Pod that are right, by name. `pod` is the Pod's name where it has one.
pub(super) fn volumes<'a>(list: &At<'a>, pod: &str, errors: &mut Errors) -> BTreeMap<&'a str, &'a Value> {
    let made = |volume: &At<'a>| format!("{pod}-{}", volume.get("name").text());
    let ephemeral: BTreeSet<String> = list
        .items()
        .filter(|volume| !pod.is_empty() && volume.get("ephemeral").some())
        .map(|volume| made(&volume))
        .collect();
    let mut found = BTreeMap::new();
    for volume in list.items() {
        let mut wrong = Errors::new();
        source(&volume, pod, &mut wrong);
        let name = volume.get("name");
        if name.must(&mut wrong) {
            name.label(&mut wrong);
        }
        if found.contains_key(name.text()) {
            name.duplicate(name.text(), &mut wrong);
        }
        if wrong.is_empty() {
            found.insert(name.text(), volume.value);
        }
        errors.append(&mut wrong);
        let claim = volume.get("persistentVolumeClaim").get("claimName");
        if ephemeral.contains(claim.text()) {
            claim.invalid("must not reference a PVC that gets created for an ephemeral volume", errors);
        }
    }
    found
}

fn source(volume: &At<'_>, pod: &str, errors: &mut Errors) {
    let mut any = false;
    for field in SOURCES {
        let own = volume.get(field);
        if !own.some() {
            continue;
        }
        if any {
            let shown = match field {
                "cephfs" => "cephFS",
                "downwardAPI" => "downwarAPI",
                other => other,
            };
            errors.push(FieldError::forbidden(volume.child(shown), MORE));
        } else {
            any = true;
            one_source(field, &own, volume, pod, errors);
        }
        if field == "iscsi" {
            let name = volume.get("name");
            let length = name.text().len() + 1 + own.get("targetPortal").text().len();
            if own.get("initiatorName").some() && length > 64 {
                name.invalid(TOO_LONG_PORTAL, errors);
            }
        }
    }
    if !any {
        volume.required_because("must specify a volume type", errors);
    }
}

const TOO_LONG_PORTAL: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";

fn one_source(field: &str, own: &At<'_>, volume: &At<'_>, pod: &str, errors: &mut Errors) {
    match field {
        "emptyDir" => {
            let limit = own.get("sizeLimit");
            if limit.quantity().is_some_and(|size| size.is_negative()) {
                limit.forbidden("SizeLimit field must be a valid resource quantity", errors);
            }
        }
        "secret" | "configMap" => {
            own.get(if field == "secret" { "secretName" } else { "name" }).must(errors);
            own.get("defaultMode").mode(errors);
            own.get("items").items().for_each(|item| key_to_path(&item, errors));
        }
        "gitRepo" => {
            own.get("repository").must(errors);
            descending(&own.get("directory"), errors);
        }
        "persistentVolumeClaim" => {
            own.get("claimName").must(errors);
        }
        "downwardAPI" => {
            own.get("defaultMode").mode(errors);
            own.get("items").items().for_each(|item| downward_file(&item.named(&own.path), errors));
        }
        "projected" => projected(own, errors),
        "csi" => {
            persistent::driver_name(&own.get("driver"), errors);
            let secret = own.get("nodePublishSecretRef");
            if secret.some() && secret.get("name").must(errors) {
                secret.get("name").named(own.child("name")).subdomain(errors);
            }
        }
        "ephemeral" => {
            let template = own.get("volumeClaimTemplate");
            if template.some() {
                claim_template(&template, errors);
            } else {
                template.required(errors);
            }
            let name = volume.get("name");
            if !pod.is_empty() && !name.text().is_empty() {
                let claim = format!("{pod}-{}", name.text());
                for why in names::dns_subdomains(&claim) {
                    name.invalid(format!("PVC name {claim:?}: {why}"), errors);
                }
            }
        }
        "image" => {
            let policy = own.get("pullPolicy");
            own.get("reference").must(errors);
            containers::pull_policy(&policy, errors);
        }
        _ => common_source(field, own, errors),
    }
}

/// The template of a claim that comes and goes with its Pod.
fn claim_template(template: &At<'_>, errors: &mut Errors) {
    let meta = template.get("metadata");
    metadata::annotations_at(&meta.get("annotations"), errors);
    metadata::labels(meta.get("labels").value, &meta.child("labels"), errors);
    for (field, value) in meta.value.as_object().into_iter().flatten() {
        if !matches!(field.as_str(), "annotations" | "labels" | "creationTimestamp") && !value.is_null() {
            errors.push(FieldError::forbidden(meta.child(field), "cannot be set"));
        }
    }
    persistent::claim_spec(&template.get("spec"), errors);
}

/// What Pods and PersistentVolumes can both be made from.
pub(in super::super) fn common_source(field: &str, own: &At<'_>, errors: &mut Errors) {
    let needs = |fields: &[&str], errors: &mut Errors| {
        for field in fields {
            own.get(field).must(errors);
        }
    };
    match field {
        "hostPath" => {
            let path = own.get("path");
            let told = path.must(errors);
            if told {
                no_backsteps(&own.get("path"), errors);
                let known = [
                    "",
                    "BlockDevice",
                    "CharDevice",
                    "Directory",
                    "DirectoryOrCreate",
                    "File",
                    "FileOrCreate",
                    "Socket",
                ];
                own.get("type").may_be_one_of(&known, errors);
            }
        }
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            let (own, id) = match field {
                "gcePersistentDisk" => {
                    (own.named(own.path.replace("gcePersistentDisk", "persistentDisk")), "pdName")
                }
                _ => (own.clone(), "volumeID"),
            };
            own.get(id).must(errors);
            let partition = own.get("partition");
            if !(0..=255).contains(&partition.number()) {
                partition.invalid("must be between 1 and 255, inclusive", errors);
            }
        }
        "nfs" => {
            needs(&["server", "path"], errors);
            let path = own.get("path");
            if !path.text().starts_with('/') {
                path.invalid_as(path.text(), "must be an absolute path", errors);
            }
        }
        "glusterfs" => needs(&["endpoints", "path"], errors),
        "rbd" => needs(&["monitors", "image"], errors),
        "cephfs" => needs(&["monitors"], errors),
        "cinder" => {
            needs(&["volumeID"], errors);
            if own.get("secretRef").some() {
                own.get("secretRef").get("name").must(errors);
            }
        }
        "azureFile" => needs(&["secretName", "shareName"], errors),
        "vsphereVolume" => needs(&["volumePath"], errors),
        "photonPersistentDisk" => needs(&["pdID"], errors),
        "portworxVolume" => needs(&["volumeID"], errors),
        "scaleIO" => needs(&["gateway", "system", "volumeName"], errors),
        "storageos" => {
            if own.get("volumeName").must(errors) {
                own.get("volumeName").label(errors);
            }
            if !own.get("volumeNamespace").text().is_empty() {
                own.get("volumeNamespace").label(errors);
            }
            if own.get("secretRef").some() {
                own.get("secretRef").get("name").must(errors);
            }
        }
        "flocker" => flocker(own, errors),
        "quobyte" => quobyte(own, errors),
        "fc" => fibre_channel(own, errors),
        "iscsi" => iscsi(own, false, errors),
        "azureDisk" => azure_disk(own, errors),
        "flexVolume" => {
            needs(&["driver"], errors);
            for (key, option) in own.get("options").entries() {
                let space = key.split_once('/').map_or(key, |(space, _)| space).to_lowercase();
                let space = format!(".{space}");
                if space.ends_with(".kubernetes.io") || space.ends_with(".k8s.io") {
                    option.invalid_as(key, RESERVED, errors);
                }
            }
        }
        _ => {}
    }
}

fn flocker(own: &At<'_>, errors: &mut Errors) {
    let name = own.get("datasetName");
    let (named, id) = (!name.text().is_empty(), !own.get("datasetUUID").text().is_empty());
    if !named && !id {
        own.required_because("one of datasetName and datasetUUID is required", errors);
    }
    if named && id {
        own.invalid_as("resource", "datasetName and datasetUUID can not be specified simultaneously", errors);
    }
    if name.text().contains('/') {
        name.invalid("must not contain '/'", errors);
    }
}

fn quobyte(own: &At<'_>, errors: &mut Errors) {
    const PAIR: &str = "must be a host:port pair or multiple pairs separated by commas";
    let registry = own.get("registry");
    if registry.text().is_empty() {
        registry.required_because(PAIR, errors);
    } else if own.get("tenant").text().len() >= 65 {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        own.get("tenant").required_because(detail, errors);
    } else {
        for pair in registry.text().split(',') {
            let fits = match pair.strip_prefix('[') {
                Some(rest) => rest.contains("]:"),
                None => pair.matches(':').count() == 1,
            };
            if !fits {
                registry.invalid(PAIR, errors);
            }
        }
    }
    own.get("volume").must(errors);
}

fn fibre_channel(own: &At<'_>, errors: &mut Errors) {
    let targets = own.get("targetWWNs");
    let wide = own.get("wwids");
    if targets.len() == 0 && wide.len() == 0 {
        targets.required_because("must specify either targetWWNs or wwids, but not both", errors);
    }
    if targets.len() > 0 && wide.len() > 0 {
        targets.invalid("targetWWNs and wwids can not be specified simultaneously", errors);
    }
    let lun = own.get("lun");
    if targets.len() > 0 {
        if lun.some() {
            lun.within(0, 255, errors);
        } else {
            lun.required_because("lun is required if targetWWNs is specified", errors);
        }
    }
}

/// A name of an initiator or target.
fn initiator(name: &At<'_>, strict: bool, errors: &mut Errors) {
    let text = name.text();
    let hex = |text: &str, from: usize| text.len() >= from && text.bytes().all(|b| b.is_ascii_hexdigit());
    let fits = if let Some(rest) = text.strip_prefix("iqn") {
        let mut parts = rest.splitn(3, '.');
        let date = parts.nth(1).unwrap_or_default();
        let (date, authority) = match parts.next() {
            Some(rest) => (date, rest),
            None => (date, ""),
        };
        let dated = date.len() == 7
            && date.char_indices().all(|(at, c)| if at == 4 { c == '-' } else { c.is_ascii_digit() });
        rest.starts_with('.') && dated && !authority.is_empty()
    } else if let Some(rest) = text.strip_prefix("eui.") {
        rest.len() == 16 && hex(rest, 16)
    } else if let Some(rest) = text.strip_prefix("naa.") {
        matches!(rest.len(), 16 | 32) && hex(rest, 16)
    } else {
        let known = ["eui", "naa"].iter().any(|prefix| text.starts_with(prefix));
        let detail = match known || strict {
            true => "must be valid format",
            false => "must be valid format starting with iqn, eui, or naa",
        };
        name.invalid(detail, errors);
        return;
    };
    if !fits {
        name.invalid("must be valid format", errors);
    }
}

/// An iSCSI disk; `strict` as PersistentVolumes word it.
pub(in super::super) fn iscsi(own: &At<'_>, strict: bool, errors: &mut Errors) {
    own.get("targetPortal").must(errors);
    if own.get("iqn").must(errors) {
        initiator(&own.get("iqn"), strict, errors);
    }
    let lun = own.get("lun");
    if !(0..=255).contains(&lun.number()) {
        lun.invalid("must be between 0 and 255, inclusive", errors);
    }
    let secret = own.get("secretRef");
    let guarded = own.get("chapAuthDiscovery").yes() || own.get("chapAuthSession").yes();
    if guarded && !secret.some() {
        secret.required(errors);
    }
    if strict && secret.some() {
        secret.get("name").must(errors);
    }
    let own_name = own.get("initiatorName");
    if own_name.some() {
        initiator(&own_name.named(own.child("initiatorname")), strict, errors);
    }
}

fn azure_disk(own: &At<'_>, errors: &mut Errors) {
    own.get("diskName").must(errors);
    own.get("diskURI").must(errors);
    own.get("cachingMode").may_be_one_of(&["None", "ReadOnly", "ReadWrite"], errors);
    let kind = own.get("kind");
    kind.may_be_one_of(&["Dedicated", "Managed", "Shared"], errors);
    let address = own.get("diskURI");
    let not = |known: &str, errors: &mut Errors| {
        errors.push(FieldError::not_supported(&address.path, address.text(), &[known]));
    };
    match kind.text() {
        "Managed" if !address.text().starts_with("/subscriptions/") => {
            not(
                "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
                errors,
            );
        }
        "Dedicated" | "Shared" if !address.text().starts_with("https://") => {
            not("https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd", errors);
        }
        _ => {}
    }
}

fn key_to_path(item: &At<'_>, errors: &mut Errors) {
    item.get("key").must(errors);
    let path = item.get("path");
    path.must(errors);
    local_path(&path, errors);
    item.get("mode").mode(errors);
}

/// A file of the downward API. Messages name what holds it.
fn downward_file(file: &At<'_>, errors: &mut Errors) {
    file.get("path").must(errors);
    local_path(&file.get("path"), errors);
    let (field, resource) = (file.get("fieldRef"), file.get("resourceFieldRef"));
    if field.some() {
        containers::field_reference(&field, &containers::VOLUME_FIELDS, errors);
        if resource.some() {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            file.invalid_as("resource", detail, errors);
        }
    } else if resource.some() {
        containers::resource_reference(&resource, true, errors);
    } else {
        file.required_because("one of fieldRef and resourceFieldRef is required", errors);
    }
    file.get("mode").mode(errors);
}

fn projected(own: &At<'_>, errors: &mut Errors) {
    own.get("defaultMode").mode(errors);
    let mut paths: BTreeSet<String> = BTreeSet::new();
    let mut take = |path: &str, shown: &str, errors: &mut Errors| {
        if !path.is_empty() && !paths.insert(path.to_owned()) {
            own.invalid_as(shown, "conflicting duplicate paths", errors);
        }
    };
    for source in own.get("sources").items() {
        let mut count = 0;
        for field in ["secret", "configMap"] {
            let from = source.get(field);
            if !from.some() {
                continue;
            }
            count += 1;
            from.get("name").must(errors);
            for item in from.get("items").items() {
                key_to_path(&item, errors);
                take(item.get("path").text(), from.get("name").text(), errors);
            }
        }
        let downward = source.get("downwardAPI");
        if downward.some() {
            count += 1;
            for item in downward.get("items").items() {
                downward_file(&item.named(&downward.path), errors);
                let path = item.get("path").text();
                take(path, path, errors);
            }
        }
        let token = source.get("serviceAccountToken");
        if token.some() {
            count += 1;
            account_token(&token, own, errors);
        }
        let bundle = source.get("clusterTrustBundle");
        if bundle.some() {
            count += 1;
            trust_bundle(&bundle, errors);
            let path = bundle.get("path").text();
            take(path, path, errors);
        }
        if count > 1 {
            source.forbidden("may not specify more than 1 volume type per source", errors);
        }
    }
}

fn account_token(token: &At<'_>, volume: &At<'_>, errors: &mut Errors) {
    let time = token.get("expirationSeconds");
    if time.number() < 600 {
        time.invalid_as(time.number(), "may not specify a duration less than 10 minutes", errors);
    }
    if time.number() > 1 << 32 {
        time.invalid("may not specify a duration larger than 2^32 seconds", errors);
    }
    let path = token.get("path").named(volume.child("path"));
    if path.must(errors) {
        local_path(&path, errors);
    }
}

fn trust_bundle(bundle: &At<'_>, errors: &mut Errors) {
    let (name, signer) = (bundle.get("name"), bundle.get("signerName"));
    match (name.some(), signer.some()) {
        (true, true) => bundle.invalid("only one of name and signerName may be used", errors),
        (true, false) => {
            if name.text().is_empty() {
                name.required_because("must be a valid object name", errors);
            }
            for why in names::dns_subdomains(name.text()) {
                name.invalid(format!("not a valid clustertrustbundlename: {why}"), errors);
            }
            if bundle.get("labelSelector").some() {
                let detail = "labelSelector must be unset if name is specified";
                bundle.get("labelSelector").invalid(detail, errors);
            }
        }
        (false, true) => {
            if signer.text().is_empty() {
                signer.required_because("must be a valid signer name", errors);
            }
            let own = bundle.get("labelSelector");
            if own.some() {
                validate::selector(own.value, &own.path, errors);
            }
        }
        (false, false) => bundle.required_because("either name or signerName must be specified", errors),
    }
    bundle.get("path").must(errors);
    local_path(&bundle.get("path"), errors);
}

/// A path that does not lead up.
pub(in super::super) fn no_backsteps(path: &At<'_>, errors: &mut Errors) {
    if path.text().split('/').any(|part| part == "..") {
        path.invalid("must not contain '..'", errors);
    }
}

/// A path that leads down from where it begins.
pub(super) fn descending(path: &At<'_>, errors: &mut Errors) {
    if path.text().starts_with('/') {
        path.invalid("must be a relative path", errors);
    }
    no_backsteps(path, errors);
}

fn local_path(path: &At<'_>, errors: &mut Errors) {
    descending(path, errors);
    let text = path.text();
    if text.starts_with("..") && !text.starts_with("../") {
        path.invalid("must not start with '..'", errors);
    }
}
