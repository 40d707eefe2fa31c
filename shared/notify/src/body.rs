//! The bodies of each channel. Pure.

pub(crate) mod discord;
pub(crate) mod mail;
pub(crate) mod slack;
#[cfg(test)]
mod tests;
pub(crate) mod webhook;

use std::borrow::Cow;
use std::fmt::Write;

use tally_core::digest::sha256;

use crate::notification::Notification;
use crate::text::{line, number, range, time};

/// What a notification is called: `Firing: Errors of checkout`. Not yet cut or escaped.
fn title(notification: &Notification) -> String {
    format!("{}: {}", notification.kind.words(), line(&notification.name))
}

/// Label and value of each fact, to be cut and escaped.
fn facts(notification: &Notification) -> Vec<(&'static str, String)> {
    let facts = [
        ("Value", notification.value.and_then(number)),
        ("Threshold", notification.threshold.and_then(number)),
        ("Window", notification.window.map(range)),
        ("App", Some(line(&notification.app))),
        ("At", Some(time(notification.at))),
    ];
    facts.into_iter().filter_map(|(label, value)| Some((label, value?))).collect()
}

/// The id of a notification as receivers get it: itself where it is short and of letters, digits, `_` and `-`, as
/// headers and signatures need it; else a hash of it.
pub(crate) fn stable_id(notification: &Notification) -> Cow<'_, str> {
    let id = &notification.id;
    if (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return Cow::Borrowed(id);
    }
    let mut hashed = "msg_".to_owned();
    for byte in sha256(id.as_bytes()).iter().take(16) {
        // Writing to a string does not fail.
        let _ = write!(hashed, "{byte:02x}");
    }
    Cow::Owned(hashed)
}
