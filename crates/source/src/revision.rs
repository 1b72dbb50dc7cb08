//! Revisions as Flux writes them: `main@sha1:…`, `v1@sha1:…`, `latest@sha256:…`, `sha256:…`, `6.14.0`.

use std::fmt;

/// The identity of an artifact's content: a name that was asked for (branch, tag, ref, chart version), a
/// digest, or both; and for a working copy the mark that it holds more than the commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Revision {
    /// Branch, tag, full ref name, or the version of a chart. Empty when only the digest identifies it.
    pub name: String,
    /// `sha1:<hex>` or `sha256:<hex>`. Empty for chart versions.
    pub digest: String,
    /// The short digest of a working copy that differs from its commit.
    pub dirty: Option<String>,
}

/// Separates the commit from the mark of uncommitted content.
const DIRTY: &str = "-dirty.";

impl Revision {
    /// A revision of a name and a digest (`algorithm:hex`); either may be empty.
    pub fn new(name: impl Into<String>, digest: impl Into<String>) -> Self {
        Revision { name: name.into(), digest: digest.into(), dirty: None }
    }

    /// The same revision, marked as holding uncommitted content with this digest.
    pub fn with_dirty(mut self, content: &str) -> Self {
        let hex = content.rsplit(':').next().unwrap_or(content);
        self.dirty = Some(hex.chars().take(12).collect());
        self
    }

    /// Reads any form Flux has written, the old `main/<sha>` included.
    pub fn parse(text: &str) -> Self {
        let (text, dirty) = match text.split_once(DIRTY) {
            Some((head, mark)) => (head, Some(mark.to_string())),
            None => (text, None),
        };
        let (name, digest) = split(text);
        Revision { name: name.to_string(), digest, dirty }
    }

    /// The hex digits alone: the commit for Git.
    pub fn hex(&self) -> &str {
        self.digest.rsplit(':').next().unwrap_or("")
    }

    /// Whether it names a working copy with uncommitted content.
    pub fn is_dirty(&self) -> bool {
        self.dirty.is_some()
    }
}

fn split(text: &str) -> (&str, String) {
    if let Some((name, digest)) = text.rsplit_once('@')
        && is_digest(digest)
    {
        return (name, digest.to_string());
    }
    if is_digest(text) {
        return ("", text.to_string());
    }
    let (name, hex) = text.rsplit_once('/').unwrap_or(("", text));
    if (hex.len() == 40 || hex.len() == 64) && is_hex(hex) {
        let algorithm = if hex.len() == 40 { "sha1" } else { "sha256" };
        return (name, format!("{algorithm}:{hex}"));
    }
    (text, String::new())
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        matches!(algorithm, "sha1" | "sha256" | "sha384" | "sha512") && !hex.is_empty() && is_hex(hex)
    })
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl fmt::Display for Revision {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.is_empty(), self.digest.is_empty()) {
            (false, false) => write!(out, "{}@{}", self.name, self.digest)?,
            (true, _) => out.write_str(&self.digest)?,
            (false, true) => out.write_str(&self.name)?,
        }
        match &self.dirty {
            Some(mark) => write!(out, "{DIRTY}{mark}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Revision;

    #[test]
    fn every_form_reads_and_prints() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        for (text, name, hex) in [
            (format!("main@sha1:{sha}"), "main", sha),
            (format!("refs/pull/4/head@sha1:{sha}"), "refs/pull/4/head", sha),
            (format!("sha1:{sha}"), "", sha),
            ("6.14.0".to_string(), "6.14.0", ""),
            ("1.0.0+abc".to_string(), "1.0.0+abc", ""),
        ] {
            let revision = Revision::parse(&text);
            assert_eq!((revision.name.as_str(), revision.hex()), (name, hex), "{text}");
            assert_eq!(revision.to_string(), text);
        }
        assert_eq!(Revision::parse(&format!("main/{sha}")).to_string(), format!("main@sha1:{sha}"));
        let dirty = Revision::new("main", format!("sha1:{sha}")).with_dirty("sha256:aabbccddeeff00112233");
        assert_eq!(dirty.to_string(), format!("main@sha1:{sha}-dirty.aabbccddeeff"));
        assert_eq!(Revision::parse(&dirty.to_string()), dirty);
    }
}
