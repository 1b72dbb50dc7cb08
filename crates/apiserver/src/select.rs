//! Which objects a list, watch or delete of many is about.

use std::sync::Arc;

use object::{FieldSelector, LabelSelector, selector::field_text};
use serde_json::Value;

use crate::api::Call;
use crate::api::read::label_selector;
use crate::catalog::Resource;
use crate::convert;
use crate::status::Failure;
use crate::store::Object;

/// A namespace and selectors.
#[derive(Debug, Clone)]
pub struct Selection {
    namespace: String,
    name: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
    /// Whether a field beyond name and namespace is asked for.
    needs_tree: bool,
}

impl Selection {
    /// From a request's path and query.
    pub fn of(call: &Call) -> Result<Selection, Failure> {
        let labels = label_selector(call.query.get("labelSelector").unwrap_or_default())?;
        let text = call.query.get("fieldSelector").unwrap_or_default();
        let fields = FieldSelector::parse(text).map_err(|e| Failure::bad_request(e.to_string()))?;
        let mut needs_tree = false;
        for (path, _, _) in &fields.requirements {
            match path.as_str() {
                "metadata.name" => {}
                "metadata.namespace" if call.resource.namespaced => {}
                _ if supported(&call.resource, path) => needs_tree = true,
                _ => {
                    return Err(Failure::bad_request(unsupported(&call.resource, path)));
                }
            }
        }
        Ok(Selection {
            namespace: call.namespace().to_owned(),
            name: call.target.name.clone(),
            labels,
            fields,
            needs_tree,
        })
    }

    /// The keys that can match start with this.
    pub fn prefix(&self) -> String {
        if self.namespace.is_empty() { String::new() } else { format!("{}/", self.namespace) }
    }

    /// Whether no selector narrows the namespace down.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything() && self.name.is_none()
    }

    /// Whether an object is selected (its namespace included).
    pub fn matches(&self, call: &Call, object: &Object) -> bool {
        if !self.namespace.is_empty() && object.namespace() != self.namespace {
            return false;
        }
        if self.name.as_deref().is_some_and(|name| object.name() != name) {
            return false;
        }
        if !self.labels.is_everything() && !self.labels.matches_by(|key| object.label(key)) {
            return false;
        }
        if self.fields.is_everything() {
            return true;
        }
        let resource = &call.resource;
        let tree = || convert::tree(&call.app, resource, object);
        let own = |values: &dyn Fn(&str) -> String| {
            self.fields.matches_by(|path| match path {
                "metadata.name" => object.name().to_owned(),
                "metadata.namespace" => object.namespace().to_owned(),
                _ => values(path),
            })
        };
        if !self.needs_tree {
            return own(&|_| String::new());
        }
        // Many may watch by fields of one object: it is read once for all of them.
        let fields = object.fields.get_or_init(|| Box::new(Fields::read(resource, &tree())));
        if fields.is_of(resource) {
            return own(&|path| fields.get(path).to_owned());
        }
        let tree = tree();
        own(&|path| field(resource, &tree, path))
    }
}

/// The fields of a built-in object that can be selected by, in one version.
#[derive(Debug)]
pub struct Fields {
    group: Arc<str>,
    version: Arc<str>,
    values: Box<[(&'static str, Box<str>)]>,
}

impl Fields {
    fn read(resource: &Resource, tree: &Value) -> Fields {
        let values = own_fields(resource).iter().map(|path| (*path, field(resource, tree, path).into()));
        Fields { group: resource.group.clone(), version: resource.version.clone(), values: values.collect() }
    }

    /// Custom resources choose their fields themselves, and may choose again.
    fn is_of(&self, resource: &Resource) -> bool {
        resource.custom.is_none() && self.group == resource.group && self.version == resource.version
    }

    fn get(&self, path: &str) -> &str {
        self.values.iter().find(|(own, _)| *own == path).map_or("", |(_, value)| value)
    }
}

/// Kinds with selectable fields of their own refuse others in their own words.
fn unsupported(resource: &Resource, path: &str) -> String {
    let own = matches!(
        (&*resource.group, &*resource.name),
        ("", "pods" | "nodes" | "replicationcontrollers" | "events" | "namespaces" | "secrets" | "services")
    );
    match &*resource.kind {
        "Job" => format!("field label {path:?} not supported for Job"),
        _ if own || resource.custom.is_some() => format!("field label not supported: {path}"),
        _ => {
            format!("{path:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        }
    }
}

/// The fields that can be selected by, besides name and namespace.
fn supported(resource: &Resource, path: &str) -> bool {
    if let Some(custom) = &resource.custom {
        return custom.selectable.iter().any(|p| p == path);
    }
    own_fields(resource).contains(&path)
}

fn own_fields(resource: &Resource) -> &'static [&'static str] {
    if resource.custom.is_some() {
        return &[];
    }
    match (&*resource.group, &*resource.name) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("events.k8s.io", "events") => &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        ("", "namespaces") => &["status.phase"],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "secrets") => &["type"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "replicationcontrollers") | ("apps", "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        ("certificates.k8s.io", _) => &["spec.signerName"],
        ("resource.k8s.io", "resourceslices") => &["spec.nodeName", "spec.driver"],
        _ => &[],
    }
}

fn field(resource: &Resource, tree: &Value, path: &str) -> String {
    match (&*resource.name, path) {
        ("events", "source") => {
            let component = field_text(tree, "source.component");
            if component.is_empty() { field_text(tree, "reportingComponent") } else { component }
        }
        ("jobs", "status.successful") => or_zero(field_text(tree, "status.succeeded")),
        ("replicasets" | "replicationcontrollers", "status.replicas") => or_zero(field_text(tree, path)),
        ("nodes", "spec.unschedulable") | ("pods", "spec.hostNetwork") => {
            let text = field_text(tree, path);
            if text.is_empty() { "false".to_owned() } else { text }
        }
        ("pods", "status.podIPs") => field_text(tree, "status.podIP"),
        _ => field_text(tree, path),
    }
}

fn or_zero(text: String) -> String {
    if text.is_empty() { "0".to_owned() } else { text }
}
