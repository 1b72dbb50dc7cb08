//! Slash-separated paths. The `os` functions are the same: Helm runs on Unix here.

use super::text;
use crate::func::{Function, Param};
use crate::value::Value;

pub(super) fn functions() -> Vec<Function> {
    const ONE: &[Param] = &[Param::String];
    let native = Function::native;
    let mut all = Vec::new();
    for names in
        [["base", "osBase"], ["dir", "osDir"], ["clean", "osClean"], ["ext", "osExt"], ["isAbs", "osIsAbs"]]
    {
        for name in names {
            all.push(match names[0] {
                "base" => native(name, ONE, false, |_, args| Ok(Value::from(base(&text(args, 0))))),
                "dir" => native(name, ONE, false, |_, args| Ok(Value::from(dir(&text(args, 0))))),
                "clean" => native(name, ONE, false, |_, args| Ok(Value::from(clean(&text(args, 0))))),
                "ext" => native(name, ONE, false, |_, args| Ok(Value::from(ext(&text(args, 0))))),
                _ => native(name, ONE, false, |_, args| Ok(Value::Bool(text(args, 0).starts_with('/')))),
            });
        }
    }
    all
}

fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let path = path.trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or("");
    if name.is_empty() { "/" } else { name }
}

fn dir(path: &str) -> String {
    clean(path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or(""))
}

fn ext(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or("");
    name.rfind('.').and_then(|at| name.get(at..)).unwrap_or("")
}

/// The shortest path of the same meaning.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
