//! Log events that a subscription filter of CloudWatch Logs gives to the Lambda function `logs`, with nothing in between: no
//! gateway, no stream and no key. Whoever deploys Tally names the app that they are for (`TALLY_LOGS_APP`).
//!
//! CloudWatch does not wait for the function. Lambda keeps the event and calls again, twice, where the function fails; then it
//! puts the event into a bucket. So what a second call can change is an error here, and what it cannot is a rejected event.

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use tally_core::app::AppSlug;
use tally_core::event::json;
use tally_core::rejected::{Reason, Refusal, shortened};
use tally_http::problem::Problem;
use tally_service::context::Context;
use tally_service::ingest::accept::Intake;
use tally_service::ingest::rejection::Rejection;
use tally_service::metrics::{self, Metric};
use tally_store::{Deadline, StoreError};

use super::cloud_watch::Batch;
use super::logs::MAX_RECORDS;
use super::records::{self, Records, Stored};
use super::sanitize;
use crate::accept::intake;
use crate::body::unpack;

/// The source of what is rejected.
const SOURCE: &str = "cloudwatch";
/// How long the store may take. Nobody waits for a reply, and the next call is a minute later.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a subscription filter calls the function with.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct LogsEvent {
    #[serde(default)]
    awslogs: AwsLogs,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct AwsLogs {
    /// Base64 of a batch of log events, which is compressed with gzip.
    #[serde(default)]
    data: String,
}

/// What became of the log events of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Log events that are events of the app now.
    pub accepted: usize,
    /// Those that are rejected events of the app. A batch that cannot be read is one.
    pub rejected: usize,
}

/// Why a call failed. Lambda calls again with the same log events.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// No app is named.
    #[error("TALLY_LOGS_APP names no app: deploy with the parameter LogsApp, the app that log events are for")]
    NoApp,
    /// It was not a subscription filter that called.
    #[error("the event has no awslogs.data: let a subscription filter of CloudWatch Logs call this function")]
    NoData,
    /// There is no such app.
    #[error("there is no app {0}, which the parameter LogsApp names: create it, and call again with what was given up")]
    UnknownApp(AppSlug),
    /// Some could not be stored. Those that are stored count once when they come again.
    #[error("{failed} of {all} log events could not be stored: {error}")]
    NotStored {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
        /// Why the first of them.
        error: StoreError,
    },
    /// The app could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The log groups of Tally itself whose lines would come back as new lines without end.
#[derive(Clone, Debug, Default)]
pub struct Loops {
    /// The log group of this function.
    own: Option<String>,
}

impl Loops {
    /// Those of the Lambda function that this process is.
    pub fn from_environment() -> Self {
        Self::of(std::env::var("AWS_LAMBDA_LOG_GROUP_NAME").ok())
    }

    /// Those of a function that logs to this group.
    pub fn of(own: Option<String>) -> Self {
        Self { own: own.filter(|own| !own.is_empty()) }
    }

    fn is_own(&self, group: &str) -> bool {
        self.own.as_deref() == Some(group)
    }

    /// Whether it is the log group of `aggregate`, which logs a line for each batch that it counts. `CloudFormation` names log
    /// groups `STACK-AggregateLog-RANDOM`, and this function's `STACK-LogsLog-RANDOM`.
    fn is_of_counting(&self, group: &str) -> bool {
        let stack = self.own.as_deref().and_then(|own| own.rsplit_once("-LogsLog-")).map(|(stack, _)| stack);
        let rest = stack.and_then(|stack| group.strip_prefix(stack));
        rest.is_some_and(|rest| rest.starts_with("-AggregateLog-"))
    }
}

/// Stores the log events of a call as events of the app that the settings name, and logs how many.
///
/// # Errors
/// Where a second call may do what this one could not.
pub async fn handle(context: &Context, loops: &Loops, event: LogsEvent) -> Result<Taken, LogsError> {
    let slug = context.config.logs_app.as_ref().ok_or(LogsError::NoApp)?;
    let data = event.awslogs.data;
    if data.is_empty() {
        return Err(LogsError::NoData);
    }
    let app = context.apps.get(slug).await?.ok_or_else(|| LogsError::UnknownApp(slug.clone()))?;
    let intake = intake(context, &app, None, SOURCE);
    let taken = match unpacked(&data) {
        Ok(text) => {
            drop(data);
            store(&intake, loops, &text).await
        }
        Err(refusal) => Ok(Outcome::rejected(&intake, &refusal, 1, || data)),
    };
    // Lambda stops the process once it has answered.
    context.rejections.written().await;
    let Outcome { taken, stored, group, is_silent } = taken?;
    if !is_silent {
        #[allow(clippy::cast_precision_loss)] // at most 32,768
        let count = |n: usize| n as f64;
        metrics::emit(
            &[
                (Metric::Accepted, count(taken.accepted)),
                (Metric::Rejected, count(taken.rejected)),
                (Metric::Stored, count(stored)),
                (Metric::ColdStart, metrics::cold_start()),
            ],
            serde_json::json!({"app": slug.as_str(), "logGroup": group}),
        );
    }
    Ok(taken)
}

/// What became of a batch, and what the log says of it.
#[derive(Debug, Default)]
struct Outcome {
    taken: Taken,
    /// Events that were written: of several that are the same event, one.
    stored: usize,
    group: String,
    /// Whether a line in the log would lead to the next call.
    is_silent: bool,
}

impl Outcome {
    /// Makes rejected events of what never became records.
    fn rejected(intake: &Intake<'_>, refusal: &Refusal, count: usize, sample: impl FnOnce() -> String) -> Self {
        intake.reject(refusal, count as u64, sample);
        Self { taken: Taken { accepted: 0, rejected: count }, ..Self::default() }
    }
}

/// Unpacks the data of a call, at most 16 MiB.
fn unpacked(data: &str) -> Result<String, Refusal> {
    let unreadable = |detail: String| Refusal::new(Reason::Unreadable, detail);
    let packed = STANDARD.decode(data).map_err(|error| unreadable(format!("`awslogs.data` is not base64: {error}")))?;
    let sent = unpack(&HeaderMap::new(), Bytes::from(packed)).map_err(|problem| match problem {
        Problem::TooLarge(detail) => Refusal::new(Reason::TooLarge, detail),
        _ => unreadable("`awslogs.data` is not gzip, although it begins so".to_owned()),
    })?;
    Ok(sanitize::body(&sent).into_owned())
}

/// Stores the log events of an unpacked batch.
async fn store(intake: &Intake<'_>, loops: &Loops, text: &str) -> Result<Outcome, LogsError> {
    let refused = |refusal: &Refusal| Ok(Outcome::rejected(intake, refusal, 1, || shortened(text).to_owned()));
    let batch = match json::document(text.as_bytes()).ok().and_then(|message| Batch::of(message, MAX_RECORDS)) {
        Some(Ok(batch)) => batch,
        Some(Err(refusal)) => return refused(&refusal),
        None => {
            return refused(&Refusal::new(
                Reason::Unreadable,
                "not a message of a subscription filter of CloudWatch Logs",
            ));
        }
    };
    let (all, group) = (batch.count(), batch.group().to_owned());
    let is_own = loops.is_own(&group);
    if is_own || loops.is_of_counting(&group) {
        let detail =
            "a log group of Tally itself, whose lines would come back without end: delete its subscription filter";
        let outcome = Outcome::rejected(intake, &Refusal::new(Reason::NotOffered, detail), all, || group.clone());
        return Ok(Outcome { group, is_silent: is_own, ..outcome });
    }
    if let Err(problem) = records::check(&batch) {
        let refusal = Refusal::new(Reason::TooLarge, problem.to_string());
        return Ok(Outcome { group, ..Outcome::rejected(intake, &refusal, all, || batch.sample(0)) });
    }
    let deadline = |_| Deadline::after(intake.store.deadline().left().max(PATIENCE));
    let Ok(verdicts) = intake.accept_each(&Stored(&batch), deadline).await else {
        // A quota has no room, and has made rejected events of them: who sets one wants no more than it.
        return Ok(Outcome { taken: Taken { accepted: 0, rejected: all }, group, ..Outcome::default() });
    };
    let (mut taken, mut ids, mut failed, mut first) = (Taken::default(), HashSet::new(), 0, None);
    for verdict in verdicts {
        match verdict {
            Ok(id) => {
                taken.accepted += 1;
                ids.insert(id);
            }
            Err(Rejection::Store(error)) => {
                failed += 1;
                first.get_or_insert(error);
            }
            Err(Rejection::Invalid(_) | Rejection::Refused(_)) => taken.rejected += 1,
        }
    }
    match first {
        Some(error) => Err(LogsError::NotStored { failed, all, error }),
        None => Ok(Outcome { taken, stored: ids.len(), group, is_silent: false }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_groups_that_lead_back_here_are_known() {
        let loops = Loops::of(Some("shop-tally-LogsLog-Ab12Cd34".to_owned()));
        for (group, is_own, is_of_counting) in [
            ("shop-tally-LogsLog-Ab12Cd34", true, false),
            ("shop-tally-AggregateLog-Xy98", false, true),
            ("tally-AggregateLog-Xy98", false, false),
            ("shop-tally-IngestLog-Xy98", false, false),
            ("/aws/lambda/shop", false, false),
            ("", false, false),
        ] {
            assert_eq!((loops.is_own(group), loops.is_of_counting(group)), (is_own, is_of_counting), "{group}");
        }
        for unknown in [Loops::of(None), Loops::of(Some(String::new())), Loops::of(Some("/aws/lambda/logs".to_owned()))]
        {
            assert!(!unknown.is_own("") && !unknown.is_of_counting("-AggregateLog-1"), "{unknown:?}");
        }
    }
}
