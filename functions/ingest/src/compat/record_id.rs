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

#[cfg(test)]
mod tests {
    use super::*;

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
