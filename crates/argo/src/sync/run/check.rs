//! What is wrong with a sync before anything is written.

use cluster::ErrorKind;
use object::{Key, Value, get_str};

use super::{Runner, Stop};
use crate::application::pass::Pass;
use crate::sync::options::SyncOptions;
use crate::sync::tasks::Task;

impl Runner<'_> {
    /// Before anything is written: can every kind be written at all?
    pub(super) async fn check(&mut self, pass: &Pass, tasks: &[Task]) -> Result<(), Stop> {
        let mut first: Option<(Key, String)> = None;
        let context = self.site.look(&pass.context);
        for task in tasks.iter().filter(|task| !task.is_prune()) {
            let at = self.site.at(&task.key.namespace);
            if !self.project.permits_object(&task.key.group, &task.key.kind, &task.key.name, &at) {
                let why = format!(
                    "resource {}:{} is not permitted in project {}",
                    task.key.group,
                    task.key.kind,
                    self.project.name()
                );
                self.note(task, "SyncFailed", &why, "Failed");
                first = first.or(Some((task.key.clone(), why)));
                continue;
            }
            if let Some(why) = self.site.unmanaged(&task.key) {
                self.note(task, "SyncFailed", &why, "Failed");
                first = first.or(Some((task.key.clone(), why)));
                continue;
            }
            let Err(error) = context.watch(&task.gvk).await else {
                if let Some(why) = self.invalid(task) {
                    self.note(task, "SyncFailed", &why, "Failed");
                    first = first.or(Some((task.key.clone(), format!("{}: {why}", task.key))));
                }
                continue;
            };
            let coming = tasks.iter().any(|other| {
                let target = other.target.as_ref().unwrap_or(&Value::Null);
                other.key.kind == "CustomResourceDefinition"
                    && get_str(target, &["spec", "group"]) == Some(task.key.group.as_str())
                    && get_str(target, &["spec", "names", "kind"]) == Some(task.key.kind.as_str())
            });
            let target = task.target.as_ref().unwrap_or(&Value::Null);
            let patient =
                self.options.with(&SyncOptions::of_object(target)).is("SkipDryRunOnMissingResource");
            if error.kind == ErrorKind::MissingKind && (coming || patient) {
                continue;
            }
            let message = match error.kind {
                ErrorKind::MissingKind => format!(
                    "The Kubernetes API could not find {}/{} for requested resource {}/{}. Make sure the \"{}\" CRD is \
                     installed on the destination cluster.",
                    task.key.group, task.key.kind, task.key.namespace, task.key.name, task.key.kind
                ),
                _ => error.to_string(),
            };
            self.note(task, "SyncFailed", &message, "Failed");
            first = first.or(Some((task.key.clone(), message)));
        }
        match first {
            None => Ok(()),
            Some((object, why)) => Err(Stop::Failed {
                message: format!("one or more synchronization tasks are not valid: {why}"),
                object: Some(object),
            }),
        }
    }

    /// What the server would find wrong with a new object of a kind that we know; `Validate=false` leaves it to the
    /// server.
    fn invalid(&self, task: &Task) -> Option<String> {
        let target = task.target.as_ref().filter(|_| task.live.is_none())?;
        if self.options.with(&SyncOptions::of_object(target)).is_not("Validate") {
            return None;
        }
        let ty = schema::builtin().type_of(&task.gvk)?;
        let mut object = target.clone();
        if let Err(why) = schema::native::decode(&ty, &mut object) {
            return Some(why);
        }
        self.site.memory.default(self.site.cluster.store(), &mut object);
        object::remove(&mut object, &["status"]);
        schema::native::prepare(&task.gvk, &mut object);
        let errors = schema::native::validate(&task.gvk, &object, None);
        let name = format!("{}.{} {:?}", task.key.kind, task.key.group, task.key.name);
        let lines: Vec<String> =
            errors.iter().map(|error| format!("{}: {}", error.field, error.body())).collect();
        (!lines.is_empty()).then(|| format!("{name} is invalid: {}", lines.join(", ")))
    }
}
