//! Who may do what: `policy.csv` and what roles of projects add to it.
//!
//! A request is a subject, a resource, an action and an object. A policy is for it when the subject is, or belongs to,
//! the policy's, and when the other three fit. One that denies wins over all that allow.

use std::collections::{BTreeMap, BTreeSet};

use health::argo::glob;

/// How resources, actions and objects are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Match {
    /// Globs, where `*` also crosses slashes.
    #[default]
    Glob,
    /// Regular expressions.
    Regex,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    subject: String,
    resource: String,
    action: String,
    object: String,
    allows: bool,
}

/// The policies of an installation.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    rules: Vec<Rule>,
    /// Which subjects and roles belong to which roles.
    groups: BTreeMap<String, BTreeSet<String>>,
    matching: Match,
    /// The role that everybody has.
    default_role: String,
}

/// What the two roles that every installation has may do.
const READS: [&str; 10] = [
    "applications",
    "applicationsets",
    "certificates",
    "clusters",
    "repositories",
    "write-repositories",
    "projects",
    "accounts",
    "gpgkeys",
    "logs",
];

const CHANGES: [(&str, &[&str]); 10] = [
    (
        "applications",
        &["create", "update", "update/*", "delete", "delete/*", "sync", "override", "rollback", "action/*"],
    ),
    ("applicationsets", &["get", "create", "update", "delete"]),
    ("certificates", &["create", "update", "delete"]),
    ("clusters", &["create", "update", "delete"]),
    ("repositories", &["create", "update", "delete"]),
    ("write-repositories", &["create", "update", "delete"]),
    ("projects", &["create", "update", "delete"]),
    ("accounts", &["update"]),
    ("gpgkeys", &["create", "delete"]),
    ("exec", &["create"]),
];

fn scoped(resource: &str) -> &'static str {
    if matches!(resource, "applications" | "applicationsets" | "logs" | "exec") { "*/*" } else { "*" }
}

impl Policies {
    /// The policies of `argocd-rbac-cm`, with the built-in roles `role:readonly` and `role:admin`.
    ///
    /// # Errors
    /// When a line is malformed.
    pub fn parse(csv: &str, default_role: &str, matching: Match) -> Result<Self, String> {
        let mut all = Policies::bare(default_role, matching);
        all.add_built_in();
        all.add(csv)?;
        Ok(all)
    }

    /// None yet.
    pub fn bare(default_role: &str, matching: Match) -> Self {
        Policies { matching, default_role: default_role.to_owned(), ..Policies::default() }
    }

    /// The roles that every installation has, and its administrator.
    pub fn add_built_in(&mut self) {
        let all = self;
        for resource in READS {
            all.allow("role:readonly", resource, "get", scoped(resource));
        }
        for (resource, actions) in CHANGES {
            for action in actions {
                all.allow("role:admin", resource, action, scoped(resource));
            }
        }
        all.belong("role:admin", "role:readonly");
        all.belong("admin", "role:admin");
    }

    fn allow(&mut self, subject: &str, resource: &str, action: &str, object: &str) {
        self.rules.push(Rule {
            subject: subject.to_owned(),
            resource: resource.to_owned(),
            action: action.to_owned(),
            object: object.to_owned(),
            allows: true,
        });
    }

    fn belong(&mut self, member: &str, role: &str) {
        self.groups.entry(member.to_owned()).or_default().insert(role.to_owned());
    }

    /// Adds lines of policies.
    ///
    /// # Errors
    /// When one is malformed.
    pub fn add(&mut self, csv: &str) -> Result<(), String> {
        for line in csv.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let fields = fields(line).ok_or_else(|| format!("error reading the policy line: {line}"))?;
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            match fields.as_slice() {
                ["p", subject, resource, action, object] => self.allow(subject, resource, action, object),
                ["p", subject, resource, action, object, effect] => {
                    let allows = match *effect {
                        "allow" => true,
                        "deny" => false,
                        _ => return Err(format!("invalid RBAC policy: {line}")),
                    };
                    self.allow(subject, resource, action, object);
                    if let Some(rule) = self.rules.last_mut() {
                        rule.allows = allows;
                    }
                }
                ["g", member, role] => self.belong(member, role),
                _ => return Err(format!("invalid RBAC policy: {line}")),
            }
        }
        Ok(())
    }

    /// The subject with all roles that it belongs to.
    fn roles<'a>(&'a self, subject: &'a str) -> BTreeSet<&'a str> {
        let (mut found, mut open) = (BTreeSet::from([subject]), vec![subject]);
        while let Some(member) = open.pop() {
            for role in self.groups.get(member).into_iter().flatten() {
                if found.insert(role) {
                    open.push(role);
                }
            }
        }
        found
    }

    fn covers(&self, pattern: &str, value: &str) -> bool {
        match self.matching {
            Match::Glob => glob(pattern, value),
            Match::Regex => regex::Regex::new(pattern).is_ok_and(|expression| expression.is_match(value)),
        }
    }

    fn decide(&self, subject: &str, resource: &str, action: &str, object: &str) -> bool {
        let roles = self.roles(subject);
        let mut allowed = false;
        for rule in self.rules.iter().filter(|rule| roles.contains(rule.subject.as_str())) {
            if self.covers(&rule.resource, resource)
                && self.covers(&rule.action, action)
                && self.covers(&rule.object, object)
            {
                if !rule.allows {
                    return false;
                }
                allowed = true;
            }
        }
        allowed
    }

    /// Whether a subject may do something: by the default role, by itself, or by one of its groups.
    pub fn allows(&self, subject: &str, groups: &[&str], resource: &str, action: &str, object: &str) -> bool {
        if !self.default_role.is_empty() && self.decide(&self.default_role, resource, action, object) {
            return true;
        }
        std::iter::once(&subject).chain(groups).any(|subject| self.decide(subject, resource, action, object))
    }
}

/// The fields of a line of comma-separated values, with quotes.
fn fields(line: &str) -> Option<Vec<String>> {
    let (mut all, mut rest) = (Vec::new(), line);
    loop {
        rest = rest.trim_start();
        if let Some(quoted) = rest.strip_prefix('"') {
            let (mut field, mut chars) = (String::new(), quoted.char_indices().peekable());
            let end = loop {
                match (chars.next()?, chars.peek()) {
                    ((_, '"'), Some((_, '"'))) => {
                        chars.next();
                        field.push('"');
                    }
                    ((at, '"'), _) => break at + 1,
                    ((_, c), _) => field.push(c),
                }
            };
            all.push(field);
            match quoted.get(end..)?.trim_start() {
                "" => return Some(all),
                more => rest = more.strip_prefix(',')?,
            }
            continue;
        }
        match rest.split_once(',') {
            Some((field, more)) => {
                all.push(field.trim_end().to_owned());
                rest = more;
            }
            None => {
                all.push(rest.trim_end().to_owned());
                return Some(all);
            }
        }
    }
}
