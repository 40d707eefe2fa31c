//! Metrics in CloudWatch's embedded metric format: a line of JSON on standard output, which Lambda's log turns into
//! metrics without a request. The one dimension is the function.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::clock::Clock;

/// The namespace of all metrics.
const NAMESPACE: &str = "Tally";

/// Writes one line of metrics (name, value, unit) of a function; only on Lambda, where something reads it.
pub fn emit(function: &str, metrics: &[(&str, f64, &str)]) {
    if std::env::var_os("AWS_LAMBDA_FUNCTION_NAME").is_none() {
        return;
    }
    let line = line(function, metrics, Clock::System.now().millis());
    // A closed standard output is no reason to fail a batch.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn line(function: &str, metrics: &[(&str, f64, &str)], at: i64) -> Value {
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
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_declares_every_metric_that_it_holds() {
        let line = line("aggregate", &[("Counted", 3.0, "Count")], 1_700_000_000_000);
        assert_eq!(line["Counted"], json!(3.0));
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(declared["Metrics"], json!([{"Name": "Counted", "Unit": "Count"}]));
        assert_eq!(declared["Dimensions"], json!([["Function"]]));
    }
}
