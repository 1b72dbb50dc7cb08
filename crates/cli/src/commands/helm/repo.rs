//! `landfall helm repo` and `helm search repo`: the repositories that people have named, kept where `helm`
//! keeps them, so that both tools see the same ones.

use super::locate::go_error;
use super::output::Format;
use super::{index, settings, table, wait_for};
use anyhow::{Context, anyhow, bail};
use helm::repo::{Entry, Index};
use helm::version::{Constraint, Version};
use serde::Serialize;
use serde_json::{Value, json};
use source::Fetcher;
use source::helm_repo::Request;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// What is done with the repositories.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Name a repository
    Add(Box<AddArgs>),
    /// List them
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Write the index of a folder of archives
    Index(index::Args),
    /// Forget some
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
    /// Fetch their indexes anew
    #[command(visible_alias = "up")]
    Update(UpdateArgs),
}

/// The repository.
#[derive(clap::Args)]
pub struct AddArgs {
    name: String,
    url: String,
    /// The user
    #[arg(long, default_value = "", value_name = "NAME")]
    username: String,
    /// The password
    #[arg(long, default_value = "", value_name = "TEXT")]
    password: String,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Replace one of that name
    #[arg(long)]
    force_update: bool,
    /// Send user and password to other hosts too
    #[arg(long)]
    pass_credentials: bool,
    /// The certificate authority of the server
    #[arg(long, default_value = "", value_name = "FILE")]
    ca_file: String,
    /// Take any certificate of the server
    #[arg(long)]
    insecure_skip_tls_verify: bool,
    /// Accepted for scripts written for helm: a name that is taken is an error in any case
    #[arg(long, hide = true)]
    no_update: bool,
    /// Accepted for scripts written for helm: no address is refused
    #[arg(long, hide = true)]
    allow_deprecated_repos: bool,
    /// The longest that the repository may take to answer
    #[arg(long, default_value = "2m0s", value_parser = super::output::duration, value_name = "DURATION")]
    timeout: std::time::Duration,
    /// The client's certificate
    #[arg(long, default_value = "", value_name = "FILE")]
    cert_file: String,
    /// Its key
    #[arg(long, default_value = "", value_name = "FILE")]
    key_file: String,
}

/// How to list.
#[derive(clap::Args)]
pub struct ListArgs {
    /// table, json or yaml
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Which to forget.
#[derive(clap::Args)]
pub struct RemoveArgs {
    #[arg(required = true)]
    names: Vec<String>,
}

/// Which to update (all of them).
#[derive(clap::Args)]
pub struct UpdateArgs {
    names: Vec<String>,
    /// Fail when one cannot be read
    #[arg(long)]
    fail_on_repo_update_fail: bool,
    /// The longest that a repository may take to answer
    #[arg(long, default_value = "2m0s", value_parser = super::output::duration, value_name = "DURATION")]
    timeout: std::time::Duration,
}

/// What is searched.
#[derive(clap::Subcommand)]
pub enum Search {
    /// The indexes of the repositories that were added
    #[command(disable_version_flag = true)]
    Repo(SearchArgs),
    /// The Artifact Hub (not served)
    Hub(HubArgs),
}

/// Taken, so that the answer can say why.
#[derive(clap::Args)]
pub struct HubArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

/// What to look for.
#[derive(clap::Args)]
pub struct SearchArgs {
    /// Words in names, descriptions and keywords; all charts without any
    words: Vec<String>,
    /// The words are a regular expression
    #[arg(short, long)]
    regexp: bool,
    /// Every version on a line of its own
    #[arg(short = 'l', long)]
    versions: bool,
    /// Pre-releases too
    #[arg(long)]
    devel: bool,
    /// Only versions in this range
    #[arg(long, default_value = "", value_name = "RANGE")]
    version: String,
    /// The widest that a column may get
    #[arg(long, default_value_t = 50, value_name = "COLUMNS")]
    max_col_width: usize,
    /// Fail when nothing is found
    #[arg(long)]
    fail_on_no_result: bool,
    /// table, json or yaml
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Runs a verb of `repo`.
pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Add(args) => add(args),
        Command::List(args) => list(args),
        Command::Index(args) => index::run(args),
        Command::Remove(args) => remove(&args.names),
        Command::Update(args) => update(args),
    }
}

/// The noted repositories: the whole file, and where it is.
struct Noted {
    path: PathBuf,
    file: Value,
}

impl Noted {
    fn read() -> anyhow::Result<Noted> {
        let path = settings::repositories()?;
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => yaml::from_str(&text).map_err(|error| anyhow!("{}: {error}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Value::Null,
            Err(error) => return Err(go_error("open", &path.display().to_string(), &error)),
        };
        let empty = json!({"apiVersion": "", "generated": "0001-01-01T00:00:00Z", "repositories": []});
        Ok(Noted { path, file: if file.is_object() { file } else { empty } })
    }

    fn entries(&self) -> &[Value] {
        self.file.get("repositories").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn named(&self, name: &str) -> Option<&Value> {
        self.entries().iter().find(|entry| text(entry, "name") == name)
    }

    /// Changes the list and writes the file; it can hold passwords, so nobody else may read it.
    fn change(&mut self, change: impl FnOnce(&mut Vec<Value>)) -> anyhow::Result<()> {
        let mut entries = self.entries().to_vec();
        change(&mut entries);
        if let Some(file) = self.file.as_object_mut() {
            file.insert("repositories".into(), Value::Array(entries));
        }
        write_private(&self.path, yaml::to_string(&self.file).as_bytes())
    }
}

/// The address of a repository that was added.
pub fn url_of(name: &str) -> anyhow::Result<Option<String>> {
    Ok(Noted::read()?.named(name).map(|entry| text(entry, "url").to_owned()))
}

/// The name under which a repository was added.
pub fn name_of(url: &str) -> anyhow::Result<Option<String>> {
    let noted = Noted::read()?;
    let plain = |url: &str| url.trim_end_matches('/').to_owned();
    let found = noted.entries().iter().find(|entry| plain(text(entry, "url")) == plain(url));
    Ok(found.map(|entry| text(entry, "name").to_owned()))
}

fn text<'v>(entry: &'v Value, field: &str) -> &'v str {
    entry.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Writes beside the file and moves it there: nobody ever reads half of it.
pub fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let shown = path.display().to_string();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside);
    let mut file = file.map_err(|error| go_error("open", &shown, &error))?;
    file.write_all(bytes).and_then(|()| std::fs::rename(&beside, path)).with_context(|| shown)
}

fn add(args: &AddArgs) -> anyhow::Result<()> {
    let mut noted = Noted::read()?;
    let mut password = args.password.clone();
    if !args.username.is_empty() && password.is_empty() {
        if !args.password_stdin {
            bail!("no password: give it with --password or --password-stdin");
        }
        password = std::io::read_to_string(std::io::stdin())?;
        let end = password.trim_end_matches('\n').trim_end_matches('\r').len();
        password.truncate(end);
    }
    let name = &args.name;
    let entry = json!({
        "caFile": args.ca_file, "certFile": args.cert_file,
        "insecure_skip_tls_verify": args.insecure_skip_tls_verify,
        "keyFile": args.key_file, "name": name, "pass_credentials_all": args.pass_credentials,
        "password": password, "url": args.url, "username": args.username,
    });
    if name.contains('/') {
        bail!("repository name ({name}) contains '/', please specify a different name without '/'");
    }
    if !args.force_update
        && let Some(known) = noted.named(name)
    {
        if *known != entry {
            bail!("repository name ({name}) already exists, please specify a different name");
        }
        return super::print(&format!("{name:?} already exists with the same configuration, skipping\n"));
    }
    fetch_index(&entry, args.timeout).map_err(|error| {
        anyhow!("looks like {:?} is not a valid chart repository or cannot be reached: {error:#}", args.url)
    })?;
    noted.change(|entries| match entries.iter_mut().find(|known| text(known, "name") == name) {
        Some(known) => *known = entry,
        None => entries.push(entry),
    })?;
    super::print(&format!("{name:?} has been added to your repositories\n"))
}

/// Fetches a repository's index, checks it and keeps it where `helm` looks for it.
fn fetch_index(entry: &Value, timeout: std::time::Duration) -> anyhow::Result<()> {
    let mut request = Request::new(text(entry, "url"));
    request.timeout = timeout;
    request.credentials.any_certificate = entry.get("insecure_skip_tls_verify").is_some_and(|on| on == true);
    let given = |field: &str| Some(text(entry, field).to_owned()).filter(|text| !text.is_empty());
    let file = |field: &str| -> anyhow::Result<Option<Vec<u8>>> {
        given(field).map(|path| std::fs::read(&path).with_context(|| path)).transpose()
    };
    request.credentials.username = given("username");
    request.credentials.password = given("password");
    (request.credentials.ca, request.credentials.cert) = (file("caFile")?, file("certFile")?);
    request.credentials.key = file("keyFile")?;
    let address = format!("{}/index.yaml", request.url.trim_end_matches('/'));
    let bytes = wait_for(async {
        let fetcher = Fetcher::new(Default::default())?;
        Ok(fetcher.helm_archive(&request, &address).await?)
    })?;
    let index = Index::parse(&String::from_utf8_lossy(&bytes))?;
    let names: String = index.entries.keys().map(|name| format!("{name}\n")).collect();
    write_private(&settings::cached_index(text(entry, "name"))?, &bytes)?;
    write_private(&settings::cached_names(text(entry, "name"))?, names.as_bytes())
}

/// A repository as programs see it, in Helm's order.
#[derive(Serialize)]
struct Listed<'e> {
    name: &'e str,
    url: &'e str,
}

/// A chart that was found, likewise.
#[derive(Serialize)]
struct Shown<'f> {
    name: &'f str,
    version: &'f str,
    app_version: &'f str,
    description: &'f str,
}

impl<'f> Shown<'f> {
    fn of(found: &'f Found) -> Self {
        let data = &found.entry.metadata;
        Shown {
            name: &found.name,
            version: &data.version,
            app_version: &data.app_version,
            description: &data.description,
        }
    }
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let noted = Noted::read()?;
    let entries = noted.entries();
    if entries.is_empty() && args.output == Format::Table {
        bail!("no repositories to show");
    }
    let data: Vec<Listed<'_>> =
        entries.iter().map(|entry| Listed { name: text(entry, "name"), url: text(entry, "url") }).collect();
    super::print(&args.output.data(&data)?.unwrap_or_else(|| {
        let mut rows = vec![vec!["NAME".to_owned(), "URL".to_owned()]];
        rows.extend(entries.iter().map(|entry| vec![text(entry, "name").into(), text(entry, "url").into()]));
        table::table(&rows, usize::MAX) + "\n"
    }))
}

fn remove(names: &[String]) -> anyhow::Result<()> {
    let mut noted = Noted::read()?;
    if noted.entries().is_empty() {
        bail!("no repositories configured");
    }
    for name in names {
        if noted.named(name).is_none() {
            bail!("no repo named {name:?} found");
        }
        noted.change(|entries| entries.retain(|entry| text(entry, "name") != name))?;
        for file in [settings::cached_index(name)?, settings::cached_names(name)?] {
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(go_error("remove", &file.display().to_string(), &error));
                }
                _ => {}
            }
        }
        super::print(&format!("{name:?} has been removed from your repositories\n"))?;
    }
    Ok(())
}

fn update(args: &UpdateArgs) -> anyhow::Result<()> {
    let noted = Noted::read()?;
    if noted.entries().is_empty() {
        bail!("no repositories found. You must add one before updating");
    }
    if let Some(name) = args.names.iter().find(|name| noted.named(name).is_none()) {
        bail!("no repositories found matching '{name}'.  Nothing will be updated");
    }
    super::print("Hang tight while we grab the latest from your chart repositories...\n")?;
    let mut failed = Vec::new();
    for entry in noted.entries() {
        let (name, url) = (text(entry, "name"), text(entry, "url"));
        if !args.names.is_empty() && !args.names.iter().any(|wanted| wanted == name) {
            continue;
        }
        super::print(&match fetch_index(entry, args.timeout) {
            Ok(()) => format!("...Successfully got an update from the {name:?} chart repository\n"),
            Err(error) => {
                failed.push(url);
                format!(
                    "...Unable to get an update from the {name:?} chart repository ({url}):\n\t{error:#}\n"
                )
            }
        })?;
    }
    if !failed.is_empty() && args.fail_on_repo_update_fail {
        bail!("Failed to update the following repositories: [{}]", failed.join(" "));
    }
    super::print("Update Complete. ⎈Happy Helming!⎈\n")
}

/// A chart that was found: how well it fits (less is better), its name with the repository's, and itself.
struct Found {
    score: usize,
    name: String,
    entry: Entry,
}

/// Searches the kept indexes.
pub fn search(command: &Search) -> anyhow::Result<()> {
    let args = match command {
        Search::Repo(args) => args,
        Search::Hub(args) => bail!(
            "search hub {}: not served: it asks a public service on the Internet; look there with a browser, or add \
             a repository and use `search repo`",
            args.rest.join(" ")
        ),
    };
    let range = match (args.version.as_str(), args.devel) {
        ("", true) => ">0.0.0-0",
        ("", false) => ">0.0.0",
        (range, _) => range,
    };
    let mut found = matching(args)?;
    found.sort_by(compare);
    let range =
        Constraint::parse(range).map_err(|error| anyhow!("an invalid version/constraint format: {error}"))?;
    let mut shown: Vec<Found> = Vec::new();
    for chart in found {
        let known = !args.versions && shown.iter().any(|other| other.name == chart.name);
        let version = Version::parse(&chart.entry.metadata.version);
        if !known && version.is_ok_and(|version| range.check(&version)) {
            shown.push(chart);
        }
    }
    if shown.is_empty() && args.fail_on_no_result {
        bail!("no results found");
    }
    let data: Vec<Shown<'_>> = shown.iter().map(Shown::of).collect();
    super::print(&args.output.data(&data)?.unwrap_or_else(|| rows(&shown, args)))
}

fn rows(shown: &[Found], args: &SearchArgs) -> String {
    if shown.is_empty() {
        return "No results found\n".into();
    }
    let mut rows = vec![["NAME", "CHART VERSION", "APP VERSION", "DESCRIPTION"].map(str::to_owned).to_vec()];
    rows.extend(shown.iter().map(|chart| {
        let data = &chart.entry.metadata;
        vec![chart.name.clone(), data.version.clone(), data.app_version.clone(), data.description.clone()]
    }));
    table::table(&rows, args.max_col_width) + "\n"
}

fn matching(args: &SearchArgs) -> anyhow::Result<Vec<Found>> {
    let noted = Noted::read()?;
    if noted.entries().is_empty() {
        bail!("no repositories configured");
    }
    let wanted = args.words.join(" ");
    let pattern = match args.regexp {
        true => Some(regex::Regex::new(&wanted).map_err(|error| anyhow!("error parsing regexp: {error}"))?),
        false => None,
    };
    let mut found = Vec::new();
    for repository in noted.entries() {
        let name = text(repository, "name");
        let index = settings::cached_index(name).and_then(|path| {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| go_error("open", &path.display().to_string(), &error))?;
            Ok(Index::parse(&text)?)
        });
        let index = match index {
            Ok(index) => index,
            Err(error) => {
                eprintln!("WARNING: Repo {name:?} is corrupt or missing. Try 'helm repo update'.");
                eprintln!("WARNING: {error:#}");
                continue;
            }
        };
        for (chart, entries) in index.entries {
            for entry in entries {
                if let Some(score) = score(name, &entry, &wanted, pattern.as_ref()) {
                    found.push(Found { score, name: format!("{name}/{chart}"), entry });
                }
            }
        }
    }
    Ok(found)
}

/// In which of name, full name, description and keywords the words stand first; `None` for nowhere.
fn score(repository: &str, entry: &Entry, wanted: &str, pattern: Option<&regex::Regex>) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    let data = &entry.metadata;
    let keywords = data.keywords.join(" ");
    let line =
        format!("{}\u{b}{repository}/{}\u{b}{}\u{b}{keywords}", data.name, data.name, data.description);
    let (line, at) = match pattern {
        Some(pattern) => {
            let at = pattern.find(&line)?.start();
            (line, at)
        }
        None => {
            let line = line.to_lowercase();
            let at = line.find(&wanted.to_lowercase())?;
            (line, at)
        }
    };
    Some(line.get(..at).unwrap_or_default().matches('\u{b}').count())
}

/// The best first, then by name, then the newest.
fn compare(a: &Found, b: &Found) -> Ordering {
    let version = |found: &Found| Version::parse(&found.entry.metadata.version).ok();
    a.score.cmp(&b.score).then_with(|| a.name.cmp(&b.name)).then_with(|| match (version(a), version(b)) {
        (Some(a), Some(b)) => b.compare(&a),
        _ => Ordering::Equal,
    })
}
