//! The Lambda function `logs`, which subscription filters of CloudWatch Logs call.

use ingest::compat::subscription::{LogsEvent, Loops, handle};
use lambda_http::{Error, LambdaEvent, lambda_runtime, service_fn};
use tally_service::context::Context;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tally_service::log::start();
    let context = Context::from_environment()?;
    let loops = Loops::from_environment();
    // Opens the connection to the store while the function has a whole processor.
    if let Some(app) = &context.config.logs_app
        && let Err(error) = context.apps.get(app).await
    {
        tracing::warn!(%error, "could not read the app at the start");
    }
    lambda_runtime::run(service_fn(|event: LambdaEvent<LogsEvent>| {
        let (context, loops) = (context.clone(), &loops);
        async move { handle(&context, loops, event.payload).await.map_err(Error::from) }
    }))
    .await
}
