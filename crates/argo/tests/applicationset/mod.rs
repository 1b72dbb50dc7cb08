//! Runs the ApplicationSet cases of Argo CD; shared with `cargo xtask conformance`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use argo::applicationset::{
    Answer, Error, Generators, Params, Question, Renderer, Sight, World, combine, nested_params, sets_by_key,
    slugify,
};
use object::{Value, get_str};
use serde_json::json;
use source::Tree;

/// A case's name and what is wrong with our answer.
pub type Outcome = (String, Result<(), String>);

/// Every case of `cases.json`.
pub fn run(path: &Path) -> Vec<Outcome> {
    let suite: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut outcomes = Vec::new();
    for case in suite["cases"].as_array().unwrap() {
        let go = if case["goTemplate"] == true { " (go)" } else { "" };
        let name = format!("{}: {}{go}", text(case, "fn"), text(case, "name"));
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        let name = if *count > 1 { format!("{name} {count}") } else { name };
        outcomes.push((name, one(case)));
    }
    outcomes
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    get_str(value, &[key]).unwrap_or_default()
}

/// Any repository has the same files.
struct Repository(Result<Arc<Tree>, String>);

impl World for Repository {
    fn answer(&self, question: &Question) -> Option<Result<Answer, String>> {
        match question {
            Question::Files { .. } => Some(self.0.clone().map(Answer::Files)),
            _ => Some(Ok(Answer::List(Arc::default()))),
        }
    }
}

fn repository(files: &BTreeMap<String, String>) -> Repository {
    let files = files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes()));
    Repository(Tree::from_files(files).map(Arc::new).map_err(|error| error.to_string()))
}

fn renderer(case: &Value, go: bool) -> Renderer {
    let options: Vec<String> = case["templateOptions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|option| option.as_str().map(str::to_owned))
        .collect();
    if go { Renderer::go(&options, 0).unwrap() } else { Renderer::plain() }
}

fn one(case: &Value) -> Result<(), String> {
    match text(case, "fn") {
        "list-selector" => {
            let entry = json!({ "list": { "elements": case["elements"] }, "selector": case["selector"] });
            sets(case, &repository(&BTreeMap::new()), &entry, false)
        }
        "git-file" => git_file(case),
        "git-directories" => git_directories(case),
        "git-files" | "git-files-exclude" => git_files(case),
        name @ ("matrix" | "merge") => {
            let files = ["app1/x", "app2/x"].map(|path| (path.to_owned(), String::new()));
            let mut spec = json!({ "generators": case["baseGenerators"] });
            if name == "merge" {
                spec["mergeKeys"] = case["mergeKeys"].clone();
            }
            sets(case, &repository(&BTreeMap::from(files)), &json!({ name: spec }), false)
        }
        "merge-keys-unique" => {
            let keys: Vec<String> = strings(&case["mergeKeys"]);
            let sets: Vec<Params> = params_list(&case["paramSets"]);
            let found = sets_by_key(&keys, &sets).map(|found| {
                let found = found.into_iter().map(|(key, set)| (key, Value::Object(set.clone())));
                Value::Object(found.collect())
            });
            compare(case, found)
        }
        "values" => {
            let go = case["goTemplate"] == true;
            let mut element = case["params"].as_object().cloned().unwrap_or_default();
            // A plugin hands its answers on as they are and adds the generator's values.
            let world = BTreeMap::from([(
                Question::Repositories("{}".to_owned()),
                Ok(Answer::List(Arc::new(vec![Value::Object(std::mem::take(&mut element))]))),
            )]);
            let renderer = renderer(case, go);
            let generators = shared(&world, &renderer, false);
            let entry = json!({ "scmProvider": { "values": case["values"] } });
            let found = nested_params(&generators, &entry, &Params::new());
            compare(case, found.map(|mut sets| Value::Object(sets.pop().unwrap_or_default())))
        }
        "combine-maps" => {
            let map = |key: &str| case[key].as_object().cloned().unwrap_or_default();
            compare(case, combine(&map("left"), &map("right")).map(Value::Object))
        }
        "render" => render(case),
        "slugify" => {
            let length = usize::try_from(case["length"].as_u64().unwrap_or(50)).unwrap();
            let found = slugify(length, case["smartTruncate"] == true, text(case, "branch"));
            same(&found.into(), &case["expectedBasePath"])
        }
        "ignore-differences" => ignore_differences(case),
        "sanitize" | "normalize" => {
            let found = argo::applicationset::sanitize(text(case, "input"));
            same(&found.into(), &case["expected"])
        }
        other => Err(format!("no way to run {other} yet")),
    }
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn params_list(list: &Value) -> Vec<Params> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_object().cloned()).collect()
}

fn same(found: &Value, wanted: &Value) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{found}\nwanted {wanted}")) }
}

fn shared<'a>(world: &'a dyn World, renderer: &'a Renderer, new_globbing: bool) -> Generators<'a> {
    let sight = Sight { new_globbing, ..Sight::default() };
    Generators { world, renderer, project: "", nested_selectors: false, sight }
}

fn sets(case: &Value, world: &dyn World, entry: &Value, new_globbing: bool) -> Result<(), String> {
    let renderer = renderer(case, case["goTemplate"] == true);
    let found = nested_params(&shared(world, &renderer, new_globbing), entry, &Params::new());
    compare(case, found.map(list))
}

fn list(sets: Vec<Params>) -> Value {
    Value::Array(sets.into_iter().map(Value::Object).collect())
}

/// An error where one must come, else the value. Names of Go's error variables only say that there is one.
fn compare(case: &Value, found: Result<Value, Error>) -> Result<(), String> {
    let wanted = ["expectedErr", "expectedError"].iter().find_map(|key| get_str(case, &[*key, "$error"]));
    match (found, wanted) {
        (Err(error), Some(wanted)) => {
            let symbolic = wanted.starts_with("Err") || wanted.contains('%');
            let text = error.to_string();
            if symbolic || text == wanted { Ok(()) } else { Err(format!("{text}\nwanted {wanted}")) }
        }
        (Ok(found), None) => same(&found, &case["expected"]),
        (Ok(found), Some(wanted)) => Err(format!("{found}\nwanted the error {wanted}")),
        (Err(error), None) => Err(format!("{error}\nwanted {}", case["expected"])),
    }
}

fn git_file(case: &Value) -> Result<(), String> {
    let args = &case["args"];
    let path = text(args, "filePath").to_owned();
    let content = text(args, "fileContent").to_owned();
    let prefix =
        [&case["pathParamPrefix"], &args["pathParamPrefix"]].into_iter().find(|value| value.is_string());
    let entry = json!({ "git": {
        "files": [{ "path": path }], "values": args["values"], "pathParamPrefix": prefix,
    } });
    let world = repository(&BTreeMap::from([(path, content)]));
    let renderer = renderer(case, args["useGoTemplate"] == true);
    let found = nested_params(&shared(&world, &renderer, false), &entry, &Params::new());
    match found {
        Ok(found) if case["wantErr"] != true => same(&list(found), &case["want"]),
        Err(_) if case["wantErr"] == true => Ok(()),
        other => Err(format!("{other:?}\nwanted {}", case["want"])),
    }
}

fn git_directories(case: &Value) -> Result<(), String> {
    let spec = json!({
        "directories": case["directories"], "values": case["values"], "pathParamPrefix": case["pathParamPrefix"],
    });
    let renderer = renderer(case, case["goTemplate"] == true);
    if let Some(error) = get_str(&case["repoError"], &["$error"]) {
        let world = Repository(Err(error.to_owned()));
        let found = nested_params(&shared(&world, &renderer, false), &json!({ "git": spec }), &Params::new());
        return compare(case, found.map(list));
    }
    let world = repository(&BTreeMap::new());
    let wanted = case["directories"].as_array().cloned().unwrap_or_default();
    let folders = strings(&case["repoApps"]);
    let found = shared(&world, &renderer, false).directories(&spec, &wanted, &folders);
    compare(case, found.map(list))
}

fn git_files(case: &Value) -> Result<(), String> {
    let mut files = BTreeMap::new();
    for key in ["noMatchFiles", "excludeFiles", "includeFiles", "repoFileContents"] {
        for (path, content) in case[key].as_object().into_iter().flatten() {
            files.insert(path.clone(), content.as_str().unwrap_or_default().to_owned());
        }
    }
    let world = match get_str(&case["repoPathsError"], &["$error"]) {
        Some(error) => Repository(Err(error.to_owned())),
        None => repository(&files),
    };
    let entry = json!({ "git": {
        "repoURL": "RepoURL", "revision": "Revision", "files": case["files"], "values": case["values"], "pathParamPrefix": case["pathParamPrefix"],
    } });
    // Cases with files that must not match were made for the newer rules.
    sets(case, &world, &entry, text(case, "fn") == "git-files-exclude")
}

fn render(case: &Value) -> Result<(), String> {
    let renderer = renderer(case, case["goTemplate"] == true);
    let params = case["params"].as_object().cloned().unwrap_or_default();
    let template = json!({ "metadata": { "annotations": { "a": case["fieldVal"] } } });
    let found = renderer.object(&template, &params);
    match (found, get_str(case, &["errorMessage"]).filter(|text| !text.is_empty())) {
        (Ok(found), None) => same(&found["metadata"]["annotations"]["a"], &case["expectedVal"]),
        (Err(error), Some(wanted)) => same(&error.to_string().into(), &wanted.into()),
        (found, wanted) => Err(format!("{found:?}\nwanted {wanted:?}")),
    }
}

/// The live Application, what the set generates, and what comes of it, all as YAML.
fn ignore_differences(case: &Value) -> Result<(), String> {
    let parse = |key: &str| yaml::from_str(text(case, key)).map_err(|error| error.to_string());
    let rules = match &case["ignoreDifferences"] {
        Value::String(text) => yaml::from_str(text).map_err(|error| error.to_string())?,
        rules => rules.clone(),
    };
    let rules = argo::applicationset::policy::Ignored::from_list(Some(&rules))?;
    let found = rules.respect(&parse("foundApp")?, &parse("generatedApp")?)?;
    same(&found, &parse("expectedApp")?)
}
