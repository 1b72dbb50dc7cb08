//! Git sources: working copies, local repositories, and smart HTTP from a server on loopback.

use source::git::{Reference, Request};
use source::{Credentials, Error, Fetcher, Limits, Maps, Options, Revision, WorkingCopy};
use std::fs;
use std::path::Path;
use testkit::remotes::{Access, GitServer, git};

/// A repository with two commits, tags and a branch.
fn repository(folder: &Path) -> (String, String) {
    git(folder, &["init", "-q", "."]);
    fs::create_dir_all(folder.join("apps")).expect("a folder");
    fs::write(folder.join("apps/a.yaml"), "a: 1\n").expect("writes");
    fs::write(folder.join("logo.png"), "png").expect("writes");
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-qm", "one"]);
    let first = git(folder, &["rev-parse", "HEAD"]);
    for tag in ["v1.0.0", "v1.1.0-rc.1"] {
        git(folder, &["tag", tag]);
    }
    git(folder, &["tag", "-a", "v1.1.0", "-m", "annotated"]);
    git(folder, &["branch", "dev"]);
    fs::write(folder.join("apps/a.yaml"), "a: 2\n").expect("writes");
    git(folder, &["commit", "-qam", "two"]);
    (first, git(folder, &["rev-parse", "HEAD"]))
}

fn on(url: &str, reference: Reference) -> Request {
    Request { reference, ..Request::new(url) }
}

fn branch(name: &str) -> Reference {
    Reference { branch: Some(name.into()), ..Reference::default() }
}

fn text(tree: &source::Tree, path: &str) -> String {
    String::from_utf8(tree.read(path).expect(path).to_vec()).expect("text")
}

async fn every_reference(fetcher: &Fetcher, url: &str, first: &str, second: &str) {
    let by = |set: fn(&mut Reference, String), value: &str| {
        let mut reference = Reference::default();
        set(&mut reference, value.to_string());
        reference
    };
    for (reference, revision, content) in [
        (branch("main"), format!("main@sha1:{second}"), "a: 2\n"),
        (branch("dev"), format!("dev@sha1:{first}"), "a: 1\n"),
        (by(|r, v| r.tag = Some(v), "v1.1.0"), format!("v1.1.0@sha1:{first}"), "a: 1\n"),
        (by(|r, v| r.semver = Some(v), ">=1.0.0"), format!("v1.1.0@sha1:{first}"), "a: 1\n"),
        (by(|r, v| r.semver = Some(v), "1.0.x"), format!("v1.0.0@sha1:{first}"), "a: 1\n"),
        (by(|r, v| r.name = Some(v), "refs/heads/dev"), format!("refs/heads/dev@sha1:{first}"), "a: 1\n"),
        (by(|r, v| r.commit = Some(v), first), format!("sha1:{first}"), "a: 1\n"),
        (
            Reference { commit: Some(second.into()), ..branch("main") },
            format!("main@sha1:{second}"),
            "a: 2\n",
        ),
    ] {
        let artifact = fetcher
            .git(&on(url, reference.clone()))
            .await
            .unwrap_or_else(|error| panic!("{reference:?}: {error}"));
        assert_eq!(artifact.revision.to_string(), revision);
        assert_eq!(text(&artifact.tree, "apps/a.yaml"), content);
        assert!(!artifact.tree.is_file("logo.png"), "left out by default");
    }
    for (reference, says) in [
        (branch("nope"), "has no branch nope"),
        (Reference::default(), "has no branch master"),
        (by(|r, v| r.tag = Some(v), "v9"), "has no tag v9"),
        (by(|r, v| r.semver = Some(v), ">=9"), "no tag is in the range >=9"),
        (by(|r, v| r.semver = Some(v), "nonsense"), "is not a range"),
        (by(|r, v| r.commit = Some(v), "abc"), "not a full SHA"),
        (by(|r, v| r.commit = Some(v), "0123456789012345678901234567890123456789"), "has no commit"),
    ] {
        let error = fetcher.git(&on(url, reference)).await.expect_err(says).to_string();
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn local_repositories_are_read_where_they_lie() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = repository(folder.path());
    let fetcher = Fetcher::new(Options::default()).expect("a fetcher");
    every_reference(&fetcher, &format!("file://{}", folder.path().display()), &first, &second).await;
    // An uncommitted edit is not part of a branch unless a map says that this is the working copy.
    fs::write(folder.path().join("apps/a.yaml"), "a: 3\n").expect("writes");
    let artifact =
        fetcher.git(&on(&folder.path().display().to_string(), branch("main"))).await.expect("reads");
    assert_eq!(text(&artifact.tree, "apps/a.yaml"), "a: 2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn smart_http() {
    let folder = tempfile::tempdir().expect("a folder");
    let work = folder.path().join("work");
    fs::create_dir(&work).expect("a folder");
    let (first, second) = repository(&work);
    git(folder.path(), &["clone", "-q", "--bare", "work", "repo.git"]);
    let server = GitServer::start(folder.path(), Access::Open);
    let cache = folder.path().join("cache");
    let fetcher =
        Fetcher::new(Options { cache: Some(cache.clone()), ..Options::default() }).expect("a fetcher");
    let url = format!("{}/repo.git", server.url());
    every_reference(&fetcher, &url, &first, &second).await;

    // A new commit is seen, and the cache serves a second fetcher.
    fs::write(work.join("apps/a.yaml"), "a: 4\n").expect("writes");
    git(&work, &["commit", "-qam", "three"]);
    git(&work, &["push", "-q", "../repo.git", "main"]);
    let again = Fetcher::new(Options { cache: Some(cache), ..Options::default() }).expect("a fetcher");
    for fetcher in [&fetcher, &again] {
        let artifact = fetcher.git(&on(&url, branch("main"))).await.expect("fetches");
        assert_eq!(text(&artifact.tree, "apps/a.yaml"), "a: 4\n");
    }
    let missing = fetcher.git(&on(&format!("{}/none.git", server.url()), branch("main"))).await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    let nobody =
        fetcher.git(&on("http://127.0.0.1:9/x.git", branch("main"))).await.expect_err("nobody listens");
    assert!(nobody.to_string().contains("--map http://127.0.0.1:9/x.git="), "{nobody}");
    let scp = fetcher.git(&on("git@github.com:org/repo", branch("main"))).await.expect_err("scp syntax");
    assert!(matches!(scp, Error::Invalid(_)), "{scp}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials() {
    let folder = tempfile::tempdir().expect("a folder");
    let work = folder.path().join("work");
    fs::create_dir(&work).expect("a folder");
    repository(&work);
    git(folder.path(), &["clone", "-q", "--bare", "work", "repo.git"]);
    let server = GitServer::start(folder.path(), Access::Basic("me".into(), "secret".into()));
    let fetcher = Fetcher::new(Options::default()).expect("a fetcher");
    let mut request = on(&format!("{}/repo.git", server.url()), branch("main"));
    let denied = fetcher.git(&request).await.expect_err("no credentials");
    assert!(matches!(denied, Error::Denied { .. }), "{denied}");
    request.credentials = Credentials {
        username: Some("me".into()),
        password: Some("secret".into()),
        ..Credentials::default()
    };
    fetcher.git(&request).await.expect("let in");
    request.credentials = Credentials { bearer_token: Some("secret".into()), ..Credentials::default() };
    fetcher.git(&request).await.expect("let in");
    request.credentials =
        Credentials { username: Some("me".into()), password: Some("wrong".into()), ..Credentials::default() };
    let denied = fetcher.git(&request).await.expect_err("wrong credentials");
    assert!(matches!(denied, Error::Denied { .. }), "{denied}");
    assert!(!format!("{denied} {request:?}").contains("wrong"), "no secret in errors");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_serves_the_working_copy() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let (first, second) = repository(root);
    let mut maps = Maps::default();
    maps.add("https://github.com/org/repo", root);
    let fetcher = Fetcher::new(Options { maps, ..Options::default() }).expect("a fetcher");
    let url = "ssh://git@github.com/org/repo.git";
    let fetch = async |reference| fetcher.git(&on(url, reference)).await.expect("reads");

    let clean = fetch(branch("main")).await;
    assert_eq!(clean.revision.to_string(), format!("main@sha1:{second}"));
    fs::write(root.join("apps/a.yaml"), "a: 5\n").expect("writes");
    let dirty = fetch(branch("main")).await;
    assert!(dirty.revision.is_dirty() && dirty.revision.hex() == second, "{}", dirty.revision);
    assert_eq!(text(&dirty.tree, "apps/a.yaml"), "a: 5\n");
    assert_eq!(dirty.tree.changed(&clean.tree), ["apps/a.yaml"]);
    fs::write(root.join("apps/a.yaml"), "a: 6\n").expect("writes");
    assert_ne!(fetch(branch("main")).await.revision, dirty.revision);

    // Untracked files count unless Git ignores them; tracked ones count although it does.
    fs::write(root.join(".gitignore"), "*.tmp\nbuild/\na.yaml\n").expect("writes");
    fs::create_dir(root.join("build")).expect("a folder");
    for path in ["x.tmp", "build/y.yaml", "new.yaml"] {
        fs::write(root.join(path), "x: 1\n").expect("writes");
    }
    let tree = fetch(branch("main")).await.tree;
    let paths: Vec<&str> = tree.files().map(|(path, _)| path).collect();
    assert_eq!(paths, ["apps/a.yaml", "new.yaml"]);

    // Whoever asks for a tag gets the tag.
    let tag = fetch(Reference { tag: Some("v1.0.0".into()), ..Reference::default() }).await;
    assert_eq!(tag.revision.to_string(), format!("v1.0.0@sha1:{first}"));

    git(root, &["add", "-A"]);
    git(root, &["commit", "-qm", "three"]);
    assert!(!fetch(branch("main")).await.revision.is_dirty());
}

#[test]
fn folders_and_odd_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    fs::create_dir(root.join("sub")).expect("a folder");
    fs::write(root.join("sub/x.yaml"), "x").expect("writes");
    fs::write(root.join("big.yaml"), vec![b'#'; 2000]).expect("writes");
    fs::write(root.join(".sourceignore"), "/sub/skip*\n").expect("writes");
    fs::write(root.join("sub/skipped.yaml"), "x").expect("writes");
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/passwd", root.join("sub/link")).expect("a link");
    let limits = Limits { file_bytes: 1000, ..Limits::default() };
    let mut copy = WorkingCopy::open(&root.join("sub"), limits).expect("opens");
    assert!(!copy.is_git());
    let snapshot = copy.snapshot(None).expect("reads");
    assert_eq!(snapshot.revision, Revision::new("", snapshot.tree.digest()));
    let tree = source::Tree::from_dir(root, None, &limits).expect("reads");
    let paths: Vec<&str> = tree.files().map(|(path, _)| path).collect();
    assert_eq!(paths, [".sourceignore", "big.yaml", "sub/x.yaml"]);
    assert!(tree.read("big.yaml").expect_err("too large").to_string().contains("big.yaml: 1 KiB is more"));
    #[cfg(unix)]
    assert!(tree.read("sub/link").expect_err("a link").to_string().contains("symbolic link to /etc/passwd"));
    let few = Limits { entries: 1, ..Limits::default() };
    assert!(source::Tree::from_dir(root, None, &few).is_err());
    assert!(WorkingCopy::open(&root.join("none"), limits).is_err());
}

#[tokio::test]
async fn watching() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("deep")).expect("a folder");
    let watcher =
        source::Watcher::start(folder.path(), std::time::Duration::from_millis(20)).expect("watches");
    let mut changes = watcher.changes();
    fs::write(folder.path().join("deep/x.yaml"), "x: 1\n").expect("writes");
    let seen = tokio::time::timeout(std::time::Duration::from_secs(10), changes.changed()).await;
    seen.expect("in time").expect("still watching");
}

/// A repository whose commit and tag are signed with one SSH key; the other key signed nothing.
fn signed(folder: &Path, keys: &Path) {
    for name in ["mine", "other"] {
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", if name == "mine" { "ed25519" } else { "ecdsa" }, "-N", "", "-C", name, "-f"])
            .arg(keys.join(name))
            .status();
        assert!(made.expect("ssh-keygen runs").success());
    }
    git(folder, &["init", "-q"]);
    fs::write(folder.join("a.yaml"), "a: 1\n").expect("written");
    git(folder, &["add", "."]);
    let key = format!("user.signingkey={}", keys.join("mine").display());
    let sign = ["-c", "gpg.format=ssh", "-c", key.as_str()];
    git(folder, &[&sign[..], &["commit", "-q", "-S", "-m", "signed"]].concat());
    git(folder, &[&sign[..], &["tag", "-s", "-m", "signed tag", "v1"]].concat());
    git(folder, &["tag", "-a", "-m", "unsigned tag", "v2"]);
    git(folder, &["branch", "unsigned"]);
    git(folder, &["checkout", "-q", "unsigned"]);
    fs::write(folder.join("a.yaml"), "a: 2\n").expect("written");
    git(folder, &["commit", "-q", "-a", "-m", "unsigned"]);
    git(folder, &["checkout", "-q", "main"]);
}

fn trusted(keys: &Path, name: &str, mode: source::git::Mode) -> Option<source::git::Verify> {
    let public = fs::read(keys.join(format!("{name}.pub"))).expect("a key");
    let data = std::collections::BTreeMap::from([("key.sshpub".to_owned(), public)]);
    Some(source::git::Verify::from_secret(mode, &data).expect("keys"))
}

#[tokio::test]
async fn signatures_of_commits_and_tags() {
    use source::git::Mode;
    let (folder, keys) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let work = folder.path().join("work");
    fs::create_dir(&work).expect("made");
    signed(&work, keys.path());
    git(folder.path(), &["clone", "-q", "--bare", "work", "served.git"]);
    let server = GitServer::start(folder.path(), Access::Open);
    let remote = format!("{}/served.git", server.url());
    let fetcher = Fetcher::new(Options::default()).expect("a fetcher");
    for url in [format!("file://{}", folder.path().join("served.git").display()), remote] {
        let tag = |name: &str| Reference { tag: Some(name.into()), ..Reference::default() };
        for (reference, key, mode, wanted) in [
            (branch("main"), "mine", Mode::Head, Ok("- commit '")),
            (branch("main"), "other", Mode::Head, Err("is not among the trusted ones")),
            (branch("unsigned"), "mine", Mode::Head, Err("the commit is not signed")),
            (branch("main"), "mine", Mode::Tag, Err("if a tag reference is not specified")),
            (tag("v1"), "mine", Mode::Tag, Ok("- tag 'v1@")),
            (tag("v1"), "mine", Mode::TagAndHead, Ok("- commit '")),
            (tag("v1"), "other", Mode::Tag, Err("is not among the trusted ones")),
            (tag("v2"), "mine", Mode::Tag, Err("since it is not signed")),
        ] {
            let mut request = on(&url, reference);
            request.verify = trusted(keys.path(), key, mode);
            match (fetcher.git(&request).await, wanted) {
                (Ok(artifact), Ok(words)) => {
                    let said = artifact.verified.unwrap_or_default();
                    assert!(said.contains(words) && said.contains("SHA256:"), "{said}");
                }
                (Err(Error::Unverified { why: said, .. }), Err(words)) => {
                    assert!(said.contains(words), "{said}")
                }
                (found, wanted) => panic!("{mode:?}: {found:?} instead of {wanted:?}"),
            }
        }
    }
}

fn testdata(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/signed").join(name)).expect("test data")
}

/// Writes an object as Git stores it, and gives its name.
fn object(folder: &Path, kind: &str, bytes: &[u8]) -> String {
    let file = folder.join("object");
    fs::write(&file, bytes).expect("written");
    git(folder, &["hash-object", "-w", "-t", kind, "--literally", &file.to_string_lossy()])
}

#[tokio::test]
async fn openpgp_signatures_of_commits_and_tags() {
    use source::git::{Mode, Verify};
    let folder = tempfile::tempdir().expect("a folder");
    let bare = folder.path();
    git(bare, &["init", "-q"]);
    fs::write(bare.join("a.yaml"), "a: 1\n").expect("written");
    git(bare, &["add", "a.yaml"]);
    git(bare, &["write-tree"]);
    let commit = object(bare, "commit", &testdata("commit"));
    let changed = String::from_utf8(testdata("commit")).expect("text").replace("by a subkey", "by nobody");
    let changed = object(bare, "commit", changed.as_bytes());
    let tag = object(bare, "tag", &testdata("tag"));
    for (name, id) in [("heads/main", &commit), ("heads/changed", &changed), ("tags/v1", &tag)] {
        git(bare, &["update-ref", &format!("refs/{name}"), id]);
    }
    git(bare, &["update-ref", "refs/tags/light", &commit]);
    let url = format!("file://{}", bare.display());
    let fetcher = Fetcher::new(Options::default()).expect("a fetcher");
    let tagged = |name: &str| Reference { tag: Some(name.into()), ..Reference::default() };
    let no_match = "unable to verify payload with any of the given key rings: no matching key";
    for (reference, keys, mode, wanted) in [
        (
            branch("main"),
            &["mine.asc"][..],
            Mode::Head,
            Ok(format!("\t- commit '{commit}' with key '{MINE}'")),
        ),
        (branch("main"), &["other.asc", "mine.asc"], Mode::Head, Ok("- commit '".into())),
        (branch("main"), &["other.asc"], Mode::Head, Err(("InvalidCommitSignature", no_match.to_owned()))),
        (branch("changed"), &["mine.asc"], Mode::Head, Err(("InvalidCommitSignature", no_match.into()))),
        (
            branch("main"),
            &["tag"],
            Mode::Head,
            Err(("InvalidCommitSignature", "unable to read armored".into())),
        ),
        (tagged("v1"), &["mine.asc"], Mode::Tag, Ok(format!("\t- tag 'v1@{tag}' with key '{MINE}'"))),
        (tagged("v1"), &["mine.asc"], Mode::TagAndHead, Ok(format!("\n\t- commit '{commit}' with"))),
        (tagged("v1"), &["other.asc"], Mode::TagAndHead, Err(("InvalidTagSignature", no_match.into()))),
        (tagged("light"), &["mine.asc"], Mode::Tag, Err(("InvalidGitObject", "it is not signed".into()))),
        (
            branch("main"),
            &["mine.asc"],
            Mode::Tag,
            Err(("InvalidVerificationMode", "a tag reference is not specified".into())),
        ),
    ] {
        let mut request = on(&url, reference);
        let data = keys.iter().enumerate().map(|(at, key)| (format!("{at}.asc"), testdata(key))).collect();
        request.verify = Some(Verify::from_secret(mode, &data).expect("keys"));
        match (fetcher.git(&request).await, wanted) {
            (Ok(artifact), Ok(words)) => {
                let said = artifact.verified.unwrap_or_default();
                assert!(said.starts_with("verified signature of\n\t- ") && said.contains(&words), "{said}");
            }
            (Err(Error::Unverified { reason, why }), Err(wanted)) => {
                assert!(why.contains(&wanted.1) && reason == wanted.0, "{reason} {why}");
            }
            (found, wanted) => panic!("{keys:?} {mode:?}: {found:?} instead of {wanted:?}"),
        }
    }
}

/// The short name of the key that signed `testdata/signed/commit`.
const MINE: &str = "4C1FA8AAF0887199";

/// Commits made with each kind of key hold for our own eyes and, where they are there, for ssh-keygen's and GnuPG's.
async fn commits_are_signed(
    fetcher: &Fetcher,
    request: &Request,
    bare: &Path,
    wanted: &source::git::NewCommit,
) {
    use source::git::{Mode, SigningKey, Verify};
    let keys = tempfile::tempdir().expect("a folder");
    let mut signers = vec![("robot.asc".to_owned(), testdata("robot.asc"), {
        let secret = testdata("robot-secret.asc");
        let said = SigningKey::pgp(&secret, None, "signing").expect_err("locked").to_string();
        assert!(said.contains("passphrase protected signing key without 'passphrase' field"), "{said}");
        let said = SigningKey::pgp(&secret, Some(b"wrong"), "signing").expect_err("locked").to_string();
        assert!(said.contains("could not decrypt private key") && !said.contains("wrong"), "{said}");
        SigningKey::pgp(&secret, Some(b"canary-passphrase"), "signing").expect("a key")
    })];
    for (name, more) in
        [("ed25519", &[][..]), ("ecdsa", &["-b", "384"]), ("rsa", &[]), ("rsa", &["-m", "PKCS8"])]
    {
        let file = keys.path().join(format!("{name}{}", more.len()));
        let made = std::process::Command::new("ssh-keygen")
            .args(
                [&["-q", "-t", name, "-N", "", "-C", name][..], more, &["-f", &file.to_string_lossy()]]
                    .concat(),
            )
            .status();
        assert!(made.expect("ssh-keygen runs").success());
        let key = SigningKey::ssh(&fs::read(&file).expect("a key"), None).expect("a key");
        assert_eq!(format!("{key:?}"), "SigningKey(SSH)");
        signers.push((format!("{name}.sshpub"), fs::read(file.with_extension("pub")).expect("a key"), key));
    }
    assert!(SigningKey::ssh(b"no key", None).is_err());
    for cipher in ["aes256-ctr", "aes128-ctr", "aes256-cbc", "aes256-gcm@openssh.com"] {
        let file = keys.path().join(format!("locked-{cipher}"));
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "canary-passphrase", "-a", "2", "-Z", cipher, "-f"])
            .arg(&file)
            .status();
        assert!(made.expect("ssh-keygen runs").success());
        let pem = fs::read(&file).expect("a key");
        let said = SigningKey::ssh(&pem, None).expect_err("locked").to_string();
        assert!(said.contains("has a passphrase, and the secret has no 'password'"), "{said}");
        if cipher.contains("gcm") {
            let said = SigningKey::ssh(&pem, Some("canary-passphrase")).expect_err("unknown").to_string();
            assert!(said.contains(cipher), "{said}");
            continue;
        }
        let said = SigningKey::ssh(&pem, Some("canary-wrong")).expect_err("locked").to_string();
        assert!(said.contains("passphrase of the SSH key is wrong") && !said.contains("canary"), "{said}");
        let key = SigningKey::ssh(&pem, Some("canary-passphrase")).expect("a key");
        let public = fs::read(file.with_extension("pub")).expect("a key");
        signers.push((format!("{cipher}.sshpub"), public, key));
    }
    for (index, (name, public, signer)) in signers.into_iter().enumerate() {
        let mut next = wanted.clone();
        next.files.insert("deep/er/a.yaml".into(), format!("signed: {index}\n").into_bytes());
        next.signer = Some(signer);
        let pushed = fetcher.git_push(request, &next).await.expect("pushed");
        git(bare, &["fsck", "--strict"]);
        let mut read = request.clone();
        let data = std::collections::BTreeMap::from([(name.clone(), public.clone())]);
        read.verify = Some(Verify::from_secret(Mode::Head, &data).expect("keys"));
        let artifact = fetcher.git(&read).await.expect("verified");
        assert!(artifact.verified.is_some_and(|said| said.contains(&pushed.commit)), "{name}");
        if name.ends_with("sshpub") {
            let allowed = keys.path().join("allowed");
            let line = format!("flux@example.com namespaces=\"git\" {}", String::from_utf8_lossy(&public));
            fs::write(&allowed, line).expect("written");
            let setting = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
            git(bare, &["-c", &setting, "verify-commit", &pushed.commit]);
        }
    }
}

#[tokio::test]
async fn commits_are_pushed() {
    let folder = tempfile::tempdir().expect("a folder");
    let work = folder.path().join("work");
    fs::create_dir_all(work.join("deep/er")).expect("made");
    git(&work, &["init", "-q"]);
    fs::write(work.join("deep/er/a.yaml"), "a: 1\n").expect("written");
    fs::write(work.join("b.sh"), "b\n").expect("written");
    git(&work, &["add", "."]);
    git(&work, &["update-index", "--chmod=+x", "b.sh"]);
    git(&work, &["commit", "-q", "-m", "first"]);
    for name in ["http.git", "local.git"] {
        git(folder.path(), &["clone", "-q", "--bare", "work", name]);
    }
    let server = GitServer::start(folder.path(), Access::Basic("me".into(), "secret".into()));
    let fetcher = Fetcher::new(Options::default()).expect("a fetcher");
    for (bare, url) in [
        ("http.git", format!("{}/http.git", server.url())),
        ("local.git", format!("file://{}", folder.path().join("local.git").display())),
    ] {
        let bare = folder.path().join(bare);
        let mut request = on(&url, branch("main"));
        request.credentials.username = Some("me".into());
        request.credentials.password = Some("secret".into());
        let wanted = source::git::NewCommit {
            files: std::collections::BTreeMap::from([
                ("deep/er/a.yaml".to_owned(), b"a: 2\n".to_vec()),
                ("deep/new/c.yaml".to_owned(), b"c: 1\n".to_vec()),
            ]),
            author: "Flux <flux@example.com>".into(),
            time: 1_700_000_000,
            message: "update\n\nwith more".into(),
            targets: vec!["refs/heads/main".into()],
            force: false,
            begins: false,
            options: Vec::new(),
            signer: None,
        };
        let pushed = fetcher.git_push(&request, &wanted).await.expect("pushed");
        assert!(!pushed.known);
        git(&bare, &["fsck", "--strict"]);
        assert_eq!(git(&bare, &["rev-parse", "main"]), pushed.commit);
        assert_eq!(git(&bare, &["show", "main:deep/new/c.yaml"]), "c: 1");
        assert_eq!(git(&bare, &["log", "-1", "--format=%an %ae %s", "main"]), "Flux flux@example.com update");
        assert!(git(&bare, &["ls-tree", "main", "b.sh"]).starts_with("100755"));
        // The same once more is no new commit, and what was pushed is what is read next.
        let again = fetcher.git_push(&request, &wanted).await.expect("known");
        assert_eq!(again, source::git::Pushed { commit: pushed.commit.clone(), known: true });
        assert_eq!(text(&fetcher.git(&request).await.expect("fetched").tree, "deep/er/a.yaml"), "a: 2\n");
        // Another branch begins at what is checked out.
        let mut beside = wanted.clone();
        beside.files.insert("deep/er/a.yaml".into(), b"a: 3\n".to_vec());
        beside.targets = vec!["refs/heads/updates".into()];
        beside.force = true;
        let pushed = fetcher.git_push(&request, &beside).await.expect("pushed");
        assert_eq!(git(&bare, &["rev-parse", "updates^"]), again.commit);
        assert_eq!(git(&bare, &["rev-parse", "updates"]), pushed.commit);
        commits_are_signed(&fetcher, &request, &bare, &wanted).await;
        let mut outside = wanted.clone();
        outside.files.insert("../x".into(), Vec::new());
        assert!(matches!(fetcher.git_push(&request, &outside).await, Err(Error::Refused(_))));
    }
    let mut request = on(&format!("{}/http.git", server.url()), branch("main"));
    request.credentials.username = Some("me".into());
    request.credentials.password = Some("wrong".into());
    let refused = fetcher.git(&request).await;
    assert!(matches!(refused, Err(Error::Denied { .. })), "{refused:?}");
}
