//! Receivers of the type `generic-oidc`: who calls shows a token of an issuer, whose keys and claims decide.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use object::{Value, get};

use crate::cel;
use crate::common::str_at;

/// For how long an issuer's keys are used.
const FRESH: Duration = Duration::from_secs(300);
/// Keys that are not known are asked for again no sooner.
const PAUSE: Duration = Duration::from_secs(10);
/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 30;
/// Whom tokens are for when nothing is said.
const AUDIENCE: &str = "notification-controller";
/// The largest answer of an issuer.
const MOST: usize = 1 << 20;

/// Keys by issuer, with when they were asked for.
static KEYS: LazyLock<Mutex<HashMap<String, (Instant, Vec<Value>)>>> = LazyLock::new(Mutex::default);

fn providers(receiver: &Value) -> &[Value] {
    get(receiver, &["spec", "oidcProviders"]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn entries<'p>(provider: &'p Value, field: &str) -> impl Iterator<Item = &'p Value> {
    provider.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// All expressions that the providers of a Receiver hold.
pub(super) fn expressions(receiver: &Value) -> Vec<String> {
    let of = |provider: &Value| {
        let named = entries(provider, "variables").chain(entries(provider, "validations"));
        named.map(|entry| str_at(entry, &["expression"]).to_owned()).collect::<Vec<_>>()
    };
    providers(receiver).iter().flat_map(of).collect()
}

/// The claims of a caller's token, when it is one of an issuer that the Receiver trusts and every validation holds.
///
/// # Errors
/// With the messages of those that do not; never with any part of the token.
pub(super) async fn claims(receiver: &Value, authorization: &str) -> Result<Value, String> {
    if authorization.is_empty() {
        return Err("the Authorization header is missing".into());
    }
    let token = authorization.strip_prefix("Bearer ").ok_or("the Authorization header is malformed")?.trim();
    let token = Token::read(token).ok_or("failed to parse bearer token")?;
    let issuer = str_at(&token.claims, &["iss"]);
    let provider = providers(receiver).iter().find(|provider| str_at(provider, &["issuerURL"]) == issuer);
    let provider = provider.ok_or("no oidcProvider configured for the token's issuer")?;
    let failed = |why: String| format!("failed to verify OIDC token: {why}");
    token.verify(issuer).await.map_err(failed)?;
    let audience = match str_at(provider, &["audience"]) {
        "" => AUDIENCE,
        given => given,
    };
    token.check(audience, jiff::Timestamp::now().as_second()).map_err(failed)?;
    validated(provider, &token.claims)?;
    Ok(token.claims)
}

fn validated(provider: &Value, claims: &Value) -> Result<(), String> {
    let variables = [("claims", claims)];
    let mut named = cel::Named::default();
    for entry in entries(provider, "variables") {
        let (name, expression) = (str_at(entry, &["name"]), str_at(entry, &["expression"]));
        named.add(name, expression, &variables).map_err(|_| format!("variable '{name}' has no value"))?;
    }
    let mut refused = Vec::new();
    let mut any = false;
    for entry in entries(provider, "validations") {
        any = true;
        // An expression over a claim that is not there does not hold.
        if !named.boolean(str_at(entry, &["expression"]), &variables).unwrap_or(false) {
            refused.push(str_at(entry, &["message"]).to_owned());
        }
    }
    match (any, refused.is_empty()) {
        (true, true) => Ok(()),
        // Everybody has a token of a public issuer.
        (false, _) => Err("the oidcProvider has no validations".into()),
        (true, false) => Err(refused.join("; ")),
    }
}

struct Token {
    head: Value,
    claims: Value,
    signed: String,
    signature: Vec<u8>,
}

impl Token {
    fn read(text: &str) -> Option<Token> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (head, claims) = signed.split_once('.')?;
        let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        Some(Token {
            head: part(head)?,
            claims: part(claims)?,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
            signed: signed.to_owned(),
        })
    }

    fn check(&self, audience: &str, now: i64) -> Result<(), String> {
        let time = |claim: &str| self.claims.get(claim).and_then(Value::as_f64);
        let end = time("exp").ok_or("it has no end")?;
        if end < (now - LEEWAY) as f64 {
            return Err("it has expired".into());
        }
        if time("nbf").is_some_and(|begin| begin > (now + LEEWAY) as f64) {
            return Err("it is not valid yet".into());
        }
        let is_for_us = match self.claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(all)) => all.iter().any(|one| one == audience),
            _ => false,
        };
        if is_for_us { Ok(()) } else { Err(format!("it is not for the audience '{audience}'")) }
    }

    async fn verify(&self, issuer: &str) -> Result<(), String> {
        let known = {
            let keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
            keys.get(issuer).filter(|(when, _)| when.elapsed() < FRESH).cloned()
        };
        if let Some((when, keys)) = &known {
            if self.fits_any(keys) {
                return Ok(());
            }
            if when.elapsed() < PAUSE {
                return Err("no key of the issuer fits its signature".into());
            }
        }
        let keys = fetched(issuer).await?;
        let fits = self.fits_any(&keys);
        let mut known = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (when, _)| when.elapsed() < FRESH);
        known.insert(issuer.to_owned(), (Instant::now(), keys));
        if fits { Ok(()) } else { Err("no key of the issuer fits its signature".into()) }
    }

    fn fits_any(&self, keys: &[Value]) -> bool {
        let wanted = str_at(&self.head, &["kid"]);
        let meant = |key: &&Value| wanted.is_empty() || str_at(key, &["kid"]) == wanted;
        keys.iter().filter(meant).any(|key| self.fits(key).is_some())
    }

    /// The algorithm is the token's, but only one that the kind of key has.
    fn fits(&self, key: &Value) -> Option<()> {
        let number = |name: &str| URL_SAFE_NO_PAD.decode(str_at(key, &[name])).ok().filter(|n| !n.is_empty());
        let (message, given) = (self.signed.as_bytes(), &self.signature);
        match (str_at(key, &["kty"]), str_at(&self.head, &["alg"])) {
            ("RSA", algorithm) => {
                let parameters = match algorithm {
                    "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
                    "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
                    _ => return None,
                };
                let (n, e) = (number("n")?, number("e")?);
                RsaPublicKeyComponents { n: &n, e: &e }.verify(parameters, message, given).ok()
            }
            ("EC", algorithm) => {
                let parameters = match (algorithm, str_at(key, &["crv"])) {
                    ("ES256", "P-256") => &signature::ECDSA_P256_SHA256_FIXED,
                    ("ES384", "P-384") => &signature::ECDSA_P384_SHA384_FIXED,
                    _ => return None,
                };
                let point = [vec![4], number("x")?, number("y")?].concat();
                UnparsedPublicKey::new(parameters, point).verify(message, given).ok()
            }
            ("OKP", "EdDSA") => {
                UnparsedPublicKey::new(&signature::ED25519, number("x")?).verify(message, given).ok()
            }
            _ => None,
        }
    }
}

/// What an issuer says are its keys.
async fn fetched(issuer: &str) -> Result<Vec<Value>, String> {
    let client = source::http_client(&source::Credentials::default(), Duration::from_secs(10))
        .map_err(|error| error.to_string())?;
    let ask = async |url: &str| -> Result<Value, String> {
        let answer = client.get(url).send().await.map_err(|_| "the issuer cannot be reached")?;
        if !answer.status().is_success() {
            return Err(format!("the issuer answered {}", answer.status()));
        }
        let body = answer.bytes().await.map_err(|_| "the issuer's answer ended early")?;
        let body = Some(body).filter(|body| body.len() <= MOST).ok_or("the issuer's answer is too large")?;
        serde_json::from_slice(&body).map_err(|_| "the issuer's answer is not JSON".to_owned())
    };
    let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let found = ask(&place).await?;
    if str_at(&found, &["issuer"]) != issuer {
        return Err("the issuer calls itself by another name".into());
    }
    let keys = ask(str_at(&found, &["jwks_uri"])).await?;
    Ok(keys.get("keys").and_then(Value::as_array).cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::json;
    use testkit::http::{Response, Server};

    struct Issuer {
        key: EcdsaKeyPair,
        server: Server,
    }

    impl Issuer {
        fn new() -> Issuer {
            let random = SystemRandom::new();
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
            let point = key.public_key().as_ref().to_vec();
            let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
            let keys = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": part(1..33), "y": part(33..65)}]});
            let server = Server::start(move |request| {
                let url = format!("http://{}", request.headers["host"]);
                match request.path.as_str() {
                    "/.well-known/openid-configuration" => {
                        let found = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
                        Response::new(200, found.to_string())
                    }
                    _ => Response::new(200, keys.to_string()),
                }
            });
            Issuer { key, server }
        }

        fn sign(&self, more: Value) -> String {
            let now = jiff::Timestamp::now().as_second();
            let mut claims = json!({"iss": self.server.url(), "aud": "flux", "exp": now + 300,
                "repository": "my-org/my-repo", "environment": "production"});
            for (name, value) in more.as_object().unwrap() {
                claims[name] = value.clone();
            }
            let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let text = format!("{}.{}", encode(&json!({"alg": "ES256", "kid": "k"})), encode(&claims));
            let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
            format!("Bearer {text}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tokens() {
        let (issuer, other) = (Issuer::new(), Issuer::new());
        let receiver = json!({"spec": {"oidcProviders": [{
            "issuerURL": issuer.server.url(), "audience": "flux",
            "variables": [{"name": "allowed", "expression": "['my-org/my-repo']"}],
            "validations": [
                {"expression": "claims.repository in vars.allowed", "message": "wrong repo"},
                {"expression": "claims.environment == 'production'", "message": "wrong environment"},
            ],
        }]}});
        assert_eq!(expressions(&receiver).len(), 3);
        let good = claims(&receiver, &issuer.sign(json!({}))).await.unwrap();
        assert_eq!(good["repository"], "my-org/my-repo");
        let forged = {
            let mut text = other.sign(json!({"iss": issuer.server.url()}));
            text.push('A');
            text.pop();
            text
        };
        for (token, words) in [
            (String::new(), "Authorization header is missing"),
            ("Bearer not-a-jwt".into(), "parse bearer token"),
            (other.sign(json!({})), "no oidcProvider configured"),
            (forged, "no key of the issuer fits"),
            (issuer.sign(json!({"aud": "someone-else"})), "not for the audience"),
            (issuer.sign(json!({"exp": 1})), "expired"),
            (
                issuer.sign(json!({"repository": "evil/repo", "environment": "x"})),
                "wrong repo; wrong environment",
            ),
            (issuer.sign(json!({"environment": null})), "wrong environment"),
        ] {
            let why = claims(&receiver, &token).await.unwrap_err();
            assert!(why.contains(words), "{why}, not {words}");
        }
        let open =
            json!({"spec": {"oidcProviders": [{"issuerURL": issuer.server.url(), "audience": "flux"}]}});
        assert!(claims(&open, &issuer.sign(json!({}))).await.is_err());
    }
}
