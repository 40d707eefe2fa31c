//! Batches of Amazon CloudWatch Logs, as a subscription filter sends them to Lambda, Firehose or Kinesis. A batch is of one log
//! stream.
//!
//! | CloudWatch | event |
//! | --- | --- |
//! | `message` of a log event | what [`Said`] finds in it: it may be a line of JSON or logfmt |
//! | `extractedFields` | `data` |
//! | `timestamp` | `timestamp`, unless the message has a time of its own |
//! | `id` | the id, so what is delivered again counts once |
//! | `logGroup` | `category`, unless the message has a logger |
//! | `logGroup`, `logStream`, `owner` | `tags` |

use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json::{self, Json, Kind};
use tally_core::log::keys::Object;
use tally_core::rejected::{Reason, Refusal, shortened};

use super::fields::{Fields, object, scalar};
use super::logs::{self, Said};
use super::records::{self, Records};
use super::sanitize::{cut, pick, short};

/// Most bytes of the name of a log group or log stream that are kept. AWS has at most 512 characters, of ASCII in a group.
const MAX_NAME: usize = 512;

/// A batch of log events of one log stream.
#[derive(Clone, Debug)]
pub(super) struct Batch<'a> {
    group: String,
    tags: Object,
    /// The log events, as they were sent.
    pub(super) events: Vec<&'a RawValue>,
}

impl<'a> Batch<'a> {
    /// Reads a message of a subscription filter, with at most so many log events. None of anything else. A message that only
    /// tries whether it can be delivered has no log events.
    ///
    /// # Errors
    /// Where it has more log events.
    pub(super) fn of(message: &'a RawValue, most: usize) -> Option<Result<Self, Refusal>> {
        if json::kind(message) != Kind::Object {
            return None;
        }
        let [kind, owner, group, stream, events] =
            pick(message, ["messageType", "owner", "logGroup", "logStream", "logEvents"]);
        let (kind, events) = (scalar(kind?)?, events?);
        let place = |raw: &RawValue| Some(cut(scalar(raw)?, MAX_NAME));
        let places = [("log_group", group), ("log_stream", stream), ("aws_account", owner)];
        let tags = places.into_iter().filter_map(|(name, raw)| Some((name.to_owned(), Json::String(place(raw?)?))));
        let group = group.and_then(place).unwrap_or_default();
        let batch = Self { group, tags: tags.collect(), events: vec![] };
        if kind == "CONTROL_MESSAGE" {
            return Some(Ok(batch));
        }
        let read = json::array_of_at_most(events, most).ok().filter(|(events, total)| events.len() == *total);
        let too_many = || Refusal::new(Reason::TooLarge, format!("more than {most} log events: send smaller batches"));
        Some(read.map(|(events, _)| Self { events, ..batch }).ok_or_else(too_many))
    }

    /// The name of the log group; empty where there is none.
    pub(super) fn group(&self) -> &str {
        &self.group
    }

    /// Makes an event of a log event.
    pub(super) fn event(&self, event: &RawValue) -> Result<Draft, Refusal> {
        if json::kind(event) != Kind::Object {
            return Err(Refusal::new(Reason::Unreadable, "a log event must be an object"));
        }
        let mut fields = Fields::of(event);
        let id = fields.take_text("id");
        let time = fields.take_time("timestamp");
        let message = fields.take_text("message").unwrap_or_default();
        let mut said = Said::by_line(&message);
        // With the time of CloudWatch alone a log event has the same identity whenever it comes.
        let own = said.take_time().map(|(at, _)| at);
        if let Some(extracted) = fields.take_object("extractedFields") {
            said.add(extracted.rest());
        }
        let category = said.category.clone().or_else(|| Some(self.group.clone()).filter(|group| !group.is_empty()));
        Ok(Draft {
            id: id.and_then(|id| short(Some(id))),
            timestamp: own.or(time),
            category: short(category),
            tags: object(self.tags.clone()),
            ..said.draft()
        })
    }
}

/// The number of JSON values that are read for a log event, at most.
pub(super) fn values(event: &RawValue) -> usize {
    json::count(event) + logs::values_within(event)
}

impl Records for Batch<'_> {
    fn count(&self) -> usize {
        self.events.len()
    }

    fn draft(&self, index: usize) -> Result<Draft, Refusal> {
        let event = self.events.get(index).ok_or_else(|| Refusal::new(Reason::Unreadable, "no such log event"))?;
        records::check_values(values(event))?;
        self.event(event)
    }

    fn size(&self, index: usize) -> usize {
        self.events.get(index).map_or(0, |event| event.get().len())
    }

    fn values(&self, index: usize) -> usize {
        self.events.get(index).map_or(0, |event| values(event))
    }

    fn sample(&self, index: usize) -> String {
        self.events.get(index).map_or_else(String::new, |event| shortened(event.get()).to_owned())
    }
}
