//! Jsonnet programs of a folder. Files of strangers are evaluated in a process of their own, which is ended when it
//! takes too long and cannot take more memory than it was given; the files it imports are read here.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use ::jsonnet::wire::{Answer, Reply};
use ::jsonnet::{Error, Files, MAX_OUTPUT, Request, Variable};
use ::kustomize::World;
use delivery::fields::{bool_at, list_at, str_at, strings_at};
use delivery::world::TreeWorld;
use object::{Value, get};

use super::{Failure, Input, env};

/// How long the programs of one folder may take together.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest line of the other process: JSON in JSON, where each character may need six.
const MAX_LINE: u64 = 6 * MAX_OUTPUT as u64 + 1024;

/// Who evaluates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evaluator {
    /// This process, without limits of time and memory: for files that are one's own.
    Inside,
    /// A process that speaks the `wire` of the crate `jsonnet`.
    Apart {
        /// The program.
        program: PathBuf,
        /// What it is called with.
        arguments: Vec<String>,
    },
}

/// The programs of one source.
pub struct Programs<'a, 'w> {
    world: &'a TreeWorld<'w>,
    path: &'a str,
    input: &'a Input,
    evaluator: &'a Evaluator,
    apart: Option<Apart>,
}

impl<'a, 'w> Programs<'a, 'w> {
    /// None evaluated, no process started yet.
    pub fn new(
        world: &'a TreeWorld<'w>,
        path: &'a str,
        input: &'a Input,
        evaluator: &'a Evaluator,
    ) -> Programs<'a, 'w> {
        Programs { world, path, input, evaluator, apart: None }
    }

    /// The objects that a program makes: one, or a list of them.
    ///
    /// # Errors
    /// In go-jsonnet's words, with the places.
    pub fn objects(&mut self, file: &str) -> Result<Vec<Value>, Failure> {
        let name = file.rsplit('/').next().unwrap_or(file);
        let request = self.request(file)?;
        let made = self.evaluate(&request).map_err(|error| Failure {
            message: format!("Failed to evaluate jsonnet {name:?}: {error}"),
            file: error.file.filter(|path| !path.starts_with('<')).or_else(|| Some(file.to_owned())),
            line: error.line,
        })?;
        let not_one = |why: &str| {
            Failure::new(format!("Failed to unmarshal generated json {name:?}: {why}")).at(file, 0)
        };
        let value: Value = serde_json::from_str(&made).map_err(|error| not_one(&error.to_string()))?;
        let mut objects = match value {
            Value::Array(items) => items,
            object => vec![object],
        };
        objects.retain(|object| !object.is_null());
        if objects.iter().any(|object| str_at(object, &["kind"]).is_empty()) {
            return Err(not_one("Object 'Kind' is missing"));
        }
        Ok(objects)
    }

    fn request(&self, file: &str) -> Result<Request, Failure> {
        let block = get(&self.input.source, &["directory", "jsonnet"]).unwrap_or(&Value::Null);
        let variables = |field: &str| {
            let of = |entry: &Value| Variable {
                name: str_at(entry, &["name"]).to_owned(),
                value: env::substitute(str_at(entry, &["value"]), &self.input.env),
                code: bool_at(entry, &["code"]),
            };
            list_at(block, &[field]).iter().map(of).collect()
        };
        let mut libraries = vec![self.path.to_owned()];
        for library in strings_at(block, &["libs"]) {
            if library.split('/').any(|part| part == "..") {
                return Err(Failure::new(format!(
                    "the Jsonnet library path {library:?} leads out of the repository"
                )));
            }
            libraries.push(super::clean(&library));
        }
        Ok(Request {
            file: file.to_owned(),
            external: variables("extVars"),
            arguments: variables("tlas"),
            libraries,
        })
    }

    fn evaluate(&mut self, request: &Request) -> Result<String, Error> {
        let mut files = Repository(self.world);
        let (program, arguments) = match self.evaluator {
            Evaluator::Inside => return ::jsonnet::evaluate(request, &mut files),
            Evaluator::Apart { program, arguments } => (program, arguments),
        };
        let apart = match &mut self.apart {
            Some(apart) => apart,
            none => none.insert(Apart::start(Command::new(program).args(arguments)).map_err(|error| {
                Error::new(format!("no process for the evaluation: {}: {error}", program.display()))
            })?),
        };
        apart.evaluate(request, &mut files)
    }
}

/// The repository's files; what is read is noted there.
struct Repository<'a, 'w>(&'a TreeWorld<'w>);

impl Files for Repository<'_, '_> {
    fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        self.0.read(&format!("/{path}")).ok()
    }
}

/// The other process.
struct Apart {
    child: Child,
    input: ChildStdin,
    /// Its lines; ends with it.
    lines: Receiver<std::io::Result<String>>,
    until: Instant,
}

impl Apart {
    fn start(command: &mut Command) -> std::io::Result<Apart> {
        let mut child =
            command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::other("it has no pipes"));
        };
        let (sender, lines) = sync_channel(1);
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            loop {
                let mut line = String::new();
                let read = output.by_ref().take(MAX_LINE).read_line(&mut line);
                let last = !matches!(read, Ok(1..)) || !line.ends_with('\n');
                // The end is told by the closed channel.
                let told = last && read.is_ok() || sender.send(read.map(|_| line)).is_ok();
                if last || !told {
                    return;
                }
            }
        });
        Ok(Apart { child, input, lines, until: Instant::now() + TIMEOUT })
    }

    fn evaluate(&mut self, request: &Request, files: &mut dyn Files) -> Result<String, Error> {
        self.say(request)?;
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line.map_err(|error| Error::new(format!("the evaluation: {error}")))?,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Error::new(format!("it takes longer than {} s", TIMEOUT.as_secs())));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            };
            let reply = serde_json::from_str(&line)
                .map_err(|error| Error::new(format!("the process of the evaluation said: {error}")))?;
            match reply {
                Reply::Read(path) => self.say(&Answer::new(files.read(&path).as_deref()))?,
                Reply::Made(json) => return Ok(json),
                Reply::Failed(error) => return Err(error),
            }
        }
    }

    fn say(&mut self, what: &impl serde::Serialize) -> Result<(), Error> {
        let mut line = serde_json::to_vec(what).map_err(|error| Error::new(error.to_string()))?;
        line.push(b'\n');
        // Whoever reads nothing any more has ended, and is asked why.
        match self.input.write_all(&line) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.ended()),
        }
    }

    /// Why the process is gone.
    fn ended(&mut self) -> Error {
        match self.child.wait() {
            Ok(status) => Error::new(format!(
                "the evaluation was ended ({status}): it needs more memory or nests deeper than is allowed"
            )),
            Err(error) => Error::new(format!("the process of the evaluation: {error}")),
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // It has nothing to finish; one that has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
