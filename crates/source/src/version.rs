//! Choosing a version in a range, by the rules of Masterminds/semver, which Flux and Helm use.

use crate::{Error, Result};
use std::cmp::Ordering;

/// A version: `v` in front, missing minor and patch are tolerated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    numbers: [u64; 3],
    pre: Vec<String>,
    build: String,
}

/// The highest of `texts` in the range, as it was written. Texts that are no versions are passed over; of
/// equal versions the one with the later build text wins.
pub fn best<'a>(range: &str, texts: impl Iterator<Item = &'a str>) -> Result<Option<&'a str>> {
    let range = Range::parse(range)?;
    let versions = texts.filter_map(|text| Some((Version::parse(text)?, text)));
    Ok(versions
        .filter(|(version, _)| range.contains(version))
        .max_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(b.1)))
        .map(|(_, text)| text))
}

/// Orders version texts, newest first, those that are none last.
pub fn newest_first(a: &str, b: &str) -> Ordering {
    match (Version::parse(a), Version::parse(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => b.cmp(a),
    }
}

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = text.split_once('+').unwrap_or((text, ""));
        let (numbers, pre) = match text.split_once('-') {
            Some((numbers, pre)) => (numbers, pre.split('.').map(String::from).collect()),
            None => (text, Vec::new()),
        };
        let identifier = |part: &String| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !pre.iter().all(identifier)
            || (!build.is_empty() && !build.split('.').all(|part| identifier(&part.to_string())))
        {
            return None;
        }
        let mut found = [0; 3];
        let parts: Vec<&str> = numbers.split('.').collect();
        if parts.len() > 3 {
            return None;
        }
        for (slot, part) in found.iter_mut().zip(&parts) {
            if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            *slot = part.parse().ok()?;
        }
        Some(Version { numbers: found, pre, build: build.to_string() })
    }

    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => pre_order(&self.pre, &other.pre),
        })
    }
}

fn pre_order(a: &[String], b: &[String]) -> Ordering {
    for (left, right) in a.iter().zip(b) {
        let order = match (left.parse::<u64>(), right.parse::<u64>()) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => left.cmp(right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Alternatives (`||`) of comparisons that must all hold.
struct Range {
    any: Vec<Vec<Bound>>,
}

struct Bound {
    operator: Operator,
    version: Version,
    /// How many of major, minor, patch were written as numbers.
    given: usize,
    /// Whether a wildcard or a missing part makes it a pattern.
    open: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Tilde,
    Caret,
}

impl Range {
    fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::Invalid(format!("{text:?} is not a range of versions"));
        let mut any = Vec::new();
        for part in text.split("||") {
            any.push(bounds(&hyphens(part)).ok_or_else(wrong)?);
        }
        Ok(Range { any })
    }

    fn contains(&self, version: &Version) -> bool {
        self.any.iter().any(|all| all.iter().all(|bound| bound.holds(version)))
    }
}

/// `1.2 - 2.3` as `>=1.2 <=2.3`.
fn hyphens(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [low, "-", high] => format!(">={low} <={high}"),
        _ => text.to_string(),
    }
}

fn bounds(text: &str) -> Option<Vec<Bound>> {
    let mut rest = text.trim().trim_matches(',').trim();
    if rest.is_empty() {
        rest = "*";
    }
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (operator, tail) = operator(rest);
        let tail = tail.trim_start();
        let end = tail.find([',', ' ', '<', '>', '=', '!', '~', '^']).unwrap_or(tail.len());
        let (word, after) = tail.split_at_checked(end)?;
        all.push(Bound::parse(operator, word)?);
        rest = after.trim_start_matches([',', ' ']);
    }
    Some(all)
}

fn operator(text: &str) -> (Operator, &str) {
    for (sign, operator) in [
        ("!=", Operator::NotEqual),
        (">=", Operator::GreaterEqual),
        ("=>", Operator::GreaterEqual),
        ("<=", Operator::LessEqual),
        ("=<", Operator::LessEqual),
        ("~>", Operator::Tilde),
        (">", Operator::Greater),
        ("<", Operator::Less),
        ("~", Operator::Tilde),
        ("^", Operator::Caret),
        ("=", Operator::Equal),
    ] {
        if let Some(rest) = text.strip_prefix(sign) {
            return (operator, rest);
        }
    }
    (Operator::Equal, text)
}

impl Bound {
    fn parse(operator: Operator, word: &str) -> Option<Self> {
        let bare = word.strip_prefix('v').unwrap_or(word);
        let head = bare.split(['-', '+']).next().unwrap_or(bare);
        let parts: Vec<&str> = head.split('.').collect();
        let wild = |part: &&str| matches!(*part, "x" | "X" | "*");
        let given = parts.iter().take_while(|part| !wild(part)).count();
        if parts.len() > 3 || parts.iter().skip(given).any(|part| !wild(part)) {
            return None;
        }
        let numbers = parts.iter().take(given).copied().collect::<Vec<_>>().join(".");
        let suffix = bare.get(head.len()..).unwrap_or_default();
        let version = if given == 0 {
            Version::parse("0.0.0")?
        } else {
            Version::parse(&format!("{numbers}{suffix}"))?
        };
        Some(Bound { operator, version, given, open: given < 3 })
    }

    fn holds(&self, version: &Version) -> bool {
        // A pre-release counts only for a bound that names one.
        if !version.pre.is_empty() && self.version.pre.is_empty() {
            return false;
        }
        let order = version.cmp(&self.version);
        match self.operator {
            Operator::Equal if self.open => self.same(version, self.given),
            Operator::Equal => {
                order == Ordering::Equal
                    && (self.version.build.is_empty() || self.version.build == version.build)
            }
            Operator::NotEqual if self.open => !self.same(version, self.given),
            Operator::NotEqual => order != Ordering::Equal,
            Operator::Greater if self.open => order == Ordering::Greater && !self.same(version, self.given),
            Operator::Greater => order == Ordering::Greater,
            Operator::GreaterEqual => order != Ordering::Less,
            Operator::Less => order == Ordering::Less,
            Operator::LessEqual if self.open => order != Ordering::Greater || self.same(version, self.given),
            Operator::LessEqual => order != Ordering::Greater,
            Operator::Tilde => order != Ordering::Less && self.same(version, self.given.clamp(0, 2)),
            Operator::Caret => order != Ordering::Less && self.same(version, self.caret()),
        }
    }

    /// The left-most number that is not zero must stay.
    fn caret(&self) -> usize {
        let [major, minor, _] = self.version.numbers;
        match (major, minor) {
            _ if self.given == 0 => 0,
            (1.., _) => 1,
            (0, 1..) => 2,
            (0, 0) => self.given,
        }
    }

    fn same(&self, version: &Version, count: usize) -> bool {
        version.numbers.iter().zip(&self.version.numbers).take(count).all(|(a, b)| a == b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, version, expected) in [
            ("*", "1.2.3", true),
            ("", "1.2.3", true),
            ("*", "1.2.3-rc.1", false),
            (">=0.0.0-0", "1.2.3-rc.1", true),
            ("1.2.3", "v1.2.3", true),
            ("1.2.3", "1.2.4", false),
            ("1.2", "1.2.9", true),
            ("1.x", "1.9.0", true),
            ("1.x", "2.0.0", false),
            ("^1.2", "1.9.9", true),
            ("^1.2", "2.0.0", false),
            ("^0.2.3", "0.2.9", true),
            ("^0.2.3", "0.3.0", false),
            ("^0.0.3", "0.0.4", false),
            ("~1.2.3", "1.2.9", true),
            ("~1.2.3", "1.3.0", false),
            ("~1", "1.9.0", true),
            (">=1.0 <2.0", "1.5.0", true),
            (">=1.0, <2.0", "2.0.0", false),
            (">= 1.0 < 2.0", "1.0.0", true),
            (">1.2", "1.2.9", false),
            (">1.2", "1.3.0", true),
            ("<=1.2", "1.2.9", true),
            ("1.2 - 1.4", "1.4.5", true),
            ("1.2 - 1.4.2", "1.4.5", false),
            ("<1 || >2", "2.5.0", false),
            ("<1 || >2.0.0", "2.5.0", true),
            ("!=1.2.3", "1.2.3", false),
            (">1.0.0-alpha", "1.0.0-beta", true),
            ("6.x", "6.14.0", true),
            ("v1.20.x", "v1.20.2", true),
        ] {
            let range_ = Range::parse(range).expect(range);
            assert_eq!(
                range_.contains(&Version::parse(version).expect(version)),
                expected,
                "{range} {version}"
            );
        }
        for wrong in ["latest", ">=a", "1.2.3.4", "1.x.3"] {
            assert!(Range::parse(wrong).is_err(), "{wrong}");
        }
        let tags = ["v1.0.0", "1.10.0", "1.9.0", "nightly", "2.0.0-rc1"];
        assert_eq!(best(">=1.0", tags.into_iter()).expect("a range"), Some("1.10.0"));
        assert_eq!(best(">=3", tags.into_iter()).expect("a range"), None);
        let mut sorted = tags.to_vec();
        sorted.sort_by(|a, b| newest_first(a, b));
        assert_eq!(sorted, ["2.0.0-rc1", "1.10.0", "1.9.0", "v1.0.0", "nightly"]);
    }
}
