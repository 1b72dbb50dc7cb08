//! Fields that list files of the folder.

use super::{Changed, Editor, Files, glob};
use crate::error::Error;
use crate::loader::Loader;
use crate::world;
use crate::{LoadRestrictions, WorldError};
use serde_json::Value;

impl Files {
    fn field(self) -> &'static str {
        match self {
            Files::Resource => "resources",
            Files::Component => "components",
            Files::Configuration => "configurations",
            Files::Generator => "generators",
            Files::Transformer => "transformers",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Files::Resource => "resource",
            Files::Component => "component",
            Files::Configuration => "configuration",
            Files::Generator => "generator",
            Files::Transformer => "transformer",
        }
    }
}

fn contains(list: &[Value], text: &str) -> bool {
    list.iter().any(|item| item.as_str() == Some(text))
}

impl Editor<'_> {
    pub(super) fn add_files(
        &mut self,
        which: Files,
        args: &[String],
        unverified: bool,
    ) -> Result<Changed, Error> {
        let name = which.name();
        if args.is_empty() {
            return Err(Error::new(match which {
                Files::Resource | Files::Component => format!("must specify a {name} file"),
                Files::Configuration => format!("must specify a yaml file which contains a {name} resource"),
                _ => format!("must specify a yaml file which contains a {name} plugin resource"),
            }));
        }
        let found = match which {
            Files::Resource | Files::Component => self.find_or_load(args, unverified)?,
            _ => self.find(args)?,
        };
        if found.is_empty() {
            return Ok(None);
        }
        let (path, mut file) = self.open()?;
        for one in found {
            let own = matches!(which, Files::Resource | Files::Component)
                && world::join(&self.dir, &one) == path
                && !one.contains('/');
            if own {
                continue;
            }
            let list = file.list_mut(which.field());
            if contains(list, &one) {
                self.note(format!("{name} {one} already in kustomization file"));
            } else {
                list.push(Value::from(one));
            }
        }
        Ok(Some((path, file)))
    }

    pub(super) fn add_base(&mut self, args: &[String]) -> Result<Changed, Error> {
        let [paths] = args else { return Err(Error::new("must specify a base directory")) };
        let (path, mut file) = self.open()?;
        for one in paths.split(',') {
            let full = world::join(&self.dir, one);
            if one.is_empty() || !(self.world.is_dir(&full) || self.world.is_file(&full)) {
                return Err(Error::new(format!("{one} does not exist")).in_file(full));
            }
            let list = file.list_mut("resources");
            if contains(list, one) {
                return Err(Error::new(format!("base {one} already in kustomization file")).in_file(path));
            }
            list.push(Value::from(one));
        }
        Ok(Some((path, file)))
    }

    pub(super) fn remove_files(&mut self, which: Files, args: &[String]) -> Result<Changed, Error> {
        if args.is_empty() {
            return Err(Error::new(format!("must specify a {} file", which.name())));
        }
        let (path, mut file) = self.open().map_err(|error| match which {
            Files::Component => error.wrap("failed to read kustomization file"),
            _ => error,
        })?;
        let list = file.list_mut(which.field());
        let before = list.len();
        for pattern in args {
            // Every entry is looked at, so that a bad pattern is found wherever it goes wrong.
            let mut kept = Vec::with_capacity(list.len());
            for item in std::mem::take(list) {
                if !glob::matches(pattern, item.as_str().unwrap_or_default())? {
                    kept.push(item);
                }
            }
            *list = kept;
        }
        Ok((list.len() != before).then_some((path, file)))
    }

    /// The files that patterns match; those that match nothing are noted.
    pub(super) fn find(&mut self, patterns: &[String]) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        for pattern in patterns {
            let files = glob::find(self.world, &self.dir, pattern)?;
            if files.is_empty() {
                self.note(format!("{pattern} has no match"));
            }
            found.extend(files);
        }
        Ok(found)
    }

    /// The files that patterns match; what matches none must be a folder or the address of one.
    pub(super) fn find_or_load(&self, patterns: &[String], unverified: bool) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        for pattern in patterns {
            if unverified {
                found.push(pattern.clone());
                continue;
            }
            let files = glob::find(self.world, &self.dir, pattern)
                .map_err(|error| error.wrap("error checking the filesystem"))?;
            if files.is_empty() {
                let loader = Loader::new(self.world, &self.dir, LoadRestrictions::RootOnly)?;
                loader.sub(pattern).map_err(|error| error.wrap(format!("{pattern} has no match")))?;
                found.push(pattern.clone());
            }
            found.extend(files);
        }
        Ok(found)
    }
}

/// The words for a file that cannot be read.
pub(super) fn unreadable(path: &str, error: &WorldError) -> Error {
    Error::new(format!("open {path}: {error}")).in_file(path)
}
