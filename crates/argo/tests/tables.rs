//! Tables of what projects, policies, windows, expressions and settings say.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use argo::diff::{Filter, Normalize, Predict, Rules, compare, mask, respecting};
use argo::notifications::expr::{Expression, Scope};
use argo::project::rbac::{Match, Policies};
use argo::project::{Decision, Destination, Project, Subject};
use argo::settings::{Repositories, Settings, Tracking, policies, resolve};
use object::Value;
use serde_json::json;

fn table(name: &str) -> Value {
    let path = format!("{}/testdata/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn rows(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

#[test]
fn projects() {
    for case in rows(&table("projects")) {
        let name = text(&case["name"]);
        let project = Project::new(json!({ "metadata": { "name": "p" }, "spec": case["spec"] }));
        for (url, wanted) in case["sources"].as_object().into_iter().flatten() {
            assert_eq!(project.permits_source(url), *wanted, "{name}: {url}");
        }
        for row in rows(&case["destinations"]) {
            let to = Destination { server: text(&row[0]), name: text(&row[1]), namespace: text(&row[2]) };
            assert_eq!(project.permits_destination(&to), row[3], "{name}: {row}");
        }
        for row in rows(&case["kinds"]) {
            let permitted = project.permits_kind(text(&row[0]), text(&row[1]), text(&row[2]), row[3] == true);
            assert_eq!(permitted, row[4], "{name}: {row}");
        }
    }
    let all = Project::everything();
    assert!(all.permits_source("https://example.org/a/b/c"));
    assert!(all.permits_object("", "Namespace", "a", &Destination::default()));
}

#[test]
fn who_may_do_what() {
    for case in rows(&table("policies")) {
        let matching = if case["mode"] == "regex" { Match::Regex } else { Match::Glob };
        let policies = Policies::parse(text(&case["csv"]), text(&case["default"]), matching).unwrap();
        for row in rows(&case["requests"]) {
            let groups = rows(&row[1]);
            let groups: Vec<&str> = groups.iter().map(text).collect();
            let allowed =
                policies.allows(text(&row[0]), &groups, text(&row[2]), text(&row[3]), text(&row[4]));
            assert_eq!(allowed, row[5], "{}: {row}", case["name"]);
        }
    }
    assert!(Policies::parse("x, a, b", "", Match::Glob).is_err());
}

#[test]
fn roles_of_a_project_add_policies() {
    let project = Project::new(json!({ "metadata": { "name": "team" }, "spec": { "roles": [{
        "name": "ci", "groups": ["builders"], "policies": ["p, proj:team:ci, applications, sync, team/*, allow"],
    }] } }));
    let mut policies = policies(&json!({ "data": { "policy.csv": "" } })).unwrap();
    policies.add(&project.policies()).unwrap();
    assert!(policies.allows("x", &["builders"], "applications", "sync", "team/web"));
    assert!(policies.allows("x", &["builders"], "projects", "get", "team"));
    assert!(!policies.allows("x", &["builders"], "applications", "delete", "team/web"));
}

#[test]
fn sync_windows() {
    let subject = Subject {
        application: "web",
        destination: Destination {
            server: "https://kubernetes.default.svc",
            name: "in-cluster",
            namespace: "web",
        },
    };
    for case in rows(&table("windows")) {
        let name = text(&case["name"]);
        let project = Project::new(json!({ "spec": { "syncWindows": case["windows"] } }));
        let windows = match (project.windows(), case["error"].as_str()) {
            (Ok(windows), None) => windows.about(&subject),
            (Err(error), Some(wanted)) => {
                assert!(error.contains(wanted), "{name}: {error}");
                continue;
            }
            (outcome, _) => panic!("{name}: {outcome:?}"),
        };
        for row in rows(&case["moments"]) {
            let now = text(&row[0]).parse::<jiff::Timestamp>().unwrap().as_second();
            let allowed = windows.decide(now, row[1] == true, None).unwrap() == Decision::Allowed;
            assert_eq!(allowed, row[2], "{name}: {row}");
        }
    }
}

#[test]
fn jq_expressions() {
    let table = table("expressions");
    let object = &table["object"];
    for row in rows(&table["cases"]) {
        let expression = text(&row[0]);
        let wanted = text(&row[1]);
        let filter = match Filter::deleting(expression) {
            Ok(filter) => filter,
            Err(error) => {
                assert_eq!(wanted, "refused", "{expression}: {error}");
                continue;
            }
        };
        let mut left = object.clone();
        let remove = |left: &mut Value, pointer: &str| {
            object::json_patch::apply(left, &json!([{ "op": "remove", "path": pointer }])).unwrap();
        };
        match wanted {
            "first" => remove(&mut left, "/spec/containers/0"),
            "last" => remove(&mut left, "/spec/containers/1"),
            "image" => remove(&mut left, "/spec/containers/1/image"),
            "value" => remove(&mut left, "/spec/containers/0/env/1/value"),
            "bundle" => remove(&mut left, "/spec/webhooks/0/clientConfig/caBundle"),
            "same" => {}
            "error" => {
                assert!(filter.run(object).is_err(), "{expression}");
                continue;
            }
            _ => object::merge_patch::apply(&mut left, &row[1]),
        }
        assert_eq!(filter.run(object).unwrap(), left, "{expression}");
    }
    let many = json!({ "a": vec![json!({ "b": vec![1; 300] }); 300] });
    let error = Filter::deleting(".. | .. | ..").unwrap().run(&many).unwrap_err();
    assert!(error.contains("too much"), "{error}");
}

#[test]
fn trigger_expressions() {
    let table = table("triggers");
    let variables = json!({ "app": table["app"] });
    let now = text(&table["now"]).parse::<jiff::Timestamp>().unwrap().as_second();
    let scope = Scope { variables: &variables, now, call: &|name, _| Err(format!("{name} is not known")) };
    for row in rows(&table["cases"]) {
        let outcome = Expression::parse(text(&row[0])).and_then(|expression| expression.holds(&scope));
        match row[1].as_bool() {
            Some(wanted) => assert_eq!(outcome, Ok(wanted), "{row}"),
            None => assert!(outcome.is_err(), "{row}: {outcome:?}"),
        }
    }
}

fn deployment_type() -> schema::TypeRef {
    schema::builtin().type_of(&object::Gvk::new("apps", "v1", "Deployment")).unwrap()
}

#[test]
fn differences() {
    let target = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "a" },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "web" } }, "template": {
            "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "web", "image": "web:1" }] },
        } },
    });
    let mut live = target.clone();
    object::set(&mut live, &["spec", "replicas"], 5.into());
    object::set(&mut live, &["status"], json!({ "replicas": 5 }));
    let ty = deployment_type();
    let rules = |list: Value| Rules::parse(Some(&list)).unwrap();
    let differs = |rules: &Rules, predict: Predict<'_>| {
        compare(&target, &live, &ty, rules, Normalize::default(), predict).unwrap().differs()
    };
    let structured = Predict::Structured { manager: "argocd-controller" };
    for predict in [Predict::ThreeWay, structured] {
        assert!(differs(&Rules::default(), predict));
        let about = |field: Value| {
            let mut rule = json!({ "group": "apps", "kind": "Deployment", "name": "web" });
            object::merge_patch::apply(&mut rule, &field);
            rules(json!([rule]))
        };
        assert!(!differs(&about(json!({ "jsonPointers": ["/spec/replicas"] })), predict));
        assert!(!differs(&about(json!({ "jqPathExpressions": [".spec.replicas"] })), predict));
        assert!(differs(
            &about(json!({ "jsonPointers": ["/spec/replicas"], "namespace": "other" })),
            predict
        ));
    }
    let pointer = rules(json!([{ "group": "*", "kind": "*", "jsonPointers": ["/spec/replicas"] }]));
    let respected = respecting(&target, &live, &ty, &pointer);
    assert_eq!(respected["spec"]["replicas"], 5);
    assert!(respected.get("status").is_none());
    object::set(
        &mut live,
        &["metadata", "managedFields"],
        json!([{
            "manager": "hpa", "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
            "fieldsV1": { "f:spec": { "f:replicas": {} } },
        }]),
    );
    let by_manager = rules(json!([{ "group": "apps", "kind": "*", "managedFieldsManagers": ["hpa"] }]));
    let compared = compare(&target, &live, &ty, &by_manager, Normalize::default(), structured).unwrap();
    assert!(!compared.differs(), "{compared:?}");
}

#[test]
fn secrets_are_masked() {
    let mut live = json!({ "apiVersion": "v1", "kind": "Secret", "data": { "a": "MQ==", "b": "Mg==" } });
    let mut target =
        json!({ "apiVersion": "v1", "kind": "Secret", "data": { "a": "MQ==" }, "stringData": { "b": "3" } });
    mask(&mut [&mut live, &mut target], &[]);
    assert_eq!(live["data"]["a"], target["data"]["a"]);
    assert_ne!(live["data"]["b"], target["data"]["b"]);
    assert!(!target.to_string().contains("\"3\"") && !live.to_string().contains("Mg=="));
}

#[test]
fn settings_are_read() {
    let settings = Settings::parse(&json!({ "data": {
        "application.resourceTrackingMethod": "label",
        "timeout.reconciliation": "1m30s",
        "resource.customizations.health.example.org_Thing": "return { status = 'Healthy' }",
        "resource.customizations.ignoreDifferences.all": "managedFieldsManagers: [kube-controller-manager]",
        "resource.customizations": "apps/Deployment:\n  ignoreDifferences: |\n    jsonPointers: [/spec/replicas]\n",
        "resource.exclusions": "- apiGroups: [\"*\"]\n  kinds: [Lease]\n  clusters: [\"*\"]\n",
        "globalProjects": "- projectName: base\n  labelSelector: { matchLabels: { team: a } }\n",
        "resource.compareoptions": "ignoreAggregatedRoles: true\nignoreResourceStatusField: crd\n",
        "resource.customizations.ignoreDifferences.x_Y": "jqPathExpressions: [\"def f: f; f\"]",
    } }));
    assert_eq!(settings.tracking, Tracking::Label);
    assert_eq!(settings.reconciliation, Some(std::time::Duration::from_secs(90)));
    assert!(settings.customizations.health(&object::Gvk::new("example.org", "v1", "Thing")).is_some());
    assert_eq!(settings.ignored.len(), 2);
    assert!(!settings.sees("coordination.k8s.io", "Lease", "x") && settings.sees("", "Pod", "x"));
    assert_eq!(settings.problems.len(), 1, "{:?}", settings.problems);
    let child = Project::new(json!({ "metadata": { "name": "p", "labels": { "team": "a" } }, "spec": {} }));
    let base =
        Project::new(json!({ "metadata": { "name": "base" }, "spec": { "sourceRepos": ["https://a/*"] } }));
    let inherited = settings.inherit(child, |name| (name == "base").then(|| base.clone()));
    assert!(inherited.permits_source("https://a/b"));
    assert_eq!(
        resolve("$a.b and $other:key", |secret, key| Some(format!("{secret}/{key}"))),
        "argocd-secret/a.b and other/key"
    );
}

#[test]
fn the_longest_prefix_signs_in() {
    let secret = |kind: &str, data: Value| json!({ "metadata": { "labels": { "argocd.argoproj.io/secret-type": kind } }, "stringData": data });
    let secrets = [
        secret("repo-creds", json!({ "url": "https://git.example", "username": "short" })),
        secret("repo-creds", json!({ "url": "https://git.example/team", "username": "long" })),
        secret("repository", json!({ "url": "https://git.example/team/a.git", "name": "a" })),
        secret("repository", json!({ "url": "https://git.example/own", "username": "own", "project": "p" })),
    ];
    let all = Repositories::from_secrets(&secrets, false);
    assert_eq!(all.find("https://git.example/team/a", "").credentials.username, "long");
    assert_eq!(all.find("https://git.example/x", "").credentials.username, "short");
    assert_eq!(all.find("https://git.example/own", "p").credentials.username, "own");
    assert_eq!(all.find("https://git.example/own", "q").credentials.username, "short");
    assert!(all.find("https://elsewhere/x", "").credentials.is_anonymous());
}

#[test]
fn notifications_are_told_once() {
    let config = argo::notifications::Config::parse(&json!({ "data": {
        "trigger.on-deployed": "- when: app.status.health.status == 'Healthy'\n  oncePer: app.status.sync.revision\n  send: [deployed]\n",
        "trigger.on-broken": "- when: app.status.health.status == 'Degraded'\n  send: [deployed]\n",
        "template.deployed": "message: \"{{.app.metadata.name}} at {{.app.status.sync.revision}} for {{.recipient}}\"\n",
        "subscriptions": "- recipients: [slack:ops]\n  triggers: [on-broken]\n",
    } }));
    assert!(config.problems.is_empty(), "{:?}", config.problems);
    let nobody = |name: &str, _: &[Value]| Err(format!("{name} is not known"));
    let mut app = json!({
        "metadata": { "name": "web", "annotations": { "notifications.argoproj.io/subscribe.on-deployed.slack": "a;b" } },
        "status": { "health": { "status": "Healthy" }, "sync": { "revision": "r1" } },
    });
    let told = config.due(&app, None, &json!({}), 7, &nobody);
    let texts: Vec<&str> = told.due.iter().map(|due| text(&due.notification["message"])).collect();
    assert_eq!(texts, ["web at r1 for a", "web at r1 for b"]);
    let remember = |app: &mut Value, told: &argo::notifications::Verdict| {
        let state = serde_json::to_string(&told.state).unwrap();
        object::set(app, &["metadata", "annotations", argo::notifications::STATE], state.into());
    };
    remember(&mut app, &told);
    assert!(config.due(&app, None, &json!({}), 8, &nobody).due.is_empty());
    app["status"]["health"]["status"] = "Degraded".into();
    let told = config.due(&app, None, &json!({}), 9, &nobody);
    assert_eq!(told.due.len(), 1);
    assert_eq!((told.due[0].trigger.as_str(), told.due[0].recipient.as_str()), ("on-broken", "ops"));
    remember(&mut app, &told);
    app["status"]["health"]["status"] = "Healthy".into();
    assert!(config.due(&app, None, &json!({}), 10, &nobody).due.is_empty());
    app["status"]["sync"]["revision"] = "r2".into();
    assert_eq!(config.due(&app, None, &json!({}), 11, &nobody).due.len(), 2);
}

#[test]
fn sets_generate_and_follow_policies() {
    use argo::applicationset::policy::{Kept, Policy, Step, plan};
    use argo::applicationset::{Question, Sight, generate};
    use argo::settings::SetParameters;
    use std::collections::BTreeMap;

    let set = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet",
        "metadata": { "name": "set", "namespace": "argocd", "uid": "1" },
        "spec": {
            "goTemplate": true, "goTemplateOptions": ["missingkey=error"],
            "generators": [{ "list": {
                "elements": [{ "name": "a", "replicas": 2 }, { "name": "b" }],
                "template": { "metadata": { "labels": { "own": "{{ .name }}" } } },
            } }],
            "template": { "metadata": { "name": "app-{{ .name }}" }, "spec": {
                "project": "default", "source": { "repoURL": "https://a", "path": "{{ .name | upper }}" },
            } },
            "templatePatch": "spec:\n  project: other\n  info: [{ name: x, value: '{{ .name }}' }]\n",
        },
    });
    let nothing: BTreeMap<Question, Result<argo::applicationset::Answer, String>> = BTreeMap::new();
    let made = generate(&set, &nothing, Sight::default(), 0).unwrap().applications;
    assert_eq!(made.len(), 2);
    assert_eq!(made[0]["metadata"]["name"], "app-a");
    assert_eq!(made[0]["metadata"]["labels"]["own"], "a");
    assert_eq!(made[0]["metadata"]["finalizers"][0], "resources-finalizer.argocd.argoproj.io");
    assert_eq!(made[0]["spec"]["source"]["path"], "A");
    assert_eq!(made[0]["spec"]["project"], "default");
    assert_eq!(made[1]["spec"]["info"][0]["value"], "b");
    let mut gone = made[0].clone();
    object::set(&mut gone, &["metadata", "name"], "old".into());
    let mut changed = made[1].clone();
    object::set(&mut changed, &["spec", "source", "path"], "x".into());
    let existing = [gone, changed];
    let kept = Kept::of(&set, &SetParameters::default());
    let steps = |policy| plan(&set, &made, &existing, policy, &kept).unwrap();
    assert_eq!(steps(Policy::CreateOnly).len(), 1);
    let all = steps(Policy::Sync);
    assert!(matches!(&all[0], Step::Create(app) if app["metadata"]["name"] == "app-a"), "{all:?}");
    assert!(matches!(&all[1], Step::Update(app) if app["spec"]["source"]["path"] == "B"), "{all:?}");
    assert_eq!(all[2], Step::Delete("old".to_owned()));
    let mut asks = set.clone();
    object::set(&mut asks, &["spec", "generators"], json!([{ "clusters": {} }]));
    let error = generate(&asks, &nothing, Sight::default(), 0).unwrap_err();
    assert_eq!(error, argo::applicationset::Error::Needs(vec![Question::Clusters]));
    object::set(&mut asks, &["spec", "generators"], json!([{ "nonsense": {} }]));
    assert!(generate(&asks, &nothing, Sight::default(), 0).unwrap_err().to_string().contains("nonsense"));
}

#[test]
fn a_rolling_set_goes_step_by_step() {
    use argo::applicationset::rolling::{State, decide};

    let set = json!({ "spec": { "strategy": { "type": "RollingSync", "rollingSync": { "steps": [
        { "matchExpressions": [{ "key": "env", "operator": "In", "values": ["dev"] }] },
        { "matchExpressions": [{ "key": "env", "operator": "In", "values": ["prod"] }], "maxUpdate": "50%" },
    ] } } } });
    let app = |name: &str, env: &str, sync: &str, revision: &str| {
        json!({
            "metadata": { "name": name, "labels": { "env": env } },
            "status": {
                "sync": { "status": sync, "revision": revision }, "health": { "status": "Healthy" },
                "operationState": { "phase": "Succeeded", "syncResult": { "revision": "r1" } },
            },
        })
    };
    let mut apps = vec![
        app("d", "dev", "OutOfSync", "r2"),
        app("p", "prod", "OutOfSync", "r2"),
        app("q", "prod", "OutOfSync", "r2"),
    ];
    let states = |apps: &[Value], written: &[Value]| {
        let turns = decide(&set, apps, written);
        let states: Vec<(State, bool)> = turns.iter().map(|turn| (turn.state, turn.sync)).collect();
        let written: Vec<Value> = turns.iter().map(|turn| turn.entry("now")).collect();
        (states, written)
    };
    let (first, written) = states(&apps, &[]);
    assert_eq!(first, [(State::Pending, true), (State::Waiting, false), (State::Waiting, false)]);
    apps[0] = app("d", "dev", "Synced", "r2");
    let (second, written) = states(&apps, &written);
    assert_eq!(second, [(State::Healthy, false), (State::Pending, true), (State::Waiting, false)]);
    apps[1] = app("p", "prod", "Synced", "r2");
    let (third, written) = states(&apps, &written);
    assert_eq!(third, [(State::Healthy, false), (State::Healthy, false), (State::Pending, true)]);
    // A newer revision begins from the first step, whatever was written down.
    let newer: Vec<Value> =
        [("d", "dev"), ("p", "prod"), ("q", "prod")].map(|(n, e)| app(n, e, "OutOfSync", "r3")).into();
    let (fourth, _) = states(&newer, &written);
    assert_eq!(fourth, [(State::Pending, true), (State::Waiting, false), (State::Waiting, false)]);
}

#[test]
fn parameters_of_the_programs() {
    use argo::applicationset::policy::Policy;
    use argo::settings::Parameters;
    use std::time::Duration;

    let parse = |data: Value| Parameters::parse(&json!({ "data": data }));
    let plain = parse(json!({}));
    assert!(plain.sets.may_override && plain.sets.providers && plain.submodules && plain.problems.is_empty());
    let set = parse(json!({
        "applicationsetcontroller.policy": "create-update",
        "applicationsetcontroller.allowed.scm.providers": "https://a.example, https://b.example",
        "applicationsetcontroller.global.preserved.annotations": "a,b",
        "applicationsetcontroller.requeue.after": "1m",
        "applicationsetcontroller.status.max.resources.count": "3",
        "controller.self.heal.backoff.timeout.seconds": "5",
        "controller.self.heal.backoff.factor": "2",
        "controller.self.heal.backoff.cap.seconds": "12",
        "controller.sync.timeout.seconds": "90",
        "reposerver.max.combined.directory.manifests.size": "1Mi",
        "reposerver.enable.git.submodule": "false",
        "redis.server": "somewhere",
    }));
    assert_eq!((set.sets.policy, set.sets.may_override), (Some(Policy::CreateUpdate), false));
    assert_eq!(set.sets.annotations, ["a", "b"]);
    assert_eq!((set.sets.requeue, set.sets.most_resources), (Some(Duration::from_secs(60)), 3));
    let pauses: Vec<u64> = (0..4).map(|count| set.healing.pause(count).as_secs()).collect();
    assert_eq!(pauses, [0, 5, 10, 12]);
    assert_eq!((set.sync_timeout, set.manifests_size), (Some(Duration::from_secs(90)), 1 << 20));
    assert!(!set.submodules && set.problems.is_empty(), "{:?}", set.problems);
    assert!(set.sets.permits("").is_ok() && set.sets.permits("https://b.example").is_ok());
    assert!(set.sets.permits("https://c.example").unwrap_err().contains("not allowed"));
    let wrong =
        parse(json!({"controller.sync.timeout.seconds": "soon", "applicationsetcontroller.policy": "x"}));
    assert_eq!(wrong.problems.len(), 2, "{:?}", wrong.problems);
}
