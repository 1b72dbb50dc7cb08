//! What templates of the command line may ask for: the clock and randomness, no cluster.

use helm::NoCluster;

/// The present time, and random bytes that nobody can foresee.
pub fn world() -> NoCluster {
    NoCluster::new(jiff::Timestamp::now(), seed())
}

/// Random bytes that nobody can foresee. They come from the system and not from the TLS library, which takes
/// longer to start its own generator than a chart takes to render.
pub fn seed() -> [u8; 32] {
    rand::random()
}
