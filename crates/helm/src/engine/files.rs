//! `.Files`.

use super::glob::Glob;
use crate::chart::File;
use base64::Engine as _;
use bytes::Bytes;
use gotemplate::{Elem, Function, Kind, Map, Object, Param, Str, Value, method};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The files of a chart by path.
#[derive(Clone)]
struct Files(Rc<BTreeMap<String, Bytes>>);

/// `.Files` of a chart.
pub(super) fn files(files: &[File]) -> Value {
    let map = files.iter().map(|file| (file.name.clone(), file.data.clone())).collect();
    Value::object(Files(Rc::new(map)))
}

impl Files {
    fn get(&self, name: &str) -> &[u8] {
        self.0.get(name).map(|data| &**data).unwrap_or_default()
    }

    fn glob(&self, pattern: &str) -> Files {
        let glob = Glob::parse(pattern).unwrap_or_else(Glob::all);
        let found = self.0.iter().filter(|(name, _)| glob.matches(name));
        Files(Rc::new(found.map(|(name, data)| (name.clone(), data.clone())).collect()))
    }

    /// File names (without folders) and what `show` makes of the contents, as YAML.
    fn config(&self, show: impl Fn(&[u8]) -> String) -> Value {
        let map: serde_json::Map<String, serde_json::Value> = self
            .0
            .iter()
            .map(|(name, data)| (crate::path::base(name).to_owned(), show(data).into()))
            .collect();
        let text = yaml::to_string(&serde_json::Value::Object(map));
        Value::from(text.strip_suffix('\n').unwrap_or(&text))
    }

    fn lines(&self, name: &str) -> Value {
        let data = self.get(name);
        if data.is_empty() {
            return Value::strings::<&str>([]);
        }
        let data = data.strip_suffix(b"\n").unwrap_or(data);
        Value::strings(data.split(|byte| *byte == b'\n').map(Str::from))
    }
}

fn first(arguments: &[Value]) -> String {
    match arguments.first() {
        Some(Value::Str(text)) => text.to_text().into_owned(),
        _ => String::new(),
    }
}

impl Object for Files {
    fn type_name(&self) -> &str {
        "engine.files"
    }

    fn kind(&self) -> Kind {
        Kind::Map
    }

    fn underlying(&self) -> Option<Value> {
        let entries = self.0.iter().map(|(name, data)| (name.as_str().into(), Value::bytes(data))).collect();
        Some(Value::Map(Rc::new(Map::named("engine.files", Elem::Bytes, entries))))
    }

    fn blobs(&self) -> Option<Vec<(&str, &[u8])>> {
        Some(self.0.iter().map(|(name, data)| (name.as_str(), &**data)).collect())
    }

    fn method(&self, name: &str) -> Option<Rc<Function>> {
        const NAME: &[Param] = &[Param::String];
        let files = self.clone();
        match name {
            "Get" => method("Get", NAME, move |_, a| Ok(Value::Str(Str::from(files.get(&first(a)))))),
            "GetBytes" => method("GetBytes", NAME, move |_, a| Ok(Value::bytes(files.get(&first(a))))),
            "Glob" => method("Glob", NAME, move |_, a| Ok(Value::object(files.glob(&first(a))))),
            "Lines" => method("Lines", NAME, move |_, a| Ok(files.lines(&first(a)))),
            "AsConfig" => method("AsConfig", &[], move |_, _| {
                Ok(files.config(|data| String::from_utf8_lossy(data).into_owned()))
            }),
            "AsSecrets" => method("AsSecrets", &[], move |_, _| {
                Ok(files.config(|data| base64::engine::general_purpose::STANDARD.encode(data)))
            }),
            _ => None,
        }
    }
}
