//! What the dialects' tests share: a [`Site`] to try them on, and scenarios, which are stories told in text files.
//!
//! A scenario is text in sections. `-- PATH --` is a file of the repository (`-- PATH gone --` removes it), which is
//! served as [`URL`]; `-- apply MANAGER --` objects that somebody applies (`-- status MANAGER --`:
//! their statuses), `-- delete --` lines of
//! `KIND NAMESPACE/NAME`, and `-- expect --` closes a step: a mapping from `KIND NAMESPACE/NAME` to a part of the
//! object, or to `absent`. All of it must hold at one time. A mapping matches when its fields do, a list when each of
//! its entries matches one entry (`[]` only the empty or missing list), a text that begins with `~` is a regular
//! expression, and `missing` means that the field is not there.
//!
//! Where the first line says `two clusters` there is another one, served over loopback: `-- far apply MANAGER --`,
//! `-- far delete --` and `-- far expect --` are about it, `-- far stops --` takes it away, and `@FAR_KUBECONFIG@` is how
//! it is reached, as JSON. Of the own cluster, `@ADDRESS@` and `@CA@` (a quoted text) tell how it is reached.

mod far;
mod site;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::Apply;
use far::Far;
use object::{Gvk, Value};

pub use site::{Site, URL};

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many scenarios are played at the same time.
const AT_ONCE: usize = 4;

enum Part {
    File(String, Option<String>),
    Apply(Apply, String),
    Delete(String),
    Expect(String),
    Far(Box<Part>),
    FarStops,
}

fn parts(text: &str) -> Vec<Part> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --")) {
            Some(head) => sections.push((head.to_owned(), String::new())),
            None => {
                if let Some((_, body)) = sections.last_mut() {
                    body.push_str(line);
                }
            }
        }
    }
    sections.into_iter().map(|(head, body)| part(&head, body)).collect()
}

fn part(head: &str, body: String) -> Part {
    match head.split_once(' ') {
        Some(("far", "stops")) => Part::FarStops,
        Some(("far", rest)) => Part::Far(Box::new(part(rest, body))),
        Some((path, "gone")) => Part::File(path.to_owned(), None),
        Some(("apply", manager)) => Part::Apply(Apply::forced(manager), body),
        Some(("status", manager)) => {
            Part::Apply(Apply { subresource: "status".into(), ..Apply::forced(manager) }, body)
        }
        _ if head == "delete" => Part::Delete(body),
        _ if head == "expect" => Part::Expect(body),
        _ => Part::File(head.to_owned(), Some(body)),
    }
}

/// The kinds that every dialect's scenarios speak of.
fn common() -> Vec<Gvk> {
    vec![
        Gvk::new("", "v1", "ConfigMap"),
        Gvk::new("", "v1", "Secret"),
        Gvk::new("", "v1", "Namespace"),
        Gvk::new("", "v1", "Service"),
        Gvk::new("", "v1", "ServiceAccount"),
        Gvk::new("apps", "v1", "Deployment"),
        Gvk::new("batch", "v1", "Job"),
        Gvk::new("rbac.authorization.k8s.io", "v1", "Role"),
        Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
        Gvk::new("example.com", "v1", "Widget"),
    ]
}

/// The kinds by the words before the slash.
type Kinds = BTreeMap<String, Gvk>;

/// The place where `found` does not match `wanted`.
fn mismatch(place: &str, wanted: &Value, found: Option<&Value>) -> Option<String> {
    let said = |found: Option<&Value>| found.map_or("missing".to_owned(), Value::to_string);
    let differs = || Some(format!("{place}: wanted {wanted}, found {}", said(found)));
    match (wanted, found) {
        (Value::String(word), None) if word == "missing" => None,
        (Value::String(word), Some(Value::String(text))) => match word.strip_prefix('~') {
            Some(pattern) if regex::Regex::new(pattern).expect("an expression").is_match(text) => None,
            None if word == text => None,
            _ => differs(),
        },
        (Value::Object(fields), Some(Value::Object(map))) => fields
            .iter()
            .find_map(|(name, wanted)| mismatch(&format!("{place}.{name}"), wanted, map.get(name))),
        (Value::Array(wanted), None) if wanted.is_empty() => None,
        (Value::Array(wanted), Some(Value::Array(found))) if !wanted.is_empty() => {
            wanted.iter().find_map(|entry| {
                let tried: Vec<String> =
                    found.iter().filter_map(|found| mismatch(place, entry, Some(found))).collect();
                (tried.len() == found.len()).then(|| format!("{place}: no entry is {entry}: {tried:#?}"))
            })
        }
        (wanted, Some(found)) if wanted == found => None,
        _ => differs(),
    }
}

async fn check(site: &Site, kinds: &Kinds, wanted: &Value) -> Option<String> {
    for (name, part) in wanted.as_object().expect("a mapping") {
        let (gvk, namespace, object) = split(kinds, name);
        let live = match site.cluster.get(gvk, namespace, object).await {
            Ok(live) => live,
            Err(error) => return Some(format!("{name}: {error}")),
        };
        let trouble = match (part, &live) {
            (Value::String(word), None) if word == "absent" => None,
            (Value::String(word), Some(live)) if word == "absent" => {
                Some(format!("{name} is there: {live:#}"))
            }
            (_, None) => Some(format!("{name} is absent")),
            (part, Some(live)) => mismatch(name, part, Some(live)).map(|why| format!("{why}\nin {live:#}")),
        };
        if trouble.is_some() {
            return trouble;
        }
    }
    None
}

fn split<'k, 'n>(kinds: &'k Kinds, name: &'n str) -> (&'k Gvk, &'n str, &'n str) {
    let (kind, rest) = name.trim().split_once(' ').unwrap_or_else(|| panic!("{name}: KIND NAMESPACE/NAME"));
    let (namespace, object) = rest.split_once('/').unwrap_or(("", rest));
    (kinds.get(kind).unwrap_or_else(|| panic!("the kind {kind} is not known here")), namespace, object)
}

/// Plays one file; the error names the step.
async fn play<S: Future<Output = Site>>(
    text: &str,
    kinds: &Kinds,
    start: &impl Fn(Vec<(String, String)>, bool) -> S,
) -> Result<(), String> {
    let says = |word: &str| text.lines().next().is_some_and(|line| line.contains(word));
    let simulated = says("simulated");
    let mut far = if says("two clusters") { Some(Far::start(simulated).await) } else { None };
    let text = far.as_ref().map_or(text.to_owned(), |far| far.named_in(text));
    let parts = parts(&text);
    let first = parts.iter().position(|part| !matches!(part, Part::File(..))).unwrap_or(parts.len());
    let files = parts.iter().take(first).filter_map(|part| match part {
        Part::File(path, Some(body)) => Some((path.clone(), body.clone())),
        _ => None,
    });
    let site = start(files.collect(), simulated).await;
    let mut step = 1;
    for part in parts.iter().skip(first) {
        let (site, part) = match (part, &far) {
            (Part::Far(part), Some(far)) => (&far.site, &**part),
            (Part::Far(_), None) => return Err("there are no two clusters".into()),
            (part, _) => (&site, part),
        };
        match part {
            Part::Far(_) => return Err("there is nothing beyond".into()),
            Part::FarStops => {
                if let Some(far) = far.take() {
                    far.site.stop().await;
                }
            }
            Part::File(path, Some(body)) => site.write(path, body),
            Part::File(path, None) => {
                std::fs::remove_file(site.folder.path().join(path))
                    .map_err(|error| format!("{path}: {error}"))?;
            }
            Part::Apply(how, body) => {
                let body = far::own_named_in(site, body).await;
                for object in yaml::documents(&body).map_err(|error| error.to_string())? {
                    let applied = site.cluster.apply(&object, how).await;
                    applied.map_err(|error| format!("step {step}: {error}"))?;
                }
            }
            Part::Delete(body) => {
                for name in body.lines().filter(|line| !line.trim().is_empty()) {
                    let (gvk, namespace, object) = split(kinds, name);
                    let gone = site.cluster.delete(gvk, namespace, object, &cluster::Delete::default()).await;
                    gone.map_err(|error| format!("step {step}: {error}"))?;
                }
            }
            Part::Expect(body) => {
                let wanted = yaml::from_str(body).map_err(|error| error.to_string())?;
                let since = Instant::now();
                while let Some(trouble) = check(site, kinds, &wanted).await {
                    if since.elapsed() > PATIENCE {
                        return Err(format!("step {step}: {trouble}"));
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                step += 1;
            }
        }
    }
    site.stop().await;
    if let Some(far) = far {
        far.site.stop().await;
    }
    Ok(())
}

/// Plays every scenario of a folder, or those whose name holds what the variable `SCENARIO` says. `kinds` are the
/// dialect's own. `start` begins a site with these files and the dialect's engine on it; its second argument is
/// whether the scenario's first line says `simulated`.
///
/// # Panics
/// When one of them fails, with all that failed.
pub async fn play_all<S>(
    folder: &Path,
    kinds: impl IntoIterator<Item = Gvk>,
    start: impl Fn(Vec<(String, String)>, bool) -> S + Send + Sync + 'static,
) where
    S: Future<Output = Site> + Send + 'static,
{
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let known = common().into_iter().chain(kinds);
    let kinds: Arc<Kinds> = Arc::new(known.map(|gvk| (gvk.kind.clone(), gvk)).collect());
    let start = Arc::new(start);
    let entries = std::fs::read_dir(folder).expect("a folder of scenarios");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let mut failed = Vec::new();
    let mut played = 0;
    for batch in files.chunks(AT_ONCE) {
        let mut tasks = tokio::task::JoinSet::new();
        for file in batch {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if !name.contains(&only) {
                continue;
            }
            played += 1;
            let text = std::fs::read_to_string(file).expect("a scenario");
            let (kinds, start) = (kinds.clone(), start.clone());
            tasks.spawn(
                async move { play(&text, &kinds, &*start).await.map_err(|why| format!("{name}: {why}")) },
            );
        }
        while let Some(result) = tasks.join_next().await {
            failed.extend(result.expect("it ends").err());
        }
    }
    assert!(played > 0, "no scenario is called {only}");
    assert!(failed.is_empty(), "{} of {played} scenarios failed:\n{}", failed.len(), failed.join("\n\n"));
}
