//! The format of a backup.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path};

use indicatif::ProgressBar;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use tally_core::app::key::hex;
use tally_core::time::Timestamp;

/// The format that this program writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;
/// The entry that lists the others; the last one.
pub(super) const MANIFEST: &str = "manifest.json";
/// Most bytes of a manifest: an entry takes some 150, and an app has at most 2,000 source maps.
pub(super) const MAX_MANIFEST: u64 = 64 * 1024 * 1024;
/// What a data folder may hold beside the database: files, and folders with files in them. Where the poller is in the stream is left
/// out: without it a start reads the whole stream, and counts nothing twice. With one that is too new it would count too little.
pub(super) const BESIDE: [&str; 3] = ["this-machine.json", "source-maps", "imports"];

/// What is in a backup.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// The version of the program that made it.
    pub(super) tally: String,
    /// When it was begun. What was accepted before is in it.
    #[serde(with = "as_text")]
    pub(super) at: Timestamp,
    /// The other entries by path.
    pub(super) files: BTreeMap<String, Entry>,
}

/// A time as RFC 3339.
mod as_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use tally_core::time::Timestamp;

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) bytes: u64,
    /// SHA-256, in hexadecimal digits.
    pub(super) sha256: String,
}

/// A reader that knows what it has read.
pub(super) struct Hashing<'a, R> {
    inner: R,
    context: Context,
    bytes: u64,
    progress: &'a ProgressBar,
}

impl<'a, R: Read> Hashing<'a, R> {
    pub(super) fn new(inner: R, progress: &'a ProgressBar) -> Self {
        Self { inner, context: Context::new(&SHA256), bytes: 0, progress }
    }

    pub(super) fn entry(self) -> Entry {
        Entry { bytes: self.bytes, sha256: hex(self.context.finish().as_ref()) }
    }
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.context.update(buffer.get(..read).unwrap_or_default());
        self.bytes += read as u64;
        self.progress.inc(read as u64);
        Ok(read)
    }
}

/// The path of an entry, if it is one that a backup may have. Nothing of an archive is written anywhere else.
pub(super) fn known(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            _ => return None,
        }
    }
    let first = *parts.first()?;
    let is_known = [crate::embedded::FILE, MANIFEST].contains(&first) && parts.len() == 1 || BESIDE.contains(&first);
    is_known.then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_cannot_write_elsewhere() {
        for (path, is_known) in [
            ("tally.db", true),
            ("manifest.json", true),
            ("this-machine.json", true),
            ("source-maps/shop/abc", true),
            ("imports/1.json", true),
            ("tally.db/x", false),
            ("../tally.db", false),
            ("source-maps/../../x", false),
            ("/etc/passwd", false),
            ("lock", false),
            ("stream-position.json", false),
            ("", false),
        ] {
            assert_eq!(known(Path::new(path)).is_some(), is_known, "{path}");
        }
    }
}
