//! The log line of a request or batch, and with it metrics in CloudWatch's embedded metric format: one line of JSON on
//! standard output, which Lambda's log turns into metrics without a request. The one dimension is the function, by the
//! name that Lambda knows it by, so that deployments beside each other in one account are told apart.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tally_core::time::clock::Clock;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Tally";

/// The dimension of all metrics.
pub const DIMENSION: &str = "Function";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Events that a request brought and that were accepted.
    Accepted,
    /// 1 for what met a cold start, else 0.
    ColdStart,
    /// Records of a batch that were counted.
    Counted,
    /// Counter items of a batch that take no new cells.
    Full,
    /// From the creation of a batch's first record to when the batch was counted.
    Lag,
    /// How long a request took, in the function.
    Latency,
    /// Events that a request brought and that were not accepted.
    Rejected,
    /// Records that could not be counted.
    DeadLetters,
    /// Events that were written: of those accepted as the same one, the last.
    Stored,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::ColdStart,
        Self::Counted,
        Self::Full,
        Self::Lag,
        Self::Latency,
        Self::Rejected,
        Self::DeadLetters,
        Self::Stored,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ColdStart => "ColdStart",
            Self::Counted => "Counted",
            Self::Full => "Full",
            Self::Lag => "Lag",
            Self::Latency => "Latency",
            Self::Rejected => "Rejected",
            Self::DeadLetters => "DeadLetters",
            Self::Stored => "Stored",
        }
    }

    /// Its unit, as CloudWatch names it.
    const fn unit(self) -> &'static str {
        match self {
            Self::Lag | Self::Latency => "Milliseconds",
            _ => "Count",
        }
    }
}

/// The name of the function that this process is on Lambda; none elsewhere, where nothing reads the lines.
fn lambda_name() -> Option<String> {
    std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok()
}

/// Whether this process runs on Lambda.
pub fn on_lambda() -> bool {
    lambda_name().is_some()
}

/// 1 the first time that this process asks, then 0: how many of what a function does met a cold start.
pub fn cold_start() -> f64 {
    static WARM: AtomicBool = AtomicBool::new(false);
    if WARM.swap(true, Ordering::Relaxed) { 0.0 } else { 1.0 }
}

/// Writes one line of metrics, with properties that are no metrics; only on Lambda.
pub fn emit(measured: &[(Metric, f64)], properties: Value) {
    let Some(function) = lambda_name() else { return };
    let line = line(&function, measured, properties, Clock::System.now().millis());
    // A closed standard output is no reason to fail a batch.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn line(function: &str, measured: &[(Metric, f64)], properties: Value, at: i64) -> Value {
    let names: Vec<_> = measured.iter().map(|(m, _)| json!({"Name": m.name(), "Unit": m.unit()})).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": at,
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": names}],
        },
        DIMENSION: function,
    });
    for (metric, value) in measured {
        line[metric.name()] = json!(value);
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
        let measured = Metric::ALL.map(|metric| (metric, 3.0));
        let line = line("tally-Aggregate-1", &measured, json!({"requestId": "a"}), 1_700_000_000_000);
        assert_eq!((&line["Counted"], &line["requestId"]), (&json!(3.0), &json!("a")));
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(declared["Metrics"].as_array().map(Vec::len), Some(Metric::ALL.len()));
        assert!(Metric::ALL.iter().all(|metric| line[metric.name()] == 3.0));
        assert_eq!(declared["Metrics"][4], json!({"Name": "Lag", "Unit": "Milliseconds"}));
        assert_eq!((&declared["Dimensions"], &line["Function"]), (&json!([["Function"]]), &json!("tally-Aggregate-1")));
    }
}
