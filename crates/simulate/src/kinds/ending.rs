//! How a container ends, where its command says so plainly: `sleep`, `true`, `false`, `exit`, the pause image.
//!
//! No command runs. What these few would do is known without running them, and what a Job or a pod that nobody
//! restarts does next depends on it. Every other command ends well after a short while.

use object::{Value, get, get_str};
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

/// The end of a pod: that of the container that lasts longest, with the first exit code that is not zero.
pub(crate) fn of(pod: &Value) -> End {
    let containers = get(pod, &["spec", "containers"]).and_then(Value::as_array);
    let mut whole = End::Usual;
    for container in containers.into_iter().flatten() {
        whole = match (whole, of_container(container)) {
            (End::Never, _) | (_, End::Never) => End::Never,
            (End::Usual, other) | (other, End::Usual) => other,
            (End::After(a, first), End::After(b, second)) => {
                End::After(a.max(b), if first == 0 { second } else { first })
            }
        };
    }
    whole
}

fn of_container(container: &Value) -> End {
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
    let all: Vec<&str> = command.into_iter().chain(args).collect();
    match all.as_slice() {
        [shell, "-c", script] if matches!(base(shell), "sh" | "bash" | "ash") => of_script(script),
        words => of_words(words).map_or(End::Usual, |step| step.end),
    }
}

fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or_default()
}

/// One command: how it ends, and whether the script ends with it.
struct Step {
    end: End,
    last: bool,
}

fn of_words(words: &[&str]) -> Option<Step> {
    let goes_on = |end| Some(Step { end, last: false });
    match words {
        [program, "inf" | "infinity"] if base(program) == "sleep" => goes_on(End::Never),
        [program, time] if base(program) == "sleep" => goes_on(End::After(seconds(time)?, 0)),
        [program] if base(program) == "true" => goes_on(End::After(Duration::ZERO, 0)),
        [program] if base(program) == "false" => goes_on(End::After(Duration::ZERO, 1)),
        ["exit", code] => Some(Step { end: End::After(Duration::ZERO, code.parse().ok()?), last: true }),
        ["exit"] => Some(Step { end: End::After(Duration::ZERO, 0), last: true }),
        [program, ..] if matches!(base(program), "echo" | "date") => goes_on(End::After(Duration::ZERO, 0)),
        _ => None,
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(number) => (number, text.chars().last()),
        None => (text, None),
    };
    let factor = match unit {
        Some('m') => 60.0,
        Some('h') => 3600.0,
        Some('d') => 86_400.0,
        _ => 1.0,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor).ok()
}

/// A script of such commands one after another; anything else in it makes the whole usual.
fn of_script(script: &str) -> End {
    if script.contains(['|', '$', '`', '(', '{', '<', '\\']) {
        return End::Usual;
    }
    let (mut time, mut code) = (Duration::ZERO, 0);
    for line in script.split(['\n', ';']).flat_map(|line| line.split("&&")) {
        let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
        if words.is_empty() {
            continue;
        }
        match of_words(&words) {
            Some(Step { end: End::After(more, own), last }) => {
                (time, code) = (time.saturating_add(more), own);
                if last {
                    break;
                }
            }
            Some(Step { end, .. }) => return end,
            None => return End::Usual,
        }
    }
    End::After(time, code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_commands_say_how_they_end() {
        let end = |container: Value| of(&json!({"spec": {"containers": [container]}}));
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
}
