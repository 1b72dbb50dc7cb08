//! Functions and plugins that are programs: recognised, and run only where allowed.

use crate::Options;
use crate::error::Error;
use crate::resmap::ResMap;
use crate::resource::{self, Resource};
use crate::tree::{self, Node};
use crate::world::World;

/// A function to run.
pub(crate) struct Function {
    program: String,
    config: Node,
    id: String,
}

impl Function {
    /// Reads a plugin's configuration; anything but an executable function is refused with the reason.
    pub fn load(config: &Resource, options: &Options) -> Result<Function, Error> {
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
        Ok(Function { program: program.to_owned(), config: config.node.clone(), id })
    }

    /// Makes objects out of nothing but its configuration.
    pub fn generate(&self, world: &dyn World) -> Result<Vec<Resource>, Error> {
        self.call(&[], world)
    }

    /// Gives all objects to the program and takes back what it makes of them.
    pub fn transform(&self, map: &mut ResMap, world: &dyn World) -> Result<(), Error> {
        let items: Vec<Node> = map.list().iter().map(|resource| resource.node.clone()).collect();
        let made = self.call(&items, world)?;
        let schema = map.schema().clone();
        let old = std::mem::take(map.list_mut());
        let mut by_id: std::collections::HashMap<_, Resource> =
            old.into_iter().map(|resource| (resource.current_id(&schema).key(), resource)).collect();
        let list = map.list_mut();
        for mut resource in made {
            if let Some(before) = by_id.remove(&resource.current_id(&schema).key()) {
                let node = std::mem::replace(&mut resource.node, Node::map());
                resource = Resource { node, ..before };
            }
            list.push(resource);
        }
        Ok(())
    }

    fn call(&self, items: &[Node], world: &dyn World) -> Result<Vec<Resource>, Error> {
        let input = Node::Map(vec![
            ("apiVersion".to_owned(), Node::string("config.kubernetes.io/v1")),
            ("kind".to_owned(), Node::string("ResourceList")),
            ("items".to_owned(), Node::Seq(items.to_vec())),
            ("functionConfig".to_owned(), self.config.clone()),
        ]);
        let output = world.exec(&self.program, &[], tree::to_text(&input).as_bytes()).map_err(|error| {
            Error::new(format!("couldn't execute function: {error}")).of_resource(self.id.clone())
        })?;
        let text = String::from_utf8_lossy(&output);
        resource::parse_resources(&text).map_err(|error| Error::new(error).of_resource(self.id.clone()))
    }
}
