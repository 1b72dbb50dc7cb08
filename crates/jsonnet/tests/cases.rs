//! Programs, what they are given, and what comes of it: `testdata/cases.yaml`; each case in this process and over the
//! wire. Argo CD's own programs where they are at hand.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::io::{BufReader, Cursor};

use jsonnet::wire::{self, Answer, Reply};
use jsonnet::{Files, Request, Variable};
use serde_json::{Value, json};

struct Memory(BTreeMap<String, Vec<u8>>);

impl Files for Memory {
    fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        self.0.get(path).cloned()
    }
}

/// Over the wire: the answers are known beforehand, so they are all written at once.
fn over_the_wire(request: &Request, files: &mut Memory) -> Result<String, jsonnet::Error> {
    struct Noted<'a>(&'a mut Memory, Vec<String>);
    impl Files for Noted<'_> {
        fn read(&mut self, path: &str) -> Option<Vec<u8>> {
            let content = self.0.read(path);
            let answer = Answer::new(content.as_deref());
            self.1.push(serde_json::to_string(&answer).unwrap());
            content
        }
    }
    let mut noted = Noted(files, Vec::new());
    let direct = jsonnet::evaluate(request, &mut noted);
    let lines = [vec![serde_json::to_string(request).unwrap()], noted.1].concat().join("\n") + "\n";
    let mut output = Vec::new();
    wire::serve(BufReader::new(Cursor::new(lines)), &mut output).unwrap();
    let last = String::from_utf8(output).unwrap();
    let reply = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    let told = match reply {
        Reply::Made(json) => Ok(json),
        Reply::Failed(error) => Err(error),
        Reply::Read(path) => panic!("{path} is not answered"),
    };
    assert_eq!(direct, told);
    told
}

fn variables(case: &Value, field: &str) -> Vec<Variable> {
    case[field]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| Variable {
            name: entry["name"].as_str().unwrap().to_owned(),
            value: entry["value"].as_str().unwrap().to_owned(),
            code: entry["code"] == true,
        })
        .collect()
}

#[test]
fn cases() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/cases.yaml")).unwrap();
    let cases = yaml::from_str(&text).unwrap();
    for case in cases.as_array().unwrap() {
        let name = &case["name"];
        let files = case["files"].as_object().unwrap().iter();
        let mut files =
            Memory(files.map(|(path, text)| (path.clone(), text.as_str().unwrap().into())).collect());
        let request = Request {
            file: "app/main.jsonnet".into(),
            external: variables(case, "external"),
            arguments: variables(case, "arguments"),
            libraries: case["libraries"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|folder| folder.as_str().unwrap().to_owned())
                .collect(),
        };
        let found = match over_the_wire(&request, &mut files) {
            Ok(text) => json!({"makes": serde_json::from_str::<Value>(&text).unwrap()}),
            Err(error) => json!({"fails": error.message, "file": error.file, "line": error.line}),
        };
        for field in ["makes", "fails", "file", "line"] {
            if let Some(wanted) = case.get(field) {
                assert_eq!(found.get(field), Some(wanted), "{name}: {field} of {found:#}");
            }
        }
        assert_eq!(case.get("makes").is_some(), found.get("makes").is_some(), "{name}: {found:#}");
    }
}

#[test]
fn what_argo_cd_tests_with() {
    let Some(folder) =
        testkit::shared("suites/argocd-testdata/argo-cd/reposerver_repository_testdata/jsonnet")
    else {
        return;
    };
    let mut files = Memory(BTreeMap::new());
    for path in ["guestbook-ui.jsonnet", "params.libsonnet", "vendor/nested/service.libsonnet"] {
        files.0.insert(format!("jsonnet/{path}"), std::fs::read(folder.join(path)).unwrap());
    }
    let variable = |name: &str, value: &str, code| Variable { name: name.into(), value: value.into(), code };
    let request = Request {
        file: "jsonnet/guestbook-ui.jsonnet".into(),
        external: vec![
            variable("extVarString", "extVarString", false),
            variable("extVarCode", "\"extVarCode\"", true),
        ],
        arguments: vec![variable("tlaString", "tlaString", false), variable("tlaCode", "\"tlaCode\"", true)],
        libraries: vec!["jsonnet".into(), "jsonnet/vendor".into()],
    };
    let made: Value = serde_json::from_str(&over_the_wire(&request, &mut files).unwrap()).unwrap();
    assert_eq!(made[0]["kind"], "Service");
    let labels = &made[1]["spec"]["template"]["metadata"]["labels"];
    for name in ["tlaString", "tlaCode", "extVarString", "extVarCode"] {
        assert_eq!(labels[name], name);
    }
    assert!(made[2].is_null());
}
