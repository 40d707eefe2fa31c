//! `POST /signing-keys`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::time::{TimeDelta, Timestamp};
use tally_http::body::JsonBody;
use tally_http::openapi::{JSON, Operation};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::ROTATE_SIGNING_KEY;
use tally_http::service::Shared;

/// How long after its last token has expired a key still checks tokens: a sign-in may be under way with
/// the old key while it is rotated.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

/// The result of a rotation.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SigningKey")]
struct RotatedKey {
    /// The id of the key that signs from now on.
    kid: String,
    /// The time until which tokens of the previous key are valid.
    previous_until: Timestamp,
}

pub(crate) async fn rotate(
    State(context): Shared,
    _: NoQuery,
    JsonBody(()): JsonBody<()>,
) -> Result<Response, Problem> {
    let until = context.clock.now() + context.config.token_lifetime + MARGIN;
    let key = tally_service::auth::token::rotate_signing_key(&context.store, until).await?;
    let key = key.ok_or_else(|| Problem::Conflict("another rotation was made just now: use that one".to_owned()))?;
    context.tokens.expect_a_new_key();
    json(StatusCode::CREATED, &RotatedKey { kid: key.kid, previous_until: until })
}

pub(crate) fn rotate_operation(schemas: &mut SchemaGenerator) -> Operation {
    Operation::of(&ROTATE_SIGNING_KEY, "rotateSigningKey", "Rotates the key that signs access tokens")
        .about("Tokens in use stay valid until they expire.")
        .optional_body(JSON, json_schema!({"type": "object", "additionalProperties": false}))
        .answers_with::<RotatedKey>(schemas, StatusCode::CREATED, "The new key.")
        .refuses([StatusCode::CONFLICT])
}
