//! The Lambda function `aggregate`.

use aggregate::{StreamEvent, handle, note_lineage};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use tally_service::context::Context;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tally_service::log::start();
    let context = Context::from_environment()?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<StreamEvent>| {
        let context = context.clone();
        // Boxed because the future's type is too deep for the compiler.
        async move {
            // Before anything is counted: whoever reads a checkpoint of the stream shard then knows what it continues.
            Box::pin(note_lineage(&context, &event.payload)).await;
            Box::pin(handle(&context, event.payload)).await.map_err(Error::from)
        }
    }))
    .await
}
