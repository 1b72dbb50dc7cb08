//! `vars`: values of fields put into other fields by name.

use crate::error::Error;
use crate::fieldspec::{self, Create, FieldSpec};
use crate::ids::ResId;
use crate::kustomization::Var;
use crate::paths;
use crate::target::Accumulator;
use crate::tree::{self, Node, Tag};
use std::collections::{BTreeMap, HashSet};

/// Notes a kustomization's variables and the objects they look at.
pub(crate) fn add(acc: &mut Accumulator, vars: &[Var]) -> Result<(), Error> {
    let schema = acc.map.schema().clone();
    for original in vars {
        let var = with_defaults(original);
        let id = ResId::new(var.objref.gvk.clone(), &var.objref.name, &var.objref.namespace, &schema);
        let strict = !id.namespace.is_empty() || id.cluster_scoped;
        let fits =
            |one: &ResId| if strict { one.equals(&id) } else { one.name == id.name && one.gvk == id.gvk };
        let mut matched = Vec::new();
        for at in acc.map.named(&id.name) {
            let Some(resource) = acc.map.list().get(at) else { continue };
            if fits(&resource.current_id(&schema)) || resource.previous_ids(&schema).iter().any(fits) {
                matched.push(at);
            }
        }
        if matched.len() > 1 {
            return Err(Error::new(format!(
                "found {} resId matches for var {} (unable to disambiguate)",
                matched.len(),
                shown(&Var { fieldref: original.fieldref.clone(), ..var })
            )));
        }
        if let Some(resource) = matched.first().and_then(|at| acc.map.at_mut(*at)) {
            resource.var_names.push(var.name.clone());
        }
    }
    for var in vars {
        let var = with_defaults(var);
        if acc.vars.contains_key(&var.name) {
            return Err(Error::new(format!("var '{}' already encountered", var.name)));
        }
        acc.vars.insert(var.name.clone(), var);
    }
    Ok(())
}

fn with_defaults(var: &Var) -> Var {
    let mut var = var.clone();
    if var.fieldref.field_path.is_empty() {
        "metadata.name".clone_into(&mut var.fieldref.field_path);
    }
    let api_version = var.objref.api_version.clone();
    if !api_version.is_empty() {
        let parts: Vec<&str> = api_version.split('/').collect();
        match parts.as_slice() {
            [group, version] => {
                (*group).clone_into(&mut var.objref.gvk.group);
                (*version).clone_into(&mut var.objref.gvk.version);
            }
            [version] => (*version).clone_into(&mut var.objref.gvk.version),
            _ => {}
        }
    }
    var
}

/// A variable as messages show it.
fn shown(var: &Var) -> String {
    format!("{{{} {} {{{}}}}}", var.name, var.objref.gvk, var.fieldref.field_path)
}

/// A kustomization's variables as messages show them.
pub(crate) fn shown_all(vars: &[Var]) -> String {
    format!("[{}]", vars.iter().map(shown).collect::<Vec<_>>().join(" "))
}

/// Puts the values of all variables where they are asked for; answers a warning about unused ones.
pub(crate) fn resolve(acc: &mut Accumulator) -> Result<Option<String>, Error> {
    if acc.vars.is_empty() {
        return Ok(None);
    }
    let mut values: BTreeMap<String, Option<Node>> = BTreeMap::new();
    for var in acc.vars.values() {
        values.insert(var.name.clone(), value_of(acc, var)?);
    }
    let specs: Vec<FieldSpec> = acc.tables.var_reference.clone();
    let mut used = HashSet::new();
    for resource in acc.map.contents_mut() {
        for spec in &specs {
            fieldspec::apply(spec, &mut resource.node, Create::No, &mut |node| {
                set(node, &values, &mut used)
            })?;
        }
    }
    acc.map.names_changed();
    let unused: Vec<&str> = values.keys().filter(|name| !used.contains(*name)).map(String::as_str).collect();
    if unused.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!("well-defined vars that were never replaced: {}", unused.join(","))))
}

/// The value of the field a variable looks at; `None` for one that cannot be put into a text.
fn value_of(acc: &Accumulator, var: &Var) -> Result<Option<Node>, Error> {
    let holder = acc.map.list().iter().find(|resource| resource.var_names.contains(&var.name));
    let Some(resource) = holder else {
        return Err(Error::new(format!(
            "var '{}' cannot be mapped to a field in the set of known resources",
            shown(var)
        ))
        .in_field("vars"));
    };
    let path = slice_indices(fieldspec::split_path_brackets(&var.fieldref.field_path));
    match paths::lookup(&resource.node, &path) {
        Ok(Some(Node::Scalar(scalar))) => Ok(Some(Node::Scalar(scalar.clone()))),
        Ok(Some(_)) => Ok(None),
        _ => Err(Error::new(format!(
            "field specified in var '{}' not found in corresponding resource",
            shown(var)
        ))
        .in_field("vars")),
    }
}

/// `ports[0]` as two parts.
fn slice_indices(path: Vec<String>) -> Vec<String> {
    let mut result = Vec::with_capacity(path.len());
    for part in path {
        let split = part.strip_suffix(']').and_then(|inner| inner.rsplit_once('['));
        match split {
            Some((name, index)) if !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) => {
                if !name.is_empty() {
                    result.push(name.to_owned());
                }
                result.push(index.to_owned());
            }
            _ => result.push(part),
        }
    }
    result
}

fn set(
    node: &mut Node,
    values: &BTreeMap<String, Option<Node>>,
    used: &mut HashSet<String>,
) -> Result<(), Error> {
    if node.is_null() {
        return Ok(());
    }
    match node {
        Node::Scalar(_) => {
            if node.is_string() {
                *node = expand(node, values, used);
            }
            Ok(())
        }
        Node::Map(fields) => {
            for (_, value) in fields {
                if value.is_string() {
                    *value = expand(value, values, used);
                }
            }
            Ok(())
        }
        Node::Seq(items) => {
            for item in items {
                if !item.is_string() {
                    return Err(Error::new("invalid value type expect a string"));
                }
                *item = expand(item, values, used);
            }
            Ok(())
        }
    }
}

/// Replaces every `$(NAME)`; `$$` is a dollar.
fn expand(node: &Node, values: &BTreeMap<String, Option<Node>>, used: &mut HashSet<String>) -> Node {
    let text = node.text();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        let after = from.get(1..).unwrap_or("");
        if after.is_empty() {
            break;
        }
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some(inner) = after.strip_prefix('(') {
            match inner.find(')') {
                Some(end) => {
                    let name = inner.get(..end).unwrap_or("");
                    if let Some(Some(value)) = values.get(name) {
                        used.insert(name.to_owned());
                        if text.len() == name.len() + 3 {
                            return whole(value);
                        }
                        out.push_str(value.text());
                    } else {
                        out.push_str("$(");
                        out.push_str(name);
                        out.push(')');
                    }
                    rest = inner.get(end + 1..).unwrap_or("");
                }
                None => {
                    out.push_str("$(");
                    rest = inner;
                }
            }
        } else {
            out.push('$');
            let mut chars = after.chars();
            if let Some(next) = chars.next() {
                out.push(next);
            }
            rest = chars.as_str();
        }
    }
    out.push_str(rest);
    Node::string(out)
}

/// A variable that is the whole text keeps its type.
fn whole(value: &Node) -> Node {
    let Node::Scalar(scalar) = value else { return value.clone() };
    match scalar.tag {
        Tag::Int | Tag::Float | Tag::Bool => match tree::to_value(value) {
            Ok(json) if !json.is_string() => tree::from_value(&json),
            _ => Node::string(&scalar.text),
        },
        _ => Node::string(&scalar.text),
    }
}
