//! The poller: reads the stream of Events through the wire API and passes it to `aggregate` in batches, as Lambda's
//! event source mapping does: in order per stream shard, parents before children, with retries until success.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregate::StreamEvent;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider, SharedHttpClient};
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::config::http::HttpResponse;
use aws_sdk_dynamodbstreams::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodbstreams::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_dynamodbstreams::types::{Record, Shard, ShardIteratorType, StreamRecord};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tally_core::time::{TimeDelta, Timestamp};
use tally_service::context::Context;

use crate::direct::{self, Direct};
use crate::elsewhere::{Elsewhere, Endpoint, https};

/// Maximum records in a batch (a parameter of the mapping; Lambda accepts up to 10,000).
const BATCH: usize = 5_000;
/// Maximum bytes of a batch's event, as for every Lambda payload.
const BATCH_BYTES: usize = 6 * 1024 * 1024;
/// With at least this many records, the poller reads again at once. With fewer, it first waits for more, as the
/// mapping's batching window does, since every batch costs the same.
const MANY: usize = 1_000;
/// How long records are gathered.
const GATHER: Duration = Duration::from_millis(250);
/// How long the list of stream shards is valid. The embedded database reads the whole stream to produce it.
const SHARDS_GOOD_FOR: Duration = Duration::from_secs(30);
/// The first wait after an error. It doubles with each error up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait after an error.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The tumbling window of the mapping in template.yaml.
const WINDOW: TimeDelta = TimeDelta::minutes(15);

/// The position of the poller in a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    stream: String,
    /// The last counted sequence number, by stream shard.
    shards: BTreeMap<String, String>,
    /// Stream shards that are closed and completely counted.
    finished: BTreeSet<String>,
}

/// Records of one stream shard, kept as the JSON that is passed on: the SDK's form takes many times the memory for
/// large records.
#[derive(Default)]
struct Read {
    records: Vec<Box<RawValue>>,
    /// The size of the event with these records, in bytes.
    bytes: usize,
    /// The sequence number of the last record read.
    last: Option<String>,
    /// Whether the batch is full, so that more records follow at once.
    full: bool,
    /// Whether the stream shard has ended.
    closed: bool,
}

impl Read {
    /// Adds a record, if there is room.
    fn add(&mut self, sequence: Option<String>, json: Box<RawValue>) {
        // Includes the preceding comma.
        let bytes = self.bytes + json.get().len() + usize::from(!self.records.is_empty());
        // A record larger than a batch must not block the ones after it.
        self.full = self.records.len() == BATCH || (bytes > BATCH_BYTES && !self.records.is_empty());
        if !self.full {
            self.bytes = bytes;
            self.records.push(json);
            self.last = sequence.or(self.last.take());
        }
    }
}

/// How polling goes on after errors.
pub(crate) struct Retry {
    wait: Duration,
    /// The last error.
    told: String,
}

impl Default for Retry {
    fn default() -> Self {
        Self { wait: FIRST_WAIT, told: String::new() }
    }
}

/// The result of a polling round.
#[derive(Default)]
struct Round {
    /// Records read.
    polled: usize,
    /// Whether a batch was full.
    more: bool,
}

/// Polls a stream into `aggregate`.
pub struct StreamPoller {
    client: Client,
    /// The database, where it is in this process: its records are passed on as the JSON in which they are stored.
    direct: Option<Direct>,
    /// The state of the database in which its stream had nothing new.
    idle: Option<u64>,
    context: Arc<Context>,
    /// Where the position is stored across restarts.
    file: Option<PathBuf>,
    position: Position,
    /// The stream shards, and when they were listed.
    listed: Option<(Instant, Vec<Shard>)>,
}

/// Why a polling round failed. The next round begins where it failed.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The stream cannot be read.
    #[error("cannot read the stream: {0}")]
    Stream(String),
    /// A record cannot be written as JSON.
    #[error("cannot write a record as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// `aggregate` asks for the batch again.
    #[error("aggregate failed: {0}")]
    Aggregate(#[from] aggregate::AggregateError),
    /// The position cannot be stored.
    #[error("cannot write the position: {0}")]
    Position(#[from] std::io::Error),
}

/// Whether the records at a position have expired.
fn is_trimmed<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.as_service_error().is_some_and(|error| error.code() == Some("TrimmedDataAccessException"))
}

fn stream_error<E: std::error::Error>(error: E) -> PollError {
    PollError::Stream(DisplayErrorContext(error).to_string())
}

impl StreamPoller {
    /// A poller for the DynamoDB at `url`, reached through `http`. It continues from the position in `file`. Without a
    /// usable position it begins at the oldest record, since counted records are not counted again.
    pub fn new(http: SharedHttpClient, url: &str, context: Arc<Context>, file: Option<PathBuf>) -> Self {
        let credentials = SharedCredentialsProvider::new(Credentials::new("local", "local", None, None, "local"));
        Self::with(http, url, Region::from_static("eu-central-1"), credentials, context, file)
    }

    /// A poller for a DynamoDB elsewhere, which keeps its position nowhere.
    pub(crate) fn at(endpoint: &Endpoint, elsewhere: &Elsewhere, context: Arc<Context>) -> Self {
        let Elsewhere { region, credentials, .. } = elsewhere.clone();
        Self::with(https(), &endpoint.streams(), region, credentials, context, None)
    }

    fn with(
        http: SharedHttpClient,
        url: &str,
        region: Region,
        credentials: SharedCredentialsProvider,
        context: Arc<Context>,
        file: Option<PathBuf>,
    ) -> Self {
        let config = aws_sdk_dynamodbstreams::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .endpoint_url(url)
            .region(region)
            .credentials_provider(credentials)
            .build();
        let kept = file.as_ref().and_then(|file| std::fs::read(file).ok());
        Self {
            client: Client::from_conf(config),
            direct: None,
            idle: None,
            context,
            position: kept.and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default(),
            file,
            listed: None,
        }
    }

    /// A poller for the database of this process.
    pub(crate) fn within(direct: Direct, context: Arc<Context>, file: Option<PathBuf>) -> Self {
        let http = direct::client(direct.clone());
        Self { direct: Some(direct), ..Self::new(http, "http://embedded", context, file) }
    }

    /// Polls forever. `each_round` receives the counted position of each stream shard after every successful round.
    pub async fn run(mut self, mut each_round: impl FnMut(&BTreeMap<String, String>)) {
        let mut retry = Retry::default();
        loop {
            if self.step(&mut retry).await {
                each_round(&self.position.shards);
            }
        }
    }

    /// Polls once, and waits as long as the next time should. False where it failed.
    pub(crate) async fn step(&mut self, retry: &mut Retry) -> bool {
        match self.round().await {
            Ok(round) => {
                *retry = Retry::default();
                if round.polled < MANY && !round.more {
                    tokio::time::sleep(GATHER).await;
                }
                true
            }
            Err(error) => {
                let error = error.to_string();
                // Logged once, not at every retry of a lasting fault.
                if error != retry.told {
                    tracing::warn!(error, "the stream cannot be counted; it is retried");
                    retry.told = error;
                }
                tokio::time::sleep(retry.wait).await;
                retry.wait = (retry.wait * 2).min(LONGEST_WAIT);
                false
            }
        }
    }

    /// Goes on from a position as [`told_position`](Self::told_position) tells it, else from where it was.
    pub(crate) fn resume(&mut self, position: Option<&str>) {
        if let Some(position) = position.and_then(|position| serde_json::from_str(position).ok()) {
            self.position = position;
            self.listed = None;
        }
    }

    /// How far the stream is counted.
    pub(crate) fn told_position(&self) -> String {
        // Texts alone always serialize.
        serde_json::to_string(&self.position).unwrap_or_default()
    }

    /// Polls until the stream has nothing new. Returns how many records it read.
    pub async fn drain(&mut self) -> Result<usize, PollError> {
        let mut all = 0;
        loop {
            match self.round().await?.polled {
                0 => return Ok(all),
                some => all += some,
            }
        }
    }

    /// The events that Lambda would send next as JSON, one for each readable stream shard. Does not send them or
    /// advance the position.
    pub async fn peek(&mut self) -> Result<Vec<String>, PollError> {
        let mut events = Vec::new();
        for shard in self.readable_shards().await? {
            let read = self.read(&shard).await?;
            if !read.records.is_empty() {
                events.push(self.event(&shard, &read.records)?);
            }
        }
        Ok(events)
    }

    /// Reads one batch from every readable stream shard.
    async fn round(&mut self) -> Result<Round, PollError> {
        let mut round = Round::default();
        // Taken first, since what is written meanwhile may not be read.
        let changes = self.direct.as_ref().map(Direct::changes);
        if changes.is_some() && changes == self.idle.take() {
            self.idle = changes;
            return Ok(round);
        }
        for shard in self.readable_shards().await? {
            let (polled, full) = self.batch(&shard).await?;
            round.polled += polled;
            round.more |= full;
        }
        if round.polled == 0 && !round.more {
            self.idle = changes;
        }
        Ok(round)
    }

    /// The unfinished stream shards whose parents are finished.
    async fn readable_shards(&mut self) -> Result<Vec<String>, PollError> {
        if self.listed.as_ref().is_none_or(|(at, _)| at.elapsed() > SHARDS_GOOD_FOR) {
            let stream = self.context.store.events_stream().await;
            let Some(stream) = stream.map_err(|e| PollError::Stream(e.to_string()))? else {
                return Ok(vec![]);
            };
            if self.position.stream != stream {
                self.position = Position { stream, ..Position::default() };
            }
            let shards = self.shards().await?;
            // What the stream has forgotten need not be known.
            let is_listed = |id: &String| shards.iter().any(|shard| shard.shard_id() == Some(id));
            self.position.shards.retain(|id, _| is_listed(id));
            self.position.finished.retain(is_listed);
            self.note_parents(&shards).await?;
            self.listed = Some((Instant::now(), shards));
        }
        let shards = self.listed.as_ref().map_or(&[][..], |(_, shards)| shards);
        let finished = |id: &str| self.position.finished.contains(id);
        let is_open = |id: &str| shards.iter().any(|shard| shard.shard_id() == Some(id)) && !finished(id);
        let readable = shards.iter().filter(|shard| !shard.parent_shard_id().is_some_and(is_open));
        let ids = readable.filter_map(|shard| shard.shard_id().filter(|id| !finished(id)));
        Ok(ids.map(str::to_owned).collect())
    }

    /// Stores which stream shard continues which, as the function does in the cloud.
    async fn note_parents(&self, shards: &[Shard]) -> Result<(), PollError> {
        let store = &self.context.store;
        let failed = |e: tally_store::StoreError| PollError::Stream(e.to_string());
        for shard in shards {
            if let (Some(id), Some(parent)) = (shard.shard_id(), shard.parent_shard_id())
                && !store.knows_parent(id).await.map_err(failed)?
            {
                store.put_parent(id, parent, self.context.clock.now()).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    async fn shards(&self) -> Result<Vec<Shard>, PollError> {
        let mut shards = Vec::new();
        let mut after = None;
        loop {
            let reply = self
                .client
                .describe_stream()
                .stream_arn(&self.position.stream)
                .set_exclusive_start_shard_id(after)
                .send()
                .await
                .map_err(stream_error)?;
            let Some(description) = reply.stream_description else { return Ok(shards) };
            shards.extend(description.shards.unwrap_or_default());
            after = description.last_evaluated_shard_id;
            if after.is_none() {
                return Ok(shards);
            }
        }
    }

    /// Reads the next batch of a stream shard. Records that do not fit are read again with the next batch.
    async fn read(&self, shard: &str) -> Result<Read, PollError> {
        let stream = &self.position.stream;
        let last = self.position.shards.get(shard).map(String::as_str);
        let mut iterator = match self.iterator(shard, last).await {
            // The records after the position have expired. The rest is counted; those are an audit's business.
            Err(error) if is_trimmed(&error) => self.iterator(shard, None).await,
            iterator => iterator,
        }
        .map_err(stream_error)?;
        let mut read = Read { bytes: self.event(shard, &[])?.len(), ..Read::default() };
        let mut trimmed = false;
        while let Some(at) = iterator.take() {
            if let Some(direct) = &self.direct {
                let reply = records_of(direct, &at).await?;
                let page: Page<'_> = serde_json::from_str(&reply)?;
                iterator = page.next_shard_iterator.map(str::to_owned);
                if page.records.is_empty() {
                    break;
                }
                for record in page.records {
                    let sequence = record.dynamodb.sequence_number.to_owned();
                    read.add(Some(sequence), to_raw_value(&RawRecord { event_source_arn: stream, ..record })?);
                    if read.full {
                        return Ok(read);
                    }
                }
                continue;
            }
            let reply = match self.client.get_records().shard_iterator(at).send().await {
                Err(error) if !trimmed && read.records.is_empty() && is_trimmed(&error) => {
                    trimmed = true;
                    iterator = self.iterator(shard, None).await.map_err(stream_error)?;
                    continue;
                }
                reply => reply.map_err(stream_error)?,
            };
            iterator = reply.next_shard_iterator;
            let some = reply.records.unwrap_or_default();
            if some.is_empty() {
                break;
            }
            for record in some {
                let sequence = record.dynamodb().and_then(|stream| stream.sequence_number()).map(str::to_owned);
                read.add(sequence, to_raw_value(&LambdaRecord::new(record, stream))?);
                if read.full {
                    return Ok(read);
                }
            }
        }
        read.closed = iterator.is_none();
        Ok(read)
    }

    /// An iterator after a sequence number, or at the oldest record.
    async fn iterator(
        &self,
        shard: &str,
        last: Option<&str>,
    ) -> Result<Option<String>, SdkError<GetShardIteratorError, HttpResponse>> {
        let request = self.client.get_shard_iterator().stream_arn(&self.position.stream).shard_id(shard);
        let request = match last {
            Some(last) => request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(last),
            None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
        };
        Ok(request.send().await?.shard_iterator)
    }

    /// Reads a batch of one stream shard, has it counted, and only then advances the position, so that after any
    /// failure the same records come again. Returns how many were read, and whether more follow at once.
    async fn batch(&mut self, shard: &str) -> Result<(usize, bool), PollError> {
        let read = self.read(shard).await?;
        let count = read.records.len();
        if count > 0 {
            let event =
                StreamEvent { records: read.records, shard_id: Some(shard.to_owned()), ..StreamEvent::default() };
            aggregate::handle(&self.context, event).await?;
        }
        let mut moved = false;
        if let Some(last) = read.last {
            self.position.shards.insert(shard.to_owned(), last);
            moved = true;
        }
        if read.closed {
            moved |= self.position.finished.insert(shard.to_owned());
            // Its children may be read now.
            self.listed = None;
        }
        if moved {
            self.keep_position()?;
        }
        Ok((count, read.full))
    }

    /// The event that Lambda would send for these records, as JSON.
    fn event(&self, shard: &str, records: &[Box<RawValue>]) -> Result<String, PollError> {
        let now = self.context.clock.now();
        let start = now.floor(WINDOW);
        let event = LambdaEvent {
            records,
            window: Window { start, end: start + WINDOW },
            state: BTreeMap::new(),
            shard_id: shard,
            event_source_arn: &self.position.stream,
            is_final_invoke_for_window: false,
            is_window_terminated_early: false,
        };
        Ok(serde_json::to_string(&event)?)
    }

    /// Writes the position to a new file and renames it over the old one, so that a killed process always leaves a
    /// complete file.
    fn keep_position(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec(&self.position)?)?;
        std::fs::rename(fresh, file)
    }
}

/// Asks the database of this process for a page of records, as JSON.
async fn records_of(direct: &Direct, iterator: &str) -> Result<String, PollError> {
    let request = serde_json::json!({"ShardIterator": iterator}).to_string();
    match direct.answer("GetRecords", request.as_bytes()).await {
        (200, reply) => Ok(reply),
        (status, reply) => Err(PollError::Stream(format!("{status}: {reply}"))),
    }
}

/// A page of the streams API, with images that are not looked at.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page<'a> {
    #[serde(borrow)]
    records: Vec<RawRecord<'a>>,
    next_shard_iterator: Option<&'a str>,
}

/// The same as [`LambdaRecord`], with images that are passed on as they are.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRecord<'a> {
    #[serde(rename = "eventID")]
    event_id: &'a str,
    event_name: &'a str,
    event_version: &'a str,
    event_source: &'a str,
    aws_region: &'a str,
    #[serde(borrow)]
    dynamodb: RawStreamRecord<'a>,
    /// Records of the streams API do not have it.
    #[serde(rename = "eventSourceARN", skip_deserializing)]
    event_source_arn: &'a str,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    user_identity: Option<RawIdentity<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawStreamRecord<'a> {
    approximate_creation_date_time: f64,
    #[serde(borrow)]
    keys: &'a RawValue,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    new_image: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    old_image: Option<&'a RawValue>,
    sequence_number: &'a str,
    size_bytes: i64,
    stream_view_type: &'a str,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "PascalCase"))]
struct RawIdentity<'a> {
    r#type: &'a str,
    principal_id: &'a str,
}

/// The last counted sequence numbers, from the file of a poller's position.
pub(crate) fn counted(file: &Path) -> Vec<String> {
    let kept = std::fs::read(file).ok().and_then(|kept| serde_json::from_slice::<Position>(&kept).ok());
    kept.map_or_else(Vec::new, |position| position.shards.into_values().collect())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LambdaEvent<'a> {
    #[serde(rename = "Records")]
    records: &'a [Box<RawValue>],
    window: Window,
    state: BTreeMap<String, String>,
    shard_id: &'a str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
    is_final_invoke_for_window: bool,
    is_window_terminated_early: bool,
}

#[derive(Serialize)]
struct Window {
    start: Timestamp,
    end: Timestamp,
}

/// A record in Lambda's JSON format. It differs from the streams API in the stream's name and the spelling of the
/// identity.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LambdaRecord<'a> {
    #[serde(rename = "eventID", skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamodb: Option<LambdaStreamRecord>,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_identity: Option<LambdaIdentity>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LambdaStreamRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate_creation_date_time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<serde_dynamo::Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_image: Option<serde_dynamo::Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_image: Option<serde_dynamo::Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_view_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LambdaIdentity {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_id: Option<String>,
}

impl<'a> LambdaRecord<'a> {
    fn new(record: Record, stream_arn: &'a str) -> Self {
        Self {
            event_id: record.event_id,
            event_name: record.event_name.map(|name| name.as_str().to_owned()),
            event_version: record.event_version,
            event_source: record.event_source,
            aws_region: record.aws_region,
            dynamodb: record.dynamodb.map(LambdaStreamRecord::from),
            event_source_arn: stream_arn,
            user_identity: record
                .user_identity
                .map(|by| LambdaIdentity { r#type: by.r#type, principal_id: by.principal_id }),
        }
    }
}

impl From<StreamRecord> for LambdaStreamRecord {
    fn from(stream: StreamRecord) -> Self {
        Self {
            approximate_creation_date_time: stream.approximate_creation_date_time.map(|at| at.as_secs_f64()),
            keys: stream.keys.map(Into::into),
            new_image: stream.new_image.map(Into::into),
            old_image: stream.old_image.map(Into::into),
            sequence_number: stream.sequence_number,
            size_bytes: stream.size_bytes,
            stream_view_type: stream.stream_view_type.map(|kind| kind.as_str().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(bytes: usize) -> Box<RawValue> {
        to_raw_value(&"x".repeat(bytes - 2)).unwrap()
    }

    #[test]
    fn a_batch_is_cut_at_its_bytes_and_at_its_records() {
        let mut read = Read { bytes: 200, ..Read::default() };
        for n in 0..10 {
            read.add(Some(n.to_string()), json(BATCH_BYTES / 4));
        }
        assert_eq!((read.records.len(), read.last.as_deref(), read.full), (3, Some("2"), true));
        assert!(read.bytes <= BATCH_BYTES);

        let mut read = Read::default();
        for n in 0..BATCH {
            read.add(Some(n.to_string()), json(10));
        }
        assert_eq!((read.records.len(), read.full), (BATCH, false));
        read.add(Some("over".to_owned()), json(10));
        let last = (BATCH - 1).to_string();
        assert_eq!((read.records.len(), read.last.as_ref(), read.full), (BATCH, Some(&last), true));
    }

    #[test]
    fn one_record_that_is_larger_than_a_batch_is_a_batch() {
        let mut read = Read::default();
        read.add(Some("huge".to_owned()), json(2 * BATCH_BYTES));
        assert_eq!((read.records.len(), read.last.as_deref(), read.full), (1, Some("huge"), false));
        read.add(Some("small".to_owned()), json(10));
        assert_eq!((read.records.len(), read.last.as_deref(), read.full), (1, Some("huge"), true));
    }
}
