//! `landfall helm registry login|logout` and `landfall helm push`.

use super::logins::{self, Login, Store};
use super::{ask, settings, wait_for};
use anyhow::{Context as _, anyhow, bail};
use helm::Metadata;
use source::oci::{Blob, CHART_CONFIG, CHART_LAYER, PROVENANCE_LAYER, Push};
use source::{Credentials, Fetcher};
use std::collections::BTreeMap;

/// What is done with a registry.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Log in, and keep the login for later
    Login(LoginArgs),
    /// Forget a login
    Logout(LogoutArgs),
}

/// How a registry is reached.
#[derive(clap::Args)]
pub struct Reach {
    /// The certificate authority of the server
    #[arg(long, default_value = "", value_name = "FILE")]
    ca_file: String,
    /// The client's certificate
    #[arg(long, default_value = "", value_name = "FILE")]
    cert_file: String,
    /// Its key
    #[arg(long, default_value = "", value_name = "FILE")]
    key_file: String,
    /// Use plain HTTP
    #[arg(long)]
    plain_http: bool,
}

/// The registry, and who one is.
#[derive(clap::Args)]
pub struct LoginArgs {
    /// HOST or HOST:PORT
    host: String,
    /// The user
    #[arg(short, long, default_value = "", value_name = "NAME")]
    username: String,
    /// The password or an identity token
    #[arg(short, long, default_value = "", value_name = "TEXT")]
    password: String,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Take any certificate of the server
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    reach: Reach,
}

/// The registry.
#[derive(clap::Args)]
pub struct LogoutArgs {
    /// HOST or HOST:PORT
    host: String,
}

/// The archive and where it goes.
#[derive(clap::Args)]
pub struct PushArgs {
    /// The chart's archive; a provenance file beside it goes along
    chart: String,
    /// oci://HOST/PATH
    remote: String,
    /// The user
    #[arg(long, default_value = "", value_name = "NAME")]
    username: String,
    /// The password
    #[arg(long, default_value = "", value_name = "TEXT")]
    password: String,
    /// Take any certificate of the server
    #[arg(long)]
    insecure_skip_tls_verify: bool,
    #[command(flatten)]
    reach: Reach,
}

impl Reach {
    fn credentials(&self, any_certificate: bool) -> anyhow::Result<Credentials> {
        let read = |path: &str| -> anyhow::Result<Option<Vec<u8>>> {
            if path.is_empty() {
                return Ok(None);
            }
            std::fs::read(path).map(Some).map_err(|error| super::locate::go_error("open", path, &error))
        };
        Ok(Credentials {
            ca: read(&self.ca_file)?,
            cert: read(&self.cert_file)?,
            key: read(&self.key_file)?,
            any_certificate,
            ..Credentials::default()
        })
    }

    fn request(&self, url: &str, credentials: Credentials) -> source::oci::Request {
        let mut request = source::oci::Request::new(url);
        request.credentials = credentials;
        request.insecure = self.plain_http;
        request
    }
}

/// Runs a verb of `registry`.
pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Login(args) => login(args),
        Command::Logout(args) => logout(args),
    }
}

/// `HOST` of what people write for it.
fn host(text: &str) -> &str {
    let bare = ["oci://", "http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let bare = bare.unwrap_or(text);
    bare.split('/').next().unwrap_or(bare)
}

fn login(args: &LoginArgs) -> anyhow::Result<()> {
    let (username, password) = identity(args)?;
    let host = host(&args.host);
    let mut credentials = args.reach.credentials(args.insecure)?;
    // A token without a user is one that the registry exchanges for others.
    let login = Login { username, password, identity_token: String::new() };
    credentials.username = Some(login.username.clone());
    credentials.password = Some(login.password.clone());
    let request = args.reach.request("", credentials);
    wait_for(async {
        crate::commands::set_up::now();
        Ok(Fetcher::new(Default::default())?.oci_ping(host, &request).await?)
    })
    .with_context(|| format!("authenticating to {host:?}"))?;
    Store::open(settings::registry_config()?)?.put(&logins::address(host), &login)?;
    eprintln!("Login Succeeded");
    Ok(())
}

/// User and password, asked for when they are not given.
fn identity(args: &LoginArgs) -> anyhow::Result<(String, String)> {
    let (mut username, mut password) = (args.username.clone(), args.password.clone());
    if args.password_stdin {
        password = std::io::read_to_string(std::io::stdin())?;
        let end = password.strip_suffix('\n').unwrap_or(&password);
        password = end.strip_suffix('\r').unwrap_or(end).to_owned();
    } else if !password.is_empty() {
        eprintln!("WARNING: Using --password via the CLI is insecure. Use --password-stdin.");
    } else {
        if username.is_empty() {
            username = ask::line("Username: ")?.trim().to_owned();
        }
        let (prompt, missing) = match username.is_empty() {
            true => ("Token: ", "token required"),
            false => ("Password: ", "password required"),
        };
        password = ask::secret(prompt)?;
        if password.is_empty() {
            bail!(missing);
        }
    }
    Ok((username, password))
}

fn logout(args: &LogoutArgs) -> anyhow::Result<()> {
    Store::open(settings::registry_config()?)?.delete(&logins::address(&args.host))?;
    eprintln!("Removing login credentials for {}", args.host);
    Ok(())
}

/// Fills in the login of a registry.
pub fn log_in(credentials: &mut Credentials, host: &str) -> anyhow::Result<()> {
    logins::fill(credentials, host)
}

/// What is said of a tag that had a `+`.
pub fn underscore(reference: &str) -> String {
    format!(
        "{reference} contains an underscore.\nA tag cannot hold the + of a version, so it is written _ in the registry.\n"
    )
}

/// `helm push`.
pub fn push(args: &PushArgs) -> anyhow::Result<()> {
    let (path, remote) = (&args.chart, &args.remote);
    let Some(place) = remote.strip_prefix("oci://") else {
        match remote.split_once("://") {
            Some((scheme, _)) => bail!("scheme {scheme:?} not supported"),
            None => bail!("scheme prefix missing from remote (e.g. \"oci://\")"),
        }
    };
    let found = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => anyhow!("{path}: no such file"),
        _ => super::locate::go_error("stat", path, &error),
    })?;
    if found.is_dir() {
        bail!("cannot push directory, must provide chart archive (.tgz)");
    }
    let metadata = super::locate::load(path)?.chart.metadata;
    let archive = std::fs::read(path)?;
    let mut layers = vec![Blob { media_type: CHART_LAYER.into(), bytes: archive }];
    let beside = format!("{path}.prov");
    if std::path::Path::new(&beside).exists() {
        layers.push(Blob { media_type: PROVENANCE_LAYER.into(), bytes: std::fs::read(&beside)? });
    }
    layers.sort_by_key(Blob::digest);
    let created = found.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok());
    let config = helm::go_json(&metadata)?.into_bytes();
    let push = Push {
        tag: metadata.version.replace('+', "_"),
        config: Blob { media_type: CHART_CONFIG.into(), bytes: config },
        layers,
        annotations: annotations(&metadata, created.unwrap_or_else(jiff::Timestamp::now)),
    };
    let mut credentials = args.reach.credentials(args.insecure_skip_tls_verify)?;
    if !args.username.is_empty() && !args.password.is_empty() {
        credentials.username = Some(args.username.clone());
        credentials.password = Some(args.password.clone());
    }
    let name = format!("{}/{}", place.trim_end_matches('/'), metadata.name);
    log_in(&mut credentials, name.split('/').next().unwrap_or_default())?;
    let request = args.reach.request(&format!("oci://{name}"), credentials);
    let digest = wait_for(async {
        crate::commands::set_up::now();
        Ok(Fetcher::new(Default::default())?.oci_push(&request, &push).await?)
    })?;
    let reference = format!("{name}:{}", push.tag);
    eprintln!("Pushed: {reference}\nDigest: {digest}");
    if push.tag.contains('_') {
        eprint!("{}", underscore(&reference));
    }
    Ok(())
}

/// The manifest's annotations, as Helm makes them of the metadata. The chart's own come on top, but do not
/// change its name and version.
fn annotations(metadata: &Metadata, created: jiff::Timestamp) -> BTreeMap<String, String> {
    const OWN: &str = "org.opencontainers.image.";
    let authors: Vec<String> = metadata
        .maintainers
        .iter()
        .map(|one| match one.email.as_str() {
            "" => one.name.clone(),
            email => format!("{} ({email})", one.name),
        })
        .collect();
    let local = created.to_zoned(jiff::tz::TimeZone::system());
    let offset = match local.offset().is_zero() {
        true => "Z".to_owned(),
        false => local.strftime("%:z").to_string(),
    };
    let facts = [
        ("description", metadata.description.clone()),
        ("title", metadata.name.clone()),
        ("version", metadata.version.clone()),
        ("url", metadata.home.clone()),
        ("created", format!("{}{offset}", local.strftime("%Y-%m-%dT%H:%M:%S"))),
        ("source", metadata.sources.first().cloned().unwrap_or_default()),
        ("authors", authors.join(", ")),
    ];
    let facts = facts.into_iter().filter(|(_, value)| !value.trim().is_empty());
    let mut all: BTreeMap<String, String> =
        facts.map(|(name, value)| (format!("{OWN}{name}"), value)).collect();
    let fixed = [format!("{OWN}title"), format!("{OWN}version")];
    for (key, value) in metadata.annotations.iter().filter(|(key, _)| !fixed.contains(key)) {
        all.insert(key.clone(), value.clone());
    }
    all
}
