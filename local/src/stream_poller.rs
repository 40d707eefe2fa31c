//! The poller: reads the stream of Events through the wire API and gives it to `aggregate` in batches, as Lambda's event
//! source mapping would: in order per stream shard, parents before children, filtered, retried until done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregate::StreamEvent;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::error::DisplayErrorContext;
use aws_sdk_dynamodbstreams::types::{OperationType, Record, Shard, ShardIteratorType};
use serde::{Deserialize, Serialize};
use tally_service::context::Context;

/// Most records in a batch (a parameter of the mapping; Lambda takes up to 10,000).
const BATCH: usize = 5_000;
/// Records for which the next look at the stream follows at once; fewer are gathered first, as the mapping's batching
/// window does, since a batch costs the same whatever it holds.
const MANY: usize = 1_000;
/// How long records are gathered.
const GATHER: Duration = Duration::from_millis(250);
/// How long the list of stream shards is good. The embedded database reads the whole stream to tell it.
const SHARDS_GOOD_FOR: Duration = Duration::from_secs(30);
/// The first wait after an error; doubled with each up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait after an error.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The tumbling window of the mapping in template.yaml.
const WINDOW_SECONDS: i64 = 900;

/// How far a stream is polled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    stream: String,
    /// The last sequence number that is counted, by stream shard.
    shards: BTreeMap<String, String>,
    /// Stream shards that are closed and counted to their end.
    finished: BTreeSet<String>,
}

/// Records of one stream shard.
struct Read {
    records: Vec<Record>,
    /// The sequence number of the last one.
    last: Option<String>,
    /// Whether none will ever follow.
    closed: bool,
}

/// Polls a stream into `aggregate`.
pub struct StreamPoller {
    client: Client,
    context: Arc<Context>,
    /// Where the position is kept across restarts.
    file: Option<PathBuf>,
    position: Position,
    /// The stream shards, and when they were listed.
    listed: Option<(Instant, Vec<Shard>)>,
}

/// Why a round of polling did not end well; the next one begins where it failed.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The stream cannot be read.
    #[error("cannot read the stream: {0}")]
    Stream(String),
    /// `aggregate` asks for the batch again.
    #[error("aggregate failed: {0}")]
    Aggregate(#[from] aggregate::AggregateError),
    /// The position cannot be kept.
    #[error("cannot write the position: {0}")]
    Position(#[from] std::io::Error),
}

fn stream_error<E: std::error::Error>(error: E) -> PollError {
    PollError::Stream(DisplayErrorContext(error).to_string())
}

impl StreamPoller {
    /// A poller for the DynamoDB at `url`, reached by `http`. What `file` holds is where it goes on; where it holds nothing usable it begins
    /// at the oldest record, since whatever is counted already does not count again.
    pub fn new(http: SharedHttpClient, url: &str, context: Arc<Context>, file: Option<PathBuf>) -> Self {
        let config = aws_sdk_dynamodbstreams::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .endpoint_url(url)
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .build();
        let kept = file.as_ref().and_then(|file| std::fs::read(file).ok());
        Self {
            client: Client::from_conf(config),
            context,
            position: kept.and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default(),
            file,
            listed: None,
        }
    }

    /// Polls for ever. `each_round` learns how far the stream is counted, by stream shard.
    pub async fn run(mut self, mut each_round: impl FnMut(&BTreeMap<String, String>)) {
        let mut wait = FIRST_WAIT;
        loop {
            match self.round().await {
                Ok(polled) => {
                    wait = FIRST_WAIT;
                    if polled < MANY {
                        tokio::time::sleep(GATHER).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the poller will try again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
            each_round(&self.position.shards);
        }
    }

    /// Polls until the stream has nothing new; returns how many records it had.
    pub async fn drain(&mut self) -> Result<usize, PollError> {
        let mut all = 0;
        loop {
            match self.round().await? {
                0 => return Ok(all),
                some => all += some,
            }
        }
    }

    /// The events that Lambda would send next as JSON, one for each stream shard that may be read now, without sending them or
    /// moving on.
    pub async fn peek(&mut self) -> Result<Vec<String>, PollError> {
        let mut events = Vec::new();
        for shard in self.readable_shards().await? {
            let read = self.read(&shard).await?;
            if !read.records.is_empty() {
                events.push(self.event(&shard, read.records)?);
            }
        }
        Ok(events)
    }

    /// One batch from every stream shard that may be read now.
    async fn round(&mut self) -> Result<usize, PollError> {
        let mut polled = 0;
        for shard in self.readable_shards().await? {
            polled += self.batch(&shard).await?;
        }
        Ok(polled)
    }

    /// The stream shards that are not finished and whose parents are.
    async fn readable_shards(&mut self) -> Result<Vec<String>, PollError> {
        if self.listed.as_ref().is_none_or(|(at, _)| at.elapsed() > SHARDS_GOOD_FOR) {
            let stream = self.context.store.events_stream().await;
            let Some(stream) = stream.map_err(|e| PollError::Stream(e.to_string()))? else {
                return Ok(vec![]);
            };
            if self.position.stream != stream {
                self.position = Position { stream, ..Position::default() };
            }
            self.listed = Some((Instant::now(), self.shards().await?));
        }
        let shards = self.listed.as_ref().map_or(&[][..], |(_, shards)| shards);
        let finished = |id: &str| self.position.finished.contains(id);
        let is_open = |id: &str| shards.iter().any(|shard| shard.shard_id() == Some(id)) && !finished(id);
        let readable = shards.iter().filter(|shard| !shard.parent_shard_id().is_some_and(is_open));
        let ids = readable.filter_map(|shard| shard.shard_id().filter(|id| !finished(id)));
        Ok(ids.map(str::to_owned).collect())
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

    /// Reads the next records of a stream shard.
    async fn read(&self, shard: &str) -> Result<Read, PollError> {
        let request = self.client.get_shard_iterator().stream_arn(&self.position.stream).shard_id(shard);
        let request = match self.position.shards.get(shard) {
            Some(last) => request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(last),
            None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
        };
        let mut iterator = request.send().await.map_err(stream_error)?.shard_iterator;
        let mut records: Vec<Record> = Vec::new();
        while let Some(at) = iterator.take() {
            let reply = self.client.get_records().shard_iterator(at).send().await.map_err(stream_error)?;
            iterator = reply.next_shard_iterator;
            let some = reply.records.unwrap_or_default();
            let caught_up = some.is_empty();
            records.extend(some);
            if caught_up || records.len() >= BATCH {
                break;
            }
        }
        Ok(Read {
            closed: iterator.is_none(),
            last: records.last().and_then(|r| r.dynamodb()?.sequence_number().map(str::to_owned)),
            records,
        })
    }

    /// Reads a batch of one stream shard, has it counted, and only then moves the position: whatever happens in
    /// between, the same records come again.
    async fn batch(&mut self, shard: &str) -> Result<usize, PollError> {
        let read = self.read(shard).await?;
        let count = read.records.len();
        if count > 0 {
            let event = self.event(shard, read.records)?;
            // Its own shape; only a bug could make it unreadable, and then it is told apart from an empty batch.
            let event: StreamEvent = serde_json::from_str(&event).map_err(|e| PollError::Stream(e.to_string()))?;
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
        Ok(count)
    }

    /// The event that Lambda would send for these records, as JSON.
    fn event(&self, shard: &str, records: Vec<Record>) -> Result<String, PollError> {
        let now = self.context.clock.now().seconds();
        let start = now - now.rem_euclid(WINDOW_SECONDS);
        let event = LambdaEvent {
            records: records.into_iter().filter(passes_filters).filter_map(lambda_record).collect(),
            shard_id: shard,
            event_source_arn: &self.position.stream,
            window: Window { start, end: start + WINDOW_SECONDS },
            state: BTreeMap::new(),
            is_final_invoke_for_window: false,
            is_window_terminated_early: false,
        };
        serde_json::to_string(&event).map_err(|e| PollError::Stream(e.to_string()))
    }

    /// Writes the position beside the old one and then over it, so that a process killed at any moment leaves one whole.
    fn keep_position(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec(&self.position)?)?;
        std::fs::rename(fresh, file)
    }
}

/// The last sequence numbers that are counted, as the file of a poller's position tells.
pub(crate) fn counted(file: &Path) -> Vec<String> {
    let kept = std::fs::read(file).ok().and_then(|kept| serde_json::from_slice::<Position>(&kept).ok());
    kept.map_or_else(Vec::new, |position| position.shards.into_values().collect())
}

/// The filters of the mapping in template.yaml.
fn passes_filters(record: &Record) -> bool {
    match record.event_name() {
        Some(OperationType::Remove) => record.user_identity().and_then(|u| u.principal_id()).is_none(),
        _ => true,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LambdaEvent<'a> {
    #[serde(rename = "Records")]
    records: Vec<LambdaRecord>,
    shard_id: &'a str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
    window: Window,
    state: BTreeMap<String, String>,
    is_final_invoke_for_window: bool,
    is_window_terminated_early: bool,
}

#[derive(Serialize)]
struct Window {
    start: i64,
    end: i64,
}

#[derive(Serialize)]
struct LambdaRecord {
    #[serde(rename = "eventID")]
    event_id: Option<String>,
    #[serde(rename = "eventName")]
    event_name: Option<String>,
    #[serde(rename = "eventSource")]
    event_source: &'static str,
    dynamodb: LambdaStreamRecord,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LambdaStreamRecord {
    approximate_creation_date_time: Option<f64>,
    sequence_number: Option<String>,
    size_bytes: Option<i64>,
    keys: Option<serde_dynamo::Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_image: Option<serde_dynamo::Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_image: Option<serde_dynamo::Item>,
}

/// A record as Lambda's JSON has it.
fn lambda_record(record: Record) -> Option<LambdaRecord> {
    let event_name = record.event_name().map(|name| name.as_str().to_owned());
    let stream = record.dynamodb?;
    Some(LambdaRecord {
        event_id: record.event_id,
        event_name,
        event_source: "aws:dynamodb",
        dynamodb: LambdaStreamRecord {
            approximate_creation_date_time: stream.approximate_creation_date_time.map(|at| at.as_secs_f64()),
            sequence_number: stream.sequence_number,
            size_bytes: stream.size_bytes,
            keys: stream.keys.map(Into::into),
            new_image: stream.new_image.map(Into::into),
            old_image: stream.old_image.map(Into::into),
        },
    })
}
