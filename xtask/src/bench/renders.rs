//! `helm template` beside `landfall helm template`.

use super::process::{Row, Setting, pair};

const CHARTS: &[&str] = &[
    "kube-prometheus-stack-88.5.3",
    "argo-cd-10.1.1",
    "kyverno-3.8.0",
    "cert-manager-v1.20.2",
    "podinfo-6.14.1",
];

/// A row for each chart, CRDs included.
pub fn rows(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let helm = setting.peer("helm")?;
    let (helm, landfall) = (helm.to_string_lossy(), setting.landfall.to_string_lossy());
    let mut rows = Vec::new();
    for chart in CHARTS {
        let path = setting.shared.join(format!("charts/{chart}.tgz"));
        let path = path.to_string_lossy();
        let flags =
            ["template", "rel", &path, "--namespace", "ns", "--kube-version", "1.34.0", "--include-crds"];
        let theirs: Vec<&str> = std::iter::once(helm.as_ref()).chain(flags).collect();
        let ours: Vec<&str> = [landfall.as_ref(), "helm"].into_iter().chain(flags).collect();
        rows.push(pair(setting, &format!("render {chart}"), &ours, &theirs)?);
    }
    Ok(rows)
}
