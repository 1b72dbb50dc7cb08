//! Paths inside a chart: Go's `path` and `filepath.Match`.

/// Go's `path.Clean`.
pub(crate) fn clean(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            other => parts.push(other),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// Go's `path.Base`.
pub(crate) fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return "/";
    }
    trimmed.rsplit('/').next().unwrap_or(trimmed)
}

/// Go's `path.Ext`: from the last dot of the last element, or nothing.
pub(crate) fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rfind('.').map_or("", |dot| name.get(dot..).unwrap_or(""))
}

/// A shell pattern as Go's `filepath.Match` reads it: `*` and `?` stop at `/`, `[…]` classes, `\` escapes.
/// `Err` for a pattern that is not well formed.
pub(crate) fn matches(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    check(&pattern)?;
    Ok(match_from(&pattern, &name))
}

/// A pattern that does not parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

fn check(pattern: &[char]) -> Result<(), BadPattern> {
    let mut rest = pattern;
    while let Some((first, tail)) = rest.split_first() {
        rest = match first {
            '[' => class(tail, '\0')?.1,
            '\\' => tail.split_first().ok_or(BadPattern)?.1,
            _ => tail,
        };
    }
    Ok(())
}

/// Reads a class after its `[`: whether it holds `c`, and what follows it.
fn class(mut rest: &[char], c: char) -> Result<(bool, &[char]), BadPattern> {
    let negated = rest.first() == Some(&'^');
    if negated {
        rest = rest.get(1..).unwrap_or_default();
    }
    let mut hit = false;
    let mut ranges = 0;
    loop {
        if rest.first() == Some(&']') && ranges > 0 {
            return Ok((hit != negated, rest.get(1..).unwrap_or_default()));
        }
        let (low, after) = class_char(rest)?;
        rest = after;
        let mut high = low;
        if rest.first() == Some(&'-') {
            (high, rest) = class_char(rest.get(1..).unwrap_or_default())?;
        }
        hit |= (low..=high).contains(&c);
        ranges += 1;
    }
}

fn class_char(rest: &[char]) -> Result<(char, &[char]), BadPattern> {
    let (first, tail) = rest.split_first().ok_or(BadPattern)?;
    let (c, tail) = match first {
        '-' | ']' => return Err(BadPattern),
        '\\' => tail.split_first().ok_or(BadPattern)?,
        _ => (first, tail),
    };
    if tail.is_empty() { Err(BadPattern) } else { Ok((*c, tail)) }
}

/// Matches with one remembered star, so the work stays within pattern × name.
fn match_from(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, n));
                p += 1;
                continue;
            }
            None if n == name.len() => return true,
            None => None,
            Some(_) if n == name.len() => None,
            Some(_) => one(pattern.get(p..).unwrap_or_default(), name.get(n).copied().unwrap_or('/')),
        };
        match (step, star) {
            (Some(used), _) => {
                p += used;
                n += 1;
            }
            (None, Some((after, from))) if name.get(from).is_some_and(|c| *c != '/') => {
                star = Some((after, from + 1));
                p = after;
                n = from + 1;
            }
            _ => return false,
        }
    }
}

/// How many pattern characters match `c`, if they do.
fn one(pattern: &[char], c: char) -> Option<usize> {
    let (first, tail) = pattern.split_first()?;
    match first {
        '?' => (c != '/').then_some(1),
        '[' => {
            let (hit, rest) = class(tail, c).ok()?;
            hit.then_some(pattern.len() - rest.len())
        }
        '\\' => (tail.first() == Some(&c)).then_some(2),
        literal => (*literal == c).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, wanted) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "d/a.yaml", false),
            ("a*/b", "a/c/b", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("[^c]", "b", true),
            ("[a-z]*", "zed", true),
            ("\\*", "*", true),
            ("templates/.?*", "templates/.x", true),
            ("templates/.?*", "templates/x", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), Ok(wanted), "{pattern} {name}");
        }
        assert_eq!(matches("[]a]", "]"), Err(BadPattern));
        assert_eq!(matches("a[", "a"), Err(BadPattern));
        assert_eq!(matches("\\", "a"), Err(BadPattern));
    }

    #[test]
    fn paths_clean_as_in_go() {
        for (path, wanted) in
            [("a//b/./c", "a/b/c"), ("a/../../b", "../b"), ("/../a", "/a"), ("", "."), ("a/..", ".")]
        {
            assert_eq!(clean(path), wanted, "{path}");
        }
        assert_eq!(base("a/b/"), "b");
        assert_eq!(extension("a.b/c"), "");
        assert_eq!(extension("a/c.tar.gz"), ".gz");
    }
}
