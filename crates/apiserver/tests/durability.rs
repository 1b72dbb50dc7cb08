//! What was acknowledged survives `kill -9` at any moment. The test runs itself as a writer, kills it
//! and opens what it left.
//! `LANDFALL_KILLS=1000 cargo test --workspace --test durability` kills it a thousand times.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use apiserver::{OpenError, Options, Server, Storage};
use serde_json::{Value, json};

const WRITER: &str = "LANDFALL_TEST_WRITER";
const WITH_CRDS: &str = "LANDFALL_TEST_WITH_CRDS";
const ROUNDS: usize = 5;
/// After so many kills another state is begun, so that a thousand of them do not only measure a large one.
const ROUNDS_OF_ONE_STATE: usize = 25;

fn options(path: &Path) -> Options {
    Options { storage: Storage::Path(path.to_owned()), ..Options::default() }
}

async fn request(client: &kube::Client, method: &str, path: &str, body: &Value) -> kube::Result<Value> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(body.to_string().into_bytes())
        .unwrap();
    client.request(request).await
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn rounds() -> usize {
    std::env::var("LANDFALL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

/// Writes from several tasks until it is killed, and says what was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn writer() {
    let Some(path) = std::env::var_os(WRITER) else { return };
    let crds = if std::env::var_os(WITH_CRDS).is_some() { schema::crds::flux() } else { Vec::new() };
    let server = Server::open(Options { crds, ..options(Path::new(&path)) }).await.unwrap();
    let client = server.client();
    let start = std::env::var("LANDFALL_TEST_ROUND").unwrap();
    let mut tasks = Vec::new();
    for task in 0..4 {
        let (client, start) = (client.clone(), start.clone());
        tasks.push(tokio::spawn(async move {
            for n in 0.. {
                let name = format!("m-{start}-{task}-{n}");
                let body = json!({"metadata": {"name": name}, "data": {"n": n.to_string()}});
                request(&client, "POST", MAPS, &body).await.unwrap();
                println!("ack {name}");
                if n % 3 == 0 {
                    request(&client, "DELETE", &format!("{MAPS}/{name}"), &Value::Null).await.unwrap();
                    println!("gone {name}");
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kill() {
    let mut left = rounds();
    while left > 0 {
        let part = left.min(ROUNDS_OF_ONE_STATE);
        kill_and_look(part).await;
        left -= part;
    }
}

async fn kill_and_look(rounds: usize) {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = std::collections::BTreeMap::new();
    let mut newest = 0;
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
            .env(WRITER, directory.path())
            .env("LANDFALL_TEST_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let end = Instant::now() + Duration::from_millis(300 + 70 * (round % 5) as u64);
        let mut acknowledged = 0;
        // At least one write is waited for, however slow the machine is.
        while Instant::now() < end || acknowledged == 0 {
            let Some(Ok(line)) = lines.next() else { break };
            acknowledged += usize::from(note(&line, &mut expected));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            note(&line, &mut expected);
        }
        let server = Server::open(options(directory.path())).await.unwrap();
        let list = request(&server.client(), "GET", MAPS, &Value::Null).await.unwrap();
        let found: Vec<&str> =
            list["items"].as_array().unwrap().iter().filter_map(|i| i["metadata"]["name"].as_str()).collect();
        for (name, there) in &expected {
            if *there {
                assert!(found.contains(&name.as_str()), "round {round}: {name} is lost");
            } else {
                assert!(!found.contains(&name.as_str()), "round {round}: {name} is back");
            }
        }
        assert!(server.revision() > newest, "revisions go on after a crash");
        newest = server.revision();
        // What the crash interrupted may or may not be there; from now on it is known.
        for name in found {
            expected.insert(name.to_owned(), true);
        }
        server.shutdown().await;
    }
    assert!(expected.len() > rounds);
}

/// Whoever is killed while the first state is made leaves a directory that the next start takes, and makes whole.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_can_be_killed_at_any_time() {
    for round in 0..rounds().max(40) as u64 {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--test-threads=1"])
            .env(WRITER, directory.path())
            .env(WITH_CRDS, "")
            .env("LANDFALL_TEST_ROUND", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pause = round * 7 % 280;
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        let crds = schema::crds::flux();
        let server = match Server::open(Options { crds: crds.clone(), ..options(directory.path()) }).await {
            Ok(server) => server,
            Err(error) => panic!("killed after {pause} ms: {error}"),
        };
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let list = request(&server.client(), "GET", path, &Value::Null).await.unwrap();
        let definitions = list["items"].as_array().unwrap();
        assert_eq!(definitions.len(), crds.len(), "killed after {pause} ms");
        for definition in definitions {
            let established = object::meta::condition(definition, "Established");
            assert_eq!(established.unwrap()["status"], "True", "killed after {pause} ms");
        }
        let path = "/apis/helm.toolkit.fluxcd.io/v2/helmreleases";
        request(&server.client(), "GET", path, &Value::Null).await.unwrap();
        server.shutdown().await;
    }
}

/// Notes one line of the writer; a name that is being deleted is not asserted until it is gone.
fn note(line: &str, expected: &mut std::collections::BTreeMap<String, bool>) -> bool {
    let Some((_, line)) = line
        .split_once("ack ")
        .map(|(_, n)| (true, format!("ack {n}")))
        .or_else(|| line.split_once("gone ").map(|(_, n)| (false, format!("gone {n}"))))
    else {
        return false;
    };
    let (word, name) = line.split_once(' ').unwrap();
    let n: usize = name.rsplit('-').next().unwrap().parse().unwrap_or(0);
    match word {
        "ack" if !n.is_multiple_of(3) => {
            expected.insert(name.to_owned(), true);
        }
        "gone" => {
            expected.insert(name.to_owned(), false);
        }
        _ => {}
    }
    true
}

#[tokio::test]
async fn one_process_holds_a_state_directory() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::open(options(directory.path())).await.unwrap();
    match Server::open(options(directory.path())).await {
        Err(OpenError::Locked { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
        other => panic!("{:?}", other.err()),
    }
    server.shutdown().await;
    let again = Server::open(options(directory.path())).await.unwrap();
    again.shutdown().await;
}

#[tokio::test]
async fn damaged_and_newer_states_are_told() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("state.redb"), vec![7u8; 9000]).unwrap();
    match Server::open(options(directory.path())).await {
        Err(OpenError::Damaged { .. }) => {}
        other => panic!("{:?}", other.err()),
    }
    let directory = tempfile::tempdir().unwrap();
    {
        let database = redb::Database::create(directory.path().join("state.redb")).unwrap();
        let write = database.begin_write().unwrap();
        let meta: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("meta");
        write.open_table(meta).unwrap().insert("format", 99).unwrap();
        write.commit().unwrap();
    }
    match Server::open(options(directory.path())).await {
        Err(OpenError::Newer { found: 99, .. }) => {}
        other => panic!("{:?}", other.err()),
    }
}
