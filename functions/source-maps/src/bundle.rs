//! Bundles: a zip with a manifest, minified files and source maps, as sentry-cli makes it. And the form in which a source map is
//! stored: gzip of a line of JSON with two lengths, the map, and the minified file.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tally_core::source_map::{DebugId, MAX_MAP, MAX_UNPACKED};
use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use crate::original::{MapError, Parsed};

/// Largest manifest in bytes: some thousand files.
const MAX_MANIFEST: usize = 4 << 20;
/// Most files of a bundle.
const MAX_FILES: usize = 10_000;
/// How the entry of a file in the directory of a zip begins.
const ENTRY: [u8; 4] = *b"PK\x01\x02";
/// Longest name of a file that is kept, in bytes.
const MAX_NAME: usize = 512;

/// Why a bundle is refused, for who uploads it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    #[error("the bundle cannot be read as a zip: {0}")]
    Zip(#[from] ZipError),
    #[error("a file of the bundle cannot be unpacked: {0}")]
    Unpack(#[from] std::io::Error),
    #[error("the bundle has no manifest that can be read: {0}")]
    Manifest(String),
    #[error("the bundle has more than {MAX_FILES} files: upload in several parts")]
    Files,
    #[error("{0} is larger than {1} MB when unpacked: split the bundle in your build")]
    File(String, usize),
    #[error("the bundle is larger than {0} MB when unpacked: upload in several parts")]
    Unpacked(usize),
    #[error(
        "no file of the bundle has a debug id: run `sentry-cli sourcemaps inject` on the folder before the upload. Tally finds \
         source maps by debug ids alone, not by release and URL"
    )]
    NoDebugIds,
    #[error("the bundle has no source map: let the build write them, for example with `--sourcemap`")]
    NoMaps,
    #[error("{0} is no source map that can be read: {1}")]
    Map(String, MapError),
    #[error("{0} is too large to be shown: {1}")]
    TooMuch(String, MapError),
}

/// What a manifest says.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    files: BTreeMap<String, ManifestFile>,
}

#[derive(Deserialize)]
struct ManifestFile {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

impl ManifestFile {
    fn debug_id(&self) -> Option<DebugId> {
        // Older versions wrote headers in other cases.
        let header = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("debug-id"));
        header.and_then(|(_, value)| DebugId::parse(value))
    }
}

/// A source map of a bundle in the form in which it is stored.
pub(crate) struct Packed {
    pub(crate) debug_id: DebugId,
    /// The name of the minified file, or of the map where the bundle lacks it.
    pub(crate) file: String,
    pub(crate) stored: Vec<u8>,
    pub(crate) unpacked: usize,
}

/// The lengths of what follows.
#[derive(Serialize, Deserialize)]
struct Head {
    map: usize,
    code: usize,
}

/// Reads the source maps of a bundle, one after the other, so that one alone is in memory unpacked. What the zip says of sizes is
/// not believed: bytes are counted while they are unpacked.
pub(crate) fn read(bundle: &Bytes) -> Result<Vec<Packed>, BundleError> {
    // It begins with `SYSB` and a version; places in the zip count from there. The crate finds that out by itself.
    // It reads all entries of the directory into memory, wherever and however many the end of the zip says that they are.
    if bundle.windows(ENTRY.len()).filter(|bytes| *bytes == ENTRY).nth(MAX_FILES).is_some() {
        return Err(BundleError::Files);
    }
    let mut zip = ZipArchive::new(Cursor::new(bundle.clone()))?;
    let mut room = MAX_UNPACKED;
    let manifest = unpack(zip.by_name("manifest.json")?, "manifest.json", MAX_MANIFEST, &mut room)?;
    let manifest: Manifest =
        serde_json::from_slice(&manifest).map_err(|error| BundleError::Manifest(error.to_string()))?;
    let mut pairs: BTreeMap<DebugId, (Option<&str>, Option<&str>)> = BTreeMap::new();
    for (path, file) in &manifest.files {
        let Some(id) = file.debug_id() else { continue };
        let pair = pairs.entry(id).or_default();
        match file.kind.as_str() {
            "source_map" => pair.0 = Some(path),
            "minified_source" => pair.1 = Some(path),
            _ => {}
        }
    }
    if pairs.is_empty() {
        return Err(BundleError::NoDebugIds);
    }
    let name = |path: &str| {
        let url = manifest.files.get(path).map_or(path, |file| file.url.as_str());
        let end = (0..=MAX_NAME.min(url.len())).rev().find(|end| url.is_char_boundary(*end)).unwrap_or_default();
        url[..end].to_owned()
    };
    let mut all = Vec::new();
    for (debug_id, (map, code)) in pairs {
        let Some(map_path) = map else { continue };
        let map = unpack(zip.by_name(map_path)?, map_path, MAX_MAP, &mut room)?;
        let code_bytes = match code {
            Some(path) => unpack(zip.by_name(path)?, path, MAX_MAP, &mut room)?,
            None => vec![],
        };
        Parsed::read(&map, String::from_utf8_lossy(&code_bytes).into_owned()).map_err(|error| {
            let why = if error.is_too_much() { BundleError::TooMuch } else { BundleError::Map };
            why(name(map_path), error)
        })?;
        let unpacked = map.len() + code_bytes.len();
        let stored = pack(&map, &code_bytes)?;
        all.push(Packed { debug_id, file: name(code.unwrap_or(map_path)), stored, unpacked });
    }
    if all.is_empty() { Err(BundleError::NoMaps) } else { Ok(all) }
}

fn unpack(
    mut file: ZipFile<'_, Cursor<Bytes>>,
    name: &str,
    most: usize,
    room: &mut usize,
) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    let bound = most.min(*room);
    file.by_ref().take(u64::try_from(bound + 1).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    if bytes.len() > bound {
        return Err(if bound == most {
            BundleError::File(name.to_owned(), most >> 20)
        } else {
            BundleError::Unpacked(MAX_UNPACKED >> 20)
        });
    }
    *room -= bytes.len();
    Ok(bytes)
}

/// The stored form of a source map and its minified file.
fn pack(map: &[u8], code: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(4));
    serde_json::to_writer(&mut gzip, &Head { map: map.len(), code: code.len() })?;
    for part in [b"\n", map, code] {
        gzip.write_all(part)?;
    }
    gzip.finish()
}

/// Reads the stored form: the map and the minified file.
pub(crate) fn read_stored(stored: &[u8]) -> std::io::Result<(Vec<u8>, String)> {
    let most = u64::try_from(2 * MAX_MAP + 1024).unwrap_or(u64::MAX);
    let mut all = Vec::new();
    GzDecoder::new(stored).take(most).read_to_end(&mut all)?;
    let broken = || std::io::Error::other("its head does not fit what follows");
    let start = all.iter().take(1024).position(|b| *b == b'\n').ok_or_else(broken)? + 1;
    let head: Head = serde_json::from_slice(&all[..start])?;
    if head.map.checked_add(head.code).and_then(|length| length.checked_add(start)) != Some(all.len()) {
        return Err(broken());
    }
    let code = String::from_utf8_lossy(&all[start + head.map..]).into_owned();
    all.truncate(start + head.map);
    all.drain(..start);
    Ok((all, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_reads_back_and_another_is_refused() {
        let stored = pack(b"{\"version\":3}\n", "caf\u{e9}\n".as_bytes()).expect("packed");
        let (map, code) = read_stored(&stored).expect("its own form");
        assert_eq!((map.as_slice(), code.as_str()), (b"{\"version\":3}\n".as_slice(), "caf\u{e9}\n"));
        let forged = |head: &str| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(head.as_bytes()).expect("bytes");
            read_stored(&gzip.finish().expect("gzip"))
        };
        for head in ["", "{}", "{\"map\":9,\"code\":0}\nx", "{\"map\":18446744073709551615,\"code\":2}\nx"] {
            assert!(forged(head).is_err(), "{head}");
        }
        assert!(read_stored(b"nonsense").is_err());
    }
}
