//! Builds the kustomization in a folder and prints it: `build DIR [none|legacy] [LoadRestrictionsNone] [helm]`.
#![allow(clippy::disallowed_methods)]

#[path = "../tests/common/mod.rs"]
mod common;

fn main() -> std::process::ExitCode {
    let mut options = kustomize::Options::default();
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().unwrap_or_else(|| ".".to_owned());
    for argument in arguments {
        match argument.as_str() {
            "none" => options.reorder = kustomize::Reorder::None,
            "legacy" => options.reorder = kustomize::Reorder::Legacy,
            "LoadRestrictionsNone" => options.load_restrictions = kustomize::LoadRestrictions::None,
            _ => options.enable_helm = true,
        }
    }
    let dir = std::fs::canonicalize(&dir).map(|path| path.to_string_lossy().into_owned()).unwrap_or(dir);
    let mut warnings = Vec::new();
    let built = kustomize::build_noting(&common::DiskWorld, &dir, &options, &mut warnings);
    for warning in warnings {
        eprintln!("{warning}");
    }
    match built {
        Ok(built) => {
            print!("{}", built.to_yaml());
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("Error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
