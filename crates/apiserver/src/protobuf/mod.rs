//! Kubernetes' protobuf: what clients of built-in types may send and get instead of JSON.
//!
//! Field numbers, names and types are data ([`table`]); [`decode`] and [`encode`] know the wire format and the few types that
//! JSON writes differently. Whatever is kept and computed here is JSON; protobuf is a form of requests and answers.

mod decode;
mod encode;
mod table;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::{List, envelope, event_frame};

/// The media type of one object.
pub const MEDIA: &str = "application/vnd.kubernetes.protobuf";
/// The media type of a watch.
pub const MEDIA_WATCH: &str = "application/vnd.kubernetes.protobuf;stream=watch";
/// What every envelope starts with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages inside messages.
const MAX_DEPTH: usize = 64;

/// Whether objects of a kind can be written so.
pub fn is_known(api_version: &str, kind: &str) -> bool {
    table::find(api_version, kind).is_some()
}
