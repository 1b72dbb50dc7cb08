//! The generator of folders and files of a repository.

use std::collections::BTreeSet;

use object::{Value, get_str};
use serde_json::json;
use source::Tree;

use super::super::flatten::flatten;
use super::super::{Answer, Error, Params, Question, failed, ls_files, path_match, sanitize};
use super::Generators;

impl Generators<'_> {
    fn tree(&self, spec: &Value) -> Result<std::sync::Arc<Tree>, Error> {
        let text = |key: &str| get_str(spec, &[key]).unwrap_or_default().to_owned();
        let question = Question::Files {
            repo: text("repoURL"),
            revision: text("revision"),
            project: self.project.to_owned(),
        };
        match self.ask(question)? {
            Answer::Files(tree) => Ok(tree),
            Answer::List(_) => failed("the answer to a generator's question is of the wrong kind"),
        }
    }

    pub(super) fn git(&self, spec: &Value) -> Result<Vec<Params>, Error> {
        let items = |key: &str| spec.get(key).and_then(Value::as_array).filter(|list| !list.is_empty());
        match (items("directories"), items("files")) {
            (Some(wanted), _) => {
                let tree =
                    self.tree(spec).map_err(|error| error.within("error getting directories from repo"))?;
                self.directories(spec, wanted, &folders(&tree, self.sight.hidden_folders))
            }
            (None, Some(wanted)) => {
                let tree = self.tree(spec)?;
                self.files(spec, wanted, &tree)
            }
            (None, None) => failed("ApplicationSet is empty"),
        }
    }

    /// The sets of a git generator whose repository has these folders.
    ///
    /// # Errors
    /// When one of its values fails.
    pub fn directories(
        &self,
        spec: &Value,
        wanted: &[Value],
        folders: &[String],
    ) -> Result<Vec<Params>, Error> {
        let mut sets = Vec::new();
        for folder in folders {
            let (mut included, mut excluded) = (false, false);
            for item in wanted {
                if path_match(get_str(item, &["path"]).unwrap_or_default(), folder) {
                    let out = item.get("exclude") == Some(&Value::Bool(true));
                    excluded |= out;
                    included |= !out;
                }
            }
            if included && !excluded {
                let mut params = Params::new();
                self.path_params(spec, folder, None, &mut params);
                self.values(spec, &mut params)?;
                sets.push(params);
            }
        }
        Ok(sets)
    }

    fn files(&self, spec: &Value, wanted: &[Value], tree: &Tree) -> Result<Vec<Params>, Error> {
        let mut chosen: BTreeSet<&str> = BTreeSet::new();
        for out in [false, true] {
            for item in wanted.iter().filter(|item| (item.get("exclude") == Some(&Value::Bool(true))) == out)
            {
                let pattern = get_str(item, &["path"]).unwrap_or_default();
                for (path, _) in
                    tree.files().filter(|(path, _)| ls_files(pattern, path, self.sight.new_globbing))
                {
                    if out {
                        chosen.remove(path);
                    } else {
                        chosen.insert(path);
                    }
                }
            }
        }
        let mut sets = Vec::new();
        for path in chosen {
            let repo = get_str(spec, &["repoURL"]).unwrap_or_default();
            let words = format!("unable to process file '{path}' from repository '{repo}'");
            let of_file = |error: Error| error.within(&words);
            let bytes = tree.read(path).map_err(|error| of_file(Error::Generator(error.to_string())))?;
            for object in objects(&bytes).map_err(of_file)? {
                let mut params = if self.renderer.is_go() {
                    object
                } else {
                    let flat = flatten(&Value::Object(object)).map_err(|error| {
                        of_file(Error::Generator(format!("error flattening object: {error}")))
                    })?;
                    flat.into_iter().map(|(key, value)| (key, Value::String(value))).collect()
                };
                let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
                self.path_params(spec, folder, Some(name), &mut params);
                self.values(spec, &mut params).map_err(of_file)?;
                sets.push(params);
            }
        }
        Ok(sets)
    }

    /// What is known of a path, below `path` or the prefix that the generator names.
    fn path_params(&self, spec: &Value, folder: &str, file: Option<&str>, params: &mut Params) {
        let prefix = get_str(spec, &["pathParamPrefix"]).unwrap_or_default();
        let base = folder.rsplit('/').next().unwrap_or(folder);
        if self.renderer.is_go() {
            let segments: Vec<&str> = folder.split('/').collect();
            let mut path = json!({
                "path": folder, "basename": base, "basenameNormalized": sanitize(base), "segments": segments,
            });
            if let (Some(file), Some(path)) = (file, path.as_object_mut()) {
                path.insert("filename".to_owned(), file.into());
                path.insert("filenameNormalized".to_owned(), sanitize(file).into());
            }
            if prefix.is_empty() {
                params.insert("path".to_owned(), path);
            } else {
                params.insert(prefix.to_owned(), json!({ "path": path }));
            }
            return;
        }
        let name = if prefix.is_empty() { "path".to_owned() } else { format!("{prefix}.path") };
        params.insert(format!("{name}.basename"), base.into());
        params.insert(format!("{name}.basenameNormalized"), sanitize(base).into());
        if let Some(file) = file {
            params.insert(format!("{name}.filename"), file.into());
            params.insert(format!("{name}.filenameNormalized"), sanitize(file).into());
        }
        for (index, part) in folder.split('/').enumerate().filter(|(_, part)| !part.is_empty()) {
            params.insert(format!("{name}[{index}]"), part.into());
        }
        params.insert(name, folder.into());
    }
}

/// A file of parameters: a map, a list of maps, or nothing.
fn objects(bytes: &[u8]) -> Result<Vec<Params>, Error> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Error::Generator("unable to parse file: it is no UTF-8 text".to_owned()))?;
    let value =
        yaml::from_str(text).map_err(|error| Error::Generator(format!("unable to parse file: {error}")))?;
    let wrong = |value: &Value, wanted: &str| -> Error {
        let found = match value {
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            _ => "array",
        };
        Error::Generator(format!(
            "unable to parse file: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go \
             value of type {wanted}"
        ))
    };
    match value {
        Value::Null => Ok(vec![Params::new()]),
        Value::Object(map) => Ok(vec![map]),
        Value::Array(list) => list
            .into_iter()
            .map(|item| match item {
                Value::Object(map) => Ok(map),
                Value::Null => Ok(Params::new()),
                other => Err(wrong(&other, "map[string]interface {}")),
            })
            .collect(),
        other => Err(wrong(&other, "[]map[string]interface {}")),
    }
}

/// All folders of a repository in the order of a walk; what begins with a dot is hidden with all below it, unless
/// `hidden` folders are asked for.
fn folders(tree: &Tree, hidden: bool) -> Vec<String> {
    let mut found: BTreeSet<Vec<&str>> = BTreeSet::new();
    for (path, _) in tree.files() {
        let parts: Vec<&str> = path.split('/').collect();
        for end in 1..parts.len() {
            let folder = parts.get(..end).unwrap_or_default();
            if !hidden && folder.iter().any(|part| part.starts_with('.')) {
                break;
            }
            found.insert(folder.to_vec());
        }
    }
    found.into_iter().map(|parts| parts.join("/")).collect()
}
