//! One event of `PostHog` as an event of Tally.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tally_core::event::draft::{Draft, named_time};
use tally_core::event::json::{self, Json, Kind};
use tally_core::event::level::Level;
use tally_core::event::{MAX_EVENT, MAX_MESSAGE};
use tally_core::rejected::{Reason, Refusal, shortened};
use tally_core::time::{DAY, MILLISECOND, Timestamp};
use tally_http::families::Family;

use crate::compat::fields::{Fields, object, scalar};
use crate::compat::posthog::exception;
use crate::compat::raised::title;
use crate::compat::record_id::{RecordIds, is_finer_than_a_second};
use crate::compat::sanitize::{self, pick, short};

/// Most characters of a user's id, as `PostHog` keeps it.
const MAX_USER: usize = 200;
/// The name of an event that carries exceptions.
const EXCEPTION: &str = "$exception";
/// The name of a part of a session replay.
const SNAPSHOT: &str = "$snapshot";

/// The key that an event carries.
pub(super) fn token(raw: &RawValue) -> Option<String> {
    let [properties, api_key, token, dollar_token] = pick(raw, ["properties", "api_key", "token", "$token"]);
    let of_properties = properties.and_then(|properties| {
        let [token] = pick(properties, ["token"]);
        token
    });
    [of_properties, api_key, token, dollar_token].into_iter().flatten().find_map(scalar)
}

/// The id of an event, as sent.
pub(super) fn uuid(raw: &RawValue) -> Option<String> {
    let [uuid] = pick(raw, ["uuid"]);
    uuid.and_then(scalar).filter(|uuid| !uuid.is_empty())
}

/// An event as it was sent.
pub(super) struct Record<'a> {
    raw: &'a RawValue,
    fields: Fields<'a>,
    properties: Fields<'a>,
}

impl<'a> Record<'a> {
    /// Reads an event.
    ///
    /// # Errors
    /// Where it is not an object.
    pub(super) fn of(raw: &'a RawValue) -> Result<Self, Refusal> {
        if json::kind(raw) != Kind::Object {
            return Err(Refusal::new(Reason::Unreadable, "an event must be an object"));
        }
        let mut fields = Fields::of(raw);
        let properties = fields.take_object("properties").unwrap_or_else(|| Fields::of(RawValue::NULL));
        Ok(Self { raw, fields, properties })
    }

    /// How its time is written, if it has one of its own.
    fn time(&self) -> Option<String> {
        let text = self.fields.get("timestamp").map(|raw| scalar(raw).unwrap_or_else(|| raw.get().to_owned()));
        text.filter(|text| !text.trim().is_empty())
    }

    /// Its own time. A corrected one, by the time at which the request was sent, would be another one at every attempt.
    fn happened(&self, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
        if let Some(text) = self.time() {
            let at = text.trim().parse();
            let at = at.map_err(|_| {
                let start = shortened(&text);
                Refusal::new(Reason::InvalidTime, format!("`timestamp` is neither RFC 3339 nor Unix time: {start}"))
            })?;
            return Ok(Some(at));
        }
        // Old libraries tell how many milliseconds ago it happened.
        let ago = self.fields.get("offset").and_then(scalar).and_then(|offset| offset.parse::<u32>().ok());
        let ago = ago.map(|ago| i64::from(ago) * MILLISECOND).filter(|ago| *ago <= 30 * DAY);
        Ok(ago.map(|ago| now - ago))
    }

    /// Its identity: its own id, or what tells it apart. In the latter case also whether its time is finer than a second.
    pub(super) fn identity(&self, ids: &mut RecordIds) -> (Option<String>, Option<bool>) {
        match (uuid(self.raw), self.time()) {
            (Some(uuid), _) => (Some(sanitize::distinct(uuid)), None),
            (None, Some(time)) => {
                (Some(ids.id(Family::PostHog, b"", self.raw.get().as_bytes())), Some(is_finer_than_a_second(&time)))
            }
            (None, None) => (None, None),
        }
    }

    /// The event of Tally. Its identity is its own id and its own time, which are the same at every attempt. `now` is the
    /// time of one that has none, and `library` the name and version of a library that are not in its events.
    ///
    /// # Errors
    /// Where it has no time that can be read, is too large, or is a session replay.
    pub(super) fn draft(
        self,
        now: Timestamp,
        library: Option<(&str, &str)>,
        id: Option<String>,
    ) -> Result<Draft, Refusal> {
        let timestamp = self.happened(now)?;
        let Self { raw: _, mut fields, mut properties } = self;
        let name = fields.take_text("event");
        if name.as_deref() == Some(SNAPSHOT) {
            return Err(Refusal::new(
                Reason::NotOffered,
                "session replays are not kept: switch them off in the library",
            ));
        }
        let timestamp = timestamp.or_else(|| match id.as_deref().and_then(named_time) {
            Some(_) => None,
            None => Some(now),
        });

        properties.take("token");
        // The address of a person.
        properties.take("$ip");
        let options = fields.take_object("options");
        let profile = options.and_then(|mut options| options.take_text("process_person_profile"));
        let profile = profile.or_else(|| properties.take_text("$process_person_profile"));
        let distinct = ["distinct_id", "$distinct_id"].into_iter().find_map(|name| fields.take_text(name));
        let in_properties = properties.take_text("distinct_id");
        let distinct = distinct.or(in_properties).map(|id| id.chars().take(MAX_USER).collect::<String>());
        let (user_id, anonymous) = match profile.as_deref() {
            Some("false") => (None, distinct),
            _ => (distinct, None),
        };
        // Of somebody without a profile nothing is known but this id, until a user has it.
        let alias = match name.as_deref() {
            _ if anonymous.is_some() => None,
            Some("$identify") => properties.get("$anon_distinct_id"),
            Some("$create_alias") => properties.get("alias"),
            _ => None,
        };
        let alias = alias.and_then(scalar).map(|id| id.chars().take(MAX_USER).collect::<String>());
        let alias = alias.or_else(|| anonymous.clone());
        let session_id = properties.take_text("$session_id");
        let session_id = fields.take_text("session_id").or(session_id);
        let (lib, version) = (properties.take_text("$lib"), properties.take_text("$lib_version"));
        let lib = lib.or(fields.take_text("library")).or(library.map(|(name, _)| name.to_owned()));
        let version =
            version.or(fields.take_text("library_version")).or(library.map(|(_, version)| version.to_owned()));

        let mut draft = Draft {
            id,
            name: short(name),
            category: short(lib.clone()),
            session_id: short(session_id),
            user_id: short(user_id),
            alias: short(alias),
            timestamp,
            ..Draft::default()
        };
        if draft.name.as_deref() == Some(EXCEPTION) {
            describe_exception(&mut draft, &mut properties);
        }
        let mut data = properties.rest();
        let mut put = |name: &str, value: Option<Json>| {
            if let Some(value) = value {
                data.entry(name.to_owned()).or_insert(value);
            }
        };
        put("distinct_id", anonymous.map(Json::String));
        put("$window_id", fields.take_text("window_id").map(Json::String));
        for (sent, kept) in [("$set", "$set"), ("$set_once", "$set_once"), ("groups", "$groups")] {
            put(kept, fields.take(sent).map(sanitize::nested));
        }
        draft.data = object(data);
        let tags = [("lib", lib), ("lib_version", version)].into_iter();
        let tags: BTreeMap<_, _> =
            tags.filter_map(|(name, text)| Some((name.to_owned(), Json::String(text?)))).collect();
        draft.tags = object(tags);
        let size: usize = [&draft.data, &draft.tags, &draft.stack].into_iter().flatten().map(Json::stored_size).sum();
        if size > MAX_EVENT {
            return Err(Refusal::new(
                Reason::TooLarge,
                format!("its properties take {size} bytes: at most {MAX_EVENT}"),
            ));
        }
        Ok(draft)
    }
}

/// Makes an event of exceptions one that can be read and grouped.
fn describe_exception(draft: &mut Draft, properties: &mut Fields<'_>) {
    let exceptions = properties.take("$exception_list").map(exception::read).unwrap_or_default();
    // Before there were lists.
    let mut old = |name: &str| properties.take_text(name);
    let (kind, value) = (old("$exception_type"), old("$exception_message"));
    let message = exceptions.message().or_else(|| title(kind.as_deref(), value.as_deref()));
    let level = properties.take_text("$exception_level").filter(|level| level.parse::<Level>().is_ok());
    let own = properties.take_text("$exception_fingerprint");
    let fingerprint = own.or_else(|| exceptions.grouping()).or(kind);
    draft.level = Some(level.unwrap_or_else(|| Level::Error.to_string()));
    draft.message = message.map(|message| sanitize::cut(message, MAX_MESSAGE));
    draft.fingerprint = fingerprint.map(sanitize::distinct);
    draft.stack = exceptions.stack();
}

#[cfg(test)]
mod tests {
    use tally_core::event::MAX_TEXT;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_255_705_123_456);

    fn draft(event: &str) -> Result<Draft, Refusal> {
        let raw = json::document(event.as_bytes()).expect("JSON");
        let record = Record::of(raw)?;
        let (id, is_fine) = record.identity(&mut RecordIds::default());
        record.draft(NOW, None, id.filter(|_| is_fine != Some(false)))
    }

    fn text(json: Option<&Json>) -> String {
        serde_json::to_string(&json).expect("JSON")
    }

    #[test]
    fn an_event_is_mapped_field_by_field() {
        let sent = r#"{"event":"clicked","uuid":"019ab1a7-0000-7000-8000-000000000000","distinct_id":7,
            "timestamp":"2026-11-21T10:00:00.5Z","$set":{"plan":"pro"},"unknown":1,"properties":{"token":"t","$ip":"1.2.3.4",
            "$session_id":"s","$window_id":"w","$lib":"web","$lib_version":"1.449.2","":1,"a":{"b":[1,null]},"z":null}}"#;
        let draft = draft(sent).expect("an event");
        assert_eq!(draft.name.as_deref(), Some("clicked"));
        assert_eq!(draft.user_id.as_deref(), Some("7"));
        assert_eq!(draft.session_id.as_deref(), Some("s"));
        assert_eq!(draft.category.as_deref(), Some("web"));
        assert_eq!(draft.timestamp, "2026-11-21T10:00:00.5Z".parse().ok());
        assert_eq!(text(draft.data.as_ref()), r#"{"$set":{"plan":"pro"},"$window_id":"w","a":{"b":[1,null]}}"#);
        assert_eq!(text(draft.tags.as_ref()), r#"{"lib":"web","lib_version":"1.449.2"}"#);
        assert_eq!((draft.level, draft.message, draft.stack), (None, None, None));
    }

    #[test]
    fn somebody_without_a_profile_is_no_user() {
        for event in [
            r#"{"event":"a","properties":{"distinct_id":"d","$process_person_profile":false}}"#,
            r#"{"event":"a","distinct_id":"d","options":{"process_person_profile":false},"properties":{}}"#,
        ] {
            let draft = draft(event).expect("an event");
            assert_eq!(
                (draft.user_id, text(draft.data.as_ref()).as_str()),
                (None, r#"{"distinct_id":"d"}"#),
                "{event}"
            );
        }
        let long = format!(r#"{{"event":"a","distinct_id":"{}"}}"#, "é".repeat(300));
        assert_eq!(draft(&long).expect("an event").user_id.map(|id| id.len()), Some(MAX_TEXT));
    }

    #[test]
    fn identity_is_the_events_own_id_and_time() {
        let v7 = "019ab1a7-0000-7000-8000-000000000000";
        let times = |event: &str| draft(event).map(|draft| (draft.id, draft.timestamp)).expect("an event");
        assert_eq!(
            times(&format!(r#"{{"event":"a","uuid":"{v7}"}}"#)),
            (Some(v7.to_owned()), None),
            "it names its time"
        );
        let v4 = "00000000-0000-4000-8000-000000000000";
        assert_eq!(times(&format!(r#"{{"event":"a","uuid":"{v4}"}}"#)), (Some(v4.to_owned()), Some(NOW)));
        assert_eq!(times(r#"{"event":"a"}"#), (None, Some(NOW)));
        assert_eq!(times(r#"{"event":"a","offset":1500}"#).1, Some(NOW - 1_500 * MILLISECOND));
        assert_eq!(times(r#"{"event":"a","timestamp":"2026-11-21T10:00:00Z"}"#).0, None, "two may be the same second");
        let exact = r#"{"event":"a","timestamp":"2026-11-21T10:00:00.001+00:00"}"#;
        assert!(times(exact).0.is_some());
        assert_eq!(times(exact), times(exact));
        assert!(times(r#"{"event":"a","timestamp":1795255705123}"#).0.is_some());
        let long = format!(r#"{{"event":"a","uuid":"{}"}}"#, "x".repeat(300));
        assert_eq!(times(&long).0.map(|id| id.len()), Some(64));
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_its_reason() {
        let large = format!(r#"{{"event":"a","properties":{{"x":"{}"}}}}"#, "x".repeat(MAX_EVENT));
        for (event, reason) in [
            ("3", Reason::Unreadable),
            (r#"{"event":"a","timestamp":"soon"}"#, Reason::InvalidTime),
            (r#"{"event":"a","timestamp":[]}"#, Reason::InvalidTime),
            (r#"{"event":"$snapshot"}"#, Reason::NotOffered),
            (large.as_str(), Reason::TooLarge),
        ] {
            assert_eq!(draft(event).map_err(|refusal| refusal.reason), Err(reason), "{}", shortened(event));
        }
    }

    #[test]
    fn exceptions_say_what_and_where() {
        let draft = draft(
            r#"{"event":"$exception","properties":{"$exception_level":"fatal","$exception_list":[{"type":"TypeError",
            "value":"x is undefined","stacktrace":{"type":"raw","frames":[{"function":"main","filename":"https://a.example/app.js?v=1",
            "in_app":true},{"function":"each","filename":"lib.js","in_app":false}]}},{"type":"Error","value":"cause"}]}}"#,
        );
        let draft = draft.expect("an event");
        assert_eq!(draft.level.as_deref(), Some("fatal"));
        assert_eq!(draft.message.as_deref(), Some("TypeError: x is undefined"));
        assert_eq!(draft.fingerprint.as_deref(), Some("TypeError in /app.js:main"));
        assert!(text(draft.stack.as_ref()).starts_with(r#"[{"frames":[{"filename":"lib.js","function":"each""#));
        assert_eq!(draft.data, None);
    }

    #[test]
    fn an_exception_may_have_no_list_and_an_unknown_level() {
        let old = r#"{"event":"$exception","properties":{"$exception_type":"E","$exception_message":"m","$exception_level":"odd"}}"#;
        let draft = draft(old).expect("an event");
        assert_eq!((draft.level.as_deref(), draft.message.as_deref()), (Some("ERROR"), Some("E: m")));
        assert_eq!((draft.fingerprint.as_deref(), draft.stack), (Some("E"), None));
        let own = r#"{"event":"$exception","properties":{"$exception_fingerprint":"mine","$exception_list":[]}}"#;
        assert_eq!(super::tests::draft(own).expect("an event").fingerprint.as_deref(), Some("mine"));
    }
}
