//! Credentials of any source, as Flux's Secrets spell them.

use std::collections::BTreeMap;
use std::fmt;

/// What may be needed to read a remote. Every field is optional; each transport takes those it knows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Basic authentication: the user.
    pub username: Option<String>,
    /// Basic authentication: the password; for SSH the passphrase of the key.
    pub password: Option<String>,
    /// `Authorization: Bearer …`.
    pub bearer_token: Option<String>,
    /// `.dockerconfigjson` of a registry.
    pub docker_config: Option<Vec<u8>>,
    /// Certificate authority, PEM.
    pub ca: Option<Vec<u8>>,
    /// Client certificate, PEM.
    pub cert: Option<Vec<u8>>,
    /// Client key, PEM.
    pub key: Option<Vec<u8>>,
    /// SSH private key.
    pub identity: Option<Vec<u8>>,
    /// SSH `known_hosts`.
    pub known_hosts: Option<Vec<u8>>,
    /// A registry's identity token, which it exchanges for others.
    pub identity_token: Option<String>,
    /// Take any certificate of the server.
    pub any_certificate: bool,
    /// Proxy for HTTP and HTTPS.
    pub proxy: Option<Proxy>,
}

/// A proxy, as Flux's `proxySecretRef` gives it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// `http://host:port`, `https://…` or `socks5://…`.
    pub address: String,
    /// User of the proxy.
    pub username: Option<String>,
    /// Password of the proxy.
    pub password: Option<String>,
}

impl Credentials {
    /// Reads the decoded `data` of a Secret: `username`, `password`, `bearerToken`, `.dockerconfigjson`,
    /// `ca.crt`/`caFile`, `tls.crt`/`certFile`, `tls.key`/`keyFile`, `identity`, `known_hosts`.
    pub fn from_secret(data: &BTreeMap<String, Vec<u8>>) -> Self {
        let mut credentials = Credentials::default();
        credentials.add_secret(data);
        credentials
    }

    /// Adds what another Secret holds (for example `certSecretRef` to `secretRef`).
    pub fn add_secret(&mut self, data: &BTreeMap<String, Vec<u8>>) {
        let bytes = |names: &[&str]| names.iter().find_map(|name| data.get(*name)).cloned();
        let text = |name: &str| {
            data.get(name)
                .map(|value| String::from_utf8_lossy(value).trim_end_matches(['\r', '\n']).to_string())
        };
        let keep = |slot: &mut Option<Vec<u8>>, value: Option<Vec<u8>>| {
            if value.is_some() {
                *slot = value;
            }
        };
        for (slot, name) in [
            (&mut self.username, "username"),
            (&mut self.password, "password"),
            (&mut self.bearer_token, "bearerToken"),
        ] {
            if let Some(value) = text(name) {
                *slot = Some(value);
            }
        }
        keep(&mut self.docker_config, bytes(&[".dockerconfigjson"]));
        keep(&mut self.ca, bytes(&["ca.crt", "caFile"]));
        keep(&mut self.cert, bytes(&["tls.crt", "certFile"]));
        keep(&mut self.key, bytes(&["tls.key", "keyFile"]));
        keep(&mut self.identity, bytes(&["identity"]));
        keep(&mut self.known_hosts, bytes(&["known_hosts"]));
    }

    /// Takes the proxy from the decoded `data` of a proxy Secret (`address`, `username`, `password`).
    pub fn set_proxy_secret(&mut self, data: &BTreeMap<String, Vec<u8>>) {
        let text = |name: &str| data.get(name).map(|value| String::from_utf8_lossy(value).trim().to_string());
        if let Some(address) = text("address") {
            self.proxy = Some(Proxy { address, username: text("username"), password: text("password") });
        }
    }
}

// Secrets never reach logs: only the presence of each is shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut given = Vec::new();
        for (name, present) in [
            ("username", self.username.is_some()),
            ("password", self.password.is_some()),
            ("bearerToken", self.bearer_token.is_some()),
            (".dockerconfigjson", self.docker_config.is_some()),
            ("ca.crt", self.ca.is_some()),
            ("tls.crt", self.cert.is_some()),
            ("tls.key", self.key.is_some()),
            ("identity", self.identity.is_some()),
            ("known_hosts", self.known_hosts.is_some()),
            ("identity token", self.identity_token.is_some()),
            ("any certificate", self.any_certificate),
            ("proxy", self.proxy.is_some()),
        ] {
            if present {
                given.push(name);
            }
        }
        write!(out, "Credentials({})", given.join(", "))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Proxy({})", self.address)
    }
}
