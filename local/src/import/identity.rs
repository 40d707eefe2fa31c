//! Which event a line becomes. A line becomes the same event each time it is imported.
//!
//! An id is a ULID built by the importer. It has 48 bits of the time in milliseconds, 28 bits of the line's position
//! among lines of the same millisecond, so that lists return lines in file order, and 52 bits of a hash. For a line
//! with a time, the hash covers the source and the line. For a line without a time, it covers the source, the first
//! line of the file, the line's offset in the decompressed file, and the line. The name and the times of the file are
//! not used.
//!
//! Some different lines still get the same id: a line in two files of one source with the same time and position (a log
//! that is rotated within a millisecond, and writes the same line again), and equal lines without a time at the same
//! offset in two files of one source that begin with the same line. Some lines still count twice: lines of the first
//! millisecond of a file whose beginning is missing (`tail`), since their position differs; and a last line that was
//! imported while it was being written.

use std::collections::{HashMap, VecDeque};

use ring::digest::{Context, SHA256};
use tally_core::digest::sha256;
use tally_core::event::id::EventId;
use tally_core::time::Timestamp;
use ulid::Ulid;

/// Bits of the position among lines of a millisecond.
const PLACE_BITS: u32 = 28;
/// Bits of the hash.
const HASH_BITS: u32 = 52;
/// Milliseconds whose positions are remembered at once. Logs are in order, except for lines of concurrent threads.
const REMEMBERED: usize = 1 << 16;

/// The hash of the first line of a file.
pub(super) fn first_line_hash(line: &[u8]) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&sha256(line)[..16]);
    hash
}

/// What distinguishes a line from others.
pub(super) enum Place<'a> {
    /// Its own time.
    Timed,
    /// Its file and its offset there.
    At {
        /// The hash of the file's first line.
        first_line: &'a [u8; 16],
        /// Bytes of the decompressed file before it.
        offset: u64,
    },
}

/// Assigns ids to the lines of one file.
#[derive(Debug, Default)]
pub(super) struct Identities {
    next: HashMap<i64, u32>,
    order: VecDeque<i64>,
}

impl Identities {
    /// The id of the next line, in the order of the file.
    pub(super) fn next(&mut self, source: &str, at: Timestamp, place: &Place<'_>, line: &[u8]) -> EventId {
        let ordinal = self.ordinal(at.millis());
        let mut hash = Context::new(&SHA256);
        let mut add = |part: &[u8]| {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(source.as_bytes());
        if let Place::At { first_line, offset } = place {
            add(&first_line[..]);
            add(&offset.to_be_bytes());
        }
        add(line);
        let hash = hash.finish();
        let hash = hash.as_ref()[..8].iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        let low = u128::from(ordinal) << HASH_BITS | u128::from(hash >> (64 - HASH_BITS));
        let ulid = Ulid::from_parts(at.millis().try_into().unwrap_or(0), low);
        // A ULID is what an id is read from.
        ulid.to_string().parse().unwrap_or_else(|_| EventId::first_at(at))
    }

    fn ordinal(&mut self, millis: i64) -> u32 {
        if let Some(next) = self.next.get_mut(&millis) {
            let ordinal = *next;
            // Past 268 million lines of a millisecond the hash alone tells them apart.
            *next = (ordinal + 1).min((1 << PLACE_BITS) - 1);
            return ordinal;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.next.remove(&oldest);
        }
        self.order.push_back(millis);
        self.next.insert(millis, 1);
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_core::time::MILLISECOND;

    const AT: Timestamp = Timestamp::from_millis(1_764_147_600_000);

    #[test]
    fn ids_are_in_the_order_of_the_file_and_the_same_again() {
        let ids = |source: &str| {
            let mut identities = Identities::default();
            let lines = [("b", 0), ("a", 0), ("a", 0), ("z", 1), ("a", 0)];
            lines.map(|(line, later)| identities.next(source, AT + later * MILLISECOND, &Place::Timed, line.as_bytes()))
        };
        let first = ids("one");
        assert_eq!(first, ids("one"));
        assert!(ids("other").iter().all(|id| !first.contains(id)));
        assert!(first[0] < first[1] && first[1] < first[2] && first[2] < first[4] && first[4] < first[3]);
        assert!(first.iter().all(|id| id.at().millis() - AT.millis() <= 1));
    }

    #[test]
    fn a_place_without_a_time_is_a_file_and_an_offset() {
        let id = |first: &[u8], offset, line: &[u8]| {
            let place = Place::At { first_line: &first_line_hash(first), offset };
            Identities::default().next("one", AT, &place, line)
        };
        let one = id(b"first", 5, b"line");
        assert_eq!(one, id(b"first", 5, b"line"));
        for other in [id(b"other", 5, b"line"), id(b"first", 6, b"line"), id(b"first", 5, b"lines")] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut identities = Identities::default();
        for millis in 0..i64::try_from(REMEMBERED).expect("small") + 10 {
            identities.ordinal(millis);
        }
        assert_eq!((identities.next.len(), identities.order.len()), (REMEMBERED, REMEMBERED));
    }
}
