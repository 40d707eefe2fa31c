//! The Lambda function `aggregate`.

use aggregate::{StreamEvent, handle};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use tally_core::time::clock::Clock;
use tally_service::config::Config;
use tally_service::context::Backend;
use tally_store::{Connection, connect};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tally_service::log::start();
    let config = Config::from_env()?;
    let store = connect(Connection::Environment, config.tables.clone());
    let backend = Backend::new(store, Clock::System, config);
    lambda_runtime::run(service_fn(|event: LambdaEvent<StreamEvent>| {
        let backend = backend.clone();
        // Boxed, or the compiler gives up on the depth of the whole future.
        async move { Box::pin(handle(&backend, event.payload)).await.map_err(Error::from) }
    }))
    .await
}
