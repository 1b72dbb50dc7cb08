//! Where the embedded cluster keeps its state, and how other commands find a running one.

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// A state directory.
#[derive(Clone, Debug)]
pub struct State {
    /// The directory; made when a server opens it.
    pub dir: PathBuf,
}

/// What a running server writes beside its state, so that other commands reach it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// `127.0.0.1:PORT`.
    pub address: String,
    /// The release that runs.
    pub version: String,
}

impl State {
    /// A directory that the user named.
    pub fn at(dir: &Path) -> State {
        State { dir: dir.to_path_buf() }
    }

    /// The directory of a repository: in the user's state directory, one per repository.
    pub fn of_repository(repository: &Path) -> anyhow::Result<State> {
        let full = repository.canonicalize().with_context(|| repository.display().to_string())?;
        let digest = hex::encode(Sha256::digest(full.to_string_lossy().as_bytes()));
        let name = full.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy().into_owned());
        let short = digest.get(..10).unwrap_or(&digest);
        Ok(State { dir: state_home()?.join(format!("{name}-{short}")) })
    }

    /// The directory of `landfall cluster` when no other is named.
    pub fn of_default_cluster() -> anyhow::Result<State> {
        Ok(State { dir: state_home()?.join("default") })
    }

    /// Every state below the user's state directory whose server runs.
    pub fn all_running() -> anyhow::Result<Vec<State>> {
        let home = state_home()?;
        let entries = match std::fs::read_dir(&home) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| home.display().to_string()),
        };
        let mut running = Vec::new();
        for entry in entries {
            let state = State { dir: entry.with_context(|| home.display().to_string())?.path() };
            if state.running()?.is_some() {
                running.push(state);
            }
        }
        running.sort_by(|a, b| a.dir.cmp(&b.dir));
        Ok(running)
    }

    /// The kubeconfig that a running server keeps here.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// Where the log of a detached server goes.
    pub fn log_path(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    fn running_path(&self) -> PathBuf {
        self.dir.join("server.json")
    }

    /// Notes a server that serves now, and writes its kubeconfig (readable by its owner only).
    pub fn announce(&self, running: &Running, kubeconfig: &str) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.dir).with_context(|| self.dir.display().to_string())?;
        write_private(&self.kubeconfig_path(), kubeconfig.as_bytes())?;
        write_private(&self.running_path(), &serde_json::to_vec_pretty(running)?)
    }

    /// Takes the note back, when it is this process's own.
    pub fn withdraw(&self) {
        let ours = matches!(self.read_note(), Ok(Some(running)) if running.pid == std::process::id());
        if ours && let Err(error) = std::fs::remove_file(self.running_path()) {
            tracing::warn!(%error, "cannot remove the note of the running server");
        }
    }

    /// The server that serves this state now, `None` when there is none (a note of a dead process counts
    /// as none).
    pub fn running(&self) -> anyhow::Result<Option<Running>> {
        Ok(self.read_note()?.filter(|running| is_alive(running.pid)))
    }

    fn read_note(&self) -> anyhow::Result<Option<Running>> {
        let path = self.running_path();
        match std::fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Asks the running server to stop and waits until it has. `false` when none runs.
    pub fn stop(&self) -> anyhow::Result<bool> {
        let Some(running) = self.running()? else { return Ok(false) };
        let pid = process(running.pid)?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .with_context(|| format!("cannot stop process {}", running.pid))?;
        for _ in 0..200 {
            if !is_alive(running.pid) {
                return Ok(true);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        bail!("process {} does not stop; end it with: kill -9 {}", running.pid, running.pid)
    }

    /// Removes the state. Refuses while a server holds it, and a folder that is not a state of ours.
    pub fn reset(&self) -> anyhow::Result<()> {
        if let Some(running) = self.running()? {
            bail!(
                "{} is served by process {}; stop it first: landfall cluster stop --state {}",
                self.dir.display(),
                running.pid,
                self.dir.display()
            );
        }
        if !self.dir.exists() {
            return Ok(());
        }
        let strangers: Vec<String> = std::fs::read_dir(&self.dir)
            .with_context(|| self.dir.display().to_string())?
            .filter_map(Result::ok)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !OURS.iter().any(|ours| name.starts_with(ours)))
            .collect();
        if let Some(stranger) = strangers.first() {
            bail!(
                "{} holds {stranger}, which is not ours: this is no state directory, nothing was removed",
                self.dir.display()
            );
        }
        std::fs::remove_dir_all(&self.dir).with_context(|| self.dir.display().to_string())
    }
}

/// What a state directory may hold.
const OURS: &[&str] = &[
    "state",
    "kubeconfig",
    "server.",
    "lock",
    "ca.",
    "tls.",
    "token",
    "format",
    "pki",
    "sources",
    "sa.",
    "data",
    "clusters",
    "credentials",
];

fn state_home() -> anyhow::Result<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("XDG_STATE_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".local/state")))
        .map(|home| home.join("landfall"))
        .context("neither XDG_STATE_HOME nor HOME is set; name a directory with --state DIR")
}

/// Writes a file that only its owner can read, in one piece.
pub fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let part = path.with_extension("part");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .with_context(|| part.display().to_string())?;
    file.write_all(bytes).with_context(|| part.display().to_string())?;
    std::fs::rename(&part, path).with_context(|| path.display().to_string())
}

fn process(pid: u32) -> anyhow::Result<rustix::process::Pid> {
    i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).context("not a process number")
}

fn is_alive(pid: u32) -> bool {
    process(pid).is_ok_and(|pid| rustix::process::test_kill_process(pid).is_ok())
        && !std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_keeps_what_is_not_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("letter.txt"), "dear").expect("written");
        let error = State::at(folder.path()).reset().expect_err("refused");
        assert!(error.to_string().contains("letter.txt"), "{error}");
        assert!(folder.path().join("letter.txt").exists());
    }

    #[test]
    fn a_dead_process_is_no_server() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::at(folder.path());
        let note = Running { pid: u32::MAX / 2, address: "127.0.0.1:1".into(), version: "0".into() };
        state.announce(&note, "").expect("announced");
        assert!(state.running().expect("readable").is_none());
    }
}
