//! Git, OCI, chart repositories and folders to immutable trees.
