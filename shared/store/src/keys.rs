//! The formats of all keys. Everything else handles keys as the types of this module.

use tally_core::app::partition::Partition;
use tally_core::app::{AppId, AppSlug};
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::event::MAX_TEXT;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{MINUTE, Timestamp};

/// The partition key of a shard of an app, in Events and in Counters: `shop#0`, or `shop~2#0` in the app's second generation.
pub(super) fn partition(partition: &Partition) -> String {
    format!("{}#{}", partition.app, partition.shard)
}

/// Reads what [`partition`] writes.
pub(super) fn read_partition(text: &str) -> Option<(Partition, AppSlug)> {
    let (app, shard) = text.rsplit_once('#')?;
    let (app, slug, _) = AppId::parse(app)?;
    let shard = shard.parse().ok()?;
    Some((Partition { app, shard }, slug))
}

/// The partition of `by_session` that holds a session's events.
pub(super) fn session(app: &AppId, session_id: &str) -> String {
    format!("{app}#{session_id}")
}

/// Whether an event can have this session id. DynamoDB refuses a key of more than 2,048 bytes, so no other is looked for.
pub(super) fn can_be_session(session_id: &str) -> bool {
    session_id.len() <= MAX_TEXT
}

/// The session id in a key of `by_session`.
pub(super) fn session_id(key: &str) -> Option<&str> {
    key.split_once('#').map(|(_, session)| session)
}

/// The letter of a length of buckets.
const fn granularity(granularity: Granularity) -> char {
    match granularity {
        Granularity::Minute => 'm',
        Granularity::Hour => 'h',
        Granularity::Day => 'd',
    }
}

/// What stands between the length of the buckets and the first `#`, and the letter before the page.
const fn kind_letters(kind: CounterKind) -> (&'static str, char) {
    match kind {
        CounterKind::Cells => ("", 'c'),
        CounterKind::Errors => ("e", 'e'),
        CounterKind::Messages => ("m", 'm'),
    }
}

/// The sort key of a counter item: `d#20261121#c0`, `de#20261121#e0` for errors, `dm#20261121#m0` for messages.
pub(super) fn counter(key: &CounterKey) -> String {
    let (infix, letter) = kind_letters(key.kind);
    format!("{}{infix}#{}#{letter}{}", granularity(key.bucket.granularity()), key.bucket, key.page)
}

/// The keys of a counter item as one text: the partition key, a space, the sort key.
pub fn counter_keys(key: &CounterKey) -> String {
    format!("{} {}", partition(&key.partition), counter(key))
}

/// The bucket and the page of a sort key of counters that are known to be of this kind and length.
pub(super) fn read_counter(kind: CounterKind, granularity: Granularity, sort: &str) -> Option<(Bucket, u16)> {
    let mut parts = sort.split('#');
    let (_, bucket, page) = (parts.next()?, parts.next()?, parts.next()?);
    let (_, letter) = kind_letters(kind);
    Some((Bucket::parse(granularity, bucket)?, page.strip_prefix(letter)?.parse().ok()?))
}

/// The sort keys between which all pages of the buckets from `first` to `last` lie.
pub(super) fn counter_range(kind: CounterKind, first: Bucket, last: Bucket) -> (String, String) {
    let granularity = granularity(first.granularity());
    let (infix, _) = kind_letters(kind);
    // `~` sorts after every digit of a page.
    (format!("{granularity}{infix}#{first}#"), format!("{granularity}{infix}#{last}#~"))
}

/// The partition of Counters that lists what could not be counted for an app. `~` begins no app's name.
pub(super) fn dead_letters(app: Option<&AppId>) -> String {
    format!("~set-aside#{}", app.map_or("", AppId::as_str))
}

/// The partition of Counters that says which of the barriers of an owner were met.
pub(super) fn barriers(owner: &str) -> String {
    format!("~fences#{owner}")
}

/// The partition of Counters that keeps what recounts of an app have under way.
pub(super) fn recount(app: &AppId) -> String {
    format!("~recount#{app}")
}

/// The partition of Counters that counts what an app had accepted, by the minute.
pub(super) fn quota(app: &AppId) -> String {
    format!("~quota#{app}")
}

/// A minute, as a text that sorts by time.
pub(super) fn minute(at: Timestamp) -> String {
    format!("{:011}", (at.floor(MINUTE) - Timestamp::EPOCH) / MINUTE)
}

/// The partition of Apps that holds an app.
pub(super) fn app(slug: &AppSlug) -> String {
    format!("app#{slug}")
}

/// The sort key of an item that is alone in its partition.
pub(super) const ALONE: &str = "-";

/// The partition of Apps that lists the slugs of all apps, as sort keys.
pub(super) const APP_LIST: &str = "apps";

/// The partition of Apps that says which app a key is of.
pub(super) fn key(id: &str) -> String {
    format!("key#{id}")
}

/// The partition of Apps that counts the attempts of a subject to sign in.
pub(super) fn attempts(subject: &str) -> String {
    format!("sign-in#{subject}")
}

/// The partition of Apps that holds the private signing key; IAM lets only `admin` read it.
pub(super) const SIGNING_KEY: &str = "signing-key";

/// The partition of Apps that holds the public keys, by key id.
pub(super) const PUBLIC_KEYS: &str = "public-keys";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelt_for_ever_like_this() {
        let slug = AppSlug::of_name("shop").expect("a name");
        let partition = Partition { app: AppId::new(&slug, 2), shard: 7 };
        assert_eq!(super::partition(&partition), "shop~2#7");
        assert_eq!(read_partition("shop~2#7"), Some((partition.clone(), slug)));
        let key = |kind, granularity| CounterKey {
            partition: partition.clone(),
            kind,
            bucket: Bucket::of(granularity, Timestamp::from_millis(1_795_255_705_000)),
            page: 3,
        };
        assert_eq!(counter(&key(CounterKind::Cells, Granularity::Day)), "d#20261121#c3");
        assert_eq!(counter(&key(CounterKind::Errors, Granularity::Hour)), "he#2026112110#e3");
        assert_eq!(counter(&key(CounterKind::Messages, Granularity::Minute)), "mm#202611211008#m3");
    }

    #[test]
    fn a_range_of_counters_holds_its_buckets_alone() {
        let day = |n: i64| Bucket::of(Granularity::Day, Timestamp::EPOCH + n * Granularity::Day.length());
        let kinds = [CounterKind::Cells, CounterKind::Errors, CounterKind::Messages];
        for kind in kinds {
            let (from, to) = counter_range(kind, day(2), day(3));
            for n in 0..6 {
                for other in kinds {
                    let slug = AppSlug::of_name("a").expect("a name");
                    let partition = Partition { app: AppId::new(&slug, 1), shard: 0 };
                    let sort = counter(&CounterKey { partition, kind: other, bucket: day(n), page: 63 });
                    assert_eq!(from <= sort && sort <= to, kind == other && (2..=3).contains(&n), "{sort}");
                }
            }
        }
    }
}
