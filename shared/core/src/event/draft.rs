//! Events as clients send them, checked against every limit.

use uuid::{Uuid, Variant};

use crate::app::layout::MAX_AHEAD;
use crate::app::{App, EventClock};
use crate::event::id::EventId;
use crate::event::json::Json;
use crate::event::{Event, IDENTIFY, LOG, MAX_COUNT, MAX_MESSAGE, MAX_TEXT};
use crate::invalid::{Invalid, Problems};
use crate::time::Timestamp;

/// Maximum bytes of `data`, `tags` and `stack` together, as DynamoDB counts them: 400 KB less what the other fields, keys
/// and names may take. JSON may be denser than an item (a list of digits grows by half).
const MAX_FREE: usize = (400 - 16) * 1024;

/// What an event keeps that was exported from a Tally and comes back: only admins may say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its identity.
    pub id: EventId,
    /// When it was accepted first.
    pub received_at: Timestamp,
}

/// An event as a client sent it, not yet checked. An empty text is an absent field.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)] // the fields of an event
pub struct Draft {
    pub id: Option<String>,
    pub name: Option<String>,
    pub slug: Option<String>,
    pub category: Option<String>,
    pub level: Option<String>,
    pub message: Option<String>,
    pub session_id: Option<String>,
    pub user_id: Option<String>,
    pub alias: Option<String>,
    pub fingerprint: Option<String>,
    pub timestamp: Option<Timestamp>,
    pub count: Option<u64>,
    pub data: Option<Json>,
    pub tags: Option<Json>,
    pub stack: Option<Json>,
    /// Of an event that was exported. Its `id` is then the client's id, and nothing is made up for what it lacks.
    pub kept: Option<Kept>,
}

impl Draft {
    /// About the bytes of its texts and values.
    pub fn size(&self) -> usize {
        let Self { id, name, slug, category, level, message, session_id, user_id, alias, fingerprint, .. } = self;
        let texts = [id, name, slug, category, level, message, session_id, user_id, alias, fingerprint];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        texts + self.free().map(Json::stored_size).sum::<usize>()
    }

    /// The number of its JSON values.
    pub fn values(&self) -> usize {
        self.free().map(Json::values).sum()
    }

    fn free(&self) -> impl Iterator<Item = &Json> {
        [&self.data, &self.tags, &self.stack].into_iter().flatten()
    }

    /// The anonymous id that a native event names for its user.
    fn anonymous_id(&self) -> Option<String> {
        let has_user = self.user_id.as_ref().is_some_and(|user| !user.is_empty());
        match (self.name.as_deref(), &self.data) {
            (Some(IDENTIFY), Some(Json::Object(fields))) if has_user => match fields.get("anonymous_id")? {
                Json::String(text) => Some(text.clone()),
                Json::Number(number) => Some(number.as_str().to_owned()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Checks every limit and gives the event its identity.
    ///
    /// # Errors
    /// Names each field that is wrong and what to send instead.
    pub fn accept(self, app: &App, now: Timestamp) -> Result<Event, Invalid> {
        let anonymous = (self.alias.is_none() && self.kept.is_none()).then(|| self.anonymous_id()).flatten();
        let mut problems = Problems::default();
        let mut text = |field: &str, value: Option<String>, limit: usize| {
            let value = value.filter(|v| !v.is_empty())?;
            if value.len() > limit {
                problems.add(field, format!("{} bytes: at most {limit}", value.len()));
            }
            Some(value)
        };
        let client_id = text("id", self.id, MAX_TEXT);
        let name = text("name", self.name, MAX_TEXT);
        let slug = text("slug", self.slug, MAX_TEXT);
        let category = text("category", self.category, MAX_TEXT);
        let message = text("message", self.message, MAX_MESSAGE);
        let session_id = text("session_id", self.session_id, MAX_TEXT);
        let user_id = text("user_id", self.user_id, MAX_TEXT);
        let alias = text("data.anonymous_id", self.alias.or(anonymous), MAX_TEXT);
        let alias = alias.filter(|alias| user_id.as_ref() != Some(alias));
        let fingerprint = text("fingerprint", self.fingerprint, MAX_TEXT);
        if name.as_ref().is_some_and(|name| name.chars().all(|c| c.is_whitespace() || c.is_control())) {
            problems.add("name", "only white space or control characters: send a name that can be read");
        }
        let level = self.level.filter(|level| !level.is_empty());
        let level = level.and_then(|level| problems.keep("level", level.parse()));
        let count = self.count.unwrap_or(1);
        if !(1..=MAX_COUNT).contains(&count) {
            problems.add("count", format!("must be a whole number from 1 to {MAX_COUNT}"));
        }
        let stored: usize = [&self.data, &self.tags, &self.stack].into_iter().flatten().map(Json::stored_size).sum();
        if stored > MAX_FREE {
            problems
                .add("data", format!("`data`, `tags` and `stack` take {stored} bytes as stored: at most {MAX_FREE}"));
        }
        let name = name.unwrap_or_else(|| {
            if message.is_none() {
                problems.add("name", "missing: send a `name` or a `message`");
            }
            LOG.to_owned()
        });
        let received_at = self.kept.as_ref().map_or(now, |kept| kept.received_at);
        let identity = match self.kept {
            Some(kept) => identify_kept(app, now, &kept, self.timestamp, &mut problems),
            None => identify(app, now, client_id.as_deref(), self.timestamp, &mut problems),
        };
        problems.check()?;
        Ok(Event {
            id: identity.id,
            client_id,
            slug: slug.unwrap_or_else(|| derive_slug(&name)),
            name,
            category,
            level,
            message,
            session_id,
            user_id,
            alias,
            fingerprint,
            timestamp: identity.timestamp,
            received_at,
            count,
            data: self.data,
            tags: self.tags,
            stack: self.stack,
        })
    }
}

/// The name in lower case with `-` for white space.
fn derive_slug(name: &str) -> String {
    let slug = name.to_lowercase().split_whitespace().collect::<Vec<_>>().join("-");
    if slug.is_empty() { "-".to_owned() } else { slug }
}

struct Identity {
    id: EventId,
    timestamp: Timestamp,
}

/// Two events are the same when their client's id and the millisecond of their time are; so an id needs a time with it,
/// or must name one itself.
fn identify(
    app: &App,
    now: Timestamp,
    client_id: Option<&str>,
    timestamp: Option<Timestamp>,
    problems: &mut Problems,
) -> Identity {
    // By the server's clock an id is only kept, and names no time.
    let telling = client_id.filter(|_| app.clock == EventClock::Event);
    let ulid = telling.and_then(|id| id.parse::<EventId>().ok());
    let named = ulid.map(EventId::at).or_else(|| telling.and_then(uuid_v7_time));
    let (at, field) = match (timestamp, named) {
        (Some(at), _) => (at, "timestamp"),
        (None, Some(at)) => (at, "id"),
        (None, None) => (now, "timestamp"),
    };
    check_time(app, now, at, field, problems);
    let id = match (app.clock, client_id, ulid) {
        (EventClock::Received, _, _) => EventId::random(now),
        (EventClock::Event, None, _) => EventId::random(at),
        (EventClock::Event, Some(_), Some(ulid)) if ulid.at().millis() == at.millis() => ulid,
        (EventClock::Event, Some(id), _) => {
            if timestamp.is_none() && named.is_none() {
                problems.add(
                    "timestamp",
                    "missing: an `id` makes a retry safe only together with a time; send `timestamp`, or an `id` that is a ULID or UUIDv7",
                );
            }
            EventId::of_client_id(at, id)
        }
    };
    Identity { id, timestamp: at }
}

/// The identity of an event that was exported, which names the time by which its app orders events.
fn identify_kept(
    app: &App,
    now: Timestamp,
    kept: &Kept,
    timestamp: Option<Timestamp>,
    problems: &mut Problems,
) -> Identity {
    let timestamp = timestamp.unwrap_or_else(|| {
        problems.add("timestamp", "missing: an exported event has one");
        kept.received_at
    });
    check_time(app, now, timestamp, "timestamp", problems);
    let received_at = kept.received_at;
    if !(Timestamp::EPOCH..=now + MAX_AHEAD).contains(&received_at) {
        problems.add("received_at", format!("{received_at} is no time at which an event was accepted until {now}"));
    }
    let (at, field) = match app.clock {
        EventClock::Event => (timestamp, "timestamp"),
        EventClock::Received => (received_at, "received_at"),
    };
    if app.clock == EventClock::Received && app.layout.too_old(at, now) {
        problems.add(field, format!("{at} is older than the app keeps events: see its `retention_days`"));
    }
    if kept.id.at().millis() != at.millis() {
        problems.add("id", format!("names another millisecond than `{field}`: import into an app of the same `clock`"));
    }
    Identity { id: kept.id, timestamp }
}

fn check_time(app: &App, now: Timestamp, at: Timestamp, field: &str, problems: &mut Problems) {
    if at < Timestamp::EPOCH {
        problems.add(field, format!("{at} is before 1970: send a later time"));
    } else if at > now + MAX_AHEAD {
        problems.add(
            field,
            format!("{at} is more than a day ahead of the server, whose clock says {now}: check the sender's clock"),
        );
    } else if app.clock == EventClock::Event && app.layout.too_old(at, now) {
        problems.add(field, format!("{at} is older than the app keeps events: see its `retention_days`"));
    }
}

/// The time that an id names by itself, where it is a ULID or a UUID of version 7.
pub fn named_time(id: &str) -> Option<Timestamp> {
    id.parse().map(EventId::at).ok().or_else(|| uuid_v7_time(id))
}

/// The time that a UUID of version 7 names.
fn uuid_v7_time(text: &str) -> Option<Timestamp> {
    let uuid = Uuid::try_parse(text).ok()?;
    let uuid = Some(uuid).filter(|uuid| uuid.get_version_num() == 7 && uuid.get_variant() == Variant::RFC4122)?;
    let (millis, _) = uuid.as_u64_pair();
    i64::try_from(millis >> 16).ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::layout::Layout;
    use crate::event::json;
    use crate::time::{DAY, MICROSECOND, MILLISECOND, TimeDelta};

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_123_456);

    fn app(clock: EventClock) -> App {
        App::new("Shop", clock, Layout::new(1, Some(30)), NOW).expect("a name")
    }

    fn named(name: &str) -> Draft {
        Draft { name: Some(name.into()), ..Draft::default() }
    }

    fn refused(draft: Draft) -> String {
        draft.accept(&app(EventClock::Event), NOW).expect_err("a refusal").to_string()
    }

    #[test]
    fn silence_about_time_means_now() {
        let event = named("Page  View").accept(&app(EventClock::Event), NOW).expect("valid");
        assert_eq!((event.timestamp, event.received_at, event.count), (NOW, NOW, 1));
        assert_eq!(event.id.at().millis(), NOW.millis());
        assert_eq!(event.slug, "page-view");
    }

    #[test]
    fn a_message_alone_is_a_log() {
        let draft = Draft { message: Some("boom".into()), name: Some(String::new()), ..Draft::default() };
        assert_eq!(draft.accept(&app(EventClock::Event), NOW).map(|e| e.name).as_deref(), Ok("log"));
        assert!(refused(Draft::default()).contains("`name`: missing"));
    }

    #[test]
    fn an_id_and_its_millisecond_are_one_event() {
        let draft = |id: &str, at: Option<Timestamp>| Draft { id: Some(id.into()), timestamp: at, ..named("a") };
        let id = |draft: Draft| draft.accept(&app(EventClock::Event), NOW).map(|e| e.id).expect("valid");
        assert_eq!(id(draft("x", Some(NOW))), id(draft("x", Some(NOW + TimeDelta::microseconds(400)))));
        assert_ne!(id(draft("x", Some(NOW))), id(draft("y", Some(NOW))));

        let ulid = EventId::of_client_id(NOW, "z").to_string();
        assert_eq!(id(draft(&ulid, None)).to_string(), ulid, "a ULID is kept as it is");
        assert_eq!(id(draft(&ulid, Some(NOW))).to_string(), ulid, "its own time changes nothing");
        assert_ne!(id(draft(&ulid, Some(NOW + 5 * MILLISECOND))).to_string(), ulid);

        let uuid = "018bcfe5-687b-7abc-8def-0123456789ab";
        assert_eq!(id(draft(uuid, None)).at(), Timestamp::from_millis(1_700_000_000_123));
        assert!(refused(draft("x", None)).contains("`timestamp`: missing"));
        assert!(refused(draft("018bcfe5-687b-4abc-8def-0123456789ab", None)).contains("UUIDv7"));
    }

    #[test]
    fn by_the_servers_clock_a_retry_is_a_new_event() {
        let draft = || Draft { id: Some("x".into()), timestamp: Some(NOW - 90 * DAY), ..named("a") };
        let one = draft().accept(&app(EventClock::Received), NOW).expect("valid");
        let two = draft().accept(&app(EventClock::Received), NOW).expect("valid");
        assert_ne!(one.id, two.id);
        assert_eq!((one.id.at().millis(), one.client_id.as_deref()), (NOW.millis(), Some("x")));
        for id in ["ffffffffffff7fffffffffffffffffff", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"] {
            let draft = Draft { id: Some(id.into()), ..named("a") };
            assert!(draft.accept(&app(EventClock::Received), NOW).is_ok(), "an id is only kept");
        }
    }

    #[test]
    fn an_event_that_identifies_somebody_has_their_other_id() {
        let alias = |name: &str, user: Option<&str>, data: &str| {
            let data = json::document(data.as_bytes()).and_then(|raw| json::value(raw, 4)).expect("JSON");
            let draft = Draft { user_id: user.map(str::to_owned), data: Some(data), ..named(name) };
            draft.accept(&app(EventClock::Event), NOW).map(|event| event.alias)
        };
        let anonymous = r#"{"anonymous_id": "a"}"#;
        assert_eq!(alias(IDENTIFY, Some("ann"), anonymous), Ok(Some("a".to_owned())));
        assert_eq!(alias(IDENTIFY, Some("ann"), r#"{"anonymous_id": 7}"#), Ok(Some("7".to_owned())));
        for (name, user, data) in [
            (IDENTIFY, None, anonymous),
            (IDENTIFY, Some("a"), anonymous),
            ("identify", Some("ann"), anonymous),
            (IDENTIFY, Some("ann"), r#"{"anonymous_id": ""}"#),
            (IDENTIFY, Some("ann"), r#"{"anonymous_id": null}"#),
            (IDENTIFY, Some("ann"), "{}"),
        ] {
            assert_eq!(alias(name, user, data), Ok(None), "{name} {user:?} {data}");
        }
        let long = format!(r#"{{"anonymous_id": "{}"}}"#, "x".repeat(MAX_TEXT + 1));
        let Invalid(errors) = alias(IDENTIFY, Some("ann"), &long).expect_err("a refusal");
        assert_eq!(errors[0].field, "data.anonymous_id");
    }

    #[test]
    fn an_exported_event_keeps_its_identity_and_when_it_was_accepted() {
        let then = NOW - DAY;
        let id = EventId::random(then);
        let draft = |at: Timestamp, received_at| Draft {
            id: Some("x".into()),
            timestamp: Some(at),
            kept: Some(Kept { id, received_at }),
            data: Some(Json::Object([("anonymous_id".to_owned(), Json::String("a".into()))].into())),
            user_id: Some("ann".into()),
            ..named(IDENTIFY)
        };
        let event = draft(then, NOW - MILLISECOND).accept(&app(EventClock::Event), NOW).expect("valid");
        assert_eq!((event.id, event.client_id.as_deref()), (id, Some("x")));
        assert_eq!((event.timestamp, event.received_at), (then, NOW - MILLISECOND));
        assert_eq!(event.alias, None, "nothing is made up");
        let event = draft(NOW - 2 * DAY, then).accept(&app(EventClock::Received), NOW).expect("valid");
        assert_eq!((event.id, event.received_at), (id, then));
        let fields = |draft: Draft, clock| {
            let Invalid(errors) = draft.accept(&app(clock), NOW).expect_err("a refusal");
            errors.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        assert_eq!(fields(draft(then + MILLISECOND, then), EventClock::Event), ["id"]);
        assert_eq!(fields(draft(then, then + MILLISECOND), EventClock::Received), ["id"]);
        assert_eq!(fields(draft(then, NOW + 2 * DAY), EventClock::Event), ["received_at"]);
        assert_eq!(fields(Draft { timestamp: None, ..draft(then, then) }, EventClock::Event), ["timestamp"]);
        let old = NOW - 31 * DAY;
        assert_eq!(fields(draft(old, NOW), EventClock::Event), ["timestamp", "id"]);
        assert_eq!(fields(draft(then, old), EventClock::Received), ["received_at", "id"]);
    }

    #[test]
    fn every_limit_names_its_field() {
        let long = "é".repeat(200);
        let draft = Draft {
            id: Some(long.clone()),
            name: Some(long.clone()),
            slug: Some(long.clone()),
            category: Some(long.clone()),
            session_id: Some(long.clone()),
            user_id: Some(long.clone()),
            fingerprint: Some(long.clone()),
            message: Some("x".repeat(MAX_MESSAGE + 1)),
            level: Some("LOUD".into()),
            count: Some(0),
            timestamp: Some(NOW + DAY + MICROSECOND),
            ..Draft::default()
        };
        let Invalid(errors) = draft.accept(&app(EventClock::Event), NOW).expect_err("a refusal");
        let fields: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "id",
                "name",
                "slug",
                "category",
                "message",
                "session_id",
                "user_id",
                "fingerprint",
                "level",
                "count",
                "timestamp"
            ]
        );
        for at in [Timestamp::EPOCH - MICROSECOND, NOW - 30 * DAY - MICROSECOND] {
            assert!(refused(Draft { timestamp: Some(at), ..named("a") }).starts_with("`timestamp`"));
        }
        let dense = Json::Array(vec![Json::Array(vec![]); 100_000]);
        assert!(refused(Draft { tags: Some(dense), ..named("a") }).starts_with("`data`: `data`, `tags`"));
        let far = EventId::first_at(NOW + 2 * DAY).to_string();
        assert!(refused(Draft { id: Some(far), ..named("a") }).starts_with("`id`"));
    }
}
