//! The notification of a transition.

use tally_core::alert::judge::{Status, Why};
use tally_core::alert::rule::{Condition, Rule};
use tally_core::alert::schedule::Schedule;
use tally_core::alert::sentence::condition;
use tally_core::app::App;
use tally_core::issue::News;
use tally_core::time::zone::Zone;
use tally_core::time::{DAY, Range, Timestamp};
use tally_notify::{Example, Kind, Notification, Report};
use tally_store::{LogEntry, ToldIssue};

use super::asking::window;
use super::content::{Content, Named, shown_range};
use super::links::{self, escaped, range_params};
use crate::config::Config;

/// What a transition tells one channel. Its id is the same however often it is sent.
pub(super) fn of_transition(
    config: &Config,
    app: &App,
    rule: &Rule,
    entry: &LogEntry,
    content: &Content,
    channel: &str,
) -> Notification {
    let window = window(entry.end, rule.window);
    let value = entry.value.map(|value| shown(&rule.condition, value, entry.from_none));
    let said = value.as_ref().map_or_else(String::new, |value| format!(" It was {value}."));
    let (kind, sentence) = match entry.to {
        Status::Firing => (Kind::AlertFiring, format!("{}.{said}", entry.condition)),
        Status::Ok if entry.why == Some(Why::Changed) => {
            (Kind::AlertRecovered, format!("{}. It fired when {}.", Why::Changed.sentence(), entry.condition))
        }
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
        from_none: entry.from_none,
        #[allow(clippy::cast_precision_loss)] // thresholds are below 2^53
        threshold: entry.threshold.map(|threshold| threshold as f64),
        window,
        chart: content.chart.clone(),
        examples: content.examples.clone(),
        url: shown_range(entry).zip(config.page_url.as_ref()).map(|(range, page)| link(page, app, rule) + &range_params(range)),
        ..about(config, app, rule, sentence)
    }
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
    let page = config.page_url.as_ref().map(|page| format!("{}&view=errors", links::page(page, app)));
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

/// What a report tells one channel.
pub(super) fn of_report(
    config: &Config,
    app: &App,
    rule: &Rule,
    entry: &LogEntry,
    content: &Content,
    channel: &str,
) -> Notification {
    let mut report = content.report.clone().unwrap_or_default();
    let missing = match entry.why {
        Some(_) => " Counting is behind, so counts may be missing.",
        None if report.complete => "",
        None => {
            " A part is missing: it is more than one report may read, or the counters lack it, or texts were erased or have expired."
        }
    };
    report.complete &= entry.why.is_none();
    Notification {
        id: format!("{}_{}_report_{channel}", entry.rule, entry.end.seconds()),
        kind: Kind::Report,
        at: entry.end,
        chart: content.chart.clone(),
        ..with_report(config, app, rule, (&entry.condition, missing), report)
    }
}

/// What a test of a rule that reports tells: the period that ended last.
pub(super) fn of_report_test(
    config: &Config,
    app: &App,
    rule: &Rule,
    content: &Content,
    now: Timestamp,
    channel: &str,
) -> Notification {
    let about = " This is a test: it is the period that ended last.";
    Notification {
        id: format!("{}_{}_test_{channel}", rule.id, now.micros()),
        at: now,
        chart: content.chart.clone(),
        ..with_report(config, app, rule, (&condition(rule), about), content.report.clone().unwrap_or_default())
    }
}

fn with_report(
    config: &Config,
    app: &App,
    rule: &Rule,
    (when, about_it): (&str, &str),
    report: Report,
) -> Notification {
    let range = Range::new(report.since, report.until).ok();
    let when = when.strip_prefix("every").map_or_else(|| when.to_owned(), |rest| format!("Every{rest}"));
    let link = config.page_url.as_ref().zip(range).map(|(page, range)| link(page, app, rule) + &range_params(range));
    Notification {
        window: range,
        url: link,
        report: Some(Report { about: period(app, rule, &report), ..report }),
        ..about(config, app, rule, format!("{when}.{about_it}"))
    }
}

/// The app and the day that a report is about, which holds the middle of its period; or the first day of its week.
fn period(app: &App, rule: &Rule, report: &Report) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let utc = Zone::utc();
    let schedule = rule.schedule();
    let zone = schedule.map_or(&utc, Schedule::zone);
    let is_week = report.until - report.since > 2 * DAY;
    let (prefix, at) =
        if is_week { ("week from ", report.since) } else { ("", report.since + (report.until - report.since) / 2) };
    let date = zone.date(at);
    let month = MONTHS[usize::from(date.month().unsigned_abs()).saturating_sub(1) % MONTHS.len()];
    format!("{}, {prefix}{} {month}", app.name, date.day())
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
        from_none: false,
        threshold: None,
        window: None,
        url: config.page_url.as_ref().map(|page| link(page, app, rule)),
        chart: None,
        examples: vec![],
        report: None,
    }
}

/// A value as people read it: occurrences, or a change.
fn shown(condition: &Condition, value: f64, from_none: bool) -> String {
    match condition {
        Condition::ChangesBy { .. } if from_none => format!("{value}, and none before"),
        Condition::ChangesBy { .. } if value.fract() == 0.0 => format!("{value:+}%"),
        Condition::ChangesBy { .. } => format!("{value:+.1}%"),
        Condition::Above(_) | Condition::Below(_) | Condition::Issue(_) | Condition::Report(_) => value.to_string(),
    }
}

/// The page with the filter of a rule.
fn link(page: &str, app: &App, rule: &Rule) -> String {
    let mut link = links::page(page, app);
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
