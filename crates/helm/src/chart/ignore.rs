//! `.helmignore`.

use crate::path;
use crate::{Error, Result, Stage};

/// The rules of a `.helmignore`, in order, with Helm's own rule for hidden templates at the end.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    glob: String,
    negated: bool,
    only_folders: bool,
    whole_path: bool,
}

impl Rules {
    /// Reads a `.helmignore`; Helm's default rule is added.
    pub fn parse(text: &str) -> Result<Self> {
        let mut rules = Rules::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for line in text.lines() {
            rules.add(line.trim())?;
        }
        rules.add("templates/.?*")?;
        Ok(rules)
    }

    fn add(&mut self, rule: &str) -> Result<()> {
        if rule.is_empty() || rule.starts_with('#') {
            return Ok(());
        }
        let fail = |text: String| Err(Error::new(Stage::Chart, text).at(".helmignore", 0, 0));
        if rule.contains("**") {
            return fail("double-star (**) syntax is not supported".into());
        }
        if let Err(error) = path::matches(rule, "abc") {
            return fail(error.to_string());
        }
        let (negated, rule) = rule.strip_prefix('!').map_or((false, rule), |rest| (true, rest));
        let (only_folders, rule) = rule.strip_suffix('/').map_or((false, rule), |rest| (true, rest));
        let whole_path = rule.contains('/');
        let glob = rule.strip_prefix('/').unwrap_or(rule).to_owned();
        self.patterns.push(Pattern { glob, negated, only_folders, whole_path });
        Ok(())
    }

    /// Whether a file or folder, by its path below the chart, is left out. A folder that is left out
    /// takes everything below it along.
    pub fn ignores(&self, path: &str, is_folder: bool) -> bool {
        if matches!(path, "" | "." | "./") {
            return false;
        }
        for pattern in &self.patterns {
            if pattern.negated {
                if (pattern.only_folders && !is_folder) || !pattern.matches(path) {
                    return true;
                }
            } else if (is_folder || !pattern.only_folders) && pattern.matches(path) {
                return true;
            }
        }
        false
    }

    /// Whether a file is left out, by itself or with a folder above it.
    pub fn ignores_file(&self, file: &str) -> bool {
        let folders = file.match_indices('/').filter_map(|(at, _)| file.get(..at));
        folders.into_iter().any(|folder| self.ignores(folder, true)) || self.ignores(file, false)
    }
}

impl Pattern {
    fn matches(&self, path: &str) -> bool {
        let name = if self.whole_path { path } else { path::base(path) };
        path::matches(&self.glob, name).unwrap_or(false)
    }
}
