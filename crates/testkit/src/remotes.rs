//! Stand-ins on loopback for what sources are fetched from: an OCI registry, a chart repository, Git over
//! HTTP.

use crate::http::{Request, Response, Server};
use base64::Engine;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// The media type of a chart's layer.
const CHART_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// The media type of a Flux artifact's layer.
const FLUX_LAYER: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Who is let in.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// Everybody.
    #[default]
    Open,
    /// Basic authentication with user and password.
    Basic(String, String),
    /// The token handshake of registries, for user and password.
    Token(String, String),
}

/// `sha256:<hex>`.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

#[derive(Default)]
struct Content {
    blobs: BTreeMap<String, Vec<u8>>,
    /// Repository, then tag or digest, to the manifest.
    manifests: BTreeMap<(String, String), Vec<u8>>,
    requests: Vec<String>,
}

/// An OCI registry that serves what was put into it.
pub struct Registry {
    server: Server,
    content: Arc<Mutex<Content>>,
}

impl Registry {
    /// Starts an empty registry.
    pub fn start(access: Access) -> Self {
        let content = Arc::new(Mutex::new(Content::default()));
        let shared = content.clone();
        let server = Server::start(move |request| registry_answer(request, &access, &shared));
        Registry { server, content }
    }

    /// `127.0.0.1:<port>`, which clients take for plain HTTP.
    pub fn host(&self) -> String {
        self.server.host()
    }

    /// Pushes a Helm chart: `repository` is its full name, the tag its version. The manifest's digest.
    pub fn push_chart(&self, repository: &str, version: &str, archive: &[u8]) -> String {
        self.push(repository, version, CHART_LAYER, archive, "{}")
    }

    /// Pushes a `tar.gz` as `flux push artifact` does. The manifest's digest.
    pub fn push_artifact(&self, repository: &str, tag: &str, archive: &[u8]) -> String {
        let annotations =
            r#"{"org.opencontainers.image.revision":"main@sha1:0123456789abcdef0123456789abcdef01234567"}"#;
        self.push(repository, tag, FLUX_LAYER, archive, annotations)
    }

    fn push(&self, repository: &str, tag: &str, media_type: &str, layer: &[u8], annotations: &str) -> String {
        let config = b"{}".to_vec();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.cncf.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"{media_type}","digest":"{}","size":{}}}],"annotations":{annotations}}}"#,
            sha256(&config),
            config.len(),
            sha256(layer),
            layer.len(),
        )
        .into_bytes();
        self.put_blob(&config);
        self.put_blob(layer);
        self.put_manifest(repository, &tag.replace('+', "_"), &manifest)
    }

    /// Puts a blob; its digest.
    pub fn put_blob(&self, bytes: &[u8]) -> String {
        let digest = sha256(bytes);
        self.content.lock().expect("the content").blobs.insert(digest.clone(), bytes.to_vec());
        digest
    }

    /// Puts a manifest or an index under a tag, and under its digest, which is given back.
    pub fn put_manifest(&self, repository: &str, tag: &str, manifest: &[u8]) -> String {
        let digest = sha256(manifest);
        let mut content = self.content.lock().expect("the content");
        for name in [tag, &digest] {
            content.manifests.insert((repository.to_string(), name.to_string()), manifest.to_vec());
        }
        digest
    }

    /// A manifest by repository and tag.
    pub fn manifest(&self, repository: &str, tag: &str) -> Option<Vec<u8>> {
        let content = self.content.lock().expect("the content");
        content.manifests.get(&(repository.to_string(), tag.to_string())).cloned()
    }

    /// Replaces a blob's bytes without its name: what a damaged or lying registry would serve.
    pub fn corrupt_blobs(&self) {
        let mut content = self.content.lock().expect("the content");
        content.blobs.values_mut().for_each(|bytes| bytes.push(0));
    }

    /// `METHOD path` of every request so far.
    pub fn requests(&self) -> Vec<String> {
        self.content.lock().expect("the content").requests.clone()
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

fn registry_answer(request: &Request, access: &Access, shared: &Mutex<Content>) -> Response {
    let mut content = shared.lock().expect("the content");
    content.requests.push(format!("{} {}", request.method, request.path));
    let given = request.headers.get("authorization").cloned().unwrap_or_default();
    let host = request.headers.get("host").cloned().unwrap_or_default();
    match access {
        Access::Token(user, password) if request.path == "/token" => {
            return if given == basic(user, password) {
                Response::new(200, r#"{"token":"let-me-in"}"#)
            } else {
                Response::new(401, "no")
            };
        }
        Access::Token(..) if given != "Bearer let-me-in" => {
            let challenge = format!(r#"Bearer realm="http://{host}/token",service="test""#);
            return Response::new(401, "{}").header("WWW-Authenticate", challenge);
        }
        Access::Basic(user, password) if given != basic(user, password) => {
            return Response::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"test\"");
        }
        _ => {}
    }
    let Some(path) = request.path.strip_prefix("/v2/") else { return Response::new(404, "") };
    if path.is_empty() {
        return Response::new(200, "{}");
    }
    if let Some(repository) = path.strip_suffix("/tags/list") {
        return tags(&content, repository, &request.query);
    }
    if matches!(request.method.as_str(), "POST" | "PUT") {
        return upload(&mut content, request, path);
    }
    if let Some((repository, reference)) = path.split_once("/manifests/") {
        return match content.manifests.get(&(repository.to_string(), reference.to_string())) {
            Some(manifest) => Response::new(200, manifest.clone())
                .header("Content-Type", MANIFEST)
                .header("Docker-Content-Digest", sha256(manifest)),
            None => Response::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
        };
    }
    match path.split_once("/blobs/").and_then(|(_, digest)| content.blobs.get(digest)) {
        Some(bytes) => Response::new(200, bytes.clone()),
        None => Response::new(404, "{}"),
    }
}

/// Takes blobs (a POST for the place, a PUT with the bytes) and manifests.
fn upload(content: &mut Content, request: &Request, path: &str) -> Response {
    let created = |digest: String| Response::new(201, "").header("Docker-Content-Digest", digest);
    if let Some((repository, reference)) = path.split_once("/manifests/") {
        let digest = sha256(&request.body);
        for name in [reference, &digest] {
            content.manifests.insert((repository.to_string(), name.to_string()), request.body.clone());
        }
        return created(digest);
    }
    if request.method == "POST" && path.contains("/blobs/uploads") {
        let place = format!("/v2/{}/1?state=x%2By", path.trim_end_matches('/'));
        return Response::new(202, "").header("Location", place);
    }
    let digest = request.query.split('&').find_map(|pair| pair.strip_prefix("digest="));
    let digest = digest.unwrap_or_default().replace("%3A", ":");
    if !request.query.contains("state=x%2By") || digest != sha256(&request.body) {
        return Response::new(400, r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
    }
    content.blobs.insert(digest.clone(), request.body.clone());
    created(digest)
}

/// Two tags a page, so that clients must follow the links.
fn tags(content: &Content, repository: &str, query: &str) -> Response {
    let all: Vec<&str> = content
        .manifests
        .keys()
        .filter(|(name, tag)| name == repository && !tag.starts_with("sha256:"))
        .map(|(_, tag)| tag.as_str())
        .collect();
    if all.is_empty() {
        return Response::new(404, r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#);
    }
    let last = query.split('&').find_map(|pair| pair.strip_prefix("last="));
    let start = last.and_then(|last| all.iter().position(|tag| *tag == last)).map_or(0, |at| at + 1);
    let page: Vec<&str> = all.iter().skip(start).take(2).copied().collect();
    let body = serde_json::json!({"name": repository, "tags": page}).to_string();
    let response = Response::new(200, body);
    match page.last() {
        Some(last) if start + page.len() < all.len() => {
            response.header("Link", format!("</v2/{repository}/tags/list?n=2&last={last}>; rel=\"next\""))
        }
        _ => response,
    }
}

/// A chart repository over HTTP: `index.yaml` and archives.
pub struct ChartRepository {
    server: Server,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    index: Arc<Mutex<String>>,
}

impl ChartRepository {
    /// Starts a repository under `/charts`.
    pub fn start(access: Access) -> Self {
        let files: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
        let index = Arc::new(Mutex::new("apiVersion: v1\nentries:\n".to_string()));
        let (shared, text) = (files.clone(), index.clone());
        let server = Server::start(move |request| {
            let given = request.headers.get("authorization").cloned().unwrap_or_default();
            if let Access::Basic(user, password) | Access::Token(user, password) = &access
                && given != basic(user, password)
            {
                return Response::new(401, "").header("WWW-Authenticate", "Basic realm=\"test\"");
            }
            if request.path == "/charts/index.yaml" {
                return Response::new(200, text.lock().expect("the index").clone());
            }
            match shared.lock().expect("the files").get(request.path.trim_start_matches("/charts/")) {
                Some(bytes) => Response::new(200, bytes.clone()),
                None => Response::new(404, ""),
            }
        });
        ChartRepository { server, files, index }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("{}/charts", self.server.url())
    }

    /// Adds a chart with a relative address and its digest.
    pub fn push(&self, name: &str, version: &str, archive: &[u8]) {
        let file = format!("{name}-{version}.tgz");
        let digest = sha256(archive).replace("sha256:", "");
        self.put(&file, archive);
        let mut index = self.index.lock().expect("the index");
        if !index.contains(&format!("\n  {name}:\n")) {
            index.push_str(&format!("  {name}:\n"));
        }
        // One entry list per chart: charts are pushed in the order of their names.
        index.push_str(&format!(
            "  - apiVersion: v2\n    name: {name}\n    version: {version}\n    digest: {digest}\n    urls:\n    - {file}\n"
        ));
    }

    /// Serves a file beside the archives.
    pub fn put(&self, file: &str, bytes: &[u8]) {
        self.files.lock().expect("the files").insert(file.to_string(), bytes.to_vec());
    }

    /// Serves other bytes for an archive than the index promises.
    pub fn corrupt(&self) {
        self.files.lock().expect("the files").values_mut().for_each(|bytes| bytes.push(0));
    }
}

/// Git repositories over smart HTTP, through `git http-backend`.
pub struct GitServer {
    server: Server,
    requests: Arc<Mutex<Vec<String>>>,
}

impl GitServer {
    /// Serves the bare repositories below `root`.
    pub fn start(root: &Path, access: Access) -> Self {
        let root = root.to_path_buf();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        let server = Server::start(move |request| {
            log.lock().expect("the log").push(format!("{} {}", request.method, request.path));
            git_answer(request, &access, &root)
        });
        GitServer { server, requests }
    }

    /// What was asked since the last call: method and path, a line each.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().expect("the log"))
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.server.url()
    }
}

fn git_answer(request: &Request, access: &Access, root: &PathBuf) -> Response {
    let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
    if let Access::Basic(user, password) | Access::Token(user, password) = access {
        let given = header("authorization");
        if given != basic(user, password) && given != format!("Bearer {password}") {
            return Response::new(401, "").header("WWW-Authenticate", "Basic realm=\"test\"");
        }
    }
    let child = Command::new("git")
        .args(["-c", "http.receivepack=true", "-c", "safe.directory=*", "http-backend"])
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("REQUEST_METHOD", &request.method)
        .env("REMOTE_USER", "test")
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return Response::new(500, "no git") };
    if let Some(mut input) = child.stdin.take() {
        use std::io::Write;
        input.write_all(&request.body).ok();
    }
    let Ok(output) = child.wait_with_output() else { return Response::new(500, "git failed") };
    let end = output.stdout.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(0);
    let (head, body) = output.stdout.split_at(end);
    let mut response = Response::new(200, body.get(4..).unwrap_or_default());
    for line in String::from_utf8_lossy(head).lines() {
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("status") => {
                response.status =
                    value.split_whitespace().next().and_then(|code| code.parse().ok()).unwrap_or(500);
            }
            Some((name, value)) => response = response.header(name, value.trim()),
            None => {}
        }
    }
    response
}

/// Runs `git` in `folder` with a fixed identity and no configuration of the user's; what it prints.
///
/// # Panics
/// When it fails.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main"])
        .args(["-c", "protocol.file.allow=always", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}
