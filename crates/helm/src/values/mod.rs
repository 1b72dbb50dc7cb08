//! Values: what a chart is configured with.

pub(crate) mod coalesce;
mod set;

use crate::gojson::word;
use crate::{Error, Result, Stage};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Number, Value};

/// The most that a values document may hold, so that no alias expands without end.
const MAX_DEPTH: usize = 512;

/// A tree of values with Go's two kinds of numbers.
///
/// Helm reads files through JSON, where every number is a `float64` (so `1000000` prints as `1e+06` in a
/// template), while `--set` makes integers. Inside, a JSON integer is a Go `int64` and a JSON float is a
/// Go `float64`; [`Values::from_json`] and [`Values::parse`] make floats of everything, as Helm does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values(Map<String, Value>);

impl Values {
    /// No values.
    pub fn new() -> Self {
        Values::default()
    }

    /// Reads a values file; `None` when it is empty.
    pub fn parse(text: &str) -> Result<Option<Values>> {
        let value = yaml::from_str(text).map_err(|error| {
            let text = format!("error converting YAML to JSON: {error}");
            Error::new(Stage::Values, text).at("", error.line, error.column)
        })?;
        match value {
            Value::Null => Ok(None),
            value => Values::from_json(value).map(Some),
        }
    }

    /// Values from JSON data (the `values` of a HelmRelease, say): an object, or null for none.
    pub fn from_json(value: Value) -> Result<Values> {
        match value {
            Value::Null => Ok(Values::default()),
            Value::Object(mut map) => {
                for value in map.values_mut() {
                    floats(value, 0)?;
                }
                Ok(Values(map))
            }
            other => {
                let what = word(&other);
                let text = "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal";
                let text = format!("{text} {what} into Go value of type map[string]interface {{}}");
                Err(Error::new(Stage::Values, text))
            }
        }
    }

    /// The members, with numbers as explained at [`Values`].
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The members, to change. Numbers must be floats unless `--set` would have made them.
    pub fn as_map_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values as JSON data with plain numbers: `8080`, not `8080.0`.
    pub fn to_json(&self) -> Value {
        plain(&Value::Object(self.0.clone()))
    }

    /// The values as YAML, as `helm get values` prints them.
    pub fn to_yaml(&self) -> String {
        yaml::to_string(&self.to_json())
    }

    /// Puts `over` on top, as several `-f` files are put on top of each other: maps merge, anything else
    /// is replaced, null stays as a null.
    pub fn merge(&mut self, over: Values) {
        merge_maps(&mut self.0, over.0);
    }

    /// Puts `under` below these values, as Helm brings a chart's values together with the user's: maps
    /// merge, a null here takes the value there away, anything else here stays.
    pub fn coalesce(&mut self, under: &Values) {
        coalesce_maps(&mut self.0, &under.0);
    }

    /// The value at a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.0.get(*first)?, |value, key| value.get(*key))
    }

    /// `--set`: `a.b=1,list[0]=x,c={1,2}`.
    pub fn set(&mut self, expression: &str) -> Result<()> {
        set::typed(&mut self.0, expression)
    }

    /// `--set-string`: as [`Values::set`], but every value is a string.
    pub fn set_string(&mut self, expression: &str) -> Result<()> {
        set::strings(&mut self.0, expression)
    }

    /// `--set-json`: `a.b={"c":1},d=null`.
    pub fn set_json(&mut self, expression: &str) -> Result<()> {
        set::json(&mut self.0, expression)
    }

    /// `--set-file`: each value is a path that `read` opens.
    pub fn set_file(
        &mut self,
        expression: &str,
        read: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<()> {
        set::files(&mut self.0, expression, read)
    }

    /// `--set-literal`: one `a.b[0]=` and the rest of the text as it is.
    pub fn set_literal(&mut self, expression: &str) -> Result<()> {
        set::literal(&mut self.0, expression, false)
    }

    /// The same as Helm 4 and Flux read it: `\.` in the path is a dot of a name.
    pub fn set_literal_escaped(&mut self, expression: &str) -> Result<()> {
        set::literal(&mut self.0, expression, true)
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Values::from_json(value).map_err(serde::de::Error::custom)
    }
}

fn merge_maps(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge_maps(old, new),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Makes every number a float, as decoding JSON into an `interface{}` does.
fn floats(value: &mut Value, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::new(Stage::Values, format!("values nest deeper than {MAX_DEPTH} levels")));
    }
    match value {
        Value::Number(number) if !number.is_f64() => {
            if let Some(float) = number.as_f64().and_then(Number::from_f64) {
                *number = float;
            }
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| floats(item, depth + 1))?,
        Value::Object(map) => map.values_mut().try_for_each(|item| floats(item, depth + 1))?,
        _ => {}
    }
    Ok(())
}

/// Makes integers of floats that are whole, as Go prints them.
pub(crate) fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(plain_number(number)),
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, item)| (key.clone(), plain(item))).collect())
        }
        other => other.clone(),
    }
}

fn plain_number(number: &Number) -> Number {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number.clone() };
    if float.fract() != 0.0 || float.abs() >= 1e21 {
        return number.clone();
    }
    if (-9.2e18..=9.2e18).contains(&float) {
        return Number::from(float as i64);
    }
    if float > 0.0 && float < 1.8e19 {
        return Number::from(float as u64);
    }
    number.clone()
}

/// A float as Go's `%v` and `strconv.FormatFloat(f, 'g', -1, 64)` print it.
pub(crate) fn format_g(float: f64) -> String {
    if float.is_nan() {
        return "NaN".into();
    }
    if float.is_infinite() {
        return if float > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    if float == 0.0 {
        return if float.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    shortest(&format!("{float:e}"), format!("{float}"))
}

/// The same of a `float32`.
pub(crate) fn format_g32(float: f32) -> String {
    match float.is_finite() && float != 0.0 {
        true => shortest(&format!("{float:e}"), format!("{float}")),
        false => format_g(f64::from(float)),
    }
}

/// Chooses between a number with and without an exponent, as `%g` does.
fn shortest(scientific: &str, plain: String) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return plain;
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn coalesce_maps(over: &mut Map<String, Value>, under: &Map<String, Value>) {
    for (key, value) in under {
        match (over.get_mut(key), value) {
            (Some(Value::Null), _) => {
                over.remove(key);
            }
            (Some(Value::Object(over)), Value::Object(under)) => coalesce_maps(over, under),
            (Some(_), _) => {}
            (None, value) => {
                over.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn floats_print_as_in_go() {
        for (float, text) in
            [(1.0, "1"), (1e5, "100000"), (1e6, "1e+06"), (1.5e-7, "1.5e-07"), (-2.25, "-2.25")]
        {
            assert_eq!(format_g(float), text);
        }
    }

    #[test]
    fn files_on_top_of_each_other_keep_null() {
        let mut base = Values::from_json(json!({"a": {"b": 1, "c": 2}, "d": [1]})).expect("an object");
        base.merge(Values::from_json(json!({"a": {"b": null}, "d": {"e": 1}})).expect("an object"));
        assert_eq!(base.to_json(), json!({"a": {"b": null, "c": 2}, "d": {"e": 1}}));
    }

    #[test]
    fn a_list_is_no_values() {
        let error = Values::from_json(json!([1])).expect_err("a list");
        assert!(
            error.message.ends_with("cannot unmarshal array into Go value of type map[string]interface {}")
        );
    }
}
