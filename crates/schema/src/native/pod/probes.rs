//! What is asked of a container while it runs, and what it is told at its begin and end.

use super::super::at::{At, Errors};
use super::super::names;

const HANDLERS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// A probe, by the name of its field.
pub(super) fn probe(field: &str, own: &At<'_>, grace: Option<i64>, errors: &mut Errors) {
    if !own.some() {
        return;
    }
    handler(own, grace, errors);
    for number in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        own.get(number).not_negative(errors);
    }
    let end = own.get("terminationGracePeriodSeconds");
    if end.int().is_some_and(|seconds| seconds <= 0) {
        end.invalid("must be greater than 0", errors);
    }
    if field == "readinessProbe" {
        if end.some() {
            end.invalid("must not be set for readinessProbes", errors);
        }
    } else if own.get("successThreshold").number() != 1 {
        let threshold = own.get("successThreshold");
        threshold.invalid_as(threshold.number(), "must be 1", errors);
    }
}

/// What happens after a container's start and before its end; `system` is the Pod's operating system.
pub(super) fn lifecycle(own: &At<'_>, grace: Option<i64>, system: Option<&str>, errors: &mut Errors) {
    for field in ["postStart", "preStop"] {
        if own.get(field).some() {
            handler(&own.get(field), grace, errors);
        }
    }
    let signal = own.get("stopSignal");
    if !signal.some() {
        return;
    }
    match system {
        None => signal.forbidden("may not be set for containers with empty `spec.os.name`", errors),
        Some("windows") => signal.one_of(&["SIGKILL", "SIGTERM"], errors),
        Some(_) => {
            let known = signals();
            signal.one_of(&known.iter().map(String::as_str).collect::<Vec<_>>(), errors);
        }
    }
}

/// The names of Linux' signals, sorted.
fn signals() -> Vec<String> {
    let plain = [
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
        "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
        "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
    ];
    let mut all: Vec<String> = plain.iter().map(|name| format!("SIG{name}")).collect();
    all.extend((1..=15).map(|number| format!("SIGRTMIN+{number}")));
    all.extend((1..=14).map(|number| format!("SIGRTMAX-{number}")));
    all.sort();
    all
}

fn handler(own: &At<'_>, grace: Option<i64>, errors: &mut Errors) {
    let mut any = false;
    for field in HANDLERS {
        let way = own.get(field);
        if !way.some() {
            continue;
        }
        if any {
            way.forbidden("may not specify more than 1 handler type", errors);
            continue;
        }
        any = true;
        match field {
            "exec" => {
                way.get("command").must(errors);
            }
            "httpGet" => {
                way.get("path").must(errors);
                way.get("port").port_or_name(errors);
                way.get("scheme").one_of(&["HTTP", "HTTPS"], errors);
                let headers = way.get("httpHeaders");
                for header in headers.items() {
                    let name = header.get("name").text();
                    for why in names::header_names(name) {
                        headers.invalid_as(name, why, errors);
                    }
                }
            }
            "tcpSocket" => way.get("port").port_or_name(errors),
            "grpc" => way.get("port").port(errors),
            _ => {
                let (seconds, most) = (way.get("seconds").number(), grace.unwrap_or(i64::MAX));
                if seconds < 0 || seconds > most {
                    let detail =
                        format!("must be non-negative and less than terminationGracePeriodSeconds ({most})");
                    way.invalid_as(seconds, detail, errors);
                }
            }
        }
    }
    if !any {
        own.required_because("must specify a handler type", errors);
    }
}
