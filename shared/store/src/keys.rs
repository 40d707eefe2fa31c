//! The formats of all keys. Other modules handle keys through the types of this module.

use tally_core::app::key::{KeyId, hex};
use tally_core::app::partition::Partition;
use tally_core::app::view::ViewOwner;
use tally_core::app::{AppId, AppSlug};
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::digest::sha256;
use tally_core::event::MAX_TEXT;
use tally_core::rejected::Reason;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{MINUTE, Timestamp};

/// Returns the partition key of an app's shard in Events and Counters: `shop#0`, or `shop~2#0` in the app's second
/// generation.
pub(super) fn partition(partition: &Partition) -> String {
    format!("{}#{}", partition.app, partition.shard)
}

/// Parses the output of [`partition`].
pub(super) fn read_partition(text: &str) -> Option<(Partition, AppSlug)> {
    let (app, shard) = text.rsplit_once('#')?;
    let (app, slug, _) = AppId::parse(app)?;
    let shard = shard.parse().ok()?;
    Some((Partition { app, shard }, slug))
}

/// Returns the `by_session` partition with a session's events.
pub(super) fn session(app: &AppId, session_id: &str) -> String {
    format!("{app}#{session_id}")
}

/// Returns the `by_user` partition with a user's events of one shard.
pub(super) fn user(shard: &Partition, user_id: &str) -> String {
    format!("{}#{user_id}", partition(shard))
}

/// Returns whether an event can have this session or user id. DynamoDB rejects keys longer than 2,048 bytes, so longer ids
/// are not looked up.
pub(super) fn can_be_indexed(id: &str) -> bool {
    id.len() <= MAX_TEXT
}

/// Returns the session id in a `by_session` key.
pub(super) fn session_id(key: &str) -> Option<&str> {
    key.split_once('#').map(|(_, session)| session)
}

/// Returns the letter of a granularity.
const fn granularity(granularity: Granularity) -> char {
    match granularity {
        Granularity::Minute => 'm',
        Granularity::Hour => 'h',
        Granularity::Day => 'd',
    }
}

/// Returns the text between the granularity letter and the first `#`, and the letter before the page number.
const fn kind_letters(kind: CounterKind) -> (&'static str, char) {
    match kind {
        CounterKind::Cells => ("", 'c'),
        CounterKind::Errors => ("e", 'e'),
        CounterKind::Messages => ("m", 'm'),
        CounterKind::Properties => ("p", 'p'),
    }
}

/// Returns the sort key of a counter item: `d#20261121#c0`, `de#20261121#e0` for errors, `dm#20261121#m0` for
/// messages, `dp#20261121#p0` for properties.
pub(super) fn counter(key: &CounterKey) -> String {
    let (infix, letter) = kind_letters(key.kind);
    format!("{}{infix}#{}#{letter}{}", granularity(key.bucket.granularity()), key.bucket, key.page)
}

/// Returns the keys of a counter item as one text: the partition key, a space and the sort key.
pub fn counter_keys(key: &CounterKey) -> String {
    format!("{} {}", partition(&key.partition), counter(key))
}

/// Parses the bucket and page from the sort key of a counter item with a known kind and granularity.
pub(super) fn read_counter(kind: CounterKind, granularity: Granularity, sort: &str) -> Option<(Bucket, u16)> {
    let mut parts = sort.split('#');
    let (_, bucket, page) = (parts.next()?, parts.next()?, parts.next()?);
    let (_, letter) = kind_letters(kind);
    Some((Bucket::parse(granularity, bucket)?, page.strip_prefix(letter)?.parse().ok()?))
}

/// Returns the sort key range of all pages of the buckets from `first` to `last`.
pub(super) fn counter_range(kind: CounterKind, first: Bucket, last: Bucket) -> (String, String) {
    let granularity = granularity(first.granularity());
    let (infix, _) = kind_letters(kind);
    // `~` sorts after all digits of a page number.
    (format!("{granularity}{infix}#{first}#"), format!("{granularity}{infix}#{last}#~"))
}

/// Returns the sort key of the sketches of an hour or a day: `uh#2026112110`, `ud#20261121`. They are in the partition of the
/// counters of their shard.
pub(super) fn distinct(bucket: Bucket) -> String {
    format!("u{}#{bucket}", granularity(bucket.granularity()))
}

/// Parses the output of [`distinct`].
pub(super) fn read_distinct(sort: &str) -> Option<Bucket> {
    let (letters, bucket) = sort.split_once('#')?;
    let granularity =
        Granularity::ALL.into_iter().find(|one| letters.strip_prefix('u') == Some(&*granularity(*one).to_string()));
    Bucket::parse(granularity?, bucket)
}

/// Returns the Counters partition that points to the sketches of an app that have to be made anew.
pub(super) fn distinct_marks(app: &AppId) -> String {
    format!("~distinct#{app}")
}

/// Returns the sort key of a pointer to sketches: `3 uh#2026112110`.
pub(super) fn distinct_mark(shard: u16, bucket: Bucket) -> String {
    format!("{shard} {}", distinct(bucket))
}

/// Parses the output of [`distinct_mark`].
pub(super) fn read_distinct_mark(sort: &str) -> Option<(u16, Bucket)> {
    let (shard, bucket) = sort.split_once(' ')?;
    Some((shard.parse().ok()?, read_distinct(bucket)?))
}

/// Returns the Counters partition with an app's dead letters. App names never start with `~`.
pub(super) fn dead_letters(app: Option<&AppId>) -> String {
    format!("~set-aside#{}", app.map_or("", AppId::as_str))
}

/// Returns the Counters partition with the days on which an app's counters lack events.
pub(super) fn uncounted(app: &AppId) -> String {
    format!("~uncounted#{app}")
}

/// Returns the Counters partition with the met barriers of an owner.
pub(super) fn barriers(owner: &str) -> String {
    format!("~fences#{owner}")
}

/// The Counters partition with the stream shards that continue another one.
pub(super) const STREAM_SHARDS: &str = "~stream-shards";

/// Returns the Counters partition with the state of an app's recounts.
pub(super) fn recount(app: &AppId) -> String {
    format!("~recount#{app}")
}

/// Returns the Salts partition of a UTC day: `salt#20261121`.
pub(super) fn salt(day: Bucket) -> String {
    format!("salt#{day}")
}

/// Returns the Counters partition with an app's rejected events. IAM lets `ingest` update these alone.
pub(super) fn rejected(app: &AppId) -> String {
    format!("~rejected#{app}")
}

/// Returns the sort key of a kind of rejected events.
pub(super) fn rejected_kind(source: &str, reason: Reason) -> String {
    format!("{source}#{reason}")
}

/// Returns the Counters partition with the names that an app is known to use.
pub(super) fn names(app: &AppId) -> String {
    format!("~names#{app}")
}

/// Returns the sort key of a known name.
pub(super) fn name(name: u64) -> String {
    format!("n#{name:016x}")
}

/// Parses the output of [`name`].
pub(super) fn read_name(sort: &str) -> Option<u64> {
    u64::from_str_radix(sort.strip_prefix("n#")?, 16).ok()
}

/// Returns the sort key of the number of a day's new names.
pub(super) fn names_of_day(day: Bucket) -> String {
    format!("d#{day}")
}

/// Returns the Counters partition with the other ids of an app's users, by those ids.
pub(super) fn identities(app: &AppId) -> String {
    format!("~identities#{app}")
}

/// Returns the Counters partition with an app's issues, by group.
pub(super) fn issues(app: &AppId) -> String {
    format!("~issues#{app}")
}

/// Returns the Counters partition with the issues of an app that are new or open again, which nobody was told of yet.
pub(super) fn issue_news(app: &AppId) -> String {
    format!("~issue-news#{app}")
}

/// Returns the Counters partition with the releases that an app's errors have named.
pub(super) fn releases(app: &AppId) -> String {
    format!("~releases#{app}")
}

/// Returns the sort key, beside an app's accepted events, of those that a key has sent in a minute.
pub(super) fn quota_of_key(key: &KeyId, at: Timestamp) -> String {
    format!("k#{}#{}", key.as_str(), minute(at))
}

/// Returns the Counters partition with an app's accepted events per minute.
pub(super) fn quota(app: &AppId) -> String {
    format!("~quota#{app}")
}

/// Formats a minute as text that sorts by time.
pub(super) fn minute(at: Timestamp) -> String {
    format!("{:011}", (at.floor(MINUTE) - Timestamp::EPOCH) / MINUTE)
}

/// Returns the Apps partition of an app.
pub(super) fn app(slug: &AppSlug) -> String {
    format!("app#{slug}")
}

/// The sort key of the only item in a partition.
pub(super) const ALONE: &str = "-";

/// The Apps partition with the slugs of all apps as sort keys.
pub(super) const APP_LIST: &str = "apps";

/// Returns the Apps partition that maps a key to its app.
pub(super) fn key(id: &str) -> String {
    format!("key#{id}")
}

/// Returns the Apps partition with a subject's sign-in attempts.
pub(super) fn attempts(subject: &str) -> String {
    format!("sign-in#{subject}")
}

/// Returns the Apps partition with the saved views of an app.
pub(super) fn views(app: &AppId) -> String {
    format!("views#{app}")
}

/// Returns the Apps partition with what is kept of a funnel, under its token. IAM lets `people` put these alone.
pub(super) fn funnel(token: &str) -> String {
    format!("funnel#{token}")
}

/// Returns the sort key of a part.
pub(super) fn part(n: usize) -> String {
    format!("p#{n:04}")
}

/// Returns the Apps partition with the source maps of an app, by debug id. IAM lets `source-maps` write to these alone.
pub(super) fn source_maps(app: &AppId) -> String {
    format!("maps#{app}")
}

/// Returns the sort key of the views of an owner. DynamoDB rejects sort keys longer than 1,024 bytes, so the name of a user that
/// is long is hashed.
pub(super) fn views_of(owner: &ViewOwner) -> String {
    match owner {
        ViewOwner::App => "app".to_owned(),
        ViewOwner::User(name) if name.len() <= MAX_VIEW_USER => format!("user#{name}"),
        ViewOwner::User(name) => format!("hash#{}", hex(&sha256(name.as_bytes()))),
    }
}

/// The longest name of a user, in bytes, that is a part of a sort key.
const MAX_VIEW_USER: usize = 512;

/// The Apps partition with the private signing key. IAM lets only `admin` read it.
pub(super) const SIGNING_KEY: &str = "signing-key";

/// The Apps partition with the public keys, by key id.
pub(super) const PUBLIC_KEYS: &str = "public-keys";

/// The Apps partition with the sessions that were signed out, by the time from which none of their tokens is valid.
pub(super) const REVOKED_SESSIONS: &str = "revoked-sessions";

/// What one of several servers over the same tables does at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Counts the stream.
    Stream,
    /// Judges alerts, and tidies.
    Alerts,
}

/// The Apps partition of the leases.
pub(super) const LEASES: &str = "leases";

/// Returns the sort key of a lease.
pub(super) const fn lease(lease: Lease) -> &'static str {
    match lease {
        Lease::Stream => "stream",
        Lease::Alerts => "alerts",
    }
}

/// Returns the Apps partition of a code that signs a user in once.
pub(super) fn sign_in_code(id: &str) -> String {
    format!("sign-in-code#{id}")
}

/// Returns the sort key of a session that was signed out.
pub(super) fn revoked_session(until: Timestamp, sid: &str) -> String {
    format!("{:011}#{sid}", until.seconds())
}

/// Returns the sort key range of the sessions with tokens that may be valid after `now`.
pub(super) fn revoked_after(now: Timestamp) -> (String, String) {
    // `~` sorts after all digits.
    (format!("{:011}", now.seconds()), "~".to_owned())
}

/// Returns the session in a sort key.
pub(super) fn read_revoked_session(sort: &str) -> Option<&str> {
    sort.split_once('#').map(|(_, sid)| sid)
}

/// The Apps partition with the alert rules of all apps, and how far the rules of each app are judged.
pub(super) const ALERTS: &str = "alerts";

/// Returns the sort key of a rule. Without the rule's id it is the start of those of an app.
pub(super) fn alert_rule(app: &AppId, rule: &str) -> String {
    format!("{app}#{rule}")
}

/// Returns the Apps partition with what the alert rules of an app have told.
pub(super) fn alert_log(app: &AppId) -> String {
    format!("alert-log#{app}")
}

/// Returns the sort key of a transition: the rule, and which of its versions made it.
pub(super) fn alert_entry(rule: &str, version: u64) -> String {
    format!("{rule}#{version:010}")
}

/// Returns the sort key range of the transitions of a rule.
pub(super) fn alert_entries(rule: &str) -> (String, String) {
    // `~` sorts after all digits.
    (format!("{rule}#"), format!("{rule}#~"))
}

/// The Apps partition that points to the transitions that are still to be told, by when.
pub(super) const ALERTS_PENDING: &str = "alerts-pending";

/// Returns the sort key of a pointer.
pub(super) fn alert_pending(due: Timestamp, app: &AppId, entry: &str) -> String {
    format!("{:011}#{app}#{entry}", due.seconds().max(0))
}

/// Returns the sort key range of the pointers that are due.
pub(super) fn alerts_due(now: Timestamp) -> (String, String) {
    (String::from("0"), format!("{:011}#~", now.seconds().max(0)))
}

/// The Apps partition with the key that encrypts the channels of alert rules. IAM lets only `alerts` read it.
pub(super) const ALERT_KEY: &str = "alert-key";

/// The Apps partition with the key that signs links to charts. IAM lets only `alerts` write it, and `charts` read it.
pub(super) const CHART_LINK_KEY: &str = "chart-link-key";

/// The start of the sort keys of the heartbeats that were counted in a shard, beside its counters.
const HEARTBEAT: &str = "hb#";

/// Returns the sort key of the newest heartbeat of a stream shard that was counted.
pub(super) fn heartbeat(stream_shard: &str) -> String {
    format!("{HEARTBEAT}{stream_shard}")
}

/// Returns the sort key range of all of them.
pub(super) fn heartbeats() -> (String, String) {
    (HEARTBEAT.to_owned(), format!("{HEARTBEAT}~"))
}

/// Parses the output of [`heartbeat`].
pub(super) fn read_heartbeat(sort: &str) -> Option<&str> {
    sort.strip_prefix(HEARTBEAT)
}

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
        assert_eq!(counter(&key(CounterKind::Properties, Granularity::Hour)), "hp#2026112110#p3");
        assert_eq!((names(&partition.app).as_str(), name(255).as_str()), ("~names#shop~2", "n#00000000000000ff"));
        assert_eq!(read_name(&name(u64::MAX)), Some(u64::MAX));
        assert_eq!(names_of_day(Bucket::of(Granularity::Day, Timestamp::EPOCH)), "d#19700101");
        let id = KeyId::parse("0123456789ab").expect("an id");
        assert_eq!(quota_of_key(&id, Timestamp::EPOCH + 7 * MINUTE), "k#0123456789ab#00000000007");
        assert_eq!(rejected(&partition.app), "~rejected#shop~2");
        assert_eq!(identities(&partition.app), "~identities#shop~2");
        assert_eq!(revoked_session(Timestamp::from_seconds(1_795_255_705), "S"), "01795255705#S");
        assert_eq!((funnel("0a1b").as_str(), part(3).as_str()), ("funnel#0a1b", "p#0003"));
        assert_eq!(views(&partition.app), "views#shop~2");
        assert_eq!(source_maps(&partition.app), "maps#shop~2");
        assert_eq!(views_of(&ViewOwner::App), "app");
        assert_eq!(views_of(&ViewOwner::User("ann".to_owned())), "user#ann");
        assert_eq!(views_of(&ViewOwner::User("x".repeat(513))).len(), 5 + 64);
        assert_eq!(rejected_kind("posthog", Reason::InvalidTime), "posthog#invalid_time");
        assert_eq!(alert_rule(&partition.app, "0123456789ab"), "shop~2#0123456789ab");
        assert_eq!(alert_log(&partition.app), "alert-log#shop~2");
        let entry = alert_entry("0123456789ab", 7);
        assert_eq!(entry, "0123456789ab#0000000007");
        let due = Timestamp::from_seconds(1_795_255_705);
        let pending = alert_pending(due, &partition.app, &entry);
        assert_eq!(pending, "01795255705#shop~2#0123456789ab#0000000007");
        let (first, last) = alerts_due(due);
        assert!(first <= pending && pending <= last);
        assert!(alert_pending(due + tally_core::time::SECOND, &partition.app, &entry) > last);
        assert_eq!(heartbeat("shardId-1"), "hb#shardId-1");
        assert_eq!(read_heartbeat("hb#shardId-1"), Some("shardId-1"));
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
