//! `kustomize localize`: a copy of a kustomization in which everything it takes from afar lies beside it.
//!
//! [`localize`] answers the copy's files and writes none.

mod fields;

use crate::LoadRestrictions;
use crate::decode::{Decoder, KUSTOMIZATION};
use crate::edit::without_empty;
use crate::error::Error;
use crate::loader::{Loader, is_within};
use crate::remote::{self, RepoSpec};
use crate::resource;
use crate::target;
use crate::world::{self, World};
use std::collections::BTreeMap;

/// The folder in which things from afar are put.
const FOLDER: &str = "localized-files";
/// The folder in it for repositories on this machine.
const FILE_FOLDER: &str = "file-schemed";
/// How deep roots may nest.
const MAX_DEPTH: usize = 100;
/// How many files a copy may have.
const MAX_FILES: usize = 100_000;

/// A copy.
#[derive(Debug, Clone, Default)]
pub struct Localized {
    /// The files by their path in the copy.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The folder of the target in the copy; "" when it is the copy itself.
    pub target: String,
    /// The name that the copy's folder gets when nobody gives one.
    pub name: String,
}

/// Copies the kustomization at `target`: an absolute folder of the world, or an address. Local bases must
/// lie in the folder `scope`, which is the target itself when it is left out.
pub fn localize(world: &dyn World, target: &str, scope: Option<&str>) -> Result<Localized, Error> {
    let spec = RepoSpec::parse(target);
    check_pinned(spec.as_ref(), target)?;
    let loader = Loader::new(world, target, LoadRestrictions::RootOnly)
        .map_err(|error| error.wrap(format!("unable to establish localize target {target:?}")))?;
    let scope = establish_scope(world, &loader, target, scope)
        .map_err(|error| error.wrap(format!("invalid localize scope {:?}", scope.unwrap_or_default())))?;
    let root = loader.root().to_owned();
    let folder = relative(&scope, &root);
    let last = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let name = match &spec {
        Some(spec) => {
            let base = if root == scope { last(&spec.clone) } else { last(&root) };
            format!("localized-{base}-{}", spec.reference.replace('/', "-"))
        }
        None if root == "/" => "localized".to_owned(),
        None => format!("localized-{}", last(&root)),
    };
    let mut copy = Copy { scope, files: BTreeMap::new() };
    Localizer { copy: &mut copy, loader: &loader, local: true, place: folder.clone(), depth: 0 }
        .run()
        .map_err(|error| error.wrap(format!("unable to localize target {target:?}")))?;
    Ok(Localized { files: copy.files, target: folder, name })
}

fn check_pinned(spec: Option<&RepoSpec>, address: &str) -> Result<(), Error> {
    match spec {
        Some(spec) if spec.reference.is_empty() => {
            Err(Error::new(format!("localize remote root {address:?} missing ref query string parameter")))
        }
        _ => Ok(()),
    }
}

fn establish_scope(
    world: &dyn World,
    loader: &Loader<'_>,
    target: &str,
    scope: Option<&str>,
) -> Result<String, Error> {
    match (loader.repo(), scope) {
        (Some(_), Some(scope)) => {
            Err(Error::new(format!("scope {scope:?} specified for remote localize target {target:?}")))
        }
        (Some(repo), None) => Ok(repo.to_owned()),
        (None, None) => Ok(loader.root().to_owned()),
        (None, Some(scope)) => {
            let full = world.resolve(&world::clean(scope)).map_err(|error| {
                Error::new(format!("unable to establish localize scope: {scope}: {error}")).in_file(scope)
            })?;
            if is_within(loader.root(), &full) {
                return Ok(full);
            }
            Err(Error::new(format!(
                "localize scope {scope:?} does not contain target {target:?} at {:?}",
                loader.root()
            )))
        }
    }
}

/// `path` as seen from the folder `base`; "" when they are the same.
fn relative(base: &str, path: &str) -> String {
    let parts = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (base, path) = (parts(base), parts(path));
    let common = base.iter().zip(&path).take_while(|(left, right)| left == right).count();
    let up = base.iter().skip(common).map(|_| "..".to_owned());
    up.chain(path.iter().skip(common).cloned()).collect::<Vec<_>>().join("/")
}

/// What a whole run shares.
struct Copy {
    scope: String,
    files: BTreeMap<String, Vec<u8>>,
}

/// At work on one root.
struct Localizer<'a, 'w> {
    copy: &'a mut Copy,
    loader: &'a Loader<'w>,
    /// Everything that led here lies on this machine.
    local: bool,
    /// The root's folder in the copy.
    place: String,
    depth: usize,
}

impl<'w> Localizer<'_, 'w> {
    fn run(&mut self) -> Result<(), Error> {
        let (name, text) = target::read_file(self.loader)?;
        let invalid = |error: String| Error::new(format!("invalid Kustomization: {error}"));
        let value = yaml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        let decoder = Decoder { root: "types.Kustomization", strict: true, lenient: false };
        let mut value =
            decoder.decode(&value, &KUSTOMIZATION).map_err(invalid)?.unwrap_or_else(|| serde_json::json!({}));
        self.fields(&mut value).map_err(|error| error.in_file(world::join(self.loader.root(), &name)))?;
        let value = without_empty(&value, &KUSTOMIZATION).unwrap_or(value);
        self.put(&name, yaml::to_string(&value).into_bytes())
    }

    /// Adds a file to the copy, below this root's folder.
    fn put(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        if self.copy.files.len() >= MAX_FILES {
            return Err(Error::new(format!("the copy has more than {MAX_FILES} files")));
        }
        let full = remote::clean_relative(&format!("{}/{path}", self.place));
        let full = full.trim_start_matches('/').to_owned();
        if full == ".." || full.starts_with("../") {
            return Err(Error::new(format!("file {path:?} lies outside the copy")));
        }
        self.copy.files.insert(full, bytes);
        Ok(())
    }

    fn file(&mut self, path: &str) -> Result<String, Error> {
        if path.is_empty() {
            return Ok(String::new());
        }
        let bytes = self.load(path)?;
        self.file_with(path, bytes)
    }

    fn load(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.loader.load(path).map_err(|failed| Error::from(failed).wrap("invalid file reference"))
    }

    fn file_with(&mut self, path: &str, bytes: Vec<u8>) -> Result<String, Error> {
        let from_afar = path.starts_with("http://") || path.starts_with("https://");
        let local = if from_afar {
            self.check_free("file", path)?;
            format!("{FOLDER}/{}", remote_path(path))
        } else {
            let full = world::join(self.loader.root(), path);
            let full = self.loader.world().resolve(&full).unwrap_or(full);
            relative(self.loader.root(), &full)
        };
        self.put(&local, bytes)?;
        Ok(local)
    }

    /// The folder for things from afar must not be there yet.
    fn check_free(&self, what: &str, path: &str) -> Result<(), Error> {
        let root = self.loader.root();
        if self.loader.world().is_dir(&world::join(root, FOLDER)) {
            return Err(Error::new(format!(
                "{root} already contains {FOLDER} needed to store {what} {path:?}"
            )));
        }
        Ok(())
    }

    /// A base, component or other folder with a kustomization.
    fn root(&mut self, path: &str) -> Result<String, Error> {
        if path.is_empty() {
            return Ok(String::new());
        }
        if self.depth >= MAX_DEPTH {
            return Err(Error::new(format!("bases nest deeper than {MAX_DEPTH} levels at '{path}'")));
        }
        let loader = self.sub(path)?;
        let spec = RepoSpec::parse(path);
        let local = match &spec {
            Some(spec) => {
                self.check_free("root", path)?;
                let inside = relative(loader.repo().unwrap_or("/"), loader.root());
                let parts = format!("{FOLDER}/{}/{}/{inside}", repository_path(&spec.clone), spec.reference);
                remote::clean_relative(&parts)
            }
            None => relative(self.loader.root(), loader.root()),
        };
        let place =
            remote::clean_relative(&format!("{}/{local}", self.place)).trim_start_matches('/').to_owned();
        let place = if place == "." { String::new() } else { place };
        let mut inner = Localizer {
            copy: &mut *self.copy,
            loader: &loader,
            local: self.local && spec.is_none(),
            place,
            depth: self.depth + 1,
        };
        inner.run().map_err(|error| error.wrap(format!("unable to localize root {path:?}")))?;
        Ok(local)
    }

    fn sub(&self, path: &str) -> Result<Loader<'w>, Error> {
        let loader = self.loader.sub(path).map_err(|error| error.wrap("invalid root reference"))?;
        let spec = RepoSpec::parse(path);
        check_pinned(spec.as_ref(), path)?;
        if spec.is_none() && self.local && !is_within(loader.root(), &self.copy.scope) {
            return Err(Error::new(format!(
                "root {:?} outside localize scope {:?}",
                loader.root(),
                self.copy.scope
            )));
        }
        Ok(loader)
    }

    /// A file of objects, or a folder.
    fn resource(&mut self, path: &str) -> Result<String, Error> {
        let as_file = self.load(path).and_then(|bytes| {
            resource::parse_resources(&String::from_utf8_lossy(&bytes))
                .map_err(Error::new)
                .and_then(|list| crate::target::unique(list, crate::schema::Schema::builtin()))
                .map_err(|error| error.wrap(format!("invalid resource at file {path:?}")))?;
            Ok(bytes)
        });
        let failed = match as_file.and_then(|bytes| self.file_with(path, bytes)) {
            Ok(local) => return Ok(local),
            Err(error) => error,
        };
        self.root(path).map_err(|error| {
            Error::new(format!(
                "could not localize path {path:?} as file: {failed}; could not localize path {path:?} as directory: {error}"
            ))
        })
    }
}

/// Host and path of a file's address, without user, port and query.
fn remote_path(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = remote::clean_relative(&format!("/{path}"));
    format!("{}{path}", bare_host(host))
}

/// Host and path of a repository.
fn repository_path(clone: &str) -> String {
    let bare = |path: &str| {
        let path = path.strip_suffix(".git").unwrap_or(path);
        remote::clean_relative(&format!("/{path}"))
    };
    if let Some(path) = clone.strip_prefix("file://") {
        return format!("{FILE_FOLDER}{}", bare(path));
    }
    let (rest, separator) = match clone.split_once("://") {
        Some((_, rest)) => (rest, '/'),
        None => (clone, ':'),
    };
    let (host, path) = rest.split_once(separator).unwrap_or((rest, ""));
    format!("{}{}", bare_host(host), bare(path))
}

fn bare_host(host: &str) -> &str {
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}
