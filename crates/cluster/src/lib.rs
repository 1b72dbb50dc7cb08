//! What the engine needs of a cluster: discovery, a watch-fed store, apply.
