//! Guessing is limited: after ten failures of one user, or from one source, within 15 minutes sign-in is refused.

use tally_core::app::key::hex;
use tally_core::digest::sha256;
use tally_core::time::{MINUTE, SECOND, TimeDelta, Timestamp};
use tally_http::problem::Problem;
use tally_http::source::Source;
use tally_service::context::Context;
use tally_store::StoreError;

/// Failures that are allowed.
const MOST: i64 = 10;
/// In how long; counted by the minute.
const WINDOW: TimeDelta = TimeDelta::minutes(15);

/// An attempt under way. It counts as a failure until it is told to be none, so that many at once are no way around.
pub(crate) struct Attempt<'a> {
    context: &'a Context,
    subjects: Vec<String>,
    at: Timestamp,
}

impl<'a> Attempt<'a> {
    /// Begins an attempt of a user (where a name was sent) from a source.
    ///
    /// # Errors
    /// 429 where there were too many.
    pub(crate) async fn begin(context: &'a Context, user: Option<&str>, source: &Source) -> Result<Self, Problem> {
        // Hashed: names and addresses are nobody's business, and may hold anything.
        let subject = |kind: &str, value: &str| hex(&sha256(format!("{kind}:{value}").as_bytes())[..16]);
        let subjects = user.map(|user| subject("user", user)).into_iter().chain([subject("source", &source.subject())]);
        let attempt = Self { context, subjects: subjects.collect(), at: context.clock.now() };
        attempt.add(1).await?;
        let since = attempt.at - WINDOW;
        for subject in &attempt.subjects {
            let (count, first) = context.store.attempts(subject, since).await?;
            if count > MOST {
                attempt.add(-1).await?;
                let free = first.unwrap_or(attempt.at) + WINDOW + MINUTE;
                let wait = (free - attempt.at).max(SECOND).as_seconds();
                let wait = u32::try_from(wait).unwrap_or(60);
                let minutes = WINDOW / MINUTE;
                return Err(Problem::TooManyRequests(
                    format!("more than {MOST} failures in {minutes} minutes: try again in {wait} seconds"),
                    wait,
                ));
            }
        }
        Ok(attempt)
    }

    /// It went well, or nothing was learned from it: it does not count.
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
