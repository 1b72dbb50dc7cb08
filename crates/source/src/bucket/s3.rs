//! S3: addresses with the bucket in the path, signed with version 4.

use super::{Access, Page, Request, Signed, address, origin, xml};
use crate::sign::{self, AwsKeys, AwsRequest};
use crate::{Error, Result};

pub(super) struct S3 {
    origin: String,
    host: String,
    /// `/bucket`.
    path: String,
    region: String,
    keys: Option<AwsKeys>,
}

impl S3 {
    pub(super) fn open(request: &Request) -> Result<S3> {
        let keys = match &request.access {
            Access::Aws(keys) => Some(keys.clone()),
            Access::Anonymous => None,
            _ => return Err(Error::Invalid("the Secret is not one for S3".into())),
        };
        let url = address(request)?;
        let (origin, host) = origin(&url);
        let path = url.strip_prefix(&origin).unwrap_or_default().to_string();
        let region = if request.region.is_empty() { "us-east-1" } else { &request.region };
        Ok(S3 { origin, host, path, region: region.to_string(), keys })
    }

    fn signed(&self, path: &str, query: &[(&str, &str)]) -> Signed {
        let text = sign::query(query);
        let mark = if text.is_empty() { "" } else { "?" };
        let url = format!("{}{path}{mark}{text}", self.origin);
        let Some(keys) = &self.keys else { return (url, Vec::new()) };
        let time = sign::aws_time();
        let request = AwsRequest {
            method: "GET",
            host: &self.host,
            path,
            query,
            headers: &[],
            body: b"",
            region: &self.region,
            service: "s3",
            time: &time,
        };
        (url, sign::aws(&request, keys))
    }

    pub(super) fn list(&self, prefix: &str, next: Option<&str>) -> Signed {
        let mut query = vec![("list-type", "2"), ("prefix", prefix)];
        query.extend(next.map(|next| ("continuation-token", next)));
        self.signed(&self.path, &query)
    }

    pub(super) fn object(&self, name: &str) -> Signed {
        self.signed(&format!("{}/{}", self.path, sign::encode(name, true)), &[])
    }
}

pub(super) fn page(bytes: &[u8]) -> Result<Page> {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains("ListBucketResult") {
        return Err(Error::Refused("the server's answer is no listing of a bucket".into()));
    }
    let objects = xml::all(&text, "Contents").into_iter().filter_map(|entry| {
        let tag = xml::first(entry, "ETag").unwrap_or_default();
        Some((xml::first(entry, "Key")?, tag.trim_matches('"').to_string()))
    });
    let more = xml::first(&text, "IsTruncated").is_some_and(|more| more == "true");
    let next = xml::first(&text, "NextContinuationToken").filter(|_| more);
    Ok(Page { objects: objects.collect(), next })
}
