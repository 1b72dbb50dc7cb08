//! `authorizer` in expressions: may whoever asks do something else, too?

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::{Key, Map, Opaque};
use kube_cel::cel::{Context as Scope, ExecutionError, Value as Cel};

use super::matching::Request;
use crate::auth::User;
use crate::rbac::{self, Attributes};

/// Where a map that stands for an authorizer keeps whom it is about; no field can have this name.
const SELF: &str = "";

/// A question that is being put together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    user: User,
    group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    path: Option<String>,
}

impl Opaque for Question {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.Check"
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decision {
    allowed: bool,
    reason: String,
}

impl Opaque for Decision {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.Decision"
    }
}

fn text(text: &str) -> Cel {
    Cel::String(Arc::new(text.to_owned()))
}

fn opaque(value: impl Opaque) -> Cel {
    Cel::Opaque(Arc::new(value))
}

/// What `authorizer` is: a map, so that it can have a field; the question that every other one starts from is in it.
fn authorizer(about: Question, request: Option<Question>) -> Cel {
    let key = |text: &str| Key::String(Arc::new(text.to_owned()));
    let mut map = HashMap::from([(key(SELF), opaque(about))]);
    if let Some(request) = request {
        map.insert(key("requestResource"), opaque(request));
    }
    Cel::Map(Map { map: Arc::new(map) })
}

fn question(this: &Cel) -> Option<Question> {
    match this {
        Cel::Opaque(value) => value.downcast_ref::<Question>().cloned(),
        Cel::Map(map) => map.map.get(&Key::String(Arc::new(SELF.to_owned()))).and_then(question),
        _ => None,
    }
}

type Found = Result<Cel, ExecutionError>;

fn no_overload() -> ExecutionError {
    ExecutionError::function_error("authorizer", "no such overload")
}

fn ask_further(this: &Cel, change: impl FnOnce(&mut Question)) -> Found {
    let mut own = question(this).ok_or_else(no_overload)?;
    change(&mut own);
    Ok(opaque(own))
}

fn decision(this: &Cel, read: impl FnOnce(&Decision) -> Cel) -> Found {
    match this {
        Cel::Opaque(value) => value.downcast_ref::<Decision>().map(read).ok_or_else(no_overload),
        _ => Err(no_overload()),
    }
}

/// Adds the variable and its functions to what expressions see.
pub fn add(scope: &mut Scope<'static>, request: &Request<'_>) {
    let about = Question {
        user: request.context.user.clone(),
        group: String::new(),
        resource: String::new(),
        subresource: String::new(),
        namespace: String::new(),
        name: String::new(),
        path: None,
    };
    let own = Question {
        group: request.resource.group.to_string(),
        resource: request.resource.name.to_string(),
        subresource: request.context.subresource.clone(),
        namespace: request.namespace().to_owned(),
        name: request.name().to_owned(),
        ..about.clone()
    };
    scope.add_variable_from_value("authorizer", authorizer(about, Some(own)));
    scope.add_function("group", |This(this): This<Cel>, group: Arc<String>| {
        ask_further(&this, |own| own.group = group.to_string())
    });
    scope.add_function("resource", |This(this): This<Cel>, resource: Arc<String>| {
        ask_further(&this, |own| own.resource = resource.to_string())
    });
    scope.add_function("subresource", |This(this): This<Cel>, subresource: Arc<String>| {
        ask_further(&this, |own| own.subresource = subresource.to_string())
    });
    scope.add_function("namespace", |This(this): This<Cel>, namespace: Arc<String>| {
        ask_further(&this, |own| own.namespace = namespace.to_string())
    });
    scope.add_function("name", |This(this): This<Cel>, name: Arc<String>| {
        ask_further(&this, |own| own.name = name.to_string())
    });
    scope.add_function("path", |This(this): This<Cel>, path: Arc<String>| {
        ask_further(&this, |own| own.path = Some(path.to_string()))
    });
    scope.add_function(
        "serviceAccount",
        |This(this): This<Cel>, namespace: Arc<String>, name: Arc<String>| -> Found {
            let mut own = question(&this).ok_or_else(no_overload)?;
            own.user = User::service_account(&namespace, &name, "");
            Ok(authorizer(own, None))
        },
    );
    let app = request.app.clone();
    scope.add_function("check", move |This(this): This<Cel>, verb: Arc<String>| -> Found {
        let own = question(&this).ok_or_else(no_overload)?;
        let attributes = Attributes {
            verb: &verb,
            group: &own.group,
            resource: &own.resource,
            subresource: &own.subresource,
            namespace: &own.namespace,
            name: &own.name,
            path: own.path.as_deref(),
        };
        let reason = rbac::allowed(&app, &own.user, &attributes);
        Ok(opaque(Decision { allowed: reason.is_some(), reason: reason.unwrap_or_default() }))
    });
    scope.add_function("allowed", |This(this): This<Cel>| decision(&this, |own| Cel::Bool(own.allowed)));
    scope.add_function("reason", |This(this): This<Cel>| decision(&this, |own| text(&own.reason)));
    scope.add_function("errored", |This(this): This<Cel>| decision(&this, |_| Cel::Bool(false)));
    scope.add_function("error", |This(this): This<Cel>| decision(&this, |_| text("")));
}
