//! Being let into a registry: Docker's configuration files and the token handshake.

use crate::{Credentials, Error, Result, transport};
use base64::Engine;
use object::Value;

/// The credentials for one registry host: those of the Secret's Docker configuration, or the plain ones.
pub(super) fn authorization(credentials: &Credentials, host: &str) -> Result<Option<String>> {
    if let Some(config) = &credentials.docker_config
        && let Some(pair) = from_docker_config(config, host)?
    {
        return Ok(Some(pair));
    }
    Ok(transport::authorization(credentials))
}

fn from_docker_config(config: &[u8], host: &str) -> Result<Option<String>> {
    let config: Value = serde_json::from_slice(config)
        .map_err(|error| Error::Invalid(format!(".dockerconfigjson is not JSON: {error}")))?;
    let Some(auths) = config.get("auths").and_then(Value::as_object) else { return Ok(None) };
    let Some(entry) = auths.iter().find(|(key, _)| names(key, host)).map(|(_, entry)| entry) else {
        return Ok(None);
    };
    let field = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(auth) = field("auth") {
        return Ok(Some(format!("Basic {auth}")));
    }
    if let Some(token) = field("registrytoken") {
        return Ok(Some(format!("Bearer {token}")));
    }
    let Some(user) = field("username") else { return Ok(None) };
    let pair = format!("{user}:{}", field("password").unwrap_or_default());
    Ok(Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))))
}

/// Whether a key of `auths` names the host: with or without scheme, path, and Docker Hub's old name.
fn names(key: &str, host: &str) -> bool {
    let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
    let bare = bare.split('/').next().unwrap_or(bare);
    let hub = |name: &str| matches!(name, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    bare.eq_ignore_ascii_case(host) || (hub(bare) && hub(host))
}

/// What a registry asks for in `WWW-Authenticate`.
pub(super) struct Challenge {
    pub(super) realm: String,
    pub(super) service: String,
    pub(super) scope: String,
}

/// Reads a `Bearer` challenge; `None` for any other scheme.
pub(super) fn challenge(header: &str) -> Option<Challenge> {
    let (scheme, parameters) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut found = Challenge { realm: String::new(), service: String::new(), scope: String::new() };
    let mut rest = parameters.trim();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        match key.trim().to_ascii_lowercase().as_str() {
            "realm" => found.realm = value.to_string(),
            "service" => found.service = value.to_string(),
            "scope" => found.scope = value.to_string(),
            _ => {}
        }
        rest = tail.trim_start_matches([',', ' ']);
    }
    (!found.realm.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_and_configurations() {
        let found =
            challenge(r#"Bearer realm="https://a/token",service="reg",scope="repository:x:pull,push""#)
                .expect("one");
        assert_eq!((found.realm.as_str(), found.service.as_str()), ("https://a/token", "reg"));
        assert_eq!(found.scope, "repository:x:pull,push");
        assert!(challenge("Basic realm=\"x\"").is_none());
        let config = br#"{"auths":{"https://index.docker.io/v1/":{"auth":"aaa"},"ghcr.io":{"username":"u","password":"p"}}}"#;
        let credentials = Credentials { docker_config: Some(config.to_vec()), ..Credentials::default() };
        for (host, expected) in
            [("docker.io", Some("Basic aaa")), ("ghcr.io", Some("Basic dTpw")), ("quay.io", None)]
        {
            assert_eq!(authorization(&credentials, host).expect("reads").as_deref(), expected, "{host}");
        }
    }
}
