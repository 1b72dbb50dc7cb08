//! Globs as Argo CD's directories and value files have them: `*` and `?` stay in a path's part, `**` does not,
//! `[a-z]` and `{a,b}` choose. Pure.

/// Does the pattern match the whole path? Patterns that blow up match nothing.
pub fn matches(pattern: &str, path: &str) -> bool {
    expand(pattern).iter().any(|one| {
        let mut fuel = 100_000;
        let pattern: Vec<char> = one.chars().collect();
        let path: Vec<char> = path.chars().collect();
        walk(&pattern, &path, &mut fuel)
    })
}

/// The alternatives of `{a,b}`, nested ones too; a pattern with more than ten thousand matches nothing.
fn expand(pattern: &str) -> Vec<String> {
    const MOST: usize = 10_000;
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(next) = open.pop() {
        if done.len() + open.len() > MOST {
            return done;
        }
        match alternatives(&next) {
            Some(more) => open.extend(more),
            None => done.push(next),
        }
    }
    done
}

fn alternatives(pattern: &str) -> Option<Vec<String>> {
    let start = pattern.find('{')?;
    let mut depth = 0;
    let mut cuts = vec![start];
    for (at, c) in pattern.char_indices().skip_while(|(at, _)| *at < start) {
        match c {
            '{' => depth += 1,
            ',' if depth == 1 => cuts.push(at),
            '}' => {
                depth -= 1;
                if depth == 0 {
                    cuts.push(at);
                    let (head, tail) = (pattern.get(..start)?, pattern.get(at + 1..)?);
                    let parts = cuts.windows(2).filter_map(|pair| match pair {
                        [from, to] => pattern.get(from + 1..*to),
                        _ => None,
                    });
                    return Some(parts.map(|part| format!("{head}{part}{tail}")).collect());
                }
            }
            _ => {}
        }
    }
    None
}

fn walk(pattern: &[char], path: &[char], fuel: &mut u32) -> bool {
    if *fuel == 0 {
        return false;
    }
    *fuel -= 1;
    match pattern {
        [] => path.is_empty(),
        ['*', '*', '/', rest @ ..] => {
            // No folder, or any number of them.
            walk(rest, path, fuel)
                || (0..path.len()).any(|at| {
                    path.get(at) == Some(&'/') && walk(rest, path.get(at + 1..).unwrap_or_default(), fuel)
                })
        }
        ['*', '*', rest @ ..] => {
            (0..=path.len()).any(|at| walk(rest, path.get(at..).unwrap_or_default(), fuel))
        }
        ['*', rest @ ..] => {
            let end = path.iter().position(|c| *c == '/').unwrap_or(path.len());
            (0..=end).any(|at| walk(rest, path.get(at..).unwrap_or_default(), fuel))
        }
        ['?', rest @ ..] => match path {
            [c, more @ ..] if *c != '/' => walk(rest, more, fuel),
            _ => false,
        },
        ['[', rest @ ..] => match (class(rest), path) {
            (Some((set, negated, after)), [c, more @ ..]) if *c != '/' => {
                let inside = set.iter().any(|(low, high)| (low..=high).contains(&c));
                inside != negated && walk(after, more, fuel)
            }
            _ => false,
        },
        ['\\', c, rest @ ..] | [c, rest @ ..] => match path {
            [found, more @ ..] if found == c => walk(rest, more, fuel),
            _ => false,
        },
    }
}

type Class<'p> = (Vec<(char, char)>, bool, &'p [char]);

fn class(pattern: &[char]) -> Option<Class<'_>> {
    let (negated, mut rest) = match pattern {
        ['!' | '^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut set = Vec::new();
    loop {
        match rest {
            [']', after @ ..] if !set.is_empty() => return Some((set, negated, after)),
            [low, '-', high, after @ ..] if *high != ']' => {
                set.push((*low, *high));
                rest = after;
            }
            [c, after @ ..] => {
                set.push((*c, *c));
                rest = after;
            }
            [] => return None,
        }
    }
}

/// Is it a pattern at all?
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_folders_and_choices() {
        for (pattern, path, wanted) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "b/a.yaml", false),
            ("**/*.yaml", "b/c/a.yaml", true),
            ("**/*.yaml", "a.yaml", true),
            ("b/**", "b/c/a.yaml", true),
            ("{a,b}.{yaml,yml}", "b.yml", true),
            ("{config.json,env-usw2/*}", "env-usw2/x", true),
            ("[a-c]?.yaml", "bx.yaml", true),
            ("[!a]*", "abc", false),
        ] {
            assert_eq!(matches(pattern, path), wanted, "{pattern} {path}");
        }
        let many: Vec<String> = (0..1000).map(|at| format!("a{at}.yaml")).collect();
        assert!(matches(&format!("{{{}}}", many.join(",")), "a999.yaml"));
        let bomb = "*a".repeat(40);
        assert!(!matches(&bomb, &"a".repeat(39)));
    }
}
