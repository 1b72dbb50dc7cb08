//! What a commit holds, and what the cluster must hold because of it.

use super::chance::Chance;
use super::git::Files;
use super::releases::Releases;
use std::collections::BTreeMap;

/// The units that the repository may describe. `base` and `last` are always there.
pub const UNITS: [&str; 4] = ["base", "middle", "side", "last"];
/// An object of each unit that is there in every commit.
pub const KEEP: &str = "keep";
/// An object that wanders from unit to unit.
pub const NOMAD: &str = "nomad";

/// What one commit says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// ConfigMaps by unit and name, with their value.
    pub units: BTreeMap<String, BTreeMap<String, String>>,
    /// A unit whose files cannot be used, and how.
    pub broken: Option<(String, Fault)>,
    /// The HelmReleases.
    pub releases: Releases,
}

/// How a commit can be bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A file that is no YAML.
    Syntax,
    /// A kustomization that names a file that is not there.
    MissingFile,
    /// The folder is gone.
    MissingFolder,
    /// An object that the API refuses.
    Refused,
    /// An object of a kind that nobody serves.
    UnknownKind,
}

impl State {
    /// A commit at random; `number` makes its values its own.
    pub fn random(chance: &mut Chance, number: u64) -> State {
        let mut state = State::default();
        for unit in UNITS {
            let optional = unit == "middle" || unit == "side";
            if optional && chance.happens(250) {
                continue;
            }
            let mut maps = BTreeMap::from([(format!("{unit}-{KEEP}"), format!("kept {}", chance.below(3)))]);
            for index in 0..4 {
                if chance.happens(500) {
                    maps.insert(format!("{unit}-{index}"), format!("{number} {}", chance.below(2)));
                }
            }
            state.units.insert(unit.into(), maps);
        }
        let homes: Vec<String> = state.units.keys().cloned().collect();
        let home = chance.pick(&homes).clone();
        if let Some(maps) = state.units.get_mut(&home) {
            maps.insert(NOMAD.into(), format!("at {home}"));
        }
        state.releases = Releases::random(chance, number);
        state
    }

    /// The same, with a unit or a chart that cannot be used.
    pub fn broken(mut self, chance: &mut Chance) -> State {
        if chance.happens(400) {
            self.releases.broken(chance);
            return self;
        }
        let homes: Vec<String> = self.units.keys().cloned().collect();
        let faults =
            [Fault::Syntax, Fault::MissingFile, Fault::MissingFolder, Fault::Refused, Fault::UnknownKind];
        self.broken = Some((chance.pick(&homes).clone(), *chance.pick(&faults)));
        self
    }

    /// The ConfigMaps that must be there in the end, with their values and their units.
    pub fn maps(&self) -> BTreeMap<String, (String, String)> {
        let all = self.units.iter();
        all.flat_map(|(unit, maps)| {
            maps.iter().map(move |(name, value)| (name.clone(), (value.clone(), unit.clone())))
        })
        .collect()
    }

    /// The files of the commit.
    pub fn files(&self) -> Files {
        let mut files = Files::new();
        for (unit, maps) in &self.units {
            let after = match unit.as_str() {
                "last" => "  dependsOn: [{name: base}]\n  wait: true\n",
                "middle" => "  dependsOn: [{name: base}]\n",
                _ => "",
            };
            files.insert(
                format!("clusters/{unit}.yaml"),
                format!(
                    "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: {unit}, \
                     namespace: flux-system}}\nspec:\n  interval: 10m\n  retryInterval: 1m\n  path: ./apps/{unit}\n  \
                     prune: true\n  sourceRef: {{kind: GitRepository, name: flux-system}}\n{after}"
                ),
            );
            for (name, value) in maps {
                files.insert(
                    format!("apps/{unit}/{name}.yaml"),
                    format!(
                        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default}}\n\
                         data: {{value: {value}}}\n"
                    ),
                );
            }
        }
        self.releases.files(&mut files);
        if let Some((unit, fault)) = &self.broken {
            let file = |name: &str| format!("apps/{unit}/{name}.yaml");
            match fault {
                Fault::Syntax => files.insert(file("bad"), "a: [\nb: {c".into()),
                Fault::MissingFile => {
                    files.insert(file("kustomization"), "resources: [nowhere.yaml]\n".into())
                }
                Fault::MissingFolder => {
                    files.retain(|path, _| !path.starts_with(&format!("apps/{unit}/")));
                    None
                }
                Fault::Refused => files.insert(
                    file("bad"),
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Name, namespace: default}\n".into(),
                ),
                Fault::UnknownKind => files.insert(
                    file("bad"),
                    "apiVersion: example.com/v1\nkind: Nothing\nmetadata: {name: nothing, namespace: default}\n"
                        .into(),
                ),
            };
        }
        files
    }
}
