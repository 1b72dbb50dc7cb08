//! The functions that Helm's engine adds.

use bytes::Bytes;
use std::rc::Rc;

use crate::env::Env;
use crate::func::{Context, FuncError, Function, Param};
use crate::templates::{Layer, Templates};
use crate::value::{Str, Value};

type Res = Result<Value, FuncError>;

/// Around the message of `required` and `fail`, so that Helm can find it in the error.
const WARN_START: &str = "HELM_ERR_START";
const WARN_END: &str = "HELM_ERR_END";

/// All of them.
pub(crate) fn functions() -> Vec<Function> {
    use Param::{Any, String};
    let native = Function::native;
    let mut all = vec![
        native("include", &[String, Any], false, |context, args| match args {
            [Value::Str(name), data] => Ok(Value::Str(context.include(&name.to_text(), data)?)),
            _ => Err("include: expected a name".into()),
        }),
        native("tpl", &[String, Any], false, |context, args| match args {
            [Value::Str(text), data] => Ok(Value::Str(context.tpl(&text.to_text(), data)?)),
            _ => Err("tpl: expected a text".into()),
        }),
        native("required", &[String, Any], false, required),
        native("fail", &[String], false, |context, args| {
            let message = args.first().unwrap_or(&Value::Nil);
            unless_it_passes(context, "Fail", message)
        }),
        native("lookup", &[String, String, String, String], false, lookup),
        native("getHostByName", &[String], false, |context, args| {
            let name = args.first().map(Value::to_string_lossy).unwrap_or_default();
            Ok(Value::from(context.host().host_by_name(&name)))
        }),
    ];
    all.extend(crate::codec::functions());
    all.extend(crate::durations::functions());
    all
}

fn warning(message: &Value) -> FuncError {
    FuncError::new(format!("{WARN_START}{}{WARN_END}", message.to_string_lossy()))
}

/// The error of a template that gives up; nothing where such things pass.
fn unless_it_passes(context: &Context<'_, '_>, what: &str, message: &Value) -> Res {
    match context.host().lets_pass(&format!("{what}: {}", message.to_string_lossy())) {
        true => Ok(Value::from("")),
        false => Err(warning(message)),
    }
}

fn required(context: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let [message, value] = args else {
        return Err("required: expected a message and a value".into());
    };
    let missing = value.is_nil() || matches!(value, Value::Str(text) if text.is_empty());
    if missing {
        return unless_it_passes(context, "Missing required value", message);
    }
    Ok(value.clone())
}

fn lookup(context: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let texts: Vec<String> = args.iter().map(Value::to_string_lossy).collect();
    match texts.as_slice() {
        [version, kind, namespace, name] => context.host().lookup(version, kind, namespace, name),
        _ => Err("lookup: expected four strings".into()),
    }
}

/// Executes a template into a string.
pub(crate) fn include(
    set: &Templates,
    name: &str,
    data: &Value,
    env: &mut Env<'_>,
) -> Result<Str, FuncError> {
    let limit = env.limits.includes;
    match env.included.get_mut(name) {
        Some(open) if *open > limit => {
            let message = "unable to execute template";
            return Err(format!("rendering template has a nested reference name: {name}: {message}").into());
        }
        Some(open) => *open += 1,
        None => {
            env.included.insert(Rc::from(name), 1);
        }
    }
    let result = set.execute_bytes(name, data, env);
    if let Some(open) = env.included.get_mut(name) {
        *open -= 1;
    }
    Ok(Str::from(result?))
}

/// Parses and executes a text. What was parsed is kept by its text: the functions are the same for all
/// layers of a set, and an environment belongs to one.
pub(crate) fn tpl(set: &Templates, text: &str, data: &Value, env: &mut Env<'_>) -> Result<Str, FuncError> {
    let name = &set.shared.grammar.options.name;
    // Most texts that are handed over hold no template at all.
    if !text.contains(&set.shared.grammar.options.left) {
        return Ok(Str::from(without_no_value(text.as_bytes().to_vec())));
    }
    let parsed = match env.tpl_cache.get(text.as_bytes()) {
        Some(parsed) => parsed.clone(),
        None => {
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            let parsed =
                crate::parse::parse(name, text, bytes.clone(), &set.shared.grammar, &set.shared.words)
                    .map_err(|error| {
                        FuncError::new(format!("cannot parse template {}: {error}", crate::fmt::quote(text)))
                    })?;
            let parsed = Rc::new(parsed);
            env.tpl_cache.insert(bytes, parsed.clone());
            parsed
        }
    };
    let Some((_, main)) = parsed.trees.last() else {
        return Err("the text holds no template".into());
    };
    if env.tpls >= env.limits.includes {
        let most = env.limits.includes;
        return Err(FuncError::limit(format!("tpl is nested deeper than {most}")));
    }
    env.tpls += 1;
    let mut out = Vec::new();
    let result = if parsed.trees.len() == 1 {
        // Nothing is defined: the caller's templates are all that can be seen.
        crate::exec::execute(set, main, data, env, &mut out)
    } else {
        let mut layer = Layer { parent: Some(set.layer.clone()), ..Layer::default() };
        layer.add(&parsed);
        let inner = Templates { shared: set.shared.clone(), layer: Rc::new(layer) };
        crate::exec::execute(&inner, main, data, env, &mut out)
    };
    env.tpls -= 1;
    result.map_err(|error| {
        let text = crate::fmt::quote(text);
        FuncError(format!("error during tpl function execution for {text}: {error}").into(), error.is_limit())
    })?;
    Ok(Str::from(without_no_value(out)))
}

/// Takes the words out that Go prints for a missing value.
fn without_no_value(out: Vec<u8>) -> Vec<u8> {
    const WORDS: &[u8] = b"<no value>";
    if memchr::memmem::find(&out, WORDS).is_none() {
        return out;
    }
    let mut clean = Vec::with_capacity(out.len());
    let mut rest = out.as_slice();
    while let Some((first, tail)) = rest.split_first() {
        match rest.strip_prefix(WORDS) {
            Some(after) => rest = after,
            None => {
                clean.push(*first);
                rest = tail;
            }
        }
    }
    clean
}
