//! Flags that several verbs share.

use anyhow::{Context, anyhow};
use helm::provenance::ValueFiles;
use helm::{Capabilities, Chart, KubeVersion, Values};
use std::io::Read as _;

/// Where values come from, in the order in which they are put on top of each other.
#[derive(clap::Args, Default)]
pub struct ValueFlags {
    /// A values file (`-` for standard input); the last one wins
    #[arg(short = 'f', long = "values", value_name = "FILE", value_delimiter = ',')]
    files: Vec<String>,
    /// Values by path, a.b=1,c=x
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// As --set, always strings
    #[arg(long, value_name = "PATH=VALUE")]
    set_string: Vec<String>,
    /// Values from files, a.b=path
    #[arg(long, value_name = "PATH=FILE")]
    set_file: Vec<String>,
    /// JSON values, a.b={"c":1}
    #[arg(long, value_name = "PATH=JSON")]
    set_json: Vec<String>,
    /// One string, taken as it is
    #[arg(long, value_name = "PATH=TEXT")]
    set_literal: Vec<String>,
}

impl ValueFlags {
    /// All values, merged.
    pub fn read(&self) -> anyhow::Result<Values> {
        let mut values = Values::new();
        for path in &self.files {
            let text = read_text(path)?;
            let over = Values::parse(&text).map_err(|error| anyhow!("failed to parse {path}: {error}"))?;
            values.merge(over.unwrap_or_default());
        }
        for text in &self.set_json {
            values.set_json(text).map_err(|_| anyhow!("failed parsing --set-json data {text}"))?;
        }
        for text in &self.set {
            values.set(text).context("failed parsing --set data")?;
        }
        for text in &self.set_string {
            values.set_string(text).context("failed parsing --set-string data")?;
        }
        for text in &self.set_file {
            let mut read = |path: &str| read_text(path).map_err(|error| format!("{error:#}"));
            values.set_file(text, &mut read).context("failed parsing --set-file data")?;
        }
        for text in &self.set_literal {
            values.set_literal(text).context("failed parsing --set-literal data")?;
        }
        Ok(values)
    }
}

impl ValueFlags {
    /// Where each value stands: in the chart, or in these flags. Standard input is read once, for the values.
    pub fn places(&self, chart: &Chart) -> anyhow::Result<ValueFiles> {
        let mut places = ValueFiles::of_chart(chart);
        for path in self.files.iter().filter(|path| path.trim() != "-") {
            places.add_file(path, &read_text(path)?);
        }
        type Setter = fn(&mut Values, &str) -> helm::Result<()>;
        let kinds: [(&str, &[String], Setter); 4] = [
            ("--set-json", &self.set_json, Values::set_json),
            ("--set", &self.set, Values::set),
            ("--set-string", &self.set_string, Values::set_string),
            ("--set-literal", &self.set_literal, Values::set_literal),
        ];
        for (flag, texts, set) in kinds {
            for text in texts {
                let mut alone = Values::new();
                set(&mut alone, text)?;
                places.add_set(&format!("{flag} {text}"), alone);
            }
        }
        for text in &self.set_file {
            let mut alone = Values::new();
            let mut read = |path: &str| read_text(path).map_err(|error| format!("{error:#}"));
            alone.set_file(text, &mut read)?;
            places.add_set(&format!("--set-file {text}"), alone);
        }
        Ok(places)
    }
}

fn read_text(path: &str) -> anyhow::Result<String> {
    if path.trim() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes)?;
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    let bytes = std::fs::read(path).map_err(|error| super::locate::go_error("open", path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What the chart is told of the cluster.
#[derive(clap::Args, Default)]
pub struct CapabilityFlags {
    /// The Kubernetes version in .Capabilities.KubeVersion
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    /// More API versions for .Capabilities.APIVersions
    #[arg(short, long, value_name = "VERSION", value_delimiter = ',')]
    api_versions: Vec<String>,
}

impl CapabilityFlags {
    /// The capabilities with what the flags say.
    pub fn read(&self) -> anyhow::Result<Capabilities> {
        let mut capabilities = Capabilities::default();
        if let Some(version) = &self.kube_version {
            capabilities.kube_version = KubeVersion::parse(version)?;
        }
        capabilities.api_versions.extend(self.api_versions.iter().cloned());
        Ok(capabilities)
    }
}

/// How a server is reached, and who one is to it.
#[derive(clap::Args, Clone, Default)]
pub struct Access {
    /// The repository's user
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// The repository's password
    #[arg(long, value_name = "TEXT")]
    pub password: Option<String>,
    /// Use plain HTTP for an OCI registry
    #[arg(long)]
    pub plain_http: bool,
    /// The certificate authority of the server
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<String>,
    /// The client's certificate
    #[arg(long, value_name = "FILE")]
    pub cert_file: Option<String>,
    /// Its key
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<String>,
    /// Take any certificate of the server
    #[arg(long)]
    pub insecure_skip_tls_verify: bool,
}

impl Access {
    /// As a source wants it.
    pub fn credentials(&self) -> anyhow::Result<source::Credentials> {
        let read = |path: &Option<String>| -> anyhow::Result<Option<Vec<u8>>> {
            let bytes = path.as_ref().filter(|path| !path.is_empty()).map(|path| {
                std::fs::read(path).map_err(|error| super::locate::go_error("open", path, &error))
            });
            bytes.transpose()
        };
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Ok(source::Credentials {
            username: given(&self.username),
            password: given(&self.password),
            ca: read(&self.ca_file)?,
            cert: read(&self.cert_file)?,
            key: read(&self.key_file)?,
            any_certificate: self.insecure_skip_tls_verify,
            ..source::Credentials::default()
        })
    }
}

/// Where a chart comes from when it is not a file.
#[derive(clap::Args, Default)]
pub struct ChartFlags {
    /// The version, or a range of versions
    #[arg(long, value_name = "RANGE")]
    pub version: Option<String>,
    /// Pre-releases count too
    #[arg(long)]
    pub devel: bool,
    /// The address of the chart's repository
    #[arg(long, value_name = "URL")]
    pub repo: Option<String>,
    /// Send user and password to other hosts too
    #[arg(long)]
    pub pass_credentials: bool,
    #[command(flatten)]
    pub access: Access,
    /// Use the chart only when its provenance file proves it
    #[arg(long)]
    pub verify: bool,
    /// The public keys for that
    #[arg(long, default_value_t = super::settings::keyring(), value_name = "FILE")]
    pub keyring: String,
}

impl ChartFlags {
    /// The range of versions; empty for the newest.
    pub fn range(&self) -> &str {
        match &self.version {
            Some(version) => version.trim(),
            None if self.devel => ">0.0.0-0",
            None => "",
        }
    }
}
