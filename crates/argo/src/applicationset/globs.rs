//! The three languages of patterns that git generators use.

/// A pattern that needs more steps than this matches nothing.
const FUEL: usize = 100_000;

/// Whether Go's `path.Match` finds that a pattern covers a whole path: `*` and `?` never cross a `/`.
pub fn path_match(pattern: &str, path: &str) -> bool {
    matches(pattern, path, Rules { star_crosses: false, double_star: false })
}

/// Whether `git ls-files PATTERN` lists a file. By default `*` crosses `/` and a folder means all below it; with the
/// newer rules only `**` crosses.
pub fn ls_files(pattern: &str, path: &str, newer: bool) -> bool {
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
    if newer {
        return matches(pattern, path, Rules { star_crosses: false, double_star: true });
    }
    let folder = pattern.trim_end_matches('/');
    let below = path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below || matches(pattern, path, Rules { star_crosses: true, double_star: false })
}

#[derive(Clone, Copy)]
struct Rules {
    star_crosses: bool,
    double_star: bool,
}

fn matches(pattern: &str, path: &str, rules: Rules) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let path: Vec<char> = path.chars().collect();
    let mut fuel = FUEL;
    covers(&pattern, &path, rules, &mut fuel)
}

fn covers(pattern: &[char], path: &[char], rules: Rules, fuel: &mut usize) -> bool {
    if *fuel == 0 {
        return false;
    }
    *fuel -= 1;
    let Some((first, rest)) = pattern.split_first() else { return path.is_empty() };
    match first {
        '*' if rules.double_star && rest.first() == Some(&'*') => {
            let rest = rest.get(1..).unwrap_or_default();
            // `**/` also stands for no folder at all.
            if let Some(after) = rest.strip_prefix(&['/'])
                && covers(after, path, rules, fuel)
            {
                return true;
            }
            (0..=path.len()).any(|skip| covers(rest, path.get(skip..).unwrap_or_default(), rules, fuel))
        }
        '*' => {
            let end = match path.iter().position(|c| *c == '/') {
                Some(slash) if !rules.star_crosses => slash,
                _ => path.len(),
            };
            (0..=end).any(|skip| covers(rest, path.get(skip..).unwrap_or_default(), rules, fuel))
        }
        '?' => match path.split_first() {
            Some((c, after)) if *c != '/' || rules.star_crosses => covers(rest, after, rules, fuel),
            _ => false,
        },
        '[' => match (class(rest), path.split_first()) {
            (Some((holds, rest)), Some((c, after))) => holds(*c) && covers(rest, after, rules, fuel),
            _ => false,
        },
        '{' if rules.double_star => match alternatives(rest) {
            Some((all, rest)) => all.iter().any(|one| {
                let joined: Vec<char> = one.iter().chain(rest).copied().collect();
                covers(&joined, path, rules, fuel)
            }),
            None => false,
        },
        '\\' => match (rest.split_first(), path.split_first()) {
            (Some((wanted, rest)), Some((c, after))) => wanted == c && covers(rest, after, rules, fuel),
            _ => false,
        },
        wanted => match path.split_first() {
            Some((c, after)) => wanted == c && covers(rest, after, rules, fuel),
            None => false,
        },
    }
}

/// A set of characters (`[a-z]`, `[^/]`) and what follows it.
fn class(rest: &[char]) -> Option<(impl Fn(char) -> bool, &[char])> {
    let (negated, body) = match rest.split_first() {
        Some(('^' | '!', body)) => (true, body),
        _ => (false, rest),
    };
    let end = body.iter().skip(1).position(|c| *c == ']')? + 1;
    let (set, after) = (body.get(..end)?.to_vec(), body.get(end + 1..)?);
    let holds = move |c: char| {
        let (mut found, mut at) = (false, 0);
        while let Some(first) = set.get(at) {
            if let (Some('-'), Some(last)) = (set.get(at + 1), set.get(at + 2)) {
                found |= (*first..=*last).contains(&c);
                at += 3;
            } else {
                found |= *first == c;
                at += 1;
            }
        }
        found != negated && c != '/'
    };
    Some((holds, after))
}

/// The alternatives of a brace and what follows it.
fn alternatives(rest: &[char]) -> Option<(Vec<&[char]>, &[char])> {
    let end = rest.iter().position(|c| *c == '}')?;
    let body = rest.get(..end)?;
    Some((body.split(|c| *c == ',').collect(), rest.get(end + 1..)?))
}
