//! Unpacking a gzip stream while what came out of it before is taken apart.

use flate2::read::MultiGzDecoder;
use std::io::{Error, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

/// Smaller archives are not worth a thread.
const WORTH_A_THREAD: usize = 32 << 10;
/// How much is handed over at a time, and how many such pieces may wait.
const PIECE: usize = 64 << 10;
const WAITING: usize = 4;

type Piece = Result<Vec<u8>, Error>;

/// The unpacked bytes.
pub(super) enum Unpacked<'b> {
    Here(MultiGzDecoder<&'b [u8]>),
    Elsewhere { pieces: Receiver<Piece>, piece: Vec<u8>, at: usize },
}

impl<'b> Unpacked<'b> {
    /// A reader of what `bytes` unpack to. A thread of `scope` unpacks them when there are many; it ends when
    /// the reader is dropped.
    pub(super) fn new<'scope>(bytes: &'b [u8], scope: &'scope Scope<'scope, 'b>) -> Self {
        if bytes.len() < WORTH_A_THREAD {
            return Unpacked::Here(MultiGzDecoder::new(bytes));
        }
        let (send, pieces) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().spawn_scoped(scope, move || unpack(bytes, &send));
        match thread {
            Ok(_) => Unpacked::Elsewhere { pieces, piece: Vec::new(), at: 0 },
            Err(_) => Unpacked::Here(MultiGzDecoder::new(bytes)),
        }
    }
}

fn unpack(bytes: &[u8], send: &SyncSender<Piece>) {
    let mut decoder = MultiGzDecoder::new(bytes);
    loop {
        let mut piece = vec![0; PIECE];
        let mut filled = 0;
        let mut end = None;
        while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty() && end.is_none()) {
            match decoder.read(rest) {
                Ok(0) => end = Some(Ok(())),
                Ok(count) => filled += count,
                Err(error) => end = Some(Err(error)),
            }
        }
        piece.truncate(filled);
        // Nobody listens any more when the reader gave up.
        if filled > 0 && send.send(Ok(piece)).is_err() {
            return;
        }
        match end {
            None => {}
            Some(Ok(())) => return,
            Some(Err(error)) => {
                let _gone = send.send(Err(error));
                return;
            }
        }
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        match self {
            Unpacked::Here(decoder) => decoder.read(buffer),
            Unpacked::Elsewhere { pieces, piece, at } => {
                if *at >= piece.len() {
                    match pieces.recv() {
                        Ok(next) => (*piece, *at) = (next?, 0),
                        // The thread is done.
                        Err(_) => return Ok(0),
                    }
                }
                let mut rest = piece.get(*at..).unwrap_or_default();
                let count = rest.read(buffer)?;
                *at += count;
                Ok(count)
            }
        }
    }
}
