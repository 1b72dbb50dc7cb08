//! Go strings: byte strings that are nearly always UTF-8.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// From how many bytes on a text is not copied once more to be shared.
const LONG: usize = 1 << 16;

/// A Go string. Cloning is a reference count, an atomic one: parsed templates hold strings and are made on
/// several threads.
///
/// Text that is valid UTF-8 is held as such; anything else (the bytes of an image, a rune cut in two by
/// `trunc`) is kept byte for byte in the second form, so that it survives `b64enc`.
#[derive(Clone)]
pub enum Str {
    /// Valid UTF-8.
    Text(Arc<str>),
    /// The same, of a length at which a copy is dear: the text as it was made.
    Long(Arc<String>),
    /// Bytes that are not valid UTF-8.
    Raw(Arc<[u8]>),
}

impl Str {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Str::Text(text) => text.as_bytes(),
            Str::Long(text) => text.as_bytes(),
            Str::Raw(bytes) => bytes,
        }
    }

    /// The text; bytes that are no UTF-8 become U+FFFD.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Str::Text(text) => Cow::Borrowed(text),
            Str::Long(text) => Cow::Borrowed(text),
            Str::Raw(bytes) => String::from_utf8_lossy(bytes),
        }
    }

    /// The length in bytes, as Go's `len`.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether it is the empty string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Str::Text(Arc::from(text))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        if text.len() < LONG { Str::Text(Arc::from(text)) } else { Str::Long(Arc::new(text)) }
    }
}

impl From<Cow<'_, str>> for Str {
    fn from(text: Cow<'_, str>) -> Self {
        Str::Text(Arc::from(text))
    }
}

impl From<Arc<str>> for Str {
    fn from(text: Arc<str>) -> Self {
        Str::Text(text)
    }
}

impl From<&[u8]> for Str {
    fn from(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Str::Text(Arc::from(text)),
            Err(_) => Str::Raw(Arc::from(bytes)),
        }
    }
}

impl From<Vec<u8>> for Str {
    fn from(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(error) => Str::Raw(Arc::from(error.into_bytes())),
        }
    }
}

impl PartialEq for Str {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Str {}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Str {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl Borrow<[u8]> for Str {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_text())
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}
