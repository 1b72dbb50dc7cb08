//! A set of named templates.

use std::collections::HashMap;
use std::rc::Rc;

use crate::env::Env;
use crate::error::{ExecError, ParseError};
use crate::func::{FuncError, Function};
use crate::parse::{Parsed, Tree};
use crate::value::{Str, Value};

/// What a missing key of a map gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MissingKey {
    /// No value: prints `<no value>` (Go's default).
    #[default]
    Invalid,
    /// The zero value of the map's element type; for `interface {}` that still prints `<no value>`.
    Zero,
    /// An error.
    Error,
}

/// How a set of templates behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the set itself, as errors show it (Helm: `gotpl`).
    pub name: String,
    /// What a missing key gives.
    pub missing_key: MissingKey,
    /// The left delimiter.
    pub left: String,
    /// The right delimiter.
    pub right: String,
}

impl Default for Options {
    fn default() -> Self {
        let name = "gotpl".to_owned();
        Options { name, missing_key: MissingKey::default(), left: "{{".into(), right: "}}".into() }
    }
}

/// Named templates that see each other, and the functions they call. Cloning is cheap.
#[derive(Clone)]
pub struct Templates {
    pub(crate) shared: Rc<Shared>,
    pub(crate) layer: Rc<Layer>,
}

/// What all layers of a set share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) functions: Vec<Rc<Function>>,
    pub(crate) by_name: HashMap<Rc<str>, u32>,
}

/// Templates by name; `tpl` puts a layer of its own over those of its caller.
#[derive(Clone, Default)]
pub(crate) struct Layer {
    pub(crate) parent: Option<Rc<Layer>>,
    pub(crate) trees: HashMap<Rc<str>, Rc<Tree>>,
}

impl Layer {
    pub(crate) fn get(&self, name: &str) -> Option<&Rc<Tree>> {
        let mut layer = Some(self);
        while let Some(current) = layer {
            if let Some(tree) = current.trees.get(name) {
                return Some(tree);
            }
            layer = current.parent.as_deref();
        }
        None
    }
}

impl Templates {
    /// An empty set with Go's own functions (`and`, `printf`, `index` …).
    pub fn new(options: Options) -> Self {
        let shared = Shared { options, functions: Vec::new(), by_name: HashMap::new() };
        let mut set = Templates { shared: Rc::new(shared), layer: Rc::new(Layer::default()) };
        set.add_functions(crate::builtin::functions());
        set
    }

    /// An empty set as Helm's engine makes it: with all of sprig (but `env` and `expandenv`) and Helm's
    /// own functions, `include`, `tpl`, `required`, `fail` and `lookup` among them. In strict mode a
    /// missing key is an error.
    pub fn helm(strict: bool) -> Self {
        let missing_key = if strict { MissingKey::Error } else { MissingKey::Zero };
        let mut set = Templates::new(Options { missing_key, ..Options::default() });
        set.add_functions(crate::sprig::functions());
        set.add_functions(crate::helm::functions());
        set
    }

    /// An empty set with Go's and sprig's functions.
    pub fn sprig(missing_key: MissingKey) -> Self {
        let mut set = Templates::new(Options { missing_key, ..Options::default() });
        set.add_functions(crate::sprig::functions());
        set
    }

    /// Adds functions, or replaces those of the same name. Add them before parsing what calls them.
    pub fn add_functions(&mut self, functions: impl IntoIterator<Item = Function>) {
        let shared = Rc::make_mut(&mut self.shared);
        for function in functions {
            let name: Rc<str> = Rc::from(function.name());
            match shared.by_name.get(&name).and_then(|index| shared.functions.get_mut(*index as usize)) {
                Some(slot) => *slot = Rc::new(function),
                None => {
                    shared.by_name.insert(name, shared.functions.len() as u32);
                    shared.functions.push(Rc::new(function));
                }
            }
        }
    }

    /// Parses `text` as the template `name`, with all templates that it defines. A later definition
    /// replaces an earlier one, unless it is empty (white space and comments alone).
    pub fn parse(&mut self, name: &str, text: &str) -> Result<(), ParseError> {
        let parsed = crate::parse::parse(name, text, &self.shared)?;
        Rc::make_mut(&mut self.layer).add(&parsed);
        Ok(())
    }

    /// Whether there is a template `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.layer.get(name).is_some()
    }

    /// The template `name` as Go prints its tree, or `None` if there is none.
    pub fn canonical(&self, name: &str) -> Option<String> {
        let tree = self.layer.get(name)?;
        let mut out = String::new();
        tree.root.write(&tree.source.text, &mut out);
        Some(out)
    }

    /// The names of all templates, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.layer.trees.keys().map(|name| name.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// Executes the template `name` with `data` as `.` and `$`. Output that is not UTF-8 shows U+FFFD
    /// in its place; [`Templates::execute_bytes`] gives it as it is.
    pub fn execute(&self, name: &str, data: &Value, env: &mut Env<'_>) -> Result<String, ExecError> {
        let bytes = self.execute_bytes(name, data, env)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// As [`Templates::execute`], byte for byte.
    pub fn execute_bytes(&self, name: &str, data: &Value, env: &mut Env<'_>) -> Result<Vec<u8>, ExecError> {
        let mut out = Vec::new();
        match self.layer.get(name) {
            Some(tree) => crate::exec::execute(self, tree, data, env, &mut out)?,
            None => {
                let set = &self.shared.options.name;
                let (name, set) = (crate::fmt::quote(name), crate::fmt::quote(set));
                return Err(ExecError::missing(format!(
                    "template: no template {name} associated with template {set}"
                )));
            }
        }
        Ok(out)
    }

    /// Helm's `include`; see [`crate::Context::include`].
    pub fn include(&self, name: &str, data: &Value, env: &mut Env<'_>) -> Result<Str, FuncError> {
        crate::helm::include(self, name, data, env)
    }

    /// Helm's `tpl`; see [`crate::Context::tpl`].
    pub fn tpl(&self, text: &str, data: &Value, env: &mut Env<'_>) -> Result<Str, FuncError> {
        crate::helm::tpl(self, text, data, env)
    }
}

impl Layer {
    /// Puts what was parsed into the layer.
    pub(crate) fn add(&mut self, parsed: &Parsed) {
        for (name, tree) in &parsed.trees {
            if tree.is_empty() && self.get(name).is_some() {
                continue;
            }
            self.trees.insert(name.clone(), tree.clone());
        }
    }
}
