//! Generators of generators: matrix and merge.

use std::collections::BTreeMap;

use object::Value;

use super::super::merge::{combine, fill, key_of, replace, sets_by_key};
use super::super::{Error, MAX_SETS, Params, failed};
use super::{Generators, Open};

impl Generators<'_> {
    /// A nested entry, without the selectors that do not count.
    fn nested(&self, entry: &Value, given: &Params, depth: usize) -> Result<Vec<Params>, Error> {
        let mut entry = entry.clone();
        if !self.nested_selectors {
            for name in ["matrix", "merge"] {
                let list = entry.get_mut(name).and_then(|inner| inner.get_mut("generators"));
                for inner in list.and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(map) = inner.as_object_mut() {
                        map.remove("selector");
                    }
                }
            }
        }
        self.only(&entry, given, depth + 1)
            .map_err(|error| error.within("child generator returned an error on parameter generation"))
    }

    pub(super) fn only(&self, entry: &Value, given: &Params, depth: usize) -> Result<Vec<Params>, Error> {
        let mut made = self.entry(entry, given, depth)?;
        match (made.pop(), made.is_empty()) {
            (Some(only), true) => Ok(only.sets),
            (Some(_), false) => failed("found more than one generator in matrix.Generators"),
            (None, _) => failed("child generator generated no parameters"),
        }
    }

    pub(super) fn matrix(&self, spec: &Value, given: &Params, depth: usize) -> Result<Vec<Params>, Error> {
        let list = spec.get("generators").and_then(Value::as_array).cloned().unwrap_or_default();
        let [first, second] = list.as_slice() else {
            return failed(if list.len() < 2 {
                "found less than two generators, Matrix support only two"
            } else {
                "found more than two generators, Matrix support only two"
            });
        };
        let words = |index: usize| {
            format!("error failed to get params for generator {index} in the matrix generator")
        };
        let before = self.nested(first, given, depth).map_err(|error| error.within(&words(0)))?;
        let (mut sets, mut open) = (Vec::new(), Open::default());
        for set in before {
            let mut scope = given.clone();
            scope.extend(set.clone());
            let outcome = self.nested(second, &scope, depth).map_err(|error| error.within(&words(1)));
            let Some(after) = open.or_wait(outcome)? else { continue };
            for other in after {
                if sets.len() >= MAX_SETS {
                    return failed(format!(
                        "the matrix generator makes more than {MAX_SETS} sets of parameters"
                    ));
                }
                if self.renderer.is_go() {
                    let mut all = set.clone();
                    fill(&mut all, &other);
                    sets.push(all);
                } else {
                    sets.push(combine(&set, &other).map_err(|error| {
                        error.within(
                            "failed to combine string maps with merging params for the matrix generator",
                        )
                    })?);
                }
            }
        }
        open.finish(sets)
    }

    pub(super) fn merge(&self, spec: &Value, given: &Params, depth: usize) -> Result<Vec<Params>, Error> {
        let list = spec.get("generators").and_then(Value::as_array).cloned().unwrap_or_default();
        if list.len() < 2 {
            return failed("found less than two generators, Merge requires two or more");
        }
        let keys: Vec<String> = spec
            .get("mergeKeys")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|key| key.as_str().map(str::to_owned))
            .collect();
        let (mut all, mut open) = (Vec::new(), Open::default());
        for (index, entry) in list.iter().enumerate() {
            let outcome = self.nested(entry, given, depth).map_err(|error| {
                let words = format!("error getting params from generator {} of {}", index + 1, list.len());
                error.within(&words).within("error getting param sets from generators")
            });
            if let Some(sets) = open.or_wait(outcome)? {
                all.push(sets);
            }
        }
        let all = open.finish(all)?;
        let by_key = |sets: &[Params]| -> Result<BTreeMap<String, Params>, Error> {
            let found = sets_by_key(&keys, sets)
                .map_err(|error| error.within("error getting param sets by merge key"))?;
            Ok(found.into_iter().map(|(key, set)| (key, set.clone())).collect())
        };
        let Some((base, others)) = all.split_first() else { return Ok(Vec::new()) };
        by_key(base)?;
        let mut merged = base.clone();
        for sets in others {
            let over = by_key(sets)?;
            for set in &mut merged {
                let Some(more) = over.get(&key_of(&keys, set)) else { continue };
                if self.renderer.is_go() {
                    replace(set, more);
                } else {
                    set.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
                }
            }
        }
        Ok(merged)
    }
}
