//! An evaluation in another process: the caller keeps the files, the other one asks for those that a program imports.
//!
//! Both sides write one JSON document a line. The caller writes a [`Request`] and then an [`Answer`] to each
//! [`Reply::Read`], until the reply is the outcome; then it may send the next request. Closing the pipe ends it.

use std::io::{BufRead, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::{Error, Files, Request};

/// What the evaluating process says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// It wants a file.
    Read(String),
    /// The JSON.
    Made(String),
    /// There is none.
    Failed(Error),
}

/// A file, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    content: Option<String>,
}

impl Answer {
    /// The content of a file.
    pub fn new(content: Option<&[u8]>) -> Answer {
        Answer { content: content.map(|bytes| STANDARD.encode(bytes)) }
    }
}

/// Evaluates what is asked for until the input ends.
///
/// # Errors
/// When the caller does not keep to the form, or is gone.
pub fn serve(mut input: impl BufRead, mut output: impl Write) -> std::io::Result<()> {
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let request: Request = serde_json::from_str(&line)?;
        let mut files = Asked { input: &mut input, output: &mut output, fault: None };
        let reply = match crate::evaluate(&request, &mut files) {
            Ok(json) => Reply::Made(json),
            Err(error) => Reply::Failed(error),
        };
        if let Some(fault) = files.fault {
            return Err(fault);
        }
        say(&mut output, &reply)?;
        line.clear();
    }
    Ok(())
}

/// Files that are asked for.
struct Asked<'a, I, O> {
    input: &'a mut I,
    output: &'a mut O,
    /// Why the caller did not answer; nothing is asked any more.
    fault: Option<std::io::Error>,
}

impl<I: BufRead, O: Write> Asked<'_, I, O> {
    fn ask(&mut self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
        say(self.output, &Reply::Read(path.to_owned()))?;
        let mut line = String::new();
        self.input.read_line(&mut line)?;
        let answer: Answer = serde_json::from_str(&line)?;
        let decoded = answer.content.map(|text| STANDARD.decode(text)).transpose();
        decoded.map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}

impl<I: BufRead, O: Write> Files for Asked<'_, I, O> {
    fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        if self.fault.is_some() {
            return None;
        }
        self.ask(path).unwrap_or_else(|fault| {
            self.fault = Some(fault);
            None
        })
    }
}

fn say(output: &mut impl Write, reply: &Reply) -> std::io::Result<()> {
    serde_json::to_writer(&mut *output, reply)?;
    output.write_all(b"\n")?;
    output.flush()
}
