//! The build environment and its substitution in texts. Pure.

use std::collections::BTreeMap;

/// `$NAME` and `${NAME}` become their values; unknown names become nothing, `$$` a dollar.
pub fn substitute(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(rest.get(..at).unwrap_or_default());
        let after = rest.get(at + 1..).unwrap_or_default();
        if let Some(more) = after.strip_prefix('$') {
            out.push('$');
            rest = more;
            continue;
        }
        let (name, more) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, more)) => (name, more),
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                after.split_at(end)
            }
        };
        if name.is_empty() {
            out.push('$');
        } else if let Some(value) = env.get(name) {
            out.push_str(value);
        }
        rest = more;
    }
    out.push_str(rest);
    out
}

/// The same for the name of a values file, whose beginning `$ref/` names another source.
pub fn substitute_file(name: &str, env: &BTreeMap<String, String>) -> String {
    let rest = name.strip_prefix('$').filter(|rest| !rest.starts_with("ARGOCD_") && !rest.starts_with('{'));
    match rest.and_then(|rest| rest.split_once('/')) {
        Some((reference, rest)) => format!("${reference}/{}", substitute(rest, env)),
        None => substitute(name, env),
    }
}

/// The variables of a build.
pub fn of(
    name: &str,
    namespace: &str,
    project: &str,
    revision: &str,
    path: &str,
    url: &str,
    target: &str,
) -> BTreeMap<String, String> {
    let short = |count: usize| revision.chars().take(count).collect::<String>();
    let pairs = [
        ("ARGOCD_APP_NAME", name.to_owned()),
        ("ARGOCD_APP_NAMESPACE", namespace.to_owned()),
        ("ARGOCD_APP_PROJECT_NAME", project.to_owned()),
        ("ARGOCD_APP_REVISION", revision.to_owned()),
        ("ARGOCD_APP_REVISION_SHORT", short(7)),
        ("ARGOCD_APP_REVISION_SHORT_8", short(8)),
        ("ARGOCD_APP_SOURCE_PATH", path.to_owned()),
        ("ARGOCD_APP_SOURCE_REPO_URL", url.to_owned()),
        ("ARGOCD_APP_SOURCE_TARGET_REVISION", target.to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The variables that a source can see: without those of the revision where it does not name them, so that a commit
/// which changes nothing else renders nothing.
pub fn visible(mut env: BTreeMap<String, String>, source: &serde_json::Value) -> BTreeMap<String, String> {
    if !source.to_string().contains("ARGOCD_APP_REVISION") {
        env.retain(|name, _| !name.starts_with("ARGOCD_APP_REVISION"));
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_values() {
        let env = of("web", "team", "default", "0123456789", "app", "https://x", "main");
        assert_eq!(substitute("a-${ARGOCD_APP_NAME}-$ARGOCD_APP_REVISION_SHORT.", &env), "a-web-0123456.");
        assert_eq!(substitute("$$x ${NO} $", &env), "$x  $");
    }
}
