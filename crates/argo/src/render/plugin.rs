//! Config management plugins: programs of the installation that print manifests. They run only where that is allowed.
//!
//! A plugin is declared as for Argo CD's sidecars: a document of kind ConfigManagementPlugin, here as an entry of any
//! ConfigMap in the installation's namespace. It runs on a copy of the tree, in the folder of the application, with no
//! variables but `PATH` and those that Argo CD gives.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use delivery::fields::{list_at, str_at, strings_at};
use delivery::world::TreeWorld;
use object::{Value, get};

use super::{Failure, Input, env, glob};

/// How long a program may run.
const TIMEOUT: Duration = Duration::from_secs(90);
/// The most that it may print.
const MAX_OUTPUT: usize = 64 << 20;
/// How much of what it complains about is shown.
const SHOWN: usize = 2000;
/// How often it is looked at.
const TICK: Duration = Duration::from_millis(5);

/// What to type to have plugins run.
const HINT: &str = "config management plugins are programs and run only with --enable-plugins";

/// The declarations in a ConfigMap.
pub fn declared(map: &Value) -> Vec<Value> {
    let data = get(map, &["data"]).and_then(Value::as_object).into_iter().flatten();
    let mut found = Vec::new();
    for (key, value) in data {
        let text = value.as_str().unwrap_or_default();
        if key == "configManagementPlugins" {
            // The older form: a list of names and commands.
            let list = yaml::from_str(text).unwrap_or_default();
            let list = list.as_array().cloned().unwrap_or_default();
            found.extend(list.into_iter().map(|entry| {
                serde_json::json!({
                    "metadata": {"name": str_at(&entry, &["name"])},
                    "spec": {"init": entry.get("init"), "generate": entry.get("generate")},
                })
            }));
        } else if text.contains("ConfigManagementPlugin") {
            let documents = yaml::documents(text).unwrap_or_default();
            found.extend(
                documents.into_iter().filter(|one| str_at(one, &["kind"]) == "ConfigManagementPlugin"),
            );
        }
    }
    found
}

/// The name by which sources ask for a plugin.
fn name_of(plugin: &Value) -> String {
    let name = str_at(plugin, &["metadata", "name"]);
    match str_at(plugin, &["spec", "version"]) {
        "" => name.to_owned(),
        version => format!("{name}-{version}"),
    }
}

/// The plugin that a source names, or the first that knows its folder; nothing for sources of other tools.
///
/// # Errors
/// When a plugin is needed that is not there or must not run.
pub fn choose<'a>(world: &TreeWorld<'_>, path: &str, input: &'a Input) -> Result<Option<&'a Value>, Failure> {
    let source = &input.source;
    let explicit = get(source, &["plugin"]).is_some_and(Value::is_object);
    let other = ["helm", "kustomize", "directory"]
        .iter()
        .any(|tool| get(source, &[tool]).is_some_and(Value::is_object));
    if !explicit && (other || !str_at(source, &["chart"]).is_empty()) {
        return Ok(None);
    }
    let wanted = str_at(source, &["plugin", "name"]);
    if explicit && !input.run_plugins {
        return Err(Failure::new(format!("plugin {wanted:?}: {HINT}")));
    }
    if !wanted.is_empty() {
        let found = input.plugins.iter().find(|plugin| name_of(plugin) == wanted);
        return match found {
            Some(found) => Ok(Some(found)),
            None => {
                let known: Vec<String> = input.plugins.iter().map(name_of).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                Err(Failure::new(format!(
                    "could not find a plugin with the name {wanted:?}; declared are: {known}"
                )))
            }
        };
    }
    for plugin in &input.plugins {
        if knows(world, path, input, plugin)? {
            return Ok(Some(plugin));
        }
    }
    if explicit { Err(Failure::new("no declared plugin supports the given repository")) } else { Ok(None) }
}

/// Does a plugin's `discover` find something of its own in the folder?
fn knows(world: &TreeWorld<'_>, path: &str, input: &Input, plugin: &Value) -> Result<bool, Failure> {
    let rule = |field: &[&str]| str_at(plugin, &[&["spec", "discover"], field].concat()).to_owned();
    let files = || world.readable_below(&format!("/{path}"));
    let name = rule(&["fileName"]);
    if !name.is_empty() {
        let name = name.trim_start_matches("./");
        return Ok(files().keys().any(|file| glob::matches(name, file)));
    }
    let pattern = rule(&["find", "glob"]);
    if !pattern.is_empty() {
        return Ok(files().keys().any(|file| glob::matches(&pattern, file)));
    }
    let command = command(plugin, &["discover", "find"]);
    if command.is_empty() {
        return Ok(false);
    }
    let place = copy(world)?;
    let found = run(&command, &place.path().join(path), &variables(input))?;
    Ok(!String::from_utf8_lossy(&found).trim().is_empty())
}

fn command(plugin: &Value, at: &[&str]) -> Vec<String> {
    let part = |field: &str| strings_at(plugin, &[&["spec"], at, &[field]].concat());
    let mut all = part("command");
    if !all.is_empty() {
        all.extend(part("args"));
    }
    all
}

/// The manifests that a plugin prints.
///
/// # Errors
/// When one of its programs fails, or prints something else.
pub fn render(
    world: &TreeWorld<'_>,
    path: &str,
    input: &Input,
    plugin: &Value,
) -> Result<Vec<Value>, Failure> {
    let name = name_of(plugin);
    if !input.run_plugins {
        return Err(Failure::new(format!("plugin {name:?}: {HINT}")));
    }
    let of_plugin = |failure: Failure| Failure::new(format!("plugin {name:?}: {}", failure.message));
    let place = copy(world)?;
    let (folder, variables) = (place.path().join(path), variables(input));
    let init = command(plugin, &["init"]);
    if !init.is_empty() {
        run(&init, &folder, &variables).map_err(of_plugin)?;
    }
    let generate = command(plugin, &["generate"]);
    if generate.is_empty() {
        return Err(of_plugin(Failure::new("spec.generate.command is missing")));
    }
    let printed = run(&generate, &folder, &variables).map_err(of_plugin)?;
    let text = String::from_utf8(printed).map_err(|_| of_plugin(Failure::new("it prints no UTF-8")))?;
    yaml::documents(&text)
        .map_err(|error| of_plugin(Failure::new(format!("what it prints is no YAML: {error}"))))
}

/// A copy of the whole tree, which goes with the value.
fn copy(world: &TreeWorld<'_>) -> Result<tempfile::TempDir, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(format!("no copy of the sources for a plugin: {error}"));
    let files = world.readable_below("/");
    let place = tempfile::Builder::new().prefix("landfall-plugin").tempdir().map_err(failed)?;
    for (file, bytes) in files {
        let to = place.path().join(&file);
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(&to, bytes).map_err(failed)?;
        #[cfg(unix)]
        if world.is_executable(&file) {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
        }
    }
    Ok(place)
}

/// A name as variables have it.
fn escaped(name: &str) -> String {
    let upper = name.to_uppercase();
    upper.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// The variables of a plugin: the build environment, the source's own, and its parameters.
fn variables(input: &Input) -> BTreeMap<String, String> {
    let mut all = input.env.clone();
    let block = get(&input.source, &["plugin"]).cloned().unwrap_or_default();
    for entry in list_at(&block, &["env"]) {
        let value = env::substitute(str_at(entry, &["value"]), &input.env);
        all.insert(format!("ARGOCD_ENV_{}", str_at(entry, &["name"])), value);
    }
    let parameters = list_at(&block, &["parameters"]);
    for parameter in parameters {
        let base = format!("PARAM_{}", escaped(str_at(parameter, &["name"])));
        if let Some(text) = parameter.get("string").and_then(Value::as_str) {
            all.insert(base.clone(), text.to_owned());
        }
        for (key, value) in parameter.get("map").and_then(Value::as_object).into_iter().flatten() {
            all.insert(format!("{base}_{}", escaped(key)), value.as_str().unwrap_or_default().to_owned());
        }
        for (at, value) in list_at(parameter, &["array"]).iter().enumerate() {
            all.insert(format!("{base}_{at}"), value.as_str().unwrap_or_default().to_owned());
        }
    }
    all.insert("ARGOCD_APP_PARAMETERS".to_owned(), Value::Array(parameters.to_vec()).to_string());
    all
}

/// Runs a program to its end and gives what it printed.
fn run(command: &[String], folder: &Path, variables: &BTreeMap<String, String>) -> Result<Vec<u8>, Failure> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::new("a plugin has an empty command"));
    };
    let failed = |error: std::io::Error| Failure::new(format!("{program}: {error}"));
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (printed, complained) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let until = Instant::now() + TIMEOUT;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if Instant::now() >= until {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            return Err(Failure::new(format!("{program} did not end within {} s", TIMEOUT.as_secs())));
        }
        std::thread::sleep(TICK);
    };
    // A program that is left behind may keep the pipes open.
    let rest = |from: mpsc::Receiver<Vec<u8>>| from.recv_timeout(Duration::from_secs(5)).unwrap_or_default();
    let (printed, complained) = (rest(printed), rest(complained));
    if !status.success() {
        let words = String::from_utf8_lossy(&complained);
        let start = words.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
        let words = words.get(start..).unwrap_or_default().trim();
        return Err(Failure::new(format!("{program} failed with {status}: {words}")));
    }
    if printed.len() > MAX_OUTPUT {
        return Err(Failure::new(format!("{program} prints more than {} MiB", MAX_OUTPUT >> 20)));
    }
    Ok(printed)
}

/// Reads a pipe to its end, at most a byte more than is taken.
fn reader(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let most = u64::try_from(MAX_OUTPUT).unwrap_or(u64::MAX).saturating_add(1);
            // What cannot be read is as good as not printed; the program's status tells more.
            let _ = pipe.by_ref().take(most).read_to_end(&mut bytes);
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        }
        let _ = sender.send(bytes);
    });
    receiver
}
