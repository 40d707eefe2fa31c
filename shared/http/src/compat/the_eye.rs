//! The Eye (<https://github.com/MAkcanca/the-eye>): a Django REST framework API that keeps events of sessions.
//!
//! | The Eye | Tally |
//! | --- | --- |
//! | base URL | `/the-eye/{key}`: the key says whose app it is, since The Eye's clients send no credentials |
//! | `POST api/event/` | one event: `session_id`, `category`, `name`, `timestamp`, `data` are fields of the same names |
//! | `GET api/event/` | the events of `session_id`, `category`, `name`, newest first, at most `limit` from `offset` on |
//! | `timestamp_after`, `timestamp_start` | from this time on (a date is its first moment in UTC) |
//! | `timestamp_before`, `timestamp_end` | up to this time and with it, as django-filter has it: `2021-01-02` takes in the first microsecond of that day and no more |
//! | `count` | occurrences, which are as many as the events unless some were sent otherwise with a `count` |
//! | `next`, `previous` | the URL that was asked for, with other `limit` and `offset` |
//!
//! As the document says, or Django REST framework does where it is silent:
//! - All five fields must be sent; only `data` may be an empty text. A number is taken for a text where one is needed, white
//!   space at the ends of a text goes, a field that The Eye does not know is left out.
//! - A parameter that The Eye does not know changes nothing; an empty one is none; of one sent twice the last holds. A `limit`
//!   or `offset` that is no number is none. Bounds in the wrong order hold no events.
//! - A timestamp comes back in UTC with `Z`, without a fraction or with all six digits of it.
//!
//! What differs, and why:
//! - What is wrong is told: 400 with `{"success": false, "detail": …}`, where The Eye answered 201 with `success` alone; so
//!   does every other refusal. `detail` is where Django REST framework tells it.
//! - Tally's limits hold: 256 bytes a text (The Eye: 150 characters), times from 1970 to a day ahead, events of 256 KB.
//! - A page has at most 1,000 events and 4 MB; a larger `limit` is cut to that, and `next` leads on. `next` is null where
//!   the events end, whatever `count` says.
//! - An `offset` over 10,000 is refused, since every event before it would be read; past it `next` and `previous` carry a
//!   `cursor` in its place.
//! - A page may be short, or even empty, and still have a `next`, where reading would cost more than one request may.
//! - `count` comes from the counters, which follow an accepted event within a second or two; it is never less than what the
//!   page shows. For one session it is counted in the index. `complete: false` beside it says that there is more than it
//!   counts: a session too long to count in one request, or names past what counters hold.
//! - Times are those of the events. An app with `clock: received` goes by those of their coming, here too: make another.
//! - An event that was not sent by The Eye's clients may have no session, category or data: null.
//! - Bodies are JSON, whatever their type is said to be; The Eye reads forms as well.
//! - HEAD and OPTIONS are 405, as everywhere in Tally (but for browsers' preflights); there is no HTML form of a reply.

use schemars::JsonSchema;
use serde::Serialize;
use tally_core::time::{SECOND, Timestamp};

use crate::problem::Problem;

/// Why The Eye does not answer as asked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TheEyeRefusal")]
pub struct TheEyeProblem {
    /// False.
    success: bool,
    /// What is wrong, and what to send instead.
    detail: String,
}

impl TheEyeProblem {
    pub(super) fn of(problem: &Problem) -> Self {
        Self { success: false, detail: problem.to_string() }
    }
}

/// A time as Django REST framework writes it: in UTC, without a fraction or with six digits of it.
pub fn timestamp(at: Timestamp) -> String {
    let precision = if at == at.floor(SECOND) { 0 } else { 6 };
    format!("{:.precision$}", at.jiff())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_has_six_digits_or_none() {
        for (sent, written) in [
            ("2021-01-01 09:15:27.243860", "2021-01-01T09:15:27.243860Z"),
            ("2021-01-01 09:15:27.5", "2021-01-01T09:15:27.500000Z"),
            ("2021-01-01T10:15:27+01:00", "2021-01-01T09:15:27Z"),
        ] {
            assert_eq!(timestamp(sent.parse().expect("a time")), written);
        }
    }
}
