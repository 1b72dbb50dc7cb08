//! Kustomizations: bases, overlays and components with fields that may or may not fit together.

use super::Files;
use super::copies::{replacements, vars};
use super::objects::{self, text};
use super::patches::{legacy_patches, patch};
use crate::random::Random;

/// An object that is there.
#[derive(Clone)]
pub struct Known {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    /// "" when none is written.
    pub namespace: String,
}

/// What the folders below have brought so far.
#[derive(Default)]
pub struct State {
    objects: Vec<Known>,
    generated: Vec<(&'static str, &'static str)>,
}

impl State {
    fn note(&mut self, text: &str) {
        for document in text.split("---\n") {
            let field = |key: &str| {
                let line = document.lines().find_map(|line| line.strip_prefix(key));
                line.unwrap_or_default().trim().to_owned()
            };
            self.objects.push(Known {
                api_version: field("apiVersion:"),
                kind: field("kind:"),
                name: field("  name:"),
                namespace: field("  namespace:"),
            });
        }
    }

    /// Most often one of the objects that are there.
    pub fn pick(&self, random: &mut Random) -> Known {
        if self.objects.is_empty() || random.chance(1) {
            let text = str::to_owned;
            return Known {
                api_version: text("apps/v1"),
                kind: text("Deployment"),
                name: text("nobody"),
                namespace: String::new(),
            };
        }
        self.objects[random.below(self.objects.len())].clone()
    }
}

/// A tree whose kustomization to build is in `top`.
pub fn tree(random: &mut Random) -> Files {
    let mut files = Files::new();
    let mut state = State::default();
    let mut bases = Vec::new();
    for base in ["base", "other"].iter().take(1 + random.below(2)) {
        // Bases do not see each other.
        let mut own = State::default();
        folder(random, &mut own, &mut files, base, &[], "Kustomization");
        state.objects.append(&mut own.objects);
        state.generated.append(&mut own.generated);
        bases.push(format!("../{base}"));
    }
    if random.chance(30) {
        folder(random, &mut state, &mut files, "middle", &bases, "Kustomization");
        bases = vec!["../middle".to_owned()];
    }
    if random.chance(30) {
        folder(random, &mut state, &mut files, "part", &[], "Component");
    }
    folder(random, &mut state, &mut files, "top", &bases, "Kustomization");
    files
}

/// Writes one folder: its objects and its kustomization.
fn folder(
    random: &mut Random,
    state: &mut State,
    files: &mut Files,
    dir: &str,
    bases: &[String],
    kind: &str,
) {
    let mut out = String::new();
    if kind == "Component" {
        out += "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n";
    } else if random.chance(50) {
        out += "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";
    }
    let mut resources: Vec<String> = bases.to_vec();
    let amount = if bases.is_empty() && kind != "Component" { 1 + random.below(4) } else { random.below(2) };
    let own_names: [&str; 4] = match dir {
        "base" => ["web", "api", "db", "cfg"],
        "other" => ["front", "back", "jobs", "front-2"],
        "middle" => ["m1", "m2", "m3", "m4"],
        "part" => ["p1", "p2", "p3", "p4"],
        _ => ["t1", "t2", "t3", "t4"],
    };
    for (at, own) in own_names.iter().enumerate().take(amount) {
        let file = format!("r{at}.yaml");
        let text = objects::object(random, own);
        state.note(&text);
        files.insert(format!("{dir}/{file}"), text);
        resources.push(file);
    }
    if !resources.is_empty() {
        out += "resources:\n";
        resources.iter().for_each(|path| out += &format!("- {path}\n"));
    }
    if dir == "top" && files.contains_key("part/kustomization.yaml") {
        out += "components:\n- ../part\n";
    }
    names(random, &mut out);
    marks(random, &mut out);
    images(random, state, &mut out);
    generators(random, state, files, dir, &mut out);
    for _ in 0..random.below(3) {
        patch(random, state, files, dir, &mut out);
    }
    let patches = out.matches(PATCH_MARK).count();
    if patches > 0 {
        out = gather(&out);
    }
    legacy_patches(random, state, files, dir, &mut out);
    replacements(random, state, &mut out);
    if dir == "top" {
        vars(random, state, &mut out);
    }
    more(random, files, dir, &mut out);
    files.insert(format!("{dir}/kustomization.yaml"), out);
}

fn names(random: &mut Random, out: &mut String) {
    if random.chance(35) {
        *out += &format!("namespace: {}\n", random.pick(&["shop", "prod", "default"]));
    }
    if random.chance(35) {
        *out += &format!("namePrefix: {}\n", random.pick(&["dev-", "a.", "x"]));
    }
    if random.chance(25) {
        *out += &format!("nameSuffix: {}\n", random.pick(&["-v1", "'2'", "-b"]));
    }
}

fn marks(random: &mut Random, out: &mut String) {
    if random.chance(20) {
        *out += &format!("commonLabels:\n  app: {}\n  env: {}\n", text(random), text(random));
    }
    if random.chance(30) {
        *out += &format!("labels:\n- pairs:\n    team: {}\n", text(random));
        for flag in ["includeSelectors", "includeTemplates", "includeVolumeClaimTemplates"] {
            if random.chance(30) {
                *out += &format!("  {flag}: true\n");
            }
        }
        if random.chance(20) {
            *out += "  fields:\n  - path: spec/extra/labels\n    kind: Widget\n    create: true\n";
        }
    }
    if random.chance(25) {
        *out += &format!("commonAnnotations:\n  note: {}\n  other: {}\n", text(random), text(random));
    }
}

fn images(random: &mut Random, state: &State, out: &mut String) {
    if random.chance(40) {
        *out += "images:\n";
        for image in ["nginx", "reg.example.org:5000/team/app", "app"].iter().take(1 + random.below(3)) {
            *out += &format!("- name: {image}\n");
            if random.chance(50) {
                *out += &format!("  newName: {}\n", random.pick(&["mirror/x", "other", "host:1/y"]));
            }
            match random.below(4) {
                0 => *out += "  newTag: \"2.0\"\n",
                1 => *out += "  digest: sha256:ffff\n",
                2 => *out += "  tagSuffix: -slim\n",
                _ => {}
            }
        }
    }
    let known = state.pick(random);
    if random.chance(50) && matches!(known.kind.as_str(), "Deployment" | "StatefulSet") {
        *out += &format!("replicas:\n- name: {}\n  count: {}\n", known.name, random.below(9));
    }
}

fn generators(random: &mut Random, state: &mut State, files: &mut Files, dir: &str, out: &mut String) {
    for (field, percent) in [("configMapGenerator", 40), ("secretGenerator", 30)] {
        if !random.chance(percent) {
            continue;
        }
        *out += &format!("{field}:\n");
        for own in ["gen-a", "gen-b", "gen-c"].into_iter().skip(random.below(2)).take(1 + random.below(2)) {
            *out += &format!("- name: {own}\n");
            if state.generated.contains(&(field, own)) {
                if random.chance(97) {
                    *out += &format!("  behavior: {}\n", random.pick(&["merge", "replace"]));
                }
            } else if random.chance(3) {
                *out += &format!("  behavior: {}\n", random.pick(&["create", "merge", "replace"]));
            }
            state.generated.push((field, own));
            if random.chance(5) {
                *out += &format!("  namespace: {}\n", random.pick(&["default", "shop"]));
            }
            if random.chance(70) {
                let value = random.pick(&["1", "yes", "'q'", "\"q q\"", "a=b", "", "ü", "\\n", " x "]);
                *out += &format!("  literals:\n  - 'a={}'\n  - b=2\n", value.replace('\'', "''"));
            }
            if random.chance(30) {
                let content =
                    random.pick(&["K=V\nL='x y'\n# no\n\nM=\n", "A=1", "A=\"b\"\nB = 2\n", "export X=1\n"]);
                files.insert(format!("{dir}/vars.env"), content.to_owned());
                *out += "  envs:\n  - vars.env\n";
            }
            if random.chance(30) {
                let content = random.pick(&[
                    "hello\n",
                    "no newline",
                    "a\r\nb\r\n",
                    "  lead\n",
                    "tab\tx\n",
                    "trail \n",
                    "",
                ]);
                files.insert(format!("{dir}/file.txt"), content.to_owned());
                *out += &format!("  files:\n  - {}file.txt\n", random.pick(&["", "key="]));
            }
            if random.chance(25) {
                *out += &format!(
                    "  options:\n    {}\n",
                    random.pick(&["disableNameSuffixHash: true", "immutable: true", "labels: {gen: \"1\"}"])
                );
            }
            if field == "secretGenerator" && random.chance(20) {
                *out += "  type: example.org/kind\n";
            }
        }
    }
    if random.chance(15) {
        *out += &format!(
            "generatorOptions:\n  {}\n",
            random.pick(&[
                "disableNameSuffixHash: true",
                "annotations: {gen: \"yes\"}",
                "labels: {g: h}",
                "immutable: true"
            ])
        );
    }
}

pub const PATCH_MARK: &str = "@patch ";

/// Puts all patches under one field.
fn gather(out: &str) -> String {
    let mut rest = String::new();
    let mut patches = String::from("patches:\n");
    let mut inside = false;
    for line in out.split_inclusive('\n') {
        if let Some(first) = line.strip_prefix(PATCH_MARK) {
            inside = true;
            patches += first;
        } else if inside && (line.starts_with(' ') || line.trim().is_empty()) {
            patches += line;
        } else {
            inside = false;
            rest += line;
        }
    }
    rest + &patches
}

fn more(random: &mut Random, files: &mut Files, dir: &str, out: &mut String) {
    if random.chance(10) {
        *out += &format!(
            "buildMetadata: [{}]\n",
            random.pick(&[
                "originAnnotations",
                "transformerAnnotations",
                "managedByLabel, originAnnotations"
            ])
        );
    }
    if random.chance(12) {
        *out += &format!(
            "sortOptions:\n  order: {}\n",
            random.pick(&[
                "legacy",
                "fifo",
                "legacy\n  legacySortOptions:\n    orderFirst: [Service, Widget]\n    orderLast: [Deployment]"
            ])
        );
    }
    if random.chance(12) {
        let body = random.pick(&[
            "nameReference:\n- kind: ConfigMap\n  version: v1\n  fieldSpecs:\n  - kind: Widget\n    path: spec/configName\n",
            "commonLabels:\n- path: spec/extra\n  kind: Widget\n  create: true\n",
            "namePrefix:\n- path: spec/configName\n  kind: Widget\n",
            "images:\n- path: spec/size\n  kind: Widget\n",
            "varReference:\n- path: spec/size\n  kind: Widget\n",
            "namespace:\n- path: spec/ns\n  kind: Widget\n  create: true\n",
            "commonAnnotations:\n- path: spec/items/notes\n  kind: Widget\n  create: true\n",
        ]);
        files.insert(format!("{dir}/config.yaml"), body.to_owned());
        *out += "configurations:\n- config.yaml\n";
    }
    if random.chance(15) {
        let body = random.pick(&[
            "apiVersion: builtin\nkind: PrefixSuffixTransformer\nmetadata: {name: t}\nprefix: t-\nfieldSpecs:\n- path: metadata/name\n",
            "apiVersion: builtin\nkind: NamespaceTransformer\nmetadata: {name: t, namespace: plug}\nsetRoleBindingSubjects: allServiceAccounts\nunsetOnly: true\n",
            "apiVersion: builtin\nkind: LabelTransformer\nmetadata: {name: t}\nlabels: {plug: \"1\"}\nfieldSpecs:\n- path: metadata/labels\n  create: true\n",
            "apiVersion: builtin\nkind: AnnotationsTransformer\nmetadata: {name: t}\nannotations: {plug: \"on\"}\nfieldSpecs:\n- path: metadata/annotations\n  create: true\n  kind: Deployment\n",
            "apiVersion: builtin\nkind: ImageTagTransformer\nmetadata: {name: t}\nimageTag: {name: nginx, newTag: plug}\n",
            "apiVersion: builtin\nkind: ReplicaCountTransformer\nmetadata: {name: t}\nreplica: {name: web, count: 3}\nfieldSpecs:\n- path: spec/replicas\n  create: true\n  kind: Deployment\n",
            "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\npatch: '[{\"op\": \"add\", \"path\": \"/metadata/annotations\", \"value\": {\"p\": \"q\"}}]'\ntarget: {kind: ConfigMap}\n",
            "apiVersion: builtin\nkind: ValueAddTransformer\nmetadata: {name: t}\nvalue: added\ntargets:\n- fieldPath: spec/size\n  selector: {kind: Widget}\n",
        ]);
        files.insert(format!("{dir}/plugin.yaml"), body.to_owned());
        *out += "transformers:\n- plugin.yaml\n";
    }
}
