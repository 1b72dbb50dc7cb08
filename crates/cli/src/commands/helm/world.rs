//! What templates of the command line may ask for: the clock and randomness, no cluster.

use helm::NoCluster;

/// The present time, and random bytes that nobody can foresee.
pub fn world() -> NoCluster {
    NoCluster::new(jiff::Timestamp::now(), seed())
}

/// The same with `--enable-dns`.
pub fn world_with(dns: bool) -> NoCluster {
    if dns { world().with_hosts(address) } else { world() }
}

/// Who answers `getHostByName`.
pub fn hosts(dns: bool) -> Option<fn(&str) -> String> {
    dns.then_some(address as fn(&str) -> String)
}

/// An address of a host; nothing when it has none.
fn address(host: &str) -> String {
    use std::net::ToSocketAddrs as _;
    let found = (host, 0).to_socket_addrs().ok().and_then(|mut all| all.next());
    found.map(|address| address.ip().to_string()).unwrap_or_default()
}

/// Random bytes that nobody can foresee. They come from the system and not from the TLS library, which takes
/// longer to start its own generator than a chart takes to render.
pub fn seed() -> [u8; 32] {
    rand::random()
}
