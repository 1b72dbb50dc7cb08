//! The driver of the command line: creates with POST, changes with three-way patches, and waits by asking,
//! as helm does.

use std::time::{Duration, Instant};

use cluster::{Cluster, Delete, Error, ErrorKind, ListOptions, PatchKind, PatchOptions, Propagation};
use futures::StreamExt;
use futures::future::BoxFuture;
use helm::release::check_ownership;
use jiff::Timestamp;
use object::{Gvk, Key, Value, merge_patch, meta, strategic};
use plan::ObjectRef;

use crate::actions::target;
use crate::driver::Applying;
use crate::ready::{self, Ready};
use crate::{Driver, Fault};

/// Requests in flight for objects of one kind.
const PIPELINE: usize = 16;
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// How often a change is tried again when somebody else changed the object meanwhile.
const CONFLICTS: usize = 5;

/// The driver of the command line.
pub struct Direct {
    cluster: Cluster,
    release: String,
    namespace: String,
    manager: &'static str,
    output: fn(&str),
}

/// Errors as Go's `multierror` prints them.
fn several(errors: &[String]) -> String {
    let plural = if errors.len() == 1 {
        "1 error occurred".to_owned()
    } else {
        format!("{} errors occurred", errors.len())
    };
    let lines: String = errors.iter().map(|error| format!("\n\t* {error}")).collect();
    format!("{plural}:{lines}\n\n")
}

impl Direct {
    /// A driver for a release, with a field manager's name.
    pub fn new(cluster: Cluster, release: &str, namespace: &str, manager: &'static str) -> Direct {
        let (release, namespace) = (release.to_owned(), namespace.to_owned());
        Direct { cluster, release, namespace, manager, output: |_| {} }
    }

    /// With somebody who looks at what hooks print.
    #[must_use]
    pub fn with_output(self, output: fn(&str)) -> Direct {
        Direct { output, ..self }
    }

    /// Hands on what the containers of a pod, or of a job's pods, printed.
    async fn hand_on_output(&self, target: &ObjectRef) -> Result<(), Error> {
        let (namespace, name) = (&target.key.namespace, &target.key.name);
        let mut options = ListOptions { namespace: namespace.clone(), ..Default::default() };
        match target.key.kind.as_str() {
            "Job" => options.labels = format!("job-name={name}"),
            "Pod" => options.fields = format!("metadata.name={name}"),
            _ => return Ok(()),
        }
        let pod = Gvk::from_api_version("v1", "Pod");
        let path = self.cluster.resource(&pod).await?;
        for pod in self.cluster.list(&pod, &options).await? {
            let containers = object::get(&pod, &["spec", "containers"]).and_then(Value::as_array);
            for container in containers.into_iter().flatten() {
                let container = object::get_str(container, &["name"]).unwrap_or_default();
                let uri = format!("{}/log?container={container}", path.path(namespace, meta::name(&pod)));
                let request = http::Request::get(uri).body(Vec::new());
                let request = request.map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?;
                let text = self.cluster.client().request_text(request).await.map_err(|_| {
                    let pod = meta::name(&pod);
                    let words = format!("Failed to stream pod logs for pod: {pod}, container: {container}");
                    Error::new(ErrorKind::Other, words)
                })?;
                (self.output)(&text);
            }
        }
        Ok(())
    }

    async fn get(&self, target: &ObjectRef) -> Result<Option<Value>, Error> {
        self.cluster.get(&target.gvk(), &target.key.namespace, &target.key.name).await
    }

    /// Creates objects, those of one kind at once; the kinds after a failed one are left alone.
    async fn create_all(&self, objects: &[Value]) -> Result<(), Fault> {
        let mut rest = objects;
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|object| meta::kind(object) == meta::kind(first)).count();
            let (batch, after) = rest.split_at(same);
            let mut jobs: Vec<BoxFuture<'_, Result<Value, Error>>> = Vec::with_capacity(same);
            for object in batch {
                jobs.push(Box::pin(self.cluster.create(object, self.manager)));
            }
            let results: Vec<Result<Value, Error>> =
                futures::stream::iter(jobs).buffered(PIPELINE).collect().await;
            let errors: Vec<String> =
                results.into_iter().filter_map(Result::err).map(|error| error.message).collect();
            if !errors.is_empty() {
                return Err(Fault::failed(several(&errors)));
            }
            rest = after;
        }
        Ok(())
    }

    /// Makes one object as it is wanted.
    async fn update(&self, object: &Value, how: Applying<'_>) -> Result<(), Fault> {
        let target = target(object)?;
        for attempt in 0.. {
            let Some(live) = self.get(&target).await? else {
                self.cluster
                    .create(object, self.manager)
                    .await
                    .map_err(|error| Fault::at(&target.key, format!("failed to create resource: {error}")))?;
                return Ok(());
            };
            match self.change(&target, object, &live, how).await {
                Err(error) if error.kind == ErrorKind::Conflict && attempt < CONFLICTS => {}
                Err(error) => return Err(Fault::at(&target.key, error.message)),
                Ok(()) => return Ok(()),
            }
        }
        Ok(())
    }

    async fn change(
        &self,
        target: &ObjectRef,
        object: &Value,
        live: &Value,
        how: Applying<'_>,
    ) -> Result<(), Error> {
        let key = &target.key;
        let version = meta::resource_version(live).to_owned();
        if how.force {
            let mut object = object.clone();
            object::set(&mut object, &["metadata", "resourceVersion"], version.into());
            let replaced = self.cluster.replace(&object, self.manager).await;
            return replaced.map(|_| ()).map_err(|error| prefixed(error, "failed to replace object"));
        }
        let old = how.old.iter().find(|old| target_key(old).as_ref() == Some(key)).unwrap_or(live);
        let wanted = merged(&target.gvk(), old, object, live);
        let mut patch = merge_patch::diff(live, &wanted);
        if patch.as_object().is_none_or(serde_json::Map::is_empty) {
            return Ok(());
        }
        // A change since the object was read must not be overwritten.
        object::set(&mut patch, &["metadata", "resourceVersion"], version.into());
        let options = PatchOptions { manager: self.manager.to_owned(), ..PatchOptions::default() };
        let done = self
            .cluster
            .patch(&target.gvk(), &key.namespace, &key.name, PatchKind::Merge, &patch, &options)
            .await;
        let words = format!("cannot patch \"{}\" with kind {}", key.name, key.kind);
        done.map(|_| ()).map_err(|error| prefixed(error, &words))
    }

    /// Asks until `judge` is satisfied with every object.
    async fn until(
        &self,
        targets: &[ObjectRef],
        limit: Duration,
        judge: impl Fn(&Key, Option<&Value>) -> Ready,
    ) -> Result<(), Waited> {
        let deadline = Instant::now() + limit;
        let mut open: Vec<(&ObjectRef, String)> =
            targets.iter().map(|target| (target, String::new())).collect();
        loop {
            let mut left = Vec::new();
            for (target, why) in open {
                match self.get(target).await {
                    Ok(live) => match judge(&target.key, live.as_ref()) {
                        Ready::Yes => {}
                        Ready::NotYet(why) => left.push((target, why)),
                        Ready::Never(why) => return Err(Waited::Failed(why)),
                    },
                    Err(error) if error.is_transient() => left.push((target, why)),
                    Err(error) => return Err(Waited::Failed(error.message)),
                }
            }
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let rest = left.into_iter().map(|(target, why)| format!("{}: {why}", target.key)).collect();
                return Err(Waited::TimedOut(rest));
            }
            open = left;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// How waiting ended without success.
enum Waited {
    Failed(String),
    TimedOut(Vec<String>),
}

impl From<Waited> for Fault {
    fn from(waited: Waited) -> Fault {
        match waited {
            Waited::Failed(why) => Fault::failed(why),
            Waited::TimedOut(rest) => {
                Fault::failed(format!("context deadline exceeded: not ready: {}", rest.join("; ")))
            }
        }
    }
}

fn target_key(object: &Value) -> Option<Key> {
    Key::of(object).ok()
}

fn prefixed(mut error: Error, words: &str) -> Error {
    error.message = format!("{words}: {}", error.message);
    error
}

/// What an object becomes: the changes from `old` to `wanted` on top of what is live. Types that nobody
/// knows are merged as plain JSON, where what the chart did not change stays as it is.
fn merged(gvk: &Gvk, old: &Value, wanted: &Value, live: &Value) -> Value {
    match schema::builtin().type_of(gvk) {
        Some(types) => strategic::three_way(old, wanted, live, &types),
        None => {
            let mut out = live.clone();
            merge_patch::apply(&mut out, &merge_patch::diff(old, wanted));
            out
        }
    }
}

impl Driver for Direct {
    fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    async fn show_output(&self, target: &ObjectRef) {
        if let Err(error) = self.hand_on_output(target).await {
            (self.output)(&format!("error outputting logs for hook failure: {}\n", error.message));
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// New objects must not be there yet, unless they are marked as this release's.
    async fn check(&self, objects: &[Value], how: Applying<'_>) -> Result<(), Fault> {
        if how.take_ownership {
            return Ok(());
        }
        let known: Vec<Key> = how.old.iter().filter_map(target_key).collect();
        let words = if how.old.is_empty() {
            "Unable to continue with install"
        } else {
            "Unable to continue with update"
        };
        for object in objects {
            let target = target(object)?;
            if known.contains(&target.key) {
                continue;
            }
            let Some(live) = self.get(&target).await? else { continue };
            if let Err(why) = check_ownership(&live, &self.release, &self.namespace) {
                let key = &target.key;
                let text = format!(
                    "{words}: {} \"{}\" in namespace \"{}\" exists and cannot be imported into the current release: {why}",
                    key.kind, key.name, key.namespace
                );
                return Err(Fault::at(key, text));
            }
        }
        Ok(())
    }

    async fn live(&self, target: &ObjectRef) -> Result<Option<Value>, Fault> {
        Ok(self.get(target).await?)
    }

    async fn apply(&self, objects: Vec<Value>, how: Applying<'_>) -> Result<Vec<ObjectRef>, Fault> {
        let targets: Vec<ObjectRef> = objects.iter().map(target).collect::<Result<_, _>>()?;
        let mut there = false;
        if how.old.is_empty() {
            for target in &targets {
                there = there || self.get(target).await?.is_some();
            }
            if !there {
                self.create_all(&objects).await?;
                return Ok(targets);
            }
        }
        let mut errors = Vec::new();
        for object in &objects {
            match self.update(object, how).await {
                Ok(()) => {}
                // What cannot be created stops the rest, what cannot be changed does not.
                Err(Fault::Failed { message, object, file, line })
                    if message.starts_with("failed to create resource") =>
                {
                    return Err(Fault::Failed { message, object, file, line });
                }
                Err(fault) => errors.push(fault.to_string()),
            }
        }
        match errors.is_empty() {
            true => Ok(targets),
            false => Err(Fault::failed(errors.join(" && "))),
        }
    }

    async fn delete(&self, targets: &[ObjectRef], propagation: Propagation) -> Result<(), Fault> {
        let mut errors = Vec::new();
        for target in targets {
            let options = Delete { propagation, ..Delete::default() };
            let key = &target.key;
            if let Err(error) = self.cluster.delete(&target.gvk(), &key.namespace, &key.name, &options).await
            {
                errors.push(format!("{key}: {error}"));
            }
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(Fault::failed(errors.join("; "))),
        }
    }

    async fn wait_ready(&self, targets: &[ObjectRef], limit: Duration) -> Result<(), Fault> {
        Ok(self.until(targets, limit, ready::object).await?)
    }

    async fn wait_gone(&self, targets: &[ObjectRef], limit: Duration) -> Result<(), Fault> {
        let judge = |_: &Key, live: Option<&Value>| match live {
            None => Ready::Yes,
            Some(_) => Ready::NotYet("still there".into()),
        };
        Ok(self.until(targets, limit, judge).await?)
    }

    async fn start_hook(&self, object: &Value) -> Result<(), Fault> {
        match self.cluster.create(object, self.manager).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::failed(several(&[error.message]))),
        }
    }

    async fn wait_hook(&self, target: &ObjectRef, limit: Duration) -> Result<(), Fault> {
        let words = match self.until(std::slice::from_ref(target), limit, ready::hook).await {
            Ok(()) => return Ok(()),
            Err(Waited::Failed(why)) => why,
            Err(Waited::TimedOut(_)) => "timed out waiting for the condition".to_owned(),
        };
        Err(Fault::at(&target.key, several(&[words])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_listed_as_go_lists_them() {
        assert_eq!(several(&["a".into()]), "1 error occurred:\n\t* a\n\n");
        assert_eq!(several(&["a".into(), "b".into()]), "2 errors occurred:\n\t* a\n\t* b\n\n");
    }
}
