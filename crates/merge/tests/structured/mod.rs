//! Runs the tables of Kubernetes' own structured merge; shared with `cargo xtask conformance ssa`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use merge::{Failure, FieldSet, Owners, Updater, Versions};
use object::Value;
use schema::{Field, ListKind, ListType, MapType, Node, NodeId, Scalar, Schema, TypeRef};

/// Reads a schema in the form of the suite.
struct Reader<'a> {
    types: HashMap<&'a str, &'a Value>,
    nodes: Vec<Node>,
    named: HashMap<String, NodeId>,
}

impl<'a> Reader<'a> {
    fn named(&mut self, name: &str) -> NodeId {
        if let Some(id) = self.named.get(name) {
            return *id;
        }
        let id = self.push(Node::default());
        self.named.insert(name.to_owned(), id);
        let node = match name {
            "__untyped_atomic_" if !self.types.contains_key(name) => Node::untyped_atomic(id),
            "__untyped_deduced_" if !self.types.contains_key(name) => {
                let untyped = self.named("__untyped_atomic_");
                Node::deduced_separable(id, untyped)
            }
            _ => self.atom(self.types[name]),
        };
        self.nodes[id as usize] = node;
        id
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        (self.nodes.len() - 1) as NodeId
    }

    fn reference(&mut self, value: &'a Value) -> NodeId {
        let id = match value.get("namedType").and_then(Value::as_str) {
            Some(name) => self.named(name),
            None => {
                let node = self.atom(value);
                self.push(node)
            }
        };
        match value.get("elementRelationship").and_then(Value::as_str) {
            Some(relation) => {
                let mut node = self.nodes[id as usize].clone();
                if let Some(map) = &mut node.map {
                    map.atomic = relation == "atomic";
                }
                if let Some(list) = &mut node.list {
                    let named = value.get("namedType").and_then(Value::as_str);
                    let raw = named.map_or(value, |name| self.types[name]);
                    let keys = raw["list"]["keys"].as_array().into_iter().flatten();
                    let keys: Vec<String> = keys.map(|key| key.as_str().unwrap().to_owned()).collect();
                    list.kind = match relation {
                        "atomic" => ListKind::Atomic,
                        _ if keys.is_empty() => ListKind::Set,
                        _ => ListKind::Map(keys),
                    };
                }
                self.push(node)
            }
            None => id,
        }
    }

    fn atom(&mut self, value: &'a Value) -> Node {
        let mut node = Node::default();
        if let Some(scalar) = value.get("scalar").and_then(Value::as_str) {
            node.scalar = Some(match scalar {
                "string" => Scalar::String,
                "numeric" => Scalar::Number,
                "boolean" => Scalar::Boolean,
                _ => Scalar::Untyped,
            });
        }
        if let Some(list) = value.get("list") {
            let keys: Vec<String> = list["keys"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|k| k.as_str().unwrap().to_owned())
                .collect();
            let kind = match list["elementRelationship"].as_str() {
                Some("associative") if keys.is_empty() => ListKind::Set,
                Some("associative") => ListKind::Map(keys),
                _ => ListKind::Atomic,
            };
            node.list = Some(ListType { item: self.reference(&list["elementType"]), kind });
        }
        if let Some(map) = value.get("map") {
            let mut typed = MapType { atomic: map["elementRelationship"] == "atomic", ..MapType::default() };
            for field in map["fields"].as_array().into_iter().flatten() {
                let node = self.reference(&field["type"]);
                let default = field.get("default").filter(|default| !default.is_null()).cloned();
                typed.fields.insert(
                    field["name"].as_str().unwrap().to_owned(),
                    Field { node, default, ..Field::default() },
                );
            }
            typed.element = map
                .get("elementType")
                .filter(|element| !element.is_null())
                .map(|element| self.reference(element));
            node.map = Some(typed);
        }
        node
    }
}

fn type_of(schema: &Value, name: &str) -> Option<TypeRef> {
    let types: HashMap<&str, &Value> = schema["types"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["name"].as_str().unwrap(), entry))
        .collect();
    types.get(name)?;
    let mut reader = Reader { types, nodes: Vec::new(), named: HashMap::new() };
    let id = reader.named(name);
    Some(TypeRef::new(Arc::new(Schema::new(reader.nodes)), id))
}

struct Suite {
    schema: Option<Value>,
    root: Option<String>,
    same: bool,
}

impl Versions for Suite {
    fn type_of(&self, version: &str) -> Option<TypeRef> {
        match (&self.schema, &self.root) {
            (None, _) => Some(TypeRef::deduced()),
            (Some(schema), Some(root)) => type_of(schema, root),
            (Some(schema), None) => type_of(schema, version),
        }
    }

    fn convert(&self, object: &Value, version: &str) -> Result<Option<Value>, String> {
        Ok((self.same || self.type_of(version).is_some()).then(|| object.clone()))
    }
}

fn parse(text: &str) -> Value {
    yaml::from_str(text).unwrap()
}

fn set_of(paths: &Value) -> FieldSet {
    let mut set = FieldSet::new();
    for path in paths.as_array().unwrap() {
        let path: Vec<merge::Element> = path
            .as_array()
            .unwrap()
            .iter()
            .map(|step| merge::Element::parse(step.as_str().unwrap()).unwrap())
            .collect();
        set.insert(&path);
    }
    set
}

fn run(case: &Value, schemas: &Value) -> Result<(), String> {
    let named = case["schema"].as_str().unwrap();
    let suite = match schemas.get(named) {
        Some(entry) if entry.get("schema").is_some_and(Value::is_string) => Suite {
            schema: Some(parse(entry["schema"].as_str().unwrap())),
            root: entry["type"].as_str().map(str::to_owned),
            same: entry["sameVersion"] == true,
        },
        _ => Suite { schema: None, root: None, same: true },
    };
    let ignored = FieldSet::new();
    let updater = Updater { versions: &suite, ignored: &ignored };
    let mut live = Value::Null;
    let mut owners: Owners<String> = BTreeMap::new();
    for (index, op) in case["ops"].as_array().unwrap().iter().enumerate() {
        let kind = op["op"].as_str().unwrap();
        let version = op["apiVersion"].as_str().unwrap_or("v1");
        let manager = op["manager"].as_str().unwrap().to_owned();
        let mut object = parse(op["object"].as_str().unwrap());
        let ty = suite.type_of(version).ok_or("no type")?;
        let expects = op.get("conflicts").and_then(Value::as_array).filter(|list| !list.is_empty());
        if kind == "update" {
            let errors = merge::check(&ty, &object, true);
            if !errors.is_empty() {
                return Err(format!("op {index}: {errors:?}"));
            }
            owners = updater
                .update(&live, &object, version, owners, &manager)
                .map_err(|e| format!("op {index}: {e:?}"))?;
            live = object;
            continue;
        }
        if kind == "extract-apply"
            && let Some(owned) = owners.get(&manager)
        {
            let part = merge::extract(&ty, &live, &owned.set);
            object = merge::merge(&ty, &part, &object).map_err(|e| format!("op {index}: {e}"))?;
        }
        let errors = merge::check(&ty, &object, false);
        if !errors.is_empty() {
            return Err(format!("op {index}: {errors:?}"));
        }
        match updater.apply(&live, &object, version, owners.clone(), &manager, kind == "force-apply") {
            Ok((new, next)) => {
                if expects.is_some() {
                    return Err(format!("op {index}: a conflict was expected"));
                }
                owners = next;
                live = new.unwrap_or(live);
            }
            Err(Failure::Conflicts(found)) => {
                let Some(expected) = expects else {
                    return Err(format!("op {index}: unexpected conflicts {found:?}"));
                };
                let mut found: Vec<(String, FieldSet)> = found
                    .into_iter()
                    .map(|(m, p)| {
                        let mut s = FieldSet::new();
                        s.insert(&p);
                        (m, s)
                    })
                    .collect();
                for conflict in expected {
                    let wanted = (
                        conflict["manager"].as_str().unwrap_or_default().to_owned(),
                        set_of(&Value::Array(vec![conflict["path"].clone()])),
                    );
                    match found.iter().position(|f| *f == wanted) {
                        Some(at) => {
                            found.remove(at);
                        }
                        None => {
                            return Err(format!("op {index}: conflict {conflict} not found in {found:?}"));
                        }
                    }
                }
                if !found.is_empty() {
                    return Err(format!("op {index}: more conflicts {found:?}"));
                }
            }
            Err(Failure::Broken(message)) => return Err(format!("op {index}: {message}")),
        }
    }
    if let Some(expected) = case["expectedObject"].as_str() {
        let expected = parse(expected);
        if expected != live {
            return Err(format!("object is {live}, not {expected}"));
        }
    }
    if let Some(managers) = case["expectedManagers"].as_object() {
        let names: Vec<&String> = owners.keys().collect();
        if names != managers.keys().collect::<Vec<_>>() {
            return Err(format!("managers are {names:?}, not {:?}", managers.keys()));
        }
        for (name, wanted) in managers {
            let owned = &owners[name];
            if owned.set != set_of(&wanted["paths"])
                || owned.api_version != wanted["apiVersion"].as_str().unwrap()
            {
                return Err(format!(
                    "{name} owns {} in {}, not {wanted}",
                    owned.set.to_fields_v1(),
                    owned.api_version
                ));
            }
        }
    }
    Ok(())
}

/// The outcome of every case of a suite's file.
pub fn outcomes(path: &Path) -> Vec<(String, Result<(), String>)> {
    let suite: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = suite["cases"].as_array().unwrap().iter();
    let outcome = |case: &Value| {
        let wants_error = case["expectError"] == true;
        let outcome = match run(case, &suite["schemas"]) {
            Err(error) if wants_error && error.starts_with("op ") => Ok(()),
            Ok(()) if wants_error => Err("an error was expected".to_owned()),
            other => other,
        };
        (case["name"].as_str().unwrap().to_owned(), outcome)
    };
    cases.map(outcome).collect()
}
