//! Forks, children, backups; access by certificates and by roles.

mod beside;

use apiserver::{OpenError, Options, Origin, Server, Storage};
use beside::request;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"t": text}})
}

async fn texts(server: &Server) -> Vec<String> {
    let (_, list) = request(server, "GET", MAPS, &Value::Null).await;
    let items = list["items"].as_array().unwrap().clone();
    items.iter().filter_map(|item| item["data"]["t"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_begins_with_everything_and_shares_nothing_later() {
    let server = Server::open(Options { crds: schema::crds::flux(), ..Options::default() }).await.unwrap();
    for n in 0..2_000 {
        assert_eq!(request(&server, "POST", MAPS, &map(&format!("m{n}"), "old")).await.0, 201);
    }
    let fork = server.fork(Storage::Ephemeral).unwrap();
    request(&fork, "PUT", &format!("{MAPS}/m1"), &map("m1", "fork")).await;
    request(&server, "DELETE", &format!("{MAPS}/m2"), &Value::Null).await;
    assert_eq!(request(&server, "GET", &format!("{MAPS}/m1"), &Value::Null).await.1["data"]["t"], "old");
    assert_eq!(request(&fork, "GET", &format!("{MAPS}/m1"), &Value::Null).await.1["data"]["t"], "fork");
    assert_eq!(request(&fork, "GET", &format!("{MAPS}/m2"), &Value::Null).await.0, 200);
    let path = "/apis/helm.toolkit.fluxcd.io/v2/helmreleases";
    assert_eq!(request(&fork, "GET", path, &Value::Null).await.0, 200, "definitions are served in a fork");
    assert_ne!(server.token(), fork.token());
}

#[tokio::test(flavor = "multi_thread")]
async fn children_are_isolated_and_survive_with_their_parent() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options { storage: Storage::Path(directory.path().to_owned()), ..Options::default() };
    let server = Server::open(options()).await.unwrap();
    request(&server, "POST", MAPS, &map("a", "main")).await;
    let empty = server.create_child("one", &Origin::Empty).await.unwrap();
    let fork = server.create_child("two", &Origin::Parent).await.unwrap();
    request(&empty, "POST", MAPS, &map("b", "one")).await;
    request(&fork, "POST", MAPS, &map("c", "two")).await;
    assert_eq!(texts(&server).await, ["main"]);
    assert_eq!(texts(&empty).await, ["one"]);
    assert_eq!(texts(&fork).await, ["main", "two"]);
    let uid = async |server: &Server| {
        request(server, "GET", "/api/v1/namespaces/kube-system", &Value::Null).await.1["metadata"]["uid"]
            .clone()
    };
    assert_ne!(uid(&server).await, uid(&empty).await);
    assert!(server.create_child("one", &Origin::Empty).await.is_err());
    assert!(server.create_child("../x", &Origin::Empty).await.is_err());
    // Under its path a child wants its own token.
    let path = format!("/clusters/one{MAPS}");
    assert_eq!(request(&server, "GET", &path, &Value::Null).await.0, 401);
    assert_eq!(request(&server, "GET", "/clusters/none/api", &Value::Null).await.0, 404);
    server.shutdown().await;
    let server = Server::open(options()).await.unwrap();
    assert_eq!(server.child_names().unwrap(), ["one", "two"]);
    assert_eq!(texts(&server.child("one").await.unwrap()).await, ["one"]);
    server.delete_child("one").await.unwrap();
    assert_eq!(server.child_names().unwrap(), ["two"]);
    assert!(server.child("one").await.is_err());
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_on_disk_is_of_one_moment_and_is_what_it_is_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let state = |name: &str| Storage::Path(directory.path().join(name));
    let open = async |storage| Server::open(Options { storage, ..Options::default() }).await.unwrap();
    let server = open(state("main")).await;
    let writing = server.clone();
    let writer = tokio::spawn(async move {
        for n in 0..200 {
            request(&writing, "POST", MAPS, &map(&format!("m{n}"), "old")).await;
            request(&writing, "PUT", &format!("{MAPS}/m{n}"), &map(&format!("m{n}"), "new")).await;
        }
    });
    let mut forks = Vec::new();
    while !writer.is_finished() {
        let storage = state(&format!("fork{}", forks.len()));
        let server = server.clone();
        forks.push(tokio::task::spawn_blocking(move || server.fork(storage).unwrap()).await.unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    writer.await.unwrap();
    assert_eq!(texts(&server).await, vec!["new"; 200], "the parent goes on");
    assert!(matches!(server.fork(state("fork0")), Err(OpenError::Exists { .. } | OpenError::Locked { .. })));
    for (n, fork) in forks.iter().enumerate() {
        let then = texts(fork).await;
        // One write at a time: at most the newest object is not what it will be.
        let old = then.iter().filter(|text| *text == "old").count();
        assert!(old <= 1, "{then:?}");
        request(fork, "POST", MAPS, &map("own", "own")).await;
        fork.shutdown().await;
        let again = open(state(&format!("fork{n}"))).await;
        let mut after = texts(&again).await;
        after.retain(|text| text != "own");
        assert_eq!(after, then);
        again.shutdown().await;
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_of_one_moment_and_comes_back() {
    let server = Server::open(Options::default()).await.unwrap();
    // A pair is written in order; no backup has the second of a pair without its first.
    let writing = server.clone();
    let writer = tokio::spawn(async move {
        for n in 0..300 {
            request(&writing, "POST", MAPS, &map(&format!("first{n}"), "x")).await;
            request(&writing, "POST", MAPS, &map(&format!("second{n}"), "x")).await;
        }
    });
    let mut backups = Vec::new();
    while !writer.is_finished() {
        let mut bytes = Vec::new();
        server.backup(&mut bytes).unwrap();
        backups.push(bytes);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    writer.await.unwrap();
    let bytes = backups.get(backups.len() / 2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    apiserver::restore(&bytes[..], directory.path()).unwrap();
    let again = apiserver::restore(&bytes[..], directory.path());
    assert!(again.unwrap_err().to_string().contains("holds a cluster already"));
    let storage = Storage::Path(directory.path().to_owned());
    let restored = Server::open(Options { storage, ..Options::default() }).await.unwrap();
    let (_, list) = request(&restored, "GET", MAPS, &Value::Null).await;
    let names: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["metadata"]["name"].as_str())
        .collect();
    for name in &names {
        if let Some(number) = name.strip_prefix("second") {
            assert!(names.contains(&format!("first{number}").as_str()), "{name} is alone");
        }
    }
    assert!(restored.revision() > 1);
    restored.shutdown().await;
    for cut in [10, bytes.len() / 2, bytes.len() - 40] {
        assert!(apiserver::check_backup(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    assert!(apiserver::check_backup(&b"something else"[..]).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_out_what_he_does_not_have() {
    let server = Server::open(Options::default()).await.unwrap();
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = |name: &str, rules: Value| json!({"metadata": {"name": name}, "rules": rules});
    let own = json!([
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["create", "update", "patch", "get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    ]);
    request(&server, "POST", &format!("{rbac}/clusterroles"), &role("own", own)).await;
    let binding = |role: &str, user: &str| {
        json!({
            "metadata": {"name": format!("{role}-{user}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        })
    };
    request(&server, "POST", &format!("{rbac}/clusterrolebindings"), &binding("own", "bob")).await;
    let bob = async |path: &str, body: &Value| {
        let request = http::Request::post(format!("{rbac}/{path}"))
            .header("content-type", "application/json")
            .header("impersonate-user", "bob")
            .body(body.to_string().into_bytes())
            .unwrap();
        match server.client().request::<Value>(request).await {
            Ok(_) => String::new(),
            Err(kube::Error::Api(status)) => status.message.clone(),
            Err(error) => panic!("{error}"),
        }
    };
    let rule = |verbs: Value| json!([{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": verbs}]);
    let said = bob("clusterroles", &role("more", rule(json!(["get", "delete"])))).await;
    assert_eq!(
        said,
        "clusterroles.rbac.authorization.k8s.io \"more\" is forbidden: user \"bob\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}\n{APIGroups:[\"\"], Resources:[\"pods/log\"], Verbs:[\"get\" \"delete\"]}"
    );
    let fine = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
    assert_eq!(bob("clusterroles", &role("fine", fine)).await, "");
    assert_eq!(bob("clusterrolebindings", &binding("fine", "eve")).await, "");
    let said = bob("clusterrolebindings", &binding("cluster-admin", "eve")).await;
    assert!(said.contains("is attempting to grant RBAC permissions not currently held"), "{said}");
    let bind = json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["bind", "escalate"]}]);
    request(&server, "POST", &format!("{rbac}/clusterroles"), &role("bind", bind)).await;
    request(&server, "POST", &format!("{rbac}/clusterrolebindings"), &binding("bind", "bob")).await;
    assert_eq!(bob("clusterrolebindings", &binding("cluster-admin", "eve")).await, "");
    assert_eq!(bob("clusterroles", &role("more", rule(json!(["*"])))).await, "");
}

/// A key and a request made here, signed by the cluster's signer, and used as a client certificate over TLS.
#[tokio::test(flavor = "multi_thread")]
async fn signed_certificates_stand_for_users() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let server = Server::open(Options { service_accounts: true, ..Options::default() }).await.unwrap();
    let serving = server.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "carol");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "writers");
    let asked = params.serialize_request(&key).unwrap().pem().unwrap();
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let body = json!({"metadata": {"name": "carol"}, "spec": {
        "request": STANDARD.encode(asked), "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth", "digital signature"],
    }});
    let (code, said) = request(&server, "POST", path, &body).await;
    assert_eq!(code, 201, "{said}");
    let approved = json!({"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "Test", "message": "ok"}]}});
    let (code, said) = request(&server, "PATCH", &format!("{path}/carol/approval"), &approved).await;
    assert_eq!(code, 200, "{said}");
    let (_, signed) = request(&server, "GET", &format!("{path}/carol"), &Value::Null).await;
    let certificate = STANDARD.decode(signed["status"]["certificate"].as_str().unwrap()).unwrap();
    let identity = [certificate.as_slice(), key.serialize_pem().as_bytes()].concat();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(serving.ca_pem.as_bytes()).unwrap())
        .identity(reqwest::Identity::from_pem(&identity).unwrap())
        .build()
        .unwrap();
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = client
        .post(format!("https://{}/apis/authentication.k8s.io/v1/selfsubjectreviews", serving.addr))
        .header("content-type", "application/json")
        .body(review.to_string())
        .send()
        .await
        .unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(answer["status"]["userInfo"]["username"], "carol", "{answer}");
    assert_eq!(answer["status"]["userInfo"]["groups"], json!(["writers", "system:authenticated"]));
    server.shutdown().await;
}
