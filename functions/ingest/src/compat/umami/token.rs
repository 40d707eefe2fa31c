//! What a reply of Umami tells a page, and the page sends back: who the visitor is. So a visitor stays the same when the address
//! changes, as that of a telephone does. It is signed with the salt of the day, and worth nothing after it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tally_core::app::AppId;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{MINUTE, TimeDelta, Timestamp};
use tally_core::web::visitor::{Salt, VisitorId};

/// After how long without an event a visitor begins another visit.
const PAUSE: TimeDelta = TimeDelta::minutes(30);
/// The bytes of a token before its signature: visitor, visit, and the second of the newest event.
const CONTENT: usize = 16 + 16 + 8;
/// The bytes of the signature.
const SIGNATURE: usize = 16;

/// A visitor and a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// The visitor.
    pub(super) visitor: VisitorId,
    /// The visit. It is only told, never stored: visits are found when events are read.
    pub(super) visit: [u8; 16],
    /// The second of the newest event.
    seen_at: Timestamp,
}

impl Token {
    /// Reads one, if it was signed with the salt for the same site.
    pub(super) fn read(text: &str, salt: &Salt, app: &AppId, site: &str) -> Option<Self> {
        let bytes: [u8; CONTENT + SIGNATURE] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (content, signature) = bytes.split_at(CONTENT);
        // The comparison may take longer for a better guess, but a token of one's own making gains nothing: it says who one is,
        // which an address and a `User-Agent` say as well.
        if signature != signed(salt, app, site, content) {
            return None;
        }
        let (visitor, rest) = content.split_at(16);
        let (visit, seen_at) = rest.split_at(16);
        Some(Self {
            visitor: VisitorId(visitor.try_into().ok()?),
            visit: visit.try_into().ok()?,
            seen_at: Timestamp::from_seconds(i64::from_be_bytes(seen_at.try_into().ok()?)),
        })
    }

    /// Whether it was made on the UTC day of `now`. Its salt says so too.
    pub(super) fn is_of_today(&self, now: Timestamp) -> bool {
        Bucket::of(Granularity::Day, self.seen_at) == Bucket::of(Granularity::Day, now)
    }

    /// The token after another event: of the same visit, unless the pause was long.
    pub(super) fn next(before: Option<&Self>, visitor: VisitorId, salt: &Salt, now: Timestamp) -> Self {
        let visit = before.filter(|before| now - before.seen_at < PAUSE && before.seen_at < now + MINUTE);
        let new = || {
            let begun = now.micros().to_be_bytes();
            salt.sign("visit", &[&visitor.0[..], &begun].concat())
        };
        Self {
            visitor,
            visit: visit.map_or_else(new, |before| before.visit),
            seen_at: Timestamp::from_seconds(now.seconds()),
        }
    }

    /// Its text.
    pub(super) fn write(&self, salt: &Salt, app: &AppId, site: &str) -> String {
        let seen_at = self.seen_at.seconds().to_be_bytes();
        let content = [&self.visitor.0[..], &self.visit, &seen_at].concat();
        let signature = signed(salt, app, site, &content);
        URL_SAFE_NO_PAD.encode([&content[..], &signature].concat())
    }
}

fn signed(salt: &Salt, app: &AppId, site: &str, content: &[u8]) -> [u8; SIGNATURE] {
    // An app has no NUL in its name, and the content has a fixed length.
    salt.sign("token", &[app.as_str().as_bytes(), b"\0", content, site.as_bytes()].concat())
}

/// Bytes as a UUID of version 8, which may have any content.
pub(super) fn uuid(bytes: [u8; 16]) -> String {
    let mut bytes = bytes;
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = tally_core::app::key::hex(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
