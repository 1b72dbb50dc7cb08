//! `edit set` of images, replicas and single texts.

use super::{Changed, Editor, Text};
use crate::error::Error;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Stands for: as it is in the file.
const KEEP: &str = "*";

const BAD_IMAGE: &str = "invalid format of image, use one of the following options:
- <image>=<newimage>:<newtag>
- <image>=<newimage>@<digest>
- <image>=<newimage>:<newtag>@<digest>
- <image>=<newimage>
- <image>:<newtag>
- <image>:<newtag>@<digest>
- <image>@<digest>";
const BAD_REPLICAS: &str = "invalid format of replica, use the following format: <name>=<count>";
const BUILD_METADATA: [&str; 3] = ["originAnnotations", "transformerAnnotations", "managedByLabel"];

/// A text field of an entry.
pub(super) fn text<'v>(entry: &'v Value, field: &str) -> &'v str {
    entry.get(field).and_then(Value::as_str).unwrap_or_default()
}

impl Editor<'_> {
    pub(super) fn set_image(&mut self, args: &[String]) -> Result<Changed, Error> {
        if args.is_empty() {
            return Err(Error::new("no image specified"));
        }
        let mut images = BTreeMap::new();
        for arg in args {
            let (name, image) = parse_image(arg)?;
            images.insert(name, image);
        }
        let (path, mut file) = self.open()?;
        for old in std::mem::take(file.list_mut("images")) {
            let name = text(&old, "name").to_owned();
            match images.get_mut(&name) {
                Some(image) => keep_from(image, Some(&old)),
                None => {
                    images.insert(name, old);
                }
            }
        }
        images.values_mut().for_each(|image| keep_from(image, None));
        *file.list_mut("images") = images.into_values().collect();
        Ok(Some((path, file)))
    }

    pub(super) fn set_replicas(&mut self, args: &[String]) -> Result<Changed, Error> {
        if args.is_empty() {
            return Err(Error::new("no replicas specified"));
        }
        let mut replicas = BTreeMap::new();
        for arg in args {
            let bad = || Error::new(BAD_REPLICAS);
            let (name, count) = arg.split_once('=').ok_or_else(bad)?;
            let count: i64 = count.parse().map_err(|_| bad())?;
            replicas.insert(name.to_owned(), json!({"name": name, "count": count}));
        }
        let (path, mut file) = self.open()?;
        for old in std::mem::take(file.list_mut("replicas")) {
            replicas.entry(text(&old, "name").to_owned()).or_insert(old);
        }
        *file.list_mut("replicas") = replicas.into_values().collect();
        Ok(Some((path, file)))
    }

    pub(super) fn set_text(&mut self, which: Text, args: &[String]) -> Result<Changed, Error> {
        let (field, name) = match which {
            Text::Namespace => ("namespace", "namespace"),
            Text::NamePrefix => ("namePrefix", "prefix"),
            Text::NameSuffix => ("nameSuffix", "suffix"),
        };
        let [value] = args else {
            return Err(Error::new(format!("must specify exactly one {name} value")));
        };
        let (path, mut file) = self.open()?;
        file.set(field, Value::from(value.as_str()));
        Ok(Some((path, file)))
    }

    pub(super) fn set_build_metadata(&mut self, args: &[String]) -> Result<Changed, Error> {
        let options = build_metadata(args)?;
        let (path, mut file) = self.open()?;
        file.set("buildMetadata", Value::from(options));
        Ok(Some((path, file)))
    }

    pub(super) fn add_build_metadata(&mut self, args: &[String]) -> Result<Changed, Error> {
        let options = build_metadata(args)?;
        let (path, mut file) = self.open()?;
        let list = file.list_mut("buildMetadata");
        for option in options {
            if list.iter().any(|one| one.as_str() == Some(option)) {
                return Err(Error::new(format!(
                    "buildMetadata option {option} already in kustomization file"
                ))
                .in_file(path));
            }
            list.push(Value::from(option));
        }
        Ok(Some((path, file)))
    }

    pub(super) fn remove_build_metadata(&mut self, args: &[String]) -> Result<Changed, Error> {
        let options = build_metadata(args)?;
        let (path, mut file) = self.open()?;
        file.list_mut("buildMetadata").retain(|one| !one.as_str().is_some_and(|one| options.contains(&one)));
        Ok(Some((path, file)))
    }
}

fn build_metadata(args: &[String]) -> Result<Vec<&str>, Error> {
    let list = match args {
        [] => return Err(Error::new("must specify a buildMetadata option")),
        [list] => list,
        several => {
            return Err(Error::new(format!(
                "too many arguments: [{}]; to provide multiple buildMetadata options, please separate options by comma",
                several.join(" ")
            )));
        }
    };
    let options: Vec<&str> = list.split(',').collect();
    match options.iter().find(|option| !BUILD_METADATA.contains(option)) {
        Some(option) => Err(Error::new(format!("invalid buildMetadata option: {option}"))),
        None => Ok(options),
    }
}

/// The name an image argument is about, and the entry it makes.
fn parse_image(arg: &str) -> Result<(String, Value), Error> {
    let (key, value) = match arg.split_once('=') {
        Some((key, value)) => (key, value),
        None => ("", arg),
    };
    let (name, tag, digest) = split_image(value);
    if name == arg {
        return Err(Error::new(BAD_IMAGE));
    }
    let (name, new_name) = if key.is_empty() { (name, "") } else { (key, name) };
    let texts = [("name", name), ("newName", new_name), ("newTag", tag), ("digest", digest)];
    let image: Map<String, Value> =
        texts.into_iter().map(|(key, text)| (key.to_owned(), Value::from(text))).collect();
    Ok((name.to_owned(), Value::Object(image)))
}

/// Name, tag and digest of an image reference; a colon before the first slash belongs to a port.
fn split_image(image: &str) -> (&str, &str, &str) {
    let start = match image.find('/') {
        Some(0) | None => 0,
        Some(slash) => slash,
    };
    let after = |mark: char| image.get(start..).and_then(|rest| rest.find(mark)).map(|at| start + at);
    let part = |from: usize, to: usize| image.get(from..to).unwrap_or_default();
    let end = image.len();
    match (after(':'), after('@')) {
        (None, None) => (image, "", ""),
        (Some(colon), Some(at)) if colon < at => (part(0, colon), part(colon + 1, at), part(at + 1, end)),
        (_, Some(at)) => (part(0, at), "", part(at + 1, end)),
        (Some(colon), None) => (part(0, colon), part(colon + 1, end), ""),
    }
}

/// Fills what an argument left as it is; without an old entry there is nothing to keep.
fn keep_from(image: &mut Value, old: Option<&Value>) {
    let mut kept = false;
    for field in ["newName", "newTag", "digest"] {
        if text(image, field) == KEEP
            && let Some(fields) = image.as_object_mut()
        {
            let value = old.map(|old| text(old, field)).unwrap_or_default();
            fields.insert(field.to_owned(), Value::from(value));
            kept = true;
        }
    }
    // What is put together anew has no suffix.
    if kept && let Some(fields) = image.as_object_mut() {
        fields.remove("tagSuffix");
    }
}
