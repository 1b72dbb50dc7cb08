//! Rendering in process, in a loop: our library beside Helm's packages, and whether time grows with the work
//! alone.

use super::process::{Row, Sample, Setting};
use anyhow::{Context, bail};
use helm::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use wait4::Wait4;

const CHARTS: &[&str] = &["kube-prometheus-stack-88.5.3", "argo-cd-10.1.1", "kyverno-3.8.0"];
/// Helm's packages as the peer has them.
const HELM: &str = "v3.22.0";

/// A row for each chart, and one for each kind of growth.
pub fn rows(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let ours = build_ours()?;
    let theirs = build_theirs(setting)?;
    let mut rows = Vec::new();
    for chart in CHARTS {
        let path = setting.shared.join(format!("charts/{chart}.tgz"));
        let (a, b) = (looped(&ours, &path, setting.runs)?, looped(&theirs, &path, setting.runs)?);
        rows.push(Row { work: format!("render {chart} in process"), ours: a, theirs: Some(b) });
    }
    let kinds: [(&str, usize, Maker); 2] = [("subcharts", 60, subcharts), ("tpl calls", 10_000, tpl_calls)];
    for (what, count, make) in kinds {
        let time = |count: usize| -> anyhow::Result<Sample> {
            let path = setting.scratch.path().join(format!("{}-{count}.tgz", what.replace(' ', "-")));
            std::fs::write(&path, helm::chart::write_archive("top", &make(count), 0)?)?;
            looped(&ours, &path, setting.runs)
        };
        let (once, twice) = (time(count)?, time(2 * count)?);
        let ratio = twice.wall.as_secs_f64() / once.wall.as_secs_f64().max(1e-9);
        let work = format!("{} {what} in process: {ratio:.2} × the time of {count}", 2 * count);
        rows.push(Row { work, ours: twice, theirs: None });
    }
    Ok(rows)
}

type Maker = fn(usize) -> Vec<File>;

fn file(name: &str, text: &str) -> File {
    File::new(name, text.as_bytes())
}

fn subcharts(count: usize) -> Vec<File> {
    let mut files = vec![file("Chart.yaml", "apiVersion: v2\nname: top\nversion: 1.0.0\n")];
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Chart.Name }}\n  labels: {{ include \"{{name}}\" . }}\n\
               data:\n  values: |\n    {{- toYaml .Values | nindent 4 }}\n";
    for index in 0..count {
        let name = format!("sub{index}");
        let chart = format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\n");
        files.push(file(&format!("charts/{name}/Chart.yaml"), &chart));
        files.push(file(
            &format!("charts/{name}/values.yaml"),
            "a:\n  b: [1, 2, 3]\n  c: {d: e}\nglobal: {x: y}\n",
        ));
        files.push(file(
            &format!("charts/{name}/templates/_helpers.tpl"),
            &format!("{{{{ define \"{name}\" }}}}{{app: {name}}}{{{{ end }}}}"),
        ));
        files.push(file(&format!("charts/{name}/templates/map.yaml"), &map.replace("{{name}}", &name)));
    }
    files
}

fn tpl_calls(count: usize) -> Vec<File> {
    let template = format!(
        "kind: ConfigMap\ndata:\n{{{{ range until {count} }}}}  k{{{{ . }}}}: {{{{ tpl $.Values.text $ }}}}\n{{{{ end }}}}"
    );
    vec![
        file("Chart.yaml", "apiVersion: v2\nname: top\nversion: 1.0.0\n"),
        file("values.yaml", "text: \"{{ .Release.Name }}-{{ .Values.name | quote }}\"\nname: x\n"),
        file("templates/map.yaml", &template),
    ]
}

/// Builds the example `render` as it is released.
fn build_ours() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let words =
        ["build", "--release", "-p", "landfall-helm", "--example", "render", "--message-format", "json"];
    let output = Command::new(cargo).args(words).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("the example render does not build");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let built = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let path = built.filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from)).next_back();
    path.context("cargo names no executable")
}

/// Builds the Go program with Helm's packages.
fn build_theirs(setting: &Setting) -> anyhow::Result<PathBuf> {
    let folder = setting.scratch.path().join("engine");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("main.go"), include_str!("engine/main.go"))?;
    std::fs::write(
        folder.join("go.mod"),
        format!("module engine\n\ngo 1.24\n\nrequire helm.sh/helm/v3 {HELM}\n"),
    )?;
    for words in [["mod", "tidy"].as_slice(), &["build", "-o", "engine", "."]] {
        let status = Command::new("go").args(words).current_dir(&folder).stderr(Stdio::null()).status();
        if !status.context("go is needed to build Helm's engine")?.success() {
            bail!("go {} failed in {}", words.join(" "), folder.display());
        }
    }
    Ok(folder.join("engine"))
}

/// Runs a program that renders `times` times and says how long the fastest took.
fn looped(program: &Path, chart: &Path, times: usize) -> anyhow::Result<Sample> {
    let mut child = Command::new(program)
        .arg(chart)
        .arg(times.max(1).to_string())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| program.display().to_string())?;
    let mut text = String::new();
    child.stdout.take().context("no output")?.read_to_string(&mut text)?;
    let used = child.wait4()?;
    let words = text.split_once("fastest render ").and_then(|(_, rest)| rest.split_once(" ms"));
    let ms: f64 = match words {
        Some((ms, _)) if used.status.success() => ms.parse()?,
        _ => bail!("{} {} failed", program.display(), chart.display()),
    };
    Ok(Sample { wall: Duration::from_secs_f64(ms / 1e3), peak: used.rusage.maxrss })
}
