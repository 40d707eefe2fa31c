//! `shape=rows`: a reply as a table, for tools that know no other shape: the data sources of Grafana, spreadsheets, notebooks.
//!
//! The rows are those of the reply's `series`, else of its `items`. What is nested in a row becomes columns whose names are joined
//! with `_`: Grafana takes a dot for a path. What the reply says about the whole becomes headers.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderName, HeaderValue, Uri};
use http_body_util::BodyExt;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use tally_core::event::MAX_DEPTH;
use tally_service::config::Config;
use tally_service::context::Context;

use crate::credentials;
use crate::problem::Problem;
use crate::reply::MAX_BODY;
use crate::service::origin;

/// The media type of rows. The description of the API does not know it: each reply would be one of two shapes in generated clients.
pub const ROWS: &str = "application/vnd.tally.rows+json";

/// The parameter.
const SHAPE: &str = "shape";

/// A handler that also answers with rows, if it is asked for them.
pub fn in_rows<H, T>(handler: H) -> impl Handler<T, Arc<Context>>
where
    H: Handler<T, Arc<Context>>,
    T: 'static,
{
    handler.layer(middleware::from_fn(shape))
}

async fn shape(mut request: Request, next: Next) -> Response {
    let is_rows = match asks_for_rows(request.uri().query()) {
        Ok(is_rows) => is_rows,
        Err(problem) => return problem.into_response(),
    };
    *request.uri_mut() = without_shape(request.uri());
    if !is_rows {
        return next.run(request).await;
    }
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    let config = request.extensions().get::<Arc<Config>>().cloned();
    let reply = next.run(request).await;
    if !reply.status().is_success() {
        return reply;
    }
    let origin = config.map(|config| origin(&headers, &config)).unwrap_or_default();
    as_rows(reply, &uri, &origin).await.unwrap_or_else(Problem::into_response)
}

fn asks_for_rows(query: Option<&str>) -> Result<bool, Problem> {
    let mut sent = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).filter(|(name, _)| name == SHAPE);
    let shape = sent.next();
    if sent.next().is_some() {
        return Err(Problem::field(SHAPE, "sent twice: send it once"));
    }
    match shape.as_ref().map_or("", |(_, shape)| shape) {
        "" | "object" => Ok(false),
        "rows" => Ok(true),
        _ => Err(Problem::field(SHAPE, "must be `object` or `rows`")),
    }
}

/// The same address without the parameter, which no handler knows.
fn without_shape(uri: &Uri) -> Uri {
    let Some(query) = uri.query() else { return uri.clone() };
    let is_shape = |pair: &&str| form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| name == SHAPE);
    let left: Vec<_> = query.split('&').filter(|pair| !is_shape(pair)).collect();
    let target = if left.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), left.join("&")) };
    // A part of what was a valid address is one.
    target.parse().unwrap_or_else(|_| uri.clone())
}

async fn as_rows(reply: Response, uri: &Uri, origin: &str) -> Result<Response, Problem> {
    let (mut parts, body) = reply.into_parts();
    let internal = |error: &dyn fmt::Display| Problem::Internal(error.to_string());
    let body = body.collect().await.map_err(|e| internal(&e))?.to_bytes();
    let Fields(fields) = serde_json::from_slice(&body).map_err(|e| internal(&e))?;
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| *value);
    let text = |name: &str| field(name).and_then(|value| serde_json::from_str::<String>(value.get()).ok());

    let series = field("series").filter(|value| value.get().starts_with('['));
    let list = series.or_else(|| field("items")).map_or("[]", RawValue::get);
    let list: Vec<&RawValue> = serde_json::from_str(list).map_err(|e| internal(&e))?;
    let mut room = MAX_BODY;
    let mut rows = Vec::with_capacity(list.len());
    for item in list {
        let mut row = Row::default();
        row.take("", item, 0, &mut room)?;
        row.keep_first_of_each_name();
        rows.push(row);
    }
    if series.is_some() {
        fill(&mut rows, &mut room)?;
    }

    let reply_headers = &mut parts.headers;
    reply_headers.remove("content-length");
    reply_headers.insert(CONTENT_TYPE, HeaderValue::from_static(ROWS));
    for (name, value) in [("tally-counted-to", text("counted_to")), ("tally-live-from", text("live_from"))] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            reply_headers.insert(HeaderName::from_static(name), value);
        }
    }
    if field("complete").is_some_and(|complete| complete.get() == "false") {
        reply_headers.insert("tally-complete", HeaderValue::from_static("false"));
    }
    if let Some(next) = text("next") {
        let params = [("cursor".to_owned(), next), (SHAPE.to_owned(), "rows".to_owned())];
        let params = params.into_iter().chain(credentials::in_query(uri.query()));
        let params = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let link = format!("<{origin}{}?{params}>; rel=\"next\"", uri.path());
        reply_headers.insert(LINK, HeaderValue::try_from(link).map_err(|e| internal(&e))?);
    }
    let body = serde_json::to_vec(&rows).map_err(|e| internal(&e))?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// Gives each row of a series a zero where another row has a count by level or by name, and it has none.
fn fill(rows: &mut [Row<'_>], room: &mut usize) -> Result<(), Problem> {
    let names = rows.iter().flat_map(|row| &row.columns).map(|(name, _)| name).filter(|name| name.starts_with("by_"));
    // At most one for each level, or for each of the few names of a series.
    let names: BTreeSet<String> = names.cloned().collect();
    for row in rows {
        for name in &names {
            if !row.columns.iter().any(|(column, _)| column == name) {
                row.push(name.clone(), Cell::Zero, room)?;
            }
        }
    }
    Ok(())
}

/// A JSON object, in its order and with all digits of its numbers.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A row. No two columns have the same name: of `{"a_b": 1, "a": {"b": 2}}` the first one stays.
#[derive(Default)]
struct Row<'a> {
    columns: Vec<(String, Cell<'a>)>,
}

enum Cell<'a> {
    /// A text, a number, a boolean or null, as the reply has it.
    Value(&'a RawValue),
    /// A list, or what lies deeper than data may, as its JSON text.
    Text(&'a str),
    Zero,
}

impl<'a> Row<'a> {
    /// Takes a value as the column `name`, or what is nested in it as columns whose names begin with that.
    fn take(&mut self, name: &str, value: &'a RawValue, depth: usize, room: &mut usize) -> Result<(), Problem> {
        let text = value.get();
        // What Tally adds around the data of an event is less deep than that.
        if !text.starts_with('{') || depth > 2 * MAX_DEPTH {
            let cell = if text.starts_with(['{', '[']) { Cell::Text(text) } else { Cell::Value(value) };
            return self.push(name.to_owned(), cell, room);
        }
        let Fields(fields) = serde_json::from_str(text).map_err(|e| Problem::Internal(e.to_string()))?;
        for (field, value) in fields {
            let name = if depth == 0 { Cow::Borrowed(&*field) } else { Cow::Owned(format!("{name}_{field}")) };
            self.take(&name, value, depth + 1, room)?;
        }
        Ok(())
    }

    fn push(&mut self, name: String, cell: Cell<'a>, room: &mut usize) -> Result<(), Problem> {
        let bytes = match cell {
            Cell::Value(value) => value.get().len(),
            Cell::Text(text) => text.len() + 2,
            Cell::Zero => 1,
        };
        *room = room.checked_sub(name.len() + bytes + 4).ok_or_else(|| Problem::field(SHAPE, TOO_LARGE))?;
        self.columns.push((name, cell));
        Ok(())
    }

    fn keep_first_of_each_name(&mut self) {
        let mut seen = HashSet::with_capacity(self.columns.len());
        let is_first: Vec<_> = self.columns.iter().map(|(name, _)| seen.insert(name.as_str())).collect();
        let mut is_first = is_first.into_iter();
        self.columns.retain(|_| is_first.next().unwrap_or(true));
    }
}

const TOO_LARGE: &str = "the rows are larger than a reply may be, which is 4 MiB, since each one names its columns: send a \
                         smaller `limit`, a shorter range, or no `shape`";

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for (name, cell) in &self.columns {
            match cell {
                Cell::Value(value) => map.serialize_entry(name, value)?,
                Cell::Text(text) => map.serialize_entry(name, text)?,
                Cell::Zero => map.serialize_entry(name, &0)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::JSON;
    use http::StatusCode;

    async fn rows(body: &'static str) -> (String, http::HeaderMap) {
        let reply = (StatusCode::OK, [(CONTENT_TYPE, JSON)], body).into_response();
        let uri = "/apps/shop/events?read_key=k".parse().expect("an address");
        let reply = as_rows(reply, &uri, "https://tally.example").await.expect("rows");
        let (parts, body) = reply.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (String::from_utf8(body.to_vec()).expect("UTF-8"), parts.headers)
    }

    #[tokio::test]
    async fn what_is_nested_becomes_columns_and_numbers_keep_their_digits() {
        let (rows, headers) = rows(
            r#"{"items": [{"id": "1", "data": {"n": 1.20e1, "b": {"c": null, "d": {}}, "l": [1, "x"]}, "b.c": true}, {}],
                "next": "a b", "complete": false, "counted_to": "2026-11-21T10:00:00Z"}"#,
        )
        .await;
        assert_eq!(rows, r#"[{"id":"1","data_n":1.20e1,"data_b_c":null,"data_l":"[1, \"x\"]","b.c":true},{}]"#);
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let next = "<https://tally.example/apps/shop/events?cursor=a+b&shape=rows&read_key=k>; rel=\"next\"";
        assert_eq!(header("link"), Some(next));
        assert_eq!(header("tally-complete"), Some("false"));
        assert_eq!(header("tally-counted-to"), Some("2026-11-21T10:00:00Z"));
        assert_eq!(header("content-type"), Some(ROWS));
    }

    #[tokio::test]
    async fn a_series_counts_zero_where_a_level_is_not_in_a_bucket() {
        let (rows, _) =
            rows(r#"{"items": 1, "series": [{"t": 1, "by_level": {"WARN": 2}}, {"t": 2, "by_level": {"INFO": 3}}]}"#)
                .await;
        assert_eq!(
            rows,
            r#"[{"t":1,"by_level_WARN":2,"by_level_INFO":0},{"t":2,"by_level_INFO":3,"by_level_WARN":0}]"#
        );
    }

    #[tokio::test]
    async fn of_two_columns_of_one_name_the_first_stays() {
        assert_eq!(rows(r#"{"items": [{"a_b": 1, "a": {"b": 2}}]}"#).await.0, r#"[{"a_b":1}]"#);
        assert_eq!(rows(r#"{"series": null}"#).await.0, "[]");
    }

    #[test]
    fn the_shape_is_one_of_two_and_is_taken_out_of_the_address() {
        assert!(asks_for_rows(Some("a=1&shape=rows")).is_ok_and(|rows| rows));
        for query in [None, Some(""), Some("shape="), Some("shape=object"), Some("shaped=rows")] {
            assert!(asks_for_rows(query).is_ok_and(|rows| !rows), "{query:?}");
        }
        for query in ["shape=table", "shape=rows&shape=rows", "shape=ROWS"] {
            assert!(asks_for_rows(Some(query)).is_err(), "{query}");
        }
        for (sent, left) in [("/a?shape=rows", "/a"), ("/a?x=%26&sh%61pe=rows&y", "/a?x=%26&y"), ("/a", "/a")] {
            assert_eq!(without_shape(&sent.parse().expect("an address")).to_string(), left);
        }
    }
}
