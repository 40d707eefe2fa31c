//! Every report, statistic and list equals an independent count of the stored events, for any range, zone and filter.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tally_core::time::calendar::{Interval, WeekStart};
use tally_core::time::zone::Zone;
use tally_core::time::{DAY, HOUR, MICROSECOND, MINUTE, Range, SECOND, TimeDelta, Timestamp};

use crate::database::cases;
use crate::harness::{Tally, TestApp, at};

/// Two days around the night in which Berlin sets its clocks back.
const BASE: &str = "2026-10-24T12:00:00Z";
const SPAN: TimeDelta = TimeDelta::days(2);

const NAMES: [&str; 3] = ["view", "click", "sign up"];
const CATEGORIES: [Option<&str>; 3] = [None, Some("web"), Some("a|b\\c")];
const LEVELS: [Option<&str>; 3] = [None, Some("INFO"), Some("ERROR")];
const MESSAGES: [Option<&str>; 5] =
    [None, Some("timed out"), Some("refused"), Some("cart 5 lost"), Some("cart 7 lost")];
const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York"];

#[derive(Clone, Debug)]
struct Sent {
    at: Timestamp,
    name: &'static str,
    category: Option<&'static str>,
    level: Option<&'static str>,
    message: Option<&'static str>,
    count: i64,
}

/// The values that a field may have, and those that it may not.
#[derive(Clone, Debug, Default)]
struct Field {
    is: Vec<&'static str>,
    is_not: Vec<&'static str>,
}

impl Field {
    fn matches(&self, value: Option<&str>) -> bool {
        (self.is.is_empty() || value.is_some_and(|value| self.is.contains(&value)))
            && value.is_none_or(|value| !self.is_not.contains(&value))
    }

    fn query(&self, field: &str) -> String {
        let encoded = |value: &str| value.replace(' ', "+").replace('|', "%7C").replace('\\', "%5C");
        let is = self.is.iter().map(|value| format!("&{field}={}", encoded(value)));
        is.chain(self.is_not.iter().map(|value| format!("&{field}[ne]={}", encoded(value)))).collect()
    }
}

#[derive(Clone, Debug, Default)]
struct Filter {
    name: Field,
    category: Field,
    level: Field,
}

impl Filter {
    fn matches(&self, sent: &Sent) -> bool {
        self.name.matches(Some(sent.name)) && self.category.matches(sent.category) && self.level.matches(sent.level)
    }

    fn query(&self) -> String {
        [("name", &self.name), ("category", &self.category), ("level", &self.level)]
            .map(|(field, values)| values.query(field))
            .concat()
    }
}

/// A moment of the span, mostly near the edge of a minute, an hour or a day.
fn moment() -> impl Strategy<Value = Timestamp> {
    let unit = select(vec![MICROSECOND, SECOND, MINUTE, HOUR, DAY]);
    (0..SPAN.as_micros(), unit, select(vec![-1i64, 0, 1, 500_000])).prop_map(|(offset, unit, nudge)| {
        (at(BASE) + TimeDelta::microseconds(offset)).floor(unit) + TimeDelta::microseconds(nudge)
    })
}

fn sent() -> impl Strategy<Value = Sent> {
    let fields = (select(&NAMES[..]), select(&CATEGORIES[..]), select(&LEVELS[..]), select(&MESSAGES[..]));
    (moment(), fields, 1i64..4).prop_map(|(at, (name, category, level, message), count)| Sent {
        at,
        name,
        category,
        level,
        message,
        count,
    })
}

fn field(values: Vec<&'static str>) -> impl Strategy<Value = Field> {
    let list = |values| prop::collection::vec(select(values), 0..3);
    prop_oneof![
        2 => Just(Field::default()),
        2 => select(values.clone()).prop_map(|value| Field { is: vec![value], is_not: vec![] }),
        2 => (list(values.clone()), list(values)).prop_map(|(is, is_not)| Field { is, is_not }),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let some = |values: &[Option<&'static str>]| values.iter().copied().flatten().collect();
    (field(NAMES.to_vec()), field(some(&CATEGORIES)), field(some(&LEVELS))).prop_map(|(name, category, level)| Filter {
        name,
        category,
        level,
    })
}

#[derive(Clone, Debug)]
struct Question {
    range: Range,
    filter: Filter,
    zone: &'static str,
    interval: Interval,
}

fn question() -> impl Strategy<Value = Question> {
    let intervals = vec![
        Interval::Minute,
        Interval::Hour,
        Interval::Day,
        Interval::Week(WeekStart::Monday),
        Interval::Week(WeekStart::Sunday),
        Interval::Month,
    ];
    (moment(), moment(), filter(), select(&ZONES[..]), select(intervals)).prop_map(|(a, b, filter, zone, interval)| {
        let range = Range::new(a.min(b), a.max(b)).unwrap();
        Question { range, filter, zone, interval }
    })
}

async fn store(tally: &mut Tally, app: &TestApp, events: &[Sent]) {
    let body: Vec<_> = events
        .iter()
        .map(|sent| {
            json!({"name": sent.name, "category": sent.category, "level": sent.level, "message": sent.message,
                "count": sent.count, "timestamp": sent.at.to_string()})
        })
        .collect();
    tally.accept(app, &json!(body)).await;
    tally.drain().await;
}

fn sums<K: Ord>(events: &[&Sent], key: impl Fn(&Sent) -> K) -> BTreeMap<K, i64> {
    let mut sums = BTreeMap::new();
    for sent in events {
        *sums.entry(key(sent)).or_default() += sent.count;
    }
    sums
}

fn read(items: &Value, field: &str) -> BTreeMap<String, i64> {
    let items = items.as_array().unwrap().iter();
    items.map(|item| (item[field].as_str().unwrap_or("").to_owned(), item["count"].as_i64().unwrap())).collect()
}

fn texts(sums: BTreeMap<Option<&'static str>, i64>) -> BTreeMap<String, i64> {
    sums.into_iter().map(|(key, count)| (key.unwrap_or("").to_owned(), count)).collect()
}

async fn check(tally: &Tally, app: &TestApp, events: &[Sent], question: &Question) {
    let Question { range, filter, zone, interval } = question;
    let within: Vec<&Sent> = events.iter().filter(|e| range.contains(e.at) && filter.matches(e)).collect();
    let query = format!("since={}&until={}{}", range.since(), range.until(), filter.query());
    let total: i64 = within.iter().map(|sent| sent.count).sum();

    let names = tally.ask(app, &format!("/stats/by-name?{query}")).await;
    assert_eq!(read(&names["items"], "name"), texts(sums(&within, |e| Some(e.name))), "by-name {question:?}");
    let levels = tally.ask(app, &format!("/stats/by-level?{query}")).await;
    assert_eq!(read(&levels["items"], "level"), texts(sums(&within, |e| e.level)), "by-level {question:?}");
    let categories = tally.ask(app, &format!("/stats/by-category?{query}")).await;
    assert_eq!(
        read(&categories["items"], "category"),
        texts(sums(&within, |e| e.category)),
        "by-category {question:?}"
    );

    let zone_of: Zone = zone.parse().unwrap();
    let starts = interval.starts(*range, &zone_of).unwrap();
    let slot = |e: &Sent| starts[starts.partition_point(|start| *start <= e.at) - 1].to_string();
    let by_slot = sums(&within, slot);
    let week_start = if *interval == Interval::Week(WeekStart::Sunday) { "sunday" } else { "monday" };
    let series = format!("/stats/timeseries?{query}&tz={zone}&interval={}&week_start={week_start}", interval.name());
    let reply = tally.ask(app, &series).await;
    assert_eq!(read(&reply["series"], "bucket_start"), by_slot, "timeseries {question:?}");
    let filled = tally.ask(app, &format!("{series}&fill=zero")).await;
    let filled = read(&filled["series"], "bucket_start");
    assert_eq!((filled.len(), filled.values().sum::<i64>()), (starts.len(), total), "fill {question:?}");

    let hour = |e: &Sent| (e.at.floor(HOUR).to_string(), e.name.to_owned());
    let hours = tally.ask(app, &format!("/stats/hours?{query}")).await;
    let hours = hours["items"].as_array().unwrap().clone();
    let rows = hours.iter().map(|row| {
        let text = |field: &str| row[field].as_str().unwrap().to_owned();
        ((text("hour_start"), text("name")), row["count"].as_i64().unwrap())
    });
    assert_eq!(rows.collect::<Vec<_>>(), sums(&within, hour).into_iter().collect::<Vec<_>>(), "hours {question:?}");

    let period = format!("/reports/period?from={}&to={}{}&tz={zone}", range.since(), range.until(), filter.query());
    let report = tally.ask(app, &period).await;
    assert_eq!(report["total"], total, "period {question:?}");

    let level = &filter.level;
    let messages: Vec<&Sent> =
        events.iter().filter(|e| range.contains(e.at) && level.matches(e.level) && e.message.is_some()).collect();
    let level = level.query("level");
    let top =
        tally.ask(app, &format!("/stats/top-messages?since={}&until={}{level}", range.since(), range.until())).await;
    // What is shown of a group is its message, unless there are two.
    let carts: BTreeSet<_> = messages.iter().filter_map(|e| e.message).filter(|text| text.contains("cart")).collect();
    let shown =
        |message: &'static str| if carts.len() == 2 && carts.contains(message) { "cart <n> lost" } else { message };
    assert_eq!(
        read(&top["items"], "message"),
        texts(sums(&messages, |e| e.message.map(shown))),
        "top-messages {question:?}"
    );
    for item in top["items"].as_array().unwrap() {
        let of_group = messages.iter().filter(|e| e.message.map(shown) == item["message"].as_str());
        let last = of_group.clone().map(|e| e.at).max();
        assert_eq!(item["last_seen"].as_str().map(at), last, "last_seen {question:?}");
        let example = tally.ask(app, &format!("/events/{}", item["example"].as_str().unwrap())).await;
        assert_eq!(example["timestamp"].as_str().map(at), last, "example {question:?}");
        let group = item["group"].as_str().unwrap();
        let group = format!("since={}&until={}&group={group}{level}", range.since(), range.until());
        let count = json!(of_group.clone().map(|e| e.count).sum::<i64>());
        let counted = tally.ask(app, &format!("/stats/timeseries?{group}&interval=DAY&tz={zone}")).await;
        assert_eq!(
            json!(read(&counted["series"], "bucket_start").values().sum::<i64>()),
            count,
            "timeseries of {group}"
        );
        assert_eq!(counted["complete"], json!(null), "timeseries of {group}");
        let by_name = tally.ask(app, &format!("/stats/by-name?{group}")).await;
        let of_group: Vec<&Sent> = of_group.copied().collect();
        assert_eq!(read(&by_name["items"], "name"), texts(sums(&of_group, |e| Some(e.name))), "by-name of {group}");
        let listed = tally.list(app, &format!("{group}&limit=7")).await;
        assert_eq!(listed.len(), of_group.len(), "events of {group}");
    }

    for order in ["asc", "desc"] {
        let listed = tally.list(app, &format!("{query}&order={order}&limit=7")).await;
        let times: Vec<_> = listed.iter().map(|event| at(event["timestamp"].as_str().unwrap())).collect();
        let millis = |times: &[Timestamp]| times.iter().map(|time| time.millis()).collect::<Vec<_>>();
        let mut expected: Vec<_> = within.iter().map(|e| e.at).collect();
        let mut seen = times.clone();
        expected.sort_unstable();
        seen.sort_unstable();
        assert_eq!(seen, expected, "events {order} {question:?}");
        let mut ordered = millis(&expected);
        if order == "desc" {
            ordered.reverse();
        }
        assert_eq!(millis(&times), ordered, "events in order {order} {question:?}");
    }
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn counts_equal_an_independent_count(
        events in prop::collection::vec(sent(), 1..150),
        questions in prop::collection::vec(question(), 6),
        shards in select(vec![1u16, 1, 3]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut tally = Tally::start().await;
            let new = admin::NewApp { name: "any".into(), shards: Some(shards), ..admin::NewApp::default() };
            let app = tally.app_with(new).await;
            store(&mut tally, &app, &events).await;
            // Long after, when the newest minutes are no longer read for themselves.
            for question in &questions {
                check(&tally, &app, &events, question).await;
            }
            let all: Vec<_> = events.iter().collect();
            let totals = tally.ask(&app, "/stats/totals").await;
            assert_eq!(read(&totals["items"], "name"), texts(sums(&all, |e| Some(e.name))));
        });
    }
}
