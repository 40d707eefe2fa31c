//! The Lambda function `charts`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    tally_http::runtime::run(charts::router).await
}
