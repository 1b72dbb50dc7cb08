//! Patches of every kind, most of which fit an object that is there.

use super::Files;
use super::kustomizations::{Known, PATCH_MARK, State};
use super::objects::{labels, scalar, text};
use crate::random::Random;

fn is_workload(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet")
}

fn indented(text: &str, indent: &str) -> String {
    text.lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") })
        .collect()
}

fn merge_patch(random: &mut Random, state: &State) -> String {
    let Known { api_version, kind, name: own, namespace } = state.pick(random);
    let mut out = format!("apiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: {own}\n");
    if random.chance(1) {
        out += "  namespace: shop\n";
    } else if !namespace.is_empty() {
        out += &format!("  namespace: {namespace}\n");
    }
    if random.chance(6) {
        return out + "$patch: delete\n";
    }
    out += &labels(random, "labels", "  ");
    match kind.as_str() {
        "Deployment" | "StatefulSet" | "DaemonSet" => match random.below(14) {
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
            7 => out += "spec:\n  strategy:\n    $retainKeys: [type]\n    type: Recreate\n",
            8 => {
                out += "  $deleteFromPrimitiveList/finalizers: [a]\n  $setElementOrder/finalizers: [c, b]\n  finalizers: [c]\n"
            }
            9 => {
                out += "spec:\n  template:\n    spec:\n      volumes:\n      - name: one\n        configMap: null\n        emptyDir: {}\n      - name: fresh\n        secret: {secretName: gen-a}\n"
            }
            10 => {
                out += "spec:\n  template:\n    spec:\n      tolerations: [{key: a}]\n      hostAliases: [{ip: 1.1.1.1, hostnames: [x]}]\n      imagePullSecrets: [{name: web}]\n      topologySpreadConstraints:\n      - {topologyKey: zone, whenUnsatisfiable: x, maxSkew: 2}\n"
            }
            11 => {
                out += "spec:\n  template:\n    $patch: merge\n    metadata:\n      $patch: replace\n      labels: {only: this}\n"
            }
            12 => {
                out += "spec:\n  template:\n    spec:\n      containers:\n      - name: main\n        env: []\n        command: [a, b]\n        envFrom:\n        - configMapRef: {name: gen-a}\n        volumeMounts:\n        - {mountPath: /x, name: one}\n        - {mountPath: /x, name: two, subPath: s}\n"
            }
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
    for _ in 0..1 + random.below(3) {
        let choice = match random.below(100) {
            0..1 => 2,
            1..2 => 3,
            2..3 => 6,
            3..4 => 1,
            4..12 => 8,
            12..20 => 9,
            20..40 => 0,
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
            8 => "- op: add\n  path: /spec\n  value: {list: [1, {a: b}], text: \"0x1\"}\n- op: add\n  path: /spec/list/1\n  value: \"yes\"\n- op: move\n  from: /spec/list/0\n  path: /spec/moved\n- op: test\n  path: /spec/text\n  value: \"0x1\"\n".to_owned(),
            9 => "- op: add\n  path: /metadata/annotations\n  value: {example.org/x~y: \"1\"}\n- op: replace\n  path: /metadata/annotations/example.org~1x~0y\n  value: \"2\"\n- op: remove\n  path: /metadata/annotations/example.org~1x~0y\n".to_owned(),
            _ => format!("- op: add\n  path: /data\n  value:\n    n: {}\n", scalar(random, "    ")),
        };
    }
    out
}

fn target(random: &mut Random, kind: &str) -> String {
    let mut out = String::new();
    if random.chance(92) {
        out += &format!("    kind: {}\n", if random.chance(90) { kind } else { ".*Map|Secret" });
    }
    if random.chance(30) {
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

/// One entry of `patches`, marked for gathering.
pub fn patch(random: &mut Random, state: &State, files: &mut Files, dir: &str, out: &mut String) {
    let kind = state.pick(random).kind;
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
        *out += random.pick(&[
            "  options:\n    allowNameChange: true\n",
            "  options: {allowKindChange: true, allowNameChange: true}\n",
            "  options: {}\n",
        ]);
    }
}

/// `patchesStrategicMerge` and `patchesJson6902`.
pub fn legacy_patches(random: &mut Random, state: &State, files: &mut Files, dir: &str, out: &mut String) {
    if random.chance(12) {
        let body = merge_patch(random, state) + if random.chance(30) { "---\n" } else { "" };
        files.insert(format!("{dir}/legacy.yaml"), body);
        *out += "patchesStrategicMerge:\n- legacy.yaml\n";
    }
    if random.chance(10) {
        let Known { api_version, kind, name: own, .. } = state.pick(random);
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        *out += &format!(
            "patchesJson6902:\n- target:\n    group: \"{group}\"\n    version: {version}\n    kind: {kind}\n    name: {own}\n  patch: |-\n{}",
            indented(&json_patch(random, &kind), "    ")
        );
    }
}
