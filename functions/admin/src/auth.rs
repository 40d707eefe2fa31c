//! `POST /auth`

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use cookie::time::Duration;
use cookie::{Cookie, SameSite};
use http::header::SET_COOKIE;
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use tally_core::app::role::Role;
use tally_core::time::Timestamp;
use tally_http::body::{Fields, SMALL, read};
use tally_http::guard::COOKIE_NAME;
use tally_http::parameters::Params;
use tally_http::problem::{Problem, json};
use tally_http::runtime::Shared;
use tally_http::source::Source;
use tally_service::auth::attempts::{Attempt, AttemptError};
use tally_service::auth::user::User;
use tally_service::context::Context;

use crate::github::login_of;

/// A hash of [`COST`](tally_service::auth::user::COST) that no password is known for: checked for unknown users, so that they take as long as known ones.
const NOBODY: &str = "$2b$12$abcdefghijklmnopqrstuuPQ3R8cVJG2rs5VtQeO7rUpmS0v8.Cmq";

/// Longest password: bcrypt reads no more than 72 bytes, and silently cutting one would make others fit.
pub(crate) const MAX_PASSWORD: usize = 72;

/// Longest GitHub token that is passed on.
pub(crate) const MAX_TOKEN: usize = 255;

/// Who signed in, and what proves it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SignedIn")]
pub(crate) struct Reply<'a> {
    /// The access token.
    token: &'a str,
    user: &'a str,
    role: Role,
    expires_at: Timestamp,
}

/// How somebody proves who they are.
enum Proof {
    Password(String, String),
    GitHub(String),
}

pub(crate) async fn sign_in(
    State(context): Shared,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref()).finish()?;
    let source = Source::of(request.extensions());
    let body = read(request.into_body(), SMALL).await?;
    let proof = proof(&body)?;
    let user = match &proof {
        Proof::Password(user, _) => Some(user.as_str()),
        // Whose it is, GitHub tells.
        Proof::GitHub(_) => None,
    };
    let attempt = Attempt::begin(&context.store, context.clock.now(), user, &source.subject()).await;
    let attempt = attempt.map_err(|error| match error {
        AttemptError::TooMany { seconds } => Problem::TooManyRequests(error.to_string(), seconds),
        AttemptError::Store(error) => error.into(),
    })?;
    let user = match proof {
        Proof::Password(user, password) => by_password(&context, user, password)
            .await?
            .ok_or_else(|| Problem::Unauthorized("the user name or the password is wrong".to_owned())),
        Proof::GitHub(token) => match by_github(&context, &token).await {
            Ok(user) => user.ok_or_else(|| {
                Problem::Unauthorized("GitHub does not know the token, or its account may not sign in here".to_owned())
            }),
            // Nothing was learned.
            Err(problem) => Err(problem),
        },
    };
    if !matches!(user, Err(Problem::Unauthorized(_))) {
        attempt.forgive().await?;
    }
    welcome(&context, &user?).await
}

fn proof(body: &[u8]) -> Result<Proof, Problem> {
    const HINT: &str = "send `username` and `password`, or a GitHub `token`";
    let mut fields = Fields::parse(body)?;
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
            if value.is_none() {
                fields.add(name, format!("missing: {HINT}"));
            }
        }
    }
    fields.finish(HINT)?;
    Ok(match token {
        Some(token) => Proof::GitHub(token),
        None => Proof::Password(username.unwrap_or_default(), password.unwrap_or_default()),
    })
}

async fn by_github(context: &Context, token: &str) -> Result<Option<User>, Problem> {
    let login = login_of(&context.config.github_api, token).await?;
    Ok(login.and_then(|login| context.config.users.by_github(&login).cloned()))
}

async fn by_password(context: &Context, username: String, password: String) -> Result<Option<User>, Problem> {
    let found = context.config.users.by_password(&username);
    let hash = found.map_or(NOBODY, |(_, hash)| hash).to_owned();
    let user = found.map(|(user, _)| user.clone()).filter(|_| password.len() <= MAX_PASSWORD);
    // A quarter of a second of work would hold up every other request of this process.
    let matches = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
    let matches = matches.await.map_err(|e| Problem::Internal(e.to_string()))?;
    Ok(user.filter(|_| matches))
}

/// The token of a user who has proved who they are.
async fn welcome(context: &Context, user: &User) -> Result<Response, Problem> {
    let key = tally_service::auth::token::signing_key(&context.store).await?;
    context.tokens.expect_a_new_key();
    let lifetime = context.config.token_lifetime;
    let (token, expires_at) =
        key.sign(&user.name, user.role, context.clock.now(), lifetime).map_err(|e| Problem::Internal(e.to_string()))?;
    let cookie = Cookie::build((COOKIE_NAME, token.as_str()))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(context.config.secure_cookies)
        .max_age(Duration::seconds(lifetime.as_seconds()))
        .build();
    let reply = Reply { token: &token, user: &user.name, role: user.role, expires_at };
    let mut response = json(StatusCode::OK, &reply)?;
    let cookie = HeaderValue::from_str(&cookie.to_string()).map_err(|e| Problem::Internal(e.to_string()))?;
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}
