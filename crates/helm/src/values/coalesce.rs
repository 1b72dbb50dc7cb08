//! Bringing together the values of a chart, its subcharts and the user.
//!
//! This works on the shared maps of the template engine, because Helm's own maps are shared too: a table
//! below `global` is the same one for a chart and its subcharts, and what one of them adds, the others see.

use crate::dependencies::{Forest, Index};
use gotemplate::{Elem, Map, Str, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A table of values.
pub(crate) type Table = Rc<Map>;

/// What Helm logs while it goes on.
pub(crate) type Warnings = Vec<String>;

/// An empty table.
pub(crate) fn table() -> Table {
    Rc::new(Map::new(Elem::Any, BTreeMap::new()))
}

/// A table of [`super::Values`].
pub(crate) fn from_values(values: &super::Values) -> Table {
    let out = table();
    for (key, value) in values.as_map() {
        out.insert(key.as_str(), Value::from_json(value));
    }
    out
}

/// A copy of a table and the tables below it. Lists are shared: nothing writes into one while values are
/// brought together.
pub(crate) fn copy(source: &Table) -> Table {
    let entries = source.borrow().iter().map(|(key, value)| (key.clone(), copy_value(value))).collect();
    Rc::new(Map::new(Elem::Any, entries))
}

fn copy_value(value: &Value) -> Value {
    match value {
        Value::Map(map) => Value::Map(copy(map)),
        other => other.clone(),
    }
}

/// A copy of the topmost table alone.
fn shallow(source: &Table) -> Table {
    Rc::new(Map::new(Elem::Any, source.borrow().clone()))
}

fn prefixed(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// The values of a chart and its subcharts under `values`. With `merge`, nulls stay for a later pass;
/// without, they remove the chart's own value of that name.
pub(crate) fn chart_values(
    forest: &Forest<'_>,
    chart: Index,
    values: &Table,
    merge: bool,
    warnings: &mut Warnings,
) -> Result<Table, String> {
    let out = copy(values);
    coalesce(forest, chart, &out, "", merge, warnings)?;
    Ok(out)
}

fn coalesce(
    forest: &Forest<'_>,
    chart: Index,
    into: &Table,
    prefix: &str,
    merge: bool,
    warnings: &mut Warnings,
) -> Result<(), String> {
    own_values(forest, chart, into, prefix, merge, warnings);
    let inner_prefix = prefixed(prefix, forest.name(chart));
    for child in forest.children(chart) {
        let name = forest.name(*child);
        let inner = match into.get(name) {
            None => {
                let fresh = table();
                into.insert(name, Value::Map(fresh.clone()));
                fresh
            }
            Some(Value::Map(inner)) => inner,
            Some(other) => return Err(format!("type mismatch on {name}: {}", percent_t(&other))),
        };
        globals(&inner, into, &inner_prefix, warnings);
        coalesce(forest, *child, &inner, &inner_prefix, merge, warnings)?;
    }
    Ok(())
}

/// Puts the chart's own values below what is already there.
fn own_values(
    forest: &Forest<'_>,
    chart: Index,
    into: &Table,
    prefix: &str,
    merge: bool,
    warnings: &mut Warnings,
) {
    let Some(own) = forest.values(chart) else { return };
    let prefix = prefixed(prefix, forest.name(chart));
    let own = copy(&own);
    for (key, value) in own.entries() {
        let Some(given) = into.get_bytes(key.as_bytes()) else {
            into.insert(key, value);
            continue;
        };
        match (given, value) {
            (Value::Nil, _) if !merge => {
                into.remove(&key);
            }
            (Value::Map(given), Value::Map(value)) => {
                let name = key.to_text();
                let merge = merge || forest.children(chart).iter().any(|child| forest.name(*child) == name);
                merge_tables(&given, &value, &prefixed(&prefix, &name), merge, warnings);
            }
            (Value::Map(_), Value::Nil) => {}
            (Value::Map(_), _) => {
                warnings.push(format!("warning: skipped value for {prefix}.{key}: Not a table."));
            }
            _ => {}
        }
    }
}

/// Hands the parent's globals down.
fn globals(into: &Table, from: &Table, prefix: &str, warnings: &mut Warnings) {
    const KEY: &str = "global";
    let given = match into.get(KEY) {
        None => table(),
        Some(Value::Map(given)) => given,
        Some(_) => {
            warnings.push("warning: skipping globals because destination global is not a table.".into());
            return;
        }
    };
    let source = match from.get(KEY) {
        None => table(),
        Some(Value::Map(source)) => source,
        Some(_) => {
            warnings.push("warning: skipping globals because source global is not a table.".into());
            return;
        }
    };
    for (key, value) in source.entries() {
        let old = given.get_bytes(key.as_bytes());
        match (value, old) {
            (Value::Map(value), None) => given.insert(key, Value::Map(shallow(&value))),
            (Value::Map(value), Some(Value::Map(old))) => {
                let merged = shallow(&value);
                merge_tables(&merged, &old, &prefixed(prefix, &key.to_text()), true, warnings);
                given.insert(key, Value::Map(merged));
            }
            (Value::Map(_), Some(_)) => {
                let key = crate::error::quote(&key.to_text());
                warnings.push(format!("Conflict: cannot merge map onto non-map for {key}. Skipping."));
            }
            (_, Some(Value::Map(_))) => warnings.push(format!("key {key} is table. Skipping")),
            (value, _) => given.insert(key, value),
        }
    }
    into.insert(KEY, Value::Map(given));
}

/// Puts `under` below `over`, which wins. A null in `over` hides a value of `under`; without `merge` both go.
pub(crate) fn merge_tables(over: &Table, under: &Table, prefix: &str, merge: bool, warnings: &mut Warnings) {
    let set: BTreeSet<Str> =
        under.borrow().iter().filter(|(_, value)| !is_nil(value)).map(|(key, _)| key.clone()).collect();
    for (key, value) in over.entries() {
        if is_nil(&value) {
            under.insert(key, Value::Nil);
        }
    }
    for (key, value) in under.entries() {
        let Some(given) = over.get_bytes(key.as_bytes()) else {
            over.insert(key, value);
            continue;
        };
        if !merge && is_nil(&given) && set.contains(&key) {
            over.remove(&key);
            continue;
        }
        let name = prefixed(prefix, &key.to_text());
        match (given, value) {
            (Value::Map(given), Value::Map(value)) => merge_tables(&given, &value, &name, merge, warnings),
            (_, value @ Value::Map(_)) => {
                let shown = percent_v(&value);
                warnings.push(format!("warning: cannot overwrite table with non table for {name} ({shown})"));
            }
            (Value::Map(_), value) if !is_nil(&value) => {
                let shown = percent_v(&value);
                warnings.push(format!(
                    "warning: destination for {name} is a table. Ignoring non-table value ({shown})"
                ));
            }
            _ => {}
        }
    }
}

pub(crate) fn is_nil(value: &Value) -> bool {
    matches!(value, Value::Nil | Value::Invalid)
}

/// Go's `%v`.
pub(crate) fn percent_v(value: &Value) -> String {
    match value {
        Value::Nil | Value::Invalid => "<nil>".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(int, _) => int.to_string(),
        Value::Uint(int, _) => int.to_string(),
        Value::Float(float) => super::format_g(*float),
        Value::Str(text) => text.to_text().into_owned(),
        Value::List(list) => {
            let items: Vec<String> = list.items.iter().map(percent_v).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(map) => {
            let entries = map.entries();
            let items: Vec<String> =
                entries.iter().map(|(key, value)| format!("{key}:{}", percent_v(value))).collect();
            format!("map[{}]", items.join(" "))
        }
        _ => String::new(),
    }
}

/// Go's `%t` of a value that is not a boolean.
fn percent_t(value: &Value) -> String {
    match value {
        Value::Bool(flag) => flag.to_string(),
        Value::Nil | Value::Invalid => "%!t(<nil>)".into(),
        Value::Str(text) => format!("%!t(string={text})"),
        Value::Int(int, _) => format!("%!t(int64={int})"),
        Value::Uint(int, _) => format!("%!t(uint64={int})"),
        Value::Float(float) => format!("%!t(float64={})", super::format_g(*float)),
        Value::List(list) => {
            let items: Vec<String> = list.items.iter().map(percent_t).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(map) => {
            let entries = map.entries();
            let items: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("%!t(string={key}):{}", percent_t(value)))
                .collect();
            format!("map[{}]", items.join(" "))
        }
        other => format!("%!t({})", percent_v(other)),
    }
}
