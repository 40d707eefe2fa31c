//! A rule as a sentence.

use std::fmt::Write as _;

use super::filter::{FIELDS, FilterParams};
use super::rule::{Condition, Direction, Rule, RuleChannel};
use crate::issue::News;

/// Most values of a field that are named.
const MOST_NAMED: usize = 3;

/// The rule as a sentence: `Tell #ops when ERROR > 20 in 5 min, for 2 min`.
pub fn sentence(rule: &Rule) -> String {
    let when = if rule.schedule().is_some() { "" } else { "when " };
    let mut text = format!("Tell {} {when}{}", told(&rule.channels), condition(rule));
    if rule.hold.0 > 1 {
        // Writing to a `String` cannot fail.
        let _ = write!(text, ", for {}", rule.hold.words());
    }
    text
}

/// What a rule waits for: `ERROR > 20 in 5 min`.
pub fn condition(rule: &Rule) -> String {
    let (what, window) = (subject(&rule.filter), rule.window.words());
    let of = if rule.filter.is_empty() { String::new() } else { format!(" of {what}") };
    match &rule.condition {
        Condition::Issue(News::New) => format!("an issue{of} is new"),
        Condition::Issue(News::Regressed) => format!("a resolved issue{of} occurs again"),
        Condition::Report(schedule) if rule.filter.is_empty() => schedule.words(),
        Condition::Report(schedule) => format!("{} about {what}", schedule.words()),
        Condition::Above(n) => format!("{what} > {n} in {window}"),
        Condition::Below(1) => format!("no {what} in {window}"),
        Condition::Below(n) => format!("{what} < {n} in {window}"),
        Condition::ChangesBy { percent, against, direction } => {
            let (verb, than) = match direction {
                Direction::Any => ("differ", "from"),
                Direction::Up => ("rise", "over"),
                Direction::Down => ("fall", "under"),
            };
            let s = if what.starts_with("events") { "" } else { "s" };
            format!("{what} in {window} {verb}{s} by {percent}% {than} {} before", against.words())
        }
    }
}

fn told(channels: &[RuleChannel]) -> String {
    let name = |channel: &RuleChannel| match (&channel.name, channel.kind.as_str()) {
        (Some(name), _) => name.clone(),
        (None, "slack") => "Slack".to_owned(),
        (None, "discord") => "Discord".to_owned(),
        (None, _) => shortened(&channel.to, " and "),
    };
    if channels.is_empty() { "nobody".to_owned() } else { channels.iter().map(name).collect::<Vec<_>>().join(" and ") }
}

fn shortened(values: &[String], between: &str) -> String {
    let named = values.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(between);
    match values.len().saturating_sub(MOST_NAMED) {
        0 => named,
        more => format!("{named}{between}{more} more"),
    }
}

/// What is counted: `ERROR or FATAL of "sign up", not in category "test"`.
fn subject(filter: &FilterParams) -> String {
    let values = |name: &str| filter.get(name).filter(|values| !values.is_empty());
    let quoted = |values: &Vec<String>| {
        let quoted: Vec<_> = values.iter().map(|value| format!("\"{value}\"")).collect();
        shortened(&quoted, " or ")
    };
    let of = |field: &str| match field {
        "name" => "of",
        "slug" => "of slug",
        "category" => "in category",
        _ => "of group",
    };
    let mut text = values("level").map_or_else(|| "events".to_owned(), |levels| shortened(levels, " or "));
    let rest = FIELDS.into_iter().filter(|field| *field != "level");
    for field in rest.clone() {
        if let Some(values) = values(field) {
            // Writing to a `String` cannot fail.
            let _ = write!(text, " {} {}", of(field), quoted(values));
        }
    }
    if let Some(levels) = values("level[ne]") {
        let _ = write!(text, ", not {}", shortened(levels, " or "));
    }
    for field in rest {
        if let Some(values) = values(&format!("{field}[ne]")) {
            let _ = write!(text, ", not {} {}", of(field), quoted(values));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::minutes::Minutes;
    use crate::alert::rule::RuleId;
    use crate::alert::schedule::{Schedule, TimeOfDay};
    use crate::time::Timestamp;

    #[test]
    fn a_rule_reads_as_a_sentence() {
        let channel = |kind: &str, name: Option<&str>, to: &[&str]| RuleChannel {
            id: RuleId::random(),
            kind: kind.to_owned(),
            name: name.map(str::to_owned),
            to: to.iter().map(|to| (*to).to_owned()).collect(),
            sealed: String::new(),
        };
        let rule = |filter: &[(&str, &[&str])], window: &str, condition, hold, channels| Rule {
            id: RuleId::random(),
            name: "a".to_owned(),
            filter: filter
                .iter()
                .map(|(name, values)| ((*name).to_owned(), values.iter().map(|v| (*v).to_owned()).collect()))
                .collect(),
            window: window.parse().expect("a length"),
            condition,
            hold: Minutes(hold),
            renotify: None,
            snoozed_until: None,
            enabled: true,
            channels,
            created_at: Timestamp::EPOCH,
        };
        let ops = || channel("slack", Some("#ops"), &["hooks.slack.com"]);
        let change = |direction| Condition::ChangesBy { percent: 50, against: Minutes::DAY, direction };
        let berlin = || "Europe/Berlin".parse().expect("a zone");
        let daily = Schedule::daily(TimeOfDay::default(), berlin());
        let weekly = Schedule::weekly(jiff::civil::Weekday::Monday, TimeOfDay::default(), berlin());
        for (rule, sentence) in [
            (
                rule(&[("level", &["ERROR"])], "5m", Condition::Above(20), 2, vec![ops()]),
                "Tell #ops when ERROR > 20 in 5 min, for 2 min",
            ),
            (
                rule(
                    &[("level", &["ERROR", "FATAL"])],
                    "1h",
                    Condition::Above(0),
                    1,
                    vec![channel("slack", None, &[])],
                ),
                "Tell Slack when ERROR or FATAL > 0 in 1 h",
            ),
            (rule(&[], "15m", Condition::Below(1), 0, vec![]), "Tell nobody when no events in 15 min"),
            (rule(&[], "1m", Condition::Issue(News::New), 0, vec![ops()]), "Tell #ops when an issue is new"),
            (
                rule(&[("level", &["ERROR"])], "1d", Condition::Report(daily.clone()), 0, vec![ops()]),
                "Tell #ops every day at 08:00 (Europe/Berlin) about ERROR",
            ),
            (
                rule(&[], "1w", Condition::Report(weekly.clone()), 0, vec![ops()]),
                "Tell #ops every Monday at 08:00 (Europe/Berlin)",
            ),
            (
                rule(&[("level", &["FATAL"])], "1m", Condition::Issue(News::Regressed), 0, vec![]),
                "Tell nobody when a resolved issue of FATAL occurs again",
            ),
            (
                rule(
                    &[("name", &["sign up"])],
                    "1d",
                    Condition::Below(10),
                    60,
                    vec![channel("webhook", None, &["a.example"])],
                ),
                "Tell a.example when events of \"sign up\" < 10 in 1 day, for 1 h",
            ),
            (
                rule(
                    &[("category[ne]", &["test"]), ("level[ne]", &["DEBUG", "TRACE"])],
                    "7d",
                    change(Direction::Any),
                    0,
                    vec![channel("email", None, &["a@b.example", "c@d.example"]), ops()],
                ),
                "Tell a@b.example and c@d.example and #ops when events, not DEBUG or TRACE, not in category \"test\" in 1 week \
                 differ by 50% from 1 day before",
            ),
            (
                rule(
                    &[("level", &["ERROR"]), ("group", &["m0123456789abcdef"])],
                    "2h",
                    change(Direction::Up),
                    0,
                    vec![ops()],
                ),
                "Tell #ops when ERROR of group \"m0123456789abcdef\" in 2 h rises by 50% over 1 day before",
            ),
            (
                rule(&[("name", &["a", "b", "c", "d", "e"])], "1m", change(Direction::Down), 0, vec![ops()]),
                "Tell #ops when events of \"a\" or \"b\" or \"c\" or 2 more in 1 min fall by 50% under 1 day before",
            ),
        ] {
            assert_eq!(super::sentence(&rule), sentence);
        }
    }
}
