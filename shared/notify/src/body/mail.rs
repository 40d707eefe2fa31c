//! The e-mail: a text, and the same as HTML.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use lettre::error::Error;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use super::{facts, report, stable_id, title};
use crate::notification::{Example, Notification};
use crate::text::{fit, line, link, picture, plain, time};

/// The longest subject.
const MAX_SUBJECT: usize = 200;
/// The longest sentence and title of an example.
const MAX_TEXT: usize = 2_000;

/// The message of a notification to these recipients. Its `Message-ID` and `Date` are the same for each attempt.
pub(crate) fn message(notification: &Notification, from: &Mailbox, to: &[Address]) -> Result<Message, Error> {
    // What looks like an encoded word (RFC 2047) would be decoded by who reads it.
    let subject = format!("[{}] {}", line(&notification.app), title(notification)).replace("=?", "= ?");
    let at = u64::try_from(notification.at.seconds()).unwrap_or(0);
    let mut message = Message::builder()
        .from(from.clone())
        .subject(fit(&subject, MAX_SUBJECT, plain))
        .date(SystemTime::UNIX_EPOCH + Duration::from_secs(at))
        .message_id(Some(format!("<{}@{}>", stable_id(notification), from.email.domain())))
        // Absence replies and the like answer no such mail (RFC 3834).
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
    for address in to {
        message = message.to(Mailbox::new(None, address.clone()));
    }
    message.multipart(MultiPart::alternative_plain_html(text(notification), html(notification)))
}

pub(super) fn text(notification: &Notification) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(text, "{}\r\n\r\n", fit(&line(&notification.sentence), MAX_TEXT, plain));
    for (label, value) in facts(notification) {
        let _ = write!(text, "{label}: {}\r\n", fit(&value, MAX_SUBJECT, plain));
    }
    for (label, lines) in notification.report.iter().flat_map(report::lists) {
        let _ = write!(text, "\r\n{label}\r\n");
        for line in lines {
            let _ = write!(text, "- {line}\r\n");
        }
    }
    for example in notification.examples.iter().take(Example::MAX) {
        let _ = write!(text, "\r\n{}\r\n{}", time(example.at), fit(&line(&example.title), MAX_TEXT, plain));
        let _ = write!(text, "\r\n{}", link(example.url.as_deref()).unwrap_or_default());
    }
    if let Some(url) = picture(notification.chart.as_deref()) {
        let _ = write!(text, "\r\nChart: {url}\r\n");
    }
    if let Some(url) = link(notification.url.as_deref()) {
        let _ = write!(text, "\r\nOpen in Tally: {url}\r\n");
    }
    text
}

pub(super) fn html(notification: &Notification) -> String {
    let mut html = "<!doctype html><html><body style=\"font-family:sans-serif\">".to_owned();
    // Writing to a string does not fail.
    let _ = write!(html, "<p><strong>{}</strong></p>", escaped(&title(notification)));
    let _ = write!(html, "<p>{}</p><table>", escaped(&line(&notification.sentence)));
    for (label, value) in facts(notification) {
        let _ = write!(html, "<tr><td>{label}</td><td>{}</td></tr>", escaped(&value));
    }
    html.push_str("</table>");
    for (label, lines) in notification.report.iter().flat_map(report::lists) {
        let _ = write!(html, "<p><strong>{label}</strong>");
        for line in lines {
            let _ = write!(html, "<br>{}", escaped(&line));
        }
        html.push_str("</p>");
    }
    for example in notification.examples.iter().take(Example::MAX) {
        let at = linked(example.url.as_deref(), &time(example.at));
        let _ = write!(html, "<p>{at}<br>{}</p>", escaped(&line(&example.title)));
    }
    if let Some(url) = picture(notification.chart.as_deref()) {
        let _ = write!(html, "<p><img alt=\"Chart\" style=\"max-width:100%\" src=\"{}\"></p>", attribute(&url));
    }
    if notification.url.is_some() {
        let _ = write!(html, "<p>{}</p>", linked(notification.url.as_deref(), "Open in Tally"));
    }
    html.push_str("</body></html>");
    html
}

/// Our label, as a link where there is one.
fn linked(url: Option<&str>, label: &str) -> String {
    link(url).map_or_else(|| label.to_owned(), |url| format!("<a href=\"{}\">{label}</a>", attribute(&url)))
}

/// A link as the value of an attribute. It holds no quotation marks, and is never cut.
fn attribute(url: &str) -> String {
    url.replace('&', "&amp;")
}

/// Text that is no markup.
fn escaped(text: &str) -> String {
    fit(text, MAX_TEXT * 2, |c, text| match c {
        '&' => text.push_str("&amp;"),
        '<' => text.push_str("&lt;"),
        '>' => text.push_str("&gt;"),
        '"' => text.push_str("&quot;"),
        '\'' => text.push_str("&#39;"),
        c => text.push(c),
    })
}
