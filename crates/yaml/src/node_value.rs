//! Nodes to values, by yaml.v3's rules.

use std::collections::{HashMap, HashSet};

use serde_json::Map;

use crate::node::{Kind, Node, Style};
use crate::resolve::{Scalar, Tagged, resolve, resolve_tagged, short_tag};
use crate::scanner::Rules;
use crate::tree::MAX_DEPTH;
use crate::value::{allowed_alias_ratio, json_number};
use crate::{Error, Value, gotext};

/// A string by its tag or, when it has none, by its quotes.
fn is_string(node: &Node) -> bool {
    let quoted = !matches!(node.style, Style::Plain | Style::Flow);
    node.kind == Kind::Scalar
        && (short_tag(&node.tag) == "!!str" || (matches!(node.tag.as_str(), "" | "!") && quoted))
}

pub(crate) fn short_tag_of(node: &Node) -> &str {
    if is_string(node) {
        return "!!str";
    }
    match node.tag.as_str() {
        "" | "!" => match node.kind {
            Kind::Mapping => "!!map",
            Kind::Sequence => "!!seq",
            Kind::Scalar => resolve(&node.value, Rules::V3).tag(),
            Kind::Alias | Kind::Document => "",
        },
        "tag:yaml.org,2002:null" => "!!null",
        "tag:yaml.org,2002:bool" => "!!bool",
        "tag:yaml.org,2002:int" => "!!int",
        "tag:yaml.org,2002:float" => "!!float",
        "tag:yaml.org,2002:timestamp" => "!!timestamp",
        "tag:yaml.org,2002:map" => "!!map",
        "tag:yaml.org,2002:seq" => "!!seq",
        "tag:yaml.org,2002:binary" => "!!binary",
        "tag:yaml.org,2002:merge" => "!!merge",
        tag => tag,
    }
}

pub(crate) fn to_value(node: &Node) -> Result<Value, Error> {
    let mut decoder = Decoder { targets: HashMap::new(), ..Decoder::default() };
    decoder.find_targets(node);
    if node.kind == Kind::Document {
        decoder.decoded = 1;
    }
    let value = match (node.kind, node.content.first()) {
        (Kind::Document, None) => Value::Null,
        (Kind::Document, Some(root)) => decoder.value(root, 0)?,
        _ => decoder.value(node, 0)?,
    };
    if let Some((line, column)) = decoder.duplicate_at {
        let message = format!("yaml: unmarshal errors:\n  {}", decoder.duplicates.join("\n  "));
        return Err(Error::new(message, line, column));
    }
    match decoder.unfit {
        Some(error) => Err(error),
        None => Ok(value),
    }
}

/// A key: strings alone are the common case, others carry their type.
type Key = (&'static str, String);

#[derive(Default)]
struct Decoder<'n> {
    /// Alias nodes (by address) and what they stand for.
    targets: HashMap<usize, &'n Node>,
    active: HashSet<usize>,
    decoded: usize,
    through_alias: usize,
    alias_depth: usize,
    /// Keys that a merge may not set any more.
    merged: Option<HashSet<Key>>,
    duplicates: Vec<String>,
    duplicate_at: Option<(usize, usize)>,
    /// What JSON cannot hold; told when nothing else is wrong.
    unfit: Option<Error>,
}

/// Duplicate keys told of one mapping.
const MAX_DUPLICATES: usize = 1000;
const WANT_MAP: &str = "map merge requires map or sequence of maps as the value";

fn address(node: &Node) -> usize {
    std::ptr::from_ref(node) as usize
}

fn fail<T>(node: &Node, message: &str) -> Result<T, Error> {
    Err(Error::new(format!("yaml: {message}"), node.line, node.column))
}

fn is_merge(node: &Node) -> bool {
    node.kind == Kind::Scalar
        && node.value == "<<"
        && (matches!(node.tag.as_str(), "" | "!") || short_tag(&node.tag) == "!!merge")
}

impl<'n> Decoder<'n> {
    /// An alias stands for the anchor last set before it.
    fn find_targets(&mut self, root: &'n Node) {
        let mut anchors: HashMap<&'n str, &'n Node> = HashMap::new();
        let mut left = vec![root];
        while let Some(node) = left.pop() {
            if node.kind == Kind::Alias {
                if let Some(target) = anchors.get(node.value.as_str()) {
                    self.targets.insert(address(node), target);
                }
            } else if !node.anchor.is_empty() {
                anchors.insert(&node.anchor, node);
            }
            left.extend(node.content.iter().rev());
        }
    }

    fn target(&self, alias: &Node) -> Result<&'n Node, Error> {
        match self.targets.get(&address(alias)) {
            Some(target) => Ok(target),
            None => fail(alias, &format!("unknown anchor '{}' referenced", alias.value)),
        }
    }

    fn count(&mut self, node: &Node, depth: usize) -> Result<(), Error> {
        self.decoded += 1;
        if self.alias_depth > 0 {
            self.through_alias += 1;
            let ratio = self.through_alias as f64 / self.decoded as f64;
            if self.through_alias > 100 && self.decoded > 1000 && ratio > allowed_alias_ratio(self.decoded) {
                return fail(node, "document contains excessive aliasing");
            }
        }
        if depth > MAX_DEPTH {
            return fail(node, &format!("exceeded max depth of {MAX_DEPTH}"));
        }
        Ok(())
    }

    fn enter(&mut self, alias: &Node) -> Result<&'n Node, Error> {
        let target = self.target(alias)?;
        if !self.active.insert(address(alias)) {
            return fail(alias, &format!("anchor '{}' value contains itself", alias.value));
        }
        self.alias_depth += 1;
        Ok(target)
    }

    fn leave(&mut self, alias: &Node) {
        self.active.remove(&address(alias));
        self.alias_depth -= 1;
    }

    fn value(&mut self, node: &'n Node, depth: usize) -> Result<Value, Error> {
        self.count(node, depth)?;
        match node.kind {
            Kind::Document => match node.content.first() {
                Some(root) => self.value(root, depth + 1),
                None => Ok(Value::Null),
            },
            Kind::Alias => {
                let target = self.enter(node)?;
                let value = self.value(target, depth + 1);
                self.leave(node);
                value
            }
            Kind::Scalar => self.scalar(node),
            Kind::Sequence => {
                let mut items = Vec::with_capacity(node.content.len());
                for item in &node.content {
                    items.push(self.value(item, depth + 1)?);
                }
                Ok(Value::Array(items))
            }
            Kind::Mapping => {
                let mut fields = Map::new();
                let strings = self.has_string_keys(node);
                self.mapping(node, &mut fields, strings, depth)?;
                Ok(Value::Object(fields))
            }
        }
    }

    fn has_string_keys(&self, node: &Node) -> bool {
        node.content.iter().step_by(2).all(|key| {
            let key = if key.kind == Kind::Alias { self.target(key).unwrap_or(key) } else { key };
            matches!(short_tag_of(key), "!!str" | "!!merge")
        })
    }

    fn resolved(&self, node: &Node) -> Result<Tagged, Error> {
        if is_string(node) {
            return Ok(Tagged::Scalar(Scalar::Str));
        }
        let tag = if node.tag == "!" { "" } else { node.tag.as_str() };
        match resolve_tagged(tag, &node.value, Rules::V3) {
            Tagged::Wrong(message) => fail(node, &message),
            resolved => Ok(resolved),
        }
    }

    fn binary(node: &Node) -> Result<String, Error> {
        match gotext::decode_base64(&node.value) {
            Some(bytes) => Ok(crate::value::lossy(&bytes)),
            None => fail(node, "!!binary value contains invalid base64 data"),
        }
    }

    fn scalar(&mut self, node: &Node) -> Result<Value, Error> {
        let text = || Value::String(node.value.clone());
        Ok(match self.resolved(node)? {
            Tagged::Scalar(scalar) => match scalar {
                Scalar::Null => Value::Null,
                Scalar::Bool(b) => Value::Bool(b),
                Scalar::Int(int) => Value::Number(int.into()),
                Scalar::Uint(uint) => Value::Number(uint.into()),
                Scalar::Float(float) => match json_number(float) {
                    Some(number) => Value::Number(number),
                    None => {
                        let word = if float.is_nan() {
                            "NaN"
                        } else if float > 0.0 {
                            "+Inf"
                        } else {
                            "-Inf"
                        };
                        let message = format!("json: unsupported value: {word}");
                        self.unfit.get_or_insert_with(|| Error::new(message, node.line, node.column));
                        Value::Null
                    }
                },
                Scalar::Timestamp => match gotext::parse_timestamp(&node.value) {
                    Some(time) => Value::String(time.to_rfc3339()),
                    None => text(),
                },
                Scalar::Merge | Scalar::Str => text(),
            },
            Tagged::Binary => Value::String(Self::binary(node)?),
            _ => text(),
        })
    }

    fn check_unique(&mut self, node: &Node) -> bool {
        let keys: Vec<&Node> = node.content.iter().step_by(2).collect();
        let mut first: HashMap<(Kind, &str), Vec<usize>> = HashMap::with_capacity(keys.len());
        for (i, key) in keys.iter().enumerate() {
            first.entry((key.kind, key.value.as_str())).or_default().push(i);
        }
        if first.len() == keys.len() {
            return true;
        }
        let mut pairs: Vec<(usize, usize)> = Vec::new();
        for same in first.values().filter(|same| same.len() > 1) {
            for (n, i) in same.iter().enumerate() {
                pairs.extend(same[n + 1..].iter().map(|j| (*i, *j)));
                if pairs.len() > MAX_DUPLICATES {
                    break;
                }
            }
        }
        pairs.sort_unstable();
        for (i, j) in pairs {
            let (Some(first), Some(again)) = (keys.get(i), keys.get(j)) else { continue };
            let shown = gotext::quote(&again.value);
            self.duplicates.push(format!(
                "line {}: mapping key {shown} already defined at line {}",
                again.line, first.line
            ));
            self.duplicate_at.get_or_insert((again.line, again.column));
        }
        false
    }

    /// Sets the mapping's fields in `fields`; explicit keys win over merged ones.
    fn mapping(
        &mut self,
        node: &'n Node,
        fields: &mut Map<String, Value>,
        strings: bool,
        depth: usize,
    ) -> Result<(), Error> {
        if !self.check_unique(node) {
            return Ok(());
        }
        let mut merged = self.merged.take();
        let mut merge = None;
        for pair in node.content.chunks_exact(2) {
            let [key, value] = pair else { continue };
            if is_merge(key) {
                merge = Some(value);
                continue;
            }
            let name = self.key(key, strings, depth)?;
            if let Some(merged) = merged.as_mut() {
                if merged.contains(&name) {
                    continue;
                }
                merged.insert(name.clone());
            }
            let value = self.value(value, depth + 1)?;
            fields.insert(name.1, value);
        }
        self.merged = merged;
        match merge {
            Some(merge) => self.merge(node, merge, fields, strings, depth),
            None => Ok(()),
        }
    }

    fn key(&mut self, key: &'n Node, strings: bool, depth: usize) -> Result<Key, Error> {
        self.count(key, depth + 1)?;
        match key.kind {
            Kind::Alias => {
                let target = self.enter(key)?;
                let name = self.key(target, strings, depth + 1);
                self.leave(key);
                name
            }
            Kind::Scalar => {
                let resolved = self.resolved(key)?;
                if let Tagged::Binary = resolved {
                    return Ok(("string", Self::binary(key)?));
                }
                let Tagged::Scalar(scalar) = resolved else { return Ok(("string", key.value.clone())) };
                Ok(match scalar {
                    _ if strings => ("string", key.value.clone()),
                    Scalar::Null => ("nil", "<nil>".into()),
                    Scalar::Bool(b) => ("bool", b.to_string()),
                    Scalar::Int(int) => ("int", int.to_string()),
                    Scalar::Uint(uint) => ("uint64", uint.to_string()),
                    Scalar::Float(float) => ("float64", crate::value::go_float(float)),
                    Scalar::Timestamp => match gotext::parse_timestamp(&key.value) {
                        Some(time) => ("time", time.to_words()),
                        None => ("string", key.value.clone()),
                    },
                    _ => ("string", key.value.clone()),
                })
            }
            _ => {
                let value = self.value(key, depth + 1)?;
                let shown = crate::value::go_value(&value);
                fail(key, &format!("invalid map key: {shown}"))
            }
        }
    }

    fn merge(
        &mut self,
        parent: &'n Node,
        merge: &'n Node,
        fields: &mut Map<String, Value>,
        strings: bool,
        depth: usize,
    ) -> Result<(), Error> {
        let outer = self.merged.clone();
        if self.merged.is_none() {
            let mut set = HashSet::new();
            for key in parent.content.iter().step_by(2) {
                set.insert(self.key(key, strings, depth)?);
            }
            self.merged = Some(set);
        }
        match merge.kind {
            Kind::Sequence => {
                for item in &merge.content {
                    self.merge_one(item, fields, strings, depth)?;
                }
            }
            _ => self.merge_one(merge, fields, strings, depth)?,
        }
        self.merged = outer;
        Ok(())
    }

    fn merge_one(
        &mut self,
        node: &'n Node,
        fields: &mut Map<String, Value>,
        strings: bool,
        depth: usize,
    ) -> Result<(), Error> {
        match node.kind {
            Kind::Mapping => {
                self.count(node, depth)?;
                self.mapping(node, fields, strings, depth + 1)
            }
            Kind::Alias => {
                if self.target(node)?.kind != Kind::Mapping {
                    return fail(node, WANT_MAP);
                }
                self.count(node, depth)?;
                let target = self.enter(node)?;
                let outcome =
                    self.count(target, depth).and_then(|()| self.mapping(target, fields, strings, depth + 1));
                self.leave(node);
                outcome
            }
            _ => fail(node, WANT_MAP),
        }
    }
}
