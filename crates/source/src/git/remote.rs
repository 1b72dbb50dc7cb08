//! Fetching over HTTP and SSH into a bare mirror on disk, no deeper than needed.

use super::socks::Door;
use super::{Reference, Request, read};
use crate::fetcher::Inner;
use crate::{Credentials, Error, Result};
use gix::bstr::ByteSlice;
use gix::progress::Discard;
use gix::protocol::transport::client::blocking_io::http;
use gix::remote::{Direction, fetch::Shallow, fetch::Tags, ref_map};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Brings the wanted commit into the mirror: the mirror, the name for the revision, the commit.
pub(super) fn fetch(
    inner: &Inner,
    request: &Request,
    stop: &AtomicBool,
) -> Result<(PathBuf, String, gix::ObjectId)> {
    let mirror = inner.cache.mirror(&crate::maps::key(&request.url));
    let (name, commit) = ask(inner, request, stop, |session| session.bring())?;
    Ok((mirror, name, commit))
}

/// The mirror of an address, made where there is none.
pub(super) fn mirror(inner: &Inner, request: &Request) -> Result<PathBuf> {
    let mirror = inner.cache.mirror(&crate::maps::key(&request.url));
    let lock = inner.mirror_lock(&mirror);
    let _held = lock.lock();
    open_mirror(&mirror, None)?;
    Ok(mirror)
}

/// Asks the remote through the mirror.
fn ask<T>(
    inner: &Inner,
    request: &Request,
    stop: &AtomicBool,
    question: impl FnOnce(&Session<'_>) -> Result<T>,
) -> Result<T> {
    let mirror = inner.cache.mirror(&crate::maps::key(&request.url));
    let lock = inner.mirror_lock(&mirror);
    let _held = lock.lock();
    let keys = SshFiles::write(&mirror, &request.url, &request.credentials)?;
    let repository = open_mirror(&mirror, keys.as_ref())?;
    question(&Session { repository: &repository, request, stop })
}

/// The branches of the remote.
pub(super) fn branches(inner: &Inner, request: &Request, stop: &AtomicBool) -> Result<Vec<String>> {
    ask(inner, request, stop, |session| session.list("refs/heads/"))
}

/// The branch that `HEAD` of the remote stands for.
pub(super) fn default_branch(inner: &Inner, request: &Request, stop: &AtomicBool) -> Result<String> {
    ask(inner, request, stop, |session| {
        let remote = session.remote(&["+HEAD:refs/landfall/HEAD".to_owned()])?;
        let connection = session.connect(&remote)?;
        let map = connection.ref_map(Discard, ref_map::Options::default());
        let (map, _) = map.map_err(|error| session.failed(&error))?;
        let target = map.remote_refs.iter().find_map(|remote| match remote {
            gix::protocol::handshake::Ref::Symbolic { full_ref_name, target, .. }
                if full_ref_name == "HEAD" =>
            {
                Some(target.to_str_lossy().into_owned())
            }
            _ => None,
        });
        let branch = target.as_deref().and_then(|target| target.strip_prefix("refs/heads/"));
        branch.map(str::to_owned).ok_or_else(|| session.missing("branch that HEAD stands for"))
    })
}

/// Opens or makes the mirror. One that is damaged is made anew: it holds nothing that the remote has not.
fn open_mirror(mirror: &Path, keys: Option<&SshFiles>) -> Result<gix::Repository> {
    if mirror.join("HEAD").exists() {
        match gix::open_opts(mirror, options(keys)) {
            Ok(repository) => return Ok(repository),
            Err(error) => {
                tracing::warn!(mirror = %mirror.display(), error = read::explain(&error), "damaged mirror dropped");
                std::fs::remove_dir_all(mirror).map_err(|error| Error::io(mirror, error))?;
            }
        }
    }
    std::fs::create_dir_all(mirror).map_err(|error| Error::io(mirror, error))?;
    gix::init_bare(mirror).map_err(|error| Error::io(mirror, read::explain(&error)))?;
    gix::open_opts(mirror, options(keys)).map_err(|error| Error::io(mirror, read::explain(&error)))
}

fn options(keys: Option<&SshFiles>) -> gix::open::Options {
    let mut settings = vec![
        "committer.name=landfall".to_string(),
        "committer.email=landfall@localhost".to_string(),
        "gitoxide.userAgent=landfall".to_string(),
    ];
    if let Some(keys) = keys {
        settings.push(format!("core.sshCommand={}", keys.command()));
    }
    gix::open::Options::isolated().config_overrides(settings)
}

struct Session<'a> {
    repository: &'a gix::Repository,
    request: &'a Request,
    stop: &'a AtomicBool,
}

impl Session<'_> {
    fn bring(&self) -> Result<(String, gix::ObjectId)> {
        let Reference { branch, tag, semver, name, commit, .. } = &self.request.reference;
        if let Some(commit) = commit {
            return Ok((branch.clone().unwrap_or_default(), self.commit(commit, branch.as_deref())?));
        }
        if let Some(name) = name {
            return Ok((name.clone(), self.reference(name, name)?));
        }
        if let Some(range) = semver {
            let tags = self.list("refs/tags/")?;
            let best = self.request.reference.best(range, &tags)?;
            let tag = best.ok_or_else(|| {
                let list = read::have("tags", &tags);
                Error::NotFound(format!("{}: no tag is in the range {range}{list}", self.request.url))
            })?;
            return Ok((
                tag.to_string(),
                self.reference(&format!("refs/tags/{tag}"), &format!("tag {tag}"))?,
            ));
        }
        if let Some(tag) = tag {
            return Ok((tag.clone(), self.reference(&format!("refs/tags/{tag}"), &format!("tag {tag}"))?));
        }
        let branch = branch.as_deref().unwrap_or("master");
        let commit = self.reference(&format!("refs/heads/{branch}"), &format!("branch {branch}"))?;
        Ok((branch.to_string(), commit))
    }

    /// Fetches one reference, one commit deep, and follows it to the commit.
    fn reference(&self, name: &str, what: &str) -> Result<gix::ObjectId> {
        let local = format!("refs/landfall/{}", name.strip_prefix("refs/").unwrap_or(name));
        let spec = format!("+{name}:{local}");
        let found = self.receive(&[spec], true, |refs| refs.iter().any(|remote| remote == name));
        let reference = self.repository.try_find_reference(local.as_str());
        match found {
            Ok(true) => {}
            Ok(false) => return Err(self.missing(what)),
            Err(Error::Unreachable { url, cause, .. })
                if self.request.accept_known && matches!(reference, Ok(Some(_))) =>
            {
                tracing::warn!(%url, %cause, "not reached; {what} is what it was when last fetched");
            }
            Err(error) => return Err(error),
        }
        match reference {
            Ok(Some(mut reference)) => read::peel(&mut reference, &format!("{}: {what}", self.request.url)),
            Ok(None) => Err(self.missing(what)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// A commit: by itself where the server allows it, else with the history it may be in.
    fn commit(&self, hex: &str, branch: Option<&str>) -> Result<gix::ObjectId> {
        let id = read::object_id(hex)?;
        if self.has(id) {
            return Ok(id);
        }
        let alone = self.receive(&[format!("+{hex}:refs/landfall/commits/{hex}")], true, |_| true);
        if alone.is_ok() && self.has(id) {
            return Ok(id);
        }
        if let Err(error @ (Error::Unreachable { .. } | Error::Denied { .. })) = alone {
            return Err(error);
        }
        let specs = match branch {
            Some(branch) => vec![format!("+refs/heads/{branch}:refs/landfall/heads/{branch}")],
            None => vec![
                "+refs/heads/*:refs/landfall/heads/*".to_string(),
                "+refs/tags/*:refs/landfall/tags/*".to_string(),
            ],
        };
        self.receive(&specs, false, |refs| !refs.is_empty())?;
        if self.has(id) {
            return Ok(id);
        }
        let place = branch.map_or(String::new(), |branch| format!(" on branch {branch}"));
        Err(Error::NotFound(format!("{}: has no commit {hex}{place}", self.request.url)))
    }

    fn has(&self, id: gix::ObjectId) -> bool {
        self.repository.find_object(id).is_ok_and(|object| object.peel_to_tree().is_ok())
    }

    /// The names below a prefix at the remote.
    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let remote = self.remote(&[format!("+{prefix}*:refs/landfall/list/*")])?;
        let connection = self.connect(&remote)?;
        let (map, _) =
            connection.ref_map(Discard, ref_map::Options::default()).map_err(|error| self.failed(&error))?;
        let names = map.remote_refs.iter().map(|remote| remote.unpack().0.to_str_lossy().into_owned());
        Ok(names.filter_map(|name| name.strip_prefix(prefix).map(String::from)).collect())
    }

    /// Fetches the specs. `wanted` sees the remote's references and says whether there is anything to fetch.
    fn receive(&self, specs: &[String], shallow: bool, wanted: impl Fn(&[String]) -> bool) -> Result<bool> {
        let remote = self.remote(specs)?;
        let connection = self.connect(&remote)?;
        let prepared = connection
            .prepare_fetch(Discard, ref_map::Options::default())
            .map_err(|error| self.failed(&error))?;
        let names: Vec<String> = prepared
            .ref_map()
            .remote_refs
            .iter()
            .map(|remote| remote.unpack().0.to_str_lossy().into_owned())
            .collect();
        if !wanted(&names) {
            return Ok(false);
        }
        let depth = if shallow { Shallow::DepthAtRemote(std::num::NonZeroU32::MIN) } else { Shallow::undo() };
        let was_shallow = self.repository.is_shallow().map_err(|error| self.failed(&error))?;
        let prepared = if shallow || was_shallow { prepared.with_shallow(depth) } else { prepared };
        prepared.receive(Discard, self.stop).map_err(|error| self.failed(&error))?;
        Ok(true)
    }

    fn remote(&self, specs: &[String]) -> Result<gix::Remote<'_>> {
        let url = self.request.url.as_str();
        let wrong = |error: gix::error::Error| Error::Invalid(format!("{url}: {}", read::explain(&error)));
        self.repository
            .remote_at(url)
            .map_err(wrong)?
            .with_fetch_tags(Tags::None)
            .with_refspecs(specs.iter().map(String::as_str), Direction::Fetch)
            .map_err(wrong)
    }

    fn connect<'r>(
        &self,
        remote: &'r gix::Remote<'r>,
    ) -> Result<
        gix::remote::Connection<
            'r,
            'r,
            'r,
            Box<dyn gix::protocol::transport::client::blocking_io::Transport + Send>,
        >,
    > {
        let mut connection = remote.connect(Direction::Fetch).map_err(|error| self.failed(&error))?;
        let credentials = self.request.credentials.clone();
        if self.request.url.starts_with("http") {
            let plain = self.request.url.starts_with("http://");
            connection.set_transport_options(Box::new(http_options(
                &credentials,
                plain,
                self.request.timeout,
            )));
        }
        connection.set_credentials(move |action| {
            let gix::credentials::helper::Action::Get(context) = action else { return Ok(None) };
            let Some(password) = credentials.password.clone() else { return Ok(None) };
            let username = credentials.username.clone().unwrap_or_else(|| "git".to_string());
            Ok(Some(gix::credentials::protocol::Outcome {
                identity: gix::sec::identity::Account { username, password, oauth_refresh_token: None },
                next: context.into(),
            }))
        });
        Ok(connection)
    }

    fn missing(&self, what: &str) -> Error {
        let branches = self.list("refs/heads/").unwrap_or_default();
        Error::NotFound(match branches.is_empty() {
            true => format!("{}: has no {what}; the repository is empty", self.request.url),
            false => format!("{}: has no {what}{}", self.request.url, read::have("branches", &branches)),
        })
    }

    /// Sorts a transport's error by what one can do about it.
    fn failed(&self, error: &gix::error::Error) -> Error {
        let url = self.request.url.clone();
        let cause = read::explain(error);
        let lower = cause.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        if says(&["not our ref", "err upload-pack"]) {
            return Error::Other(format!("{url}: {cause}"));
        }
        if says(&[
            "401",
            "403",
            "credentials",
            "authentication",
            "permission denied",
            "host key verification",
        ]) {
            return Error::Denied { url, cause };
        }
        if says(&["http status 404", "status 404", "not found", "does not appear to be a git repository"]) {
            return Error::NotFound(format!("{url}: there is no repository: {cause}"));
        }
        Error::Unreachable { hint: crate::maps::hint(&url), url, cause }
    }
}

fn http_options(credentials: &Credentials, plain: bool, timeout: Duration) -> http::Options {
    let mut options = http::Options { user_agent: Some("landfall".to_string()), ..http::Options::default() };
    // The credentials helper sends passwords over TLS only; for plain HTTP, which is somebody's explicit wish,
    // and for tokens the header is set directly.
    if (plain || credentials.bearer_token.is_some())
        && let Some(value) = crate::transport::authorization(credentials)
    {
        options.extra_headers.push(format!("Authorization: {value}"));
    }
    let credentials = credentials.clone();
    let backend = http::reqwest::Options {
        configure_client: Some(Box::new(move |builder| {
            let builder = builder.timeout(timeout);
            crate::transport::blocking(builder, &credentials)
                .map_err(|error| gix::error::Error::from_error(std::io::Error::other(error.to_string())))
        })),
        configure_request: None,
    };
    options.backend = Some(Arc::new(Mutex::new(backend)));
    options
}

/// Key and known hosts on disk for the time of one fetch, readable by nobody else.
pub(super) struct SshFiles {
    folder: PathBuf,
    /// Through a proxy, and what the host is called there.
    door: Option<(Door, String)>,
}

/// The way through `credentials`' proxy to the host of an address.
fn door(url: &str, credentials: &Credentials) -> Result<Option<(Door, String)>> {
    let Some(proxy) = &credentials.proxy else { return Ok(None) };
    let url = url::Url::parse(url).map_err(|_| Error::Invalid(format!("{url}: is no address")))?;
    let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or(22));
    let known = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
    Ok(Some((Door::open(proxy, host, port)?, known)))
}

impl SshFiles {
    pub(super) fn write(mirror: &Path, url: &str, credentials: &Credentials) -> Result<Option<Self>> {
        let Some(identity) = &credentials.identity else { return Ok(None) };
        let Some(hosts) = &credentials.known_hosts else {
            return Err(Error::Invalid("the SSH secret has an identity but no known_hosts".to_string()));
        };
        let identity = super::passphrase::unlocked(identity, credentials.password.as_deref());
        let identity = &identity.map_err(Error::Invalid)?;
        let files = SshFiles { folder: mirror.with_extension("ssh"), door: door(url, credentials)? };
        std::fs::create_dir_all(&files.folder).map_err(|error| Error::io(&files.folder, error))?;
        private(&files.folder, 0o700)?;
        for (name, bytes) in [("identity", identity), ("known_hosts", hosts)] {
            let path = files.folder.join(name);
            std::fs::write(&path, b"").map_err(|error| Error::io(&path, error))?;
            private(&path, 0o600)?;
            let mut bytes = bytes.clone();
            // OpenSSH refuses a key without its last line end.
            if !bytes.ends_with(b"\n") {
                bytes.push(b'\n');
            }
            std::fs::write(&path, bytes).map_err(|error| Error::io(&path, error))?;
        }
        Ok(Some(files))
    }

    /// The same as arguments of `ssh`.
    pub(super) fn arguments(&self) -> Vec<String> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let mut options = vec![
            "IdentitiesOnly=yes".to_string(),
            format!("UserKnownHostsFile={}", file("known_hosts")),
            "StrictHostKeyChecking=yes".to_string(),
            "BatchMode=yes".to_string(),
        ];
        if let Some((door, known)) = &self.door {
            options.extend([
                "HostName=127.0.0.1".to_string(),
                format!("Port={}", door.port()),
                format!("HostKeyAlias={known}"),
                "CheckHostIP=no".to_string(),
            ]);
        }
        let identity = ["-i".to_string(), file("identity")];
        let options = options.into_iter().flat_map(|option| ["-o".to_string(), option]);
        identity.into_iter().chain(options).collect()
    }

    fn command(&self) -> String {
        let quoted = self.arguments().into_iter().map(|argument| format!("'{argument}'"));
        format!("ssh {}", quoted.collect::<Vec<_>>().join(" "))
    }
}

impl Drop for SshFiles {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(path = %self.folder.display(), %error, "key not removed");
        }
    }
}

#[cfg(unix)]
fn private(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| Error::io(path, error))
}

#[cfg(not(unix))]
fn private(_: &Path, _: u32) -> Result<()> {
    Ok(())
}
