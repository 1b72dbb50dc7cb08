//! The embedded Kubernetes API: storage, admission, discovery, watch.
