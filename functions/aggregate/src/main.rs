//! The Lambda function `aggregate`.

use aggregate::{StreamEvent, handle};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use tally_core::time::clock::Clock;
use tally_service::config::Config;
use tally_service::context::Context;
use tally_store::{Connection, connect};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tally_service::log::start();
    let config = Config::from_env()?;
    let store = connect(Connection::Environment, config.tables.clone());
    let context = Context::new(store, Clock::System, config);
    lambda_runtime::run(service_fn(|event: LambdaEvent<StreamEvent>| {
        let context = context.clone();
        // Boxed, or the compiler gives up on the depth of the whole future.
        async move { Box::pin(handle(&context, event.payload)).await.map_err(Error::from) }
    }))
    .await
}
