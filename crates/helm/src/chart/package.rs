//! From a [`Chart`] back to files and archives.

use super::{Chart, Dependency, File, Lock, Metadata, write_archive};
use crate::error::quote;
use crate::{Error, Result, Stage};
use sha2::{Digest, Sha256};

impl Metadata {
    /// `Chart.yaml` as Helm prints it.
    pub fn to_yaml(&self) -> String {
        serde_json::to_value(self).map(|value| yaml::to_string(&value)).unwrap_or_default()
    }

    /// `Chart.yaml` as Helm stores it: v1 charts keep their dependencies in a file of their own.
    fn stored_yaml(&self) -> String {
        match self.api_version == "v1" {
            true => Metadata { dependencies: Vec::new(), ..self.clone() }.to_yaml(),
            false => self.to_yaml(),
        }
    }
}

impl Lock {
    /// The lock file as Helm writes it.
    pub fn to_yaml(&self) -> String {
        serde_json::to_value(self).map(|value| yaml::to_string(&value)).unwrap_or_default()
    }

    /// The digest over what is declared and what is locked.
    pub fn digest_of(declared: &[Dependency], locked: &[Dependency]) -> Result<String> {
        let text = go_json(&(declared, locked))?;
        Ok(format!("sha256:{}", hex::encode(Sha256::digest(text))))
    }
}

/// JSON as Go writes it: `<`, `>` and `&` are escaped. Version constraints are full of them.
fn go_json<T: serde::Serialize>(value: &T) -> Result<String> {
    let text =
        serde_json::to_string(value).map_err(|error| Error::new(Stage::Dependencies, error.to_string()))?;
    Ok(text
        .replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029"))
}

impl Chart {
    /// The files of the packaged chart, by their path below the chart's folder, in the order of the archive.
    pub fn package_files(&self) -> Result<Vec<File>> {
        let mut out = Vec::new();
        self.add_files("", &mut out)?;
        Ok(out)
    }

    fn add_files(&self, prefix: &str, out: &mut Vec<File>) -> Result<()> {
        let name = self.name();
        if crate::path::base(name) != name {
            return Err(Error::new(Stage::Chart, format!("{} is not a valid chart name", quote(name))));
        }
        let mut add = |name: &str, data: &[u8]| out.push(File::new(format!("{prefix}{name}"), data));
        add("Chart.yaml", self.metadata.stored_yaml().as_bytes());
        if let Some(lock) = self.lock.as_ref().filter(|_| self.metadata.api_version == "v2") {
            add("Chart.lock", lock.to_yaml().as_bytes());
        }
        if let Some(values) = self.raw_file("values.yaml") {
            add("values.yaml", &values.data);
        }
        if let Some(schema) = &self.schema {
            if serde_json::from_slice::<serde::de::IgnoredAny>(schema).is_err() {
                return Err(Error::new(Stage::Chart, "Invalid JSON in values.schema.json"));
            }
            add("values.schema.json", schema);
        }
        for file in self.templates.iter().chain(&self.files) {
            add(&file.name, &file.data);
        }
        for child in &self.dependencies {
            child.add_files(&format!("{prefix}charts/{}/", child.name()), out)?;
        }
        Ok(())
    }

    /// The packaged chart: its file name and its bytes. Every entry carries `mtime` (Unix seconds).
    pub fn package(&self, mtime: u64) -> Result<(String, Vec<u8>)> {
        self.metadata.clone().validate().map_err(|error| error.wrap("chart validation"))?;
        let bytes = write_archive(self.name(), &self.package_files()?, mtime)?;
        Ok((format!("{}.tgz", self.full_name()), bytes))
    }
}
