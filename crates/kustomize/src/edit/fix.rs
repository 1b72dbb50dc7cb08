//! `edit fix`: deprecated fields become the ones that took their place.

use super::lists::unreadable;
use super::{Changed, Editor, KustomizationFile};
use crate::error::Error;
use crate::world::{self, Overlay, WorldError};
use crate::{Options, build};
use serde_json::{Map, Value, json};

impl Editor<'_> {
    pub(super) fn fix(&mut self) -> Result<Changed, Error> {
        let (path, mut file) = self.open()?;
        let before = build(self.world, &self.dir, &Options::default()).map(|built| built.to_yaml());
        self.move_patches(&mut file)?;
        move_labels(&mut file).map_err(|error| error.in_file(&path).in_field("commonLabels"))?;
        self.note(
            "
Fixed fields:
  patchesJson6902 -> patches
  patchesStrategicMerge -> patches
  commonLabels -> labels",
        );
        if file.get("vars").is_some() {
            self.note("\nvars are left as they are: replacements that do the same may not build the same.");
        }
        let mut fixed = Overlay::new(self.world);
        fixed.insert(&path, file.to_text());
        match build(&fixed, &self.dir, &Options::default()).map(|built| built.to_yaml()) {
            Err(error) => self.note(format!(
                "Warning: 'Fixed' kustomization now produces the error when running `kustomize build`: {error}"
            )),
            Ok(after) if before.as_ref().ok() != Some(&after) => self.note(format!(
                "Warning: 'Fixed' kustomization now produces different output when running `kustomize build`:\n...{after}..."
            )),
            Ok(_) => {}
        }
        Ok(Some((path, file)))
    }

    fn move_patches(&self, file: &mut KustomizationFile) -> Result<(), Error> {
        let mut moved = std::mem::take(file.list_mut("patchesJson6902"));
        for patch in std::mem::take(file.list_mut("patchesStrategicMerge")) {
            let Some(text) = patch.as_str() else { continue };
            let full = world::join(&self.dir, text);
            let readable = match self.world.read(&full) {
                Ok(_) => true,
                Err(WorldError::NotFound) => false,
                // A text that is no path cannot be opened either.
                Err(_) if text.contains('\n') || text.len() > 255 => false,
                Err(error) => return Err(unreadable(&full, &error).in_field("patchesStrategicMerge")),
            };
            moved.push(if readable { json!({"path": text}) } else { json!({"patch": text}) });
        }
        file.list_mut("patches").append(&mut moved);
        Ok(())
    }
}

fn move_labels(file: &mut KustomizationFile) -> Result<(), Error> {
    let pairs: Map<String, Value> = std::mem::take(file.map_mut("commonLabels"));
    if pairs.is_empty() {
        return Ok(());
    }
    let labels = file.list_mut("labels");
    let known = |key: &String| {
        labels.iter().any(|entry| entry.get("pairs").is_some_and(|map| map.get(key).is_some()))
    };
    if let Some(key) = pairs.keys().find(|key| known(key)) {
        return Err(Error::new(format!("label name '{key}' exists in both commonLabels and labels")));
    }
    labels.push(json!({"pairs": pairs, "includeSelectors": true}));
    Ok(())
}
