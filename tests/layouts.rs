//! Layouts change while events arrive, are resent and are listed by pages. Each event exists exactly once.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::time::{HOUR, MINUTE, Timestamp};

use crate::database::cases;
use crate::harness::{Tally, TestApp};

#[derive(Clone, Debug)]
enum Step {
    /// New events: how many, and how many hours from now (in the past, or up to a day ahead).
    Send(usize, i64),
    /// An event that was sent before is sent again.
    Retry(usize),
    /// More shards from a day on.
    Shards(u16),
    /// The clock advances by this many hours.
    Wait(i64),
    /// The next page of a list that continues throughout the test.
    Page,
    /// Stored events are counted.
    Count,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1usize..12, -30i64..24).prop_map(|(count, hours)| Step::Send(count, hours)),
        3 => any::<usize>().prop_map(Step::Retry),
        2 => (1u16..9).prop_map(Step::Shards),
        3 => (1i64..20).prop_map(Step::Wait),
        3 => Just(Step::Page),
        1 => Just(Step::Count),
    ]
}

/// The expected state: the accepted events, by client id.
#[derive(Default)]
struct Model {
    sent: BTreeMap<String, Timestamp>,
}

/// A list that is read page by page, oldest first, while events arrive.
#[derive(Default)]
struct Listing {
    /// The events that existed when it began.
    due: BTreeSet<String>,
    seen: Vec<(String, String)>,
    next: Option<String>,
}

fn event(id: &str, at: Timestamp) -> Value {
    json!({"name": "a", "id": id, "timestamp": at.to_string()})
}

impl Listing {
    async fn page(&mut self, tally: &Tally, app: &TestApp, model: &Model) {
        let path = if let Some(next) = &self.next {
            format!("/events?cursor={next}")
        } else {
            *self = Self { due: model.sent.keys().cloned().collect(), ..Self::default() };
            "/events?order=asc&limit=7".to_owned()
        };
        let page = tally.ask(app, &path).await;
        let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
        self.seen.extend(page["items"].as_array().unwrap().iter().map(|e| (text(e, "id"), text(e, "client_id"))));
        self.next = page["next"].as_str().map(str::to_owned);
        assert!(self.seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order, none twice: {:?}", self.seen);
        if self.next.is_none() {
            let seen: BTreeSet<_> = self.seen.iter().map(|(_, client)| client.clone()).collect();
            assert!(seen.is_superset(&self.due), "all that was there when the list began");
        }
    }
}

async fn run(steps: &[Step]) {
    let mut tally = Tally::start().await;
    let app = tally.app("any").await;
    let mut model = Model::default();
    let mut listing = Listing::default();
    for step in steps {
        let now = tally.clock.now();
        match step {
            Step::Send(count, hours) => {
                let at = |i: usize| now + *hours * HOUR + i64::try_from(i).unwrap() * MINUTE;
                let events: Vec<_> = (0..*count).map(|i| (format!("e{}", model.sent.len() + i), at(i))).collect();
                let body: Vec<_> = events.iter().map(|(id, at)| event(id, *at)).collect();
                tally.accept(&app, &json!(body)).await;
                model.sent.extend(events);
            }
            Step::Retry(which) => {
                if let Some((id, at)) = model.sent.iter().nth(which % model.sent.len().max(1)) {
                    tally.accept(&app, &event(id, *at)).await;
                }
            }
            Step::Shards(shards) => {
                let header = ("x-access-token", &*tally.token(Role::Admin).await);
                let body = json!({"shards": shards}).to_string();
                let reply = tally.call(Method::PATCH, "/apps/any", header, body).await;
                assert!([200, 400].contains(&reply.status.as_u16()), "{}", reply.json);
            }
            Step::Wait(hours) => tally.clock.set(now + *hours * HOUR),
            Step::Page => listing.page(&tally, &app, &model).await,
            Step::Count => {
                tally.drain().await;
            }
        }
    }
    while listing.next.is_some() {
        listing.page(&tally, &app, &model).await;
    }
    for order in ["asc", "desc"] {
        let all = tally.list(&app, &format!("order={order}&limit=11")).await;
        let ids: Vec<_> = all.iter().map(|event| event["client_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), model.sent.len(), "each once");
        assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), model.sent.keys().cloned().collect());
    }
    tally.drain().await;
    let totals = tally.ask(&app, "/stats/totals").await;
    assert_eq!(totals["items"][0]["count"].as_u64().unwrap_or(0), model.sent.len() as u64);
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn any_interleaving_shows_and_counts_each_event_once(steps in prop::collection::vec(step(), 5..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(&steps));
    }
}
