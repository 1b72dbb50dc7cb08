//! Signatures of other tools, and ours.

use openpgp::{Cleartext, Error, KeyRing};
use std::path::Path;

/// The day on which these tests live.
const NOW: i64 = 1_800_000_000;

fn data(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn ring(name: &str) -> KeyRing {
    KeyRing::parse(&data(name)).expect("a ring")
}

fn verdict(ring: &KeyRing, message: &[u8]) -> String {
    let Some(message) = Cleartext::parse(message) else { return "no signed message".into() };
    match ring.verify(&message.signed, &message.signature, NOW) {
        Ok(verified) => format!("{} {}", verified.names.join(", "), verified.fingerprint),
        Err(error) => error.to_string(),
    }
}

#[test]
fn verdicts_are_those_of_helm() {
    let cases: Vec<serde_json::Value> = serde_json::from_slice(&data("cases.json")).expect("cases");
    for case in cases {
        let of = |name: &str| case[name].as_str().expect("text").to_owned();
        assert_eq!(verdict(&ring(&of("ring")), &data(&of("signed"))), of("says"), "{case}");
    }
}

#[test]
fn what_is_signed_here_holds() {
    let ring = ring("secring.gpg");
    let text = "first line  \n- dashed\n--- three\n\nFrom here\n\tlast\n";
    for (name, passphrase) in [
        ("<plain@example.com>", ""),
        ("Locked Key", "open sesame"),
        ("<ed@example.com>", ""),
        ("Curve Key", ""),
    ] {
        let key = ring.find(name).expect("one").expect("a key");
        let signer = key.unlock(passphrase.as_bytes()).expect("unlocks");
        let message = Cleartext::sign(text, &signer, NOW - 10).expect("signs");
        let said = verdict(&ring, message.as_bytes());
        assert!(said.ends_with(&key.fingerprint()), "{name}: {said}\n{message}");
        let changed = message.replace("first", "fist");
        assert!(verdict(&ring, changed.as_bytes()).contains("verification failure"), "{name}");
        let detached = signer.sign(b"any bytes\0\r\n", NOW - 10).expect("signs");
        let holds = ring.verify(b"any bytes\0\r\n", detached.as_bytes(), NOW).expect("holds");
        assert_eq!((holds.fingerprint, holds.created), (key.fingerprint(), NOW - 10));
        assert!(ring.verify(b"x", detached.as_bytes(), NOW).is_err());
        let early = ring.verify(b"any bytes\0\r\n", detached.as_bytes(), NOW - 20);
        assert_eq!(early, Err(Error::SignatureExpired), "{name}");
    }
}

#[test]
fn keys_are_found_as_helm_finds_them() {
    let ring = ring("secring.gpg");
    assert_eq!(ring.find("twin").map(|_| ()), Err(Error::Ambiguous("twin".into())));
    assert!(ring.find("nobody").expect("no fault").is_none());
    let locked = ring.find("locked").expect("one").expect("a key");
    assert_eq!(locked.locked(), Some(true));
    let wrong = locked.unlock(b"wrong").map(|_| ());
    assert_eq!(wrong, Err(Error::Malformed("private key checksum failure".into())));
    let public = KeyRing::parse(&data("plain.asc")).expect("a ring");
    assert_eq!(public.keys()[0].unlock(b"").map(|_| ()), Err(Error::NotSecret));
}

#[test]
fn what_is_no_ring_says_so() {
    let said = |bytes: &[u8]| KeyRing::parse(bytes).expect_err("refused").to_string();
    assert!(said(&data("pubring.kbx")).contains("tag byte does not have MSB set"));
    assert!(said(b"text").contains("tag byte does not have MSB set"));
    assert!(KeyRing::parse(b"").expect("empty").keys().is_empty());
    // Whatever is cut off or changed is an error or fewer keys, never a panic.
    let whole = data("pubring.gpg");
    for at in (0..whole.len()).step_by(211) {
        let _ = KeyRing::parse(&whole[..at]);
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        let _ = KeyRing::parse(&changed).map(|ring| verdict(&ring, &data("helm.prov")));
    }
}
