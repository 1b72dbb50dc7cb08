//! A bare repository whose commits appear at once: objects are written first, the branch moves last.

use flate2::{Compression, write::ZlibEncoder};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Files by path.
pub type Files = BTreeMap<String, String>;

pub struct Repository {
    folder: tempfile::TempDir,
    commits: u64,
    parent: Option<String>,
}

impl Repository {
    pub fn new() -> Repository {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for name in ["objects", "refs/heads"] {
            std::fs::create_dir_all(path.join(name)).unwrap();
        }
        std::fs::write(path.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let config = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
        std::fs::write(path.join("config"), config).unwrap();
        Repository { folder, commits: 0, parent: None }
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }

    /// Commits exactly these files; gives the commit's name.
    pub fn commit(&mut self, files: &Files) -> String {
        let tree = self.tree(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect());
        self.commits += 1;
        let parent = self.parent.as_ref().map(|parent| format!("parent {parent}\n")).unwrap_or_default();
        let who = format!("Sim <sim@example.com> {} +0000", 1_700_000_000 + self.commits);
        let text = format!(
            "tree {}\n{parent}author {who}\ncommitter {who}\n\n{}\n",
            hex::encode(tree),
            self.commits
        );
        let name = hex::encode(self.object("commit", text.as_bytes()));
        let branch = self.folder.path().join("refs/heads/main");
        let next = branch.with_extension("lock");
        std::fs::write(&next, format!("{name}\n")).unwrap();
        std::fs::rename(next, branch).unwrap();
        self.parent = Some(name.clone());
        name
    }

    fn tree(&self, files: &BTreeMap<&str, &str>) -> Vec<u8> {
        let mut folders: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        let mut entries: Vec<(String, &str, &str, Vec<u8>)> = Vec::new();
        for (path, text) in files {
            match path.split_once('/') {
                Some((folder, rest)) => {
                    folders.entry(folder).or_default().insert(rest, text);
                }
                None => entries.push(((*path).into(), "100644", path, self.object("blob", text.as_bytes()))),
            }
        }
        for (folder, below) in &folders {
            entries.push((format!("{folder}/"), "40000", folder, self.tree(below)));
        }
        entries.sort();
        let mut data = Vec::new();
        for (_, mode, name, id) in entries {
            data.extend(format!("{mode} {name}\0").bytes());
            data.extend(id);
        }
        self.object("tree", &data)
    }

    fn object(&self, kind: &str, data: &[u8]) -> Vec<u8> {
        let mut whole = format!("{kind} {}\0", data.len()).into_bytes();
        whole.extend(data);
        let id = Sha1::digest(&whole).to_vec();
        let name = hex::encode(&id);
        let path: PathBuf = Path::new("objects").join(&name[..2]).join(&name[2..]);
        let path = self.folder.path().join(path);
        if !path.exists() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&whole).unwrap();
            std::fs::write(path, encoder.finish().unwrap()).unwrap();
        }
        id
    }
}
