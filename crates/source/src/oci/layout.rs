//! An OCI image layout on disk: a registry's content as a folder.

use crate::{Error, Result};
use object::Value;
use std::path::{Path, PathBuf};

/// The annotation that holds a manifest's tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A folder with `oci-layout`, `index.json` and `blobs/`.
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Whether the folder is one.
    pub(super) fn is_at(root: &Path) -> bool {
        root.join("oci-layout").is_file() && root.join("index.json").is_file()
    }

    pub(super) fn open(root: &Path) -> Self {
        Layout { root: root.to_path_buf() }
    }

    fn index(&self) -> Result<Vec<(String, String)>> {
        let path = self.root.join("index.json");
        let bytes = std::fs::read(&path).map_err(|error| Error::io(&path, error))?;
        let index: Value = serde_json::from_slice(&bytes).map_err(|error| Error::io(&path, error))?;
        let entries = index.get("manifests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok(entries
            .iter()
            .filter_map(|entry| {
                let tag = entry.get("annotations").and_then(|all| all.get(REF_NAME)).and_then(Value::as_str);
                let tag = tag.map(|tag| tag.rsplit(':').next().unwrap_or(tag)).unwrap_or_default();
                Some((tag.to_string(), entry.get("digest")?.as_str()?.to_string()))
            })
            .collect())
    }

    pub(super) fn tags(&self) -> Result<Vec<String>> {
        Ok(self.index()?.into_iter().map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).collect())
    }

    pub(super) fn manifest(&self, reference: &str) -> Result<Vec<u8>> {
        if reference.starts_with("sha256:") {
            return self.blob(reference);
        }
        let index = self.index()?;
        let digest = index.iter().find(|(tag, _)| tag == reference).map(|(_, digest)| digest.clone());
        let digest = digest.ok_or_else(|| {
            let tags: Vec<String> = index.into_iter().map(|(tag, _)| tag).collect();
            let list = crate::git::read::have("tags", &tags);
            Error::NotFound(format!("{}: has no {reference}{list}", self.root.display()))
        })?;
        self.blob(&digest)
    }

    pub(super) fn blob(&self, digest: &str) -> Result<Vec<u8>> {
        let hex =
            digest.strip_prefix("sha256:").filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let hex = hex.ok_or_else(|| Error::Refused(format!("digest {digest:?} is not sha256")))?;
        let path = self.root.join("blobs/sha256").join(hex);
        std::fs::read(&path).map_err(|error| Error::io(&path, error))
    }
}
