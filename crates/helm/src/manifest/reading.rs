//! Reading what templates put out while other templates still run.
//!
//! Templates share values and run on one thread; the text of a finished one is nobody else's. A second thread
//! reads it meanwhile, and whoever has nothing else left to do helps with the rest.

use super::{Manifest, split, trim};
use crate::Result;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

/// Less text than this is not worth a thread.
const WORTH_A_THREAD: usize = 64 << 10;

/// A rendered file.
struct Job {
    path: String,
    text: String,
}

/// What both threads see.
#[derive(Default)]
pub(crate) struct Shelf {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    done: Vec<(String, Result<Vec<Manifest>>)>,
    /// Files that are being read.
    in_hand: usize,
    /// Nothing more is put there.
    closed: bool,
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere ends the render anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next file; waits for one until the shelf is closed.
    fn take(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                state.in_hand += 1;
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self, lean: bool) {
        while let Some(job) = self.take() {
            let _held = Held(self);
            let manifests = read(&job.path, job.text, lean);
            self.lock().done.push((job.path, manifests));
        }
    }
}

/// A file in hand; put down also when reading it panics.
struct Held<'s>(&'s Shelf);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.lock().in_hand -= 1;
        self.0.changed.notify_all();
    }
}

/// The documents of a rendered file.
fn read(path: &str, mut text: String, lean: bool) -> Result<Vec<Manifest>> {
    let documents = split(&text);
    if let [only] = *documents.as_slice() {
        // The text itself becomes the manifest's: nothing is copied.
        let (start, length) = (only.as_ptr().addr() - text.as_ptr().addr(), only.len());
        let mut manifest = Manifest::head(path, only, lean)?;
        text.truncate(start + length);
        text.drain(..start);
        if text.capacity() / 2 > text.len() {
            text.shrink_to_fit();
        }
        manifest.content = text;
        return Ok(vec![manifest]);
    }
    let mut manifests = Vec::with_capacity(documents.len());
    for document in documents {
        let mut manifest = Manifest::head(path, document, lean)?;
        manifest.content = document.to_owned();
        manifests.push(manifest);
    }
    Ok(manifests)
}

/// The thread that runs the templates puts their texts on a shelf through this. Dropping it closes the shelf,
/// also when the render fails, so that no thread waits for ever.
pub(crate) struct Reading<'scope, 'env> {
    shelf: &'scope Shelf,
    scope: &'scope Scope<'scope, 'env>,
    lean: bool,
    size: usize,
    helped: bool,
}

impl<'scope, 'env> Reading<'scope, 'env> {
    /// A reader on `shelf`. With `lean` the objects are not kept.
    pub(crate) fn new(shelf: &'scope Shelf, scope: &'scope Scope<'scope, 'env>, lean: bool) -> Self {
        Reading { shelf, scope, lean, size: 0, helped: false }
    }

    /// Has a rendered file read.
    pub(crate) fn add(&mut self, path: String, text: String) {
        if crate::path::base(&path).starts_with('_') || trim(&text).is_empty() {
            return;
        }
        self.size += text.len();
        self.shelf.lock().waiting.push_back(Job { path, text });
        self.shelf.changed.notify_one();
        if !self.helped && self.size > WORTH_A_THREAD {
            let (shelf, lean) = (self.shelf, self.lean);
            // Without a second thread this one does it all in the end.
            let started = std::thread::Builder::new().spawn_scoped(self.scope, move || shelf.work(lean));
            self.helped = started.is_ok();
        }
    }

    /// All manifests, in the order of the files' paths; the first fault in that order.
    pub(crate) fn finish(self) -> Result<Vec<Manifest>> {
        self.close();
        self.shelf.work(self.lean);
        let mut state = self.shelf.lock();
        // What the other thread has in hand is still missing.
        while state.in_hand > 0 {
            state = self.shelf.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut done = std::mem::take(&mut state.done);
        drop(state);
        done.sort_by(|a, b| a.0.cmp(&b.0));
        let mut manifests = Vec::with_capacity(done.len());
        for (_, read) in done {
            manifests.extend(read?);
        }
        Ok(manifests)
    }

    fn close(&self) {
        self.shelf.lock().closed = true;
        self.shelf.changed.notify_all();
    }
}

impl Drop for Reading<'_, '_> {
    fn drop(&mut self) {
        self.close();
    }
}
