//! What a source may cost at most.

/// Bounds on what is read from anywhere; every one that is hit is an error or a marked file, never a silent cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file. A larger file stays listed in the tree, and reading it is the error, so that a big
    /// picture does not stop the manifests beside it.
    pub file_bytes: u64,
    /// Bytes of all files together.
    pub total_bytes: u64,
    /// Files and folders.
    pub entries: usize,
    /// Folders inside folders.
    pub depth: usize,
    /// Bytes of one download (archive, index, layer).
    pub download_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            file_bytes: 32 << 20,
            total_bytes: 1 << 30,
            entries: 500_000,
            depth: 128,
            download_bytes: 512 << 20,
        }
    }
}
