//! ImageUpdateAutomation: chosen tags written into the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cluster::{EventType, ListOptions};
use controller::{Cause, Context, Description, Kind, Outcome, Relation, aspect};
use futures::future::BoxFuture;
use object::{Gvk, Value, get, meta};
use serde_json::json;
use source::git::{NewCommit, Reference, Request, SigningKey};

use super::setters::{self, Change, Values};
use super::{Failure, gvk, reference};
use crate::common::{self, Pass, duration_at, interval, is_true, str_at, string_map};
use crate::options::Shared;
use crate::sources::{git_credentials, secrets, source_gvk, source_key};

pub(crate) struct Automations {
    pub shared: Arc<Shared>,
}

fn source(object: &Value) -> (String, String) {
    super::referred(object, "sourceRef")
}

impl Kind for Automations {
    fn gvk(&self) -> Gvk {
        gvk("ImageUpdateAutomation")
    }

    fn describe(&self, object: &Value) -> Description {
        let mut description = common::describe(object);
        let (namespace, name) = source(object);
        description.edges.push((Relation::Source, source_key("GitRepository", &namespace, &name)));
        description
    }

    fn trigger(&self, object: &Value) -> String {
        common::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let mut pass = Pass::new(context, object, "image-automation-controller");
            let done = self.steps(&mut pass).await;
            pass.outcome(done, Duration::from_secs(300))
        })
    }
}

impl From<cluster::Error> for Failure {
    fn from(error: cluster::Error) -> Failure {
        Failure("Failed", error.to_string(), false)
    }
}

impl Automations {
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
        let every = interval(&pass.object, Duration::from_secs(300));
        let before = pass.ready_message();
        match self.update(pass).await {
            Ok(message) => {
                pass.succeed("Succeeded", &message);
                pass.write().await?;
                Ok(Outcome::after(every))
            }
            Err(Failure(reason, message, stalled)) => {
                pass.refuse(reason, &message, stalled, &before);
                pass.write().await?;
                Ok(Outcome::retry(every.min(Duration::from_secs(300)), Cause::new(message)))
            }
        }
    }

    async fn update(&self, pass: &mut Pass) -> Result<String, Failure> {
        let object = pass.object.clone();
        let (namespace, name) = source(&object);
        if namespace != pass.namespace() && self.shared.options.no_cross_namespace_refs {
            let why = format!(
                "can't access 'GitRepository/{namespace}/{name}', cross-namespace references have been blocked"
            );
            return Err(Failure("AccessDenied", why, true));
        }
        let git = get(&object, &["spec", "git"]).cloned().ok_or_else(|| {
            Failure(
                "InvalidSourceConfiguration",
                "spec.git is missing: who commits, and where to?".into(),
                true,
            )
        })?;
        let found = pass
            .context
            .read(&source_gvk("GitRepository"), &namespace, &name, aspect::declared, true)
            .await?;
        let repository = found.ok_or_else(|| {
            Failure("SourceManagerFailed", format!("GitRepository '{namespace}/{name}' not found"), false)
        })?;
        let values = self.policies(pass).await?;
        let request = self.request(pass, &git, &repository).await?;
        let fetched = self.shared.options.fetcher.git(&request).await;
        let fetched = fetched.map_err(|error| {
            Failure("GitOperationFailed", format!("failed to checkout source: {error}"), false)
        })?;
        pass.set(&["observedSourceRevision"], json!(fetched.revision.to_string()));
        pass.set(&["lastAutomationRunTime"], json!(pass.context.clock().stamp()));
        let path = str_at(&object, &["spec", "update", "path"])
            .trim_start_matches("./")
            .trim_matches('/')
            .to_owned();
        let (files, changes) = changed(&fetched.tree, &path, &values)?;
        if files.is_empty() {
            return Ok("repository up-to-date".into());
        }
        if let Some(place) = &fetched.mapped {
            return Ok(format!(
                "{} files would change; the source is served from {place}, so nothing is committed",
                files.len()
            ));
        }
        self.push(pass, &git, &request, files, &changes).await
    }

    /// The values of all policies that the selector chooses, from this namespace.
    async fn policies(&self, pass: &mut Pass) -> Result<Values, Failure> {
        let selector = get(&pass.object, &["spec", "policySelector"]).cloned();
        let selector =
            selector.map(|selector| object::selector::LabelSelector::from_object(&selector)).transpose();
        let selector = selector.map_err(|error| {
            Failure("InvalidPolicySelector", format!("failed to parse policy selector: {error}"), true)
        })?;
        let gvk = gvk("ImagePolicy");
        pass.context.watch(&gvk).await?;
        let options = ListOptions { namespace: pass.namespace().to_owned(), ..ListOptions::default() };
        let all = pass.context.cluster.list(&gvk, &options).await?;
        let mut values = Values::new();
        let mut observed = serde_json::Map::new();
        for policy in all {
            if selector.as_ref().is_some_and(|selector| !selector.matches(meta::labels(&policy))) {
                continue;
            }
            let name = meta::name(&policy).to_owned();
            // A changed choice wakes the automation.
            pass.context.read(&gvk, pass.namespace(), &name, chosen, true).await?;
            let Some(latest) = get(&policy, &["status", "latestRef"]).filter(|_| is_true(&policy, "Ready"))
            else {
                continue;
            };
            setters::values(pass.namespace(), &name, latest, &mut values);
            observed.insert(name, latest.clone());
        }
        pass.set(&["observedPolicies"], Value::Object(observed));
        Ok(values)
    }

    async fn request(&self, pass: &Pass, git: &Value, repository: &Value) -> Result<Request, Failure> {
        let mut request = Request::new(str_at(repository, &["spec", "url"]));
        let place = get(git, &["checkout", "ref"]).or_else(|| get(repository, &["spec", "ref"]));
        let text = |field: &str| {
            let text = place.map(|place| str_at(place, &[field])).unwrap_or_default();
            Some(text).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        request.reference = Reference {
            branch: text("branch"),
            tag: text("tag"),
            semver: text("semver"),
            name: text("name"),
            commit: text("commit"),
            ..Default::default()
        };
        request.timeout = duration_at(repository, &["spec", "timeout"]).unwrap_or(Duration::from_secs(60));
        let holder = Pass::new(pass.context.clone(), repository.clone(), "image-automation-controller");
        request.credentials = git_credentials(&self.shared, &holder)
            .await
            .map_err(|failure| Failure("AccessDenied", failure.message, false))?;
        Ok(request)
    }

    async fn push(
        &self,
        pass: &mut Pass,
        git: &Value,
        request: &Request,
        files: BTreeMap<String, Vec<u8>>,
        changes: &[(String, Change)],
    ) -> Result<String, Failure> {
        let signer = signer(pass, git).await?;
        let (checkout, push) =
            (request.reference.branch.clone(), str_at(git, &["push", "branch"]).to_owned());
        let mut targets = Vec::new();
        let branch = if push.is_empty() { checkout.clone().unwrap_or_default() } else { push };
        let refspec = str_at(git, &["push", "refspec"]);
        if !branch.is_empty() {
            targets.push(format!("refs/heads/{branch}"));
        }
        if !refspec.is_empty() {
            let target = refspec.trim_start_matches('+').rsplit(':').next().unwrap_or_default();
            targets.push(target.to_owned());
        }
        if targets.is_empty() {
            let why = "Push spec not provided, and cannot be inferred from .spec.git.checkout.ref or GitRepository .spec.ref";
            return Err(Failure("InvalidSourceConfiguration", why.into(), true));
        }
        let message = message(pass, git, changes)?;
        let author = get(git, &["commit", "author"]).cloned().unwrap_or_default();
        let name = match str_at(&author, &["name"]) {
            "" => "Flux",
            given => given,
        };
        let options = string_map(git, &["push", "options"]).into_iter().collect();
        let commit = NewCommit {
            files,
            author: format!("{name} <{}>", str_at(&author, &["email"])),
            time: pass.context.clock().now().as_second(),
            message,
            force: checkout.as_ref() != Some(&branch),
            begins: false,
            targets: targets.clone(),
            options,
            signer,
        };
        let pushed = self.shared.options.fetcher.git_push(request, &commit).await;
        let pushed = pushed.map_err(|error| {
            Failure("GitOperationFailed", format!("failed to push to remote: {error}"), false)
        })?;
        let short: String = pushed.commit.chars().take(7).collect();
        let place = if branch.is_empty() { targets.join(", ") } else { branch };
        if pushed.known {
            return Ok(format!(
                "repository up-to-date: branch '{place}' holds the update as commit '{short}'"
            ));
        }
        let text = format!("pushed commit '{short}' to branch '{place}'\n{}", commit.message);
        pass.set(&["lastPushCommit"], json!(pushed.commit));
        pass.set(&["lastPushTime"], json!(pass.context.clock().stamp()));
        pass.event(EventType::Normal, "Succeeded", &text, "");
        Ok(format!("pushed commit '{short}' to branch '{place}'"))
    }
}

/// The key of `spec.git.commit.signingKey`.
async fn signer(pass: &Pass, git: &Value) -> Result<Option<SigningKey>, Failure> {
    let Some(key) = get(git, &["commit", "signingKey"]).filter(|key| key.is_object()) else {
        return Ok(None);
    };
    let failed = |why: String| Failure("SourceManagerFailed", why, false);
    let name = str_at(key, &["secretRef", "name"]);
    let data = secrets::read(pass, name).await;
    let data = data.map_err(|failure| {
        failed(format!("could not find signing key secret '{name}': {}", failure.message))
    })?;
    let missing = |entry: &str| {
        let article = if entry == "identity" { "an" } else { "a" };
        failed(format!("signing key secret '{name}' does not contain {article} '{entry}' key"))
    };
    let made = match str_at(key, &["type"]) {
        "" | "gpg" => {
            let armored = data.get("git.asc").ok_or_else(|| missing("git.asc"))?;
            SigningKey::pgp(armored, data.get("passphrase").map(Vec::as_slice), name)
        }
        "ssh" => {
            let passphrase = data.get("password").map(|bytes| String::from_utf8_lossy(bytes));
            let identity = data.get("identity").ok_or_else(|| missing("identity"))?;
            SigningKey::ssh(identity, passphrase.as_deref())
        }
        other => return Err(failed(format!("unknown signing key type {other:?}"))),
    };
    made.map(Some).map_err(|error| failed(error.to_string()))
}

/// What of a policy decides: its choice.
fn chosen(policy: Option<&Value>) -> String {
    let Some(policy) = policy else { return "absent".into() };
    let latest = get(policy, &["status", "latestRef"]).map(reference).unwrap_or_default();
    format!("{latest} {}", is_true(policy, "Ready"))
}

/// The files below a path with their marks replaced, and what was replaced in which.
fn changed(
    tree: &source::Tree,
    path: &str,
    values: &Values,
) -> Result<(BTreeMap<String, Vec<u8>>, Vec<(String, Change)>), Failure> {
    let failed = |why: String| Failure("UpdateFailed", format!("failed to update source: {why}"), false);
    if !path.is_empty() && path != "." && !tree.is_dir(path) {
        return Err(failed(format!("{path}: no such directory in the source")));
    }
    let prefix = if path.is_empty() || path == "." { String::new() } else { format!("{path}/") };
    let (mut files, mut changes) = (BTreeMap::new(), Vec::new());
    let all = tree
        .files()
        .filter(|(name, _)| name.starts_with(&prefix) && (name.ends_with(".yaml") || name.ends_with(".yml")));
    for (name, file) in all {
        let Ok(Ok(text)) = file.bytes().map(|bytes| std::str::from_utf8(bytes)) else { continue };
        let updated = setters::update(text, values).map_err(|error| failed(format!("{name}: {error}")))?;
        if let Some((text, replaced)) = updated {
            changes.extend(replaced.into_iter().map(|change| (name.to_owned(), change)));
            files.insert(name.to_owned(), text.into_bytes());
        }
    }
    Ok((files, changes))
}

/// The commit's message, from its template.
fn message(pass: &Pass, git: &Value, changes: &[(String, Change)]) -> Result<String, Failure> {
    let template = str_at(git, &["commit", "messageTemplate"]);
    if template.is_empty() {
        return Ok("Update from image update automation".into());
    }
    let of =
        |change: &Change| json!({"OldValue": change.old, "NewValue": change.new, "Setter": change.setter});
    let mut file_changes = serde_json::Map::new();
    let mut objects = serde_json::Map::new();
    let mut flat: Vec<Value> = Vec::new();
    for (file, change) in changes {
        let (kind, namespace, name) = &change.object;
        let identity = format!("{kind}/{namespace}/{name}");
        push(&mut objects, &identity, of(change));
        let per_file = file_changes.entry(file.clone()).or_insert_with(|| json!({}));
        if let Some(map) = per_file.as_object_mut() {
            push(map, &identity, of(change));
        }
        if !flat.contains(&of(change)) {
            flat.push(of(change));
        }
    }
    let images: BTreeSet<&String> = changes.iter().map(|(_, change)| &change.new).collect();
    let data = json!({
        "AutomationObject": {"Name": pass.name(), "Namespace": pass.namespace()},
        "Changed": {"FileChanges": file_changes, "Objects": objects, "Changes": flat},
        "Values": string_map(git, &["commit", "messageTemplateValues"]),
        "Updated": {"Images": images},
    });
    let failed =
        |why: String| Failure("InvalidCommitMessage", format!("failed to run template: {why}"), true);
    let mut templates = gotemplate::Templates::sprig(gotemplate::MissingKey::Invalid);
    templates.parse("commit message", template).map_err(|error| failed(error.to_string()))?;
    let host = gotemplate::FixedHost::new(pass.context.clock().now().as_second(), 1);
    let mut env = gotemplate::Env::new(&host);
    templates
        .execute("commit message", &gotemplate::Value::from_json(&data), &mut env)
        .map_err(|error| failed(error.to_string()))
}

fn push(map: &mut serde_json::Map<String, Value>, key: &str, change: Value) {
    if let Some(list) = map.entry(key).or_insert_with(|| json!([])).as_array_mut() {
        list.push(change);
    }
}
