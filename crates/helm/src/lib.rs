//! Helm charts and values to objects, and releases as data.
//!
//! Everything here is pure: a chart is made from bytes ([`Chart::from_files`], [`Chart::from_archive`]),
//! what templates ask of the outside goes through a [`World`], and a release is data that the caller
//! stores. Output, order and error texts are those of Helm 3.
//!
//! ```
//! use helm::{Chart, NoCluster, RenderOptions, TemplateOptions, Values};
//! let files = [
//!     ("Chart.yaml", "apiVersion: v2\nname: hello\nversion: 0.1.0\n"),
//!     ("values.yaml", "greeting: Hi\n"),
//!     ("templates/cm.yaml", "kind: ConfigMap\ndata: {text: {{ .Values.greeting }}}\n"),
//! ];
//! let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into();
//! let chart = Chart::from_files(files)?;
//! let mut values = Values::new();
//! values.set("greeting=Hello")?;
//! let world = NoCluster::new(jiff::Timestamp::UNIX_EPOCH, [0; 32]);
//! let rendered = helm::render(&chart, &values, &RenderOptions::default(), &world)?;
//! let text = rendered.to_template(&TemplateOptions::default())?;
//! assert!(text.ends_with("kind: ConfigMap\ndata: {text: Hello}\n"));
//! # Ok::<(), helm::Error>(())
//! ```

pub mod capabilities;
pub mod chart;
mod dependencies;
mod engine;
mod error;
mod gojson;
pub mod lint;
pub mod manifest;
mod path;
pub mod provenance;
pub mod release;
mod render;
pub mod repo;
mod schema;
pub mod values;
pub mod version;

pub use capabilities::{Capabilities, KubeVersion};
pub use chart::{Chart, Crd, Dependency, File, Metadata};
pub use dependencies::check_present;
pub use error::{Error, Result, Stage};
pub use gojson::go_json;
pub use gotemplate::Limits;
pub use manifest::Manifest;
pub use release::{Event, Hook, Release, Status};
pub use render::{
    NoCluster, RenderOptions, Rendered, TemplateOptions, World, check_installable, computed_values,
    fill_random, release_name, render, stored_chart, template_text,
};
pub use values::Values;
