//! The real tool under limits: a random template can ask it for more memory than there is (`until` has no bound in
//! Helm), and then it is the machine that ends.

use anyhow::Context as _;
use std::path::Path;
use std::process::{Command, Output};

/// Address space in KiB, and seconds, that one call may take.
const MEMORY: u32 = 6 << 20;
const SECONDS: u32 = 60;

/// What `timeout` exits with when the time is over.
const TIMED_OUT: i32 = 124;

/// A call of `program`, whose arguments follow.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command
        .arg(SECONDS.to_string())
        .args(["sh", "-c", &format!("ulimit -v {MEMORY} && exec \"$0\" \"$@\"")])
        .arg(program);
    command
}

/// Runs it: `None` when it met a limit, and so has no answer.
pub fn output(mut command: Command) -> anyhow::Result<Option<Output>> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let gave_up = match output.status.code() {
        Some(TIMED_OUT) | None => true,
        Some(_) => {
            let error = String::from_utf8_lossy(&output.stderr);
            [
                "fatal error: out of memory",
                "fatal error: runtime: out of memory",
                "fatal error: runtime: cannot allocate memory",
            ]
            .iter()
            .any(|words| error.contains(words))
        }
    };
    Ok((!gave_up).then_some(output))
}
