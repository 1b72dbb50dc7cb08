//! Calls to programs that stand beside the API: admission and conversion webhooks.
//!
//! A webhook behind a service is reached at the service's own endpoints. Where those would be simulated pods nobody
//! can answer, and the caller is told so.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine;
use object::{get, get_i64, get_str, meta};
use serde_json::Value;

use crate::app::App;

/// The largest answer that is read.
const ANSWER_LIMIT: usize = 8 << 20;

/// Where a webhook is, as its `clientConfig` says.
#[derive(Debug)]
pub struct Remote {
    config: Value,
    client: OnceLock<Result<reqwest::Client, String>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// Behind the service are simulated pods.
    Simulated,
    /// As the original says it.
    Failed(String),
}

/// What a request goes to.
struct Place {
    url: String,
    /// The name in the URL, and where it really is.
    resolved: Option<(String, SocketAddr)>,
}

impl Remote {
    /// From a `clientConfig`.
    pub fn new(config: Value) -> Remote {
        Remote { config, client: OnceLock::new() }
    }

    /// Whether it is, as things are now, a simulated pod that would answer.
    pub fn is_simulated(&self, app: &App) -> bool {
        matches!(self.place(app), Err(CallError::Simulated))
    }

    /// Posts a review and gives the answer to it.
    pub async fn call(&self, app: &App, body: &Value, timeout: Duration) -> Result<Value, CallError> {
        let place = self.place(app)?;
        let separator = if place.url.contains('?') { '&' } else { '?' };
        let url = format!("{}{separator}timeout={}s", place.url, timeout.as_secs().max(1));
        let failed = |why: String| CallError::Failed(format!("Post {url:?}: {why}"));
        let client = match &place.resolved {
            // Where a service leads may change with every call.
            Some((name, address)) => self.build(Some((name, *address))),
            None => self.client.get_or_init(|| self.build(None)).clone(),
        };
        let client = client.map_err(&failed)?;
        let since = Instant::now();
        let exchange = async {
            let request = client.post(&url).header("content-type", "application/json");
            let answer = request.body(body.to_string()).send().await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, read(answer).await?))
        };
        let (status, text) = match tokio::time::timeout(timeout, exchange).await {
            Err(_) => return Err(failed("context deadline exceeded".to_owned())),
            Ok(Err(error)) => return Err(failed(explain(&error, since.elapsed() >= timeout))),
            Ok(Ok(answer)) => answer,
        };
        if text.len() > ANSWER_LIMIT {
            return Err(failed(format!("the answer is larger than {ANSWER_LIMIT} bytes")));
        }
        if !status.is_success() {
            return Err(CallError::Failed(refusal(status.as_u16(), &text)));
        }
        serde_json::from_slice(&text)
            .map_err(|error| CallError::Failed(schema::gojson::explain(&text, &error)))
    }

    fn build(&self, resolved: Option<(&str, SocketAddr)>) -> Result<reqwest::Client, String> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(2);
        if let Some(bundle) = get_str(&self.config, &["caBundle"]).filter(|text| !text.is_empty()) {
            let pem = base64::engine::general_purpose::STANDARD.decode(bundle).map_err(|e| e.to_string())?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| e.to_string())?;
            builder = builder.tls_certs_only(roots);
        }
        if let Some((name, address)) = resolved {
            builder = builder.resolve(name, address);
        }
        builder.build().map_err(|error| error.to_string())
    }

    fn place(&self, app: &App) -> Result<Place, CallError> {
        if let Some(url) = get_str(&self.config, &["url"]) {
            return Ok(Place { url: url.to_owned(), resolved: None });
        }
        let text = |field: &str| get_str(&self.config, &["service", field]).unwrap_or_default();
        let (namespace, name) = (text("namespace"), text("name"));
        let port = get_i64(&self.config, &["service", "port"]).unwrap_or(443);
        let path = text("path");
        let path = if path.is_empty() { "/" } else { path };
        let host = format!("{name}.{namespace}.svc");
        let url = format!("https://{host}:{port}{path}");
        let missing = || match app.options.service_accounts {
            // Where workloads are simulated, a service to come leads to them.
            true => CallError::Simulated,
            false => CallError::Failed(format!("Post {url:?}: service {name:?} not found")),
        };
        let service = app.tree("services", &format!("{namespace}/{name}")).ok_or_else(missing)?;
        if get_str(&service, &["spec", "type"]) == Some("ExternalName") {
            let outside = get_str(&service, &["spec", "externalName"]).unwrap_or_default();
            return Ok(Place { url: format!("https://{outside}:{port}{path}"), resolved: None });
        }
        let address = endpoint(app, &service, port).map_err(|why| match why {
            CallError::Failed(why) => CallError::Failed(format!("Post {url:?}: {why}")),
            other => other,
        })?;
        Ok(Place { url, resolved: Some((host, address)) })
    }
}

/// An endpoint of a service that is no simulated pod.
fn endpoint(app: &App, service: &Value, port: i64) -> Result<SocketAddr, CallError> {
    let (namespace, name) = (meta::namespace(service).unwrap_or_default(), meta::name(service));
    let list = |value: &Value, path: &[&str]| {
        get(value, path).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let wanted = list(service, &["spec", "ports"])
        .into_iter()
        .find(|own| get_i64(own, &["port"]) == Some(port))
        .ok_or_else(|| CallError::Failed(format!("no service port {port} found for service {name:?}")))?;
    let port_name = get_str(&wanted, &["name"]).unwrap_or_default();
    let mut simulated =
        !get(service, &["spec", "selector"]).and_then(Value::as_object).is_none_or(|m| m.is_empty());
    let slices = app.store.list("endpointslices.discovery.k8s.io", &format!("{namespace}/")).1;
    for slice in slices.iter().filter(|slice| slice.label("kubernetes.io/service-name") == Some(name)) {
        let slice = slice.value();
        let ports = list(&slice, &["ports"]);
        let port = ports
            .iter()
            .find(|own| get_str(own, &["name"]).unwrap_or_default() == port_name)
            .and_then(|own| get_i64(own, &["port"]))
            .and_then(|port| u16::try_from(port).ok());
        for endpoint in list(&slice, &["endpoints"]) {
            if get_str(&endpoint, &["targetRef", "kind"]) == Some("Pod") {
                simulated = true;
                continue;
            }
            let ready = object::get_bool(&endpoint, &["conditions", "ready"]).unwrap_or(true);
            let address =
                list(&endpoint, &["addresses"]).first().and_then(|a| a.as_str()?.parse::<IpAddr>().ok());
            if let (true, Some(address), Some(port)) = (ready, address, port) {
                return Ok(SocketAddr::new(address, port));
            }
        }
    }
    if simulated {
        return Err(CallError::Simulated);
    }
    Err(CallError::Failed(format!("no endpoints available for service {name:?}")))
}

/// The body of an answer, as far as it is worth reading.
async fn read(mut answer: reqwest::Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await? {
        body.extend_from_slice(&part);
        if body.len() > ANSWER_LIMIT {
            break;
        }
    }
    Ok(body)
}

/// What went wrong on the way, in the words of the original where it has some.
fn explain(error: &reqwest::Error, late: bool) -> String {
    if error.is_timeout() || late {
        return "context deadline exceeded".to_owned();
    }
    let mut deepest: &dyn std::error::Error = error;
    let mut refused = false;
    while let Some(source) = deepest.source() {
        deepest = source;
        if let Some(io) = deepest.downcast_ref::<std::io::Error>() {
            refused |= io.kind() == std::io::ErrorKind::ConnectionRefused;
        }
    }
    let host = error.url().map(|url| {
        format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443))
    });
    let text = deepest.to_string();
    if refused {
        return format!("dial tcp {}: connect: connection refused", host.unwrap_or_default());
    }
    if text.contains("UnknownIssuer") {
        return "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned();
    }
    text
}

/// What the original makes of an answer that is none.
fn refusal(status: u16, text: &[u8]) -> String {
    match status {
        404 => "the server could not find the requested resource".to_owned(),
        _ => {
            let said: String = String::from_utf8_lossy(text).trim().chars().take(2048).collect();
            format!("an error on the server ({said:?}) has prevented the request from succeeding")
        }
    }
}
