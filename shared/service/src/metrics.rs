//! The log line of a request or batch, with metrics in CloudWatch's embedded metric format: one line of JSON on
//! standard output. Lambda's log turns it into metrics without an extra request. The only dimension is the Lambda
//! function name, so several deployments in one account can be told apart.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tally_core::time::clock::Clock;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Tally";

/// The dimension of all metrics.
pub const DIMENSION: &str = "Function";

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The accepted events of a request.
    Accepted,
    /// 1 for a request or batch that met a cold start, else 0.
    ColdStart,
    /// The counted records of a batch.
    Counted,
    /// The counter items of a batch that are full and take no new cells.
    Full,
    /// The time from the creation of a batch's first record until the batch was counted.
    Lag,
    /// The duration of a request in the function.
    Latency,
    /// The rejected events of a request.
    Rejected,
    /// The records that could not be counted.
    DeadLetters,
    /// The events written. If several accepted events are the same event, only the last is written.
    Stored,
}

impl Metric {
    /// All metrics.
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

    /// Its unit, as named by CloudWatch.
    const fn unit(self) -> &'static str {
        match self {
            Self::Lag | Self::Latency => "Milliseconds",
            _ => "Count",
        }
    }
}

/// The name of this Lambda function. Elsewhere there is none, because nothing reads the lines.
fn lambda_name() -> Option<String> {
    std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok()
}

/// Returns whether this process runs on Lambda.
pub fn on_lambda() -> bool {
    lambda_name().is_some()
}

/// Returns 1 on the first call in this process, then 0: the value of the cold start metric.
pub fn cold_start() -> f64 {
    static WARM: AtomicBool = AtomicBool::new(false);
    if WARM.swap(true, Ordering::Relaxed) { 0.0 } else { 1.0 }
}

/// Writes one line of metrics, with additional properties that are not metrics. Only on Lambda.
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
