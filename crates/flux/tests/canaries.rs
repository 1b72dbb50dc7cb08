//! What is secret is seen nowhere: canaries are planted, and everything that the engine says is searched for them. A
//! process of its own, since it listens to all that is logged.
#![allow(clippy::disallowed_methods)]

mod world;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use world::World;

/// Everything that the process logs from now on, down to the smallest step.
fn logged() -> Arc<Mutex<Vec<u8>>> {
    #[derive(Clone)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log(Arc::default());
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new("trace"))
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .init();
    log.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_encrypted_is_seen_nowhere() {
    let log = logged();
    let text = include_str!("../testdata/scenarios/sops.txt");
    let mut files: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --")) {
            Some(head) => files.push((head.to_owned(), String::new())),
            None => {
                if let Some((_, body)) = files.last_mut() {
                    body.push_str(line);
                }
            }
        }
    }
    files.retain(|(name, _)| name.contains('/'));
    let given: Vec<(&str, &str)> = files.iter().map(|(name, body)| (name.as_str(), body.as_str())).collect();
    let world = World::start(&given).await;
    world.ready().await;
    // Three faults after the decryption: a variable that is missing, an object that the API refuses, a broken patch.
    let unit = files.iter().find(|(name, _)| name == "clusters/test/unit.yaml").unwrap();
    world.write(&unit.0, &unit.1.replace("{name: world}", "{other: world}"));
    let says = |snapshot: &controller::Snapshot, words: &str| {
        snapshot.units.iter().any(|unit| unit.message.contains(words))
    };
    world.until("the missing variable", |snapshot| says(snapshot, "variable substitution failed")).await;
    let mut said = world.everything_said().await;
    assert!(said.contains("variable substitution failed"), "{said}");
    world.write(&unit.0, &unit.1.replace("{name: world}", "{name: \"x\\\"\\n- {\"}"));
    tokio::time::sleep(Duration::from_millis(700)).await;
    said.push_str(&world.everything_said().await);
    let config = files.iter().find(|(name, _)| name == "secrets/config.yaml").unwrap();
    world.write(&unit.0, &unit.1);
    world.write(&config.0, &config.1.replace("name: config", "name: Not_A_Name"));
    world.until("the refused object", |snapshot| says(snapshot, "Not_A_Name")).await;
    said.push_str(&world.everything_said().await);
    let log = String::from_utf8_lossy(&log.lock().unwrap()).into_owned();
    assert!(log.contains("its spec changed"), "the log is heard");
    said.push_str(&log);
    for canary in ["canary", "Y2FuYXJ5", "AGE-SECRET-KEY"] {
        assert!(!said.contains(canary), "{canary} in {said}");
    }
    world.stop().await;
}
