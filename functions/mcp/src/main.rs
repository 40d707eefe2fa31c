//! The Lambda function `mcp`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    tally_http::runtime::run(mcp::router).await
}
