//! ApplicationSets: generators make sets of parameters, each set makes an Application of the template.
//!
//! Everything here but [`ApplicationSets`], the kind of the engine, is pure. What a generator has to ask the outside ([`Question`]) is answered by a [`World`]; where the
//! world does not know yet, [`generate`] ends with [`Error::Needs`] and is asked again when the answers are there. A
//! generator that fails is an error of the whole set, never an empty list: its Applications stay.
//!
//! [`generate`] gives the Applications that should be, [`policy`] what follows for those that are, [`rolling`] in which
//! order they may change.

mod answers;
mod deletion;
mod flatten;
mod generators;
mod globs;
mod kind;
mod merge;
mod names;
pub mod policy;
mod render;
pub mod rolling;
mod status;
mod template;
mod world;

pub(crate) use generators::secret_text;
pub use generators::{Generators, Sight, nested_params};
pub use globs::{ls_files, path_match};
pub use kind::ApplicationSets;
pub use merge::{combine, sets_by_key};
pub use names::{sanitize, slugify};
pub use render::{Generated, generate};
pub use template::Renderer;
pub use world::{Answer, Question, World};

use object::Value;

/// One set of parameters.
pub type Params = serde_json::Map<String, Value>;

/// Most sets of parameters that one ApplicationSet may make.
pub const MAX_SETS: usize = 10_000;

/// Why there are no Applications.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The world has to find these out first.
    #[error("{} answers are still to come", .0.len())]
    Needs(Vec<Question>),
    /// A generator failed.
    #[error("{0}")]
    Generator(String),
    /// A template failed.
    #[error("{0}")]
    Template(String),
}

impl Error {
    /// The reason of the condition that tells of it.
    pub fn reason(&self) -> &'static str {
        match self {
            Error::Template(_) => "RenderTemplateParamsError",
            Error::Needs(_) | Error::Generator(_) => "ApplicationGenerationFromParamsError",
        }
    }

    /// The same error with words before it; questions stay questions.
    pub(crate) fn within(self, words: &str) -> Self {
        match self {
            Error::Generator(text) => Error::Generator(format!("{words}: {text}")),
            Error::Template(text) => Error::Template(format!("{words}: {text}")),
            Error::Needs(questions) => Error::Needs(questions),
        }
    }
}

/// A generator's own words.
pub(crate) fn failed<T>(text: impl Into<String>) -> Result<T, Error> {
    Err(Error::Generator(text.into()))
}
