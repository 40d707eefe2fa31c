//! Runs a function on Lambda.

use std::sync::Arc;

use axum::Router;
use lambda_http::{Error, LambdaEvent, lambda_runtime, service_fn};
use serde::Deserialize;
use tally_service::config::Config;
use tally_service::context::Context;
use tally_service::log;

use crate::gateway::{GatewayRequest, answer};
use crate::service::{serve, serve_with};

/// Runs an HTTP function on Lambda.
pub async fn run(router: impl FnOnce(Arc<Context>) -> Router) -> Result<(), Error> {
    log::start();
    let context = Context::from_environment()?;
    // Lambda gives a function a whole processor while it starts, and a share by its memory afterwards. So this opens the
    // connection to the store now, which is mostly cryptography, and reads the keys that the first access token needs.
    if let Err(error) = context.tokens.read(&context.store, context.clock.now()).await {
        tracing::warn!(%error, "could not read the public keys at the start");
    }
    answer_all(serve(Arc::clone(&context), [router(context)])).await
}

/// Runs an HTTP function on Lambda that a schedule calls too, with `{"tally": "evaluate"}`. HTTP API never sends that: what clients
/// send is inside of fields of its own.
pub async fn run_scheduled<E: std::error::Error + Send + Sync + 'static>(
    router: impl FnOnce(Arc<Context>) -> Router,
    scheduled: impl AsyncFn(Arc<Context>) -> Result<(), E>,
) -> Result<(), Error> {
    log::start();
    let context = Context::from_environment()?;
    if let Err(error) = context.tokens.read(&context.store, context.clock.now()).await {
        tracing::warn!(%error, "could not read the public keys at the start");
    }
    let service = serve(Arc::clone(&context), [router(Arc::clone(&context))]);
    lambda_runtime::run(service_fn(|event: LambdaEvent<Call>| {
        let (service, context, scheduled) = (service.clone(), Arc::clone(&context), &scheduled);
        async move {
            match event.payload {
                Call::Scheduled { tally: Scheduled::Evaluate } => {
                    scheduled(context).await?;
                    Ok::<_, Error>(None)
                }
                Call::Request(request) => Ok(Some(answer(service, *request, event.context).await?)),
            }
        }
    }))
    .await
}

/// What a function is called with.
#[derive(Deserialize)]
#[serde(untagged)]
enum Call {
    Scheduled { tally: Scheduled },
    Request(Box<GatewayRequest>),
}

/// What a schedule asks for.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scheduled {
    Evaluate,
}

/// Runs an HTTP function that reaches no table on Lambda.
pub async fn run_public(router: impl FnOnce(Arc<Config>) -> Router) -> Result<(), Error> {
    log::start();
    let config = Arc::new(Config::from_env()?);
    answer_all(serve_with(Arc::clone(&config), [router(config)])).await
}

async fn answer_all(service: Router) -> Result<(), Error> {
    lambda_runtime::run(service_fn(|event: LambdaEvent<GatewayRequest>| {
        let service = service.clone();
        answer(service, event.payload, event.context)
    }))
    .await
}
