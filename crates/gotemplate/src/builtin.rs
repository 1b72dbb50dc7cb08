//! Go's own template functions.
use crate::func::Function;
pub(crate) fn functions() -> Vec<Function> { Vec::new() }
