//! Where output comes from: the place in a template, and what was read for it.

use std::cell::RefCell;
use std::collections::HashMap;

/// A piece of output and what made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where in the output it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The template (for a file, its path).
    pub template: String,
    /// The line there at which it begins, from 1.
    pub line: usize,
    /// Whether it is the template's own text, whose lines follow one another as the output's do.
    pub is_text: bool,
    /// The paths of the values that were read for it.
    pub reads: Vec<String>,
}

/// What is noted while templates run.
pub(crate) struct Trace {
    tables: HashMap<usize, String>,
    /// What the action that runs has read.
    reads: RefCell<Vec<String>>,
    pub(crate) origins: Vec<Origin>,
}

impl Trace {
    pub(crate) fn new(tables: HashMap<usize, String>) -> Self {
        Trace { tables, reads: RefCell::default(), origins: Vec::new() }
    }

    /// Notes that the entry `key` of the map `table` is read.
    pub(crate) fn read(&self, table: usize, key: &str) {
        let Some(path) = self.tables.get(&table) else { return };
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let mut reads = self.reads.borrow_mut();
        // On the way to `a.b` there is `a`: only where it leads to matters.
        if let Some((table, _)) = path.rsplit_once('.')
            && reads.last().is_some_and(|last| last == table)
        {
            reads.pop();
        }
        if !reads.contains(&path) {
            reads.push(path);
        }
    }

    /// Notes that a whole map is used that was reached before, by `with` or in a variable.
    pub(crate) fn used(&self, table: usize) {
        if let Some(path) = self.tables.get(&table).filter(|path| !path.is_empty()) {
            let mut reads = self.reads.borrow_mut();
            if !reads.contains(path) {
                reads.push(path.clone());
            }
        }
    }

    /// Takes what was read since the last time.
    pub(crate) fn take_reads(&self) -> Vec<String> {
        self.reads.take()
    }
}
