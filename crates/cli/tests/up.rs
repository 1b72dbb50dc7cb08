//! The main job, end to end: the real binary on real repositories.
#![allow(clippy::disallowed_methods)]

mod harness;

use harness::{Up, edit, landfall, quickstart, run, said};
use serde_json::Value;
use std::path::Path;

#[test]
fn the_quickstart_comes_up() {
    let repository = quickstart();
    let path = repository.path().to_string_lossy();
    for environment in ["clusters/dev", "clusters/prod"] {
        let output = run(&[
            "up",
            &path,
            "--path",
            environment,
            "--once",
            "--ephemeral",
            "-o",
            "json",
            "--timeout",
            "120s",
        ]);
        assert!(output.status.success(), "{environment}: {}", said(&output));
        let outcome: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(outcome["ready"], true, "{environment}");
        let names: Vec<&str> = outcome["units"]
            .as_array()
            .expect("units")
            .iter()
            .filter_map(|unit| unit["name"].as_str())
            .collect();
        for wanted in ["apps", "infrastructure", "flux-system", "hello"] {
            assert!(names.contains(&wanted), "{environment} lacks {wanted}: {names:?}");
        }
    }
}

#[test]
fn edits_breaks_and_prunes_follow_the_working_copy() {
    let repository = quickstart();
    let state = tempfile::tempdir().expect("a folder");
    let up = Up::start(repository.path(), "clusters/dev", state.path(), &[]);
    up.wait_ready(5);

    // A value goes live.
    let release = repository.path().join("apps/base/release.yaml");
    edit(&release, "greeting: Hello", "greeting: Bonjour");
    let page = ["-n", "shop", "get", "configmap", "hello-page", "-o", "jsonpath={.data.index\\.html}"];
    up.wait_kubectl(&page, |text| text.contains("Bonjour"));

    // A broken file is named with its line, and nothing is lost meanwhile.
    let settings = repository.path().join("apps/base/settings.yaml");
    edit(&settings, "  currency: EUR", "  currency: [EUR");
    up.wait("the cause names the file", |units| {
        units.iter().any(|unit| {
            let cause = &unit["cause"];
            let text = format!("{} {}", unit["message"], cause["message"]);
            unit["name"] == "apps"
                && unit["ready"] != "True"
                && (cause["file"].as_str().is_some_and(|file| file.ends_with("settings.yaml"))
                    || text.contains("settings.yaml"))
        })
    });
    assert!(up.kubectl(&["-n", "shop", "get", "configmap", "settings", "-o", "name"]).contains("settings"));
    edit(&settings, "  currency: [EUR", "  currency: USD");
    let currency = ["-n", "shop", "get", "configmap", "settings", "-o", "jsonpath={.data.currency}"];
    up.wait_kubectl(&currency, |text| text == "USD");
    up.wait_ready(5);

    // What leaves the repository leaves the cluster, unless it is protected.
    up.kubectl(&["-n", "shop", "get", "configmap", "settings"]);
    edit(&repository.path().join("apps/base/kustomization.yaml"), "  - settings.yaml\n", "");
    up.wait_kubectl(
        &["-n", "shop", "get", "configmap", "settings", "-o", "name", "--ignore-not-found"],
        |text| text.is_empty(),
    );
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    let repository = quickstart();
    let state = tempfile::tempdir().expect("a folder");
    for pause in [50, 300, 900, 2_000] {
        let up = Up::start(repository.path(), "clusters/prod", state.path(), &[]);
        std::thread::sleep(std::time::Duration::from_millis(pause));
        up.kill();
    }
    let up = Up::start(repository.path(), "clusters/prod", state.path(), &[]);
    up.wait_ready(5);
    let secrets =
        up.kubectl(&["-n", "shop", "get", "secrets", "-l", "owner=helm,status=deployed", "-o", "name"]);
    assert_eq!(secrets.lines().count(), 1, "one deployed revision: {secrets}");
    let deployments = up.kubectl(&["-n", "shop", "get", "deployments", "-o", "name"]);
    assert_eq!(deployments.trim(), "deployment.apps/hello");
}

#[test]
fn a_dependency_cycle_is_named() {
    let repository = quickstart();
    let file = repository.path().join("clusters/dev/infrastructure.yaml");
    edit(&file, "  wait: true", "  wait: true\n  dependsOn: [{name: apps}]");
    let state = tempfile::tempdir().expect("a folder");
    let up = Up::start(repository.path(), "clusters/dev", state.path(), &[]);
    up.wait("the cycle", |units| {
        units.iter().any(|unit| unit["cause"]["message"].to_string().contains("cycle"))
    });
    edit(&file, "  dependsOn: [{name: apps}]", "");
    up.wait_ready(5);
}

/// The repository of the Flux project's own example, with its three remote charts served from archives.
#[test]
fn the_flux_example_comes_up() {
    let Some(folder) = harness::flux_example() else { return };
    let maps = harness::flux_example_maps();
    for path in ["clusters/staging", "clusters/production"] {
        let mut command = landfall(&["up", &folder.path().to_string_lossy(), "--path", path]);
        command.args(["--once", "--ephemeral", "-o", "json", "--timeout", "240s"]);
        for map in &maps {
            command.args(["--map", map]);
        }
        let output = command.output().expect("runs");
        assert!(output.status.success(), "{path}: {}", said(&output));
        let outcome: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let units = outcome["units"].as_array().expect("units");
        for name in ["cert-manager", "envoy-gateway", "podinfo", "apps", "infra-configs", "infra-controllers"]
        {
            assert!(
                units.iter().any(|unit| unit["name"] == name && unit["ready"] == "True"),
                "{path}: {name}"
            );
        }
    }
}

#[test]
fn faults_in_the_call_exit_with_2_and_say_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).expect("made");
    let file = folder.path().join("file");
    std::fs::write(&file, "x").expect("written");
    let quickstart = quickstart();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let cases: &[(&str, Vec<String>, &str)] = &[
        ("a missing folder", vec![text(&folder.path().join("nowhere"))], "give the folder of a repository"),
        ("a file", vec![text(&file)], "is a file"),
        ("an empty folder", vec![text(&empty)], "is empty"),
        ("several entry points", vec![text(quickstart.path())], "--path clusters/dev"),
        (
            "an unknown path",
            vec![text(quickstart.path()), "--path".into(), "clusters/moon".into()],
            "clusters/moon",
        ),
        ("an address", vec!["https://example.com/x".into()], "git clone"),
        (
            "a bad map",
            vec![text(quickstart.path()), "--path".into(), "clusters/dev".into(), "--map".into(), "x".into()],
            "--map",
        ),
    ];
    for (name, arguments, expected) in cases {
        let output = landfall(&["up", "--once", "--ephemeral"]).args(arguments).output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{name}: {}", said(&output));
        assert!(said(&output).contains(expected), "{name}: {}", said(&output));
    }
}

#[test]
fn one_state_serves_one_process() {
    let repository = quickstart();
    let state = tempfile::tempdir().expect("a folder");
    let up = Up::start(repository.path(), "clusters/dev", state.path(), &[]);
    up.wait_ready(5);
    let output = run(&[
        "up",
        &repository.path().to_string_lossy(),
        "--path",
        "clusters/dev",
        "--once",
        "--state",
        &state.path().to_string_lossy(),
    ]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("in use"), "{}", said(&output));
}
