//! Composing a tree out of others, as an ArtifactGenerator's `copy` list says.

use crate::ignore::{Ignore, glob};
use crate::tree::{Builder, File, clean};
use crate::{Error, Limits, Result, Tree};
use object::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One entry of `copy`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copy {
    /// `@alias/path-or-glob`.
    pub from: String,
    /// `@artifact/path`.
    pub to: String,
    /// Globs (`**`, `{a,b}`) of what to leave out.
    pub exclude: Vec<String>,
    /// What to do with a file that is there already, or with an archive.
    pub strategy: Strategy,
    /// Nothing to copy is no error.
    pub optional: bool,
}

/// How files are put down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// The later file replaces the earlier one.
    #[default]
    Overwrite,
    /// YAML maps are merged, the later one winning; lists are replaced.
    Merge,
    /// Archives (`.tar.gz`, `.tgz`) are unpacked.
    Extract,
}

/// Alternatives in one pattern: each comma in braces may double the work.
const MAX_ALTERNATIVES: usize = 20;

/// Runs the copies in order over the sources (by alias).
pub fn compose(sources: &BTreeMap<String, Tree>, copies: &[Copy], limits: &Limits) -> Result<Tree> {
    let mut builder = Builder::default();
    for copy in copies {
        apply(&mut builder, sources, copy, limits)
            .map_err(|error| error.within(&format!("copy from '{}' to '{}'", copy.from, copy.to)))?;
        builder.check(limits, "artifact")?;
    }
    Ok(builder.build().without(&Ignore::for_source([], None)))
}

impl Strategy {
    /// Reads the field's value.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "" | "Overwrite" => Ok(Strategy::Overwrite),
            "Merge" => Ok(Strategy::Merge),
            "Extract" => Ok(Strategy::Extract),
            other => Err(Error::Invalid(format!("strategy {other:?} is not Overwrite, Merge or Extract"))),
        }
    }
}

fn apply(
    builder: &mut Builder,
    sources: &BTreeMap<String, Tree>,
    copy: &Copy,
    limits: &Limits,
) -> Result<()> {
    let Some((alias, pattern)) = copy.from.strip_prefix('@').and_then(|from| from.split_once('/')) else {
        return Err(Error::Invalid(format!("invalid copy source '{}': must be '@alias/pattern'", copy.from)));
    };
    let to = copy.to.strip_prefix("@artifact/").ok_or_else(|| {
        Error::Invalid(format!("invalid copy destination '{}': must start with '@artifact/'", copy.to))
    })?;
    let target = match clean(to) {
        Some(target) if !to.split('/').any(|part| part == "..") => target,
        _ => {
            return Err(Error::Invalid(format!(
                "invalid copy destination '{}': leaves the artifact",
                copy.to
            )));
        }
    };
    let source =
        sources.get(alias).ok_or_else(|| Error::NotFound(format!("source alias '{alias}' not found")))?;
    for pattern in copy.exclude.iter().map(String::as_str).chain([pattern]) {
        check_pattern(pattern)?;
    }
    let pattern = clean(pattern)
        .ok_or_else(|| Error::Invalid(format!("invalid copy source '{}': leaves the source", copy.from)))?;
    let into_folder = to.is_empty() || to.ends_with('/');
    let job = Job { builder, source, copy, limits };
    if pattern.contains(['*', '?', '[', ']']) {
        job.globbed(&pattern, &target, alias)
    } else {
        job.single(&pattern, &target, into_folder)
    }
}

struct Job<'a> {
    builder: &'a mut Builder,
    source: &'a Tree,
    copy: &'a Copy,
    limits: &'a Limits,
}

impl Job<'_> {
    /// A plain path, with the manners of `cp -r`.
    fn single(mut self, path: &str, target: &str, into_folder: bool) -> Result<()> {
        let name = path.rsplit('/').next().unwrap_or(path);
        if let Some(file) = self.source.get(path).cloned() {
            if self.excluded(path, "") {
                return Ok(());
            }
            if self.copy.strategy == Strategy::Extract {
                if !is_tarball(path) {
                    return Err(Error::Invalid(format!(
                        "extract strategy requires tarball file (.tar.gz or .tgz), got '{path}'"
                    )));
                }
                return self.extract(path, &file, target);
            }
            let to = if into_folder || self.builder.is_dir(target) {
                join(target, name)
            } else {
                target.to_string()
            };
            return self.put(path, &file, &to);
        }
        if self.source.is_dir(path) {
            if self.copy.strategy == Strategy::Extract {
                return Err(Error::Invalid(format!(
                    "extract strategy is not supported for directories, got '{path}'"
                )));
            }
            return self.folder(path, &join(target, name), path);
        }
        if self.copy.optional {
            Ok(())
        } else {
            Err(Error::NotFound(format!("source '{path}' does not exist")))
        }
    }

    /// A glob. Names are matched part by part; only Extract lets `**` span folders, as the original does,
    /// and a matched folder is copied whole.
    fn globbed(mut self, pattern: &str, target: &str, alias: &str) -> Result<()> {
        let deep = self.copy.strategy == Strategy::Extract;
        let matches = self.matches(pattern, deep);
        if matches.is_empty() {
            return self.nothing(format!("no files match pattern '{pattern}' in source '{alias}'"));
        }
        let base = literal_root(pattern);
        let wanted: Vec<_> = matches.into_iter().filter(|path| !self.excluded(path, &base)).collect();
        if wanted.is_empty() {
            return self.nothing(format!(
                "all files matching pattern '{pattern}' in source '{alias}' were excluded"
            ));
        }
        for path in wanted {
            let file = self.source.get(&path).cloned();
            if deep {
                match file {
                    Some(file) if is_tarball(&path) => self.extract(&path, &file, target)?,
                    _ => {}
                }
                continue;
            }
            let inner = pattern.strip_suffix("/**").and_then(|dir| path.strip_prefix(dir)?.strip_prefix('/'));
            let to = join(target, inner.unwrap_or(&path));
            match file {
                Some(file) => self.put(&path, &file, &to)?,
                None => self.folder(&path, &to, &base)?,
            }
        }
        Ok(())
    }

    fn nothing(&self, message: String) -> Result<()> {
        if self.copy.optional { Ok(()) } else { Err(Error::NotFound(message)) }
    }

    /// Files and folders that match.
    fn matches(&self, pattern: &str, deep: bool) -> Vec<String> {
        let parts: Vec<&str> = pattern.split('/').collect();
        let mut found = std::collections::BTreeSet::new();
        for (path, _) in self.source.files() {
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            for (depth, end) in ends.enumerate() {
                let Some(prefix) = path.get(..end) else { continue };
                let matched = if deep {
                    double_star(pattern, prefix)
                } else {
                    depth + 1 == parts.len()
                        && prefix.split('/').zip(&parts).all(|(name, part)| glob(part, name))
                };
                if matched {
                    found.insert(prefix.to_string());
                }
            }
        }
        found.into_iter().collect()
    }

    fn folder(&mut self, path: &str, target: &str, base: &str) -> Result<()> {
        let source = self.source;
        let mut files = Vec::new();
        for (name, file) in source.files_below(path) {
            let rest = name.strip_prefix(path).unwrap_or(name).trim_start_matches('/');
            let start = name.len() - rest.len();
            // A folder that is excluded takes its files with it.
            let mut ends = rest.match_indices('/').map(|(at, _)| start + at).chain([name.len()]);
            if !ends.any(|end| self.excluded(name.get(..end).unwrap_or(name), base)) {
                files.push((name.to_string(), file.clone(), join(target, rest)));
            }
        }
        files.into_iter().try_for_each(|(name, file, to)| self.put(&name, &file, &to))
    }

    fn put(&mut self, from: &str, file: &Arc<File>, to: &str) -> Result<()> {
        match self.builder.get(to).cloned() {
            Some(present) if self.copy.strategy == Strategy::Merge => {
                let merged = merge_maps(yaml_map(to, &present)?, yaml_map(from, file)?);
                let text = yaml::to_string(&Value::Object(merged));
                self.builder.insert(to, File::new(text.into_bytes(), false))
            }
            _ => {
                self.builder.put(to, file.clone());
                Ok(())
            }
        }
    }

    fn extract(&mut self, path: &str, file: &File, target: &str) -> Result<()> {
        let bytes = file.bytes().map_err(|reason| Error::Refused(format!("{path}: {reason}")))?;
        let tree = Tree::from_tar_gz(bytes, self.limits).map_err(|error| error.within(path))?;
        for (name, file) in tree.files() {
            self.builder.put(&join(target, name), file.clone());
        }
        Ok(())
    }

    /// Whether a pattern leaves `path` out, seen from the source's root, from the selected folder, or by name.
    fn excluded(&self, path: &str, base: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let relative =
            if base.is_empty() { None } else { path.strip_prefix(base).and_then(|p| p.strip_prefix('/')) };
        self.copy.exclude.iter().any(|pattern| {
            double_star(pattern, path)
                || relative.is_some_and(|relative| double_star(pattern, relative))
                || (!pattern.contains('/') && double_star(pattern, name))
        })
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_string() } else { format!("{folder}/{name}") }
}

fn is_tarball(path: &str) -> bool {
    path.ends_with(".tar.gz") || path.ends_with(".tgz")
}

/// The folder before the first part with a wildcard.
fn literal_root(pattern: &str) -> String {
    pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', ']'])).collect::<Vec<_>>().join("/")
}

fn check_pattern(pattern: &str) -> Result<()> {
    let (mut depth, mut commas) = (0usize, 0usize);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth > 0 => commas += 1,
            _ => {}
        }
    }
    if commas > MAX_ALTERNATIVES {
        return Err(Error::Invalid(format!(
            "pattern has {commas} alternatives in '{{}}' groups, at most {MAX_ALTERNATIVES} are allowed"
        )));
    }
    Ok(())
}

/// Matches a whole path: `**` spans folders, `{a,b}` gives alternatives.
pub(crate) fn double_star(pattern: &str, path: &str) -> bool {
    alternatives(pattern).iter().any(|pattern| {
        let (pattern, path): (Vec<&str>, Vec<&str>) =
            (pattern.split('/').collect(), path.split('/').collect());
        spans(&pattern, &path)
    })
}

fn spans(pattern: &[&str], path: &[&str]) -> bool {
    // Row by row instead of by recursion, so that many `**` cost no more than parts × parts.
    let mut row = vec![false; path.len() + 1];
    if let Some(first) = row.first_mut() {
        *first = true;
    }
    for part in pattern {
        let mut next = vec![false; path.len() + 1];
        for at in 0..=path.len() {
            let here = row.get(at).copied().unwrap_or(false);
            let before = at > 0 && next.get(at - 1).copied().unwrap_or(false);
            let from = at > 0 && row.get(at - 1).copied().unwrap_or(false);
            let value = if *part == "**" {
                here || before
            } else {
                from && path.get(at - 1).is_some_and(|name| glob(part, name))
            };
            if let Some(slot) = next.get_mut(at) {
                *slot = value;
            }
        }
        row = next;
    }
    row.last().copied().unwrap_or(false)
}

/// Expands the first `{a,b}` group and, through recursion, all others.
fn alternatives(pattern: &str) -> Vec<String> {
    let Some((open, close)) = group(pattern) else { return vec![pattern.to_string()] };
    let (head, body, tail) = (&pattern[..open], &pattern[open + 1..close], &pattern[close + 1..]);
    let mut all = Vec::new();
    for choice in split_commas(body) {
        all.extend(alternatives(&format!("{head}{choice}{tail}")));
    }
    all
}

fn group(pattern: &str) -> Option<(usize, usize)> {
    let (mut open, mut depth, mut escaped) = (None, 0usize, false);
    for (at, letter) in pattern.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => {
                depth += 1;
                open.get_or_insert(at);
            }
            '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return open.map(|open| (open, at));
                }
            }
            _ => {}
        }
    }
    None
}

fn split_commas(body: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (at, letter) in body.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&body[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&body[start..]);
    parts
}

type Map = serde_json::Map<String, Value>;

/// All documents of a file as one map.
fn yaml_map(path: &str, file: &File) -> Result<Map> {
    let bytes = file.bytes().map_err(|reason| Error::Refused(format!("{path}: {reason}")))?;
    let text = std::str::from_utf8(bytes).map_err(|error| Error::Invalid(format!("{path}: {error}")))?;
    let documents = yaml::documents(text).map_err(|error| Error::Invalid(format!("{path}: {error}")))?;
    let mut all = Map::new();
    for document in documents {
        match document {
            Value::Object(map) => all = merge_maps(all, map),
            _ => return Err(Error::Invalid(format!("{path}: cannot be merged: a document is not a map"))),
        }
    }
    Ok(all)
}

fn merge_maps(mut base: Map, over: Map) -> Map {
    for (key, value) in over {
        let value = match (base.remove(&key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => Value::Object(merge_maps(below, above)),
            (_, value) => value,
        };
        base.insert(key, value);
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        Tree::from_files(files.iter().map(|(path, text)| (*path, text.as_bytes().to_vec()))).expect("a tree")
    }

    fn run(from: &str, to: &str, exclude: &[&str], strategy: Strategy) -> Result<Vec<String>> {
        let source = tree(&[
            ("apps/a/k.yaml", "a: 1\nl: [1]\n"),
            ("apps/a/README.md", ""),
            ("apps/b/k.yaml", "b: 2\nl: [2]\n"),
            ("top.yaml", "t: 1"),
        ]);
        let copy = Copy {
            from: from.into(),
            to: to.into(),
            exclude: exclude.iter().map(|text| text.to_string()).collect(),
            strategy,
            optional: false,
        };
        let composed = compose(&BTreeMap::from([("s".to_string(), source)]), &[copy], &Limits::default())?;
        Ok(composed.files().map(|(path, _)| path.to_string()).collect())
    }

    #[test]
    fn copies_like_cp() {
        let plain = Strategy::Overwrite;
        for (from, to, exclude, expected) in [
            ("@s/apps/a/**", "@artifact/", &[][..], &["README.md", "k.yaml"][..]),
            ("@s/apps/**", "@artifact/x/", &["*.md"], &["x/a/k.yaml", "x/b/k.yaml"]),
            ("@s/apps/a", "@artifact/x/", &[], &["x/a/README.md", "x/a/k.yaml"]),
            ("@s/apps/*/k.yaml", "@artifact/", &[], &["apps/a/k.yaml", "apps/b/k.yaml"]),
            ("@s/top.yaml", "@artifact/y.yaml", &[], &["y.yaml"]),
            ("@s/top.yaml", "@artifact/d/", &[], &["d/top.yaml"]),
            ("@s/**", "@artifact/", &["apps/b/**", "{README,x}.md"], &["apps/a/k.yaml", "top.yaml"]),
        ] {
            assert_eq!(run(from, to, exclude, plain).expect(from), expected, "{from} {to}");
        }
        for (from, to, text) in [
            ("@x/a", "@artifact/", "alias 'x' not found"),
            ("@s/nope", "@artifact/", "does not exist"),
            ("@s/no*", "@artifact/", "no files match"),
            ("s/a", "@artifact/", "@alias/pattern"),
            ("@s/top.yaml", "out", "@artifact/"),
            ("@s/top.yaml", "@artifact/../x", "leaves the artifact"),
        ] {
            let error = run(from, to, &[], plain).expect_err(from).to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn merges_yaml() {
        let source = tree(&[("a.yaml", "m: {a: 1, b: 1}\nl: [1, 2]\n"), ("b.yaml", "m: {b: 2}\nl: [3]\n")]);
        let copy = |from: &str| Copy {
            from: from.into(),
            to: "@artifact/v.yaml".into(),
            strategy: Strategy::Merge,
            ..Copy::default()
        };
        let sources = BTreeMap::from([("s".to_string(), source)]);
        let out =
            compose(&sources, &[copy("@s/a.yaml"), copy("@s/b.yaml")], &Limits::default()).expect("composes");
        let value = yaml::from_str(std::str::from_utf8(&out.read("v.yaml").expect("there")).expect("text"))
            .expect("yaml");
        assert_eq!(value, serde_json::json!({"m": {"a": 1, "b": 2}, "l": [3]}));
    }
}
