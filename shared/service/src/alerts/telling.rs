//! The notification of a transition.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tally_core::alert::judge::Status;
use tally_core::alert::rule::{Condition, Rule};
use tally_core::alert::sentence::condition;
use tally_core::app::App;
use tally_core::issue::News;
use tally_core::time::{Range, Timestamp};
use tally_notify::{Example, Kind, Notification};
use tally_store::{LogEntry, ToldIssue};

use crate::config::Config;

/// What a transition tells one channel. Its id is the same however often it is sent.
pub(super) fn of_transition(config: &Config, app: &App, rule: &Rule, entry: &LogEntry, channel: &str) -> Notification {
    let window = window(entry.end, rule.window);
    let value = entry.value.map(|value| shown(&rule.condition, value));
    let said = value.as_ref().map_or_else(String::new, |value| format!(" It was {value}."));
    let (kind, sentence) = match entry.to {
        Status::Firing => (Kind::AlertFiring, format!("{}.{said}", entry.condition)),
        Status::Ok => (Kind::AlertRecovered, format!("No longer: {}.{said}", entry.condition)),
        Status::Unknown => {
            let why = entry.why.map_or("", |why| why.sentence());
            (Kind::AlertUnknown, format!("Nobody knows whether {}. {why}", entry.condition))
        }
    };
    Notification {
        id: format!("{}_{}_{}_{channel}", entry.rule, entry.end.seconds(), entry.to.name()),
        kind,
        at: entry.end,
        value: entry.value,
        #[allow(clippy::cast_precision_loss)] // thresholds are below 2^53
        threshold: entry.threshold.map(|threshold| threshold as f64),
        window,
        ..about(config, app, rule, sentence)
    }
}

/// What an issue is called in a notification, and which it is.
pub(super) struct Named {
    /// Its group.
    pub(super) id: String,
    /// Its title; none once its events were erased.
    pub(super) title: Option<String>,
    /// When it occurred first.
    pub(super) first_seen: Timestamp,
}

/// What a rule about issues tells one channel.
pub(super) fn of_issue(
    config: &Config,
    app: &App,
    rule: &Rule,
    (entry, told): (&LogEntry, &ToldIssue),
    issue: Option<&Named>,
    channel: &str,
) -> Notification {
    let title = issue.and_then(|issue| issue.title.clone()).unwrap_or_else(|| "an issue that was erased".to_owned());
    let page = config.page_url.as_ref().map(|page| format!("{page}/?app={}&view=errors", escaped(app.slug.as_str())));
    let one = page.as_ref().zip(issue).map(|(page, issue)| format!("{page}&issue={}", escaped(&issue.id)));
    let (kind, sentence) = match (&told.group, told.news) {
        (Some(_), News::New) => (Kind::IssueNew, format!("New issue: {title}")),
        (Some(_), News::Regressed) => (Kind::IssueRegressed, format!("Resolved, and occurs again: {title}")),
        (None, News::New) => (Kind::Digest, format!("{} more issues are new.", told.count)),
        (None, News::Regressed) => (Kind::Digest, format!("{} more resolved issues occur again.", told.count)),
    };
    let example = issue.map(|issue| Example { title: title.clone(), url: one.clone(), at: issue.first_seen });
    Notification {
        id: format!("{}_{}_issue_{channel}", entry.rule, entry.version),
        kind,
        at: entry.at,
        url: one.or(page),
        examples: example.into_iter().collect(),
        #[allow(clippy::cast_precision_loss)] // a small number
        value: told.group.is_none().then_some(told.count as f64),
        ..about(config, app, rule, sentence)
    }
}

/// What a test of a rule tells.
pub(super) fn of_test(config: &Config, app: &App, rule: &Rule, now: Timestamp, channel: &str) -> Notification {
    let sentence = format!("This is a test. The rule waits for: {}.", condition(rule));
    Notification {
        id: format!("{}_{}_test_{channel}", rule.id, now.micros()),
        at: now,
        ..about(config, app, rule, sentence)
    }
}

fn about(config: &Config, app: &App, rule: &Rule, sentence: String) -> Notification {
    Notification {
        id: String::new(),
        kind: Kind::AlertTest,
        at: Timestamp::EPOCH,
        app: app.slug.to_string(),
        alert: rule.id.to_string(),
        name: rule.name.clone(),
        sentence,
        value: None,
        threshold: None,
        window: None,
        url: config.page_url.as_ref().map(|page| link(page, app, rule)),
        chart: None,
        examples: vec![],
    }
}

/// The window of a rule that ends at a time.
pub(super) fn window(end: Timestamp, length: tally_core::alert::minutes::Minutes) -> Option<Range> {
    Range::new(end - length.length(), end).ok()
}

/// A value as people read it: occurrences, or a change.
fn shown(condition: &Condition, value: f64) -> String {
    match condition {
        Condition::ChangesBy { .. } if value.fract() == 0.0 => format!("{value:+}%"),
        Condition::ChangesBy { .. } => format!("{value:+.1}%"),
        Condition::Above(_) | Condition::Below(_) | Condition::Issue(_) => value.to_string(),
    }
}

/// The page with the filter of a rule.
fn link(page: &str, app: &App, rule: &Rule) -> String {
    let mut link = format!("{page}/?app={}", escaped(app.slug.as_str()));
    for (name, values) in &rule.filter {
        for value in values {
            link.push('&');
            link.push_str(&escaped(name));
            link.push('=');
            link.push_str(&escaped(value));
        }
    }
    link
}

/// A text percent-encoded, for a query.
fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
