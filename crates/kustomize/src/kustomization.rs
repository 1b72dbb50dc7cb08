//! The kustomization file.

use crate::decode::{Decoder, KUSTOMIZATION};
use crate::error::Error;
use crate::fieldspec::FieldSpec;
use crate::selector::Selector;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

type TextMap = BTreeMap<String, String>;

/// A kustomization, its old fields already turned into the new ones.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Kustomization {
    pub kind: String,
    pub api_version: String,
    pub openapi: TextMap,
    pub name_prefix: String,
    pub name_suffix: String,
    pub namespace: String,
    pub common_labels: TextMap,
    pub labels: Vec<Label>,
    pub common_annotations: TextMap,
    pub patches_strategic_merge: Vec<String>,
    #[serde(rename = "patchesJson6902")]
    pub patches_json6902: Vec<Patch>,
    pub patches: Vec<Patch>,
    pub images: Vec<Image>,
    pub image_tags: Vec<Image>,
    pub replacements: Vec<Replacement>,
    pub replicas: Vec<Replica>,
    pub vars: Vec<Var>,
    pub sort_options: Option<SortOptions>,
    pub resources: Vec<String>,
    pub components: Vec<String>,
    pub crds: Vec<String>,
    pub bases: Vec<String>,
    pub config_map_generator: Vec<GeneratorArgs>,
    pub secret_generator: Vec<GeneratorArgs>,
    pub helm_globals: Option<HelmGlobals>,
    pub helm_charts: Vec<HelmChart>,
    pub helm_chart_inflation_generator: Vec<HelmChartArgs>,
    pub generator_options: Option<GeneratorOptions>,
    pub configurations: Vec<String>,
    pub generators: Vec<String>,
    pub transformers: Vec<String>,
    pub validators: Vec<String>,
    pub build_metadata: Vec<String>,
}

/// An entry of `labels`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Label {
    pub pairs: TextMap,
    pub include_selectors: bool,
    pub include_templates: bool,
    pub include_volume_claim_templates: bool,
    pub fields: Vec<FieldSpec>,
}

/// An entry of `patches` or `patchesJson6902`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Patch {
    pub path: String,
    pub patch: String,
    pub target: Option<Selector>,
    pub options: Option<PatchOptions>,
}

impl Patch {
    /// The settings of the transformer that this entry makes, its text under `text_key`.
    pub fn to_config(&self, text_key: &str) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, text: &str| {
            if !text.is_empty() {
                map.insert(key.to_owned(), Value::from(text));
            }
        };
        put("path", &self.path);
        put(text_key, &self.patch);
        if let Some(target) = &self.target {
            let texts = [
                ("group", &target.gvk.group),
                ("version", &target.gvk.version),
                ("kind", &target.gvk.kind),
                ("name", &target.name),
                ("namespace", &target.namespace),
                ("annotationSelector", &target.annotation_selector),
                ("labelSelector", &target.label_selector),
            ];
            let target = texts.into_iter().filter(|(_, text)| !text.is_empty());
            let target: Map<String, Value> =
                target.map(|(key, text)| (key.to_owned(), Value::from(text.clone()))).collect();
            map.insert("target".to_owned(), Value::Object(target));
        }
        if let Some(options) = self.options {
            let flags = [
                ("allowNameChange", options.allow_name_change),
                ("allowKindChange", options.allow_kind_change),
            ];
            let flags = flags.into_iter().filter(|(_, flag)| *flag);
            let flags: Map<String, Value> =
                flags.map(|(key, _)| (key.to_owned(), Value::Bool(true))).collect();
            map.insert("options".to_owned(), Value::Object(flags));
        }
        Value::Object(map)
    }
}

/// What a patch may change besides.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PatchOptions {
    pub allow_name_change: bool,
    pub allow_kind_change: bool,
}

/// An entry of `images`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Image {
    pub name: String,
    pub new_name: String,
    pub tag_suffix: String,
    pub new_tag: String,
    pub digest: String,
}

/// An entry of `replicas`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Replica {
    pub name: String,
    pub count: i64,
}

/// An entry of `replacements`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Replacement {
    pub source: Option<Source>,
    pub targets: Option<Vec<Target>>,
    pub source_value: Option<String>,
    pub path: String,
}

/// Where a replacement takes its value.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Source {
    #[serde(flatten)]
    pub gvk: crate::ids::Gvk,
    pub name: String,
    pub namespace: String,
    pub field_path: String,
    pub options: Option<FieldOptions>,
}

/// Where a replacement puts it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Target {
    pub select: Option<Selector>,
    pub reject: Vec<Selector>,
    pub field_paths: Vec<String>,
    pub options: Option<FieldOptions>,
}

/// Which part of a text is meant.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct FieldOptions {
    pub delimiter: String,
    pub index: i64,
    pub create: bool,
}

/// An entry of `vars`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Var {
    pub name: String,
    pub objref: VarTarget,
    pub fieldref: VarField,
}

/// The object a variable looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct VarTarget {
    pub api_version: String,
    #[serde(flatten)]
    pub gvk: crate::ids::Gvk,
    pub name: String,
    pub namespace: String,
}

/// The field a variable looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct VarField {
    pub field_path: String,
}

/// `sortOptions`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SortOptions {
    pub order: String,
    pub legacy_sort_options: Option<LegacySortOptions>,
}

/// Which kinds come first and last.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct LegacySortOptions {
    pub order_first: Vec<String>,
    pub order_last: Vec<String>,
}

/// An entry of `configMapGenerator` or `secretGenerator`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct GeneratorArgs {
    pub namespace: String,
    pub name: String,
    pub behavior: String,
    pub literals: Vec<String>,
    pub files: Vec<String>,
    pub envs: Vec<String>,
    pub env: String,
    pub options: Option<GeneratorOptions>,
    #[serde(rename = "type")]
    pub secret_type: String,
}

/// `generatorOptions`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct GeneratorOptions {
    pub labels: TextMap,
    pub annotations: TextMap,
    pub disable_name_suffix_hash: bool,
    pub immutable: bool,
}

/// `helmGlobals`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct HelmGlobals {
    pub chart_home: String,
    pub config_home: String,
}

/// An entry of `helmCharts`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct HelmChart {
    pub chart_home: String,
    pub name: String,
    pub version: String,
    pub repo: String,
    pub release_name: String,
    pub namespace: String,
    pub additional_values_files: Vec<String>,
    pub values_file: String,
    pub values_inline: Option<Map<String, Value>>,
    pub values_merge: String,
    #[serde(rename = "includeCRDs")]
    pub include_crds: bool,
    pub skip_hooks: bool,
    pub api_versions: Vec<String>,
    pub kube_version: String,
    pub name_template: String,
    pub skip_tests: bool,
    pub devel: bool,
}

/// An entry of the old `helmChartInflationGenerator`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct HelmChartArgs {
    pub chart_name: String,
    pub chart_version: String,
    pub chart_repo_url: String,
    pub chart_home: String,
    pub helm_home: String,
    pub values: String,
    pub values_local: Option<Map<String, Value>>,
    pub values_merge: String,
    pub release_name: String,
}

/// The names a kustomization file may have.
pub(crate) const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

const VERSION: &str = "kustomize.config.k8s.io/v1beta1";
const COMPONENT_VERSION: &str = "kustomize.config.k8s.io/v1alpha1";
/// The kind of a component.
pub(crate) const COMPONENT: &str = "Component";
const KIND: &str = "Kustomization";

const DEPRECATED: [(&str, &str, &str); 6] = [
    ("bases", "resources", ""),
    ("commonLabels", "labels", ""),
    ("imageTags", "images", ""),
    ("patchesJson6902", "patches", ""),
    ("patchesStrategicMerge", "patches", ""),
    ("vars", "replacements", "[EXPERIMENTAL] "),
];

impl Kustomization {
    /// Reads one; `root` names its folder in messages.
    pub fn parse(text: &str, root: &str, warnings: &mut Vec<String>) -> Result<Kustomization, Error> {
        let invalid = |error: String| Error::new(format!("invalid Kustomization: {error}"));
        let value = yaml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let decoder = Decoder { root: "types.Kustomization", strict: true, lenient: false };
        let value = decoder
            .decode(&value, &KUSTOMIZATION)
            .map_err(invalid)?
            .unwrap_or_else(|| Value::Object(Map::new()));
        for (old, new, mark) in DEPRECATED {
            if value.get(old).is_some() {
                warnings.push(format!(
                    "# Warning: '{old}' is deprecated. Please use '{new}' instead. {mark}Run 'kustomize edit fix' to update your Kustomization automatically."
                ));
            }
        }
        let empty = is_empty(&value);
        let mut kustomization: Kustomization =
            serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?;
        kustomization.fix();
        if empty {
            return Err(Error::new("kustomization.yaml is empty"));
        }
        kustomization.check(root)?;
        Ok(kustomization)
    }

    /// Turns old fields into new ones.
    fn fix(&mut self) {
        if self.kind.is_empty() {
            KIND.clone_into(&mut self.kind);
        }
        if self.api_version.is_empty() {
            let version = if self.kind == COMPONENT { COMPONENT_VERSION } else { VERSION };
            version.clone_into(&mut self.api_version);
        }
        self.resources.append(&mut self.bases);
        self.images.append(&mut self.image_tags);
        for args in self.config_map_generator.iter_mut().chain(&mut self.secret_generator) {
            if !args.env.is_empty() {
                args.envs.push(std::mem::take(&mut args.env));
            }
        }
        let mut globals = HelmGlobals::default();
        for old in std::mem::take(&mut self.helm_chart_inflation_generator) {
            if !old.helm_home.is_empty() {
                globals.config_home = old.helm_home;
            }
            if !old.chart_home.is_empty() {
                globals.chart_home = old.chart_home;
            }
            self.helm_charts.push(HelmChart {
                name: old.chart_name,
                version: old.chart_version,
                repo: old.chart_repo_url,
                values_file: old.values,
                values_inline: old.values_local,
                values_merge: old.values_merge,
                release_name: old.release_name,
                ..HelmChart::default()
            });
        }
        if self.helm_globals.is_none() && !(globals.chart_home.is_empty() && globals.config_home.is_empty()) {
            self.helm_globals = Some(globals);
        }
    }

    fn check(&self, root: &str) -> Result<(), Error> {
        let mut errors = Vec::new();
        if self.kind != KIND && self.kind != COMPONENT {
            errors.push(format!("kind should be {KIND} or {COMPONENT}"));
        }
        let wanted = if self.kind == COMPONENT { COMPONENT_VERSION } else { VERSION };
        if self.api_version != wanted {
            errors.push(format!("apiVersion for {} should be {wanted}", self.kind));
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(Error::new(format!("Failed to read kustomization file under {root}:\n{}", errors.join("\n"))))
    }
}

/// Nothing in it but its type?
fn is_empty(value: &Value) -> bool {
    let Value::Object(fields) = value else { return true };
    fields.iter().all(|(key, value)| match key.as_str() {
        "kind" | "apiVersion" => true,
        "bases" | "imageTags" | "helmChartInflationGenerator" => value.as_array().is_some_and(Vec::is_empty),
        _ => match value {
            Value::String(text) => text.is_empty(),
            _ => false,
        },
    })
}
