//! The patterns of `.Files.Glob`: `*` and `?` stop at `/`, `**` does not, `{a,b}` and `[a-c]`.

/// A pattern.
pub(super) struct Glob(Vec<Part>);

enum Part {
    Char(char),
    /// `?`
    Any,
    /// `*`
    Star,
    /// `**`
    Super,
    /// `[abc]`, `[!a-c]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `{a,b}`
    Choice(Vec<Vec<Part>>),
}

/// How deep choices may nest.
const MAX_DEPTH: usize = 16;
/// How many steps one match may take.
const MAX_STEPS: usize = 20_000;

impl Glob {
    /// Reads a pattern; `None` when it is not well formed.
    pub(super) fn parse(text: &str) -> Option<Glob> {
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        let parts = sequence(&chars, &mut at, 0)?;
        (at == chars.len()).then_some(Glob(parts))
    }

    /// What matches everything but `/`, as Helm falls back to.
    pub(super) fn all() -> Glob {
        Glob(vec![Part::Super])
    }

    /// Whether a path matches.
    pub(super) fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        let parts: Vec<&Part> = self.0.iter().collect();
        run(&parts, &path, &mut MAX_STEPS.clone())
    }
}

fn sequence(chars: &[char], at: &mut usize, depth: usize) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    while let Some(c) = chars.get(*at) {
        if depth > 0 && matches!(c, ',' | '}') {
            break;
        }
        *at += 1;
        parts.push(match c {
            '?' => Part::Any,
            '*' if chars.get(*at) == Some(&'*') => {
                while chars.get(*at) == Some(&'*') {
                    *at += 1;
                }
                Part::Super
            }
            '*' => Part::Star,
            '[' => class(chars, at)?,
            '{' if depth < MAX_DEPTH => choice(chars, at, depth)?,
            '{' => return None,
            '\\' => {
                let escaped = *chars.get(*at)?;
                *at += 1;
                Part::Char(escaped)
            }
            other => Part::Char(*other),
        });
    }
    Some(parts)
}

fn choice(chars: &[char], at: &mut usize, depth: usize) -> Option<Part> {
    let mut alternatives = Vec::new();
    loop {
        alternatives.push(sequence(chars, at, depth + 1)?);
        let end = *chars.get(*at)?;
        *at += 1;
        if end == '}' {
            return Some(Part::Choice(alternatives));
        }
    }
}

fn class(chars: &[char], at: &mut usize) -> Option<Part> {
    let negated = chars.get(*at) == Some(&'!');
    *at += usize::from(negated);
    let mut ranges = Vec::new();
    loop {
        let mut low = *chars.get(*at)?;
        *at += 1;
        if low == ']' {
            return (!ranges.is_empty()).then_some(Part::Class { negated, ranges });
        }
        if low == '\\' {
            low = *chars.get(*at)?;
            *at += 1;
        }
        let mut high = low;
        if chars.get(*at) == Some(&'-') && chars.get(*at + 1).is_some_and(|c| *c != ']') {
            high = *chars.get(*at + 1)?;
            *at += 2;
        }
        ranges.push((low, high));
    }
}

fn run(parts: &[&Part], path: &[char], steps: &mut usize) -> bool {
    let Some(left) = steps.checked_sub(1) else { return false };
    *steps = left;
    let Some((part, rest)) = parts.split_first() else { return path.is_empty() };
    let one = |accepted: fn(char) -> bool| path.split_first().filter(|(c, _)| accepted(**c));
    match part {
        Part::Char(wanted) => match path.split_first() {
            Some((c, tail)) if c == wanted => run(rest, tail, steps),
            _ => false,
        },
        Part::Any => one(|c| c != '/').is_some_and(|(_, tail)| run(rest, tail, steps)),
        Part::Class { negated, ranges } => path.split_first().is_some_and(|(c, tail)| {
            let hit = ranges.iter().any(|(low, high)| (low..=high).contains(&c));
            hit != *negated && run(rest, tail, steps)
        }),
        Part::Star | Part::Super => {
            let crosses = matches!(part, Part::Super);
            let mut tail = path;
            loop {
                if run(rest, tail, steps) {
                    return true;
                }
                match tail.split_first() {
                    Some((c, next)) if crosses || *c != '/' => tail = next,
                    _ => return false,
                }
            }
        }
        Part::Choice(alternatives) => alternatives.iter().any(|alternative| {
            let joined: Vec<&Part> = alternative.iter().chain(rest.iter().copied()).collect();
            run(&joined, path, steps)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn patterns_match() {
        for (pattern, path, wanted) in [
            ("config/*", "config/a.yaml", true),
            ("config/*", "config/d/a.yaml", false),
            ("config/**", "config/d/a.yaml", true),
            ("**.yaml", "a/b.yaml", true),
            ("*.{yaml,json}", "b.json", true),
            ("[a-c]?.txt", "bx.txt", true),
            ("[!a-c]?.txt", "bx.txt", false),
            ("a\\*", "a*", true),
        ] {
            assert_eq!(
                Glob::parse(pattern).is_some_and(|glob| glob.matches(path)),
                wanted,
                "{pattern} {path}"
            );
        }
        assert!(Glob::parse("{a").is_none());
    }
}
