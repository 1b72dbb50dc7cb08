//! The patterns of projects, and addresses of repositories as they are compared.

use health::argo::glob;

/// Whether a pattern permits a value. `negation` lets `!…` permit what it does not cover; `folders` keeps `*` between
/// two slashes (`**` crosses them).
pub(crate) fn permits(pattern: &str, value: &str, negation: bool, folders: bool) -> bool {
    let covers = |pattern: &str| if folders { by_folders(pattern, value) } else { glob(pattern, value) };
    match pattern.strip_prefix('!') {
        Some(denied) if negation => !covers(denied),
        _ => pattern == "*" || covers(pattern),
    }
}

/// A glob in which a single `*` ends at the next slash: each run of them is tried against whole parts.
fn by_folders(pattern: &str, value: &str) -> bool {
    if !pattern.contains('*') && !pattern.contains('?') {
        return glob(pattern, value);
    }
    let parts: Vec<&str> = pattern.split('/').collect();
    let values: Vec<&str> = value.split('/').collect();
    segments(&parts, &values, &mut 10_000)
}

fn segments(parts: &[&str], values: &[&str], fuel: &mut usize) -> bool {
    if *fuel == 0 {
        return false;
    }
    *fuel -= 1;
    match (parts.split_first(), values.split_first()) {
        (None, None) => true,
        (Some((part, rest)), Some((value, after))) if part.contains("**") => {
            // `**` may take any number of further parts into its own.
            let mut joined = (*value).to_owned();
            if glob(part, &joined) && segments(rest, after, fuel) {
                return true;
            }
            for (taken, next) in after.iter().enumerate() {
                joined.push('/');
                joined.push_str(next);
                if glob(part, &joined) && segments(rest, after.get(taken + 1..).unwrap_or_default(), fuel) {
                    return true;
                }
            }
            false
        }
        (Some((part, rest)), Some((value, after))) => glob(part, value) && segments(rest, after, fuel),
        _ => false,
    }
}

/// An address as it is compared: lower case, without `.git`, `git@host:path` like `ssh://git@host/path`.
pub fn normalize_url(url: &str) -> String {
    let mut url = url.trim().to_lowercase();
    let scp_like = !url.contains("://")
        && url.find('@').is_some_and(|at| url.get(at..).is_some_and(|rest| rest.contains(':')));
    if scp_like {
        url = url.replacen(':', "/", 1);
    }
    let url = url.strip_prefix("ssh://").unwrap_or(&url);
    url.strip_suffix(".git").unwrap_or(url).to_owned()
}

/// Whether two addresses mean one repository.
pub fn same_repository(a: &str, b: &str) -> bool {
    normalize_url(a) == normalize_url(b)
}
