//! `cargo xtask bench delivery`: N Kustomizations of four objects each, from one repository to a real kube-apiserver,
//! beside the bare writes of the same objects; with `--flavour argo` N Applications.
//!
//! The driver and the bare writes are the scripts in `bench` of the shared folder, so that other tools can be driven
//! the same way.

use super::process::Setting;
use anyhow::{Context, bail};
use std::path::Path;
use std::process::Command;

/// Ports of the server that takes the bare writes; the driver has its own.
const PORTS: [(&str, &str); 2] = [("ETCD_PORT", "42379"), ("API_PORT", "46443")];

/// What is delivered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Flavour {
    /// Kustomizations.
    #[default]
    Flux,
    /// Applications.
    Argo,
}

impl Flavour {
    /// As the driver calls it.
    fn word(self) -> &'static str {
        match self {
            Flavour::Flux => "flux",
            Flavour::Argo => "argo",
        }
    }

    fn units(self) -> &'static str {
        match self {
            Flavour::Flux => "Kustomizations",
            Flavour::Argo => "Applications",
        }
    }
}

/// What the driver tells of a phase.
struct Phase {
    name: String,
    seconds: f64,
    cpu: f64,
    peak: f64,
    server_cpu: f64,
}

/// Runs for each number of units and prints a table.
pub fn run(setting: &Setting, flavour: Flavour, units: &[usize]) -> anyhow::Result<()> {
    println!("## delivery\n");
    println!("| work | landfall | bare writes | ratio | CPU of landfall, of the API server | peak memory |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for units in units {
        let bare = bare_writes(setting, *units)?;
        for (phase, bare) in driven(setting, flavour, *units)?.iter().zip(bare) {
            println!(
                "| {units} {}, {} | {:.1} s | {bare:.1} s | {:.1} × | {:.1} s, {:.1} s | {:.0} MiB |",
                flavour.units(),
                phase.name,
                phase.seconds,
                phase.seconds / bare.max(1e-9),
                phase.cpu,
                phase.server_cpu,
                phase.peak,
            );
        }
    }
    println!();
    Ok(())
}

fn script(setting: &Setting, name: &str) -> anyhow::Result<std::path::PathBuf> {
    let path = setting.shared.join(name);
    if !path.is_file() {
        bail!("{} is missing: name the shared folder with --shared", path.display());
    }
    Ok(path)
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| shown.clone())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{shown} failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

/// Seconds that the server needs for the writes alone: the first time, and once more.
fn bare_writes(setting: &Setting, units: usize) -> anyhow::Result<[f64; 2]> {
    let dir = setting.scratch.path().join(format!("bare-{units}"));
    let server = script(setting, "peers/kube-up.sh")?;
    let writes = script(setting, "bench/barewrites.py")?;
    let peers = setting.peers.parent().unwrap_or(Path::new("/")).to_owned();
    eprintln!("bare writes, {units} …");
    // The server goes on behind the script, so its output must not be waited for.
    let started = Command::new(&server)
        .arg(&dir)
        .envs(PORTS)
        .env("PEERS", &peers)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()?;
    let result = || -> anyhow::Result<[f64; 2]> {
        if !started.success() {
            bail!("kube-apiserver did not start; see {}", dir.display());
        }
        let kubeconfig = dir.join("kubeconfig");
        let once = || {
            let text = output(Command::new(&writes).arg(&kubeconfig).arg(units.to_string()))?;
            number_after(&text, " in ").context("no seconds from the bare writes")
        };
        Ok([once()?, once()?])
    }();
    output(Command::new(&server).arg("stop").arg(&dir))?;
    result
}

/// Installs and upgrades with our engine.
fn driven(setting: &Setting, flavour: Flavour, units: usize) -> anyhow::Result<Vec<Phase>> {
    let driver = script(setting, "bench/mttp.py")?;
    eprintln!("delivery, {units} …");
    let peers = setting.peers.parent().unwrap_or(Path::new("/"));
    let text = output(
        Command::new(driver)
            .arg(units.to_string())
            .arg(format!("exec '{}' controller", setting.landfall.display()))
            .env("PEERS", peers)
            .env("FLAVOUR", flavour.word())
            .env("MTTP_DIR", setting.scratch.path().join(format!("delivery-{units}"))),
    )?;
    let phases: Vec<Phase> = text.lines().filter_map(|line| phase(line, units)).collect();
    if phases.len() != 2 {
        bail!("not all units became ready:\n{text}");
    }
    Ok(phases)
}

fn phase(line: &str, units: usize) -> Option<Phase> {
    let (name, rest) = line.split_once(": ")?;
    if !rest.starts_with(&format!("{units}/{units} ready")) {
        return None;
    }
    let (ours, server) = rest.split_once("; apiserver ")?;
    Some(Phase {
        name: name.to_owned(),
        seconds: number_after(ours, "ready in ")?,
        cpu: number_after(ours, "controllers ")?,
        peak: number_after(ours, "peak ")?,
        server_cpu: number_after(&format!(" {server}"), " ")?,
    })
}

fn number_after(text: &str, word: &str) -> Option<f64> {
    text.split_once(word)?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_prints_is_read() {
        let line = "install: 100/100 ready in 20.5 s; controllers 0.4 CPU s, peak 36 MiB; apiserver 3.2 CPU s, peak 448 MiB";
        let phase = phase(line, 100).expect("a phase");
        assert_eq!((phase.seconds, phase.cpu, phase.peak, phase.server_cpu), (20.5, 0.4, 36.0, 3.2));
        assert!(super::phase(&line.replace("100/100", "99/100"), 100).is_none());
    }
}
