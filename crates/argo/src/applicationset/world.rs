//! What generators have to ask the outside.

use std::sync::Arc;

use object::Value;
use source::Tree;

/// Something that a generator must know.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// The Secrets of all registered clusters.
    Clusters,
    /// The files of a repository.
    Files {
        /// Its address.
        repo: String,
        /// The revision, as the generator names it.
        revision: String,
        /// The project whose credentials may be used; empty when it is not known yet.
        project: String,
    },
    /// Repositories of a forge (`scmProvider`): the generator's spec, as JSON with sorted keys.
    Repositories(String),
    /// Open change requests of a forge (`pullRequest`): the generator's spec.
    PullRequests(String),
    /// What a plugin answers: the generator's spec.
    Plugin(String),
    /// The objects that decide about clusters (`clusterDecisionResource`): the generator's spec.
    Decisions(String),
}

impl Question {
    /// A question about a generator's spec.
    pub(super) fn about(make: fn(String) -> Question, spec: &Value) -> Question {
        make(spec.to_string())
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Files.
    Files(Arc<Tree>),
    /// Objects, Secrets, or sets of parameters, as the question wants.
    List(Arc<Vec<Value>>),
}

/// Who knows answers.
pub trait World {
    /// The answer; nothing when it is not known yet. A failure is an answer, too.
    fn answer(&self, question: &Question) -> Option<Result<Answer, String>>;
}

impl World for std::collections::BTreeMap<Question, Result<Answer, String>> {
    fn answer(&self, question: &Question) -> Option<Result<Answer, String>> {
        self.get(question).cloned()
    }
}
