//! The tags of an image, and the newest of them.

use futures::StreamExt;
use futures::future::BoxFuture;
use source::Fetcher;
use source::oci::Request;

use super::wanted::{Allowed, Strategy, Wanted};
use crate::render::matches;

/// How many images are asked about at once when their age counts.
const AT_ONCE: usize = 8;
/// Of how many tags the age is asked at most.
const MOST_BUILDS: usize = 1000;

/// A tag that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// What it points to, where that is what counts.
    pub digest: String,
}

impl Tag {
    /// Is it the one that runs?
    pub fn is(&self, running: &str) -> bool {
        self.text() == running
    }

    /// What tells it from others.
    pub fn text(&self) -> &str {
        if self.digest.is_empty() { &self.name } else { &self.digest }
    }
}

/// The tags that may be looked at. Pure.
pub fn allowed<'a>(image: &Wanted, tags: &'a [String]) -> Vec<&'a String> {
    let counts = |tag: &&String| match &image.allowed {
        Allowed::Any => true,
        Allowed::Matching(pattern) => pattern.is_match(tag),
    };
    let ignored = |tag: &str| image.ignored.iter().any(|pattern| matches(pattern, tag));
    tags.iter().filter(counts).filter(|tag| !ignored(tag)).collect()
}

/// The newest tag of an image; `None` when none is allowed.
///
/// # Errors
/// When the registry does not answer, or the constraint is none.
pub async fn newest(fetcher: &Fetcher, request: &Request, image: &Wanted) -> Result<Option<Tag>, String> {
    let said = |error: source::Error| error.to_string();
    let plain = |name: &str| Tag { name: name.to_owned(), digest: String::new() };
    if image.strategy == Strategy::Digest {
        let name = if image.constraint.is_empty() { "latest" } else { &image.constraint };
        let mut request = request.clone();
        request.reference.tag = Some(name.to_owned());
        let digest = fetcher.oci_digest(&request).await.map_err(said)?;
        return Ok(Some(Tag { name: name.to_owned(), digest }));
    }
    let all = fetcher.oci_tags(request).await.map_err(said)?;
    let tags = allowed(image, &all);
    match image.strategy {
        Strategy::Semver => {
            // Without a range every version is good, also one before a release.
            let range = if image.constraint.is_empty() { ">=0.0.0-0" } else { &image.constraint };
            let best = source::best_version(range, tags.iter().map(|tag| tag.as_str())).map_err(said)?;
            Ok(best.map(plain))
        }
        Strategy::Alphabetical => Ok(tags.into_iter().max().map(|tag| plain(tag))),
        _ => {
            if tags.len() > MOST_BUILDS {
                return Err(format!(
                    "{} tags are too many to ask for the age of each; use allow-tags",
                    tags.len()
                ));
            }
            let mut asked: Vec<BoxFuture<'_, (source::Result<Option<jiff::Timestamp>>, String)>> = Vec::new();
            for tag in tags {
                let mut request = request.clone();
                request.reference.tag = Some(tag.clone());
                let tag = tag.clone();
                asked.push(Box::pin(
                    async move { (fetcher.oci_created(&request, &image.platforms).await, tag) },
                ));
            }
            let mut ages = futures::stream::iter(asked).buffered(AT_ONCE);
            let mut best: Option<(jiff::Timestamp, String)> = None;
            while let Some((created, tag)) = ages.next().await {
                // An image without a date, or for other platforms, is no candidate.
                let Some(created) = created.map_err(said)? else { continue };
                if best.as_ref().is_none_or(|(known, name)| (*known, name) < (created, &tag)) {
                    best = Some((created, tag));
                }
            }
            Ok(best.map(|(_, tag)| plain(&tag)))
        }
    }
}
