//! The Lambda function `query`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    tally::http::service::run(query::router).await
}
