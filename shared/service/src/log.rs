//! Logging on Lambda.

use tracing_subscriber::filter::LevelFilter;

/// Writes log lines as JSON to standard output. The minimum level comes from `AWS_LAMBDA_LOG_LEVEL`, or else from
/// `RUST_LOG`. The default is INFO. A release build has no finer levels. Call this once, when a function starts.
///
/// The variables only contain a single level, so this does not need the pattern matching of the filters in
/// `lambda_runtime`.
pub fn start() {
    let named = |variable| std::env::var(variable).ok()?.parse().ok();
    let level = ["AWS_LAMBDA_LOG_LEVEL", "RUST_LOG"].into_iter().find_map(named).unwrap_or(LevelFilter::INFO);
    tracing_subscriber::fmt().json().with_target(false).with_max_level(level).init();
}
