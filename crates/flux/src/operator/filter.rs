//! What a provider leaves out of an answer, and in which order the rest comes. Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use object::Value;
use regex::Regex;

use crate::common::{str_at, strings_at};

/// How many inputs there are when nothing is said.
const USUAL: usize = 100;

#[derive(Clone, Copy, PartialEq)]
enum Order {
    Version,
    Text { rising: bool },
    Number { rising: bool },
}

/// `spec.filter`.
pub(super) struct Filter {
    include: Option<Regex>,
    exclude: Option<Regex>,
    labels: Vec<String>,
    semver: String,
    order: Order,
    order_key: String,
    group_key: String,
    /// Inputs at most.
    pub limit: usize,
}

impl Filter {
    /// Reads the filter of a spec.
    ///
    /// # Errors
    /// With the field that cannot be used.
    pub fn new(spec: &Value) -> Result<Filter, String> {
        let filter = spec.get("filter").cloned().unwrap_or_default();
        // A provider lists one kind of thing, so one of the names is used.
        let pattern = |word: &str| -> Result<Option<Regex>, String> {
            for what in ["Branch", "Tag", "Environment"] {
                let field = format!("{word}{what}");
                let text = str_at(&filter, &[&field]);
                if !text.is_empty() {
                    let made = Regex::new(text).map_err(|_| format!("invalid {field} regex: '{text}'"));
                    return made.map(Some);
                }
            }
            Ok(None)
        };
        let semver = str_at(&filter, &["semver"]).to_owned();
        if !semver.is_empty() {
            source::best_version(&semver, std::iter::empty())
                .map_err(|error| format!("invalid semver expression: {error}"))?;
        }
        let order = match str_at(&filter, &["orderBy"]) {
            "" if semver.is_empty() => Order::Text { rising: false },
            "" | "SemVer" => Order::Version,
            "Alphabetical" => Order::Text { rising: true },
            "ReverseAlphabetical" => Order::Text { rising: false },
            "Numerical" => Order::Number { rising: true },
            "ReverseNumerical" => Order::Number { rising: false },
            other => return Err(format!("unknown orderBy: '{other}'")),
        };
        let limit = object::get_i64(&filter, &["limit"]).and_then(|limit| usize::try_from(limit).ok());
        let filter = Filter {
            include: pattern("include")?,
            exclude: pattern("exclude")?,
            labels: strings_at(&filter, &["labels"]),
            semver,
            order,
            order_key: str_at(&filter, &["extractOrder"]).to_owned(),
            group_key: str_at(&filter, &["extractGroup"]).to_owned(),
            limit: limit.filter(|limit| *limit > 0).unwrap_or(USUAL),
        };
        if filter.include.is_none() && !(filter.order_key.is_empty() && filter.group_key.is_empty()) {
            return Err("extractOrder and extractGroup need includeTag".into());
        }
        Ok(filter)
    }

    /// Is a name wanted?
    pub fn takes(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|pattern| pattern.is_match(name))
            && !self.exclude.as_ref().is_some_and(|pattern| pattern.is_match(name))
    }

    /// Does something with these labels have all that are wanted?
    pub fn labelled(&self, labels: &[String]) -> bool {
        self.labels.iter().all(|label| labels.contains(label))
    }

    fn key(&self, template: &str, name: &str) -> String {
        let found = self.include.as_ref().and_then(|pattern| pattern.captures(name));
        let mut key = String::new();
        if let Some(found) = found.filter(|_| !template.is_empty()) {
            found.expand(template, &mut key);
        }
        key
    }

    fn in_range(&self, key: &str) -> bool {
        // The range was read before.
        let range = if self.semver.is_empty() { ">=0.0.0-0" } else { &self.semver };
        let needed = !self.semver.is_empty() || self.order == Order::Version;
        !needed || matches!(source::best_version(range, std::iter::once(key)), Ok(Some(_)))
    }

    fn compare(&self, a: &str, b: &str) -> Ordering {
        let turned = |order: Ordering, rising: bool| if rising { order } else { order.reverse() };
        match self.order {
            Order::Version => source::newest_first(a, b),
            Order::Text { rising } => turned(a.cmp(b), rising),
            Order::Number { rising } => turned(numerically(a, b), rising),
        }
    }

    /// The tags that are wanted, in order; so many of each group.
    pub fn tags(&self, names: Vec<String>) -> Vec<String> {
        let mut groups: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for name in names.into_iter().filter(|name| self.takes(name)) {
            let key = if self.order_key.is_empty() { name.clone() } else { self.key(&self.order_key, &name) };
            if self.in_range(&key) {
                groups.entry(self.key(&self.group_key, &name)).or_default().push((key, name));
            }
        }
        let mut kept = Vec::new();
        for mut group in groups.into_values() {
            group.sort_by(|a, b| self.compare(&a.0, &b.0));
            kept.extend(group.into_iter().take(self.limit).map(|(_, name)| name));
        }
        kept
    }
}

/// Two numbers of any length by their value, anything else by its letters.
fn numerically(a: &str, b: &str) -> Ordering {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.trim_start_matches('0').to_owned())
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(&b)),
        _ => a.cmp(b),
    }
}

/// `spec.skip`: does something with these labels stay as it was? A label with `!` in front must be there.
pub(super) fn skips(spec: &Value, labels: &[String]) -> bool {
    strings_at(spec, &["skip", "labels"]).iter().any(|label| match label.strip_prefix('!') {
        Some(label) => !labels.iter().any(|own| own == label),
        None => labels.contains(label),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tags() {
        for (filter, names, wanted) in [
            (json!({}), "v1.0.0 v1.1.0 v2.0.0", "v2.0.0 v1.1.0 v1.0.0"),
            (json!({"limit": 2}), "v1.0.0 v1.1.0 v2.0.0 v1.2.0", "v2.0.0 v1.2.0"),
            (json!({"includeTag": "^v1\\.", "excludeTag": "0$"}), "v1.0.0 v1.1.1 v2.0.0", "v1.1.1"),
            (
                json!({"semver": ">= 1.0.0 < 2.0.0", "limit": 2}),
                "v1.0.0 v1.9.0 v2.0.0 x v1.10.0",
                "v1.10.0 v1.9.0",
            ),
            (json!({"orderBy": "SemVer"}), "v1.9.0 x v1.10.0-rc.1", "v1.10.0-rc.1 v1.9.0"),
            (json!({"orderBy": "Alphabetical"}), "b a c", "a b c"),
            (
                json!({"includeTag": "^main-(?P<n>[0-9]+)$", "extractOrder": "$n", "orderBy": "ReverseNumerical", "limit": 2}),
                "main-9 main-10 main-100 dev-1",
                "main-100 main-10",
            ),
            (
                json!({"includeTag": "^(.+)-([0-9]+)$", "extractGroup": "$1", "extractOrder": "$2", "orderBy": "ReverseNumerical", "limit": 1}),
                "b-1 a-2 a-10 b-3",
                "a-10 b-3",
            ),
        ] {
            let filter = Filter::new(&json!({"filter": filter})).unwrap();
            let found = filter.tags(names.split(' ').map(str::to_owned).collect());
            assert_eq!(found.join(" "), wanted);
        }
    }

    #[test]
    fn faults() {
        for filter in [
            json!({"includeBranch": "("}),
            json!({"semver": "not a range"}),
            json!({"orderBy": "Size"}),
            json!({"extractOrder": "$1"}),
        ] {
            assert!(Filter::new(&json!({"filter": filter})).is_err(), "{filter}");
        }
    }

    #[test]
    fn skipped() {
        let spec = json!({"skip": {"labels": ["hold", "!built"]}});
        let skips = |labels: &[&str]| {
            skips(&spec, &labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>())
        };
        assert!(!skips(&["built"]));
        assert!(skips(&["built", "hold"]) && skips(&[]));
    }
}
