//! The engine on the embedded API: a folder as the source, from nothing to ready and through changes.
#![allow(clippy::disallowed_methods)]

mod world;

use std::time::Duration;

use object::{Key, get, get_str, meta};
use serde_json::json;
use world::World;

fn unit(name: &str) -> Key {
    flux::kustomization::key("flux-system", name)
}

fn kustomization(name: &str, path: &str, extra: &str) -> String {
    format!(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: {name}\n  \
         namespace: flux-system\nspec:\n  interval: 10m\n  path: {path}\n  prune: true\n  sourceRef:\n    \
         kind: GitRepository\n    name: flux-system\n{extra}"
    )
}

const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: apps\n";

fn config(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: apps\ndata:\n  key: {value}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_nothing_to_ready_and_through_changes() {
    let apps = kustomization("apps", "./apps", "  wait: true\n  dependsOn:\n    - name: infra\n");
    let infra = kustomization("infra", "./infra", "  postBuild:\n    substitute:\n      colour: blue\n");
    let world = World::start(&[
        ("clusters/test/apps.yaml", &apps),
        ("clusters/test/infra.yaml", &infra),
        ("infra/namespace.yaml", NAMESPACE),
        ("infra/settings.yaml", &config("settings", "${colour}")),
        ("apps/one.yaml", &config("one", "first")),
        ("apps/two.yaml", &config("two", "first")),
        ("apps/three.yaml", &config("three", "first")),
    ])
    .await;
    let snapshot = world.ready().await;
    assert_eq!(snapshot.units.len(), 4, "{snapshot:#?}");
    let settings = world.live("ConfigMap", "apps", "settings").await.unwrap();
    assert_eq!(get_str(&settings, &["data", "key"]), Some("blue"));
    assert_eq!(meta::label(&settings, "kustomize.toolkit.fluxcd.io/name"), Some("infra"));

    // What Flux's users look at.
    let apps_object =
        world.cluster.get(&flux::kustomization::gvk(), "flux-system", "apps").await.unwrap().unwrap();
    let ready = flux::common::condition(&apps_object, "Ready").unwrap();
    let revision = get_str(&apps_object, &["status", "lastAppliedRevision"]).unwrap();
    assert_eq!(ready["message"], json!(format!("Applied revision: {revision}")));
    assert_eq!(ready["reason"], "ReconciliationSucceeded");
    assert!(flux::common::is_true(&apps_object, "Healthy"));
    let entries = get(&apps_object, &["status", "inventory", "entries"]).unwrap();
    assert_eq!(
        *entries,
        json!([
            {"id": "apps_one__ConfigMap", "v": "v1"}, {"id": "apps_three__ConfigMap", "v": "v1"},
            {"id": "apps_two__ConfigMap", "v": "v1"},
        ])
    );
    assert_eq!(get(&apps_object, &["metadata", "finalizers"]), Some(&json!(["finalizers.fluxcd.io"])));

    // An edit is live soon.
    world.write("apps/one.yaml", &config("one", "second"));
    let took = world
        .live_until("ConfigMap", "one", |live| {
            live.and_then(|live| get_str(live, &["data", "key"])) == Some("second")
        })
        .await;
    eprintln!("edit to live: {took:?}");

    // A removed manifest goes, a protected one stays.
    world.write(
        "apps/two.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: two\n  namespace: apps\n  annotations:\n    \
         kustomize.toolkit.fluxcd.io/prune: disabled\n",
    );
    world
        .live_until("ConfigMap", "two", |live| live.is_some_and(|live| meta::annotations(live).is_some()))
        .await;
    std::fs::remove_file(world.folder.path().join("apps/one.yaml")).unwrap();
    std::fs::remove_file(world.folder.path().join("apps/two.yaml")).unwrap();
    world.live_until("ConfigMap", "one", |live| live.is_none()).await;
    assert!(world.live("ConfigMap", "apps", "two").await.is_some());

    // A broken file deletes nothing and names its place; its repair recovers by itself.
    world.write("infra/settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: [oops\n");
    let snapshot = world
        .until("the broken file", |snapshot| {
            // The status is seen a moment before the pass has ended.
            snapshot.unit(&unit("infra")).is_some_and(|unit| !unit.is_ready() && !unit.running)
        })
        .await;
    let cause = snapshot.first_cause(&unit("infra")).unwrap();
    assert_eq!(cause.file.as_deref(), Some("infra/settings.yaml"), "{cause:?}");
    assert!(cause.line.is_some(), "{cause:?}");
    assert!(world.live("ConfigMap", "apps", "settings").await.is_some());
    world.write("infra/settings.yaml", &config("settings", "${colour}"));
    world.ready().await;

    // A cycle is named.
    let cyclic = kustomization(
        "infra",
        "./infra",
        "  postBuild:\n    substitute:\n      colour: blue\n  dependsOn:\n    - name: apps\n",
    );
    world.write("clusters/test/infra.yaml", &cyclic);
    let snapshot = world
        .until("the cycle", |snapshot| {
            snapshot
                .unit(&unit("infra"))
                .and_then(|unit| unit.cause.as_ref())
                .is_some_and(|c| c.message.contains("cycle"))
        })
        .await;
    let cause = snapshot.unit(&unit("infra")).and_then(|unit| unit.cause.clone()).unwrap();
    assert!(cause.message.contains("Kustomization/flux-system/apps"), "{cause:?}");
    world.write("clusters/test/infra.yaml", &infra);
    world.ready().await;

    // The deleted unit takes its objects with it.
    std::fs::remove_file(world.folder.path().join("clusters/test/apps.yaml")).unwrap();
    world.until("the unit's end", |snapshot| snapshot.unit(&unit("apps")).is_none()).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_unit_costs_no_write() {
    let world = World::start(&[
        ("clusters/test/apps.yaml", &kustomization("apps", "./apps", "")),
        ("apps/namespace.yaml", NAMESPACE),
        ("apps/one.yaml", &config("one", "first")),
        ("other/file.yaml", "a: 1\n"),
    ])
    .await;
    world.ready().await;
    let before = world.live("ConfigMap", "apps", "one").await.unwrap();
    world.write("other/file.yaml", "a: 2\n");
    let gvk = flux::kustomization::gvk();
    let mut last = String::new();
    for _ in 0..500 {
        let unit = world.cluster.get(&gvk, "flux-system", "apps").await.unwrap().unwrap();
        let revision = get_str(&unit, &["status", "lastAppliedRevision"]).unwrap_or_default().to_owned();
        if !last.is_empty() && revision != last {
            let after = world.live("ConfigMap", "apps", "one").await.unwrap();
            assert_eq!(meta::resource_version(&before), meta::resource_version(&after));
            assert_eq!(before, after);
            world.stop().await;
            return;
        }
        last = revision;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the new revision was never seen: {:#?}", world.engine.snapshot());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_deletions_than_the_budget_need_a_word() {
    let names = ["one", "two", "three", "four", "five"];
    let files: Vec<(String, String)> =
        names.iter().map(|name| (format!("clusters/test/{name}.yaml"), config(name, "x"))).collect();
    let mut given: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    given.push(("clusters/test/namespace.yaml", NAMESPACE));
    let budget = plan::Budget { count: 2, share: 1.0, free: 0 };
    let world = World::start_as(&given, false, |options| options.deletion_budget = budget).await;
    world.ready().await;
    // Three of them leave the repository at once: nothing goes, and it is said how many would.
    for name in &names[..3] {
        std::fs::remove_file(world.folder.path().join(format!("clusters/test/{name}.yaml"))).unwrap();
    }
    let said =
        "3 of 6 objects would be deleted, which is more than the deletion budget of 2; nothing was deleted";
    world
        .until("the refusal", |snapshot| {
            snapshot.units.iter().any(|unit| unit.reason == "PruneFailed" && unit.message.contains(said))
        })
        .await;
    for name in names {
        assert!(world.live("ConfigMap", "apps", name).await.is_some(), "{name} is gone");
    }
    // A number that somebody agrees to is enough, no smaller one is.
    let approve = async |number: &str| {
        let patch = json!({"metadata": {"annotations": {"landfall.dev/approve-deletions": number}}});
        let options = cluster::PatchOptions { manager: "people".into(), ..cluster::PatchOptions::default() };
        let (gvk, kind) = (flux::kustomization::gvk(), cluster::PatchKind::Merge);
        world.cluster.patch(&gvk, "flux-system", "flux-system", kind, &patch, &options).await.unwrap();
    };
    approve("2").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(world.live("ConfigMap", "apps", "one").await.is_some());
    approve("3").await;
    world.live_until("ConfigMap", "one", |live| live.is_none()).await;
    world.ready().await;
    for (name, stays) in names.iter().zip([false, false, false, true, true]) {
        assert_eq!(world.live("ConfigMap", "apps", name).await.is_some(), stays, "{name}");
    }
    world.stop().await;
}
