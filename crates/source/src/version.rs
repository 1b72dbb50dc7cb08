//! Choosing a version in a range.
