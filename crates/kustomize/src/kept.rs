//! A world that remembers what it was asked: a build after one changed file reads that file only.

use crate::world::{HelmPull, Root, World, WorldError};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// Answers from memory what its world answered before, until it is told what changed. What is fetched from
/// elsewhere is left to the world.
#[derive(Debug, Default)]
pub struct Kept<W> {
    world: W,
    known: RefCell<Known>,
}

#[derive(Debug, Default)]
struct Known {
    files: HashMap<String, Result<Vec<u8>, WorldError>>,
    dirs: HashMap<String, bool>,
    regular: HashMap<String, bool>,
    lists: HashMap<String, Result<Vec<String>, WorldError>>,
    resolved: HashMap<String, Result<String, WorldError>>,
}

impl<W: World> Kept<W> {
    /// Remembers nothing yet.
    pub fn new(world: W) -> Kept<W> {
        Kept { world, known: RefCell::default() }
    }

    /// The world behind it.
    pub fn world(&self) -> &W {
        &self.world
    }

    /// The content of a file is another one than before.
    pub fn changed(&self, path: &str) {
        self.known.borrow_mut().files.remove(path);
    }

    /// Files or folders came or went, or links point elsewhere: only the content of files stays known.
    pub fn moved(&self) {
        let mut known = self.known.borrow_mut();
        let files = std::mem::take(&mut known.files);
        *known =
            Known { files: files.into_iter().filter(|(_, read)| read.is_ok()).collect(), ..Known::default() };
    }

    fn recall<T: Clone>(
        &self,
        path: &str,
        table: impl Fn(&mut Known) -> &mut HashMap<String, T>,
        ask: impl FnOnce() -> T,
    ) -> T {
        if let Some(known) = table(&mut self.known.borrow_mut()).get(path) {
            return known.clone();
        }
        let answer = ask();
        table(&mut self.known.borrow_mut()).insert(path.to_owned(), answer.clone());
        answer
    }
}

impl<W: World> World for Kept<W> {
    fn read(&self, path: &str) -> Result<Vec<u8>, WorldError> {
        self.recall(path, |known| &mut known.files, || self.world.read(path))
    }

    fn is_dir(&self, path: &str) -> bool {
        self.recall(path, |known| &mut known.dirs, || self.world.is_dir(path))
    }

    fn is_file(&self, path: &str) -> bool {
        self.recall(path, |known| &mut known.regular, || self.world.is_file(path))
    }

    fn list_dir(&self, path: &str) -> Result<Vec<String>, WorldError> {
        self.recall(path, |known| &mut known.lists, || self.world.list_dir(path))
    }

    fn resolve(&self, path: &str) -> Result<String, WorldError> {
        self.recall(path, |known| &mut known.resolved, || self.world.resolve(path))
    }

    fn expect(&self, urls: &[&str]) {
        self.world.expect(urls);
    }

    fn remote(&self, url: &str) -> Result<Root, WorldError> {
        self.world.remote(url)
    }

    fn remote_file(&self, url: &str) -> Result<Vec<u8>, WorldError> {
        self.world.remote_file(url)
    }

    fn helm_pull(&self, chart: &HelmPull) -> Result<BTreeMap<String, Vec<u8>>, WorldError> {
        self.world.helm_pull(chart)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.world.variable(name)
    }

    fn exec(
        &self,
        dir: &str,
        program: &str,
        arguments: &[String],
        input: &[u8],
    ) -> Result<Vec<u8>, WorldError> {
        self.world.exec(dir, program, arguments, input)
    }
}
