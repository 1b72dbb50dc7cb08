//! Backups: all objects of one revision as compressed lines of JSON, with an end that tells whether all of it is there.
//!
//! The first line says what it is, then comes a line for each object, and the last has their number and digest. Keys
//! and tokens of the server are not part of it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Object, Snapshot};

/// What the first line says.
const MAGIC: &str = "landfall backup";
/// The format that is written, and the newest that is read.
const FORMAT: u64 = 1;
/// No object is larger, whatever a file claims.
const LONGEST_LINE: u64 = 64 << 20;

/// Why a backup cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file itself.
    #[error("the backup cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// The directory that was to hold it.
    #[error(transparent)]
    State(Box<crate::OpenError>),
    /// It is something else.
    #[error("this is no backup of a Landfall cluster")]
    Foreign,
    /// It was written by a newer release.
    #[error("the backup has format {0}, this release reads up to {FORMAT}; use the newer release")]
    Newer(u64),
    /// It is not what was written.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
}

/// Writes a snapshot down.
pub fn write(snapshot: &Snapshot, to: impl Write) -> Result<(), BackupError> {
    let mut out = GzEncoder::new(to, Compression::fast());
    let head = json!({"kind": MAGIC, "format": FORMAT, "revision": snapshot.revision});
    writeln!(out, "{head}")?;
    let (mut digest, mut count) = (Sha256::new(), 0u64);
    for (table, objects) in &snapshot.tables {
        for (key, object) in objects {
            let place = json!({"table": table.as_ref(), "key": key.as_ref(), "revision": object.revision});
            let place = place.to_string();
            let mut line = Vec::with_capacity(place.len() + object.json().len() + 16);
            line.extend_from_slice(place.trim_end_matches('}').as_bytes());
            line.extend_from_slice(b",\"object\":");
            line.extend_from_slice(object.json());
            line.extend_from_slice(b"}\n");
            digest.update(&line);
            count += 1;
            out.write_all(&line)?;
        }
    }
    writeln!(out, "{}", json!({"end": count, "sha256": hex::encode(digest.finalize())}))?;
    out.finish()?.flush()?;
    Ok(())
}

/// Reads what [`write`] wrote; nothing of a damaged file is given.
pub fn read(from: impl Read) -> Result<Snapshot, BackupError> {
    let mut lines = BufReader::new(GzDecoder::new(from));
    let mut line = Vec::new();
    let head = next(&mut lines, &mut line).map_err(|_| BackupError::Foreign)?;
    if head.get("kind").and_then(Value::as_str) != Some(MAGIC) {
        return Err(BackupError::Foreign);
    }
    let number = |value: &Value, field: &str| value.get(field).and_then(Value::as_u64);
    match number(&head, "format") {
        Some(FORMAT) => {}
        Some(other) => return Err(BackupError::Newer(other)),
        None => return Err(BackupError::Foreign),
    }
    let damaged = |why: &str| BackupError::Damaged(why.to_owned());
    let revision = number(&head, "revision").ok_or_else(|| damaged("it names no revision"))?;
    let mut tables: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<Object>>> = BTreeMap::new();
    let (mut digest, mut count) = (Sha256::new(), 0u64);
    loop {
        let mut value = next(&mut lines, &mut line)?;
        if let Some(end) = number(&value, "end") {
            let found = hex::encode(digest.finalize());
            if end != count || value.get("sha256").and_then(Value::as_str) != Some(&found) {
                return Err(damaged("its digest is another one"));
            }
            return Ok(Snapshot { revision, tables });
        }
        digest.update(&line);
        count += 1;
        let place = format!("line {}", count + 1);
        let object = value.get_mut("object").map(Value::take).unwrap_or_default();
        let text = |field: &str| value.get(field).and_then(Value::as_str).map(Arc::<str>::from);
        let (Some(table), Some(key), Some(at)) = (text("table"), text("key"), number(&value, "revision"))
        else {
            return Err(damaged(&format!("{place} names no object")));
        };
        let object = Object::restore(&key, at, Bytes::from(object.to_string()))
            .filter(|_| object.is_object())
            .ok_or_else(|| damaged(&format!("{place} holds no object")))?;
        tables.entry(table).or_default().insert(key, Arc::new(object));
    }
}

fn next(lines: &mut impl BufRead, line: &mut Vec<u8>) -> Result<Value, BackupError> {
    line.clear();
    lines.by_ref().take(LONGEST_LINE).read_until(b'\n', line)?;
    if line.last() != Some(&b'\n') {
        return Err(BackupError::Damaged("it ends in the middle".to_owned()));
    }
    serde_json::from_slice(line).map_err(|error| BackupError::Damaged(error.to_string()))
}
