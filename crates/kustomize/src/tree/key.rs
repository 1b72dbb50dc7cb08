//! Names of fields.

use super::resolved_tag;
use std::ops::Deref;

/// A field's name. Fields are found by its text alone; what decides whether an object that has it can be printed
/// as JSON is how it was written.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    text: Box<str>,
    kind: KeyKind,
}

/// How a field's name was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// Without quotes, or by Kustomize itself: the text decides whether it is a string.
    Plain,
    /// In quotes: a string.
    Quoted,
    /// With the tag of a string.
    Tagged,
    /// With another tag.
    Other,
    /// A list or a mapping.
    Collection,
}

impl Key {
    pub fn new(text: impl Into<Box<str>>, kind: KeyKind) -> Key {
        Key { text: text.into(), kind }
    }

    /// A name that is a string whatever it looks like.
    pub fn string(text: impl Into<Box<str>>) -> Key {
        Key::new(text, KeyKind::Quoted)
    }

    /// The name that a node of yaml's is.
    pub fn of(node: &yaml::Node) -> Key {
        let quoted = !matches!(node.style, yaml::Style::Plain | yaml::Style::Flow);
        let kind = match node.tag.as_str() {
            _ if node.kind != yaml::Kind::Scalar => KeyKind::Collection,
            "" | "!!str" if quoted => KeyKind::Quoted,
            tag if node.tagged => {
                if tag == "!!str" {
                    KeyKind::Tagged
                } else {
                    KeyKind::Other
                }
            }
            _ => KeyKind::Plain,
        };
        Key::new(node.value.as_str(), kind)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The name in another mapping, which takes over its quotes but not its tag.
    pub fn copied(mut self) -> Key {
        if self.kind != KeyKind::Quoted {
            self.kind = KeyKind::Plain;
        }
        self
    }

    /// What it is instead of a string, in words.
    pub fn not_a_string(&self) -> Option<&'static str> {
        match self.kind {
            KeyKind::Quoted | KeyKind::Tagged => None,
            KeyKind::Other => Some("not a string"),
            KeyKind::Collection => Some("a list or a mapping"),
            KeyKind::Plain => match resolved_tag(&self.text).as_str() {
                "!!str" => None,
                "!!null" => Some("null"),
                "!!bool" => Some("a boolean"),
                "!!int" | "!!float" => Some("a number"),
                "!!timestamp" => Some("a time"),
                _ => Some("not a string"),
            },
        }
    }

    /// Is it a null when it is read again?
    pub fn is_null(&self) -> bool {
        self.kind == KeyKind::Plain && self.not_a_string() == Some("null")
    }
}

impl Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.text == other.text
    }
}

impl Eq for Key {}

impl PartialEq<str> for Key {
    fn eq(&self, other: &str) -> bool {
        *self.text == *other
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        Key::new(text, KeyKind::Plain)
    }
}

impl From<String> for Key {
    fn from(text: String) -> Key {
        Key::new(text, KeyKind::Plain)
    }
}
