//! For every line that a chart renders: the line of the template, and the values it was made of.

use crate::Result;
use crate::chart::Chart;
use crate::render::{RenderOptions, Rendered, World, run_templates};
use crate::values::Values;
use gotemplate::Origin;
use std::collections::BTreeMap;

/// What a template put out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedFile {
    /// The template, as `# Source:` shows it.
    pub path: String,
    /// The lines.
    pub lines: Vec<TracedLine>,
}

/// A line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedLine {
    /// The text, without its end.
    pub text: String,
    /// The template in which it stands: the file itself, or the one of a block that it calls.
    pub template: String,
    /// The line there, from 1.
    pub line: usize,
    /// The paths of the values that were read for it, from the top chart's `.Values`.
    pub values: Vec<String>,
}

/// Renders a chart and tells where each line comes from. Files by path; those that render to nothing and
/// notes are left out.
pub fn trace(
    chart: &Chart,
    values: &Values,
    options: &RenderOptions,
    world: &dyn World,
) -> Result<Vec<TracedFile>> {
    let options = RenderOptions { trace: true, ..options.clone() };
    let mut files = BTreeMap::new();
    run_templates(chart, values, &options, world, &mut Rendered::default(), &mut |path, text, origins| {
        if !path.ends_with("NOTES.txt") && !text.trim().is_empty() {
            files.insert(path, lines(&text, &origins));
        }
    })?;
    Ok(files.into_iter().map(|(path, lines)| TracedFile { path, lines }).collect())
}

/// The lines of a text by what its pieces come from.
fn lines(text: &str, origins: &[Origin]) -> Vec<TracedLine> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut first = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        // What ends before this line ends before all that follow.
        while origins.get(first).is_some_and(|origin| origin.end <= start) {
            first += 1;
        }
        let mut traced = TracedLine {
            text: line.trim_end().to_owned(),
            template: String::new(),
            line: 0,
            values: Vec::new(),
        };
        let mut placed = false;
        for origin in origins.iter().skip(first).take_while(|origin| origin.start < end) {
            // A piece that only ends the line before, or indents, made nothing that is seen here.
            let shown = text.get(origin.start.max(start)..origin.end.min(end)).unwrap_or_default();
            let visible = !shown.trim().is_empty();
            if traced.line == 0 || visible && !placed {
                let before = text.get(origin.start..start).unwrap_or_default();
                let passed = if origin.is_text { before.matches('\n').count() } else { 0 };
                traced.template.clone_from(&origin.template);
                traced.line = origin.line + passed;
                placed = visible;
            }
            for path in origin.reads.iter().filter(|_| visible) {
                if !traced.values.contains(path) {
                    traced.values.push(path.clone());
                }
            }
        }
        out.push(traced);
        start = end;
    }
    out
}

/// The texts that values come from, the strongest last.
#[derive(Default)]
pub struct ValueFiles {
    layers: Vec<Layer>,
}

struct Layer {
    name: String,
    /// The path below which the file's values stand: that of a subchart.
    below: Vec<String>,
    content: Content,
}

enum Content {
    File(Option<yaml::Node>),
    /// The paths that an expression sets.
    Set(Values),
}

impl ValueFiles {
    /// The `values.yaml` of a chart and of the charts in it; a parent's stands above its subcharts'.
    pub fn of_chart(chart: &Chart) -> Self {
        let mut files = ValueFiles::default();
        files.add_chart(chart, &mut Vec::new(), "");
        files
    }

    fn add_chart(&mut self, chart: &Chart, below: &mut Vec<String>, folder: &str) {
        for child in &chart.dependencies {
            let name = &child.metadata.name;
            let declared = chart.metadata.dependencies.iter().filter(|declared| declared.name == *name);
            let aliases: Vec<&str> = declared.map(|declared| declared.alias.as_str()).collect();
            let names = if aliases.is_empty() { vec![""] } else { aliases };
            for alias in names {
                below.push(if alias.is_empty() { name.clone() } else { alias.to_owned() });
                self.add_chart(child, below, &format!("{folder}charts/{name}/"));
                below.pop();
            }
        }
        if let Some(file) = chart.raw_file("values.yaml") {
            self.add(&format!("{folder}values.yaml"), &file.text(), below.clone());
        }
    }

    fn add(&mut self, name: &str, text: &str, below: Vec<String>) {
        // What does not parse has been told of already: the render reads it too.
        let node = yaml::parse_first_node(text).unwrap_or_default();
        self.layers.push(Layer { name: name.to_owned(), below, content: Content::File(node) });
    }

    /// A values file of the user, above all before it.
    pub fn add_file(&mut self, name: &str, text: &str) {
        self.add(name, text, Vec::new());
    }

    /// A flag such as `--set a.b=c`, above all before it.
    pub fn add_set(&mut self, shown: &str, values: Values) {
        self.layers.push(Layer { name: shown.to_owned(), below: Vec::new(), content: Content::Set(values) });
    }

    /// Where the value at a path was set last: the file and, in a file, the line.
    pub fn find(&self, path: &str) -> Option<(&str, Option<usize>)> {
        let parts: Vec<&str> = path.split('.').collect();
        self.layers.iter().rev().find_map(|layer| {
            let below = layer.below.len();
            let head = parts.get(..below)?;
            let inner = match head.iter().zip(&layer.below).all(|(part, name)| part == name) {
                true => parts.get(below..)?,
                // A global of a parent is every subchart's.
                false => return None,
            };
            match &layer.content {
                Content::Set(values) => values.at(inner).map(|_| (layer.name.as_str(), None)),
                Content::File(node) => Some((layer.name.as_str(), Some(line_of(node.as_ref()?, inner)?))),
            }
        })
    }
}

/// The line of the key at a path.
fn line_of(node: &yaml::Node, path: &[&str]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let (key, value) = node.field(first)?;
    if rest.is_empty() { Some(key.line) } else { line_of(value, rest) }
}
