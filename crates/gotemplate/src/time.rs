//! Times.
use std::rc::Rc;
use crate::func::Function;
use crate::value::IntType;
/// A `time.Time`.
#[derive(PartialEq)]
pub struct Time;
impl Time { pub(crate) fn rfc3339_nano(&self) -> String { String::new() } }
impl std::fmt::Display for Time { fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { Ok(()) } }
pub(crate) fn method(_: &Rc<Time>, _: &str) -> Option<Rc<Function>> { None }
pub(crate) fn int_method(_: i64, _: IntType, _: &str) -> Option<Rc<Function>> { None }
pub(crate) fn int_string(_: i64, _: IntType) -> Option<String> { None }
