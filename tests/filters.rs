//! Filters: several values, negation and comparison, on whatever takes a filter.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tally_service::budget::{Budget, Limits, Spent};
use tally_service::config::Config;

use crate::database::cases;
use crate::harness::{Tally, TestApp, assert_problem, column};

/// A condition as a query spells it, and what it means for an event, by the rules of docs/api.md.
#[derive(Clone, Debug)]
struct Condition {
    query: String,
    means: Means,
}

#[derive(Clone, Debug)]
enum Means {
    /// A field is one of some values.
    Is(&'static str, Vec<&'static str>),
    /// It is none of them, or absent.
    IsNot(&'static str, Vec<&'static str>),
    /// The number in `data` compares to one of these.
    Number(&'static str, Vec<i64>),
    /// The number in `data` is none of these, or absent.
    NumberIsNot(Vec<i64>),
    /// The plan in `data` has a text in it.
    Contains(&'static str),
    /// There is a plan in `data`.
    Exists(bool),
    /// A text that is searched for.
    Search(&'static str),
}

const FIELDS: [&str; 7] = ["name", "slug", "category", "level", "message", "session_id", "user_id"];
const LEVELS: [&str; 4] = ["INFO", "WARN", "ERROR", "FATAL"];
/// Every field but the level has one of these, so that values of one field are met in others.
const VALUES: [&str; 4] = ["a", "b", "c", "d"];
const PLANS: [&str; 3] = ["pro", "Profi", "free"];

fn values_of(field: &str) -> Vec<&'static str> {
    if field == "level" { LEVELS.to_vec() } else { VALUES.to_vec() }
}

/// An event: each field has a value or none; name and slug always have one.
fn event() -> impl Strategy<Value = Value> {
    let value = || prop::option::of(select(&VALUES[..]));
    let texts = (select(&VALUES[..]), select(&VALUES[..]), value(), value(), value(), value());
    let data = (prop::option::of(-2i64..4), prop::option::of(select(&PLANS[..])));
    (texts, prop::option::of(select(&LEVELS[..])), data, 0..3 * 24 * 60i64).prop_map(
        |((name, slug, category, message, session, user), level, (n, plan), minute)| {
            let (day, minute) = (18 + minute / 1440, minute % 1440);
            json!({
                "name": name, "slug": slug, "category": category, "level": level, "message": message,
                "session_id": session, "user_id": user, "data": {"n": n, "plan": plan},
                "timestamp": format!("2026-11-{day}T{:02}:{:02}:00Z", minute / 60, minute % 60),
            })
        },
    )
}

fn condition() -> impl Strategy<Value = Condition> {
    let of_field = select(&FIELDS[..]).prop_flat_map(|field| {
        let values = prop::collection::vec(select(values_of(field)), 1..4);
        (values, any::<bool>(), any::<bool>()).prop_map(move |(values, negated, with_commas)| {
            let name = if negated { format!("{field}[ne]") } else { field.to_owned() };
            let query = if field == "level" && with_commas {
                format!("{name}={}", values.join(","))
            } else {
                values.iter().map(|value| format!("{name}={value}")).collect::<Vec<_>>().join("&")
            };
            let means = if negated { Means::IsNot(field, values) } else { Means::Is(field, values) };
            Condition { query, means }
        })
    });
    let numbers = (select(vec!["eq", "ne", "gt", "gte", "lt", "lte"]), prop::collection::vec(-2i64..4, 1..3));
    let of_number = numbers.prop_map(|(operator, numbers)| Condition {
        query: numbers.iter().map(|n| format!("attr.n[{operator}]={n}.0")).collect::<Vec<_>>().join("&"),
        means: if operator == "ne" { Means::NumberIsNot(numbers) } else { Means::Number(operator, numbers) },
    });
    let contains = select(vec!["pro", "PRO", "fi", "ee", "x"])
        .prop_map(|text| Condition { query: format!("attr.plan[contains]={text}"), means: Means::Contains(text) });
    let exists = any::<bool>()
        .prop_map(|exists| Condition { query: format!("attr.plan[exists]={exists}"), means: Means::Exists(exists) });
    let search = select(vec!["a", "B", "PRO", "ree", "x"])
        .prop_map(|text| Condition { query: format!("q={text}"), means: Means::Search(text) });
    prop_oneof![5 => of_field, 2 => of_number, 1 => contains, 1 => exists, 2 => search]
}

impl Means {
    fn matches(&self, event: &Value) -> bool {
        let (n, plan) = (event["data"]["n"].as_i64(), event["data"]["plan"].as_str());
        match self {
            Self::Is(field, values) => event[field].as_str().is_some_and(|value| values.contains(&value)),
            Self::IsNot(field, values) => event[field].as_str().is_none_or(|value| !values.contains(&value)),
            Self::Number(operator, numbers) => n.is_some_and(|n| {
                numbers.iter().any(|wanted| match *operator {
                    "gt" => n > *wanted,
                    "gte" => n >= *wanted,
                    "lt" => n < *wanted,
                    "lte" => n <= *wanted,
                    _ => n == *wanted,
                })
            }),
            Self::NumberIsNot(numbers) => n.is_none_or(|n| !numbers.contains(&n)),
            Self::Contains(text) => plan.is_some_and(|plan| plan.to_lowercase().contains(&text.to_lowercase())),
            Self::Exists(exists) => plan.is_some() == *exists,
            Self::Search(text) => {
                let fields = ["name", "message", "session_id", "user_id"].map(|field| event[field].as_str());
                let mut texts = fields.into_iter().chain([plan]).flatten();
                texts.any(|value| value.to_lowercase().contains(&text.to_lowercase()))
            }
        }
    }

    /// Whether two conditions on one parameter would add to each other's values.
    fn parameter(&self) -> String {
        match self {
            Self::Is(field, _) => (*field).to_owned(),
            Self::IsNot(field, _) => format!("{field}[ne]"),
            Self::Number(operator, _) => (*operator).to_owned(),
            Self::NumberIsNot(_) => "ne".to_owned(),
            Self::Contains(_) => "contains".to_owned(),
            Self::Exists(_) => "exists".to_owned(),
            Self::Search(_) => "q".to_owned(),
        }
    }
}

fn filter() -> impl Strategy<Value = Vec<Condition>> {
    prop::collection::vec(condition(), 1..4).prop_map(|mut conditions| {
        let mut seen = std::collections::HashSet::new();
        conditions.retain(|condition| seen.insert(condition.means.parameter()));
        conditions
    })
}

async fn check(tally: &Tally, app: &TestApp, events: &[Value], conditions: &[Condition]) {
    let query = conditions.iter().map(|condition| condition.query.as_str()).collect::<Vec<_>>().join("&");
    let matching: Vec<_> =
        events.iter().filter(|event| conditions.iter().all(|condition| condition.means.matches(event))).collect();
    let numbers = |events: &[&Value]| {
        let mut numbers: Vec<_> = events.iter().map(|event| event["data"]["i"].as_i64().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    };
    let expected = numbers(&matching);
    for how in ["order=desc", "order=asc", "consistent=true"] {
        let listed = tally.list(app, &format!("{query}&{how}&limit=9")).await;
        assert_eq!(numbers(&listed.iter().collect::<Vec<_>>()), expected, "{query}&{how}");
    }
    let range = "since=2026-11-18&until=2026-11-21";
    let groups = tally.ask(app, &format!("/stats/groups?attr=i&limit=1000&{range}&{query}")).await;
    let mut grouped: Vec<_> =
        column(&groups["items"], "value").into_iter().map(|value| value.as_i64().unwrap()).collect();
    grouped.sort_unstable();
    assert_eq!(grouped, expected, "groups {query}");
    // What counters know they count; anything else is counted from the events.
    let sums = |field: &str| {
        let mut sums = std::collections::BTreeMap::<String, i64>::new();
        for event in &matching {
            *sums.entry(event[field].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        sums
    };
    let period = "from=2026-11-18&to=2026-11-20";
    for (path, list, field) in [
        (format!("/stats/by-name?{range}"), "items", Some("name")),
        (format!("/stats/by-level?{range}"), "items", Some("level")),
        (format!("/stats/by-category?{range}"), "items", Some("category")),
        (format!("/stats/top-messages?{range}"), "items", Some("message")),
        (format!("/stats/timeseries?{range}&interval=MINUTE"), "series", None),
        (format!("/stats/hours?{range}"), "items", None),
        (format!("/reports/period?{period}"), "series", None),
        ("/reports/week?week=2026-11-18".to_owned(), "by_name", None),
    ] {
        let reply = tally.ask(app, &format!("{path}&{query}")).await;
        assert_ne!(reply["complete"], json!(false), "{path}&{query}: {reply}");
        let rows = reply[list].as_array().unwrap().iter();
        let rows = rows.map(|row| (field.map(|field| row[field].clone()), row["count"].as_i64().unwrap()));
        if let Some(field) = field {
            let mut expected = sums(field);
            if field == "message" {
                expected.remove("");
            }
            let read = rows.map(|(key, count)| (key.unwrap().as_str().unwrap_or_default().to_owned(), count));
            assert_eq!(read.collect::<std::collections::BTreeMap<_, _>>(), expected, "{path}&{query}");
        } else {
            let total: i64 = rows.map(|(_, count)| count).sum();
            assert_eq!(usize::try_from(total).unwrap(), expected.len(), "{path}&{query}");
        }
    }
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn a_filter_finds_what_a_plain_one_finds(
        events in prop::collection::vec(event(), 1..120),
        filters in prop::collection::vec(filter(), 8),
        shards in select(vec![1u16, 1, 3]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut tally = Tally::start().await;
            let new = admin::NewApp { name: "any".into(), shards: Some(shards), ..admin::NewApp::default() };
            let app = tally.app_with(new).await;
            let mut events = events;
            for (i, event) in events.iter_mut().enumerate() {
                event["data"]["i"] = json!(i);
            }
            tally.accept(&app, &json!(events)).await;
            tally.drain().await;
            for filter in &filters {
                check(&tally, &app, &events, filter).await;
            }
        });
    }
}

#[tokio::test]
async fn a_filter_has_bounds_and_names_what_is_wrong() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let times = |parameter: &str, n: usize| (0..n).map(|i| format!("{parameter}={i}")).collect::<Vec<_>>().join("&");
    for parameter in
        ["name", "slug[ne]", "category", "message[ne]", "session_id", "user_id", "attr.plan", "attr.plan[ne]"]
    {
        let most = tally.get(&app, &format!("/events?{}", times(parameter, 20))).await;
        assert_eq!(most.status, 200, "{parameter}: {}", most.json);
        let field = parameter;
        assert_problem(&tally.get(&app, &format!("/events?{}", times(parameter, 21))).await, 400, &[field]);
    }
    let paths = |n: usize| (0..n).map(|i| format!("attr.p{i}[gt]=1")).collect::<Vec<_>>().join("&");
    assert_eq!(tally.get(&app, &format!("/events?{}", paths(10))).await.status, 200);
    for (query, field) in [
        (paths(11), "attr"),
        ("attr.plan[ge]=1".to_owned(), "attr.plan[ge]"),
        ("attr.plan[exists]=maybe".to_owned(), "attr.plan[exists]"),
        ("attr.plan=".to_owned(), "attr.plan"),
        ("attr.=1".to_owned(), "attr."),
        ("level=INFO,LOUD".to_owned(), "level"),
        ("level[ne]=LOUD".to_owned(), "level[ne]"),
        ("level=INFO,".to_owned(), "level"),
        ("name[gt]=a".to_owned(), "name[gt]"),
        ("name=a&name=".to_owned(), "name"),
        ("q=".to_owned(), "q"),
        ("q=a&q=b".to_owned(), "q"),
        (format!("q={}", "a".repeat(201)), "q"),
        ("name[ne]=a&event[ne]=a".to_owned(), "event[ne]"),
    ] {
        assert_problem(&tally.get(&app, &format!("/events?{query}")).await, 400, &[field]);
    }
    for (path, field) in [
        ("/reports/day?date=today&attr.plan[ge]=1", "attr.plan[ge]"),
        ("/stats/by-name?attr.plan[exists]=maybe", "attr.plan[exists]"),
        ("/stats/top-messages?level=LOUD", "level"),
        // Counters of all time answer what counters know.
        ("/stats/totals?session_id=s", "session_id"),
        ("/stats/totals?attr.plan=pro", "attr"),
        ("/stats/totals?q=a", "q"),
        ("/histogram?date=today&user_id[ne]=a", "user_id[ne]"),
    ] {
        assert_problem(&tally.get(&app, path).await, 400, &[field]);
    }
}

/// Events of several pages, which take more than 20 read units.
async fn large_events(tally: &mut Tally) -> TestApp {
    let app = tally.app("shop").await;
    let event = |n: usize| {
        json!({"name": "a", "level": "INFO", "category": "c", "message": "m", "user_id": "u", "data": {"x": "x".repeat(8_000)},
            "timestamp": minute(n)})
    };
    for hundred in 0..4 {
        tally.accept(&app, &(0..100).map(|n| event(hundred * 100 + n)).collect()).await;
    }
    tally.drain().await;
    app
}

fn minute(n: usize) -> String {
    format!("2026-11-21T{:02}:{:02}:00Z", n / 60, n % 60)
}

#[tokio::test]
async fn on_a_laptop_time_alone_bounds_a_question() {
    let laptop = tally::server::config().expect("settings");
    assert_eq!((laptop.read_budget, laptop.read_time), (f64::INFINITY, Duration::from_secs(3)));
    let range = "since=2026-11-21&until=2026-11-22";
    // The harness gives a busy machine more time.
    let mut tally = Tally::with(Config { read_budget: laptop.read_budget, ..Config::default() }).await;
    let app = large_events(&mut tally).await;
    for question in ["by-name?user_id=u", "overview?attr.x[exists]=true", "uniques?user_id=u", "top-messages?q=M"] {
        let reply = tally.ask(&app, &format!("/stats/{question}&{range}")).await;
        assert_ne!(reply["complete"], json!(false), "{question}");
    }
    let none = tally.ask(&app, "/events?q=nowhere").await;
    assert_eq!((none["next"].is_null(), &none["scanned"]), (true, &json!(400)), "{none}");
    assert_eq!(tally.get(&app, "/issues").await.status, 200);
    let spent = |time| Budget::new(Limits::new(laptop.read_budget, laptop.tail_budget, time)).spent();
    assert_eq!((spent(laptop.read_time), spent(Duration::ZERO)), (None, Some(Spent::Time)));
}

#[tokio::test]
async fn beyond_the_budget_every_statistic_counts_the_newest_events_and_says_so() {
    let config = Config { read_budget: 20.0, ..Config::default() };
    let mut tally = Tally::with(config).await;
    let app = large_events(&mut tally).await;
    let range = "since=2026-11-21&until=2026-11-22";
    let period = "from=2026-11-21&to=2026-11-21";
    for (path, list) in [
        (format!("/stats/by-name?{range}"), "items"),
        (format!("/stats/by-level?{range}"), "items"),
        (format!("/stats/by-category?{range}"), "items"),
        (format!("/stats/timeseries?{range}"), "series"),
        (format!("/stats/hours?{range}"), "items"),
        (format!("/stats/top-messages?{range}"), "items"),
        ("/reports/day?date=2026-11-21".to_owned(), "by_name"),
        (format!("/reports/period?{period}"), "series"),
    ] {
        let reply = tally.ask(&app, &format!("{path}&user_id=u")).await;
        assert_eq!(reply["complete"], json!(false), "{path}: {reply}");
        let since = reply["covered_since"].as_str().expect("a time");
        let covered = (0..400).filter(|n| minute(*n).as_str() >= since).count();
        let counted: i64 = column(&reply[list], "count").into_iter().map(|count| count.as_i64().unwrap()).sum();
        assert!(covered > 0 && covered < 400, "{path}: from {since} on");
        assert_eq!(usize::try_from(counted).unwrap(), covered, "{path}: from {since} on");
        // What counters know stays whole.
        let whole = tally.ask(&app, &path).await;
        assert_eq!((whole.get("covered_since"), whole["complete"] == json!(false)), (None, false), "{path}: {whole}");
    }
}

#[tokio::test]
async fn a_cursor_holds_every_value_of_its_query() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let event =
        |n: usize| json!({"name": (["a", "b", "c", "d"][n % 4]), "timestamp": format!("2026-11-21T09:{n:02}:00Z")});
    tally.accept(&app, &(0..40).map(event).collect()).await;
    tally.drain().await;
    let names = |page: &Value| {
        let names = column(&page["items"], "name");
        names.into_iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>().concat()
    };
    let page = tally.ask(&app, "/events?name=a&name=d&name=c&name[ne]=c&limit=3").await;
    let cursor = page["next"].as_str().unwrap();
    let next = tally.ask(&app, &format!("/events?cursor={cursor}&name=a&name=d&name=c")).await;
    assert_eq!((names(&page), names(&next)), ("dad".to_owned(), "ada".to_owned()));
    for other in ["name=a", "name=a&name=d", "name[ne]=a"] {
        let field = other.split('=').next().unwrap();
        assert_problem(&tally.get(&app, &format!("/events?cursor={cursor}&{other}")).await, 400, &[field]);
    }
    let page = tally.ask(&app, "/events?q=D&limit=3").await;
    let next = tally.ask(&app, &format!("/events?cursor={}&q=D", page["next"].as_str().unwrap())).await;
    assert_eq!((names(&page), names(&next)), ("ddd".to_owned(), "ddd".to_owned()));
    assert_problem(
        &tally.get(&app, &format!("/events?cursor={}&q=a", page["next"].as_str().unwrap())).await,
        400,
        &["q"],
    );
    let page = tally.ask(&app, "/stats/by-name?name=a&name=b&name[ne]=c&limit=1").await;
    let next = tally.ask(&app, &format!("/stats/by-name?cursor={}", page["next"].as_str().unwrap())).await;
    assert_eq!((names(&page), names(&next)), ("a".to_owned(), "b".to_owned()));
}

/// Ten days of events, one of which each day is of a rare name.
#[tokio::test]
async fn several_rare_values_are_found_through_the_counters() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    for day in 1..=10 {
        let event = |n: usize| {
            let rare = n == 300 + day;
            json!({"name": if rare { ["rare", "scarce"][day % 2] } else { "often" },
                "level": if rare { ["ERROR", "FATAL"][day % 2] } else { "INFO" }, "session_id": format!("s{n}"),
                "message": if rare { ["full", "hot"][day % 2] } else { "fine" }, "data": {"day": day},
                "timestamp": format!("2026-11-{day:02}T{:02}:{:02}:30Z", n / 60, n % 60)})
        };
        tally.accept(&app, &(0..600).map(event).collect()).await;
    }
    tally.drain().await;
    for filter in [
        "name=rare&name=scarce",
        "name[ne]=often",
        "level=ERROR,FATAL",
        "level[ne]=INFO",
        "message=full&message=hot",
        "message=full&message=hot&name[ne]=often",
    ] {
        let days = |events: Vec<Value>| events.iter().map(|e| e["data"]["day"].as_i64().unwrap()).collect::<Vec<_>>();
        let before = tally.usage();
        let planned = days(tally.list(&app, &format!("{filter}&limit=100")).await);
        let units = (tally.usage() - before).read_units;
        assert_eq!(planned, (1..=10).rev().collect::<Vec<_>>(), "{filter}");
        let before = tally.usage();
        assert_eq!(days(tally.list(&app, &format!("{filter}&limit=100&consistent=true")).await), planned);
        let whole = (tally.usage() - before).read_units;
        assert!(units * 3.0 < whole, "{filter}: {units} of {whole} units");
    }
    // Sessions come through their index.
    let before = tally.usage();
    let listed = tally.list(&app, "session_id=s301&session_id=s310&limit=100").await;
    let units = (tally.usage() - before).read_units;
    assert_eq!((listed.len(), units < 5.0), (20, true), "{units} units");
    let times: Vec<_> = listed.iter().map(|event| event["timestamp"].as_str().unwrap()).collect();
    assert!(times.windows(2).all(|pair| pair[0] >= pair[1]), "newest first");
}
