//! The form in which Flux applies objects.

use object::{Gvk, Value};

use super::{decode, defaults};
use crate::{FieldError, builtin};

/// Brings an object into the form that Flux applies: workloads, Services and Secrets as their Go types write
/// them, with the protocol of every port (a key of the list of ports, without which the API server cannot tell
/// ports apart) and with `stringData` as `data`; without status and creation time.
///
/// # Errors
/// When a field has the wrong type.
pub fn normalize_applied(object: &mut Value) -> Result<(), FieldError> {
    let gvk = Gvk::of(object);
    let typed = matches!(
        (gvk.group.as_str(), gvk.kind.as_str()),
        ("", "Pod" | "Service" | "Secret")
            | ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
            | ("batch", "Job" | "CronJob")
    );
    if let Some(ty) = builtin().type_of(&gvk).filter(|_| typed) {
        decode::decode(&ty, object).map_err(|message| FieldError::invalid("", Value::Null, message))?;
        defaults::set_protocols(&ty, object);
        object::remove(object, &["status"]);
    }
    object::set(object, &["metadata", "creationTimestamp"], Value::Null);
    Ok(())
}
