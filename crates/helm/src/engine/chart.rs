//! `.Chart` and `.Capabilities`: Go structs as templates see them.

use super::Known;
use crate::chart::{Chart, Dependency, Maintainer};
use gotemplate::{Elem, Kind, List, Map, Object, Param, Str, Value, method};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A Go struct: its type's name, its fields in order, and which of them JSON shows under which name.
struct Struct {
    type_name: &'static str,
    kind: Kind,
    fields: Vec<Field>,
    /// What `String()` returns.
    string: Option<String>,
}

struct Field {
    name: &'static str,
    value: Value,
    /// The JSON name; `None` leaves the field out.
    json: Option<&'static str>,
    /// A struct whose fields count as those of the outer one.
    embedded: bool,
}

impl Struct {
    fn new(type_name: &'static str) -> Self {
        Struct { type_name, kind: Kind::Struct, fields: Vec::new(), string: None }
    }

    fn pointer(type_name: &'static str) -> Self {
        Struct { kind: Kind::Ptr, ..Struct::new(type_name) }
    }

    /// A field that JSON always shows.
    fn with(mut self, name: &'static str, json: &'static str, value: Value) -> Self {
        self.fields.push(Field { name, value, json: Some(json), embedded: false });
        self
    }

    /// A field that JSON leaves out when it is empty.
    fn omitted(mut self, name: &'static str, json: &'static str, value: Value) -> Self {
        let json = (!is_empty(&value)).then_some(json);
        self.fields.push(Field { name, value, json, embedded: false });
        self
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Nil | Value::Invalid => true,
        Value::Bool(flag) => !flag,
        Value::Str(text) => text.is_empty(),
        Value::List(list) => list.items.is_empty(),
        Value::Map(map) => map.is_empty(),
        _ => false,
    }
}

impl Object for Struct {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn field(&self, name: &str) -> Option<Value> {
        if let Some(field) = self.fields.iter().find(|field| field.name == name) {
            return Some(field.value.clone());
        }
        self.fields.iter().filter(|field| field.embedded).find_map(|field| match &field.value {
            Value::Object(inner) => inner.field(name),
            _ => None,
        })
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        self.fields.iter().map(|field| (field.name, field.value.clone())).collect()
    }

    fn string(&self) -> Option<Str> {
        self.string.as_deref().map(Str::from)
    }

    fn method(&self, name: &str) -> Option<Rc<gotemplate::Function>> {
        let text = self.string.clone()?;
        let name = match name {
            "String" => "String",
            "GitVersion" => "GitVersion",
            _ => return None,
        };
        method(name, &[], move |_, _| Ok(Value::from(text.as_str())))
    }

    fn encoded_fields(&self) -> Option<Vec<(&'static str, Value)>> {
        let mut out = Vec::new();
        for field in &self.fields {
            match (&field.value, field.json) {
                (Value::Object(inner), _) if field.embedded => {
                    out.extend(inner.encoded_fields().unwrap_or_default())
                }
                (value, Some(name)) => out.push((name, value.clone())),
                _ => {}
            }
        }
        Some(out)
    }

    fn encoded(&self) -> Option<Value> {
        let fields = self.encoded_fields()?;
        let entries: BTreeMap<Str, Value> =
            fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Some(Value::Map(Rc::new(Map::new(Elem::Any, entries))))
    }
}

fn text(value: &str) -> Value {
    Value::from(value)
}

fn strings(items: &[String]) -> Value {
    if items.is_empty() {
        return Value::List(Rc::new(List::nil(Elem::String)));
    }
    Value::strings(items.iter().map(String::as_str))
}

/// A slice of structs; nil when it is empty, as decoding leaves it.
fn objects(elem: &'static str, items: Vec<Value>) -> Value {
    let elem = Elem::Named(elem);
    Value::List(Rc::new(if items.is_empty() { List::nil(elem) } else { List::new(elem, items) }))
}

fn string_map(map: &BTreeMap<String, String>) -> Value {
    if map.is_empty() {
        return Value::Map(Rc::new(Map::nil(Elem::String)));
    }
    let entries = map.iter().map(|(key, value)| (key.as_str().into(), text(value))).collect();
    Value::Map(Rc::new(Map::new(Elem::String, entries)))
}

/// `.Chart` of a chart that goes by `name`.
pub(super) fn chart(chart: &Chart, name: &str, requirements: &[Dependency], is_root: bool) -> Value {
    let data = &chart.metadata;
    let maintainers = data.maintainers.iter().map(maintainer).collect();
    let dependencies = requirements.iter().map(dependency).collect();
    let metadata = Struct::new("chart.Metadata")
        .omitted("Name", "name", text(name))
        .omitted("Home", "home", text(&data.home))
        .omitted("Sources", "sources", strings(&data.sources))
        .omitted("Version", "version", text(&data.version))
        .omitted("Description", "description", text(&data.description))
        .omitted("Keywords", "keywords", strings(&data.keywords))
        .omitted("Maintainers", "maintainers", objects("*chart.Maintainer", maintainers))
        .omitted("Icon", "icon", text(&data.icon))
        .omitted("APIVersion", "apiVersion", text(&data.api_version))
        .omitted("Condition", "condition", text(&data.condition))
        .omitted("Tags", "tags", text(&data.tags))
        .omitted("AppVersion", "appVersion", text(&data.app_version))
        .omitted("Deprecated", "deprecated", Value::Bool(data.deprecated))
        .omitted("Annotations", "annotations", string_map(&data.annotations))
        .omitted("KubeVersion", "kubeVersion", text(&data.kube_version))
        .omitted("Dependencies", "dependencies", objects("*chart.Dependency", dependencies))
        .omitted("Type", "type", text(&data.chart_type));
    let mut outer = Struct::new("struct { chart.Metadata; IsRoot bool }");
    outer.fields.push(Field { name: "Metadata", value: Value::object(metadata), json: None, embedded: true });
    Value::object(outer.with("IsRoot", "IsRoot", Value::Bool(is_root)))
}

fn maintainer(maintainer: &Maintainer) -> Value {
    Value::object(
        Struct::pointer("*chart.Maintainer")
            .omitted("Name", "name", text(&maintainer.name))
            .omitted("Email", "email", text(&maintainer.email))
            .omitted("URL", "url", text(&maintainer.url)),
    )
}

fn dependency(dependency: &Dependency) -> Value {
    let imports = dependency.import_values.iter().map(Value::decoded).collect::<Vec<_>>();
    let imports =
        if imports.is_empty() { Value::List(Rc::new(List::nil(Elem::Any))) } else { Value::list(imports) };
    Value::object(
        Struct::pointer("*chart.Dependency")
            .with("Name", "name", text(&dependency.name))
            .omitted("Version", "version", text(&dependency.version))
            .with("Repository", "repository", text(&dependency.repository))
            .omitted("Condition", "condition", text(&dependency.condition))
            .omitted("Tags", "tags", strings(&dependency.tags))
            .omitted("Enabled", "enabled", Value::Bool(dependency.enabled))
            .omitted("ImportValues", "import-values", imports)
            .omitted("Alias", "alias", text(&dependency.alias)),
    )
}

/// `.Capabilities`.
pub(super) fn capabilities(known: &Known) -> Value {
    let version = &known.kube_version;
    let mut kube = Struct::new("chartutil.KubeVersion")
        .with("Version", "Version", text(&version.version))
        .with("Major", "Major", text(&version.major))
        .with("Minor", "Minor", text(&version.minor));
    kube.string = Some(version.version.clone());
    let helm = Struct::new("version.BuildInfo")
        .omitted("Version", "version", text(&known.helm_version))
        .omitted("GitCommit", "git_commit", text(""))
        .omitted("GitTreeState", "git_tree_state", text(""))
        .omitted("GoVersion", "go_version", text(&known.go_version));
    Value::object(
        Struct::pointer("*chartutil.Capabilities")
            .with("KubeVersion", "KubeVersion", Value::object(kube))
            .with(
                "APIVersions",
                "APIVersions",
                Value::object(VersionSet(Rc::new(known.api_versions.clone()))),
            )
            .with("HelmVersion", "HelmVersion", Value::object(helm)),
    )
}

/// `.Capabilities.APIVersions`.
struct VersionSet(Rc<Vec<String>>);

impl Object for VersionSet {
    fn type_name(&self) -> &str {
        "chartutil.VersionSet"
    }

    fn kind(&self) -> Kind {
        Kind::Slice
    }

    fn underlying(&self) -> Option<Value> {
        let items = self.0.iter().map(|version| text(version)).collect();
        let mut list = List::new(Elem::String, items);
        list.name = Some("chartutil.VersionSet");
        Some(Value::List(Rc::new(list)))
    }

    fn method(&self, name: &str) -> Option<Rc<gotemplate::Function>> {
        if name != "Has" {
            return None;
        }
        let known = self.0.clone();
        method("Has", &[Param::String], move |_, arguments| {
            let wanted = arguments.first().and_then(Value::as_str).unwrap_or_default();
            Ok(Value::Bool(known.iter().any(|version| version == wanted)))
        })
    }
}
