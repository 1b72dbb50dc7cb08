//! ImagePolicy: the tag that is wanted.

use std::sync::Arc;
use std::time::Duration;

use cluster::EventType;
use controller::{Cause, Context, Description, Kind, Outcome, Relation, aspect};
use futures::future::BoxFuture;
use object::{Gvk, Key, Value, get, meta};
use regex::Regex;
use serde_json::json;
use source::oci::Request;

use super::{GROUP, Tags, address, gvk, reference, scan_input};
use crate::common::{self, Pass, bool_at, interval, is_true, str_at, string_map};
use crate::options::Shared;
use crate::sources::of_registry;

pub(crate) struct ImagePolicies {
    pub shared: Arc<Shared>,
    pub tags: Arc<Tags>,
}

fn repository(object: &Value) -> (String, String) {
    super::referred(object, "imageRepositoryRef")
}

impl Kind for ImagePolicies {
    fn gvk(&self) -> Gvk {
        gvk("ImagePolicy")
    }

    fn describe(&self, object: &Value) -> Description {
        let mut description = common::describe(object);
        let (namespace, name) = repository(object);
        description.edges.push((Relation::Source, Key::new(GROUP, "ImageRepository", namespace, name)));
        description.revision = get(object, &["status", "latestRef"]).map(reference);
        description
    }

    fn trigger(&self, object: &Value) -> String {
        common::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let mut pass = Pass::new(context, object, "image-reflector-controller");
            let done = self.steps(&mut pass).await;
            pass.outcome(done, Duration::from_secs(300))
        })
    }
}

/// Why there is no tag.
enum Stop {
    Api(cluster::Error),
    Waiting(&'static str, String, Option<Key>),
    Failed(&'static str, String),
    Stalled(&'static str, String),
}

impl From<cluster::Error> for Stop {
    fn from(error: cluster::Error) -> Stop {
        Stop::Api(error)
    }
}

impl ImagePolicies {
    async fn steps(&self, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
        if pass.is_deleted() {
            pass.remove_finalizer().await?;
            return Ok(Outcome::done());
        }
        pass.ensure_finalizer().await?;
        if pass.is_suspended() {
            return Ok(Outcome::done());
        }
        if !self.shared.options.outward {
            return super::rest(pass).await;
        }
        let before = pass.ready_message();
        let outcome = match self.choose(pass).await {
            Ok(()) => match pass.object.pointer("/spec/interval").and_then(Value::as_str) {
                Some(_) => Outcome::after(interval(&pass.object, Duration::from_secs(600))),
                None => Outcome::done(),
            },
            Err(Stop::Api(error)) => return Err(error),
            Err(Stop::Waiting(reason, message, via)) => {
                pass.wait(reason, &message);
                Outcome::wait(Duration::from_secs(60), Cause { via, ..Cause::new(message) })
            }
            Err(Stop::Failed(reason, message)) => {
                pass.refuse(reason, &message, false, &before);
                Outcome::retry(Duration::from_secs(300), Cause::new(message))
            }
            Err(Stop::Stalled(reason, message)) => {
                pass.refuse(reason, &message, true, &before);
                Outcome { next: controller::Next::Nothing, cause: Some(Cause::new(message)) }
            }
        };
        pass.write().await?;
        Ok(outcome)
    }

    async fn choose(&self, pass: &mut Pass) -> Result<(), Stop> {
        let (namespace, name) = repository(&pass.object);
        let foreign = namespace != pass.namespace();
        if foreign && self.shared.options.no_cross_namespace_refs {
            let why = format!(
                "cannot access '{GROUP}/ImageRepository/{namespace}/{name}', cross-namespace references have been blocked"
            );
            return Err(Stop::Stalled("AccessDenied", why));
        }
        let key = Key::new(GROUP, "ImageRepository", namespace.as_str(), name.as_str());
        let found =
            pass.context.read(&gvk("ImageRepository"), &namespace, &name, aspect::declared, true).await?;
        let Some(found) = found else {
            let why = format!("referenced ImageRepository '{namespace}/{name}' does not exist");
            return Err(Stop::Waiting("DependencyNotReady", why, Some(key)));
        };
        if foreign && !self.may_read(pass, &found).await? {
            let why = format!(
                "access denied to '{namespace}/{name}': its accessFrom does not allow this namespace"
            );
            return Err(Stop::Stalled("AccessDenied", why));
        }
        let tags = self.tags.lock().get(&key).cloned();
        let revision = tags.as_ref().map(|tags| super::adler32(tags.join("\n").as_bytes()).to_string());
        pass.context.depend(&scan_input(&key), &revision.unwrap_or_default());
        let Some(tags) = tags else {
            let why = format!("referenced ImageRepository '{namespace}/{name}' has not been scanned yet");
            // After a start the verdict of before stands until the scan is there.
            if is_true(&pass.object, "Ready") && common::is_current(&pass.object) {
                return Ok(());
            }
            return Err(Stop::Waiting("DependencyNotReady", why, Some(key)));
        };
        let latest = latest(&pass.object, &tags)?;
        let image = str_at(&found, &["spec", "image"]).to_owned();
        self.set_latest(pass, &found, &image, &latest).await
    }

    /// Does `accessFrom` of the repository name this namespace?
    async fn may_read(&self, pass: &Pass, repository: &Value) -> Result<bool, cluster::Error> {
        let selectors =
            get(repository, &["spec", "accessFrom", "namespaceSelectors"]).and_then(Value::as_array);
        let Some(selectors) = selectors else { return Ok(false) };
        let gvk = Gvk::new("", "v1", "Namespace");
        let own = pass.context.read(&gvk, "", pass.namespace(), aspect::declared, false).await?;
        let Some(own) = own else { return Ok(false) };
        Ok(selectors.iter().any(|selector| {
            let wanted = string_map(selector, &["matchLabels"]);
            wanted.iter().all(|(name, value)| meta::label(&own, name) == Some(value))
        }))
    }

    async fn set_latest(
        &self,
        pass: &mut Pass,
        repository: &Value,
        image: &str,
        tag: &str,
    ) -> Result<(), Stop> {
        let known = pass.status().get("latestRef").cloned().unwrap_or_default();
        let same = str_at(&known, &["name"]) == image && str_at(&known, &["tag"]) == tag;
        let digest = match str_at(&pass.object, &["spec", "digestReflectionPolicy"]) {
            "Always" => Some(self.digest(pass, repository, image, tag).await?),
            "IfNotPresent" => match str_at(&known, &["digest"]) {
                given if same && !given.is_empty() => Some(given.to_owned()),
                _ => Some(self.digest(pass, repository, image, tag).await?),
            },
            _ => None,
        };
        let mut latest = json!({"name": image, "tag": tag});
        if let Some(digest) = digest {
            latest["digest"] = json!(digest);
        }
        let mut message = format!("Latest image tag for {image} resolved to {tag}");
        if known.is_object() && known != latest {
            pass.set(&["observedPreviousRef"], known.clone());
        }
        if let Some(before) = pass.status().get("observedPreviousRef") {
            message.push_str(&format!(" (previously {})", reference(before)));
        }
        if known != latest {
            pass.event(EventType::Normal, "Succeeded", &message, "");
        }
        pass.set(&["latestRef"], latest);
        pass.succeed("Succeeded", &message);
        Ok(())
    }

    async fn digest(&self, pass: &Pass, repository: &Value, image: &str, tag: &str) -> Result<String, Stop> {
        let failed =
            |why: String| Stop::Failed("ReadOperationFailed", format!("failed fetching digest: {why}"));
        let address = address(image).map_err(failed)?;
        let mut request = Request::new(format!("oci://{address}"));
        let holder = Pass::new(pass.context.clone(), repository.clone(), "image-reflector-controller");
        request.credentials = of_registry(&self.shared, &holder, &request.url)
            .await
            .map_err(|failure| failed(failure.message))?;
        request.insecure = bool_at(repository, &["spec", "insecure"]);
        request.reference.tag = Some(tag.to_owned());
        self.shared.options.fetcher.oci_digest(&request).await.map_err(|error| failed(error.to_string()))
    }
}

/// A version as the policy takes it: three numbers, `v` in front allowed.
fn is_version(tag: &str) -> bool {
    let text = tag.strip_prefix('v').unwrap_or(tag);
    let numbers = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = numbers.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| {
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            digits && !part.is_empty() && (part.len() == 1 || !part.starts_with('0'))
        })
}

/// The tag that the policy chooses.
fn latest(object: &Value, tags: &[String]) -> Result<String, Stop> {
    let invalid = |why: String| Stop::Stalled("InvalidPolicy", format!("invalid policy: {why}"));
    let policy = get(object, &["spec", "policy"]).cloned().unwrap_or_default();
    // The sort key with the tag it stands for.
    let mut pairs: Vec<(String, &String)> = Vec::new();
    let pattern = str_at(object, &["spec", "filterTags", "pattern"]);
    let extract = str_at(object, &["spec", "filterTags", "extract"]);
    if pattern.is_empty() {
        pairs.extend(tags.iter().map(|tag| (tag.clone(), tag)));
    } else {
        let compiled = Regex::new(pattern)
            .map_err(|_| invalid(format!("invalid regular expression pattern '{pattern}'")))?;
        for tag in tags {
            let Some(captures) = compiled.captures(tag) else { continue };
            let mut key = tag.clone();
            if !extract.is_empty() {
                key.clear();
                captures.expand(extract, &mut key);
            }
            pairs.push((key, tag));
        }
    }
    let failed =
        |why: &str| Stop::Failed("Failure", format!("Cannot determine latest tag for policy: {why}"));
    if pairs.is_empty() {
        return Err(failed("version list argument cannot be empty"));
    }
    let order = |field: &str| str_at(&policy, &[field, "order"]) == "desc";
    if policy.get("semver").is_some_and(Value::is_object) {
        let range = str_at(&policy, &["semver", "range"]);
        let versions = pairs.iter().map(|(key, _)| key.as_str()).filter(|key| is_version(key));
        let best = source::best_version(range, versions).map_err(|error| invalid(error.to_string()))?;
        let best = best.and_then(|best| pairs.iter().find(|(key, _)| key == best));
        return best
            .map(|(_, tag)| (*tag).clone())
            .ok_or_else(|| failed("unable to determine latest version from provided list"));
    }
    if policy.get("alphabetical").is_some_and(Value::is_object) {
        let chosen = match order("alphabetical") {
            true => pairs.iter().min_by(|a, b| a.0.cmp(&b.0)),
            false => pairs.iter().max_by(|a, b| a.0.cmp(&b.0)),
        };
        return chosen.map(|(_, tag)| (*tag).clone()).ok_or_else(|| failed("no tag"));
    }
    if policy.get("numerical").is_some_and(Value::is_object) {
        let mut best: Option<(f64, &String)> = None;
        for (key, tag) in &pairs {
            let number: f64 =
                key.parse().map_err(|_| failed(&format!("failed to parse invalid numeric value '{key}'")))?;
            let better = match best {
                None => true,
                Some((known, _)) => {
                    if order("numerical") {
                        number < known
                    } else {
                        number > known
                    }
                }
            };
            if better {
                best = Some((number, tag));
            }
        }
        return best.map(|(_, tag)| tag.clone()).ok_or_else(|| failed("no tag"));
    }
    Err(invalid("given ImagePolicyChoice object is invalid".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(spec: Value, tags: &[&str]) -> Option<String> {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        latest(&json!({"spec": spec}), &tags).ok()
    }

    #[test]
    fn policies() {
        let numbered = json!({
            "policy": {"numerical": {"order": "asc"}},
            "filterTags": {"pattern": "^main-[a-f0-9]+-(?P<ts>[0-9]+)$", "extract": "$ts"},
        });
        for (spec, tags, wanted) in [
            (
                json!({"policy": {"semver": {"range": "1.x"}}}),
                vec!["1.9.0", "1.10.0", "2.0.0", "v1.2", "x"],
                Some("1.10.0"),
            ),
            (
                json!({"policy": {"semver": {"range": ">=1.0.0-0"}}}),
                vec!["1.0.0-rc.1", "v0.9.0"],
                Some("1.0.0-rc.1"),
            ),
            (json!({"policy": {"semver": {"range": ">5"}}}), vec!["1.0.0"], None),
            (json!({"policy": {"alphabetical": {"order": "asc"}}}), vec!["a", "c", "b"], Some("c")),
            (json!({"policy": {"alphabetical": {"order": "desc"}}}), vec!["a", "c", "b"], Some("a")),
            (json!({"policy": {"numerical": {"order": "asc"}}}), vec!["9", "10", "2"], Some("10")),
            (json!({"policy": {"numerical": {"order": "asc"}}}), vec!["9", "x"], None),
            (numbered.clone(), vec!["main-abc-100", "main-def-99", "other-200"], Some("main-abc-100")),
            (numbered, vec!["other"], None),
        ] {
            assert_eq!(chosen(spec.clone(), &tags).as_deref(), wanted, "{spec}");
        }
    }
}
