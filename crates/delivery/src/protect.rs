//! Deletions that wait for somebody who has seen them.

use cluster::{Error, ErrorKind};
use object::{Gvk, Value, get, get_str};
use plan::{Action, ObjectRef, Protection, Step};

use crate::apply::Applier;

/// A deletion that is held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The object.
    pub target: ObjectRef,
    /// Why.
    pub why: String,
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.target.key, self.why)
    }
}

impl Applier<'_> {
    /// The deletions that take more with them than the object: namespaces, claims and what may hold data, and
    /// definitions of which there are objects.
    ///
    /// # Errors
    /// When it cannot be found out whether a definition has objects.
    pub async fn held(&self, deletions: &[Step]) -> Result<Vec<Held>, Error> {
        let mut held = Vec::new();
        for step in deletions.iter().filter(|step| step.action == Action::Delete) {
            let why = match plan::protection(&step.target.key) {
                Protection::None => continue,
                Protection::Always(why) => why.to_owned(),
                Protection::WithInstances => match self.instances(&step.target).await? {
                    0 => continue,
                    1 => "there is one object of its kind".to_owned(),
                    many => format!("there are {many} objects of its kind"),
                },
            };
            held.push(Held { target: step.target.clone(), why });
        }
        Ok(held)
    }

    /// How many objects there are of the kind that a definition defines.
    async fn instances(&self, definition: &ObjectRef) -> Result<usize, Error> {
        let Some(live) = self.context.cluster.store().get(&definition.key) else { return Ok(0) };
        let versions = get(&live, &["spec", "versions"]).and_then(Value::as_array);
        let served = |version: &&Value| version.get("served") == Some(&Value::Bool(true));
        let Some(version) = versions.into_iter().flatten().find(served) else { return Ok(0) };
        let gvk = Gvk::new(
            get_str(&live, &["spec", "group"]).unwrap_or_default(),
            get_str(version, &["name"]).unwrap_or_default(),
            get_str(&live, &["spec", "names", "kind"]).unwrap_or_default(),
        );
        match self.cluster.list(&gvk, &cluster::ListOptions::default()).await {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind == ErrorKind::MissingKind => Ok(0),
            Err(error) => Err(error),
        }
    }
}
