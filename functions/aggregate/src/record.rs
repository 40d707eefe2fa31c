//! Reads stream records one by one and separates changes, irrelevant records and unreadable records.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tally_core::app::{App, AppId, AppSlug};
use tally_core::counter::checkpoint::SequenceNumber;
use tally_core::counter::folding::{Change, Record};
use tally_core::counter::item::CountedEvent;
use tally_core::people::identities::Identity;
use tally_core::time::Timestamp;
use tally_store::{Barrier, StreamData, StreamImage, Trace};

use crate::distinct::{People, Told};
use crate::identities;
use crate::issues::{Traces, may_be_issue};

/// The principal that deletes expired items (AWS: "Working with expired items").
const TTL: &str = "dynamodb.amazonaws.com";

/// The contents of a batch.
#[derive(Debug)]
pub(crate) struct Read {
    /// Records that change counts, in stream shard order.
    pub(crate) records: Vec<Record>,
    /// The first record of the batch, counted or not.
    pub(crate) first: SequenceNumber,
    /// The creation time of the first record.
    pub(crate) created_at: Timestamp,
    /// What the errors among them tell beside what is counted.
    pub(crate) traces: Traces,
    /// Whom the records tell of.
    pub(crate) people: People,
    /// Which ids of a user they tell of.
    pub(crate) identities: identities::Told,
    /// The data of their versions, until it is known which apps count values: of the old one, and of the new one.
    data: HashMap<SequenceNumber, [Option<StreamData>; 2]>,
    /// The apps of `records`.
    pub(crate) apps: BTreeMap<AppId, AppSlug>,
    /// New barriers, with the creation times of their records. They are met after all earlier records are counted.
    pub(crate) barriers: Vec<(Barrier, Timestamp)>,
    /// Records that cannot be counted.
    pub(crate) dead_letters: Vec<UncountableRecord>,
}

/// A record that cannot be counted, and the reason.
#[derive(Debug)]
pub(crate) struct UncountableRecord {
    pub(crate) app: Option<AppId>,
    /// The time of the event, or of the counter that rejected it.
    pub(crate) time: Option<Timestamp>,
    pub(crate) sequence: String,
    pub(crate) keys: String,
    pub(crate) error: String,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "eventName")]
    event_name: String,
    #[serde(rename = "userIdentity")]
    user_identity: Option<UserIdentity>,
    dynamodb: StreamRecord,
}

#[derive(Deserialize)]
struct UserIdentity {
    // Lambda and the streams API use different spellings.
    #[serde(rename = "principalId", alias = "PrincipalId")]
    principal_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamRecord {
    sequence_number: String,
    approximate_creation_date_time: f64,
    new_image: Option<StreamImage>,
    old_image: Option<StreamImage>,
}

impl Read {
    /// Reads what the events have at the paths that their apps count. A record whose data is unreadable becomes a dead letter.
    pub(crate) fn read_properties(&mut self, apps: &HashMap<AppId, Arc<App>>) {
        let mut data = std::mem::take(&mut self.data);
        let mut uncountable = vec![];
        self.records.retain_mut(|record| {
            let app = apps.get(&record.change.event().partition.app);
            let Some(app) = app.filter(|app| app.layout.counts_properties()) else { return true };
            let [old, new] = data.remove(&record.sequence).unwrap_or_default();
            let read = |event: &mut CountedEvent, data| {
                let paths = app.layout.at(event.id.at()).counted;
                StreamData::properties(data, &paths).map(|properties| event.properties = properties)
            };
            let read = match &mut record.change {
                Change::Insert(event) => read(event, new),
                Change::Modify(before, now) => read(before, old).and_then(|()| read(now, new)),
                Change::Remove(event) => read(event, old),
            };
            let Err(error) = read else { return true };
            uncountable.push(UncountableRecord::of(record, format!("the data: {error}")));
            false
        });
        self.dead_letters.extend(uncountable);
    }

    /// Moves the records of an unknown app to the dead letters.
    pub(crate) fn unknown_app(&mut self, app: &AppId) {
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.records)
            .into_iter()
            .partition(|record| record.change.event().partition.app == *app);
        self.records = kept;
        let error = "the app is not in the table of apps";
        self.dead_letters.extend(gone.iter().map(|record| UncountableRecord::of(record, error.to_owned())));
    }
}

impl UncountableRecord {
    fn of(record: &Record, error: String) -> Self {
        let event = record.change.event();
        Self {
            app: Some(event.partition.app.clone()),
            time: Some(event.id.at()),
            sequence: record.sequence.to_string(),
            keys: format!("{} {}", event.partition, event.id),
            error,
        }
    }
}

/// Reads a batch.
pub(crate) fn read(records: &[Box<RawValue>]) -> Read {
    let mut batch = Read {
        records: Vec::with_capacity(records.len()),
        first: SequenceNumber::default(),
        created_at: Timestamp::EPOCH,
        traces: Traces::new(),
        people: People::new(),
        identities: identities::Told::new(),
        data: HashMap::new(),
        apps: BTreeMap::new(),
        barriers: vec![],
        dead_letters: vec![],
    };
    let mut first = true;
    for record in records {
        match read_one(record) {
            Ok((sequence, created_at, what)) => {
                if std::mem::take(&mut first) {
                    batch.first = sequence.clone();
                    batch.created_at = created_at;
                }
                match what {
                    What::Nothing => {}
                    What::Barrier(barrier) => batch.barriers.push((barrier, created_at)),
                    What::Change(change, slug, tells) => {
                        let Tells { trace, told, identity, data } = *tells;
                        if !told.is_none() {
                            batch.people.insert(sequence.clone(), told);
                        }
                        batch.identities.extend(identity.map(|identity| (sequence.clone(), identity)));
                        if data.iter().any(Option::is_some) {
                            batch.data.insert(sequence.clone(), data);
                        }
                        batch.traces.extend(trace.map(|trace| (sequence.clone(), trace)));
                        batch.apps.insert(change.event().partition.app.clone(), slug);
                        batch.records.push(Record { sequence, change: *change });
                    }
                }
            }
            Err(error) => {
                let about = About::of(record);
                // This is still the first position of the batch, if its sequence number is readable.
                if let (true, Ok(sequence)) = (first, about.sequence.parse()) {
                    first = false;
                    batch.first = sequence;
                    batch.created_at = about.created_at;
                }
                batch.dead_letters.push(UncountableRecord {
                    app: about.app,
                    time: about.time,
                    sequence: about.sequence,
                    keys: about.keys,
                    error,
                });
            }
        }
    }
    batch
}

/// The effect of a record.
enum What {
    /// No effect on counts.
    Nothing,
    /// A barrier was created.
    Barrier(Barrier),
    /// A changed event, with the slug of its app, and what it tells beside what is counted.
    Change(Box<Change>, AppSlug, Box<Tells>),
}

/// What a record tells beside what is counted.
struct Tells {
    /// If it may be an error, what its newest version tells about that.
    trace: Option<Trace>,
    /// Whom it tells of.
    told: Told,
    /// Which id of a user it tells of, or told of if it was erased.
    identity: Option<Identity>,
    /// The data of the old version, and of the new one.
    data: [Option<StreamData>; 2],
}

fn read_one(record: &RawValue) -> Result<(SequenceNumber, Timestamp, What), String> {
    let mut wire: Wire = serde_json::from_str(record.get()).map_err(|e| e.to_string())?;
    let sequence: SequenceNumber =
        wire.dynamodb.sequence_number.parse().map_err(|_| "the sequence number".to_owned())?;
    #[allow(clippy::cast_possible_truncation)] // seconds since 1970
    let created_at = Timestamp::from_seconds(wire.dynamodb.approximate_creation_date_time as i64);
    let images = [&wire.dynamodb.new_image, &wire.dynamodb.old_image];
    if let Some(barrier) = images.into_iter().flatten().find_map(StreamImage::barrier) {
        // A removed barrier has been met or is no longer needed.
        let what = if wire.event_name == "REMOVE" { What::Nothing } else { What::Barrier(barrier) };
        return Ok((sequence, created_at, what));
    }
    let [new_trace, old_trace] = images.map(|image| image.as_ref().map(StreamImage::trace).unwrap_or_default());
    let [now, before] = images.map(|image| image.as_ref().map(StreamImage::marks).unwrap_or_default());
    let identity = images.into_iter().flatten().next().and_then(StreamImage::identity);
    let has_stack = new_trace.has_stack || old_trace.has_stack;
    let slug = images.into_iter().flatten().find_map(StreamImage::app).map(|(_, slug)| slug);
    let data = [&mut wire.dynamodb.old_image, &mut wire.dynamodb.new_image];
    let data = data.map(|image| image.as_mut().and_then(StreamImage::take_data));
    let image = |image: Option<StreamImage>, which: &str| -> Result<CountedEvent, String> {
        let image = image.ok_or_else(|| format!("no {which} image"))?;
        image.counted().map_err(|e| format!("the {which} image: {e}"))
    };
    let expired = wire.user_identity.is_some_and(|identity| identity.principal_id.as_deref() == Some(TTL));
    let change = match wire.event_name.as_str() {
        "INSERT" => Change::Insert(image(wire.dynamodb.new_image, "new")?),
        "MODIFY" => {
            let old = image(wire.dynamodb.old_image, "old")?;
            Change::Modify(old, image(wire.dynamodb.new_image, "new")?)
        }
        "REMOVE" if expired => return Ok((sequence, created_at, What::Nothing)),
        "REMOVE" => Change::Remove(image(wire.dynamodb.old_image, "old")?),
        other => return Err(format!("the event name {other:?}")),
    };
    let slug = slug.ok_or_else(|| "the partition key".to_owned())?;
    let trace = may_be_issue(&change, has_stack).then_some(new_trace);
    let tells = Tells { trace, told: Told { before, now, at: created_at }, identity, data };
    Ok((sequence, created_at, What::Change(Box::new(change), slug, Box::new(tells))))
}

/// The metadata of a record, available even if the record cannot be counted.
struct About {
    app: Option<AppId>,
    time: Option<Timestamp>,
    sequence: String,
    keys: String,
    created_at: Timestamp,
}

impl About {
    fn of(record: &RawValue) -> Self {
        let value: Value = serde_json::from_str(record.get()).unwrap_or_default();
        let stream = &value["dynamodb"];
        let image = |name: &str| serde_json::from_value::<StreamImage>(stream[name].clone()).ok();
        #[allow(clippy::cast_possible_truncation)] // seconds since 1970
        let seconds = stream["ApproximateCreationDateTime"].as_f64().unwrap_or(0.0) as i64;
        let keys = image("Keys");
        Self {
            app: keys.as_ref().and_then(StreamImage::app).map(|(app, _)| app),
            time: keys.as_ref().and_then(StreamImage::time),
            sequence: stream["SequenceNumber"].as_str().unwrap_or("").to_owned(),
            keys: stream["Keys"].to_string(),
            created_at: Timestamp::from_seconds(seconds),
        }
    }
}
