//! Cursors of events: where a list continues, and its query.

use serde::{Deserialize, Serialize};
use tally_core::app::AppId;
use tally_core::event::id::EventId;
use tally_core::time::{Range, micros};
use tally_http::cursor::{CursorError, open, seal};
use tally_http::parameters::SentParams;

/// Where a list continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The id of the app, which has its generation.
    #[serde(rename = "a")]
    pub app: String,
    /// The parameters as they were sent, without `limit` and `offset`.
    #[serde(rename = "q")]
    pub params: SentParams,
    /// The range that the parameters meant when the cursor was made.
    #[serde(rename = "r", with = "micros::range")]
    pub range: Range,
    /// The event after which the list continues.
    #[serde(rename = "i")]
    pub after: EventId,
    /// Matches to skip after it.
    #[serde(rename = "s", default, skip_serializing_if = "is_zero")]
    pub skip: usize,
    /// Events in a page.
    #[serde(rename = "l")]
    pub limit: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Cursor {
    /// The text to send back.
    pub fn encode(&self) -> String {
        // Texts and numbers alone always serialize.
        seal(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads a text that [`Cursor::encode`] gave for the same app.
    pub fn decode(text: &str, app: &AppId) -> Result<Self, CursorError> {
        let cursor: Self = serde_json::from_slice(&open(text)?).map_err(|_| CursorError)?;
        if cursor.app != app.as_str() {
            return Err(CursorError);
        }
        Ok(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use tally_core::app::AppSlug;
    use tally_core::time::{MICROSECOND, Timestamp};
    use tally_http::cursor::CHECK;
    use tally_http::parameters::Sent;

    fn app(name: &str) -> AppId {
        AppId::new(&AppSlug::of_name(name).expect("a name"), 1)
    }

    fn cursor() -> Cursor {
        Cursor {
            app: "shop".into(),
            params: SentParams::from([("level".into(), "ERROR".to_owned().into())]),
            range: Range::new(Timestamp::EPOCH, Timestamp::EPOCH + 5 * MICROSECOND).expect("in order"),
            after: EventId::first_at(Timestamp::EPOCH),
            skip: 0,
            limit: 50,
        }
    }

    #[test]
    fn it_reads_back_for_its_own_app_alone() {
        let text = cursor().encode();
        assert_eq!(Cursor::decode(&text, &app("shop")), Ok(cursor()));
        assert_eq!(Cursor::decode(&text, &app("shops")), Err(CursorError));
    }

    #[test]
    fn a_parameter_has_one_value_or_several() {
        let mut cursor = cursor();
        let levels = ["ERROR".to_owned(), "FATAL".to_owned()];
        cursor.params.insert("level[ne]".into(), Sent::Often(levels.into()));
        assert_eq!(Cursor::decode(&cursor.encode(), &app("shop")), Ok(cursor.clone()));
        let content = serde_json::to_value(&cursor).expect("JSON");
        assert_eq!(content["q"], serde_json::json!({"level": "ERROR", "level[ne]": ["ERROR", "FATAL"]}));
    }

    #[test]
    fn the_range_is_written_in_microseconds() {
        let bytes = URL_SAFE_NO_PAD.decode(cursor().encode()).expect("base64");
        let mut content: serde_json::Value = serde_json::from_slice(&bytes[..bytes.len() - CHECK]).expect("JSON");
        assert_eq!(content["r"], serde_json::json!([0, 5]));
        let read = |content: &serde_json::Value| Cursor::decode(&seal(content.to_string().into()), &app("shop"));
        assert_eq!(read(&content), Ok(cursor()));
        content["r"] = serde_json::json!([5, 0]);
        assert_eq!(read(&content), Err(CursorError));
    }

    proptest! {
        #[test]
        fn an_altered_one_is_refused(at in 0usize..100, to in "[A-Za-z0-9_-]") {
            let text = cursor().encode();
            let at = at % text.len();
            let mut altered = text.clone();
            altered.replace_range(at..=at, &to);
            // The last character may hold bits that no byte needs; then it must still not read differently.
            prop_assert!(altered == text || Cursor::decode(&altered, &app("shop")).is_err());
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            prop_assert!(Cursor::decode(&text, &app("shop")).is_err());
        }
    }
}
