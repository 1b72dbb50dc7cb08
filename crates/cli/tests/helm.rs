//! `landfall helm` on a cluster, alone and hand in hand with the real helm.
#![allow(clippy::disallowed_methods)]

mod harness;
mod release;

use release::{Site, chart};

/// Every verb that only reads, for a release that is there.
const READING: &[&str] = &[
    "list",
    "list -q",
    "list -o json",
    "list -o yaml -A",
    "list --time-format 2006-01-02",
    "status web",
    "status web --show-desc",
    "status web -o json",
    "status web -o yaml",
    "history web",
    "history web -o json",
    "history web --max 1",
    "get all web",
    "get manifest web",
    "get hooks web",
    "get notes web",
    "get values web",
    "get values web --all -o json",
    "get metadata web",
    "get metadata web -o yaml",
    "get values web --revision 1",
];

/// What must fail, with the same words and the same exit code.
const FAILING: &[&str] = &[
    "status nope",
    "history nope",
    "get values nope",
    "rollback nope",
    "rollback web 77",
    "rollback web x",
    "uninstall nope",
    "status BAD_",
    "test nope",
    "install web CHART",
    "install BAD_ CHART",
    "install x CHART --set service.port=text",
    "install x CHART --set fail=please",
    "install other CHART --set name=web-page",
    "upgrade nope CHART",
    "upgrade web CHART --set fail=please",
    "upgrade web CHART --dry-run=some",
    "uninstall web --cascade none",
];

#[test]
fn each_reads_and_goes_on_from_the_others_releases() {
    let Some(peer) = release::peer("helm") else { return };
    let site = Site::start();
    let folder = chart();
    let path = folder.path().to_string_lossy().into_owned();
    for (namespace, ours_first) in [("ours-first", true), ("theirs-first", false)] {
        let ours = |line: &str| site.landfall(namespace, line, &path);
        let theirs = |line: &str| site.helm(&peer, namespace, line, &path);
        let (first, second): (&dyn Fn(&str) -> release::Said, &dyn Fn(&str) -> release::Said) =
            if ours_first { (&ours, &theirs) } else { (&theirs, &ours) };
        first("install web CHART --create-namespace --wait --set text=one").succeeded();
        assert_eq!(site.kubectl(namespace, "get configmap web-page -o jsonpath={.data.text}"), "one");
        second("upgrade web CHART --wait --set text=two --set replicas=2").succeeded();
        assert_eq!(site.kubectl(namespace, "get configmap web-page -o jsonpath={.data.text}"), "two");
        first("upgrade web CHART --reuse-values --set extra=true").succeeded();
        let values = second("get values web -o json").succeeded();
        assert_eq!(values, "{\"extra\":true,\"replicas\":2,\"text\":\"two\"}\n");
        site.kubectl(namespace, "get configmap web-extra");
        second("rollback web 1 --wait").succeeded();
        assert_eq!(site.kubectl(namespace, "get deployment web -o jsonpath={.spec.replicas}"), "1");
        assert!(
            site.kubectl(namespace, "get configmap -o name")
                .lines()
                .all(|name| name != "configmap/web-extra")
        );
        first("test web").succeeded();
        for line in READING.iter().chain(FAILING) {
            let (a, b) = (theirs(line), ours(line));
            assert_eq!((a.out, a.code), (b.out, b.code), "{line}\nhelm: {}\nlandfall: {}", a.err, b.err);
            assert_eq!(a.err, b.err, "{line}");
        }
        let shown = |said: release::Said| blocks(&said.succeeded());
        assert_eq!(shown(theirs("status web --show-resources")), shown(ours("status web --show-resources")));
        let data = |said: release::Said| -> serde_json::Value {
            let data: serde_json::Value = serde_json::from_str(&said.succeeded()).expect("JSON");
            data["info"]["resources"].clone()
        };
        let line = "status web --show-resources -o json";
        assert_eq!(data(theirs(line)), data(ours(line)));
        let refused = ours("install x CHART --set kind=Nonsense").failed();
        assert!(refused.contains("no matches for kind \"Nonsense\" in version \"v1\""), "{refused}");
        assert!(refused.contains("site/templates/all.yaml"), "{refused}");
        second("upgrade web CHART --set text=three --history-max 2").succeeded();
        assert_eq!(first("history web -q -o json").code, 1, "history has no -q");
        assert_eq!(first("history web -o json").succeeded().matches("\"revision\"").count(), 2);
        let kept = second("uninstall web --wait").succeeded();
        assert!(kept.contains("[ConfigMap] web-kept"), "{kept}");
        assert_eq!(site.kubectl(namespace, "get deployments,secrets,jobs -o name"), "");
        assert_eq!(site.kubectl(namespace, "get configmap web-kept -o name"), "configmap/web-kept\n");
    }
}

/// The blocks of a status, each with its lines, in some order: the real helm has none for kinds. Ages are left out.
fn blocks(status: &str) -> std::collections::BTreeSet<Vec<String>> {
    let without_age = |line: &str| match line.rsplit_once(char::is_whitespace) {
        Some((rest, age)) if age.ends_with(['s', 'm']) => rest.trim_end().to_owned(),
        _ => line.to_owned(),
    };
    let status = status.replace("RESOURCES:\n", "RESOURCES:\n\n");
    status.split("\n\n").map(|block| block.lines().map(without_age).collect()).collect()
}

#[test]
fn what_is_stored_is_what_helm_stores() {
    let Some(peer) = release::peer("helm") else { return };
    let site = Site::start();
    let folder = chart();
    let path = folder.path().to_string_lossy().into_owned();
    let line = "install web CHART --create-namespace --set text=<b>&c --set n=3,f=1.5 --labels team=a --description why";
    site.landfall("ours", line, &path).succeeded();
    site.helm(&peer, "theirs", line, &path).succeeded();
    let (ours, theirs) = (site.stored("ours", "web", 1), site.stored("theirs", "web", 1));
    release::same(
        &release::without_times(&ours.text, "ours"),
        &release::without_times(&theirs.text, "theirs"),
    );
    assert_eq!(ours.labels, theirs.labels);
    // The objects themselves are the same, too: fields, marks and field managers.
    for object in ["configmap/web-page", "deployment/web", "service/web"] {
        let shown = |namespace: &str| release::settled(&site.object(namespace, object), namespace);
        assert_eq!(shown("ours"), shown("theirs"), "{object}");
    }
}

#[test]
fn releases_in_config_maps_are_one_history_for_both() {
    let Some(peer) = release::peer("helm") else { return };
    let site = Site::start().with_driver("configmap");
    let folder = chart();
    let path = folder.path().to_string_lossy().into_owned();
    let ours = |line: &str| site.landfall("default", line, &path);
    let theirs = |line: &str| site.helm(&peer, "default", line, &path);
    ours("install web CHART --set text=one --labels team=a").succeeded();
    theirs("upgrade web CHART --set text=two").succeeded();
    ours("rollback web 1").succeeded();
    for line in ["history web -o json", "get values web -o json", "get manifest web", "list -o json"] {
        let (a, b) = (theirs(line), ours(line));
        assert_eq!((a.out, a.err, a.code), (b.out, b.err, b.code), "{line}");
    }
    assert_eq!(site.kubectl("default", "get configmap web-page -o jsonpath={.data.text}"), "one");
    let kept = |kind: &str| site.kubectl("default", &format!("get {kind} -l owner=helm -o name"));
    assert_eq!(kept("secrets"), "");
    let (first, second) = ("sh.helm.release.v1.web.v1", "sh.helm.release.v1.web.v2");
    assert!(kept("configmaps").contains(first) && kept("configmaps").contains(second));
    let shape = |name: &str| {
        let object = site.object("default", &format!("configmap/{name}"));
        let keys = |at: &str| {
            object
                .pointer(at)
                .and_then(serde_json::Value::as_object)
                .map(|map| map.keys().cloned().collect::<Vec<_>>())
        };
        (keys(""), keys("/data"), keys("/metadata/labels"))
    };
    assert_eq!(shape(first), shape(second), "ours is made like theirs");
    theirs("uninstall web").succeeded();
    assert_eq!(kept("configmaps"), "");
    let refused = Site::with_driver(site, "sql").landfall("default", "list", &path).failed();
    assert!(refused.contains("HELM_DRIVER=sql is not supported"), "{refused}");
}

#[test]
fn a_failure_is_undone_when_it_is_atomic() {
    let site = Site::start();
    let folder = chart();
    let path = folder.path().to_string_lossy().into_owned();
    let landfall = |line: &str| site.landfall("default", line, &path);
    let broken = "--set service.port=99999999";
    let failed = landfall(&format!("install web CHART --atomic {broken}")).failed();
    assert!(failed.contains("has been uninstalled due to atomic being set"), "{failed}");
    assert_eq!(landfall("list -q -a").succeeded(), "");
    landfall("install web CHART").succeeded();
    let failed = landfall(&format!("upgrade web CHART --atomic --set text=new {broken}")).failed();
    assert!(failed.contains("has been rolled back due to atomic being set"), "{failed}");
    assert_eq!(site.kubectl("default", "get configmap web-page -o jsonpath={.data.text}"), "hello");
    let history = landfall("history web").succeeded();
    let states: Vec<bool> = ["superseded", "failed", "deployed"].map(|state| history.contains(state)).into();
    assert_eq!(states, [true; 3], "{history}");
}

#[test]
fn a_crash_leaves_nothing_that_waits_for_a_human() {
    let site = Site::start();
    let folder = chart();
    let path = folder.path().to_string_lossy().into_owned();
    let landfall = |line: &str| site.landfall("default", line, &path);
    landfall("install web CHART").succeeded();
    site.leave_pending("default", "web", 2);
    let refused = landfall("upgrade web CHART --set text=new").failed();
    assert!(refused.contains("another operation (install/upgrade/rollback) is in progress"), "{refused}");
    // Once it is older than the time it had, nobody works on it any more.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let said = landfall("upgrade web CHART --set text=new --timeout 1s");
    assert!(said.err.contains("going on from what is live"), "{}", said.err);
    said.succeeded();
    assert_eq!(site.kubectl("default", "get configmap web-page -o jsonpath={.data.text}"), "new");
    assert!(
        landfall("history web").succeeded().contains("Release unlocked from stale 'pending-upgrade' state")
    );
}

#[test]
fn dry_runs_change_nothing() {
    let site = Site::start();
    let folder = chart();
    let path = folder.path().to_string_lossy().into_owned();
    let landfall = |line: &str| site.landfall("default", line, &path);
    let shown = landfall("install web CHART --dry-run --set text=dry").succeeded();
    assert!(shown.contains("STATUS: pending-install") && shown.contains("dry from web"), "{shown}");
    assert_eq!(landfall("list -q -a").succeeded(), "");
    assert_eq!(site.kubectl("default", "get deployments -o name"), "");
    landfall("upgrade --install web CHART").succeeded();
    let shown = landfall("upgrade web CHART --dry-run=server --set text=dry").succeeded();
    assert!(shown.contains("REVISION: 2") && shown.contains("dry from web"), "{shown}");
    assert!(!landfall("history web").succeeded().contains("\n2"));
    landfall("uninstall web --keep-history").succeeded();
    assert!(landfall("list -a").succeeded().contains("uninstalled"));
    landfall("upgrade --install web CHART").succeeded();
    assert!(landfall("list").succeeded().contains("deployed"));
}

#[test]
fn what_hooks_print_is_shown_where_they_say_so() {
    let Some(peer) = release::peer("helm") else { return };
    let site = Site::start();
    let folder = chart();
    let hook = |name: &str, weight: u8, policy: &str, command: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations:\n    helm.sh/hook: pre-install\n    \
             helm.sh/hook-weight: \"{weight}\"\n    helm.sh/hook-output-log-policy: {policy}\n    \
             helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed\nspec:\n  backoffLimit: 0\n  \
             template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - {{name: one, image: a, \
             command: [{command}]}}\n      - {{name: two, image: a, command: [\"true\"]}}\n---\n"
        )
    };
    let hooks = [
        hook("first", 1, "hook-succeeded", "\"true\""),
        hook("second", 2, "\"hook-succeeded,hook-failed\"", "\"true\""),
        hook("silent", 3, "hook-failed", "\"true\""),
        "{{- if .Values.fails }}\n".to_owned(),
        hook("last", 4, "hook-failed", "\"false\""),
        "{{- end }}\n".to_owned(),
    ];
    std::fs::write(folder.path().join("templates/printing.yaml"), hooks.concat()).expect("written");
    let path = folder.path().to_string_lossy().into_owned();
    let pods = regex::Regex::new("-[a-z0-9]{5} ").expect("a pattern");
    for (line, logs) in [
        ("install web CHART --create-namespace", ["second", "second", "first", "first"].as_slice()),
        ("install more CHART --set fails=true,name=more", ["last", "last"].as_slice()),
    ] {
        let shown = |namespace: &str, said: release::Said| -> Vec<String> {
            let logs = said.err.lines().filter(|line| line.starts_with("landfall: pod "));
            logs.map(|line| pods.replace(line, " ").replace(namespace, "NAMESPACE")).collect()
        };
        let ours = shown("ours", site.landfall("ours", line, &path));
        assert_eq!(ours, shown("theirs", site.helm(&peer, "theirs", line, &path)), "{line}");
        let wanted = logs.iter().map(|name| {
            format!("landfall: pod NAMESPACE/{name} is simulated; no container runs and nothing is logged")
        });
        assert_eq!(ours, wanted.collect::<Vec<_>>(), "{line}");
    }
}
