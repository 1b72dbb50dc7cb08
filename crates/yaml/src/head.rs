//! The first document without most of its contents: read and checked as a whole, but only some members of
//! the root are kept. A renderer that looks at `kind` and `metadata` alone has no use for the rest.

use serde_json::Map;

use crate::parser::{EventKind, Parser};
use crate::resolve::{Scalar, resolve};
use crate::scanner::Rules;
use crate::value::json_number;
use crate::{Error, Value};

/// Deeper documents are left to the full reader and its limit.
const MAX_DEPTH: usize = 200;

/// Shorter texts are read at once.
const WORTH_SKIMMING: usize = 1 << 10;

/// Why the short way ends: a fault of the text, or something that only the full reader does justice.
enum Stop {
    Fault(Error),
    Unusual,
}

/// The root mapping with the members `wanted` alone, or what [`crate::from_str`] says.
pub(crate) fn members(text: &str, wanted: &[&str]) -> Result<Value, Error> {
    if text.len() > WORTH_SKIMMING
        && let Some(rest) = crate::skim::wanted_members(text, wanted)
        && let Ok(value) = Reader::new(&rest, wanted).read()
    {
        return Ok(value);
    }
    match Reader::new(text, wanted).read() {
        Ok(value) => Ok(value),
        Err(Stop::Fault(error)) => Err(error),
        Err(Stop::Unusual) => crate::from_str(text),
    }
}

/// A collection that is open.
struct Open {
    mapping: bool,
    /// In a mapping: the next node is a key.
    at_key: bool,
}

/// A collection that is kept, while it fills.
enum Kept {
    Sequence(Vec<Value>),
    Mapping(Map<String, Value>, Option<String>),
}

struct Reader<'a, 'w> {
    parser: Parser<'a>,
    wanted: &'w [&'w str],
    open: Vec<Open>,
    /// The collections being kept, outermost first; empty between members.
    kept: Vec<Kept>,
    /// The wanted member whose value comes next.
    member: Option<String>,
    root: Map<String, Value>,
}

impl<'a, 'w> Reader<'a, 'w> {
    fn new(text: &'a str, wanted: &'w [&'w str]) -> Self {
        let parser = Parser::new(text, Rules::V2);
        Reader { parser, wanted, open: Vec::new(), kept: Vec::new(), member: None, root: Map::new() }
    }

    fn event(&mut self) -> Result<EventKind<'a>, Stop> {
        let event = self.parser.next().map_err(|fault| Stop::Fault(fault.into_error(Rules::V2)))?;
        Ok(event.kind)
    }

    fn read(mut self) -> Result<Value, Stop> {
        if let EventKind::StreamEnd = self.event()? {
            return Ok(Value::Null);
        }
        loop {
            match self.event()? {
                EventKind::DocumentStart => {}
                EventKind::Scalar { properties, value, implicit, .. } => {
                    if properties.tag.is_some() || self.open.is_empty() {
                        return Err(Stop::Unusual);
                    }
                    self.scalar(&value, implicit)?;
                }
                EventKind::MappingStart { properties, .. } => self.start(true, properties.tag.is_some())?,
                EventKind::SequenceStart { properties, .. } => self.start(false, properties.tag.is_some())?,
                EventKind::MappingEnd | EventKind::SequenceEnd => self.end()?,
                EventKind::Alias(_) => return Err(Stop::Unusual),
                EventKind::DocumentEnd | EventKind::StreamEnd => return Ok(Value::Object(self.root)),
            }
        }
    }

    /// Is the node that comes a key? The one after it is then a value.
    fn turn(&mut self) -> bool {
        match self.open.last_mut() {
            Some(open) if open.mapping => {
                open.at_key = !open.at_key;
                !open.at_key
            }
            _ => false,
        }
    }

    fn start(&mut self, mapping: bool, tagged: bool) -> Result<(), Stop> {
        let is_key = self.turn();
        let plain_root = mapping || !self.open.is_empty();
        if tagged || is_key || !plain_root || self.open.len() >= MAX_DEPTH {
            return Err(Stop::Unusual);
        }
        self.open.push(Open { mapping, at_key: true });
        if !self.kept.is_empty() || self.member.is_some() {
            self.kept.push(match mapping {
                true => Kept::Mapping(Map::new(), None),
                false => Kept::Sequence(Vec::new()),
            });
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        self.open.pop();
        match self.kept.pop() {
            Some(Kept::Sequence(items)) => self.value(Value::Array(items)),
            Some(Kept::Mapping(map, _)) => self.value(Value::Object(map)),
            None => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, implicit: bool) -> Result<(), Stop> {
        if self.turn() {
            return self.key(text, implicit);
        }
        let keep = !self.kept.is_empty() || self.member.is_some();
        if !keep {
            // Of what is dropped only the numbers that JSON cannot have matter.
            let special = implicit && matches!(text.as_bytes(), [b'.' | b'+' | b'-', ..]);
            if special && matches!(resolve(text, Rules::V2), Scalar::Float(float) if !float.is_finite()) {
                return Err(Stop::Unusual);
            }
            return Ok(());
        }
        let scalar = if implicit { resolve(text, Rules::V2) } else { Scalar::Str };
        let value = match scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(flag) => Value::Bool(flag),
            Scalar::Int(int) => Value::Number(int.into()),
            Scalar::Uint(uint) => Value::Number(uint.into()),
            Scalar::Float(float) => Value::Number(json_number(float).ok_or(Stop::Unusual)?),
            Scalar::Timestamp | Scalar::Merge | Scalar::Str => Value::String(text.to_owned()),
        };
        self.value(value);
        Ok(())
    }

    fn key(&mut self, text: &str, implicit: bool) -> Result<(), Stop> {
        let scalar = if implicit { resolve(text, Rules::V2) } else { Scalar::Str };
        let plain = matches!(scalar, Scalar::Str | Scalar::Timestamp);
        if implicit && text == "<<" || matches!(scalar, Scalar::Null | Scalar::Uint(_)) {
            return Err(Stop::Unusual);
        }
        match self.kept.last_mut() {
            // The texts of other keys are made by the full reader.
            Some(_) if !plain => return Err(Stop::Unusual),
            Some(Kept::Mapping(_, key)) => *key = Some(text.to_owned()),
            Some(Kept::Sequence(_)) => {}
            None if self.open.len() == 1 && plain => {
                self.member = self.wanted.contains(&text).then(|| text.to_owned());
            }
            None => {}
        }
        Ok(())
    }

    /// Puts a value where it belongs.
    fn value(&mut self, value: Value) {
        match self.kept.last_mut() {
            Some(Kept::Sequence(items)) => items.push(value),
            Some(Kept::Mapping(map, key)) => {
                if let Some(key) = key.take() {
                    map.insert(key, value);
                }
            }
            None => {
                if let Some(member) = self.member.take() {
                    self.root.insert(member, value);
                }
            }
        }
    }
}
