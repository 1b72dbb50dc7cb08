//! Constraints: `>=1.2 <2 || ~3.1`.

use std::cmp::Ordering;
use std::sync::OnceLock;

use regex::Regex;

use super::{Version, identifiers, run};
use crate::fmt::quote;

const MAX_LENGTH: usize = 512;
const MAX_GROUPS: usize = 32;

/// Alternatives (`||`) of conjunctions of comparisons.
#[derive(Clone, Debug)]
pub struct Constraint {
    groups: Vec<Group>,
    /// Whether prereleases count even where the constraint names none.
    pub include_prerelease: bool,
}

#[derive(Clone, Debug)]
struct Group {
    terms: Vec<Term>,
    prerelease: bool,
}

impl Group {
    fn new(terms: Vec<Term>) -> Self {
        let prerelease = terms.iter().any(|term| !term.version.pre.is_empty());
        Group { terms, prerelease }
    }
}

/// One comparison. Which parts of its version are left open (`1.x`) changes what it means.
#[derive(Clone, Debug)]
struct Term {
    operator: String,
    version: Version,
    text: String,
    open: bool,
    minor_open: bool,
    patch_open: bool,
}

struct Patterns {
    range: Regex,
    find: Regex,
    valid: Regex,
    term: Regex,
}

fn patterns() -> Option<&'static Patterns> {
    static PATTERNS: OnceLock<Option<Patterns>> = OnceLock::new();
    PATTERNS.get_or_init(compile).as_ref()
}

fn compile() -> Option<Patterns> {
    const S: &str = r"[\t\n\x0c\r ]";
    let version = concat!(
        r"v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?",
        r"(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?",
        r"(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?"
    );
    let operator = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";
    let valid =
        format!(r"^({S}*({operator}){S}*({version}){S}*)((?:{S}+|,{S}*)({operator}){S}*({version}){S}*)*$");
    Some(Patterns {
        range: Regex::new(&format!(r"{S}*({version}){S}+-{S}+({version}){S}*")).ok()?,
        find: Regex::new(&format!(r"({operator}){S}*({version})")).ok()?,
        valid: Regex::new(&valid).ok()?,
        term: Regex::new(&format!(r"^{S}*({operator}){S}*({version}){S}*$")).ok()?,
    })
}

/// The groups of a constraint that is written as nearly all are: operators and versions with spaces or commas
/// between them, no ranges. Compiling the patterns takes longer than rendering a small chart.
fn plain(text: &str) -> Option<Vec<Group>> {
    let alternatives = text.split("||");
    if alternatives.clone().count() > MAX_GROUPS {
        return None;
    }
    let terms = |alternative| Some(Group::new(plain_terms(alternative)?));
    alternatives.map(terms).collect()
}

fn plain_terms(text: &str) -> Option<Vec<Term>> {
    const OPERATORS: [&str; 12] = [">=", "=>", "<=", "=<", "!=", "~>", "=", ">", "<", "~", "^", ""];
    let mut terms = Vec::new();
    let mut rest = text.trim_start_matches(' ');
    loop {
        let operator = OPERATORS.into_iter().find(|operator| rest.starts_with(operator))?;
        rest = rest.get(operator.len()..)?.trim_start_matches(' ');
        let (version, after) =
            run(rest, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'*' | b'-' | b'+'));
        terms.push(Term::new(operator, version, plain_version(version)?).ok()?);
        let spaceless = after.trim_start_matches(' ');
        rest = match spaceless.strip_prefix(',') {
            Some(more) => more.trim_start_matches(' '),
            None if spaceless.is_empty() => return Some(terms),
            // Two terms stand apart.
            None if spaceless.len() == after.len() => return None,
            None => spaceless,
        };
    }
}

/// The parts of a version in a constraint: numbers or `x`, the second and third with their dots, and the
/// prerelease with its dash.
fn plain_version(text: &str) -> Option<[&str; 4]> {
    let digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'x' | b'X' | b'*');
    let (major, mut rest) = run(text.strip_prefix('v').unwrap_or(text), digit);
    let mut parts = [major, "", "", ""];
    for part in parts.iter_mut().skip(1).take(2) {
        if let Some(after) = rest.strip_prefix('.') {
            let (digits, more) = run(after, digit);
            if digits.is_empty() {
                return None;
            }
            (*part, rest) = (rest.get(..=digits.len())?, more);
        }
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    for mark in ['-', '+'] {
        if let Some(after) = rest.strip_prefix(mark) {
            let (name, more) = run(after, word);
            if !identifiers(name) {
                return None;
            }
            if let ('-', [.., pre]) = (mark, &mut parts) {
                *pre = rest.get(..=name.len())?;
            }
            rest = more;
        }
    }
    (!major.is_empty() && rest.is_empty()).then_some(parts)
}

/// The groups of any constraint, or why it is none.
fn by_patterns(text: &str) -> Result<Vec<Group>, String> {
    let patterns = patterns().ok_or_else(|| improper(text))?;
    let mut rewritten = text.to_owned();
    for range in patterns.range.captures_iter(text) {
        let part = |index: usize| range.get(index).map_or("", |part| part.as_str());
        rewritten = rewritten.replacen(part(0), &format!(">= {}, <= {} ", part(1), part(11)), 1);
    }
    let alternatives: Vec<&str> = rewritten.split("||").collect();
    if alternatives.len() > MAX_GROUPS {
        return Err(format!("too many constraint groups (max {MAX_GROUPS})"));
    }
    let mut groups = Vec::with_capacity(alternatives.len());
    for alternative in alternatives {
        if !patterns.valid.is_match(alternative) {
            return Err(improper(alternative));
        }
        let found = patterns.find.find_iter(alternative);
        let terms = found.map(|term| Term::parse(term.as_str(), patterns)).collect::<Result<Vec<_>, _>>()?;
        groups.push(Group::new(terms));
    }
    Ok(groups)
}

fn improper(text: &str) -> String {
    format!("improper constraint: {}", quote(text))
}

impl Constraint {
    /// Reads a constraint, as `semver.NewConstraint` does.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("constraint string is too long (max {MAX_LENGTH} bytes)"));
        }
        if let Some(groups) = plain(text) {
            return Ok(Constraint { groups, include_prerelease: false });
        }
        Ok(Constraint { groups: by_patterns(text)?, include_prerelease: false })
    }

    /// Whether `version` satisfies it. Prereleases only match where the constraint names one.
    pub fn check(&self, version: &Version) -> bool {
        self.groups.iter().any(|group| {
            let prerelease = self.include_prerelease || group.prerelease;
            group.terms.iter().all(|term| term.check(version, prerelease).is_ok())
        })
    }

    /// As [`Constraint::check`], with the reasons why not.
    pub fn validate(&self, version: &Version) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        let mut told = false;
        for group in &self.groups {
            let prerelease = self.include_prerelease || group.prerelease;
            let mut good = true;
            for term in &group.terms {
                if !prerelease && !version.pre.is_empty() {
                    if !told {
                        reasons.push(only_releases(version));
                        told = true;
                    }
                    good = false;
                } else if let Err(reason) = term.check(version, prerelease) {
                    reasons.push(reason);
                    good = false;
                }
            }
            if good {
                return Ok(());
            }
        }
        Err(reasons)
    }
}

fn only_releases(version: &Version) -> String {
    let version = quote(&version.to_string());
    format!("{version} is a prerelease version and the constraint is only looking for release versions")
}

fn is_open(part: &str) -> bool {
    matches!(part.trim_start_matches('.'), "" | "x" | "X" | "*")
}

impl Term {
    fn parse(text: &str, patterns: &Patterns) -> Result<Self, String> {
        let parts = patterns.term.captures(text).ok_or_else(|| improper(text))?;
        let part = |index: usize| parts.get(index).map_or("", |part| part.as_str());
        Term::new(part(1), part(2), [part(3), part(4), part(5), part(6)])
    }

    /// A comparison with the version `text`, whose parts are the numbers, the second and third with their dots, and
    /// the prerelease with its dash.
    fn new(operator: &str, text: &str, parts: [&str; 4]) -> Result<Self, String> {
        let [major, minor, patch, pre] = parts;
        let (mut minor_open, mut patch_open) = (false, false);
        let mut open = true;
        let version = if is_open(major) {
            format!("0.0.0{pre}")
        } else if is_open(minor) {
            minor_open = true;
            format!("{major}.0.0{pre}")
        } else if is_open(patch) {
            patch_open = true;
            format!("{major}{minor}.0{pre}")
        } else {
            open = false;
            text.to_owned()
        };
        let version = Version::parse(&version).map_err(|_| "constraint parser error".to_owned())?;
        Ok(Term {
            operator: operator.to_owned(),
            version,
            text: text.to_owned(),
            open,
            minor_open,
            patch_open,
        })
    }

    /// Whether `version` fits, or why not.
    fn check(&self, version: &Version, prerelease: bool) -> Result<(), String> {
        if !version.pre.is_empty() && !prerelease {
            return Err(only_releases(version));
        }
        let reason = match self.operator.as_str() {
            "" | "=" if self.open => self.tilde(version),
            "" | "=" => (version.compare(&self.version) != Ordering::Equal).then_some("is not equal to"),
            "!=" => self.is_excluded(version).then_some("is equal to"),
            ">" => (!self.is_above(version)).then_some("is less than or equal to"),
            "<" => {
                (version.compare(&self.version) != Ordering::Less).then_some("is greater than or equal to")
            }
            ">=" | "=>" => (version.compare(&self.version) == Ordering::Less).then_some("is less than"),
            "<=" | "=<" => (!self.is_at_most(version)).then_some("is greater than"),
            "~" | "~>" => self.tilde(version),
            _ => return self.caret(version),
        };
        match reason {
            Some(reason) => Err(self.reason(version, reason)),
            None => Ok(()),
        }
    }

    fn reason(&self, version: &Version, reason: &str) -> String {
        format!("{} {reason} {}", quote(&version.to_string()), quote(&self.text))
    }

    fn is_excluded(&self, version: &Version) -> bool {
        let own = &self.version;
        if self.open {
            if own.major != version.major || (own.minor != version.minor && !self.minor_open) {
                return false;
            }
            if self.minor_open {
                return true;
            }
            if own.patch != version.patch && !self.patch_open {
                return false;
            }
            if self.patch_open {
                let pre = !version.pre.is_empty() || !own.pre.is_empty();
                return !pre || prerelease_order(&version.pre, &own.pre) == Ordering::Equal;
            }
        }
        version.compare(own) == Ordering::Equal
    }

    fn is_above(&self, version: &Version) -> bool {
        let own = &self.version;
        if self.open && version.major != own.major {
            return version.major > own.major;
        }
        if self.open && self.minor_open {
            return false;
        }
        if self.open && self.patch_open {
            return version.minor > own.minor;
        }
        version.compare(own) == Ordering::Greater
    }

    fn is_at_most(&self, version: &Version) -> bool {
        let own = &self.version;
        if !self.open {
            return version.compare(own) != Ordering::Greater;
        }
        version.major < own.major
            || (version.major == own.major && (version.minor <= own.minor || self.minor_open))
    }

    fn tilde(&self, version: &Version) -> Option<&'static str> {
        let own = &self.version;
        if version.compare(own) == Ordering::Less {
            return Some("is less than");
        }
        let any = (own.major, own.minor, own.patch) == (0, 0, 0) && !self.minor_open && !self.patch_open;
        if any {
            return None;
        }
        if version.major != own.major {
            return Some("does not have same major version as");
        }
        (version.minor != own.minor && !self.minor_open)
            .then_some("does not have same major and minor version as")
    }

    fn caret(&self, version: &Version) -> Result<(), String> {
        let own = &self.version;
        if version.compare(own) == Ordering::Less {
            return Err(self.reason(version, "is less than"));
        }
        let same_major = || Err(self.reason(version, "does not have same major version as"));
        if own.major > 0 || self.minor_open {
            return if version.major == own.major { Ok(()) } else { same_major() };
        }
        if version.major > 0 {
            return same_major();
        }
        let minor = "does not have same minor version as";
        if own.minor > 0 || self.patch_open {
            if version.minor == own.minor {
                return Ok(());
            }
            let hint = "Expected minor versions to match when constraint major version is 0";
            return Err(format!("{}. {hint}", self.reason(version, minor)));
        }
        if version.minor > 0 {
            return Err(self.reason(version, minor));
        }
        if version.patch == own.patch {
            return Ok(());
        }
        let hint = "Expect version and constraint to equal when major and minor versions are 0";
        Err(format!("{}. {hint}", self.reason(version, "does not equal")))
    }
}

/// The order of prereleases, of which one may be none.
fn prerelease_order(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => super::compare_prerelease(a, b),
    }
}

#[cfg(test)]
mod tests {
    use super::{by_patterns, plain};
    use crate::semver::{loose, run};

    /// Texts made of pieces, the same ones every time.
    fn texts(pieces: &[&str], count: usize) -> Vec<String> {
        let mut state = 1u64;
        let mut below = |limit: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % limit
        };
        let mut text = |_| (0..1 + below(7)).map(|_| pieces[below(pieces.len())]).collect();
        (0..count).map(&mut text).collect()
    }

    #[test]
    fn what_is_plain_is_what_the_patterns_find() {
        const PIECES: &[&str] = &[
            ">=",
            "<",
            "!=",
            "=",
            "~",
            "^",
            "~>",
            "=>",
            " ",
            ", ",
            ",",
            " || ",
            "||",
            " - ",
            "1",
            "2.3",
            "v1.2.3",
            "1.x",
            "*",
            "X.1",
            "-0",
            "-rc.1",
            "+b",
            ".",
            "0",
            "99999999999999999999",
            "a",
            "-",
            "|",
        ];
        let mut plains = 0;
        for text in texts(PIECES, 60_000) {
            if let Some(groups) = plain(&text) {
                plains += 1;
                assert_eq!(
                    Ok(format!("{groups:?}")),
                    by_patterns(&text).map(|all| format!("{all:?}")),
                    "{text}"
                );
            }
        }
        assert!(plains > 3_000, "{plains}");
    }

    #[test]
    fn lenient_versions_are_those_of_the_pattern() {
        const PATTERN: &str = r"^v?([0-9]+)(\.[0-9]+)?(\.[0-9]+)?(-([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?$";
        let pattern = regex::Regex::new(PATTERN).expect("a pattern");
        for text in texts(&["v", "1", ".", "20", "-", "+", "rc", "é", " ", "x"], 30_000) {
            let wanted = pattern.captures(&text).map(|found| {
                let part = |at| found.get(at).map_or("", |part: regex::Match| part.as_str()).to_owned();
                [part(1), part(2).replace('.', ""), part(3).replace('.', ""), part(5), part(7)]
            });
            let got = loose(&text).map(|parts| {
                let [major, minor, patch] = parts.numbers;
                [major, minor, patch, parts.pre, parts.metadata].map(str::to_owned)
            });
            assert_eq!(wanted, got, "{text}");
        }
        assert_eq!(run("12a", |byte| byte.is_ascii_digit()), ("12", "a"));
    }
}
