//! Error and message events as drafts.

use std::collections::BTreeMap;

use tally_core::event::draft::Draft;
use tally_core::event::json::Json;
use tally_core::event::level::Level;
use tally_core::event::{MAX_MESSAGE, MAX_TEXT};
use tally_core::rejected::{Reason, Refusal};
use tally_core::time::Timestamp;
use tally_http::families::Family;

use crate::compat::record_id::RecordIds;
use crate::compat::sanitize::cut;
use crate::compat::sentry::exception::{self, fingerprint};
use crate::compat::sentry::fields::{Fields, text_of};
use crate::compat::sentry::fit::fit;

/// The largest payload of one event, in bytes: Sentry's own limit.
pub(super) const MAX_EVENT_PAYLOAD: usize = 1024 * 1024;

/// What stands around the records of a request.
pub(super) struct Around {
    /// The project of the path: a label.
    pub(super) project: String,
    /// The id in the headers of the envelope, for an event that has none of its own.
    pub(super) event_id: Option<String>,
    /// `name/version` of the SDK.
    pub(super) sdk: Option<String>,
    /// When the envelope was made, and whether this is finer than a second: the time of a record that has none.
    pub(super) sent_at: Option<(Timestamp, bool)>,
    /// The server's time.
    pub(super) now: Timestamp,
    /// Ids for records without one.
    pub(super) ids: RecordIds,
    /// Whether the time of the record that was read last is finer than a second, if it is identified by it.
    pub(super) is_fine: Option<bool>,
}

impl Around {
    /// The draft that each record begins with.
    pub(super) fn draft(&self, name: &str) -> (Draft, Fields, Fields) {
        let (mut data, mut tags) = (Fields::default(), Fields::default());
        data.put_text("project", Some(self.project.clone()));
        tags.put_text("sdk", self.sdk.clone());
        (Draft { name: Some(cut(name.to_owned(), MAX_TEXT)), ..Draft::default() }, data, tags)
    }

    /// Id and time of a record without an id. It keeps the id if the clock of the request is finer than a second.
    pub(super) fn identify(&mut self, draft: &mut Draft, at: Option<(Timestamp, bool)>, kind: &str, record: &[u8]) {
        draft.timestamp = Some(at.map_or(self.now, |(at, _)| at));
        self.is_fine = at.map(|(_, is_fine)| is_fine);
        draft.id = at.map(|_| self.ids.id(Family::Sentry, kind.as_bytes(), record));
    }

    /// The id of a record that has one.
    pub(super) fn identify_by(&mut self, draft: &mut Draft, id: Option<String>) {
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            draft.id = Some(id);
            self.is_fine = None;
        }
    }
}

/// An id as it is compared: without dashes and in lower case.
pub(super) fn normal(id: &str) -> String {
    cut(id.replace('-', "").to_ascii_lowercase(), MAX_TEXT)
}

/// `name/version` of an SDK.
pub(super) fn sdk(from: &mut Fields) -> Option<String> {
    let mut sdk = from.fields("sdk")?;
    let name = sdk.text("name")?;
    let named = match sdk.text("version") {
        Some(version) => format!("{name}/{version}"),
        None => name,
    };
    // Each event of an envelope repeats it.
    Some(cut(named, MAX_TEXT))
}

/// The level of a Sentry level.
pub(super) fn level(text: Option<&str>, otherwise: Level) -> String {
    let level = match text {
        Some("log") => Level::Info,
        Some(text) => text.parse().unwrap_or(otherwise),
        None => otherwise,
    };
    level.as_str().to_owned()
}

/// Reads an event, or user feedback, which comes in the same form.
///
/// # Errors
/// Where it is no JSON object, its time cannot be read, or it is too large.
pub(super) fn read(around: &mut Around, is_feedback: bool, payload: &[u8]) -> Result<Draft, Refusal> {
    let mut event = Fields::read(payload, MAX_EVENT_PAYLOAD)?;
    let at = event.time("timestamp")?.or(around.sent_at);
    let id = event.text("event_id").or_else(|| around.event_id.clone());
    let exceptions = exception::take(&mut event);
    let mut entry = event.fields("logentry").or_else(|| event.fields("sentry.interfaces.Message")).unwrap_or_default();
    let text = said(&mut event, &entry);
    let template = entry.0.get("message").cloned().and_then(text_of).or_else(|| text.clone());
    let logger = event.text("logger");
    let feedback = is_feedback.then(|| feedback_of(&event));

    let name = if is_feedback {
        "feedback"
    } else {
        let by_kind = if text.is_some() { "message" } else { "error" };
        exceptions.kind().or(logger.as_deref()).unwrap_or(by_kind)
    };
    let (mut draft, mut data, mut tags) = around.draft(name);
    around.identify(&mut draft, at, "event", payload);
    around.identify_by(&mut draft, id.map(|id| normal(&id)));
    let sent_level = event.text("level");
    draft.level = Some(level(sent_level.as_deref(), if is_feedback { Level::Info } else { Level::Error }));
    let message = feedback.flatten().or_else(|| exceptions.message()).or_else(|| text.clone());
    draft.message = message.map(|message| cut(message, MAX_MESSAGE));
    let own = event.list("fingerprint");
    let default = match exceptions.kind() {
        Some(_) => exceptions.grouping(),
        // A message is known by its text better than by where it was sent from.
        None => template.clone().or_else(|| exceptions.grouping()),
    };
    draft.fingerprint = fingerprint(own, default, draft.message.as_deref());

    let mut user = event.fields("user").unwrap_or_default();
    // An address is personal and tells little.
    user.0.remove("ip_address");
    let user_id = ["id", "email", "username"].iter().find_map(|name| user.0.get(*name).cloned().and_then(text_of));
    draft.user_id = user_id.map(|id| cut(id, MAX_TEXT));

    let environment = event.text("environment");
    draft.category = environment.clone().map(|environment| cut(environment, MAX_TEXT));
    tags.put("sdk", sdk(&mut event).or_else(|| around.sdk.clone()).map(Json::String));
    let mut own_tags = Fields(labels(event.take("tags")));
    own_tags.0.append(&mut tags.0);
    own_tags.put_text("environment", environment);
    own_tags.put_text("logger", logger);
    for name in ["release", "dist", "server_name", "platform"] {
        own_tags.put_text(name, event.text(name));
    }
    if let Some(params) = entry.take("params") {
        data.put_text("template", template);
        data.put("params", Some(params));
    }
    if exceptions.message().is_some() {
        data.put_text("message", text);
    }
    data.put("user", user.json());
    data.put_text("transaction", event.text("transaction"));
    data.put("request", event.fields("request").map(public).and_then(Fields::json));
    for name in ["extra", "contexts"] {
        data.put(name, event.fields(name).and_then(Fields::json));
    }
    let breadcrumbs = event.values("breadcrumbs");
    data.put("breadcrumbs", (!breadcrumbs.is_empty()).then_some(Json::Array(breadcrumbs)));

    draft.data = data.json();
    draft.tags = own_tags.json();
    draft.stack = exceptions.stack();
    if fit(&mut draft) {
        Ok(draft)
    } else {
        Err(Refusal::new(Reason::TooLarge, "the event is too large even without its breadcrumbs, extra and contexts"))
    }
}

/// The text of an event without an exception.
fn said(event: &mut Fields, entry: &Fields) -> Option<String> {
    let of_entry = |name: &str| entry.0.get(name).cloned().and_then(text_of);
    if let Some(formatted) = of_entry("formatted") {
        return Some(formatted);
    }
    let Some(template) = of_entry("message") else {
        return match event.take("message") {
            // The form of the first SDKs.
            Some(Json::Object(fields)) => {
                let mut fields = Fields(fields);
                fields.text("formatted").or_else(|| fields.text("message"))
            }
            other => other.and_then(text_of),
        };
    };
    match entry.0.get("params") {
        Some(Json::Array(params)) => Some(interpolated(&template, params)),
        _ => Some(template),
    }
}

/// A template of `%s` and its like, or of `{}`, with its parameters: JavaScript sends them apart.
fn interpolated(template: &str, params: &[Json]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut params = params.iter();
    let mut rest = template;
    while let Some(start) = rest.find(['%', '{']) {
        text.push_str(&rest[..start]);
        rest = &rest[start..];
        let mut chars = rest.chars();
        let place = match (chars.next(), chars.next()) {
            (Some('%'), Some('%')) => Some('%'),
            (Some('%'), Some(kind)) if kind.is_ascii_alphabetic() => None,
            (Some('{'), Some('}')) => None,
            (first, _) => {
                text.extend(first);
                rest = &rest[1..];
                continue;
            }
        };
        match place {
            Some(percent) => text.push(percent),
            None => match params.next() {
                Some(Json::String(param)) => text.push_str(param),
                // What was read from JSON always serializes.
                Some(param) => text.push_str(&serde_json::to_string(param).unwrap_or_default()),
                None => text.push_str(&rest[..2]),
            },
        }
        rest = &rest[2..];
        if text.len() > MAX_MESSAGE {
            return text;
        }
    }
    text.push_str(rest);
    text
}

/// The message of a feedback event.
fn feedback_of(event: &Fields) -> Option<String> {
    let Some(Json::Object(contexts)) = event.0.get("contexts") else { return None };
    let Some(Json::Object(feedback)) = contexts.get("feedback") else { return None };
    feedback.get("message").cloned().and_then(text_of)
}

/// Tags come as an object, as a list of pairs, or as a list of objects of `key` and `value`.
fn labels(tags: Option<Json>) -> BTreeMap<String, Json> {
    let pairs: Vec<(Option<String>, Option<Json>)> = match tags {
        Some(Json::Object(tags)) => tags.into_iter().map(|(name, value)| (Some(name), Some(value))).collect(),
        Some(Json::Array(tags)) => tags
            .into_iter()
            .map(|tag| match tag {
                Json::Array(pair) => {
                    let mut pair = pair.into_iter();
                    (pair.next().and_then(text_of), pair.next())
                }
                Json::Object(tag) => {
                    let mut tag = Fields(tag);
                    (tag.text("key"), tag.take("value"))
                }
                _ => (None, None),
            })
            .collect(),
        _ => vec![],
    };
    let named = pairs.into_iter().filter_map(|(name, value)| Some((name?, value?)));
    named.filter(|(name, value)| !name.is_empty() && *value != Json::Null).collect()
}

/// A request without its cookies, addresses and credentials.
fn public(mut request: Fields) -> Fields {
    request.0.remove("cookies");
    if let Some(headers) = request.take("headers") {
        let mut headers = labels(Some(headers));
        headers.retain(|name, _| !is_private(name));
        request.put("headers", Fields(headers).json());
    }
    if let Some(mut env) = request.fields("env") {
        env.0.retain(|name, _| name != "REMOTE_ADDR" && !name.strip_prefix("HTTP_").is_some_and(is_private));
        request.put("env", env.json());
    }
    request
}

/// Whether a header carries a credential or the caller's address.
fn is_private(header: &str) -> bool {
    let header = header.to_ascii_lowercase().replace('_', "-");
    let part = |part: &str| header.contains(part);
    ["auth", "cookie", "token", "secret", "password", "key", "csrf", "xsrf", "forwarded"].into_iter().any(part)
        || matches!(&*header, "x-real-ip" | "true-client-ip" | "cf-connecting-ip" | "client-ip" | "x-client-ip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_gets_its_parameters() {
        let params = [Json::String("Ann".into()), Json::Bool(true)];
        for (template, expected) in [
            ("%s is %o", "Ann is true"),
            ("{} is {}", "Ann is true"),
            ("100%% of %s", "100% of Ann"),
            ("%s %s %s {x} 5% é%", "Ann true %s {x} 5% é%"),
            ("", ""),
        ] {
            assert_eq!(interpolated(template, &params), expected);
        }
    }

    #[test]
    fn credentials_and_addresses_are_dropped() {
        for name in ["Authorization", "cookie", "X-Api-Key", "X_FORWARDED_FOR", "X-CSRFToken", "X-Real-Ip"] {
            assert!(is_private(name), "{name}");
        }
        for name in ["Accept", "User-Agent", "Host", "Content-Type", "Referer"] {
            assert!(!is_private(name), "{name}");
        }
    }
}
