//! Which stream shard continues which, asked of DynamoDB once for each stream shard that a process meets. The SDK of streams would
//! add a third to the function, and one signed request is enough.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::SigningSettings;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde::Deserialize;
use tally_service::context::Context;
use tally_store::StoreError;

use crate::event::StreamEvent;
use tally_store::signed_request::{Caller, RequestError, Service, Unsigned, domain, send, signed};

const STREAMS: Service =
    Service { name: "DynamoDB Streams", signing: "dynamodb", endpoint: "AWS_ENDPOINT_URL_DYNAMODB" };
/// How long a batch waits for the answer. Without it the batch is counted all the same.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long after a failure it is asked again.
const AGAIN_AFTER: Duration = Duration::from_mins(1);
/// The maximum size of an answer in bytes. It lists at most 100 stream shards.
const MOST: usize = 1024 * 1024;
/// The maximum number of answers that are read: 5,000 stream shards.
const MOST_PAGES: usize = 50;
/// The maximum number of stream shards that a process remembers.
const MOST_KNOWN: usize = 10_000;

/// The stream shards that need no question: forever, or until a time.
static ASKED: LazyLock<Mutex<HashMap<String, Option<Instant>>>> = LazyLock::new(Mutex::default);

/// Stores the ancestors of the stream shard of a batch, if this process has not met it. A failure is harmless: until they are
/// known, reports say that they are counted less far than they are.
pub async fn note(context: &Context, event: &StreamEvent) {
    let (Some(shard), Some(stream)) = (&event.shard_id, event.stream()) else { return };
    {
        let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        match asked.get(shard) {
            Some(None) => return,
            Some(Some(again)) if Instant::now() < *again => return,
            _ => {}
        }
        if asked.len() >= MOST_KNOWN {
            asked.clear();
        }
        // Of two batches at once, one asks.
        asked.insert(shard.clone(), Some(Instant::now() + AGAIN_AFTER));
    }
    match tokio::time::timeout(PATIENCE, note_ancestors(context, shard, &stream)).await {
        Ok(Ok(())) => {
            ASKED.lock().unwrap_or_else(PoisonError::into_inner).insert(shard.clone(), None);
        }
        Ok(Err(error)) => tracing::warn!(%error, shard, "the parent of a stream shard is not known yet"),
        Err(_) => tracing::warn!(shard, "the parent of a stream shard is not known yet: DynamoDB does not answer"),
    }
}

/// Why the ancestors of a stream shard are not known.
#[derive(Debug, thiserror::Error)]
enum LineageError {
    #[error("DescribeStream: {0}")]
    Describe(#[from] RequestError),
    #[error("the answer of DescribeStream: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

async fn note_ancestors(context: &Context, shard: &str, stream: &str) -> Result<(), LineageError> {
    if context.store.knows_parent(shard).await? {
        return Ok(());
    }
    let mut parents = HashMap::new();
    let mut after = None;
    for _ in 0..MOST_PAGES {
        let body = serde_json::json!({"StreamArn": stream, "ExclusiveStartShardId": after});
        let reply: Description = serde_json::from_slice(&describe(body.to_string()).await?)?;
        let Stream { shards, last } = reply.stream;
        parents.extend(shards.into_iter().filter_map(|shard| Some((shard.id, shard.parent?))));
        after = last;
        if after.is_none() {
            break;
        }
    }
    let now = context.clock.now();
    let mut child = shard;
    while let Some(parent) = parents.get(child) {
        if context.store.knows_parent(child).await? {
            break;
        }
        context.store.put_parent(child, parent, now).await?;
        child = parent;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Description {
    #[serde(rename = "StreamDescription")]
    stream: Stream,
}

#[derive(Deserialize)]
struct Stream {
    #[serde(rename = "Shards", default)]
    shards: Vec<Shard>,
    #[serde(rename = "LastEvaluatedShardId")]
    last: Option<String>,
}

#[derive(Deserialize)]
struct Shard {
    #[serde(rename = "ShardId")]
    id: String,
    #[serde(rename = "ParentShardId")]
    parent: Option<String>,
}

/// Sends a `DescribeStream` with the Lambda credentials from the environment. `AWS_ENDPOINT_URL_DYNAMODB` overrides the
/// endpoint.
async fn describe(body: String) -> Result<Vec<u8>, RequestError> {
    let Caller { region, credentials, endpoint } = Caller::of_environment(STREAMS)?;
    let url = endpoint.unwrap_or_else(|| format!("https://streams.dynamodb.{region}.{}/", domain(&region)));
    send(STREAMS, signed_post(&url, &region, credentials, body, SystemTime::now())?, MOST).await
}

/// Builds a POST request with a version 4 signature.
fn signed_post(
    url: &str,
    region: &str,
    credentials: Credentials,
    body: String,
    at: SystemTime,
) -> Result<HttpRequest, RequestError> {
    const HEADERS: [(&str, &str); 2] =
        [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "DynamoDBStreams_20120810.DescribeStream")];
    let request =
        Unsigned { method: "POST", url, headers: &HEADERS, body: body.into(), settings: SigningSettings::default() };
    signed(STREAMS, request, region, credentials, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_amazon_documents_it() {
        let answer = br#"{"StreamDescription": {"StreamArn": "arn", "StreamStatus": "ENABLED", "LastEvaluatedShardId": "b",
            "Shards": [{"ShardId": "a", "SequenceNumberRange": {"StartingSequenceNumber": "1"}}, {"ShardId": "b", "ParentShardId": "a"}]}}"#;
        let Stream { shards, last } = serde_json::from_slice::<Description>(answer).expect("an answer").stream;
        let read: Vec<_> = shards.iter().map(|shard| (shard.id.as_str(), shard.parent.as_deref())).collect();
        assert_eq!((read, last.as_deref()), (vec![("a", None), ("b", Some("a"))], Some("b")));
    }

    #[test]
    fn a_question_is_a_signed_post() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_hours(380_376);
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", Some("token".to_owned()), None, "example");
        let url = "https://streams.dynamodb.eu-central-1.amazonaws.com/";
        let request = signed_post(url, "eu-central-1", credentials, "{}".to_owned(), at).expect("a request");
        assert_eq!((request.method(), request.uri()), ("POST", url));
        let signature = request.headers().get("authorization").expect("a signature");
        assert!(signature.contains("/20130524/eu-central-1/dynamodb/aws4_request"), "{signature}");
        assert!(
            signature.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target"),
            "{signature}"
        );
        assert_eq!(request.headers().get("x-amz-target"), Some("DynamoDBStreams_20120810.DescribeStream"));
    }
}
