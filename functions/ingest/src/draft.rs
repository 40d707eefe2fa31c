//! One event as JSON, read into a draft.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self, Json, Kind};
use tally_core::event::{MAX_COUNT, MAX_DEPTH, MAX_EVENT, MAX_MESSAGE, MAX_TEXT};
use tally_core::invalid::Invalid;
use tally_core::time::{TimeError, Timestamp};
use tally_http::body::{Fields, invalid};
use tally_http::openapi::{LevelInput, TimeInput};

/// Reads an event.
///
/// # Errors
/// Names each field that is of a wrong type, unknown, or said twice.
pub(crate) fn read(raw: &RawValue) -> Result<Draft, Invalid> {
    let mut fields = fields(raw)?;
    let mut draft = Draft {
        id: fields.text("id"),
        name: fields.text("name"),
        slug: fields.text("slug"),
        category: fields.text("category"),
        level: fields.text("level"),
        message: fields.text("message"),
        session_id: fields.text("session_id"),
        user_id: fields.text("user_id"),
        timestamp: time(&mut fields, "timestamp"),
        count: fields.number("count", 1, MAX_COUNT),
        data: free(&mut fields, "data"),
        tags: free(&mut fields, "tags"),
        stack: free(&mut fields, "stack"),
    };
    if let Some(at) = time(&mut fields, "occurred_at")
        && draft.timestamp.replace(at).is_some()
    {
        fields.add("occurred_at", "means the same as `timestamp`: send one of them");
    }
    if let Some(event) = fields.raw("event") {
        name_by_event(&mut fields, &mut draft, event);
    }
    fields.finish("put it in `data`")?;
    Ok(draft)
}

/// The fields of an event that is not too large.
pub(crate) fn fields(raw: &RawValue) -> Result<Fields<'_>, Invalid> {
    if raw.get().len() > MAX_EVENT {
        return Err(Invalid::field("", format!("the event is larger than {MAX_EVENT} bytes: send less of it")));
    }
    Ok(Fields::of(json::object(raw).map_err(invalid)?))
}

/// `event` is another word for the name: a text, or an object of slug and name.
fn name_by_event(fields: &mut Fields<'_>, draft: &mut Draft, event: &RawValue) {
    let (slug, name) = if json::kind(event) == Kind::Object {
        let Some(parts) = fields.keep("event", json::object(event)) else { return };
        let mut parts = Fields::of(parts);
        let read = (either(&mut parts, "id", "slug"), either(&mut parts, "event", "name"));
        if let Err(Invalid(errors)) = parts.finish("`event` has `id` or `slug`, and `event` or `name`") {
            for error in errors {
                fields.add(&format!("event.{}", error.field), error.detail);
            }
        }
        read
    } else {
        let name = fields.keep("event", json::string(event));
        (None, name.filter(|name| !name.is_empty()))
    };
    for (field, kept, said) in [("slug", &mut draft.slug, slug), ("name", &mut draft.name, name)] {
        if said.is_some() && kept.is_some() {
            fields.add("event", format!("gives the {field} a second time: send one of them"));
        }
        *kept = kept.take().or(said);
    }
}

fn either(parts: &mut Fields<'_>, one: &str, other: &str) -> Option<String> {
    let (a, b) = (parts.text(one), parts.text(other));
    if a.is_some() && b.is_some() {
        parts.add(other, format!("means the same as `{one}`: send one of them"));
    }
    a.or(b)
}

fn time(fields: &mut Fields<'_>, name: &str) -> Option<Timestamp> {
    let raw = fields.raw(name)?;
    time_of(fields, name, raw)
}

/// The time that a field has.
pub(crate) fn time_of(fields: &mut Fields<'_>, name: &str, raw: &RawValue) -> Option<Timestamp> {
    let read = match json::kind(raw) {
        Kind::String => {
            let text = fields.keep(name, json::string(raw)).filter(|text| !text.is_empty())?;
            text.parse()
        }
        Kind::Number => raw.get().parse().map_err(|_| TimeError).and_then(Timestamp::from_unix),
        _ => Err(TimeError),
    };
    read.map_err(|e| fields.add(name, e)).ok()
}

pub(crate) fn free(fields: &mut Fields<'_>, name: &str) -> Option<Json> {
    let raw = fields.raw(name)?;
    free_of(fields, name, raw)
}

/// The free JSON that a field has.
pub(crate) fn free_of(fields: &mut Fields<'_>, name: &str, raw: &RawValue) -> Option<Json> {
    fields.keep(name, json::value(raw, MAX_DEPTH))
}

/// What [`free`] takes.
pub(crate) fn free_schema() -> Schema {
    json_schema!({
        "description": format!(
            "Free JSON, up to {MAX_DEPTH} levels deep; no key empty or repeated; numbers of at most 38 digits \
             within \u{b1}1e125."
        ),
    })
}

/// What [`read`] takes.
pub(crate) struct EventInput;

impl JsonSchema for EventInput {
    fn schema_name() -> Cow<'static, str> {
        "EventInput".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let text = |about: &str, most: usize| json_schema!({"description": about, "type": ["string", "null"], "maxLength": most});
        let mut time = |about: &str| {
            let forms = schemas.subschema_for::<TimeInput>();
            json_schema!({
                "description": about,
                "anyOf": [forms, {"type": "number", "minimum": 0}, {"const": ""}, {"type": "null"}],
            })
        };
        let (timestamp, occurred_at) = (
            time(
                "When it happened; now where nothing is said. At most a day ahead, and not older than the app's retention.",
            ),
            time("Another word for `timestamp`."),
        );
        let level = schemas.subschema_for::<LevelInput>();
        json_schema!({
            "description": format!(
                "An event as it is sent. An empty text is an absent field. Limits of length are in bytes of UTF-8; the whole \
                 event takes at most {MAX_EVENT} bytes."
            ),
            "type": "object",
            "properties": {
                "id": text(
                    "The client's own id: with a time it makes a retry safe, as two events of the same id and millisecond \
                     are the same. Without `timestamp` it must be a ULID or UUIDv7.",
                    MAX_TEXT,
                ),
                "name": text("What happened.", MAX_TEXT),
                "event": {
                    "description": "Another word for `name`, or the slug and the name at once.",
                    "oneOf": [
                        text("The name.", MAX_TEXT),
                        {
                            "type": "object",
                            "properties": {
                                "id": text("Another word for `slug`.", MAX_TEXT),
                                "slug": text("The machine id of the name.", MAX_TEXT),
                                "event": text("Another word for `name`.", MAX_TEXT),
                                "name": text("What happened.", MAX_TEXT),
                            },
                            "additionalProperties": false,
                        },
                    ],
                },
                "slug": text("The machine id of the name; by default the name in lower case with dashes.", MAX_TEXT),
                "category": text("What kind of thing happened.", MAX_TEXT),
                "level": {"description": "How grave it is.", "anyOf": [level, {"const": ""}, {"type": "null"}]},
                "message": text("A text for people; an event without a name but with a message is a `log`.", MAX_MESSAGE),
                "session_id": text("The session it happened in.", MAX_TEXT),
                "user_id": text("The user it happened to.", MAX_TEXT),
                "timestamp": timestamp,
                "occurred_at": occurred_at,
                "count": {
                    "description": "How many occurrences it stands for; 1 where nothing is said.",
                    "type": ["integer", "null"],
                    "minimum": 1,
                    "maximum": MAX_COUNT,
                },
                "data": free_schema(),
                "tags": free_schema(),
                "stack": free_schema(),
            },
            "additionalProperties": false,
            "anyOf": [{"required": ["name"]}, {"required": ["event"]}, {"required": ["message"]}],
            "examples": [{"name": "application started", "level": "INFO", "data": {"plan": "pro"}}],
        })
    }
}
