//! The Lambda function `alerts`: its routes, and the schedule that judges the rules each minute.

use std::sync::Arc;

use alerts::{judge, router, sender};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let sender = sender()?;
    let of_router = Arc::clone(&sender);
    tally_http::runtime::run_scheduled(
        move |context| router(context, of_router),
        async move |context| judge(&context, &sender).await,
    )
    .await
}
