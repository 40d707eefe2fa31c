//! What a report says, as text for people: not yet cut or escaped.

use crate::notification::{Report, ReportMessage, ReportName};
use crate::text::{grouped, line};

/// The longest name or message in a line, in characters.
const MAX_SHOWN: usize = 120;

/// What it is called: `Shop, 26 November: 12,340 events (+8 %), 41 errors (−12 %)`.
pub(super) fn title(report: &Report) -> String {
    let about = line(&report.about);
    match (report.total, report.errors) {
        (Some(total), Some(errors)) => {
            let events = of(total, report.previous_total, |n| format!("{} {}", grouped(n), plural(n, "event")));
            let errors = of(errors, report.previous_errors, |n| format!("{} {}", grouped(n), plural(n, "error")));
            format!("{about}: {events}, {errors}")
        }
        _ => format!("{about}: more events than a report may read"),
    }
}

/// Label and value of its numbers.
pub(super) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let facts = [("Events", report.total, report.previous_total), ("Errors", report.errors, report.previous_errors)];
    facts.into_iter().filter_map(|(label, now, before)| Some((label, of(now?, before, grouped)))).collect()
}

/// Its lists: what each is called, and its lines.
pub(super) fn lists(report: &Report) -> Vec<(&'static str, Vec<String>)> {
    let name = |ReportName { name, count, previous }: &ReportName| {
        format!("{}: {}", short(name), of(*count, *previous, grouped))
    };
    let message = |ReportMessage { message, level, count }: &ReportMessage| {
        let level = level.map_or_else(String::new, |level| format!("{level} "));
        format!("{level}{}: {}", short(message), grouped(*count))
    };
    let names: Vec<_> = report.names.iter().take(Report::MOST).map(name).collect();
    let messages: Vec<_> = report.messages.iter().take(Report::MOST).map(message).collect();
    let lists = [("Most frequent", names), ("Warnings and errors", messages)];
    lists.into_iter().filter(|(_, lines)| !lines.is_empty()).collect()
}

/// A number with its change, where there is one.
fn of(now: i64, before: Option<i64>, shown: impl Fn(i64) -> String) -> String {
    let change = before.and_then(|before| change(now, before));
    change.map_or_else(|| shown(now), |change| format!("{} ({change})", shown(now)))
}

/// A change in percent: `+8 %`.
fn change(now: i64, before: i64) -> Option<String> {
    if before <= 0 {
        return (now > 0).then(|| "none before".to_owned());
    }
    let (now, before) = (i128::from(now), i128::from(before));
    let difference = now - before;
    // To the nearest whole percent, halves away from zero.
    let percent = (difference.abs() * 200 + before) / (before * 2);
    let sign = match difference.signum() {
        _ if percent == 0 => "±",
        1 => "+",
        _ => "−",
    };
    Some(format!("{sign}{percent} %"))
}

fn plural(n: i64, of: &str) -> String {
    if n == 1 { of.to_owned() } else { format!("{of}s") }
}

fn short(text: &str) -> String {
    let line = line(text);
    let mut short: String = line.chars().take(MAX_SHOWN).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}
