//! Google's object storage through its JSON API.

use super::{Access, Page, Request, Signed, address, origin};
use crate::{Error, Result, sign};
use serde_json::{Value, json};

const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_only";

pub(super) struct Google {
    /// `https://storage.googleapis.com/storage/v1/b/BUCKET/o`.
    objects: String,
    token: Option<String>,
}

impl Google {
    pub(super) async fn open(client: &reqwest::Client, request: &Request) -> Result<Google> {
        let (origin, _) = origin(&address(request)?);
        let token = match &request.access {
            Access::Anonymous => None,
            Access::Bearer(token) => Some(token.clone()),
            Access::Google(account) => Some(token(client, account).await?),
            _ => return Err(Error::Invalid("the Secret is not one for Google".into())),
        };
        let bucket = sign::encode(&request.bucket, false);
        Ok(Google { objects: format!("{origin}/storage/v1/b/{bucket}/o"), token })
    }

    fn signed(&self, url: String) -> Signed {
        let header = self.token.iter().map(|token| ("authorization".to_string(), format!("Bearer {token}")));
        (url, header.collect())
    }

    pub(super) fn list(&self, prefix: &str, next: Option<&str>) -> Signed {
        let mut query = vec![("prefix", prefix), ("fields", "items(name,etag,md5Hash),nextPageToken")];
        query.extend(next.map(|next| ("pageToken", next)));
        self.signed(format!("{}?{}", self.objects, sign::query(&query)))
    }

    pub(super) fn object(&self, name: &str) -> Signed {
        self.signed(format!("{}/{}?alt=media", self.objects, sign::encode(name, false)))
    }
}

/// An access token for a service account's key.
async fn token(client: &reqwest::Client, account: &[u8]) -> Result<String> {
    let wrong = |why: &str| Error::Invalid(format!("the service account: {why}"));
    let account: Value = serde_json::from_slice(account).map_err(|_| wrong("it is not JSON"))?;
    let field = |name: &str| account.get(name).and_then(Value::as_str).unwrap_or_default();
    let uri = match field("token_uri") {
        "" => "https://oauth2.googleapis.com/token",
        given => given,
    };
    let now = jiff::Timestamp::now().as_second();
    let claims =
        json!({"iss": field("client_email"), "scope": SCOPE, "aud": uri, "iat": now, "exp": now + 3600});
    let assertion = sign::jwt(&claims, field("private_key").as_bytes())?;
    let form = sign::query(&[
        ("assertion", &assertion),
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
    ]);
    let call = client.post(uri).header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer = call.send().await.map_err(|error| crate::transport::unreachable(uri, uri, &error))?;
    let answer = crate::transport::check(answer, uri, uri)?;
    let body: Value = answer.json().await.map_err(|_| wrong("the token's answer is not JSON"))?;
    let token = body.get("access_token").and_then(Value::as_str);
    token.map(str::to_string).ok_or_else(|| wrong("the answer holds no token"))
}

pub(super) fn page(bytes: &[u8]) -> Result<Page> {
    let body: Value = serde_json::from_slice(bytes)
        .map_err(|_| Error::Refused("the server's answer is no listing of a bucket".into()))?;
    let items = body.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |item: &Value, name: &str| item.get(name).and_then(Value::as_str).map(str::to_string);
    let objects = items.iter().filter_map(|item| {
        let tag = text(item, "etag").or_else(|| text(item, "md5Hash")).unwrap_or_default();
        Some((text(item, "name")?, tag))
    });
    let next = text(&body, "nextPageToken");
    Ok(Page { objects: objects.collect(), next })
}
