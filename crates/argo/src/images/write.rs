//! New images into the Application, or into its repository.

use std::collections::BTreeMap;

use cluster::{Cluster, PatchKind, PatchOptions};
use delivery::fields::{list_at, str_at};
use gotemplate::{Env, FixedHost, MissingKey, Templates};
use object::{Gvk, Value, meta};
use serde_json::json;
use sha2::Digest as _;
use source::git::{NewCommit, Reference, Request};
use source::{Credentials, Fetcher, Tree};
use yaml::Node;

use super::MANAGER;
use super::change::{Change, Place, Tool};
use super::wanted::{Git, Target};
use crate::render::clean;

/// Image Updater's message.
const MESSAGE: &str = "build: automatic update of {{ .AppName }}\n\n{{ range .AppChanges -}}\nupdates image {{ .Image }} tag '{{ .OldTag }}' to '{{ .NewTag }}'\n{{ end -}}\n";
/// The longest name of a branch.
const MOST_BRANCH: usize = 255;

/// Who commits, and what is said.
pub struct Commit {
    author: String,
    template: String,
}

impl Commit {
    /// With Image Updater's defaults for what is empty.
    pub fn of(user: &str, email: &str, template: &str) -> Commit {
        let or =
            |given: &str, default: &str| if given.is_empty() { default.to_owned() } else { given.to_owned() };
        let (user, email) = (or(user, "argocd-image-updater"), or(email, "noreply@argoproj.io"));
        Commit { author: format!("{user} <{email}>"), template: or(template, MESSAGE) }
    }
}

/// Writes them into the Application; `false` when they stand there already.
pub async fn application(
    cluster: &Cluster,
    application: &Value,
    place: &Place,
    changes: &[Change],
) -> Result<bool, String> {
    let mut source = place.source.clone();
    object::merge_patch::apply(&mut source, &place.block(&place.source, changes));
    if source == place.source {
        return Ok(false);
    }
    let spec = match place.at {
        None => json!({"source": source}),
        Some(at) => {
            let mut sources = list_at(application, &["spec", "sources"]).to_vec();
            if let Some(slot) = sources.get_mut(at) {
                *slot = source;
            }
            json!({"sources": sources})
        }
    };
    // Whoever changed it meanwhile is not overwritten; the next cycle looks at what they wrote.
    let patch = json!({"spec": spec, "metadata": {"resourceVersion": meta::resource_version(application)}});
    let options = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
    let (namespace, name) = (meta::namespace(application).unwrap_or_default(), meta::name(application));
    cluster
        .patch(&Gvk::of(application), namespace, name, PatchKind::Merge, &patch, &options)
        .await
        .map_err(|error| error.to_string())?;
    Ok(true)
}

/// A commit to be made.
pub struct Job<'a> {
    pub application: &'a Value,
    pub place: &'a Place,
    pub git: &'a Git,
    pub changes: &'a [Change],
    pub url: &'a str,
    pub credentials: Credentials,
    pub commit: &'a Commit,
}

/// Commits them to the repository; `false` when they stand there already.
pub async fn commit(fetcher: &Fetcher, job: &Job<'_>, now: jiff::Timestamp) -> Result<bool, String> {
    let said = |error: source::Error| error.to_string();
    let mut request = Request::new(crate::repositories::plain(job.url));
    request.credentials = job.credentials.clone();
    let branch = match job.git.branch.as_str() {
        "" => str_at(&job.place.source, &["targetRevision"]),
        branch => branch,
    };
    let branch = match branch.strip_prefix("refs/heads/").unwrap_or(branch) {
        "" | "HEAD" => fetcher.git_default_branch(&request).await.map_err(said)?,
        named => named.to_owned(),
    };
    request.reference = Reference { branch: Some(branch.clone()), ..Reference::default() };
    let fetched = fetcher.git(&request).await.map_err(said)?;
    if let Some(place) = &fetched.mapped {
        return Err(format!("the repository is served from {place}, so nothing is committed"));
    }
    let Some((path, content)) = file(job, &fetched.tree)? else { return Ok(false) };
    let name = meta::name(job.application).to_owned();
    let target = match job.git.target.as_str() {
        "" => branch,
        template => branch_of(template, job.changes)?,
    };
    let listed: Vec<Value> = job
        .changes
        .iter()
        .map(|change| json!({"Image": change.image.name, "OldTag": change.before, "NewTag": change.tag.text()}))
        .collect();
    let message = render(&job.commit.template, &json!({"AppName": name, "AppChanges": listed}))
        .unwrap_or_else(|_| format!("build: update of application {name}"));
    let commit = NewCommit {
        files: BTreeMap::from([(path, content)]),
        author: job.commit.author.clone(),
        time: now.as_second(),
        message,
        targets: vec![format!("refs/heads/{target}")],
        force: false,
        begins: false,
        options: Vec::new(),
        signer: None,
    };
    let pushed = fetcher.git_push(&request, &commit).await.map_err(said)?;
    Ok(!pushed.known)
}

/// The file that is written, and its content; `None` when it has that already.
fn file(job: &Job<'_>, tree: &Tree) -> Result<Option<(String, Vec<u8>)>, String> {
    let folder = clean(str_at(&job.place.source, &["path"]));
    let from = |path: &str| match path.strip_prefix('/') {
        Some(absolute) => clean(absolute),
        None => clean(&format!("/{folder}/{path}")),
    };
    match &job.git.file {
        Target::Parameters => {}
        Target::Kustomization(base) => return kustomization(job, tree, &from(base)),
        Target::Values(path) => return values(job, tree, &from(path)),
    }
    let name = format!(".argocd-source-{}.yaml", meta::name(job.application));
    let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
    let known = match tree.read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Some(yaml::from_str(&text).map_err(|error| format!("{path}: {error}"))?)
        }
        Err(source::Error::NotFound(_)) => None,
        Err(error) => return Err(error.to_string()),
    };
    let mut merged = known.clone().unwrap_or_else(|| json!({}));
    let block = job.place.block(known.as_ref().unwrap_or(&job.place.source), job.changes);
    object::merge_patch::apply(&mut merged, &block);
    if known.as_ref() == Some(&merged) {
        return Ok(None);
    }
    Ok(Some((path, yaml::to_string(&merged).into_bytes())))
}

/// A file of the user's with the images set; its comments and its order stay.
fn edited(
    tree: &Tree,
    path: &str,
    set: impl FnOnce(&mut Node) -> Option<()>,
) -> Result<Option<(String, Vec<u8>)>, String> {
    let bytes = tree.read(path).map_err(|error| format!("{path}: {error}"))?;
    let before = String::from_utf8_lossy(&bytes);
    let parsed = yaml::parse_first_node(&before).map_err(|error| format!("{path}: {error}"))?;
    let mut document = parsed.unwrap_or_else(Node::mapping);
    set(document.root_mut()).ok_or_else(|| format!("{path}: there is no place for images"))?;
    let after = yaml::emit(&document);
    Ok((*after != *before).then(|| (path.to_owned(), after.into_bytes())))
}

/// Sets a field; what is remarked behind it stays.
fn put(map: &mut Node, field: &str, value: &str) -> bool {
    let mut node = Node::quoted_if_needed(value);
    if let Some(known) = map.get(field) {
        node.line_comment.clone_from(&known.line_comment);
    }
    map.set(field, node)
}

/// The kustomization with the images set.
fn kustomization(job: &Job<'_>, tree: &Tree, base: &str) -> Result<Option<(String, Vec<u8>)>, String> {
    if job.place.tool != Tool::Kustomize {
        return Err("the write-back target is a kustomization, and the source is none".into());
    }
    let below = |name: &str| if base.is_empty() { name.to_owned() } else { format!("{base}/{name}") };
    let mut names = ["kustomization.yaml", "kustomization.yml", "Kustomization"].map(below).into_iter();
    let path = names.find(|path| tree.is_file(path));
    let path = path.ok_or_else(|| format!("could not find kustomization in {base:?}"))?;
    edited(tree, &path, |root| {
        if root.get("images").is_none_or(Node::is_null) {
            root.set("images", Node::sequence());
        }
        let images = root.get_mut("images").filter(|images| images.is_sequence())?;
        for change in job.changes {
            let (name, fields) = change.entry();
            if !images.items().iter().any(|entry| entry.get_str("name") == Some(name)) {
                images.push(Node::mapping_of([("name", Node::quoted_if_needed(name))]));
            }
            let entry = images.items_mut().iter_mut().find(|entry| entry.get_str("name") == Some(name))?;
            for (field, value) in fields {
                match value {
                    Some(value) => {
                        put(entry, field, value);
                    }
                    None => {
                        entry.remove(field);
                    }
                }
            }
        }
        Some(())
    })
}

/// A values file with the parameters set as what their names are paths of.
fn values(job: &Job<'_>, tree: &Tree, path: &str) -> Result<Option<(String, Vec<u8>)>, String> {
    if job.place.tool != Tool::Helm {
        return Err("the write-back target is a file of values, and the source is no chart".into());
    }
    edited(tree, path, |root| {
        for (name, value) in job.changes.iter().flat_map(Change::parameters) {
            if root.get(&name).is_some() {
                put(root, &name, &value);
                continue;
            }
            let (parents, last) = name.rsplit_once('.').unwrap_or(("", &name));
            let mut at = &mut *root;
            for part in parents.split('.').filter(|part| !part.is_empty()) {
                at = at.get_or_insert_mapping(part)?;
            }
            put(at, last, &value).then_some(())?;
        }
        Some(())
    })
}

/// The branch that a template names.
fn branch_of(template: &str, changes: &[Change]) -> Result<String, String> {
    let mut hasher = sha2::Sha256::new();
    let mut images = Vec::new();
    for change in changes {
        let (name, tag) = (&change.image.name, change.tag.text());
        hasher.update(format!("{name}-{}-{tag},", change.before));
        images
            .push(json!({"Name": name, "Alias": change.image.alias, "OldTag": change.before, "NewTag": tag}));
    }
    let data = json!({"Images": images, "SHA256": hex::encode(hasher.finalize())});
    let mut branch = render(template, &data).map_err(|why| format!("git-branch {template:?}: {why}"))?;
    if let Some(end) = (0..=MOST_BRANCH).rev().find(|at| branch.is_char_boundary(*at)) {
        branch.truncate(end);
    }
    if branch.trim().is_empty() {
        return Err(format!("git-branch {template:?} names no branch"));
    }
    Ok(branch)
}

fn render(template: &str, data: &Value) -> Result<String, String> {
    let mut templates = Templates::sprig(MissingKey::Invalid);
    templates.parse("text", template).map_err(|error| error.to_string())?;
    let host = FixedHost::new(0, 1);
    let mut env = Env::new(&host);
    templates
        .execute("text", &gotemplate::Value::from_json(data), &mut env)
        .map_err(|error| error.to_string())
}
