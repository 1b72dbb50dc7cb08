//! The generators.

mod asks;
mod clusters;
mod combine;
mod git;
mod selector;

use std::collections::BTreeSet;

use object::{Value, get_str};

use super::flatten::go_text;
use super::{Answer, Error, MAX_SETS, Params, Question, Renderer, World, failed};
pub(crate) use clusters::secret_text;
use selector::Selector;

/// The names of generators, in the order in which several in one entry are asked.
const NAMES: [&str; 9] = [
    "list",
    "clusters",
    "git",
    "scmProvider",
    "clusterDecisionResource",
    "pullRequest",
    "matrix",
    "merge",
    "plugin",
];

/// What generators of one ApplicationSet share.
#[derive(Clone, Copy)]
pub struct Generators<'a> {
    /// Who answers their questions.
    pub world: &'a dyn World,
    /// How texts are filled.
    pub renderer: &'a Renderer,
    /// The project of the template; empty when it is a template itself.
    pub project: &'a str,
    /// Whether selectors of nested generators count (`spec.applyNestedSelectors`).
    pub nested_selectors: bool,
    /// How repositories are looked at.
    pub sight: Sight,
}

/// How generators look at repositories.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sight {
    /// Whether files are matched by the newer rules, where only `**` crosses folders.
    pub new_globbing: bool,
    /// Whether folders count that begin with a dot.
    pub hidden_folders: bool,
}

/// What one generator of an entry made, with the template that is merged over the set's own.
pub(super) struct Made {
    pub(super) sets: Vec<Params>,
    pub(super) template: Value,
}

/// Gathers questions of several tries, so that the world can answer them together.
#[derive(Default)]
struct Open(BTreeSet<Question>);

impl Open {
    /// The value, or nothing when it waits for answers; other errors end everything.
    fn or_wait<T>(&mut self, outcome: Result<T, Error>) -> Result<Option<T>, Error> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Error::Needs(questions)) => {
                self.0.extend(questions);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn finish<T>(self, value: T) -> Result<T, Error> {
        if self.0.is_empty() { Ok(value) } else { Err(Error::Needs(self.0.into_iter().collect())) }
    }
}

/// The sets of one entry that holds exactly one generator, as those of a matrix or merge generator do.
///
/// # Errors
/// When a generator fails.
pub fn nested_params(
    generators: &Generators<'_>,
    entry: &Value,
    given: &Params,
) -> Result<Vec<Params>, Error> {
    generators.only(entry, given, 0)
}

impl Generators<'_> {
    /// What the generators of one entry make. `given` are the parameters of a generator before it.
    pub(super) fn entry(&self, entry: &Value, given: &Params, depth: usize) -> Result<Vec<Made>, Error> {
        if depth > 3 {
            return failed("generators can be nested no deeper than a matrix or merge in another");
        }
        let selector = Selector::parse(entry.get("selector"))?;
        let mut made = Vec::new();
        let mut open = Open::default();
        for name in NAMES {
            let Some(spec) = entry.get(name).filter(|spec| !spec.is_null()) else { continue };
            let template = spec.get("template").cloned().unwrap_or_default();
            let filled;
            let spec = if given.is_empty() || matches!(name, "matrix" | "merge") {
                spec
            } else {
                // The template of a generator has parameters of its own.
                let mut plain = spec.clone();
                if let Some(map) = plain.as_object_mut() {
                    map.remove("template");
                }
                filled = self.renderer.value(&plain, given)?;
                &filled
            };
            let Some(sets) = open.or_wait(self.named(name, spec, given, depth))? else { continue };
            let sets = match &selector {
                Some(selector) => selector.keep(sets)?,
                None => sets,
            };
            made.push(Made { sets, template });
        }
        open.finish(made)
    }

    fn named(&self, name: &str, spec: &Value, given: &Params, depth: usize) -> Result<Vec<Params>, Error> {
        let sets = match name {
            "list" => self.list(spec),
            "clusters" => self.clusters(spec),
            "git" => self.git(spec).map_err(|error| error.within("error generating params from git")),
            "matrix" => self.matrix(spec, given, depth),
            "merge" => self.merge(spec, given, depth),
            "scmProvider" => self.answered(Question::Repositories, spec),
            "pullRequest" => self.answered(Question::PullRequests, spec),
            "plugin" => self.plugin(spec),
            _ => self.decisions(spec),
        }?;
        if sets.len() > MAX_SETS {
            let count = sets.len();
            return failed(format!(
                "the {name} generator makes {count} sets of parameters: the limit is {MAX_SETS}"
            ));
        }
        Ok(sets)
    }

    fn ask(&self, question: Question) -> Result<Answer, Error> {
        match self.world.answer(&question) {
            None => Err(Error::Needs(vec![question])),
            Some(Ok(answer)) => Ok(answer),
            Some(Err(text)) => failed(text),
        }
    }

    fn ask_list(&self, question: Question) -> Result<std::sync::Arc<Vec<Value>>, Error> {
        match self.ask(question)? {
            Answer::List(list) => Ok(list),
            Answer::Files(_) => failed("the answer to a generator's question is of the wrong kind"),
        }
    }

    /// Adds `values` of a generator, filled with the parameters that there are so far.
    fn values(&self, spec: &Value, params: &mut Params) -> Result<(), Error> {
        let Some(values) = spec.get("values").and_then(Value::as_object) else { return Ok(()) };
        if values.is_empty() {
            return Ok(());
        }
        let mut filled = Params::new();
        for (key, value) in values {
            let text = self.renderer.text(value.as_str().unwrap_or_default(), params);
            let text = text.map_err(|error| error.within("failed to append templated values"))?;
            filled.insert(key.clone(), Value::String(text));
        }
        if self.renderer.is_go() {
            params.insert("values".to_owned(), Value::Object(filled));
        } else {
            params.extend(filled.into_iter().map(|(key, value)| (format!("values.{key}"), value)));
        }
        Ok(())
    }

    fn list(&self, spec: &Value) -> Result<Vec<Params>, Error> {
        let mut sets = Vec::new();
        for element in spec.get("elements").and_then(Value::as_array).into_iter().flatten() {
            let Some(element) = element.as_object() else {
                return failed("error unmarshling decoding of list element: an element is no map");
            };
            sets.push(if self.renderer.is_go() { element.clone() } else { texts(element)? });
        }
        let more = get_str(spec, &["elementsYaml"]).unwrap_or_default();
        if !more.is_empty() {
            let parsed = yaml::from_str(more).map_err(|error| {
                Error::Generator(format!("error unmarshling decoded ElementsYaml {error}"))
            })?;
            match parsed {
                Value::Null => {}
                Value::Array(list) => {
                    for item in list {
                        let Value::Object(item) = item else {
                            return failed("error unmarshling decoded ElementsYaml: an element is no map");
                        };
                        sets.push(item);
                    }
                }
                _ => return failed("error unmarshling decoded ElementsYaml: it is no list"),
            }
        }
        Ok(sets)
    }
}

/// The parameters of a list element in the plain syntax: texts, and `values` of texts.
fn texts(element: &Params) -> Result<Params, Error> {
    let mut params = Params::new();
    for (key, value) in element {
        match (key.as_str(), value) {
            ("values", Value::Object(values)) => {
                for (key, value) in values {
                    let Some(text) = value.as_str() else {
                        return failed(format!("error parsing value as string {}", go_text(value)));
                    };
                    params.insert(format!("values.{key}"), text.into());
                }
            }
            ("values", _) => return failed("error parsing values map"),
            (_, Value::String(_)) => {
                params.insert(key.clone(), value.clone());
            }
            _ => return failed(format!("error parsing value as string {}", go_text(value))),
        }
    }
    Ok(params)
}
