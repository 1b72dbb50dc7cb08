//! What must never stop the process: endless recursion, cycles, floods of output.
#![allow(clippy::unwrap_used)]

use gotemplate::{Env, FixedHost, Limits, Templates, Value};

fn run(text: &str, limits: Limits) -> Result<String, String> {
    let mut set = Templates::helm(false);
    set.parse("t", text).map_err(|error| error.to_string())?;
    let host = FixedHost::new(0, 1);
    let data = Value::map([("map", Value::map([("a", Value::int(1))]))]);
    set.execute("t", &data, &mut Env::with_limits(&host, limits)).map_err(|error| error.to_string())
}

fn fails(text: &str, limits: Limits, reason: &str) {
    let error = run(text, limits).unwrap_err();
    assert!(error.contains(reason), "{text}: {}", error.chars().rev().take(300).collect::<String>());
}

#[test]
fn include_without_end() {
    let text = r#"{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}"#;
    fails(
        text,
        Limits::default(),
        "rendering template has a nested reference name: x: unable to execute template",
    );
}

#[test]
fn tpl_without_end() {
    let text = r#"{{ $_ := set .map "t" "{{ tpl .t . }}" }}{{ tpl .map.t .map }}"#;
    fails(text, Limits { includes: 300, ..Limits::default() }, "nested deeper than 300");
}

#[test]
fn template_without_end() {
    let text = r#"{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}"#;
    fails(text, Limits::default(), "exceeded maximum template depth");
}

#[test]
fn too_many_steps() {
    fails("{{ range until 1000000 }}x{{ end }}", Limits { steps: 10_000, ..Limits::default() }, "more steps");
}

#[test]
fn too_much_output() {
    let text = r#"{{ range until 1000 }}{{ repeat 100 "x" }}{{ end }}"#;
    fails(text, Limits { output: 20_000, ..Limits::default() }, "more output");
    fails(r#"{{ repeat 1000000000000 "xx" }}"#, Limits::default(), "too long");
    fails("{{ until 100000000000 }}", Limits::default(), "too long");
    fails(r#"{{ indent 100000000000 "x" }}"#, Limits::default(), "too long");
}

#[test]
fn a_map_within_itself() {
    let text = r#"{{ $_ := set .map "self" .map }}"#;
    assert_eq!(run(&format!("{text}{{{{ .map | toJson }}}}"), Limits::default()).unwrap(), "");
    assert!(run(&format!("{text}{{{{ .map }}}}"), Limits::default()).is_ok());
    fails(&format!("{text}{{{{ deepCopy .map }}}}"), Limits::default(), "nested too deeply");
    assert_eq!(run(&format!("{text}{{{{ toYaml .map }}}}"), Limits::default()).unwrap(), "");
}

#[test]
fn nesting_in_the_text() {
    let parens = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    fails(&parens, Limits::default(), "max expression depth exceeded");
    fails(&"{{ if . }}".repeat(100_000), Limits::default(), "nested deeper");
}

#[test]
fn keys_repeat_with_the_host() {
    let text = r#"{{ (genCA "ca" 10).Key | sha256sum }} {{ uuidv4 }} {{ randAlphaNum 10 }}"#;
    let once = run(text, Limits::default()).unwrap();
    assert_eq!(once, run(text, Limits::default()).unwrap());
}

#[test]
fn certificates_chain() {
    let text = r#"{{ $ca := genCA "ca" 10 }}{{ $c := genSignedCert "x" (list "10.0.0.1") (list "x.y") 10 $ca -}}
{{ $c.Cert | trunc 27 }} {{ $c.Key | trunc 31 }} {{ typeOf $ca }}
{{ (genSelfSignedCertWithKey "y" nil nil 1 (genPrivateKey "ecdsa")).Key | trunc 30 }}
{{ $b := buildCustomCert ($c.Cert | b64enc) ($c.Key | b64enc) }}{{ eq $b.Cert $c.Cert }}"#;
    let expected = "-----BEGIN CERTIFICATE----- -----BEGIN RSA PRIVATE KEY----- sprig.certificate
-----BEGIN EC PRIVATE KEY-----
true";
    assert_eq!(run(text, Limits::default()).unwrap(), expected);
}

#[test]
fn a_long_chain_of_maps() {
    let text =
        r#"{{ $m := .map }}{{ range until 300000 }}{{ $m = dict "a" (list $m) }}{{ end }}{{ len $m }}"#;
    assert_eq!(run(text, Limits::default()).unwrap(), "1");
}
