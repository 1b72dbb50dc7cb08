//! Charts from outside: what fuzzing once found, and what hostile people write.
#![allow(clippy::disallowed_methods)]

use helm::{Chart, NoCluster, RenderOptions, TemplateOptions, Values};
use std::collections::BTreeMap;

fn world() -> NoCluster {
    NoCluster::new("2026-01-02T03:04:05Z".parse().unwrap(), [7; 32])
}

fn rendered(files: BTreeMap<String, Vec<u8>>, values: &Values) -> helm::Result<String> {
    let chart = Chart::from_files(files)?;
    let options = RenderOptions { release_name: "fuzz".into(), ..RenderOptions::default() };
    helm::render(&chart, values, &options, &world())?.to_template(&TemplateOptions::default())
}

#[test]
fn what_fuzzing_found() {
    let text = std::fs::read_to_string("testdata/found.json").unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let files = case["files"].as_object().unwrap().iter();
        let files = files.map(|(path, text)| (path.clone(), text.as_str().unwrap().into())).collect();
        let mut values = Values::new();
        if let Some(text) = case["set"].as_str()
            && let Err(error) = values.set(text)
        {
            let words = format!("failed parsing --set data: {error}");
            assert_eq!(case["error"].as_str(), Some(words.as_str()), "{case:#}");
            continue;
        }
        match rendered(files, &values) {
            Ok(text) => assert_eq!(case["output"].as_str(), Some(text.as_str()), "{case:#}"),
            Err(error) => assert_eq!(case["error"].as_str(), Some(error.to_string().trim_end()), "{case:#}"),
        }
    }
}

#[test]
fn hostile_charts_end_in_an_error() {
    let chart = |text: &str| BTreeMap::from([("Chart.yaml".to_owned(), text.as_bytes().to_vec())]);
    let named = |version: &str| chart(&format!("apiVersion: v2\nname: x\nversion: {version}\n"));
    for (files, words) in [
        (BTreeMap::new(), "Chart.yaml file is missing"),
        (chart(""), "chart.metadata.name is required"),
        (chart("- a\n"), "cannot load Chart.yaml"),
        (chart("name: [x]\n"), "cannot load Chart.yaml"),
        (chart("apiVersion: v2\nname: ../../etc\nversion: 1.0.0\n"), "is invalid"),
        (named("one"), "is invalid"),
        (named("1.0.0\nversion: 2.0.0"), ""),
        (named("1.0.0\ntype: other"), "must be application or library"),
        (named("1.0.0\nkubeVersion: '>= 99'"), "incompatible"),
        (
            named("1.0.0\ndependencies:\n- name: other\n  version: 1.0.0"),
            "missing in charts/ directory: other",
        ),
    ] {
        match rendered(files.clone(), &Values::new()) {
            Ok(_) => assert_eq!(words, "", "{files:?}"),
            Err(error) => assert!(error.to_string().contains(words), "{words}: {error}"),
        }
    }
    let mut bad = named("1.0.0");
    bad.insert("values.yaml".into(), b"a: [\n".to_vec());
    let error = rendered(bad, &Values::new()).unwrap_err();
    assert!(
        error.to_string().contains("cannot load values.yaml") && error.to_string().contains("line"),
        "{error}"
    );
}

#[test]
fn hostile_archives_end_in_an_error() {
    let packed = |entries: &[(&str, &[u8])]| -> Vec<u8> {
        let mut tar =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (name, bytes) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append(&header, *bytes).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    };
    const CHART: &[u8] = b"apiVersion: v2\nname: x\nversion: 1.0.0\n";
    let good = packed(&[("x/Chart.yaml", CHART)]);
    Chart::from_archive(&good).unwrap();
    let bomb = vec![0; 32 << 20];
    for (bytes, words) in [
        (Vec::new(), ""),
        (b"no gzip".to_vec(), ""),
        (good[..good.len() / 2].to_vec(), ""),
        (packed(&[]), "no files in chart archive"),
        (
            packed(&[("x/Chart.yaml", CHART), ("x/../../etc/passwd", b"x")]),
            "illegally references parent directory",
        ),
        (packed(&[("x/Chart.yaml", CHART), ("/etc/passwd", b"x")]), ""),
        (packed(&[("Chart.yaml", CHART)]), "base directory"),
        (packed(&[("x/Chart.yaml", CHART), ("x/big", &bomb)]), "maximum"),
    ] {
        match Chart::from_archive(&bytes) {
            Ok(chart) => assert_eq!((words, chart.files.len()), ("", 1), "{:?}", chart.files),
            Err(error) => assert!(error.to_string().contains(words), "{words}: {error}"),
        }
    }
}

#[test]
fn a_block_scalar_at_the_end_of_a_document_keeps_its_line_breaks() {
    // What is stored, and what the last field of each document is when Helm applies it.
    for (text, values) in [
        ("---\n# Source: x/a.yaml\na: |\n  one\n---\na: |+\n  two\n\n", &["one\n", "two\n\n"][..]),
        ("--- # first\na: |-\n  one\n---\n\n---\na: >\n  two\n  lines", &["one", "two lines\n"]),
        ("a: |\n  ---x\n  one\n", &["---x\none\n"]),
    ] {
        let manifests = helm::release::stored_manifests(text).unwrap();
        let found: Vec<&str> =
            manifests.iter().map(|manifest| manifest.object["a"].as_str().unwrap()).collect();
        assert_eq!(found, values, "{text}");
    }
    let files = BTreeMap::from([
        ("Chart.yaml".to_owned(), b"apiVersion: v2\nname: x\nversion: 1.0.0\n".to_vec()),
        ("templates/a.yaml".to_owned(), b"kind: ConfigMap\na: |\n  one\n".to_vec()),
    ]);
    let chart = Chart::from_files(files).unwrap();
    let rendered = helm::render(&chart, &Values::new(), &RenderOptions::default(), &world()).unwrap();
    assert_eq!(rendered.manifests[0].object["a"], "one\n");
}

/// Templates that want more than there is: each ends, soon and with these words (none: it may render).
#[test]
fn hostile_templates_end_in_an_error() {
    let text = std::fs::read_to_string("testdata/hostile.json").unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    // A fraction of what is allowed by default: debug builds are slow.
    let limits = helm::Limits { steps: 400_000, output: 4 << 20, ..helm::Limits::default() };
    let mut wrong = Vec::new();
    for case in &cases {
        let parts = case["template"].as_array().unwrap().iter();
        let template: String =
            parts.map(|part| part[0].as_str().unwrap().repeat(part[1].as_u64().unwrap() as usize)).collect();
        let mut files = BTreeMap::from([
            ("Chart.yaml".to_owned(), b"apiVersion: v2\nname: x\nversion: 1.0.0\n".to_vec()),
            ("templates/a.yaml".to_owned(), template.into_bytes()),
            ("a".repeat(90), Vec::new()),
        ]);
        if let Some(values) = case["values"].as_str() {
            files.insert("values.yaml".into(), values.into());
        }
        let since = std::time::Instant::now();
        let options = RenderOptions { limits, ..RenderOptions::default() };
        let result = Chart::from_files(files)
            .and_then(|chart| helm::render(&chart, &Values::new(), &options, &world()));
        let (name, words) = (&case["name"], case["words"].as_str().unwrap());
        println!("{name}: {:?}", since.elapsed());
        assert!(since.elapsed().as_secs() < 30, "{name} takes {:?}", since.elapsed());
        match result {
            Ok(_) if words.is_empty() => {}
            Ok(_) => wrong.push(format!("{name} renders")),
            Err(error) => {
                let error = error.to_string();
                let end: String = error.chars().rev().take(300).collect::<Vec<_>>().iter().rev().collect();
                if !error.contains(words) {
                    wrong.push(format!("{name}: {end}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn lists_within_lists_have_an_end() {
    for text in [format!("a{}=1", "[0]".repeat(100_000)), format!("a{}=1", "[0].a".repeat(100_000))] {
        let error = Values::new().set(&text).unwrap_err();
        assert!(error.to_string().contains("nested"), "{error}");
    }
}
