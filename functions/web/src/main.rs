//! The Lambda function `web`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    tally_http::runtime::run_public(web::router).await
}
