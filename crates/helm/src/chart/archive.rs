//! Packaged charts: a gzipped tar with everything below one folder.

use super::File;
use crate::error::quote;
use crate::path;
use crate::{Error, Result, Stage};
use bytes::Bytes;
use std::io::Cursor;

mod unpack;

use unpack::unpack;

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
pub(crate) fn without_bom(bytes: Bytes) -> Bytes {
    if bytes.starts_with(BOM) { bytes.slice(BOM.len()..) } else { bytes }
}

/// The files of a packaged chart, in the order of the archive, without the folder they are all in. They share
/// one piece of memory.
pub fn read_archive(bytes: &[u8], limits: ArchiveLimits) -> Result<Vec<File>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(fail("gzip: invalid header"));
    }
    read_tar(&unpack(bytes, stream_limit(limits)).map_err(unreadable)?, limits)
}

fn read_tar(bytes: &Bytes, limits: ArchiveLimits) -> Result<Vec<File>> {
    let mut archive = tar::Archive::new(Cursor::new(bytes));
    let mut left = limits.total;
    let mut files = Vec::new();
    for entry in archive.entries_with_seek().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
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
        let data = slice(bytes, entry.raw_file_position(), size).ok_or_else(|| fail("unexpected EOF"))?;
        left -= size;
        if left == 0 {
            return Err(too_large(limits));
        }
        files.push(File { name, data: without_bom(data) });
    }
    if files.is_empty() {
        return Err(fail("no files in chart archive"));
    }
    Ok(files)
}

fn slice(bytes: &Bytes, start: u64, size: u64) -> Option<Bytes> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    (end <= bytes.len()).then(|| bytes.slice(start..end))
}

/// Headers and padding come on top of the contents.
fn stream_limit(limits: ArchiveLimits) -> u64 {
    limits.total.saturating_mul(2).saturating_add(limits.count as u64 * 2048)
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
