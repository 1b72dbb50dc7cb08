//! What of a kubeconfig that somebody put into a Secret is used.
//!
//! Its author need not be trusted: nothing it says runs a program, reads a file of this machine or does without
//! verifying the server, unless the process was started so.

use object::{Value, get};
use serde_json::json;

use crate::common::str_at;

/// What kubeconfigs may ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trust {
    /// `--insecure-kubeconfig-exec`: a program that signs in is run.
    pub exec: bool,
    /// `--insecure-kubeconfig-tls`: the server's certificate need not be verified.
    pub tls: bool,
}

/// Fields that point to files.
const FILES: [(&str, &str); 4] = [
    ("cluster", "certificate-authority"),
    ("user", "tokenFile"),
    ("user", "client-certificate"),
    ("user", "client-key"),
];
const OF_CLUSTER: [&str; 5] =
    ["server", "certificate-authority-data", "tls-server-name", "proxy-url", "disable-compression"];
const OF_USER: [&str; 5] = ["token", "username", "password", "client-certificate-data", "client-key-data"];

/// The current context of a kubeconfig with what is allowed of it. Errors say nothing of what is in it but names of
/// fields.
pub fn reduced(text: &str, trust: Trust) -> Result<Value, String> {
    let given = yaml::from_str(text).map_err(|error| match error.line {
        0 => "it is no YAML".to_owned(),
        line => format!("it is no YAML: see line {line}"),
    })?;
    let context = named(&given, "contexts", "context", str_at(&given, &["current-context"]))?;
    let cluster = named(&given, "clusters", "cluster", str_at(context, &["cluster"]))?;
    let user = match str_at(context, &["user"]) {
        "" => &Value::Null,
        name => named(&given, "users", "user", name)?,
    };
    for (part, field) in FILES {
        let holder = if part == "cluster" { cluster } else { user };
        if !str_at(holder, &[field]).is_empty() {
            return Err(format!("{part}.{field} names a file: it must hold its data itself"));
        }
    }
    let has = |field: &str| get(user, &[field]).is_some_and(|found| !found.is_null());
    if has("exec") && !trust.exec {
        return Err(
            "user.exec would run a program: only with --insecure-kubeconfig-exec, use a token instead".into(),
        );
    }
    if has("auth-provider") {
        return Err("user.auth-provider is no longer a way to sign in: use a token".into());
    }
    if has("as") {
        return Err("user.as is not used: name the account in spec.serviceAccountName".into());
    }
    if str_at(cluster, &["server"]).is_empty() {
        return Err("it names no server".into());
    }
    let mut reduced_cluster = picked(cluster, &OF_CLUSTER);
    if trust.tls && get(cluster, &["insecure-skip-tls-verify"]) == Some(&Value::Bool(true)) {
        object::set(&mut reduced_cluster, &["insecure-skip-tls-verify"], Value::Bool(true));
    }
    let mut reduced_user = picked(user, &OF_USER);
    if let Some(exec) = get(user, &["exec"]).filter(|exec| exec.is_object()) {
        let mut exec = exec.clone();
        // Nobody is there to be asked.
        object::set(&mut exec, &["interactiveMode"], json!("Never"));
        object::set(&mut reduced_user, &["exec"], exec);
    }
    Ok(whole(reduced_cluster, reduced_user))
}

/// A kubeconfig of one cluster and one user.
pub fn whole(cluster: Value, user: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "target",
        "clusters": [{"name": "target", "cluster": cluster}],
        "users": [{"name": "target", "user": user}],
        "contexts": [{"name": "target", "context": {"cluster": "target", "user": "target"}}],
    })
}

fn named<'a>(config: &'a Value, list: &str, field: &str, name: &str) -> Result<&'a Value, String> {
    if name.is_empty() {
        return Err(format!("it says not which of its {list} to use"));
    }
    let entries = get(config, &[list]).and_then(Value::as_array);
    let mut entries = entries.into_iter().flatten();
    let found = entries.find(|entry| str_at(entry, &["name"]) == name);
    found
        .and_then(|entry| get(entry, &[field]))
        .filter(|found| found.is_object())
        .ok_or_else(|| format!("the one of its {list} that is to be used is missing"))
}

fn picked(from: &Value, fields: &[&str]) -> Value {
    let known = fields.iter().filter_map(|field| Some(((*field).to_owned(), from.get(field)?.clone())));
    Value::Object(known.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(cluster: &str, user: &str) -> String {
        format!(
            "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
             clusters: [{{name: k, cluster: {cluster}}}]\nusers: [{{name: u, user: {user}}}]\n"
        )
    }

    #[test]
    fn what_is_not_asked_for_is_not_taken() {
        let text = config(
            "{server: 'https://one', insecure-skip-tls-verify: true, extensions: []}",
            "{token: t, odd: 1}",
        );
        let reduced = |trust| reduced(&text, trust).unwrap();
        let safe = reduced(Trust::default());
        assert_eq!(safe["clusters"][0]["cluster"], json!({"server": "https://one"}));
        assert_eq!(safe["users"][0]["user"], json!({"token": "t"}));
        let unsafe_ = reduced(Trust { tls: true, exec: false });
        assert_eq!(unsafe_["clusters"][0]["cluster"]["insecure-skip-tls-verify"], true);
    }

    #[test]
    fn what_is_refused_is_named_and_nothing_else() {
        for (cluster, user, words) in [
            ("{server: s}", "{exec: {command: canary}}", "user.exec would run a program"),
            ("{server: s}", "{auth-provider: {name: canary}}", "user.auth-provider"),
            ("{server: s}", "{as: canary}", "user.as"),
            ("{server: s}", "{tokenFile: /canary}", "user.tokenFile names a file"),
            ("{server: s}", "{client-key: /canary}", "user.client-key names a file"),
            (
                "{server: s, certificate-authority: /canary}",
                "{}",
                "cluster.certificate-authority names a file",
            ),
            ("{certificate-authority-data: canary}", "{}", "names no server"),
        ] {
            let why = reduced(&config(cluster, user), Trust::default()).unwrap_err();
            assert!(why.contains(words) && !why.contains("canary"), "{why}");
        }
        for text in ["", "canary", "current-context: canary", "contexts: canary\n  x: {"] {
            let why = reduced(text, Trust::default()).unwrap_err();
            assert!(!why.contains("canary"), "{why}");
        }
    }

    #[test]
    fn a_program_is_run_where_that_was_said() {
        let text = config("{server: s}", "{exec: {command: aws, interactiveMode: Always}}");
        let trust = Trust { exec: true, tls: false };
        let user = reduced(&text, trust).unwrap()["users"][0]["user"].clone();
        assert_eq!(user["exec"], json!({"command": "aws", "interactiveMode": "Never"}));
    }
}
