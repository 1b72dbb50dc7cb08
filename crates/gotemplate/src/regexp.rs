//! Go's regular expressions.
pub(crate) struct Regexp;
