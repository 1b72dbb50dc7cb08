//! Functions and plugins that are programs: recognised, and run only where allowed.

use crate::Options;
use crate::error::Error;
use crate::ids::ResId;
use crate::resmap::ResMap;
use crate::resource::{self, Behavior, Resource};
use crate::tree::{self, Node};
use crate::world::World;
use std::collections::{HashMap, HashSet};

/// A function to run.
pub(crate) struct Function {
    program: String,
    /// The folder of the kustomization that names it, where it runs.
    dir: String,
    config: Node,
    id: String,
}

impl Function {
    /// Reads a plugin's configuration; anything but an executable function is refused with the reason.
    pub fn load(config: &Resource, options: &Options, dir: &str) -> Result<Function, Error> {
        let id = crate::fieldspec::describe(&config.node);
        let spec = config
            .annotation("config.kubernetes.io/function")
            .or_else(|| config.annotation("config.k8s.io/function"));
        let Some(spec) = spec else {
            return Err(Error::new(format!(
                "unable to load plugin {id}: Go and exec plugins found by their place on disk are not supported; annotate the object with config.kubernetes.io/function"
            ))
            .of_resource(id));
        };
        let value =
            yaml::from_str(spec).map_err(|error| Error::new(error.to_string()).of_resource(id.clone()))?;
        if value.get("container").is_some() {
            return Err(Error::new(format!(
                "couldn't execute function: containers are not run here (function of {id}); use an exec function with --enable-exec"
            ))
            .of_resource(id));
        }
        if value.get("starlark").is_some() {
            return Err(Error::new(format!("starlark functions are not supported (function of {id})"))
                .of_resource(id));
        }
        let program = value.get("exec").and_then(|exec| exec.get("path")).and_then(|path| path.as_str());
        let Some(program) = program else {
            return Err(
                Error::new(format!("couldn't execute function: no runtime given for {id}")).of_resource(id)
            );
        };
        if !options.enable_exec {
            return Err(Error::new(
                "must use `--enable-exec` to run exec functions, or remove them".to_owned(),
            )
            .of_resource(id));
        }
        Ok(Function { program: program.to_owned(), dir: dir.to_owned(), config: config.node.clone(), id })
    }

    /// Makes objects out of nothing but its configuration. They ask for a hash and a behaviour by annotations.
    pub fn generate(&self, world: &dyn World) -> Result<Vec<Resource>, Error> {
        let mut made = self.call(Vec::new(), world)?;
        for resource in &mut made {
            let mut annotations = resource.meta_map("annotations");
            let hash = annotations.remove(NEEDS_HASH);
            let behavior = annotations.remove(BEHAVIOR);
            resource.set_meta_map("annotations", annotations);
            resource.needs_hash = match hash.as_deref() {
                None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
                Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
                Some(other) => {
                    return Err(Error::new(format!(
                        "the annotation {NEEDS_HASH:?} contains an invalid value ({other:?})"
                    ))
                    .of_resource(self.id.clone()));
                }
            };
            resource.behavior = Behavior::parse(behavior.as_deref().unwrap_or_default());
        }
        Ok(made)
    }

    /// Gives all objects to the program and takes back what it makes of them: what it returns stands where the
    /// object of that identity stood, or at the end; what it leaves out goes.
    pub fn transform(&self, map: &mut ResMap, world: &dyn World) -> Result<(), Error> {
        let schema = map.schema().clone();
        let items: Result<Vec<Node>, Error> = map
            .list()
            .iter()
            .enumerate()
            .map(|(at, resource)| annotated(resource, at, &resource.current_id(&schema)))
            .collect();
        let made = self.call(items?, world)?;
        let mut places: HashMap<_, usize> = HashMap::new();
        for (at, resource) in map.list().iter().enumerate() {
            places.insert(resource.current_id(&schema).key(), at);
        }
        let mut slots: Vec<Option<Resource>> = map.list().iter().map(|_| None).collect();
        let mut seen = HashSet::new();
        for mut resource in made {
            let mut annotations = resource.meta_map("annotations");
            annotations.remove(ID);
            resource.set_meta_map("annotations", annotations);
            let id = resource.current_id(&schema);
            if !seen.insert(id.key()) {
                return Err(Error::new(format!(
                    "plugin {} generated duplicate resource: {id}",
                    self.program
                ))
                .of_resource(id.to_string()));
            }
            match places.get(&id.key()).and_then(|at| slots.get_mut(*at)) {
                Some(slot) => *slot = Some(resource),
                None => slots.push(Some(resource)),
            }
        }
        *map.list_mut() = slots.into_iter().flatten().collect();
        Ok(())
    }

    fn call(&self, items: Vec<Node>, world: &dyn World) -> Result<Vec<Resource>, Error> {
        let input = Node::Map(vec![
            ("apiVersion".into(), Node::string("config.kubernetes.io/v1")),
            ("kind".into(), Node::string("ResourceList")),
            ("items".into(), Node::Seq(items)),
            ("functionConfig".into(), self.settings()?),
        ]);
        let output =
            world.exec(&self.dir, &self.program, &[], tree::to_text(&input).as_bytes()).map_err(|error| {
                Error::new(format!("couldn't execute function: {error}")).of_resource(self.id.clone())
            })?;
        let text = String::from_utf8_lossy(&output);
        resource::parse_resources(&text).map_err(|error| Error::new(error).of_resource(self.id.clone()))
    }
    /// Its configuration as the program sees it.
    fn settings(&self) -> Result<Node, Error> {
        let mut config = in_order(&self.config)?;
        if let Some(annotations) = config.map_at("metadata").and_then(|meta| meta.map_at("annotations")) {
            annotations.put("config.kubernetes.io/local-config", Node::string("true"));
        }
        Ok(config)
    }
}

/// What a generator's object says about its name and about the object it goes to.
const NEEDS_HASH: &str = "kustomize.config.k8s.io/needs-hash";
const BEHAVIOR: &str = "kustomize.config.k8s.io/behavior";
/// What an object was called when it was given to the program.
const ID: &str = "kustomize.config.k8s.io/id";

/// An object with its fields in order.
fn in_order(node: &Node) -> Result<Node, Error> {
    Ok(tree::from_value(&tree::to_value(node).map_err(Error::new)?))
}

/// An object as a program gets it: with its history, which it is expected to hand back, and its number.
fn annotated(resource: &Resource, at: usize, id: &ResId) -> Result<Node, Error> {
    let mut marks = resource.history();
    let mut name = String::new();
    for (key, value) in [
        ("group", &id.gvk.group),
        ("kind", &id.gvk.kind),
        ("name", &id.name),
        ("namespace", &id.namespace),
        ("version", &id.gvk.version),
    ] {
        if !value.is_empty() {
            name += &yaml::to_string(&serde_json::json!({ key: value }));
        }
    }
    marks.push((ID, name));
    let node = in_order(&marked(resource.node.clone(), marks))?;
    let mut marks = Vec::new();
    for key in [
        "config.kubernetes.io/index",
        "internal.config.kubernetes.io/index",
        "internal.config.kubernetes.io/annotations-migration-resource-id",
    ] {
        marks.push((key, at.to_string()));
    }
    for key in ["internal.config.kubernetes.io/id", "config.k8s.io/id"] {
        marks.push((key, (at + 1).to_string()));
    }
    Ok(marked(node, marks))
}

fn marked(mut node: Node, marks: Vec<(&'static str, String)>) -> Node {
    if let Some(annotations) = node.map_at("metadata").and_then(|meta| meta.map_at("annotations")) {
        for (key, value) in marks {
            annotations.put(key, tree::from_value(&serde_json::Value::from(value)));
        }
    }
    node
}
