//! Plain files of a folder, and Jsonnet programs among them.

use ::kustomize::World;
use delivery::fields::{bool_at, str_at};
use delivery::world::TreeWorld;
use object::Value;

use super::jsonnet::{self, Evaluator};
use super::{Failure, Input, glob, join};

/// How a file begins that stands for one in Git LFS.
const POINTER: &str = "version https://git-lfs.github.com/spec/";
/// A file with these words, in a comment as a rule, is left out.
const SKIP: &str = "+argocd:skip-file-rendering";

pub fn render(
    world: &TreeWorld<'_>,
    path: &str,
    input: &Input,
    evaluator: &Evaluator,
) -> Result<Vec<Value>, Failure> {
    let source = &input.source;
    let how = Walk {
        recurse: bool_at(source, &["directory", "recurse"]),
        any_name: bool_at(source, &["directory", "disableExtensionFilter"]),
    };
    let include = str_at(source, &["directory", "include"]);
    let exclude = str_at(source, &["directory", "exclude"]);
    let jsonnet = !input.terms.disabled.contains(&super::Tool::Directory.as_str());
    let most = input.terms.manifests_size;
    let mut files = Vec::new();
    collect(world, path, "", how, 0, &mut files)?;
    let mut programs = jsonnet::Programs::new(world, path, input, evaluator);
    let mut objects = Vec::new();
    let mut size = 0;
    for file in files {
        if (!exclude.is_empty() && glob::matches(exclude, &file))
            || (!include.is_empty() && !glob::matches(include, &file))
        {
            continue;
        }
        let full = join(path, &file);
        let shown = full.trim_start_matches('/').to_owned();
        let bytes =
            world.read(&full).map_err(|error| Failure::new(format!("{shown}: {error}")).at(&shown, 0))?;
        let text = String::from_utf8_lossy(&bytes);
        if text.contains(SKIP) {
            continue;
        }
        if text.starts_with(POINTER) {
            let line = format!("{shown}: it is kept in Git LFS, which is not fetched from here");
            return Err(Failure::new(line).at(&shown, 1));
        }
        if file.ends_with(".jsonnet") {
            if !jsonnet {
                continue;
            }
            objects.extend(programs.objects(&shown)?);
            continue;
        }
        // Programs do not count: what they make is limited.
        size += bytes.len();
        if most > 0 && size > most {
            return Err(Failure::new(format!(
                "the manifests of the application are larger than {most} bytes together \
                 (reposerver.max.combined.directory.manifests.size)"
            ))
            .at(&shown, 0));
        }
        objects.extend(documents(&text, &shown)?);
    }
    Ok(objects)
}

/// Which files are looked at.
#[derive(Clone, Copy)]
struct Walk {
    /// Those of folders below, too.
    recurse: bool,
    /// Those whose names do not end as manifests do, too.
    any_name: bool,
}

/// The files that may be manifests, in the order of their paths.
fn collect(
    world: &TreeWorld<'_>,
    root: &str,
    below: &str,
    how: Walk,
    depth: usize,
    files: &mut Vec<String>,
) -> Result<(), Failure> {
    if depth > 64 {
        return Err(Failure::new(format!("{root}/{below}: folders are nested too deeply")));
    }
    let folder = join(root, below);
    let folder = folder.trim_end_matches('/');
    let folder = if folder.is_empty() { "/" } else { folder };
    let names = world.list_dir(folder).map_err(|error| Failure::new(format!("{folder}: {error}")))?;
    for name in names {
        let inner = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        let full = join(root, &inner);
        if world.is_dir(&full) {
            if how.recurse {
                collect(world, root, &inner, how, depth + 1, files)?;
            }
        } else if how.any_name || [".yaml", ".yml", ".json", ".jsonnet"].iter().any(|end| name.ends_with(end))
        {
            files.push(inner);
        }
    }
    Ok(())
}

/// The objects of a file. A file of something else entirely is left out, one that looks like manifests and cannot be
/// read is a fault.
fn documents(text: &str, file: &str) -> Result<Vec<Value>, Failure> {
    let looks_like_one = ["apiVersion:", "kind:", "metadata:"].iter().all(|word| text.contains(word));
    let found = match yaml::documents(text) {
        Ok(found) => found,
        Err(_) if !looks_like_one && !file.ends_with(".json") => return Ok(Vec::new()),
        Err(error) => {
            return Err(Failure::new(format!("Failed to unmarshal {file:?}: {error}")).at(file, error.line));
        }
    };
    let is_object = |value: &Value| !str_at(value, &["kind"]).is_empty();
    let mut objects = Vec::new();
    for value in found {
        match value {
            // A JSON file may hold a list of objects.
            Value::Array(items) if items.iter().all(is_object) => objects.extend(items),
            value if is_object(&value) => objects.push(value),
            _ if !looks_like_one => return Ok(Vec::new()),
            _ => {
                let why = format!("Failed to unmarshal {file:?}: Object 'Kind' is missing");
                return Err(Failure::new(why).at(file, 0));
            }
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strange_files_are_left_out_and_broken_ones_are_faults() {
        assert_eq!(documents("a: 1\n", "values.yaml").map(|found| found.len()).ok(), Some(0));
        assert!(documents("apiVersion: v1\nkind: X\nmetadata: {\n", "a.yaml").is_err());
        let two = "apiVersion: v1\nkind: A\n---\napiVersion: v1\nkind: B\n";
        assert_eq!(documents(two, "a.yaml").map(|found| found.len()).ok(), Some(2));
    }
}
