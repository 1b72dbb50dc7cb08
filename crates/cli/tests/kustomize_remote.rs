//! `landfall kustomize build` of remote bases, over a Git server on loopback.
#![allow(clippy::disallowed_methods)]

mod harness;

use harness::{landfall, said};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use testkit::remotes::{Access, GitServer, git};

fn write(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    std::fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
    std::fs::write(file, text).expect("written");
}

fn map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value}\n")
}

/// Two served repositories, `app` (with a submodule `lib`) and `lib`; the commit of `app`'s first version.
struct Remotes {
    folder: tempfile::TempDir,
    server: GitServer,
    first: String,
}

impl Remotes {
    fn start() -> Remotes {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let served = root.join("served");
        for name in ["lib", "app"] {
            std::fs::create_dir_all(root.join(name)).expect("a folder");
            git(&root.join(name), &["init", "-q"]);
            std::fs::create_dir_all(&served).expect("a folder");
            git(
                &served,
                &["clone", "-q", "--bare", &root.join(name).to_string_lossy(), &format!("{name}.git")],
            );
        }
        let server = GitServer::start(&served, Access::Open);
        let lib = root.join("lib");
        write(&lib, "kustomization.yaml", "resources: [map.yaml]\n");
        write(&lib, "map.yaml", &map("lib", "shared"));
        commit(&lib, &served.join("lib.git"));
        let app = root.join("app");
        write(&app, "deploy/kustomization.yaml", "resources: [map.yaml, ../common]\n");
        write(&app, "deploy/map.yaml", &map("app", "one"));
        write(&app, "common/kustomization.yaml", "resources: [map.yaml]\n");
        write(&app, "common/map.yaml", &map("common", "same"));
        write(&app, "withlib/kustomization.yaml", "resources: [../vendor/lib]\n");
        write(&app, "chained/kustomization.yaml", &format!("resources: ['{}/lib.git']\n", server.url()));
        git(&app, &["submodule", "--quiet", "add", &format!("{}/lib.git", server.url()), "vendor/lib"]);
        commit(&app, &served.join("app.git"));
        let first = git(&app, &["rev-parse", "HEAD"]);
        git(&app, &["tag", "v1"]);
        write(&app, "deploy/map.yaml", &map("app", "two"));
        commit(&app, &served.join("app.git"));
        git(&app, &["push", "-q", &served.join("app.git").to_string_lossy(), "v1"]);
        server.requests();
        Remotes { folder, server, first }
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/{rest}", self.server.url())
    }

    /// A build of a kustomization with these resources; its cache is kept between builds.
    fn build(&self, resources: &[String], more: &[&str]) -> Command {
        let top = self.folder.path().join("top");
        let list: String = resources.iter().map(|url| format!("- {url}\n")).collect();
        write(&top, "kustomization.yaml", &format!("resources:\n{list}"));
        let mut command = landfall(&["kustomize", "build", &top.to_string_lossy()]);
        command.args(more).env("LANDFALL_CACHE", self.folder.path().join("cache"));
        command
    }
}

fn commit(folder: &Path, to: &Path) {
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", "a change"]);
    git(folder, &["push", "-q", &to.to_string_lossy(), "HEAD:refs/heads/main"]);
    git(to, &["symbolic-ref", "HEAD", "refs/heads/main"]);
}

fn told(command: &mut Command) -> String {
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn references_folders_and_submodules_are_followed() {
    let remotes = Remotes::start();
    let build = |rest: &str| told(&mut remotes.build(&[remotes.url(rest)], &[]));
    let both = |value: &str| format!("{}---\n{}", ordered("app", value), ordered("common", "same"));
    assert_eq!(build("app.git//deploy"), both("two"));
    assert_eq!(build("app.git/deploy?ref=main"), both("two"));
    assert_eq!(build("app.git//deploy?ref=v1"), both("one"));
    assert_eq!(build("app.git//deploy?version=v1&timeout=30s"), both("one"));
    assert_eq!(build(&format!("app.git//deploy?ref={}", remotes.first)), both("one"));
    assert_eq!(build("app.git//withlib"), ordered("lib", "shared"));
    assert_eq!(build("app.git//chained"), ordered("lib", "shared"));
    let output =
        remotes.build(&[remotes.url("app.git//withlib?submodules=false")], &[]).output().expect("runs");
    assert!(!output.status.success());
    assert!(said(&output).contains("vendor/lib"), "{}", said(&output));
    let output = remotes.build(&[remotes.url("app.git//nothing")], &[]).output().expect("runs");
    assert!(!output.status.success());
    assert!(said(&output).contains("nothing"), "{}", said(&output));
    let output = remotes.build(&[remotes.url("app.git//deploy?ref=none")], &[]).output().expect("runs");
    assert!(!output.status.success());
    assert!(said(&output).contains("none"), "{}", said(&output));
}

fn ordered(name: &str, value: &str) -> String {
    format!("apiVersion: v1\ndata:\n  value: {value}\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
}

#[test]
fn a_repository_is_fetched_once_and_then_known_offline() {
    let remotes = Remotes::start();
    let pinned = format!("app.git//deploy?ref={}", remotes.first);
    let twice = [
        remotes.url("app.git//common?ref=v1"),
        remotes.url("lib.git"),
        remotes.url("app.git//withlib?ref=v1"),
    ];
    let output = remotes.build(&twice, &[]).output().expect("runs");
    // Both bring the same object, which is how one sees that both were read.
    assert!(said(&output).contains("already registered id"), "{}", said(&output));
    let packs = |repository: &str| {
        let wanted = format!("POST /{repository}/git-upload-pack");
        remotes.server.requests().iter().filter(|line| line.starts_with(&wanted)).count()
    };
    let asked = remotes.server.requests();
    let fetches = asked.iter().filter(|line| **line == "GET /app.git/info/refs").count();
    assert!(fetches <= 3, "{asked:?}");
    let first = told(&mut remotes.build(&[remotes.url(&pinned)], &[]));
    remotes.server.requests();
    // A commit means the same for ever: nobody is asked again.
    assert_eq!(told(&mut remotes.build(&[remotes.url(&pinned)], &[])), first);
    assert_eq!(packs("app.git"), 0);
    let branch = [remotes.url("app.git//deploy?ref=main"), remotes.url("lib.git")];
    let online = told(&mut remotes.build(&branch, &[]));
    let Remotes { folder, server, first: _ } = remotes;
    let url = server.url();
    drop(server);
    let top = folder.path().join("top");
    let mut offline = landfall(&["kustomize", "build", &top.to_string_lossy()]);
    offline.env("LANDFALL_CACHE", folder.path().join("cache"));
    let output = offline.output().expect("runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), online, "{url}: {}", said(&output));
    assert!(said(&output).contains("not reached"), "{}", said(&output));
}

#[test]
fn maps_stand_in_for_remote_bases() {
    let folder = tempfile::tempdir().expect("a folder");
    let local = folder.path().join("local");
    write(&local, "deploy/kustomization.yaml", "resources: [map.yaml]\n");
    write(&local, "deploy/map.yaml", &map("app", "mapped"));
    let top = folder.path().join("top");
    write(
        &top,
        "kustomization.yaml",
        "resources:\n- https://git.example.invalid/team/app.git//deploy?ref=v3\n",
    );
    let line = format!("https://git.example.invalid/team/app={}", local.display());
    let mut command = landfall(&["kustomize", "build", &top.to_string_lossy(), "--map", &line]);
    command.env("LANDFALL_CACHE", folder.path().join("cache"));
    assert_eq!(told(&mut command), ordered("app", "mapped"));
}

#[test]
fn a_timeout_ends_the_wait() {
    // A server that accepts and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let folder = tempfile::tempdir().expect("a folder");
    write(
        folder.path(),
        "kustomization.yaml",
        &format!("resources:\n- http://127.0.0.1:{port}/a.git?timeout=1s\n"),
    );
    let started = std::time::Instant::now();
    let mut command = landfall(&["kustomize", "build", &folder.path().to_string_lossy()]);
    let output = command.env("LANDFALL_CACHE", folder.path().join("cache")).output().expect("runs");
    assert!(!output.status.success());
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
    drop(listener);
}

/// Serves files over HTTP, each answer held back until `together` requests are there (or a while has passed, and then
/// the answer is that the server is too busy).
fn serve_files(files: Vec<(&'static str, String)>, together: usize) -> (String, Arc<Mutex<Vec<String>>>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let (files, seen) = (files.clone(), seen.clone());
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
                let first = lines.next().and_then(Result::ok).unwrap_or_default();
                while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                seen.lock().expect("a list").push(path.clone());
                let started = std::time::Instant::now();
                let enough = || seen.lock().expect("a list").len() >= together;
                while !enough() && started.elapsed().as_secs() < 5 {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                let (status, body) = match files.iter().find(|(name, _)| *name == path) {
                    _ if !enough() => ("503 Service Unavailable", ""),
                    Some((_, text)) => ("200 OK", text.as_str()),
                    None => ("404 Not Found", "nothing"),
                };
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all((head + body).as_bytes());
            });
        }
    });
    (url, asked)
}

#[test]
fn files_are_fetched_over_http() {
    let (url, asked) =
        serve_files(vec![("/map.yaml", map("far", "away")), ("/bad.yaml", "a: [".to_owned())], 1);
    let remotes = tempfile::tempdir().expect("a folder");
    let build = |resource: &str| {
        let top = remotes.path().join("top");
        write(&top, "kustomization.yaml", &format!("resources: ['{url}/{resource}']\n"));
        let mut command = landfall(&["kustomize", "build", &top.to_string_lossy()]);
        command.env("LANDFALL_CACHE", remotes.path().join("cache"));
        command
    };
    assert_eq!(told(&mut build("map.yaml")), ordered("far", "away"));
    assert_eq!(asked.lock().expect("a list").as_slice(), ["/map.yaml"]);
    let output = build("none.yaml").output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("404") && said(&output).contains("none.yaml"), "{}", said(&output));
    let output = build("bad.yaml").output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("bad.yaml"), "{}", said(&output));
}

#[test]
fn what_several_kustomizations_name_is_fetched_at_the_same_time() {
    let names = ["/a.yaml", "/b.yaml", "/c.yaml"];
    let files = names.map(|name| (name, map(name.trim_start_matches('/').trim_end_matches(".yaml"), "far")));
    // No file is answered before all were asked for.
    let (url, asked) = serve_files(files.to_vec(), 3);
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "top/kustomization.yaml", "resources: [one, two]\n");
    write(
        folder.path(),
        "top/one/kustomization.yaml",
        &format!("resources: ['{url}/a.yaml', '{url}/b.yaml']\n"),
    );
    write(folder.path(), "top/two/kustomization.yaml", "resources: [deeper]\n");
    write(folder.path(), "top/two/deeper/kustomization.yaml", &format!("resources: ['{url}/c.yaml']\n"));
    let top = folder.path().join("top");
    let mut command = landfall(&["kustomize", "build", &top.to_string_lossy()]);
    let built = told(command.env("LANDFALL_CACHE", folder.path().join("cache")));
    assert_eq!(built, ["a", "b", "c"].map(|name| ordered(name, "far")).join("---\n"));
    assert_eq!(asked.lock().expect("a list").len(), 3, "each once");
}
