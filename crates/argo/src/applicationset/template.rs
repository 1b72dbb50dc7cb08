//! Texts with parameters: Argo CD's `{{name}}`, or Go's templates.

use std::cell::RefCell;

use gotemplate::{Env, FixedHost, Function, MissingKey, Options, Param, Templates, Value as Item};
use object::Value;

use super::{Error, Params, sanitize, slugify};

/// Deepest nesting of a template's data.
const MAX_DEPTH: usize = 128;

/// Fills texts with parameters.
pub struct Renderer {
    /// The functions of Go's templates; nothing when the set uses the plain syntax.
    go: Option<RefCell<Templates>>,
    now: i64,
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renderer").field("go", &self.go.is_some()).finish()
    }
}

impl Renderer {
    /// The plain syntax.
    pub fn plain() -> Self {
        Renderer { go: None, now: 0 }
    }

    /// Go's templates, with the options of `goTemplateOptions`. `now` is what templates see as the time.
    ///
    /// # Errors
    /// When an option is not one of Go's.
    pub fn go(options: &[String], now: i64) -> Result<Self, Error> {
        let mut missing_key = MissingKey::Invalid;
        for option in options {
            missing_key = match option.as_str() {
                "missingkey=default" | "missingkey=invalid" => MissingKey::Invalid,
                "missingkey=zero" => MissingKey::Zero,
                "missingkey=error" => MissingKey::Error,
                other => return Err(Error::Template(format!("unrecognized option: {other}"))),
            };
        }
        let mut templates =
            Templates::with_yaml(Options { name: "base".to_owned(), missing_key, ..Options::default() });
        templates.add_functions(functions());
        Ok(Renderer { go: Some(RefCell::new(templates)), now })
    }

    /// Whether Go's templates are meant.
    pub fn is_go(&self) -> bool {
        self.go.is_some()
    }

    /// A text with its parameters filled in.
    ///
    /// # Errors
    /// When the template is malformed or fails.
    pub fn text(&self, text: &str, params: &Params) -> Result<String, Error> {
        let Some(templates) = &self.go else { return plain(text, params) };
        // Most texts of an Application are no templates; they come out as they are.
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        let mut set = templates.borrow().clone();
        set.parse("base", text)
            .map_err(|error| Error::Template(format!("failed to parse template {text}: {error}")))?;
        let data = Item::decoded(&Value::Object(params.clone()));
        let host = FixedHost::new(self.now, 1);
        set.execute("base", &data, &mut Env::new(&host))
            .map_err(|error| Error::Template(format!("failed to execute go template {text}: {error}")))
    }

    /// A template of an object, filled. Without any parameters it stays as it is.
    ///
    /// # Errors
    /// When one of its texts fails.
    pub fn object(&self, template: &Value, params: &Params) -> Result<Value, Error> {
        if params.is_empty() { Ok(template.clone()) } else { self.value(template, params) }
    }

    /// Data with the parameters filled in everywhere, keys included.
    ///
    /// # Errors
    /// When one of its templates fails.
    pub fn value(&self, value: &Value, params: &Params) -> Result<Value, Error> {
        self.deep(value, params, 0)
    }

    fn deep(&self, value: &Value, params: &Params, depth: usize) -> Result<Value, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::Template(format!("the template is nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(match value {
            Value::String(text) => Value::String(self.text(text, params)?),
            Value::Array(list) => {
                let filled = list.iter().map(|item| self.deep(item, params, depth + 1));
                Value::Array(filled.collect::<Result<_, _>>()?)
            }
            Value::Object(map) => {
                let mut filled = Params::new();
                for (key, item) in map {
                    filled.insert(self.text(key, params)?, self.deep(item, params, depth + 1)?);
                }
                Value::Object(filled)
            }
            other => other.clone(),
        })
    }
}

/// `{{name}}` becomes the parameter of that name; what is no parameter, or no text, stays.
fn plain(text: &str, params: &Params) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((tag, after)) = after.split_once("}}") else {
            // A text without any closing brace is no template at all.
            if !text.contains("}}") {
                return Ok(text.to_owned());
            }
            let text =
                format!("Cannot find end tag=\"}}}}\" in the template=\"{text}\" starting from \"{after}\"");
            return Err(Error::Template(text));
        };
        match params.get(tag.trim()) {
            Some(Value::String(value)) if !tag.trim().is_empty() => out.push_str(value),
            _ => {
                out.push_str("{{");
                out.push_str(tag);
                out.push_str("}}");
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// What Argo CD adds to sprig's functions.
fn functions() -> Vec<Function> {
    vec![
        Function::closure("normalize", &[Param::String], false, |_, arguments| {
            let text = arguments.first().map(Item::to_string_lossy).unwrap_or_default();
            Ok(Item::from(sanitize(&text)))
        }),
        Function::closure("slugify", &[Param::Any], true, |_, arguments| slug(arguments)),
        Function::closure("fromYaml", &[Param::String], false, |_, arguments| {
            from_yaml(arguments, Value::is_object, "map[string]interface {}")
        }),
        Function::closure("fromYamlArray", &[Param::String], false, |_, arguments| {
            from_yaml(arguments, Value::is_array, "[]interface {}")
        }),
        Function::closure("tpl", &[Param::String, Param::Any], false, |context, arguments| {
            let text = arguments.first().map(Item::to_string_lossy).unwrap_or_default();
            let data = arguments.get(1).cloned().unwrap_or(Item::Nil);
            let done = context.tpl(&text, &data)?;
            Ok(Item::from(done.to_text().replace("<no value>", "")))
        }),
    ]
}

/// `slugify [length [smart]] text`.
fn slug(arguments: &[Item]) -> Result<Item, gotemplate::FuncError> {
    let Some((text, options)) = arguments.split_last() else {
        return Err(gotemplate::FuncError::new("slugify: expected a text"));
    };
    let number = |item: &Item| item.to_json().ok().and_then(|json| json.as_f64());
    let length = match options.first() {
        None => 50,
        Some(given) => match number(given) {
            // Lengths are small; what is not is cut to something that is never reached.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some(length) if length >= 0.0 => length.min(1e6) as usize,
            _ => return Err(gotemplate::FuncError::new("slugify: the length must be a number")),
        },
    };
    let smart = options.get(1).is_some_and(|item| item.to_json().is_ok_and(|json| json == true));
    Ok(Item::from(slugify(length, smart, &text.to_string_lossy())))
}

fn from_yaml(
    arguments: &[Item],
    fits: fn(&Value) -> bool,
    wanted: &str,
) -> Result<Item, gotemplate::FuncError> {
    let text = arguments.first().map(Item::to_string_lossy).unwrap_or_default();
    let value = yaml::from_str(&text)
        .map_err(|error| gotemplate::FuncError::new(format!("error converting YAML to JSON: {error}")))?;
    if fits(&value) {
        return Ok(Item::decoded(&value));
    }
    let found = match value {
        Value::Null if wanted.starts_with('[') => return Ok(Item::decoded(&Value::Array(Vec::new()))),
        Value::Null => return Ok(Item::decoded(&Value::Object(Params::new()))),
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let text = format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type {wanted}"
    );
    Err(gotemplate::FuncError::new(text))
}
