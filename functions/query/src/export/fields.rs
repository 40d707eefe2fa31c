//! The fields that an export writes.

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tally_core::event::Event;
use tally_core::event::json::{Json, Number};
use tally_http::parameters::Params;

/// Most fields of an export.
pub(super) const MAX_FIELDS: usize = 50;
/// Longest path of a field, in bytes.
const MAX_PATH: usize = 256;

/// What is written of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A field of an event, by its place in [`NAMES`].
    Own(&'static str),
    /// What lies at a path in `data`.
    Data(String),
    /// What lies at a path in `tags`.
    Tags(String),
}

/// The fields of an event.
const NAMES: [&str; 17] = [
    "id",
    "client_id",
    "name",
    "slug",
    "category",
    "level",
    "message",
    "session_id",
    "user_id",
    "alias",
    "fingerprint",
    "timestamp",
    "received_at",
    "count",
    "data",
    "tags",
    "stack",
];

/// The columns of CSV by default.
pub(super) const COLUMNS: &[Field] = &[
    Field::Own("id"),
    Field::Own("timestamp"),
    Field::Own("name"),
    Field::Own("category"),
    Field::Own("level"),
    Field::Own("message"),
    Field::Own("session_id"),
    Field::Own("user_id"),
    Field::Own("count"),
    Field::Own("data"),
    Field::Own("tags"),
];

impl Field {
    /// Reads the parameter `fields`; nothing where it is not sent.
    pub(super) fn list(params: &mut Params) -> Vec<Self> {
        let sent = params.values("fields");
        let names: Vec<_> = sent.iter().flat_map(|names| names.split(',')).map(str::trim).collect();
        if names.len() > MAX_FIELDS {
            params.add("fields", format!("{} fields: send at most {MAX_FIELDS}", names.len()));
            return vec![];
        }
        let mut fields = Vec::new();
        for name in names {
            match Self::named(name) {
                Some(field) if fields.contains(&field) => params.add("fields", format!("`{name}` twice: send it once")),
                Some(field) => fields.push(field),
                None => params.add(
                    "fields",
                    format!("unknown field `{name}`: send some of {}, data.PATH and tags.PATH", NAMES.join(", ")),
                ),
            }
        }
        fields
    }

    fn named(name: &str) -> Option<Self> {
        let path = |prefix: &str| name.strip_prefix(prefix).filter(|path| (1..=MAX_PATH).contains(&path.len()));
        let own = NAMES.into_iter().find(|own| *own == name).map(Self::Own);
        own.or_else(|| path("data.").map(|path| Self::Data(path.to_owned())))
            .or_else(|| path("tags.").map(|path| Self::Tags(path.to_owned())))
    }

    /// Its name, as in the parameter.
    pub(super) fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Own(name) => Cow::Borrowed(name),
            Self::Data(path) => Cow::Owned(format!("data.{path}")),
            Self::Tags(path) => Cow::Owned(format!("tags.{path}")),
        }
    }

    /// What an event has of it.
    pub(super) fn of<'a>(&self, event: &'a Event) -> Option<Cow<'a, Json>> {
        let text = |text: &str| Some(Cow::Owned(Json::String(text.to_owned())));
        match self {
            Self::Data(path) => event.data.as_ref().and_then(|data| data.at(path)).map(Cow::Borrowed),
            Self::Tags(path) => event.tags.as_ref().and_then(|tags| tags.at(path)).map(Cow::Borrowed),
            Self::Own("data") => event.data.as_ref().map(Cow::Borrowed),
            Self::Own("tags") => event.tags.as_ref().map(Cow::Borrowed),
            Self::Own("stack") => event.stack.as_ref().map(Cow::Borrowed),
            Self::Own("id") => text(&event.id.to_string()),
            Self::Own("client_id") => event.client_id.as_deref().and_then(text),
            Self::Own("name") => text(&event.name),
            Self::Own("slug") => text(&event.slug),
            Self::Own("category") => event.category.as_deref().and_then(text),
            Self::Own("level") => event.level.and_then(|level| text(level.as_str())),
            Self::Own("message") => event.message.as_deref().and_then(text),
            Self::Own("session_id") => event.session_id.as_deref().and_then(text),
            Self::Own("user_id") => event.user_id.as_deref().and_then(text),
            Self::Own("alias") => event.alias.as_deref().and_then(text),
            Self::Own("fingerprint") => event.fingerprint.as_deref().and_then(text),
            Self::Own("timestamp") => text(&event.timestamp.to_string()),
            Self::Own("received_at") => text(&event.received_at.to_string()),
            Self::Own("count") => Number::parse(&event.count.to_string()).ok().map(|n| Cow::Owned(Json::Number(n))),
            Self::Own(_) => None,
        }
    }
}

/// A JSON object of some fields. What an event does not have is left out.
pub(super) fn object(fields: &[Field], event: &Event) -> serde_json::Result<Vec<u8>> {
    struct Of<'a>(&'a [Field], &'a Event);
    impl Serialize for Of<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            for field in self.0 {
                if let Some(value) = field.of(self.1) {
                    map.serialize_entry(&field.name(), &*value)?;
                }
            }
            map.end()
        }
    }
    serde_json::to_vec(&Of(fields, event))
}
