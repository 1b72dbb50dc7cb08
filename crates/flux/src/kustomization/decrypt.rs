//! SOPS in a build: the keys of `spec.decryption`, the files that generators and patches read, and the objects.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kustomize::path::join;
use kustomize::{Overlay, World};
use object::{Value, get, meta};
use sha2::Digest as _;
use sops::age::Identity;
use sops::{Format, Keys, MasterKey};

use super::kms::{Remote, Workload};
use crate::common::{str_at, strings_at};

/// On an object: it stays as it is.
const MARK: &str = "kustomize.toolkit.fluxcd.io/decrypt";

/// The keys that a Kustomization may use.
pub struct Keyring {
    ages: Vec<Identity>,
    pgp: openpgp::KeyRing,
    remote: Remote,
    digest: String,
}

// Nothing of a key is ever shown.
impl std::fmt::Debug for Keyring {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Keyring({} age identities, {} OpenPGP keys)", self.ages.len(), self.pgp.keys().len())
    }
}

// Two builds have the same keys when the Secrets held the same.
impl PartialEq for Keyring {
    fn eq(&self, other: &Keyring) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Keyring {}

impl Keyring {
    /// The keys of a Secret's decoded data.
    ///
    /// # Errors
    /// With the name of the entry that holds no key.
    pub fn of_secret(data: &BTreeMap<String, Vec<u8>>, secret: &str) -> Result<Keyring, String> {
        let mut hasher = sha2::Sha256::new();
        let (mut ages, mut pgp) = (Vec::new(), openpgp::KeyRing::default());
        for (name, value) in data {
            hasher.update(name);
            hasher.update([0]);
            hasher.update(sha2::Sha256::digest(value));
            let failed = |why: String| {
                format!("failed to import '{name}' data from sops decryption Secret '{secret}': {why}")
            };
            if name.ends_with(".agekey") {
                let read = sops::age::identities(&String::from_utf8_lossy(value));
                ages.extend(read.map_err(failed)?);
            } else if name.ends_with(".asc") {
                pgp.extend(openpgp::KeyRing::parse(value).map_err(|error| failed(error.to_string()))?);
            }
        }
        let remote = Remote::of_secret(data)
            .map_err(|why| format!("failed to import data from sops decryption Secret '{secret}': {why}"))?;
        Ok(Keyring { ages, pgp, remote, digest: hex::encode(hasher.finalize()) })
    }

    /// The same, with an identity in the clouds for keys that no entry is for.
    pub fn with_identity(mut self, identity: Workload) -> Keyring {
        // Another account may open other keys.
        if let Some(account) = &identity.account {
            self.digest =
                format!("{} {}/{} {:?}", self.digest, account.namespace, account.name, account.annotations);
        }
        self.remote = self.remote.with_identity(identity);
        self
    }

    /// No keys: what is encrypted fails with the keys it would need.
    pub fn empty() -> Keyring {
        Keyring {
            ages: Vec::new(),
            pgp: openpgp::KeyRing::default(),
            remote: Remote::default(),
            digest: String::new(),
        }
    }
}

impl Keys for Keyring {
    fn open(&self, key: &MasterKey) -> Result<Vec<u8>, String> {
        match key {
            MasterKey::Age { .. } if self.ages.is_empty() => {
                Err("there is no age identity (*.agekey)".into())
            }
            MasterKey::Age { enc, .. } => sops::age::decrypt(enc.as_bytes(), &self.ages),
            MasterKey::Pgp { .. } if self.pgp.keys().is_empty() => {
                Err("there is no OpenPGP key (*.asc)".into())
            }
            MasterKey::Pgp { enc, .. } => {
                self.pgp.decrypt(enc.as_bytes(), b"").map_err(|error| error.to_string())
            }
            other => self.remote.open(other),
        }
    }
}

fn is_disabled(object: &Value) -> bool {
    meta::annotation(object, MARK).is_some_and(|value| value.eq_ignore_ascii_case("disabled"))
}

/// Is the object itself a SOPS document?
fn is_document(object: &Value) -> bool {
    get(object, &["sops", "mac"]).is_some_and(|mac| !mac.is_null() && mac != "")
}

/// Is it an encrypted Secret that must not be applied as it is?
pub fn is_encrypted_secret(object: &Value) -> bool {
    meta::kind(object) == "Secret"
        && meta::api_version(object) == "v1"
        && object.get("sops").is_some()
        && !is_disabled(object)
}

/// Decrypts an object, or the entries of a Secret that are SOPS files. Says whether anything was encrypted.
///
/// # Errors
/// Never with a value.
pub fn object(object: &mut Value, keys: &Keyring) -> Result<bool, String> {
    if is_disabled(object) {
        return Ok(false);
    }
    let name = format!("{}/{}", meta::namespace(object).unwrap_or_default(), meta::name(object));
    let kind = meta::kind(object).to_owned();
    if is_document(object) {
        let failed = |why: String| format!("failed to decrypt and format '{name}' {kind} data: {why}");
        let plain = sops::decrypt(object.to_string().as_bytes(), Format::Json, Format::Json, keys, false)
            .map_err(|error| failed(error.to_string()))?;
        *object = serde_json::from_slice(&plain).map_err(|_| failed("it is no object".into()))?;
        return Ok(true);
    }
    if kind != "Secret" {
        return Ok(false);
    }
    let mut any = false;
    for (key, value) in object.get_mut("data").and_then(Value::as_object_mut).into_iter().flatten() {
        // What is no base64 is the API's to refuse.
        let Ok(bytes) = STANDARD.decode(value.as_str().unwrap_or_default()) else { continue };
        let Some(format) = Format::detect(&bytes) else { continue };
        let plain = sops::decrypt(&bytes, format, Format::of_path(key), keys, false).map_err(|error| {
            format!("failed to decrypt and format '{name}' Secret field '{key}': {error}")
        })?;
        *value = STANDARD.encode(plain).into();
        any = true;
    }
    Ok(any)
}

/// Decrypts the files that secret generators and patches of a kustomization, and of all it is made of, read:
/// they are put into `overlay`.
///
/// # Errors
/// With the file.
pub fn files(
    world: &dyn World,
    dir: &str,
    kustomization: &Value,
    keys: &Keyring,
    overlay: &mut Overlay<'_>,
) -> Result<(), String> {
    let mut walk = Walk { world, keys, overlay, seen: BTreeSet::new(), done: BTreeSet::new() };
    walk.seen.insert(dir.to_owned());
    walk.one(dir, kustomization)
}

struct Walk<'w, 'a, 'o> {
    world: &'w dyn World,
    keys: &'w Keyring,
    overlay: &'a mut Overlay<'o>,
    seen: BTreeSet<String>,
    done: BTreeSet<String>,
}

impl Walk<'_, '_, '_> {
    fn folder(&mut self, dir: &str) -> Result<(), String> {
        if !self.world.is_dir(dir) || !self.seen.insert(dir.to_owned()) {
            return Ok(());
        }
        // A folder without a readable kustomization is the build's to complain about.
        match kustomize::read_kustomization(self.world, dir) {
            Ok(Some((_, inner))) => self.one(dir, &inner),
            _ => Ok(()),
        }
    }

    fn one(&mut self, dir: &str, kustomization: &Value) -> Result<(), String> {
        for generator in list(kustomization, "secretGenerator") {
            for source in strings_at(generator, &["files"]) {
                let (key, path) = source.split_once('=').unwrap_or((source.as_str(), source.as_str()));
                self.file(&join(dir, path), Format::of_path(key))?;
            }
            let mut envs = strings_at(generator, &["envs"]);
            envs.extend(Some(str_at(generator, &["env"]).to_owned()).filter(|env| !env.is_empty()));
            for path in envs {
                let format = match Format::of_path(&path) {
                    Format::Binary => Format::Dotenv,
                    other => other,
                };
                self.file(&join(dir, &path), format)?;
            }
        }
        for patch in list(kustomization, "patches") {
            let path = str_at(patch, &["path"]);
            if !path.is_empty() && !path.contains("://") {
                self.file(&join(dir, path), Format::of_path(path))?;
            }
        }
        for field in ["resources", "bases", "components"] {
            for path in strings_at(kustomization, &[field]) {
                if !path.contains("://") {
                    self.folder(&join(dir, &path))?;
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str, format: Format) -> Result<(), String> {
        if !self.done.insert(path.to_owned()) {
            return Ok(());
        }
        // A missing file is the build's to complain about, with the kustomization that names it.
        let Ok(bytes) = self.world.read(path) else { return Ok(()) };
        if !format.marks(&bytes) {
            return Ok(());
        }
        let plain = sops::decrypt(&bytes, format, format, self.keys, false)
            .map_err(|error| format!("{}: {error}", path.trim_start_matches('/')))?;
        self.overlay.insert(path, plain);
        Ok(())
    }
}

fn list<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}
