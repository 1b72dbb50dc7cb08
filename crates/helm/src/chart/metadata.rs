//! `Chart.yaml`, `requirements.yaml` and the lock files.

use crate::error::quote;
use crate::gojson::{Decoder, field};
use crate::{Error, Result, Stage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Who looks after a chart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Maintainer {
    /// A person or an organisation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// An address to write to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// A page about them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// What `type:` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A chart that renders objects.
    Application,
    /// A chart whose templates others include.
    Library,
}

/// The contents of `Chart.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    /// The chart's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// A page about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub home: String,
    /// Where its source is.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub sources: Vec<String>,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// One sentence about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub keywords: Vec<String>,
    /// Who looks after it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub maintainers: Vec<Maintainer>,
    /// A picture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub icon: String,
    /// `v1` or `v2`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// The value that switches the chart on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// The tags that switch it on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tags: String,
    /// The version of what it installs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub app_version: String,
    /// Whether it should no longer be used.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// Anything else.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub annotations: BTreeMap<String, String>,
    /// The Kubernetes versions it runs on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kube_version: String,
    /// The charts it depends on.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub dependencies: Vec<Dependency>,
    /// `application`, `library` or nothing.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub chart_type: String,
    /// Whether one of the maintainers is null, which no chart may have.
    #[serde(skip)]
    pub empty_maintainer: bool,
    /// The number of dependencies before the first that is null.
    #[serde(skip)]
    pub empty_dependency: Option<usize>,
}

/// A chart that another depends on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Dependency {
    /// The name in its `Chart.yaml`.
    pub name: String,
    /// The versions that will do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Where to get it.
    pub repository: String,
    /// Comma-separated values; the first that is set decides whether it is used.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// Tags that switch it on or off in groups.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub tags: Vec<String>,
    /// Whether it is used (set while a release is prepared).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enabled: bool,
    /// What of its values the parent takes over: strings, or `{child, parent}`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub import_values: Vec<Value>,
    /// The name it goes by in the parent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alias: String,
}

/// `Chart.lock`: the dependencies at the versions that were chosen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lock {
    /// When it was written, as RFC 3339.
    pub generated: String,
    /// The hash of the declared and the chosen dependencies.
    pub digest: String,
    /// The chosen dependencies.
    #[serde(deserialize_with = "nullable")]
    pub dependencies: Vec<Dependency>,
}

/// Go writes an empty list as `null` in places.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A whole number that is written as a float (`72445e2`, say, an abbreviated commit) prints as a float where a
/// string is wanted: as JSON it would be an integer.
fn keep_floats(text: &str, value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    if !map.values().any(|value| value.is_i64() || value.is_u64()) {
        return;
    }
    let Ok(Some(node)) = yaml::parse_first_node(text) else { return };
    for (name, value) in map.iter_mut().filter(|(_, value)| value.is_i64() || value.is_u64()) {
        let is_float = node.get(name).is_some_and(|node| node.resolved_tag() == "!!float");
        if let Some(float) = value.as_f64().filter(|_| is_float) {
            *value = Value::String(crate::values::format_g32(float as f32));
        }
    }
}

impl Metadata {
    /// Reads a `Chart.yaml` (or a `requirements.yaml`) over what is already known: absent fields stay.
    pub(crate) fn read_over(&mut self, text: &str) -> Result<(), String> {
        let mut value = yaml::from_str(text).map_err(|e| format!("error converting YAML to JSON: {e}"))?;
        keep_floats(text, &mut value);
        let mut decoder = Decoder::default();
        if let Some(map) = decoder.object(&value, "", "chart.Metadata") {
            self.decode(&mut decoder, map);
        }
        decoder.finish(())
    }

    pub(crate) fn decode(&mut self, decoder: &mut Decoder, map: &serde_json::Map<String, Value>) {
        let strings: [(&str, &mut String); 11] = [
            ("name", &mut self.name),
            ("home", &mut self.home),
            ("version", &mut self.version),
            ("description", &mut self.description),
            ("icon", &mut self.icon),
            ("apiVersion", &mut self.api_version),
            ("condition", &mut self.condition),
            ("tags", &mut self.tags),
            ("appVersion", &mut self.app_version),
            ("kubeVersion", &mut self.kube_version),
            ("type", &mut self.chart_type),
        ];
        for (name, target) in strings {
            if let Some(value) = field(map, name).filter(|value| !value.is_null()) {
                *target = decoder.string(Some(value), &format!("Metadata.{name}"));
            }
        }
        if let Some(value) = field(map, "sources") {
            self.sources = decoder.strings(Some(value), "Metadata.sources");
        }
        if let Some(value) = field(map, "keywords") {
            self.keywords = decoder.strings(Some(value), "Metadata.keywords");
        }
        if let Some(value) = field(map, "deprecated") {
            self.deprecated = decoder.boolean(Some(value), "Metadata.deprecated");
        }
        if let Some(value) = field(map, "annotations") {
            self.annotations = decoder
                .object(value, "Metadata.annotations", "map[string]string")
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), decoder_string(value)))
                .collect();
        }
        if let Some(value) = field(map, "maintainers") {
            self.maintainers = maintainers(decoder, value);
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            self.empty_maintainer = items.iter().any(Value::is_null);
        }
        if let Some(value) = field(map, "dependencies") {
            self.dependencies = Dependency::decode_list(decoder, value, "Metadata.dependencies");
            self.empty_dependency = value.as_array().and_then(|items| items.iter().position(Value::is_null));
        }
    }

    /// Whether it says `type: library`.
    pub fn kind(&self) -> Type {
        if self.chart_type.eq_ignore_ascii_case("library") { Type::Library } else { Type::Application }
    }

    /// Cleans the strings and says what is wrong, as Helm does when it loads a chart.
    pub(crate) fn validate(&mut self) -> Result<()> {
        self.sanitize();
        let fail = |text: String| Err(Error::new(Stage::Chart, format!("validation: {text}")));
        if self.api_version.is_empty() {
            return fail("chart.metadata.apiVersion is required".into());
        }
        if self.name.is_empty() {
            return fail("chart.metadata.name is required".into());
        }
        if self.name == "." || self.name == ".." {
            return fail(format!("chart.metadata.name {} is not allowed", quote(&self.name)));
        }
        if crate::path::base(&self.name) != self.name {
            return fail(format!("chart.metadata.name {} is invalid", quote(&self.name)));
        }
        if self.version.is_empty() {
            return fail("chart.metadata.version is required".into());
        }
        if crate::version::Version::parse(&self.version).is_err() {
            return fail(format!("chart.metadata.version {} is invalid", quote(&self.version)));
        }
        if !matches!(self.chart_type.as_str(), "" | "application" | "library") {
            return fail("chart.metadata.type must be application or library".into());
        }
        if self.empty_maintainer {
            return fail("maintainers must not contain empty or null nodes".into());
        }
        self.validate_dependencies()
    }

    fn validate_dependencies(&self) -> Result<()> {
        let fail = |text: String| Err(Error::new(Stage::Chart, format!("validation: {text}")));
        let mut seen = BTreeSet::new();
        const EMPTY: &str = "dependencies must not contain empty or null nodes";
        for (number, dependency) in self.dependencies.iter().enumerate() {
            if self.empty_dependency == Some(number) {
                return fail(EMPTY.into());
            }
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if !dependency.alias.chars().all(legal) {
                let name = quote(&dependency.name);
                return fail(format!("dependency {name} has disallowed characters in the alias"));
            }
            let key = dependency.local_name();
            if !seen.insert(key) {
                return fail(format!("more than one dependency with name or alias {}", quote(key)));
            }
        }
        if self.empty_dependency.is_some() {
            return fail(EMPTY.into());
        }
        Ok(())
    }

    fn sanitize(&mut self) {
        for text in [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ] {
            sanitize(text);
        }
        self.sources.iter_mut().chain(&mut self.keywords).for_each(sanitize);
        for maintainer in &mut self.maintainers {
            sanitize(&mut maintainer.name);
            sanitize(&mut maintainer.email);
            sanitize(&mut maintainer.url);
        }
        for dependency in &mut self.dependencies {
            sanitize(&mut dependency.name);
            sanitize(&mut dependency.version);
            sanitize(&mut dependency.repository);
            sanitize(&mut dependency.condition);
            dependency.tags.iter_mut().for_each(sanitize);
        }
    }
}

fn decoder_string(value: &Value) -> String {
    Decoder::default().string(Some(value), "")
}

fn maintainers(decoder: &mut Decoder, value: &Value) -> Vec<Maintainer> {
    let place = "Metadata.maintainers";
    let items = decoder.list(Some(value), place, "[]*chart.Maintainer").unwrap_or_default();
    let mut out = Vec::new();
    for item in items {
        if let Some(map) = decoder.object(item, place, "chart.Maintainer") {
            let mut text =
                |name: &str| decoder.string(field(map, name), &format!("Maintainer.maintainers.{name}"));
            out.push(Maintainer { name: text("name"), email: text("email"), url: text("url") });
        }
    }
    out
}

impl Dependency {
    /// The alias, or the name without one.
    pub fn local_name(&self) -> &str {
        if self.alias.is_empty() { &self.name } else { &self.alias }
    }

    pub(crate) fn decode_list(decoder: &mut Decoder, value: &Value, place: &str) -> Vec<Dependency> {
        let items = decoder.list(Some(value), place, "[]*chart.Dependency").unwrap_or_default();
        let mut out = Vec::new();
        for item in items {
            if let Some(map) = decoder.object(item, place, "chart.Dependency") {
                out.push(Self::decode(decoder, map));
            }
        }
        out
    }

    fn decode(decoder: &mut Decoder, map: &serde_json::Map<String, Value>) -> Dependency {
        let place = |name: &str| format!("Dependency.dependencies.{name}");
        let mut text = |name: &str| decoder.string(field(map, name), &place(name));
        let mut out = Dependency {
            name: text("name"),
            version: text("version"),
            repository: text("repository"),
            condition: text("condition"),
            alias: text("alias"),
            ..Dependency::default()
        };
        out.tags = decoder.strings(field(map, "tags"), &place("tags"));
        out.enabled = decoder.boolean(field(map, "enabled"), &place("enabled"));
        let imports = decoder.list(field(map, "import-values"), &place("import-values"), "[]interface {}");
        out.import_values = imports.unwrap_or_default().to_vec();
        out
    }
}

impl Lock {
    /// Reads a `Chart.lock`.
    pub(crate) fn read(text: &str) -> Result<Lock, String> {
        let value = yaml::from_str(text).map_err(|e| format!("error converting YAML to JSON: {e}"))?;
        let mut decoder = Decoder::default();
        let mut lock = Lock::default();
        if let Some(map) = decoder.object(&value, "", "chart.Lock") {
            lock.generated = decoder.string(field(map, "generated"), "Lock.generated");
            lock.digest = decoder.string(field(map, "digest"), "Lock.digest");
            if let Some(value) = field(map, "dependencies") {
                lock.dependencies = Dependency::decode_list(&mut decoder, value, "Lock.dependencies");
            }
        }
        decoder.finish(lock)
    }
}

/// Turns every blank into a space and drops what cannot be printed.
fn sanitize(text: &mut String) {
    if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return;
    }
    *text = text
        .chars()
        .filter_map(|c| match c {
            c if c.is_whitespace() => Some(' '),
            c if c.is_control() || is_unprintable(c) => None,
            c => Some(c),
        })
        .collect();
}

/// The ranges (format marks, separators, private use, unassigned ends) that Go's `unicode.IsPrint` refuses.
fn is_unprintable(c: char) -> bool {
    matches!(c as u32,
        0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e
        | 0x2060..=0x206f | 0xe000..=0xf8ff | 0xfeff | 0xfff0..=0xfffb | 0xfffe..=0xffff | 0xe0000..=0x10ffff)
}
