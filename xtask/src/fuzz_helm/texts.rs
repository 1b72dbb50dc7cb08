//! Charts as texts: documents and hooks, functions on dates, versions and patterns, files, schemas, flaws for lint.

use super::programs::Job;
use crate::random::Random;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A chart's files with its `Chart.yaml`.
pub fn chart(more: &str, files: &[(&str, &str)]) -> BTreeMap<String, String> {
    let meta = format!("apiVersion: v2\nname: fuzz\nversion: 0.1.0\nappVersion: \"7\"\n{more}");
    let all = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    all.chain([("Chart.yaml".to_owned(), meta)]).collect()
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// An object that may be a hook, or something that is none.
fn document(random: &mut Random) -> String {
    if random.chance(6) {
        return random.pick(&["", "# comment", "\n\n", "null", "[]", "text", "a: [", "- x"]).to_owned();
    }
    let mut marks = Map::new();
    let mut mark = |random: &mut Random, percent: usize, key: &str, values: &[&str]| {
        if random.chance(percent) {
            marks.insert(key.to_owned(), json!(random.pick(values)));
        }
    };
    let hooks = [
        "pre-install",
        "post-install",
        "test",
        "test-success",
        "pre-upgrade,post-upgrade",
        "nonsense",
        " test ",
    ];
    mark(random, 40, "helm.sh/hook", &hooks);
    mark(random, 40, "helm.sh/hook-weight", &["1", "-5", "abc", "10", "", "0x1"]);
    mark(
        random,
        20,
        "helm.sh/hook-delete-policy",
        &["hook-succeeded", "before-hook-creation,hook-failed", "x"],
    );
    mark(random, 10, "helm.sh/resource-policy", &["keep"]);
    let kinds = [
        "ConfigMap",
        "Secret",
        "Deployment",
        "Service",
        "Namespace",
        "CustomResourceDefinition",
        "Role",
        "Job",
        "Widget",
        "Ingress",
        "List",
        "ServiceAccount",
        "APIService",
        "NetworkPolicy",
        "StorageClass",
    ];
    let versions = ["v1", "apps/v1", "batch/v1", "extensions/v1beta1", "x.io/v1"];
    let name = format!("{}{}", random.pick(&["a", "b", "B_d", ""]), random.below(10));
    let object = json!({
        "apiVersion": random.pick(&versions), "kind": random.pick(&kinds),
        "metadata": {"name": name, "annotations": marks},
    });
    object.to_string()
}

fn stream(random: &mut Random) -> String {
    let mut text = random.pick(&["", "---\n", "# top\n---\n", "\n---   \n", "--- # x\n"]).to_owned();
    for number in 0..=random.below(4) {
        if number > 0 {
            text.push_str(random.pick(&[
                "\n---\n",
                "\n--- \n",
                "\n----\n",
                "\n---x\n",
                "\n\n---\n\n",
                "\r\n---\r\n",
            ]));
        }
        text.push_str(&document(random));
    }
    text + random.pick(&["", "\n", "\n---", "\n---\n# end\n"])
}

/// Templates and CRDs full of documents, shown in part.
pub fn documents(random: &mut Random) -> Job {
    let names = [
        "a.yaml",
        "b.yml",
        "sub/c.yaml",
        "_x.tpl",
        "d.txt",
        "NOTES.txt",
        "e.json",
        "tests/t.yaml",
        ".hid.yaml",
    ];
    let mut files = chart("", &[("values.yaml", "")]);
    for _ in 0..=random.below(4) {
        let text = stream(random);
        files.insert(format!("templates/{}", random.pick(&names)), text);
    }
    if random.chance(50) {
        let text = stream(random);
        files.insert(format!("crds/{}", random.pick(&["a.yaml", "b.txt", "sub/c.yaml"])), text);
    }
    let mut arguments = words("template x .");
    let flags = [
        "--no-hooks",
        "--skip-tests",
        "--include-crds",
        "--is-upgrade",
        "--skip-crds",
        "-n other",
        "--api-versions x.io/v1",
        "--kube-version 1.20",
        "--kube-version x",
        "-s templates/a.yaml",
        "-s templates/*.yaml",
        "-s templates/nope.yaml",
        "-s templates/sub/*",
        "-s templates/NOTES.txt",
        "--dry-run",
    ];
    for _ in 0..random.below(4) {
        let flag = words(random.pick(&flags));
        if flag.len() == 1 || !arguments.contains(&flag[0]) {
            arguments.extend(flag);
        }
    }
    Job { files, arguments, words: true }
}

const DATES: &[&str] =
    &["2024-02-29T10:11:12Z", "2023-12-31T23:59:59+05:30", "1970-01-01", "12:30:45", "2024-1-2", "x", ""];
const LAYOUTS: &[&str] = &[
    "2006-01-02",
    "2006-01-02T15:04:05Z07:00",
    "Mon Jan _2 15:04:05 2006",
    "02/01/06 03:04PM",
    "15:04:05.000",
    ".999",
    "Monday, January 2 2006 MST -0700",
    "002 __2",
    "Z0700",
    "Jan",
    "1/2",
    "pm",
    "",
];
const TIMES: &[&str] = &["1h30m", "-2h", "5s", "1.5h", "1d", "x", "90061s", "0", "300ms", ""];
const VERSIONS: &[&str] = &[
    "1.2.3",
    "v1.2",
    "1",
    "1.2.3-alpha.1",
    "1.2.3-rc.10+b.1",
    "x",
    "1.2.3.4",
    "01.2.3",
    "1.2.3-01",
    "0.0.0",
    "",
];
const RANGES: &[&str] = &[
    "^1.2",
    "~1.2.3",
    ">=1.0.0 <2.0.0",
    "1.x",
    "*",
    ">1.2.3-0",
    "=1.2.3",
    "!=1.2.3",
    "1.2 - 2.0",
    "^0.0.3",
    "~0",
    "<2 || >=3",
    "~>1.2",
    "=>1",
    "x",
    "",
    ">= 1.0, < 2",
    "^1.2.3-rc",
    "1.2.x-0",
    ">a",
    "^",
];
const PATTERNS: &[&str] = &[
    "[a-z]+",
    "(a)(b)?",
    "^a|c$",
    "(?i)HELLO",
    "(",
    "a{2,3}",
    "\\\\d+",
    "\\\\bw",
    "(?P<n>.)b",
    ".*",
    "",
    "[^a]",
    "x*",
    "\\\\pL+",
    "a**",
    "(?=x)",
    "[[:alpha:]]+",
    "é",
];
const LINES: &[&str] =
    &["aab abc", "Hello World", "a.b", "", "line1\\nline2", "ünïcødé 日本", "aaaa", "12-34", "tab\\there"];
const YAMLS: &[&str] = &[
    "a: 1",
    "- 1",
    "a: [",
    "a: b: c",
    "\\ta: 1",
    "text",
    "",
    "null",
    "a: 1\\na: 2",
    "{a: 1}",
    "a: *x",
    "&x a: *x",
    "a: !!binary aGk=",
    "1: 2",
    "? a\\n: b",
    "---\\na: 1\\n---\\nb: 2",
    "true: x",
    "a: 2001-01-01",
    "a: 0o7",
    "<<: {a: 1}",
];
const JSONS: &[&str] =
    &["{\\\"a\\\":1}", "[1]", "{", "", "null", "1", "{\\\"a\\\":1}x", "[1,]", "{a:1}", "[9007199254740993]"];

/// One call. `L`, `D` … stand for a text of their kind.
fn call(random: &mut Random) -> String {
    let calls = [
        "date L (toDate L D)",
        "dateInZone L (toDate L D) Z",
        "dateModify T (toDate \"2006-01-02\" \"2024-02-28\") | date L",
        "mustDateModify T (toDate \"2006-01-02\" \"2024-02-28\") | unixEpoch",
        "durationRound T",
        "duration T",
        "htmlDate (toDate L D)",
        "mustToDate L D",
        "semverCompare R V",
        "semver V | toJson",
        "(semver V).Compare (semver V)",
        "(semver V).IncMinor",
        "(semver V).Prerelease",
        "regexMatch P S",
        "mustRegexMatch P S",
        "regexFind P S | quote",
        "regexFindAll P S 2 | toJson",
        "regexReplaceAll P S \"${1}x\" | quote",
        "regexReplaceAllLiteral P S \"$1\" | quote",
        "regexSplit P S -1 | toJson",
        "regexQuoteMeta S | quote",
        "fromYaml Y | toJson",
        "fromYamlArray Y | toJson",
        "fromJson J | toJson",
        "fromJsonArray J | toJson",
        "toToml (fromYaml Y) | quote",
        "tpl S . | quote",
    ];
    let mut out = String::new();
    for word in random.pick(&calls).split_inclusive([' ', ')']) {
        let (head, tail) = word.split_at(word.trim_end_matches([' ', ')']).len());
        let bare = head.trim_start_matches('(');
        let kind = match bare {
            "L" => LAYOUTS,
            "D" => DATES,
            "T" => TIMES,
            "V" => VERSIONS,
            "R" => RANGES,
            "P" => PATTERNS,
            "S" => LINES,
            "Y" => YAMLS,
            "J" => JSONS,
            "Z" => &["UTC", "America/New_York", "Asia/Kolkata", "x", ""],
            _ => {
                out.push_str(word);
                continue;
            }
        };
        out.push_str(&head[..head.len() - bare.len()]);
        out.push_str(&format!("\"{}\"{tail}", random.pick(kind)));
    }
    out
}

/// Calls with right and wrong texts.
pub fn functions(random: &mut Random) -> Job {
    let text = format!("k: {{{{ {} }}}}\n", call(random));
    Job { files: chart("", &[("templates/a.yaml", &text)]), arguments: words("template x ."), words: true }
}

/// What `.Files` gives for patterns, with `.helmignore`.
pub fn files(random: &mut Random) -> Job {
    let calls = [
        "(.Files.Get P) | quote",
        ".Files.Lines P | toJson",
        "(.Files.Glob P).AsConfig | nindent 2",
        "(.Files.Glob P).AsSecrets | nindent 2",
        ".Files.Glob P | len",
        "tpl (.Files.Get P) . | quote",
        ".Files.GetBytes P | toString | quote",
        ".Files | len",
    ];
    let patterns = [
        "f/*",
        "**",
        "f/**",
        "*.txt",
        "f/a.txt",
        "nope",
        "f/{a,e}.txt",
        "f/[ab]*",
        "[",
        "f/sub/*",
        "",
        "values.yaml",
        "templates/*",
        "**/*.yaml",
        "f/?.txt",
        "!f",
        ".helmignore",
    ];
    let text = format!(
        "k: {{{{ {} }}}}\n",
        random.pick(&calls).replace('P', &format!("\"{}\"", random.pick(&patterns)))
    );
    let ignore =
        random.pick(&["", "f/sub\n", "*.md\n!README.md\n", "d.*\n", "/f\n", "f/\n", "\n# x\n ?.txt\n"]);
    let all = [
        ("values.yaml", "a: 1\n"),
        ("f/a.txt", "x\ny\n"),
        ("f/b.bin", "\0\u{1}é"),
        ("f/sub/c.yaml", "k: {{ .Values.a }}\n"),
        ("README.md", "# r\n"),
        ("d.txt", "no newline"),
        ("f/e.txt", ""),
        (".helmignore", ignore),
        ("templates/a.yaml", &text),
    ];
    Job { files: chart("", &all), arguments: words("template x ."), words: true }
}

fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth < 3 { 9 } else { 6 }) {
        0 => Value::Null,
        1 => json!(random.chance(50)),
        2 => json!(random.below(40)),
        3 => json!(random.pick(&["", "a", "abc", "1", "2020-01-01", "x@y.z"])),
        4 => json!(0.5),
        5 => json!(-3),
        6 => (0..random.below(3)).map(|_| value(random, depth + 1)).collect(),
        _ => Value::Object(
            (0..random.below(4))
                .map(|at| (["a", "b", "c", "d"][at].into(), value(random, depth + 1)))
                .collect(),
        ),
    }
}

fn rules(random: &mut Random, depth: usize) -> Value {
    let mut out = Map::new();
    for _ in 0..random.below(4) {
        let inner = if depth < 3 { rules(random, depth + 1) } else { json!({}) };
        let (key, rule) = match random.below(18) {
            0 => (
                "type",
                json!(random.pick(&["object", "array", "string", "integer", "number", "boolean", "null"])),
            ),
            1 => ("enum", json!([value(random, 2), value(random, 2)])),
            2 => ("const", value(random, 2)),
            3 => ("minimum", json!(random.below(20))),
            4 => ("multipleOf", json!(2)),
            5 => ("minLength", json!(random.below(4))),
            6 => ("pattern", json!(random.pick(&["^a", "b$", "[0-9]+"]))),
            7 => ("items", inner),
            8 => ("uniqueItems", json!(true)),
            9 => ("properties", json!({(random.pick(&["a", "b", "c"])): inner})),
            10 => ("required", json!([random.pick(&["a", "b", "e"])])),
            11 => ("additionalProperties", json!(random.chance(50))),
            12 => ("patternProperties", json!({"^[ab]": inner})),
            13 => ("maxProperties", json!(random.below(4))),
            14 => (random.pick(&["anyOf", "oneOf", "allOf"]), json!([inner, rules(random, 3)])),
            15 => ("not", inner),
            16 => ("if", inner),
            _ => (random.pick(&["then", "else", "contains", "propertyNames"]), inner),
        };
        out.insert(key.to_owned(), rule);
    }
    Value::Object(out)
}

/// Values under a schema of some draft; the verdict counts.
pub fn schema(random: &mut Random) -> Job {
    let mut all = rules(random, 0);
    let drafts = [
        "http://json-schema.org/draft-04/schema#",
        "http://json-schema.org/draft-06/schema#",
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
    ];
    all["$schema"] = json!(random.pick(&drafts));
    all["properties"]["b"] = rules(random, 1);
    if random.chance(30) {
        all["properties"]["c"] = json!({"$ref": "#/properties/b"});
    }
    let values = json!({"a": value(random, 1), "b": value(random, 1), "c": value(random, 1)});
    let (schema, values) = (all.to_string(), values.to_string());
    let files = [
        ("values.schema.json", &*schema),
        ("values.yaml", &*values),
        ("templates/a.yaml", "v: {{ .Values | toJson }}\n"),
    ];
    Job { files: chart("", &files), arguments: words("template x ."), words: false }
}

/// Charts with flaws.
pub fn lint(random: &mut Random) -> Job {
    let mut job = documents(random);
    let mut meta = String::new();
    for (key, values) in [
        ("apiVersion", &["v2", "v2", "v1", "v3", "\"\""][..]),
        ("name", &["fuzz", "fuzz", "Fuzz", "\"a b\"", "../x"]),
        ("version", &["0.1.0", "0.1.0", "1", "v1.2.3", "x", "0.1.0+b"]),
        ("appVersion", &["\"7\"", "7", "1.5", "true"]),
        ("type", &["application", "library", "x"]),
        ("icon", &["https://e.com/i.png", "x", "\"\""]),
        ("maintainers", &["[]", "[{name: a}]", "[{email: x}]", "[{name: a, email: bad}]", "[null]"]),
        ("sources", &["[]", "[x, \"https://a.b\"]"]),
        (
            "dependencies",
            &[
                "[]",
                "[{name: two, version: x, repository: \"https://e.com\"}]",
                "[{name: o}, {name: o}]",
                "[null]",
            ],
        ),
        ("annotations", &["{}", "{a: 1}", "{a: b}"]),
    ] {
        if random.chance(70) || matches!(key, "name" | "version") {
            meta.push_str(&format!("{key}: {}\n", random.pick(values)));
        }
    }
    job.files.insert("Chart.yaml".into(), meta);
    let flaws = [
        "a: {{ .Values.x.y }}",
        "a: {{ required \"need x\" .Values.x }}",
        "{{ fail \"no\" }}",
        "a: {{ nope }}",
        "\tkind: x",
        "a: {{ include \"none\" . }}",
        "apiVersion: v1\nkind: List\nitems: 5\n",
    ];
    job.files.insert("templates/z.yaml".into(), random.pick(&flaws).to_owned());
    job.arguments = words(random.pick(&["lint .", "lint . --strict", "lint . --quiet", "lint . --set a=1"]));
    job
}
