//! When lines were first imported. This is the time of lines that contain no time, and determines the year of times
//! without a year. It is stored in a file for each source and first line of a file, so that the next import gives the
//! same result.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tally_core::app::key::hex;
use tally_core::digest::sha256;
use tally_core::time::{HOUR, MINUTE, SECOND, Timestamp};

/// How many moments of a file are stored by the second, and how many by the minute. Later ones are stored by the hour.
const BY_SECOND: usize = 1_000;
const BY_MINUTE: usize = 5_000;

/// The stored record of a file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// For human readers only.
    source: String,
    /// Bytes of the decompressed file that were imported.
    end: u64,
    /// The first import time in milliseconds of lines from each offset on.
    times: Vec<(u64, i64)>,
}

/// When the lines of one file were first imported.
#[derive(Debug)]
pub(super) struct FirstSeen {
    /// The path of the record, or `None` for a dry run.
    file: Option<PathBuf>,
    kept: Kept,
    changed: bool,
}

impl FirstSeen {
    /// Loads the record in `folder` of a source's file that begins with this line.
    pub(super) fn load(folder: Option<&Path>, source: &str, first_line: &[u8; 16]) -> Self {
        let name = sha256(&[source.as_bytes(), &first_line[..]].concat());
        let file = folder.map(|folder| folder.join(format!("{}.json", hex(&name[..16]))));
        let read = file.as_ref().and_then(|file| std::fs::read(file).ok());
        let kept = read.and_then(|kept| serde_json::from_slice(&kept).ok());
        let kept = kept.unwrap_or_else(|| Kept { source: source.to_owned(), ..Kept::default() });
        Self { file, kept, changed: false }
    }

    /// When the file was first imported.
    pub(super) fn start(&mut self, now: Timestamp) -> Timestamp {
        if self.kept.times.is_empty() {
            self.kept.times.push((0, now.millis()));
            self.changed = true;
        }
        Timestamp::from_millis(self.kept.times[0].1)
    }

    /// When the line from `offset` to `end` was first imported.
    pub(super) fn line(&mut self, offset: u64, end: u64, now: Timestamp) -> Timestamp {
        let times = &mut self.kept.times;
        if offset >= self.kept.end {
            let apart = match times.len() {
                ..BY_SECOND => SECOND,
                BY_SECOND..BY_MINUTE => MINUTE,
                _ => HOUR,
            };
            if times.last().is_none_or(|(_, last)| now - Timestamp::from_millis(*last) >= apart) {
                times.push((offset, now.millis()));
            }
            self.kept.end = end;
            self.changed = true;
        }
        let after = times.partition_point(|(from, _)| *from <= offset);
        let (_, millis) = times[after.saturating_sub(1)];
        Timestamp::from_millis(millis)
    }

    /// Writes changes to a new file and renames it over the old one. Call this before the lines are sent.
    pub(super) fn keep(&mut self) -> std::io::Result<()> {
        let Some(file) = self.file.as_ref().filter(|_| self.changed) else { return Ok(()) };
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let fresh = file.with_extension(format!("new-{}", std::process::id()));
        std::fs::write(&fresh, serde_json::to_vec(&self.kept)?)?;
        std::fs::rename(fresh, file)?;
        self.changed = false;
        Ok(())
    }
}

/// The folder that stores records of imports into a remote Tally: `tally/imports` in the state directory of this
/// system.
pub(super) fn state_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_STATE_HOME").or_else(|| set("LOCALAPPDATA"));
    let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".local").join("state")))?;
    Some(base.join("tally").join("imports"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_the_time_at_which_they_were_first_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let load = || FirstSeen::load(Some(folder.path()), "source", &[1; 16]);
        let at = |millis| Timestamp::from_millis(millis);
        let mut first = load();
        assert_eq!(first.line(0, 10, at(5_000)), at(5_000));
        assert_eq!(first.line(10, 20, at(5_400)), at(5_000), "by the second");
        first.keep().expect("kept");
        let mut second = load();
        assert_eq!(second.line(10, 20, at(90_000)), at(5_000));
        assert_eq!(second.line(20, 30, at(90_000)), at(90_000), "appended");
        assert_eq!(second.start(at(95_000)), at(5_000));
        second.keep().expect("kept");
        assert_eq!(load().line(25, 30, at(1_000_000)), at(90_000));
        assert_eq!(FirstSeen::load(Some(folder.path()), "other", &[1; 16]).start(at(7)), at(7));
        assert_eq!(FirstSeen::load(Some(folder.path()), "source", &[2; 16]).start(at(7)), at(7));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut seen = FirstSeen::load(None, "source", &[0; 16]);
        for second in 0..20_000 {
            seen.line(
                u64::try_from(second).expect("positive"),
                u64::try_from(second + 1).expect("positive"),
                Timestamp::from_millis(second * 1_000),
            );
        }
        assert!(seen.kept.times.len() < 1_500, "{}", seen.kept.times.len());
    }
}
