//! Labels and annotations.

use super::{AddPairs, Changed, Editor, Pairs};
use crate::error::Error;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

impl Pairs {
    fn field(self) -> &'static str {
        match self {
            Pairs::Label => "commonLabels",
            Pairs::Annotation => "commonAnnotations",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Pairs::Label => "label",
            Pairs::Annotation => "annotation",
        }
    }
}

impl Editor<'_> {
    pub(super) fn set_pairs(&mut self, which: Pairs, args: &[String]) -> Result<Changed, Error> {
        let pairs = parse(args, which.name())?;
        if which == Pairs::Annotation && pairs.keys().any(|key| !is_annotation_key(key)) {
            return Err(Error::new(
                "invalid annotation key: see the syntax and character set rules at https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/",
            ));
        }
        let (path, mut file) = self.open()?;
        let map = file.map_mut(which.field());
        map.extend(pairs.into_iter().map(|(key, value)| (key, Value::from(value))));
        Ok(Some((path, file)))
    }

    pub(super) fn add_pairs(
        &mut self,
        which: Pairs,
        args: &[String],
        how: AddPairs,
    ) -> Result<Changed, Error> {
        if args.is_empty() {
            return Err(Error::new(format!("must specify {}", which.name())));
        }
        if how.include_templates && !how.without_selector {
            return Err(Error::new(
                "--without-selector flag must be specified for --include-templates to work",
            ));
        }
        let pairs = parse(args, which.name())?;
        let (path, mut file) = self.open()?;
        let map = match which {
            Pairs::Label if how.without_selector => label_entry(file.list_mut("labels"), how),
            _ => Some(file.map_mut(which.field())),
        };
        let Some(map) = map else {
            return Err(Error::new("labels: an entry is no mapping").in_file(path).in_field("labels"));
        };
        for (key, value) in pairs {
            if map.contains_key(&key) && !how.force {
                return Err(Error::new(format!(
                    "{} {key} already in kustomization file. Use --force to override.",
                    which.name()
                ))
                .in_file(path));
            }
            map.insert(key, Value::from(value));
        }
        Ok(Some((path, file)))
    }

    pub(super) fn remove_pairs(
        &mut self,
        which: Pairs,
        args: &[String],
        ignore: bool,
    ) -> Result<Changed, Error> {
        // Annotations are called labels here by Kustomize too.
        let [list] = args else {
            let fault = if args.is_empty() {
                "must specify label"
            } else {
                "labels must be comma-separated, with no spaces"
            };
            return Err(Error::new(fault));
        };
        let names: Vec<&str> = list.split(',').collect();
        if names.contains(&"") {
            return Err(Error::new("invalid label: '' (name is empty)"));
        }
        let (path, mut file) = self.open()?;
        if file.get(which.field()).is_none() && !ignore {
            return Err(
                Error::new(format!("{} is not defined in kustomization file", which.field())).in_file(path)
            );
        }
        let map = file.map_mut(which.field());
        for name in names {
            if map.remove(name).is_none() && !ignore {
                return Err(Error::new(format!(
                    "{} {name} is not defined in kustomization file",
                    which.name()
                ))
                .in_file(path));
            }
        }
        Ok(Some((path, file)))
    }
}

/// The pairs of the first entry with these settings, made when there is none.
fn label_entry(labels: &mut Vec<Value>, how: AddPairs) -> Option<&mut Map<String, Value>> {
    let flag = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_bool).unwrap_or(false);
    let found = labels.iter().position(|entry| {
        !flag(entry, "includeSelectors") && flag(entry, "includeTemplates") == how.include_templates
    });
    let index = found.unwrap_or_else(|| {
        labels.push(json!({"includeTemplates": how.include_templates}));
        labels.len() - 1
    });
    let entry = labels.get_mut(index)?.as_object_mut()?;
    entry.entry("pairs").or_insert_with(|| json!({})).as_object_mut()
}

/// `key:value` arguments; the value may be in double quotes.
pub(super) fn parse(args: &[String], kind: &str) -> Result<BTreeMap<String, String>, Error> {
    if args.is_empty() {
        return Err(Error::new(format!("must specify {kind}")));
    }
    let mut pairs = BTreeMap::new();
    for arg in args {
        let (key, value) = arg.split_once(':').unwrap_or((arg, ""));
        if key.is_empty() && arg.starts_with(':') {
            return Err(Error::new(format!("invalid {kind}: '{arg}' (need k:v pair where v may be quoted)")));
        }
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        pairs.insert(key.to_owned(), bare.to_owned());
    }
    Ok(pairs)
}

/// `name`, or `domain/name`, each of the letters that annotations may have.
fn is_annotation_key(key: &str) -> bool {
    let (domain, name) = match key.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, key),
    };
    let ends = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let made_of =
        |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
    let good_domain = domain.is_none_or(|domain| {
        ends(domain)
            && domain.starts_with(|c: char| c.is_ascii_alphabetic())
            && made_of(domain, "-.")
            && domain.len() <= 253
    });
    good_domain && ends(name) && made_of(name, "-_.") && name.len() <= 63
}
