//! Who asks: bearer tokens and impersonation.

use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::rbac::{self, Attributes};
use crate::status::Failure;
use crate::token;

/// Someone who makes requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// Name.
    pub name: String,
    /// Stable id, empty when unknown.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Further facts.
    pub extra: Vec<(String, Vec<String>)>,
}

const MASTERS: &str = "system:masters";
/// Everybody who is somebody.
pub const AUTHENTICATED: &str = "system:authenticated";
const ACCOUNT: &str = "system:serviceaccount:";

impl User {
    /// The administrator of the cluster.
    pub fn admin() -> User {
        User {
            name: "admin".into(),
            uid: "admin".into(),
            groups: vec![MASTERS.into(), AUTHENTICATED.into()],
            extra: Vec::new(),
        }
    }

    /// The server itself.
    pub fn system() -> User {
        User {
            name: "system:apiserver".into(),
            groups: vec![MASTERS.into(), AUTHENTICATED.into()],
            ..User::default()
        }
    }

    /// A service account.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> User {
        User {
            name: format!("{ACCOUNT}{namespace}:{name}"),
            uid: uid.into(),
            groups: account_groups(namespace),
            extra: Vec::new(),
        }
    }

    /// Whether every request is allowed.
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|g| g == MASTERS)
    }

    /// As `UserInfo`.
    pub fn info(&self) -> Value {
        let mut info = json!({"username": self.name});
        if !self.uid.is_empty() {
            info["uid"] = self.uid.as_str().into();
        }
        if !self.groups.is_empty() {
            info["groups"] = json!(self.groups);
        }
        if !self.extra.is_empty() {
            let extra: Map<String, Value> = self.extra.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
            info["extra"] = extra.into();
        }
        info
    }
}

fn account_groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}"), AUTHENTICATED.into()]
}

/// The user of a request that came over a socket.
pub fn authenticate(app: &App, headers: &HeaderMap) -> Result<User, Failure> {
    let text = headers
        .get(http::header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .ok_or_else(Failure::unauthorized)?;
    let (scheme, given) = text.split_once(' ').ok_or_else(Failure::unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Failure::unauthorized());
    }
    by_token(app, given.trim()).ok_or_else(Failure::unauthorized)
}

/// The user of a bearer token.
pub fn by_token(app: &App, given: &str) -> Option<User> {
    if same_text(given.as_bytes(), app.credentials.token.as_bytes()) {
        return Some(User::admin());
    }
    token::verify(app, given, &[]).map(|verified| verified.user)
}

/// Compares without telling by its time where the texts differ.
fn same_text(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// The user that a request wants to act as.
pub fn impersonate(app: &App, user: User, headers: &HeaderMap) -> Result<User, Failure> {
    let texts = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect()
    };
    let name = texts("impersonate-user").into_iter().next().unwrap_or_default();
    let mut groups = texts("impersonate-group");
    let uid = texts("impersonate-uid").into_iter().next().unwrap_or_default();
    let extra: Vec<(String, Vec<String>)> = headers
        .keys()
        .filter_map(|key| key.as_str().strip_prefix("impersonate-extra-"))
        .map(|key| (key.to_owned(), texts(&format!("impersonate-extra-{key}"))))
        .collect();
    if name.is_empty() {
        if groups.is_empty() && uid.is_empty() && extra.is_empty() {
            return Ok(user);
        }
        return Err(Failure::bad_request("requested impersonation without impersonating a user"));
    }
    let may = |group: &str, resource: &str, namespace: &str, name: &str| {
        let attributes =
            Attributes { verb: "impersonate", group, resource, namespace, name, ..Attributes::default() };
        rbac::require(app, &user, &attributes)
    };
    let account = name.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, account)) => {
            may("", "serviceaccounts", namespace, account)?;
            if groups.is_empty() {
                groups = account_groups(namespace);
            }
        }
        None => may("", "users", "", &name)?,
    }
    for group in &groups {
        may("", "groups", "", group)?;
    }
    if !groups.iter().any(|g| g == AUTHENTICATED) && name != "system:anonymous" {
        groups.push(AUTHENTICATED.into());
    }
    Ok(User { name, uid, groups, extra })
}
