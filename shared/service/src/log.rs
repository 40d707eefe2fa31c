//! What a function logs on Lambda.

use tracing_subscriber::filter::LevelFilter;

/// Writes lines of JSON to standard output, from the level on that `AWS_LAMBDA_LOG_LEVEL` or else `RUST_LOG` names, by
/// default INFO; a release has nothing finer. To be called once, when a function starts.
///
/// One level for all is all that the variables hold, so this needs none of the pattern matching that the filters of
/// `lambda_runtime` bring.
pub fn start() {
    let named = |variable| std::env::var(variable).ok()?.parse().ok();
    let level = ["AWS_LAMBDA_LOG_LEVEL", "RUST_LOG"].into_iter().find_map(named).unwrap_or(LevelFilter::INFO);
    tracing_subscriber::fmt().json().with_target(false).with_max_level(level).init();
}
