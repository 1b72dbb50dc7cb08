//! A Kubernetes object as data: keys, values, patches, quantities, diagnostics.
