//! Go's regular expressions: RE2 syntax checked and translated for the `regex` crate, whose matching
//! has the same rules (leftmost, first alternative, linear time).

mod check;

use regex::bytes::Regex;

/// A compiled pattern of Go's syntax.
pub struct Regexp {
    regex: Regex,
    /// The names of the groups; empty for those without one.
    names: Vec<String>,
}

impl Regexp {
    /// Compiles a pattern, or says what Go says against it.
    ///
    /// The number is how many steps that took: a short pattern can stand for a large program.
    pub fn compile(pattern: &str) -> Result<(Self, u64), String> {
        const SIZES: [(usize, u64); 3] = [(128 << 10, 200), (1 << 20, 10_000), (10 << 20, 200_000)];
        let translated = check::translate(pattern)?;
        let mut regex = Err(regex::Error::CompiledTooBig(0));
        let mut steps = 0;
        for (size, price) in SIZES {
            steps = price;
            regex = regex::bytes::RegexBuilder::new(&translated.pattern).size_limit(size).build();
            if !matches!(regex, Err(regex::Error::CompiledTooBig(_))) {
                break;
            }
        }
        match regex {
            Ok(regex) => Ok((Regexp { regex, names: translated.names }, steps)),
            Err(regex::Error::CompiledTooBig(_)) => {
                Err(format!("error parsing regexp: expression too large: `{pattern}`"))
            }
            Err(_) => Err(format!("error parsing regexp: invalid or unsupported Perl syntax: `{pattern}`")),
        }
    }

    /// Does it match anywhere in the text?
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    pub(crate) fn find<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        self.regex.find(text).map(|found| found.as_bytes())
    }

    /// All matches, at most `limit`. The crate never reports an empty match that touches the one
    /// before it, which is Go's rule as well.
    pub(crate) fn find_all<'t>(&self, text: &'t [u8], limit: usize) -> Vec<&'t [u8]> {
        let found = self.regex.find_iter(text).filter(|found| counts(text, found));
        found.take(limit).map(|found| found.as_bytes()).collect()
    }

    /// Replaces all matches; with `expand`, `$1` and `${name}` in the replacement mean groups.
    pub(crate) fn replace_all(&self, text: &[u8], replacement: &[u8], expand: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut end = 0;
        for found in self.regex.captures_iter(text) {
            let Some(whole) = found.get(0).filter(|whole| counts(text, whole)) else { continue };
            if out.len() > crate::env::MAX_TEXT {
                break;
            }
            out.extend_from_slice(text.get(end..whole.start()).unwrap_or_default());
            if expand {
                self.expand(&mut out, replacement, &found);
            } else {
                out.extend_from_slice(replacement);
            }
            end = whole.end();
        }
        out.extend_from_slice(text.get(end..).unwrap_or_default());
        out
    }

    fn expand(&self, out: &mut Vec<u8>, replacement: &[u8], found: &regex::bytes::Captures<'_>) {
        let mut rest = replacement;
        while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
            out.extend_from_slice(rest.get(..at).unwrap_or_default());
            rest = rest.get(at + 1..).unwrap_or_default();
            if let Some(after) = rest.strip_prefix(b"$") {
                out.push(b'$');
                rest = after;
                continue;
            }
            let Some((name, after)) = group_name(rest) else {
                // A dollar that names nothing stays.
                out.push(b'$');
                continue;
            };
            let group = match name.parse::<usize>() {
                Ok(index) if !(name.len() > 1 && name.starts_with('0')) => found.get(index),
                _ => self.named(name, found),
            };
            if let Some(group) = group {
                out.extend_from_slice(group.as_bytes());
            }
            rest = after;
        }
        out.extend_from_slice(rest);
    }

    /// The first group of that name that took part.
    fn named<'t>(&self, name: &str, found: &regex::bytes::Captures<'t>) -> Option<regex::bytes::Match<'t>> {
        let indexes = self.names.iter().enumerate().filter(|(_, own)| *own == name);
        indexes.into_iter().find_map(|(index, _)| found.get(index))
    }

    /// The parts between matches, at most `limit` (all, if negative); none for a limit of zero.
    pub(crate) fn split<'t>(&self, text: &'t [u8], limit: i64) -> Option<Vec<&'t [u8]>> {
        if limit == 0 {
            return None;
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if text.is_empty() && !self.regex.as_str().is_empty() {
            return Some(vec![b""]);
        }
        let mut parts: Vec<&[u8]> = Vec::new();
        let (mut begin, mut end) = (0, 0);
        for found in self.regex.find_iter(text).filter(|found| counts(text, found)) {
            if parts.len() + 1 >= limit {
                break;
            }
            end = found.start();
            if found.end() != 0 {
                parts.push(text.get(begin..end).unwrap_or_default());
            }
            begin = found.end();
        }
        if end != text.len() {
            parts.push(text.get(begin..).unwrap_or_default());
        }
        Some(parts)
    }
}

/// Go goes on by characters, so that it finds nothing of no length within one.
fn counts(text: &[u8], found: &regex::bytes::Match<'_>) -> bool {
    !found.is_empty() || !splits_character(text, found.start())
}

fn splits_character(text: &[u8], at: usize) -> bool {
    (1..4).any(|back| {
        let Some(rest) = at.checked_sub(back).and_then(|start| text.get(start..)) else { return false };
        let length = match rest.first() {
            Some(0xc2..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf4) => 4,
            _ => return false,
        };
        back < length && rest.get(..length).is_some_and(|character| std::str::from_utf8(character).is_ok())
    })
}

/// The name after a dollar, in braces or as long as letters, digits and underscores go.
fn group_name(text: &[u8]) -> Option<(&str, &[u8])> {
    let braced = text.strip_prefix(b"{");
    let body = std::str::from_utf8(braced.unwrap_or(text)).unwrap_or_else(|error| {
        let valid = braced.unwrap_or(text).get(..error.valid_up_to()).unwrap_or_default();
        std::str::from_utf8(valid).unwrap_or("")
    });
    let end = body.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(body.len());
    let name = body.get(..end).filter(|name| !name.is_empty())?;
    let after = braced.unwrap_or(text).get(end..).unwrap_or_default();
    match braced {
        Some(_) => Some((name, after.strip_prefix(b"}")?)),
        None => Some((name, after)),
    }
}
