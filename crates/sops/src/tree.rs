//! A file's content in its order, comments included, and the walk over it that decrypts and authenticates.

use regex::Regex;
use sha2::{Digest, Sha512};

use crate::metadata::{Metadata, Rule};
use crate::{Error, cipher};

/// What stands at the end of a path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Leaf {
    Text(String),
    /// A text that is no UTF-8.
    Bytes(Vec<u8>),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// A time stamp as it was written.
    Time(String),
    Comment(String),
}

/// A comment keeps whether it stood behind something on its line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Field(String, Value),
    Comment { text: String, inline: bool },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    Value(Value),
    Comment { text: String, inline: bool },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Leaf(Leaf),
    Map(Vec<Item>),
    List(Vec<Entry>),
}

/// A document: its fields and comments.
pub(crate) type Document = Vec<Item>;

/// Go's `strconv.FormatFloat(value, 'f', -1, 64)`.
pub(crate) fn plain_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    format!("{value}")
}

/// Go's `strconv.FormatFloat(value, 'g', -1, 64)`.
pub(crate) fn short_float(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return plain_float(value) };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
        _ => plain_float(value),
    }
}

/// What the first bytes of a MAC over encrypted values only are: the SHA-256 of `sops`.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b,
    0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

struct Walk<'a> {
    rule: &'a Rule,
    key: &'a [u8],
    only_encrypted: bool,
    mac: Sha512,
    path: Vec<String>,
    /// The comments in force, a list for each level.
    comments: Vec<Vec<String>>,
}

/// Decrypts all documents in place; the MAC of what they hold.
pub(crate) fn decrypt(documents: &mut [Document], metadata: &Metadata, key: &[u8]) -> Result<String, Error> {
    let mut walk = Walk {
        rule: &metadata.rule,
        key,
        only_encrypted: metadata.mac_only_encrypted,
        mac: Sha512::new(),
        path: Vec::new(),
        comments: Vec::new(),
    };
    if walk.only_encrypted {
        walk.mac.update(ONLY_ENCRYPTED);
    }
    for document in documents {
        walk.fields(document)?;
    }
    Ok(hex::encode_upper(walk.mac.finalize()))
}

impl Walk<'_> {
    fn fields(&mut self, items: &mut [Item]) -> Result<(), Error> {
        self.comments.push(Vec::new());
        for item in items {
            match item {
                Item::Comment { text, inline } => self.comment(text, inline),
                Item::Field(key, value) => {
                    self.path.push(key.clone());
                    self.value(value)?;
                    self.path.pop();
                    self.forget();
                }
            }
        }
        self.comments.pop();
        Ok(())
    }

    fn entries(&mut self, entries: &mut Vec<Entry>) -> Result<(), Error> {
        self.comments.push(Vec::new());
        for entry in entries {
            match entry {
                Entry::Comment { text, inline } => self.comment(text, inline),
                Entry::Value(value) => {
                    self.value(value)?;
                    self.forget();
                    // A comment inside of a list is encrypted as if it were a value.
                    if let Value::Leaf(Leaf::Comment(text)) = value {
                        *entry = Entry::Comment { text: std::mem::take(text), inline: false };
                    }
                }
            }
        }
        self.comments.pop();
        Ok(())
    }

    fn forget(&mut self) {
        if let Some(last) = self.comments.last_mut() {
            last.clear();
        }
    }

    /// A comment that does not decrypt was written by hand, or by an old version. One that does has lost its
    /// place behind a value.
    fn comment(&mut self, text: &mut String, inline: &mut bool) {
        if let Some(last) = self.comments.last_mut() {
            last.push(text.clone());
        }
        if !self.rule.encrypts(&self.path, &self.comments, true) {
            return;
        }
        if let Ok(Leaf::Comment(plain) | Leaf::Text(plain)) = cipher::decrypt(text, self.key, &self.bound()) {
            *text = plain;
            *inline = false;
        }
    }

    /// What a value is bound to: its path.
    fn bound(&self) -> String {
        format!("{}:", self.path.join(":"))
    }

    fn value(&mut self, value: &mut Value) -> Result<(), Error> {
        match value {
            Value::Null => Ok(()),
            Value::Map(items) => self.fields(items),
            Value::List(entries) => self.entries(entries),
            Value::Leaf(leaf) => self.leaf(leaf),
        }
    }

    fn leaf(&mut self, leaf: &mut Leaf) -> Result<(), Error> {
        let encrypted = self.rule.encrypts(&self.path, &self.comments, false);
        if encrypted {
            let wrong = |why: String| Error::Value { path: self.path.join("."), why };
            let Leaf::Text(text) = &*leaf else {
                return Err(wrong("an encrypted value is a string; this one is not".into()));
            };
            *leaf = cipher::decrypt(text, self.key, &self.bound()).map_err(wrong)?;
        }
        if encrypted || !self.only_encrypted {
            match leaf {
                Leaf::Text(text) | Leaf::Time(text) => self.mac.update(text.as_bytes()),
                Leaf::Bytes(bytes) => self.mac.update(bytes),
                Leaf::Int(number) => self.mac.update(number.to_string()),
                Leaf::Float(number) => self.mac.update(plain_float(*number)),
                Leaf::Bool(yes) => self.mac.update(if *yes { "True" } else { "False" }),
                Leaf::Comment(_) => {}
            }
        }
        Ok(())
    }
}

impl Rule {
    /// Is what stands at this path, below these comments, encrypted?
    fn encrypts(&self, path: &[String], comments: &[Vec<String>], is_comment: bool) -> bool {
        let any = |pattern: &Regex| path.iter().any(|part| pattern.is_match(part));
        match self {
            Rule::UnencryptedSuffix(suffix) => !path.iter().any(|part| part.ends_with(suffix)),
            Rule::EncryptedSuffix(suffix) => path.iter().any(|part| part.ends_with(suffix)),
            Rule::UnencryptedRegex(pattern) => !any(pattern),
            Rule::EncryptedRegex(pattern) => any(pattern),
            Rule::UnencryptedComment(pattern) => {
                !comments.iter().flatten().any(|text| pattern.is_match(text))
            }
            Rule::EncryptedComment(pattern) => {
                // The line that asks for encryption is itself left readable.
                let own = if is_comment { comments.last().map_or(0, |last| last.len()) } else { 0 };
                comments.iter().enumerate().any(|(level, lines)| {
                    let lines = match (level + 1 == comments.len(), own) {
                        (true, own) if own > 0 => lines.get(..own - 1).unwrap_or_default(),
                        _ => lines.as_slice(),
                    };
                    lines.iter().any(|text| pattern.is_match(text))
                })
            }
        }
    }
}
