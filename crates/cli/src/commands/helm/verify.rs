//! `landfall helm verify`, and provenance files for everything that takes `--verify` or `--sign`.

use super::locate::go_error;
use super::settings;
use anyhow::{Context as _, anyhow, bail};
use openpgp::{Cleartext, KeyRing, Verified};
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// The mark between the chart's metadata and the sums; `---` would not be legal in a signed text.
const SEPARATOR: &str = "\n...\n";

/// Arguments of `helm verify`.
#[derive(clap::Args)]
pub struct Args {
    /// The chart's archive, with its provenance file beside it
    path: String,
    /// The public keys
    #[arg(long, default_value_t = settings::keyring(), value_name = "FILE")]
    keyring: String,
}

/// Verifies.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let verified = file(&args.path, &args.keyring)?;
    super::print(&report(&verified, &std::fs::read(&args.path)?))
}

/// What `helm` prints of an archive that was verified.
pub fn report(verified: &Verified, archive: &[u8]) -> String {
    let names: String = verified.names.iter().map(|name| format!("Signed by: {name}\n")).collect();
    let fingerprint = &verified.fingerprint;
    format!("{names}Using Key With Fingerprint: {fingerprint}\nChart Hash Verified: {}\n", sum(archive))
}

fn sum(archive: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(archive)))
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Verifies an archive on disk with the provenance file beside it.
pub fn file(path: &str, keyring: &str) -> anyhow::Result<Verified> {
    let found = std::fs::metadata(path).map_err(|error| go_error("stat", path, &error))?;
    if found.is_dir() {
        bail!("unpacked charts cannot be verified");
    }
    if !Path::new(path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tgz")) {
        bail!("chart must be a tgz file");
    }
    let beside = format!("{path}.prov");
    let found = std::fs::metadata(&beside)
        .map_err(|error| go_error("stat", &beside, &error))
        .with_context(|| format!("could not load provenance file {beside}"))?;
    let ring = ring(keyring).context("failed to load keyring")?;
    if found.is_dir() {
        bail!("{beside} cannot be a directory");
    }
    let read = |path: &str| std::fs::read(path).map_err(|error| go_error("open", path, &error));
    check(base(path), &read(path)?, &read(&beside)?, &ring)
}

/// Verifies an archive that was fetched.
pub fn bytes(name: &str, archive: &[u8], provenance: &[u8], keyring: &str) -> anyhow::Result<Verified> {
    let ring = ring(keyring).context("failed to load keyring")?;
    check(name, archive, provenance, &ring)
}

fn ring(path: &str) -> anyhow::Result<KeyRing> {
    let bytes = std::fs::read(path).map_err(|error| go_error("open", path, &error))?;
    Ok(KeyRing::parse(&bytes)?)
}

/// The signature first, then what it signs: the sum of the file of this name.
fn check(name: &str, archive: &[u8], provenance: &[u8], ring: &KeyRing) -> anyhow::Result<Verified> {
    let message = Cleartext::parse(provenance);
    let message = message.context("signature block not found").context("failed to decode signature")?;
    let now = jiff::Timestamp::now().as_second();
    let verified = ring.verify(&message.signed, &message.signature, now)?;
    let text = String::from_utf8_lossy(&message.text);
    let mut parts = text.split(SEPARATOR);
    let (Some(_), Some(sums)) = (parts.next(), parts.next()) else {
        bail!("message block must have at least two parts");
    };
    let sums = yaml::from_str(sums).map_err(|error| anyhow!("{error}"))?;
    let noted = sums.get("files").and_then(|files| files.get(name)).and_then(serde_json::Value::as_str);
    let Some(noted) = noted else { bail!("provenance does not contain a SHA for a file named {name:?}") };
    let found = sum(archive);
    if noted != found {
        bail!("sha256 sum does not match for {name}: {noted:?} != {found:?}");
    }
    Ok(verified)
}

/// How a packed chart is signed.
#[derive(clap::Args)]
pub struct SignFlags {
    /// Sign the archive: writes a provenance file beside it
    #[arg(long)]
    pub sign: bool,
    /// The name of the key, or a part of it
    #[arg(long, default_value = "", value_name = "NAME")]
    pub key: String,
    /// The secret keys
    #[arg(long, default_value_t = settings::keyring(), value_name = "FILE")]
    pub keyring: String,
    /// The file with the key's passphrase (`-` for standard input)
    #[arg(long, default_value = "", value_name = "FILE")]
    pub passphrase_file: String,
}

impl SignFlags {
    /// Whether the flags belong together.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.sign && self.key.is_empty() {
            bail!("--key is required for signing a package");
        }
        if self.sign && self.keyring.is_empty() {
            bail!("--keyring is required for signing a package");
        }
        Ok(())
    }

    /// Writes the provenance file of a packed chart.
    pub fn sign(&self, archive: &Path) -> anyhow::Result<()> {
        let ring = ring(&self.keyring)?;
        let key = ring.find(&self.key)?;
        let given = match self.passphrase_file.as_str() {
            "" => None,
            "-" => Some(first_line(std::io::stdin().lock())?),
            path => {
                let file = std::fs::File::open(path).map_err(|error| go_error("open", path, &error))?;
                Some(first_line(std::io::BufReader::new(file))?)
            }
        };
        let key = key.ok_or(openpgp::Error::NoKey)?;
        let passphrase = match (key.locked(), given) {
            (Some(true), None) => {
                let name = key.names().next().unwrap_or("Unknown");
                super::ask::secret(&format!("Password for key {name:?} >  "))?.into_bytes()
            }
            (_, given) => given.unwrap_or_default(),
        };
        let signer = key.unlock(&passphrase)?;
        let bytes = std::fs::read(archive)?;
        let chart = helm::Chart::load_archive(&bytes)?.chart;
        let name = base(&archive.to_string_lossy()).to_owned();
        let sums = serde_json::json!({"files": {(name): sum(&bytes)}});
        let text = format!("{}{SEPARATOR}{}", chart.metadata.to_yaml(), yaml::to_string(&sums));
        let message = Cleartext::sign(&text, &signer, jiff::Timestamp::now().as_second())?;
        let beside = format!("{}.prov", archive.display());
        std::fs::write(&beside, message).map_err(|error| go_error("open", &beside, &error))
    }
}

fn first_line(mut reader: impl std::io::BufRead) -> anyhow::Result<Vec<u8>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        bail!("EOF");
    }
    let end = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    line.truncate(end);
    Ok(line)
}
