//! Sends events to Tally beside the requests of the shop: in batches, again where there was no answer, each counted once.

use std::env;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The most events that wait, and that one request has. What does not fit is dropped, so that the shop goes on.
const WAITING: usize = 10_000;
const BATCH: usize = 500;
/// How often a batch is sent, with a pause that doubles.
const TRIES: u32 = 6;

#[derive(Clone)]
pub struct Tally(mpsc::Sender<Value>);

impl Tally {
    /// Of `TALLY_URL`, `TALLY_APP` and `TALLY_KEY`. The task ends when the last `Tally` is dropped and nothing waits.
    pub fn start() -> (Self, JoinHandle<()>) {
        let of = |name| env::var(name).unwrap_or_else(|_| panic!("{name} is not set: start the example by its `run`"));
        let (url, key) = (format!("{}/apps/{}/events", of("TALLY_URL"), of("TALLY_APP")), of("TALLY_KEY"));
        let (sender, mut events) = mpsc::channel(WAITING);
        let task = tokio::spawn(async move {
            let client = reqwest::Client::new();
            let mut batch = Vec::new();
            while events.recv_many(&mut batch, BATCH).await > 0 {
                send(&client, &url, &key, &batch).await;
                batch.clear();
            }
        });
        (Self(sender), task)
    }

    /// Sends an object with the fields of docs/api.md, later. A UUIDv7 tells Tally which event it is, and when it happened.
    pub fn send(&self, mut event: Value) {
        event["id"] = Uuid::now_v7().to_string().into();
        if self.0.try_send(event).is_err() {
            eprintln!("an event is dropped: {WAITING} wait");
        }
    }
}

async fn send(client: &reqwest::Client, url: &str, key: &str, batch: &[Value]) {
    for attempt in 0..TRIES {
        let request = client.post(url).header("x-ingest-key", key).json(batch).timeout(Duration::from_secs(10));
        match request.send().await {
            Ok(reply) => {
                let (status, said) = (reply.status(), reply.text().await.unwrap_or_default());
                if status == 201 {
                    return;
                }
                eprintln!("Tally: {status} {said}");
                // A part of a batch may be for another try; what is stored already counts once.
                if status != 429 && !status.is_server_error() && !said.contains("\"retry\":true") {
                    return;
                }
            }
            Err(error) => eprintln!("Tally: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(500 << attempt)).await;
    }
    eprintln!("{} events are dropped after {TRIES} tries", batch.len());
}
