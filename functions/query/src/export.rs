//! `GET /apps/{app}/export`: whole events as NDJSON, which imports again as the same events, or as CSV for spreadsheets.

mod cell;
mod fields;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LINK};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use tally_core::app::AppSlug;
use tally_core::event::Event;
use tally_core::event::id::EventId;
use tally_core::event::json::Json;
use tally_core::event::level::Level;
use tally_core::time::Timestamp;
use tally_http::guard::Target;
use tally_http::openapi::{MomentInput, Operation, Parameter, PastDayInput, ReplyDescription, number_or, text};
use tally_http::parameters::{Params, calendar, event_filters};
use tally_http::problem::Problem;
use tally_http::reply::MAX_BODY;
use tally_http::routes::EXPORT;
use tally_http::service::{Shared, origin};
use tally_service::read::reader::{Next, Page, read_page};
use tally_store::Order;

use self::fields::{COLUMNS, Field, MAX_FIELDS};
use crate::events::{AskedList, Pages};

/// Events in a page: as many as fit into 4 MiB, if they have no more than 400 bytes.
const PAGES: Pages = Pages { default: 10_000, most: 10_000, may_skip: false };

const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";

/// An exported event: all that is stored of it. The app is that of the address, here and where it is sent to.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExportedEvent")]
struct Exported<'a> {
    /// The id that Tally gave.
    id: EventId,
    /// The client's own id, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    /// What happened.
    name: &'a str,
    /// The machine-readable form of the name.
    slug: &'a str,
    /// Category.
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    /// Severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<Level>,
    /// Message for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// The session it happened in.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    /// The user it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    /// Another id of its user, by which other events may name them.
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<&'a str>,
    /// What groups it with events of the same cause, by the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a str>,
    /// When it happened, by the client.
    timestamp: Timestamp,
    /// When Tally accepted it.
    received_at: Timestamp,
    /// Number of occurrences.
    count: u64,
    /// Attributes of the event, for filters and groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Json>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a Json>,
    /// Stack trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<&'a Json>,
}

impl<'a> From<&'a Event> for Exported<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            id: event.id,
            client_id: event.client_id.as_deref(),
            name: &event.name,
            slug: &event.slug,
            category: event.category.as_deref(),
            level: event.level,
            message: event.message.as_deref(),
            session_id: event.session_id.as_deref(),
            user_id: event.user_id.as_deref(),
            alias: event.alias.as_deref(),
            fingerprint: event.fingerprint.as_deref(),
            timestamp: event.timestamp,
            received_at: event.received_at,
            count: event.count,
            data: event.data.as_ref(),
            tags: event.tags.as_ref(),
            stack: event.stack.as_ref(),
        }
    }
}

/// How events are written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// Whole events, a JSON object on each line.
    Whole,
    /// A JSON object of these fields on each line.
    Lines(Vec<Field>),
    /// A line of cells of these fields.
    Csv(Vec<Field>),
}

impl Form {
    fn read(params: &mut Params) -> Self {
        let is_csv = params.choice("format", &[("ndjson", false), ("csv", true)]).unwrap_or(false);
        let fields = Field::list(params);
        match (is_csv, fields.is_empty()) {
            (false, true) => Self::Whole,
            (false, false) => Self::Lines(fields),
            (true, false) => Self::Csv(fields),
            (true, true) => Self::Csv(COLUMNS.to_vec()),
        }
    }

    /// The line of an event, with its end.
    fn line(&self, event: &Event) -> serde_json::Result<Vec<u8>> {
        let mut line = match self {
            Self::Whole => serde_json::to_vec(&Exported::from(event))?,
            Self::Lines(fields) => fields::object(fields, event)?,
            Self::Csv(fields) => {
                let mut line = Vec::new();
                for (n, field) in fields.iter().enumerate() {
                    if n > 0 {
                        line.push(b',');
                    }
                    cell::push(&mut line, field.of(event).as_deref())?;
                }
                line.push(b'\r');
                line
            }
        };
        line.push(b'\n');
        Ok(line)
    }

    /// The line before the first event.
    fn header(&self) -> Vec<u8> {
        let Self::Csv(fields) = self else { return vec![] };
        let mut line = Vec::new();
        for (n, field) in fields.iter().enumerate() {
            if n > 0 {
                line.push(b',');
            }
            cell::push_text(&mut line, &field.name());
        }
        line.extend_from_slice(b"\r\n");
        line
    }

    fn media_type(&self, has_header: bool) -> &'static str {
        match (self, has_header) {
            (Self::Csv(_), true) => "text/csv; charset=utf-8; header=present",
            (Self::Csv(_), false) => "text/csv; charset=utf-8; header=absent",
            (Self::Whole | Self::Lines(_), _) => NDJSON,
        }
    }

    const fn extension(&self) -> &'static str {
        match self {
            Self::Csv(_) => "csv",
            Self::Whole | Self::Lines(_) => "ndjson",
        }
    }
}

pub(crate) async fn export(
    State(context): Shared,
    Target(app): Target,
    uri: Uri,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Problem> {
    let is_first = !uri.query().is_some_and(has_cursor);
    let (asked, form) =
        AskedList::with(params, &app, context.clock.now(), &PAGES, |params| (Order::Ascending, Form::read(params)))?;
    let mut page = read_page(&context.reads(), &app, &asked.query).await?;
    let start = if is_first { form.header() } else { vec![] };
    let body = written(&mut page, start, |event| form.line(event))?;
    let mut reply = (StatusCode::OK, [(CONTENT_TYPE, form.media_type(is_first))], Body::from(body)).into_response();
    let reply_headers = reply.headers_mut();
    reply_headers.insert(CONTENT_DISPOSITION, disposition(&app.slug, form.extension())?);
    if let Some(next) = page.next {
        reply_headers.insert(LINK, asked.link(&app, next, &origin(&headers, &context.config), &uri)?);
    }
    Ok(reply)
}

/// Whether a page continues another.
fn has_cursor(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| matches!(&*name, "cursor" | "next") && !value.is_empty())
}

/// The lines of a page, which ends before the first event that does not fit. The next page then begins with it. One event
/// always fits.
fn written(
    page: &mut Page,
    start: Vec<u8>,
    line: impl Fn(&Event) -> serde_json::Result<Vec<u8>>,
) -> Result<Vec<u8>, Problem> {
    let mut body = start;
    let mut last = None;
    // Each is dropped once it is written, so that they are not in memory twice.
    for event in std::mem::take(&mut page.events) {
        let line = line(&event).map_err(|e| Problem::Internal(e.to_string()))?;
        if let Some(after) = last
            && body.len() + line.len() > MAX_BODY
        {
            page.next = Some(Next { after, skip: 0 });
            break;
        }
        body.extend_from_slice(&line);
        last = Some(event.id);
    }
    Ok(body)
}

/// The name of the file in which a browser keeps a page (RFC 6266).
fn disposition(slug: &AppSlug, extension: &str) -> Result<HeaderValue, Problem> {
    let name: String = form_urlencoded::byte_serialize(slug.as_str().as_bytes()).collect();
    let text = format!("attachment; filename=\"events.{extension}\"; filename*=UTF-8''{name}.{extension}");
    HeaderValue::try_from(text).map_err(|e| Problem::Internal(e.to_string()))
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    let (time, day) = (schemas.subschema_for::<MomentInput>(), schemas.subschema_for::<PastDayInput>());
    let event = schemas.subschema_for::<Exported<'_>>();
    let columns = COLUMNS.iter().map(|field| field.name().into_owned()).collect::<Vec<_>>().join(",");
    Operation::of(&EXPORT, "exportEvents", "Exports events, the oldest first")
        .about(format!(
            "All filters of `GET /apps/{{app}}/events`. A page has at most 4 MiB and {} events, and may be short or empty: only \
             `Link` tells whether there is more. `format=ndjson` without `fields` is all that is stored of the events; sent to \
             `POST /apps/{{app}}/events` by an admin they are the same events. `format=csv` is RFC 4180, with a line of names at the \
             beginning of the first page alone. A cell that a spreadsheet would run, since it begins with `=`, `+`, `-`, `@`, a tab \
             or the end of a line, has an apostrophe in front, unless it is a number. Keys that may not read all may not export.",
            PAGES.most
        ))
        .takes([
            Parameter::query(
                "format",
                "`ndjson` (the default) or `csv`.",
                json_schema!({"type": "string", "enum": ["ndjson", "csv"]}),
            ),
            Parameter::query(
                "fields",
                format!(
                    "The fields to write, with commas between them, in their order: fields of an event, or `data.PATH` and \
                     `tags.PATH`; at most {MAX_FIELDS}. By default all in NDJSON, and `{columns}` in CSV."
                ),
                text(),
            ),
        ])
        .takes(event_filters(schemas))
        .takes(calendar())
        .takes([
            Parameter::query("since", "Only events from this time on, or from the start of this day of `tz`.", time.clone()),
            Parameter::query("until", "Only events before this time, or before the start of this day of `tz`.", time),
            Parameter::query("date", "Only events of this day.", day),
            Parameter::query("limit", "Most events in a page.", number_or(PAGES.default as u64, 1, PAGES.most as u64)),
            Parameter::query("cursor", "Continues after the page whose `Link` has this cursor. `next` is an alias.", text()),
            Parameter::query(
                "consistent",
                "Whether to read strongly, without counters; by default not.",
                json_schema!({"type": "boolean"}),
            ),
        ])
        .replies(ReplyDescription {
            status: StatusCode::OK,
            about: "A page of events.",
            content: vec![
                (NDJSON, json_schema!({"description": "One event per line.", "type": "array", "items": event})),
                (CSV, json_schema!({"description": "One event per line.", "type": "string"})),
            ],
            headers: vec![
                ("Link", "If there may be more events: the address of the next page, with `rel=\"next\"`."),
                ("Content-Disposition", "The name of a file for the page."),
            ],
        })
}
