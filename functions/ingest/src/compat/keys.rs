//! Protocols whose records carry a key each.

use tally_core::app::key::PresentedKey;
use tally_core::rejected::{Reason, Refusal};

use super::call::{Call, Sender};

/// The maximum number of keys of one request that are looked up.
const MAX_KEYS: usize = 8;

/// The keys that the records of a request carry, and whether each is of the request's app.
#[derive(Default)]
pub(super) struct Keys(Vec<(String, bool)>);

impl Keys {
    /// Refuses a record with the key of another app. A text that is no key is a project token of the vendor's, next to a
    /// key in the path or a header.
    pub(super) async fn check(&mut self, call: &Call, sender: &Sender, token: &str) -> Result<(), Refusal> {
        let known = self.0.iter().find(|(known, _)| known == token).map(|(_, same)| *same);
        let same = match (known, PresentedKey::parse(token)) {
            (Some(same), _) => same,
            (None, None) => true,
            (None, Some(key)) if self.0.len() < MAX_KEYS => {
                let same = call.sender_by(&key).await.is_ok_and(|other| other.app.id == sender.app.id);
                self.0.push((token.to_owned(), same));
                same
            }
            (None, Some(_)) => false,
        };
        if same {
            return Ok(());
        }
        Err(Refusal::new(Reason::OtherApp, "its `token` is not a key of the app that the request is for"))
    }
}
