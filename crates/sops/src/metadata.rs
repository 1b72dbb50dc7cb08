//! The `sops` part of a file: who can open its data key, what is encrypted, and the MAC.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value as Json};

use crate::tree::{Document, Entry, Item, Leaf, Value};
use crate::{Format, Keys, cipher, shamir};

/// A key that protects the data key, in the words of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterKey {
    /// An age recipient and an armored age file.
    Age {
        /// `age1…`.
        recipient: String,
        /// The encrypted data key.
        enc: String,
    },
    /// An OpenPGP key and an armored message.
    Pgp {
        /// Fingerprint of the key.
        fingerprint: String,
        /// The encrypted data key.
        enc: String,
    },
    /// A key of AWS KMS.
    AwsKms {
        /// `arn:aws:kms:REGION:…`.
        arn: String,
        /// A role to assume.
        role: String,
        /// The encryption context.
        context: BTreeMap<String, String>,
        /// The encrypted data key, base64.
        enc: String,
    },
    /// A key of Google's Cloud KMS.
    GcpKms {
        /// `projects/…/cryptoKeys/…`.
        resource: String,
        /// The encrypted data key, base64.
        enc: String,
    },
    /// A key of Azure Key Vault.
    AzureKv {
        /// The vault.
        vault: String,
        /// The key's name.
        name: String,
        /// The key's version.
        version: String,
        /// The encrypted data key, base64url.
        enc: String,
    },
    /// A transit key of HashiCorp Vault or OpenBao.
    Vault {
        /// `https://…`.
        address: String,
        /// Where the transit engine is mounted.
        engine: String,
        /// The key's name.
        name: String,
        /// `vault:v1:…`.
        enc: String,
    },
    /// A kind of key that is not known here.
    Other {
        /// Its field in the file.
        kind: String,
    },
}

impl MasterKey {
    /// Which key it is, for messages.
    pub fn label(&self) -> String {
        match self {
            MasterKey::Age { recipient, .. } => format!("age {recipient}"),
            MasterKey::Pgp { fingerprint, .. } => format!("PGP {fingerprint}"),
            MasterKey::AwsKms { arn, .. } => format!("AWS KMS {arn}"),
            MasterKey::GcpKms { resource, .. } => format!("GCP KMS {resource}"),
            MasterKey::AzureKv { vault, name, .. } => format!("Azure Key Vault {vault} {name}"),
            MasterKey::Vault { address, name, .. } => format!("Vault {address} {name}"),
            MasterKey::Other { kind } => kind.clone(),
        }
    }

    /// Keys that need no network are tried first.
    fn rank(&self) -> u8 {
        match self {
            MasterKey::Age { .. } => 0,
            MasterKey::Pgp { .. } => 1,
            _ => 2,
        }
    }
}

/// What of a file is encrypted.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    UnencryptedSuffix(String),
    EncryptedSuffix(String),
    UnencryptedRegex(Regex),
    EncryptedRegex(Regex),
    UnencryptedComment(Regex),
    EncryptedComment(Regex),
}

/// The metadata of a file.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// Groups of keys; each gives a share of the data key.
    pub groups: Vec<Vec<MasterKey>>,
    threshold: usize,
    mac: String,
    last_modified: String,
    pub(crate) mac_only_encrypted: bool,
    pub(crate) rule: Rule,
}

/// Takes the metadata out of the documents.
pub(crate) fn extract(documents: &mut [Document], format: Format) -> Result<Metadata, String> {
    let json = match format {
        Format::Dotenv => unflatten(take_prefixed(documents))?,
        Format::Ini => {
            let below = take_field(documents)?;
            let fields = below.into_iter().map(|(key, value)| match value {
                Json::String(text) => (key, Json::String(text.replace("\\n", "\n"))),
                other => (key, other),
            });
            unflatten(fields.collect())?
        }
        _ => Json::Object(take_field(documents)?),
    };
    Metadata::read(&json)
}

const MISSING: &str = "sops metadata not found";

fn take_field(documents: &mut [Document]) -> Result<Map<String, Json>, String> {
    let mut found = None;
    for (index, document) in documents.iter_mut().enumerate() {
        let is_sops = |item: &Item| matches!(item, Item::Field(key, _) if key == "sops");
        if index == 0 && document.iter().filter(|item| is_sops(item)).count() > 1 {
            return Err("the sops entry is there twice".into());
        }
        if let Some(Item::Field(_, value)) = document.iter().find(|item| is_sops(item))
            && index == 0
        {
            found = Some(plain(value));
        }
        document.retain(|item| !is_sops(item));
    }
    match found {
        Some(Json::Object(map)) => Ok(map),
        Some(_) => Err("the sops entry is no mapping".into()),
        None => Err(MISSING.into()),
    }
}

fn take_prefixed(documents: &mut [Document]) -> Map<String, Json> {
    let mut found = Map::new();
    if let Some(document) = documents.first_mut() {
        document.retain(|item| match item {
            Item::Field(key, value) => match key.strip_prefix("sops_") {
                Some(name) => {
                    found.insert(name.to_owned(), plain(value));
                    false
                }
                None => true,
            },
            Item::Comment { .. } => true,
        });
    }
    found
}

/// Without comments.
fn plain(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Leaf(leaf) => match leaf {
            Leaf::Text(text) | Leaf::Time(text) | Leaf::Comment(text) => Json::String(text.clone()),
            Leaf::Bytes(bytes) => Json::String(String::from_utf8_lossy(bytes).into_owned()),
            Leaf::Int(number) => (*number).into(),
            Leaf::Float(number) => (*number).into(),
            Leaf::Bool(yes) => (*yes).into(),
        },
        Value::Map(items) => Json::Object(
            items
                .iter()
                .filter_map(|item| match item {
                    Item::Field(key, value) => Some((key.clone(), plain(value))),
                    Item::Comment { .. } => None,
                })
                .collect(),
        ),
        Value::List(entries) => Json::Array(
            entries
                .iter()
                .filter_map(|entry| match entry {
                    Entry::Value(value) => Some(plain(value)),
                    Entry::Comment { .. } => None,
                })
                .collect(),
        ),
    }
}

/// `age__list_0__map_enc` is `age[0].enc`.
fn unflatten(fields: Map<String, Json>) -> Result<Json, String> {
    if fields.is_empty() {
        return Err(MISSING.into());
    }
    let mut root = Json::Object(Map::new());
    for (name, value) in fields {
        let marked = name.replace("__map_", "\u{0}m").replace("__list_", "\u{0}l");
        let mut place = &mut root;
        let mut parts = marked.split('\u{0}');
        let first = format!("m{}", parts.next().unwrap_or_default());
        for part in std::iter::once(first.as_str()).chain(parts) {
            place = step(place, part).ok_or_else(|| format!("the metadata field {name} fits no other"))?;
        }
        *place = value;
    }
    Ok(root)
}

fn step<'v>(place: &'v mut Json, part: &str) -> Option<&'v mut Json> {
    const MOST: usize = 1000;
    if let Some(key) = part.strip_prefix('m') {
        if place.is_null() {
            *place = Json::Object(Map::new());
        }
        return Some(place.as_object_mut()?.entry(key).or_insert(Json::Null));
    }
    let index: usize = part.strip_prefix('l')?.parse().ok().filter(|index| *index < MOST)?;
    if place.is_null() {
        *place = Json::Array(Vec::new());
    }
    let list = place.as_array_mut()?;
    while list.len() <= index {
        list.push(Json::Null);
    }
    list.get_mut(index)
}

fn text(value: &Json, field: &str) -> String {
    match value.get(field) {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Number(number)) => number.to_string(),
        Some(Json::Bool(yes)) => yes.to_string(),
        _ => String::new(),
    }
}

fn keys(value: &Json) -> Vec<MasterKey> {
    let mut found = Vec::new();
    let list = |field: &str| value.get(field).and_then(Json::as_array).into_iter().flatten();
    for key in list("kms") {
        let context = key.get("context").and_then(Json::as_object).into_iter().flatten();
        found.push(MasterKey::AwsKms {
            arn: text(key, "arn"),
            role: text(key, "role"),
            context: context
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            enc: text(key, "enc"),
        });
    }
    for key in list("gcp_kms") {
        found.push(MasterKey::GcpKms { resource: text(key, "resource_id"), enc: text(key, "enc") });
    }
    for _ in list("hckms") {
        found.push(MasterKey::Other { kind: "hckms".into() });
    }
    for key in list("azure_kv") {
        found.push(MasterKey::AzureKv {
            vault: text(key, "vault_url"),
            name: text(key, "name"),
            version: text(key, "version"),
            enc: text(key, "enc"),
        });
    }
    for key in list("hc_vault") {
        found.push(MasterKey::Vault {
            address: text(key, "vault_address"),
            engine: text(key, "engine_path"),
            name: text(key, "key_name"),
            enc: text(key, "enc"),
        });
    }
    for key in list("pgp") {
        found.push(MasterKey::Pgp { fingerprint: text(key, "fp"), enc: text(key, "enc") });
    }
    for key in list("age") {
        found.push(MasterKey::Age { recipient: text(key, "recipient"), enc: text(key, "enc") });
    }
    found
}

fn rule(value: &Json) -> Result<Rule, String> {
    let pattern = |field: &str| {
        let given = text(value, field);
        Regex::new(&given).map_err(|_| format!("{field} {given:?} is no regular expression"))
    };
    let given: Vec<&str> = [
        "unencrypted_suffix",
        "encrypted_suffix",
        "unencrypted_regex",
        "encrypted_regex",
        "unencrypted_comment_regex",
        "encrypted_comment_regex",
    ]
    .into_iter()
    .filter(|field| !text(value, field).is_empty())
    .collect();
    match given.as_slice() {
        [] => Ok(Rule::UnencryptedSuffix("_unencrypted".into())),
        ["unencrypted_suffix"] => Ok(Rule::UnencryptedSuffix(text(value, "unencrypted_suffix"))),
        ["encrypted_suffix"] => Ok(Rule::EncryptedSuffix(text(value, "encrypted_suffix"))),
        ["unencrypted_regex"] => Ok(Rule::UnencryptedRegex(pattern("unencrypted_regex")?)),
        ["encrypted_regex"] => Ok(Rule::EncryptedRegex(pattern("encrypted_regex")?)),
        ["unencrypted_comment_regex"] => Ok(Rule::UnencryptedComment(pattern("unencrypted_comment_regex")?)),
        ["encrypted_comment_regex"] => Ok(Rule::EncryptedComment(pattern("encrypted_comment_regex")?)),
        several => Err(format!("only one of {} may be given", several.join(", "))),
    }
}

impl Metadata {
    fn read(value: &Json) -> Result<Metadata, String> {
        let own = keys(value);
        let groups: Vec<Vec<MasterKey>> = if own.is_empty() {
            value.get("key_groups").and_then(Json::as_array).into_iter().flatten().map(keys).collect()
        } else {
            vec![own]
        };
        if groups.is_empty() {
            return Err("no keys found in the file".into());
        }
        Ok(Metadata {
            groups,
            threshold: text(value, "shamir_threshold").parse().unwrap_or(0),
            mac: text(value, "mac"),
            last_modified: text(value, "lastmodified").replace("+00:00", "Z"),
            mac_only_encrypted: text(value, "mac_only_encrypted") == "true",
            rule: rule(value)?,
        })
    }

    /// The key that the values are encrypted with.
    pub(crate) fn data_key(&self, keys: &dyn Keys) -> Result<Vec<u8>, String> {
        let mut parts = Vec::new();
        let mut failures = Vec::new();
        for group in &self.groups {
            let mut sorted: Vec<&MasterKey> = group.iter().collect();
            sorted.sort_by_key(|key| key.rank());
            let mut opened = None;
            for key in sorted {
                match keys.open(key) {
                    Ok(part) => {
                        opened = Some(part);
                        break;
                    }
                    Err(why) => failures.push(format!("{}: {why}", key.label())),
                }
            }
            parts.extend(opened);
        }
        if self.groups.len() > 1 {
            if parts.len() < self.threshold.max(2) {
                let (have, need) = (parts.len(), self.threshold.max(2));
                return Err(format!("{need} key groups are needed, {have} opened: {}", failures.join("; ")));
            }
            return shamir::combine(&parts);
        }
        parts.pop().ok_or_else(|| match failures.is_empty() {
            true => "the file names no key".to_owned(),
            false => format!("no key opens it: {}", failures.join("; ")),
        })
    }

    /// Is `mac` what was stored when the file was encrypted?
    pub(crate) fn verify(&self, data_key: &[u8], mac: &str) -> Result<(), String> {
        match cipher::decrypt(&self.mac, data_key, &self.last_modified)? {
            Leaf::Text(stored) if stored == mac => Ok(()),
            _ => Err("the MAC does not fit the content: it was changed after it was encrypted".into()),
        }
    }
}
