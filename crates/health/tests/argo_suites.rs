//! Argo CD's health and action cases, and what scripts may not do.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod argo;

use std::time::{Duration, Instant};

use health::argo::{Customization, Judge, JudgeError, Status, aggregate, glob};
use object::Value;
use serde_json::json;

fn report(outcomes: &[argo::Outcome]) {
    let failed: Vec<String> = outcomes
        .iter()
        .filter_map(|(name, outcome)| Some(format!("{name}: {}", outcome.as_ref().err()?)))
        .collect();
    assert!(failed.is_empty(), "{} of {} fail\n{}", failed.len(), outcomes.len(), failed.join("\n"));
}

#[test]
fn built_in_checks() {
    let Some(path) = testkit::shared("suites/argocd-health/cases.json") else { return };
    report(&argo::health(&path));
}

#[test]
fn lua_checks() {
    let Some(path) = testkit::shared("suites/argocd-lua/cases") else { return };
    report(&argo::lua_health(&path));
}

#[test]
fn lua_actions() {
    let Some(path) = testkit::shared("suites/argocd-lua/cases") else { return };
    report(&argo::lua_actions(&path));
}

fn thing() -> Value {
    json!({ "apiVersion": "example.org/v1", "kind": "Thing", "metadata": { "name": "a" }, "status": { "n": 3 } })
}

fn elapsed() -> Duration {
    thread_local! { static START: Instant = Instant::now(); }
    START.with(Instant::elapsed)
}

fn judge(script: &str) -> Result<Option<health::argo::Verdict>, JudgeError> {
    let mut judge = Judge { clock: Some(elapsed), ..Judge::default() };
    let custom = Customization { health: script.to_owned(), ..Customization::default() };
    judge.customizations.insert("example.org/*", custom);
    judge.health(&thing(), 1_760_000_000)
}

#[test]
fn a_script_of_a_user_judges() {
    let script = "local os = require('os')\nhs = {}\nif obj.status.n == 3 then hs.status = 'Healthy'\n\
                  hs.message = obj.metadata.name .. ' at ' .. os.date('!%Y-%m-%dT%XZ') end\nreturn hs";
    let verdict = judge(script).unwrap().unwrap();
    assert_eq!((verdict.status, verdict.message.as_str()), (Status::Healthy, "a at 2025-10-09T08:53:20Z"));
    let verdict = judge("return { status = 'Fine' }").unwrap().unwrap();
    assert_eq!(verdict.message, "Lua returned an invalid health status");
    let error = judge("return 'Healthy'").unwrap_err().to_string();
    assert_eq!(error, "expect table output from Lua script, not string");
}

#[test]
fn scripts_end_and_stay_inside() {
    let endless = [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() return pcall(f) end while true do f() end",
        "local s = ('x'):rep(1000000) while true do local t = s .. s end",
        "xpcall(function() while true do end end, function() while true do end end) return {}",
    ];
    for script in endless {
        let error = judge(script).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("stopped") || text.contains("overflow"), "{script}: {text}");
    }
    let big = judge("local s = ('x'):rep(1000000000) return {}").unwrap_err().to_string();
    assert!(big.contains("MiB"), "{big}");
    let slow =
        judge("return { status = string.match(('a'):rep(100000), '.-.-.-.-b') }").unwrap_err().to_string();
    assert!(slow.contains("too expensive"), "{slow}");
    for outside in [
        "io.open('x')",
        "os.execute('x')",
        "loadstring('x')()",
        "dofile('x')",
        "require('io')",
        "string.dump(function() end)",
        "coroutine.create(print)",
        "os.getenv('HOME')",
        "debug.getinfo(1)",
    ] {
        assert!(judge(&format!("local x = {outside} return {{ status = 'Healthy' }}")).is_err(), "{outside}");
    }
    assert!(judge("\u{1b}Lua").is_err());
}

#[test]
fn the_worst_state_wins() {
    assert_eq!(aggregate([]), Status::Healthy);
    assert_eq!(aggregate([Status::Suspended, Status::Progressing]), Status::Progressing);
    assert_eq!(aggregate([Status::Missing, Status::Degraded, Status::Healthy]), Status::Degraded);
}

#[test]
fn globs_as_argo_cd_reads_them() {
    for (pattern, text, wanted) in [
        ("*.crossplane.io/*", "s3.aws.crossplane.io/Bucket", true),
        ("cert-manager.io/{Issuer,ClusterIssuer}", "cert-manager.io/ClusterIssuer", true),
        ("apps/[!D]*", "apps/Deployment", false),
        ("https://*", "https://a/b/c", true),
        ("a?c", "abc", true),
        ("", "", true),
        ("{a,b", "a", false),
        ("[a", "a", false),
    ] {
        assert_eq!(glob(pattern, text), wanted, "{pattern} {text}");
    }
    assert!(!glob(&format!("{}b", "*a".repeat(60)), &"a".repeat(200)));
}
