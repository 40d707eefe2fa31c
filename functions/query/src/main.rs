//! The Lambda function `query`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    tally_http::runtime::run(query::router).await
}
