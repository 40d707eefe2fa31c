//! The Lambda function `source-maps`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    tally_http::runtime::run(source_maps::router).await
}
