//! The operations of this function, as the description of the API tells them.

use http::{Method, StatusCode};
use schemars::{Schema, SchemaGenerator, json_schema};
use tally_core::event::{MAX_COUNT, MAX_TEXT};
use tally_http::compat::event_tracker::Envelope;
use tally_http::compat::seismo;
use tally_http::event::EventBody;
use tally_http::openapi::{JSON, Operation, Parameter, TimeInput, app, key, number_or, one_of};

use crate::body::{MAX_DECODED, MAX_EVENTS, MAX_SENT};
use crate::draft::{EventInput, free_schema};
use crate::events::BatchReply;
use crate::the_eye::{Success, TheEyeEventInput};

/// What this function's operations say of themselves.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let count_paths = [
        ("/apps/{app}/count", "countByQuery", "Counts occurrences of a name in the query"),
        ("/apps/{app}/count/{name}", "count", "Counts one occurrence of a name"),
        ("/apps/{app}/count/{name}/{n}", "countMany", "Counts occurrences of a name"),
    ];
    let counts = count_paths.map(|(path, id, summary)| count(schemas, path, id, summary));
    let mut operations = vec![send(schemas)];
    operations.extend(counts);
    operations.push(seismo_send(schemas));
    operations.push(send_to_the_eye(schemas));
    let event_tracker_paths = [
        (
            "/event-tracker/{key}/api/events/{name}",
            "countInEventTracker",
            "Event Tracker: counts one occurrence of a name",
        ),
        (
            "/event-tracker/{key}/api/events/{name}/{n}",
            "countManyInEventTracker",
            "Event Tracker: counts occurrences of a name",
        ),
    ];
    operations
        .extend(event_tracker_paths.map(|(path, id, summary)| count_in_event_tracker(schemas, path, id, summary)));
    operations
}

fn send_to_the_eye(schemas: &mut SchemaGenerator) -> Operation {
    let event = schemas.subschema_for::<TheEyeEventInput>();
    Operation::new(Method::POST, "/the-eye/{key}/api/event", "sendToTheEye", "The Eye: takes in one event")
        .about("For The Eye's clients, which send a slash at the end of the path.")
        .takes([key("ingest")])
        .body(JSON, event)
        .answers(StatusCode::CREATED, "Stored.", schemas.subschema_for::<Success>())
        .refuses([StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE, StatusCode::TOO_MANY_REQUESTS])
}

fn count_in_event_tracker(
    schemas: &mut SchemaGenerator,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    let number =
        path.ends_with("{n}").then(|| Parameter::path("n", "How many occurrences.", number_or(1, 1, MAX_COUNT)));
    Operation::new(Method::POST, path, id, summary)
        .takes([key("ingest"), Parameter::path("name", NAME_IN_PATH, name())])
        .takes(number)
        .answers(StatusCode::CREATED, "CounterLabel: `response` is 201.", schemas.subschema_for::<Envelope<u16>>())
        .refuses([StatusCode::TOO_MANY_REQUESTS])
}

const NAME_IN_PATH: &str = "What happened. It may hold slashes, sent as they are: a last segment of digits is the number, all \
                            before it the name.";

fn name() -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_TEXT})
}

fn send(schemas: &mut SchemaGenerator) -> Operation {
    let one = schemas.subschema_for::<EventInput>();
    let list = json_schema!({"type": "array", "items": one, "minItems": 1, "maxItems": MAX_EVENTS});
    let mut lines = list.clone();
    lines.insert("description".to_owned(), "One event a line.".into());
    let body = json_schema!({"oneOf": [one, list]});
    let unnamed = json_schema!({
        "description": "The same JSON, as browsers' `sendBeacon` sends it.",
        "type": "string",
        "contentMediaType": JSON,
    });
    let event = schemas.subschema_for::<EventBody<'_>>();
    let batch = schemas.subschema_for::<BatchReply>();
    Operation::new(Method::POST, "/apps/{app}/events", "sendEvents", "Takes in one event, or a batch")
        .about(format!(
            "One event as an object, or up to {MAX_EVENTS} as a list or as NDJSON, each with its own verdict; {MAX_SENT} \
             bytes as sent and {MAX_DECODED} once decompressed. A body without a content type is read as JSON. Two events \
             are the same when their `id` and the millisecond of their time are: the later one overwrites the earlier, \
             and it counts once, so a retry with both is safe. A batch none of whose events is good is refused with 400, \
             one of which nothing could be stored with 503."
        ))
        .takes([
            app(),
            Parameter::header("Content-Encoding", "How the body is compressed.", one_of(&["identity", "gzip", "zstd"])),
        ])
        .body(JSON, body)
        .body("application/x-ndjson", lines)
        .body("text/plain", unnamed)
        .answers(
            StatusCode::CREATED,
            "Stored: the event as it was stored, or of a batch the ids.",
            json_schema!({"anyOf": [event, batch]}),
        )
        .answers(StatusCode::MULTI_STATUS, "Some events of the batch were stored; `rejected` names the others.", batch)
        .refuses([StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE, StatusCode::TOO_MANY_REQUESTS])
}

fn count(schemas: &mut SchemaGenerator, path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    let number = number_or(1, 1, MAX_COUNT);
    let time = schemas.subschema_for::<TimeInput>();
    let id_schema = json_schema!({"type": "string", "maxLength": MAX_TEXT});
    let mut operation = Operation::new(Method::POST, path, id, summary)
        .about("Makes one event without a body, which stands for as many occurrences.")
        .takes([app()]);
    let in_path = |part: &str| path.contains(part);
    operation = operation.takes([
        if in_path("{name}") {
            Parameter::path("name", NAME_IN_PATH, name())
        } else {
            Parameter::query("name", "What happened.", name()).required()
        },
        if in_path("{n}") {
            Parameter::path("n", "How many occurrences.", number)
        } else {
            Parameter::query("n", "How many occurrences.", number)
        },
    ]);
    let event = schemas.subschema_for::<EventBody<'_>>();
    operation
        .takes([
            Parameter::query("id", "The client's own id, for safe retries; as of an event.", id_schema),
            Parameter::query("timestamp", "When it happened; now where nothing is said.", time),
        ])
        .answers(StatusCode::CREATED, "The event as it was stored.", event)
        .refuses([StatusCode::TOO_MANY_REQUESTS])
}

fn seismo_send(schemas: &mut SchemaGenerator) -> Operation {
    let name = json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_TEXT});
    let body = json_schema!({
        "type": "object",
        "properties": {
            "event": {
                "description": "What happened: its name, or its machine id and its name.",
                "oneOf": [name, {
                    "type": "object",
                    "properties": {"id": {"type": ["string", "null"], "maxLength": MAX_TEXT}, "event": name},
                    "required": ["event"],
                }],
            },
            "data": free_schema(),
        },
        "required": ["event"],
        "examples": [{"event": {"id": "app-start", "event": "application started"}, "data": {"plan": "pro"}}],
    });
    Operation::new(Method::POST, "/seismo/api/events/{app}", "seismoSendEvent", "Takes in one event, as Seismo does")
        .about("An admin's token makes the app where it is not there. Other fields are ignored.")
        .takes([app()])
        .body(JSON, body)
        .answers(StatusCode::CREATED, "The event as it was stored.", schemas.subschema_for::<seismo::SeismoEvent<'_>>())
        .refuses([StatusCode::CONFLICT, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::TOO_MANY_REQUESTS])
}
