//! Which file an import means.

use crate::Files;

/// A path inside the repository without `.` and `..`; `None` when it leads out of it.
pub fn normal(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Why an import has no file.
pub enum Missing {
    /// Nobody has it.
    Nowhere,
    /// It names something outside of the repository.
    Outside,
}

/// The file that `named` means to a program at `from`: beside it, then in the libraries, the last first.
pub fn find(
    files: &mut dyn Files,
    from: &str,
    named: &str,
    libraries: &[String],
) -> Result<(String, Vec<u8>), Missing> {
    if named.starts_with('/') {
        return Err(Missing::Outside);
    }
    let beside = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut outside = false;
    for folder in std::iter::once(beside).chain(libraries.iter().rev().map(String::as_str)) {
        match normal(&format!("{folder}/{named}")) {
            Some(path) => {
                if let Some(bytes) = files.read(&path) {
                    return Ok((path, bytes));
                }
            }
            None => outside = true,
        }
    }
    Err(if outside { Missing::Outside } else { Missing::Nowhere })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out() {
        assert_eq!(normal("app/../lib/./x"), Some("lib/x".into()));
        assert_eq!(normal("app/../../x"), None);
        assert_eq!(normal(""), Some(String::new()));
    }
}
