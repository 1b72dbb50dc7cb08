//! What Go's own functions said, see `testdata/ORIGIN`.
#![allow(clippy::disallowed_methods)]

use gotime::cron::{self, Schedule};
use gotime::duration;
use jiff::Timestamp;
use serde_json::Value;

fn cases(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("a list of cases")
}

#[test]
fn durations() {
    for case in cases(include_str!("../testdata/durations.json")) {
        let text = case["text"].as_str().expect("a text");
        match (case["error"].as_str(), duration::parse(text)) {
            (Some(wanted), found) => assert_eq!(found, Err(wanted.to_owned()), "{text:?}"),
            (None, found) => {
                let nanos = case["nanos"].as_i64().expect("nanoseconds");
                assert_eq!(found, Ok(nanos), "{text:?}");
                assert_eq!(Some(duration::string(nanos).as_str()), case["shown"].as_str(), "{text:?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_negative() {
    assert_eq!(duration::span("1m30s"), Ok(std::time::Duration::from_secs(90)));
    assert_eq!(duration::span("-5s"), Err("the duration \"-5s\" is negative".to_owned()));
    assert_eq!(duration::shown(std::time::Duration::from_millis(61_500)), "1m1.5s");
}

#[test]
fn schedules() {
    let mut faults = Vec::new();
    for case in cases(include_str!("../testdata/cron.json")) {
        let (text, said) = (|key: &str| case[key].as_str(), case.to_string());
        let schedule = match (Schedule::parse(text("schedule").expect("a schedule")), text("error")) {
            (Ok(schedule), None) => schedule,
            (Err(found), Some(wanted)) if found == wanted => continue,
            (found, _) => {
                faults.push(format!("{said}: {found:?}"));
                continue;
            }
        };
        let zone = cron::zone(text("zone").unwrap_or_default()).expect("a zone");
        let mut time: Timestamp = text("from").expect("a start").parse().expect("a time");
        // The last of a list that is cut off has no next one.
        let wanted: Vec<&str> =
            case["next"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut found = Vec::new();
        for _ in 0..wanted.len().max(1) {
            let Some(next) = schedule.next(time, &zone) else { break };
            found.push(next.to_string());
            time = next;
        }
        if found != wanted {
            faults.push(format!("{said}: {found:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
