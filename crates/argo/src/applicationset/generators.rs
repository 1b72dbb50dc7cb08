//! The generators.

use std::collections::{BTreeMap, BTreeSet};

use object::{Value, get, get_str};
use serde_json::json;
use source::Tree;

use super::flatten::{flatten, go_text};
use super::merge::{combine, fill, key_of, replace, sets_by_key};
use super::{
    Answer, Error, MAX_SETS, Params, Question, Renderer, World, failed, ls_files, path_match, sanitize,
};
use crate::names::SECRET_TYPE;

/// The names of generators, in the order in which several in one entry are asked.
const NAMES: [&str; 9] = [
    "list",
    "clusters",
    "git",
    "scmProvider",
    "clusterDecisionResource",
    "pullRequest",
    "matrix",
    "merge",
    "plugin",
];

/// The cluster that an installation runs in has no Secret; it is known by this name and address.
const LOCAL_NAME: &str = "in-cluster";
const LOCAL_SERVER: &str = "https://kubernetes.default.svc";

/// What generators of one ApplicationSet share.
#[derive(Clone, Copy)]
pub struct Generators<'a> {
    /// Who answers their questions.
    pub world: &'a dyn World,
    /// How texts are filled.
    pub renderer: &'a Renderer,
    /// The project of the template; empty when it is a template itself.
    pub project: &'a str,
    /// Whether selectors of nested generators count (`spec.applyNestedSelectors`).
    pub nested_selectors: bool,
    /// Whether files are matched by the newer rules, where only `**` crosses folders.
    pub new_globbing: bool,
}

/// What one generator of an entry made, with the template that is merged over the set's own.
pub(super) struct Made {
    pub(super) sets: Vec<Params>,
    pub(super) template: Value,
}

/// Gathers questions of several tries, so that the world can answer them together.
#[derive(Default)]
struct Open(BTreeSet<Question>);

impl Open {
    /// The value, or nothing when it waits for answers; other errors end everything.
    fn or_wait<T>(&mut self, outcome: Result<T, Error>) -> Result<Option<T>, Error> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Error::Needs(questions)) => {
                self.0.extend(questions);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn finish<T>(self, value: T) -> Result<T, Error> {
        if self.0.is_empty() { Ok(value) } else { Err(Error::Needs(self.0.into_iter().collect())) }
    }
}

/// The sets of one entry that holds exactly one generator, as those of a matrix or merge generator do.
///
/// # Errors
/// When a generator fails.
pub fn nested_params(
    generators: &Generators<'_>,
    entry: &Value,
    given: &Params,
) -> Result<Vec<Params>, Error> {
    generators.only(entry, given, 0)
}

impl Generators<'_> {
    /// What the generators of one entry make. `given` are the parameters of a generator before it.
    pub(super) fn entry(&self, entry: &Value, given: &Params, depth: usize) -> Result<Vec<Made>, Error> {
        if depth > 3 {
            return failed("generators can be nested no deeper than a matrix or merge in another");
        }
        let selector = Selector::parse(entry.get("selector"))?;
        let mut made = Vec::new();
        let mut open = Open::default();
        for name in NAMES {
            let Some(spec) = entry.get(name).filter(|spec| !spec.is_null()) else { continue };
            let template = spec.get("template").cloned().unwrap_or_default();
            let filled;
            let spec = if given.is_empty() || matches!(name, "matrix" | "merge") {
                spec
            } else {
                // The template of a generator has parameters of its own.
                let mut plain = spec.clone();
                if let Some(map) = plain.as_object_mut() {
                    map.remove("template");
                }
                filled = self.renderer.value(&plain, given)?;
                &filled
            };
            let Some(sets) = open.or_wait(self.named(name, spec, given, depth))? else { continue };
            let sets = match &selector {
                Some(selector) => selector.keep(sets)?,
                None => sets,
            };
            made.push(Made { sets, template });
        }
        open.finish(made)
    }

    fn named(&self, name: &str, spec: &Value, given: &Params, depth: usize) -> Result<Vec<Params>, Error> {
        let sets = match name {
            "list" => self.list(spec),
            "clusters" => self.clusters(spec),
            "git" => self.git(spec).map_err(|error| error.within("error generating params from git")),
            "matrix" => self.matrix(spec, given, depth),
            "merge" => self.merge(spec, given, depth),
            "scmProvider" => self.answered(Question::Repositories, spec),
            "pullRequest" => self.answered(Question::PullRequests, spec),
            "plugin" => self.plugin(spec),
            _ => self.decisions(spec),
        }?;
        if sets.len() > MAX_SETS {
            let count = sets.len();
            return failed(format!(
                "the {name} generator makes {count} sets of parameters: the limit is {MAX_SETS}"
            ));
        }
        Ok(sets)
    }

    fn ask(&self, question: Question) -> Result<Answer, Error> {
        match self.world.answer(&question) {
            None => Err(Error::Needs(vec![question])),
            Some(Ok(answer)) => Ok(answer),
            Some(Err(text)) => failed(text),
        }
    }

    fn ask_list(&self, question: Question) -> Result<std::sync::Arc<Vec<Value>>, Error> {
        match self.ask(question)? {
            Answer::List(list) => Ok(list),
            Answer::Files(_) => failed("the answer to a generator's question is of the wrong kind"),
        }
    }

    /// Adds `values` of a generator, filled with the parameters that there are so far.
    fn values(&self, spec: &Value, params: &mut Params) -> Result<(), Error> {
        let Some(values) = spec.get("values").and_then(Value::as_object) else { return Ok(()) };
        if values.is_empty() {
            return Ok(());
        }
        let mut filled = Params::new();
        for (key, value) in values {
            let text = self.renderer.text(value.as_str().unwrap_or_default(), params);
            let text = text.map_err(|error| error.within("failed to append templated values"))?;
            filled.insert(key.clone(), Value::String(text));
        }
        if self.renderer.is_go() {
            params.insert("values".to_owned(), Value::Object(filled));
        } else {
            params.extend(filled.into_iter().map(|(key, value)| (format!("values.{key}"), value)));
        }
        Ok(())
    }

    fn list(&self, spec: &Value) -> Result<Vec<Params>, Error> {
        let mut sets = Vec::new();
        for element in spec.get("elements").and_then(Value::as_array).into_iter().flatten() {
            let Some(element) = element.as_object() else {
                return failed("error unmarshling decoding of list element: an element is no map");
            };
            sets.push(if self.renderer.is_go() { element.clone() } else { texts(element)? });
        }
        let more = get_str(spec, &["elementsYaml"]).unwrap_or_default();
        if !more.is_empty() {
            let parsed = yaml::from_str(more).map_err(|error| {
                Error::Generator(format!("error unmarshling decoded ElementsYaml {error}"))
            })?;
            match parsed {
                Value::Null => {}
                Value::Array(list) => {
                    for item in list {
                        let Value::Object(item) = item else {
                            return failed("error unmarshling decoded ElementsYaml: an element is no map");
                        };
                        sets.push(item);
                    }
                }
                _ => return failed("error unmarshling decoded ElementsYaml: it is no list"),
            }
        }
        Ok(sets)
    }

    fn clusters(&self, spec: &Value) -> Result<Vec<Params>, Error> {
        let labels = spec.get("selector").filter(|selector| has_rules(selector));
        let selector = match labels {
            Some(selector) => Some(
                object::LabelSelector::from_object(selector)
                    .map_err(|error| Error::Generator(error.to_string()))?,
            ),
            None => None,
        };
        let secrets = self.ask_list(Question::Clusters)?;
        let mut sets = Vec::new();
        let is_cluster = |secret: &&Value| object::meta::label(secret, SECRET_TYPE) == Some("cluster");
        let mut has_local = false;
        for secret in secrets.iter().filter(is_cluster) {
            has_local |= secret_text(secret, "server") == LOCAL_SERVER;
            if selector.as_ref().is_some_and(|selector| !selector.matches_object(secret)) {
                continue;
            }
            sets.push(self.cluster(secret));
        }
        // A selector cannot mean the local cluster while it has no Secret: there are no labels to look at.
        if selector.is_none() && !has_local {
            sets.insert(0, self.local());
        }
        sets.sort_by(|a, b| a.get("name").map(Value::to_string).cmp(&b.get("name").map(Value::to_string)));
        for set in &mut sets {
            self.values(spec, set)?;
        }
        if spec.get("flatList") == Some(&Value::Bool(true)) {
            let all = sets.into_iter().map(Value::Object).collect();
            return Ok(vec![Params::from_iter([("clusters".to_owned(), Value::Array(all))])]);
        }
        Ok(sets)
    }

    fn local(&self) -> Params {
        Params::from_iter([
            ("name".to_owned(), LOCAL_NAME.into()),
            ("nameNormalized".to_owned(), LOCAL_NAME.into()),
            ("server".to_owned(), LOCAL_SERVER.into()),
            ("project".to_owned(), "".into()),
        ])
    }

    fn cluster(&self, secret: &Value) -> Params {
        let name = secret_text(secret, "name");
        let mut params = Params::from_iter([
            ("nameNormalized".to_owned(), sanitize(&name).into()),
            ("name".to_owned(), name.into()),
            ("server".to_owned(), secret_text(secret, "server").into()),
            ("project".to_owned(), secret_text(secret, "project").into()),
        ]);
        let mut metadata = Params::new();
        for kind in ["annotations", "labels"] {
            let Some(map) = get(secret, &["metadata", kind]).and_then(Value::as_object) else { continue };
            if self.renderer.is_go() {
                metadata.insert(kind.to_owned(), Value::Object(map.clone()));
            } else {
                params
                    .extend(map.iter().map(|(key, value)| (format!("metadata.{kind}.{key}"), value.clone())));
            }
        }
        if self.renderer.is_go() {
            params.insert("metadata".to_owned(), Value::Object(metadata));
        }
        params
    }

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

    fn git(&self, spec: &Value) -> Result<Vec<Params>, Error> {
        let items = |key: &str| spec.get(key).and_then(Value::as_array).filter(|list| !list.is_empty());
        match (items("directories"), items("files")) {
            (Some(wanted), _) => {
                let tree =
                    self.tree(spec).map_err(|error| error.within("error getting directories from repo"))?;
                self.directories(spec, wanted, &folders(&tree))
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
                for (path, _) in tree.files().filter(|(path, _)| ls_files(pattern, path, self.new_globbing)) {
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

    /// A nested entry, without the selectors that do not count.
    fn nested(&self, entry: &Value, given: &Params, depth: usize) -> Result<Vec<Params>, Error> {
        let mut entry = entry.clone();
        if !self.nested_selectors {
            for name in ["matrix", "merge"] {
                let list = entry.get_mut(name).and_then(|inner| inner.get_mut("generators"));
                for inner in list.and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(map) = inner.as_object_mut() {
                        map.remove("selector");
                    }
                }
            }
        }
        self.only(&entry, given, depth + 1)
            .map_err(|error| error.within("child generator returned an error on parameter generation"))
    }

    fn only(&self, entry: &Value, given: &Params, depth: usize) -> Result<Vec<Params>, Error> {
        let mut made = self.entry(entry, given, depth)?;
        match (made.pop(), made.is_empty()) {
            (Some(only), true) => Ok(only.sets),
            (Some(_), false) => failed("found more than one generator in matrix.Generators"),
            (None, _) => failed("child generator generated no parameters"),
        }
    }

    fn matrix(&self, spec: &Value, given: &Params, depth: usize) -> Result<Vec<Params>, Error> {
        let list = spec.get("generators").and_then(Value::as_array).cloned().unwrap_or_default();
        let [first, second] = list.as_slice() else {
            return failed(if list.len() < 2 {
                "found less than two generators, Matrix support only two"
            } else {
                "found more than two generators, Matrix support only two"
            });
        };
        let words = |index: usize| {
            format!("error failed to get params for generator {index} in the matrix generator")
        };
        let before = self.nested(first, given, depth).map_err(|error| error.within(&words(0)))?;
        let (mut sets, mut open) = (Vec::new(), Open::default());
        for set in before {
            let mut scope = given.clone();
            scope.extend(set.clone());
            let outcome = self.nested(second, &scope, depth).map_err(|error| error.within(&words(1)));
            let Some(after) = open.or_wait(outcome)? else { continue };
            for other in after {
                if sets.len() >= MAX_SETS {
                    return failed(format!(
                        "the matrix generator makes more than {MAX_SETS} sets of parameters"
                    ));
                }
                if self.renderer.is_go() {
                    let mut all = set.clone();
                    fill(&mut all, &other);
                    sets.push(all);
                } else {
                    sets.push(combine(&set, &other).map_err(|error| {
                        error.within(
                            "failed to combine string maps with merging params for the matrix generator",
                        )
                    })?);
                }
            }
        }
        open.finish(sets)
    }

    fn merge(&self, spec: &Value, given: &Params, depth: usize) -> Result<Vec<Params>, Error> {
        let list = spec.get("generators").and_then(Value::as_array).cloned().unwrap_or_default();
        if list.len() < 2 {
            return failed("found less than two generators, Merge requires two or more");
        }
        let keys: Vec<String> = spec
            .get("mergeKeys")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|key| key.as_str().map(str::to_owned))
            .collect();
        let (mut all, mut open) = (Vec::new(), Open::default());
        for (index, entry) in list.iter().enumerate() {
            let outcome = self.nested(entry, given, depth).map_err(|error| {
                let words = format!("error getting params from generator {} of {}", index + 1, list.len());
                error.within(&words).within("error getting param sets from generators")
            });
            if let Some(sets) = open.or_wait(outcome)? {
                all.push(sets);
            }
        }
        let all = open.finish(all)?;
        let by_key = |sets: &[Params]| -> Result<BTreeMap<String, Params>, Error> {
            let found = sets_by_key(&keys, sets)
                .map_err(|error| error.within("error getting param sets by merge key"))?;
            Ok(found.into_iter().map(|(key, set)| (key, set.clone())).collect())
        };
        let Some((base, others)) = all.split_first() else { return Ok(Vec::new()) };
        by_key(base)?;
        let mut merged = base.clone();
        for sets in others {
            let over = by_key(sets)?;
            for set in &mut merged {
                let Some(more) = over.get(&key_of(&keys, set)) else { continue };
                if self.renderer.is_go() {
                    replace(set, more);
                } else {
                    set.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
                }
            }
        }
        Ok(merged)
    }

    /// Sets that the world gives as they are, with the generator's values.
    fn answered(&self, question: fn(String) -> Question, spec: &Value) -> Result<Vec<Params>, Error> {
        let answer = self.ask_list(Question::about(question, &asked(spec)))?;
        let mut sets = Vec::new();
        for item in answer.iter() {
            let Some(item) = item.as_object() else {
                return failed("a forge answered with something else than maps");
            };
            let mut params = if self.renderer.is_go() { item.clone() } else { plain_texts(item) };
            self.values(spec, &mut params)?;
            sets.push(params);
        }
        Ok(sets)
    }

    fn plugin(&self, spec: &Value) -> Result<Vec<Params>, Error> {
        let answer = self.ask_list(Question::about(Question::Plugin, &asked(spec)))?;
        let mut sets = Vec::new();
        for item in answer.iter() {
            let Some(item) = item.as_object() else {
                return failed("the plugin answered with something else than maps");
            };
            let mut params = if self.renderer.is_go() {
                item.clone()
            } else {
                flatten(&Value::Object(item.clone()))
                    .map_err(Error::Generator)?
                    .into_iter()
                    .map(|(key, value)| (key, Value::String(value)))
                    .collect()
            };
            let given = spec.get("input").cloned().unwrap_or_default();
            params.insert("generator".to_owned(), json!({ "input": given }));
            if !self.renderer.is_go() {
                params.remove("generator");
                for (key, value) in flatten(&given).map_err(Error::Generator)? {
                    params.insert(format!("generator.input.{key}"), Value::String(value));
                }
            }
            self.values(spec, &mut params)?;
            sets.push(params);
        }
        Ok(sets)
    }

    /// Clusters that an object's status decides for.
    fn decisions(&self, spec: &Value) -> Result<Vec<Params>, Error> {
        let answer = self.ask_list(Question::about(Question::Decisions, &asked(spec)))?;
        let secrets = self.ask_list(Question::Clusters)?;
        let mut sets = Vec::new();
        for entry in answer.iter() {
            let key = get_str(entry, &["matchKey"]).unwrap_or_default();
            let list = get_str(entry, &["statusListKey"]).unwrap_or_default();
            let object = entry.get("object").unwrap_or(&Value::Null);
            let decisions = get(object, &["status", list]).and_then(Value::as_array);
            for decision in decisions.into_iter().flatten() {
                let wanted = get_str(decision, &[key]).unwrap_or_default();
                if wanted.is_empty() {
                    continue;
                }
                let mut all: Vec<Params> = secrets.iter().map(|secret| self.cluster(secret)).collect();
                all.push(self.local());
                let cluster =
                    all.into_iter().find(|params| params.get("name").is_some_and(|name| name == wanted));
                let Some(cluster) = cluster else { continue };
                let mut params = Params::new();
                for key in ["name", "server"] {
                    params.insert(key.to_owned(), cluster.get(key).cloned().unwrap_or_default());
                }
                for (key, value) in decision.as_object().into_iter().flatten() {
                    params.insert(key.clone(), go_text(value).into());
                }
                self.values(spec, &mut params)?;
                sets.push(params);
            }
        }
        Ok(sets)
    }
}

/// What matters of a generator's spec to whom is asked.
fn asked(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(map) = spec.as_object_mut() {
        for key in ["template", "values", "requeueAfterSeconds"] {
            map.remove(key);
        }
    }
    spec
}

fn has_rules(selector: &Value) -> bool {
    let some = |key: &str| match selector.get(key) {
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        _ => false,
    };
    some("matchLabels") || some("matchExpressions")
}

/// A field of a Secret, decoded.
pub(crate) fn secret_text(secret: &Value, key: &str) -> String {
    use base64::Engine as _;
    if let Some(text) = get_str(secret, &["stringData", key]) {
        return text.to_owned();
    }
    let encoded = get_str(secret, &["data", key]).unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The parameters of a list element in the plain syntax: texts, and `values` of texts.
fn texts(element: &Params) -> Result<Params, Error> {
    let mut params = Params::new();
    for (key, value) in element {
        match (key.as_str(), value) {
            ("values", Value::Object(values)) => {
                for (key, value) in values {
                    let Some(text) = value.as_str() else {
                        return failed(format!("error parsing value as string {}", go_text(value)));
                    };
                    params.insert(format!("values.{key}"), text.into());
                }
            }
            ("values", _) => return failed("error parsing values map"),
            (_, Value::String(_)) => {
                params.insert(key.clone(), value.clone());
            }
            _ => return failed(format!("error parsing value as string {}", go_text(value))),
        }
    }
    Ok(params)
}

/// Lists become texts joined by commas where the plain syntax knows only texts.
fn plain_texts(item: &Params) -> Params {
    item.iter()
        .filter_map(|(key, value)| match value {
            Value::Array(list) => {
                let all: Vec<String> = list.iter().map(go_text).collect();
                Some((key.clone(), Value::String(all.join(","))))
            }
            Value::Object(_) => None,
            other => Some((key.clone(), Value::String(go_text(other)))),
        })
        .collect()
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

/// All folders of a repository in the order of a walk; what begins with a dot is hidden with all below it.
fn folders(tree: &Tree) -> Vec<String> {
    let mut found: BTreeSet<Vec<&str>> = BTreeSet::new();
    for (path, _) in tree.files() {
        let parts: Vec<&str> = path.split('/').collect();
        for end in 1..parts.len() {
            let folder = parts.get(..end).unwrap_or_default();
            if folder.iter().any(|part| part.starts_with('.')) {
                break;
            }
            found.insert(folder.to_vec());
        }
    }
    found.into_iter().map(|parts| parts.join("/")).collect()
}

/// A label selector over parameters: nested ones by their paths, values without Kubernetes' limits.
struct Selector(Vec<(String, String, Vec<String>)>);

impl Selector {
    fn parse(selector: Option<&Value>) -> Result<Option<Selector>, Error> {
        let Some(selector) = selector.filter(|selector| !selector.is_null()) else { return Ok(None) };
        let mut rules = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            rules.push((key.clone(), "In".to_owned(), vec![value.as_str().unwrap_or_default().to_owned()]));
        }
        for rule in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let text = |key: &str| get_str(rule, &[key]).unwrap_or_default().to_owned();
            let values: Vec<String> = rule
                .get("values")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect();
            match text("operator").as_str() {
                "In" | "NotIn" if values.is_empty() => {
                    return failed(
                        "error parsing label selector: for 'in', 'notin' operators, values set can't be empty",
                    );
                }
                "Exists" | "DoesNotExist" if !values.is_empty() => {
                    return failed(
                        "error parsing label selector: values set must be empty for exists and does not exist",
                    );
                }
                "In" | "NotIn" | "Exists" | "DoesNotExist" => {
                    rules.push((text("key"), text("operator"), values))
                }
                other => {
                    return failed(format!(
                        "error parsing label selector: \"{other}\" is not a valid label selector operator"
                    ));
                }
            }
        }
        Ok(Some(Selector(rules)))
    }

    fn keep(&self, sets: Vec<Params>) -> Result<Vec<Params>, Error> {
        let mut kept = Vec::new();
        for set in sets {
            let flat = flatten(&Value::Object(set.clone())).map_err(Error::Generator)?;
            let fits =
                self.0.iter().all(|(key, operator, values)| match (operator.as_str(), flat.get(key)) {
                    ("In", Some(found)) => values.contains(found),
                    ("NotIn", Some(found)) => !values.contains(found),
                    ("NotIn" | "DoesNotExist", None) | ("Exists", Some(_)) => true,
                    _ => false,
                });
            if fits {
                kept.push(set);
            }
        }
        Ok(kept)
    }
}
