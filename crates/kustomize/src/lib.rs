//! Kustomizations and files to objects.
