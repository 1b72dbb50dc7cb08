//! Who must have signed the commits of a repository: `sourceIntegrity` of a project, or its older `signatureKeys`. Pure.

use std::collections::BTreeMap;

use delivery::fields::{list_at, str_at, strings_at};
use object::{Value, get};

use super::Project;
use super::pattern::permits;

/// The rules of a project, and the keys that are trusted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Signers {
    /// Of any repository.
    keys: Vec<String>,
    /// Of the repositories that they name.
    policies: Option<Vec<Value>>,
    /// Armored keys by what they are called.
    trusted: BTreeMap<String, String>,
}

impl Signers {
    /// What a project asks for.
    pub fn of_project(project: &Project) -> Signers {
        let policies = get(project.object(), &["spec", "sourceIntegrity", "git", "policies"]);
        Signers {
            keys: project.signature_keys().into_iter().map(str::to_owned).collect(),
            policies: policies.and_then(Value::as_array).cloned(),
            trusted: BTreeMap::new(),
        }
    }

    /// Is there anything to ask for?
    pub fn asks(&self) -> bool {
        !self.keys.is_empty() || self.policies.is_some()
    }

    /// The keys of the installation.
    pub fn trust(&mut self, keys: BTreeMap<String, String>) {
        self.trusted = keys;
    }

    /// The keys of which one must have signed what is taken of a repository; nothing when any commit will do.
    ///
    /// # Errors
    /// When what the project asks for is not one rule, or one that is not kept here: then nothing is taken.
    pub fn of(&self, url: &str) -> Result<Option<Vec<String>>, String> {
        let Some(policies) = &self.policies else {
            return Ok((!self.keys.is_empty()).then(|| self.armored(&self.keys)));
        };
        let mut fitting = policies.iter().filter(|policy| is_about(policy, url));
        let Some(policy) = fitting.next() else { return Ok(None) };
        let more = fitting.count();
        if more > 0 {
            return Err(format!(
                "multiple ({}) git source integrity policies found for repo URL: {url}",
                more + 1
            ));
        }
        match str_at(policy, &["gpg", "mode"]) {
            "none" => Ok(None),
            "head" => Ok(Some(self.armored(&strings_at(policy, &["gpg", "keys"])))),
            "strict" => Err(format!(
                "{url}: mode strict of sourceIntegrity, which asks for signatures of the whole history, is not kept \
                 here: use head"
            )),
            other => Err(format!("unknown GPG mode {other:?} configured for GIT source integrity")),
        }
    }

    /// Keys are named by the last sixteen digits of their fingerprints.
    fn armored(&self, wanted: &[String]) -> Vec<String> {
        let short = |id: &str| id.to_uppercase().chars().rev().take(16).collect::<String>();
        let known = self.trusted.iter().filter(|(id, _)| wanted.iter().any(|one| short(one) == short(id)));
        known.map(|(_, key)| key.clone()).collect()
    }
}

/// A denial takes the repository away from the policy, whatever else it names.
fn is_about(policy: &Value, url: &str) -> bool {
    let patterns = list_at(policy, &["repos"]).iter().map(|entry| str_at(entry, &["url"]));
    let mut included = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(denied) if permits(denied, url, false, false) => return false,
            Some(_) => {}
            None => included |= permits(pattern, url, false, false),
        }
    }
    included
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_policy_decides() {
        let project = |spec: Value| Project::new(json!({"metadata": {"name": "p"}, "spec": spec}));
        let policy = |urls: Value, mode: &str| {
            let repos: Vec<Value> =
                urls.as_array().into_iter().flatten().map(|url| json!({"url": url})).collect();
            json!({"repos": repos, "gpg": {"mode": mode, "keys": ["AAAA0123456789ABCDEF"]}})
        };
        let rules = |policies: Value| {
            let mut signers =
                Signers::of_project(&project(json!({"sourceIntegrity": {"git": {"policies": policies}}})));
            signers.trust(BTreeMap::from([("0123456789abcdef".to_owned(), "key".to_owned())]));
            signers
        };
        let url = "https://git.example.com/org/a";
        let all = rules(json!([policy(
            json!(["https://git.example.com/*/*", "!https://git.example.com/org/b"]),
            "head"
        )]));
        assert_eq!(all.of(url), Ok(Some(vec!["key".to_owned()])));
        assert_eq!(all.of("https://git.example.com/org/b"), Ok(None));
        assert_eq!(rules(json!([policy(json!(["*"]), "none")])).of("x"), Ok(None));
        assert!(rules(json!([policy(json!(["*"]), "strict")])).of("x").is_err());
        let twice = rules(json!([policy(json!(["*"]), "head"), policy(json!(["*"]), "none")]));
        assert!(twice.of("x").is_err_and(|why| why.contains("multiple (2)")));
        assert!(!Signers::of_project(&project(json!({}))).asks());
        let older = Signers::of_project(&project(json!({"signatureKeys": [{"keyID": "1"}]})));
        assert_eq!(older.of(url), Ok(Some(Vec::new())));
    }
}
