//! The log line of a request or batch, and with it metrics in CloudWatch's embedded metric format: one line of JSON on
//! standard output, which Lambda's log turns into metrics without a request. The one dimension is the function.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::clock::Clock;

/// The namespace of all metrics.
const NAMESPACE: &str = "Tally";

/// One metric: its name, its value, its unit as CloudWatch names it.
pub type Metric<'a> = (&'a str, f64, &'a str);

/// Whether this process runs on Lambda, where something reads the lines.
pub fn on_lambda() -> bool {
    std::env::var_os("AWS_LAMBDA_FUNCTION_NAME").is_some()
}

/// 1 the first time that this process asks, then 0: how many of what a function does met a cold start.
pub fn cold_start() -> f64 {
    static WARM: AtomicBool = AtomicBool::new(false);
    if WARM.swap(true, Ordering::Relaxed) { 0.0 } else { 1.0 }
}

/// Writes one line of metrics of a function, with properties that are no metrics; only on Lambda.
pub fn emit(function: &str, metrics: &[Metric<'_>], properties: Value) {
    if !on_lambda() {
        return;
    }
    let line = line(function, metrics, properties, Clock::System.now().millis());
    // A closed standard output is no reason to fail a batch.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn line(function: &str, metrics: &[Metric<'_>], properties: Value, at: i64) -> Value {
    let names: Vec<_> = metrics.iter().map(|(name, _, unit)| json!({"Name": name, "Unit": unit})).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": at,
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": names}],
        },
        "Function": function,
    });
    for (name, value, _) in metrics {
        line[*name] = json!(value);
    }
    if let Value::Object(properties) = properties {
        for (name, value) in properties {
            line[name] = value;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_declares_every_metric_that_it_holds() {
        let line = line("aggregate", &[("Counted", 3.0, "Count")], json!({"requestId": "a"}), 1_700_000_000_000);
        assert_eq!((&line["Counted"], &line["requestId"]), (&json!(3.0), &json!("a")));
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(declared["Metrics"], json!([{"Name": "Counted", "Unit": "Count"}]));
        assert_eq!(declared["Dimensions"], json!([["Function"]]));
    }
}
