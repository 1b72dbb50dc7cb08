//! Random charts: a values tree, and lines of templates that use it.

use std::collections::BTreeMap;

use super::words::{FLOATS, FUNCTIONS, INTS, Kind, TEXTS, VALUES, VERBS};

/// The keys of tables with anything in them.
const KEYS: &[&str] = &["a", "b", "c", "d", "e"];

/// One chart.
#[derive(Clone)]
pub struct Case {
    /// The template's lines, each one whole by itself.
    pub lines: Vec<String>,
    /// `values.yaml`.
    pub values: String,
    /// Files of subcharts, and the chart's own `Chart.yaml`; empty for a chart without any.
    pub more: Vec<(String, String)>,
}

impl Case {
    /// The template.
    pub fn template(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// All files of the chart.
    pub fn files(&self) -> BTreeMap<String, String> {
        const HELPERS: &str = "{{- define \"echo\" }}<{{ . }}>{{ end -}}\n";
        let own = [
            ("Chart.yaml", "apiVersion: v2\nname: fuzz\nversion: 0.1.0\nappVersion: \"7\"\n"),
            ("values.yaml", self.values.as_str()),
            ("templates/_helpers.tpl", HELPERS),
            ("templates/out.yaml", &self.template()),
        ];
        let own = own.map(|(path, text)| (path.to_owned(), text.to_owned()));
        own.into_iter().chain(self.more.iter().cloned()).collect()
    }
}

fn header(name: &str) -> String {
    format!("apiVersion: v2\nname: {name}\nversion: 0.1.0\n")
}

/// A source of charts.
pub struct Grammar {
    state: u64,
    variables: usize,
}

impl Grammar {
    /// The charts of a seed.
    pub fn new(seed: u64) -> Grammar {
        Grammar { state: seed, variables: 0 }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.below(words.len())]
    }

    /// A chart.
    pub fn case(&mut self) -> Case {
        let values = self.values();
        let lines = (0..3).map(|number| self.line(number)).collect();
        Case { lines, values, more: Vec::new() }
    }

    /// A chart with subcharts, whose values are brought together.
    pub fn family(&mut self) -> Case {
        const SHOW: &str = "values: {{ .Values | toJson }}\n";
        let mut more = Vec::new();
        let mut declared = String::new();
        for name in ["one", "two"] {
            declared.push_str(&self.dependency(name));
            let inner = if name == "one" && self.chance(50) {
                more.push((format!("charts/{name}/charts/deep/Chart.yaml"), header("deep")));
                more.push((
                    format!("charts/{name}/charts/deep/values.yaml"),
                    self.table(&["a", "global", "b"], 0),
                ));
                more.push((format!("charts/{name}/charts/deep/templates/out.yaml"), SHOW.to_owned()));
                format!("dependencies:\n{}", self.dependency("deep"))
            } else {
                String::new()
            };
            more.push((format!("charts/{name}/Chart.yaml"), header(name) + &inner));
            more.push((
                format!("charts/{name}/values.yaml"),
                self.table(&["a", "b", "global", "exports", "deep"], 0),
            ));
            more.push((format!("charts/{name}/templates/out.yaml"), SHOW.to_owned()));
        }
        more.push(("Chart.yaml".to_owned(), format!("{}dependencies:\n{declared}", header("fuzz"))));
        let keys = ["a", "one", "two", "other", "global", "tags", "exports"];
        let values = self.table(&keys, 0)
            + &self.table(&["one", "global"], 0).replace("one:", "last:").replace("global:", "end:");
        Case { lines: vec![SHOW.trim_end().to_owned()], values, more }
    }

    fn dependency(&mut self, name: &str) -> String {
        let mut out = format!("  - name: {name}\n    version: 0.1.0\n");
        if self.chance(30) {
            out.push_str("    alias: other\n");
        }
        if self.chance(40) {
            let path = self.pick(&["one.a", "two.enabled", "a", "global.a", "one.b,two.b", "missing"]);
            out.push_str(&format!("    condition: {path}\n"));
        }
        if self.chance(30) {
            out.push_str("    tags: [a, b]\n");
        }
        if self.chance(40) {
            let imports = self.pick(&[
                "[a]",
                "[{child: a, parent: a}]",
                "[{child: b, parent: x.y}]",
                "[missing, b]",
                "[{child: exports, parent: .}]",
            ]);
            out.push_str(&format!("    import-values: {imports}\n"));
        }
        out
    }

    /// A map of some of these keys, with flags, nulls, texts and maps in it.
    fn table(&mut self, keys: &[&str], depth: usize) -> String {
        let pad = "  ".repeat(depth);
        let mut out = String::new();
        for key in keys {
            if self.chance(35) {
                continue;
            }
            match self.below(if depth < 3 { 10 } else { 5 }) {
                0 => out.push_str(&format!("{pad}{key}: null\n")),
                1 => out.push_str(&format!("{pad}{key}: true\n")),
                2 => out.push_str(&format!("{pad}{key}: false\n")),
                3 => out.push_str(&format!("{pad}{key}: text{}\n", self.below(9))),
                4 => out.push_str(&format!("{pad}{key}: [{}]\n", self.below(9))),
                _ => {
                    let inner = self.table(&["a", "b", "enabled", "global"], depth + 1);
                    let inner = if inner.is_empty() { format!("{pad}  {{}}\n") } else { inner };
                    out.push_str(&format!("{pad}{key}:\n{inner}"));
                }
            }
        }
        out
    }

    /// A text, a number, a float, a flag, a list, a map (with the same inside), and anything.
    fn values(&mut self) -> String {
        let texts =
            ["abc", "''", "a b", "\"1.2.3\"", "'7'", "x-y_z", "\"a\\nb\"", "é", "|\n{i}  x\n{i}    y\n"];
        let mut out = String::new();
        for (depth, pad) in ["", "  "].into_iter().enumerate() {
            let text = self.pick(&texts).replace("{i}", pad);
            let end = if text.ends_with('\n') { "" } else { "\n" };
            let (number, float) =
                (self.pick(&["0", "3", "-2", "1000000", "42"]), self.pick(&["0.5", "1e3", "-2.25"]));
            let (flag, list) = (
                self.pick(&["true", "false"]),
                self.pick(&["[]", "[1, 2, 3]", "[b, a, c]", "[{a: 1}, x]", "[~, 0]"]),
            );
            out.push_str(&format!(
                "{pad}s: {text}{end}{pad}n: {number}\n{pad}f: {float}\n{pad}t: {flag}\n{pad}l: {list}\n"
            ));
            out.push_str(&format!("{pad}x:{}", self.value(depth)));
            if depth == 0 {
                out.push_str("m:\n");
            }
        }
        out
    }

    /// A value after its key and colon, the newline included.
    fn value(&mut self, depth: usize) -> String {
        let pad = "  ".repeat(depth + 1);
        match self.below(if depth < 2 { 6 } else { 4 }) {
            4 => {
                let count = self.below(3) + 1;
                let entries: String = (0..count)
                    .map(|at| {
                        let key = KEYS[at];
                        format!("{pad}{key}:{}", self.value(depth + 1))
                    })
                    .collect();
                format!("\n{entries}")
            }
            5 => {
                let count = self.below(4);
                let items: Vec<&str> = (0..count).map(|_| self.plain()).collect();
                format!(" [{}]\n", items.join(", "))
            }
            _ => {
                let scalar = self.pick(VALUES).replace("{i}", &"  ".repeat(depth));
                let end = if scalar.ends_with('\n') { "" } else { "\n" };
                format!(" {scalar}{end}")
            }
        }
    }

    /// A scalar that may stand in a flow list.
    fn plain(&mut self) -> &'static str {
        loop {
            let scalar = self.pick(VALUES);
            if !scalar.contains(['\n', '{', '\'', ',']) {
                return scalar;
            }
        }
    }

    fn line(&mut self, number: usize) -> String {
        let (l, r) = (self.pick(&["{{", "{{", "{{-"]), self.pick(&["}}", "}}", "-}}"]));
        let key = format!("k{number}");
        match self.below(8) {
            0 => {
                let (condition, yes, no) = (self.any(2), self.shown(1), self.shown(1));
                format!(
                    "{key}: {{{{ if {condition} {r}{{{{ {yes} }}}}{l} else }}}}{{{{ {no} }}}}{{{{ end }}}}"
                )
            }
            1 => {
                let (list, body) = (self.expression(Kind::List, 2), self.shown(1));
                format!(
                    "{key}: \"{{{{ range $i, $v := {list} }}}}{{{{ $i }}}}={{{{ $v }}}};{{{{ else }}}}{{{{ {body} }}}}{{{{ end }}}}\""
                )
            }
            2 => {
                let value = self.any(2);
                format!("{key}: {{{{ with {value} }}}}{{{{ . | toJson }}}}{{{{ else }}}}none{{{{ end }}}}")
            }
            3 => {
                self.variables += 1;
                let name = format!("$v{number}");
                let (first, second) = (self.any(2), self.any(2));
                format!(
                    "{{{{- {name} := {first} }}}}{{{{ {name} = {second} }}}}\n{key}: {{{{ {name} | toJson }}}}"
                )
            }
            4 => {
                let argument = self.any(2);
                format!("{key}: {{{{ include \"echo\" ({argument}) | quote }}}}")
            }
            5 => {
                let (verb, argument, more) = (self.pick(VERBS), self.any(1), self.any(1));
                let more = if verb.matches('%').count() > 1 || self.chance(15) {
                    format!(" ({more})")
                } else {
                    String::new()
                };
                format!("{key}: {{{{ printf \"{verb}\" ({argument}){more} | toJson }}}}")
            }
            _ => {
                let shown = self.shown(3);
                format!("{key}: {{{{ {shown} }}}}")
            }
        }
    }

    /// An expression that ends in something that YAML takes.
    fn shown(&mut self, depth: usize) -> String {
        let value = self.any(depth);
        let tail = self.pick(&[
            "toJson",
            "toJson",
            "toJson",
            "quote",
            "toYaml | nindent 2",
            "toString | toJson",
            "print | quote",
        ]);
        format!("{value} | {tail}")
    }

    fn any(&mut self, depth: usize) -> String {
        self.expression(Kind::Any, depth)
    }

    fn expression(&mut self, kind: Kind, depth: usize) -> String {
        if depth == 0 || self.chance(25) {
            return self.leaf(kind);
        }
        let fitting: Vec<usize> = FUNCTIONS
            .iter()
            .enumerate()
            .filter(|(_, (_, _, gives))| {
                kind == Kind::Any || *gives == kind || *gives == Kind::Any && kind != Kind::Str
            })
            .map(|(at, _)| at)
            .collect();
        // Now and then something of a wrong kind.
        let at = match fitting.is_empty() || self.chance(4) {
            true => self.below(FUNCTIONS.len()),
            false => fitting[self.below(fitting.len())],
        };
        let (name, takes, _) = FUNCTIONS[at];
        let mut arguments: Vec<String> = takes.iter().map(|kind| self.argument(*kind, depth - 1)).collect();
        if self.chance(2) {
            arguments.pop();
        }
        if self.chance(2) {
            arguments.push(self.leaf(Kind::Any));
        }
        // Maps without an order print in one.
        let tail = if matches!(name, "keys" | "values") { " | toStrings | sortAlpha" } else { "" };
        if !arguments.is_empty() && self.chance(30) {
            let last = arguments.pop().unwrap_or_default();
            return format!("({last} | {name} {}{tail})", arguments.join(" "));
        }
        format!("({name} {}{tail})", arguments.join(" "))
    }

    fn argument(&mut self, kind: Kind, depth: usize) -> String {
        let kind = if self.chance(6) { Kind::Any } else { kind };
        self.expression(kind, depth)
    }

    fn leaf(&mut self, kind: Kind) -> String {
        if self.chance(45) {
            return self.path(kind);
        }
        match kind {
            Kind::Str => format!("\"{}\"", self.pick(TEXTS)),
            Kind::Int => self.pick(INTS).to_owned(),
            Kind::Float => self.pick(FLOATS).to_owned(),
            Kind::Bool => self.pick(&["true", "false"]).to_owned(),
            Kind::List => {
                let (a, b) = (self.scalar(), self.scalar());
                self.pick(&["(list)", "(list A B)", "(list A B A)", "(until 3)"])
                    .replace('A', &a)
                    .replace('B', &b)
            }
            Kind::Dict => {
                let (a, b) = (self.scalar(), self.scalar());
                self.pick(&["dict", "(dict \"a\" A)", "(dict \"a\" A \"b\" (dict \"c\" B))", ".Values"])
                    .replace('A', &a)
                    .replace('B', &b)
            }
            Kind::Any => match self.below(8) {
                0 => ".Values.missing".to_owned(),
                1 => self.leaf(Kind::List),
                2 => self.leaf(Kind::Dict),
                _ => self.scalar(),
            },
        }
    }

    fn scalar(&mut self) -> String {
        let kind = [Kind::Str, Kind::Int, Kind::Float, Kind::Bool][self.below(4)];
        match kind {
            Kind::Str => format!("\"{}\"", self.pick(TEXTS)),
            Kind::Int => self.pick(INTS).to_owned(),
            Kind::Float => self.pick(FLOATS).to_owned(),
            _ => self.pick(&["true", "false"]).to_owned(),
        }
    }

    fn path(&mut self, kind: Kind) -> String {
        let place = self.pick(&[".Values", ".Values", ".Values.m", "$.Values"]);
        if self.chance(3) {
            return format!("{place}.x.{}", self.pick(KEYS));
        }
        let key = match kind {
            Kind::Str => "s",
            Kind::Int => return format!("({place}.n | int)"),
            Kind::Float => "f",
            Kind::Bool => "t",
            Kind::List => "l",
            Kind::Dict => return self.pick(&[".Values.m", "(deepCopy .Values.m)", ".Values.m"]).to_owned(),
            Kind::Any => {
                let more = [
                    ".Release.Name",
                    ".Chart.AppVersion",
                    ".Capabilities.KubeVersion.Major",
                    ".Template.Name",
                ];
                if self.chance(5) {
                    return self.pick(&more).to_owned();
                }
                self.pick(&["s", "n", "f", "t", "l", "x", "x", "x", "missing"])
            }
        };
        format!("{place}.{key}")
    }
}
