//! What Go's YAML libraries make of some thousand inputs: values, errors and print-outs must be the same.

#![allow(clippy::disallowed_methods)]

use serde_json::{Map, Number, Value};

/// Go's decoder of JSON has floats only.
fn floats(value: &Value) -> Value {
    match value {
        Value::Number(n) => n.as_f64().and_then(Number::from_f64).map_or(Value::Null, Value::Number),
        Value::Array(items) => Value::Array(items.iter().map(floats).collect()),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(k, v)| (k.clone(), floats(v))).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// One column of the suite and how it went.
#[derive(Default)]
struct Column {
    right: usize,
    wrong: Vec<String>,
}

impl Column {
    fn check(&mut self, id: &str, input: &str, want: &str, got: &str) {
        // Which of several bad keys Go tells of depends on its hash seed.
        let loose = |text: &str| {
            text.starts_with("error: unsupported map key") || text.starts_with("unsupported map key")
        };
        if loose(want) && loose(got) {
            self.right += 1;
            return;
        }
        if want == got {
            self.right += 1;
        } else {
            self.wrong.push(format!("{id}: {input:?}\n  want {want:?}\n  got  {got:?}"));
        }
    }

    fn report(&self, name: &str) -> usize {
        println!("{name}: {} of {}", self.right, self.right + self.wrong.len());
        let shown = std::env::var("SHOW").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
        if let Ok(path) = std::env::var("WRONG") {
            let ids: Vec<&str> = self.wrong.iter().filter_map(|wrong| wrong.split(':').next()).collect();
            let old = std::fs::read_to_string(&path).unwrap_or_default();
            std::fs::write(&path, format!("{old}{}\n", ids.join("\n"))).expect(&path);
        }
        self.wrong.iter().take(shown).for_each(|wrong| println!("  {wrong}"));
        self.wrong.len()
    }
}

fn outcome(result: Result<Value, yaml::Error>) -> (Option<Value>, String) {
    match result {
        Ok(value) => (Some(value), String::new()),
        Err(error) => (None, error.to_string()),
    }
}

fn text(case: &Value, key: &str) -> String {
    case.get(key).and_then(Value::as_str).unwrap_or_default().to_string()
}

fn compare(column: &mut Column, case: &Value, key: &str, error_key: &str, got: (Option<Value>, String)) {
    let (id, input) = (text(case, "id"), text(case, "in"));
    let show = |value: Option<&Value>, error: &str| match value {
        Some(value) => value.to_string(),
        None => format!("error: {error}"),
    };
    // A missing error column means the value is there (or null).
    let want_error = text(case, error_key);
    let null = Value::Null;
    let want = if want_error.is_empty() { Some(case.get(key).unwrap_or(&null)) } else { None };
    column.check(&id, &input, &show(want, &want_error), &show(got.0.as_ref(), &got.1));
}

#[test]
fn agrees_with_go() {
    let Some(path) = testkit::shared("suites/go-yaml/cases.jsonl.zst") else { return };
    run(&testkit::jsonl_zst(&path));
}

/// Inputs that once made a difference, and what Go's libraries made of them. `YAML_CASES` names another
/// file of this kind, to compare with a fresh run of theirs.
#[test]
fn agrees_with_go_on_what_was_found() {
    let path = std::env::var("YAML_CASES")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/found/cases.jsonl").into());
    let text = std::fs::read_to_string(&path).expect(&path);
    let cases: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a case")).collect();
    run(&cases);
}

/// Reading some members must give those of the whole, or the same error.
fn check_members(column: &mut Column, id: &str, input: &str, whole: &Result<Value, yaml::Error>) {
    const WANTED: [&str; 3] = ["a", "key", "metadata"];
    let show = |result: &Result<Value, yaml::Error>| match result {
        Ok(Value::Object(map)) => {
            let wanted = map.iter().filter(|(key, _)| WANTED.contains(&key.as_str()));
            Value::Object(wanted.map(|(key, value)| (key.clone(), value.clone())).collect()).to_string()
        }
        Ok(value) => value.to_string(),
        Err(error) => format!("error: {error} at {}:{}", error.line, error.column),
    };
    column.check(id, input, &show(whole), &show(&yaml::from_str_members(input, &WANTED)));
    // Long texts are skimmed first.
    let long = format!("#{}\n{input}", "-".repeat(2000));
    let whole = yaml::from_str(&long);
    column.check(id, &long, &show(&whole), &show(&yaml::from_str_members(&long, &WANTED)));
}

fn run(cases: &[Value]) {
    let [mut json, mut strict, mut print, mut v3, mut kyaml, mut members] = <[Column; 6]>::default();
    for case in cases.iter().filter(|case| case.get("panic").is_none()) {
        let (id, input) = (text(case, "id"), text(case, "in"));
        let value = yaml::from_str(&input);
        check_members(&mut members, &id, &input, &value);
        if let (Ok(value), Some(want)) = (&value, case.get("toYaml").and_then(Value::as_str)) {
            print.check(&id, &input, want, &yaml::to_string(&floats(value)));
        }
        compare(&mut json, case, "json", "err", outcome(value));
        let (_, error) = outcome(yaml::from_str_strict(&input));
        strict.check(&id, &input, &text(case, "strictErr"), &error);
        let nodes = yaml::parse_first_node(&input);
        let end = || yaml::Error::new("EOF", 0, 0);
        let third = nodes.clone().and_then(|node| node.ok_or_else(end)?.to_value());
        if case.get("v3").is_some() || case.get("v3err").is_some() {
            compare(&mut v3, case, "v3", "v3err", outcome(third));
        }
        let printed = match nodes {
            Ok(Some(node)) => yaml::emit(&node),
            Ok(None) => "error: EOF".to_string(),
            Err(error) => format!("error: {error}"),
        };
        let want = match case.get("kyaml").and_then(Value::as_str) {
            Some(want) => want.to_string(),
            None => format!("error: {}", text(case, "kyamlErr")),
        };
        kyaml.check(&id, &input, &want, &printed);
    }
    let wrong = json.report("json")
        + strict.report("strict")
        + print.report("toYaml")
        + v3.report("v3")
        + kyaml.report("kyaml")
        + members.report("members");
    assert_eq!(wrong, 0, "differences from Go");
}
