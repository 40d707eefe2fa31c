//! Limits guessing: after ten failures of one user, or from one source, within 15 minutes, sign-in is refused.

use tally_core::app::key::hex;
use tally_core::digest::sha256;
use tally_core::time::{MINUTE, SECOND, Timestamp};
use tally_http::problem::Problem;
use tally_http::source::Source;
use tally_service::context::Context;
use tally_store::StoreError;

/// Most failures.
const MAX_FAILURES: i64 = 10;
/// The time in which failures count, in microseconds; it is counted by the minute.
const WINDOW: i64 = 15 * MINUTE;

/// A sign-in under way. It counts as a failure until it is forgiven, so that parallel attempts do not evade the limit.
pub(crate) struct Attempt<'a> {
    context: &'a Context,
    subjects: Vec<String>,
    at: Timestamp,
}

impl<'a> Attempt<'a> {
    /// Begins an attempt of a user (if a name was sent) from a source.
    ///
    /// # Errors
    /// 429 where there were too many.
    pub(crate) async fn begin(context: &'a Context, user: Option<&str>, source: &Source) -> Result<Self, Problem> {
        // Hashed, since names and addresses are private and may contain anything.
        let subject = |kind: &str, value: &str| hex(&sha256(format!("{kind}:{value}").as_bytes())[..16]);
        let subjects = user.map(|user| subject("user", user)).into_iter().chain([subject("source", &source.subject())]);
        let attempt = Self { context, subjects: subjects.collect(), at: context.clock.now() };
        attempt.add(1).await?;
        let since = attempt.at.plus(-WINDOW);
        for subject in &attempt.subjects {
            let (count, first) = context.store.attempts(subject, since).await?;
            if count > MAX_FAILURES {
                attempt.add(-1).await?;
                let free = first.unwrap_or(attempt.at).plus(WINDOW + MINUTE);
                let wait = (free.micros() - attempt.at.micros()).max(SECOND).div_euclid(SECOND);
                let wait = u32::try_from(wait).unwrap_or(60);
                let minutes = WINDOW / MINUTE;
                return Err(Problem::TooManyRequests(
                    format!("more than {MAX_FAILURES} failures in {minutes} minutes: try again in {wait} seconds"),
                    wait,
                ));
            }
        }
        Ok(attempt)
    }

    /// Does not count it as a failure: it succeeded, or it revealed nothing.
    pub(crate) async fn forgive(self) -> Result<(), StoreError> {
        self.add(-1).await
    }

    async fn add(&self, amount: i64) -> Result<(), StoreError> {
        for subject in &self.subjects {
            self.context.store.add_attempts(subject, self.at, amount).await?;
        }
        Ok(())
    }
}
