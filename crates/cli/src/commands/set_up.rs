//! What the whole process shares: logging and the crypto provider.
//!
//! Rendering needs neither, and both take longer to set up than a small chart or kustomization takes to render.
//! Commands that only render therefore come here when they first reach for the network.

use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};

static VERBOSE: AtomicU8 = AtomicU8::new(0);
static DONE: Once = Once::new();

/// Notes how much to say. What was asked to be told is told from the start.
pub fn say(verbose: u8) {
    VERBOSE.store(verbose, Ordering::Relaxed);
    if verbose > 0 || std::env::var_os("LANDFALL_LOG").is_some() {
        now();
    }
}

/// Sets up, once.
pub fn now() {
    DONE.call_once(|| {
        let level = match VERBOSE.load(Ordering::Relaxed) {
            0 => "warn,kube_client=error",
            1 => "info,hyper=warn,h2=warn,rustls=warn",
            _ => "debug,hyper=info,h2=info,rustls=info",
        };
        let filter = std::env::var("LANDFALL_LOG").unwrap_or_else(|_| level.to_owned());
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_writer(std::io::stderr)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_target(false)
            .init();
        // A second installation answers with an error that means: already there.
        let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}
