//! How a pod's containers end, where their commands say so plainly: a command or script that [`shell`] understands, or the
//! pause image.
//!
//! No command runs. What these few would do is known without running them, and what a Job or a pod that nobody
//! restarts does next depends on it. Every other command ends well after a short while.

use super::shell::{self, Ending, Scene};
use object::{Value, get, get_str, meta};
use std::collections::BTreeSet;
use std::time::Duration;

/// How something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing says how: well, after the usual while.
    Usual,
    /// After this time, with this exit code.
    After(Duration, i64),
    /// It runs until it is told to stop.
    Never,
}

/// Runs of a container that is started again; one that fails more often goes on failing.
const RUNS: usize = 5;

/// The end of a pod: that of the container that lasts longest, with the first exit code that is not zero. `files` are
/// those that its node keeps, by their path there; what the pod leaves is added.
pub(crate) fn of(pod: &Value, files: &mut BTreeSet<String>) -> End {
    let containers = get(pod, &["spec", "containers"]).and_then(Value::as_array);
    let mut whole = End::Usual;
    for container in containers.into_iter().flatten() {
        whole = match (whole, of_container(pod, container, files)) {
            (End::Never, _) | (_, End::Never) => End::Never,
            (End::Usual, other) | (other, End::Usual) => other,
            (End::After(a, first), End::After(b, second)) => {
                End::After(a.max(b), if first == 0 { second } else { first })
            }
        };
    }
    whole
}

fn of_container(pod: &Value, container: &Value, files: &mut BTreeSet<String>) -> End {
    let words = |field: &str| -> Vec<&str> {
        let list = get(container, &[field]).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let (command, args) = (words("command"), words("args"));
    if command.is_empty() {
        let image = get_str(container, &["image"]).unwrap_or_default();
        let name = image.rsplit('/').next().unwrap_or_default();
        let name = name.split(['@', ':']).next().unwrap_or_default();
        return if name == "pause" || args == ["pause"] { End::Never } else { End::Usual };
    }
    let mounts = mounts(pod, container);
    let mut scene = scene(pod, container, &mounts, files);
    let all: Vec<&str> = command.into_iter().chain(args).collect();
    let stays = get_str(pod, &["spec", "restartPolicy"]) != Some("Never");
    let (mut time, mut end) = (Duration::ZERO, End::Usual);
    for _ in 0..RUNS {
        let ending = match all.as_slice() {
            [shell, "-c", script, ..] if matches!(base(shell), "sh" | "bash" | "ash") => {
                shell::run(script, &mut scene)
            }
            words => shell::run_words(words, &mut scene),
        };
        let Some(Ending { time: more, code, never }) = ending else { return End::Usual };
        if never {
            end = End::Never;
            break;
        }
        time = time.saturating_add(more);
        end = End::After(time, code);
        if code == 0 || !stays {
            break;
        }
    }
    keep(&scene, &mounts, files);
    end
}

fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or_default()
}

/// Where folders of the node are in the container: the path there, the path on the node.
fn mounts(pod: &Value, container: &Value) -> Vec<(String, String)> {
    let list = |object: &Value, path: &[&str]| {
        get(object, path).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let volumes = list(pod, &["spec", "volumes"]);
    let mount = |mount: &Value| {
        let name = get_str(mount, &["name"])?;
        let volume = volumes.iter().find(|own| get_str(own, &["name"]) == Some(name))?;
        Some((get_str(mount, &["mountPath"])?.to_owned(), get_str(volume, &["hostPath", "path"])?.to_owned()))
    };
    list(container, &["volumeMounts"]).iter().filter_map(mount).collect()
}

/// The variables and files that a container sees.
fn scene(pod: &Value, container: &Value, mounts: &[(String, String)], files: &BTreeSet<String>) -> Scene {
    let mut scene = Scene::default();
    for own in get(container, &["env"]).and_then(Value::as_array).into_iter().flatten() {
        let value = get_str(own, &["value"]).map(str::to_owned);
        let value = value.or_else(|| field(pod, get_str(own, &["valueFrom", "fieldRef", "fieldPath"])?));
        if let Some((name, value)) = get_str(own, &["name"]).zip(value) {
            scene.variables.insert(name.to_owned(), value);
        }
    }
    for (inside, outside) in mounts {
        let seen = files.iter().filter_map(|file| file.strip_prefix(outside.as_str()));
        scene.files.extend(seen.map(|rest| format!("{inside}{rest}")));
    }
    scene
}

/// A field of the pod as the downward API gives it.
fn field(pod: &Value, path: &str) -> Option<String> {
    let key = |prefix: &str| path.strip_prefix(prefix)?.strip_suffix("']");
    match path {
        "metadata.name" => Some(meta::name(pod).to_owned()),
        "metadata.namespace" => meta::namespace(pod).map(str::to_owned),
        _ => key("metadata.labels['")
            .and_then(|key| meta::label(pod, key))
            .or_else(|| key("metadata.annotations['").and_then(|key| meta::annotation(pod, key)))
            .map(str::to_owned),
    }
}

/// Files in folders of the node stay there.
fn keep(scene: &Scene, mounts: &[(String, String)], files: &mut BTreeSet<String>) {
    for (inside, outside) in mounts {
        let left = scene.files.iter().filter_map(|file| file.strip_prefix(inside.as_str()));
        files.extend(left.map(|rest| format!("{outside}{rest}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_commands_say_how_they_end() {
        let end = |container: Value| {
            let pod = json!({"spec": {"restartPolicy": "Never", "containers": [container]}});
            of(&pod, &mut BTreeSet::new())
        };
        let after = |seconds, code| End::After(Duration::from_secs(seconds), code);
        for (container, wanted) in [
            (json!({"image": "busybox", "command": ["sleep", "100"]}), after(100, 0)),
            (json!({"image": "busybox", "command": ["/bin/sh", "-c", "exit 3"]}), after(0, 3)),
            (
                json!({"image": "busybox", "command": ["sh", "-c"], "args": ["echo a; sleep 2m && exit 1"]}),
                after(120, 1),
            ),
            (json!({"image": "busybox", "command": ["/bin/false"]}), after(0, 1)),
            (json!({"image": "registry.k8s.io/pause:3.10"}), End::Never),
            (json!({"image": "agnhost", "args": ["pause"]}), End::Never),
            (json!({"image": "busybox", "command": ["sh", "-c", "exit $(cat /code)"]}), End::Usual),
            (json!({"image": "migrate", "args": ["up"]}), End::Usual),
        ] {
            assert_eq!(end(container.clone()), wanted, "{container}");
        }
    }

    #[test]
    fn a_second_run_sees_what_the_first_left() {
        let script = "if [[ -r /data/foo ]]; then exit 0; else touch /data/foo; exit 1; fi";
        let container = json!({
            "image": "busybox", "command": ["sh", "-c", script], "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        });
        let pod = |policy: &str, volume: Value| json!({"spec": {"restartPolicy": policy, "containers": [container], "volumes": [volume]}});
        let mut files = BTreeSet::new();
        let own = json!({"name": "data", "emptyDir": {}});
        assert_eq!(of(&pod("OnFailure", own.clone()), &mut files), End::After(Duration::ZERO, 0));
        assert_eq!(of(&pod("Never", own), &mut files), End::After(Duration::ZERO, 1));
        let host = pod("Never", json!({"name": "data", "hostPath": {"path": "/tmp/x"}}));
        assert_eq!(of(&host, &mut files), End::After(Duration::ZERO, 1));
        assert_eq!(of(&host, &mut files), End::After(Duration::ZERO, 0));
        assert!(files.contains("/tmp/x/foo"));
    }
}
