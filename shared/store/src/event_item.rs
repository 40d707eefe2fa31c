//! Event items and their stream images.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use tally_core::app::layout::{EventIndexes, Layout};
use tally_core::app::partition::Partition;
use tally_core::app::{AppId, AppSlug};
use tally_core::counter::cell::Cell;
use tally_core::counter::item::CountedEvent;
use tally_core::counter::property::{CountedPath, Property};
use tally_core::distinct::Marks;
use tally_core::event::Event;
use tally_core::event::filter::attribute::properties;
use tally_core::event::id::EventId;
use tally_core::event::json::{Json, Number};
use tally_core::event::level::Level;
use tally_core::people::identities::Identity;
use tally_core::time::Timestamp;

use crate::barriers::{BARRIER, Barrier};
use crate::client::error::StoreError;
use crate::item::Item;
use crate::keys;
use crate::tables::{PK, SK};

/// Attributes with arbitrary JSON. serde would round their numbers.
const FREE: [&str; 3] = [DATA, "tags", "stack"];
/// The attribute with what an event has under `data`.
const DATA: &str = "data";

/// The scalar attributes of an event.
#[derive(Serialize, Deserialize)]
struct EventItem {
    pk: String,
    sk: EventId,
    /// `{app}#{session_id}`, where sessions are indexed. The session id is then not stored separately.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// The session id, where sessions are not indexed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    /// `{app}#{shard}#{user_id}`, where users are indexed; of an event without a user, by its alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    name: String,
    slug: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<Level>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// Microseconds.
    timestamp: i64,
    /// Microseconds.
    received_at: i64,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    count: u64,
    /// Seconds, as required by DynamoDB TTL.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

fn one() -> u64 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_one(count: &u64) -> bool {
    *count == 1
}

/// Builds the item of an event.
pub(super) fn of_event(
    partition: &Partition,
    event: &Event,
    (index, expires_at): (EventIndexes, Option<Timestamp>),
) -> Result<Item, StoreError> {
    let session = event.session_id.as_ref();
    let user = event.user_id.as_ref().or(event.alias.as_ref()).filter(|_| index.users);
    let scalars = EventItem {
        pk: keys::partition(partition),
        sk: event.id,
        session: session.filter(|_| index.sessions).map(|session| keys::session(&partition.app, session)),
        session_id: session.filter(|_| !index.sessions).cloned(),
        user: user.map(|user| keys::user(partition, user)),
        client_id: event.client_id.clone(),
        name: event.name.clone(),
        slug: event.slug.clone(),
        category: event.category.clone(),
        level: event.level,
        message: event.message.clone(),
        user_id: event.user_id.clone(),
        alias: event.alias.clone(),
        fingerprint: event.fingerprint.clone(),
        timestamp: event.timestamp.micros(),
        received_at: event.received_at.micros(),
        count: event.count,
        expires_at: expires_at.map(Timestamp::seconds),
    };
    let mut item: Item = serde_dynamo::to_item(scalars)?;
    for (name, value) in FREE.iter().zip([&event.data, &event.tags, &event.stack]) {
        if let Some(value) = value {
            item.insert((*name).to_owned(), of_json(value));
        }
    }
    Ok(item)
}

/// Reads the event of an item. Returns `None` for a barrier, and for an event that has expired by `now`, even if
/// DynamoDB has not deleted it yet.
pub(super) fn to_event(mut item: Item, now: Timestamp) -> Result<Option<Event>, StoreError> {
    if item.contains_key(BARRIER) {
        return Ok(None);
    }
    let [data, tags, stack] = FREE.map(|name| item.remove(name).map(to_json).transpose());
    let scalars: EventItem = serde_dynamo::from_item(item)?;
    if scalars.expires_at.is_some_and(|at| at <= now.seconds()) {
        return Ok(None);
    }
    Ok(Some(Event {
        id: scalars.sk,
        client_id: scalars.client_id,
        name: scalars.name,
        slug: scalars.slug,
        category: scalars.category,
        level: scalars.level,
        message: scalars.message,
        session_id: scalars.session.as_deref().and_then(keys::session_id).map(ToOwned::to_owned).or(scalars.session_id),
        user_id: scalars.user_id,
        alias: scalars.alias,
        fingerprint: scalars.fingerprint,
        timestamp: Timestamp::from_micros(scalars.timestamp),
        received_at: Timestamp::from_micros(scalars.received_at),
        count: scalars.count,
        data: data?,
        tags: tags?,
        stack: stack?,
    }))
}

/// Converts arbitrary JSON to DynamoDB maps and lists.
fn of_json(json: &Json) -> AttributeValue {
    match json {
        Json::Null => AttributeValue::Null(true),
        Json::Bool(value) => AttributeValue::Bool(*value),
        Json::Number(number) => AttributeValue::N(number.as_str().to_owned()),
        Json::String(text) => AttributeValue::S(text.clone()),
        Json::Array(items) => AttributeValue::L(items.iter().map(of_json).collect()),
        Json::Object(fields) => {
            AttributeValue::M(fields.iter().map(|(key, value)| (key.clone(), of_json(value))).collect())
        }
    }
}

fn to_json(value: AttributeValue) -> Result<Json, StoreError> {
    Ok(match value {
        AttributeValue::Null(_) => Json::Null,
        AttributeValue::Bool(value) => Json::Bool(value),
        AttributeValue::N(number) => {
            Json::Number(Number::parse(&number).map_err(|e| StoreError::Unreadable(e.to_string()))?)
        }
        AttributeValue::S(text) => Json::String(text),
        AttributeValue::L(items) => Json::Array(items.into_iter().map(to_json).collect::<Result<_, _>>()?),
        AttributeValue::M(fields) => Json::Object(
            fields.into_iter().map(|(key, value)| Ok((key, to_json(value)?))).collect::<Result<_, StoreError>>()?,
        ),
        other => return Err(StoreError::Unreadable(format!("an attribute of event data is {other:?}"))),
    })
}

/// An event image in a stream record, in the format of the event source mapping.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct StreamImage(serde_dynamo::Item);

/// What an event tells about an error beside what is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Whether it has a stack.
    pub has_stack: bool,
    /// The innermost call of the application in its stack, as `file:line in function`.
    pub place: Option<String>,
    /// Its tag `release`.
    pub release: Option<String>,
}

/// The text or number under a key of a map.
fn scalar(value: &serde_dynamo::AttributeValue, key: &str) -> Option<String> {
    match value {
        serde_dynamo::AttributeValue::M(fields) => match fields.get(key)? {
            serde_dynamo::AttributeValue::S(text) | serde_dynamo::AttributeValue::N(text) if !text.is_empty() => {
                Some(text.clone())
            }
            _ => None,
        },
        _ => None,
    }
}

/// The frames of a stack: those of the first exception that has some.
fn frames(stack: &serde_dynamo::AttributeValue) -> Option<&[serde_dynamo::AttributeValue]> {
    match stack {
        serde_dynamo::AttributeValue::L(exceptions) => exceptions.iter().find_map(frames),
        serde_dynamo::AttributeValue::M(fields) => match fields.get("frames")? {
            serde_dynamo::AttributeValue::L(frames) if !frames.is_empty() => Some(frames),
            _ => None,
        },
        _ => None,
    }
}

/// The innermost call of the application, or the innermost call where none is said to be its own. The innermost comes first.
fn place(stack: &serde_dynamo::AttributeValue) -> Option<String> {
    let frames = frames(stack)?;
    let is = |frame: &serde_dynamo::AttributeValue, own: bool| match frame {
        serde_dynamo::AttributeValue::M(fields) => {
            matches!(fields.get("in_app"), Some(serde_dynamo::AttributeValue::Bool(in_app)) if *in_app == own)
        }
        _ => false,
    };
    let frame = frames.iter().find(|frame| is(frame, true)).or_else(|| frames.iter().find(|frame| !is(frame, false)));
    let frame = frame.or_else(|| frames.first())?;
    let file = ["filename", "abs_path", "file", "module"].into_iter().find_map(|name| scalar(frame, name));
    let line = ["lineno", "line"].into_iter().find_map(|name| scalar(frame, name));
    let place = match (file, line) {
        (Some(file), Some(line)) => Some(format!("{file}:{line}")),
        (file, _) => file,
    };
    match (place, scalar(frame, "function")) {
        (Some(place), Some(function)) => Some(format!("{place} in {function}")),
        (place, function) => place.or(function),
    }
}

/// The placeholder of [`DATA`], which counting needs where an app counts values.
pub(super) const COUNTED_DATA: (&str, &str) = ("#data", DATA);

/// The attributes that counting needs, with placeholders for expressions.
pub(super) const COUNTED: [(&str, &str); 9] = [
    ("#pk", PK),
    ("#sk", SK),
    ("#name", "name"),
    ("#slug", "slug"),
    ("#category", "category"),
    ("#level", "level"),
    ("#message", "message"),
    ("#fingerprint", "fingerprint"),
    ("#count", "count"),
];

/// Reads the attributes that counting needs from an item.
pub(super) fn counted(item: Item) -> Result<CountedEvent, StoreError> {
    StreamImage(item.into()).counted()
}

/// The same, with what it has at the paths that a layout counts. The item has the data.
pub(super) fn counted_with_properties(mut item: Item, layout: &Layout) -> Result<CountedEvent, StoreError> {
    let data = item.remove(DATA);
    let event = counted(item)?;
    let paths = layout.at(event.id.at()).counted;
    let data = if paths.is_empty() { None } else { data.map(to_json).transpose()? };
    Ok(CountedEvent { properties: properties(data.as_ref(), &paths), ..event })
}

/// The `data` of an image, which is read only where an app counts values.
#[derive(Debug)]
pub struct StreamData(serde_dynamo::AttributeValue);

impl StreamData {
    /// What it has at paths.
    ///
    /// # Errors
    /// Where it is not the data of an event.
    pub fn properties(data: Option<Self>, paths: &[CountedPath]) -> Result<Vec<Property>, StoreError> {
        let data = data.map(|Self(data)| to_json(data.into())).transpose()?;
        Ok(properties(data.as_ref(), paths))
    }
}

impl StreamImage {
    /// Takes the data out of it.
    pub fn take_data(&mut self) -> Option<StreamData> {
        self.0.inner_mut().remove(DATA).map(StreamData)
    }

    /// Reads the attributes that counting needs, without properties: see [`StreamData`].
    pub fn counted(self) -> Result<CountedEvent, StoreError> {
        #[derive(Deserialize)]
        struct Image {
            pk: String,
            sk: EventId,
            name: String,
            slug: String,
            category: Option<String>,
            level: Option<Level>,
            message: Option<String>,
            #[serde(default)]
            fingerprint: Option<String>,
            #[serde(default = "one")]
            count: u64,
            #[serde(default)]
            received_at: i64,
        }
        let image: Image = serde_dynamo::from_item(self.0)?;
        let (partition, _) = keys::read_partition(&image.pk)
            .ok_or_else(|| StoreError::Unreadable(format!("the partition key {:?}", image.pk)))?;
        Ok(CountedEvent {
            partition,
            id: image.sk,
            cell: Cell { name: image.name, slug: image.slug, category: image.category, level: image.level },
            message: image.message,
            fingerprint: image.fingerprint,
            properties: vec![],
            count: image.count,
            received_at: Timestamp::from_micros(image.received_at),
        })
    }

    /// Reads what it tells about an error.
    pub fn trace(&self) -> Trace {
        let attribute = |name: &str| self.0.inner().get(name);
        let stack = attribute("stack").filter(|stack| !matches!(stack, serde_dynamo::AttributeValue::Null(_)));
        Trace {
            has_stack: stack.is_some(),
            place: stack.and_then(place),
            release: attribute("tags").and_then(|tags| scalar(tags, "release")),
        }
    }

    /// Reads who it says is the same person: an id, and the user whose it is.
    pub fn identity(&self) -> Option<Identity> {
        let text = |name: &str| match self.0.inner().get(name) {
            Some(serde_dynamo::AttributeValue::S(text)) => Some(text.clone()),
            _ => None,
        };
        Some(Identity { alias: text("alias")?, user_id: text("user_id")? })
    }

    /// Reads whom it tells of.
    pub fn marks(&self) -> Marks {
        let text = |name: &str| match self.0.inner().get(name) {
            Some(serde_dynamo::AttributeValue::S(text)) => Some(text.as_str()),
            _ => None,
        };
        Marks::new(text("user_id"), text("session").and_then(keys::session_id).or(text("session_id")))
    }

    /// Returns the barrier, if this is the image of a barrier.
    pub fn barrier(&self) -> Option<Barrier> {
        let text = |name| match self.0.inner().get(name) {
            Some(serde_dynamo::AttributeValue::S(text)) => Some(text.as_str()),
            _ => None,
        };
        self.0.inner().get(BARRIER).and(Barrier::of_keys(text(PK)?, text(SK)?))
    }

    /// Returns the app from the partition key. Works even if the rest of the image is unreadable.
    pub fn app(&self) -> Option<(AppId, AppSlug)> {
        let serde_dynamo::AttributeValue::S(pk) = self.0.inner().get(PK)? else {
            return None;
        };
        keys::read_partition(pk).map(|(partition, slug)| (partition.app, slug))
    }

    /// Returns the event time from the sort key. Works even if the rest of the image is unreadable.
    pub fn time(&self) -> Option<Timestamp> {
        let serde_dynamo::AttributeValue::S(sk) = self.0.inner().get(SK)? else {
            return None;
        };
        sk.parse::<EventId>().ok().map(EventId::at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tally_core::app::AppSlug;

    proptest! {
        #[test]
        fn an_item_reads_back_as_its_event(
            session in prop::option::of("[^#]{1,10}#?.{0,5}"), message in prop::option::of(".{1,20}"), count in 1u64..5,
            alias in prop::option::of(".{1,9}"), fingerprint in prop::option::of(".{1,9}"),
            user in prop::option::of(".{1,9}"), sessions in any::<bool>(), users in any::<bool>(),
            text in ".{0,10}", number in "-?[1-9][0-9]{0,36}", expiry in prop::option::of(10i64..20),
        ) {
            let data = Json::Object([
                ("text".to_owned(), Json::String(text)),
                ("list".to_owned(), Json::Array(vec![
                    Json::Number(Number::parse(&number).expect("few digits")), Json::Null, Json::Bool(true),
                ])),
            ].into());
            let at = Timestamp::from_micros(1_700_000_000_123_456);
            let event = Event {
                id: EventId::of_client_id(at, "x"), client_id: Some("x".into()), name: "A b".into(), slug: "a-b".into(),
                category: None, level: Some(Level::Warn), message, session_id: session, user_id: user, alias, fingerprint, timestamp: at,
                received_at: at, count, data: Some(data), tags: None, stack: Some(Json::Null),
            };
            let slug = AppSlug::of_name("shop").expect("a name");
            let partition = Partition { app: AppId::new(&slug, 1), shard: 0 };
            let expiry = expiry.map(|s| Timestamp::from_millis(s * 1000));
            let item = of_event(&partition, &event, (EventIndexes { sessions, users }, expiry)).expect("an item");
            let live = to_event(item.clone(), Timestamp::from_millis(9_000)).expect("readable");
            prop_assert_eq!(live.as_ref(), Some(&event));
            let later = to_event(item, Timestamp::from_millis(20_000)).expect("readable");
            prop_assert_eq!(later.is_none(), expiry.is_some());
        }
    }
}
