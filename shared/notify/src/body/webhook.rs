//! The body of a webhook, for programs.

use serde::{Serialize, Serializer};
use tally_core::time::Timestamp;

use crate::notification::{Example, Kind, Notification, Report};
use crate::text::{fit, plain};

/// The longest name, in UTF-16 units.
const MAX_NAME: usize = 256;
/// The longest sentence and title of an example.
const MAX_TEXT: usize = 1_000;
/// The longest URL.
const MAX_URL: usize = 2_000;

#[derive(Serialize)]
struct Body {
    r#type: Kind,
    timestamp: Timestamp,
    data: Data,
}

#[derive(Serialize)]
struct Data {
    app: String,
    alert: String,
    name: String,
    sentence: String,
    #[serde(serialize_with = "number")]
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_none: Option<bool>,
    #[serde(serialize_with = "number")]
    threshold: Option<f64>,
    window: Option<Window>,
    url: Option<String>,
    chart: Option<String>,
    examples: Vec<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Summary>,
}

#[derive(Serialize)]
struct Summary {
    since: Timestamp,
    until: Timestamp,
    total: Option<i64>,
    previous_total: Option<i64>,
    errors: Option<i64>,
    previous_errors: Option<i64>,
    names: Vec<NameCount>,
    messages: Vec<MessageCount>,
    complete: bool,
}

#[derive(Serialize)]
struct NameCount {
    name: String,
    count: i64,
    previous: Option<i64>,
}

#[derive(Serialize)]
struct MessageCount {
    message: String,
    level: Option<&'static str>,
    count: i64,
}

#[derive(Serialize)]
struct Window {
    since: Timestamp,
    until: Timestamp,
}

#[derive(Serialize)]
struct Shown {
    title: String,
    url: Option<String>,
    at: Timestamp,
}

/// The JSON of a notification. Texts are as they are, but cut.
pub(crate) fn body(notification: &Notification) -> Vec<u8> {
    let text = |text: &str| fit(text, MAX_TEXT, plain);
    let url = |url: &Option<String>| url.clone().filter(|url| url.len() <= MAX_URL);
    let examples = notification.examples.iter().take(Example::MAX);
    let body = Body {
        r#type: notification.kind,
        timestamp: notification.at,
        data: Data {
            app: fit(&notification.app, MAX_NAME, plain),
            alert: fit(&notification.alert, MAX_NAME, plain),
            name: fit(&notification.name, MAX_NAME, plain),
            sentence: text(&notification.sentence),
            value: notification.value,
            from_none: notification.from_none.then_some(true),
            threshold: notification.threshold,
            window: notification.window.map(|window| Window { since: window.since(), until: window.until() }),
            url: url(&notification.url),
            chart: url(&notification.chart),
            examples: examples
                .map(|example| Shown { title: text(&example.title), url: url(&example.url), at: example.at })
                .collect(),
            report: notification.report.as_ref().map(summary),
        },
    };
    // Serializing fails for maps with keys that are no strings, and here are none.
    serde_json::to_vec(&body).unwrap_or_default()
}

fn summary(report: &Report) -> Summary {
    let names = report.names.iter().take(Report::MOST);
    let messages = report.messages.iter().take(Report::MOST);
    Summary {
        since: report.since,
        until: report.until,
        total: report.total,
        previous_total: report.previous_total,
        errors: report.errors,
        previous_errors: report.previous_errors,
        names: names
            .map(|name| NameCount {
                name: fit(&name.name, MAX_NAME, plain),
                count: name.count,
                previous: name.previous,
            })
            .collect(),
        messages: messages
            .map(|message| MessageCount {
                message: fit(&message.message, MAX_TEXT, plain),
                level: message.level,
                count: message.count,
            })
            .collect(),
        complete: report.complete,
    }
}

/// Writes a whole number without a fraction, and what is no number as null.
#[allow(clippy::ref_option, clippy::cast_possible_truncation)] // serde passes a reference; only whole numbers are cast
fn number<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => serializer.serialize_i64(*value as i64),
        Some(value) if value.is_finite() => serializer.serialize_f64(*value),
        _ => serializer.serialize_none(),
    }
}
