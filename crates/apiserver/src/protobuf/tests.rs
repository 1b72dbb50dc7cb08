//! Objects that Kubernetes' own types wrote in both forms: empty ones, and with every field set.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{List, decode, envelope, event_frame};

fn samples() -> Vec<(Value, Vec<u8>)> {
    let mut text = String::new();
    let packed: &[u8] = include_bytes!("../../testdata/protobuf.jsonl.z");
    flate2::read::ZlibDecoder::new(packed).read_to_string(&mut text).expect("the samples");
    text.lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).expect("a sample");
            let bytes = STANDARD.decode(line["protobuf"].as_str().unwrap_or_default()).expect("base64");
            (line["json"].take(), bytes)
        })
        .collect()
}

/// Where two forms part, to look at.
fn apart(wanted: &[u8], found: &[u8]) -> String {
    let at = wanted.iter().zip(found).take_while(|(a, b)| a == b).count();
    let part = |bytes: &[u8]| {
        String::from_utf8_lossy(
            bytes.get(at.saturating_sub(30)..(at + 30).min(bytes.len())).unwrap_or_default(),
        )
        .into_owned()
    };
    format!("at {at} of {} and {}: {:?} {:?}", wanted.len(), found.len(), part(wanted), part(found))
}

#[test]
fn as_kubernetes_writes_and_reads() {
    let samples = samples();
    assert!(samples.len() > 150, "{}", samples.len());
    let mut faults = Vec::new();
    for (json, bytes) in &samples {
        let name = format!("{} {}", json["apiVersion"], json["kind"]);
        match envelope(json) {
            Some(found) if found == *bytes => {}
            Some(found) => faults.push(format!("{name}: written differently {}", apart(bytes, &found))),
            None => faults.push(format!("{name}: not known")),
        }
        match decode(bytes) {
            // Fields that hold nothing may be left out; they are written alike.
            Ok(read) => match envelope(&read) {
                Some(again) if again == *bytes => {}
                again => faults
                    .push(format!("{name}: read differently {}", apart(bytes, &again.unwrap_or_default()))),
            },
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    assert!(faults.is_empty(), "{} of {}\n{}", faults.len(), samples.len(), faults.join("\n"));
}

#[test]
fn lists_and_events() {
    let item = json!({"metadata": {"name": "a", "creationTimestamp": null}, "data": {"b": "c"}});
    let mut list = List::new("v1", "ConfigMapList", &json!({"resourceVersion": "7"})).expect("a list");
    list.push(&item);
    let whole = json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "7"}, "items": [item]});
    assert_eq!(Some(list.finish()), envelope(&whole));
    let frame = event_frame("ADDED", b"object");
    assert_eq!(frame, b"\0\0\0\x11\x0a\x05ADDED\x12\x08\x0a\x06object");
}
