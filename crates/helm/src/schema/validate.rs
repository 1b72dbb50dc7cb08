//! Values against compiled schemas: a verdict, and the findings in the order of the validator that Helm uses.

use super::compile::{self, Additional, Compiled, Dependency, Index, Items, Schema};
use super::documents::{Draft, token};
use super::format;
use super::number::{self, Decimal};
use super::words::{self, Finding, Kind};
use object::json_type;
use serde_json::{Map, Number, Value};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// The types of JSON, in the order in which they are listed.
pub(super) const TYPES: [&str; 7] = ["null", "boolean", "number", "integer", "string", "array", "object"];
/// Schemas applied at most: combinations may multiply.
const MAX_STEPS: usize = 5_000_000;
/// How deep schemas lead into schemas and values into values.
const MAX_DEPTH: usize = 512;

/// What is wrong with a value; the lines of all findings.
pub(super) fn check(schema: &Value, address: &str, value: &Value) -> Result<(), String> {
    let compiled = compile::compile(address, schema)?;
    // The last line ends where a compiler's message does not.
    judge(&compiled, value, &BTreeMap::new()).map_err(|lines| lines + "\n")
}

/// What is wrong with a value; where it is a schema, its parts at `others` are of another draft.
pub(super) fn judge(
    compiled: &Compiled,
    value: &Value,
    others: &BTreeMap<String, Draft>,
) -> Result<(), String> {
    let mut run = Run { compiled, others, steps: 0 };
    let scope = Scope { schema: compiled.root, value: 0, keyword: None, parent: None };
    let todo = Unevaluated::of(run.schema(compiled.root), value, false);
    match run.apply(&scope, value, "", todo, false, 0) {
        Ok(_) => Ok(()),
        Err(finding) => Err(words::lines(&finding.parts())),
    }
}

/// The schemas that led to one, for the same value and outside it.
struct Scope<'s> {
    schema: Index,
    /// Which value is judged: the same number for the same value.
    value: usize,
    /// The reference that led here, when one did.
    keyword: Option<&'static str>,
    parent: Option<&'s Scope<'s>>,
}

impl Scope<'_> {
    /// The scope of the same schema on the same value, further out.
    fn cycle(&self) -> Option<&Self> {
        let mut at = self.parent;
        while let Some(scope) = at.filter(|scope| scope.value == self.value) {
            if scope.schema == self.schema {
                return Some(scope);
            }
            at = scope.parent;
        }
        None
    }

    /// The keywords that lead here from the root.
    fn path(&self, schemas: &[Schema]) -> String {
        let place = |index: Index| schemas.get(index).map(|schema| schema.place.as_str()).unwrap_or_default();
        let Some(parent) = self.parent else { return String::new() };
        let step = match self.keyword {
            Some(keyword) => format!("/{keyword}"),
            None => place(self.schema).get(place(parent.schema).len()..).unwrap_or_default().to_owned(),
        };
        parent.path(schemas) + &step
    }
}

/// What no keyword has looked at yet.
#[derive(Default)]
struct Unevaluated {
    properties: BTreeSet<String>,
    items: BTreeSet<usize>,
}

impl Unevaluated {
    fn of(schema: &Schema, value: &Value, caller_asks: bool) -> Unevaluated {
        let mut out = Unevaluated::default();
        match value {
            Value::Object(members) => {
                let asked = caller_asks || schema.unevaluated_properties.is_some();
                if asked && schema.additional_properties.is_none() {
                    out.properties = members.keys().cloned().collect();
                }
            }
            Value::Array(items) => {
                let asked = caller_asks || schema.unevaluated_items.is_some();
                let (all, first) = match (&schema.items, schema.draft >= Some(Draft::D2020)) {
                    (_, true) => (schema.rest_items.is_some(), schema.prefix_items.len()),
                    (Some(Items::All(_)), _) => (true, 0),
                    (Some(Items::Each(each)), _) => (schema.additional_items.is_some(), each.len()),
                    (None, _) => (false, 0),
                };
                if asked && !all {
                    out.items = (first..items.len()).collect();
                }
            }
            _ => {}
        }
        out
    }

    fn is_empty(&self) -> bool {
        self.properties.is_empty() && self.items.is_empty()
    }

    fn keep_common(&mut self, other: &Unevaluated) {
        self.properties.retain(|name| other.properties.contains(name));
        self.items.retain(|at| other.items.contains(at));
    }
}

struct Run<'r> {
    compiled: &'r Compiled,
    others: &'r BTreeMap<String, Draft>,
    steps: usize,
}

/// One schema on one value.
struct Step<'s> {
    scope: &'s Scope<'s>,
    schema: &'s Schema,
    value: &'s Value,
    place: &'s str,
    todo: Unevaluated,
    /// Only the verdict counts.
    quick: bool,
    depth: usize,
    findings: Vec<Finding>,
}

impl Step<'_> {
    fn finding(&self, kind: Kind) -> Finding {
        Finding { place: self.place.to_owned(), kind, causes: Vec::new() }
    }

    fn text(&self, text: impl Into<String>) -> Finding {
        self.finding(Kind::Text(text.into()))
    }

    fn add(&mut self, text: impl Into<String>) {
        self.findings.push(self.text(text));
    }

    fn add_with(&mut self, text: &str, causes: Vec<Finding>) {
        let finding = Finding { causes, ..self.text(text) };
        self.findings.push(finding);
    }

    fn keep(&mut self, result: Result<(), Finding>) {
        self.findings.extend(result.err());
    }

    /// Enough is known.
    fn is_settled(&self) -> bool {
        self.quick && !self.findings.is_empty()
    }
}

type Verdict = Result<Unevaluated, Finding>;

impl<'r> Run<'r> {
    fn schema(&self, index: Index) -> &'r Schema {
        static NOTHING: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(Schema::default);
        self.compiled.schemas.get(index).unwrap_or(&NOTHING)
    }

    fn apply(
        &mut self,
        scope: &Scope<'_>,
        value: &Value,
        place: &str,
        todo: Unevaluated,
        quick: bool,
        depth: usize,
    ) -> Verdict {
        // A part of a schema document that is of another draft obeys that one's own schema.
        if let Some(draft) = self.others.get(place)
            && scope.schema == self.compiled.root
        {
            return self.apply_draft(*draft, value, place, quick, depth);
        }
        let schema = self.schema(scope.schema);
        let mut step = Step { scope, schema, value, place, todo, quick, depth, findings: Vec::new() };
        self.steps += 1;
        if self.steps > MAX_STEPS || depth > MAX_DEPTH {
            return Err(step.text("too much to check"));
        }
        match schema.verdict {
            Some(true) => return Ok(step.todo),
            Some(false) => return Err(step.text("false schema")),
            None => {}
        }
        if let Some(outer) = scope.cycle() {
            let (inner, outer) = (scope.path(&self.compiled.schemas), outer.path(&self.compiled.schemas));
            return Err(step.text(format!(
                "both {inner} and {outer} resolve to {} causing reference cycle",
                crate::error::quote(&schema.place)
            )));
        }
        first(&step)?;
        if let Some(target) = schema.reference {
            let result = self.reference(&mut step, target, "$ref");
            if schema.draft < Some(Draft::D2019) {
                return result.map(|()| step.todo);
            }
            step.keep(result);
        }
        match value {
            Value::Object(members) => self.object(&mut step, members),
            Value::Array(items) => self.array(&mut step, items),
            Value::String(text) => string(&mut step, text),
            Value::Number(number) => numeric(&mut step, number),
            _ => {}
        }
        if !step.is_settled() {
            if schema.draft >= Some(Draft::D2019) {
                self.dynamic_references(&mut step);
            }
            self.combinations(&mut step);
            if schema.draft >= Some(Draft::D2019) {
                self.unevaluated(&mut step);
            }
        }
        match step.findings.len() {
            0 => Ok(step.todo),
            1 => Err(step.findings.remove(0)),
            _ => Err(Finding { causes: std::mem::take(&mut step.findings), ..step.finding(Kind::Group) }),
        }
    }

    fn apply_draft(
        &mut self,
        draft: Draft,
        value: &Value,
        place: &str,
        quick: bool,
        depth: usize,
    ) -> Verdict {
        let wrong = |why| Finding { place: place.to_owned(), kind: Kind::Text(why), causes: Vec::new() };
        let own = compile::own_schema(draft).map_err(wrong)?;
        let mut run = Run { compiled: own, others: &BTreeMap::new(), steps: self.steps };
        let scope = Scope { schema: own.root, value: 0, keyword: None, parent: None };
        let verdict = run.apply(&scope, value, place, Unevaluated::default(), quick, depth + 1);
        self.steps = run.steps;
        verdict
    }

    /// Another schema on the same value.
    fn same(&mut self, step: &mut Step<'_>, index: Index, quick: bool) -> Result<(), Finding> {
        self.same_by(step, index, quick, None)
    }

    fn same_by(
        &mut self,
        step: &mut Step<'_>,
        index: Index,
        quick: bool,
        keyword: Option<&'static str>,
    ) -> Result<(), Finding> {
        let scope = Scope { schema: index, value: step.scope.value, keyword, parent: Some(step.scope) };
        let todo = Unevaluated::of(self.schema(index), step.value, !step.todo.is_empty());
        let quick = step.quick || quick;
        let left = self.apply(&scope, step.value, step.place, todo, quick, step.depth + 1)?;
        step.todo.keep_common(&left);
        Ok(())
    }

    /// A schema on a value inside.
    fn inner(&mut self, step: &Step<'_>, index: Index, value: &Value, name: &str) -> Result<(), Finding> {
        let place = format!("{}/{}", step.place, token(name));
        let scope =
            Scope { schema: index, value: step.scope.value + 1, keyword: None, parent: Some(step.scope) };
        let todo = Unevaluated::of(self.schema(index), value, false);
        self.apply(&scope, value, &place, todo, step.quick, step.depth + 1).map(drop)
    }

    fn reference(
        &mut self,
        step: &mut Step<'_>,
        target: Index,
        keyword: &'static str,
    ) -> Result<(), Finding> {
        self.same_by(step, target, false, Some(keyword))
            .map_err(|finding| Finding { causes: finding.parts(), ..step.finding(Kind::Reference) })
    }

    fn dynamic_references(&mut self, step: &mut Step<'_>) {
        if let Some(target) = step.schema.recursive_reference {
            let mut found = target;
            if self.schema(target).recursive_anchor {
                let mut at = Some(step.scope);
                while let Some(scope) = at {
                    if self.schema(self.schema(scope.schema).resource).recursive_anchor {
                        found = scope.schema;
                    }
                    at = scope.parent;
                }
            }
            let result = self.reference(step, found, "$recursiveRef");
            step.keep(result);
        }
        if let Some((target, anchor)) = &step.schema.dynamic_reference {
            let mut found = *target;
            if let Some(name) =
                anchor.as_ref().filter(|name| self.schema(*target).dynamic_anchor.as_ref() == Some(name))
            {
                let mut at = Some(step.scope);
                while let Some(scope) = at {
                    let resource = self.schema(self.schema(scope.schema).resource);
                    found = resource.dynamic_anchors.get(name).copied().unwrap_or(found);
                    at = scope.parent;
                }
            }
            let result = self.reference(step, found, "$dynamicRef");
            step.keep(result);
        }
    }

    fn object(&mut self, step: &mut Step<'_>, members: &Map<String, Value>) {
        let schema = step.schema;
        if let Some(want) = schema.min_properties.filter(|want| (members.len() as i64) < *want) {
            step.add(words::size("minProperties", members.len(), want));
        }
        if let Some(want) = schema.max_properties.filter(|want| members.len() as i64 > *want) {
            step.add(words::size("maxProperties", members.len(), want));
        }
        let missing = |names: &'r [String]| -> Vec<&'r str> {
            names.iter().map(String::as_str).filter(|name| !members.contains_key(*name)).collect()
        };
        let schema: &'r Schema = self.schema(step.scope.schema);
        let absent = missing(&schema.required);
        if !absent.is_empty() {
            step.add(words::missing(&absent));
        }
        if step.is_settled() {
            return;
        }
        let needs = |names: &[&str], by: &str| {
            format!("properties {} required, if {} exists", words::quoted(names), words::quote(by))
        };
        for (name, dependency) in schema.dependencies.iter().filter(|(name, _)| members.contains_key(*name)) {
            match dependency {
                Dependency::Names(names) => {
                    let absent = missing(names);
                    if !absent.is_empty() {
                        step.add(needs(&absent, name));
                    }
                }
                Dependency::Schema(index) => {
                    let result = self.same(step, *index, false);
                    step.keep(result);
                }
            }
        }
        self.members(step, members);
        if step.is_settled() || schema.draft == Some(Draft::D4) {
            return;
        }
        if let Some(index) = schema.property_names {
            for name in members.keys() {
                let scope = Scope { schema: index, value: 0, keyword: None, parent: None };
                let value = Value::String(name.clone());
                let result = self.apply(&scope, &value, "", Unevaluated::default(), false, step.depth + 1);
                if let Err(finding) = result {
                    step.add_with(&format!("invalid propertyName {}", words::quote(name)), finding.parts());
                }
            }
        }
        for (_, index) in schema.dependent_schemas.iter().filter(|(name, _)| members.contains_key(*name)) {
            let result = self.same(step, *index, false);
            step.keep(result);
        }
        for (name, names) in schema.dependent_required.iter().filter(|(name, _)| members.contains_key(*name))
        {
            let absent = missing(names);
            if !absent.is_empty() {
                step.add(needs(&absent, name));
            }
        }
    }

    fn members(&mut self, step: &mut Step<'_>, members: &Map<String, Value>) {
        let schema = self.schema(step.scope.schema);
        let mut unexpected = Vec::new();
        for (name, value) in members {
            if step.is_settled() {
                return;
            }
            let mut is_known = false;
            if let Some(index) = schema.properties.get(name) {
                is_known = true;
                let result = self.inner(step, *index, value, name);
                step.keep(result);
            }
            for (regex, index) in &schema.pattern_properties {
                if regex.is_match(name.as_bytes()) {
                    is_known = true;
                    let result = self.inner(step, *index, value, name);
                    step.keep(result);
                }
            }
            match &schema.additional_properties {
                Some(additional) if !is_known => {
                    is_known = true;
                    match additional {
                        Additional::Allowed(true) => {}
                        Additional::Allowed(false) => unexpected.push(name.as_str()),
                        Additional::Schema(index) => {
                            let result = self.inner(step, *index, value, name);
                            step.keep(result);
                        }
                    }
                }
                _ => {}
            }
            if is_known {
                step.todo.properties.remove(name);
            }
        }
        if !unexpected.is_empty() {
            step.add(format!("additional properties {} not allowed", words::quoted(&unexpected)));
        }
    }

    fn array(&mut self, step: &mut Step<'_>, items: &[Value]) {
        let schema = self.schema(step.scope.schema);
        if let Some(want) = schema.min_items.filter(|want| (items.len() as i64) < *want) {
            step.add(words::size("minItems", items.len(), want));
        }
        if let Some(want) = schema.max_items.filter(|want| items.len() as i64 > *want) {
            step.add(words::size("maxItems", items.len(), want));
        }
        if let Some((first, second)) = schema.unique_items.then(|| twins(items)).flatten() {
            step.add(format!("items at {first} and {second} are equal"));
        }
        let each = |run: &mut Run<'r>, step: &mut Step<'_>, at: usize, index: Index| {
            if let Some(item) = items.get(at) {
                let result = run.inner(step, index, item, &at.to_string());
                step.keep(result);
            }
        };
        if schema.draft >= Some(Draft::D2020) {
            schema.prefix_items.iter().enumerate().for_each(|(at, index)| each(self, step, at, *index));
            if let Some(index) = schema.rest_items {
                (schema.prefix_items.len()..items.len()).for_each(|at| each(self, step, at, index));
            }
        } else {
            let first = match &schema.items {
                None => 0,
                Some(Items::All(index)) => {
                    (0..items.len()).for_each(|at| each(self, step, at, *index));
                    items.len()
                }
                Some(Items::Each(list)) => {
                    list.iter().enumerate().for_each(|(at, index)| each(self, step, at, *index));
                    list.len().min(items.len())
                }
            };
            match schema.additional_items {
                Some(Additional::Allowed(false)) if first < items.len() => {
                    step.add(format!("last {} additionalItem(s) not allowed", items.len() - first));
                }
                Some(Additional::Schema(index)) => {
                    (first..items.len()).for_each(|at| each(self, step, at, index));
                }
                _ => {}
            }
        }
        if let Some(index) = schema.contains {
            self.contains(step, items, index);
        }
    }

    fn contains(&mut self, step: &mut Step<'_>, items: &[Value], index: Index) {
        let schema = self.schema(step.scope.schema);
        let (mut matched, mut findings) = (Vec::new(), Vec::new());
        for (at, item) in items.iter().enumerate() {
            match self.inner(step, index, item, &at.to_string()) {
                Ok(()) => {
                    matched.push(at);
                    if schema.draft >= Some(Draft::D2020) {
                        step.todo.items.remove(&at);
                    }
                }
                Err(finding) => findings.push(finding),
            }
        }
        let found = matched.len();
        match schema.min_contains {
            Some(want) if (found as i64) < want => {
                let but = match found {
                    0 => "none matched".to_owned(),
                    _ => format!("matched {found} items at {}", words::positions(&matched)),
                };
                let text = format!("min {want} items required to match contains schema, but {but}");
                step.add_with(&text, findings);
            }
            None if found == 0 => step.add_with("no items match contains schema", findings),
            _ => {}
        }
        if let Some(want) = schema.max_contains.filter(|want| found as i64 > *want) {
            step.add(format!(
                "max {want} items required to match contains schema, but matched {found} items at {}",
                words::positions(&matched)
            ));
        }
    }

    fn combinations(&mut self, step: &mut Step<'_>) {
        let schema = self.schema(step.scope.schema);
        if let Some(index) = schema.not
            && self.same(step, index, true).is_ok()
        {
            step.add("'not' failed");
        }
        let failed: Vec<Finding> =
            schema.all_of.iter().filter_map(|index| self.same(step, *index, false).err()).collect();
        if !failed.is_empty() {
            step.add_with("'allOf' failed", failed);
        }
        if !schema.any_of.is_empty() {
            let (mut is_matched, mut failed) = (false, Vec::new());
            for index in &schema.any_of {
                match self.same(step, *index, false) {
                    Ok(()) => {
                        is_matched = true;
                        // All that match count for what is unevaluated.
                        if step.todo.is_empty() {
                            break;
                        }
                    }
                    Err(finding) => failed.push(finding),
                }
            }
            if !is_matched {
                step.add_with("'anyOf' failed", failed);
            }
        }
        self.one_of(step, &schema.one_of);
        if let Some((condition, then, otherwise)) = schema.condition {
            let branch = if self.same(step, condition, true).is_ok() { then } else { otherwise };
            if let Some(index) = branch {
                let result = self.same(step, index, false);
                step.keep(result);
            }
        }
    }

    fn one_of(&mut self, step: &mut Step<'_>, schemas: &[Index]) {
        let (mut matched, mut failed) = (None, Vec::new());
        for (at, index) in schemas.iter().enumerate() {
            match (self.same(step, *index, matched.is_some()), matched) {
                (Ok(()), None) => matched = Some(at),
                (Ok(()), Some(first)) => {
                    step.add(format!("'oneOf' failed, subschemas {first}, {at} matched"));
                    break;
                }
                (Err(finding), None) => failed.push(finding),
                (Err(_), Some(_)) => {}
            }
        }
        if matched.is_none() && !schemas.is_empty() {
            step.add_with("'oneOf' failed, none matched", failed);
        }
    }

    fn unevaluated(&mut self, step: &mut Step<'_>) {
        let schema = self.schema(step.scope.schema);
        if let (Value::Object(members), Some(index)) = (step.value, schema.unevaluated_properties) {
            for name in std::mem::take(&mut step.todo.properties) {
                if let Some(value) = members.get(&name) {
                    let result = self.inner(step, index, value, &name);
                    step.keep(result);
                }
            }
        }
        if let (Value::Array(items), Some(index)) = (step.value, schema.unevaluated_items) {
            for at in std::mem::take(&mut step.todo.items) {
                if let Some(value) = items.get(at) {
                    let result = self.inner(step, index, value, &at.to_string());
                    step.keep(result);
                }
            }
        }
    }
}

/// What ends the look at a value at once: its type, a constant, an enumeration, a format.
fn first(step: &Step<'_>) -> Result<(), Finding> {
    let (schema, value) = (step.schema, step.value);
    let own = json_type(value);
    let is_whole = || matches!(value, Value::Number(number) if number::is_whole(number));
    let fits = |name: &&str| *name == own || *name == "integer" && is_whole();
    if !schema.types.is_empty() && !schema.types.iter().any(fits) {
        return Err(step.text(format!("got {own}, want {}", schema.types.join(" or "))));
    }
    if let Some(wanted) = schema.constant.as_ref().filter(|wanted| !equal(value, wanted)) {
        return Err(step.text(words::constant(wanted)));
    }
    if let Some(options) =
        schema.allowed.as_ref().filter(|options| !options.iter().any(|one| equal(value, one)))
    {
        return Err(step.text(words::enumeration(options)));
    }
    if let (Some(name), Value::String(text)) = (&schema.format, value)
        && let Err(why) = format::check(name, text)
    {
        return Err(step.text(format!("{} is not valid {name}: {why}", words::quote(text))));
    }
    Ok(())
}

fn string(step: &mut Step<'_>, text: &str) {
    let schema = step.schema;
    let length = || text.chars().count();
    if let Some(want) = schema.min_length.filter(|want| (length() as i64) < *want) {
        step.add(words::size("minLength", length(), want));
    }
    if let Some(want) = schema.max_length.filter(|want| length() as i64 > *want) {
        step.add(words::size("maxLength", length(), want));
    }
    if let Some((pattern, regex)) = &schema.pattern
        && !regex.is_match(text.as_bytes())
    {
        step.add(format!("{} does not match pattern {}", words::quote(text), words::quote(pattern)));
    }
}

fn numeric(step: &mut Step<'_>, number: &Number) {
    let schema = step.schema;
    let Some(got) = Decimal::of(number) else { return };
    let wrong: [(&str, &Option<Decimal>, fn(Ordering) -> bool); 4] = [
        ("minimum", &schema.minimum, Ordering::is_lt),
        ("maximum", &schema.maximum, Ordering::is_gt),
        ("exclusiveMinimum", &schema.exclusive_minimum, Ordering::is_le),
        ("exclusiveMaximum", &schema.exclusive_maximum, Ordering::is_ge),
    ];
    for (keyword, bound, is_wrong) in wrong {
        if let Some(want) = bound.as_ref().filter(|want| is_wrong(got.compare(want))) {
            step.add(words::bound(keyword, &got, want));
        }
    }
    if let Some(want) = schema.multiple_of.as_ref().filter(|want| !got.is_multiple_of(want)) {
        step.add(words::bound("multipleOf", &got, want));
    }
}

/// The first two items that are the same.
fn twins(items: &[Value]) -> Option<(usize, usize)> {
    items.iter().enumerate().find_map(|(second, item)| {
        let first = items.iter().take(second).position(|other| equal(item, other))?;
        Some((first, second))
    })
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => number::same(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}
