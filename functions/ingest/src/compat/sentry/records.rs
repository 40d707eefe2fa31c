//! The other kinds of records as drafts: logs, user reports, check-ins, and what browsers report by themselves.

use tally_core::event::draft::Draft;
use tally_core::event::json::Json;
use tally_core::event::level::Level;
use tally_core::event::{LOG, MAX_MESSAGE, MAX_TEXT};
use tally_core::rejected::{Reason, Refusal};

use crate::compat::sanitize::cut;
use crate::compat::sentry::event::{Around, MAX_EVENT_PAYLOAD, level, normal};
use crate::compat::sentry::fields::{Fields, text_of};
use crate::compat::sentry::fit::is_small;

/// Reads one log.
///
/// # Errors
/// Where it is not a log, or its time cannot be read.
pub(super) fn log(around: &mut Around, log: Json) -> Result<Draft, Refusal> {
    // What it is recognized by when it is sent again: its fields in a fixed order.
    let record = serde_json::to_vec(&log).unwrap_or_default();
    if record.len() > MAX_EVENT_PAYLOAD {
        return Err(Refusal::new(Reason::TooLarge, format!("the log is larger than {MAX_EVENT_PAYLOAD} bytes")));
    }
    let mut log = Fields::of(log).ok_or_else(|| Refusal::new(Reason::Unreadable, "a log is not a JSON object"))?;
    let at = log.time("timestamp")?;
    let mut attributes = Fields::default();
    for (name, attribute) in log.fields("attributes").unwrap_or_default().0 {
        let value = match attribute {
            Json::Object(mut typed) => typed.remove("value"),
            bare => Some(bare),
        };
        attributes.put(&name, value.filter(|value| *value != Json::Null && !name.is_empty()));
    }
    let template = attributes.0.get("sentry.message.template").cloned().and_then(text_of);
    let (mut draft, mut data, mut tags) = around.draft(template.as_deref().unwrap_or(LOG));
    around.identify(&mut draft, at, "log", &record);
    draft.message = log.text("body").map(|body| cut(body, MAX_MESSAGE));
    draft.level = Some(level(log.text("level").as_deref(), Level::Info));
    let environment = attributes.text("sentry.environment");
    draft.category = environment.clone().map(|environment| cut(environment, MAX_TEXT));
    let user =
        ["user.id", "user.email", "user.name"].iter().find_map(|n| attributes.0.get(*n).cloned().and_then(text_of));
    draft.user_id = user.map(|user| cut(user, MAX_TEXT));
    if let Some(name) = attributes.text("sentry.sdk.name") {
        let version = attributes.text("sentry.sdk.version").map_or(String::new(), |version| format!("/{version}"));
        tags.put_text("sdk", Some(name + &version));
    }
    tags.put_text("environment", environment);
    tags.put_text("release", attributes.text("sentry.release"));
    tags.put_text("server_name", attributes.text("server.address"));
    for name in ["trace_id", "span_id"] {
        tags.put_text(name, log.text(name));
    }
    data.0.append(&mut attributes.0);
    let draft = finished(draft, data, tags);
    if is_small(&draft) { Ok(draft) } else { Err(Refusal::new(Reason::TooLarge, "the attributes are too large")) }
}

/// Reads what a user wrote about an event.
///
/// # Errors
/// Where it is not a JSON object.
pub(super) fn user_report(around: &mut Around, payload: &[u8]) -> Result<Draft, Refusal> {
    let mut report = Fields::read(payload, MAX_EVENT_PAYLOAD)?;
    let (mut draft, mut data, tags) = around.draft("feedback");
    around.identify(&mut draft, around.sent_at, "user_report", payload);
    draft.level = Some(Level::Info.as_str().to_owned());
    draft.message = report.text("comments").map(|comments| cut(comments, MAX_MESSAGE));
    draft.user_id = report.0.get("email").cloned().and_then(text_of).map(|email| cut(email, MAX_TEXT));
    data.put_text("associated_event_id", report.text("event_id").map(|id| normal(&id)));
    for name in ["name", "email"] {
        data.put_text(name, report.text(name));
    }
    Ok(finished(draft, data, tags))
}

/// Reads a check-in of a scheduled job. The category is the job, so that each has counters of its own.
///
/// # Errors
/// Where it is not a JSON object, or its time cannot be read.
pub(super) fn check_in(around: &mut Around, payload: &[u8]) -> Result<Draft, Refusal> {
    let mut check_in = Fields::read(payload, MAX_EVENT_PAYLOAD)?;
    let (mut draft, mut data, mut tags) = around.draft("check_in");
    let at = check_in.time("timestamp")?.or(around.sent_at);
    around.identify(&mut draft, at, "check_in", payload);
    let slug = check_in.text("monitor_slug").unwrap_or_else(|| "unknown".to_owned());
    let status = check_in.text("status").unwrap_or_else(|| "unknown".to_owned());
    let has_failed = matches!(&*status, "error" | "missed" | "timeout");
    draft.level = Some(if has_failed { Level::Error } else { Level::Info }.as_str().to_owned());
    draft.message = Some(cut(format!("{slug}: {status}"), MAX_MESSAGE));
    draft.category = Some(cut(slug.clone(), MAX_TEXT));
    // The first of a run and the last have the same id.
    let id = check_in.text("check_in_id").map(|id| normal(&id));
    around.identify_by(&mut draft, id.as_ref().map(|id| cut(format!("{id}-{status}"), MAX_TEXT)));
    data.put_text("check_in_id", id);
    data.put_text("monitor_slug", Some(slug));
    data.put_text("status", Some(status));
    for name in ["duration", "monitor_config", "contexts"] {
        data.put(name, check_in.take(name));
    }
    for name in ["environment", "release"] {
        tags.put_text(name, check_in.text(name));
    }
    Ok(finished(draft, data, tags))
}

/// Reads a report that a browser sends by itself, such as a violation of the content security policy: the object of
/// `report-uri`, or one of the list of the Reporting API.
///
/// # Errors
/// Where it is not such a report.
pub(super) fn browser_report(around: &mut Around, report: Json, record: &[u8]) -> Result<Draft, Refusal> {
    let unreadable = || Refusal::new(Reason::Unreadable, "not a report of a browser");
    let mut report = Fields::of(report).ok_or_else(unreadable)?;
    let (kind, mut body) = if let Some(kind) = report.text("type") {
        (kind, report.fields("body").ok_or_else(unreadable)?)
    } else {
        let (kind, body) = report.0.into_iter().next().ok_or_else(unreadable)?;
        (kind.trim_end_matches("-report").to_owned(), Fields::of(body).ok_or_else(unreadable)?)
    };
    let is_csp = matches!(&*kind, "csp" | "csp-violation");
    let (mut draft, mut data, tags) = around.draft(if is_csp { "csp" } else { &kind });
    around.identify(&mut draft, around.sent_at, "security", record);
    draft.level = Some(Level::Warn.as_str().to_owned());
    let peek = |names: &[&str]| names.iter().find_map(|name| body.0.get(*name).cloned().and_then(text_of));
    let directive = peek(&["effective-directive", "effectiveDirective", "violated-directive"]);
    let blocked = peek(&["blocked-uri", "blockedURL"]);
    let said = peek(&["message"]);
    draft.message = Some(match (directive, blocked) {
        (Some(directive), Some(blocked)) => format!("blocked {directive} from {blocked}"),
        (Some(directive), None) => format!("blocked {directive}"),
        _ => said.unwrap_or_else(|| kind.clone()),
    });
    draft.message = draft.message.map(|message| cut(message, MAX_MESSAGE));
    data.0.append(&mut body.0);
    Ok(finished(draft, data, tags))
}

fn finished(draft: Draft, data: Fields, tags: Fields) -> Draft {
    Draft { data: data.json(), tags: tags.json(), ..draft }
}
