//! The body of Slack: Block Kit, and a text for where blocks are not shown.
//!
//! Text of events stands in `plain_text` alone, which knows no links, mentions or formats. The control characters `&`,
//! `<` and `>` are escaped there too, as Slack asks for all text. The markup is ours: links to the dashboard.

use serde_json::{Value, json};

use super::{facts, report, title};
use crate::notification::{Example, Notification};
use crate::text::{fit, line, link, picture, time};

/// The longest header (Slack takes 150).
const MAX_HEADER: usize = 150;
/// The longest sentence, and the longest text without blocks (Slack takes 3,000 and 40,000).
const MAX_SENTENCE: usize = 2_000;
/// The longest field, such as the title of an example (Slack takes 2,000).
const MAX_FIELD: usize = 500;
/// The longest link with its label, which may be a field too.
const MAX_LINKED: usize = 2_000;

/// The message of a notification. A picture that Slack cannot fetch makes it refuse the message, so one without it can be
/// had.
pub(crate) fn body(notification: &Notification, with_picture: bool) -> Value {
    let title = title(notification);
    let sentence = line(&notification.sentence);
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": escaped(&title, MAX_HEADER), "emoji": false}}),
        json!({"type": "section", "text": literal(&sentence, MAX_SENTENCE)}),
    ];
    let facts = facts(notification).into_iter().map(|(label, value)| literal(&format!("{label}: {value}"), MAX_FIELD));
    blocks.push(json!({"type": "section", "fields": facts.collect::<Vec<_>>()}));
    for (label, lines) in notification.report.iter().flat_map(report::lists) {
        let lines = lines.iter().map(|line| escaped(line, MAX_FIELD));
        let text = std::iter::once(label.to_owned()).chain(lines).collect::<Vec<_>>().join("\n");
        blocks.push(json!({"type": "section", "text": {"type": "plain_text", "text": text, "emoji": false}}));
    }
    for example in notification.examples.iter().take(Example::MAX) {
        let at = time(example.at);
        let at = linked(example.url.as_deref(), &at).unwrap_or_else(|| literal(&at, MAX_FIELD));
        blocks.push(json!({"type": "section", "fields": [literal(&line(&example.title), MAX_FIELD), at]}));
    }
    if let Some(url) = picture(notification.chart.as_deref()).filter(|_| with_picture) {
        blocks.push(json!({"type": "image", "image_url": url, "alt_text": "Chart"}));
    }
    if let Some(link) = linked(notification.url.as_deref(), "Open in Tally") {
        blocks.push(json!({"type": "section", "text": link}));
    }
    json!({
        "text": escaped(&format!("{title}: {sentence}"), MAX_SENTENCE),
        "mrkdwn": false,
        "parse": "none",
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    })
}

fn literal(text: &str, limit: usize) -> Value {
    json!({"type": "plain_text", "text": escaped(text, limit), "emoji": false})
}

/// A link of ours, if there is one and it fits. `verbatim` says that nothing else becomes one.
fn linked(url: Option<&str>, label: &str) -> Option<Value> {
    let text = format!("<{}|{label}>", link(url)?.replace('&', "&amp;"));
    (text.len() <= MAX_LINKED).then(|| json!({"type": "mrkdwn", "text": text, "verbatim": true}))
}

fn escaped(text: &str, limit: usize) -> String {
    fit(text, limit, |c, text| match c {
        '&' => text.push_str("&amp;"),
        '<' => text.push_str("&lt;"),
        '>' => text.push_str("&gt;"),
        c => text.push(c),
    })
}
