//! SOPS files to what they hold: the tree is read, its data key fetched from whoever can open one of its master
//! keys, every value decrypted, and the file written again in its own format.
//!
//! Pure: keys come through [`Keys`]. [`age`] identities are opened in process; other kinds of master keys are the
//! caller's. No error ever carries a value, encrypted or not.

pub mod age;
mod cipher;
mod metadata;
mod shamir;
mod stores;
mod tree;

pub use metadata::{MasterKey, Metadata};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Anything: the whole content is one value of a JSON file.
    Binary,
    /// `NAME=value` lines.
    Dotenv,
    /// Sections of `name = value`.
    Ini,
    /// One JSON object.
    Json,
    /// YAML documents.
    Yaml,
}

impl Format {
    /// The format that a path's ending tells; anything unknown is binary. `.dockerconfigjson` is JSON.
    pub fn of_path(path: &str) -> Format {
        let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| path.ends_with(suffix));
        if ends(&[".yaml", ".yml"]) {
            Format::Yaml
        } else if ends(&[".json", ".dockerconfigjson"]) {
            Format::Json
        } else if ends(&[".env"]) {
            Format::Dotenv
        } else if ends(&[".ini"]) {
            Format::Ini
        } else {
            Format::Binary
        }
    }

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Format::Binary => "binary",
            Format::Dotenv => "dotenv",
            Format::Ini => "INI",
            Format::Json => "JSON",
            Format::Yaml => "YAML",
        }
    }

    /// The bytes that an encrypted file of this format holds.
    fn mark(self) -> &'static [u8] {
        match self {
            Format::Binary | Format::Json => b"\"mac\": \"ENC[",
            Format::Dotenv => b"sops_mac=ENC[",
            Format::Ini => b"[sops]",
            Format::Yaml => b"mac: ENC[",
        }
    }

    /// Do these bytes look like an encrypted file of this format?
    pub fn marks(self, bytes: &[u8]) -> bool {
        let mark = self.mark();
        bytes.windows(mark.len()).any(|window| window == mark)
    }

    /// The format whose encrypted form these bytes look like. Binary files are JSON when encrypted.
    pub fn detect(bytes: &[u8]) -> Option<Format> {
        [Format::Json, Format::Dotenv, Format::Ini, Format::Yaml]
            .into_iter()
            .find(|format| format.marks(bytes))
    }
}

/// Whoever can open master keys.
pub trait Keys {
    /// The data key (or the share of it) that a master key protects.
    ///
    /// # Errors
    /// Why not, in words without secrets.
    fn open(&self, key: &MasterKey) -> Result<Vec<u8>, String>;
}

/// Why a file could not be decrypted. The texts never hold values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file is not what its format says, or has no metadata.
    #[error("failed to load encrypted {format} data: {why}")]
    Load {
        /// The format it was read as.
        format: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Nobody could open the data key.
    #[error("cannot get sops data key: {0}")]
    DataKey(String),
    /// A value does not decrypt.
    #[error("error decrypting sops tree: {path}: {why}")]
    Value {
        /// Its path in the tree.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The content was changed since it was encrypted.
    #[error("failed to verify sops data integrity: {0}")]
    Integrity(String),
    /// What was decrypted does not fit the output format.
    #[error("failed to emit encrypted {from} file as decrypted {to}: {why}")]
    Emit {
        /// The format it was read as.
        from: &'static str,
        /// The format it should become.
        to: &'static str,
        /// What does not fit.
        why: String,
    },
}

/// Larger files are refused.
pub const MAX_BYTES: usize = 5 << 20;

/// Decrypts a file. With `verify` its MAC must be right, which it is only for a file that nobody changed since;
/// objects that a build has added labels to are not.
///
/// # Errors
/// See [`Error`].
pub fn decrypt(
    bytes: &[u8],
    from: Format,
    to: Format,
    keys: &dyn Keys,
    verify: bool,
) -> Result<Vec<u8>, Error> {
    let load = |why: String| Error::Load { format: from.name(), why };
    if bytes.len() > MAX_BYTES {
        return Err(load(format!("{} bytes exceed the limit of {MAX_BYTES}", bytes.len())));
    }
    let mut documents = stores::read(bytes, from).map_err(load)?;
    let metadata = metadata::extract(&mut documents, from).map_err(load)?;
    let data_key = metadata.data_key(keys).map_err(Error::DataKey)?;
    let mac = tree::decrypt(&mut documents, &metadata, &data_key)?;
    if verify {
        metadata.verify(&data_key, &mac).map_err(Error::Integrity)?;
    }
    stores::write(&documents, to).map_err(|why| Error::Emit { from: from.name(), to: to.name(), why })
}
