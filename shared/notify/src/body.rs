//! The bodies of each channel. Pure.

pub(crate) mod discord;
pub(crate) mod mail;
mod report;
pub(crate) mod slack;
#[cfg(test)]
mod tests;
pub(crate) mod webhook;

use std::borrow::Cow;
use std::fmt::Write;

use tally_core::digest::sha256;

use crate::notification::{Kind, Notification};
use crate::text::{line, number, picture, range, time};

/// What a notification is called: `Firing: Errors of checkout`. Not yet cut or escaped.
fn title(notification: &Notification) -> String {
    if let Some(report) = &notification.report {
        let of_test = if notification.kind == Kind::AlertTest { "Test: " } else { "" };
        return format!("{of_test}{}", report::title(report));
    }
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
    let of_report = notification.report.iter().flat_map(report::facts);
    of_report.chain(facts.into_iter().filter_map(|(label, value)| Some((label, value?)))).collect()
}

/// Whether the body of Slack or Discord has a picture where it is asked for.
pub(crate) fn has_picture(notification: &Notification) -> bool {
    picture(notification.chart.as_deref()).is_some()
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
