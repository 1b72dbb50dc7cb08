//! Go's text/template and the sprig functions.
