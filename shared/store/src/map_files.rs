//! Where source maps are: files of a folder, or objects of a bucket. DynamoDB keeps what is known of each; see
//! [`crate::SourceMapItem`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tally_core::app::AppId;
use tally_core::source_map::DebugId;

use crate::client::error::StoreError;
use crate::s3::Object;
use crate::signed_request::RequestError;

/// How long S3 may take to answer: less than what a request has.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the parts of a bundle stay in a folder. In a bucket its lifecycle removes them.
const CHUNKS_STAY: Duration = Duration::from_hours(24);
/// How old a file without an item is at least when it is removed: one that is written now gets its item later.
const STRAY_STAYS: Duration = Duration::from_hours(1);

/// Where the files of source maps are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MapFiles {
    /// Nowhere: this process takes none.
    #[default]
    Nowhere,
    /// In a folder of this machine, made when it is first needed.
    Folder(PathBuf),
    /// In the memory of this process.
    Memory(InMemory),
    /// In a bucket of S3.
    Bucket(String),
}

/// The most bytes of files that are held in memory.
const MOST_IN_MEMORY: usize = 256 * 1024 * 1024;

/// Files in memory, by key; at most 256 MB of them.
#[derive(Clone, Debug, Default)]
pub struct InMemory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl PartialEq for InMemory {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for InMemory {}

impl InMemory {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: String, bytes: Vec<u8>) -> Result<(), StoreError> {
        let mut files = self.files();
        let held: usize = files.iter().filter(|(held, _)| **held != key).map(|(_, bytes)| bytes.len()).sum();
        if held.saturating_add(bytes.len()) > MOST_IN_MEMORY {
            return Err(StoreError::Refused("the memory for source maps is full: serve from a folder".to_owned()));
        }
        files.insert(key, bytes);
        Ok(())
    }
}

/// A file: a part of a bundle that is uploaded, or a source map with its minified file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapFile {
    /// A part of a bundle: who uploads it, and its SHA-1 in hexadecimal digits.
    Chunk(Uploader, String),
    /// A source map of an app.
    Map(AppId, DebugId),
}

/// Whose parts of bundles are kept together, so that nobody can assemble what another one uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uploader {
    /// Who has an upload key of an app.
    App(AppId),
    /// Admins. The app is named only when the bundle is assembled.
    Admins,
}

impl MapFile {
    /// Its key in a bucket, and its path in a folder.
    fn key(&self) -> String {
        match self {
            Self::Chunk(Uploader::App(app), sha1) => format!("chunks/{app}/{sha1}"),
            // No app's id begins with `~`.
            Self::Chunk(Uploader::Admins, sha1) => format!("chunks/~admins/{sha1}"),
            Self::Map(app, id) => format!("maps/{app}/{id}"),
        }
    }
}

impl MapFiles {
    /// Writes a file, in place of one that is there.
    pub async fn put(&self, file: &MapFile, bytes: Vec<u8>) -> Result<(), StoreError> {
        let key = file.key();
        match self {
            Self::Nowhere => Err(nowhere()),
            Self::Folder(folder) => write(&folder.join(key), &bytes).map_err(|error| of_disk(&error)),
            Self::Memory(files) => files.put(key, bytes),
            Self::Bucket(bucket) => Object { bucket, key: &key }.put(bytes, PATIENCE).await.map_err(|e| of_s3(&e)),
        }
    }

    /// Reads a file of at most so many bytes; none if it is not there.
    pub async fn get(&self, file: &MapFile, most: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let key = file.key();
        match self {
            Self::Nowhere => Err(nowhere()),
            Self::Folder(folder) => match std::fs::read(folder.join(key)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(of_disk(&error)),
            },
            Self::Memory(files) => Ok(files.files().get(&key).cloned()),
            Self::Bucket(bucket) => match (Object { bucket, key: &key }).get(most, PATIENCE).await {
                Ok(bytes) => Ok(Some(bytes)),
                // To who may not list a bucket, S3 says 403 of what is not there.
                Err(RequestError::Refused(_, 403 | 404)) => Ok(None),
                Err(error) => Err(of_s3(&error)),
            },
        }
    }

    /// Deletes a file, if it is there.
    pub async fn delete(&self, file: &MapFile) -> Result<(), StoreError> {
        let key = file.key();
        match self {
            Self::Nowhere => Ok(()),
            Self::Folder(folder) => match std::fs::remove_file(folder.join(key)) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(of_disk(&error)),
                _ => Ok(()),
            },
            Self::Memory(files) => {
                files.files().remove(&key);
                Ok(())
            }
            Self::Bucket(bucket) => Object { bucket, key: &key }.delete(PATIENCE).await.map_err(|e| of_s3(&e)),
        }
    }

    /// The apps that have source maps in a folder, also those that are erased. Of a bucket none.
    pub fn apps(&self) -> Vec<AppId> {
        let Self::Folder(folder) = self else { return vec![] };
        let apps = std::fs::read_dir(folder.join("maps")).into_iter().flatten().flatten();
        apps.filter_map(|app| Some(AppId::parse(app.file_name().to_str()?)?.0)).collect()
    }

    /// Removes all files of an app from a folder. In a bucket each map is deleted by itself, and parts of bundles expire.
    pub fn forget(&self, app: &AppId) -> Result<(), StoreError> {
        if let Self::Memory(files) = self {
            let of_app = ["maps", "chunks"].map(|kind| format!("{kind}/{app}/"));
            files.files().retain(|key, _| !of_app.iter().any(|folder| key.starts_with(folder)));
        }
        let Self::Folder(folder) = self else { return Ok(()) };
        for folder in folders(folder, app) {
            match std::fs::remove_dir_all(folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(of_disk(&error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes from a folder what has expired: parts of bundles, and the maps of an app that are not among `known`. A bucket has a
    /// lifecycle.
    pub fn sweep(&self, app: &AppId, known: &BTreeSet<DebugId>) {
        let Self::Folder(folder) = self else { return };
        let is_known = |name: &str| DebugId::parse(name).is_some_and(|id| known.contains(&id));
        sweep(&folder.join("maps").join(app.as_str()), STRAY_STAYS, is_known);
        self.sweep_chunks();
    }

    /// Removes from a folder the parts of bundles that have expired, of all uploaders.
    pub fn sweep_chunks(&self) {
        let Self::Folder(folder) = self else { return };
        for chunks in std::fs::read_dir(folder.join("chunks")).into_iter().flatten().flatten() {
            sweep(&chunks.path(), CHUNKS_STAY, |_| false);
        }
    }
}

/// The folders in which an app's files are.
fn folders(folder: &Path, app: &AppId) -> [PathBuf; 2] {
    ["maps", "chunks"].map(|kind| folder.join(kind).join(app.as_str()))
}

/// Removes the files of a folder that are older than a time and not known. A file that cannot be removed stays for the next time.
fn sweep(folder: &Path, stays: Duration, is_known: impl Fn(&str) -> bool) {
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let written = file.metadata().and_then(|data| data.modified());
        let age = written.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age > stays) && !is_known(&file.file_name().to_string_lossy()) {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

/// Writes a file under another name and renames it: who reads it meets all of it.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let new = path.with_extension(format!("{:016x}.new", rand::random::<u64>()));
    std::fs::write(&new, bytes)?;
    std::fs::rename(&new, path)
}

fn nowhere() -> StoreError {
    StoreError::Refused("this process has no place for source maps: set TALLY_MAPS_BUCKET".to_owned())
}

fn of_disk(error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("the folder of source maps: {error}"))
}

fn of_s3(error: &RequestError) -> StoreError {
    match error {
        RequestError::Silent(..) => StoreError::Unavailable(error.to_string()),
        RequestError::Refused(_, status) if *status >= 500 => StoreError::Unavailable(error.to_string()),
        RequestError::Refused(_, 403) => StoreError::Denied(error.to_string()),
        _ => StoreError::Refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_core::app::AppSlug;

    #[test]
    fn keys_are_spelt_for_ever_like_this() {
        let app = AppId::new(&AppSlug::of_name("shop").expect("a name"), 2);
        let id = DebugId::parse("216afa31-0255-52e5-a4a2-f739258241b5").expect("an id");
        assert_eq!(MapFile::Map(app.clone(), id).key(), "maps/shop~2/216afa31-0255-52e5-a4a2-f739258241b5");
        let sha1 = "0".repeat(40);
        assert_eq!(MapFile::Chunk(Uploader::App(app), sha1.clone()).key(), format!("chunks/shop~2/{sha1}"));
        assert_eq!(MapFile::Chunk(Uploader::Admins, sha1.clone()).key(), format!("chunks/~admins/{sha1}"));
    }
}
