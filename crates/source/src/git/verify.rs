//! Signatures of commits and tags, checked before anything of them is used.

use super::ssh_signature::{self, PublicKey};
use super::{Request, read};
use crate::{Error, Result};
use openpgp::KeyRing;
use std::collections::BTreeMap;

const PGP: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// What must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The commit.
    Head,
    /// The annotated tag.
    Tag,
    /// Both.
    TagAndHead,
}

impl Mode {
    /// As `spec.verify.mode` spells it; `head` is an old form.
    pub fn parse(text: &str) -> Option<Mode> {
        match text {
            "HEAD" | "head" | "" => Some(Mode::Head),
            "Tag" => Some(Mode::Tag),
            "TagAndHEAD" => Some(Mode::TagAndHead),
            _ => None,
        }
    }

    fn head(self) -> bool {
        self != Mode::Tag
    }

    fn tag(self) -> bool {
        self != Mode::Head
    }
}

/// What is checked, and the keys that are trusted.
#[derive(Clone, PartialEq, Eq)]
pub struct Verify {
    /// What must be signed.
    pub mode: Mode,
    ssh: Vec<PublicKey>,
    /// Armored OpenPGP keys.
    pgp: Vec<Vec<u8>>,
}

// Keys are public, but long.
impl std::fmt::Debug for Verify {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Verify({:?}, {} SSH keys, {} OpenPGP keys)", self.mode, self.ssh.len(), self.pgp.len())
    }
}

impl Verify {
    /// The keys of a Secret's decoded data: `*.asc` and `*.sshpub`.
    ///
    /// # Errors
    /// With the entry that is no key, or when there is none.
    pub fn from_secret(mode: Mode, data: &BTreeMap<String, Vec<u8>>) -> Result<Verify> {
        let mut verify = Verify { mode, ssh: Vec::new(), pgp: Vec::new() };
        for (name, value) in data {
            if name.ends_with(".sshpub") {
                let keys = ssh_signature::public_keys(&String::from_utf8_lossy(value));
                verify.ssh.extend(keys.map_err(|why| Error::Invalid(format!("{name}: {why}")))?);
            } else if name.ends_with(".asc") || value.trim_ascii_start().starts_with(PGP) {
                // Any entry was a key ring before there were two kinds.
                verify.pgp.push(value.clone());
            }
        }
        if verify.ssh.is_empty() && verify.pgp.is_empty() {
            return Err(Error::Invalid("the Secret holds no keys (*.asc, *.sshpub)".into()));
        }
        Ok(verify)
    }

    /// Who of the key rings made the signature, in Flux's words.
    fn pgp_key_of(&self, data: &[u8], signature: &str) -> std::result::Result<String, String> {
        let now = jiff::Timestamp::now().as_second();
        let (mut unread, mut detail, mut asked) = (None, None, false);
        for ring in &self.pgp {
            match KeyRing::parse(ring) {
                Ok(ring) if ring.keys().is_empty() => {
                    unread = unread.or(Some("openpgp: invalid argument: no armored data found".to_owned()));
                }
                Ok(ring) => {
                    asked = true;
                    match ring.verify(data, signature.as_bytes(), now) {
                        Ok(verified) => return Ok(verified.key_id),
                        Err(openpgp::Error::UnknownIssuer) => {}
                        Err(error) => detail = Some(error),
                    }
                }
                Err(error) => unread = unread.or(Some(error.to_string())),
            }
        }
        match (unread, asked) {
            (Some(error), false) => Err(format!("unable to read armored key ring: {error}")),
            _ => Err(format!(
                "unable to verify payload with any of the given key rings: no matching key{}",
                detail.map(|error| format!(" ({error})")).unwrap_or_default()
            )),
        }
    }

    /// The name of the key that made the signature of a text.
    fn key_of(&self, data: &[u8], signature: &str) -> std::result::Result<String, String> {
        if signature.starts_with("-----BEGIN SSH SIGNATURE-----") {
            if self.ssh.is_empty() {
                return Err("it is signed with an SSH key, and no SSH key is trusted".into());
            }
            return ssh_signature::verify(data, signature, &self.ssh).map(PublicKey::fingerprint);
        }
        if signature.starts_with("-----BEGIN PGP ") {
            if self.pgp.is_empty() {
                return Err("it is signed with OpenPGP, and no OpenPGP key is trusted".into());
            }
            return self.pgp_key_of(data, signature);
        }
        Err("its kind of signature is not known".into())
    }
}

/// A commit without its signature, and the signature.
fn of_commit(data: &[u8]) -> Option<(Vec<u8>, String)> {
    let mut payload = Vec::new();
    let mut signature = String::new();
    let (mut in_header, mut in_signature) = (true, false);
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        if in_header && in_signature && line.first() == Some(&b' ') {
            signature.push_str(&String::from_utf8_lossy(line.get(1..).unwrap_or_default()));
            continue;
        }
        in_signature = false;
        if in_header && let Some(first) = line.strip_prefix(b"gpgsig ") {
            in_signature = true;
            signature.push_str(&String::from_utf8_lossy(first));
            continue;
        }
        in_header = in_header && line != b"\n";
        payload.extend(line);
    }
    (!signature.is_empty()).then_some((payload, signature))
}

/// A tag's text before its signature, and the signature.
fn of_tag(data: &[u8]) -> Option<(Vec<u8>, String)> {
    let marks: [&[u8]; 2] = [b"-----BEGIN SSH SIGNATURE-----", b"-----BEGIN PGP "];
    let begins = |mark: &[u8]| {
        let mut found = None;
        let mut at = 0;
        for line in data.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(mark) {
                found = Some(at);
            }
            at += line.len();
        }
        found
    };
    let at = marks.into_iter().filter_map(begins).max()?;
    let (payload, signature) = data.split_at_checked(at)?;
    Some((payload.to_vec(), String::from_utf8_lossy(signature).into_owned()))
}

/// Checks the commit, and the tag that leads to it, as the request wants. What was verified, in words.
pub(super) fn check(
    repository: &std::path::Path,
    request: &Request,
    name: &str,
    commit: gix::ObjectId,
) -> Result<Option<String>> {
    let Some(verify) = &request.verify else { return Ok(None) };
    let opened = read::open(repository)?;
    let unverified = |reason, why: String| Error::Unverified { reason, why };
    let mut lines = Vec::new();
    if verify.mode.tag() {
        let reference = &request.reference;
        let is_tag = reference.commit.is_none() && (reference.tag.is_some() || reference.semver.is_some())
            || reference.name.as_ref().is_some_and(|name| name.starts_with("refs/tags/"));
        if !is_tag {
            return Err(unverified(
                "InvalidVerificationMode",
                "cannot verify tag object's signature if a tag reference is not specified".into(),
            ));
        }
        let short = name.strip_prefix("refs/tags/").unwrap_or(name);
        let places = [format!("refs/tags/{short}"), format!("refs/landfall/tags/{short}")];
        let target = places.iter().find_map(|place| {
            let found = opened.try_find_reference(place.as_str()).ok()??;
            found.target().try_id().map(ToOwned::to_owned)
        });
        let unsigned = |what: String| {
            let why = format!("cannot verify signature of tag '{what}' since it is not signed");
            unverified("InvalidGitObject", why)
        };
        let Some(target) = target else { return Err(unsigned(short.to_owned())) };
        let what = format!("{short}@{target}");
        let failed = |why: String| {
            let why =
                format!("signature verification of tag '{what}' failed: unable to verify Git tag: {why}");
            unverified("InvalidTagSignature", why)
        };
        let object = opened.find_object(target).map_err(|error| failed(read::explain(&error)))?;
        if object.kind != gix::object::Kind::Tag {
            return Err(unsigned(short.to_owned()));
        }
        let (payload, signature) = of_tag(&object.data).ok_or_else(|| unsigned(what.clone()))?;
        let key = verify.key_of(&payload, &signature).map_err(failed)?;
        lines.push(format!("- tag '{what}' with key '{key}'"));
    }
    if verify.mode.head() {
        let failed = |why: String| {
            let why = format!(
                "signature verification of commit '{commit}' failed: unable to verify Git commit: {why}"
            );
            unverified("InvalidCommitSignature", why)
        };
        let object = opened.find_object(commit).map_err(|error| failed(read::explain(&error)))?;
        let (payload, signature) = of_commit(&object.data)
            .ok_or_else(|| failed("the commit is not signed: signature is empty".into()))?;
        let key = verify.key_of(&payload, &signature).map_err(failed)?;
        lines.push(format!("- commit '{commit}' with key '{key}'"));
    }
    Ok(Some(format!("verified signature of\n\t{}", lines.join("\n\t"))))
}
