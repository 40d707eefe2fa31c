//! A funnel as it is sent.

use std::sync::Arc;

use schemars::{Schema, json_schema};
use serde_json::value::RawValue;
use tally_core::alert::minutes::Minutes;
use tally_core::event::MAX_TEXT;
use tally_core::event::filter::EventFilter;
use tally_core::event::filter::values::MOST_VALUES;
use tally_core::event::json::{self as raw, JsonError, Kind};
use tally_core::people::By;
use tally_core::people::funnel::STEPS;
use tally_core::time::{Range, Timestamp};
use tally_http::body::Fields;
use tally_http::limits::Limits;
use tally_http::parameters::{FromQuery, Params, Sent, SentParams};
use tally_http::view::TimeRange;
use tally_service::people::funnel::{Breakdown, Question};

use crate::answer::joins;

/// How long after the first event the others may happen: by default, and from and to.
const DEFAULT_WITHIN: Minutes = Minutes::WEEK;
const WITHIN: [Minutes; 2] = [Minutes(1), Minutes(90 * 24 * 60)];
/// The fields of a step that are filters of their own; `where` has any.
const FIELDS: [&str; 4] = ["name", "slug", "category", "level"];
/// The fields that tell the range.
const OF_RANGE: [&str; 4] = ["since", "until", "tz", "week_start"];
/// Longest path of an attribute, in bytes.
const MAX_PATH: usize = 256;
/// Longest label of a step, in bytes.
const MAX_LABEL: usize = 200;
/// What to do about a field that is not known.
pub(crate) const HINT: &str =
    "a funnel has steps, by, within, since, until, tz, week_start, filters, breakdown and next";

/// A funnel as it was asked for.
pub(crate) struct FunnelInput {
    pub(crate) question: Question,
    pub(crate) range: Range,
    /// What the steps are called.
    pub(crate) labels: Vec<String>,
    /// The parts of the question that mean another time later.
    pub(crate) sent_range: SentParams,
}

impl FunnelInput {
    /// Reads the fields of a funnel, within what the caller may read.
    pub(crate) fn read(fields: &mut Fields<'_>, limits: &Arc<Limits>, now: Timestamp) -> Option<Self> {
        let filters = object(fields, "filters").map(|inner| conditions(fields, "filters", inner)).unwrap_or_default();
        let all = filter(fields, |_| "filters".to_owned(), filters, limits, now);
        let steps = read_steps(fields, limits, now);
        let by = fields.choice("by", &[("user", By::User), ("session", By::Session)]).unwrap_or_default();
        let within: Minutes = fields.parsed("within").unwrap_or(DEFAULT_WITHIN);
        if !(WITHIN[0]..=WITHIN[1]).contains(&within) {
            fields.add("within", format!("must be from {} to 90d", WITHIN[0]));
        }
        let breakdown = read_breakdown(fields, limits);
        let mut sent_range = SentParams::new();
        for name in OF_RANGE {
            if let Some(value) = fields.raw(name)
                && let Some(text) = fields.keep_json(name, scalar(value)).filter(|text| !text.is_empty())
            {
                sent_range.insert(name.to_owned(), text.into());
            }
        }
        let mut params = Params::of(sent_range.clone());
        let range = TimeRange::read(&mut params, now);
        for error in params.finish().err().into_iter().flat_map(|invalid| invalid.0) {
            fields.add(&error.field, error.detail);
        }
        let (all, (steps, labels)) = (all?, steps?);
        let steps = steps.into_iter().map(|step| step.and(all.clone())).collect();
        let question = Question { steps, by, within: within.length(), breakdown, joins: joins(limits) };
        Some(Self { question, range: range?.0, labels, sent_range })
    }
}

fn read_steps(
    fields: &mut Fields<'_>,
    limits: &Arc<Limits>,
    now: Timestamp,
) -> Option<(Vec<EventFilter>, Vec<String>)> {
    let wrong = format!("must be a list of {} to {} steps, such as {{\"name\": \"viewed\"}}", STEPS.0, STEPS.1);
    let Some(list) = fields.raw("steps") else {
        fields.add("steps", wrong);
        return None;
    };
    if raw::kind(list) != Kind::Array {
        fields.add("steps", wrong);
        return None;
    }
    let (list, count) = fields.keep_json("steps", raw::array_of_at_most(list, STEPS.1))?;
    if !(STEPS.0..=STEPS.1).contains(&count) {
        fields.add("steps", wrong);
        return None;
    }
    let mut steps = Vec::new();
    for (n, step) in list.into_iter().enumerate() {
        let place = format!("steps.{n}");
        let Some(inner) = fields.keep_json(&place, raw::object(step)) else { continue };
        let mut inner = Fields::of(inner);
        let mut sent = SentParams::new();
        for name in FIELDS {
            if let Some(values) = inner.raw(name).and_then(|value| inner.keep_json(name, texts(value))) {
                sent.insert(name.to_owned(), values);
            }
        }
        let mut within = Vec::new();
        if let Some(more) = object(&mut inner, "where") {
            for (name, values) in conditions(&mut inner, "where", more) {
                if sent.insert(name.clone(), values).is_some() {
                    inner.add(&format!("where.{name}"), "the step has it already: send it once");
                }
                within.push(name);
            }
        }
        let label = label(&sent);
        fields.add_nested(&place, inner.finish("a step has name, slug, category, level and where"));
        let of = |field: &str| {
            if within.iter().any(|name| name == field) { format!("{place}.where") } else { place.clone() }
        };
        let step = filter(fields, of, sent, limits, now);
        steps.extend(step.map(|step| (step, label)));
    }
    (steps.len() == count).then(|| steps.into_iter().unzip())
}

/// What a step is called: the values that it asks for.
fn label(sent: &SentParams) -> String {
    let name = |name: &str| name.strip_prefix("attr.").unwrap_or(name).to_owned();
    let (own, others): (Vec<_>, Vec<_>) = sent.iter().partition(|(field, _)| FIELDS.contains(&field.as_str()));
    let parts = own.into_iter().chain(others).map(|(field, values)| {
        let values = values.clone().values().join(" or ");
        if FIELDS.contains(&field.as_str()) { values } else { format!("{} {values}", name(field)) }
    });
    let mut label = parts.collect::<Vec<_>>().join(", ");
    if label.is_empty() {
        "any event".clone_into(&mut label);
    }
    label.truncate(label.floor_char_boundary(MAX_LABEL));
    label
}

/// The filter that conditions mean, as the parameters of the list of events would. `place` tells where a condition was sent.
fn filter(
    fields: &mut Fields<'_>,
    place: impl Fn(&str) -> String,
    sent: SentParams,
    limits: &Arc<Limits>,
    now: Timestamp,
) -> Option<EventFilter> {
    let mut params = Params::of(sent).within(Some(Arc::clone(limits)));
    let filter = EventFilter::read(&mut params, now);
    let wrong = params.finish().err().map_or_else(Vec::new, |invalid| invalid.0);
    let is_good = wrong.is_empty();
    for error in wrong {
        fields.add(&format!("{}.{}", place(&error.field), error.field), error.detail);
    }
    filter.filter(|_| is_good)
}

fn read_breakdown(fields: &mut Fields<'_>, limits: &Arc<Limits>) -> Option<Breakdown> {
    let text = fields.text("breakdown")?;
    match text.as_str() {
        "level" => Some(Breakdown::Level),
        "category" => Some(Breakdown::Category),
        "slug" => Some(Breakdown::Slug),
        _ => {
            let path = text.strip_prefix("attr.").filter(|path| (1..=MAX_PATH).contains(&path.len()));
            match path.map(|path| (path, limits.hides_attribute(path))) {
                Some((path, None)) => return Some(Breakdown::Attribute(path.to_owned())),
                Some((_, Some(hidden))) => fields.add("breakdown", hidden),
                None => fields.add("breakdown", "must be level, category, slug or attr. and a path into `data`"),
            }
            None
        }
    }
}

/// The fields of an object in a field.
fn object<'a>(fields: &mut Fields<'a>, name: &str) -> Option<Vec<(String, &'a RawValue)>> {
    let object = fields.raw(name)?;
    fields.keep_json(name, raw::object(object))
}

/// Conditions by the names of parameters.
fn conditions(fields: &mut Fields<'_>, place: &str, sent: Vec<(String, &RawValue)>) -> SentParams {
    let mut all = SentParams::new();
    for (name, value) in sent {
        if let Some(values) = fields.keep_json(&format!("{place}.{name}"), texts(value)) {
            all.insert(name, values);
        }
    }
    all
}

/// A value or a list of values.
fn texts(value: &RawValue) -> Result<Sent, JsonError> {
    if raw::kind(value) != Kind::Array {
        return scalar(value).map(Sent::Once);
    }
    let (values, count) = raw::array_of_at_most(value, MOST_VALUES)?;
    if count > MOST_VALUES {
        let detail = format!("{count} values: send at most {MOST_VALUES}");
        return Err(JsonError { path: String::new(), detail });
    }
    Ok(Sent::Often(values.into_iter().map(scalar).collect::<Result<_, _>>()?))
}

/// A text; a number, `true` or `false` as its text.
fn scalar(value: &RawValue) -> Result<String, JsonError> {
    match raw::kind(value) {
        Kind::Number => Ok(value.get().to_owned()),
        _ if matches!(value.get(), "true" | "false") => Ok(value.get().to_owned()),
        _ => raw::string(value),
    }
}

/// The schema of a funnel with more fields.
pub(crate) fn schema(required: &[&str], more: &[(&str, Schema)]) -> Schema {
    let value = json_schema!({"type": ["string", "number", "boolean"]});
    let list = json_schema!({"type": "array", "maxItems": MOST_VALUES, "items": value});
    let values = |about: &str| json_schema!({"description": about, "anyOf": [value, list]});
    // Null means the same as a field that is left out.
    let field = |about: &str| json_schema!({"description": about, "anyOf": [value, list, {"type": "null"}]});
    let conditions = |about: &str| {
        json_schema!({
            "description": about,
            "type": ["object", "null"],
            "additionalProperties": values("A value, or several of which any may be."),
            "examples": [{"attr.plan": "pro"}, {"attr.amount[gte]": 100}],
        })
    };
    let mut schema = json_schema!({
        "type": "object",
        "properties": {
            "steps": {
                "description": "The steps, in order.",
                "type": "array", "minItems": STEPS.0, "maxItems": STEPS.1,
                "items": {
                    "type": "object",
                    "properties": {
                        "name": field("The name of the event."),
                        "slug": field("Its slug."),
                        "category": field("Its category."),
                        "level": field("Its level."),
                        "where": conditions("More conditions, by the names of the parameters that filter events."),
                    },
                    "additionalProperties": false,
                },
            },
            "by": {
                "description": "What tells people apart: `user` (the default) is the `user_id`, or the `session_id` of an event \
                    without one; `session` is the `session_id` alone.",
                "enum": ["user", "session", "", null],
            },
            "within": {
                "description": "How long after the first event the others may happen, from `1m` to `90d`; by default `7d`.",
                "type": ["string", "null"], "pattern": "^([0-9]{1,5}[mhdw])?$",
            },
            "since": {"description": "As the parameter of a statistic.", "type": ["string", "number", "null"]},
            "until": {"description": "As the parameter of a statistic.", "type": ["string", "number", "null"]},
            "tz": {"description": "As the parameter of a statistic.", "type": ["string", "null"], "maxLength": MAX_TEXT},
            "week_start": {"description": "The first day of a week.", "enum": ["monday", "sunday", "", null]},
            "filters": conditions("What the events of all steps match, by the names of the parameters that filter events."),
            "breakdown": {
                "description": "What people are divided by: what the event has that began their furthest chain.",
                "type": ["string", "null"], "pattern": "^(level|category|slug|attr\\..+)?$", "maxLength": MAX_PATH + 5,
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
