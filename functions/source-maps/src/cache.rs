//! The source maps that a warm process has parsed.

use std::sync::{Arc, Mutex, PoisonError};

use tally_core::app::AppId;
use tally_core::source_map::DebugId;
use tally_core::time::Timestamp;

use crate::original::Parsed;

/// Most bytes of what is kept, in memory.
const MOST_BYTES: u64 = 256 << 20;
/// Most maps that are kept.
const MOST_MAPS: usize = 20;

/// A map as one upload brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MapKey {
    pub(crate) app: AppId,
    pub(crate) debug_id: DebugId,
    pub(crate) uploaded_at: Timestamp,
}

struct Kept {
    key: MapKey,
    /// In memory.
    bytes: u64,
    map: Arc<Parsed>,
}

/// The maps that were used last.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Vec<Kept>>);

impl Cache {
    /// A map, which counts as used now.
    pub(crate) fn get(&self, key: &MapKey) -> Option<Arc<Parsed>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|kept| kept.key == *key)?;
        let found = kept.remove(at);
        let map = Arc::clone(&found.map);
        kept.push(found);
        Some(map)
    }

    /// Keeps a map, and forgets those that were not used for the longest time.
    pub(crate) fn put(&self, key: MapKey, bytes: u64, map: Arc<Parsed>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Another upload of the same.
        kept.retain(|kept| kept.key.app != key.app || kept.key.debug_id != key.debug_id);
        kept.push(Kept { key, bytes, map });
        while kept.len() > MOST_MAPS || kept.iter().map(|kept| kept.bytes).sum::<u64>() > MOST_BYTES {
            kept.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_core::app::AppSlug;

    #[test]
    fn the_map_that_was_not_used_for_longest_goes_first() {
        let app = AppId::new(&AppSlug::of_name("shop").expect("a name"), 1);
        let key = |n: u8| MapKey {
            app: app.clone(),
            debug_id: DebugId::parse(&format!("{n:032x}")).expect("an id"),
            uploaded_at: Timestamp::EPOCH,
        };
        let map =
            || Arc::new(Parsed::read(br#"{"version":3,"sources":[],"mappings":""}"#, String::new()).expect("a map"));
        let cache = Cache::default();
        for n in 0..3 {
            cache.put(key(n), MOST_BYTES / 3, map());
        }
        assert!(cache.get(&key(0)).is_some());
        cache.put(key(3), MOST_BYTES / 3, map());
        let kept: Vec<_> = (0..4).map(|n| cache.get(&key(n)).is_some()).collect();
        assert_eq!(kept, [true, false, true, true]);
        cache.put(key(4), MOST_BYTES + 1, map());
        assert!((0..5).all(|n| cache.get(&key(n)).is_none()), "one that is too large is not kept");
    }
}
