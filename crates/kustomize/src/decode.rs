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
    /// A Go type's name and fields.
    Struct(&'static str, &'static [(&'static str, Shape)]),
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
            Shape::List(Shape::Struct(name, _)) if *name == "types.TargetSelector" => format!("[]*{name}"),
            Shape::List(item) => format!("[]{}", item.go_name()),
            Shape::Struct(name, _) => (*name).to_owned(),
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
    pub fn decode(&self, value: &Value, shape: &Shape) -> Result<Option<Value>, String> {
        let owner = self.root.rsplit('.').next().unwrap_or(self.root);
        self.decode_at(value, shape, &Place { owner, path: String::new() })
    }

    fn decode_at(&self, value: &Value, shape: &Shape, at: &Place<'_>) -> Result<Option<Value>, String> {
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
            let Place { owner, path } = at;
            if path.is_empty() {
                return format!("json: cannot unmarshal {found} into Go value of type {}", self.root);
            }
            let wanted = if path.ends_with("replicas.count") { "int64".to_owned() } else { shape.go_name() };
            format!("json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {wanted}")
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
                        .decode_at(value, &Shape::Text, at)?
                        .unwrap_or_else(|| Value::String(String::new()));
                    map.insert(key.clone(), text);
                }
                Ok(Some(Value::Object(map)))
            }
            Shape::List(item) => {
                let Value::Array(items) = value else { return Err(fail()) };
                let items: Result<Vec<Value>, String> = items
                    .iter()
                    .map(|value| Ok(self.decode_at(value, item, at)?.unwrap_or_else(|| zero(item))))
                    .collect();
                Ok(Some(Value::Array(items?)))
            }
            Shape::Struct(name, known) => {
                let Value::Object(fields) = value else { return Err(fail()) };
                self.decode_struct(fields, name, known, at).map(Some)
            }
            _ => Err(fail()),
        }
    }

    fn decode_struct(
        &self,
        fields: &Map<String, Value>,
        type_name: &str,
        known: &[(&str, Shape)],
        at: &Place<'_>,
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
            let dot = if at.path.is_empty() { "" } else { "." };
            let path = format!("{}{dot}{}{name}", at.path, embedded(type_name, name));
            let owner = if at.path.is_empty() { at.owner } else { bare_name(type_name) };
            if let Some(value) = self.decode_at(value, shape, &Place { owner, path })? {
                map.insert((*name).to_owned(), value);
            }
        }
        Ok(Value::Object(map))
    }
}

/// Where a value stands, as Go names it: the type that has the field, and the fields that lead to it.
struct Place<'a> {
    owner: &'a str,
    path: String,
}

fn bare_name(type_name: &str) -> &str {
    type_name.rsplit('.').next().unwrap_or(type_name)
}

/// The embedded types that a field of a Go type really belongs to; messages name them.
fn embedded(type_name: &str, field: &str) -> &'static str {
    let gvk = matches!(field, "group" | "version" | "kind");
    match type_name {
        "types.Kustomization" if matches!(field, "kind" | "apiVersion") => "TypeMeta.",
        "types.ConfigMapArgs" | "types.SecretArgs" => match field {
            "literals" | "files" | "envs" | "env" => "GeneratorArgs.KvPairSources.",
            "type" => "",
            _ => "GeneratorArgs.",
        },
        "types.ReplacementField" if field != "path" => "Replacement.",
        "types.SourceSelector" | "types.Selector" if gvk => "ResId.Gvk.",
        "types.SourceSelector" | "types.Selector" if matches!(field, "name" | "namespace") => "ResId.",
        "types.Target" | "types.FieldSpec" if gvk => "Gvk.",
        _ => "",
    }
}

fn zero(shape: &Shape) -> Value {
    match shape {
        Shape::Text => Value::String(String::new()),
        Shape::Flag => Value::Bool(false),
        Shape::Int => Value::from(0),
        Shape::Struct(..) | Shape::TextMap | Shape::AnyMap => Value::Object(Map::new()),
        Shape::List(_) => Value::Array(Vec::new()),
        Shape::Any => Value::Null,
    }
}

// ---------------------------------------------------------------------------------------------------
// The types

use Shape::{Any, AnyMap, Flag, Int, List, Struct, Text, TextMap};

const TEXTS: Shape = List(&Text);

pub(crate) const META: Shape = Struct(
    "types.ObjectMeta",
    &[("name", Text), ("namespace", Text), ("labels", TextMap), ("annotations", TextMap)],
);

pub(crate) const FIELD_SPEC: Shape = Struct(
    "types.FieldSpec",
    &[("group", Text), ("version", Text), ("kind", Text), ("path", Text), ("create", Flag)],
);

pub(crate) const FIELD_SPECS: Shape = List(&FIELD_SPEC);

const NAME_REFERENCE: Shape = Struct(
    "builtinconfig.NameBackReferences",
    &[("group", Text), ("version", Text), ("kind", Text), ("fieldSpecs", FIELD_SPECS)],
);

pub(crate) const SELECTOR: Shape = Struct(
    "types.Selector",
    &[
        ("group", Text),
        ("version", Text),
        ("kind", Text),
        ("name", Text),
        ("namespace", Text),
        ("annotationSelector", Text),
        ("labelSelector", Text),
    ],
);

pub(crate) const GENERATOR_OPTIONS: Shape = Struct(
    "types.GeneratorOptions",
    &[("labels", TextMap), ("annotations", TextMap), ("disableNameSuffixHash", Flag), ("immutable", Flag)],
);

const CONFIG_MAP_ARGS: Shape = Struct(
    "types.ConfigMapArgs",
    &[
        ("namespace", Text),
        ("name", Text),
        ("behavior", Text),
        ("literals", TEXTS),
        ("files", TEXTS),
        ("envs", TEXTS),
        ("env", Text),
        ("options", GENERATOR_OPTIONS),
    ],
);

const SECRET_ARGS: Shape = Struct(
    "types.SecretArgs",
    &[
        ("namespace", Text),
        ("name", Text),
        ("behavior", Text),
        ("literals", TEXTS),
        ("files", TEXTS),
        ("envs", TEXTS),
        ("env", Text),
        ("options", GENERATOR_OPTIONS),
        ("type", Text),
    ],
);

/// ConfigMapGenerator and SecretGenerator as plugins.
pub(crate) const GENERATOR_PLUGIN: Shape = Struct(
    "builtins.GeneratorPlugin",
    &[
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
    ],
);

pub(crate) const PATCH: Shape = Struct(
    "types.Patch",
    &[
        ("path", Text),
        ("patch", Text),
        ("target", SELECTOR),
        ("options", Struct("types.PatchArgs", &[("allowNameChange", Flag), ("allowKindChange", Flag)])),
    ],
);

pub(crate) const IMAGE: Shape = Struct(
    "types.Image",
    &[("name", Text), ("newName", Text), ("tagSuffix", Text), ("newTag", Text), ("digest", Text)],
);

const FIELD_OPTIONS: Shape = Struct(
    "types.FieldOptions",
    &[("delimiter", Text), ("index", Int), ("encoding", Text), ("create", Flag)],
);

pub(crate) const REPLACEMENT: Shape = Struct(
    "types.ReplacementField",
    &[
        (
            "source",
            Struct(
                "types.SourceSelector",
                &[
                    ("group", Text),
                    ("version", Text),
                    ("kind", Text),
                    ("name", Text),
                    ("namespace", Text),
                    ("fieldPath", Text),
                    ("options", FIELD_OPTIONS),
                ],
            ),
        ),
        (
            "targets",
            List(&Struct(
                "types.TargetSelector",
                &[
                    ("select", SELECTOR),
                    ("reject", List(&SELECTOR)),
                    ("fieldPaths", TEXTS),
                    ("options", FIELD_OPTIONS),
                ],
            )),
        ),
        ("sourceValue", Text),
        ("path", Text),
    ],
);

pub(crate) const REPLICA: Shape = Struct("types.Replica", &[("name", Text), ("count", Int)]);

const VAR: Shape = Struct(
    "types.Var",
    &[
        ("name", Text),
        (
            "objref",
            Struct(
                "types.Target",
                &[
                    ("apiVersion", Text),
                    ("group", Text),
                    ("version", Text),
                    ("kind", Text),
                    ("name", Text),
                    ("namespace", Text),
                ],
            ),
        ),
        ("fieldref", Struct("types.FieldSelector", &[("fieldPath", Text)])),
    ],
);

pub(crate) const SORT_OPTIONS: Shape = Struct(
    "types.SortOptions",
    &[
        ("order", Text),
        (
            "legacySortOptions",
            Struct("types.LegacySortOptions", &[("orderFirst", TEXTS), ("orderLast", TEXTS)]),
        ),
    ],
);

/// A chart of `helmCharts`, or a HelmChartInflationGenerator.
pub(crate) const HELM_CHART: Shape = Struct(
    "types.HelmChart",
    &[
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
    ],
);

const HELM_CHART_FIELD: Shape = Struct(
    "types.HelmChart",
    &[
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
    ],
);

const HELM_CHART_ARGS: Shape = Struct(
    "types.HelmChartArgs",
    &[
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
    ],
);

/// A kustomization file.
pub(crate) const KUSTOMIZATION: Shape = Struct(
    "types.Kustomization",
    &[
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
            List(&Struct(
                "types.Label",
                &[
                    ("pairs", TextMap),
                    ("includeSelectors", Flag),
                    ("includeTemplates", Flag),
                    ("includeVolumeClaimTemplates", Flag),
                    ("fields", FIELD_SPECS),
                ],
            )),
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
        ("helmGlobals", Struct("types.HelmGlobals", &[("chartHome", Text), ("configHome", Text)])),
        ("helmCharts", List(&HELM_CHART_FIELD)),
        ("helmChartInflationGenerator", List(&HELM_CHART_ARGS)),
        ("generatorOptions", GENERATOR_OPTIONS),
        ("configurations", TEXTS),
        ("generators", TEXTS),
        ("transformers", TEXTS),
        ("validators", TEXTS),
        ("buildMetadata", TEXTS),
    ],
);

/// A file of `configurations`.
pub(crate) const TABLES: Shape = Struct(
    "builtinconfig.TransformerConfig",
    &[
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
    ],
);

/// Every field any built-in transformer plugin reads.
pub(crate) const TRANSFORMER_PLUGIN: Shape = Struct(
    "builtins.TransformerPlugin",
    &[
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
        ("options", Struct("types.PatchArgs", &[("allowNameChange", Flag), ("allowKindChange", Flag)])),
        ("paths", TEXTS),
        ("patches", Text),
        ("replacements", List(&REPLACEMENT)),
        ("value", Text),
        (
            "targets",
            List(&Struct(
                "types.TargetSelector",
                &[("selector", SELECTOR), ("fieldPath", Text), ("filePathPosition", Int)],
            )),
        ),
        ("targetFilePath", Text),
        ("sortOptions", SORT_OPTIONS),
        ("spec", Any),
    ],
);
