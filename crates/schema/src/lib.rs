//! Types of Kubernetes and of custom resources: defaulting, pruning, validation, list types.
