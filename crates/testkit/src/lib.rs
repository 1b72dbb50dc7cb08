//! What the tests of every crate share: finding and unpacking the peers' suites.
//!
//! The suites stand beside the checkout in `../shared` (or where `LANDFALL_SHARED` points). A test that
//! needs them calls [`shared`] first: on a machine without them it is skipped by name, in CI
//! (`CI=true`) it fails, so that a missing folder can never look like a pass.

pub mod http;
pub mod kube;
pub mod remotes;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The folder or file `path` below the shared folder, or `None` (after saying so) when it is not there.
///
/// # Panics
/// In CI, when it is missing.
pub fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("LANDFALL_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let full = root.join(path);
    if full.exists() {
        return Some(full);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing: CI needs the shared suites", full.display());
    let thread = std::thread::current();
    eprintln!("skipped {}: {} is not here", thread.name().unwrap_or("test"), full.display());
    None
}

/// The regular files of a `.tar.zst`, by path, in order.
///
/// # Panics
/// When the archive cannot be read: it is test data.
pub fn untar_zst(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(reader_zst(path));
    let mut files = BTreeMap::new();
    for entry in archive.entries().expect("a tar archive") {
        let mut entry = entry.expect("an entry");
        if entry.header().entry_type().is_file() {
            let name = entry.path().expect("a path").to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("contents");
            files.insert(name, bytes);
        }
    }
    files
}

/// Unpacks a `.tar.zst` into `target`.
///
/// # Panics
/// When it cannot: it is test data.
pub fn unpack_zst(path: &Path, target: &Path) {
    tar::Archive::new(reader_zst(path)).unpack(target).expect("unpacks");
}

/// The lines of a `.jsonl.zst`, each parsed.
///
/// # Panics
/// When it is not JSON lines: it is test data.
pub fn jsonl_zst(path: &Path) -> Vec<serde_json::Value> {
    let mut text = String::new();
    reader_zst(path).read_to_string(&mut text).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

fn reader_zst(path: &Path) -> impl Read + use<> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    zstd::Decoder::new(file).expect("zstd")
}
