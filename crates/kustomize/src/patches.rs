//! `patches`, `patchesStrategicMerge` and `patchesJson6902`.

use crate::error::Error;
use crate::json_patch::JsonPatch;
use crate::kustomization::{self, PatchOptions};
use crate::loader::Loader;
use crate::merge::{self, Grow};
use crate::resmap::ResMap;
use crate::resource::{self, Resource};
use crate::schema::Schema;
use crate::selector::Selector;
use std::borrow::Cow;

/// An entry of `patches`, read.
pub(crate) struct Patch {
    content: Content,
    target: Option<Selector>,
    source: String,
}

enum Content {
    Strategic(Vec<Resource>),
    Json(JsonPatch),
    Nothing,
}

impl Patch {
    /// Reads an entry and its file; `config` is what messages show of it.
    pub fn load(
        patch: &kustomization::Patch,
        loader: &Loader<'_>,
        config: &serde_json::Value,
    ) -> Result<Patch, Error> {
        let text = patch.patch.trim();
        let (text, source): (Cow<'_, str>, String) = match (text.is_empty(), patch.path.is_empty()) {
            (true, true) => {
                return Err(Error::new(format!(
                    "must specify one of patch and path in
{}",
                    yaml::to_string(config)
                )));
            }
            (false, false) => {
                let shown = yaml::to_string(config);
                return Err(Error::new(format!(
                    "patch and path can't be set at the same time
{shown}"
                )));
            }
            (false, true) => (Cow::Borrowed(text), format!("[patch: {text:?}]")),
            (true, false) => {
                let loaded = loader.load_text(&patch.path).map_err(Error::from).map_err(|error| {
                    let message =
                        format!("failed to get the patch file from path({}): {}", patch.path, error.message);
                    Error { message, ..error }
                })?;
                (Cow::Owned(loaded), format!("[path: {:?}]", patch.path))
            }
        };
        let content =
            read_content(&text, &source, patch.options).map_err(|error| error.in_file(patch.path.clone()))?;
        Ok(Patch { content, target: patch.target.clone(), source })
    }

    /// Applies it.
    pub fn run(&self, map: &mut ResMap) -> Result<(), Error> {
        match &self.content {
            Content::Nothing => Ok(()),
            Content::Strategic(patches) => self.run_strategic(map, patches),
            Content::Json(patch) => {
                let Some(target) = &self.target else {
                    return Err(Error::new(format!("must specify a target for JSON patch {}", self.source)));
                };
                let picked = map.select(target)?;
                let schema = map.schema().clone();
                for at in picked {
                    let Some(resource) = map.list_mut().get_mut(at) else { continue };
                    resource.store_previous_id(&schema);
                    patch
                        .apply(&mut resource.node)
                        .map_err(|error| error.of_resource(resource.current_id(&schema).to_string()))?;
                    resource.settle_annotations();
                }
                Ok(())
            }
        }
    }

    fn run_strategic(&self, map: &mut ResMap, patches: &[Resource]) -> Result<(), Error> {
        let Some(target) = &self.target else {
            for patch in patches {
                let id = patch.original_id(map.schema());
                let at = map.get_by_id(&id).map_err(|error| {
                    let message = format!(
                        "no resource matches strategic merge patch {:?}: {}",
                        id.to_string(),
                        error.message
                    );
                    Error { message, ..error }
                })?;
                apply_at(map, at, patch)?;
            }
            return Ok(());
        };
        let [patch] = patches else {
            return Err(Error::new(format!(
                "Multiple Strategic-Merge Patches in one `patches` entry is not allowed to set `patches.target` field: {}",
                self.source
            )));
        };
        let picked = map.select(target).map_err(|error| {
            error.wrap(format!("unable to find patch target {:?} in `resources`", target.to_string()))
        })?;
        apply_selected(map, &picked, patch)
    }
}

fn read_content(text: &str, source: &str, options: Option<PatchOptions>) -> Result<Content, Error> {
    let strategic = resource::parse_resources(text);
    let json = JsonPatch::parse(text);
    match (strategic, json) {
        (Ok(strategic), Ok(json)) if !strategic.is_empty() && !json.is_empty() => {
            Err(Error::new(format!("illegally qualifies as both an SM and JSON patch: {source}")))
        }
        (Err(_), Err(_)) => Err(Error::new(format!("unable to parse SM or JSON patch from {source}"))),
        (Ok(mut strategic), _) => {
            if strategic.is_empty() {
                return Ok(Content::Nothing);
            }
            for patch in &mut strategic {
                if let Some(options) = options {
                    patch.allow_name_change |= options.allow_name_change;
                    patch.allow_kind_change |= options.allow_kind_change;
                    if patch.allow_name_change || patch.allow_kind_change {
                        patch.settle_annotations();
                    }
                }
            }
            Ok(Content::Strategic(strategic))
        }
        (Err(_), Ok(json)) => Ok(Content::Json(json)),
    }
}

/// An entry of `patchesJson6902`, read.
pub(crate) struct Json6902 {
    target: Selector,
    patch: JsonPatch,
}

impl Json6902 {
    /// Reads an entry and its file.
    pub fn load(patch: &kustomization::Patch, loader: &Loader<'_>) -> Result<Json6902, Error> {
        let target = patch.target.clone().unwrap_or_default();
        if target.name.is_empty() {
            return Err(Error::new("must specify the target name"));
        }
        let text = match (patch.path.is_empty(), patch.patch.is_empty()) {
            (true, true) => return Err(Error::new("empty file path and empty jsonOp")),
            (false, false) => return Err(Error::new("must specify a file path or jsonOp, not both")),
            (true, false) => patch.patch.clone(),
            (false, true) => loader.load_text(&patch.path)?,
        };
        if text.is_empty() {
            return Err(Error::new(format!("patch file '{}' empty seems to be empty", patch.path)));
        }
        let read = JsonPatch::parse(&text).map_err(|error| {
            let shown = match (text.starts_with('['), yaml::from_str(&text)) {
                (false, Ok(value)) => value.to_string(),
                _ => text.clone(),
            };
            let error = if error.starts_with("yaml:") {
                Error::new(error)
            } else {
                Error::new(error).wrap(format!("decoding {shown}"))
            };
            error.in_file(patch.path.clone())
        })?;
        if read.is_empty() {
            return Err(Error::new(format!("patch appears to be empty; file={}, JsonOp={text}", patch.path)));
        }
        Ok(Json6902 { target, patch: read })
    }

    /// Applies it.
    pub fn run(&self, map: &mut ResMap) -> Result<(), Error> {
        let picked = map.select(&self.target)?;
        let schema = map.schema().clone();
        for at in picked {
            let Some(resource) = map.list_mut().get_mut(at) else { continue };
            self.patch
                .apply(&mut resource.node)
                .map_err(|error| error.of_resource(resource.current_id(&schema).to_string()))?;
            resource.settle_annotations();
        }
        Ok(())
    }
}

/// Applies the patches of `patchesStrategicMerge`.
pub(crate) fn run_strategic(map: &mut ResMap, patches: &[Resource]) -> Result<(), Error> {
    for patch in patches {
        let id = patch.original_id(map.schema());
        let at = map.get_by_id(&id)?;
        apply_selected(map, &[at], patch)?;
    }
    Ok(())
}

/// Applies one patch to several objects; those it deletes are dropped.
fn apply_selected(map: &mut ResMap, picked: &[usize], patch: &Resource) -> Result<(), Error> {
    for at in picked {
        let Some(resource) = map.list().get(*at) else { continue };
        let (api_version, kind) = (resource.api_version().to_owned(), patch.kind().to_owned());
        let mut copy = patch.clone();
        for field in ["labels", "annotations"] {
            let entries = copy.meta_map(field);
            copy.set_meta_map(field, entries);
        }
        copy.set_name(patch.name());
        copy.set_namespace(patch.namespace());
        copy.set_kind(&kind);
        copy.set_api_version(&api_version);
        apply_at(map, *at, &copy)?;
    }
    map.drop_empty();
    map.check_unique()
}

fn apply_at(map: &mut ResMap, at: usize, patch: &Resource) -> Result<(), Error> {
    let schema = map.schema().clone();
    let Some(resource) = map.at_mut(at) else { return Ok(()) };
    apply_strategic(resource, patch, &schema)?;
    if patch.allow_name_change || patch.allow_kind_change || resource.deleted {
        map.names_changed();
    }
    Ok(())
}

/// Applies a strategic merge patch to one object.
fn apply_strategic(resource: &mut Resource, patch: &Resource, schema: &Schema) -> Result<(), Error> {
    let name = resource.name().to_owned();
    let namespace = resource.namespace().to_owned();
    let kind = resource.kind().to_owned();
    if patch.allow_name_change || patch.allow_kind_change {
        resource.store_previous_id(schema);
    }
    resource.allow_name_change |= patch.allow_name_change;
    resource.allow_kind_change |= patch.allow_kind_change;
    let id = resource.current_id(schema).to_string();
    let dest = std::mem::replace(&mut resource.node, crate::tree::Node::map());
    let merged = merge::merge(dest, patch.node.clone(), Some(schema), Grow::Front)
        .map_err(|error| error.of_resource(id))?;
    let Some(merged) = merged.filter(|node| !node.is_empty()) else {
        resource.deleted = true;
        return Ok(());
    };
    resource.node = merged;
    resource.node.settle_links();
    if !patch.allow_kind_change {
        resource.set_kind(&kind);
    }
    if !patch.allow_name_change {
        resource.set_name(&name);
    }
    resource.set_namespace(&namespace);
    Ok(())
}
