//! Releases as data: what Helm stores of each revision, and the plan from one to the next.

mod diff;
mod hook;
mod owner;
mod secret;

pub use diff::{Change, Plan, diff};
pub use hook::{Event, Execution, Hook, Phase, hooks_for};
pub use owner::{Owned, check_ownership, conflict_text, mark_owned};
pub use secret::{DecodeError, Holder, SECRET_TYPE, StoredLabels, decode, encode, labels, stored_name};

use crate::chart::{Chart, File, Lock, Metadata};
use crate::values::Values;
use crate::{Error, Result, Stage};
use base64::Engine as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// Where a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It is what runs.
    Deployed,
    /// It was removed, its history kept.
    Uninstalled,
    /// A newer revision replaced it.
    Superseded,
    /// It did not work out.
    Failed,
    /// It is being removed.
    Uninstalling,
    /// Its first installation is under way.
    PendingInstall,
    /// An upgrade to it is under way.
    PendingUpgrade,
    /// A rollback to it is under way.
    PendingRollback,
    /// Nobody knows.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Status {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Unknown => "unknown",
            Status::Deployed => "deployed",
            Status::Uninstalled => "uninstalled",
            Status::Superseded => "superseded",
            Status::Failed => "failed",
            Status::Uninstalling => "uninstalling",
            Status::PendingInstall => "pending-install",
            Status::PendingUpgrade => "pending-upgrade",
            Status::PendingRollback => "pending-rollback",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Status> {
        const ALL: [Status; 9] = [
            Status::Unknown,
            Status::Deployed,
            Status::Uninstalled,
            Status::Superseded,
            Status::Failed,
            Status::Uninstalling,
            Status::PendingInstall,
            Status::PendingUpgrade,
            Status::PendingRollback,
        ];
        ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether something is under way.
    pub fn is_pending(self) -> bool {
        matches!(self, Status::PendingInstall | Status::PendingUpgrade | Status::PendingRollback)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of one revision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// When the first revision was deployed, as RFC 3339; empty when never.
    #[serde(deserialize_with = "crate::chart::nullable_field")]
    pub first_deployed: String,
    /// When this one was.
    #[serde(deserialize_with = "crate::chart::nullable_field")]
    pub last_deployed: String,
    /// When it was removed.
    #[serde(deserialize_with = "crate::chart::nullable_field")]
    pub deleted: String,
    /// What happened, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it stands.
    pub status: Status,
    /// The rendered `NOTES.txt`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

/// One revision of a release, as Helm stores it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Release {
    /// The release's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What is known of it.
    pub info: Info,
    /// The chart (without its subcharts, as Helm stores it).
    pub chart: StoredChart,
    /// What the user set.
    #[serde(skip_serializing_if = "Values::is_empty")]
    pub config: Values,
    /// All manifests in one text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    /// The hooks.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::chart::nullable_field")]
    pub hooks: Vec<Hook>,
    /// The revision, from 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: u64,
    /// The namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// How its objects were written, where that was said: `ssa` or `csa`, as Helm 4 stores it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub apply_method: String,
    /// The user's own labels; they are kept on the Secret alone.
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
}

fn is_zero(version: &u64) -> bool {
    *version == 0
}

impl Release {
    /// `name-version` of the chart, as `helm list` shows it.
    pub fn chart_name(&self) -> String {
        let metadata = &self.chart.metadata;
        format!("{}-{}", metadata.name, metadata.version)
    }

    /// The manifests of the stored text, each with the template it came from.
    pub fn manifests(&self) -> Result<Vec<crate::Manifest>> {
        stored_manifests(&self.manifest)
    }
}

/// The manifests of a stored text. `# Source:` comments give the paths.
pub fn stored_manifests(text: &str) -> Result<Vec<crate::Manifest>> {
    let mut out = Vec::new();
    for document in crate::manifest::stored_documents(text) {
        let path = document.lines().find_map(|line| line.strip_prefix("# Source: ")).unwrap_or("manifest");
        let manifest = crate::Manifest::parse(path, document)?;
        if !manifest.object.is_null() {
            out.push(manifest);
        }
    }
    Ok(out)
}

/// A chart as a stored release holds it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredChart {
    /// `Chart.yaml`.
    pub metadata: Metadata,
    /// `Chart.lock`.
    pub lock: Option<Lock>,
    /// The templates.
    #[serde(serialize_with = "null_if_none", deserialize_with = "crate::chart::nullable_field")]
    pub templates: Vec<StoredFile>,
    /// `values.yaml`.
    pub values: Option<Values>,
    /// `values.schema.json`.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub schema: Option<Vec<u8>>,
    /// The other files.
    #[serde(serialize_with = "null_if_none", deserialize_with = "crate::chart::nullable_field")]
    pub files: Vec<StoredFile>,
}

/// A file of a [`StoredChart`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredFile {
    /// The path inside the chart.
    pub name: String,
    /// The bytes.
    #[serde(serialize_with = "bytes_to_base64", deserialize_with = "bytes_from_base64")]
    pub data: Vec<u8>,
}

impl From<&File> for StoredFile {
    fn from(file: &File) -> Self {
        StoredFile { name: file.name.clone(), data: file.data.to_vec() }
    }
}

impl From<&Chart> for StoredChart {
    fn from(chart: &Chart) -> Self {
        StoredChart {
            metadata: chart.metadata.clone(),
            lock: chart.lock.clone(),
            templates: chart.templates.iter().map(StoredFile::from).collect(),
            values: chart.values.clone(),
            schema: chart.schema.as_ref().map(|schema| schema.to_vec()),
            files: chart.files.iter().map(StoredFile::from).collect(),
        }
    }
}

impl From<&StoredChart> for Chart {
    fn from(stored: &StoredChart) -> Self {
        let file = |file: &StoredFile| File::new(file.name.clone(), file.data.clone());
        Chart {
            metadata: stored.metadata.clone(),
            lock: stored.lock.clone(),
            templates: stored.templates.iter().map(file).collect(),
            values: stored.values.clone(),
            schema: stored.schema.clone().map(Into::into),
            files: stored.files.iter().map(file).collect(),
            ..Chart::default()
        }
    }
}

/// Go writes a list that was never begun as null.
fn null_if_none<S: Serializer>(files: &[StoredFile], serializer: S) -> Result<S::Ok, S::Error> {
    if files.is_empty() { serializer.serialize_none() } else { files.serialize(serializer) }
}

fn bytes_to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(bytes))
}

fn bytes_from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    from_base64(deserializer).map(Option::unwrap_or_default)
}

fn to_base64<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => bytes_to_base64(bytes, serializer),
        None => serializer.serialize_none(),
    }
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let decode = |text: String| base64::engine::general_purpose::STANDARD.decode(text);
    text.map(decode).transpose().map_err(serde::de::Error::custom)
}

/// The longest name that leaves room for what charts append.
const MAX_NAME: usize = 53;

/// Says what is wrong with a release name, in Helm's words.
pub fn check_name(name: &str) -> Result<()> {
    let fail = |text: &str| Err(Error::new(Stage::Release, text));
    if name.is_empty() {
        return fail("no name provided");
    }
    if name.len() > MAX_NAME || !is_dns_name(name) {
        return fail(concat!(
            "invalid release name, must match regex ",
            r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            " and the length must not be longer than 53"
        ));
    }
    Ok(())
}

/// Lower-case letters, digits and dashes between dots, with no dash at either end of a part.
pub(crate) fn is_dns_name(name: &str) -> bool {
    name.split('.').all(|part| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
}
