//! Request bodies up to a limit, and how a handler takes a small one: [`JsonBody`] of a type that reads itself, or
//! [`SmallBody`] to read by hand.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::value::RawValue;
use tally_core::event::json::{self, Json, JsonError, Kind};
use tally_core::event::{MAX_DEPTH, MAX_EVENT, MAX_VALUES};
use tally_core::invalid::{Invalid, Problems};
use tally_core::time::{TimeError, Timestamp};

use crate::input::{Input, Value};
use crate::problem::Problem;

/// Most bytes of a body that is not a batch of events.
const SMALL: usize = 64 * 1024;

/// Largest JSON of an event that was exported, in bytes: an item of the store has 400 KB, and a control character takes six bytes in
/// JSON.
const MAX_EXPORTED: usize = 6 * 400 * 1024;
/// How many values of an exported event Tally may have added: its id, name, slug, `received_at`, count and alias.
const FIELDS_OF_TALLY: usize = 6;

/// Reads a whole body of at most `limit` bytes.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => {
            Err(Problem::TooLarge(format!("the body is larger than {limit} bytes: send less at once")))
        }
        Err(_) => Err(Problem::field("", "the body ended too early: send it again")),
    }
}

/// The fields of a JSON object.
pub type Fields<'a> = Input<&'a RawValue>;

impl Value for &RawValue {
    fn is_absent(&self) -> bool {
        json::kind(self) == Kind::Null
    }

    fn into_text(self) -> Result<String, JsonError> {
        json::string(self)
    }

    fn into_number(self) -> Option<u64> {
        let number = (json::kind(self) == Kind::Number).then(|| json::Number::parse(self.get()).ok())??;
        number.as_str().parse().ok()
    }
}

impl<'a> Fields<'a> {
    /// Reads a JSON object; an empty body is an object without fields.
    pub fn parse(body: &'a [u8]) -> Result<Self, Invalid> {
        let left = if body.trim_ascii().is_empty() {
            vec![]
        } else {
            json::document(body).and_then(json::object).map_err(invalid)?
        };
        Ok(Self::of(left))
    }

    /// Fields that were read already.
    pub fn of(left: Vec<(String, &'a RawValue)>) -> Self {
        Self::new(left, Problems::default())
    }

    /// The fields of an event, which has limits of its own, and of its parts. They are checked before anything is built.
    pub fn of_event(raw: &'a RawValue) -> Result<Self, Invalid> {
        Self::of_event_within(raw, MAX_EVENT, MAX_VALUES)
    }

    /// The fields of an event that was exported: it has some that Tally added, and its texts may be longer than as they were sent.
    pub fn of_exported_event(raw: &'a RawValue) -> Result<Self, Invalid> {
        Self::of_event_within(raw, MAX_EXPORTED, MAX_VALUES + FIELDS_OF_TALLY)
    }

    fn of_event_within(raw: &'a RawValue, most_bytes: usize, most_values: usize) -> Result<Self, Invalid> {
        let (bytes, values) = (raw.get().len(), json::count(raw));
        if bytes > most_bytes {
            return Err(Invalid::field("", format!("the event is larger than {most_bytes} bytes: send less of it")));
        }
        if values > most_values {
            return Err(Invalid::field(
                "",
                format!(
                    "the event has {values} JSON values: at most {most_values}; send less of it, or a list as one text"
                ),
            ));
        }
        Ok(Self::of(json::object(raw).map_err(invalid)?).knowing(OF_EVENTS))
    }

    /// The text of a field of an event. A number, `true` or `false` is taken as its text: ids are often numbers.
    pub fn text_of_event(&mut self, name: &str) -> Option<String> {
        let raw = self.raw(name)?;
        self.keep_json(name, scalar(raw)).filter(|text| !text.is_empty())
    }

    /// True or false.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        match self.raw(name)?.get() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.add(name, "must be true or false");
                None
            }
        }
    }

    /// The time of a field: a text, or a number of Unix time.
    pub fn time(&mut self, name: &str) -> Option<Timestamp> {
        let raw = self.raw(name)?;
        self.time_of(name, raw)
    }

    /// The time in a raw value of a field.
    pub fn time_of(&mut self, name: &str, raw: &RawValue) -> Option<Timestamp> {
        let read = match json::kind(raw) {
            Kind::String => {
                let text = self.keep_json(name, json::string(raw)).filter(|text| !text.is_empty())?;
                text.parse()
            }
            Kind::Number => raw.get().parse().map_err(|_| TimeError).and_then(Timestamp::from_unix),
            _ => Err(TimeError),
        };
        self.keep(name, read)
    }

    /// The JSON of a field that may hold any, within the limits of an event.
    pub fn json(&mut self, name: &str) -> Option<Json> {
        let raw = self.raw(name)?;
        self.json_of(name, raw)
    }

    /// The JSON in a raw value of a field.
    pub fn json_of(&mut self, name: &str, raw: &RawValue) -> Option<Json> {
        self.keep_json(name, json::value(raw, MAX_DEPTH))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All errors that were recorded, and every field that has not been read, with `hint` what to do about it.
    pub fn finish(mut self, hint: &str) -> Result<(), Invalid> {
        self.refuse_unknown(hint);
        self.check()
    }

    fn refuse_unknown(&mut self, hint: &str) {
        self.refuse_rest("field", hint);
    }
}

/// A body of at most 64 KB, in a handler's signature.
pub struct SmallBody(Bytes);

impl SmallBody {
    /// Its fields.
    pub fn fields(&self) -> Result<Fields<'_>, Invalid> {
        Fields::parse(&self.0)
    }
}

impl<S: Sync> FromRequest<S> for SmallBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request.into_body(), SMALL).await.map(Self)
    }
}

/// What the fields of a JSON object mean together.
pub trait FromFields: Sized {
    /// What to do about a field that is not known.
    const HINT: &'static str;

    /// Reads the fields that it knows, and records what is wrong with them. All are read before it returns, even where
    /// the first is wrong already; none is returned only where an error was recorded.
    fn read(fields: &mut Fields<'_>) -> Option<Self>;
}

/// A small JSON object whose fields read as `T`, in a handler's signature; any other field is refused.
pub struct JsonBody<T>(pub T);

impl<S: Sync, T: FromFields> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = SmallBody::from_request(request, state).await?;
        let mut fields = body.fields()?;
        let value = T::read(&mut fields);
        fields.refuse_unknown(T::HINT);
        fields.give(value).map(Self)
    }
}

/// An empty JSON object, or no body.
impl FromFields for () {
    const HINT: &'static str = "send no body";

    fn read(_: &mut Fields<'_>) -> Option<Self> {
        Some(())
    }
}

/// The fields of an event.
const OF_EVENTS: &[&str] = &[
    "id",
    "name",
    "event",
    "slug",
    "category",
    "level",
    "message",
    "session_id",
    "user_id",
    "timestamp",
    "occurred_at",
    "count",
    "data",
    "tags",
    "stack",
];

/// A JSON text; a number, `true` or `false` as its text.
///
/// # Errors
/// Where `raw` is a list, a map or null.
pub fn scalar(raw: &RawValue) -> Result<String, JsonError> {
    match json::kind(raw) {
        Kind::Number | Kind::Bool => Ok(raw.get().to_owned()),
        _ => json::string(raw),
    }
}

/// The error of a piece of JSON as bad input.
pub fn invalid(error: JsonError) -> Invalid {
    Invalid::field(error.path, error.detail)
}
