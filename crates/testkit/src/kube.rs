//! A real kube-apiserver with its etcd, for tests that compare with it or run against it.
//!
//! There is no controller manager, scheduler or kubelet: what is written stays as it was written.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "a-token-for-tests";

/// A running API server; ended and removed when dropped.
pub struct KubeApi {
    api: Child,
    etcd: Child,
    folder: PathBuf,
}

/// Finds a program of the peers: in `$LANDFALL_PEERS/bin`, the user's cache, or the path.
pub fn peer(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/landfall-peers"));
    let own = std::env::var_os("LANDFALL_PEERS").map(PathBuf::from);
    let mut folders: Vec<PathBuf> = own.into_iter().chain(cache).map(|folder| folder.join("bin")).collect();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

impl KubeApi {
    /// Starts one on free ports; `None`, after saying so, where its programs are not installed.
    ///
    /// # Panics
    /// When it is installed but does not start.
    pub fn start() -> Option<KubeApi> {
        KubeApi::start_without(&[])
    }

    /// As [`KubeApi::start`], with these admission plugins switched off, beside the ones that would ask for
    /// what no test has (service accounts are made by a controller).
    ///
    /// # Panics
    /// As [`KubeApi::start`].
    pub fn start_without(admission: &[&str]) -> Option<KubeApi> {
        let (Some(api), Some(etcd)) = (peer("kube-apiserver"), peer("etcd")) else {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("test");
            eprintln!("skipped {name}: kube-apiserver and etcd are not installed (LANDFALL_PEERS, PATH)");
            return None;
        };
        let folder =
            std::env::temp_dir().join(format!("landfall-kube-{}-{}", std::process::id(), free_port()));
        std::fs::create_dir_all(folder.join("certs")).expect("a folder");
        let key = folder.join("sa.key");
        let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&key).stderr(Stdio::null()).status();
        assert!(made.is_ok_and(|status| status.success()), "openssl makes a key");
        let tokens = folder.join("tokens.csv");
        std::fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n")).expect("written");
        let (client, peer, secure) = (free_port(), free_port(), free_port());
        let clients = format!("http://127.0.0.1:{client}");
        let peers = format!("http://127.0.0.1:{peer}");
        let log = |name: &str| Stdio::from(std::fs::File::create(folder.join(name)).expect("a log"));
        let etcd = Command::new(etcd)
            .arg("--data-dir")
            .arg(folder.join("etcd"))
            .args([
                "--unsafe-no-fsync",
                "--listen-client-urls",
                &clients,
                "--advertise-client-urls",
                &clients,
            ])
            .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("default={peers}")])
            .stdout(Stdio::null())
            .stderr(log("etcd.log"))
            .spawn()
            .expect("etcd starts");
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let api = Command::new(api)
            .args([format!("--etcd-servers={clients}"), flag("cert-dir", &folder.join("certs"))])
            .args([format!("--secure-port={secure}"), "--bind-address=127.0.0.1".to_owned()])
            .args([flag("service-account-key-file", &key), flag("service-account-signing-key-file", &key)])
            .args(["--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=RBAC"])
            .args([flag("token-auth-file", &tokens), "--service-cluster-ip-range=10.0.0.0/16".to_owned()])
            .arg("--allow-privileged")
            .arg(format!(
                "--disable-admission-plugins={}",
                [&["ServiceAccount"], admission].concat().join(",")
            ))
            .stdout(Stdio::null())
            .stderr(log("apiserver.log"))
            .spawn()
            .expect("kube-apiserver starts");
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: peer\n\
             clusters: [{{name: peer, cluster: {{server: \"https://127.0.0.1:{secure}\", insecure-skip-tls-verify: true}}}}]\n\
             users: [{{name: admin, user: {{token: {TOKEN}}}}}]\n\
             contexts: [{{name: peer, context: {{cluster: peer, user: admin}}}}]\n"
        );
        std::fs::write(folder.join("kubeconfig"), kubeconfig).expect("written");
        let running = KubeApi { api, etcd, folder };
        running.wait_ready();
        Some(running)
    }

    /// Its kubeconfig; the context is called `peer`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Runs `kubectl`: what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.try_kubectl(arguments);
        assert!(
            output.status.success(),
            "kubectl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The same, whether it fails or not.
    ///
    /// # Panics
    /// When there is no kubectl.
    pub fn try_kubectl(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments);
        command.output().expect("kubectl runs")
    }

    fn wait_ready(&self) {
        let since = Instant::now();
        loop {
            let output = self.try_kubectl(&["get", "--raw", "/readyz"]);
            if output.status.success() {
                return;
            }
            let log = self.folder.join("apiserver.log");
            assert!(since.elapsed() < PATIENCE, "kube-apiserver is not ready; see {}", log.display());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        for child in [&mut self.api, &mut self.etcd] {
            let _gone = child.kill();
            let _waited = child.wait();
        }
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}
