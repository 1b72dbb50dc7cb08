//! Whose an object is. Pure.

use object::{Key, Value, meta};

use crate::names;

/// How objects are known to belong to an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// By an annotation.
    #[default]
    Annotation,
    /// By a label.
    Label,
    /// By the annotation; the label is set for others to read.
    AnnotationAndLabel,
}

/// How objects are tracked in this installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracking {
    /// The method.
    pub method: Method,
    /// The label's name.
    pub label: String,
    /// The installation's id, or empty.
    pub installation: String,
}

impl Default for Tracking {
    fn default() -> Tracking {
        Tracking {
            method: Method::default(),
            label: names::INSTANCE_LABEL.to_owned(),
            installation: String::new(),
        }
    }
}

/// The id of an object: `<instance>:<group>/<kind>:<namespace>/<name>`.
pub fn id(instance: &str, key: &Key, destination: &str) -> String {
    let namespace = if key.namespace.is_empty() { destination } else { &key.namespace };
    format!("{instance}:{}/{}:{namespace}/{}", key.group, key.kind, key.name)
}

/// The instance and the object that an id names.
pub fn parse(id: &str) -> Option<(&str, Key)> {
    // Names of RBAC objects may hold colons.
    let mut parts = id.splitn(3, ':');
    let (instance, kind, object) = (parts.next()?, parts.next()?, parts.next()?);
    let (group, kind) = kind.split_once('/')?;
    let (namespace, name) = object.split_once('/')?;
    Some((instance, Key::new(group, kind, namespace, name)))
}

impl Tracking {
    /// Marks an object as belonging to `instance`. Definitions of custom kinds are never tracked.
    pub fn claim(&self, object: &mut Value, key: &Key, instance: &str, destination: &str) {
        if key.kind == "CustomResourceDefinition" && key.group == "apiextensions.k8s.io" {
            return;
        }
        if self.method != Method::Label {
            meta::set_annotation(object, names::TRACKING_ID, &id(instance, key, destination));
            if !self.installation.is_empty() {
                meta::set_annotation(object, names::INSTALLATION_ID, &self.installation);
            }
        }
        match self.method {
            Method::Label => meta::set_label(object, &self.label, instance),
            Method::AnnotationAndLabel => {
                let end =
                    (0..=instance.len().min(63)).rev().find(|at| instance.is_char_boundary(*at)).unwrap_or(0);
                meta::set_label(object, &self.label, instance.get(..end).unwrap_or_default());
            }
            Method::Annotation => {}
        }
    }

    /// The instance that a live object belongs to. An id that was copied from another object says nothing.
    pub fn owner<'a>(&self, live: &'a Value, key: &Key) -> Option<&'a str> {
        if self.method == Method::Label {
            return meta::label(live, &self.label).filter(|owner| !owner.is_empty());
        }
        let (instance, named) = parse(meta::annotation(live, names::TRACKING_ID)?)?;
        let installation = meta::annotation(live, names::INSTALLATION_ID).unwrap_or_default();
        if installation != self.installation {
            return None;
        }
        let same = named.group == key.group
            && named.kind == key.kind
            && named.name == key.name
            && (key.namespace.is_empty() || named.namespace == key.namespace);
        same.then_some(instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_say_whose_and_which() {
        let tracking = Tracking::default();
        let key = Key::new("apps", "Deployment", "web", "a");
        let mut object = json!({"metadata": {"name": "a", "namespace": "web"}});
        tracking.claim(&mut object, &key, "guestbook", "web");
        assert_eq!(meta::annotation(&object, names::TRACKING_ID), Some("guestbook:apps/Deployment:web/a"));
        assert_eq!(tracking.owner(&object, &key), Some("guestbook"));
        let copy = Key::new("apps", "Deployment", "web", "b");
        assert_eq!(tracking.owner(&object, &copy), None, "the id names another object");
        let role = Key::new("rbac.authorization.k8s.io", "ClusterRole", "", "a:b");
        let text = id("guestbook", &role, "web");
        assert_eq!(text, "guestbook:rbac.authorization.k8s.io/ClusterRole:web/a:b");
        assert_eq!(parse(&text).map(|(_, key)| key.name), Some("a:b".into()));
    }
}
