//! A shop that sends to Tally what its customers do, its errors, and a count.

mod tally;

use std::backtrace::Backtrace;
use std::collections::BTreeMap;
use std::{env, io};

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tally::Tally;
use tokio::signal::unix::{SignalKind, signal};

const GOODS: [(&str, f64); 2] = [("tea", 3.5), ("coffee", 4.0)];

/// An error with the calls that led to it. Those of one cause are one issue.
#[derive(Clone)]
struct Failure {
    cause: &'static str,
    message: String,
    stack: String,
}

impl Failure {
    fn new(cause: &'static str, message: String) -> Self {
        // The innermost 20 calls, of two lines each: those of the shop.
        let stack = Backtrace::force_capture().to_string();
        Self { cause, message, stack: stack.lines().take(40).collect::<Vec<_>>().join("\n") }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut reply = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        reply.extensions_mut().insert(self);
        reply
    }
}

/// An event of who it is. A real shop knows that by its sign-in; here the client says it.
fn event(name: &str, headers: &HeaderMap, data: Value) -> Value {
    let said = |header| headers.get(header).and_then(|value| value.to_str().ok());
    let (user, session) = (said("x-user").unwrap_or("guest"), said("x-session"));
    json!({"name": name, "user_id": user, "session_id": session, "data": data})
}

/// Sends each request as an event, and its error as another one, which becomes an issue.
async fn record(State(tally): State<Tally>, request: Request, next: Next) -> Response {
    let (headers, path) = (request.headers().clone(), request.uri().path().to_owned());
    let reply = next.run(request).await;
    if let Some(Failure { cause, message, stack }) = reply.extensions().get() {
        let mut failed = event("request failed", &headers, json!({"path": path}));
        failed["level"] = "ERROR".into();
        failed["fingerprint"] = (*cause).into();
        failed["message"] = message.as_str().into();
        failed["stack"] = stack.as_str().into();
        tally.send(failed);
    }
    tally.send(event("request", &headers, json!({"path": path, "status": reply.status().as_u16()})));
    reply
}

async fn goods() -> Json<BTreeMap<&'static str, f64>> {
    Json(GOODS.into())
}

#[derive(Deserialize)]
struct Order {
    amount: Option<u32>,
}

async fn order(
    State(tally): State<Tally>,
    Path(item): Path<String>,
    Query(Order { amount }): Query<Order>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let amount = amount.unwrap_or(1);
    // A bug: what is not sold is no failure of the shop.
    let (_, price) = GOODS
        .into_iter()
        .find(|(name, _)| *name == item)
        .ok_or_else(|| Failure::new("no price", format!("no price of {item}")))?;
    let order = json!({"item": item, "amount": amount, "total": price * f64::from(amount)});
    tally.send(event("order placed", &headers, order.clone()));
    tally.send(json!({"name": "items sold", "count": amount}));
    Ok((StatusCode::CREATED, Json(order)))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let (tally, sending) = Tally::start();
    let shop = Router::new().route("/", get(goods)).route("/orders/{item}", post(order));
    let shop = shop.layer(middleware::from_fn_with_state(tally.clone(), record)).with_state(tally);
    let port = env::var("PORT").unwrap_or("8003".into());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("shop on http://{}, sends to {}", listener.local_addr()?, env::var("TALLY_URL").unwrap_or_default());
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let ended = async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    };
    axum::serve(listener, shop).with_graceful_shutdown(ended).await?;
    // What waits is sent before it ends.
    sending.await.map_err(io::Error::other)
}
