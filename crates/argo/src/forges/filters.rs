//! Filters of generators. Those of one kind are alternatives; within one all must hold.

use object::{Value, get_str};
use regex::Regex;

use super::{Api, Change, Repo, texts};

fn pattern(filter: &Value, field: &str) -> Result<Option<Regex>, String> {
    let Some(text) = get_str(filter, &[field]).filter(|text| !text.is_empty()) else { return Ok(None) };
    Regex::new(text).map(Some).map_err(|_| format!("error compiling {field} regexp \"{text}\""))
}

fn filters(spec: &Value) -> impl Iterator<Item = &Value> {
    spec.get("filters").and_then(Value::as_array).into_iter().flatten()
}

fn holds(pattern: &Option<Regex>, text: &str) -> bool {
    pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
}

#[derive(Default)]
struct Filter {
    repository: Option<Regex>,
    label: Option<Regex>,
    branch: Option<Regex>,
    paths: Vec<String>,
    missing: Vec<String>,
}

impl Filter {
    /// Does it have to know a branch?
    fn is_of_branches(&self) -> bool {
        self.branch.is_some() || !self.paths.is_empty() || !self.missing.is_empty()
    }

    fn is_about(&self, repo: &Repo) -> bool {
        holds(&self.repository, &repo.name)
            && self.label.as_ref().is_none_or(|label| repo.labels.iter().any(|own| label.is_match(own)))
    }

    async fn keeps(&self, repo: &Repo, api: &dyn Api) -> Result<bool, String> {
        if !self.is_about(repo) || !holds(&self.branch, &repo.branch) {
            return Ok(false);
        }
        for (paths, wanted) in [(&self.paths, true), (&self.missing, false)] {
            for path in paths {
                let path = path.trim_matches('/');
                let there = api.has_path(repo, path).await;
                let there = there.map_err(|why| format!("error filtering repo {}: {why}", repo.name))?;
                if there != wanted {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// The filters of a `scmProvider` generator.
pub(super) struct Wanted(Vec<Filter>);

impl Wanted {
    pub fn parse(spec: &Value) -> Result<Wanted, String> {
        let parse = |filter: &Value| -> Result<Filter, String> {
            Ok(Filter {
                repository: pattern(filter, "repositoryMatch")?,
                label: pattern(filter, "labelMatch")?,
                branch: pattern(filter, "branchMatch")?,
                paths: texts(filter, "pathsExist"),
                missing: texts(filter, "pathsDoNotExist"),
            })
        };
        filters(spec).map(parse).collect::<Result<_, _>>().map(Wanted)
    }

    fn of(&self, branches: bool) -> impl Iterator<Item = &Filter> {
        self.0.iter().filter(move |filter| filter.is_of_branches() == branches)
    }

    /// Is a repository wanted, whatever its branches are?
    pub fn is_about(&self, repo: &Repo) -> bool {
        self.of(false).next().is_none() || self.of(false).any(|filter| filter.is_about(repo))
    }

    /// Is a branch wanted?
    pub async fn keeps(&self, repo: &Repo, api: &dyn Api) -> Result<bool, String> {
        let mut any = false;
        for filter in self.of(true) {
            any = true;
            if filter.keeps(repo, api).await? {
                return Ok(true);
            }
        }
        Ok(!any)
    }
}

/// The filters of a `pullRequest` generator: patterns of branch, target and title.
pub(super) struct Requested(Vec<[Option<Regex>; 3]>);

impl Requested {
    pub fn parse(spec: &Value) -> Result<Requested, String> {
        let parse = |filter: &Value| -> Result<[Option<Regex>; 3], String> {
            Ok([
                pattern(filter, "branchMatch")?,
                pattern(filter, "targetBranchMatch")?,
                pattern(filter, "titleMatch")?,
            ])
        };
        filters(spec).map(parse).collect::<Result<_, _>>().map(Requested)
    }

    pub fn keeps(&self, change: &Change) -> bool {
        let fits = |[branch, target, title]: &[Option<Regex>; 3]| {
            holds(branch, &change.branch) && holds(target, &change.target) && holds(title, &change.title)
        };
        self.0.is_empty() || self.0.iter().any(fits)
    }
}
