//! What is fuzzed, the pieces that inputs are made of, and what must hold for every input.
//!
//! `fuzz/` (the build with coverage) includes this file too.

use std::collections::BTreeMap;

/// Reads an input; what is wrong with how it was read.
pub type Check = fn(&[u8]) -> Result<(), String>;

/// A reader of what strangers write.
pub struct Target {
    /// Its name on the command line, and of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// What inputs are made of.
    pub pieces: &'static [&'static str],
    /// What must hold.
    pub check: Check,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "yaml", pieces: YAML, check: yaml },
    Target { name: "template", pieces: TEMPLATE, check: template },
    Target { name: "execute", pieces: TEMPLATE, check: execute },
    Target { name: "archive", pieces: YAML, check: archive },
    Target { name: "set", pieces: SET, check: set },
    Target { name: "selector", pieces: SELECTOR, check: selector },
    Target { name: "patch", pieces: PATCH, check: patch },
    Target { name: "fields", pieces: FIELDS, check: fields },
    Target { name: "cel", pieces: CEL, check: cel },
];

const CEL: &[&str] = &[
    "self",
    "oldSelf",
    ".items",
    ".name",
    ".?name",
    "[0]",
    "[?0]",
    "size(",
    ")",
    "(",
    " == ",
    " != ",
    " < ",
    " in ",
    " && ",
    " || ",
    "!",
    "-",
    " + ",
    " * ",
    " / ",
    " % ",
    " ? ",
    " : ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "1",
    "0",
    "9223372036854775807",
    "1u",
    "1.5e300",
    "'a'",
    "\"\\u00e9\"",
    "b'x'",
    "true",
    "null",
    ".all(x, ",
    ".exists(x, ",
    ".map(x, ",
    ".filter(x, ",
    "x",
    "has(self.name)",
    ".matches('a*b')",
    ".startsWith(",
    ".orValue(",
    "quantity('1Gi')",
    "ip('10.0.0.1')",
    "duration('1h')",
    "timestamp('2026-01-01T00:00:00Z')",
    "int(",
    "string(",
    "dyn(",
    ".sum()",
    ".split(',')",
    "//",
    "\n",
    "é",
];

const SELECTOR: &[&str] = &[
    "a",
    "b.c/d",
    "=",
    "==",
    "!=",
    "!",
    " in ",
    " notin ",
    "(",
    ")",
    ",",
    " ",
    "x",
    ">",
    "<",
    "1",
    "é",
    "\\",
    "metadata.name",
    "{.a",
    "}",
    "[*]",
    "[0:2]",
    "[?(@.b==1)]",
    "..",
    "{range .a[*]}",
    "{end}",
    "'a'",
    "\"",
    "$",
    "\n",
];

const PATCH: &[&str] = &[
    "{\"a\":",
    "}",
    "{",
    "[",
    "]",
    ",",
    "\"b\":",
    "null",
    "1",
    "\"x\"",
    "{}",
    "[]",
    "\n",
    "{\"op\":\"add\",\"path\":\"/a/-\",\"value\":1}",
    "{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/0\"}",
    "{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}",
    "{\"op\":\"remove\",\"path\":\"/a/0\"}",
    "{\"op\":\"test\",\"path\":\"\",\"value\":{}}",
    "{\"op\":\"replace\",\"path\":\"/a~1b~0\",\"value\":[]}",
    "{\"a\":[1,2,{\"b\":null}]}",
];

const FIELDS: &[&str] = &[
    "{\"f:a\":",
    "{\".\":{},",
    "\"k:{\\\"name\\\":\\\"x\\\"}\":",
    "\"v:1\":",
    "\"i:0\":",
    "{}",
    "}",
    ",",
    "\"f:b\":",
    "\"v:\\\"s\\\"\":",
    "\"k:{\":",
    "\"x\":",
    "[]",
    "null",
    "\"f:\":",
    "\"i:-1\":",
];

const YAML: &[&str] = &[
    "a",
    "b: ",
    "- ",
    "? ",
    ": ",
    "\n",
    "\n  ",
    "\n    ",
    "# c\n",
    " # c",
    "'",
    "\"",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&x ",
    "*x",
    "!!str ",
    "!!binary ",
    "!t ",
    "|\n",
    ">\n",
    "|-\n  ",
    ">+2\n",
    "\\",
    "\\u00e9",
    "\t",
    "\r\n",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "%TAG ! x:\n",
    "<<: ",
    "~",
    "1",
    "-0x1f",
    "1e3",
    ".inf",
    "2001-01-01",
    "\u{85}",
    "\u{2028}",
    "é",
    "😀",
    "\u{feff}",
    "yes",
    "kind: X\n",
    "metadata: {name: x}\n",
    "a: &x {b: 1}\n",
    "c: [*x, *x]\n",
    "key: value\n",
    "- - - ",
    "\"\\x41\"",
    "'it''s'",
    "0777",
    "1_000",
    "12:30",
    "NaN",
    "=",
];

const TEMPLATE: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    " ",
    "\n",
    "text",
    ".",
    ".Values",
    ".Values.a",
    ".x.y",
    "$",
    "$x",
    ":=",
    " = ",
    "|",
    "(",
    ")",
    "\"s\"",
    "`raw`",
    "'c'",
    "1",
    "-2.5",
    "0x1F",
    "1e3",
    "nil",
    "true",
    "if ",
    "else ",
    "else if ",
    "end",
    "range ",
    "with ",
    "define \"t\"",
    "template \"t\" . ",
    "block \"b\" . ",
    "break",
    "continue",
    "include \"t\" .",
    "tpl \"{{ . }}\" .",
    "{{ if .Values.a }}",
    "{{ range .Values.list }}",
    "{{ end }}",
    "{{ . }}",
    "{{ $x := .Values.a }}",
    "{{ $x }}",
    "{{ range $i, $e := until 3 }}",
    "{{ toYaml .Values | nindent 2 }}",
    "{{ printf \"%v %5d\" . 3 }}",
    "{{/* c */}}",
    "{{ define \"t\" }}",
    "{{ with .Values.map }}",
    "{{ else }}",
    "quote ",
    "default 1 ",
    "index . 0 ",
    "dict \"a\" 1 ",
    "list 1 2 ",
    "regexMatch \"a+\" \"aa\" ",
    "len ",
    "slice \"abc\" 1 2 ",
    "date \"2006\" now ",
    "semverCompare \">1\" \"2.0.0\" ",
    "merge (dict) ",
    "set ",
    "get ",
    "keys ",
    "substr 0 2 ",
    "trunc -1 ",
    "splitList \",\" ",
    "fromYaml ",
    "toJson ",
    "b64dec ",
    "add 1 ",
    "div 1 0 ",
    "mod 1 0 ",
    "until -5 ",
    "seq 0 2 9 ",
    "repeat 3 ",
    "urlParse ",
    "atoi ",
    "kindOf ",
    "fail \"x\" ",
];

const SET: &[&str] = &[
    "a",
    "b.c",
    "=",
    "1",
    ",",
    ".",
    "[",
    "]",
    "[0]",
    "[1]",
    "[-1]",
    "[99999999999]",
    "[65537]",
    "{",
    "}",
    "{1,2}",
    "\\",
    "\\.",
    "\\,",
    "null",
    "true",
    "\"",
    "'",
    " ",
    "a.b=c",
    "a[0].b=1",
    "x={}",
    "json={\"a\":1}",
    "é",
    "\n",
    "0777",
    "1e9",
    "..",
    "==",
];

fn yaml(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let value = members(&text)?;
    // Long texts are skimmed first.
    members(&format!("#{}\n{text}", "-".repeat(2000)))?;
    // Go prints the key `<<` as it is, quoted before or not, and reads it as a merge; it prints the line breaks that
    // are not ASCII as they are, and reads them as spaces; and it reads the -0 of JSON as 0.
    if let Some(value) = value
        && !text.contains("<<")
        && !value.to_string().contains(['\u{85}', '\u{2028}', '\u{2029}'])
        && !value.to_string().contains("-0.0")
    {
        let again = yaml::from_str(&yaml::to_string(&value));
        if again.as_ref().ok() != Some(&value) {
            return Err("what is printed does not read back".into());
        }
    }
    let _strict = yaml::from_str_strict(&text);
    if let Ok(nodes) = yaml::parse_nodes(&text) {
        for node in &nodes {
            let _printed = yaml::emit(node);
        }
    }
    Ok(())
}

/// Some members of a text must be those of the whole.
fn members(text: &str) -> Result<Option<serde_json::Value>, String> {
    let whole = yaml::from_str(text);
    let some = yaml::from_str_members(text, &["a", "kind", "metadata"]);
    match (&whole, &some) {
        (Err(a), Err(b)) if a.to_string() == b.to_string() => {}
        (Ok(serde_json::Value::Object(whole)), Ok(serde_json::Value::Object(some))) => {
            if some.iter().any(|(key, value)| whole.get(key) != Some(value))
                || whole.contains_key("a") != some.contains_key("a")
            {
                return Err("a member differs when only some are read".into());
            }
        }
        (Ok(a), Ok(b)) if a == b => {}
        _ => return Err("reading some members ends otherwise than reading all".into()),
    }
    Ok(whole.ok())
}

fn template(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let mut set = gotemplate::Templates::helm(false);
    if set.parse("t", &text).is_err() {
        return Ok(());
    }
    let printed = set.canonical("t").unwrap_or_default();
    // What a definition holds is not printed with the text around it.
    if set.names().len() > 1 {
        return Ok(());
    }
    let mut again = gotemplate::Templates::helm(false);
    // Text may look like an action once the comment between two braces is gone.
    if again.parse("t", &printed).is_ok() && again.canonical("t").as_deref() != Some(printed.as_str()) {
        return Err("its own form reads as another one".into());
    }
    Ok(())
}

fn execute(input: &[u8]) -> Result<(), String> {
    let values = b"a: 1\nlist: [1, x, {y: z}]\nmap: {k: v}\ntext: abc\n".to_vec();
    let files = [("values.yaml", values), ("templates/a.yaml", input.to_vec())];
    render(&files, helm::Limits { steps: 100_000, output: 1 << 20, ..helm::Limits::default() })
}

fn render(files: &[(&str, Vec<u8>)], limits: helm::Limits) -> Result<(), String> {
    let mut all =
        BTreeMap::from([("Chart.yaml".to_owned(), b"apiVersion: v2\nname: x\nversion: 1.0.0\n".to_vec())]);
    all.extend(files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())));
    let Ok(chart) = helm::Chart::from_files(all) else { return Ok(()) };
    let world = helm::NoCluster::new("2026-01-02T03:04:05Z".parse().map_err(|_| "no time")?, [7; 32]);
    let options = helm::RenderOptions { limits, ..Default::default() };
    let lean = helm::RenderOptions { heads_only: true, ..options.clone() };
    let values = helm::Values::new();
    let print = |options| {
        helm::render(&chart, &values, options, &world)
            .and_then(|rendered| rendered.to_template(&Default::default()))
            .map_err(|error| error.to_string())
    };
    let random = files.iter().any(|(_, bytes)| {
        let text = String::from_utf8_lossy(bytes);
        ["rand", "uuid", "gen", "shuffle", "bcrypt", "htpasswd", "encrypt"]
            .iter()
            .any(|word| text.contains(word))
    });
    match print(&options) == print(&lean) || random {
        true => Ok(()),
        false => Err("with heads alone it renders otherwise".into()),
    }
}

/// A packed chart with the input as its files, whole and damaged.
fn archive(input: &[u8]) -> Result<(), String> {
    let half = input.split_at(input.len() / 2);
    let files = [
        helm::File::new("Chart.yaml", half.0),
        helm::File::new("values.yaml", half.1),
        helm::File::new("templates/a.yaml", input),
        helm::File::new("charts/y/Chart.yaml", half.1),
    ];
    let mut packed = helm::chart::write_archive("x", &files, 0).map_err(|error| error.to_string())?;
    let _whole = helm::Chart::from_archive(&packed);
    let at = input.iter().map(|byte| usize::from(*byte)).sum::<usize>() % packed.len();
    packed[at] ^= 1 << (input.len() % 8);
    let _damaged = helm::Chart::from_archive(&packed);
    packed.truncate(at);
    let _cut = helm::Chart::from_archive(&packed);
    Ok(())
}

fn set(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let mut values = helm::Values::new();
    let _ = values.set(&text);
    let _ = values.set_string(&text);
    let _ = values.set_json(&text);
    let _ = values.set_literal(&text);
    let _ = values.set_file(&text, &mut |path| Ok(path.to_owned()));
    let json = values.to_json();
    match helm::Values::from_json(json.clone()) {
        Ok(again) if again.to_json() == json => Ok(()),
        Ok(_) => Err("the values read back otherwise".into()),
        Err(_) => Ok(()),
    }
}

/// Selectors of labels and fields, and paths into JSON. What is printed is read as the same.
fn selector(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let _ = object::FieldSelector::parse(&text);
    let sample = serde_json::json!({"a": [{"b": 1}, {"b": [2, {"c": "x"}]}], "metadata": {"name": "n"}});
    for path in [object::jsonpath::JsonPath::template(&text), object::jsonpath::JsonPath::path(&text)]
        .into_iter()
        .flatten()
    {
        let _ = path.find(&sample);
        let _ = path.render(&sample);
    }
    let Ok(selector) = object::LabelSelector::parse(&text) else { return Ok(()) };
    let shown = selector.to_string();
    match object::LabelSelector::parse(&shown) {
        Ok(again) if again.to_string() == shown => Ok(()),
        other => Err(format!("{shown} is read as {other:?}")),
    }
}

/// A rule of a custom resource's schema: whoever writes one may write anything. What cannot be read is told when it is
/// written, and what can be is asked of objects, old and new.
fn cel(input: &[u8]) -> Result<(), String> {
    let rule = String::from_utf8_lossy(input);
    let schema = serde_json::json!({
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "items": {"type": "array", "items": {"type": "integer"}},
        },
        "x-kubernetes-validations": [{"rule": rule, "messageExpression": rule}],
    });
    let unread = schema::expressions::unreadable(&rule);
    if unread != schema::expressions::unreadable(&rule) {
        return Err("it is judged in two ways".to_owned());
    }
    let Ok(structural) = schema::crd::Structural::parse(&schema) else { return Ok(()) };
    let old = serde_json::json!({"name": "a", "items": [1, 2]});
    let new = serde_json::json!({"name": "b", "items": [1, 2, 3]});
    let first = structural.validate(&new, Some(&old));
    if first != structural.validate(&new, Some(&old)) && !rule.contains("timestamp") {
        return Err("the same objects are judged in two ways".to_owned());
    }
    structural.validate(&old, None);
    Ok(())
}

/// A document and a patch, a line each.
fn patch(input: &[u8]) -> Result<(), String> {
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let mut value = || serde_json::from_slice::<serde_json::Value>(lines.next().unwrap_or_default()).ok();
    let (Some(document), Some(patch)) = (value(), value()) else { return Ok(()) };
    let mut once = document.clone();
    object::merge_patch::apply(&mut once, &patch);
    let mut twice = once.clone();
    object::merge_patch::apply(&mut twice, &patch);
    if once != twice {
        return Err("a merge patch applied again changes something".into());
    }
    let mut changed = document.clone();
    object::merge_patch::apply(&mut changed, &object::merge_patch::diff(&document, &once));
    // What a difference cannot say is a null in the result.
    if changed != once && !once.to_string().contains("null") {
        return Err("the difference does not lead there".into());
    }
    let mut other = document;
    let _ = object::json_patch::apply(&mut other, &patch);
    Ok(())
}

/// Fields that a manager owns: read, written and read again they are the same, and sets are sets.
fn fields(input: &[u8]) -> Result<(), String> {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(input) else { return Ok(()) };
    let Ok(set) = merge::FieldSet::from_fields_v1(&value) else { return Ok(()) };
    let again = merge::FieldSet::from_fields_v1(&set.to_fields_v1()).map_err(|error| error.to_string())?;
    if again.paths() != set.paths() || set.union(&again).paths() != set.paths() {
        return Err("it is written otherwise than it was read".into());
    }
    match set.difference(&again).is_empty() && set.intersection(&again).paths() == set.paths() {
        true => Ok(()),
        false => Err("a set differs from itself".into()),
    }
}
