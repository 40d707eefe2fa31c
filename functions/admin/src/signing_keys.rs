//! `POST /signing-keys`

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::time::{TimeDelta, Timestamp};
use tally_http::body::{Fields, SMALL, read};
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;

/// How long after its last token has expired a key still checks tokens: a sign-in may be under way with the old key while
/// it is rotated.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

/// A key that was rotated.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SigningKey")]
pub(crate) struct Reply {
    /// Names the key that signs from now on.
    kid: String,
    /// Until when tokens of the one before are good.
    previous_until: Timestamp,
}

pub(crate) async fn rotate(State(context): Shared, RawQuery(query): RawQuery, body: Body) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    Fields::parse(&read(body, SMALL).await?)?.finish("send nothing")?;
    let until = context.clock.now() + context.config.token_lifetime + MARGIN;
    let key = tally_service::auth::token::rotate_signing_key(&context.store, until).await?;
    let key = key.ok_or_else(|| Problem::Conflict("another rotation was just made: it does as well".to_owned()))?;
    context.tokens.expect_a_new_key();
    json(StatusCode::CREATED, &Reply { kid: key.kid, previous_until: until })
}
