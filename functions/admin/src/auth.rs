//! `POST /auth`, which also serves Seismo's `POST auth`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use cookie::time::Duration;
use cookie::{Cookie, SameSite};
use http::header::SET_COOKIE;
use http::{HeaderValue, StatusCode};
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::role::Role;
use tally_core::time::{TimeDelta, Timestamp};
use tally_http::body::{Fields, FromFields, JsonBody};
use tally_http::credentials::COOKIE_NAME;
use tally_http::guard::OwnPage;
use tally_http::openapi::{JSON, Operation, ReplyDescription, text};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::{SEISMO_SIGN_IN, SIGN_IN};
use tally_http::service::Shared;
use tally_http::source::Source;
use tally_service::auth::attempts::{Attempt, AttemptError};
use tally_service::auth::sign_in_code::{self, CodeError};
use tally_service::auth::user::User;
use tally_service::context::Context;
use tally_store::Ended;

use crate::github::login_of;

/// A hash of [`COST`](tally_service::auth::user::COST) that no password is known for: checked for unknown users, so that they take as long as known ones.
const NOBODY: &str = "$2b$12$abcdefghijklmnopqrstuuPQ3R8cVJG2rs5VtQeO7rUpmS0v8.Cmq";

/// Longest password. bcrypt reads no more than 72 bytes; a longer one must not match by its beginning.
const MAX_PASSWORD: usize = 72;

/// Longest GitHub token that is passed on.
const MAX_TOKEN: usize = 255;

/// A signed-in user, with an access token.
#[derive(Serialize, JsonSchema)]
struct SignedIn<'a> {
    /// The access token.
    token: &'a str,
    user: &'a str,
    role: Role,
    expires_at: Timestamp,
}

/// The proof of an identity.
pub(crate) enum Proof {
    Password(String, String),
    GitHub(String),
    /// The code of a link that signs in once.
    Code(String),
}

pub(crate) async fn sign_in(
    State(context): Shared,
    source: Source,
    page: OwnPage,
    _: NoQuery,
    JsonBody(proof): JsonBody<Proof>,
) -> Result<Response, Problem> {
    let for_proof = Arc::clone(&context);
    // On its own, so that an attempt ends although its client has hung up.
    let user = tokio::spawn(async move { prove(&for_proof, source, proof).await });
    let user = user.await.map_err(|e| Problem::Internal(e.to_string()))??;
    welcome(&context, page, &user).await
}

/// Checks a proof, as an attempt that counts if it fails.
async fn prove(context: &Context, source: Source, proof: Proof) -> Result<User, Problem> {
    let user = match &proof {
        Proof::Password(user, _) => Some(user.as_str()),
        // Only GitHub knows whose token it is, and only the store whose code.
        Proof::GitHub(_) | Proof::Code(_) => None,
    };
    let attempt = Attempt::begin(&context.store, context.clock.now(), user, &source.subject()).await;
    let attempt = attempt.map_err(|error| match error {
        AttemptError::TooMany { seconds } | AttemptError::Busy { seconds } => {
            Problem::TooManyRequests(error.to_string(), seconds)
        }
        AttemptError::Store(error) => error.into(),
    })?;
    let user = match proof {
        Proof::Password(user, password) => by_password(context, user, password).await.and_then(|user| {
            user.ok_or_else(|| Problem::Unauthorized("the user name or the password is wrong".to_owned()))
        }),
        Proof::GitHub(token) => by_github(context, &token).await.and_then(|user| {
            user.ok_or_else(|| {
                Problem::Unauthorized("GitHub does not know the token, or its account may not sign in here".to_owned())
            })
        }),
        Proof::Code(code) => by_code(context, &code).await,
    };
    if matches!(user, Err(Problem::Unauthorized(_))) {
        // A guess that is not counted would be one too many, so its outcome is not told.
        attempt.end(Ended::Failed).await?;
    } else if let Err(error) = attempt.end(Ended::Forgiven).await {
        // The proof was good, or nothing was learned. It is in progress for others until it is forgotten.
        tracing::warn!(%error, "an attempt to sign in could not be ended");
    }
    user
}

impl FromFields for Proof {
    const HINT: &'static str = "send `username` and `password`, or a GitHub `token`, or the code `sign_in` of a link";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        if let Some(code) = fields.text("sign_in") {
            for other in ["token", "username", "password"] {
                if fields.text(other).is_some() {
                    fields.add(other, "send it, or `sign_in`, not both");
                }
            }
            return Some(Self::Code(code));
        }
        let token = fields.text("token");
        let username = fields.text("username");
        let password = fields.text("password");
        if let Some(token) = &token {
            if username.is_some() || password.is_some() {
                fields.add("token", "send it, or `username` and `password`, not both");
            }
            if token.len() > MAX_TOKEN || !token.bytes().all(|b| b.is_ascii_graphic()) {
                fields.add("token", "not a GitHub token");
            }
        } else {
            for (name, value) in [("username", &username), ("password", &password)] {
                match value {
                    None => fields.add(name, format!("missing: {}", Self::HINT)),
                    // bcrypt ends a password there.
                    Some(value) if value.contains('\0') => fields.add(name, "contains a NUL character: remove it"),
                    Some(_) => {}
                }
            }
        }
        match token {
            Some(token) => Some(Self::GitHub(token)),
            None => Some(Self::Password(username?, password?)),
        }
    }
}

async fn by_github(context: &Context, token: &str) -> Result<Option<User>, Problem> {
    let login = login_of(&context.config.github_api, token).await?;
    Ok(login.and_then(|login| context.config.users.by_github(&login).cloned()))
}

async fn by_code(context: &Context, code: &str) -> Result<User, Problem> {
    let redeemed = sign_in_code::redeem(&context.store, code, context.clock.now()).await;
    let name = redeemed.map_err(|error| match error {
        CodeError::Unknown | CodeError::Expired(_) => Problem::Unauthorized(error.to_string()),
        CodeError::Store(error) => error.into(),
    })?;
    let user = context.config.users.by_name(&name).cloned();
    user.ok_or_else(|| Problem::Unauthorized(format!("the user `{name}` of this link may not sign in here any more")))
}

async fn by_password(context: &Context, username: String, password: String) -> Result<Option<User>, Problem> {
    let found = context.config.users.by_password(&username);
    let hash = found.map_or(NOBODY, |(_, hash)| hash).to_owned();
    let user = found.map(|(user, _)| user.clone()).filter(|_| password.len() <= MAX_PASSWORD);
    // It takes a quarter of a second, which would block every other request of this process.
    let matches = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
    let matches = matches.await.map_err(|e| Problem::Internal(e.to_string()))?;
    Ok(user.filter(|_| matches))
}

/// The reply with the token of a user whose proof was accepted.
async fn welcome(context: &Context, page: OwnPage, user: &User) -> Result<Response, Problem> {
    let key = tally_service::auth::token::signing_key(&context.store).await?;
    context.tokens.expect_a_new_key();
    let lifetime = context.config.token_lifetime;
    let (token, expires_at) =
        key.sign(&user.name, user.role, context.clock.now(), lifetime).map_err(|e| Problem::Internal(e.to_string()))?;
    let reply = SignedIn { token: &token, user: &user.name, role: user.role, expires_at };
    let mut response = json(StatusCode::OK, &reply)?;
    set_cookie(&mut response, (context, page), &token, lifetime)?;
    Ok(response)
}

/// Sets the cookie with an access token, unless a page of another origin asks; an empty one with no lifetime removes it.
pub(crate) fn set_cookie(
    response: &mut Response,
    (context, OwnPage(is_own)): (&Context, OwnPage),
    token: &str,
    lifetime: TimeDelta,
) -> Result<(), Problem> {
    if !is_own {
        return Ok(());
    }
    let cookie = Cookie::build((COOKIE_NAME, token))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(context.config.secure_cookies)
        .max_age(Duration::seconds(lifetime.as_seconds()))
        .build();
    let cookie = HeaderValue::from_str(&cookie.to_string()).map_err(|e| Problem::Internal(e.to_string()))?;
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(())
}

pub(crate) fn sign_in_operations(schemas: &mut SchemaGenerator) -> [Operation; 2] {
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
        {
            "type": "object",
            "properties": {
                "sign_in": {"type": "string", "minLength": 1, "format": "password"},
                "token": {"enum": ["", null]},
                "username": {"enum": ["", null]},
                "password": {"enum": ["", null]},
            },
            "required": ["sign_in"],
            "additionalProperties": false,
        },
    ]});
    [
        Operation::of(&SIGN_IN, "signIn", "Signs in a user"),
        Operation::of(&SEISMO_SIGN_IN, "seismoSignIn", "Seismo: signs in a user"),
    ]
    .map(|operation| {
        operation
            .about(format!(
                "By user name and password (at most {MAX_PASSWORD} bytes), by a GitHub personal token, or by \
                 the code of a link that signs in once (`tally` prints one). The access token \
                 is in the reply and in the cookie `token`, which a page of another origin does not get. After 10 failures of one user, or from one source, within 15 \
                 minutes, sign-in is refused for a while."
            ))
            .body(JSON, body.clone())
            .replies(ReplyDescription {
                status: StatusCode::OK,
                about: "The user is signed in.",
                content: vec![(JSON, schemas.subschema_for::<SignedIn<'_>>())],
                headers: vec![("Set-Cookie", "The access token as the cookie `token`; absent where a page of another origin asks.")],
            })
            .refuses([StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS])
    })
}
