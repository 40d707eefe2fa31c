//! One event as JSON, read into a draft.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::value::RawValue;
use tally_core::event::draft::{Draft, Kept};
use tally_core::event::id::EventId;
use tally_core::event::json::{self, Kind};
use tally_core::event::{MAX_COUNT, MAX_EVENT, MAX_MESSAGE, MAX_TEXT, MAX_VALUES};
use tally_core::invalid::Invalid;
use tally_http::body::{Fields, scalar};
use tally_http::openapi::{LevelInput, TimeInput, any_json};

/// Who sends an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A key, or a page.
    #[default]
    Anybody,
    /// An admin, who may also send back what was exported.
    Admin,
}

/// Reads an event.
///
/// # Errors
/// Names each field that has a wrong type, is unknown, or is sent twice.
pub(crate) fn read(raw: &RawValue, sender: Sender) -> Result<Draft, Invalid> {
    // A guess, for the size alone.
    let may_be_exported = sender == Sender::Admin && raw.get().contains("\"received_at\"");
    let mut fields = if may_be_exported { Fields::of_exported_event(raw)? } else { Fields::of_event(raw)? };
    let mut draft = Draft {
        id: fields.text_of_event("id"),
        name: fields.text_of_event("name"),
        slug: fields.text_of_event("slug"),
        category: fields.text_of_event("category"),
        level: fields.text_of_event("level"),
        message: fields.text_of_event("message"),
        session_id: fields.text_of_event("session_id"),
        user_id: fields.text_of_event("user_id"),
        alias: None,
        fingerprint: fields.text_of_event("fingerprint"),
        timestamp: fields.time("timestamp"),
        count: fields.number("count", 1, MAX_COUNT),
        data: fields.json("data"),
        tags: fields.json("tags"),
        stack: fields.json("stack"),
        kept: None,
    };
    if fields.was_sent("received_at") {
        match sender {
            Sender::Admin => take_exported(&mut fields, &mut draft),
            Sender::Anybody => {
                fields.raw("received_at");
                fields.add("received_at", "only an admin may send it, with an event that was exported: leave it out");
            }
        }
    }
    if let Some(at) = fields.time("occurred_at")
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

/// Reads what Tally has added to an event that was exported.
fn take_exported(fields: &mut Fields<'_>, draft: &mut Draft) {
    let received_at = fields.time("received_at");
    let id = draft.id.take().unwrap_or_default();
    let id = fields.keep("id", id.parse::<EventId>());
    draft.id = fields.text_of_event("client_id");
    draft.alias = fields.text_of_event("alias");
    // What a list of events names, and an export does not.
    fields.raw("app");
    draft.kept = id.zip(received_at).map(|(id, received_at)| Kept { id, received_at });
}

/// `event` is an alias of the name: a text, or an object of slug and name.
fn name_by_event(fields: &mut Fields<'_>, draft: &mut Draft, event: &RawValue) {
    let (slug, name) = if json::kind(event) == Kind::Object {
        let Some(parts) = fields.keep_json("event", json::object(event)) else { return };
        let mut parts = Fields::of(parts);
        let either = |parts: &mut Fields<'_>, name: &str, alias: &str| {
            let (one, other) = (parts.text_of_event(name), parts.text_of_event(alias));
            if one.is_some() && other.is_some() {
                parts.add(alias, format!("means the same as `{name}`: send one of them"));
            }
            one.or(other)
        };
        let read = (either(&mut parts, "id", "slug"), either(&mut parts, "event", "name"));
        fields.add_nested("event", parts.finish("`event` has `id` or `slug`, and `event` or `name`"));
        read
    } else {
        let name = fields.keep_json("event", scalar(event));
        (None, name.filter(|name| !name.is_empty()))
    };
    for (field, kept, said) in [("slug", &mut draft.slug, slug), ("name", &mut draft.name, name)] {
        if said.is_some() && kept.is_some() {
            fields.add("event", format!("repeats the {field}: send it once"));
        }
        *kept = kept.take().or(said);
    }
}

/// An event as clients send it; [`read`] reads it.
pub(crate) struct EventInput;

impl JsonSchema for EventInput {
    fn schema_name() -> Cow<'static, str> {
        "EventInput".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let text = |about: &str, most: usize| json_schema!({"description": about, "type": ["string", "number", "boolean", "null"], "maxLength": most});
        let mut time = |about: &str| {
            let forms = schemas.subschema_for::<TimeInput>();
            json_schema!({
                "description": about,
                "anyOf": [forms, {"type": "number", "minimum": 0}, {"type": "string", "const": ""}, {"type": "null"}],
            })
        };
        let (timestamp, occurred_at) = (
            time("When it happened; now by default. At most a day ahead, and within the retention of the app."),
            time("An alias of `timestamp`."),
        );
        let received_at = time(
            "When Tally accepted it, of an event that was exported. Only admins may send it. The event then keeps its `id`, so that it \
             is the same event, and `client_id`, `alias` and `app` may stand beside it.",
        );
        let level = schemas.subschema_for::<LevelInput>();
        json_schema!({
            "description": format!(
                "An event to send. An empty text counts as absent; a number, true or false for a text is taken as its text. \
                 Limits of length are in bytes of UTF-8; the whole event has at most {MAX_EVENT} bytes and {MAX_VALUES} JSON \
                 values."
            ),
            "type": "object",
            "properties": {
                "id": text(
                    "The client's own id. With a timestamp it makes a retry safe, since two events with the same id and \
                     millisecond are the same event. Without `timestamp` it must be a ULID or UUIDv7.",
                    MAX_TEXT,
                ),
                "name": text("What happened.", MAX_TEXT),
                "event": {
                    "description": "An alias of `name`, or the slug and the name together.",
                    "oneOf": [
                        text("The name.", MAX_TEXT),
                        {
                            "type": "object",
                            "properties": {
                                "id": text("An alias of `slug`.", MAX_TEXT),
                                "slug": text("The machine-readable form of the name.", MAX_TEXT),
                                "event": text("An alias of `name`.", MAX_TEXT),
                                "name": text("What happened.", MAX_TEXT),
                            },
                            "additionalProperties": false,
                        },
                    ],
                },
                "slug": text("The machine-readable form of the name; by default the name in lower case with dashes.", MAX_TEXT),
                "category": text("Category.", MAX_TEXT),
                "level": {"description": "Severity.", "anyOf": [level, {"type": "string", "const": ""}, {"type": "null"}]},
                "message": text("Message for people. An event with a message and no name has the name `log`.", MAX_MESSAGE),
                "session_id": text("The session it happened in.", MAX_TEXT),
                "user_id": text("The user it happened to.", MAX_TEXT),
                "fingerprint": text("What groups it with events of the same cause.", MAX_TEXT),
                "timestamp": timestamp,
                "occurred_at": occurred_at,
                "count": {
                    "description": "Number of occurrences; 1 by default.",
                    "type": ["integer", "null"],
                    "minimum": 1,
                    "maximum": MAX_COUNT,
                },
                "data": any_json("Attributes of the event, for filters and groups."),
                "tags": any_json("Labels."),
                "stack": any_json("Stack trace."),
                "received_at": received_at,
                "client_id": text("Of an exported event: the client's own id, where `id` is the one that Tally gave.", MAX_TEXT),
                "alias": text("Of an exported event: another id of its user.", MAX_TEXT),
                "app": text("Of an exported event: ignored.", MAX_TEXT),
            },
            "additionalProperties": false,
            // At least one of them. Generators take `anyOf` for a choice of types, and then lose the fields.
            "if": {"required": ["name"]},
            "else": {"if": {"required": ["event"]}, "else": {"required": ["message"]}},
            "examples": [{"name": "application started", "level": "INFO", "data": {"plan": "pro"}}],
        })
    }
}
