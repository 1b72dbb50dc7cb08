//! JSON, YAML and TOML in templates.

pub(crate) mod json;
mod toml_read;
mod toml_scalars;
mod toml_write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::func::{FuncError, Function, Param};
use crate::value::{List, Value};

use json::Style;

const ANY_MAP: &str = "map[string]interface {}";
const ANY_LIST: &str = "[]interface {}";

/// The bytes of a `[]uint8`.
pub(crate) fn bytes_of(list: &List) -> Vec<u8> {
    list.items.iter().map(|item| if let Value::Uint(byte, _) = item { *byte as u8 } else { 0 }).collect()
}

/// A `[]uint8` as JSON shows it.
pub(crate) fn base64_of(list: &List) -> String {
    STANDARD.encode(bytes_of(list))
}

/// Helm's functions, which swallow errors or put them into the result.
pub(crate) fn functions() -> Vec<Function> {
    use Param::{Any, String};
    let native = Function::native;
    vec![
        native("toYaml", &[Any], false, |_, args| Ok(Value::str(to_yaml(first(args))))),
        native("toYamlPretty", &[Any], false, |_, args| Ok(Value::str(to_yaml_pretty(first(args))))),
        native("toToml", &[Any], false, |_, args| {
            if first(args).is_nil() {
                return Err("reflect: call of reflect.Value.Type on zero Value".into());
            }
            Ok(Value::str(toml_write::encode(first(args)).unwrap_or_else(|error| error.into_bytes())))
        }),
        native("mustToToml", &[Any], false, |_, args| must(toml_write::encode(first(args)))),
        native("mustToYaml", &[Any], false, |_, args| {
            let json = first(args).to_json().map_err(FuncError::from)?;
            Ok(Value::from(yaml::to_string(&json).strip_suffix('\n').unwrap_or_default()))
        }),
        native("fromToml", &[String], false, |_, args| {
            Ok(toml_read::decode(&first(args).to_string_lossy()).unwrap_or_else(error_map))
        }),
        native("fromYaml", &[String], false, |_, args| {
            Ok(from_yaml(&first(args).to_string_lossy(), ANY_MAP).unwrap_or_else(error_map))
        }),
        native("fromYamlArray", &[String], false, |_, args| {
            Ok(from_yaml(&first(args).to_string_lossy(), ANY_LIST).unwrap_or_else(error_list))
        }),
        native("toJson", &[Any], false, |_, args| {
            Ok(Value::str(json::encode(first(args), Style { indent: false, html: true }).unwrap_or_default()))
        }),
        native("fromJson", &[String], false, |_, args| {
            Ok(json::decode_into(bytes(first(args)), ANY_MAP).unwrap_or_else(error_map))
        }),
        native("fromJsonArray", &[String], false, |_, args| {
            Ok(json::decode_into(bytes(first(args)), ANY_LIST).unwrap_or_else(error_list))
        }),
    ]
}

/// sprig's functions.
pub(crate) fn sprig_functions() -> Vec<Function> {
    use Param::{Any, String};
    const PLAIN: Style = Style { indent: false, html: true };
    const PRETTY: Style = Style { indent: true, html: true };
    const RAW: Style = Style { indent: false, html: false };
    let native = Function::native;
    vec![
        native("fromJson", &[String], false, |_, args| {
            Ok(json::decode(bytes(first(args))).unwrap_or(Value::Nil))
        }),
        native("mustFromJson", &[String], false, |_, args| {
            json::decode(bytes(first(args))).map_err(FuncError::from)
        }),
        native("toJson", &[Any], false, |_, args| {
            Ok(Value::str(json::encode(first(args), PLAIN).unwrap_or_default()))
        }),
        native("mustToJson", &[Any], false, |_, args| must(json::encode(first(args), PLAIN))),
        native("toPrettyJson", &[Any], false, |_, args| {
            Ok(Value::str(json::encode(first(args), PRETTY).unwrap_or_default()))
        }),
        native("mustToPrettyJson", &[Any], false, |_, args| must(json::encode(first(args), PRETTY))),
        native("toRawJson", &[Any], false, |_, args| must(json::encode(first(args), RAW))),
        native("mustToRawJson", &[Any], false, |_, args| must(json::encode(first(args), RAW))),
    ]
}

fn must(result: Result<Vec<u8>, String>) -> Result<Value, FuncError> {
    result.map(Value::str).map_err(FuncError::from)
}

fn first(args: &[Value]) -> &Value {
    args.first().unwrap_or(&Value::Nil)
}

fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::Str(text) => text.as_bytes(),
        _ => &[],
    }
}

fn error_map(message: String) -> Value {
    Value::map([("Error", Value::from(message))])
}

fn error_list(message: String) -> Value {
    Value::list(vec![Value::from(message)])
}

fn to_yaml(value: &Value) -> String {
    match value.to_json() {
        Ok(json) => {
            let mut text = yaml::to_string(&json);
            if text.ends_with('\n') {
                text.pop();
            }
            text
        }
        Err(_) => String::new(),
    }
}

fn to_yaml_pretty(value: &Value) -> String {
    match value.to_json() {
        Ok(json) => {
            let mut node = yaml::Node::from_value(&json);
            go_floats(&mut node);
            let mut text = yaml::emit(&node);
            if text.ends_with('\n') {
                text.pop();
            }
            text
        }
        Err(_) => String::new(),
    }
}

fn from_yaml(text: &str, wanted: &'static str) -> Result<Value, String> {
    let json = yaml::from_str(text).map_err(|error| format!("error converting YAML to JSON: {error}"))?;
    // Helm's tool gives an empty collection for nothing, where its JSON functions give null.
    if json.is_null() {
        return Ok(if wanted == ANY_LIST { Value::list(Vec::new()) } else { Value::map::<&str>([]) });
    }
    let value = Value::decoded(&json);
    json::convert(value, wanted)
        .map_err(|error| format!("error unmarshaling JSON: while decoding JSON: {error}"))
}

/// Writes floats as Go does: `1e-06`.
fn go_floats(node: &mut yaml::Node) {
    if node.tag == "!!float"
        && let Ok(number) = node.value.parse::<f64>()
    {
        node.value = crate::fmt::float_g(number);
    }
    node.content.iter_mut().for_each(go_floats);
}
