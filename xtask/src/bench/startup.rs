//! From start to a ready API, and from start to everything ready.

use super::process::{Row, Sample, Setting, median, run};
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The embedded API beside etcd and kube-apiserver, then `landfall up --once` on the two real inputs.
pub fn rows(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let ours = median((0..setting.runs).map(|_| api_ready(setting)).collect::<anyhow::Result<Vec<_>>>()?);
    let theirs = match real_api(setting) {
        Ok(sample) => Some(sample),
        Err(error) => {
            eprintln!("no figures of the real API server: {error:#}");
            None
        }
    };
    let mut rows = vec![Row { work: "start to API ready, empty state".into(), ours, theirs }];
    let scratch = setting.scratch.path();
    let archive = setting.shared.join("suites/gitops-repos/fluxcd__flux2-kustomize-helm-example.tar.zst");
    testkit::unpack_zst(&archive, scratch);
    let repository = scratch.join("fluxcd__flux2-kustomize-helm-example");
    for path in ["clusters/staging", "clusters/production"] {
        let samples =
            (0..setting.runs).map(|_| up(setting, &repository, path)).collect::<anyhow::Result<Vec<_>>>()?;
        rows.push(Row {
            work: format!("up --once {path}, to all ready"),
            ours: median(samples),
            theirs: None,
        });
    }
    Ok(rows)
}

/// From the start of the process to its first line, which it prints when it serves.
fn api_ready(setting: &Setting) -> anyhow::Result<Sample> {
    let state = tempfile::tempdir()?;
    let since = Instant::now();
    let mut child = Command::new(&setting.landfall)
        .args(["cluster", "start", "--state"])
        .arg(state.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let out = child.stdout.take().context("its output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    let wall = since.elapsed();
    let peak = peak_of(child.id());
    child.kill()?;
    child.wait()?;
    if !line.contains("https://") {
        bail!("the server did not start: {line}");
    }
    Ok(Sample { wall, peak: peak? })
}

/// One start of etcd and kube-apiserver through the peers' own script.
fn real_api(setting: &Setting) -> anyhow::Result<Sample> {
    setting.peer("kube-apiserver")?;
    let script = setting.shared.join("peers/kube-up.sh");
    let dir = setting.scratch.path().join("kube");
    let since = Instant::now();
    let status = Command::new("bash")
        .arg(&script)
        .arg(&dir)
        .env("PEERS", setting.peers.parent().unwrap_or(Path::new(".")))
        .env("ETCD_PORT", "25379")
        .env("API_PORT", "29443")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    let wall = since.elapsed();
    let mut peak = 0;
    for name in ["apiserver.pid", "etcd.pid"] {
        let pid = std::fs::read_to_string(dir.join(name)).with_context(|| name.to_owned())?;
        peak += peak_of(pid.trim().parse()?)?;
    }
    Command::new("bash").arg(&script).arg("stop").arg(&dir).status()?;
    if !status.success() {
        bail!("kube-apiserver did not become ready");
    }
    Ok(Sample { wall, peak })
}

fn up(setting: &Setting, repository: &Path, path: &str) -> anyhow::Result<Sample> {
    let charts = setting.shared.join("charts");
    let map = |url: &str, chart: &str| format!("{url}={}", charts.join(chart).display());
    let maps = [
        map("oci://quay.io/jetstack/charts/cert-manager", "cert-manager-v1.20.2.tgz"),
        map("oci://docker.io/envoyproxy/gateway-helm", "gateway-helm-v1.8.0.tgz"),
        map("https://stefanprodan.github.io/podinfo", "podinfo-6.14.1.tgz"),
    ];
    let (landfall, repository) = (setting.landfall.to_string_lossy(), repository.to_string_lossy());
    let mut words =
        vec![landfall.as_ref(), "up", repository.as_ref(), "--path", path, "--once", "--ephemeral"];
    for map in &maps {
        words.extend(["--map", map]);
    }
    run(&words)
}

/// Peak resident memory of a running process, in bytes.
fn peak_of(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
