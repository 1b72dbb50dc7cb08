//! Signing in to another cluster: with the tokens of a service account of this one, or with an identity in its cloud.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, Error, ErrorKind};
use controller::Clock;
use jiff::Timestamp;
use object::Value;
use serde_json::json;
use source::Fetcher;
use source::cloud::{Account as Workload, Cloud};
use tokio::sync::Mutex;

use crate::common::str_at;

/// The account that the process itself runs as, in a pod.
const OWN_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// A token is made anew when this much of its time is over.
const USED_UP: f64 = 0.8;

/// How many requests wait for a connection.
const QUEUE: usize = 1024;

/// A service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub namespace: String,
    pub name: String,
}

impl Account {
    /// The account of this process.
    pub fn own() -> Result<Account, String> {
        let token = std::fs::read_to_string(OWN_TOKEN)
            .map_err(|_| "the process does not run as a service account: name one".to_owned())?;
        let subject = subject(&token).ok_or("the token of the process cannot be read")?;
        Account::of_subject(&subject).ok_or_else(|| format!("the process runs as {subject}: name an account"))
    }

    fn of_subject(subject: &str) -> Option<Account> {
        let (namespace, name) = subject.strip_prefix("system:serviceaccount:")?.split_once(':')?;
        Some(Account { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

/// Whose a token says it is. Nothing is verified: it is our own.
fn subject(token: &str) -> Option<String> {
    use base64::Engine as _;
    let claims = token.trim().split('.').nth(1)?;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    Some(str_at(&claims, &["sub"]).to_owned()).filter(|subject| !subject.is_empty())
}

/// Where tokens come from.
pub(super) enum Source {
    /// This cluster makes them for an account.
    Account { home: Cluster, account: Account, audiences: Vec<String> },
    /// A cloud gives them for one of its clusters.
    Cloud { fetcher: Fetcher, cloud: Cloud, resource: String, account: Option<Workload> },
}

/// Tokens, made when they are needed.
pub(super) struct Tokens {
    pub source: Source,
    pub clock: Arc<dyn Clock>,
    /// The last one, and until when it is used.
    pub last: Mutex<Option<(String, Timestamp)>>,
}

impl Tokens {
    /// A token with some time left.
    pub async fn token(&self) -> Result<String, Error> {
        let mut last = self.last.lock().await;
        let now = self.clock.now();
        if let Some((token, until)) = last.as_ref()
            && now < *until
        {
            return Ok(token.clone());
        }
        let (token, until) = match &self.source {
            Source::Account { home, account, audiences } => made(home, account, audiences, now).await?,
            Source::Cloud { fetcher, cloud, resource, account } => {
                let given = fetcher.cluster_token(*cloud, resource, account.as_ref()).await;
                let (token, end) = given.map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?;
                (token, Timestamp::from_second(end).unwrap_or(now))
            }
        };
        *last = Some((token.clone(), until));
        Ok(token)
    }
}

/// A token of an account, and until when it is used.
async fn made(
    home: &Cluster,
    account: &Account,
    audiences: &[String],
    now: Timestamp,
) -> Result<(String, Timestamp), Error> {
    let Account { namespace, name } = account;
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": audiences},
    });
    let about = format!("a token for service account '{namespace}/{name}'");
    let answer = home.raw("POST", &path, Some(&request), "application/json").await;
    let answer = answer.map_err(|error| error.about(&about))?;
    let token = str_at(&answer, &["status", "token"]).to_owned();
    let end: Option<Timestamp> = str_at(&answer, &["status", "expirationTimestamp"]).parse().ok();
    let (false, Some(end)) = (token.is_empty(), end) else {
        return Err(Error::new(ErrorKind::Other, "the answer has no token").about(&about));
    };
    let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
    let until = now.checked_add(left.mul_f64(USED_UP)).unwrap_or(now);
    Ok((token, until))
}

/// A client whose every request carries a token with some time left.
pub(super) fn client(config: kube::Config, tokens: Arc<Tokens>) -> Result<kube::Client, String> {
    let sign = move |mut request: http::Request<kube::client::Body>| {
        let tokens = tokens.clone();
        async move {
            let token = tokens.token().await?;
            let mut value = http::HeaderValue::from_str(&format!("Bearer {token}"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(http::header::AUTHORIZATION, value);
            Ok::<_, tower::BoxError>(request)
        }
    };
    let builder = kube::client::ClientBuilder::try_from(config).map_err(|error| error.to_string())?;
    let queue = tower::buffer::BufferLayer::new(QUEUE);
    Ok(builder.with_layer(&queue).with_layer(&tower::filter::AsyncFilterLayer::new(sign)).build())
}

/// An address as `https://HOST:PORT`.
pub(super) fn canonical(address: &str) -> Result<String, String> {
    let full = if address.starts_with("http") { address.to_owned() } else { format!("https://{address}") };
    let parsed = url::Url::parse(&full).map_err(|why| format!("address '{address}': {why}"))?;
    if parsed.scheme() != "https" {
        return Err(format!("address '{address}' must use https"));
    }
    let host = parsed.host_str().unwrap_or_default().to_lowercase();
    Ok(format!("https://{host}:{}", parsed.port().unwrap_or(443)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(canonical("API.example.com").unwrap(), "https://api.example.com:443");
        assert_eq!(canonical("https://10.0.0.1:6443/x").unwrap(), "https://10.0.0.1:6443");
        assert!(canonical("http://10.0.0.1").is_err());
        assert!(canonical("").is_err());
    }

    #[test]
    fn accounts() {
        use base64::Engine as _;
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(r#"{"sub":"system:serviceaccount:flux-system:kustomize-controller"}"#);
        let subject = subject(&format!("e30.{claims}.x\n")).unwrap();
        let account = Account::of_subject(&subject).unwrap();
        assert_eq!(
            (account.namespace.as_str(), account.name.as_str()),
            ("flux-system", "kustomize-controller")
        );
        assert_eq!(Account::of_subject("jane"), None);
        assert_eq!(super::subject("x"), None);
    }
}
