//! ImageRepository: the tags of an image.

use std::sync::Arc;
use std::time::Duration;

use cluster::EventType;
use controller::{Cause, Context, Description, Kind, Outcome};
use futures::future::BoxFuture;
use object::{Gvk, Value};
use regex::Regex;
use serde_json::json;
use source::oci::Request;

use super::{Failure, Tags, address, canonical, gvk, scan_input};
use crate::common::{self, Pass, bool_at, duration_at, interval, str_at, strings_at};
use crate::options::Shared;
use crate::sources::of_registry;

pub(crate) struct ImageRepositories {
    pub shared: Arc<Shared>,
    pub tags: Arc<Tags>,
}

impl Kind for ImageRepositories {
    fn gvk(&self) -> Gvk {
        gvk("ImageRepository")
    }

    fn describe(&self, object: &Value) -> Description {
        common::describe(object)
    }

    fn trigger(&self, object: &Value) -> String {
        common::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let mut pass = Pass::new(context, object, "image-reflector-controller");
            let done = self.steps(&mut pass).await;
            pass.outcome(done, Duration::from_secs(300))
        })
    }
}

impl ImageRepositories {
    async fn steps(&self, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
        let key = pass.context.key.clone();
        if pass.is_deleted() {
            self.tags.lock().remove(&key);
            pass.context.announce(&scan_input(&key), "");
            pass.remove_finalizer().await?;
            return Ok(Outcome::done());
        }
        pass.ensure_finalizer().await?;
        if pass.is_suspended() {
            return Ok(Outcome::done());
        }
        if !self.shared.options.outward {
            // Whoever reads a ready repository expects to find what was scanned.
            pass.set(&["lastScanResult"], json!({"tagCount": 0}));
            return super::rest(pass).await;
        }
        let context = pass.context.clone();
        let scanned = tokio::select! {
            scanned = self.scan(pass) => scanned,
            () = context.cancel.cancelled() => return Ok(Outcome::preempted()),
        };
        let every = interval(&pass.object, Duration::from_secs(60));
        match scanned {
            Ok(tags) => {
                let revision = adler32(tags.join("\n").as_bytes()).to_string();
                self.tags.lock().insert(key.clone(), Arc::new(tags));
                context.announce(&scan_input(&key), &revision);
                pass.write().await?;
                Ok(Outcome::after(every))
            }
            Err(Failure(reason, message, stalled)) => {
                let before = pass.ready_message();
                pass.refuse(reason, &message, stalled, &before);
                pass.write().await?;
                Ok(Outcome::retry(every.min(Duration::from_secs(300)), Cause::new(message)))
            }
        }
    }

    async fn scan(&self, pass: &mut Pass) -> Result<Vec<String>, Failure> {
        let image = str_at(&pass.object, &["spec", "image"]).to_owned();
        let address = address(&image).map_err(|why| Failure("ImageURLInvalid", why, true))?;
        let mut excluded = Vec::new();
        let given = strings_at(&pass.object, &["spec", "exclusionList"]);
        for pattern in &given {
            let compiled = Regex::new(pattern).map_err(|_| {
                Failure("InvalidExclusionList", format!("failed to compile regex {pattern}"), true)
            })?;
            excluded.push(compiled);
        }
        let mut request = Request::new(format!("oci://{address}"));
        request.credentials = of_registry(&self.shared, pass, &request.url)
            .await
            .map_err(|failure| Failure("AuthenticationFailed", failure.message, false))?;
        request.insecure = bool_at(&pass.object, &["spec", "insecure"]);
        request.timeout = duration_at(&pass.object, &["spec", "timeout"])
            .unwrap_or_else(|| interval(&pass.object, Duration::from_secs(60)));
        let tags = self.shared.options.fetcher.oci_tags(&request).await.map_err(|error| {
            let reason = match error {
                source::Error::Denied { .. } => "AuthenticationFailed",
                _ => "ReadOperationFailed",
            };
            Failure(reason, format!("scan failed: {error}"), false)
        })?;
        let mut tags: Vec<String> =
            tags.into_iter().filter(|tag| !excluded.iter().any(|pattern| pattern.is_match(tag))).collect();
        tags.sort();
        let latest: Vec<&String> = tags.iter().rev().take(10).collect();
        let revision = adler32(tags.join("\n").as_bytes()).to_string();
        let known =
            object::get_str(pass.status(), &["lastScanResult", "revision"]) == Some(revision.as_str());
        let time = match object::get_str(pass.status(), &["lastScanResult", "scanTime"]) {
            // A scan that brought nothing new is no news, and no write.
            Some(time) if known => time.to_owned(),
            _ => pass.context.clock().stamp(),
        };
        let result =
            json!({"tagCount": tags.len(), "latestTags": latest, "scanTime": time, "revision": revision});
        pass.set(&["lastScanResult"], result);
        pass.set(&["canonicalImageName"], json!(canonical(&address)));
        pass.set(&["observedExclusionList"], json!(given));
        let message = format!("successful scan: found {} tags", tags.len());
        if !known {
            pass.event(EventType::Normal, "Succeeded", &message, "");
        }
        pass.succeed("Succeeded", &message);
        Ok(tags)
    }
}

/// The checksum by which scans are told apart.
pub(crate) fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (a, b) = bytes.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % MODULUS;
        (a, (b + a) % MODULUS)
    });
    b << 16 | a
}
