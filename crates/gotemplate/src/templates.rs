//! A set of named templates.

use bytes::Bytes;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::env::Env;
use crate::error::{ExecError, ParseError};
use crate::func::{FuncError, Function};
use crate::parse::{Grammar, Parsed, Tree, Words, parse};
use crate::price::Price;
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
    pub(crate) grammar: Grammar,
    pub(crate) functions: Vec<Rc<Function>>,
    pub(crate) words: Words,
}

/// Templates by name; `tpl` puts a layer of its own over those of its caller.
#[derive(Clone, Default)]
pub(crate) struct Layer {
    pub(crate) parent: Option<Rc<Layer>>,
    pub(crate) trees: HashMap<Arc<str>, Arc<Tree>>,
}

impl Layer {
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Tree>> {
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
        let grammar = Grammar { options, by_name: Default::default() };
        let shared = Shared { grammar, functions: Vec::new(), words: Words::default() };
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

    /// An empty set with Go's and sprig's functions and `toYaml`, with delimiters and the rest as given.
    pub fn with_yaml(options: Options) -> Self {
        let mut set = Templates::new(options);
        set.add_functions(crate::sprig::functions());
        let wanted = |function: &Function| matches!(function.name(), "toYaml" | "mustToYaml");
        set.add_functions(crate::helm::functions().into_iter().filter(wanted));
        set
    }

    /// Adds functions, or replaces those of the same name. Add them before parsing what calls them.
    pub fn add_functions(&mut self, functions: impl IntoIterator<Item = Function>) {
        let shared = Rc::make_mut(&mut self.shared);
        for mut function in functions {
            function.price = Price::of(&function.name);
            let name: Arc<str> = Arc::from(function.name());
            match shared
                .grammar
                .by_name
                .get(&name)
                .and_then(|index| shared.functions.get_mut(*index as usize))
            {
                Some(slot) => *slot = Rc::new(function),
                None => {
                    shared.grammar.by_name.insert(name, shared.functions.len() as u32);
                    shared.functions.push(Rc::new(function));
                }
            }
        }
    }

    /// Parses `text` as the template `name`, with all templates that it defines. A later definition
    /// replaces an earlier one, unless it is empty (white space and comments alone).
    pub fn parse(&mut self, name: &str, text: &str) -> Result<(), ParseError> {
        self.parse_text(name, text, Bytes::copy_from_slice(text.as_bytes()))
    }

    fn parse_text(&mut self, name: &str, text: &str, bytes: Bytes) -> Result<(), ParseError> {
        let parsed = parse(name, text, bytes, &self.shared.grammar, &self.shared.words)?;
        Rc::make_mut(&mut self.layer).add(&parsed);
        Ok(())
    }

    /// Parses texts by name, one after the other as [`Templates::parse`] does, but without copying them and,
    /// when they are large, on two threads. Bytes that are not UTF-8 become U+FFFD. The error is that of the
    /// first text that does not parse.
    pub fn parse_all(&mut self, sources: &[(&str, &Bytes)]) -> Result<(), ParseError> {
        let size: usize = sources.iter().map(|(_, bytes)| bytes.len()).sum();
        let next = AtomicUsize::new(0);
        let grammar = &self.shared.grammar;
        let mut parsed = std::thread::scope(|scope| {
            let work = || some_of(sources, &next, grammar);
            let helper = match size > WORTH_A_THREAD {
                // Without a second thread this one does it all.
                true => std::thread::Builder::new().spawn_scoped(scope, work).ok(),
                false => None,
            };
            let mut parsed = some_of(sources, &next, grammar);
            match helper.map(std::thread::ScopedJoinHandle::join) {
                Some(Ok(more)) => parsed.extend(more),
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                None => {}
            }
            parsed
        });
        parsed.sort_unstable_by_key(|(index, _)| *index);
        let layer = Rc::make_mut(&mut self.layer);
        for (_, parsed) in parsed {
            layer.add(&parsed?);
        }
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
        tree.root.write(&tree.source, &mut out);
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
        // A file mostly gives about as much text as it holds.
        let size = self.layer.get(name).map_or(0, |tree| tree.source.text.len());
        let bytes = self.execute_into(name, data, env, Vec::with_capacity(size))?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// As [`Templates::execute`], byte for byte.
    pub fn execute_bytes(&self, name: &str, data: &Value, env: &mut Env<'_>) -> Result<Vec<u8>, ExecError> {
        self.execute_into(name, data, env, Vec::new())
    }

    fn execute_into(
        &self,
        name: &str,
        data: &Value,
        env: &mut Env<'_>,
        mut out: Vec<u8>,
    ) -> Result<Vec<u8>, ExecError> {
        match self.layer.get(name) {
            Some(tree) => crate::exec::execute(self, tree, data, env, &mut out)?,
            None => {
                let set = &self.shared.grammar.options.name;
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

/// Less text than this is parsed before a thread has started.
const WORTH_A_THREAD: usize = 128 << 10;

/// Takes one text after the other until none is left or one does not parse. All before that one are taken by
/// then, here or elsewhere.
fn some_of(
    sources: &[(&str, &Bytes)],
    next: &AtomicUsize,
    grammar: &Grammar,
) -> Vec<(usize, Result<Parsed, ParseError>)> {
    let words = Words::default();
    let mut out = Vec::new();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some((name, bytes)) = sources.get(index) else { return out };
        let parsed = match std::str::from_utf8(bytes) {
            Ok(text) => parse(name, text, (*bytes).clone(), grammar, &words),
            Err(_) => {
                let text = String::from_utf8_lossy(bytes);
                parse(name, &text, Bytes::copy_from_slice(text.as_bytes()), grammar, &words)
            }
        };
        let failed = parsed.is_err();
        out.push((index, parsed));
        if failed {
            next.store(sources.len(), Ordering::Relaxed);
            return out;
        }
    }
}
