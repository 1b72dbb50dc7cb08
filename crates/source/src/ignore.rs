//! What a source leaves out, by Flux's rules: `.sourceignore` files and `spec.ignore` in gitignore syntax.

/// Version-control files: always left out.
const VCS: &[&str] = &[".git/", ".gitignore", ".gitmodules", ".gitattributes"];

/// Left out when nobody says otherwise.
const DEFAULTS: &[&str] = &[
    "*.jpg",
    "*.jpeg",
    "*.gif",
    "*.png",
    "*.wmv",
    "*.flv",
    "*.tar.gz",
    "*.zip",
    ".github/",
    ".circleci/",
    ".travis.yml",
    ".gitlab-ci.yml",
    "appveyor.yml",
    ".drone.yml",
    "cloudbuild.yaml",
    "codeship-services.yml",
    "codeship-steps.yml",
    "**/.goreleaser.yml",
    "**/.sops.yaml",
    "**/.flux.yaml",
];

/// An ordered list of patterns; the last one that matches decides.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    /// The folder the pattern stands in, as parts.
    domain: Vec<String>,
    parts: Vec<String>,
    include: bool,
    dir_only: bool,
    /// A pattern with a slash is matched from its folder down, one without on any part of the path.
    anchored: bool,
}

impl Ignore {
    /// The rules of a source: `files` are its `.sourceignore` files (folder, text), `spec` is `spec.ignore`.
    /// As in Flux, any pattern given replaces the default list, version-control files apart.
    pub fn for_source<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>, spec: Option<&str>) -> Self {
        let mut given = Ignore::default();
        for (folder, text) in files {
            given.add(folder, text);
        }
        if let Some(spec) = spec {
            given.add("", spec);
        }
        let mut all = Ignore::default();
        all.add_list(VCS);
        if given.patterns.is_empty() {
            all.add_list(DEFAULTS);
        }
        all.patterns.append(&mut given.patterns);
        all
    }

    /// Adds the patterns of one file in `folder`.
    pub fn add(&mut self, folder: &str, text: &str) {
        let domain: Vec<String> =
            folder.split('/').filter(|part| !part.is_empty()).map(String::from).collect();
        for line in text.lines() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            self.patterns.push(Pattern::parse(line, &domain));
        }
    }

    fn add_list(&mut self, list: &[&str]) {
        self.patterns.extend(list.iter().map(|line| Pattern::parse(line, &[])));
    }

    /// Whether any pattern was given.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether the rules leave `path` out.
    pub fn excludes(&self, path: &str, is_dir: bool) -> bool {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        for pattern in self.patterns.iter().rev() {
            if pattern.matches(&parts, is_dir) {
                return !pattern.include;
            }
        }
        false
    }
}

impl Pattern {
    fn parse(line: &str, domain: &[String]) -> Self {
        let (include, rest) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let rest = if rest.ends_with("\\ ") { rest } else { rest.trim_end_matches([' ', '\r']) };
        let (dir_only, rest) = match rest.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let anchored = rest.contains('/');
        let parts = rest.split('/').filter(|part| !part.is_empty()).map(String::from).collect();
        Pattern { domain: domain.to_vec(), parts, include, dir_only, anchored }
    }

    fn matches(&self, path: &[&str], is_dir: bool) -> bool {
        let Some((head, path)) = path.split_at_checked(self.domain.len()) else { return false };
        if path.is_empty() || head.iter().zip(&self.domain).any(|(part, own)| part != own) {
            return false;
        }
        if self.anchored {
            return self.matches_from(&self.parts, path, is_dir);
        }
        let Some(pattern) = self.parts.first() else { return false };
        path.iter().enumerate().any(|(index, part)| {
            let is_leaf = index + 1 == path.len();
            glob(pattern, part) && !(self.dir_only && is_leaf && !is_dir)
        })
    }

    /// A pattern matches a path when it matches it or a folder above it.
    fn matches_from(&self, pattern: &[String], path: &[&str], is_dir: bool) -> bool {
        match pattern.split_first() {
            None => !(self.dir_only && path.is_empty() && !is_dir),
            Some((first, rest)) if first == "**" => {
                if rest.is_empty() {
                    return !path.is_empty();
                }
                (0..path.len())
                    .any(|skip| path.get(skip..).is_some_and(|tail| self.matches_from(rest, tail, is_dir)))
            }
            Some((first, rest)) => match path.split_first() {
                Some((part, tail)) => glob(first, part) && self.matches_from(rest, tail, is_dir),
                None => false,
            },
        }
    }
}

/// Matches one name: `*`, `?`, `[a-z]`, `[^a]`, `[!a]`, `\x`. Linear in the pattern for each star.
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
                continue;
            }
            Some(_) => name.get(read).and_then(|letter| one(&pattern, at, *letter)),
            None => None,
        };
        match (step, star) {
            (Some(next), _) => {
                at = next;
                read += 1;
            }
            (None, Some((back, from))) => {
                star = Some((back, from + 1));
                at = back + 1;
                read = from + 1;
            }
            (None, None) => return false,
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == '*')
}

/// Matches one letter at `at`; the place after the element when it does.
fn one(pattern: &[char], at: usize, letter: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '\\' => (*pattern.get(at + 1)? == letter).then_some(at + 2),
        '[' => class(pattern, at + 1, letter),
        other => (*other == letter).then_some(at + 1),
    }
}

fn class(pattern: &[char], mut at: usize, letter: char) -> Option<usize> {
    let negated = matches!(pattern.get(at)?, '^' | '!');
    if negated {
        at += 1;
    }
    let start = at;
    let mut found = false;
    loop {
        let mut low = *pattern.get(at)?;
        if low == ']' && at > start {
            break;
        }
        if low == '\\' {
            at += 1;
            low = *pattern.get(at)?;
        }
        at += 1;
        let mut high = low;
        if pattern.get(at) == Some(&'-') && pattern.get(at + 1).is_some_and(|next| *next != ']') {
            high = *pattern.get(at + 1)?;
            at += 2;
        }
        found |= (low..=high).contains(&letter);
    }
    (found != negated).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::{Ignore, glob};

    #[test]
    fn names() {
        for (pattern, name, expected) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("?b", "ab", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[!a-c]x", "dx", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn defaults_and_replacement() {
        let defaults = Ignore::for_source([], None);
        for (path, expected) in [
            (".git/config", true),
            ("a/.gitignore", true),
            ("docs/x.png", true),
            (".github/workflows/x.yaml", true),
            ("apps/.sops.yaml", true),
            ("apps/x.yaml", false),
        ] {
            assert_eq!(defaults.excludes(path, false), expected, "{path}");
        }
        let own = Ignore::for_source([], Some("/*\n!/deploy\n# note\n\n"));
        assert!(own.excludes("x.png", false) && own.excludes("src/a", false));
        assert!(!own.excludes("deploy/x.png", false));
        assert!(own.excludes(".git/HEAD", false));
        let nested = Ignore::for_source([("apps", "secret.yaml\n/only-here.yaml\ntmp/\n")], None);
        assert!(nested.excludes("apps/deep/secret.yaml", false) && !nested.excludes("secret.yaml", false));
        assert!(
            nested.excludes("apps/only-here.yaml", false) && !nested.excludes("apps/x/only-here.yaml", false)
        );
        assert!(nested.excludes("apps/tmp/x", false) && !nested.excludes("apps/tmp", false));
        let deep = Ignore::for_source([], Some("a/**/b\nfoo/**\n"));
        assert!(
            deep.excludes("a/x/y/b/c", false) && deep.excludes("a/b", false) && deep.excludes("foo/x", false)
        );
    }
}
