//! The formats of all keys. Everything else handles keys as the types of this module.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::app::{AppId, AppSlug};
use crate::bucket::{Bucket, Grain};
use crate::event::MAX_TEXT;
use crate::level::Level;
use crate::time::{MINUTE, Timestamp};

/// One shard of an app: a partition of Events, and of Counters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition {
    /// The app.
    pub app: AppId,
    /// Which of its shards, from 0.
    pub shard: u16,
}

impl Partition {
    /// Reads a partition key of Events or Counters; with the slug and life of its app.
    pub fn parse(text: &str) -> Option<(Self, AppSlug, u32)> {
        let (app, shard) = text.rsplit_once('#')?;
        let (app, slug, life) = AppId::parse(app)?;
        let shard = shard.parse().ok()?;
        Some((Self { app, shard }, slug, life))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.app, self.shard)
    }
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

/// What a counter item counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CounterKind {
    /// Cells of no level, or of one below ERROR.
    Cells,
    /// Cells of ERROR and FATAL. Questions about errors, the rarest events and those most asked for, read these small
    /// items alone.
    Errors,
    /// Messages. Their items sort apart from those of cells, or a report would pay for reading them.
    Messages,
}

impl CounterKind {
    /// What counts the cells of a level.
    pub const fn of_cells(level: Option<Level>) -> Self {
        match level {
            Some(Level::Error | Level::Fatal) => Self::Errors,
            _ => Self::Cells,
        }
    }

    /// All that count cells which a level asks for; none asks for all levels.
    pub const fn that_count(level: Option<Level>) -> &'static [Self] {
        match level {
            None => &[Self::Cells, Self::Errors],
            Some(Level::Error | Level::Fatal) => &[Self::Errors],
            Some(_) => &[Self::Cells],
        }
    }

    /// The letter before the page.
    const fn letter(self) -> char {
        match self {
            Self::Cells => 'c',
            Self::Errors => 'e',
            Self::Messages => 'm',
        }
    }

    /// What stands between the grain and the first `#`.
    const fn infix(self) -> &'static str {
        match self {
            Self::Cells => "",
            Self::Errors => "e",
            Self::Messages => "m",
        }
    }
}

/// The key of a counter item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey {
    /// The shard it counts for.
    pub partition: Partition,
    /// What it counts.
    pub kind: CounterKind,
    /// When.
    pub bucket: Bucket,
    /// Which of the bucket's pages, from 0.
    pub page: u16,
}

impl CounterKey {
    /// The sort key: `d#20261121#c0`, `de#20261121#e0` for errors, `dm#20261121#m0` for messages.
    pub(super) fn sort(&self) -> String {
        format!(
            "{}{}#{}#{}{}",
            self.bucket.grain().letter(),
            self.kind.infix(),
            self.bucket,
            self.kind.letter(),
            self.page
        )
    }

    /// The bucket of a sort key that is known to be of this kind and grain.
    pub(super) fn bucket_of(kind: CounterKind, grain: Grain, sort: &str) -> Option<(Bucket, u16)> {
        let mut parts = sort.split('#');
        let (_, bucket, page) = (parts.next()?, parts.next()?, parts.next()?);
        Some((Bucket::parse(grain, bucket)?, page.strip_prefix(kind.letter())?.parse().ok()?))
    }
}

impl fmt::Display for CounterKey {
    /// The partition and the sort key, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.partition, self.sort())
    }
}

/// The sort keys between which all pages of the buckets from `first` to `last` lie.
pub(super) fn counter_range(kind: CounterKind, first: Bucket, last: Bucket) -> (String, String) {
    let grain = first.grain().letter();
    let infix = kind.infix();
    // `~` sorts after every digit of a page.
    (format!("{grain}{infix}#{first}#"), format!("{grain}{infix}#{last}#~"))
}

/// The partition of Counters that lists what could not be counted for an app. `~` begins no app's name.
pub(super) fn set_aside(app: Option<&AppId>) -> String {
    format!("~set-aside#{}", app.map_or("", AppId::as_str))
}

/// The partition of Counters that says which of the fences of an owner were met.
pub(super) fn fences(owner: &str) -> String {
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
    format!("{:011}", at.micros().div_euclid(MINUTE))
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
        assert_eq!(partition.to_string(), "shop~2#7");
        assert_eq!(Partition::parse("shop~2#7"), Some((partition.clone(), slug, 2)));
        let key = |kind, grain| CounterKey {
            partition: partition.clone(),
            kind,
            bucket: Bucket::of(grain, Timestamp::from_millis(1_795_255_705_000)),
            page: 3,
        };
        assert_eq!(key(CounterKind::Cells, Grain::Day).sort(), "d#20261121#c3");
        assert_eq!(key(CounterKind::Errors, Grain::Hour).sort(), "he#2026112110#e3");
        assert_eq!(key(CounterKind::Messages, Grain::Minute).sort(), "mm#202611211008#m3");
    }

    #[test]
    fn a_range_of_counters_holds_its_buckets_alone() {
        let day = |n: i64| Bucket::of(Grain::Day, Timestamp::EPOCH.plus(n * Grain::Day.micros()));
        let kinds = [CounterKind::Cells, CounterKind::Errors, CounterKind::Messages];
        for kind in kinds {
            let (from, to) = counter_range(kind, day(2), day(3));
            for n in 0..6 {
                for other in kinds {
                    let slug = AppSlug::of_name("a").expect("a name");
                    let partition = Partition { app: AppId::new(&slug, 1), shard: 0 };
                    let sort = CounterKey { partition, kind: other, bucket: day(n), page: 63 }.sort();
                    assert_eq!(from <= sort && sort <= to, kind == other && (2..=3).contains(&n), "{sort}");
                }
            }
        }
    }
}
