//! Packaged charts: a gzipped tar with everything below one folder.

use super::File;
use crate::error::quote;
use crate::path;
use crate::{Error, Result, Stage};
use std::io::{ErrorKind, Read};
use std::sync::Arc;

mod unpack;

use unpack::Unpacked;

/// How large a packaged chart may get when unpacked.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveLimits {
    /// All files together.
    pub total: u64,
    /// One file.
    pub file: u64,
    /// How many files there may be.
    pub count: usize,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        ArchiveLimits { total: 100 << 20, file: 5 << 20, count: 50_000 }
    }
}

const BOM: &[u8] = &[0xef, 0xbb, 0xbf];

/// The bytes without a leading byte-order mark.
pub(crate) fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BOM).unwrap_or(bytes)
}

/// The files of a packaged chart, in the order of the archive, without the folder they are all in.
pub fn read_archive(bytes: &[u8], limits: ArchiveLimits) -> Result<Vec<File>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(fail("gzip: invalid header"));
    }
    std::thread::scope(|scope| {
        read_tar(Bounded { inner: Unpacked::new(bytes, scope), left: stream_limit(limits) }, limits)
    })
}

fn read_tar(stream: impl Read, limits: ArchiveLimits) -> Result<Vec<File>> {
    let mut archive = tar::Archive::new(stream);
    let mut left = limits.total;
    let mut files = Vec::new();
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() || kind.is_pax_local_extensions() {
            continue;
        }
        let full = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if full.ends_with('/') {
            continue;
        }
        let name = inner_name(&full)?;
        let size = if kind.is_file() || kind.is_contiguous() { entry.size() } else { 0 };
        if size > left {
            return Err(too_large(limits));
        }
        if size > limits.file {
            let text = format!(
                "decompressed chart file {} is larger than the maximum file size {}",
                quote(&full),
                limits.file
            );
            return Err(fail(text));
        }
        if files.len() >= limits.count {
            return Err(fail(format!("chart archive holds more than {} files", limits.count)));
        }
        let data = read_entry(&mut entry, usize::try_from(size).unwrap_or(0))?;
        left -= size;
        if left == 0 {
            return Err(too_large(limits));
        }
        files.push(match data.starts_with(BOM) {
            true => File::new(name, without_bom(&data)),
            false => File { name, data },
        });
    }
    if files.is_empty() {
        return Err(fail("no files in chart archive"));
    }
    Ok(files)
}

/// Exactly `size` bytes, read to where they stay.
fn read_entry(entry: &mut impl Read, size: usize) -> Result<Arc<[u8]>> {
    let mut data: Arc<[u8]> = std::iter::repeat_n(0, size).collect();
    let mut rest = Arc::get_mut(&mut data).unwrap_or_default();
    while !rest.is_empty() {
        match entry.read(rest) {
            Ok(0) => return Err(fail("unexpected EOF")),
            Ok(count) => rest = rest.get_mut(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(data)
}

/// Headers and padding come on top of the contents.
fn stream_limit(limits: ArchiveLimits) -> u64 {
    limits.total.saturating_mul(2).saturating_add(limits.count as u64 * 2048)
}

/// Stops a stream that unpacks without end.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| std::io::Error::other("the archive unpacks to more than a chart may hold"))?;
        Ok(read)
    }
}

/// The path below the archive's folder, or why it is not allowed.
fn inner_name(full: &str) -> Result<String> {
    let delimiter = if full.contains('\\') { '\\' } else { '/' };
    let (folder, rest) = full.split_once(delimiter).unwrap_or((full, ""));
    let rest = rest.replace(delimiter, "/");
    if rest.starts_with('/') {
        return Err(fail("chart illegally contains absolute paths"));
    }
    let name = path::clean(&rest);
    if name == "." {
        let text = format!("chart illegally contains content outside the base directory: {}", quote(full));
        return Err(fail(text));
    }
    if name.starts_with("..") {
        return Err(fail("chart illegally references parent directory"));
    }
    let mut head = name.chars();
    let drive = (head.next(), head.next(), head.next());
    if matches!(drive, (Some(letter), Some(':'), Some('/')) if letter.is_ascii_alphabetic()) {
        return Err(fail("chart contains illegally named files"));
    }
    if folder == "Chart.yaml" {
        return Err(fail("chart yaml not in base directory"));
    }
    Ok(name)
}

fn fail(text: impl Into<String>) -> Error {
    Error::new(Stage::Chart, text)
}

fn too_large(limits: ArchiveLimits) -> Error {
    fail(format!("decompressed chart is larger than the maximum file size {}", limits.total))
}

fn unreadable(error: std::io::Error) -> Error {
    fail(format!("chart archive cannot be read: {error}"))
}

/// Packs files below `folder` into a `.tgz`, in the order given. The same files give the same bytes:
/// every entry carries `mtime`.
pub fn write_archive(folder: &str, files: &[File], mtime: u64) -> Result<Vec<u8>> {
    let encoder = flate2::GzBuilder::new()
        .extra(HELM_MARK.to_vec())
        .comment("Helm")
        .write(Vec::new(), flate2::Compression::default());
    let mut archive = tar::Builder::new(encoder);
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.data.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(mtime);
        header.set_cksum();
        archive
            .append_data(&mut header, format!("{folder}/{}", file.name), &*file.data)
            .map_err(unreadable)?;
    }
    archive.into_inner().and_then(|encoder| encoder.finish()).map_err(unreadable)
}

/// The bytes that Helm puts into the gzip header's extra field of a packaged chart.
const HELM_MARK: &[u8] = b"+aHR0cHM6Ly95b3V0dS5iZS96OVV6MWljandyTQo=";
