//! Unpacking a gzip stream into one piece of memory, of which the files are slices.

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use std::io::{Error, Read};

/// What `bytes` unpack to, or why not; no more than `most` bytes.
pub(super) fn unpack(bytes: &[u8], most: u64) -> Result<Bytes, Error> {
    if let Some(whole) = at_once(bytes, most) {
        return Ok(whole.into());
    }
    let mut out = Vec::new();
    let mut stream = MultiGzDecoder::new(bytes).take(most.saturating_add(1));
    stream.read_to_end(&mut out)?;
    if out.len() as u64 > most {
        return Err(Error::other("the archive unpacks to more than a chart may hold"));
    }
    Ok(out.into())
}

/// The same for a stream of one member, whose end says how long it is. `None` when it is anything else or
/// damaged: the reader of streams knows what to say then.
fn at_once(bytes: &[u8], most: u64) -> Option<Vec<u8>> {
    let trailer = bytes.last_chunk::<8>()?;
    let (crc, size) = trailer.split_at(4);
    let (crc, size) = (u32::from_le_bytes(crc.try_into().ok()?), u32::from_le_bytes(size.try_into().ok()?));
    // No stream gets larger than 1032 times itself: more is a lie that would cost memory.
    if u64::from(size) > most.min(bytes.len() as u64 * 1032) {
        return None;
    }
    let mut out = vec![0; usize::try_from(size).ok()?];
    let length = libdeflater::Decompressor::new().gzip_decompress(bytes, &mut out).ok()?;
    // A first member of several would end before the trailer, which is then not its own.
    (length == out.len() && libdeflater::crc32(&out) == crc).then_some(out)
}
