//! Kustomizations: bases, overlays and components with fields that may or may not fit together.

use super::Files;
use super::objects::{self, labels, scalar, text};
use super::random::Random;

/// An object that is there: API version, kind, name.
type Known = (String, String, String);

/// What the folders below have brought so far.
#[derive(Default)]
struct State {
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
            self.objects.push((field("apiVersion:"), field("kind:"), field("  name:")));
        }
    }

    /// Most often one of the objects that are there.
    fn pick(&self, random: &mut Random) -> Known {
        let rare = |name: &str| ("apps/v1".to_owned(), "Deployment".to_owned(), name.to_owned());
        if self.objects.is_empty() || random.chance(2) {
            return rare("nobody");
        }
        self.objects[random.below(self.objects.len())].clone()
    }
}

fn is_workload(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet")
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
    if random.chance(50) && matches!(known.1.as_str(), "Deployment" | "StatefulSet") {
        *out += &format!("replicas:\n- name: {}\n  count: {}\n", known.2, random.below(9));
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

const PATCH_MARK: &str = "@patch ";

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

fn indented(text: &str, indent: &str) -> String {
    text.lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") })
        .collect()
}

fn merge_patch(random: &mut Random, state: &State) -> String {
    let (api_version, kind, own) = state.pick(random);
    let mut out = format!("apiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: {own}\n");
    if random.chance(2) {
        out += "  namespace: shop\n";
    }
    if random.chance(6) {
        return out + "$patch: delete\n";
    }
    out += &labels(random, "labels", "  ");
    match kind.as_str() {
        "Deployment" | "StatefulSet" | "DaemonSet" => match random.below(8) {
            0 => out += "spec:\n  replicas: 7\n",
            1 => {
                out += &format!(
                    "spec:\n  template:\n    spec:\n      containers:\n      - name: main\n        image: {}\n        env:\n        - name: PLAIN\n          value: {}\n        - name: NEW\n          value: x\n",
                    random.pick(&["changed:1", "nginx:3"]),
                    text(random)
                )
            }
            2 => {
                out += "spec:\n  template:\n    spec:\n      containers:\n      - name: side\n        $patch: delete\n"
            }
            3 => {
                out += "spec:\n  template:\n    spec:\n      $setElementOrder/containers:\n      - name: extra\n      - name: main\n      containers:\n      - name: extra\n        image: extra\n"
            }
            4 => {
                out += "spec:\n  template:\n    spec:\n      containers:\n      - $patch: replace\n      - name: only\n        image: only\n"
            }
            5 => {
                out +=
                    "spec:\n  template:\n    spec:\n      volumes: null\n      serviceAccountName: patched\n"
            }
            6 => out += "spec:\n  selector:\n    $patch: replace\n    matchLabels: {new: one}\n",
            _ => {
                out += "spec:\n  template:\n    spec:\n      containers:\n      - name: main\n        ports:\n        - containerPort: 8080\n          protocol: UDP\n        - containerPort: 9090\n          name: extra\n"
            }
        },
        "ConfigMap" | "Secret" => out += &format!("data:\n  a: {}\n  z: null\n", scalar(random, "  ")),
        "Service" => out += "spec:\n  ports:\n  - port: 80\n    name: web\n  - port: 443\n",
        "Widget" => {
            out += &format!(
                "spec:\n  size: {}\n  items:\n  - name: two\n    value: patched\n",
                scalar(random, "  ")
            )
        }
        _ => {
            out += "metadata:\n  annotations: {patched: \"yes\"}\n"
                .strip_prefix("metadata:\n")
                .unwrap_or_default()
        }
    }
    out
}

fn json_patch(random: &mut Random, kind: &str) -> String {
    let mut out = String::new();
    for _ in 0..1 + random.below(2) {
        let choice = match random.below(100) {
            0..3 => 2,
            3..6 => 3,
            6..9 => 6,
            9..12 => 1,
            12..40 => 0,
            40..60 => 5,
            60..80 if is_workload(kind) => 4,
            _ => 7,
        };
        out += &match choice {
            0 => format!("- op: add\n  path: /metadata/labels\n  value: {{x: {}}}\n", text(random)),
            1 => "- op: replace\n  path: /spec/replicas\n  value: 5\n".to_owned(),
            2 => "- op: remove\n  path: /metadata/labels/app\n".to_owned(),
            3 => "- op: add\n  path: /metadata/annotations/example.org~1x\n  value: 'y'\n".to_owned(),
            4 => "- op: add\n  path: /spec/template/spec/containers/-\n  value: {name: added, image: \"added:1\"}\n".to_owned(),
            5 => "- op: copy\n  from: /metadata/name\n  path: /metadata/labels\n".to_owned(),
            6 => "- op: test\n  path: /metadata/name\n  value: web\n".to_owned(),
            _ => format!("- op: add\n  path: /data\n  value:\n    n: {}\n", scalar(random, "    ")),
        };
    }
    out
}

fn target(random: &mut Random, kind: &str) -> String {
    let mut out = String::new();
    if random.chance(80) {
        out += &format!("    kind: {kind}\n");
    }
    if random.chance(40) {
        out += &format!("    name: {}\n", random.pick(&["web", "api", ".*", ".*", "w.*", "web|db"]));
    }
    if random.chance(15) {
        out += &format!(
            "    labelSelector: {}\n",
            random.pick(&["app=plain", "app", "'!app'", "tier in (plain)"])
        );
    }
    if random.chance(10) {
        out += "    annotationSelector: note\n";
    }
    if random.chance(10) {
        out += &format!("    namespace: {}\n", random.pick(&["shop", "default"]));
    }
    if out.is_empty() { out } else { format!("  target:\n{out}") }
}

fn patch(random: &mut Random, state: &State, files: &mut Files, dir: &str, out: &mut String) {
    let (_, kind, _) = state.pick(random);
    let (body, wants_target) = if random.chance(60) {
        (merge_patch(random, state), false)
    } else {
        (json_patch(random, &kind), true)
    };
    if random.chance(50) {
        *out += &format!("{PATCH_MARK}- patch: |-\n{}", indented(&body, "    "));
    } else {
        let file = format!("p{}.yaml", files.len());
        files.insert(format!("{dir}/{file}"), body);
        *out += &format!("{PATCH_MARK}- path: {file}\n");
    }
    if wants_target || random.chance(35) {
        *out += &target(random, &kind);
    }
    if random.chance(8) {
        *out += "  options:\n    allowNameChange: true\n";
    }
}

fn legacy_patches(random: &mut Random, state: &State, files: &mut Files, dir: &str, out: &mut String) {
    if random.chance(12) {
        let body = merge_patch(random, state) + if random.chance(30) { "---\n" } else { "" };
        files.insert(format!("{dir}/legacy.yaml"), body);
        *out += "patchesStrategicMerge:\n- legacy.yaml\n";
    }
    if random.chance(10) {
        let (api_version, kind, own) = state.pick(random);
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        *out += &format!(
            "patchesJson6902:\n- target:\n    group: \"{group}\"\n    version: {version}\n    kind: {kind}\n    name: {own}\n  patch: |-\n{}",
            indented(&json_patch(random, &kind), "    ")
        );
    }
}

fn replacements(random: &mut Random, state: &State, out: &mut String) {
    if random.chance(25) {
        let (_, kind, own) = state.pick(random);
        *out += &format!("replacements:\n- source:\n    kind: {kind}\n    name: {own}\n");
        if random.chance(20) {
            *out += &format!(
                "    fieldPath: {}\n",
                random.pick(&[
                    "metadata.name",
                    "data.a",
                    "metadata.labels.app",
                    "spec.replicas",
                    "spec.items.[name=one].value"
                ])
            );
        }
        if random.chance(20) {
            *out += "    options: {delimiter: '-', index: 0}\n";
        }
        let (_, kind, _) = state.pick(random);
        *out += &format!("  targets:\n  - select:\n      kind: {kind}\n");
        if random.chance(20) {
            *out += "    reject:\n    - name: web\n";
        }
        *out += &format!(
            "    fieldPaths:\n    - {}\n",
            random.pick(&[
                "metadata.annotations.[example.org/copied]",
                "spec.template.spec.containers.*.image",
                "spec.template.spec.containers.[name=main].env.[name=PLAIN].value",
                "metadata.labels.app",
                "metadata.annotations.note",
                match kind.as_str() {
                    "Widget" => "spec.items.0.value",
                    _ => "data.b",
                },
                match kind.as_str() {
                    "Widget" => "spec.size",
                    _ => "data.c",
                }
            ])
        );
        match random.below(10) {
            0..7 => *out += "    options: {create: true}\n",
            7 => *out += "    options: {delimiter: ':', index: 1}\n",
            _ => {}
        }
    }
}

fn vars(random: &mut Random, state: &State, out: &mut String) {
    if random.chance(12) {
        let (api_version, kind, own) = state.pick(random);
        *out += &format!(
            "vars:\n- name: SERVICE\n  objref:\n    kind: {kind}\n    name: {own}\n    apiVersion: {api_version}\n"
        );
        if random.chance(30) {
            *out += "  fieldref:\n    fieldPath: metadata.namespace\n";
        }
    }
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
