//! What is known of the disk that the database is on. Only a server on a machine of its own has one; it supplies it.

/// A disk.
pub trait Disk: Send + Sync {
    /// Its space now; `None` if it cannot be read.
    fn space(&self) -> Option<Space>;
}

/// The space of a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What the files of the database take.
    pub database: u64,
    /// What is free for them; `None` where the system does not tell.
    pub free: Option<u64>,
}
