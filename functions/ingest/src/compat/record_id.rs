//! Ids for records of protocols that have none.

use std::collections::HashMap;

use tally_core::digest::sha256;
use tally_http::families::Family;

/// Gives the records of one request ids that a second sending of the request gives them again: the hash of the record and
/// its scope, and the ordinal among identical ones, which stay separate events.
///
/// Only for records with a time of their own of millisecond precision or finer: two honest lines may be the same within a
/// second.
#[derive(Debug, Default)]
pub struct RecordIds(HashMap<[u8; 32], u64>);

impl RecordIds {
    /// The id of a record: `record` as it was sent or in a canonical form, `scope` what stands around it, such as the
    /// resource of OTLP.
    pub fn id(&mut self, family: Family, scope: &[u8], record: &[u8]) -> String {
        let mut text = Vec::with_capacity(family.name().len() + scope.len() + record.len() + 16);
        text.extend_from_slice(family.name().as_bytes());
        for part in [scope, record] {
            // With its length, so that the border between two parts is a part of the hash.
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        }
        let ordinal = self.0.entry(sha256(&text)).or_default();
        text.extend_from_slice(&ordinal.to_be_bytes());
        *ordinal += 1;
        tally_core::app::key::hex(&sha256(&text)[..16])
    }
}

/// The clock that timed some records of a request, and how fine it is. Libraries leave the fraction out of a time that strikes
/// the second, so one time does not tell, but one that is finer tells of its neighbours as well.
///
/// This is the rule of all families: a record without an id is identified by its content and its own time if its clock is
/// finer than a second, since two honest records may be the same within a second.
#[derive(Debug, Default)]
pub struct Clock {
    is_fine: bool,
    /// The records, by their places, whose times are whole seconds.
    coarse: Vec<usize>,
}

impl Clock {
    /// A clock that is known to be finer than a second.
    pub fn fine(is_fine: bool) -> Self {
        Self { is_fine, coarse: Vec::new() }
    }

    /// Notes the time of the record at a place.
    pub fn note(&mut self, place: usize, is_fine: bool) {
        self.is_fine |= is_fine;
        if !is_fine {
            self.coarse.push(place);
        }
    }

    /// The places of the records that have no identity.
    pub fn unidentified(self) -> Vec<usize> {
        if self.is_fine { Vec::new() } else { self.coarse }
    }
}

/// Whether a time is written finer than a second: with a fraction, or as milliseconds or finer since 1970.
pub fn is_finer_than_a_second(time: &str) -> bool {
    let time = time.trim();
    time.contains('.') || (time.len() >= 12 && time.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_as_fine_as_it_is_written() {
        for fine in ["2026-11-21T10:00:00.000Z", "1795255705.0", "1795255705123", "1795255705123456", " 1795255705.1 "]
        {
            assert!(is_finer_than_a_second(fine), "{fine}");
        }
        for coarse in ["2026-11-21T10:00:00Z", "1795255705", "", "2026-11-21 10:00:00"] {
            assert!(!is_finer_than_a_second(coarse), "{coarse}");
        }
    }

    #[test]
    fn one_fine_time_tells_of_the_clock() {
        let unidentified = |is_known_fine, times: &[bool]| {
            let mut clock = Clock::fine(is_known_fine);
            times.iter().enumerate().for_each(|(place, is_fine)| clock.note(place, *is_fine));
            clock.unidentified()
        };
        assert_eq!(unidentified(false, &[false, false]), [0, 1]);
        assert_eq!(unidentified(false, &[false, true]), [0_usize; 0]);
        assert_eq!(unidentified(true, &[false, false]), [0_usize; 0]);
    }

    #[test]
    fn a_second_sending_has_the_same_ids_and_identical_records_have_different_ones() {
        let ids = || {
            let mut ids = RecordIds::default();
            [(b"a", b"x"), (b"a", b"x"), (b"b", b"x"), (b"a", b"y")].map(|(s, r)| ids.id(Family::Otlp, s, r))
        };
        let first = ids();
        assert_eq!(first, ids());
        let distinct: std::collections::HashSet<_> = first.iter().collect();
        assert_eq!(distinct.len(), first.len());
        let border = |scope: &[u8], record: &[u8]| RecordIds::default().id(Family::Otlp, scope, record);
        assert_ne!(border(b"ab", b"c"), border(b"a", b"bc"));
    }
}
