//! Which subcharts take part, under which name, and what of their values the parent takes over.

use crate::chart::{Chart, Crd, Dependency, own_crds};
use crate::values::coalesce::{self, Table, Warnings, from_values, merge_tables, table};
use crate::{Error, Result, Stage};
use gotemplate::Value;
use serde_json::Value as Json;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// A chart in a [`Forest`].
pub(crate) type Index = usize;

/// The charts of one render. A chart stands in it once for every name it goes by; what preparing a
/// release changes (names, values, the list of subcharts) changes here and not in the [`Chart`].
pub(crate) struct Forest<'c> {
    units: Vec<Unit<'c>>,
}

#[derive(Clone)]
struct Unit<'c> {
    chart: &'c Chart,
    name: String,
    parent: Option<Index>,
    children: Vec<Index>,
    values: Option<Table>,
    /// Shared between the aliases of one chart, as their metadata is in Helm.
    requirements: Vec<Shared>,
}

type Shared = Rc<RefCell<Requirement>>;

/// A declared dependency while a release is prepared.
struct Requirement {
    dependency: Dependency,
    /// Its values were imported. Helm rewrites `import-values` then, and does not understand what it wrote
    /// when it meets it again under another alias of the same chart.
    imported: bool,
}

impl<'c> Forest<'c> {
    /// The root chart.
    pub(crate) const ROOT: Index = 0;

    /// All charts as they were loaded.
    pub(crate) fn new(chart: &'c Chart) -> Self {
        let mut forest = Forest { units: Vec::new() };
        forest.add(chart, None);
        forest
    }

    fn add(&mut self, chart: &'c Chart, parent: Option<Index>) -> Index {
        let index = self.units.len();
        let shared = |dependency: &Dependency| {
            Rc::new(RefCell::new(Requirement { dependency: dependency.clone(), imported: false }))
        };
        self.units.push(Unit {
            chart,
            name: chart.metadata.name.clone(),
            parent,
            children: Vec::new(),
            values: chart.values.as_ref().map(from_values),
            requirements: chart.metadata.dependencies.iter().map(shared).collect(),
        });
        let children: Vec<Index> =
            chart.dependencies.iter().map(|child| self.add(child, Some(index))).collect();
        self.unit_mut(index, |unit| unit.children = children);
        index
    }

    fn unit(&self, index: Index) -> &Unit<'c> {
        // Indices are made by `add` and `alias` alone and units are never removed.
        #[allow(clippy::indexing_slicing)]
        &self.units[index]
    }

    fn unit_mut(&mut self, index: Index, change: impl FnOnce(&mut Unit<'c>)) {
        if let Some(unit) = self.units.get_mut(index) {
            change(unit);
        }
    }

    pub(crate) fn chart(&self, index: Index) -> &'c Chart {
        self.unit(index).chart
    }

    pub(crate) fn name(&self, index: Index) -> &str {
        &self.unit(index).name
    }

    pub(crate) fn children(&self, index: Index) -> &[Index] {
        &self.unit(index).children
    }

    pub(crate) fn values(&self, index: Index) -> Option<Table> {
        self.unit(index).values.clone()
    }

    pub(crate) fn is_root(&self, index: Index) -> bool {
        self.unit(index).parent.is_none()
    }

    /// The declared dependencies that are left, with their final names.
    pub(crate) fn requirements(&self, index: Index) -> Vec<Dependency> {
        self.unit(index)
            .requirements
            .iter()
            .map(|requirement| requirement.borrow().dependency.clone())
            .collect()
    }

    /// `parent/charts/child`.
    pub(crate) fn path(&self, index: Index) -> String {
        match self.unit(index).parent {
            Some(parent) => format!("{}/charts/{}", self.path(parent), self.name(index)),
            None => self.name(index).to_owned(),
        }
    }

    /// The files of `crds/`, of the charts that take part.
    pub(crate) fn crds(&self, index: Index, out: &mut Vec<Crd>) {
        own_crds(self.chart(index), &self.path(index), out);
        for child in self.children(index) {
            self.crds(*child, out);
        }
    }

    /// Settles which charts take part and imports their values.
    pub(crate) fn process(&mut self, user: &Table, warnings: &mut Warnings) -> Result<()> {
        self.enable(Self::ROOT, user, "", warnings).map_err(fail)?;
        self.import_all(Self::ROOT, warnings).map_err(fail)
    }

    /// A chart under another name. Its subcharts keep their places until they are settled themselves.
    fn alias(&mut self, of: Index, name: Option<&str>) -> Index {
        let mut unit = self.unit(of).clone();
        if let Some(name) = name {
            unit.name = name.to_owned();
        }
        self.units.push(unit);
        self.units.len() - 1
    }

    fn set_children(&mut self, index: Index, children: Vec<Index>) {
        for child in &children {
            self.unit_mut(*child, |unit| unit.parent = Some(index));
        }
        self.unit_mut(index, |unit| unit.children = children);
    }

    fn enable(
        &mut self,
        index: Index,
        values: &Table,
        path: &str,
        warnings: &mut Warnings,
    ) -> Result<(), String> {
        let requirements = self.unit(index).requirements.clone();
        if requirements.is_empty() {
            return Ok(());
        }
        self.choose(index, &requirements);
        for requirement in &requirements {
            requirement.borrow_mut().dependency.enabled = true;
        }
        let combined = coalesce::chart_values(self, index, values, false, warnings)?;
        tags(&requirements, &combined, warnings);
        conditions(&requirements, &combined, path, warnings);
        let removed: BTreeSet<String> = requirements
            .iter()
            .filter(|r| !r.borrow().dependency.enabled)
            .map(|r| r.borrow().dependency.name.clone())
            .collect();
        let children: Vec<Index> = self
            .children(index)
            .iter()
            .copied()
            .filter(|child| !removed.contains(self.name(*child)))
            .collect();
        for child in &children {
            let inner = format!("{path}{}.", self.name(*child));
            self.enable(*child, &combined, &inner, warnings)?;
        }
        let kept =
            requirements.into_iter().filter(|r| !removed.contains(&r.borrow().dependency.name)).collect();
        self.unit_mut(index, |unit| unit.requirements = kept);
        self.set_children(index, children);
        Ok(())
    }

    /// Puts the declared charts, under their aliases, behind those that nothing declares.
    fn choose(&mut self, index: Index, requirements: &[Shared]) {
        let present = self.children(index).to_vec();
        let fits = |forest: &Self, child: Index, wanted: &Dependency| {
            let version = &forest.chart(child).metadata.version;
            forest.name(child) == wanted.name && crate::version::is_compatible(&wanted.version, version)
        };
        let declared =
            |child: Index| requirements.iter().any(|wanted| fits(self, child, &wanted.borrow().dependency));
        let mut chosen: Vec<Index> = present.iter().copied().filter(|child| !declared(*child)).collect();
        for requirement in requirements {
            let wanted = &mut requirement.borrow_mut().dependency;
            let alias = (!wanted.alias.is_empty()).then(|| wanted.alias.clone());
            if let Some(child) = present.iter().copied().find(|child| fits(self, *child, wanted)) {
                chosen.push(self.alias(child, alias.as_deref()));
            }
            if let Some(alias) = alias {
                wanted.name = alias;
            }
        }
        self.set_children(index, chosen);
    }

    fn import_all(&mut self, index: Index, warnings: &mut Warnings) -> Result<(), String> {
        for child in self.children(index).to_vec() {
            self.import_all(child, warnings)?;
        }
        self.import(index, warnings)
    }

    /// Takes over what `import-values` names.
    fn import(&mut self, index: Index, warnings: &mut Warnings) -> Result<(), String> {
        let requirements = self.unit(index).requirements.clone();
        if requirements.is_empty() {
            return Ok(());
        }
        let combined = coalesce::chart_values(self, index, &table(), true, warnings)?;
        let imported = table();
        for requirement in &requirements {
            let mut requirement = requirement.borrow_mut();
            let again = std::mem::replace(&mut requirement.imported, true);
            let requirement = &mut requirement.dependency;
            if again {
                requirement.import_values.clear();
            }
            let mut done = Vec::new();
            for wanted in &requirement.import_values {
                let Some((child, parent)) = import_paths(wanted) else { continue };
                done.push(serde_json::json!({"child": child, "parent": parent}));
                let whole = matches!(wanted, Json::String(_));
                let full = format!("{}.{child}", requirement.name);
                match lookup_table(&combined, &full) {
                    Ok(found) => {
                        // What comes later may land in it: an empty one is not the chart's own, as in Helm.
                        let found = if found.is_empty() { table() } else { found };
                        let under = if parent == "." { found } else { nest(&parent, found) };
                        merge_tables(&imported, &under, "", true, warnings);
                    }
                    Err(text) if whole => {
                        warnings.push(format!("Warning: ImportValues missing table: {text}"))
                    }
                    Err(text) => warnings.push(format!(
                        "Warning: ImportValues missing table from chart {}: {text}",
                        requirement.name
                    )),
                }
            }
            requirement.import_values = done;
        }
        let values = coalesce::copy(&combined);
        merge_tables(&values, &imported, "", true, warnings);
        self.unit_mut(index, |unit| unit.values = Some(values));
        Ok(())
    }
}

fn fail(text: String) -> Error {
    Error::new(Stage::Values, text)
}

fn import_paths(wanted: &Json) -> Option<(String, String)> {
    match wanted {
        Json::String(name) => Some((format!("exports.{name}"), ".".into())),
        Json::Object(map) => {
            let text = |key: &str| match map.get(key) {
                None => "<nil>".to_owned(),
                Some(value) => coalesce::percent_v(&Value::decoded(value)),
            };
            Some((text("child"), text("parent")))
        }
        _ => None,
    }
}

/// A table inside tables named by `path`.
fn nest(path: &str, inner: Table) -> Table {
    path.rsplit('.').fold(inner, |inner, name| {
        let outer = table();
        outer.insert(name, Value::Map(inner));
        outer
    })
}

/// The table at a dotted path, or Helm's words for there being none.
pub(crate) fn lookup_table(values: &Table, path: &str) -> Result<Table, String> {
    path.split('.').try_fold(values.clone(), |table, name| match table.get(name) {
        Some(Value::Map(inner)) => Ok(inner),
        _ => Err(format!("{} is not a table", crate::error::quote(name))),
    })
}

/// The value at a dotted path, unless it is a table.
fn lookup_value(values: &Table, path: &str) -> Option<Value> {
    let (parent, key) = match path.rsplit_once('.') {
        Some((parent, key)) => (lookup_table(values, parent).ok()?, key),
        None => (values.clone(), path),
    };
    parent.get(key).filter(|value| !matches!(value, Value::Map(_)))
}

fn tags(requirements: &[Shared], values: &Table, warnings: &mut Warnings) {
    let Ok(switches) = lookup_table(values, "tags") else { return };
    for requirement in requirements {
        let requirement = &mut requirement.borrow_mut().dependency;
        let (mut on, mut off) = (false, false);
        for tag in &requirement.tags {
            match switches.get(tag) {
                Some(Value::Bool(true)) => on = true,
                Some(Value::Bool(false)) => off = true,
                Some(_) => warnings.push(format!(
                    "Warning: Tag '{tag}' for chart {} returned non-bool value",
                    requirement.name
                )),
                None => {}
            }
        }
        requirement.enabled = on || !off;
    }
}

fn conditions(requirements: &[Shared], values: &Table, path: &str, warnings: &mut Warnings) {
    for requirement in requirements {
        let requirement = &mut requirement.borrow_mut().dependency;
        let condition = requirement.condition.trim().to_owned();
        for condition in condition.split(',').filter(|condition| !condition.is_empty()) {
            match lookup_value(values, &format!("{path}{condition}")) {
                Some(Value::Bool(flag)) => {
                    requirement.enabled = flag;
                    break;
                }
                Some(_) => warnings.push(format!(
                    "Warning: Condition path '{condition}' for chart {} returned non-bool value",
                    requirement.name
                )),
                None => {}
            }
        }
    }
}

/// Whether every declared dependency is present; the error lists those that are not, in Helm's words.
pub fn check_present(chart: &Chart) -> Result<()> {
    let missing: Vec<&str> = chart
        .metadata
        .dependencies
        .iter()
        .filter(|wanted| !chart.dependencies.iter().any(|child| child.metadata.name == wanted.name))
        .map(|wanted| wanted.name.as_str())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!("found in Chart.yaml, but missing in charts/ directory: {}", missing.join(", "));
    let hint = "An error occurred while checking for chart dependencies. You may need to run `helm dependency build` to fetch missing dependencies";
    Err(Error::new(Stage::Dependencies, text).wrap(hint))
}
