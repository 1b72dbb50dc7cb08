//! Following renamed objects: references to them are changed too.

use crate::error::Error;
use crate::fieldspec::{self, Create, FieldSpec, NameReference};
use crate::ids::{Gvk, ResId};
use crate::resmap::ResMap;
use crate::resource::Resource;
use crate::tree::{self, Node};
use std::collections::HashMap;

/// What candidates for a referral are known by.
struct Candidate {
    current: ResId,
    previous: Vec<ResId>,
    original_namespace: String,
    name: String,
    namespace: String,
}

struct Referrals<'a> {
    candidates: &'a [Candidate],
    /// Candidates by every previous name.
    by_name: &'a HashMap<String, Vec<usize>>,
    resources: &'a [Resource],
}

/// Changes every reference to a renamed object.
pub(crate) fn fix(map: &mut ResMap, references: &[NameReference]) -> Result<(), Error> {
    let schema = map.schema().clone();
    let mut candidates = Vec::with_capacity(map.list().len());
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, resource) in map.list().iter().enumerate() {
        let previous = resource.previous_ids(&schema);
        for id in &previous {
            let entry = by_name.entry(id.name.clone()).or_default();
            if entry.last() != Some(&at) {
                entry.push(at);
            }
        }
        candidates.push(Candidate {
            current: resource.current_id(&schema),
            original_namespace: resource.original_id(&schema).effective_namespace().to_owned(),
            previous,
            name: resource.name().to_owned(),
            namespace: resource.namespace().to_owned(),
        });
    }
    let mut specs = SpecIndex::new(references);
    // Referrers are changed as copies: who is referred to is decided by what stands before.
    let mut changed: Vec<(usize, Node)> = Vec::new();
    for (at, resource) in map.list().iter().enumerate() {
        let filters = specs.of(&resource.original_id(&schema).gvk);
        if filters.is_empty() {
            continue;
        }
        let referrals = Referrals { candidates: &candidates, by_name: &by_name, resources: map.list() };
        let referrer = Referrer::new(at, resource, &candidates)?;
        let mut node: Option<Node> = None;
        for (target, spec) in filters {
            if !may_touch(node.as_ref().unwrap_or(&resource.node), &spec.path) {
                continue;
            }
            let node = node.get_or_insert_with(|| resource.node.clone());
            let spec = FieldSpec { gvk: Gvk::default(), path: spec.path.clone(), create: false };
            fieldspec::apply(&spec, node, Create::No, &mut |field| {
                referrer.set(field, &spec, target, &referrals)
            })
            .map_err(|error| {
                error.wrap(format!("updating name reference in '{}' field of '{}'", spec.path, referrer.id()))
            })?;
        }
        if let Some(node) = node {
            changed.push((at, node));
        }
    }
    for (at, node) in changed {
        if let Some(resource) = map.list_mut().get_mut(at) {
            resource.node = node;
        }
    }
    Ok(())
}

/// The specs that concern a kind, found once per kind.
struct SpecIndex<'a> {
    references: &'a [NameReference],
    known: HashMap<Gvk, Vec<(&'a Gvk, &'a FieldSpec)>>,
}

impl<'a> SpecIndex<'a> {
    fn new(references: &'a [NameReference]) -> Self {
        SpecIndex { references, known: HashMap::new() }
    }

    fn of(&mut self, gvk: &Gvk) -> Vec<(&'a Gvk, &'a FieldSpec)> {
        let references = self.references;
        self.known
            .entry(gvk.clone())
            .or_insert_with(|| {
                references
                    .iter()
                    .flat_map(|reference| reference.referrers.iter().map(move |spec| (&reference.gvk, spec)))
                    .filter(|(_, spec)| gvk.is_selected(&spec.gvk))
                    .collect()
            })
            .clone()
    }
}

/// Is the first part of the path there at all?
fn may_touch(node: &Node, path: &str) -> bool {
    let mut here = vec![node];
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if part.ends_with('\\') || part.starts_with('[') {
            return true;
        }
        let part = part.strip_suffix("[]").unwrap_or(part);
        let mut next = Vec::new();
        for node in here {
            collect(node, part, &mut next);
        }
        if next.is_empty() {
            return false;
        }
        here = next;
    }
    true
}

fn collect<'a>(node: &'a Node, part: &str, found: &mut Vec<&'a Node>) {
    match node {
        Node::Map(_) => found.extend(node.get(part)),
        Node::Seq(items) => items.iter().for_each(|item| collect(item, part, found)),
        // Something is amiss here, and the walk shall say so.
        Node::Scalar(_) if !node.is_null() => found.push(node),
        Node::Scalar(_) => {}
    }
}

struct Referrer<'a> {
    at: usize,
    resource: &'a Resource,
    id: &'a ResId,
    /// Namespaces that a role binding's service accounts come from.
    extra_namespaces: Vec<String>,
}

impl<'a> Referrer<'a> {
    fn new(at: usize, resource: &'a Resource, candidates: &'a [Candidate]) -> Result<Self, Error> {
        let id = candidates
            .get(at)
            .map(|candidate| &candidate.current)
            .ok_or_else(|| Error::new("no such referrer"))?;
        let mut extra_namespaces = Vec::new();
        if resource.kind() == "RoleBinding" {
            for subject in resource.node.get("subjects").map_or(&[][..], Node::items) {
                let Some(namespace) = subject.get("namespace") else { continue };
                if subject.get("kind").map(Node::text) == Some("ServiceAccount") {
                    if namespace.is_null() {
                        return Err(Error::new(format!(
                            "Invalid Input: namespace is blank for resource \"{id}\"\n"
                        )));
                    }
                    extra_namespaces.push(namespace.text().to_owned());
                }
            }
        }
        Ok(Referrer { at, resource, id, extra_namespaces })
    }

    fn id(&self) -> &ResId {
        self.id
    }

    /// May the referrer mean this object at all?
    fn may_refer_to(&self, candidate: &Candidate) -> bool {
        self.id.cluster_scoped
            || candidate.current.cluster_scoped
            || candidate.current.same_namespace(self.id)
            || self.extra_namespaces.contains(&candidate.namespace)
    }

    fn set(
        &self,
        node: &mut Node,
        spec: &FieldSpec,
        target: &Gvk,
        referrals: &Referrals<'_>,
    ) -> Result<(), Error> {
        if node.is_null() {
            return Ok(());
        }
        match node {
            Node::Scalar(_) => self.set_scalar(node, spec, target, referrals),
            Node::Map(_) => self.set_map(node, spec, target, referrals),
            Node::Seq(items) => {
                for item in items {
                    if item.is_null() {
                        continue;
                    }
                    match item {
                        Node::Scalar(_) => self.set_scalar(item, spec, target, referrals)?,
                        Node::Map(_) => self.set_map(item, spec, target, referrals)?,
                        Node::Seq(_) => {
                            return Err(Error::new(format!(
                                "{} is expected to be either a string or a map of string",
                                tree::to_text(item)
                            )));
                        }
                    }
                }
                Ok(())
            }
        }
    }

    fn set_scalar(
        &self,
        node: &mut Node,
        spec: &FieldSpec,
        target: &Gvk,
        referrals: &Referrals<'_>,
    ) -> Result<(), Error> {
        let found = self.select(node.text(), spec, target, referrals, |_| true, false)?;
        let Some(candidate) = found else { return Ok(()) };
        if candidate.name == node.text() {
            return Ok(());
        }
        node.set_scalar(Node::plain(&candidate.name)).map_err(Error::new)
    }

    fn set_map(
        &self,
        node: &mut Node,
        spec: &FieldSpec,
        target: &Gvk,
        referrals: &Referrals<'_>,
    ) -> Result<(), Error> {
        let Some(name) = node.get("name") else {
            return Err(Error::new("path config error; no 'name' field in node"));
        };
        let old = name.text().to_owned();
        let namespace = node.get("namespace").map(|namespace| namespace.text().to_owned());
        let found = match &namespace {
            None => self.select(&old, spec, target, referrals, |_| true, true)?,
            Some(namespace) => {
                // By the namespace objects had first; when none had it, by the one they have.
                let original = |candidate: &Candidate| {
                    candidate.original_namespace != crate::ids::CLUSTER
                        && candidate.original_namespace == *namespace
                };
                let current = |candidate: &Candidate| {
                    !candidate.current.cluster_scoped && candidate.current.effective_namespace() == namespace
                };
                let any = referrals
                    .candidates
                    .iter()
                    .any(|candidate| self.may_refer_to(candidate) && original(candidate));
                if any {
                    self.select(&old, spec, target, referrals, original, true)?
                } else {
                    self.select(&old, spec, target, referrals, current, true)?
                }
            }
        };
        let Some(candidate) = found else { return Ok(()) };
        if candidate.name == old && candidate.namespace.is_empty() {
            return Ok(());
        }
        node.set_field("name", Node::plain(&candidate.name));
        if !candidate.namespace.is_empty() {
            node.set_field("namespace", Node::plain(&candidate.namespace));
        }
        Ok(())
    }

    fn role_ref(&self, spec: &FieldSpec) -> Option<Gvk> {
        if !spec.path.ends_with("roleRef/name") {
            return None;
        }
        let role = self.resource.node.get("roleRef")?;
        Some(Gvk {
            group: role.get("apiGroup")?.text().to_owned(),
            version: String::new(),
            kind: role.get("kind")?.text().to_owned(),
        })
    }

    fn select<'r>(
        &self,
        old: &str,
        spec: &FieldSpec,
        target: &Gvk,
        referrals: &Referrals<'r>,
        in_namespace: impl Fn(&Candidate) -> bool,
        with_namespace: bool,
    ) -> Result<Option<&'r Candidate>, Error> {
        let Some(named) = referrals.by_name.get(old) else { return Ok(None) };
        let role = self.role_ref(spec);
        let selected =
            |candidate: &Candidate, gvk: &Gvk| candidate.previous.iter().any(|id| id.gvk.is_selected(gvk));
        let mut found: Vec<usize> = named
            .iter()
            .copied()
            .filter(|at| {
                referrals.candidates.get(*at).is_some_and(|candidate| {
                    self.may_refer_to(candidate)
                        && in_namespace(candidate)
                        && selected(candidate, target)
                        && role.as_ref().is_none_or(|gvk| selected(candidate, gvk))
                        && self.shares_namespace(candidate)
                })
            })
            .collect();
        let candidate = |at: &usize| referrals.candidates.get(*at);
        if let [one] = found.as_slice() {
            return Ok(candidate(one));
        }
        let same = |at: &usize, allow_empty| {
            referrals
                .resources
                .get(*at)
                .is_some_and(|resource| resource.same_affixes(self.resource, allow_empty))
        };
        found.retain(|at| same(at, true));
        if found.len() > 1 {
            found.retain(|at| same(at, false));
        }
        let all: Vec<&'r Candidate> = found.iter().filter_map(candidate).collect();
        let Some(first) = all.first().copied() else { return Ok(None) };
        let alike = |one: &&Candidate| {
            one.name == first.name && (!with_namespace || one.namespace == first.namespace)
        };
        if all.len() == 1 || all.iter().all(alike) {
            return Ok(Some(first));
        }
        let ids: Vec<String> = all.iter().map(|one| one.current.to_string()).collect();
        let mut message = format!(
            "found multiple possible referrals: {}\n\n**** Too many possible referral targets to referrer:\n{}\n",
            ids.join(", "),
            referrals.resources.get(self.at).map(Resource::to_yaml).unwrap_or_default()
        );
        for (number, at) in found.iter().enumerate() {
            let text = referrals.resources.get(*at).map(Resource::to_yaml).unwrap_or_default();
            message.push_str(&format!("--- possible referral {number}:\n{text}\n"));
        }
        Err(Error::new(message))
    }

    fn shares_namespace(&self, candidate: &Candidate) -> bool {
        self.id.cluster_scoped
            || candidate.current.cluster_scoped
            || candidate.current.gvk.kind == "ServiceAccount"
            || self.id.same_namespace(&candidate.current)
    }
}
