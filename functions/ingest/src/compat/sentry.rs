//! Sentry: envelopes of the current SDKs, single events of the first ones, and the reports of browsers.
//!
//! SDKs send nothing twice, and read only the status and the headers of a reply. `Retry-After`, on any status, mutes
//! them for everything; so does a 429 without `X-Sentry-Rate-Limits`. So no reply of this family has `Retry-After`.

mod envelope;
mod event;
mod exception;
mod fields;
mod fit;
mod records;

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;
use tally_core::event::MAX_TEXT;
use tally_core::event::draft::Draft;
use tally_core::event::json::{Json, Number, array_of_at_most, count_in, document};
use tally_core::rejected::{MAX_SAMPLE, Reason, Refusal};
use tally_core::time::Timestamp;
use tally_http::families::Family;
use tally_http::problem::{Problem, json};

use crate::body::unpack;
use crate::compat::call::{Call, Sender};
use crate::compat::protocol::{Answer, Protocol};
use crate::compat::record_id::{Clock, RecordIds};
use crate::compat::records::check_values;
use crate::compat::sanitize::{self, cut, pick};
use crate::compat::sentry::envelope::{Envelope, Item};
use crate::compat::sentry::event::Around;
use crate::compat::sentry::fields::Fields;

/// Most records of one request. The SDKs send one event, or at most 100 logs; a body of nothing but short items would take
/// far more memory than it has bytes.
const MAX_RECORDS: usize = 10_000;
/// Most JSON values of all records of one request, which become drafts at once.
const MAX_ALL_VALUES: usize = 200_000;
/// Most entries that are read of one client report.
const MAX_DISCARDED: usize = 100;
/// Most kinds of what is not kept that are told apart.
const MAX_KINDS: usize = 20;
/// The most that one entry of a client report is believed.
const MAX_QUANTITY: u64 = 1_000_000;

/// The header with the reason of an error.
const ERROR: &str = "x-sentry-error";
/// The header that mutes an SDK for some categories.
const RATE_LIMITS: &str = "x-sentry-rate-limits";

/// The family.
pub(super) struct Sentry;

impl Protocol for Sentry {
    fn family(&self) -> Family {
        Family::Sentry
    }

    fn answer<'a>(&'a self, call: &'a Call) -> Answer<'a> {
        Box::pin(answered(call))
    }

    fn refuse(&self, _: &Call, problem: &Problem) -> Response {
        #[derive(Serialize)]
        struct Refused {
            detail: String,
        }

        let detail = problem.to_string();
        let refused = json(problem.status(), &Refused { detail: detail.clone() });
        let mut reply = refused.unwrap_or_else(|_| problem.status().into_response());
        let visible: String = detail.chars().map(|c| if c.is_ascii() && !c.is_control() { c } else { '?' }).collect();
        if let Ok(visible) = HeaderValue::from_str(&visible) {
            reply.headers_mut().insert(ERROR, visible);
        }
        if let Problem::TooManyRequests(_, seconds) = problem {
            let limits = format!("{seconds}:error;default;log_item:organization:tally");
            if let Ok(limits) = HeaderValue::from_str(&limits) {
                reply.headers_mut().insert(RATE_LIMITS, limits);
            }
        }
        reply
    }
}

async fn answered(call: &Call) -> Result<Response, Problem> {
    let endpoint = call.path.rsplit('/').next().unwrap_or_default();
    let (dsn, body) = match endpoint {
        "envelope" => (envelope_dsn(&call.body), call.body.clone()),
        "store" => (None, packed(call)?),
        _ => (None, call.body.clone()),
    };
    let sender = sender(call, dsn.as_deref()).await?;
    let mut records = Records::new(&call.path, call.now());
    if let Err(refusal) = records.add_body(endpoint, &body) {
        call.reject(&sender, &refusal, 1, || start_of(&body));
        return Err(Problem::field("", format!("the body is no {endpoint} request: {refusal}")));
    }
    records.store(call, &sender).await
}

/// The beginning of what cannot be kept, as a sample.
fn start_of(source: &[u8]) -> String {
    String::from_utf8_lossy(source.get(..MAX_SAMPLE).unwrap_or(source)).into_owned()
}

/// Reads the records of an unpacked body that is sent to `envelope`, `store` or `security`, at the time `now`. What a
/// request does beyond this needs the store.
///
/// # Errors
/// Where the body as a whole cannot be read.
pub fn read(endpoint: &str, body: &[u8], now: Timestamp) -> Result<Vec<Result<Draft, Refusal>>, Refusal> {
    let mut records = Records::new("/api/1", now);
    records.add_body(endpoint, body)?;
    Ok(records.drafts)
}

/// The DSN in the headers of an envelope.
fn envelope_dsn(body: &[u8]) -> Option<String> {
    Envelope::read(body).ok()?.header.text("dsn")
}

/// Who sends: by the query, a header, or the DSN in an envelope, in this order.
async fn sender(call: &Call, dsn: Option<&str>) -> Result<Sender, Problem> {
    let header = call.header("x-sentry-auth").or_else(|| call.header("authorization")).and_then(|value| {
        let (scheme, pairs) = value.trim().split_once(' ')?;
        let pairs = scheme.eq_ignore_ascii_case("sentry").then_some(pairs)?;
        let mut pairs = pairs.split([',', ' ']).filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| name.trim() == "sentry_key").map(|(_, key)| key.trim())
    });
    // `https://key@host/1`, or with a secret, `https://key:secret@host/1`.
    let in_dsn = dsn.and_then(|dsn| dsn.split_once("://")?.1.split_once('@')?.0.split(':').next());
    call.sender(&[call.parameter("sentry_key"), header, in_dsn]).await
}

/// The event of the older endpoint: JSON, or base64 of compressed JSON. The first SDKs for browsers sent it as a pixel.
fn packed(call: &Call) -> Result<Bytes, Problem> {
    let sent = match call.parameter("sentry_data") {
        Some(data) if call.method == Method::GET => Bytes::copy_from_slice(data.as_bytes()),
        _ => call.body.clone(),
    };
    match STANDARD.decode(sent.trim_ascii()) {
        Ok(decoded) => unpack(&HeaderMap::new(), decoded.into()),
        // A text of JSON is never base64.
        Err(_) => Ok(sent),
    }
}

/// The records of a request, and what of it is not kept.
struct Records<'a> {
    around: Around,
    drafts: Vec<Result<Draft, Refusal>>,
    /// What each was read from.
    sources: Vec<(&'static str, &'a [u8])>,
    /// The clock that timed the records of the item.
    clock: Clock,
    /// The id in the headers of the envelope.
    id: Option<String>,
    /// How many JSON values the records have.
    values: usize,
    /// What is not kept, by reason and kind, and how many of each.
    left_out: BTreeMap<Reason, BTreeMap<String, u64>>,
}

impl<'a> Records<'a> {
    fn new(path: &str, now: Timestamp) -> Self {
        let project = cut(path.split('/').nth(2).unwrap_or_default().to_owned(), MAX_TEXT);
        let ids = RecordIds::default();
        let around = Around { project, event_id: None, sdk: None, sent_at: None, now, ids, is_fine: None };
        let (drafts, sources, clock, left_out) = Default::default();
        Self { around, drafts, sources, clock, id: None, values: 0, left_out }
    }

    fn add_body(&mut self, endpoint: &str, body: &'a [u8]) -> Result<(), Refusal> {
        match endpoint {
            "envelope" => self.add_envelope(body),
            "store" => self.add_event(body),
            _ => self.add_browser_reports(body),
        }?;
        self.end_item();
        Ok(())
    }

    /// Adds the items of an envelope.
    ///
    /// # Errors
    /// Where its first line cannot be read.
    fn add_envelope(&mut self, body: &'a [u8]) -> Result<(), Refusal> {
        let mut envelope = Envelope::read(body)?;
        self.id = envelope.header.text("event_id").map(|id| event::normal(&id));
        self.around.event_id.clone_from(&self.id);
        self.around.sdk = event::sdk(&mut envelope.header);
        // A time that cannot be read is as good as none: it is not of a record.
        self.around.sent_at = envelope.header.time("sent_at").ok().flatten();
        for item in envelope.items {
            match item {
                Ok(item) => {
                    self.add_item(&item);
                    self.end_item();
                }
                Err(bad) => self.add("item", bad.header, Err(bad.refusal)),
            }
        }
        Ok(())
    }

    /// Adds the event of the older endpoint.
    ///
    /// # Errors
    /// Where it cannot be read at all.
    fn add_event(&mut self, body: &'a [u8]) -> Result<(), Refusal> {
        match self.admit(body).and_then(|()| event::read(&mut self.around, false, body)) {
            Err(refusal) if refusal.reason == Reason::Unreadable => return Err(refusal),
            draft => self.add("event", body, draft),
        }
        Ok(())
    }

    fn add_item(&mut self, item: &Item<'a>) {
        let payload = item.payload;
        match item.kind.as_str() {
            "event" => {
                let draft = self.admit(payload).and_then(|()| event::read(&mut self.around, false, payload));
                self.add("event", payload, draft);
                // The id in the headers is of one event.
                self.around.event_id = None;
            }
            "feedback" => {
                let draft = self.admit(payload).and_then(|()| event::read(&mut self.around, true, payload));
                self.add("feedback", payload, draft);
            }
            "user_report" => {
                let draft = self.admit(payload).and_then(|()| records::user_report(&mut self.around, payload));
                self.add("user_report", payload, draft);
            }
            "check_in" => {
                let draft = self.admit(payload).and_then(|()| records::check_in(&mut self.around, payload));
                self.add("check_in", payload, draft);
            }
            "log" => self.add_logs(payload),
            "raw_security" => {
                if let Err(refusal) = self.add_browser_reports(payload) {
                    self.add("raw_security", payload, Err(refusal));
                }
            }
            "client_report" => self.add_client_report(payload),
            // Whether a release works is told by every SDK all the time; nobody misses it here.
            "session" | "sessions" => {}
            kind => self.leave_out(Reason::NotOffered, kind, 1),
        }
    }

    fn add(&mut self, kind: &'static str, source: &'a [u8], draft: Result<Draft, Refusal>) {
        if self.drafts.len() == MAX_RECORDS {
            self.leave_out(Reason::TooLarge, kind, 1);
            return;
        }
        if let Some(is_fine) = self.around.is_fine.take().filter(|_| draft.is_ok()) {
            self.clock.note(self.drafts.len(), is_fine);
        }
        self.drafts.push(draft);
        self.sources.push((kind, source));
    }

    /// Takes the identity from what the clock of an item timed, if it knows only whole seconds.
    fn end_item(&mut self) {
        for place in std::mem::take(&mut self.clock).unidentified() {
            if let Some(Ok(draft)) = self.drafts.get_mut(place) {
                draft.id = None;
            }
        }
    }

    fn leave_out(&mut self, reason: Reason, what: &str, count: u64) {
        let kinds = self.left_out.entry(reason).or_default();
        let what = cut(what.to_owned(), MAX_TEXT);
        // More kinds than there are in the protocol are of no interest.
        let what = if kinds.len() < MAX_KINDS || kinds.contains_key(&what) { what } else { "others".to_owned() };
        *kinds.entry(what).or_default() += count;
    }

    /// Whether the values of a record may be built beside those before it.
    fn admit(&mut self, record: &[u8]) -> Result<(), Refusal> {
        let values = count_in(record);
        check_values(values)?;
        let all = self.values.saturating_add(values);
        if all > MAX_ALL_VALUES {
            let detail = format!("the request has more than {MAX_ALL_VALUES} JSON values: send less at once");
            return Err(Refusal::new(Reason::TooLarge, detail));
        }
        self.values = all;
        Ok(())
    }

    fn add_logs(&mut self, payload: &'a [u8]) {
        let text = sanitize::body(payload);
        let logs = document(text.as_bytes()).and_then(|raw| {
            let [items] = pick(raw, ["items"]);
            items.map_or(Ok((vec![], 0)), |items| array_of_at_most(items, MAX_RECORDS))
        });
        match logs {
            Ok((logs, count)) => {
                for log in &logs {
                    let admitted = self.admit(log.get().as_bytes());
                    let draft = admitted.and_then(|()| records::log(&mut self.around, sanitize::value(log)));
                    self.add("log", payload, draft);
                }
                if count > logs.len() {
                    self.leave_out(Reason::TooLarge, "log", (count - logs.len()) as u64);
                }
            }
            Err(error) => self.add("log", payload, Err(Refusal::new(Reason::Unreadable, error.detail))),
        }
    }

    fn add_browser_reports(&mut self, payload: &'a [u8]) -> Result<(), Refusal> {
        self.admit(payload)?;
        let reports = match fields::read(payload, event::MAX_EVENT_PAYLOAD)? {
            Json::Array(reports) => reports,
            report @ Json::Object(_) => vec![report],
            _ => return Err(Refusal::new(Reason::Unreadable, "neither a JSON object nor a list")),
        };
        for report in reports {
            let draft = records::browser_report(&mut self.around, report, payload);
            self.add("security", payload, draft);
        }
        Ok(())
    }

    /// Counts what the SDK says that it dropped itself, of the kinds that would have become events here.
    fn add_client_report(&mut self, payload: &'a [u8]) {
        let report = self.admit(payload).and_then(|()| Fields::read(payload, event::MAX_EVENT_PAYLOAD));
        let Ok(mut report) = report else {
            self.leave_out(Reason::Unreadable, "client_report", 1);
            return;
        };
        for discarded in report.list("discarded_events").into_iter().take(MAX_DISCARDED) {
            let Some(mut discarded) = Fields::of(discarded) else { continue };
            let category = discarded.text("category").unwrap_or_default();
            if !matches!(&*category, "error" | "default" | "log_item" | "feedback" | "monitor" | "security") {
                continue;
            }
            let quantity = match discarded.take("quantity") {
                Some(Json::Number(number)) => whole(&number),
                _ => 0,
            };
            let why = discarded.text("reason").unwrap_or_else(|| "unknown".to_owned());
            if quantity > 0 {
                self.leave_out(Reason::DroppedByClient, &format!("{category}: {why}"), quantity.min(MAX_QUANTITY));
            }
        }
    }

    async fn store(self, call: &Call, sender: &Sender) -> Result<Response, Problem> {
        #[derive(Serialize)]
        struct Kept {
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<String>,
        }

        let Self { drafts, sources, id, left_out, .. } = self;
        for (reason, kinds) in left_out {
            let count = kinds.values().sum();
            let listed: Vec<_> = kinds.into_iter().map(|(kind, count)| format!("{count} of {kind}")).collect();
            let listed = listed.join(", ");
            let detail = match reason {
                Reason::NotOffered => "items of these types are not kept",
                Reason::DroppedByClient => "the SDK dropped them before it sent them",
                Reason::TooLarge => "too many records in one request",
                _ => "cannot be read",
            };
            call.reject(sender, &Refusal::new(reason, format!("{detail}: {listed}")), count, || listed);
        }
        let first = drafts.iter().flatten().find_map(|draft| draft.id.clone());
        let sample = |index: usize| {
            let (kind, source) = sources.get(index).copied().unwrap_or_default();
            format!("{kind}: {}", start_of(source))
        };
        if !drafts.is_empty() {
            call.store(sender, drafts, &sample).await?.complete()?;
        }
        json(StatusCode::OK, &Kept { id: id.or(first) })
    }
}

/// A number as a whole one; 0 if it is none.
fn whole(number: &Number) -> u64 {
    number.as_str().parse().unwrap_or(0)
}
