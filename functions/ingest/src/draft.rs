//! One event as JSON, read into a draft.

use serde_json::value::RawValue;
use tally::event::{Draft, MAX_COUNT, MAX_DEPTH, MAX_EVENT};
use tally::http::body::{Fields, invalid};
use tally::invalid::Invalid;
use tally::json::{self, Json, Kind};
use tally::time::{TimeError, Timestamp};

/// Reads an event.
///
/// # Errors
/// Names each field that is of a wrong type, unknown, or said twice.
pub(crate) fn read(raw: &RawValue) -> Result<Draft, Invalid> {
    if raw.get().len() > MAX_EVENT {
        return Err(Invalid::field("", format!("the event is larger than {MAX_EVENT} bytes: send less of it")));
    }
    let mut fields = Fields::of(json::object(raw).map_err(invalid)?);
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

fn free(fields: &mut Fields<'_>, name: &str) -> Option<Json> {
    let raw = fields.raw(name)?;
    fields.keep(name, json::value(raw, MAX_DEPTH))
}
