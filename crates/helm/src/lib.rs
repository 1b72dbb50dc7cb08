//! Helm charts and values to objects, and releases as data.
