//! The logins of registries: Helm's file first, then Docker's, each with its credential helpers.

use super::locate::go_error;
use super::{repo, settings};
use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use source::Credentials;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Helpers give a token instead of a password under this name.
const TOKEN: &str = "<token>";

/// Who one is to a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
    /// A token that is exchanged for others.
    pub identity_token: String,
}

/// One file of logins, as Docker writes it.
pub struct Store {
    path: PathBuf,
    file: Value,
}

/// Fills in the login of a registry unless the flags gave one.
pub fn fill(credentials: &mut Credentials, host: &str) -> anyhow::Result<()> {
    if credentials.username.is_some() && credentials.password.is_some() {
        return Ok(());
    }
    let address = address(host);
    let mut found = Store::open(settings::registry_config()?)?.get(&address)?;
    if found.is_none()
        && let Some(path) = settings::docker_config()
    {
        found = Store::open(path)?.get(&address)?;
    }
    if let Some(login) = found {
        credentials.username = Some(login.username).filter(|name| !name.is_empty());
        credentials.password = Some(login.password).filter(|word| !word.is_empty());
        credentials.identity_token = Some(login.identity_token).filter(|token| !token.is_empty());
    }
    Ok(())
}

/// The name under which a registry stands in the files.
pub fn address(host: &str) -> String {
    match host {
        "docker.io" | "registry-1.docker.io" | "index.docker.io" => "https://index.docker.io/v1/".into(),
        host => host.to_owned(),
    }
}

impl Store {
    /// Reads the file; one that is not there, or empty, holds nothing.
    pub fn open(path: PathBuf) -> anyhow::Result<Store> {
        let shown = path.display().to_string();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(go_error("open", &shown, &error)),
        };
        let file = match bytes.is_empty() {
            true => json!({}),
            false => serde_json::from_slice(&bytes).map_err(|error| {
                anyhow!("failed to decode config file at {shown}: invalid config format: {error}")
            })?,
        };
        Ok(Store { path, file })
    }

    fn text(&self, field: &str) -> &str {
        self.file.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// The helper for a registry: its own, or the one for all. Where nothing is configured at all, the one of the
    /// platform, if it is installed.
    fn helper(&self, address: &str) -> Option<String> {
        let own = self.file.get("credHelpers").and_then(|all| all.get(address)).and_then(Value::as_str);
        if let Some(own) = own.filter(|name| !name.is_empty()) {
            return Some(own.to_owned());
        }
        match self.text("credsStore") {
            "" => None,
            name => Some(name.to_owned()),
        }
    }

    /// The login of a registry.
    pub fn get(&self, address: &str) -> anyhow::Result<Option<Login>> {
        if let Some(helper) = self.helper(address) {
            return asked(&helper, address);
        }
        let Some(all) = self.file.get("auths").and_then(Value::as_object) else { return Ok(None) };
        let entry = all
            .get(address)
            .or_else(|| all.iter().find(|(key, _)| host_of(key) == address).map(|(_, entry)| entry));
        entry.map(|entry| login(entry, address)).transpose()
    }

    /// Keeps a login.
    pub fn put(&mut self, address: &str, new: &Login) -> anyhow::Result<()> {
        if let Some(helper) = self.helper(address) {
            let (name, secret) = match new.identity_token.as_str() {
                "" => (new.username.as_str(), new.password.as_str()),
                token => (TOKEN, token),
            };
            let input = json!({"ServerURL": address, "Username": name, "Secret": secret}).to_string();
            return run(&helper, "store", &input).map(|_| ());
        }
        let mut entry = Map::new();
        if !new.username.is_empty() || !new.password.is_empty() {
            let pair = STANDARD.encode(format!("{}:{}", new.username, new.password));
            entry.insert("auth".into(), Value::String(pair));
        }
        if !new.identity_token.is_empty() {
            entry.insert("identitytoken".into(), Value::String(new.identity_token.clone()));
        }
        let auths = self.auths()?;
        auths.insert(address.to_owned(), Value::Object(entry));
        self.write()
    }

    /// Forgets a login; nothing happens when there is none.
    pub fn delete(&mut self, address: &str) -> anyhow::Result<()> {
        if let Some(helper) = self.helper(address) {
            return run(&helper, "erase", address).map(|_| ());
        }
        if self.auths()?.remove(address).is_some() {
            return self.write();
        }
        Ok(())
    }

    fn auths(&mut self) -> anyhow::Result<&mut Map<String, Value>> {
        let shown = self.path.display().to_string();
        let whole = self.file.as_object_mut().with_context(|| format!("{shown}: is no object"))?;
        let auths = whole.entry("auths").or_insert_with(|| json!({}));
        auths.as_object_mut().with_context(|| format!("{shown}: auths is no object"))
    }

    fn write(&self) -> anyhow::Result<()> {
        let mut out = Vec::new();
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut writer = serde_json::Serializer::with_formatter(&mut out, tabs);
        serde::Serialize::serialize(&self.file, &mut writer)?;
        repo::write_private(&self.path, &out)
    }
}

/// `HOST` of `https://HOST/v1/`.
fn host_of(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    bare.split('/').next().unwrap_or(bare)
}

fn login(entry: &Value, address: &str) -> anyhow::Result<Login> {
    let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut login = Login {
        username: text("username"),
        password: text("password"),
        identity_token: text("identitytoken"),
    };
    let packed = text("auth");
    if !packed.is_empty() {
        let wrong = || anyhow!("the login of {address} is damaged: its auth is not base64 of USER:PASSWORD");
        let bytes = STANDARD.decode(packed.trim()).map_err(|_| wrong())?;
        let pair = String::from_utf8(bytes).map_err(|_| wrong())?;
        let (name, word) = pair.split_once(':').ok_or_else(wrong)?;
        (login.username, login.password) = (name.to_owned(), word.trim_matches('\0').to_owned());
    }
    Ok(login)
}

fn asked(helper: &str, address: &str) -> anyhow::Result<Option<Login>> {
    let Some(answer) = run(helper, "get", address)? else { return Ok(None) };
    let answer: Value = serde_json::from_str(&answer)
        .map_err(|error| anyhow!("docker-credential-{helper} get: its answer is not JSON: {error}"))?;
    let text = |field: &str| answer.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, secret) = (text("Username"), text("Secret"));
    Ok(Some(match name.as_str() {
        TOKEN => Login { identity_token: secret, ..Login::default() },
        _ => Login { username: name, password: secret, identity_token: String::new() },
    }))
}

/// Runs a credential helper; `None` when it knows nothing of the registry.
fn run(helper: &str, action: &str, input: &str) -> anyhow::Result<Option<String>> {
    let program = format!("docker-credential-{helper}");
    if Path::new(helper).components().count() != 1 {
        bail!("{program:?} is no name of a credential helper");
    }
    let mut child = Command::new(&program)
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| format!("failed to execute {program}"))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A helper that does not read its input says itself what is wrong.
        let _written = pipe.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(Some(said));
    }
    if said.contains("credentials not found in native keychain") {
        return Ok(None);
    }
    bail!("{program} {action}: {}: {}", output.status, said.trim());
}
