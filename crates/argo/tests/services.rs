//! Notifications to services that are told in several requests or over another protocol than HTTP, against stand-ins on
//! loopback: the cases of `testdata/services.yaml`.
#![allow(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use argo::notifications::{Config, Due, send};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use object::{Value, get, get_str};
use serde_json::json;
use testkit::http::{Response, Server};

type Heard = Arc<Mutex<Vec<String>>>;

/// A server that says its part in lines, one connection after another.
fn lines(heard: &Heard, talk: fn(&TcpStream, &Heard) -> std::io::Result<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever went away has heard enough.
            let _ = talk(&stream, &heard);
        }
    });
    port
}

fn smtp(mut stream: &TcpStream, heard: &Heard) -> std::io::Result<()> {
    stream.write_all(b"220 here\r\n")?;
    let mut data = false;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        heard.lock().unwrap().push(line.clone());
        let answer = match line.split(' ').next().unwrap_or_default() {
            _ if data && line != "." => continue,
            "." => {
                data = false;
                "250 taken\r\n"
            }
            "EHLO" => "250-here\r\n250 AUTH PLAIN LOGIN\r\n",
            "AUTH" => "235 welcome\r\n",
            "DATA" => {
                data = true;
                "354 go on\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        let mut stream = stream;
        stream.write_all(answer.as_bytes())?;
    }
    Ok(())
}

fn nats(mut stream: &TcpStream, heard: &Heard) -> std::io::Result<()> {
    stream.write_all(b"INFO {\"server_id\":\"x\",\"headers\":true}\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        heard.lock().unwrap().push(line.trim_end().to_owned());
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut stream = stream;
        match words.as_slice() {
            ["PUB" | "HPUB", subject, .., size] => {
                let mut body = vec![0; size.parse::<usize>().unwrap() + 2];
                reader.read_exact(&mut body)?;
                heard.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
                if *subject == "forbidden" {
                    stream.write_all(b"-ERR 'Permissions Violation'\r\n")?;
                }
            }
            ["PING"] => stream.write_all(b"PONG\r\n")?,
            _ => {}
        }
        line.clear();
    }
    Ok(())
}

/// A key as services get it, and the file of a service account.
fn key() -> String {
    use base64::Engine as _;
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

async fn play(case: &Value, key: &str, folder: &Path) -> Result<(), String> {
    let heard = Heard::default();
    let (told, answers) = (heard.clone(), case.get("answers").cloned().unwrap_or_default());
    let base = Arc::new(Mutex::new(String::new()));
    let own = base.clone();
    let server = Server::start(move |request| {
        let place = format!("{} {}", request.method, request.path);
        let body = String::from_utf8_lossy(&request.body).into_owned();
        told.lock().unwrap().push(format!("{place} {body}").trim_end().to_owned());
        match answers.get(&place) {
            None => Response::new(404, "{}"),
            Some(Value::Number(status)) => Response::new(status.as_u64().unwrap() as u16, "{}"),
            Some(body) => Response::new(200, body.to_string().replace("BASE", &own.lock().unwrap())),
        }
    });
    *base.lock().unwrap() = server.url();
    let port = match get_str(case, &["says"]) {
        Some("smtp") => lines(&heard, smtp),
        Some("nats") => lines(&heard, nats),
        _ => 1,
    };
    let file = folder.join("account.json");
    let account =
        json!({"client_email": "a@p", "private_key": key, "token_uri": format!("{}/token", server.url())});
    std::fs::write(&file, account.to_string()).unwrap();
    let kind = get_str(case, &["kind"]).unwrap();
    let service = yaml::to_string(&case["service"])
        .replace("BASE", &server.url())
        .replace("HOST", "127.0.0.1")
        .replace("PORT", &port.to_string())
        .replace("KEYFILE", &file.display().to_string());
    // A key stands in one line of the service, as a template of a Secret's value would write it.
    let quoted = serde_json::to_string(key).unwrap();
    let service = service.replace("$key", &quoted);
    let config = Config::parse(&json!({"data": {format!("service.{kind}"): service}}));
    let secrets = HashMap::from([("secret".to_owned(), "s3cret".to_owned())]);
    let due = Due {
        trigger: "t".into(),
        service: kind.to_owned(),
        recipient: get_str(case, &["recipient"]).unwrap_or_default().to_owned(),
        notification: case["notification"].clone(),
        key: "k".into(),
    };
    let application = json!({
        "spec": {"source": {"repoURL": "https://github.com/org/web.git"}},
        "status": {"operationState": {"syncResult": {"revision": "abc"}}},
    });
    let fetcher = source::Fetcher::new(source::Options::default()).unwrap();
    let done = send(&fetcher, &config, &secrets, &due, &application).await;
    let heard = heard.lock().unwrap().clone();
    match (done, get_str(case, &["error"])) {
        (Err(why), Some(part)) if why.contains(part) && !why.contains("s3cret") => Ok(()),
        (Ok(()), None) => {
            let mut from = 0;
            for part in get(case, &["asked"]).and_then(Value::as_array).into_iter().flatten() {
                let part = part.as_str().unwrap();
                let at = heard.iter().skip(from).position(|line| line.contains(part));
                from += at.ok_or_else(|| format!("{part} was not asked after {from} of {heard:#?}"))?;
            }
            Ok(())
        }
        (done, _) => Err(format!("{done:?} after {heard:#?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_are_told() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/services.yaml");
    let cases = yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let (key, folder) = (key(), tempfile::tempdir().unwrap());
    let mut failed = Vec::new();
    let cases = cases.as_array().unwrap();
    for case in cases {
        let name = get_str(case, &["name"]).unwrap();
        failed.extend(play(case, &key, folder.path()).await.err().map(|why| format!("{name}: {why}")));
    }
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.len(), failed.join("\n"));
}
