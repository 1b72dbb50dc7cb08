//! Conversion webhooks: objects of a custom resource in versions that differ in more than their name.
//!
//! Reads and watches cannot wait, so an object carries its other versions from the write on; what was written before
//! (or by another release) is converted when somebody first asks for that version.

use std::sync::Arc;
use std::time::Duration;

use object::{get, get_str};
use serde_json::{Value, json};

use crate::app::App;
use crate::catalog::Resource;
use crate::convert;
use crate::remote::{CallError, Remote};
use crate::status::Failure;
use crate::store::Draft;

/// How long a webhook may take, as in Kubernetes.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How many objects one question holds.
const BATCH: usize = 200;

/// How the versions of one definition become each other.
#[derive(Debug)]
pub struct Conversion {
    definition: String,
    remote: Remote,
    versions: Vec<String>,
    /// The `apiVersion`s that are served besides the stored one.
    others: Vec<Arc<str>>,
}

impl Conversion {
    /// From a definition; `None` when its versions differ in their name only.
    pub fn of(definition: &Value, others: Vec<Arc<str>>) -> Option<Conversion> {
        if get_str(definition, &["spec", "conversion", "strategy"]) != Some("Webhook") {
            return None;
        }
        let webhook = get(definition, &["spec", "conversion", "webhook"])?;
        let versions = get(webhook, &["conversionReviewVersions"]).and_then(Value::as_array);
        Some(Conversion {
            definition: object::meta::name(definition).to_owned(),
            remote: Remote::new(webhook.get("clientConfig").cloned().unwrap_or_default()),
            versions: versions.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            others,
        })
    }

    /// Whether there is somebody to ask; otherwise versions are taken to differ in their name only, which is told.
    fn is_reachable(&self, app: &App) -> bool {
        let simulated = self.remote.is_simulated(app);
        if simulated {
            app.tell(
                &format!("CustomResourceDefinition/{}", self.definition),
                "its conversion webhook is not called: what would answer it is simulated".to_owned(),
            );
        }
        !simulated
    }

    async fn convert(&self, app: &App, objects: &[Value], to: &str) -> Result<Vec<Value>, Failure> {
        let kind = objects.first().map(object::meta::kind).unwrap_or_default();
        let from = objects.first().map(object::meta::api_version).unwrap_or_default();
        let failed = |why: String| {
            Failure::new(500, "", format!("conversion webhook for {from}, Kind={kind} failed: {why}"))
        };
        let known = |version: &&String| matches!(version.as_str(), "v1" | "v1beta1");
        let Some(version) = self.versions.iter().find(known) else {
            return Err(failed("it understands no known version of ConversionReview".to_owned()));
        };
        let uid = uuid::Uuid::new_v4().to_string();
        let review = json!({
            "kind": "ConversionReview",
            "apiVersion": format!("apiextensions.k8s.io/{version}"),
            "request": {"uid": uid, "desiredAPIVersion": to, "objects": objects},
        });
        let answer = self.remote.call(app, &review, TIMEOUT).await.map_err(|error| match error {
            CallError::Failed(why) => failed(why),
            CallError::Simulated => failed("what would answer it is simulated".to_owned()),
        })?;
        if get_str(&answer, &["response", "uid"]) != Some(&uid) {
            let given = get_str(&answer, &["response", "uid"]).unwrap_or_default();
            return Err(failed(format!(
                "invalid webhook response: expected response.uid={uid:?}, got {given:?}"
            )));
        }
        if get_str(&answer, &["response", "result", "status"]) != Some("Success") {
            let why = get_str(&answer, &["response", "result", "message"]).unwrap_or_default();
            return Err(failed(why.to_owned()));
        }
        let list = get(&answer, &["response", "convertedObjects"]).and_then(Value::as_array);
        let converted = list.cloned().unwrap_or_default();
        if converted.len() != objects.len() {
            let (have, want) = (converted.len(), objects.len());
            let text = format!(
                "conversion webhook for {from}, Kind={kind} returned {have} objects, expected {want}"
            );
            return Err(Failure::new(500, "", text));
        }
        let pairs = objects.iter().zip(converted);
        pairs.map(|(old, new)| checked(old, new, to).map_err(&failed)).collect()
    }
}

/// Only labels, annotations and what is not metadata may come out differently.
fn checked(old: &Value, mut new: Value, to: &str) -> Result<Value, String> {
    if object::meta::api_version(&new) != to || object::meta::kind(&new) != object::meta::kind(old) {
        let (version, kind) = (object::meta::api_version(&new), object::meta::kind(&new));
        return Err(format!("invalid object: {version}, Kind={kind} came back instead of {to}"));
    }
    for field in ["name", "namespace", "uid"] {
        if get(&new, &["metadata", field]) != get(old, &["metadata", field]) {
            return Err(format!("invalid object: metadata.{field} was changed"));
        }
    }
    let mut metadata = old.get("metadata").cloned().unwrap_or_default();
    for field in ["labels", "annotations"] {
        object::remove(&mut metadata, &[field]);
        if let Some(own) = get(&new, &["metadata", field]) {
            object::set(&mut metadata, &[field], own.clone());
        }
    }
    object::set(&mut new, &["metadata"], metadata);
    Ok(new)
}

/// A write's text in all versions; `None` where versions differ in their name only.
pub async fn draft(app: &App, resource: &Resource, value: &Value) -> Result<Option<Draft>, Failure> {
    let conversion = resource.custom.as_ref().and_then(|custom| custom.conversion.as_ref());
    let Some(conversion) = conversion.filter(|own| own.is_reachable(app)) else { return Ok(None) };
    let own = resource.api_version();
    let stored = if *own == *resource.stored_as {
        value.clone()
    } else {
        one(conversion.convert(app, std::slice::from_ref(value), &resource.stored_as).await?)
    };
    let mut draft = Draft::new(&stored);
    for version in &conversion.others {
        let text = if *own == **version {
            Draft::new(value)
        } else {
            match conversion.convert(app, std::slice::from_ref(&stored), version).await {
                Ok(converted) => Draft::new(&one(converted)),
                Err(failure) => {
                    // Whoever reads that version is told.
                    tracing::debug!(error = failure.message(), "a version is left for later");
                    continue;
                }
            }
        };
        draft.add_version(version.clone(), text);
    }
    Ok(Some(draft))
}

fn one(mut list: Vec<Value>) -> Value {
    list.pop().unwrap_or_default()
}

/// Converts what is not there yet in the version that somebody is about to read.
pub async fn prepare(app: &App, resource: &Resource) -> Result<(), Failure> {
    let conversion = resource.custom.as_ref().and_then(|custom| custom.conversion.as_ref());
    let own = resource.api_version();
    let Some(conversion) = conversion.filter(|_| *own != *resource.stored_as) else { return Ok(()) };
    let objects = app.store.list(&resource.table, "").1;
    let missing: Vec<_> = objects.iter().filter(|object| object.version(&own).is_none()).collect();
    if missing.is_empty() || !conversion.is_reachable(app) {
        return Ok(());
    }
    for batch in missing.chunks(BATCH) {
        let values: Vec<Value> = batch.iter().map(|object| object.value()).collect();
        let converted = conversion.convert(app, &values, &own).await?;
        for (object, value) in batch.iter().zip(converted) {
            app.store.add_version(&resource.table, object, own.as_str().into(), Draft::new(&value));
        }
    }
    Ok(())
}

/// The text of an object in a version that was converted, if it was.
pub fn converted<'a>(
    resource: &Resource,
    object: &'a crate::store::Object,
) -> Option<&'a crate::store::Object> {
    resource.custom.as_ref()?.conversion.as_ref()?;
    let found = object.version(&resource.api_version());
    debug_assert!(found.is_none_or(|own| own.revision == object.revision), "versions are written together");
    found
}

/// As [`convert::to_stored`], for what was not converted by somebody else.
pub fn plain(resource: &Resource, mut value: Value) -> Draft {
    convert::to_stored(resource, &mut value);
    Draft::new(&value)
}
