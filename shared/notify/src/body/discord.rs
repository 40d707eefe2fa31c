//! The body of Discord: a content, which notifications of the phone show, and one embed.
//!
//! Nothing is mentioned, since `allowed_mentions` is empty. Text of events is escaped, so that it is shown as it is and
//! links nowhere.

use serde_json::{Value, json};

use super::{facts, report, title};
use crate::notification::{Example, Kind, Notification, Report};
use crate::text::{fit, line, link, picture, time};

/// The longest content (Discord takes 2,000).
const MAX_CONTENT: usize = 1_500;
/// The longest title (Discord takes 256).
const MAX_TITLE: usize = 256;
/// The longest value of a field (Discord takes 1,024).
const MAX_FIELD: usize = 1_024;
/// The longest link within a field.
const MAX_FIELD_LINK: usize = 500;

/// The message of a notification, with its picture or without.
pub(crate) fn body(notification: &Notification, with_picture: bool) -> Value {
    let mut fields: Vec<_> = facts(notification)
        .into_iter()
        .map(|(label, value)| json!({"name": label, "value": escaped(&value, MAX_FIELD), "inline": true}))
        .collect();
    for (label, lines) in notification.report.iter().flat_map(report::lists) {
        let lines = lines.iter().map(|line| escaped(line, MAX_FIELD / Report::MOST - 1));
        fields.push(json!({"name": label, "value": lines.collect::<Vec<_>>().join("\n")}));
    }
    for example in notification.examples.iter().take(Example::MAX) {
        let link = link(example.url.as_deref()).filter(|url| url.len() <= MAX_FIELD_LINK);
        let link = link.map_or_else(String::new, |url| format!("\n[Open in Tally]({url})"));
        let title = escaped(&line(&example.title), MAX_FIELD - link.len());
        fields.push(json!({"name": time(example.at), "value": format!("{title}{link}")}));
    }
    let mut embed = json!({
        "title": escaped(&title(notification), MAX_TITLE),
        "color": color(notification.kind),
        "timestamp": notification.at,
        "fields": fields,
    });
    if let Some(url) = link(notification.url.as_deref()) {
        embed["url"] = url.into();
    }
    if let Some(url) = picture(notification.chart.as_deref()).filter(|_| with_picture) {
        embed["image"] = json!({"url": url});
    }
    json!({
        "content": escaped(&line(&notification.sentence), MAX_CONTENT),
        "embeds": [embed],
        "allowed_mentions": {"parse": []},
    })
}

/// The color of the bar beside an embed, as RGB.
fn color(kind: Kind) -> u32 {
    match kind {
        Kind::AlertFiring | Kind::IssueNew | Kind::IssueRegressed | Kind::Digest => 0x00d1_3438,
        Kind::AlertRecovered => 0x0010_7c10,
        Kind::AlertUnknown => 0x00c1_9c00,
        Kind::AlertTest | Kind::Report => 0x0060_6060,
    }
}

/// Text that is no markup: Discord takes a backslash before any sign as that sign. One before `/` and `:` keeps URLs from
/// becoming links.
fn escaped(text: &str, limit: usize) -> String {
    fit(text, limit, |c, text| {
        if matches!(
            c,
            '\\' | '*' | '_' | '~' | '`' | '|' | '<' | '>' | '#' | '-' | '+' | '[' | ']' | '(' | ')' | ':' | '@' | '/'
        ) {
            text.push('\\');
        }
        text.push(c);
    })
}
