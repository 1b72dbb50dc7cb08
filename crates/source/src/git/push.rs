//! Committing changed files and sending them to a remote: objects, a pack, and the receive-pack protocol.

use super::{Reference, Request, read, remote};
use crate::fetcher::Inner;
use crate::{Error, Fetcher, Result, transport};
use flate2::{Compression, write::ZlibEncoder};
use gix::ObjectId;
use gix::prelude::Write as _;
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// A commit to be made on top of what a request checks out.
#[derive(Debug, Clone)]
pub struct NewCommit {
    /// Files by path with their new content.
    pub files: BTreeMap<String, Vec<u8>>,
    /// `Name <mail>`.
    pub author: String,
    /// Seconds since 1970.
    pub time: i64,
    /// The message.
    pub message: String,
    /// The references to move, in full: `refs/heads/main`.
    pub targets: Vec<String>,
    /// Move them also where the new commit is no descendant.
    pub force: bool,
    /// Nothing is checked out: the commit is the first of its branch, and holds these files alone.
    pub begins: bool,
    /// `--push-option`s.
    pub options: Vec<(String, String)>,
    /// Who signs it.
    pub signer: Option<super::SigningKey>,
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The commit, hexadecimal.
    pub commit: String,
    /// It was there already, with the same content.
    pub known: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Commit,
    Tree,
    Blob,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Commit => "commit",
            Kind::Tree => "tree",
            Kind::Blob => "blob",
        }
    }

    fn number(self) -> u8 {
        match self {
            Kind::Commit => 1,
            Kind::Tree => 2,
            Kind::Blob => 3,
        }
    }
}

/// New objects in the order they were made.
#[derive(Default)]
struct Objects(Vec<(Kind, Vec<u8>)>);

impl Objects {
    fn add(&mut self, kind: Kind, data: Vec<u8>) -> Result<ObjectId> {
        let mut hasher = Sha1::new();
        hasher.update(format!("{} {}\0", kind.name(), data.len()));
        hasher.update(&data);
        let id = ObjectId::try_from(hasher.finalize().as_slice())
            .map_err(|error| Error::Other(format!("object: {error}")))?;
        self.0.push((kind, data));
        Ok(id)
    }

    /// As a pack, nothing expressed by differences.
    fn pack(&self) -> Result<Vec<u8>> {
        let failed = |error: std::io::Error| Error::Other(format!("pack: {error}"));
        let mut pack = b"PACK\0\0\0\x02".to_vec();
        pack.extend((self.0.len() as u32).to_be_bytes());
        for (kind, data) in &self.0 {
            let mut size = data.len();
            let mut byte = kind.number() << 4 | (size & 15) as u8;
            size >>= 4;
            while size > 0 {
                pack.push(byte | 0x80);
                byte = (size & 0x7f) as u8;
                size >>= 7;
            }
            pack.push(byte);
            let mut encoder = ZlibEncoder::new(&mut pack, Compression::default());
            encoder.write_all(data).map_err(failed)?;
            encoder.finish().map_err(failed)?;
        }
        let sum = Sha1::digest(&pack);
        pack.extend(sum);
        Ok(pack)
    }
}

/// One entry of a tree: mode, name, id.
type Entry = (Vec<u8>, Vec<u8>, Vec<u8>);

fn entries(data: &[u8]) -> Option<Vec<Entry>> {
    let mut found = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        let id = rest.get(end + 1..end + 21)?;
        found.push((rest.get(..space)?.to_vec(), rest.get(space + 1..end)?.to_vec(), id.to_vec()));
        rest = rest.get(end + 21..)?;
    }
    Some(found)
}

/// Git sorts folders as if their names ended with a slash.
fn sort_key(entry: &Entry) -> Vec<u8> {
    let mut key = entry.1.clone();
    if entry.0 == b"40000" {
        key.push(b'/');
    }
    key
}

/// A tree with files replaced or added below it.
fn edit(
    repository: &gix::Repository,
    tree: Option<ObjectId>,
    files: &BTreeMap<String, Vec<u8>>,
    objects: &mut Objects,
    depth: usize,
) -> Result<ObjectId> {
    const MAX_DEPTH: usize = 200;
    let broken = || Error::Other("a tree of the repository cannot be read".into());
    if depth > MAX_DEPTH {
        return Err(Error::Refused("folders are nested too deeply".into()));
    }
    let mut list = match tree {
        Some(id) => entries(&repository.find_object(id).map_err(|_| broken())?.data).ok_or_else(broken)?,
        None => Vec::new(),
    };
    let mut below: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for (path, bytes) in files {
        match path.split_once('/') {
            Some((folder, rest)) => {
                below.entry(folder.to_string()).or_default().insert(rest.to_string(), bytes.clone());
            }
            None => {
                let id = objects.add(Kind::Blob, bytes.clone())?;
                match list.iter_mut().find(|entry| entry.1 == path.as_bytes()) {
                    Some(entry) => entry.2 = id.as_bytes().to_vec(),
                    None => {
                        list.push((b"100644".to_vec(), path.clone().into_bytes(), id.as_bytes().to_vec()))
                    }
                }
            }
        }
    }
    for (folder, inner) in below {
        let known = list.iter().find(|entry| entry.1 == folder.as_bytes() && entry.0 == b"40000");
        let known =
            known.map(|entry| ObjectId::try_from(entry.2.as_slice()).map_err(|_| broken())).transpose()?;
        let id = edit(repository, known, &inner, objects, depth + 1)?;
        list.retain(|entry| entry.1 != folder.as_bytes());
        list.push((b"40000".to_vec(), folder.into_bytes(), id.as_bytes().to_vec()));
    }
    list.sort_by_key(sort_key);
    let mut data = Vec::new();
    for (mode, name, id) in list {
        data.extend(mode);
        data.push(b' ');
        data.extend(name);
        data.push(0);
        data.extend(id);
    }
    objects.add(Kind::Tree, data)
}

fn tree_id(repository: &gix::Repository, commit: ObjectId) -> Result<ObjectId> {
    let broken = |_| Error::Other(format!("commit {commit} cannot be read"));
    Ok(repository.find_object(commit).map_err(broken)?.peel_to_tree().map_err(broken)?.id)
}

/// What is to be sent.
struct Prepared {
    objects: Objects,
    commit: ObjectId,
    /// The commit it stands on, if any.
    base: Option<ObjectId>,
    folder: PathBuf,
}

fn prepare(
    inner: &Inner,
    request: &Request,
    wanted: &NewCommit,
) -> Result<std::result::Result<Prepared, Pushed>> {
    if inner.maps.find(&request.url).is_some() {
        return Err(Error::Invalid(format!("{}: is served from disk; nothing is pushed there", request.url)));
    }
    if let Some(bad) = wanted.files.keys().find(|path| crate::tree::clean(path).as_ref() != Some(path)) {
        return Err(Error::Refused(format!("{bad}: is no path of a repository")));
    }
    let stop = AtomicBool::new(false);
    let at = |reference: Reference| -> Result<(PathBuf, ObjectId)> {
        let request = Request { reference, verify: None, ..request.clone() };
        match super::local_path(&request.url) {
            Some(path) => {
                let commit = read::resolve(&read::open(&path)?, &request.reference)?.1;
                Ok((path, commit))
            }
            None => remote::fetch(inner, &request, &stop).map(|(folder, _, commit)| (folder, commit)),
        }
    };
    let (folder, base) = match wanted.begins {
        // Some repository for the objects that none are taken from.
        true => (beginning(inner, request)?, None),
        false => at(request.reference.clone()).map(|(folder, base)| (folder, Some(base)))?,
    };
    let repository = read::open(&folder)?;
    let mut objects = Objects::default();
    let before = base.map(|base| tree_id(&repository, base)).transpose()?;
    let tree = edit(&repository, before, &wanted.files, &mut objects, 0)?;
    // A branch that holds the same already needs no new commit.
    if let Some(branch) = wanted.targets.first().and_then(|target| target.strip_prefix("refs/heads/")) {
        match at(Reference { branch: Some(branch.to_string()), ..Reference::default() }) {
            Ok((_, head)) if tree_id(&read::open(&folder)?, head)? == tree => {
                return Ok(Err(Pushed { commit: head.to_hex().to_string(), known: true }));
            }
            Ok(_) | Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let message = wanted.message.trim_end();
    let parent = base.map(|base| format!("parent {base}\n")).unwrap_or_default();
    let head = format!(
        "tree {tree}\n{parent}author {0} {1} +0000\ncommitter {0} {1} +0000\n",
        wanted.author.replace(['\n', '\0'], " "),
        wanted.time
    );
    let mut data = format!("{head}\n{message}\n");
    if let Some(signer) = &wanted.signer {
        let signature = signer.sign(data.as_bytes(), wanted.time)?;
        // Lines that follow the first of a header begin with a blank.
        let signature = signature.trim_end().replace('\n', "\n ");
        data = format!("{head}gpgsig {signature}\n\n{message}\n");
    }
    let commit = objects.add(Kind::Commit, data.into_bytes())?;
    Ok(Ok(Prepared { objects, commit, base, folder }))
}

/// A repository at hand for an address: the one itself, or what is kept of it.
fn beginning(inner: &Inner, request: &Request) -> Result<PathBuf> {
    match super::local_path(&request.url) {
        Some(path) => Ok(path),
        None => remote::mirror(inner, request),
    }
}

/// A line of the protocol.
fn line(text: &[u8]) -> Vec<u8> {
    let mut out = format!("{:04x}", text.len() + 4).into_bytes();
    out.extend(text);
    out
}

/// The lines of an answer; `None` stands for a flush.
fn lines(mut bytes: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from_str_radix(std::str::from_utf8(bytes.get(..4)?).ok()?, 16).ok()?;
        if length == 0 {
            found.push(None);
            bytes = bytes.get(4..)?;
            continue;
        }
        found.push(Some(bytes.get(4..length)?.to_vec()));
        bytes = bytes.get(length..)?;
    }
    Some(found)
}

/// What a remote has, and what it can do.
#[derive(Default)]
struct Advertised {
    heads: BTreeMap<String, String>,
    abilities: Vec<String>,
}

fn advertised(found: Vec<Option<Vec<u8>>>) -> Advertised {
    let mut all = Advertised::default();
    for line in found.into_iter().flatten() {
        let text = String::from_utf8_lossy(&line).trim_end().to_string();
        if text.starts_with('#') || text.starts_with("version ") {
            continue;
        }
        let (text, abilities) = text.split_once('\0').unwrap_or((&text, ""));
        all.abilities.extend(abilities.split_whitespace().map(String::from));
        if let Some((id, name)) = text.split_once(' ') {
            all.heads.insert(name.to_string(), id.to_string());
        }
    }
    all
}

fn commands(advertised: &Advertised, wanted: &NewCommit, prepared: &Prepared) -> Result<Vec<u8>> {
    let commit = prepared.commit;
    let zero = "0".repeat(40);
    let options = !wanted.options.is_empty();
    let can = |ability: &str| advertised.abilities.iter().any(|known| known == ability);
    if options && !can("push-options") {
        return Err(Error::Invalid("the server takes no push options".into()));
    }
    let mut out = Vec::new();
    for (index, target) in wanted.targets.iter().enumerate() {
        let old = advertised.heads.get(target).unwrap_or(&zero);
        let base = prepared.base.map(|base| base.to_hex().to_string());
        if !wanted.force && index == 0 && *old != zero && Some(old) != base.as_ref() {
            return Err(Error::Other(format!("{target} was moved by somebody else meanwhile")));
        }
        let mut text = format!("{old} {commit} {target}");
        if index == 0 {
            let asked = if options { " push-options" } else { "" };
            text.push_str(&format!("\0 report-status{asked} agent=landfall"));
        }
        out.extend(line(text.as_bytes()));
    }
    out.extend(b"0000");
    if options {
        for (name, value) in &wanted.options {
            let text = if value.is_empty() { name.clone() } else { format!("{name}={value}") };
            out.extend(line(text.as_bytes()));
        }
        out.extend(b"0000");
    }
    out.extend(prepared.objects.pack()?);
    Ok(out)
}

/// Says whether all references were taken.
fn report(url: &str, bytes: &[u8]) -> Result<()> {
    let refused = |why: String| Error::Refused(format!("{url}: the push was refused: {why}"));
    let found = lines(bytes).ok_or_else(|| refused("the answer cannot be read".into()))?;
    let texts: Vec<String> = found
        .into_iter()
        .flatten()
        .map(|line| String::from_utf8_lossy(&line).trim_end().to_string())
        .collect();
    match texts.first().map(String::as_str) {
        Some("unpack ok") => {}
        other => return Err(refused(other.unwrap_or("no answer").to_string())),
    }
    match texts.iter().find(|text| !text.starts_with("ok ") && *text != "unpack ok") {
        None => Ok(()),
        Some(why) => Err(refused(why.clone())),
    }
}

impl Fetcher {
    /// Commits files on top of what `request` checks out, and moves references of the remote there.
    ///
    /// # Errors
    /// When the remote cannot be reached, or refuses.
    pub async fn git_push(&self, request: &Request, wanted: &NewCommit) -> Result<Pushed> {
        let (inner, mut request, wanted) = (self.inner.clone(), request.clone(), wanted.clone());
        if let Some(mirror) = inner.maps.redirect(&request.url) {
            request.url = mirror;
        }
        let timeout = request.timeout;
        let url = request.url.clone();
        let work = async move {
            let (prepare_for, commit) = (request.clone(), wanted.clone());
            let prepared = tokio::task::spawn_blocking(move || prepare(&inner, &prepare_for, &commit)).await;
            let prepared = prepared.map_err(|error| Error::Other(error.to_string()))??;
            let prepared = match prepared {
                Ok(prepared) => prepared,
                Err(known) => return Ok(known),
            };
            let pushed = Pushed { commit: prepared.commit.to_hex().to_string(), known: false };
            if request.url.starts_with("http") {
                self.push_http(&request, &wanted, &prepared).await?;
            } else {
                let done = tokio::task::spawn_blocking(move || match super::local_path(&request.url) {
                    Some(path) => push_local(&path, &wanted, &prepared),
                    None => push_ssh(&request, &wanted, &prepared),
                });
                done.await.map_err(|error| Error::Other(error.to_string()))??;
            }
            Ok(pushed)
        };
        match tokio::time::timeout(timeout, work).await {
            Ok(done) => done,
            Err(_) => Err(Error::Unreachable {
                hint: crate::maps::hint(&url),
                cause: format!("no answer within {timeout:?}"),
                url,
            }),
        }
    }

    async fn push_http(&self, request: &Request, wanted: &NewCommit, prepared: &Prepared) -> Result<()> {
        let url = request.url.trim_end_matches('/');
        let client = transport::client(&request.credentials, request.timeout)?;
        let authorization = transport::authorization(&request.credentials);
        let ask = format!("{url}/info/refs?service=git-receive-pack");
        let bytes = transport::get(&client, &ask, authorization.as_deref(), url, self.limits()).await?;
        let found = lines(&bytes).ok_or_else(|| Error::Refused(format!("{url}: is no Git server")))?;
        let body = commands(&advertised(found), wanted, prepared)?;
        let mut call = client
            .post(format!("{url}/git-receive-pack"))
            .header("content-type", "application/x-git-receive-pack-request")
            .body(body);
        if let Some(value) = &authorization {
            call = call.header("authorization", value);
        }
        let answer = call.send().await.map_err(|error| transport::unreachable(url, url, &error))?;
        let answer = transport::check(answer, url, url)?;
        report(url, &transport::body(answer, url, url, self.limits()).await?)
    }
}

/// A repository on this machine gets the objects and the references directly.
fn push_local(path: &Path, wanted: &NewCommit, prepared: &Prepared) -> Result<()> {
    let failed =
        |error: gix::error::Error| Error::Other(format!("{}: {}", path.display(), read::explain(&error)));
    let settings =
        ["committer.name=landfall", "committer.email=landfall@localhost"].map(String::from).to_vec();
    let options = gix::open::Options::isolated().config_overrides(settings);
    let repository = gix::open_opts(path, options).map_err(failed)?;
    let checked_out = repository.head_name().ok().flatten().map(|name| name.as_bstr().to_string());
    for target in &wanted.targets {
        if !repository.is_bare() && checked_out.as_ref() == Some(target) {
            return Err(Error::Refused(format!("{}: {target} is checked out there", path.display())));
        }
    }
    for (kind, data) in &prepared.objects.0 {
        let kind = match kind {
            Kind::Commit => gix::object::Kind::Commit,
            Kind::Tree => gix::object::Kind::Tree,
            Kind::Blob => gix::object::Kind::Blob,
        };
        repository.write_buf(kind, data).map_err(failed)?;
    }
    for target in &wanted.targets {
        let previous = gix::refs::transaction::PreviousValue::Any;
        repository.reference(target.as_str(), prepared.commit, previous, "push").map_err(failed)?;
    }
    Ok(())
}

fn push_ssh(request: &Request, wanted: &NewCommit, prepared: &Prepared) -> Result<()> {
    let url = url::Url::parse(&request.url)
        .map_err(|_| Error::Invalid(format!("{}: is no address", request.url)))?;
    let keys = remote::SshFiles::write(&prepared.folder, &request.url, &request.credentials)?;
    let mut command = std::process::Command::new("ssh");
    if let Some(keys) = &keys {
        command.args(keys.arguments());
    }
    let host = url.host_str().unwrap_or_default();
    if host.starts_with('-') || url.username().starts_with('-') {
        return Err(Error::Invalid(format!("{}: is no address", request.url)));
    }
    if let Some(port) = url.port() {
        command.args(["-p", &port.to_string()]);
    }
    let user = if url.username().is_empty() { String::new() } else { format!("{}@", url.username()) };
    let path = url.path().replace('\'', "'\\''");
    command.arg(format!("{user}{host}")).arg(format!("git-receive-pack '{path}'"));
    let unreachable = |cause: String| Error::Unreachable {
        url: request.url.clone(),
        cause,
        hint: crate::maps::hint(&request.url),
    };
    let pipe = std::process::Stdio::piped;
    let mut child = command
        .stdin(pipe())
        .stdout(pipe())
        .stderr(pipe())
        .spawn()
        .map_err(|error| unreachable(format!("ssh: {error}")))?;
    let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(unreachable("ssh has no pipes".into()));
    };
    let talk = || -> std::io::Result<(Advertised, Vec<u8>)> {
        let mut found = Vec::new();
        loop {
            let mut length = [0; 4];
            output.read_exact(&mut length)?;
            let wrong = || std::io::Error::other("the answer is not Git's");
            let length =
                std::str::from_utf8(&length).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
            let length = length.ok_or_else(wrong)?;
            if length == 0 {
                break;
            }
            let mut text = vec![0; length.checked_sub(4).ok_or_else(wrong)?];
            output.read_exact(&mut text)?;
            found.push(Some(text));
        }
        let advertised = advertised(found);
        let body = commands(&advertised, wanted, prepared).map_err(std::io::Error::other)?;
        input.write_all(&body)?;
        drop(input);
        let mut answer = Vec::new();
        output.read_to_end(&mut answer)?;
        Ok((advertised, answer))
    };
    let talked = talk();
    let done = child.wait_with_output().map_err(|error| unreachable(error.to_string()))?;
    match talked {
        Ok((_, answer)) => report(&request.url, &answer),
        Err(error) => {
            let said = String::from_utf8_lossy(&done.stderr).trim().to_string();
            Err(unreachable(if said.is_empty() { error.to_string() } else { said }))
        }
    }
}
