//! The source hydrator: what the dry source makes is committed to the branch that is synced from.
//!
//! Each Application commits its own folder; those that write one branch take turns. Whatever fails here stands in
//! `status.sourceHydrator`, and the Application goes on with what the branch holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use delivery::fields::str_at;
use gotemplate::{Env, FixedHost, MissingKey, Templates};
use object::{Value, get, meta};
use serde_json::json;
use source::git::{NewCommit, Reference, Request};

use super::load::{self, Fault, Wanted};
use super::pass::Pass;
use super::spec::{Source, Spec};
use crate::installation::Installation;
use crate::names;
use crate::options::Shared;
use crate::project::Project;
use crate::render::clean;
use crate::repositories::{Repositories, plain};
use crate::sites::Site;

/// Where the sources of a hydrator stand among those that are remembered.
const DRY: usize = usize::MAX;
/// Who commits, when the installation does not say it.
const AUTHOR: (&str, &str) = ("Argo CD", "argo-cd@example.com");
/// What is said, when the installation does not say it.
const MESSAGE: &str = "{{ .metadata.drySha | trunc 7 }}: hydrate {{ .metadata.repoURL }}";

/// What is hydrated, from where, to where.
struct Job<'a> {
    /// `spec.sourceHydrator`.
    block: &'a Value,
    /// The repository that is written.
    url: &'a str,
    /// The branch that is synced from.
    sync: &'a str,
    /// The branch that is written; mostly the same.
    target: &'a str,
    /// The folder.
    path: String,
}

impl<'a> Job<'a> {
    fn of(object: &'a Value) -> Option<Job<'a>> {
        let block = get(object, &["spec", "sourceHydrator"]).filter(|block| block.is_object())?;
        let sync = str_at(block, &["syncSource", "targetBranch"]);
        let or = |given: &'a str, default: &'a str| if given.is_empty() { default } else { given };
        Some(Job {
            url: or(str_at(block, &["syncSource", "repoURL"]), str_at(block, &["drySource", "repoURL"])),
            target: or(str_at(block, &["hydrateTo", "targetBranch"]), sync),
            path: clean(str_at(block, &["syncSource", "path"])),
            block,
            sync,
        })
    }

    /// What is wrong with it.
    fn fault(&self, project: &Project) -> Option<String> {
        if self.path.is_empty() {
            let (branch, path) = (self.target, str_at(self.block, &["syncSource", "path"]));
            return Some(format!(
                "app is configured to hydrate to the repository root (branch {branch:?}, path {path:?}) which is not allowed"
            ));
        }
        if self.sync.is_empty() {
            return Some("sourceHydrator.syncSource.targetBranch is missing".into());
        }
        let dry = str_at(self.block, &["drySource", "repoURL"]);
        (!project.permits_source(dry))
            .then(|| format!("application repo {dry} is not permitted in project '{}'", project.name()))
    }
}

/// Brings the branch to what the dry source makes now; was something committed? `Err`: something newer came.
pub(super) async fn hydrate(
    shared: &Arc<Shared>,
    pass: &mut Pass,
    project: &Project,
    site: &Site,
    installation: &Installation,
    max_age: Duration,
) -> Result<bool, ()> {
    let object = pass.object.clone();
    let Some(job) = Job::of(&object).filter(|_| pass.look.is_none()) else { return Ok(false) };
    let asked = meta::annotation(&object, names::HYDRATE).is_some();
    if let Some(why) = job.fault(project) {
        failed(pass, &job, &why, "");
        return Ok(false);
    }
    let dry = Source { raw: get(job.block, &["drySource"]).cloned().unwrap_or_default() };
    let spec = Spec { sources: vec![dry], multiple: false, ..Spec::of(&object) };
    let wanted = Wanted {
        sources: &spec.sources,
        first: DRY,
        revisions: &[],
        max_age: if asked { Duration::ZERO } else { max_age },
        installation,
        signers: None,
        site,
    };
    let loaded = match load::load(shared, pass, &spec, &wanted).await {
        Ok(loaded) => loaded,
        Err(Fault::Preempted) => return Err(()),
        Err(Fault::Failed(why, _)) => {
            failed(pass, &job, &why, "");
            return Ok(false);
        }
    };
    let revision = loaded.revisions.first().cloned().unwrap_or_default();
    pass.set(&["sourceHydrator", "lastComparedDryRevision"], json!(revision));
    let last =
        get(pass.status(), &["sourceHydrator", "lastSuccessfulOperation"]).cloned().unwrap_or_default();
    let same = str_at(&last, &["drySHA"]) == revision && last.get("sourceHydrator") == Some(job.block);
    if same && !asked {
        return Ok(false);
    }
    if !shared.options.outward {
        let why = "this cluster leaves repositories alone (landfall up --outward)";
        failed(pass, &job, why, &revision);
        return Ok(false);
    }
    // Those that write one branch take turns.
    let turn = shared.repositories.writing(job.url, job.target);
    let _turn = turn.lock().await;
    match commit(shared, pass, &job, &revision, &loaded.objects, installation).await {
        Ok(commit) => {
            let now = pass.context.clock().stamp();
            let done = json!({"drySHA": revision, "hydratedSHA": commit, "sourceHydrator": job.block});
            let mut operation = done.clone();
            operation["phase"] = json!("Hydrated");
            // The API asks for one.
            operation["message"] = json!("");
            operation["startedAt"] = json!(now);
            operation["finishedAt"] = json!(now);
            pass.set(
                &["sourceHydrator"],
                json!({
                    "currentOperation": operation, "lastSuccessfulOperation": done,
                    "lastComparedDryRevision": revision,
                }),
            );
            pass.hydrated();
            Ok(true)
        }
        Err(why) => {
            failed(pass, &job, &why, &revision);
            Ok(false)
        }
    }
}

/// Says why nothing was hydrated. What is said already is not said again, so that nothing is written for it.
fn failed(pass: &mut Pass, job: &Job<'_>, why: &str, revision: &str) {
    let message = format!("Failed to hydrate: {why}");
    let known = get(pass.status(), &["sourceHydrator", "currentOperation"]).cloned().unwrap_or_default();
    if str_at(&known, &["message"]) == message && str_at(&known, &["drySHA"]) == revision {
        return;
    }
    let now = pass.context.clock().stamp();
    let mut operation = json!({
        "phase": "Failed", "message": message, "startedAt": now, "finishedAt": now, "sourceHydrator": job.block,
    });
    if !revision.is_empty() {
        operation["drySHA"] = json!(revision);
    }
    pass.set(&["sourceHydrator", "currentOperation"], operation);
    pass.hydrated();
}

async fn commit(
    shared: &Shared,
    pass: &Pass,
    job: &Job<'_>,
    revision: &str,
    objects: &[Value],
    installation: &Installation,
) -> Result<String, String> {
    let repositories: &Repositories = &shared.repositories;
    let mut request = Request::new(plain(job.url));
    let project = Spec::of(&pass.object).project;
    request.credentials = repositories.write_credentials(&pass.context.cluster, job.url, &project).await?;
    let at = |branch: &str| Reference { branch: Some(branch.to_owned()), ..Reference::default() };
    let branches = shared.options.fetcher.git_branches(&request).await.map_err(|error| error.to_string())?;
    let there = |branch: &str| branches.iter().any(|known| known == branch);
    let base = [job.target, job.sync].into_iter().find(|branch| there(branch));
    request.reference = at(base.unwrap_or(job.target));
    let metadata = json!({"repoURL": str_at(job.block, &["drySource", "repoURL"]), "drySha": revision});
    let settings = &installation.settings;
    let or = |given: &'_ str, default: &str| if given.is_empty() { default } else { given }.to_owned();
    let (name, address) = (or(&settings.committer.0, AUTHOR.0), or(&settings.committer.1, AUTHOR.1));
    let commit = NewCommit {
        files: files(job, &metadata, objects, &settings.hydrate_readme)?,
        author: format!("{name} <{address}>"),
        time: pass.context.clock().now().as_second(),
        message: message(&settings.hydrate_message, &metadata)?,
        targets: vec![format!("refs/heads/{}", job.target)],
        force: false,
        begins: base.is_none(),
        options: Vec::new(),
        signer: None,
    };
    let pushed = shared.options.fetcher.git_push(&request, &commit).await;
    Ok(pushed.map_err(|error| error.to_string())?.commit)
}

fn message(template: &str, metadata: &Value) -> Result<String, String> {
    let template = if template.is_empty() { MESSAGE } else { template };
    filled("sourceHydrator.commitMessageTemplate", template, &json!({"metadata": metadata}))
}

fn filled(setting: &str, template: &str, data: &Value) -> Result<String, String> {
    let failed = |why: String| format!("{setting}: {why}");
    let mut templates = Templates::sprig(MissingKey::Invalid);
    templates.parse("message", template).map_err(|error| failed(error.to_string()))?;
    let host = FixedHost::new(0, 1);
    let mut env = Env::new(&host);
    let data = gotemplate::Value::from_json(data);
    templates.execute("message", &data, &mut env).map_err(|error| failed(error.to_string()))
}

/// What the branch is to hold: the manifests, where they come from, and a word for who reads it.
fn files(
    job: &Job<'_>,
    metadata: &Value,
    objects: &[Value],
    readme: &str,
) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let manifests: Vec<String> = objects.iter().map(yaml::to_string).collect();
    let pretty = format!("{metadata:#}\n").into_bytes();
    let (url, revision) = (str_at(metadata, &["repoURL"]), str_at(metadata, &["drySha"]));
    let folder = str_at(job.block, &["drySource", "path"]);
    let readme = match readme {
        "" => format!(
            "# Manifests\n\nRendered from `{folder}` of {url} at `{revision}`. Changes belong there: this folder is \
             written anew.\n"
        ),
        template => filled("sourceHydrator.readmeMessageTemplate", template, metadata)?,
    };
    Ok(BTreeMap::from([
        ("hydrator.metadata".to_owned(), pretty.clone()),
        (format!("{}/hydrator.metadata", job.path), pretty),
        (format!("{}/manifest.yaml", job.path), manifests.join("---\n").into_bytes()),
        (format!("{}/README.md", job.path), readme.into_bytes()),
    ]))
}
