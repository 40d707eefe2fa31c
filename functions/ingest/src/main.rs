//! The Lambda function `ingest`.

use tally_service::config::Config;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let countries = Config::from_env()?.geoip.as_deref().map(ingest::geoip::read).transpose()?;
    tally_http::runtime::run(|context| {
        // Nobody else sets it.
        let _ = countries.map(|countries| context.countries.set(countries));
        ingest::router(context)
    })
    .await
}
