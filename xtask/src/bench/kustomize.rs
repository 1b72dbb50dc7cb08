//! `kustomize build` beside `landfall kustomize build`.

use super::process::{Row, Setting, pair};
use anyhow::Context;
use std::fmt::Write as _;
use std::path::Path;

/// Real overlays, a generated tree of 200 overlays, and one overlay with 500 patches.
pub fn rows(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let scratch = setting.scratch.path();
    let archive = setting.shared.join("suites/gitops-repos/GoogleCloudPlatform__microservices-demo.tar.zst");
    testkit::unpack_zst(&archive, scratch);
    let demo = scratch.join("GoogleCloudPlatform__microservices-demo/kustomize/base");
    overlays(&scratch.join("overlays"), 200, 5, 2_000)?;
    patches(&scratch.join("patches"), 500)?;
    transformed(&scratch.join("thousand"), 1_000)?;
    transformed(&scratch.join("four-thousand"), 4_000)?;
    let mut rows = Vec::new();
    for (work, path) in [
        ("microservices-demo kustomize/base", demo),
        ("200 overlays over 5 bases, 2,000 objects", scratch.join("overlays")),
        ("500 patches", scratch.join("patches")),
        // Four times the objects: four times as long, when the work is linear.
        ("1,000 objects, 7 transformers", scratch.join("thousand")),
        ("4,000 objects, 7 transformers", scratch.join("four-thousand")),
    ] {
        rows.push(build(setting, work, &path)?);
    }
    Ok(rows)
}

fn build(setting: &Setting, work: &str, path: &Path) -> anyhow::Result<Row> {
    let kustomize = setting.peer("kustomize")?;
    let (theirs, ours, path) =
        (kustomize.to_string_lossy(), setting.landfall.to_string_lossy(), path.to_string_lossy());
    pair(setting, work, &[&ours, "kustomize", "build", &path], &[&theirs, "build", &path])
}

/// A root over `count` overlays, each of one of `bases` bases; `objects` objects in all.
fn overlays(root: &Path, count: usize, bases: usize, objects: usize) -> anyhow::Result<()> {
    let each = objects / count;
    for base in 0..bases {
        let mut text = String::new();
        for object in 0..each {
            writeln!(text, "{}---", deployment(&format!("b{base}-{object}")))?;
        }
        file(&root.join(format!("base-{base}/all.yaml")), &text)?;
        file(&root.join(format!("base-{base}/kustomization.yaml")), "resources: [all.yaml]\n")?;
    }
    let mut list = String::from("resources:\n");
    for overlay in 0..count {
        let text = format!(
            "resources: [../base-{}]\nnamePrefix: o{overlay}-\nnamespace: n{overlay}\nlabels:\n- pairs: {{team: t{overlay}}}\n  includeSelectors: true\nimages:\n- name: nginx\n  newTag: \"1.{overlay}\"\n",
            overlay % bases
        );
        file(&root.join(format!("overlay-{overlay}/kustomization.yaml")), &text)?;
        writeln!(list, "- overlay-{overlay}")?;
    }
    file(&root.join("kustomization.yaml"), &list)
}

/// `count` objects that every transformer touches.
fn transformed(root: &Path, count: usize) -> anyhow::Result<()> {
    let mut all = String::new();
    for object in 0..count {
        writeln!(all, "{}---", deployment(&format!("d{object}")))?;
    }
    file(&root.join("all.yaml"), &all)?;
    let text = "resources: [all.yaml]\nnamePrefix: p-\nnameSuffix: -s\nnamespace: prod\ncommonLabels: {team: t}\ncommonAnnotations: {note: x}\nimages: [{name: nginx, newTag: \"2\"}]\npatches:\n- target: {kind: Deployment}\n  patch: '[{\"op\": \"replace\", \"path\": \"/spec/replicas\", \"value\": 3}]'\n";
    file(&root.join("kustomization.yaml"), text)
}

/// One overlay with `count` patches, each of an object of its own.
fn patches(root: &Path, count: usize) -> anyhow::Result<()> {
    let mut all = String::new();
    let mut list = String::from("resources: [all.yaml]\npatches:\n");
    for object in 0..count {
        writeln!(all, "{}---", deployment(&format!("d{object}")))?;
        write!(
            list,
            "- patch: |\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {{name: d{object}}}\n    spec: {{replicas: {object}}}\n"
        )?;
    }
    file(&root.join("all.yaml"), &all)?;
    file(&root.join("kustomization.yaml"), &list)
}

fn deployment(name: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  replicas: 1\n  selector:\n    matchLabels:\n      app: {name}\n  template:\n    metadata:\n      labels:\n        app: {name}\n    spec:\n      containers:\n      - name: main\n        image: nginx:1.0\n        ports:\n        - containerPort: 80\n"
    )
}

fn file(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().context("a folder")?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(path, text).with_context(|| path.display().to_string())
}
