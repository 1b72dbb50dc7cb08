//! JSON with its duplicate fields found.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Parses JSON; the last of several equal fields wins, and each later one is reported as Kubernetes
/// words it.
pub fn parse(text: &[u8]) -> Result<(Value, Vec<String>), serde_json::Error> {
    let state = State::default();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Seed(&state).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, state.found.into_inner()))
}

/// Sorts texts that name a field in quotes at their end by where the field is in `body`; the rest stay behind.
pub fn order(body: &[u8], texts: &mut [String]) {
    let wanted = texts.iter().filter_map(|text| Some((named(text)?.to_owned(), usize::MAX))).collect();
    let state = State { wanted: RefCell::new(wanted), ..State::default() };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    // A body that is no JSON has been refused before.
    if Seed(&state).deserialize(&mut deserializer).is_ok() {
        let places = state.wanted.into_inner();
        texts
            .sort_by_key(|text| named(text).and_then(|path| places.get(path)).copied().unwrap_or(usize::MAX));
    }
}

fn named(text: &str) -> Option<&str> {
    text.strip_suffix('"')?.split_once('"').map(|(_, path)| path)
}

#[derive(Default)]
struct State {
    path: RefCell<String>,
    found: RefCell<Vec<String>>,
    /// Paths whose places in the text are asked for.
    wanted: RefCell<BTreeMap<String, usize>>,
    seen: Cell<usize>,
}

impl State {
    fn meet(&self) {
        let mut wanted = self.wanted.borrow_mut();
        if !wanted.is_empty() {
            self.seen.set(self.seen.get() + 1);
            if let Some(place) = wanted.get_mut(&*self.path.borrow()) {
                *place = (*place).min(self.seen.get());
            }
        }
    }
}

struct Seed<'a>(&'a State);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let length = self.0.path.borrow().len();
            self.0.path.borrow_mut().push_str(&format!("[{}]", items.len()));
            let item = access.next_element_seed(Seed(self.0))?;
            self.0.path.borrow_mut().truncate(length);
            match item {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let length = self.0.path.borrow().len();
            {
                let mut path = self.0.path.borrow_mut();
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&key);
            }
            self.0.meet();
            if map.contains_key(&key) {
                let text = format!("duplicate field {:?}", self.0.path.borrow());
                let mut found = self.0.found.borrow_mut();
                if found.len() < 64 && !found.contains(&text) {
                    found.push(text);
                }
            }
            let value = access.next_value_seed(Seed(self.0))?;
            self.0.path.borrow_mut().truncate(length);
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
