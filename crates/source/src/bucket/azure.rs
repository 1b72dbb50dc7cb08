//! Azure's blobs: the container in the path, a shared key, a shared access signature or a token.

use super::{Access, Page, Request, Signed, address, origin, xml};
use crate::{Error, Result, sign};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const VERSION: &str = "2021-08-06";

pub(super) struct Azure {
    origin: String,
    account: String,
    container: String,
    access: Access,
    token: Option<String>,
}

impl Azure {
    pub(super) async fn open(client: &reqwest::Client, request: &Request) -> Result<Azure> {
        let url = address(request)?;
        let (origin, host) = origin(&url);
        let token = match &request.access {
            Access::Anonymous | Access::AzureKey(_) | Access::AzureSas(_) => None,
            Access::Bearer(token) => Some(token.clone()),
            Access::AzureClient { tenant, client: id, secret, authority } => {
                Some(token(client, tenant, id, secret, authority).await?)
            }
            _ => return Err(Error::Invalid("the Secret is not one for Azure".into())),
        };
        Ok(Azure {
            account: host.split(['.', ':']).next().unwrap_or_default().to_string(),
            container: url.strip_prefix(&origin).unwrap_or_default().to_string(),
            origin,
            access: request.access.clone(),
            token,
        })
    }

    fn signed(&self, path: &str, query: &[(&str, &str)]) -> Result<Signed> {
        let mut text = sign::query(query);
        if let Access::AzureSas(signature) = &self.access {
            text = if text.is_empty() { signature.clone() } else { format!("{text}&{signature}") };
        }
        let mark = if text.is_empty() { "" } else { "?" };
        let url = format!("{}{path}{mark}{text}", self.origin);
        let time = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut headers =
            vec![("x-ms-date".to_string(), time.clone()), ("x-ms-version".to_string(), VERSION.to_string())];
        if let Some(token) = &self.token {
            headers.push(("authorization".into(), format!("Bearer {token}")));
        }
        if let Access::AzureKey(key) = &self.access {
            let key = STANDARD.decode(key).map_err(|_| Error::Invalid("accountKey is not base64".into()))?;
            let mut pairs: Vec<&(&str, &str)> = query.iter().collect();
            pairs.sort();
            let resource: String = pairs.iter().map(|(name, value)| format!("\n{name}:{value}")).collect();
            // The method, eleven headers that a GET does not have, then ours and the resource.
            let text = format!(
                "GET{}\nx-ms-date:{time}\nx-ms-version:{VERSION}\n/{}{path}{resource}",
                "\n".repeat(11),
                self.account
            );
            let signed = STANDARD.encode(sign::hmac_sha256(&key, text.as_bytes()));
            headers.push(("authorization".into(), format!("SharedKey {}:{signed}", self.account)));
        }
        Ok((url, headers))
    }

    pub(super) fn list(&self, prefix: &str, next: Option<&str>) -> Result<Signed> {
        let mut query = vec![("comp", "list"), ("restype", "container")];
        if !prefix.is_empty() {
            query.push(("prefix", prefix));
        }
        query.extend(next.map(|next| ("marker", next)));
        self.signed(&self.container, &query)
    }

    pub(super) fn object(&self, name: &str) -> Result<Signed> {
        self.signed(&format!("{}/{}", self.container, sign::encode(name, true)), &[])
    }
}

async fn token(
    client: &reqwest::Client,
    tenant: &str,
    id: &str,
    secret: &str,
    authority: &str,
) -> Result<String> {
    let url = format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/'));
    let form = sign::query(&[
        ("client_id", id),
        ("client_secret", secret),
        ("grant_type", "client_credentials"),
        ("scope", "https://storage.azure.com/.default"),
    ]);
    let call = client.post(&url).header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer = call.send().await.map_err(|error| crate::transport::unreachable(&url, &url, &error))?;
    let answer = crate::transport::check(answer, &url, &url)?;
    let wrong = || Error::Refused(format!("{url}: the answer holds no token"));
    let body: serde_json::Value = answer.json().await.map_err(|_| wrong())?;
    body.get("access_token").and_then(serde_json::Value::as_str).map(str::to_string).ok_or_else(wrong)
}

pub(super) fn page(bytes: &[u8]) -> Page {
    let text = String::from_utf8_lossy(bytes);
    let objects = xml::all(&text, "Blob").into_iter().filter_map(|entry| {
        let tag = xml::first(entry, "Etag").unwrap_or_default();
        Some((xml::first(entry, "Name")?, tag.trim_matches('"').to_string()))
    });
    Page { objects: objects.collect(), next: xml::first(&text, "NextMarker") }
}
