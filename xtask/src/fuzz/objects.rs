//! Kubernetes objects of the kinds that Kustomize knows something about.

use crate::random::Random;

/// Names that references use; most of them are names of objects.
const NAMES: [&str; 9] = ["web", "api", "db", "cfg", "front", "back", "gen-a", "gen-b", "nobody"];

/// Values that YAML versions and quoting disagree about, as they are written.
const SCALARS: [&str; 34] = [
    "plain",
    "\"yes\"",
    "yes",
    "'0123'",
    "0123",
    "1e3",
    "\"1e3\"",
    "true",
    "'true'",
    "~",
    "null",
    "\"\"",
    "''",
    "\"a: b\"",
    "1_000",
    "0x1F",
    "0o17",
    "1.50",
    "-0.0",
    ".5",
    "\"line one\\nline two\\n\"",
    "|\n{i}  block\n{i}  text\n",
    ">-\n{i}  folded\n{i}  text",
    "\"# no comment\"",
    "2001-01-01",
    "'it''s'",
    "\"tab\\there\"",
    "ünï",
    "\"\\u2028x\"",
    "a b  c",
    "'*'",
    "'- x'",
    "12345678901234567890",
    "on",
];
const TEXTS: [&str; 8] = ["plain", "\"yes\"", "'0123'", "'true'", "\"\"", "a b", "'1'", "x-y_z.9"];
const IMAGES: [&str; 9] = [
    "nginx",
    "nginx:1.19",
    "'nginx:1.19@sha256:abc'",
    "reg.example.org:5000/team/app:v1",
    "app@sha256:0011",
    "\"app:v2\"",
    "busybox:1",
    "my.reg/nginx:2",
    "nginx:1.19-alpine",
];

/// Any value, for a place that is indented by `indent`.
pub fn scalar(random: &mut Random, indent: &str) -> String {
    random.pick(&SCALARS).replace("{i}", indent)
}

/// A string value.
pub fn text(random: &mut Random) -> &'static str {
    random.pick(&TEXTS)
}

/// A name that others may use too.
pub fn name(random: &mut Random) -> &'static str {
    random.pick(&NAMES)
}

/// A mapping of labels, indented; "" for none.
pub fn labels(random: &mut Random, field: &str, indent: &str) -> String {
    if random.chance(50) {
        return String::new();
    }
    let mut out = format!("{indent}{field}:\n");
    for key in ["app", "tier", "example.org/part"].iter().take(1 + random.below(3)) {
        out += &format!("{indent}  {key}: {}\n", text(random));
    }
    out
}

fn meta(random: &mut Random, name: &str, namespaced: bool) -> String {
    let mut out = format!("metadata:\n  name: {name}\n");
    if namespaced && random.chance(25) {
        out += &format!("  namespace: {}\n", random.pick(&["default", "shop", "other"]));
    }
    out += &labels(random, "labels", "  ");
    if random.chance(20) {
        out += &format!("  annotations:\n    note: {}\n", text(random));
    }
    if random.chance(8) {
        out += "  # a comment\n  creationTimestamp: null\n";
    }
    out
}

fn pod(random: &mut Random, indent: &str) -> String {
    let mut out = format!("{indent}containers:\n");
    for (at, container) in ["main", "side"].iter().take(1 + random.below(2)).enumerate() {
        out += &format!("{indent}- name: {container}\n{indent}  image: {}\n", random.pick(&IMAGES));
        if random.chance(60) {
            out += &format!("{indent}  env:\n");
            out += &format!("{indent}  - name: PLAIN\n{indent}    value: {}\n", text(random));
            if random.chance(50) {
                let (source, field) =
                    if random.chance(50) { ("configMapKeyRef", "a") } else { ("secretKeyRef", "password") };
                out += &format!(
                    "{indent}  - name: REF\n{indent}    valueFrom:\n{indent}      {source}:\n{indent}        name: {}\n{indent}        key: {field}\n",
                    name(random)
                );
            }
            if random.chance(20) {
                out += &format!("{indent}  - name: VAR\n{indent}    value: pre-$(SERVICE)-post\n");
            }
        }
        if random.chance(30) {
            let source = random.pick(&["configMapRef", "secretRef"]);
            out +=
                &format!("{indent}  envFrom:\n{indent}  - {source}:\n{indent}      name: {}\n", name(random));
        }
        if random.chance(40) {
            out += &format!("{indent}  ports:\n{indent}  - containerPort: {}\n", 8080 + at);
            if random.chance(50) {
                out += &format!("{indent}    name: http\n{indent}    protocol: TCP\n");
            }
        }
        if random.chance(30) {
            out += &format!("{indent}  command: [sh, -c, \"echo $(SERVICE)\"]\n");
        }
    }
    if random.chance(30) {
        out +=
            &format!("{indent}initContainers:\n{indent}- {{name: init, image: {}}}\n", random.pick(&IMAGES));
    }
    if random.chance(50) {
        out += &format!("{indent}volumes:\n");
        out += &format!("{indent}- name: one\n{indent}  configMap: {{name: {}}}\n", name(random));
        if random.chance(50) {
            out += &format!(
                "{indent}- name: two\n{indent}  secret:\n{indent}    secretName: {}\n",
                name(random)
            );
        }
        if random.chance(30) {
            out += &format!(
                "{indent}- name: three\n{indent}  projected:\n{indent}    sources:\n{indent}    - configMap:\n{indent}        name: {}\n",
                name(random)
            );
        }
        if random.chance(30) {
            out += &format!(
                "{indent}- name: four\n{indent}  persistentVolumeClaim: {{claimName: web-data}}\n{indent}- name: five\n{indent}  emptyDir: {{}}\n"
            );
        }
    }
    if random.chance(30) {
        out += &format!("{indent}serviceAccountName: {}\n", name(random));
    }
    if random.chance(20) {
        out += &format!("{indent}imagePullSecrets:\n{indent}- name: {}\n", name(random));
    }
    out
}

fn workload(random: &mut Random, kind: &str, own: &str) -> String {
    let mut out = format!("apiVersion: apps/v1\nkind: {kind}\n{}spec:\n", meta(random, own, true));
    if random.chance(60) {
        out += &format!("  replicas: {}\n", random.below(4));
    }
    if random.chance(80) {
        out += &format!("  selector:\n    matchLabels:\n      app: {}\n", text(random));
    }
    out += "  template:\n";
    if random.chance(80) {
        out += &format!("    metadata:\n      labels:\n        app: {}\n", text(random));
    }
    out += "    spec:\n";
    out += &pod(random, "      ");
    if kind == "StatefulSet" {
        out += &format!("  serviceName: {}\n", name(random));
        if random.chance(50) {
            out += "  volumeClaimTemplates:\n  - metadata: {name: data}\n    spec: {accessModes: [ReadWriteOnce]}\n";
        }
    }
    out
}

fn simple(random: &mut Random, kind: &str, own: &str) -> String {
    let mut out = format!("apiVersion: v1\nkind: {kind}\n{}", meta(random, own, true));
    out += if kind == "Secret" && random.chance(50) { "stringData:\n" } else { "data:\n" };
    for key in ["a", "b", "c.yaml"].iter().take(random.below(4)) {
        out += &format!("  {key}: {}\n", scalar(random, "  "));
    }
    if random.chance(20) {
        out += "immutable: true\n";
    }
    out
}

fn rbac(random: &mut Random, own: &str) -> String {
    let (scope, namespaced) = if random.chance(50) { ("Cluster", false) } else { ("", true) };
    let account = own;
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {scope}RoleBinding\n{}roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {scope}Role\n  name: {own}\nsubjects:\n- kind: ServiceAccount\n  name: {account}\n  namespace: {}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {scope}Role\n{}rules:\n- apiGroups: ['']\n  resources: [configmaps]\n  resourceNames: [{}]\n  verbs: [get]\n---\napiVersion: v1\nkind: ServiceAccount\n{}",
        meta(random, own, namespaced),
        random.pick(&["default", "shop", "other"]),
        meta(random, own, namespaced),
        name(random),
        meta(random, account, true),
    )
}

/// Kinds with rules of their own for names and namespaces.
fn special(random: &mut Random, own: &str) -> String {
    match random.below(8) {
        0 => format!("apiVersion: v1\nkind: Namespace\n{}", meta(random, random_namespace(own), false)),
        1 => format!(
            "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\n{}webhooks:\n- name: a.example.org\n  clientConfig:\n    service: {{name: {}, namespace: {}}}\n",
            meta(random, own, false),
            name(random),
            random.pick(&["default", "shop"])
        ),
        2 => format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n{}spec:\n  group: example.org\n  names: {{kind: Widget, plural: widgets}}\n  scope: Cluster\n  conversion:\n    webhook:\n      clientConfig:\n        service: {{name: {}, namespace: default}}\n",
            meta(random, own, false),
            name(random)
        ),
        3 => format!(
            "apiVersion: example.org/v1\nkind: Doc\n{}data:\n  doc: |\n    # a comment\n    top: {{inner: old, n: 1}}  # at the end\n    list:\n    - name: a\n      v: 1\n    - {{name: b, v: \"2\"}}\n  json: '{{\"a\": {{\"b\": \"<old>\"}}, \"l\": [1, true, null], \"f\": 1.50}}'\n  pretty: |-\n    {{\n      \"k\": \"v\",\n      \"z\": []\n    }}\n",
            meta(random, own, true)
        ),
        4 => format!(
            "apiVersion: v1\nkind: ConfigMap\n{}x-base: &base\n  one: 1\n  two: \"2\"\ndata:\n  <<: *base\n  two: over\n  text: &t |\n    shared\n  again: *t\n",
            meta(random, own, true)
        ),
        5 => format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\n{}spec:\n  volumeName: {}\n  storageClassName: {}\n---\napiVersion: v1\nkind: PersistentVolume\n{}spec:\n  claimRef: {{name: {own}, namespace: default}}\n",
            meta(random, own, true),
            own,
            name(random),
            meta(random, own, false)
        ),
        6 => format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n{}spec:\n  podSelector:\n    matchLabels: {{app: {}}}\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels: {{tier: x}}\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\n{}spec:\n  selector: {{}}\n",
            meta(random, own, true),
            text(random),
            meta(random, own, true)
        ),
        _ => format!(
            "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\n{}spec:\n  service: {{name: {}, namespace: other}}\n---\napiVersion: batch/v1\nkind: Job\n{}spec:\n  template:\n    spec:\n      restartPolicy: Never\n{}",
            meta(random, own, false),
            name(random),
            meta(random, own, true),
            pod(random, "      ")
        ),
    }
}

/// Namespaces are named as objects' namespaces are.
fn random_namespace(own: &str) -> &str {
    if own.len().is_multiple_of(2) { "shop" } else { own }
}

/// One object (or a few that belong together), by name.
pub fn object(random: &mut Random, own: &str) -> String {
    match random.below(17) {
        14..=16 => special(random, own),
        0..=2 => workload(random, "Deployment", own),
        3 => workload(random, "StatefulSet", own),
        4 => workload(random, "DaemonSet", own),
        5 | 6 => simple(random, "ConfigMap", own),
        7 => simple(random, "Secret", own),
        8 => format!(
            "apiVersion: v1\nkind: Service\n{}spec:\n  ports:\n  - port: 80\n    targetPort: http\n{}",
            meta(random, own, true),
            labels(random, "selector", "  ")
        ),
        9 => rbac(random, own),
        10 => format!(
            "apiVersion: batch/v1\nkind: CronJob\n{}spec:\n  schedule: '*/5 * * * *'\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          restartPolicy: Never\n{}",
            meta(random, own, true),
            pod(random, "          ")
        ),
        11 => format!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\n{}spec:\n  tls:\n  - hosts: [example.org]\n    secretName: {}\n  rules:\n  - host: example.org\n    http:\n      paths:\n      - path: /\n        pathType: Prefix\n        backend:\n          service: {{name: {}, port: {{number: 80}}}}\n",
            meta(random, own, true),
            name(random),
            name(random)
        ),
        12 => format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n{}spec:\n  maxReplicas: 3\n  scaleTargetRef:\n    apiVersion: apps/v1\n    kind: {}\n    name: {}\n",
            meta(random, own, true),
            random.pick(&["Deployment", "StatefulSet"]),
            name(random)
        ),
        _ => format!(
            "apiVersion: example.org/v1\nkind: Widget\n{}spec:\n  size: {}\n  configName: {}\n  items:\n  - name: one\n    value: {}\n  - name: two\n    value: {}\n  plain: [1, two, {{x: y}}]\n",
            meta(random, own, true),
            scalar(random, "  "),
            name(random),
            scalar(random, "    "),
            scalar(random, "    ")
        ),
    }
}
