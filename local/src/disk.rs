//! The disk of the data folder.

use std::path::PathBuf;

use tally_service::disk::{Disk, Space};

use crate::embedded::FILE;

/// The disk of a data folder; none of a database in memory.
pub(crate) struct DataDisk(pub(crate) Option<PathBuf>);

impl Disk for DataDisk {
    fn space(&self) -> Option<Space> {
        let folder = self.0.as_ref()?;
        // SQLite keeps what is written last beside the database.
        let files = ["", "-wal", "-shm"].map(|end| std::fs::metadata(folder.join(format!("{FILE}{end}"))));
        let database = files.into_iter().flatten().map(|file| file.len()).sum();
        Some(Space { database, free: fs4::available_space(folder).ok() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_tells_the_files_of_the_database_and_what_is_free() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE), [0; 1_000]).expect("a file");
        std::fs::write(folder.path().join(format!("{FILE}-wal")), [0; 200]).expect("a file");
        std::fs::write(folder.path().join("other"), [0; 5_000]).expect("a file");
        let space = DataDisk(Some(folder.path().to_owned())).space().expect("its space");
        assert_eq!((space.database, space.free.is_some_and(|free| free > 0)), (1_200, true));
        assert_eq!(DataDisk(None).space(), None);
    }
}
