//! CustomResourceDefinitions: their own defaulting and validation, and what they say about their objects.

mod definition;
pub(crate) mod format;
mod judge;
mod rules;
mod schemas;
mod structural;
mod validate;

use object::Value;

use crate::FieldError;

pub use definition::default_definition;
pub use judge::validate_definition;
pub use structural::Structural;

/// A CustomResourceDefinition, read.
#[derive(Debug, Clone)]
pub struct Crd {
    /// `spec.group`.
    pub group: String,
    /// Plural name.
    pub plural: String,
    /// Singular name.
    pub singular: String,
    /// Kind.
    pub kind: String,
    /// Kind of lists.
    pub list_kind: String,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Whether objects are in namespaces.
    pub namespaced: bool,
    /// Whether unknown fields are kept everywhere.
    pub preserve_unknown: bool,
    /// `Webhook` or `None`.
    pub conversion: String,
    /// The versions in the order of the object.
    pub versions: Vec<Version>,
}

/// A version of a [`Crd`].
#[derive(Debug, Clone)]
pub struct Version {
    /// Name.
    pub name: String,
    /// Whether requests may use it.
    pub served: bool,
    /// Whether objects are stored in it.
    pub storage: bool,
    /// Whether it is deprecated.
    pub deprecated: bool,
    /// The warning to answer with when it is deprecated; without one, servers make their own.
    pub deprecation_warning: Option<String>,
    /// Whether there is a `status` subresource.
    pub status: bool,
    /// The `scale` subresource.
    pub scale: Option<Scale>,
    /// Columns of tables, besides the name.
    pub columns: Vec<Column>,
    /// JSON paths that field selectors may use.
    pub selectable_fields: Vec<String>,
    /// The type of its objects.
    pub structural: Structural,
}

/// Paths of the scale subresource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// JSON path of the wanted replicas.
    pub spec_replicas: String,
    /// JSON path of the replicas there are.
    pub status_replicas: String,
    /// JSON path of the label selector, when there is one.
    pub label_selector: Option<String>,
}

/// A printer column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean`, `date`.
    pub column_type: String,
    /// Format, may be empty.
    pub format: String,
    /// Description, may be empty.
    pub description: String,
    /// 0 = always shown.
    pub priority: i64,
    /// JSON path.
    pub json_path: String,
}

impl Crd {
    /// Reads a (defaulted) CustomResourceDefinition.
    ///
    /// # Errors
    /// When it is none, or its schemas are not structural.
    pub fn parse(definition: &Value) -> Result<Crd, Vec<FieldError>> {
        definition::parse(definition)
    }

    /// The version with this name.
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// The version that objects are stored in.
    pub fn storage_version(&self) -> Option<&Version> {
        self.versions.iter().find(|version| version.storage)
    }
}
