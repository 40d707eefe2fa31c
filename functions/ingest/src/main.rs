//! The Lambda function `ingest`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    tally::http::service::run(ingest::router).await
}
