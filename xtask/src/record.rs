//! Expected output of the real tools for the Flux example repository, recorded as test data.
//!
//! For each environment: what `kustomize build` makes of every Kustomization, and `helm template` of every
//! HelmRelease in them, with what Flux does before it calls those libraries (patches of the spec appended,
//! OCI charts' versions told apart by digest). One JSON line a unit, compressed.

use anyhow::{Context, Result, bail};
use object::{Value, get, get_str, meta};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Arguments of `cargo xtask record`.
#[derive(clap::Args)]
pub struct Args {
    /// Where the lines go
    #[arg(long, default_value = "crates/cli/testdata/flux-example")]
    out: PathBuf,
}

/// Records every environment.
pub fn run(args: &Args) -> Result<bool> {
    let suite = "suites/gitops-repos/fluxcd__flux2-kustomize-helm-example.tar.zst";
    let (Some(archive), Some(charts)) = (testkit::shared(suite), testkit::shared("charts")) else {
        bail!("the shared suites and charts are needed: set LANDFALL_SHARED");
    };
    let (helm, kustomize) = (tool("helm")?, tool("kustomize")?);
    std::fs::create_dir_all(&args.out)?;
    for environment in ["staging", "production"] {
        let folder = tempfile::tempdir()?;
        testkit::unpack_zst(&archive, folder.path());
        let root = folder.path().join("fluxcd__flux2-kustomize-helm-example");
        let recorder = Recorder { root: &root, charts: &charts, helm: &helm, kustomize: &kustomize };
        let lines = recorder.environment(environment)?;
        let file = std::fs::File::create(args.out.join(format!("{environment}.jsonl.zst")))?;
        let mut out = zstd::Encoder::new(file, 19)?.auto_finish();
        for (unit, objects) in &lines {
            writeln!(out, "{}", json!({"unit": unit, "objects": objects}))?;
            println!("{environment} {unit}: {} objects", objects.len());
        }
    }
    let origin = format!(
        "Recorded by `cargo xtask record` from the Flux project's flux2-kustomize-helm-example\n\
         (https://github.com/fluxcd/flux2-kustomize-helm-example, Apache-2.0) and the charts cert-manager v1.20.2,\n\
         gateway-helm v1.8.0 (Apache-2.0) and podinfo 6.14.1 (Apache-2.0).\nhelm {}\nkustomize {}\n",
        text(Command::new(&helm).args(["version", "--short"]))?.trim(),
        text(Command::new(&kustomize).arg("version"))?.trim(),
    );
    std::fs::write(args.out.join("ORIGIN.md"), origin)?;
    Ok(true)
}

fn tool(name: &str) -> Result<PathBuf> {
    testkit::kube::peer(name).with_context(|| format!("{name} is not installed (LANDFALL_PEERS, PATH)"))
}

fn text(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn objects(text: &str) -> Result<Vec<Value>> {
    yaml::documents(text).map_err(|error| anyhow::anyhow!("{error}"))
}

struct Recorder<'a> {
    root: &'a Path,
    charts: &'a Path,
    helm: &'a Path,
    kustomize: &'a Path,
}

impl Recorder<'_> {
    fn environment(&self, environment: &str) -> Result<BTreeMap<String, Vec<Value>>> {
        // The folder of the cluster has no kustomization of its own: everything in it, as Flux finds it.
        let cluster = self.root.join("clusters").join(environment);
        let mut resources: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(&cluster)? {
            resources.push(entry?.file_name().to_string_lossy().into_owned());
        }
        resources.sort();
        write(&cluster.join("kustomization.yaml"), &json!({"resources": resources}))?;
        let top = self.build(&cluster)?;
        self.artifacts(&top)?;
        let mut units = BTreeMap::new();
        let mut releases = Vec::new();
        for unit in top.iter().filter(|unit| meta::kind(unit) == "Kustomization") {
            let name = meta::name(unit);
            if name == "flux-system" {
                continue;
            }
            let source = get_str(unit, &["spec", "sourceRef", "name"]).unwrap_or_default();
            let path = get_str(unit, &["spec", "path"]).unwrap_or_default();
            let folder = self.root.join("artifacts").join(source).join(path.trim_start_matches("./"));
            if let Some(patches) = get(unit, &["spec", "patches"]).and_then(Value::as_array) {
                self.patch(&folder, patches)?;
            }
            let built = self.build(&folder)?;
            releases.extend(built.iter().filter(|object| meta::kind(object) == "HelmRelease").cloned());
            units.insert(format!("Kustomization/flux-system/{name}"), built);
        }
        units.insert("Kustomization/flux-system/flux-system".to_owned(), top);
        for release in &releases {
            let namespace = meta::namespace(release).unwrap_or_default();
            let unit = format!("HelmRelease/{namespace}/{}", meta::name(release));
            units.insert(unit, self.template(release)?);
        }
        Ok(units)
    }

    fn build(&self, folder: &Path) -> Result<Vec<Value>> {
        objects(&text(
            Command::new(self.kustomize)
                .args(["build", "--load-restrictor=LoadRestrictionsNone"])
                .arg(folder),
        )?)
    }

    /// The artifacts that the ArtifactGenerator makes: copies of whole folders.
    fn artifacts(&self, objects: &[Value]) -> Result<()> {
        let generators = objects.iter().filter(|object| meta::kind(object) == "ArtifactGenerator");
        for artifact in generators.flat_map(|found| list(found, &["spec", "artifacts"])) {
            let name = get_str(artifact, &["name"]).unwrap_or_default();
            for copy in list(artifact, &["copy"]) {
                let from = get_str(copy, &["from"]).unwrap_or_default();
                let to = get_str(copy, &["to"]).unwrap_or_default();
                let from = from.split_once('/').map(|(_, path)| path).unwrap_or_default();
                let from = self.root.join(from.trim_end_matches("/**"));
                let to = self.root.join("artifacts").join(name).join(to.trim_start_matches("@artifact/"));
                copy_folder(&from, &to)?;
            }
        }
        Ok(())
    }

    fn patch(&self, folder: &Path, patches: &[Value]) -> Result<()> {
        let file = folder.join("kustomization.yaml");
        let mut kustomization = yaml::from_str(&std::fs::read_to_string(&file)?)
            .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
        let mut all: Vec<Value> = list(&kustomization, &["patches"]).cloned().collect();
        all.extend_from_slice(patches);
        object::set(&mut kustomization, &["patches"], json!(all));
        write(&file, &kustomization)
    }

    fn template(&self, release: &Value) -> Result<Vec<Value>> {
        let namespace = meta::namespace(release).unwrap_or_default();
        let name = get_str(release, &["spec", "releaseName"]).unwrap_or_else(|| meta::name(release));
        let wanted = match get_str(release, &["spec", "chartRef", "name"]) {
            Some(name) => name,
            None => get_str(release, &["spec", "chart", "spec", "chart"]).unwrap_or_default(),
        };
        let archive = self.archive(wanted)?;
        let folder = tempfile::tempdir()?;
        let unpack = flate2::read::GzDecoder::new(std::fs::File::open(&archive)?);
        tar::Archive::new(unpack).unpack(folder.path())?;
        let chart = folder.path().join(wanted);
        if get(release, &["spec", "chartRef"]).is_some() {
            let digest = testkit::remotes::sha256(&std::fs::read(&archive)?).replace("sha256:", "");
            let file = chart.join("Chart.yaml");
            let mut metadata = yaml::from_str(&std::fs::read_to_string(&file)?)
                .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
            let version = get_str(&metadata, &["version"]).unwrap_or_default().to_owned();
            metadata["version"] = json!(format!("{version}+{}", digest.get(..12).unwrap_or(&digest)));
            write(&file, &metadata)?;
        }
        let values = folder.path().join("values-of-the-release.yaml");
        write(&values, &get(release, &["spec", "values"]).cloned().unwrap_or_else(|| json!({})))?;
        let mut command = Command::new(self.helm);
        command
            .args(["template", name])
            .arg(&chart)
            .args(["--namespace", namespace, "--values"])
            .arg(&values);
        command.args(["--no-hooks", "--kube-version", "1.34.2"]);
        objects(&text(&mut command)?)
    }

    fn archive(&self, chart: &str) -> Result<PathBuf> {
        for entry in std::fs::read_dir(self.charts)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let rest = name.strip_prefix(chart).and_then(|rest| rest.strip_prefix('-'));
            if rest.is_some_and(|rest| rest.starts_with(|c: char| c == 'v' || c.is_ascii_digit())) {
                return Ok(path);
            }
        }
        bail!("no archive of the chart {chart}")
    }
}

fn list<'a>(value: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a Value> + use<'a> {
    get(value, path).and_then(Value::as_array).into_iter().flatten()
}

fn write(file: &Path, value: &Value) -> Result<()> {
    std::fs::write(file, yaml::to_string(value)).with_context(|| file.display().to_string())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
