//! The process that evaluates Jsonnet: this program again, with little memory, ended by the engine when it takes too
//! long. A hostile program can only end itself.

use std::io::BufReader;
use std::process::ExitCode;

use anyhow::Context as _;
use argo::render::jsonnet::Evaluator;

/// The word that starts it.
pub const COMMAND: &str = "jsonnet-evaluator";
/// How much it may map: its own text and what the allocator reserves included.
#[cfg(target_os = "linux")]
const MAX_MEMORY: u64 = 2 << 30;

/// How the engine starts it.
///
/// # Errors
/// When the path of this program is not known.
pub fn evaluator() -> anyhow::Result<Evaluator> {
    let program = std::env::current_exe().context("the path of this program")?;
    Ok(Evaluator::Apart { program, arguments: vec![COMMAND.to_owned()] })
}

/// Is it.
pub fn run() -> anyhow::Result<ExitCode> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let limit = Rlimit { current: Some(MAX_MEMORY), maximum: Some(MAX_MEMORY) };
        setrlimit(Resource::As, limit).context("cannot limit the memory of a Jsonnet evaluation")?;
        // Who runs out of memory leaves no image of it.
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        setrlimit(Resource::Core, none).context("cannot limit the memory of a Jsonnet evaluation")?;
    }
    jsonnet::wire::serve(BufReader::new(std::io::stdin()), std::io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}
