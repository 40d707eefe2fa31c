//! The operations of this function, as the description of the API tells them.

use http::{Method, StatusCode};
use schemars::{Schema, SchemaGenerator, json_schema};
use tally_core::app::MAX_NAME;
use tally_core::app::key::{MAX_KEYS, Scope};
use tally_core::app::layout::MAX_PARTS;
use tally_http::openapi::{JSON, Operation, Parameter, ReplyDescription, TimeInput, app, text};

use crate::apps::{AppBody, List, MAX_QUOTA, MAX_RETENTION};
use crate::auth::{self, MAX_PASSWORD, MAX_TOKEN};
use crate::keys::{self, MAX_LABEL};
use crate::{dead_letters, erase, health, recount, root, signing_keys};

/// What this function's operations say of themselves.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let mut operations = vec![
        Operation::new(Method::GET, "/", "about", "Name and version").answers(
            StatusCode::OK,
            "Tally.",
            schemas.subschema_for::<root::Reply>(),
        ),
        Operation::new(Method::GET, "/health", "health", "Whether the store answers")
            .about("For load balancers and monitors. Takes no credentials.")
            .answers(StatusCode::OK, "It does.", schemas.subschema_for::<health::Reply>())
            .refuses([StatusCode::SERVICE_UNAVAILABLE]),
        Operation::new(Method::GET, "/openapi.json", "description", "This description").answers(
            StatusCode::OK,
            "An OpenAPI document.",
            json_schema!({"type": "object"}),
        ),
        sign_in(schemas, "/auth", "signIn", "Signs in a user"),
        sign_in(schemas, "/seismo/auth", "seismoSignIn", "Signs in a user, for clients of Seismo"),
    ];
    operations.extend(apps(schemas));
    operations.extend(erasing(schemas));
    operations.extend(recounting(schemas));
    operations.extend(keys(schemas));
    operations
}

fn sign_in(schemas: &mut SchemaGenerator, path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    let body = json_schema!({"oneOf": [
        {
            "type": "object",
            "properties": {
                "username": text(),
                "password": {"type": "string", "minLength": 1, "format": "password"},
                "token": {"enum": ["", null]},
            },
            "required": ["username", "password"],
            "additionalProperties": false,
        },
        {
            "type": "object",
            "properties": {
                "token": {"type": "string", "pattern": "^[!-~]+$", "maxLength": MAX_TOKEN, "format": "password"},
                "username": {"enum": ["", null]},
                "password": {"enum": ["", null]},
            },
            "required": ["token"],
            "additionalProperties": false,
        },
    ]});
    Operation::new(Method::POST, path, id, summary)
        .about(format!(
            "By user name and password (at most {MAX_PASSWORD} bytes), or by a GitHub personal token. Gives an access \
             token, in the reply and as the cookie `token`. After 10 failures in 15 minutes of one user, or from one \
             source, it is refused for a while."
        ))
        .body(JSON, body)
        .replies(ReplyDescription {
            status: StatusCode::OK,
            about: "Who signed in.",
            content: vec![(JSON, schemas.subschema_for::<auth::Reply<'_>>())],
            headers: vec![("Set-Cookie", "The access token as the cookie `token`.")],
        })
        .refuses([StatusCode::UNAUTHORIZED, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::TOO_MANY_REQUESTS])
}

/// What an app's settings may be.
struct Settings {
    name: Schema,
    others: [(&'static str, Schema); 4],
}

impl Settings {
    fn new() -> Self {
        let nullable = |about: &str, to: u64| json_schema!({"description": about, "type": ["integer", "null"], "minimum": 1, "maximum": to});
        Self {
            name: json_schema!({
                "description": "What people call the app: letters, digits, spaces, `-`, `_` and `.`.",
                "type": ["string", "null"],
                "maxLength": MAX_NAME,
                "examples": ["Shop"],
            }),
            others: [
                (
                    "clock",
                    json_schema!({
                        "description": "Which clock orders and counts its events: `event` (the client's) where nothing is \
                            said, or `received` (the server's).",
                        "enum": ["event", "received", "", null],
                    }),
                ),
                (
                    "retention_days",
                    nullable("Days after which events expire; null keeps them for ever.", MAX_RETENTION),
                ),
                ("shards", nullable("Over how many partitions its events are spread.", u64::from(MAX_PARTS))),
                (
                    "events_per_minute",
                    nullable("Events accepted per minute of the server's clock; null sets no limit.", MAX_QUOTA),
                ),
            ],
        }
    }

    /// An object of these; with `name` where it does not stand in the path.
    fn object(self, name: bool, required: &[&str]) -> Schema {
        let named = name.then_some(("name", self.name));
        let properties: Vec<_> = named.into_iter().chain(self.others).collect();
        let properties: serde_json::Map<_, _> =
            properties.into_iter().map(|(name, schema)| (name.to_owned(), schema.into())).collect();
        json_schema!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }
}

fn apps(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let one = schemas.subschema_for::<AppBody<'_>>();
    let made = |operation: Operation| {
        operation
            .about("Makes an app and its ingest key, which is shown only now.")
            .answers(StatusCode::CREATED, "The app, with its ingest key.", one.clone())
            .refuses([StatusCode::CONFLICT, StatusCode::PAYLOAD_TOO_LARGE])
    };
    let page = json_schema!({"type": "string", "minLength": 1});
    vec![
        Operation::new(Method::GET, "/apps", "listApps", "Lists apps, by `id`")
            .takes([Parameter::query("next", "The `next` of the page before.", page)])
            .answers(StatusCode::OK, "A page of apps.", schemas.subschema_for::<List<'_>>()),
        made(
            Operation::new(Method::POST, "/apps", "makeApp", "Makes an app")
                .body(JSON, Settings::new().object(true, &["name"])),
        ),
        made(
            Operation::new(Method::POST, "/apps/{app}", "makeAppByName", "Makes an app of the name in the path")
                .takes([Parameter::path("app", "What people call the app.", text())])
                .optional_body(JSON, Settings::new().object(false, &[])),
        ),
        Operation::new(Method::GET, "/apps/{app}", "readApp", "Reads an app's settings").takes([app()]).answers(
            StatusCode::OK,
            "The app.",
            one.clone(),
        ),
        Operation::new(Method::PATCH, "/apps/{app}", "changeApp", "Changes an app's settings")
            .about(
                "What is absent stays. `retention_days` and `shards` (only up) hold for events of times at least 24 h 10 min \
                 from now, as `pending` tells; `clock` changes only while the app has no events.",
            )
            .takes([app()])
            .optional_body(JSON, Settings::new().object(true, &[]))
            .answers(StatusCode::OK, "The app as it is now.", one)
            .refuses([StatusCode::CONFLICT, StatusCode::PAYLOAD_TOO_LARGE]),
    ]
}

fn keys(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let body = json_schema!({
        "type": "object",
        "properties": {
            "scopes": {
                "description": "What it may do: send events, read, or both.",
                "type": "array", "minItems": 1, "items": schemas.subschema_for::<Scope>(),
            },
            "label": {"description": "What people call it.", "type": ["string", "null"], "maxLength": MAX_LABEL},
        },
        "required": ["scopes"],
        "additionalProperties": false,
    });
    vec![
        Operation::new(Method::GET, "/apps/{app}/keys", "listKeys", "Lists an app's keys, without their secrets")
            .takes([app()])
            .answers(StatusCode::OK, "All its keys, the oldest first.", schemas.subschema_for::<keys::List<'_>>()),
        Operation::new(Method::POST, "/apps/{app}/keys", "makeKey", "Makes a key of an app")
            .about(format!("The key is shown only now. An app has at most {MAX_KEYS}."))
            .takes([app()])
            .body(JSON, body)
            .answers(StatusCode::CREATED, "The key.", schemas.subschema_for::<keys::KeyBody<'_>>())
            .refuses([StatusCode::CONFLICT, StatusCode::PAYLOAD_TOO_LARGE]),
        Operation::new(Method::DELETE, "/apps/{app}/keys/{key_id}", "revokeKey", "Revokes a key of an app")
            .takes([app(), Parameter::path("key_id", "The key, by its `id`.", text())])
            .replies(ReplyDescription {
                status: StatusCode::NO_CONTENT,
                about: "It is refused within 60 seconds everywhere.",
                content: vec![],
                headers: vec![],
            }),
        Operation::new(Method::POST, "/signing-keys", "rotateSigningKey", "Rotates the key that signs access tokens")
            .about("Tokens in use stay good until they expire.")
            .optional_body(JSON, json_schema!({"type": "object", "additionalProperties": false}))
            .answers(StatusCode::CREATED, "The new key.", schemas.subschema_for::<signing_keys::Reply>())
            .refuses([StatusCode::CONFLICT, StatusCode::PAYLOAD_TOO_LARGE]),
    ]
}

fn erasing(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let erased = schemas.subschema_for::<erase::Reply>();
    vec![
        Operation::new(Method::DELETE, "/apps/{app}", "eraseApp", "Erases an app and all that is of it")
            .about(
                "Works at most 20 seconds a call: repeat it until `done`, which takes some minutes. Within a minute of the \
                 first call the app is gone for everybody else, and its keys stop.",
            )
            .takes([app()])
            .answers(StatusCode::ACCEPTED, "How far it is.", erased.clone())
            .refuses([StatusCode::NOT_FOUND]),
        Operation::new(Method::DELETE, "/apps/{app}/events", "eraseEvents", "Erases the events of a session or a user")
            .about("Works at most 20 seconds a call: repeat it with `next` until `done`. The counters follow.")
            .takes([
                app(),
                Parameter::query("session_id", "The session; this or `user_id` must be sent.", text()),
                Parameter::query("user_id", "The user; this or `session_id` must be sent.", text()),
                Parameter::query("next", "The `next` of the reply before.", text()),
            ])
            .answers(StatusCode::ACCEPTED, "How far it is.", erased),
        Operation::new(Method::DELETE, "/apps/{app}/events/{id}", "eraseEvent", "Erases one event")
            .takes([app(), Parameter::path("id", "The event, by the `id` that Tally gave.", text())])
            .replies(ReplyDescription {
                status: StatusCode::NO_CONTENT,
                about: "It is erased; the counters follow.",
                content: vec![],
                headers: vec![],
            }),
    ]
}

fn recounting(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let time = schemas.subschema_for::<TimeInput>();
    let day = |about: &str| json_schema!({"description": about, "anyOf": [time, {"const": ""}, {"type": "null"}]});
    let body = json_schema!({
        "type": "object",
        "properties": {
            "since": day("From the day of this time on; by default from the first none of whose events may have expired."),
            "until": day("To the day before which this time is; by default to now."),
            "next": {"description": "The `next` of the reply before, alone.", "type": ["string", "null"]},
        },
        "additionalProperties": false,
    });
    let found = schemas.subschema_for::<recount::Reply>();
    let over_days = |operation: Operation| {
        operation
            .takes([app()])
            .optional_body(JSON, body.clone())
            .answers(StatusCode::OK, "What was found so far.", found.clone())
            .refuses([StatusCode::CONFLICT, StatusCode::PAYLOAD_TOO_LARGE])
    };
    let next = json_schema!({"type": "string", "minLength": 1, "maxLength": dead_letters::MAX_NEXT});
    vec![
        over_days(Operation::new(
            Method::POST,
            "/apps/{app}/audit",
            "audit",
            "Compares the counters of whole days with the events that are stored",
        ))
        .about("Works at most 20 seconds a call: repeat it with `next` until that is null. Changes nothing."),
        over_days(Operation::new(
            Method::POST,
            "/apps/{app}/recount",
            "recount",
            "Corrects the counters of whole days to the events that are stored",
        ))
        .about("Works at most 20 seconds a call: repeat it with `next` until that is null."),
        Operation::new(
            Method::GET,
            "/apps/{app}/dead-letters",
            "listDeadLetters",
            "Lists the records of the stream that could not be counted",
        )
        .takes([app(), Parameter::query("next", "The `next` of the page before.", next)])
        .answers(StatusCode::OK, "A page of records.", schemas.subschema_for::<dead_letters::Reply>()),
    ]
}
