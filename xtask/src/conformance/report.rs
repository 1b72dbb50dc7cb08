//! What a suite answers, and how it is printed.

use std::path::Path;

use similar::TextDiff;

/// One case: passed when it has no failure text.
pub struct Case {
    /// Its name, unique in the suite.
    pub name: String,
    /// Why it failed, with a diff where there is one.
    pub failure: Option<String>,
}

impl Case {
    /// A case that holds.
    pub fn passed(name: impl Into<String>) -> Case {
        Case { name: name.into(), failure: None }
    }

    /// A case that does not.
    pub fn failed(name: impl Into<String>, why: impl Into<String>) -> Case {
        Case { name: name.into(), failure: Some(why.into()) }
    }

    /// Passed when `actual` is `expected` to the byte; else failed with a unified diff.
    pub fn same(name: impl Into<String>, expected: &str, actual: &str) -> Case {
        if expected == actual {
            return Case::passed(name);
        }
        let diff = TextDiff::from_lines(expected, actual);
        Case::failed(name, diff.unified_diff().context_radius(3).header("expected", "actual").to_string())
    }
}

impl Case {
    /// Outcomes of a runner that a crate's tests share.
    pub fn all(outcomes: Vec<(String, Result<(), String>)>) -> Vec<Case> {
        let case = |(name, outcome): (String, Result<(), String>)| Case { name, failure: outcome.err() };
        outcomes.into_iter().map(case).collect()
    }

    /// The suite in a file below `dir`, run by a runner that a crate's tests share; nothing when it is not there.
    pub fn table(
        dir: &Path,
        file: &str,
        run: impl Fn(&Path) -> Vec<(String, Result<(), String>)>,
    ) -> Option<Suite> {
        let path = dir.join(file);
        let name = file.trim_end_matches(".json").trim_end_matches("/cases").to_owned();
        path.is_file().then(|| Suite { name, cases: Case::all(run(&path)) })
    }
}

/// A suite and its cases, in order.
pub struct Suite {
    /// The folder's name below the suites, with a part after a slash where it has several columns.
    pub name: String,
    /// All cases that were run.
    pub cases: Vec<Case>,
}

/// Prints a line per suite; `true` when every failure is a known one.
pub fn print(suites: &[Suite], known: &[(String, String)], json: bool, verbose: bool) -> bool {
    let is_known =
        |suite: &Suite, case: &Case| known.iter().any(|(s, c)| *s == suite.name && *c == case.name);
    let mut good = true;
    let mut rows = Vec::new();
    for suite in suites {
        let failed: Vec<&Case> = suite.cases.iter().filter(|case| case.failure.is_some()).collect();
        let unknown = failed.iter().filter(|case| !is_known(suite, case)).count();
        good &= unknown == 0;
        let passed = suite.cases.len() - failed.len();
        if json {
            rows.push(serde_json::json!({
                "suite": suite.name, "passed": passed, "total": suite.cases.len(), "unexplained": unknown,
                "failures": failed.iter().map(|case| serde_json::json!({
                    "case": case.name, "known": is_known(suite, case), "why": case.failure,
                })).collect::<Vec<_>>(),
            }));
            continue;
        }
        println!("{} {passed}/{}", suite.name, suite.cases.len());
        if verbose {
            for case in failed {
                let mark = if is_known(suite, case) { "known" } else { "FAIL" };
                println!("  {mark} {}", case.name);
                for line in case.failure.as_deref().unwrap_or_default().lines() {
                    println!("    {line}");
                }
            }
        }
    }
    if json {
        println!("{}", serde_json::Value::Array(rows));
    }
    good
}
