//! The disk as a world for kustomizations.

use kustomize::{World, WorldError};
use std::path::Path;

/// The file system, from its root.
pub struct Disk;

fn failed(error: std::io::Error) -> WorldError {
    match error.kind() {
        std::io::ErrorKind::NotFound => WorldError::NotFound,
        _ => WorldError::Failed(error.to_string()),
    }
}

impl World for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, WorldError> {
        std::fs::read(path).map_err(failed)
    }
    fn is_dir(&self, path: &str) -> bool {
        Path::new(path).is_dir()
    }
    fn is_file(&self, path: &str) -> bool {
        Path::new(path).is_file()
    }
    fn list_dir(&self, path: &str) -> Result<Vec<String>, WorldError> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
    fn resolve(&self, path: &str) -> Result<String, WorldError> {
        std::fs::canonicalize(path).map(|path| path.to_string_lossy().into_owned()).map_err(failed)
    }
}
