//! Alert rules: their routes, and judging them each minute.

mod body;
mod input;
mod preview;
mod rules;

use std::sync::Arc;

use axum::{Extension, Router};
use schemars::SchemaGenerator;
use tally_http::openapi::Operation;
use tally_http::routes::{self, Function};
use tally_http::service::Routes;
use tally_notify::{Sender, Settings, SettingsError};
use tally_service::alerts::deliver::Delivered;
use tally_service::alerts::seal::SealError;
use tally_service::context::Context;

/// What sends notifications, with the settings of this process.
///
/// # Errors
/// Returns an error if a setting is invalid.
pub fn sender() -> Result<Arc<Sender>, SettingsError> {
    let settings = Settings::from_variables(|name| std::env::var(name).ok())?;
    Ok(Arc::new(Sender::new(settings)))
}

/// The router of this function.
pub fn router(context: Arc<Context>, sender: Arc<Sender>) -> Router {
    Routes::of(Function::Alerts, context)
        .serve(&routes::LIST_ALERTS, rules::list)
        .serve(&routes::CREATE_ALERT, rules::create)
        .serve(&routes::PREVIEW_ALERT, preview::preview)
        .serve(&routes::READ_ALERT, rules::read)
        .serve(&routes::CHANGE_ALERT, rules::change)
        .serve(&routes::DELETE_ALERT, rules::delete)
        .serve(&routes::TEST_ALERT, rules::test)
        .serve(&routes::ROTATE_ALERT_SECRET, rules::rotate)
        .finish()
        .layer(Extension(sender))
}

/// Judges the rules of all apps and sends what is due, and deletes old salts of visitors: what happens each minute.
///
/// # Errors
/// Returns an error if the rules cannot be read.
pub async fn judge(context: &Context, sender: &Sender) -> Result<(), SealError> {
    if let Err(error) = context.salts.delete_old(&context.store, context.clock.now()).await {
        tracing::warn!(%error, "could not delete old salts; the next minute tries again");
    }
    let ran = tally_service::alerts::run(context, sender, context.clock.now()).await?;
    let Delivered { delivered, again, failed } = ran.delivered;
    // A minute in which nothing happens needs no line.
    if ran.failed_apps + ran.evaluated.transitions + delivered + again + failed > 0 {
        tracing::info!(
            apps = ran.apps,
            failed_apps = ran.failed_apps,
            windows = ran.evaluated.windows,
            transitions = ran.evaluated.transitions,
            delivered,
            again,
            failed,
            "judged alert rules"
        );
    }
    Ok(())
}

/// The operations of this function, for the description of the API.
pub fn operations(schemas: &mut SchemaGenerator) -> Vec<Operation> {
    let mut operations = rules::operations(schemas);
    operations.push(preview::operation(schemas));
    operations
}
