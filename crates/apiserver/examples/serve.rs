//! Runs the embedded API by itself: `serve [--state DIR | --ephemeral] [--port N]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use apiserver::{Options, Server, Storage};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let started = std::time::Instant::now();
    let mut storage = Storage::Ephemeral;
    let mut port = 0;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--ephemeral" => storage = Storage::Ephemeral,
            "--state" => {
                storage = Storage::Path(PathBuf::from(arguments.next().ok_or("--state needs DIR")?));
            }
            "--port" => port = arguments.next().ok_or("--port needs N")?.parse()?,
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let mut crds = Vec::new();
    if std::env::var_os("FLUX_CRDS").is_some() {
        crds = schema::crds::flux();
    }
    let path = match &storage {
        Storage::Path(directory) => directory.join("kubeconfig"),
        Storage::Ephemeral => {
            std::env::temp_dir().join(format!("landfall-{}.kubeconfig", std::process::id()))
        }
    };
    let server = Server::open(Options { storage, crds, ..Options::default() }).await?;
    let serving = server.serve(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    std::fs::write(&path, serving.kubeconfig())?;
    println!("{}", path.display());
    eprintln!("https://{} ready after {:?}", serving.addr, started.elapsed());
    tokio::signal::ctrl_c().await?;
    server.shutdown().await;
    Ok(())
}
