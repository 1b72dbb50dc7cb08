//! Files that the real `sops` encrypted: `testdata/CASE/encrypted.EXT` must become `decrypted.EXT`, byte for byte,
//! with a MAC that fits.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

use sops::age::{self, Identity};
use sops::{Error, Format, Keys, MasterKey};

struct Ages(Vec<Identity>, openpgp::KeyRing);

impl Keys for Ages {
    fn open(&self, key: &MasterKey) -> Result<Vec<u8>, String> {
        match key {
            MasterKey::Age { enc, .. } => age::decrypt(enc.as_bytes(), &self.0),
            MasterKey::Pgp { enc, .. } => {
                self.1.decrypt(enc.as_bytes(), b"").map_err(|error| error.to_string())
            }
            other => Err(format!("no {} here", other.label())),
        }
    }
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

fn keys(files: &[&str]) -> Ages {
    let read = |name: &&str| std::fs::read_to_string(data().join(name)).unwrap();
    let ring = openpgp::KeyRing::parse(&std::fs::read(data().join("pgp.asc")).unwrap()).unwrap();
    Ages(files.iter().flat_map(|name| age::identities(&read(name)).unwrap()).collect(), ring)
}

/// Folder, encrypted bytes, decrypted bytes, format.
fn cases() -> Vec<(String, Vec<u8>, Vec<u8>, Format)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data()).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let files: Vec<PathBuf> =
            std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        let file = |stem: &str| files.iter().find(|file| file.file_stem().unwrap() == stem).unwrap();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let format = Format::of_path(&file("encrypted").to_string_lossy());
        let read = |stem: &str| std::fs::read(file(stem)).unwrap();
        found.push((name, read("encrypted"), read("decrypted"), format));
    }
    found
}

#[test]
fn as_sops_decrypts() {
    let keys = keys(&["keys1.txt", "keys3.txt"]);
    let mut wrong = Vec::new();
    let all = cases();
    for (name, encrypted, decrypted, format) in &all {
        assert!(format.marks(encrypted), "{name}: is not seen as encrypted");
        match sops::decrypt(encrypted, *format, *format, &keys, true) {
            Ok(found) if found == *decrypted => {}
            Ok(found) => {
                wrong.push(format!(
                    "{name}:\n{}\nnot\n{}",
                    String::from_utf8_lossy(&found),
                    String::from_utf8_lossy(decrypted)
                ));
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty() && all.len() >= 15, "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

#[test]
fn what_was_changed_is_noticed() {
    let keys = keys(&["keys1.txt"]);
    let text = std::fs::read_to_string(data().join("yaml/encrypted.yaml")).unwrap();
    let readable = text.replace("plain_unencrypted: readable", "plain_unencrypted: changed");
    let decrypt =
        |text: &str, verify| sops::decrypt(text.as_bytes(), Format::Yaml, Format::Yaml, &keys, verify);
    assert!(matches!(decrypt(&readable, true), Err(Error::Integrity(_))));
    assert!(decrypt(&readable, false).is_ok());
    // A value is bound to its path.
    let moved = text.replace("password:", "passphrase:");
    assert!(
        matches!(decrypt(&moved, false), Err(Error::Value { path, .. }) if path == "stringData.passphrase")
    );
    let cut = text.replace("type:str]", "type:str");
    let error = decrypt(&cut, false).unwrap_err().to_string();
    assert!(!error.contains("data:"), "{error}");
}

#[test]
fn without_a_key_its_recipients_are_named() {
    let error = sops::decrypt(
        &std::fs::read(data().join("yaml/encrypted.yaml")).unwrap(),
        Format::Yaml,
        Format::Yaml,
        &keys(&["keys3.txt"]),
        false,
    );
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("cannot get sops data key: no key opens it: age age1"), "{error}");
    let groups = std::fs::read(data().join("yaml-groups/encrypted.yaml")).unwrap();
    let error = sops::decrypt(&groups, Format::Yaml, Format::Yaml, &keys(&["keys1.txt"]), false);
    assert!(error.unwrap_err().to_string().contains("2 key groups are needed, 1 opened"));
}

#[test]
fn what_is_no_sops_file_is_refused() {
    let keys = keys(&["keys1.txt"]);
    for (text, format) in [
        ("a: b\n", Format::Yaml),
        ("a: b\nsops: 1\n", Format::Yaml),
        ("sops:\n  mac: x\n", Format::Yaml),
        ("- a\n", Format::Yaml),
        ("{\"sops\": {\"age\": [{}]}}", Format::Json),
        ("[1]", Format::Json),
        ("sops_age__list_99999999__map_enc=x\n", Format::Dotenv),
        ("no line\n", Format::Dotenv),
        ("[sops]\nage__list_0__map_enc = x\n", Format::Ini),
        ("\u{0}", Format::Binary),
    ] {
        assert!(sops::decrypt(text.as_bytes(), format, format, &keys, true).is_err(), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(sops::decrypt(deep.as_bytes(), Format::Yaml, Format::Yaml, &keys, true).is_err());
}
