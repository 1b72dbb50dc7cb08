//! Unpacking a gzip stream into one piece of memory, of which the files are slices.

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use std::io::{Error, Read};

/// What `bytes` unpack to, or why not; no more than `most` bytes.
pub(super) fn unpack(bytes: &[u8], most: u64) -> Result<Bytes, Error> {
    if let Some(whole) = at_once(bytes, most) {
        return Ok(whole);
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
fn at_once(bytes: &[u8], most: u64) -> Option<Bytes> {
    let trailer = bytes.last_chunk::<8>()?;
    let (crc, size) = trailer.split_at(4);
    let (crc, size) = (u32::from_le_bytes(crc.try_into().ok()?), u32::from_le_bytes(size.try_into().ok()?));
    // No stream gets larger than 1032 times itself: more is a lie that would cost memory.
    if u64::from(size) > most.min(bytes.len() as u64 * 1032) {
        return None;
    }
    let mut out = Room::of(usize::try_from(size).ok()?);
    let length = libdeflater::Decompressor::new().gzip_decompress(bytes, out.as_mut()).ok()?;
    // A first member of several would end before the trailer, which is then not its own.
    (length == out.as_ref().len() && libdeflater::crc32(out.as_ref()) == crc).then(|| Bytes::from_owner(out))
}

/// Memory of a size that is known before it is filled.
enum Room {
    Heap(Vec<u8>),
    Pages(memmap2::MmapMut),
}

impl Room {
    /// From this size on the system is asked for huge pages: to be given the first touch of every small one takes
    /// several times as long, a tenth of the time that a large chart takes.
    const LARGE: usize = 2 << 20;

    /// So many bytes, all zero.
    fn of(size: usize) -> Room {
        let pages = (size >= Room::LARGE).then(|| memmap2::MmapMut::map_anon(size).ok()).flatten();
        let Some(pages) = pages else { return Room::Heap(vec![0; size]) };
        // A system without them gives small ones, which do as well.
        #[cfg(target_os = "linux")]
        let _small = pages.advise_range(memmap2::Advice::HugePage, 0, size - size % Room::LARGE);
        Room::Pages(pages)
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        match self {
            Room::Heap(bytes) => bytes,
            Room::Pages(pages) => pages,
        }
    }
}

impl AsMut<[u8]> for Room {
    fn as_mut(&mut self) -> &mut [u8] {
        match self {
            Room::Heap(bytes) => bytes,
            Room::Pages(pages) => pages,
        }
    }
}
