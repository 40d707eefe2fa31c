//! Runs a function on Lambda.

use std::sync::Arc;

use axum::Router;
use tally_core::time::clock::Clock;
use tally_service::config::Config;
use tally_service::context::Context;
use tally_service::log;
use tally_store::Connection;

use crate::service::serve;

/// Runs an HTTP function on Lambda.
pub async fn run(router: impl FnOnce(Arc<Context>) -> Router) -> Result<(), lambda_http::Error> {
    log::start();
    let config = Config::from_env()?;
    let store = tally_store::connect(Connection::Environment, config.tables.clone());
    let context = Context::new(store, Clock::System, config);
    // Lambda gives a function a whole processor while it starts, and a share by its memory afterwards. So this opens the
    // connection to the store now, which is mostly cryptography, and reads the keys that the first access token needs.
    if let Err(error) = context.tokens.read(&context.store, context.clock.now()).await {
        tracing::warn!(%error, "could not read the public keys at the start");
    }
    let router = router(Arc::clone(&context));
    lambda_http::run(serve(context, [router])).await
}
