//! Times.
/// A `time.Time`.
pub struct Time;
impl Time { pub(crate) fn rfc3339_nano(&self) -> String { String::new() } }
