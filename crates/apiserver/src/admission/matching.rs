//! Whether a rule of an admission policy or webhook speaks of a request.

use std::sync::Arc;

use object::{LabelSelector, get, get_str, meta};
use serde_json::{Value, json};

use crate::api::write::Context;
use crate::app::App;
use crate::catalog::Resource;

/// A request as admission sees it.
pub struct Request<'a> {
    /// The API.
    pub app: &'a Arc<App>,
    /// The resource that is written.
    pub resource: &'a Resource,
    /// Who writes, and how.
    pub context: &'a Context,
    /// The new state, absent for deletes.
    pub value: Option<&'a Value>,
    /// The old state, absent for creates.
    pub live: Option<&'a Value>,
}

impl Request<'_> {
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub fn operation(&self) -> &'static str {
        if self.context.place.is_some() {
            return "CONNECT";
        }
        match (self.value, self.live) {
            (Some(_), None) => "CREATE",
            (Some(_), Some(_)) => "UPDATE",
            _ => "DELETE",
        }
    }

    /// The object, or what was one.
    pub fn any(&self) -> &Value {
        static NOTHING: Value = Value::Null;
        self.value.or(self.live).unwrap_or(&NOTHING)
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        match &self.context.place {
            Some(place) => &place.name,
            None => meta::name(self.any()),
        }
    }

    /// The namespace, empty for the cluster; a namespace is in none.
    pub fn namespace(&self) -> &str {
        match &self.context.place {
            Some(place) => &place.namespace,
            None if self.resource.namespaced => meta::namespace(self.any()).unwrap_or_default(),
            None => "",
        }
    }

    /// The kind of what is written: that of the object, or of its scale.
    pub fn kind_of(&self, resource: &Resource) -> Value {
        if self.context.subresource == "scale" {
            return json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
        }
        if self.context.place.is_some() {
            return json!({"group": "", "version": "v1", "kind": meta::kind(self.any())});
        }
        json!({"group": *resource.group, "version": *resource.version, "kind": *resource.kind})
    }

    /// What is written, in a version of its resource.
    pub fn subject(&self, resource: &Resource, value: &Value) -> Value {
        if self.context.place.is_some() {
            return value.clone();
        }
        if self.context.subresource == "scale"
            && let Some(scale) = crate::api::subresource::scale_object(resource, value)
        {
            return scale;
        }
        crate::convert::between(resource, value)
    }

    /// The `request` variable of expressions, and of what webhooks get.
    pub fn describe(&self) -> Value {
        let (resource, context) = (self.resource, self.context);
        let kind = self.kind_of(resource);
        let plural =
            json!({"group": *resource.group, "version": *resource.version, "resource": *resource.name});
        json!({
            "kind": kind,
            "resource": plural,
            "subResource": context.subresource,
            "requestKind": kind,
            "requestResource": plural,
            "requestSubResource": context.subresource,
            "name": self.name(),
            "namespace": self.namespace(),
            "operation": self.operation(),
            "userInfo": context.user.info(),
            "dryRun": context.dry_run,
        })
    }

    /// Whether rules and selectors (`resourceRules`, `excludeResourceRules`, `namespaceSelector`, `objectSelector`,
    /// `matchPolicy`) speak of this request. Without rules, everything is meant.
    pub fn matches(&self, constraints: &Value) -> bool {
        let rules = |field: &str| get(constraints, &[field]).and_then(Value::as_array);
        let exact = get_str(constraints, &["matchPolicy"]) == Some("Exact");
        let meant = |rule: &Value| self.meant_by(rule, exact);
        if rules("excludeResourceRules").into_iter().flatten().any(meant) {
            return false;
        }
        let included = rules("resourceRules").is_none_or(|list| list.is_empty() || list.iter().any(meant));
        included && self.selected(constraints)
    }

    /// Whether both selectors take the request in.
    pub fn selected(&self, constraints: &Value) -> bool {
        self.namespace_selected(get(constraints, &["namespaceSelector"]))
            && self.object_selected(get(constraints, &["objectSelector"]))
    }

    fn object_selected(&self, selector: Option<&Value>) -> bool {
        let Some(selector) = selector.and_then(|own| LabelSelector::from_object(own).ok()) else {
            return true;
        };
        [self.value, self.live].into_iter().flatten().any(|object| selector.matches_object(object))
    }

    fn namespace_selected(&self, selector: Option<&Value>) -> bool {
        let Some(selector) = selector.and_then(|own| LabelSelector::from_object(own).ok()) else {
            return true;
        };
        if &*self.resource.table == "namespaces" {
            return selector.matches_object(self.any());
        }
        if !self.resource.namespaced {
            return true;
        }
        match self.app.store.get("namespaces", self.namespace()) {
            Some(namespace) => selector.matches_by(|key| namespace.label(key)),
            None => false,
        }
    }

    /// Whether one rule names operation, resource, scope and name. Unless the match is to be `exact`, another
    /// version of the same resource is meant too.
    pub fn meant_by(&self, rule: &Value, exact: bool) -> bool {
        let any = |field: &str, wanted: &dyn Fn(&str) -> bool| {
            let list = get(rule, &[field]).and_then(Value::as_array);
            list.is_some_and(|list| list.iter().filter_map(Value::as_str).any(wanted))
        };
        let resource = self.resource;
        let (plural, sub) = (&*resource.name, self.context.subresource.as_str());
        let names = get(rule, &["resourceNames"]).and_then(Value::as_array);
        let scope = match get_str(rule, &["scope"]) {
            Some("Cluster") => !resource.namespaced,
            Some("Namespaced") => resource.namespaced,
            _ => true,
        };
        scope
            && any("operations", &|own| own == "*" || own == self.operation())
            && any("apiGroups", &|own| own == "*" || own == &*resource.group)
            && any("apiVersions", &|own| own == "*" || own == &*resource.version || !exact)
            && any("resources", &|own| {
                let (own, own_sub) = own.split_once('/').unwrap_or((own, ""));
                (own == "*" || own == plural) && (own_sub == sub || own_sub == "*")
            })
            && names.is_none_or(|list| list.is_empty() || list.iter().any(|own| own == self.name()))
    }
}
