//! `landfall helm template`.

use super::act::Stage;
use super::flags::{CapabilityFlags, ChartFlags, ValueFlags};
use super::install::said;
use super::name::NameFlags;
use super::{Settings, locate, world};
use crate::commands::provenance;
use anyhow::anyhow;
use helm::{Chart, RenderOptions, Rendered, TemplateOptions, Values};
use releases::Policy;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

/// Arguments of `helm template`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: NameFlags,
    #[command(flatten)]
    values: ValueFlags,
    #[command(flatten)]
    chart: ChartFlags,
    #[command(flatten)]
    capabilities: CapabilityFlags,
    /// Print the CRDs too
    #[arg(long)]
    include_crds: bool,
    /// Leave CRDs out (they are, unless --include-crds)
    #[arg(long)]
    skip_crds: bool,
    /// Leave tests out
    #[arg(long)]
    skip_tests: bool,
    /// Leave hooks out
    #[arg(long)]
    no_hooks: bool,
    /// Render as an upgrade
    #[arg(long)]
    is_upgrade: bool,
    /// Print only what comes of these templates
    #[arg(short, long, value_name = "TEMPLATE")]
    show_only: Vec<String>,
    /// Write files below this folder instead of printing
    #[arg(long, value_name = "DIR")]
    output_dir: Option<String>,
    /// Put the release's name into the paths below --output-dir
    #[arg(long)]
    release_name: bool,
    /// A program that the manifests go through
    #[arg(long, value_name = "PROGRAM")]
    post_renderer: Option<String>,
    /// Its arguments
    #[arg(long, value_name = "ARG")]
    post_renderer_args: Vec<String>,
    /// Let values through that break values.schema.json
    #[arg(long)]
    skip_schema_validation: bool,
    /// Show the notes of subcharts too
    #[arg(long)]
    render_subchart_notes: bool,
    /// Show for every line the line of the template and the values that it comes from
    #[arg(long)]
    provenance: bool,
    /// `server` lets templates look into the cluster
    #[arg(long, num_args = 0..=1, default_missing_value = "client", value_name = "MODE")]
    dry_run: Option<String>,
    /// Render for the cluster, and say whether it would take the objects
    #[arg(long)]
    validate: bool,
    /// Fetch missing dependencies first
    #[arg(long)]
    dependency_update: bool,
    /// Let templates ask for the addresses of hosts
    #[arg(long)]
    enable_dns: bool,
    #[command(flatten)]
    rest: Rest,
}

/// Flags of `install` that `helm template` has too, and that change nothing of what is printed.
#[derive(clap::Args)]
#[allow(dead_code)]
struct Rest {
    #[arg(long, hide = true)]
    atomic: bool,
    #[arg(long, hide = true)]
    create_namespace: bool,
    #[arg(long, hide = true)]
    description: Option<String>,
    #[arg(long, hide = true)]
    disable_openapi_validation: bool,
    #[arg(long, hide = true)]
    force: bool,
    #[arg(long, hide = true)]
    hide_notes: bool,
    #[arg(short, long, hide = true)]
    labels: Vec<String>,
    #[arg(long, hide = true)]
    replace: bool,
    #[arg(long, hide = true)]
    take_ownership: bool,
    #[arg(long, hide = true)]
    timeout: Option<String>,
    #[arg(long, hide = true)]
    wait: bool,
    #[arg(long, hide = true)]
    wait_for_jobs: bool,
}

/// Renders and prints.
pub fn run(args: &Args, settings: &Settings) -> anyhow::Result<()> {
    let world = world::world_with(args.enable_dns);
    let (name, path) = args.name.read("template", &world, |_| Ok("release-name".to_owned()))?;
    let values = args.values.read()?;
    let capabilities = args.capabilities.read()?;
    let mut chart = locate::find(&path, &args.chart)?;
    if args.dependency_update && helm::check_present(&chart).is_err() {
        let how = super::dependency::How { access: args.chart.access.clone(), ..Default::default() };
        super::dependency::update(&path, &how, &mut std::io::stderr())?;
        chart = locate::chart(&path)?;
    }
    helm::check_installable(&chart)?;
    locate::warn_deprecated(&chart);
    let options = RenderOptions {
        release_name: name.clone(),
        namespace: settings.namespace_or_default(),
        is_install: !args.is_upgrade,
        is_upgrade: args.is_upgrade,
        capabilities,
        skip_schema_validation: args.skip_schema_validation,
        sub_notes: args.render_subchart_notes,
        heads_only: true,
        ..RenderOptions::default()
    };
    if args.provenance {
        let places = args.values.places(&chart)?;
        let text = provenance::show(&chart, &values, &places, &options, &world, false);
        return super::print(&text?);
    }
    let mut rendered = if args.validate || args.dry_run.as_deref() == Some("server") {
        super::wait_for(with_cluster(args, &chart, &values, options, settings))?
    } else {
        let rendered = helm::render(&chart, &values, &options, &world);
        rendered.map_err(|error| locate::with_debug_hint(error, settings.debug))?
    };
    for warning in &rendered.warnings {
        eprintln!("{warning}");
    }
    if let Some(program) = &args.post_renderer {
        rendered.post_render(&mut |text| post_render(program, &args.post_renderer_args, text))?;
    }
    let output = TemplateOptions {
        include_crds: args.include_crds && !args.skip_crds,
        no_hooks: args.no_hooks,
        skip_tests: args.skip_tests,
        show_only: args.show_only.clone(),
    };
    match &args.output_dir {
        Some(folder) => write(&rendered, &output, folder, args.release_name.then_some(name.as_str())),
        None => print(&rendered.template_pieces(&output)?),
    }?;
    // The process ends: giving tens of thousands of values back one by one would only take time.
    std::mem::forget((rendered, chart));
    Ok(())
}

/// Renders with the cluster in sight: `--validate` for its capabilities, `--dry-run=server` with lookups.
async fn with_cluster(
    args: &Args,
    chart: &Chart,
    values: &Values,
    mut options: RenderOptions,
    settings: &Settings,
) -> anyhow::Result<Rendered> {
    let connection = settings.connect().await?;
    options.heads_only = false;
    options.namespace.clone_from(&connection.namespace);
    if args.validate {
        options.capabilities = releases::capabilities(&connection.cluster).await?;
    }
    let stage = Stage::new(&connection, &options.release_name);
    let lookups = args.dry_run.as_deref() == Some("server");
    let runtime = tokio::runtime::Handle::current();
    let live = releases::Live::new(connection.cluster.clone(), runtime, jiff::Timestamp::now())
        .with_hosts(world::hosts(args.enable_dns));
    let (chart, values, dns, debug) = (chart.clone(), values.clone(), args.enable_dns, settings.debug);
    let work = move || match lookups {
        true => helm::render(&chart, &values, &options, &live),
        false => helm::render(&chart, &values, &options, &world::world_with(dns)),
    };
    let rendered = tokio::task::spawn_blocking(work).await?;
    let rendered = rendered.map_err(|error| locate::with_debug_hint(error, debug))?;
    if args.validate {
        stage.actions().check(&rendered.manifests, None, &Policy::default()).await.map_err(said)?;
    }
    Ok(rendered)
}

/// Prints the pieces: large ones as they are, small ones together.
fn print(pieces: &[Cow<'_, str>]) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
    for piece in pieces {
        out.write_all(piece.as_bytes())?;
    }
    Ok(out.flush()?)
}

/// Runs a post-renderer.
pub fn post_render(program: &str, arguments: &[String], text: &str) -> Result<String, String> {
    use std::process::{Command, Stdio};
    let mut command = Command::new(program);
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("unable to start {program}: {error}"))?;
    let mut input = child.stdin.take().ok_or("the program takes no input")?;
    // The program may write before it has read everything: both sides must move.
    let text = text.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let written = writer.join();
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "error while running command {program}. error output:\n{words}: {}",
            output.status
        ));
    }
    if let Ok(Err(error)) = written
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        return Err(error.to_string());
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

/// Writes the files and says which. CRDs stand directly below the folder, also with a release's name.
fn write(
    rendered: &Rendered,
    output: &TemplateOptions,
    folder: &str,
    name: Option<&str>,
) -> anyhow::Result<()> {
    let crds: BTreeSet<&str> = rendered.crds.iter().map(|crd| crd.path.as_str()).collect();
    for (path, text) in rendered.to_files(output) {
        let target = match name {
            Some(name) if !crds.contains(path.as_str()) => format!("{folder}/{name}/{path}"),
            _ => format!("{folder}/{path}"),
        };
        if let Some(parent) = Path::new(&target).parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&target, text).map_err(|error| anyhow!("open {target}: {error}"))?;
        println!("wrote {target}");
    }
    // What goes to standard output is then only the end of an empty text.
    super::print("\n")
}
