//! `GET /auth`, which says who calls, and `DELETE /auth`, which signs out

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::AppSlug;
use tally_core::app::key::Scope;
use tally_core::app::role::Role;
use tally_core::time::{TimeDelta, Timestamp};
use tally_http::guard::{Caller, OwnPage, Session, Target};
use tally_http::limits::Limited;
use tally_http::openapi::{Operation, ReplyDescription};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::{READ_SESSION, SIGN_OUT};
use tally_http::service::Shared;
use tally_service::auth::sessions::SignOutError;
use tally_service::auth::token::signing_key;
use tally_service::context::Context;

use crate::auth::set_cookie;
use crate::keys::Bounds;

/// The user whose token calls.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UserSession")]
struct UserBody<'a> {
    user: &'a str,
    role: Role,
    /// When the token expires: the new one, where this call renewed it.
    expires_at: Timestamp,
    /// The new token; only where the old one came in a header and was renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

/// The key that calls.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeySession")]
struct KeySession<'a> {
    /// The app, by its `id`.
    app: &'a AppSlug,
    /// The app's name.
    app_name: &'a str,
    label: Option<&'a str>,
    scopes: &'a [Scope],
    #[serde(flatten)]
    bounds: Bounds<'a>,
}

/// `GET /auth`
pub(crate) async fn read(
    State(context): Shared,
    caller: Caller,
    app: Option<Target>,
    session: Option<Session>,
    page: OwnPage,
    Limited(limits): Limited,
    _: NoQuery,
) -> Result<Response, Problem> {
    if let Some(session) = session {
        return of_user(&context, page, &session).await;
    }
    let Some(Target(app)) = app else { return Err(Problem::Internal("neither a user nor a key calls".to_owned())) };
    let Caller::Key(id) = caller else { return Err(Problem::Internal("a caller without a session".to_owned())) };
    let key = app.keys.iter().find(|key| key.id == id);
    let key = key.ok_or_else(|| Problem::Internal("the key of the caller is none of the app".to_owned()))?;
    // It reads no events, so there is nothing to filter.
    limits.filter();
    json(
        StatusCode::OK,
        &KeySession {
            app: &app.slug,
            app_name: &app.name,
            label: key.label.as_deref(),
            scopes: &key.scopes,
            bounds: Bounds::of(key).without_hidden(&limits),
        },
    )
}

async fn of_user(context: &Context, page: OwnPage, session: &Session) -> Result<Response, Problem> {
    let claims = &session.claims;
    let renewed = if session.may_renew { renew(context, session).await? } else { None };
    let (token, role, expires_at) = match &renewed {
        Some(renewed) => (Some(renewed.token.as_str()), renewed.role, renewed.expires_at),
        None => (None, claims.role, claims.expires_at()),
    };
    let shown = token.filter(|_| session.in_header);
    let mut response = json(StatusCode::OK, &UserBody { user: &claims.sub, role, expires_at, token: shown })?;
    if let Some(token) = token {
        set_cookie(&mut response, (context, page), token, expires_at - context.clock.now())?;
    }
    Ok(response)
}

struct Renewed {
    token: String,
    role: Role,
    expires_at: Timestamp,
}

/// A new token for a user who may still sign in, with the role of the settings. None where it is too early or too late.
async fn renew(context: &Context, session: &Session) -> Result<Option<Renewed>, Problem> {
    let Some(role) = context.config.users.by_name(&session.claims.sub).map(|user| user.role) else {
        return Ok(None);
    };
    let (now, lifetime) = (context.clock.now(), context.config.token_lifetime);
    if !session.claims.is_due(now) {
        return Ok(None);
    }
    let key = signing_key(&context.store).await?;
    let renewed = key.renew(&session.claims, role, now, lifetime)?;
    context.tokens.expect_a_new_key();
    Ok(renewed.map(|(token, expires_at)| Renewed { token, role, expires_at }))
}

/// `DELETE /auth`
pub(crate) async fn sign_out(
    State(context): Shared,
    session: Session,
    page: OwnPage,
    _: NoQuery,
) -> Result<Response, Problem> {
    let claims = &session.claims;
    // A token of an earlier version names no session: it ends by itself.
    if let Some(sid) = &claims.sid {
        let revoked = &context.tokens.revoked;
        let added = revoked.add(sid, claims.session_ends_at(), &context.store, context.clock.now()).await;
        added.map_err(|error| match error {
            SignOutError::Full => Problem::TooManyRequests(error.to_string(), 300),
            SignOutError::Store(error) => error.into(),
        })?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, (&context, page), "", TimeDelta::ZERO)?;
    Ok(response)
}

pub(crate) fn read_operation(schemas: &mut SchemaGenerator) -> Operation {
    let reply = json_schema!({"anyOf": [
        schemas.subschema_for::<UserBody<'_>>(),
        schemas.subschema_for::<KeySession<'_>>(),
    ]});
    Operation::of(&READ_SESSION, "readSession", "Says who calls: a user or a key")
        .about(
            "A session in use goes on: where half of the lifetime of a token is over that came as the cookie or in a header, \
             the reply sets a new cookie, until 12 hours after the sign-in. It has the role that the user has by then, and a \
             user who was removed gets none.",
        )
        .answers(StatusCode::OK, "The user or the key.", reply)
}

pub(crate) fn sign_out_operation() -> Operation {
    Operation::of(&SIGN_OUT, "signOut", "Signs out a user")
        .about("Ends the session of the token: all tokens of the same sign-in. Removes the cookie.")
        .replies(ReplyDescription {
            status: StatusCode::NO_CONTENT,
            about: "The session is refused everywhere within 60 seconds.",
            content: vec![],
            headers: vec![("Set-Cookie", "Removes the cookie `token`.")],
        })
        .refuses([StatusCode::TOO_MANY_REQUESTS])
}
