//! The objects of a build, in order, found by identity.

use crate::error::Error;
use crate::ids::{Gvk, ResId};
use crate::resource::{Behavior, Resource};
use crate::schema::Schema;
use crate::selector::{Selector, SelectorMatcher};
use crate::tree::Node;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

type IdKey = (Gvk, String, String);

/// The objects.
#[derive(Debug, Clone)]
pub(crate) struct ResMap {
    list: Vec<Resource>,
    schema: Arc<Schema>,
    /// Current identities; `None` when they may have changed.
    ids: Option<HashSet<IdKey>>,
    /// Positions by every name an object has or had; `None` when they may have changed.
    names: Option<HashMap<String, Vec<usize>>>,
}

impl ResMap {
    pub fn new(schema: Arc<Schema>) -> ResMap {
        ResMap { list: Vec::new(), schema, ids: Some(HashSet::new()), names: None }
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Uses the table that has been chosen by now.
    pub fn use_schema(&mut self, schema: &Arc<Schema>) {
        if !Arc::ptr_eq(&self.schema, schema) {
            self.schema = schema.clone();
            self.ids = None;
        }
    }

    pub fn list(&self) -> &[Resource] {
        &self.list
    }

    /// The objects, to change them in any way.
    pub fn list_mut(&mut self) -> &mut Vec<Resource> {
        self.ids = None;
        self.names = None;
        &mut self.list
    }

    /// The objects, to change what is neither kind nor name.
    pub fn contents_mut(&mut self) -> &mut [Resource] {
        &mut self.list
    }

    pub fn into_list(self) -> Vec<Resource> {
        self.list
    }

    fn ids(&mut self) -> &mut HashSet<IdKey> {
        let (list, schema) = (&self.list, &self.schema);
        self.ids
            .get_or_insert_with(|| list.iter().map(|resource| resource.current_id(schema).key()).collect())
    }

    /// Adds an object whose identity is not there yet.
    pub fn append(&mut self, resource: Resource) -> Result<(), Error> {
        let id = resource.current_id(&self.schema);
        if !self.ids().insert(id.key()) {
            return Err(Error::new(format!("may not add resource with an already registered id: {id}"))
                .of_resource(id.to_string()));
        }
        if let Some(names) = &mut self.names {
            let at = self.list.len();
            for name in names_of(&resource) {
                names.entry(name).or_default().push(at);
            }
        }
        self.list.push(resource);
        Ok(())
    }

    pub fn append_all(&mut self, resources: Vec<Resource>) -> Result<(), Error> {
        resources.into_iter().try_for_each(|resource| self.append(resource))
    }

    /// Refuses two objects of one identity, which renaming may have made.
    pub fn check_unique(&mut self) -> Result<(), Error> {
        if self.ids.is_some() {
            return Ok(());
        }
        let mut ids = HashSet::with_capacity(self.list.len());
        for resource in &self.list {
            let id = resource.current_id(&self.schema);
            if !ids.insert(id.key()) {
                return Err(Error::new(format!("may not add resource with an already registered id: {id}"))
                    .of_resource(id.to_string()));
            }
        }
        self.ids = Some(ids);
        Ok(())
    }

    /// Positions of the objects that have or had this identity.
    pub fn by_any_id(&mut self, id: &ResId) -> Vec<usize> {
        self.named(&id.name)
            .into_iter()
            .filter(|at| self.list.get(*at).is_some_and(|one| !one.deleted && one.has_id(id, &self.schema)))
            .collect()
    }

    /// Positions of the objects that have or had this name.
    pub fn named(&mut self, name: &str) -> Vec<usize> {
        let list = &self.list;
        let names = self.names.get_or_insert_with(|| {
            let mut names: HashMap<String, Vec<usize>> = HashMap::new();
            for (at, resource) in list.iter().enumerate() {
                for name in names_of(resource) {
                    names.entry(name).or_default().push(at);
                }
            }
            names
        });
        names.get(name).cloned().unwrap_or_default()
    }

    /// The one object that has or had this identity.
    pub fn get_by_id(&mut self, id: &ResId) -> Result<usize, Error> {
        let found = self.by_any_id(id);
        let problem = match found.as_slice() {
            [one] => return Ok(*one),
            [] => "no matches",
            _ => "multiple matches",
        };
        Err(Error::new(format!("{problem} for Id {id}; failed to find unique target for patch {id}"))
            .of_resource(id.to_string()))
    }

    /// The object at a position, to change what is neither kind nor name.
    pub fn at_mut(&mut self, at: usize) -> Option<&mut Resource> {
        self.list.get_mut(at)
    }

    /// Forgets what it knows of names: they have changed.
    pub fn names_changed(&mut self) {
        self.ids = None;
        self.names = None;
    }

    /// Drops objects that patches deleted or emptied.
    pub fn drop_empty(&mut self) {
        if self.list.iter().any(|resource| resource.deleted || resource.node.is_empty()) {
            self.list_mut().retain(|resource| !resource.deleted && !resource.node.is_empty());
        }
    }

    /// Takes in generated objects: new ones, and those that replace or add to others.
    pub fn absorb(&mut self, resources: Vec<Resource>) -> Result<(), Error> {
        for mut resource in resources {
            let id = resource.current_id(&self.schema);
            let matches = self.by_any_id(&id);
            match matches.as_slice() {
                [] => {
                    if matches!(resource.behavior, Behavior::Merge | Behavior::Replace) {
                        return Err(Error::new(format!(
                            "id {} does not exist; cannot merge or replace",
                            go_id(&id)
                        ))
                        .of_resource(id.to_string()));
                    }
                    self.append(resource)?;
                }
                [at] => {
                    let Some(old) = self.list.get(*at) else { continue };
                    replace_or_merge(&mut resource, old, &id)?;
                    let id = resource.current_id(&self.schema);
                    let same: Vec<usize> = self
                        .named(&id.name)
                        .into_iter()
                        .filter(|at| {
                            self.list.get(*at).is_some_and(|one| one.current_id(&self.schema).equals(&id))
                        })
                        .collect();
                    match same.as_slice() {
                        [found] if found == at => {}
                        [_] => return Err(Error::new("unexpected target index in replacement")),
                        [] => {
                            return Err(Error::new(format!("cannot find resource with id {id} to replace")));
                        }
                        many => {
                            return Err(Error::new(format!(
                                "in Replace: id matched {} resources",
                                many.len()
                            )));
                        }
                    }
                    if let Some(slot) = self.list_mut().get_mut(*at) {
                        *slot = resource;
                    }
                }
                _ => {
                    let found: Vec<String> =
                        matches.iter().filter_map(|at| self.list.get(*at)).map(Resource::to_json).collect();
                    return Err(Error::new(format!(
                        "found multiple objects [{}] that could accept merge of {id}",
                        found.join(" ")
                    ))
                    .of_resource(id.to_string()));
                }
            }
        }
        Ok(())
    }

    /// Positions of the objects that a selector fits.
    pub fn select(&self, selector: &Selector) -> Result<Vec<usize>, Error> {
        let matcher = SelectorMatcher::new(selector)?;
        let mut found = Vec::new();
        for (at, resource) in self.list.iter().enumerate() {
            if matcher.matches_resource(resource, &self.schema)? {
                found.push(at);
            }
        }
        Ok(found)
    }
}

fn names_of(resource: &Resource) -> Vec<String> {
    let mut names = vec![resource.name().to_owned()];
    for previous in &resource.previous {
        if !names.contains(&previous.name) {
            names.push(previous.name.clone());
        }
    }
    names
}

/// Go's `%#v` of an identity, which some messages print.
fn go_id(id: &ResId) -> String {
    format!(
        "resid.ResId{{Gvk:resid.Gvk{{Group:{:?}, Version:{:?}, Kind:{:?}, isClusterScoped:{}}}, Name:{:?}, Namespace:{:?}}}",
        id.gvk.group, id.gvk.version, id.gvk.kind, id.cluster_scoped, id.name, id.namespace
    )
}

fn replace_or_merge(resource: &mut Resource, old: &Resource, id: &ResId) -> Result<(), Error> {
    match resource.behavior {
        Behavior::Replace => resource.copy_merge_meta_from(old),
        Behavior::Merge => {
            let origin = old.annotation(crate::resource::ORIGIN).map(str::to_owned);
            let mut data = data_map(old, "data");
            if resource.api_version() == "v1" && resource.kind() == "Secret" {
                add_string_data(old, &mut data).map_err(|error| {
                    Error::new(format!("failed to normalize stringData for {id}: {error}"))
                })?;
            }
            resource.copy_merge_meta_from(old);
            data.extend(data_map(resource, "data"));
            let mut binary = data_map(old, "binaryData");
            binary.extend(data_map(resource, "binaryData"));
            crate::generate::set_data_map(&mut resource.node, data);
            crate::generate::set_binary_data_map(&mut resource.node, binary);
            if let Some(origin) = origin {
                resource.set_annotation(crate::resource::ORIGIN, &origin);
            }
        }
        behavior => {
            return Err(Error::new(format!(
                "id {} exists; can not use behavior: '{}', behavior must be merge or replace",
                go_id(id),
                go_behavior(behavior)
            ))
            .of_resource(id.to_string()));
        }
    }
    Ok(())
}

fn go_behavior(behavior: Behavior) -> &'static str {
    behavior.name()
}

fn data_map(resource: &Resource, field: &str) -> std::collections::BTreeMap<String, String> {
    let fields = resource.node.get(field).map_or(&[][..], Node::fields);
    fields.iter().map(|(key, value)| (key.as_str().to_owned(), value.value_text().to_owned())).collect()
}

fn add_string_data(
    old: &Resource,
    data: &mut std::collections::BTreeMap<String, String>,
) -> Result<(), String> {
    let Some(strings) = old.node.get("stringData").filter(|node| !node.is_null()) else { return Ok(()) };
    for (key, value) in strings.fields() {
        if !matches!(value, Node::Scalar(_)) {
            return Err(format!("read stringData: stringData value for key {key:?} must be a scalar"));
        }
        data.insert(key.as_str().to_owned(), crate::generate::encode_base64(value.value_text().as_bytes()));
    }
    Ok(())
}
