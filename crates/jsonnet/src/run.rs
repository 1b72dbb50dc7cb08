//! One evaluation: the program is loaded with what it is given, run, and printed.

use std::collections::{BTreeMap, HashMap};

use rsjsonnet_lang::arena::Arena;
use rsjsonnet_lang::interner::InternedStr;
use rsjsonnet_lang::program::{
    Callbacks, EvalError, EvalStackTraceItem, ImportError, NativeError, Program, Thunk, Value, ValueKind,
};
use rsjsonnet_lang::span::{SpanContext, SpanId};

use crate::imports::{self, Missing};
use crate::report::{self, Sources};
use crate::{Error, Files, MAX_CALLS, MAX_OUTPUT, MAX_SOURCE, Request, Variable};

/// Room for the parser and for printing, which call themselves for nested values.
const STACK: usize = 128 << 20;

/// The JSON that a program makes.
///
/// # Errors
/// When a file is missing, cannot be read as Jsonnet, or fails when it runs; with the place where that is known.
pub fn evaluate(request: &Request, files: &mut dyn Files) -> Result<String, Error> {
    stacker::grow(STACK, || {
        let arena = Arena::new();
        let mut program = Program::new(&arena);
        program.set_max_stack(MAX_CALLS);
        let mut session = Session {
            files,
            libraries: &request.libraries,
            sources: Sources::default(),
            loaded: HashMap::new(),
            failure: None,
        };
        session.run(&mut program, request)
    })
}

/// What an evaluation knows beside the program.
struct Session<'a, 'p> {
    files: &'a mut dyn Files,
    libraries: &'a [String],
    sources: Sources,
    /// Files that were imported, so that each is read once.
    loaded: HashMap<String, Thunk<'p>>,
    /// Why the last import failed; the evaluator itself only knows that it did.
    failure: Option<Error>,
}

impl<'p> Session<'_, 'p> {
    fn run(&mut self, program: &mut Program<'p>, request: &Request) -> Result<String, Error> {
        for variable in last_of_each(&request.external) {
            let thunk = self.given(program, variable, "extvar")?;
            let name = program.intern_str(&variable.name);
            program.add_ext_var(name, &thunk);
        }
        let Some(bytes) = self.files.read(&request.file) else {
            return Err(Error::new(format!(
                "couldn't open import {:?}: no match locally or in the Jsonnet library paths",
                request.file
            )));
        };
        let main = self.load(program, &request.file, &bytes)?;
        let mut value = match program.eval_value(&main, self) {
            Ok(value) => value,
            Err(error) => return Err(self.failed(program, &error)),
        };
        if matches!(value.kind(), ValueKind::Function) {
            let mut arguments = Vec::new();
            for variable in last_of_each(&request.arguments) {
                let thunk = self.given(program, variable, "top-level-arg")?;
                arguments.push((program.intern_str(&variable.name), thunk));
            }
            value = match program.eval_call(&main, &[], &arguments, self) {
                Ok(value) => value,
                Err(error) => return Err(self.failed(program, &error)),
            };
        }
        // Printing evaluates what nobody has asked for yet, and may import for it.
        let printed = self.print(program, &value)?;
        if printed.len() > MAX_OUTPUT {
            return Err(Error::new(format!("it makes more than {} MiB of JSON", MAX_OUTPUT >> 20)));
        }
        Ok(printed)
    }

    fn print(&mut self, program: &mut Program<'p>, value: &Value<'p>) -> Result<String, Error> {
        // Only the evaluator with callbacks can import, so the printing is a call of the standard library.
        let code = "function(value) std.manifestJsonMinified(value)";
        let function = self.load(program, "<manifest>", code.as_bytes())?;
        let argument = program.value_to_thunk(value);
        match program.eval_call(&function, &[argument], &[], self) {
            Ok(text) => text.to_string().ok_or_else(|| Error::new("it makes no JSON")),
            Err(error) => Err(self.failed(program, &error)),
        }
    }

    /// A variable as the evaluator takes it.
    fn given(
        &mut self,
        program: &mut Program<'p>,
        variable: &Variable,
        what: &str,
    ) -> Result<Thunk<'p>, Error> {
        if variable.code {
            let shown = format!("<{what}:{}>", variable.name);
            self.load(program, &shown, variable.value.as_bytes())
        } else {
            Ok(program.value_to_thunk(&Value::string(&variable.value)))
        }
    }

    /// A source, ready to be evaluated.
    fn load(&mut self, program: &mut Program<'p>, path: &str, bytes: &[u8]) -> Result<Thunk<'p>, Error> {
        if bytes.len() > MAX_SOURCE {
            let message = format!("{path} is larger than {} MiB", MAX_SOURCE >> 20);
            return Err(Error { message, file: Some(path.to_owned()), line: None });
        }
        let (context, source) = program.span_manager_mut().insert_source_context(bytes.len());
        self.sources.add(source, path, bytes);
        program
            .load_source(context, bytes, true, path)
            .map_err(|error| report::unreadable(&error, program.span_manager(), &self.sources))
    }

    /// What an error of the evaluator means.
    fn failed(&mut self, program: &Program<'p>, error: &EvalError) -> Error {
        report::failed(error, self.failure.take(), program.span_manager(), &self.sources)
    }

    /// The file that an import names.
    fn find(
        &mut self,
        program: &Program<'p>,
        from: SpanId,
        named: &str,
    ) -> Result<(String, Vec<u8>), ImportError> {
        let (context, _, _) = program.span_manager().get_span(from);
        let SpanContext::Source(source) = *program.span_manager().get_context(context);
        let beside = self.sources.path(source).to_owned();
        imports::find(self.files, &beside, named, self.libraries).map_err(|missing| {
            let why = match missing {
                Missing::Nowhere => "no match locally or in the Jsonnet library paths",
                Missing::Outside => "it leads out of the repository",
            };
            self.failure = Some(Error::new(format!("RUNTIME ERROR: couldn't open import {named:?}: {why}")));
            ImportError
        })
    }
}

impl<'p> Callbacks<'p> for Session<'_, 'p> {
    fn import(
        &mut self,
        program: &mut Program<'p>,
        from: SpanId,
        path: &str,
    ) -> Result<Thunk<'p>, ImportError> {
        let (path, bytes) = self.find(program, from, path)?;
        if let Some(thunk) = self.loaded.get(&path) {
            return Ok(thunk.clone());
        }
        let thunk = self.load(program, &path, &bytes).map_err(|error| {
            self.failure = Some(error);
            ImportError
        })?;
        self.loaded.insert(path, thunk.clone());
        Ok(thunk)
    }

    fn import_str(
        &mut self,
        program: &mut Program<'p>,
        from: SpanId,
        path: &str,
    ) -> Result<String, ImportError> {
        let (_, bytes) = self.find(program, from, path)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn import_bin(
        &mut self,
        program: &mut Program<'p>,
        from: SpanId,
        path: &str,
    ) -> Result<Vec<u8>, ImportError> {
        Ok(self.find(program, from, path)?.1)
    }

    /// Traces go to standard error in Jsonnet's own tools; here nobody would read them.
    fn trace(&mut self, _: &mut Program<'p>, _: &str, _: &[EvalStackTraceItem]) {}

    fn native_call(
        &mut self,
        _: &mut Program<'p>,
        _: InternedStr<'p>,
        _: &[Value<'p>],
    ) -> Result<Value<'p>, NativeError> {
        // None is registered, so none can be named.
        Err(NativeError)
    }
}

/// Of variables with one name the last.
fn last_of_each(variables: &[Variable]) -> impl Iterator<Item = &Variable> {
    let by_name: BTreeMap<&str, &Variable> =
        variables.iter().map(|variable| (variable.name.as_str(), variable)).collect();
    by_name.into_values()
}
