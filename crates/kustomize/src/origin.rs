//! `buildMetadata`: annotations that say where objects come from and what changed them.

use crate::remote::{RepoSpec, clean_relative};
use crate::resmap::ResMap;
use crate::resource::{ORIGIN, Resource, TRANSFORMATIONS};
use crate::tree::{self, Node};

/// Where something comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub path: String,
    pub repo: String,
    pub reference: String,
    pub configured_in: String,
    /// apiVersion, kind, name, namespace of what made it.
    pub configured_by: Option<[String; 4]>,
}

fn join(a: &str, b: &str) -> String {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => String::new(),
        (true, false) => clean_relative(b),
        (false, true) => clean_relative(a),
        (false, false) => clean_relative(&format!("{a}/{b}")),
    }
}

impl Origin {
    /// One step further: a path, or an address.
    pub fn append(&self, path: &str) -> Origin {
        let mut origin = self.clone();
        match RepoSpec::parse(path) {
            Some(spec) => {
                origin.repo = spec.clone;
                origin.reference = spec.reference;
                origin.path = join("", &spec.path);
            }
            None => origin.path = join(&self.path, path),
        }
        origin
    }

    /// For what a field of the kustomization here makes.
    pub fn configured_by_field(&self, file: &str, plugin: &str) -> Origin {
        Origin {
            path: String::new(),
            repo: self.repo.clone(),
            reference: self.reference.clone(),
            configured_in: join(&self.path, file),
            configured_by: Some(["builtin".to_owned(), plugin.to_owned(), String::new(), String::new()]),
        }
    }

    /// For what a plugin makes that came from a file of its own.
    pub fn of_plugin(plugin: &Resource) -> Option<Origin> {
        let origin = Origin::parse(plugin.annotation(ORIGIN)?);
        Some(Origin {
            path: String::new(),
            repo: origin.repo,
            reference: origin.reference,
            configured_in: origin.path,
            configured_by: Some([
                plugin.api_version().to_owned(),
                plugin.kind().to_owned(),
                plugin.name().to_owned(),
                plugin.namespace().to_owned(),
            ]),
        })
    }

    fn parse(text: &str) -> Origin {
        let value = yaml::from_str(text).unwrap_or_default();
        let get = |key: &str| value.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        Origin { path: get("path"), repo: get("repo"), reference: get("ref"), ..Origin::default() }
    }

    fn node(&self) -> Node {
        let mut fields = Vec::new();
        let mut push = |key: &str, value: &str| {
            if !value.is_empty() {
                fields.push((key.into(), Node::string(value)));
            }
        };
        push("path", &self.path);
        push("repo", &self.repo);
        push("ref", &self.reference);
        push("configuredIn", &self.configured_in);
        if let Some(by) = &self.configured_by {
            let names = ["apiVersion", "kind", "name", "namespace"];
            let by = names
                .iter()
                .zip(by)
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| ((*name).into(), Node::string(value)))
                .collect();
            fields.push(("configuredBy".into(), Node::Map(by)));
        }
        Node::Map(fields)
    }

    /// As the annotation holds it.
    pub fn to_yaml(&self) -> String {
        tree::to_text(&self.node())
    }
}

/// Writes down that something changed every object (or made it, when it has no origin yet).
pub(crate) fn annotate(map: &mut ResMap, origin: &Origin) {
    let text = origin.to_yaml();
    let item = origin.node();
    let single = tree::to_text(&Node::Seq(vec![item]));
    for resource in map.contents_mut() {
        resource.settle_annotations();
        if resource.annotation(ORIGIN).is_none() {
            resource.set_annotation(ORIGIN, &text);
            continue;
        }
        let all = match resource.annotation(TRANSFORMATIONS) {
            Some(before) => format!("{before}{single}"),
            None => single.clone(),
        };
        resource.set_annotation(TRANSFORMATIONS, &all);
    }
}
