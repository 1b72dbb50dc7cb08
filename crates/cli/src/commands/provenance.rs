//! Where each line of a rendered chart comes from, for people and for programs.

use helm::provenance::{TracedFile, TracedLine, ValueFiles, trace};
use helm::{Chart, RenderOptions, Values, World};
use serde_json::{Value, json};

/// Lines longer than this push their origin to the right instead of moving all others.
const WIDTH: usize = 72;

/// Renders a chart and shows every line with its origin: as text, or as JSON.
pub fn show(
    chart: &Chart,
    values: &Values,
    files: &ValueFiles,
    options: &RenderOptions,
    world: &dyn World,
    as_json: bool,
) -> anyhow::Result<String> {
    let traced = trace(chart, values, options, world)?;
    if as_json {
        let list: Vec<Value> = traced.iter().map(|file| file_data(file, files)).collect();
        return Ok(format!("{}\n", serde_json::to_string_pretty(&list)?));
    }
    let mut out = String::new();
    for file in &traced {
        out.push_str(&format!("# Source: {}\n", file.path));
        let widest = file.lines.iter().map(|line| line.text.chars().count()).max().unwrap_or(0).min(WIDTH);
        for line in &file.lines {
            let shown = format!("{:widest$}  # {}", line.text, origin(line, files));
            out.push_str(shown.trim_end());
            out.push('\n');
        }
    }
    Ok(out)
}

/// `chart/templates/a.yaml:3 · image.tag values.yaml:12`.
fn origin(line: &TracedLine, files: &ValueFiles) -> String {
    let mut text = format!("{}:{}", line.template, line.line);
    for path in &line.values {
        let place = match files.find(path) {
            Some((file, Some(at))) => format!("{file}:{at}"),
            Some((flag, None)) => flag.to_owned(),
            None => "not in a values file".to_owned(),
        };
        text.push_str(&format!(" · {path} {place}"));
    }
    text
}

fn file_data(file: &TracedFile, files: &ValueFiles) -> Value {
    let lines: Vec<Value> = file.lines.iter().map(|line| line_data(line, files)).collect();
    json!({"source": file.path, "lines": lines})
}

fn line_data(line: &TracedLine, files: &ValueFiles) -> Value {
    let values: Vec<Value> = line
        .values
        .iter()
        .map(|path| match files.find(path) {
            Some((file, at)) => json!({"path": path, "file": file, "line": at}),
            None => json!({"path": path}),
        })
        .collect();
    json!({"text": line.text, "template": line.template, "line": line.line, "values": values})
}
