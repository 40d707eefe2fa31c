//! The operations of this function, as the description of the API tells them.

use http::{Method, StatusCode};
use schemars::{SchemaGenerator, json_schema};
use tally_http::compat::seismo;
use tally_http::event::EventBody;
use tally_http::openapi::{
    DayInput, JSON, LevelInput, Operation, Parameter, ReplyDescription, TimeInput, app, key, number, number_or, one_of,
    text,
};

use crate::list::{DEFAULT_LIMIT, MAX_ATTRIBUTES, MAX_LIMIT, MAX_OFFSET, Reply};
use crate::seismo::MAX_EVENTS;
use crate::the_eye;

/// What this function's operations say of themselves.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    vec![list(schemas), one(schemas), seismo_list(schemas), list_of_the_eye(schemas)]
}

fn list_of_the_eye(schemas: &mut SchemaGenerator) -> Operation {
    let time = schemas.subschema_for::<TimeInput>();
    let bound = |name: &'static str, about: &str| Parameter::query(name, about, time.clone());
    Operation::new(Method::GET, "/the-eye/{key}/api/event", "listTheEye", "The Eye: lists events, the newest first")
        .about(
            "For The Eye's clients, which send a slash at the end of the path. A parameter that is not known changes \
             nothing, a `limit` or `offset` that is no number is none, a larger `limit` is cut.",
        )
        .takes([
            key("read"),
            Parameter::query("session_id", "Events of this session.", text()),
            Parameter::query("category", "Events of this category.", text()),
            Parameter::query("name", "Events of this name.", text()),
            bound("timestamp_after", "Events from this time on."),
            bound("timestamp_before", "Events up to this time, and of it."),
            bound("timestamp_start", "Another word for `timestamp_after`."),
            bound("timestamp_end", "Another word for `timestamp_before`."),
            Parameter::query(
                "limit",
                "Most events in a page.",
                number_or(the_eye::DEFAULT_LIMIT as u64, 1, MAX_LIMIT as u64),
            ),
            Parameter::query("offset", "Leaves out as many events.", number(0, MAX_OFFSET as u64)),
            Parameter::query("cursor", "Goes on where the page that gave it ended; a part of its links.", text()),
        ])
        .answers(StatusCode::OK, "A page of events.", schemas.subschema_for::<the_eye::Reply<'_>>())
}

fn list(schemas: &mut SchemaGenerator) -> Operation {
    let (level, time, day) = (
        schemas.subschema_for::<LevelInput>(),
        schemas.subschema_for::<TimeInput>(),
        schemas.subschema_for::<DayInput>(),
    );
    let attributes = json_schema!({
        "type": "object",
        "patternProperties": {"^attr\\..": {"type": "string"}},
        "additionalProperties": false,
        "maxProperties": MAX_ATTRIBUTES,
        "examples": [{"attr.plan": "pro"}],
    });
    Operation::new(Method::GET, "/apps/{app}/events", "listEvents", "Lists events")
        .about(
            "All filters combine. By time to the millisecond, then by id. A filter on `name`, `slug`, `category`, `level` \
             or `message` reads through the counters and may lack what was accepted in the last seconds; \
             `consistent=true` reads without them, strongly. A page may be short: `next` alone tells whether there is more. \
             A cursor holds its query: send it alone, or with a `limit`.",
        )
        .takes([
            app(),
            Parameter::query("name", "Events of this name.", text()),
            Parameter::query("event", "Another word for `name`.", text()),
            Parameter::query("slug", "Events of this slug.", text()),
            Parameter::query("category", "Events of this category.", text()),
            Parameter::query("level", "Events of this level.", level),
            Parameter::query("message", "Events of exactly this message.", text()),
            Parameter::query("session_id", "Events of this session.", text()),
            Parameter::query("user_id", "Events of this user.", text()),
            Parameter::query("since", "Events from this time on.", time.clone()),
            Parameter::query("until", "Events before this time.", time),
            Parameter::query("date", "Events of this day.", day),
            Parameter::query("tz", "The time zone of `date`, an IANA name; UTC where nothing is said.", text()),
            Parameter::query(
                "attributes",
                "Events whose `data` has this value at this path: `attr.PATH=value`, e.g. `attr.plan=pro`.",
                attributes,
            ),
            Parameter::query("order", "Newest or oldest first.", one_of(&["desc", "asc"])),
            Parameter::query("limit", "Most events in a page.", number_or(DEFAULT_LIMIT as u64, 1, MAX_LIMIT as u64)),
            Parameter::query("cursor", "Goes on where the page that gave it ended.", text()),
            Parameter::query("offset", "Leaves out as many events.", number(0, MAX_OFFSET as u64)),
            Parameter::query(
                "consistent",
                "Whether to read without counters, strongly.",
                json_schema!({"type": "boolean", "default": false}),
            ),
        ])
        .answers(StatusCode::OK, "A page of events.", schemas.subschema_for::<Reply<'_>>())
}

fn one(schemas: &mut SchemaGenerator) -> Operation {
    Operation::new(Method::GET, "/apps/{app}/events/{id}", "readEvent", "Reads one event, strongly consistent")
        .takes([app(), Parameter::path("id", "The event, by the `id` that Tally gave.", text())])
        .answers(StatusCode::OK, "The event.", schemas.subschema_for::<EventBody<'_>>())
}

fn seismo_list(schemas: &mut SchemaGenerator) -> Operation {
    let day = schemas.subschema_for::<DayInput>();
    let event = schemas.subschema_for::<seismo::SeismoEvent<'_>>();
    Operation::new(Method::GET, "/seismo/api/events/{app}", "seismoListEvents", "Lists events, as Seismo does")
        .about("Oldest first. Filters combine; other parameters are ignored. To users an app that is not there has no events.")
        .takes([
            app(),
            Parameter::query("event", "Events of this name.", text()),
            Parameter::query("id", "Events of this machine id (their `slug`).", text()),
            Parameter::query("date", "Events of this day, in UTC.", day),
            Parameter::query("cursor", "Goes on where the reply whose `Link` has it ended.", text()),
        ])
        .replies(ReplyDescription {
            status: StatusCode::OK,
            about: "All of them, as far as one reply may hold them.",
            content: vec![(JSON, json_schema!({"type": "array", "items": event, "maxItems": MAX_EVENTS}))],
            headers: vec![("Link", "Where there may be more: the address of the next of them, with `rel=\"next\"`.")],
        })
}
