//! Clusters of clouds: where they are, and tokens for their Kubernetes API.

use super::{Account, Asker, Cloud, KUBERNETES, MANAGEMENT, aws, now, text_at};
use crate::sign::{self, AwsRequest};
use crate::{Credentials, Error, Fetcher, Result};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// How long a token is used, in seconds; those of EKS are good for fifteen minutes.
const USED: i64 = 600;

/// Where a cluster's API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its address.
    pub address: String,
    /// Its certificate authority, PEM.
    pub authority: String,
}

/// Region and name in `arn:aws:eks:REGION:ACCOUNT:cluster/NAME`.
fn of_arn(resource: &str) -> Result<(&str, &str)> {
    let parts: Vec<&str> = resource.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", partition, "eks", region, _, name] if partition.starts_with("aws") && !region.is_empty() => {
            name.strip_prefix("cluster/").map(|name| (*region, name))
        }
        _ => None,
    }
    .ok_or_else(|| Error::Invalid(format!("invalid EKS cluster ARN: '{resource}'")))
}

fn described(address: Option<&str>, authority: Option<&str>, place: &str) -> Result<Described> {
    let authority = authority.and_then(|text| STANDARD.decode(text).ok());
    let authority = authority.and_then(|bytes| String::from_utf8(bytes).ok());
    match (address, authority) {
        (Some(address), Some(authority)) => Ok(Described { address: address.to_owned(), authority }),
        _ => Err(Error::Refused(format!("{place}: the answer describes no cluster"))),
    }
}

impl Fetcher {
    /// Where the cluster is that a cloud knows under a name (an ARN, a path).
    ///
    /// # Errors
    /// When the name is none of the cloud's, or it does not say.
    pub async fn cluster_of(
        &self,
        cloud: Cloud,
        resource: &str,
        account: Option<&Account>,
    ) -> Result<Described> {
        let none = Credentials::default();
        let asker = Asker::new(self, &none)?;
        match cloud {
            Cloud::Aws => {
                let (region, name) = of_arn(resource)?;
                let keys = self.aws_keys(account, region, None, &none).await?;
                let usual = format!("https://eks.{region}.{}", aws::domain(region));
                let origin = asker.address(&["AWS_ENDPOINT_URL_EKS", "AWS_ENDPOINT_URL"], usual);
                let path = format!("/clusters/{}", sign::encode(name, false));
                let request = AwsRequest {
                    method: "GET",
                    host: origin.split_once("://").map_or(origin.as_str(), |(_, host)| host),
                    path: &path,
                    query: &[],
                    headers: &[],
                    body: b"",
                    region,
                    service: "eks",
                    time: &sign::aws_time(),
                };
                let url = format!("{origin}{path}");
                let mut call = asker.client.get(&url);
                for (name, value) in sign::aws(&request, &keys) {
                    call = call.header(name, value);
                }
                let answer = asker.json(&url, call).await?;
                described(
                    text_at(&answer, "/cluster/endpoint"),
                    text_at(&answer, "/cluster/certificateAuthority/data"),
                    resource,
                )
            }
            Cloud::Google => {
                if !resource.starts_with("projects/") || !resource.contains("/clusters/") {
                    return Err(Error::Invalid(format!("invalid GKE cluster: '{resource}'")));
                }
                let token = self.google_token(account, &none).await?;
                let origin =
                    asker.address(&["LANDFALL_GOOGLE_CONTAINER"], "https://container.googleapis.com");
                let url = format!("{origin}/v1/{resource}");
                let answer = asker.json(&url, asker.client.get(&url).bearer_auth(token)).await?;
                let authority = text_at(&answer, "/masterAuth/clusterCaCertificate");
                described(text_at(&answer, "/endpoint"), authority, resource)
            }
            Cloud::Azure => {
                if !resource.starts_with("/subscriptions/") {
                    return Err(Error::Invalid(format!("invalid AKS cluster: '{resource}'")));
                }
                let token = self.azure_token(account, MANAGEMENT, &none).await?;
                let origin = asker.address(&["LANDFALL_AZURE_MANAGEMENT"], "https://management.azure.com");
                let url = format!("{origin}{resource}/listClusterUserCredential?api-version=2024-05-01");
                let call = asker.client.post(&url).bearer_auth(token).header("content-length", "0");
                let answer = asker.json(&url, call).await?;
                let config =
                    text_at(&answer, "/kubeconfigs/0/value").and_then(|text| STANDARD.decode(text).ok());
                let config = yaml::from_str(&String::from_utf8_lossy(&config.unwrap_or_default()));
                let config = config.map_err(|_| Error::Refused(format!("{resource}: no kubeconfig")))?;
                let authority = text_at(&config, "/clusters/0/cluster/certificate-authority-data");
                described(text_at(&config, "/clusters/0/cluster/server"), authority, resource)
            }
        }
    }

    /// A token for the Kubernetes API of a cluster, and until when it is used, in seconds since 1970.
    ///
    /// # Errors
    /// When the identity is refused.
    pub async fn cluster_token(
        &self,
        cloud: Cloud,
        resource: &str,
        account: Option<&Account>,
    ) -> Result<(String, i64)> {
        let none = Credentials::default();
        let token = match cloud {
            Cloud::Google => self.google_token(account, &none).await?,
            Cloud::Azure => self.azure_token(account, KUBERNETES, &none).await?,
            Cloud::Aws => {
                let (region, name) = of_arn(resource)?;
                let keys = self.aws_keys(account, region, None, &none).await?;
                let host = format!("sts.{region}.{}", aws::domain(region));
                let query = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
                let headers = [("x-k8s-aws-id", name)];
                let place = (host.as_str(), region, "sts");
                let address = sign::presigned(place, &query, &headers, &keys, &sign::aws_time());
                format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(address))
            }
        };
        // Those of Google and Azure are kept until shortly before their end, so asking early costs nothing.
        let used = if cloud == Cloud::Aws { USED } else { super::SPARE / 2 };
        Ok((token, now() + used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns() {
        assert_eq!(of_arn("arn:aws:eks:eu-west-1:123:cluster/prod").unwrap(), ("eu-west-1", "prod"));
        for wrong in ["", "prod", "arn:aws:s3:eu-west-1:123:cluster/prod", "arn:aws:eks:eu-west-1:123:prod"] {
            assert!(of_arn(wrong).is_err(), "{wrong}");
        }
    }
}
