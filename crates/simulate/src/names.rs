//! Names and hashes that controllers give.

use object::Value;
use sha2::{Digest, Sha256};

/// Letters and digits that spell no words, as Kubernetes uses them.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// `length` letters out of `seed`.
pub(crate) fn letters(seed: &str, length: usize) -> String {
    let digest = Sha256::digest(seed.as_bytes());
    digest
        .iter()
        .take(length)
        .filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()))
        .map(|letter| char::from(*letter))
        .collect()
}

/// The hash of a pod template; `collisions` makes it another one.
pub(crate) fn template_hash(template: &Value, collisions: i64) -> String {
    letters(&format!("{template}{collisions}"), 10)
}

/// A name out of a stem and a suffix that fits a label's length.
pub(crate) fn join(stem: &str, suffix: &str) -> String {
    let room = 63usize.saturating_sub(suffix.len() + 1);
    let stem: String = stem.chars().take(room).collect();
    format!("{}-{suffix}", stem.trim_end_matches(['-', '.']))
}
