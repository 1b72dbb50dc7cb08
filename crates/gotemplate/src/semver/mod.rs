//! Versions and constraints as Masterminds/semver (Helm, sprig) reads them.

mod constraint;

use std::cmp::Ordering;
use std::fmt;

pub use constraint::Constraint;

/// The longest version that is read.
const MAX_LENGTH: usize = 256;

const INVALID: &str = "invalid semantic version";

/// A version. Equality is that of all parts; order leaves the metadata out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The major number.
    pub major: u64,
    /// The minor number.
    pub minor: u64,
    /// The patch number.
    pub patch: u64,
    /// The prerelease, without its dash.
    pub pre: String,
    /// The build metadata, without its plus.
    pub metadata: String,
    /// The text it was read from.
    pub original: String,
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        let reason = if text.is_empty() { "invalid syntax" } else { "value out of range" };
        format!("strconv.ParseUint: parsing {}: {reason}", crate::fmt::quote(text))
    })
}

/// What a lenient version is made of, as it stands there: numbers without dots, the rest without its mark.
#[derive(Default)]
struct Parts<'t> {
    numbers: [&'t str; 3],
    pre: &'t str,
    metadata: &'t str,
}

/// The first bytes that are `good`, and the rest.
fn run(text: &str, good: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !good(byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Up to three numbers with dots between them, a prerelease, metadata. `None` when nothing else may follow.
fn loose(text: &str) -> Option<Parts<'_>> {
    let mut parts = Parts::default();
    let (major, mut rest) = run(text.strip_prefix('v').unwrap_or(text), |byte| byte.is_ascii_digit());
    let [first, more @ ..] = &mut parts.numbers;
    *first = major;
    for part in more {
        if let Some(after) = rest.strip_prefix('.') {
            (*part, rest) = run(after, |byte| byte.is_ascii_digit());
            if part.is_empty() {
                return None;
            }
        }
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    for (mark, part) in [('-', &mut parts.pre), ('+', &mut parts.metadata)] {
        if let Some(after) = rest.strip_prefix(mark) {
            (*part, rest) = run(after, word);
            if !identifiers(part) {
                return None;
            }
        }
    }
    (!major.is_empty() && rest.is_empty()).then_some(parts)
}

impl Version {
    /// Reads a version leniently, as `semver.NewVersion` does: `v1.2` is 1.2.0.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("version string is too long (max {MAX_LENGTH} bytes)"));
        }
        let Some(parts) = loose(text) else {
            return Err(INVALID.to_owned());
        };
        let segment = |digits: &str| match digits {
            "" => Ok(0),
            digits => number(digits).map_err(|error| format!("error parsing version segment: {error}")),
        };
        let [major, minor, patch] = parts.numbers;
        let version = Version {
            major: segment(major)?,
            minor: segment(minor)?,
            patch: segment(patch)?,
            pre: parts.pre.to_owned(),
            metadata: parts.metadata.to_owned(),
            original: text.to_owned(),
        };
        check_prerelease(&version.pre)?;
        Ok(version)
    }

    /// Reads a version strictly, as `semver.StrictNewVersion` does.
    pub fn parse_strict(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("version string empty".to_owned());
        }
        if text.len() > MAX_LENGTH {
            return Err(format!("version string is too long (max {MAX_LENGTH} bytes)"));
        }
        let parts: Vec<&str> = text.splitn(3, '.').collect();
        let [major, minor, rest] = parts.as_slice() else {
            return Err(INVALID.to_owned());
        };
        let (rest, metadata) =
            rest.split_once('+').map_or((*rest, None), |(rest, extra)| (rest, Some(extra)));
        let (patch, pre) = rest.split_once('-').map_or((rest, None), |(rest, extra)| (rest, Some(extra)));
        if metadata.is_some_and(|metadata| !identifiers(metadata)) {
            return Err("invalid metadata string".to_owned());
        }
        match pre {
            Some("") => return Err("invalid prerelease string".to_owned()),
            Some(pre) => check_prerelease(pre)?,
            None => {}
        }
        for segment in [*major, *minor, patch] {
            if !segment.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err("invalid characters in version".to_owned());
            }
            if segment.len() > 1 && segment.starts_with('0') {
                return Err("version segment starts with 0".to_owned());
            }
        }
        Ok(Version {
            major: number(major)?,
            minor: number(minor)?,
            patch: number(patch)?,
            pre: pre.unwrap_or_default().to_owned(),
            metadata: metadata.unwrap_or_default().to_owned(),
            original: text.to_owned(),
        })
    }

    /// The order of versions: by numbers, then prereleases before releases; metadata does not count.
    pub fn compare(&self, other: &Self) -> Ordering {
        let numbers = (self.major, self.minor, self.patch).cmp(&(other.major, other.minor, other.patch));
        numbers.then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => compare_prerelease(&self.pre, &other.pre),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

fn identifiers(text: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.split('.').all(good)
}

fn check_prerelease(pre: &str) -> Result<(), String> {
    if pre.is_empty() {
        return Ok(());
    }
    if !identifiers(pre) {
        return Err("invalid prerelease string".to_owned());
    }
    let padded = |part: &str| {
        part.len() > 1 && part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if pre.split('.').any(padded) {
        return Err("version segment starts with 0".to_owned());
    }
    Ok(())
}

/// Part by part: numbers by value and before words; what is missing comes first.
fn compare_prerelease(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) if a == b => Ordering::Equal,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(x), Ok(y)) => x.cmp(&y),
                // As the original has it: a number against a word is less.
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}
