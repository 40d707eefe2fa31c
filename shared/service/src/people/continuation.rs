//! What one request could not read to the end, kept for the next: people by hash, and where to go on.

use serde::{Deserialize, Serialize};
use tally_core::app::App;
use tally_core::app::key::hex;
use tally_core::digest::sha256;
use tally_core::event::id::EventId;
use tally_core::people::Hasher;
use tally_core::time::{HOUR, MILLISECOND, Range, TimeDelta, Timestamp, micros};
use tally_store::{MAX_FUNNEL_STATE, Store, StoreError};

use super::Read;

/// How long a state is kept.
const KEPT: TimeDelta = HOUR;
/// The bytes of a token.
const TOKEN: usize = 20;

/// What is kept before the people.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// What it is bound to.
    bound: String,
    /// The key with which people are hashed.
    key: [u8; 16],
    #[serde(with = "micros::range")]
    range: Range,
    /// The last event that is in it.
    after: EventId,
    /// Texts that the people refer to by number.
    values: Vec<String>,
    /// The time before which everything that was accepted was read, in microseconds.
    counted_to: i64,
}

/// A state that was kept.
pub struct Begun {
    kept: Kept,
    people: Vec<u8>,
}

/// A state to keep.
pub(super) struct State {
    pub(super) hasher: Hasher,
    pub(super) values: Vec<String>,
    pub(super) people: Vec<u8>,
}

impl Begun {
    /// The range of the question when it was first asked.
    pub fn range(&self) -> Range {
        self.kept.range
    }

    /// The last event that is in it.
    pub(super) fn after(&self) -> EventId {
        self.kept.after
    }

    /// What hashed the people.
    pub(super) fn hasher(&self) -> Hasher {
        Hasher::with_key(self.kept.key)
    }

    /// The people.
    pub(super) fn people(&self) -> &[u8] {
        &self.people
    }

    /// The texts that people refer to.
    pub(super) fn take_values(&mut self) -> Vec<String> {
        std::mem::take(&mut self.kept.values)
    }

    /// What is covered together with what was read before. Of what was accepted since then and happened before nothing is known.
    pub(super) fn continued_by(&self, read: Read) -> Read {
        Read {
            counted_to: read.counted_to.min(Timestamp::from_micros(self.kept.counted_to)),
            live_from: read.live_from.map(|from| from.max(self.kept.after.at() + MILLISECOND)),
            ..read
        }
    }
}

/// What binds a state to an app and a question, which has a form and a number of that form.
pub fn bound(app: &App, form: &str, question: &str) -> String {
    hex(&sha256(format!("{form}\n{}\n{question}", app.id).as_bytes()))
}

/// The state under a token. None if it has expired, or belongs to another question.
///
/// # Errors
/// Where the store fails.
pub async fn begun(store: &Store, token: &str, bound: &str, now: Timestamp) -> Result<Option<Begun>, StoreError> {
    let is_token = token.len() == 2 * TOKEN && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    let state = if is_token { store.funnel(token, now).await? } else { None };
    let begun = state.and_then(|state| {
        let at = state.iter().position(|byte| *byte == b'\n')?;
        let kept: Kept = serde_json::from_slice(&state[..at]).ok()?;
        Some(Begun { kept, people: state[at + 1..].to_vec() })
    });
    Ok(begun.filter(|begun| begun.kept.bound == bound))
}

/// Keeps the state of what is not read to the end. Returns its token, or none if it is too large.
pub(super) async fn keep(
    store: &Store,
    read: &Read,
    range: Range,
    bound: String,
    now: Timestamp,
    state: impl FnOnce(EventId) -> State,
) -> Result<Option<String>, StoreError> {
    let Some(after) = read.frontier else { return Ok(None) };
    let State { hasher, values, people } = state(after);
    let kept = Kept { bound, key: *hasher.key(), range, after, values, counted_to: read.counted_to.micros() };
    // Texts and numbers alone always serialize, and JSON without spaces has no line feed.
    let mut bytes = serde_json::to_vec(&kept).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend(people);
    if bytes.len() > MAX_FUNNEL_STATE {
        return Ok(None);
    }
    let token = hex(&rand::random::<[u8; TOKEN]>());
    store.put_funnel(&token, &bytes, now + KEPT).await?;
    Ok(Some(token))
}
