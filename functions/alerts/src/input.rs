//! The fields of a rule as they are sent.

use schemars::{Schema, json_schema};
use serde_json::value::RawValue;
use tally_core::alert::filter::{FIELDS, FilterParams, cell_filter};
use tally_core::alert::minutes::Minutes;
use tally_core::alert::rule::{
    Condition, Direction, MAX_CHANNELS, MAX_FOR, MAX_PERCENT, MAX_RULE_NAME, MAX_THRESHOLD, RENOTIFY, Rule, RuleId,
    WINDOWS,
};
use tally_core::alert::schedule::{Schedule, TimeOfDay, WEEKDAYS, Weekday};
use tally_core::event::MAX_TEXT;
use tally_core::event::filter::values::MOST_VALUES;
use tally_core::event::json as raw;
use tally_core::issue::News;
use tally_core::time::Timestamp;
use tally_core::time::zone::Zone;
use tally_http::body::{Fields, FromFields};
use tally_http::problem::Problem;
use tally_notify::Channel;
use tally_service::alerts::rules::ChannelChange;

/// The fields of a rule; absent ones stay as they are. Where null is a value, the outer option tells whether the field was sent.
#[allow(clippy::option_option)]
#[derive(Clone, Default)]
pub(crate) struct RuleInput {
    name: Option<String>,
    filter: Option<FilterParams>,
    window: Option<Minutes>,
    condition: Option<Condition>,
    hold: Option<Minutes>,
    renotify: Option<Option<Minutes>>,
    snooze: Option<Option<Snooze>>,
    enabled: Option<bool>,
    pub(crate) channels: Option<Vec<ChannelChange>>,
}

/// Until when a rule is snoozed.
#[derive(Clone, Copy)]
enum Snooze {
    For(Minutes),
    Until(Timestamp),
}

impl FromFields for RuleInput {
    const HINT: &'static str =
        "a rule has name, filter, window, condition, for, renotify, snoozed_until, enabled and channels";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let mut input = Self { name: fields.text("name"), ..Self::default() };
        if input.name.as_ref().is_some_and(|name| name.len() > MAX_RULE_NAME || name.chars().any(char::is_control)) {
            fields.add("name", format!("must have at most {MAX_RULE_NAME} bytes and no control characters"));
        }
        input.filter = fields.was_sent("filter").then(|| read_filter(fields).unwrap_or_default());
        input.window = length(fields, "window", WINDOWS);
        input.condition = read_condition(fields);
        let sent = fields.was_sent("for");
        let hold = length(fields, "for", [Minutes(0), MAX_FOR]);
        input.hold = sent.then(|| hold.unwrap_or_default());
        let sent = fields.was_sent("renotify");
        let renotify = length(fields, "renotify", RENOTIFY);
        input.renotify = sent.then_some(renotify);
        let sent = fields.was_sent("snoozed_until");
        let snooze = read_snooze(fields);
        input.snooze = sent.then_some(snooze);
        input.enabled = fields.flag("enabled");
        input.channels = fields.was_sent("channels").then(|| read_channels(fields).unwrap_or_default());
        Some(input)
    }
}

impl RuleInput {
    /// Sets the fields of a rule.
    pub(crate) fn apply(&self, rule: &mut Rule, now: Timestamp) {
        if let Some(name) = &self.name {
            rule.name.clone_from(name);
        }
        if let Some(filter) = &self.filter {
            rule.filter.clone_from(filter);
        }
        if let Some(window) = self.window {
            rule.window = window;
        }
        if let Some(condition) = &self.condition {
            rule.condition = condition.clone();
        }
        if let Some(schedule) = rule.schedule() {
            rule.window = schedule.window();
        }
        if let Some(hold) = self.hold {
            rule.hold = hold;
        }
        if let Some(renotify) = self.renotify {
            rule.renotify = renotify;
        }
        if let Some(snooze) = self.snooze {
            rule.snoozed_until = snooze.map(|snooze| match snooze {
                Snooze::For(length) => (now + length.length()).micros(),
                Snooze::Until(at) => at.micros(),
            });
        }
        if let Some(enabled) = self.enabled {
            rule.enabled = enabled;
        }
    }

    /// A new rule.
    ///
    /// # Errors
    /// Names each field that it lacks.
    pub(crate) fn new_rule(&self, now: Timestamp) -> Result<Rule, Problem> {
        let mut problems = tally_core::invalid::Problems::default();
        let has_window = !matches!(self.condition, Some(Condition::Issue(_) | Condition::Report(_)));
        let window = self.window.unwrap_or(Minutes(1));
        if self.window.is_none() && has_window {
            problems.add("window", "missing: send the length of what is counted, such as `5m`");
        }
        if self.condition.is_none() {
            problems.add(
                "condition",
                "missing: send {\"above\": n}, {\"below\": n}, {\"changes_by\": percent, \"against\": \"1d\"}, {\"new_issue\": true}, \
                 {\"regression\": true} or {\"report\": \"day\"}",
            );
        }
        problems.check()?;
        let mut rule = Rule {
            id: RuleId::random(),
            name: String::new(),
            filter: FilterParams::new(),
            window,
            condition: Condition::Above(0),
            hold: Minutes(0),
            renotify: None,
            snoozed_until: None,
            enabled: true,
            channels: vec![],
            created_at: now,
        };
        self.apply(&mut rule, now);
        if rule.name.is_empty() {
            rule.name = tally_core::alert::sentence::condition(&rule);
            rule.name.truncate(rule.name.floor_char_boundary(MAX_RULE_NAME));
        }
        Ok(rule)
    }
}

/// Checks that the filter of a rule about issues asks what issues know, and that a report has nothing that only a rule with states
/// has.
///
/// # Errors
/// Names each field that it may not have.
pub(crate) fn check(rule: &Rule) -> Result<(), Problem> {
    let mut problems = tally_core::invalid::Problems::default();
    if rule.news().is_some() {
        for name in
            rule.filter.keys().filter(|name| !["level", "level[ne]", "name", "name[ne]"].contains(&name.as_str()))
        {
            problems.add(format!("filter.{name}"), "a rule about issues filters by level and name alone: remove it");
        }
    }
    if rule.schedule().is_some() {
        let sent = [("for", rule.hold.0 > 0), ("renotify", rule.renotify.is_some())];
        for (field, _) in sent.into_iter().filter(|(_, is_sent)| *is_sent) {
            problems.add(field, "a rule that reports has none, since it does not fire: send null or leave it out");
        }
    }
    Ok(problems.check()?)
}

fn length(fields: &mut Fields<'_>, name: &str, [least, most]: [Minutes; 2]) -> Option<Minutes> {
    let length: Minutes = fields.parsed(name)?;
    if length < least || length > most {
        fields.add(name, format!("must be from {least} to {most}"));
        return None;
    }
    Some(length)
}

fn read_snooze(fields: &mut Fields<'_>) -> Option<Snooze> {
    let text = fields.text("snoozed_until")?;
    if let Ok(length) = text.parse() {
        return Some(Snooze::For(length));
    }
    let at = text.parse().map(Snooze::Until);
    let at =
        at.map_err(|_| "not a time: send RFC 3339 such as 2026-02-10T10:00:00Z, or a length from now such as `2h`");
    fields.keep("snoozed_until", at)
}

/// The fields of an object in a field.
fn object<'a>(fields: &mut Fields<'a>, name: &str) -> Option<Fields<'a>> {
    let object = fields.raw(name)?;
    fields.keep_json(name, raw::object(object)).map(Fields::of)
}

fn read_filter(fields: &mut Fields<'_>) -> Option<FilterParams> {
    let mut inner = object(fields, "filter")?;
    let mut filter = FilterParams::new();
    for name in FIELDS.into_iter().flat_map(|field| [field.to_owned(), format!("{field}[ne]")]) {
        if let Some(values) = texts(&mut inner, &name) {
            filter.insert(name, values);
        }
    }
    fields
        .add_nested("filter", inner.finish("a filter has name, slug, category, level and group, each also with [ne]"));
    fields.add_nested("filter", cell_filter(&filter).map(drop));
    Some(filter)
}

/// A text, or a list of texts.
fn texts(fields: &mut Fields<'_>, name: &str) -> Option<Vec<String>> {
    let value = fields.raw(name)?;
    let texts = match raw::kind(value) {
        raw::Kind::Array => match fields.keep_json(name, raw::array_of_at_most(value, MOST_VALUES))? {
            (texts, count) if count <= MOST_VALUES => texts,
            (_, count) => {
                fields.add(name, format!("{count} values: send at most {MOST_VALUES}"));
                return None;
            }
        },
        _ => vec![value],
    };
    let texts = texts.into_iter().map(raw::string).collect();
    fields.keep_json(name, texts).filter(|texts: &Vec<String>| !texts.is_empty())
}

fn read_condition(fields: &mut Fields<'_>) -> Option<Condition> {
    let mut inner = object(fields, "condition")?;
    let above = inner.number("above", 0, MAX_THRESHOLD).map(Condition::Above);
    let below = inner.number("below", 1, MAX_THRESHOLD).map(Condition::Below);
    let is_change = inner.was_sent("changes_by");
    let percent: Option<u32> = inner.number("changes_by", 1, u64::from(MAX_PERCENT));
    let against = inner.parsed::<Minutes>("against");
    let directions = [("any", Direction::Any), ("up", Direction::Up), ("down", Direction::Down)];
    let direction = inner.choice("direction", &directions);
    let changes = percent.and_then(|percent| {
        let against = against.filter(|against| Condition::AGAINST.contains(against));
        if against.is_none() {
            inner.add("against", "must be `1h`, `1d` or `7d`: how long before the other window ends");
        }
        Some(Condition::ChangesBy { percent, against: against?, direction: direction.unwrap_or_default() })
    });
    // A percentage that is wrong is named already.
    if !is_change && (against.is_some() || direction.is_some()) {
        inner.add("changes_by", "missing: `against` and `direction` say what a change in percent is measured against");
    }
    let report = read_schedule(&mut inner).map(Condition::Report);
    let new = inner.flag("new_issue").filter(|is| *is).map(|_| Condition::Issue(News::New));
    let regressed = inner.flag("regression").filter(|is| *is).map(|_| Condition::Issue(News::Regressed));
    let checked = inner.finish(
        "a condition is {\"above\": n}, {\"below\": n}, {\"changes_by\": percent, \"against\": \"1d\"}, {\"new_issue\": true}, \
         {\"regression\": true} or {\"report\": \"day\", \"at\": \"08:00\", \"tz\": \"Europe/Berlin\"}",
    );
    let is_good = checked.is_ok();
    fields.add_nested("condition", checked);
    let mut all = [above, below, changes, new, regressed, report].into_iter().flatten();
    match (all.next(), all.next()) {
        (Some(condition), None) => Some(condition),
        (Some(_), Some(_)) => {
            fields.add(
                "condition",
                "has more than one of above, below, changes_by, new_issue, regression and report: make a rule for each",
            );
            None
        }
        (None, _) => {
            if is_good {
                fields.add("condition", "must have one of above, below, changes_by, new_issue, regression and report");
            }
            None
        }
    }
}

fn read_schedule(fields: &mut Fields<'_>) -> Option<Schedule> {
    let is_sent = fields.was_sent("report");
    let is_weekly = fields.choice("report", &[("day", false), ("week", true)]);
    let at: Option<TimeOfDay> = fields.parsed("at");
    let zone: Option<Zone> = fields.parsed("tz");
    let weekday = fields.choice("weekday", &WEEKDAYS);
    if !is_sent && (at.is_some() || zone.is_some() || weekday.is_some()) {
        fields.add("report", "missing: `at`, `tz` and `weekday` say when a report comes, so send `day` or `week`");
    }
    if is_weekly == Some(false) && weekday.is_some() {
        fields.add("weekday", "a report of each day has none: leave it out, or send `\"report\": \"week\"`");
    }
    let (at, zone) = (at.unwrap_or_default(), zone.unwrap_or_else(Zone::utc));
    Some(if is_weekly? {
        Schedule::weekly(weekday.unwrap_or(Weekday::Monday), at, zone)
    } else {
        Schedule::daily(at, zone)
    })
}

fn read_channels(fields: &mut Fields<'_>) -> Option<Vec<ChannelChange>> {
    let list = fields.raw("channels")?;
    let (list, count) = fields.keep_json("channels", raw::array_of_at_most(list, MAX_CHANNELS))?;
    if count > MAX_CHANNELS {
        fields.add("channels", format!("{count} channels: a rule has at most {MAX_CHANNELS}"));
        return None;
    }
    let channels = list.into_iter().enumerate().filter_map(|(i, channel)| read_channel(fields, i, channel));
    Some(channels.collect())
}

fn read_channel(fields: &mut Fields<'_>, i: usize, channel: &RawValue) -> Option<ChannelChange> {
    let place = format!("channels.{i}");
    let mut inner = Fields::of(fields.keep_json(&place, raw::object(channel))?);
    let change = if inner.was_sent("id") {
        let id = inner.text("id").and_then(|id| RuleId::parse(&id));
        if id.is_none() {
            inner.add("id", "not the id of a channel: GET the rule to list its channels");
        }
        id.map(ChannelChange::Keep)
    } else {
        read_new_channel(&mut inner)
    };
    let checked =
        inner.finish("a channel has type, name and url, or `to` where it is `email`; or the id of one that is kept");
    fields.add_nested(&place, checked);
    change
}

fn read_new_channel(fields: &mut Fields<'_>) -> Option<ChannelChange> {
    let kind = fields.text("type");
    let name = fields.text("name");
    if name.as_ref().is_some_and(|name| name.len() > MAX_RULE_NAME || name.chars().any(char::is_control)) {
        fields.add("name", format!("must have at most {MAX_RULE_NAME} bytes and no control characters"));
    }
    let url = fields.text("url");
    let to = texts(fields, "to");
    match Channel::parse(kind.as_deref().unwrap_or_default(), url.as_deref(), to.as_deref()) {
        Ok(channel) => Some(ChannelChange::New(channel, name)),
        Err(error) => {
            let field = match (&kind, kind.as_deref()) {
                (None, _) => "type",
                (_, Some("email")) => "to",
                (_, Some("webhook" | "slack" | "discord")) => "url",
                _ => "type",
            };
            fields.add(field, error);
            None
        }
    }
}

/// The schema of what is sent of a rule.
pub(crate) fn rule_schema(required: &[&str], more: &[(&str, Schema)]) -> Schema {
    let values = |about: &str| {
        json_schema!({
            "description": about,
            "anyOf": [
                {"type": ["string", "null"], "maxLength": MAX_TEXT},
                {"type": "array", "maxItems": MOST_VALUES, "items": {"type": "string", "maxLength": MAX_TEXT}},
            ],
        })
    };
    let length = |about: &str| json_schema!({"description": about, "type": ["string", "null"], "pattern": "^([0-9]{1,5}[mhdw])?$"});
    let weekdays: Vec<_> = WEEKDAYS.iter().map(|(name, _)| Some(*name)).chain([Some(""), None]).collect();
    let mut schema = json_schema!({
        "type": "object",
        "properties": {
            "name": {"description": "Its name; by default what it waits for.", "type": ["string", "null"], "maxLength": MAX_RULE_NAME},
            "filter": {
                "description": "What it counts; without one, all events. A filter on groups names no name, slug or category.",
                "type": ["object", "null"],
                "properties": {
                    "name": values("Names."), "name[ne]": values("Other names than these."),
                    "slug": values("Slugs."), "slug[ne]": values("Other slugs than these."),
                    "category": values("Categories."), "category[ne]": values("Other categories than these."),
                    "level": values("Levels."), "level[ne]": values("Other levels than these."),
                    "group": values("Groups of messages, as `stats/top-messages` gives them."),
                },
                "additionalProperties": false,
            },
            "window": length("The length of what is counted, from `1m` to `7d`. Windows end on whole minutes."),
            "condition": {
                "description": "One of `above`, `below` (1 is none at all), `changes_by` with `against`, `new_issue`, `regression` and `report`.",
                "type": ["object", "null"],
                "properties": {
                    "above": {"description": "More occurrences than this.", "type": ["integer", "null"], "minimum": 0, "maximum": MAX_THRESHOLD},
                    "below": {"description": "Fewer occurrences than this.", "type": ["integer", "null"], "minimum": 1, "maximum": MAX_THRESHOLD},
                    "changes_by": {"description": "At least so many percent more or fewer.", "type": ["integer", "null"], "minimum": 1, "maximum": MAX_PERCENT},
                    "against": {"description": "How long before the other window ends.", "enum": ["1h", "1d", "7d", "", null]},
                    "new_issue": {"description": "An issue is new.", "type": ["boolean", "null"]},
                    "regression": {"description": "A resolved issue occurs again.", "type": ["boolean", "null"]},
                    "report": {"description": "It reports each day or week, whatever was counted. Then there is no `window`, `for` or `renotify`.", "enum": ["day", "week", "", null]},
                    "at": {"description": "When a report comes, by the clocks of `tz`; by default `08:00`.", "type": ["string", "null"], "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9])?$"},
                    "tz": {"description": "The IANA name of a time zone; by default `UTC`.", "type": ["string", "null"]},
                    "weekday": {"description": "On which day a report of a week comes; by default `monday`.", "enum": weekdays},
                    "direction": {"description": "Which changes count; by default both.", "enum": ["any", "up", "down", "", null]},
                },
                "additionalProperties": false,
            },
            "for": length("For how many consecutive minutes that must be so, at most `60m`; by default once."),
            "renotify": length("After how long a firing rule is told again, from `5m` to `7d`; null for never."),
            "snoozed_until": {
                "description": "Until when nothing is told: a time, or a length from now such as `2h`; null to end it.",
                "type": ["string", "null"],
            },
            "enabled": {"description": "Whether it is judged.", "type": ["boolean", "null"]},
            "channels": {
                "description": "Who is told. A channel that is kept is named by its `id` alone.",
                "type": ["array", "null"],
                "maxItems": MAX_CHANNELS,
                "items": {
                    "type": "object",
                    "properties": {
                        "id": {"description": "A channel that the rule has already.", "type": ["string", "null"]},
                        "type": {"enum": ["webhook", "slack", "discord", "email", "", null]},
                        "name": {"description": "What it is called in sentences, such as `#ops`.", "type": ["string", "null"], "maxLength": MAX_RULE_NAME},
                        "url": {"description": "Where it leads, for all types but `email`. It is never shown again.", "type": ["string", "null"], "maxLength": 2048},
                        "to": values("Addresses, for the type `email`."),
                    },
                    "additionalProperties": false,
                },
            },
        },
        "required": required,
        "additionalProperties": false,
    });
    if let Some(properties) = schema.pointer_mut("/properties") {
        for (name, of) in more {
            properties[*name] = of.clone().into();
        }
    }
    schema
}
