//! GitRepository.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use controller::{Context, Description, Kind, Outcome, Relation, aspect};
use futures::future::BoxFuture;
use object::{Gvk, Value, get, meta};
use serde_json::json;
use source::cloud::Cloud;
use source::git::{Mode, Reference, Request, Verify};
use source::{Artifact, Copy, Credentials};

use super::{Failure, Fetch, Fetched, secrets, source_gvk, source_key, verification};
use crate::common::{self, Pass, bool_at, duration_at, str_at, strings_at};
use crate::identity;
use crate::options::Shared;

pub(crate) struct GitRepositories {
    pub shared: Arc<Shared>,
}

impl Kind for GitRepositories {
    fn gvk(&self) -> Gvk {
        source_gvk("GitRepository")
    }

    fn describe(&self, object: &Value) -> Description {
        let mut description = super::describe_source(object);
        for include in includes(object) {
            let key =
                source_key("GitRepository", meta::namespace(object).unwrap_or_default(), &include.repository);
            description.edges.push((Relation::Source, key));
        }
        description
    }

    fn trigger(&self, object: &Value) -> String {
        common::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move { super::reconcile(&*self, context, object).await })
    }
}

struct Include {
    repository: String,
    from: String,
    to: String,
}

fn includes(object: &Value) -> Vec<Include> {
    let list = get(object, &["spec", "include"]).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|entry| {
            let repository = str_at(entry, &["repository", "name"]).to_owned();
            let to = match str_at(entry, &["toPath"]) {
                "" => repository.clone(),
                given => given.to_owned(),
            };
            Include { from: str_at(entry, &["fromPath"]).to_owned(), repository, to }
        })
        .collect()
}

fn text(object: &Value, path: &[&str]) -> Option<String> {
    Some(str_at(object, path)).filter(|text| !text.is_empty()).map(str::to_owned)
}

impl Fetch for GitRepositories {
    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn fetch<'a>(&'a self, pass: &'a mut Pass) -> BoxFuture<'a, Result<Fetched, Failure>> {
        Box::pin(async move {
            let object = pass.object.clone();
            let mut request = Request::new(str_at(&object, &["spec", "url"]));
            super::follow(&self.shared, pass, &request.url);
            request.reference = Reference {
                branch: text(&object, &["spec", "ref", "branch"]),
                tag: text(&object, &["spec", "ref", "tag"]),
                semver: text(&object, &["spec", "ref", "semver"]),
                name: text(&object, &["spec", "ref", "name"]),
                commit: text(&object, &["spec", "ref", "commit"]),
                ..Default::default()
            };
            request.credentials = git_credentials(&self.shared, pass).await?;
            request.ignore = text(&object, &["spec", "ignore"]);
            request.sparse = strings_at(&object, &["spec", "sparseCheckout"]);
            request.recurse_submodules = bool_at(&object, &["spec", "recurseSubmodules"]);
            request.timeout = duration_at(&object, &["spec", "timeout"]).unwrap_or(Duration::from_secs(60));
            request.verify = wanted(pass).await?;
            let fetched = self.shared.options.fetcher.git(&request).await;
            let fetched = fetched.map_err(|error| match error {
                source::Error::Unverified { reason, why } => {
                    let failure = Failure::new("SourceVerified", reason, why);
                    // Only another mode or another reference helps.
                    if reason == "InvalidVerificationMode" { failure.stalled() } else { failure }
                }
                error => {
                    Failure::fetch("GitOperationFailed", "failed to checkout and determine revision", &error)
                }
            })?;
            say_verified(pass, request.verify.as_ref(), &fetched);
            let artifact = self.include(pass, &object, fetched).await?;
            observe(pass, &object);
            let message = format!("stored artifact for revision '{}'", artifact.revision);
            Ok(Fetched { artifact, reason: "Succeeded", message })
        })
    }
}

/// The credentials of a GitRepository, those of a GitHub App included.
pub(crate) async fn git_credentials(shared: &Shared, pass: &Pass) -> Result<Credentials, Failure> {
    let given = secrets::credentials(pass).await?;
    let denied = |why: String| Failure::new("FetchFailed", "AuthenticationFailed", why);
    match str_at(&pass.object, &["spec", "provider"]) {
        "" | "generic" => Ok(given),
        "github" => {
            let name = str_at(&pass.object, &["spec", "secretRef", "name"]);
            if name.is_empty() {
                let why = "secretRef with github app data must be specified when provider is set to github";
                return Err(denied(why.into()));
            }
            let data = secrets::read(pass, name).await?;
            let token = shared.options.fetcher.github_app(&data, &given).await;
            token.map_err(|error| denied(format!("failed to get a token of the GitHub App: {error}")))
        }
        provider => {
            let cloud = Cloud::of(provider);
            let cloud = cloud.ok_or_else(|| denied(format!("spec.provider '{provider}' is not known")))?;
            // A Secret says more than the environment, and what is served from disk needs neither.
            let url = str_at(&pass.object, &["spec", "url"]);
            if given.password.is_some() || shared.options.fetcher.maps().find(url).is_some() {
                return Ok(given);
            }
            let name = str_at(&pass.object, &["spec", "serviceAccountName"]);
            let account = identity::account(shared, pass, name).await.map_err(denied)?;
            let login = shared.options.fetcher.git_login(cloud, url, account.as_ref(), &given).await;
            login.map_err(|error| denied(format!("failed to get credentials from the cloud: {error}")))
        }
    }
}

/// Whose signatures `spec.verify` asks for.
async fn wanted(pass: &mut Pass) -> Result<Option<Verify>, Failure> {
    let Some(spec) = get(&pass.object, &["spec", "verify"]).filter(|found| found.is_object()).cloned() else {
        return Ok(None);
    };
    let mode = str_at(&spec, &["mode"]);
    let mode = Mode::parse(mode).ok_or_else(|| {
        Failure::new(
            "SourceVerified",
            "InvalidVerificationMode",
            format!("invalid verification mode: {mode}"),
        )
        .stalled()
    })?;
    let name = str_at(&spec, &["secretRef", "name"]);
    let failed = |why: String| {
        let why = format!("PGP public keys secret error: {why}");
        Failure::new("SourceVerified", "VerificationError", why)
    };
    let data = secrets::read(pass, name).await.map_err(|failure| failed(failure.message))?;
    Verify::from_secret(mode, &data).map(Some).map_err(|error| failed(error.to_string()))
}

/// Tells of the signatures, and in which mode they were checked.
fn say_verified(pass: &mut Pass, verify: Option<&Verify>, fetched: &Artifact) {
    verification::say(pass, verify.is_some(), fetched.verified.as_deref(), fetched.mapped.as_deref());
    let mode = verify.filter(|_| fetched.verified.is_some()).map(|verify| match verify.mode {
        Mode::Head => "HEAD",
        Mode::Tag => "Tag",
        Mode::TagAndHead => "TagAndHEAD",
    });
    pass.set(&["sourceVerificationMode"], json!(mode));
}

/// Fields of the spec that shape the artifact, echoed so that a change of them is seen.
fn observe(pass: &mut Pass, object: &Value) {
    for (field, observed) in [
        ("ignore", "observedIgnore"),
        ("sparseCheckout", "observedSparseCheckout"),
        ("recurseSubmodules", "observedRecurseSubmodules"),
        ("include", "observedInclude"),
    ] {
        let value = get(object, &["spec", field]).cloned().unwrap_or_default();
        pass.set(&[observed], if value == json!(false) { Value::Null } else { value });
    }
}

impl GitRepositories {
    /// Copies other repositories' artifacts into this one.
    async fn include(&self, pass: &mut Pass, object: &Value, own: Artifact) -> Result<Artifact, Failure> {
        let includes = includes(object);
        if includes.is_empty() {
            pass.set(&["includedArtifacts"], Value::Null);
            return Ok(own);
        }
        let unavailable = |why: String| Failure::new("IncludeUnavailable", "NotFound", why);
        let mut trees = BTreeMap::from([("self".to_owned(), own.tree.clone())]);
        let mut copies = vec![Copy {
            from: "@self/**".into(),
            to: "@artifact/".into(),
            optional: true,
            ..Copy::default()
        }];
        let mut included = Vec::new();
        for (index, include) in includes.iter().enumerate() {
            let gvk = source_gvk("GitRepository");
            let found = pass
                .context
                .read(&gvk, pass.namespace(), &include.repository, aspect::existence, false)
                .await;
            found.map_err(|error| unavailable(error.to_string()))?;
            let key = source_key("GitRepository", pass.namespace(), &include.repository);
            let Some(offered) = self.shared.offered(&pass.context, &key) else {
                let why = format!(
                    "could not get resource for include '{}': no artifact available",
                    include.repository
                );
                return Err(unavailable(why));
            };
            let alias = format!("include{index}");
            let tree = offered
                .artifact
                .tree
                .subtree(&include.from)
                .map_err(|error| Failure::new("IncludeUnavailable", "CopyFailed", error.to_string()))?;
            trees.insert(alias.clone(), tree);
            let to = format!("@artifact/{}/", include.to.trim_matches('/'));
            copies.push(Copy { from: format!("@{alias}/**"), to, optional: true, ..Copy::default() });
            included.push(offered.status(&key));
        }
        let limits = self.shared.options.fetcher.limits();
        let tree = source::compose(&trees, &copies, limits)
            .map_err(|error| Failure::new("IncludeUnavailable", "CopyFailed", error.to_string()))?;
        pass.set(&["includedArtifacts"], json!(included));
        Ok(Artifact { tree, ..own })
    }
}
