//! Create and update, and what every write shares.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use http::{Response, StatusCode};
use object::{meta, remove, set};
use rand::Rng;
use serde_json::{Value, json};

use super::body::{self, DeleteOptions, FieldValidation};
use super::connect::Place;
use super::{Call, read};
use crate::app::{App, now};
use crate::auth::User;
use crate::catalog::Resource;
use crate::conversion;
use crate::convert;
use crate::respond;
use crate::server::Body;
use crate::status::{Cause, Failure};
use crate::store::{Durable, Expect, Object, Write};
use crate::{
    admission, automatic, certificates, crd, fields, metadata, rbac, strategy, types, warnings as about,
};

/// How often a write without a required revision is tried against concurrent ones.
const ATTEMPTS: usize = 64;
/// How often a generated name is drawn.
const NAME_ATTEMPTS: usize = 8;

/// Who writes, and how.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who asks.
    pub user: User,
    /// The field manager.
    pub manager: String,
    /// Only say what would happen.
    pub dry_run: bool,
    /// The subresource that is written, empty for the object itself.
    pub subresource: String,
    /// The request's options as webhooks see them.
    pub options: Value,
    /// What is connected to, when nothing is written.
    pub place: Option<Place>,
}

impl Context {
    /// The context of a request.
    pub fn of(call: &Call) -> Result<Context, Failure> {
        Ok(Context {
            user: call.user.clone(),
            manager: call.manager(),
            dry_run: call.dry_run()?,
            subresource: call.subresource().to_owned(),
            options: if call.app.hooks.any() { options(call) } else { Value::Null },
            place: None,
        })
    }

    /// The context of a delete.
    pub fn of_delete(call: &Call, options: &DeleteOptions) -> Result<Context, Failure> {
        let mut context = Context::of(call)?;
        if !context.options.is_null() {
            context.options = json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"});
            if let Some(grace) = options.grace {
                context.options["gracePeriodSeconds"] = grace.into();
            }
            if let Some(policy) = &options.propagation {
                context.options["propagationPolicy"] = policy.as_str().into();
            }
        }
        Ok(context)
    }

    /// Whether the server writes for itself; nobody else is asked about that.
    pub fn is_system(&self) -> bool {
        self.user == User::system()
    }

    /// The server itself, for objects that it keeps.
    pub fn system(manager: &str) -> Context {
        Context {
            user: User::system(),
            manager: manager.to_owned(),
            dry_run: false,
            subresource: String::new(),
            options: Value::Null,
            place: None,
        }
    }
}

/// What a request asks for besides its object.
fn options(call: &Call) -> Value {
    let kind = match call.method {
        http::Method::POST => "CreateOptions",
        http::Method::PATCH => "PatchOptions",
        _ => "UpdateOptions",
    };
    let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    for field in ["fieldManager", "fieldValidation"] {
        if let Some(text) = call.query.text(field) {
            options[field] = text.into();
        }
    }
    if call.query.get("dryRun").is_some() {
        options["dryRun"] = json!(["All"]);
    }
    if call.query.flag("force") {
        options["force"] = true.into();
    }
    options
}

/// The outcome of a write.
pub enum Written {
    /// It is in the store (or nothing had to change).
    Stored(Arc<Object>, Option<Durable>),
    /// The object was removed by it; its last state.
    Removed(Arc<Object>, Option<Durable>),
    /// What a dry run would have stored, in the request's version.
    Dry(Value),
}

impl Written {
    /// Waits for the disk and writes the answer.
    pub async fn answer(self, call: &Call, code: StatusCode) -> Result<Response<Body>, Failure> {
        match self {
            Written::Dry(value) => Ok(read::answer_tree(call, code, &value)),
            Written::Stored(object, durable) | Written::Removed(object, durable) => {
                settle(durable).await?;
                Ok(read::answer(call, code, &object))
            }
        }
    }

    /// The object as a tree in a resource's version, once it is durable.
    pub async fn tree(self, app: &App, resource: &Resource) -> Result<Value, Failure> {
        match self {
            Written::Dry(value) => Ok(value),
            Written::Stored(object, durable) | Written::Removed(object, durable) => {
                settle(durable).await?;
                Ok(convert::tree(app, resource, &object))
            }
        }
    }
}

/// Waits until a write is on disk.
pub async fn settle(durable: Option<Durable>) -> Result<(), Failure> {
    match durable {
        Some(durable) => durable.wait().await.map_err(|e| Failure::internal(e.to_string())),
        None => Ok(()),
    }
}

/// POST.
pub async fn create(call: &Call, body: &Bytes) -> Result<Response<Body>, Failure> {
    let mode = FieldValidation::of(call)?;
    let resource = &call.resource;
    let (mut value, mut problems) = body::object(call, body, &resource.api_version(), &resource.kind)?;
    types::drop_unknown(resource, &mut value, &mut problems)?;
    body::order_problems(call, body, &mut problems);
    let mut warnings = body::judge_problems(call, mode, problems)?;
    body::check_place(call, &mut value)?;
    let mut context = Context::of(call)?;
    let versioned = !matches!(meta::resource_version(&value), "" | "0") && !context.dry_run;
    // Said of what could be stored otherwise, so that comes first.
    context.dry_run |= versioned;
    let written = create_object(&call.app, resource, &context, value, &mut warnings).await;
    let written = match written {
        Err(failure) if !(versioned && failure.reason() == "AlreadyExists") => {
            return Err(failure.warned(&warnings));
        }
        _ if versioned => {
            let text = "resourceVersion should not be set on objects to be created";
            return Err(Failure::new(500, "", text).warned(&warnings));
        }
        written => written?,
    };
    let mut response = written.answer(call, StatusCode::CREATED).await?;
    respond::warn(&mut response, &warnings);
    Ok(response)
}

/// Creates an object that is already decoded.
pub async fn create_object(
    app: &Arc<App>,
    resource: &Arc<Resource>,
    context: &Context,
    value: Value,
    warnings: &mut Vec<String>,
) -> Result<Written, Failure> {
    create_proposal(app, resource, context, Proposal::update(value), warnings).await
}

/// Where the `managedFields` of a new object come from.
#[derive(Clone)]
enum Managed {
    /// The request carried them (or none).
    Requested(Option<Value>),
    /// Server-side apply computed them.
    Computed(Option<Value>),
}

/// Creates an object whose `managedFields` may already be computed.
pub async fn create_proposal(
    app: &Arc<App>,
    resource: &Arc<Resource>,
    context: &Context,
    proposal: Proposal,
    warnings: &mut Vec<String>,
) -> Result<Written, Failure> {
    let Proposal { mut value, owned } = proposal;
    if resource.custom.as_ref().is_some_and(|custom| custom.terminating) {
        return Err(Failure::new(
            405,
            "MethodNotAllowed",
            "create not allowed while custom resource definition is terminating",
        ));
    }
    types::default(resource, &mut value);
    strategy::normalize(resource, &mut value);
    let managed = fields::take(&mut value);
    let managed = if owned { Managed::Computed(managed) } else { Managed::Requested(managed) };
    begin(resource, &mut value);
    if &*resource.table == "limitranges"
        && meta::name(&value).is_empty()
        && meta::generate_name(&value).is_empty()
    {
        // These alone get a name without asking for one.
        meta::set_name(&mut value, &uuid::Uuid::new_v4().to_string());
    }
    let generate = meta::name(&value).is_empty() && !meta::generate_name(&value).is_empty();
    if !generate {
        return try_create(app, resource, context, value, managed, warnings).await;
    }
    for attempt in 0..NAME_ATTEMPTS {
        let mut candidate = value.clone();
        let base = meta::generate_name(&candidate).to_owned();
        meta::set_name(&mut candidate, &generated_name(&base));
        let result = try_create(app, resource, context, candidate, managed.clone(), warnings).await;
        match result {
            Err(failure) if failure.reason() == "AlreadyExists" => {
                if attempt + 1 == NAME_ATTEMPTS {
                    return Err(failure);
                }
            }
            other => return other,
        }
    }
    Err(Failure::internal("no generated name was free"))
}

async fn try_create(
    app: &Arc<App>,
    resource: &Arc<Resource>,
    context: &Context,
    mut value: Value,
    managed: Managed,
    warnings: &mut Vec<String>,
) -> Result<Written, Failure> {
    let namespace = meta::namespace(&value).unwrap_or_default().to_owned();
    let name = meta::name(&value).to_owned();
    match managed {
        Managed::Requested(managed) => {
            fields::on_write(resource, None, &mut value, managed, context)?;
        }
        Managed::Computed(managed) => fields::put(&mut value, managed),
    }
    admission::on_create(app, resource, context, &mut value)?;
    admission::webhooks::mutate(app, resource, context, &mut value, None, warnings).await?;
    strategy::prepare_create(resource, context, &mut value)?;
    strategy::modernize(resource, &mut value, warnings);
    let mut causes = types::validate(resource, "", &value, None);
    causes.extend(strategy::validate(app, resource, &value, None));
    if causes.is_empty() {
        // What holds for every kind is only asked of what its own kind accepts.
        causes = metadata::validate(resource, &value, None);
    }
    if !causes.is_empty() {
        return Err(invalid(resource, &value, &causes));
    }
    if resource.custom.is_none() {
        // What the server itself left out appears as the type writes it (an empty status).
        types::drop_unknown(resource, &mut value, &mut Vec::new())?;
    } else {
        // The original sets defaults whenever it reads what it stored, also those of the status that it left out.
        types::default(resource, &mut value);
    }
    about::about(resource, &value, None, warnings);
    admission::validate(app, resource, context, Some(&value), None, warnings).await?;
    let converted = conversion::draft(app, resource, &value).await?;
    let _counted = admission::reserve(app, resource, context, &value, None)?;
    let reserved = strategy::allocate(app, resource, &mut value, None, context.dry_run)?;
    if context.dry_run {
        if app.object(resource, &namespace, &name).is_some() {
            return Err(Failure::already_exists(&resource.group, &resource.name, &name));
        }
        return Ok(Written::Dry(value));
    }
    let draft = converted.unwrap_or_else(|| conversion::plain(resource, value));
    let key = resource.key(&namespace, &name);
    match app.store.commit(&resource.table, &key, Expect::Absent, Write::Put(draft)) {
        Ok((object, durable)) => {
            reserved.keep();
            if &*resource.table == "services" {
                automatic::service(app, None, Some(&object.value()));
            }
            after_write(app, resource, &object);
            Ok(Written::Stored(object, Some(durable)))
        }
        Err(_) => Err(Failure::already_exists(&resource.group, &resource.name, &name)),
    }
}

/// The system fields of a new object.
fn begin(resource: &Resource, value: &mut Value) {
    for field in
        ["resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"]
    {
        remove(value, &["metadata", field]);
    }
    set(value, &["metadata", "uid"], uuid::Uuid::new_v4().to_string().into());
    set(value, &["metadata", "creationTimestamp"], now().into());
    if strategy::has_generation(resource) {
        set(value, &["metadata", "generation"], 1.into());
    }
}

fn generated_name(base: &str) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut name: String = base.chars().take(58).collect();
    let mut random = rand::rng();
    for _ in 0..5 {
        let at = random.random_range(0..LETTERS.len());
        name.push(LETTERS.get(at).map_or('x', |b| *b as char));
    }
    name
}

/// 422 for an object of this resource.
pub fn invalid(resource: &Resource, value: &Value, causes: &[Cause]) -> Failure {
    Failure::invalid(&resource.group, &resource.kind, meta::name(value), causes)
}

/// PUT of the object or one of the subresources that hold the whole object.
pub async fn update(call: &Call, body: &Bytes) -> Result<Response<Body>, Failure> {
    let mode = FieldValidation::of(call)?;
    let resource = &call.resource;
    let (mut value, mut problems) = body::object(call, body, &resource.api_version(), &resource.kind)?;
    types::drop_unknown(resource, &mut value, &mut problems)?;
    body::order_problems(call, body, &mut problems);
    let mut warnings = body::judge_problems(call, mode, problems)?;
    body::check_place(call, &mut value)?;
    let context = Context::of(call)?;
    let (namespace, name) = (call.namespace(), call.name());
    if call.app.object(resource, namespace, name).is_none()
        && context.subresource.is_empty()
        && strategy::creates_on_update(resource)
    {
        let written = create_object(&call.app, resource, &context, value, &mut warnings).await?;
        return written.answer(call, StatusCode::CREATED).await;
    }
    if meta::resource_version(&value).is_empty()
        && !strategy::updates_blindly(resource)
        && call.app.object(resource, namespace, name).is_some()
    {
        let cause =
            Cause::invalid("metadata.resourceVersion", &Value::from(0), "must be specified for an update");
        // The original names the resource where a kind belongs.
        return Err(Failure::invalid(&resource.group, &resource.name, name, &[cause]));
    }
    let written = modify(&call.app, resource, namespace, name, &context, &mut warnings, |_| {
        Ok(Proposal::update(value.clone()))
    })
    .await;
    let written = written.map_err(|failure| failure.warned(&warnings))?;
    let mut response = written.answer(call, StatusCode::OK).await?;
    respond::warn(&mut response, &warnings);
    Ok(response)
}

/// A new state for an object, before the server's own rules.
pub struct Proposal {
    /// The object, in the request's version.
    pub value: Value,
    /// Whether `managedFields` are already computed (server-side apply).
    pub owned: bool,
}

impl Proposal {
    /// A plain new state.
    pub fn update(value: Value) -> Proposal {
        Proposal { value, owned: false }
    }
}

/// Reads, changes and writes an object until no other write comes between.
pub async fn modify(
    app: &Arc<App>,
    resource: &Arc<Resource>,
    namespace: &str,
    name: &str,
    context: &Context,
    warnings: &mut Vec<String>,
    mut change: impl FnMut(&Value) -> Result<Proposal, Failure> + Send,
) -> Result<Written, Failure> {
    let key = resource.key(namespace, name);
    for _ in 0..ATTEMPTS {
        let Some(current) = app.store.get(&resource.table, &key) else {
            return Err(Failure::not_found(&resource.group, &resource.name, name));
        };
        let live = convert::tree(app, resource, &current);
        let proposal = change(&live)?;
        let mut value = begin_update(resource, context, &live, proposal)?;
        admission::webhooks::mutate(app, resource, context, &mut value, Some(&live), warnings).await?;
        finish_update(app, resource, context, &live, &mut value)?;
        if context.subresource.is_empty() {
            about::about(resource, &value, Some(&live), warnings);
        }
        admission::validate(app, resource, context, Some(&value), Some(&live), warnings).await?;
        fields::keep_time_when_unchanged(&live, &mut value);
        let converted = conversion::draft(app, resource, &value).await?;
        let _counted = admission::reserve(app, resource, context, &value, Some(&live))?;
        let gone = ends_now(resource, &live, &value);
        let reserved = strategy::allocate(app, resource, &mut value, Some(&live), context.dry_run)?;
        if context.dry_run {
            return Ok(Written::Dry(value));
        }
        let draft = converted.unwrap_or_else(|| conversion::plain(resource, value));
        let expect = Expect::Revision(current.revision);
        if gone {
            let last = Arc::new(draft.finish(&key, current.revision));
            match app.store.commit(&resource.table, &key, expect, Write::Remove) {
                Ok((object, durable)) => {
                    after_remove(app, resource, &object);
                    return Ok(Written::Removed(last, Some(durable)));
                }
                Err(_) => continue,
            }
        }
        if draft.same_as(&current) {
            return Ok(Written::Stored(current, None));
        }
        match app.store.commit(&resource.table, &key, expect, Write::Put(draft)) {
            Ok((object, durable)) => {
                reserved.keep();
                if &*resource.table == "services" {
                    automatic::service(app, Some(&live), Some(&object.value()));
                }
                after_write(app, resource, &object);
                return Ok(Written::Stored(object, Some(durable)));
            }
            Err(_) => continue,
        }
    }
    Err(Failure::modified(&resource.group, &resource.name, name))
}

/// As [`modify`], for the server's own writes: nobody else is asked, so nothing has to be waited for.
pub fn modify_now(
    app: &Arc<App>,
    resource: &Arc<Resource>,
    namespace: &str,
    name: &str,
    context: &Context,
    change: impl FnMut(&Value) -> Result<Proposal, Failure> + Send,
) -> Result<Written, Failure> {
    let mut warnings = Vec::new();
    let write = modify(app, resource, namespace, name, context, &mut warnings, change);
    write.now_or_never().unwrap_or_else(|| Err(Failure::internal("a write of the server itself had to wait")))
}

/// The new state as it was asked for, with its managed fields.
fn begin_update(
    resource: &Arc<Resource>,
    context: &Context,
    live: &Value,
    proposal: Proposal,
) -> Result<Value, Failure> {
    let Proposal { mut value, owned } = proposal;
    let name = meta::name(live).to_owned();
    let asked = meta::resource_version(&value).to_owned();
    if !asked.is_empty() && asked != meta::resource_version(live) {
        if asked.parse::<u64>().is_err() {
            let text = format!("strconv.ParseUint: parsing {asked:?}: invalid syntax");
            return Err(Failure::new(500, "", text));
        }
        return Err(Failure::modified(&resource.group, &resource.name, &name));
    }
    let uid = meta::uid(&value).to_owned();
    if !uid.is_empty() && uid != meta::uid(live) {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            meta::uid(live)
        );
        return Err(Failure::conflict(&resource.group, &resource.name, &name, &why));
    }
    types::default(resource, &mut value);
    let managed = if owned { None } else { fields::take(&mut value) };
    let owned_fields = if owned { fields::take(&mut value) } else { None };
    restore_system_fields(live, &mut value);
    strategy::normalize(resource, &mut value);
    if owned {
        fields::put(&mut value, owned_fields);
    } else {
        fields::on_write(resource, Some(live), &mut value, managed, context)?;
    }
    Ok(value)
}

/// What the server itself adds to a new state, and whether it is valid.
fn finish_update(
    app: &Arc<App>,
    resource: &Arc<Resource>,
    context: &Context,
    live: &Value,
    value: &mut Value,
) -> Result<(), Failure> {
    strategy::prepare_update(resource, context, live, value)?;
    let bumped = strategy::has_generation(resource)
        && strategy::spec_changed(resource, &context.subresource, live, value);
    if bumped {
        set(value, &["metadata", "generation"], (meta::generation(live) + 1).into());
    }
    // What is wrong with metadata is said twice, by the rules of every kind and by those of the kind.
    let mut causes = metadata::validate(resource, value, Some(live));
    causes.extend(types::validate(resource, &context.subresource, value, Some(live)));
    causes.extend(strategy::validate(app, resource, value, Some(live)));
    if !causes.is_empty() {
        return Err(invalid(resource, value, &causes));
    }
    Ok(())
}

/// Fields that only the server writes.
fn restore_system_fields(live: &Value, value: &mut Value) {
    const FIELDS: &[&str] = &[
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "resourceVersion",
        "generateName",
    ];
    for field in FIELDS {
        match object::get(live, &["metadata", field]) {
            Some(old) => set(value, &["metadata", field], old.clone()),
            None => {
                remove(value, &["metadata", field]);
            }
        }
    }
    remove(value, &["metadata", "selfLink"]);
}

/// Whether an object that is being deleted has nothing left to wait for.
fn ends_now(resource: &Resource, live: &Value, value: &Value) -> bool {
    if meta::deletion_timestamp(live).is_none() || meta::finalizers(value).next().is_some() {
        return false;
    }
    if resource.group.is_empty() && &*resource.name == "namespaces" {
        let left = object::get(value, &["spec", "finalizers"]).and_then(Value::as_array);
        return left.is_none_or(Vec::is_empty);
    }
    object::get_i64(live, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) == 0
}

/// What follows from a stored object.
pub fn after_write(app: &Arc<App>, resource: &Resource, object: &Arc<Object>) {
    match &*resource.table {
        crd::TABLE => crd::changed(app, object),
        // Where controllers run, those that sign do.
        certificates::TABLE if app.options.service_accounts => certificates::sign(app, object),
        // Also called by what it writes, which changes nothing any more.
        rbac::ROLES if app.options.service_accounts => rbac::aggregate(app),
        table if admission::webhooks::is_configuration(table) => admission::webhooks::reload(app),
        _ => {}
    }
}

/// What follows from a removed object.
pub fn after_remove(app: &Arc<App>, resource: &Resource, object: &Arc<Object>) {
    match &*resource.table {
        crd::TABLE => crd::changed(app, object),
        rbac::ROLES if app.options.service_accounts => rbac::aggregate(app),
        table if admission::webhooks::is_configuration(table) => admission::webhooks::reload(app),
        "services" => {
            let last = object.value();
            app.allocator.lock().release(&last);
            automatic::service(app, Some(&last), None);
        }
        table => automatic::after_remove(app, table, object),
    }
}

/// A `Status` that says that all is well.
pub fn success(resource: &Resource, name: &str, uid: &str) -> Value {
    let mut details = json!({"name": name, "kind": *resource.name, "uid": uid});
    if !resource.group.is_empty() {
        details["group"] = (*resource.group).into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
