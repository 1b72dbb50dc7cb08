//! Decoding as Go's JSON decoder does: keys match whatever their case, nulls are nothing, wrong types and
//! (where asked) unknown fields are errors in Go's words.

use serde_json::{Map, Value};

/// The shape a value must have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Text,
    Flag,
    Int,
    /// `map[string]string`
    TextMap,
    /// Anything.
    Any,
    /// `map[string]interface{}`
    AnyMap,
    List(&'static Shape),
    Struct(&'static [(&'static str, Shape)]),
}

impl Shape {
    fn go_name(&self) -> String {
        match self {
            Shape::Text => "string".to_owned(),
            Shape::Flag => "bool".to_owned(),
            Shape::Int => "int".to_owned(),
            Shape::TextMap => "map[string]string".to_owned(),
            Shape::Any => "interface {}".to_owned(),
            Shape::AnyMap => "map[string]interface {}".to_owned(),
            Shape::List(item) => format!("[]{}", item.go_name()),
            Shape::Struct(_) => "struct".to_owned(),
        }
    }
}

/// How a value is decoded.
pub(crate) struct Decoder<'a> {
    /// The name of the outermost type, for messages.
    pub root: &'a str,
    /// Refuse fields that the type does not have.
    pub strict: bool,
    /// Take numbers and booleans for texts where texts are wanted, as reading YAML into a Go type does.
    pub lenient: bool,
}

impl Decoder<'_> {
    /// The value with its keys spelled as the type spells them, and without nulls and unknown fields.
    pub fn decode(&self, value: &Value, shape: &Shape, path: &str) -> Result<Option<Value>, String> {
        if value.is_null() {
            return Ok(None);
        }
        let fail = || {
            let found = match value {
                Value::Bool(_) => "bool".to_owned(),
                Value::Number(number) if matches!(shape, Shape::Int) => format!("number {number}"),
                Value::Number(_) => "number".to_owned(),
                Value::String(_) => "string".to_owned(),
                Value::Array(_) => "array".to_owned(),
                _ => "object".to_owned(),
            };
            if path.is_empty() {
                format!("json: cannot unmarshal {found} into Go value of type {}", self.root)
            } else {
                let name = self.root.rsplit('.').next().unwrap_or(self.root);
                format!(
                    "json: cannot unmarshal {found} into Go struct field {name}.{path} of type {}",
                    shape.go_name()
                )
            }
        };
        match shape {
            Shape::Any => Ok(Some(value.clone())),
            Shape::Text if value.is_string() => Ok(Some(value.clone())),
            Shape::Text if self.lenient && (value.is_boolean() || value.is_number()) => {
                Ok(Some(Value::String(value.to_string())))
            }
            Shape::Flag if value.is_boolean() => Ok(Some(value.clone())),
            Shape::Int if value.is_i64() || value.is_u64() => Ok(Some(value.clone())),
            Shape::AnyMap if value.is_object() => Ok(Some(value.clone())),
            Shape::TextMap => {
                let Value::Object(fields) = value else { return Err(fail()) };
                let mut map = Map::new();
                for (key, value) in fields {
                    // A null makes an empty text.
                    let text = self
                        .decode(value, &Shape::Text, path)?
                        .unwrap_or_else(|| Value::String(String::new()));
                    map.insert(key.clone(), text);
                }
                Ok(Some(Value::Object(map)))
            }
            Shape::List(item) => {
                let Value::Array(items) = value else { return Err(fail()) };
                let items: Result<Vec<Value>, String> = items
                    .iter()
                    .map(|value| Ok(self.decode(value, item, path)?.unwrap_or_else(|| zero(item))))
                    .collect();
                Ok(Some(Value::Array(items?)))
            }
            Shape::Struct(known) => {
                let Value::Object(fields) = value else { return Err(fail()) };
                self.decode_struct(fields, known, path).map(Some)
            }
            _ => Err(fail()),
        }
    }

    fn decode_struct(
        &self,
        fields: &Map<String, Value>,
        known: &[(&str, Shape)],
        path: &str,
    ) -> Result<Value, String> {
        let mut map = Map::new();
        for (key, value) in fields {
            let found = known
                .iter()
                .find(|(name, _)| name == key)
                .or_else(|| known.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)));
            let Some((name, shape)) = found else {
                if self.strict {
                    return Err(format!("json: unknown field {key:?}"));
                }
                continue;
            };
            let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
            if let Some(value) = self.decode(value, shape, &path)? {
                map.insert((*name).to_owned(), value);
            }
        }
        Ok(Value::Object(map))
    }
}

fn zero(shape: &Shape) -> Value {
    match shape {
        Shape::Text => Value::String(String::new()),
        Shape::Flag => Value::Bool(false),
        Shape::Int => Value::from(0),
        Shape::Struct(_) | Shape::TextMap | Shape::AnyMap => Value::Object(Map::new()),
        Shape::List(_) => Value::Array(Vec::new()),
        Shape::Any => Value::Null,
    }
}

// ---------------------------------------------------------------------------------------------------
// The types

use Shape::{Any, AnyMap, Flag, Int, List, Struct, Text, TextMap};

const TEXTS: Shape = List(&Text);

pub(crate) const META: Shape =
    Struct(&[("name", Text), ("namespace", Text), ("labels", TextMap), ("annotations", TextMap)]);

pub(crate) const FIELD_SPEC: Shape =
    Struct(&[("group", Text), ("version", Text), ("kind", Text), ("path", Text), ("create", Flag)]);

pub(crate) const FIELD_SPECS: Shape = List(&FIELD_SPEC);

const NAME_REFERENCE: Shape =
    Struct(&[("group", Text), ("version", Text), ("kind", Text), ("fieldSpecs", FIELD_SPECS)]);

pub(crate) const SELECTOR: Shape = Struct(&[
    ("group", Text),
    ("version", Text),
    ("kind", Text),
    ("name", Text),
    ("namespace", Text),
    ("annotationSelector", Text),
    ("labelSelector", Text),
]);

pub(crate) const GENERATOR_OPTIONS: Shape = Struct(&[
    ("labels", TextMap),
    ("annotations", TextMap),
    ("disableNameSuffixHash", Flag),
    ("immutable", Flag),
]);

const CONFIG_MAP_ARGS: Shape = Struct(&[
    ("namespace", Text),
    ("name", Text),
    ("behavior", Text),
    ("literals", TEXTS),
    ("files", TEXTS),
    ("envs", TEXTS),
    ("env", Text),
    ("options", GENERATOR_OPTIONS),
]);

const SECRET_ARGS: Shape = Struct(&[
    ("namespace", Text),
    ("name", Text),
    ("behavior", Text),
    ("literals", TEXTS),
    ("files", TEXTS),
    ("envs", TEXTS),
    ("env", Text),
    ("options", GENERATOR_OPTIONS),
    ("type", Text),
]);

/// ConfigMapGenerator and SecretGenerator as plugins.
pub(crate) const GENERATOR_PLUGIN: Shape = Struct(&[
    ("metadata", META),
    ("namespace", Text),
    ("name", Text),
    ("behavior", Text),
    ("literals", TEXTS),
    ("files", TEXTS),
    ("envs", TEXTS),
    ("env", Text),
    ("options", GENERATOR_OPTIONS),
    ("type", Text),
]);

pub(crate) const PATCH: Shape = Struct(&[
    ("path", Text),
    ("patch", Text),
    ("target", SELECTOR),
    ("options", Struct(&[("allowNameChange", Flag), ("allowKindChange", Flag)])),
]);

pub(crate) const IMAGE: Shape =
    Struct(&[("name", Text), ("newName", Text), ("tagSuffix", Text), ("newTag", Text), ("digest", Text)]);

const FIELD_OPTIONS: Shape =
    Struct(&[("delimiter", Text), ("index", Int), ("encoding", Text), ("create", Flag)]);

pub(crate) const REPLACEMENT: Shape = Struct(&[
    (
        "source",
        Struct(&[
            ("group", Text),
            ("version", Text),
            ("kind", Text),
            ("name", Text),
            ("namespace", Text),
            ("fieldPath", Text),
            ("options", FIELD_OPTIONS),
        ]),
    ),
    (
        "targets",
        List(&Struct(&[
            ("select", SELECTOR),
            ("reject", List(&SELECTOR)),
            ("fieldPaths", TEXTS),
            ("options", FIELD_OPTIONS),
        ])),
    ),
    ("sourceValue", Text),
    ("path", Text),
]);

pub(crate) const REPLICA: Shape = Struct(&[("name", Text), ("count", Int)]);

const VAR: Shape = Struct(&[
    ("name", Text),
    (
        "objref",
        Struct(&[
            ("apiVersion", Text),
            ("group", Text),
            ("version", Text),
            ("kind", Text),
            ("name", Text),
            ("namespace", Text),
        ]),
    ),
    ("fieldref", Struct(&[("fieldPath", Text)])),
]);

pub(crate) const SORT_OPTIONS: Shape =
    Struct(&[("order", Text), ("legacySortOptions", Struct(&[("orderFirst", TEXTS), ("orderLast", TEXTS)]))]);

/// A chart of `helmCharts`, or a HelmChartInflationGenerator.
pub(crate) const HELM_CHART: Shape = Struct(&[
    ("chartHome", Text),
    ("configHome", Text),
    ("name", Text),
    ("version", Text),
    ("repo", Text),
    ("releaseName", Text),
    ("namespace", Text),
    ("additionalValuesFiles", TEXTS),
    ("valuesFile", Text),
    ("valuesInline", AnyMap),
    ("valuesMerge", Text),
    ("includeCRDs", Flag),
    ("skipHooks", Flag),
    ("apiVersions", TEXTS),
    ("kubeVersion", Text),
    ("nameTemplate", Text),
    ("skipTests", Flag),
    ("debug", Flag),
    ("devel", Flag),
]);

const HELM_CHART_FIELD: Shape = Struct(&[
    ("name", Text),
    ("version", Text),
    ("repo", Text),
    ("releaseName", Text),
    ("namespace", Text),
    ("additionalValuesFiles", TEXTS),
    ("valuesFile", Text),
    ("valuesInline", AnyMap),
    ("valuesMerge", Text),
    ("includeCRDs", Flag),
    ("skipHooks", Flag),
    ("apiVersions", TEXTS),
    ("kubeVersion", Text),
    ("nameTemplate", Text),
    ("skipTests", Flag),
    ("debug", Flag),
    ("devel", Flag),
]);

const HELM_CHART_ARGS: Shape = Struct(&[
    ("chartName", Text),
    ("chartVersion", Text),
    ("chartRepoUrl", Text),
    ("chartHome", Text),
    ("chartRepoName", Text),
    ("helmBin", Text),
    ("helmHome", Text),
    ("values", Text),
    ("valuesLocal", AnyMap),
    ("valuesMerge", Text),
    ("releaseName", Text),
    ("releaseNamespace", Text),
    ("extraArgs", TEXTS),
]);

/// A kustomization file.
pub(crate) const KUSTOMIZATION: Shape = Struct(&[
    ("kind", Text),
    ("apiVersion", Text),
    ("metadata", META),
    ("openapi", TextMap),
    ("namePrefix", Text),
    ("nameSuffix", Text),
    ("namespace", Text),
    ("commonLabels", TextMap),
    (
        "labels",
        List(&Struct(&[
            ("pairs", TextMap),
            ("includeSelectors", Flag),
            ("includeTemplates", Flag),
            ("includeVolumeClaimTemplates", Flag),
            ("fields", FIELD_SPECS),
        ])),
    ),
    ("commonAnnotations", TextMap),
    ("patchesStrategicMerge", TEXTS),
    ("patchesJson6902", List(&PATCH)),
    ("patches", List(&PATCH)),
    ("images", List(&IMAGE)),
    ("imageTags", List(&IMAGE)),
    ("replacements", List(&REPLACEMENT)),
    ("replicas", List(&REPLICA)),
    ("vars", List(&VAR)),
    ("sortOptions", SORT_OPTIONS),
    ("resources", TEXTS),
    ("components", TEXTS),
    ("crds", TEXTS),
    ("bases", TEXTS),
    ("configMapGenerator", List(&CONFIG_MAP_ARGS)),
    ("secretGenerator", List(&SECRET_ARGS)),
    ("helmGlobals", Struct(&[("chartHome", Text), ("configHome", Text)])),
    ("helmCharts", List(&HELM_CHART_FIELD)),
    ("helmChartInflationGenerator", List(&HELM_CHART_ARGS)),
    ("generatorOptions", GENERATOR_OPTIONS),
    ("configurations", TEXTS),
    ("generators", TEXTS),
    ("transformers", TEXTS),
    ("validators", TEXTS),
    ("buildMetadata", TEXTS),
]);

/// A file of `configurations`.
pub(crate) const TABLES: Shape = Struct(&[
    ("namePrefix", FIELD_SPECS),
    ("nameSuffix", FIELD_SPECS),
    ("namespace", FIELD_SPECS),
    ("commonLabels", FIELD_SPECS),
    ("labels", FIELD_SPECS),
    ("templateLabels", FIELD_SPECS),
    ("volumeClaimTemplateLabels", FIELD_SPECS),
    ("commonAnnotations", FIELD_SPECS),
    ("nameReference", List(&NAME_REFERENCE)),
    ("varReference", FIELD_SPECS),
    ("images", FIELD_SPECS),
    ("replicas", FIELD_SPECS),
]);

/// Every field any built-in transformer plugin reads.
pub(crate) const TRANSFORMER_PLUGIN: Shape = Struct(&[
    ("metadata", META),
    ("fieldSpecs", FIELD_SPECS),
    ("labels", TextMap),
    ("annotations", TextMap),
    ("prefix", Text),
    ("suffix", Text),
    ("unsetOnly", Flag),
    ("setRoleBindingSubjects", Text),
    ("imageTag", IMAGE),
    ("replica", REPLICA),
    ("target", SELECTOR),
    ("path", Text),
    ("patch", Text),
    ("jsonOp", Text),
    ("options", Struct(&[("allowNameChange", Flag), ("allowKindChange", Flag)])),
    ("paths", TEXTS),
    ("patches", Text),
    ("replacements", List(&REPLACEMENT)),
    ("value", Text),
    ("targets", List(&Struct(&[("selector", SELECTOR), ("fieldPath", Text), ("filePathPosition", Int)]))),
    ("targetFilePath", Text),
    ("sortOptions", SORT_OPTIONS),
    ("spec", Any),
]);
