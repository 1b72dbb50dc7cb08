//! A source to objects: the tool is found, the source's own overrides are read, the tool runs. Blocks, so it runs on
//! a thread that may wait; nothing but the trees, and what remote bases and charts name, is looked at.

mod directory;
pub mod env;
mod glob;
mod helm;
pub mod jsonnet;
mod kustomize;
pub mod offline;
pub mod plugin;

pub(crate) use glob::matches;

use std::collections::BTreeMap;
use std::rc::Rc;

use ::helm::Capabilities;
use ::kustomize::World;
use controller::Rendered;
use delivery::fields::str_at;
use delivery::remotes::Remotes;
use delivery::world::{Looks, TreeWorld, same};
use object::{Key, Value, get};
use sha2::Digest;
use source::{Fetcher, Tree};
use tokio::runtime::Handle;

/// What makes objects of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// A chart.
    Helm,
    /// A kustomization.
    Kustomize,
    /// Plain files and Jsonnet.
    Directory,
    /// A config management plugin.
    Plugin,
}

impl Tool {
    /// As `status.sourceType` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Tool::Helm => "Helm",
            Tool::Kustomize => "Kustomize",
            Tool::Directory => "Directory",
            Tool::Plugin => "Plugin",
        }
    }
}

/// What a render is given besides trees. Equal inputs over trees that look the same make the same objects.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// The source, with what its repository overrides.
    pub source: Value,
    /// The build environment.
    pub env: BTreeMap<String, String>,
    /// The application's name without its namespace.
    pub name: String,
    /// The namespace of objects that have none.
    pub namespace: String,
    /// A digest of what the cluster can do, where a chart may ask.
    pub capabilities: u64,
    /// What the installation says about it.
    pub terms: Terms,
    /// The plugins that are declared.
    pub plugins: Vec<Value>,
    /// May they run?
    pub run_plugins: bool,
}

/// What the installation's settings say about renders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// `kustomize.buildOptions`.
    pub build_options: String,
    /// From where files of values may come.
    pub schemes: Vec<String>,
    /// Tools that are switched off, as `status.sourceType` has them.
    pub disabled: Vec<&'static str>,
    /// The size of all files of a directory together.
    pub manifests_size: usize,
}

/// What was looked at: in the source's own tree, then in the trees it refers to by name; and the tool.
pub struct Seen {
    looks: Vec<Looks>,
    tool: Tool,
}

impl Seen {
    /// The tool.
    pub fn tool(&self) -> Tool {
        self.tool
    }
}

/// The last render of each source of each Application.
pub type Renders = controller::Renders<(Key, usize), Input, Seen>;

/// The trees of a render.
#[derive(Clone)]
pub struct Trees {
    /// The source's own.
    pub own: Tree,
    /// Those of other sources, by their `ref`.
    pub lent: BTreeMap<String, Tree>,
}

/// A failed render.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The line for the condition.
    pub message: String,
    /// The file of the source that must be changed.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<usize>,
}

impl Failure {
    fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), file: None, line: None }
    }

    fn at(mut self, file: impl Into<String>, line: usize) -> Failure {
        self.file = Some(file.into());
        self.line = Some(line).filter(|line| *line > 0);
        self
    }
}

/// The worlds of one render.
struct Worlds<'a> {
    own: TreeWorld<'a>,
    lent: BTreeMap<&'a str, TreeWorld<'a>>,
    remotes: Rc<Remotes>,
}

/// What the last render made, when this one would make the same.
pub fn recall(
    renders: &Renders,
    unit: &(Key, usize),
    input: &Input,
    trees: &Trees,
) -> Option<(Rendered, Tool)> {
    let mut tool = Tool::Directory;
    let rendered = renders.recall(unit, input, |seen| {
        tool = seen.tool;
        let all = std::iter::once(&trees.own).chain(trees.lent.values());
        seen.looks.len() == trees.lent.len() + 1
            && all.zip(&seen.looks).all(|(tree, looks)| same(tree, looks))
    })?;
    Some((rendered, tool))
}

/// What a render works with besides its input; none of it decides what comes out.
pub struct Means<'a> {
    /// Where remote bases and charts come from.
    pub door: (Fetcher, Handle),
    /// What lets us in there.
    pub keys: delivery::remotes::Keys,
    /// Who evaluates Jsonnet.
    pub evaluator: &'a jsonnet::Evaluator,
    /// The time, for certificates.
    pub now: jiff::Timestamp,
}

/// Renders.
///
/// # Errors
/// With the file and, where known, the line. A failure is never an empty list.
pub fn render(
    trees: &Trees,
    input: &Input,
    capabilities: &Capabilities,
    means: Means<'_>,
) -> Result<(Rendered, Seen), Failure> {
    let Means { door, keys, evaluator, now } = means;
    let remotes = Remotes::signed_in(door, keys);
    let worlds = Worlds {
        own: TreeWorld::new(&trees.own, remotes.clone()),
        lent: trees
            .lent
            .iter()
            .map(|(name, tree)| (name.as_str(), TreeWorld::new(tree, remotes.clone())))
            .collect(),
        remotes,
    };
    let path = clean(str_at(&input.source, &["path"]));
    if !worlds.own.is_dir(&format!("/{path}")) {
        let shown = str_at(&input.source, &["path"]);
        return Err(Failure::new(format!("{shown}: app path does not exist")).at(path, 0));
    }
    let plugin = plugin::choose(&worlds.own, &path, input)?;
    let tool = match plugin {
        Some(_) => Tool::Plugin,
        // What is switched off leaves plain files.
        None => Some(tool(&worlds.own, &path, &input.source))
            .filter(|tool| !input.terms.disabled.contains(&tool.as_str()))
            .unwrap_or(Tool::Directory),
    };
    let objects = match tool {
        Tool::Helm => helm::render(&worlds, &path, input, capabilities, now)?,
        Tool::Kustomize => kustomize::render(&worlds.own, &path, input, now)?,
        Tool::Directory => directory::render(&worlds.own, &path, input, evaluator)?,
        Tool::Plugin => {
            let plugin =
                plugin.ok_or_else(|| Failure::new("no declared plugin supports the given repository"))?;
            plugin::render(&worlds.own, &path, input, plugin)?
        }
    };
    let objects = flatten(objects)?;
    let mut digest = sha2::Sha256::new();
    for object in &objects {
        digest.update(object.to_string());
    }
    let rendered = Rendered { objects, digest: format!("sha256:{}", hex::encode(digest.finalize())) };
    let mut looks = vec![worlds.own.into_looks()];
    looks.extend(worlds.lent.into_values().map(TreeWorld::into_looks));
    Ok((rendered, Seen { looks, tool }))
}

/// The tool of a folder: what the source says, or what stands there.
fn tool(world: &TreeWorld<'_>, path: &str, source: &Value) -> Tool {
    let says = |field: &str| get(source, &[field]).is_some_and(Value::is_object);
    let has = |name: &str| world.is_file(&join(path, name));
    if says("helm") || !str_at(source, &["chart"]).is_empty() {
        Tool::Helm
    } else if says("kustomize") {
        Tool::Kustomize
    } else if says("directory") {
        Tool::Directory
    } else if says("plugin") {
        Tool::Plugin
    } else if has("Chart.yaml") {
        Tool::Helm
    } else if ["kustomization.yaml", "kustomization.yml", "Kustomization"].iter().any(|name| has(name)) {
        Tool::Kustomize
    } else {
        Tool::Directory
    }
}

/// The source with what `.argocd-source.yaml` and `.argocd-source-<application>.yaml` in its folder change of its
/// tool's fields.
///
/// # Errors
/// When one of them cannot be read.
pub fn effective(tree: &Tree, source: &Value, instance: &str) -> Result<Value, Failure> {
    let path = clean(str_at(source, &["path"]));
    let mut merged = source.clone();
    for name in [".argocd-source.yaml".to_owned(), format!(".argocd-source-{instance}.yaml")] {
        let file = if path.is_empty() { name } else { format!("{path}/{name}") };
        let Ok(bytes) = tree.read(&file) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let patch = yaml::from_str(&text)
            .map_err(|error| Failure::new(format!("{file}: {error}")).at(&file, error.line))?;
        if patch.is_object() {
            object::merge_patch::apply(&mut merged, &patch);
        }
    }
    // Go reads names of fields in any case, and Image Updater writes this one in small letters.
    if let Some(Value::Array(parameters)) = merged.pointer_mut("/helm/parameters") {
        for parameter in parameters.iter_mut().filter_map(Value::as_object_mut) {
            if let Some(forced) = parameter.remove("forcestring") {
                parameter.insert("forceString".to_owned(), forced);
            }
        }
    }
    for field in ["repoURL", "path", "chart", "targetRevision", "ref"] {
        match source.get(field) {
            Some(own) => merged[field] = own.clone(),
            None => {
                if let Some(map) = merged.as_object_mut() {
                    map.remove(field);
                }
            }
        }
    }
    Ok(merged)
}

/// Lists become their items; what is no object is a fault.
fn flatten(objects: Vec<Value>) -> Result<Vec<Value>, Failure> {
    let mut flat = Vec::with_capacity(objects.len());
    for object in objects {
        if object.is_null() {
            continue;
        }
        let kind = str_at(&object, &["kind"]);
        if kind.ends_with("List") && get(&object, &["items"]).is_some_and(Value::is_array) {
            let items = get(&object, &["items"]).and_then(Value::as_array).cloned().unwrap_or_default();
            flat.extend(flatten(items)?);
            continue;
        }
        if kind.is_empty() || str_at(&object, &["apiVersion"]).is_empty() {
            let text: String = object.to_string().chars().take(200).collect();
            return Err(Failure::new(format!("Object 'Kind' or 'apiVersion' is missing in '{text}'")));
        }
        flat.push(object);
    }
    Ok(flat)
}

/// A path of the tree without dots and slashes around; it cannot climb out.
pub(crate) fn clean(path: &str) -> String {
    ::kustomize::path::clean(path).trim_start_matches('/').to_owned()
}

/// A name in a folder, as an absolute path of the world.
fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { format!("/{name}") } else { format!("/{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn overrides_reach_only_the_tool() {
        let tree = Tree::from_files([
            ("app/.argocd-source.yaml", b"path: elsewhere\nhelm: {releaseName: a}\n".as_slice()),
            ("app/.argocd-source-web.yaml", b"kustomize: {images: [x=y]}\nhelm: null\n".as_slice()),
        ])
        .expect("a tree");
        let source = json!({"repoURL": "https://x", "path": "app"});
        let merged = effective(&tree, &source, "web").expect("readable");
        assert_eq!(merged, json!({"repoURL": "https://x", "path": "app", "kustomize": {"images": ["x=y"]}}));
    }
}
