//! `registries.conf`: where registries answer, and with which credentials.

use cluster::Cluster;
use delivery::fields::{list_at, secret_data, str_at};
use delivery::images::address;
use object::{Gvk, Value};
use source::Credentials;
use source::oci::Request;

/// The registries that are described.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    all: Vec<Value>,
}

impl Registries {
    /// Reads the list.
    ///
    /// # Errors
    /// When it is no YAML.
    pub fn parse(text: &str) -> Result<Registries, String> {
        let value = yaml::from_str(text).map_err(|error| format!("registries.conf: {error}"))?;
        Ok(Registries { all: list_at(&value, &["registries"]).to_vec() })
    }

    /// How the tags of an image are asked for, and where the registry's credentials are.
    ///
    /// # Errors
    /// When the image is no name of one.
    pub fn request(&self, image: &str) -> Result<(Request, String), String> {
        let address = address(image)?;
        let (host, path) = address.split_once('/').unwrap_or((&address, ""));
        let entry = self.all.iter().find(|entry| str_at(entry, &["prefix"]) == host);
        let mut request = Request::new(format!("oci://{address}"));
        let Some(entry) = entry else { return Ok((request, String::new())) };
        let url = str_at(entry, &["api_url"]).trim_end_matches('/');
        if let Some((scheme, place)) = url.split_once("://") {
            // Docker Hub answers elsewhere than its images say; that is known without being told.
            if host != "docker.io" {
                request.url = format!("oci://{place}/{path}");
            }
            request.insecure = scheme == "http";
        }
        request.credentials.any_certificate = delivery::fields::bool_at(entry, &["insecure"]);
        Ok((request, str_at(entry, &["credentials"]).to_owned()))
    }
}

/// What a reference to credentials stands for: `pullsecret:NAMESPACE/NAME`, `secret:NAMESPACE/NAME#FIELD`.
///
/// # Errors
/// When they are not there, or are to come from a program or a variable.
pub async fn credentials(cluster: &Cluster, reference: &str, url: &str) -> Result<Credentials, String> {
    let malformed = || format!("credentials {reference:?}: they are written pullsecret:NAMESPACE/NAME");
    let (kind, place) = reference.split_once(':').ok_or_else(malformed)?;
    if matches!(kind, "ext" | "env") {
        return Err(format!(
            "credentials {reference:?}: programs and variables are not asked for credentials"
        ));
    }
    let (place, field) = place.split_once('#').unwrap_or((place, ""));
    let (namespace, name) = place.split_once('/').ok_or_else(malformed)?;
    let gvk = Gvk::new("", "v1", "Secret");
    let found = cluster.get(&gvk, namespace, name).await.map_err(|error| error.to_string())?;
    let data = secret_data(&found.ok_or_else(|| format!("the Secret {place} is not there"))?);
    match kind {
        "pullsecret" => Ok(Credentials::from_secret(&data)),
        "secret" => {
            let value = data.get(field).ok_or_else(|| format!("the Secret {place} has no {field:?}"))?;
            let text = String::from_utf8_lossy(value);
            let (user, password) = text
                .trim()
                .split_once(':')
                .ok_or_else(|| format!("{field:?} of {place} is no USER:PASSWORD"))?;
            Ok(Credentials {
                username: Some(user.to_owned()),
                password: Some(password.to_owned()),
                ..Credentials::default()
            })
        }
        _ => Err(format!("credentials of {url}: {reference:?} is of no kind that is known")),
    }
}
