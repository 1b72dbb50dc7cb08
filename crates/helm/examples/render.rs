//! How long a chart takes to load and render in process, again and again:
//! `cargo run --release -p landfall-helm --example render CHART.tgz [TIMES]`.

#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use helm::{Chart, NoCluster, RenderOptions, TemplateOptions, Values};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let Some(path) = words.next() else { return Err("usage: render CHART.tgz [TIMES]".into()) };
    let times: u32 = words.next().map_or(Ok(1), |text| text.parse())?;
    let ms = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
    let bytes = std::fs::read(&path)?;
    let start = Instant::now();
    let chart = Chart::from_archive(&bytes)?;
    println!("load {:.2} ms", ms(start));
    let kube_version = helm::KubeVersion::parse("v1.34.0")?;
    let capabilities = helm::Capabilities { kube_version, ..Default::default() };
    let options =
        RenderOptions { namespace: "ns".into(), capabilities, heads_only: true, ..RenderOptions::default() };
    let values = Values::new();
    let mut fastest = f64::MAX;
    let mut length = 0;
    for round in 0..times {
        let world = NoCluster::new(jiff::Timestamp::UNIX_EPOCH, [0; 32]);
        let start = Instant::now();
        let rendered = helm::render(&chart, &values, &options, &world)?;
        if round == 0 {
            println!("first render {:.2} ms", ms(start));
        }
        fastest = fastest.min(ms(start));
        if round == 0 {
            let start = Instant::now();
            length =
                rendered.to_template(&TemplateOptions { include_crds: true, ..Default::default() })?.len();
            println!("print {:.2} ms", ms(start));
        }
    }
    println!("fastest render {fastest:.2} ms, {length} bytes");
    Ok(())
}
