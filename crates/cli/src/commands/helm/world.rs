//! What templates of the command line may ask for: the clock and randomness, no cluster.

use helm::NoCluster;

/// The present time, and random bytes that nobody can foresee.
pub fn world() -> anyhow::Result<NoCluster> {
    let mut seed = [0; 32];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut seed)
        .map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(NoCluster::new(jiff::Timestamp::now(), seed))
}
