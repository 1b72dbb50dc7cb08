//! Trees to and from `tar.gz`: guarded on the way in, reproducible on the way out.

use crate::tree::{Builder, File, clean, size};
use crate::{Error, Limits, Result, Tree};
use flate2::{Compression, GzBuilder, read::MultiGzDecoder};
use std::collections::BTreeSet;
use std::io::Read;

impl Tree {
    /// Unpacks a `tar.gz`. Paths that climb out or are absolute and archives over the limits are refused;
    /// links and devices are left out and noted.
    pub fn from_tar_gz(bytes: &[u8], limits: &Limits) -> Result<Tree> {
        Tree::from_tar(MultiGzDecoder::new(bytes), limits)
    }

    /// The same for a plain `tar`.
    pub fn from_tar(reader: impl Read, limits: &Limits) -> Result<Tree> {
        // The unpacked stream itself is bounded, so that a bomb ends even inside one entry or a header.
        let bound = limits.total_bytes.saturating_add(limits.entries as u64 * 1024);
        let mut archive = tar::Archive::new(Bounded { reader, left: bound });
        let mut builder = Builder::default();
        let broken = |error: std::io::Error| Error::Refused(format!("archive: {error}"));
        for (count, entry) in archive.entries().map_err(broken)?.enumerate() {
            if count > limits.entries {
                return Err(Error::Refused(format!("archive: more than {} entries", limits.entries)));
            }
            add_entry(&mut builder, entry.map_err(broken)?, limits)?;
            builder.check(limits, "archive")?;
        }
        Ok(builder.build())
    }

    /// Packs the tree the way Flux packs artifacts: sorted, no times, no owners, modes 0600, 0700 and 0750.
    /// The same tree always gives the same bytes.
    pub fn to_tar_gz(&self) -> Vec<u8> {
        let encoder =
            GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::default());
        let mut tar = tar::Builder::new(encoder);
        let mut folders = BTreeSet::new();
        for (path, file) in self.files() {
            let Ok(bytes) = file.bytes() else { continue };
            for (at, _) in path.match_indices('/') {
                let folder = path.get(..at).unwrap_or_default();
                if folders.insert(folder.to_string()) {
                    append(&mut tar, &format!("{folder}/"), tar::EntryType::Directory, 0o750, &[]);
                }
            }
            let mode = if file.executable { 0o700 } else { 0o600 };
            append(&mut tar, path, tar::EntryType::Regular, mode, bytes);
        }
        // Writing to memory cannot fail.
        tar.into_inner().and_then(|encoder| encoder.finish()).unwrap_or_default()
    }
}

fn append(
    tar: &mut tar::Builder<impl std::io::Write>,
    path: &str,
    kind: tar::EntryType,
    mode: u32,
    bytes: &[u8],
) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(bytes.len() as u64);
    if let Err(error) = tar.append_data(&mut header, path, bytes) {
        tracing::error!(path, %error, "not packed");
    }
}

fn add_entry<R: Read>(builder: &mut Builder, mut entry: tar::Entry<'_, R>, limits: &Limits) -> Result<()> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let kind = entry.header().entry_type();
    if kind.is_pax_global_extensions() || kind.is_pax_local_extensions() {
        return Ok(());
    }
    let path = match clean(&name) {
        Some(path) => path,
        None => return Err(Error::Refused(format!("archive: entry {name:?} leaves the archive"))),
    };
    // Cleaning would also swallow a climb that comes back in; an honest archive has none.
    if name.split('/').any(|part| part == "..") {
        return Err(Error::Refused(format!("archive: entry {name:?} contains \"..\"")));
    }
    if path.split('/').count() > limits.depth {
        return Err(Error::Refused(format!(
            "archive: entry {name:?} is nested deeper than {}",
            limits.depth
        )));
    }
    if kind.is_dir() || path.is_empty() {
        return Ok(());
    }
    if !kind.is_file() && kind != tar::EntryType::Continuous {
        let target = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
        builder.skip(
            path,
            match target {
                Some(target) => format!("link to {target}"),
                None => "not a regular file".to_string(),
            },
        );
        return Ok(());
    }
    let executable = entry.header().mode().unwrap_or(0) & 0o111 != 0;
    let length = entry.size();
    let file = if length > limits.file_bytes {
        File::problem(
            format!("{} is more than the {} that one file may have", size(length), size(limits.file_bytes)),
            &length.to_string(),
        )
    } else {
        let mut bytes = Vec::with_capacity(usize::try_from(length.min(1 << 20)).unwrap_or(0));
        entry.read_to_end(&mut bytes).map_err(|error| Error::Refused(format!("archive: {name}: {error}")))?;
        File::new(bytes, executable)
    };
    builder.put(&path, std::sync::Arc::new(file));
    Ok(())
}

/// A reader that errs after so many bytes.
pub(crate) struct Bounded<R> {
    pub(crate) reader: R,
    pub(crate) left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| std::io::Error::other("unpacks to more than is allowed"))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, kind, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            let name = &mut header.as_old_mut().name;
            name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            if kind.is_symlink() {
                header.set_link_name("../../etc/passwd").expect("a link");
            }
            header.set_cksum();
            tar.append(&header, *bytes).expect("appends");
        }
        tar.into_inner().expect("a tar").finish().expect("a gzip")
    }

    #[test]
    fn packing_is_reproducible_and_round_trips() {
        let tree =
            Tree::from_files([("b/c.yaml", b"x".to_vec()), ("a.yaml", b"y".to_vec())]).expect("a tree");
        let packed = tree.to_tar_gz();
        assert_eq!(packed, tree.clone().to_tar_gz());
        let back = Tree::from_tar_gz(&packed, &Limits::default()).expect("unpacks");
        assert_eq!(back, tree);
        assert_eq!(back.list("b").expect("a folder").len(), 1);
    }

    #[test]
    fn hostile_archives_are_refused() {
        let file = tar::EntryType::Regular;
        for name in ["../x", "/etc/x", "a/../../x", "a/../b"] {
            let bytes = archive(&[(name, file, b"x")]);
            let error = Tree::from_tar_gz(&bytes, &Limits::default()).expect_err(name);
            assert!(error.to_string().contains("archive: entry"), "{error}");
        }
        let linked = archive(&[("l", tar::EntryType::Symlink, b""), ("f", file, b"x")]);
        let tree = Tree::from_tar_gz(&linked, &Limits::default()).expect("unpacks");
        assert_eq!((tree.len(), tree.skipped().len()), (1, 1));
        assert!(tree.read("l").expect_err("no link").to_string().contains("../../etc/passwd"));
        let small = Limits { total_bytes: 100, entries: 10, file_bytes: 1 << 30, ..Limits::default() };
        let bomb = archive(&[("big", file, &vec![0; 1 << 20])]);
        assert!(Tree::from_tar_gz(&bomb, &small).expect_err("a bomb").to_string().contains("allowed"));
        let one = Limits { file_bytes: 4, ..Limits::default() };
        let tree = Tree::from_tar_gz(&archive(&[("big", file, b"12345"), ("ok", file, b"1")]), &one)
            .expect("unpacks");
        assert!(tree.read("ok").is_ok());
        assert!(tree.read("big").expect_err("too big").to_string().starts_with("big: 5 bytes is more"));
        assert!(Tree::from_tar_gz(b"not a gzip", &small).is_err());
    }
}
