//! How fast the crate reads and prints a file: `cargo run --release -p landfall-yaml --example speed FILE`.

#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use std::time::Instant;

fn main() {
    let Some(path) = std::env::args().nth(1) else { return eprintln!("usage: speed FILE") };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return eprintln!("{path}: {error}"),
    };
    let rate = |bytes: usize, since: Instant| bytes as f64 / 1e6 / since.elapsed().as_secs_f64();
    for _ in 0..3 {
        let start = Instant::now();
        let value = match yaml::from_str(&text) {
            Ok(value) => value,
            Err(error) => return eprintln!("{path}: {error}"),
        };
        println!("value read: {:.0} MB/s", rate(text.len(), start));
        let start = Instant::now();
        let printed = yaml::to_string(&value);
        println!("value print: {:.0} MB/s", rate(printed.len(), start));
        let start = Instant::now();
        let nodes = match yaml::parse_nodes(&text) {
            Ok(nodes) => nodes,
            Err(error) => return eprintln!("{path}: {error}"),
        };
        println!("node read: {:.0} MB/s", rate(text.len(), start));
        let start = Instant::now();
        let length: usize = nodes.iter().map(|node| yaml::emit(node).len()).sum();
        println!("node print: {:.0} MB/s", rate(length, start));
    }
}
