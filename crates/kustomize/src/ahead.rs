//! Looking ahead: which remote addresses the kustomizations of a build name, before the build comes to them, so that
//! they can be fetched at the same time.

use crate::RepoSpec;
use crate::kustomization::FILE_NAMES;
use crate::world::{self, World};
use std::collections::HashSet;

/// The fields whose entries may be remote or lead to other kustomizations.
pub(crate) const FIELDS: [&str; 6] =
    ["resources", "bases", "components", "generators", "transformers", "validators"];
/// A look ahead saves time and nothing else, so it ends before it costs much.
const MOST_FOLDERS: usize = 1000;

/// Does this entry name something that is fetched?
pub(crate) fn is_remote(entry: &str) -> bool {
    let file = entry.starts_with("http://") || entry.starts_with("https://");
    !entry.contains('\n') && (file || RepoSpec::parse(entry).is_some())
}

/// The remote addresses that the kustomization in `dir` and those that it leads to name. What cannot be read is left
/// out: the build tells of it.
pub(crate) fn addresses(world: &dyn World, dir: &str) -> Vec<String> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let mut waiting = vec![world::clean(dir)];
    while let Some(dir) = waiting.pop() {
        if seen.len() >= MOST_FOLDERS || !seen.insert(dir.clone()) {
            continue;
        }
        let text = FILE_NAMES.iter().find_map(|name| world.read(&world::join(&dir, name)).ok());
        let Some(Ok(text)) = text.map(String::from_utf8) else { continue };
        let Ok(kustomization) = yaml::from_str_members(&text, &FIELDS) else { continue };
        let entries = FIELDS
            .iter()
            .filter_map(|field| kustomization.get(*field)?.as_array())
            .flatten()
            .filter_map(|entry| entry.as_str());
        for entry in entries {
            let local = world::join(&dir, entry);
            if is_remote(entry) {
                found.push(entry.to_owned());
            } else if !entry.contains('\n') && world.is_dir(&local) {
                waiting.push(local);
            }
        }
    }
    found
}
