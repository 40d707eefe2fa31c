//! Share links: keys that may not read all. One test calls every route with every bound and searches all that it is told.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Request};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::event::group::Group;
use tally_core::time::{DAY, HOUR, MINUTE, SECOND};
use tally_http::limits::Restriction::{self, Cells, Chart, Data, Fields, People, Statistics};
use tally_http::routes::{Access, ROUTES, Route};

use crate::harness::{Reply, Tally, TestApp, assert_problem, column};

async fn admin(tally: &Tally, method: Method, path: &str, body: &Value) -> Reply {
    let token = tally.token(Role::Admin).await;
    tally.call(method, path, ("x-access-token", &token), body.to_string()).await
}

/// Makes a key that reads within bounds.
async fn share(tally: &Tally, mut bounds: Value) -> String {
    bounds["scopes"] = json!(["read"]);
    let reply = admin(tally, Method::POST, "/apps/shop/keys", &bounds).await;
    assert_eq!(reply.status.as_u16(), 201, "{}", reply.json);
    reply.json["key"].as_str().unwrap().to_owned()
}

async fn get(tally: &Tally, key: &str, path: &str) -> Reply {
    tally.call(Method::GET, path, ("x-read-key", key), Body::empty()).await
}

/// What an event has that must not be told: by what hides it.
struct Canaries {
    /// Name, slug and category.
    cell: Vec<String>,
    people: Vec<String>,
    data: Vec<String>,
    /// Only in an event itself: its id.
    event: Vec<String>,
}

/// An event whose every field is unique.
fn event(mark: &str, level: &str, plan: &str) -> (Value, Canaries) {
    let of = |field: &str| format!("{mark}-{field}-canary");
    let body = json!({
        "id": of("id"), "timestamp": "2026-11-21T09:30:00Z", "name": of("name"), "slug": of("slug"),
        "category": of("category"), "level": level, "message": of("message"), "session_id": of("session"),
        "user_id": of("user"), "fingerprint": of("print"),
        "data": {"plan": plan, "note": of("note"), "deep": {of("key"): of("deep")}},
        "tags": {"t": of("tag")}, "stack": [{"f": of("stack")}],
    });
    let all = |fields: &[&str]| fields.iter().map(|field| of(field)).collect();
    let canaries = Canaries {
        cell: all(&["name", "slug", "category"]),
        people: all(&["message", "session", "user"]),
        data: all(&["print", "note", "key", "deep", "tag", "stack"]),
        event: all(&["id"]),
    };
    (body, canaries)
}

/// A way to bound a key, and what it must not be told of the event that its filter matches.
struct Bound {
    name: &'static str,
    body: Value,
    restrictions: Vec<Restriction>,
    hides: fn(&Canaries) -> Vec<&String>,
    /// Whether the other event is hidden altogether.
    filters: bool,
}

fn bounds() -> Vec<Bound> {
    let nothing: fn(&Canaries) -> Vec<&String> = |_| vec![];
    let people: fn(&Canaries) -> Vec<&String> = |of| of.people.iter().chain(&of.event).collect();
    let data: fn(&Canaries) -> Vec<&String> = |of| of.data.iter().chain(&of.event).collect();
    let both: fn(&Canaries) -> Vec<&String> = |of| of.people.iter().chain(&of.data).chain(&of.event).collect();
    let of = |name, body, restrictions, hides, filters| Bound { name, body, restrictions, hides, filters };
    let cell = json!({"level": "ERROR", "name[ne]": ["outside-name-canary"]});
    let field = json!({"attr.plan": ["pro", "team"]});
    vec![
        of("a filter by cells", json!({"filter": cell}), vec![Cells], nothing, true),
        of("a filter by fields", json!({"filter": field}), vec![Fields], nothing, true),
        of("hidden people", json!({"hide": ["people"]}), vec![People], people, false),
        of("hidden data", json!({"hide": ["data"]}), vec![Data], data, false),
        of("statistics alone", json!({"statistics_only": true}), vec![Statistics], both, false),
        of(
            "a filter by what is hidden",
            json!({"filter": {"user_id": "inside-user-canary", "attr.note": "inside-note-canary"}, "hide": ["data", "people"]}),
            vec![Fields, People, Data],
            both,
            true,
        ),
        of(
            "everything",
            json!({"filter": cell, "hide": ["people", "data"], "statistics_only": true, "view": "view=overview"}),
            vec![Cells, People, Data, Statistics],
            both,
            true,
        ),
        of("a chart", json!({"chart": "since=2026-11-20"}), vec![Chart], both, false),
    ]
}

/// What is asked of a route that reads an app: paths after its own beginning, with queries. None of a route that has no case
/// here.
#[allow(clippy::too_many_lines)] // one arm for each route
fn questions(route: &Route, key: &str, ids: &[String]) -> Option<Vec<String>> {
    let range = "since=2026-11-20&until=2026-11-22";
    let fields = [
        "session_id=inside-session-canary",
        "user_id=inside-user-canary",
        "user_id[ne]=inside-user-canary",
        "message=inside-message-canary",
        "fingerprint=inside-print-canary",
        "attr.note=inside-note-canary",
        "attr.note[contains]=canary",
        "attr.user_id=inside-user-canary",
        "attr.session_id[exists]=true",
        "attributes[attr.message]=inside-message-canary",
        "session_id=outside-session-canary",
        "name=outside-name-canary",
        "level=FATAL",
        "name[ne]=nothing",
    ];
    let with = |path: &str, queries: &[&str]| queries.iter().map(|query| format!("{path}?{query}")).collect::<Vec<_>>();
    let paths = match route.path {
        "/auth" => vec!["/auth".to_owned()],
        "/apps/{app}" => vec!["/apps/shop".to_owned()],
        "/apps/{app}/rejected" => vec!["/apps/shop/rejected".to_owned()],
        "/apps/{app}/events" => {
            let mut all = with(
                "/apps/shop/events",
                &["limit=1", "limit=1&consistent=true", "order=asc", "offset=1", "shape=rows"],
            );
            all.extend(with("/apps/shop/events", &fields));
            all
        }
        "/apps/{app}/events/{id}" => ids.iter().map(|id| format!("/apps/shop/events/{id}")).collect(),
        "/apps/{app}/events/{id}/stack" => ids.iter().map(|id| format!("/apps/shop/events/{id}/stack")).collect(),
        "/apps/{app}/export" => {
            with("/apps/shop/export", &["", "format=csv", "fields=name,data.note", "user_id=inside-user-canary"])
        }
        "/apps/{app}/metrics" => with("/apps/shop/metrics", &["", "level=FATAL", "tz=Asia/Tokyo"])
            .into_iter()
            .chain(fields.map(|field| format!("/apps/shop/metrics?{field}")))
            .collect(),
        "/apps/{app}/reports/{report}" => [
            "hour?date=2026-11-21&hour=9",
            "day?date=today",
            "day?date=today&name=outside-name-canary",
            "week?date=today",
            "month?date=today",
            "period?from=2026-11-20&to=2026-11-21",
        ]
        .map(|report| format!("/apps/shop/reports/{report}"))
        .into(),
        "/apps/{app}/stats/{stat}" => {
            let document = openapi::document();
            let paths = document["paths"].as_object().unwrap().keys();
            let mut all = Vec::new();
            // What has a route of its own is asked below.
            let own = |stat: &&str| ROUTES.iter().any(|route| route.path == format!("/apps/{{app}}/stats/{stat}"));
            for stat in paths.filter_map(|path| path.strip_prefix("/apps/{app}/stats/")).filter(|stat| !own(stat)) {
                let path = format!("/apps/shop/stats/{stat}");
                match stat {
                    "timeseries" => {
                        let rows = format!("{range}&interval=HOUR&shape=rows");
                        all.extend(with(&path, &[&format!("{range}&interval=HOUR"), &rows]));
                    }
                    "groups" => {
                        for attr in ["plan", "note", "user_id", "session_id", "message", "name"] {
                            let filters = ["", "&user_id=inside-user-canary", "&attr.note=inside-note-canary"];
                            all.extend(filters.map(|filter| format!("{path}?{range}&attr={attr}{filter}")));
                        }
                    }
                    "totals" => all.extend([path.clone(), format!("{path}?limit=1")]),
                    "by-level" | "by-name" | "by-category" | "hours" | "top-messages" => {
                        all.extend(with(&path, &[range]));
                        all.push(format!("{path}?{range}&level=FATAL"));
                    }
                    "uniques" => all.extend(["users", "sessions"].map(|of| format!("{path}?{range}&of={of}"))),
                    "overview" => all.extend(with(&path, &[range, &format!("{range}&compare=previous")])),
                    other => panic!("what is asked of the statistic {other}, and what must a bounded key not be told?"),
                }
                if stat != "groups" && stat != "top-messages" && stat != "totals" {
                    all.extend(fields.map(|field| format!("{path}?{range}&interval=HOUR&{field}")));
                }
                all.push(format!("{path}?{range}&limit=1"));
            }
            all
        }
        "/apps/{app}/sessions" => {
            let mut all = with("/apps/shop/sessions", &[range, &format!("{range}&limit=1")]);
            all.extend(fields.map(|field| format!("/apps/shop/sessions?{range}&{field}")));
            all
        }
        "/apps/{app}/people/{*user_id}" => {
            ["inside-user-canary", "outside-user-canary"].map(|user| format!("/apps/shop/people/{user}")).into()
        }
        "/apps/{app}/stats/sessions" | "/apps/{app}/stats/retention" | "/apps/{app}/stats/web" => {
            let path = route.path.replace("{app}", "shop");
            let mut all = with(&path, &[range, &format!("{range}&interval=DAY")]);
            all.extend(fields.map(|field| format!("{path}?{range}&{field}")));
            all
        }
        "/apps/{app}/stats/next" => {
            let mut all = with("/apps/shop/stats/next", &["name=inside-name-canary", "name=outside-name-canary"]);
            let fields = fields.into_iter().filter(|field| !field.starts_with("name="));
            all.extend(fields.map(|field| format!("/apps/shop/stats/next?{range}&name=nothing&{field}")));
            all
        }
        "/apps/{app}/stats/numbers" => {
            let attrs = ["plan", "note", "user_id", "message"];
            let mut all = attrs.map(|attr| format!("/apps/shop/stats/numbers?{range}&attr={attr}")).to_vec();
            all.extend(fields.map(|field| format!("/apps/shop/stats/numbers?{range}&attr=plan&{field}")));
            all
        }
        // With a body after a line feed.
        "/apps/{app}/funnels" | "/apps/{app}/funnels/people" => {
            let path = route.path.replace("{app}", "shop");
            let mut all = Vec::new();
            for second in [
                json!({"name": "outside-name-canary"}),
                json!({"level": "FATAL"}),
                json!({"where": {"user_id": "inside-user-canary"}}),
                json!({"where": {"attr.note": "inside-note-canary"}}),
                json!({"where": {"attr.session_id[exists]": true}}),
            ] {
                for breakdown in
                    [json!(null), json!("category"), json!("slug"), json!("attr.note"), json!("attr.message")]
                {
                    let steps = json!([{"level": ["ERROR", "FATAL"]}, second]);
                    let body =
                        json!({"steps": steps, "since": "2026-11-20", "until": "2026-11-22", "breakdown": breakdown});
                    all.push(format!("{path}\n{body}"));
                }
            }
            all
        }
        "/apps/{app}/histogram" => {
            with("/apps/shop/histogram", &["date=today&format=svg", "date=today&format=json", "date=today"])
        }
        "/apps/{app}/histogram/{*path}" => ["inside-name-canary", "nothing"]
            .into_iter()
            .flat_map(|name| ["svg", "json"].map(|format| format!("/apps/shop/histogram/{name}/20261121.{format}")))
            .collect(),
        "/apps/{app}/chart.svg" | "/apps/{app}/chart.png" => {
            let path = route.path.replace("{app}", "shop");
            let mut all = with(&path, &[range, &format!("{range}&by=name&theme=dark&title=Mine")]);
            all.extend(fields.map(|field| format!("{path}?{range}&by=name&{field}")));
            all.push(path);
            all
        }
        "/apps/{app}/issues" => with("/apps/shop/issues", &[range, "q=inside-message-canary", "limit=1", ""]),
        "/apps/{app}/issues/{id}" => {
            Group::of_message("inside-message-canary").map(|group| format!("/apps/shop/issues/{group}")).into()
        }
        "/apps/{app}/views" => vec!["/apps/shop/views".to_owned()],
        // Each tool, with a body after a line feed.
        "/mcp" => {
            let since = "2026-11-20";
            let filters = |name: &str| match name.strip_suffix("=true") {
                Some(name) => json!({name: true}),
                None => name.split_once('=').map_or(json!({}), |(name, value)| json!({name: value})),
            };
            let mut calls = vec![
                ("apps", json!({})),
                ("describe", json!({})),
                ("describe", json!({"days": 30})),
                ("overview", json!({"since": since, "compare": "previous", "by": "name"})),
                ("events", json!({})),
                ("events", json!({"limit": 1})),
                ("issues", json!({})),
                ("issues", json!({"id": Group::of_message("inside-message-canary")[0].to_string()})),
                (
                    "funnel",
                    json!({"steps": ["inside-name-canary", "outside-name-canary"], "since": since, "breakdown": "attr.note"}),
                ),
                ("funnel", json!({"steps": ["inside-name-canary", "nothing"], "since": since})),
            ];
            for field in fields.into_iter().filter(|field| !field.starts_with("attributes[")) {
                calls.push(("events", json!({"filters": filters(field)})));
                calls.push(("overview", json!({"since": since, "filters": filters(field)})));
            }
            let message = |(name, arguments): (&str, Value)| {
                let params = json!({"name": name, "arguments": arguments});
                format!("/mcp\n{}", json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}))
            };
            calls.into_iter().map(message).collect()
        }
        "/apps/{app}/attributes" => with("/apps/shop/attributes", &[range, "limit=1", ""]),
        "/seismo/api/events/{app}" => vec!["/seismo/api/events/shop".to_owned()],
        "/seismo/api/reports/{report}/{app}" => vec!["/seismo/api/reports/day/shop?date=today".to_owned()],
        "/the-eye/{key}/api/event" => vec![format!("/the-eye/{key}/api/event/")],
        "/event-tracker/{key}/api/events" => {
            vec![format!("/event-tracker/{key}/api/events?start_date=2026112100&end_date=20261121")]
        }
        "/event-tracker/{key}/api/events/{*path}" => vec![format!("/event-tracker/{key}/api/events/unique")],
        "/event-tracker/{key}/api/events/histogram/{*path}" => {
            vec![format!("/event-tracker/{key}/api/events/histogram/inside-name-canary/20261121")]
        }
        _ => return None,
    };
    Some(paths)
}

/// A reply: its status, and all of its bytes that a person could read.
async fn hear(tally: &Tally, method: &Method, key: &str, path: &str) -> (u16, String, Value) {
    let (path, body) = path.split_once('\n').unwrap_or((path, ""));
    let path = path.replace('[', "%5B").replace(']', "%5D");
    // The only header that counts there.
    let bearer = (path == "/mcp").then(|| ("authorization", format!("Bearer {key}")));
    let (name, value) = bearer.unwrap_or_else(|| ("x-read-key", key.to_owned()));
    let request = Request::builder().method(method).uri(&path).header(name, value);
    let (parts, body) = tally.raw(request.body(Body::from(body.to_owned())).unwrap()).await;
    let mut told = String::from_utf8_lossy(&body).into_owned();
    for (name, value) in &parts.headers {
        told.extend(["\n", name.as_str(), ": ", &String::from_utf8_lossy(value.as_bytes())]);
    }
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    told.push_str(&in_cursor(json["next"].as_str().unwrap_or_default()));
    (parts.status.as_u16(), told, json)
}

/// What a cursor holds.
fn in_cursor(text: &str) -> String {
    String::from_utf8_lossy(&URL_SAFE_NO_PAD.decode(text).unwrap_or_default()).into_owned()
}

/// All replies of a route to a key, with those to the cursors in them. A path is what was asked, by which replies are found.
async fn hear_all(tally: &Tally, route: &Route, key: &str, ids: &[String]) -> BTreeMap<String, (u16, String)> {
    let mut heard = BTreeMap::new();
    let mut left = questions(route, key, ids).unwrap_or_else(|| {
        panic!("what is asked of {} {}, and what must a bounded key not be told?", route.method, route.path)
    });
    while let Some(path) = left.pop() {
        let (status, told, json) = hear(tally, &route.method, key, &path).await;
        if let Some(next) = json["next"].as_str().filter(|_| heard.len() < 300) {
            left.push(format!("{}?cursor={next}", path.split('?').next().unwrap()));
        }
        heard.insert(path, (status, told));
    }
    heard
}

/// A shop with an event that filters match, one that they do not, a rejected one, and a saved view. Returns the ids of the events.
async fn shop() -> (Tally, TestApp, [Canaries; 2], Vec<String>) {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let (inside, inside_canaries) = event("inside", "ERROR", "pro");
    let (outside, outside_canaries) = event("outside", "FATAL", "free");
    let ids = tally.accept(&app, &json!([inside, outside])).await["ids"].clone();
    let ids = ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    tally.ingest(&app, &json!({"name": "rejected-name-canary", "timestamp": "never"})).await;
    tally.context.rejections.written().await;
    let view = json!({"query": "app=shop&user_id=view-query-canary", "scope": "app"});
    let saved = tally.admin(Method::PUT, "/apps/shop/views/view-name-canary", &view).await;
    assert_eq!(saved.status, 201, "{}", saved.json);
    tally.drain().await;
    // Counters of the minute are read, not its events.
    tally.clock.set(tally.clock.now() + HOUR);
    (tally, app, [inside_canaries, outside_canaries], ids)
}

#[tokio::test]
async fn no_route_tells_a_bounded_key_what_it_hides() {
    let (tally, app, [inside, outside], ids) = shop().await;
    let open: Vec<_> = ROUTES.iter().filter(|route| matches!(route.access, Access::Read | Access::Known)).collect();

    // Without bounds everything is told somewhere, or this test would not notice.
    let mut told = String::new();
    for route in &open {
        for (path, (status, reply)) in hear_all(&tally, route, &app.read_key, &ids).await {
            assert!(status < 500, "{path}: {status} {reply}");
            told.push_str(&reply);
        }
    }
    for canaries in [&inside, &outside] {
        let Canaries { cell, people, data, event } = canaries;
        for canary in [cell, people, data, event].into_iter().flatten() {
            assert!(told.contains(canary), "{canary} is told nowhere");
        }
    }
    // What no bounded key is told.
    let closed = ["rejected-name-canary", "view-name-canary", "view-query-canary"].map(str::to_owned);
    for canary in &closed {
        assert!(told.contains(canary), "{canary} is told nowhere");
    }

    for Bound { name, body, restrictions, hides, filters } in bounds() {
        let key = share(&tally, body).await;
        let mut hidden: BTreeSet<&String> = hides(&inside).into_iter().chain(hides(&outside)).collect();
        hidden.extend(&closed);
        if filters {
            let Canaries { cell, people, data, event } = &outside;
            hidden.extend([cell, people, data, event].into_iter().flatten());
        }
        for route in ROUTES {
            let about = format!("{} {} with {name}", route.method, route.path);
            if !matches!(route.access, Access::Read | Access::Known) {
                if route.access != Access::Public {
                    let path = route.path.replace("{app}", "shop").replace("{id}", &ids[0]).replace("{key}", &key);
                    let path = path.replace("{key_id}", "x").replace("{*name}", "a").replace("{*path}", "a");
                    let (status, told, _) = hear(&tally, &route.method, &key, &path).await;
                    assert_eq!(status, 403, "{about}: {told}");
                }
                continue;
            }
            let heard = hear_all(&tally, route, &key, &ids).await;
            let admitted = restrictions.iter().all(|restriction| route.enforces.contains(restriction));
            let opens = heard.values().any(|(status, _)| *status == 200);
            // Each statistic declares for itself, and some combinations none enforces.
            let must_open = admitted && !route.path.ends_with("/{stat}");
            assert!(if opens { admitted } else { !must_open }, "{about}");
            for (path, (status, told)) in &heard {
                assert!(
                    if admitted { [200, 400, 403, 404].contains(status) } else { *status == 403 },
                    "{about}: {path}: {status} {told}"
                );
                // What it is told of its own filter is checked elsewhere.
                let own = (route.path == "/auth").then_some("outside-name-canary");
                for canary in hidden.iter().filter(|canary| Some(canary.as_str()) != own) {
                    // A filter of the caller is in its cursor.
                    let cursor = path.split_once("cursor=").map(|(_, cursor)| in_cursor(cursor)).unwrap_or_default();
                    let is_own = path.contains(canary.as_str()) || cursor.contains(canary.as_str());
                    assert!(is_own || !told.contains(canary.as_str()), "{about}: {path}: {canary} in {told}");
                }
            }
        }
    }
}

#[tokio::test]
async fn each_statistic_declares_what_it_enforces() {
    let (tally, _, _, _) = shop().await;
    let counts = ["timeseries?interval=HOUR&", "by-level?", "by-name?", "by-category?", "hours?", "overview?"];
    for bound in bounds() {
        let key = share(&tally, bound.body.clone()).await;
        let only = |known: &[Restriction]| bound.restrictions.iter().all(|restriction| known.contains(restriction));
        let with_counts = counts.map(|stat| (stat, only(&[Cells, Fields, People, Data, Statistics])));
        let others = [
            ("totals?", only(&[Cells, People, Data, Statistics])),
            ("top-messages?", only(&[Cells, Fields, Data])),
            ("groups?attr=plan&", only(&[Cells, Fields, People])),
        ];
        for (stat, opens) in with_counts.into_iter().chain(others) {
            let range = if stat == "totals?" { "" } else { "since=2026-11-20" };
            let reply = get(&tally, &key, &format!("/apps/shop/stats/{stat}{range}")).await;
            let expected = if opens { 200 } else { 403 };
            assert_eq!(reply.status.as_u16(), expected, "{stat} with {}: {}", bound.name, reply.json);
        }
    }
}

#[tokio::test]
async fn a_filter_cannot_ask_for_what_is_hidden() {
    let (tally, _, _, _) = shop().await;
    let (people, data) = (json!({"hide": ["people"]}), json!({"hide": ["data"]}));
    let (people, data) = (share(&tally, people).await, share(&tally, data).await);
    let statistics = share(&tally, json!({"statistics_only": true})).await;
    for (key, query, field) in [
        (&people, "user_id=inside-user-canary", "user_id"),
        (&people, "user_id[ne]=x", "user_id"),
        (&people, "session_id=x", "session_id"),
        (&people, "message=x", "message"),
        (&people, "attr.user_id=inside-user-canary", "attr.user_id"),
        (&people, "attr.session_id[exists]=true", "attr.session_id[exists]"),
        (&people, "attributes[attr.message]=x", "attr.message"),
        (&data, "attr.plan=pro", "attr.plan"),
        (&data, "attr.plan[exists]=true", "attr.plan[exists]"),
        (&data, "fingerprint=x", "fingerprint"),
        (&people, "q=inside-user-canary", "q"),
        (&data, "q=x", "q"),
    ] {
        let query = query.replace('[', "%5B").replace(']', "%5D");
        assert_problem(&get(&tally, key, &format!("/apps/shop/events?{query}")).await, 400, &[field]);
    }
    // An attribute of this name is no search.
    assert_eq!(get(&tally, &people, "/apps/shop/events?attr.q=x").await.status, 200);
    let groups = "/apps/shop/stats/groups?since=2026-11-20&attr=";
    for attr in ["user_id", "session_id", "message"] {
        assert_problem(&get(&tally, &people, &format!("{groups}{attr}")).await, 400, &["attr"]);
    }
    assert_eq!(get(&tally, &people, &format!("{groups}plan")).await.json["items"].as_array().unwrap().len(), 2);
    for path in [groups, "/apps/shop/stats/top-messages", "/apps/shop/events", "/apps/shop/rejected"] {
        let reply = get(&tally, &statistics, path).await;
        assert_problem(&reply, 403, &[]);
        assert!(reply.json["detail"].as_str().unwrap().contains("only statistics"), "{}", reply.json);
    }
}

#[tokio::test]
async fn filters_of_the_caller_and_of_the_key_combine() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let events: Vec<_> = (0..12)
        .map(|n| {
            let (name, level) = (["buy", "visit", "leave"][n % 3], ["ERROR", "INFO"][n % 2]);
            let plan = ["pro", "free"][n / 6];
            json!({"name": name, "level": level, "data": {"plan": plan}, "id": format!("{n}"),
                "timestamp": format!("2026-11-21T09:{n:02}:00Z")})
        })
        .collect();
    let ids = tally.accept(&app, &json!(events)).await["ids"].clone();
    tally.drain().await;
    tally.clock.set(tally.clock.now() + HOUR);
    let key = share(&tally, json!({"filter": {"name": ["buy", "visit"], "level[ne]": "INFO"}})).await;
    // 0, 4, 6, 10
    let total = async |query: &str| {
        let reply = get(&tally, &key, &format!("/apps/shop/reports/day?date=2026-11-21{query}")).await;
        assert_eq!(reply.status, 200, "{}", reply.json);
        reply.json["total"].as_i64().unwrap()
    };
    for (query, expected) in [
        ("", 4),
        ("&name=buy", 2),
        ("&name=buy&name=leave", 2),
        ("&name=leave", 0),
        ("&level=INFO", 0),
        ("&level=ERROR,INFO", 4),
        ("&name%5Bne%5D=buy", 2),
    ] {
        assert_eq!(total(query).await, expected, "{query}");
    }
    // Page by page: a cursor holds what was asked, and the key what may be read.
    let mut path = "/apps/shop/events?limit=1&level=ERROR".to_owned();
    let mut listed = Vec::new();
    loop {
        let page = get(&tally, &key, &path).await;
        assert_eq!(page.status, 200, "{}", page.json);
        listed.extend(page.json["items"].as_array().unwrap().iter().map(|event| event["client_id"].clone()));
        match page.json["next"].as_str() {
            Some(next) => path = format!("/apps/shop/events?cursor={next}"),
            None => break,
        }
    }
    assert_eq!(listed, ["10", "6", "4", "0"]);
    // The cursor of somebody who may read all gives no more.
    let all = tally.ask(&app, "/events?limit=1").await;
    let rest = get(&tally, &key, &format!("/apps/shop/events?limit=50&cursor={}", all["next"].as_str().unwrap())).await;
    assert_eq!(column(&rest.json["items"], "client_id"), ["10", "6", "4", "0"]);
    let names = tally.ask(&app, "/stats/by-name?since=2026-11-21&limit=1").await;
    let rest = get(&tally, &key, &format!("/apps/shop/stats/by-name?cursor={}", names["next"].as_str().unwrap())).await;
    assert!(!rest.json.to_string().contains("leave"), "{}", rest.json);
    for (n, status) in [(0, 200), (1, 404), (2, 404), (4, 200)] {
        let reply = get(&tally, &key, &format!("/apps/shop/events/{}", ids[n].as_str().unwrap())).await;
        assert_eq!(reply.status.as_u16(), status, "{n}");
    }
    let chart = get(&tally, &key, "/apps/shop/histogram/visit/20261121.json").await;
    assert_eq!((chart.status.as_u16(), &chart.json["total"]), (200, &json!(2)), "{}", chart.json);

    let picture = get(&tally, &key, "/apps/shop/histogram/visit/20261121.svg").await;
    assert_eq!(picture.status, 200);
    assert!(picture.headers["content-security-policy"].to_str().unwrap().contains("sandbox"));

    let pro = share(&tally, json!({"filter": {"attr.plan": "pro"}, "hide": ["data"], "statistics_only": true})).await;
    let overview = get(&tally, &pro, "/apps/shop/stats/overview?since=2026-11-21&name=buy").await;
    assert_eq!((overview.status.as_u16(), &overview.json["total"]), (200, &json!(2)), "{}", overview.json);
    assert_eq!(overview.json["messages"], json!([]));
    let refused = get(&tally, &pro, "/apps/shop/stats/overview?since=2026-11-21&attr.plan=pro").await;
    assert_problem(&refused, 400, &["attr.plan"]);

    let pro = share(&tally, json!({"filter": {"attr.plan": "pro"}, "hide": ["data"]})).await;
    let list = get(&tally, &pro, "/apps/shop/events").await;
    assert_eq!(list.json["items"].as_array().unwrap().len(), 6, "{}", list.json);
    let day = get(&tally, &pro, "/apps/shop/reports/day?date=today").await;
    assert_eq!((day.status.as_u16(), &day.json["total"]), (200, &json!(6)), "{}", day.json);
    assert_problem(&get(&tally, &pro, "/apps/shop/stats/totals").await, 403, &[]);
}

#[tokio::test]
async fn a_key_expires_and_says_since_when() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    let now = tally.clock.now();
    let far = crate::sessions::far(&tally, tally_service::config::Config::default());
    let (soon, later) = (
        share(&tally, json!({"expires_at": "30m"})).await,
        share(&tally, json!({"expires_at": "90d", "label": "board"})).await,
    );
    let exact = share(&tally, json!({"expires_at": "2026-11-21T11:00:00Z"})).await;
    let status = async |key: &str| get(&tally, key, "/apps/shop/events").await.status.as_u16();
    tally.clock.set(now + 30 * MINUTE - SECOND);
    assert_eq!((status(&soon).await, status(&later).await, status(&exact).await), (200, 200, 200));
    tally.clock.set(now + 30 * MINUTE);
    for path in ["/apps/shop/events".to_owned(), "/auth".to_owned(), format!("/apps/shop/events?read_key={later}")] {
        let reply = get(&tally, &soon, &path).await;
        assert_problem(&reply, 401, &[]);
        assert_eq!(reply.json["type"], "urn:tally:expired-key");
        assert_eq!(reply.json["expired_at"], "2026-11-21T10:38:25.123456Z");
        assert!(reply.json["detail"].as_str().unwrap().contains("expired at 2026-11-21T10:38:25"), "{}", reply.json);
    }
    tally.clock.set(now + 89 * DAY);
    assert_eq!((status(&later).await, status(&exact).await), (200, 401));
    tally.clock.set(now + 90 * DAY);
    assert_eq!(status(&later).await, 401);

    // A key that sends, too; and one that is revoked, in another process.
    let sends = json!({"scopes": ["ingest", "read"], "expires_at": "1h"});
    let made = admin(&tally, Method::POST, "/apps/shop/keys", &sends).await.json;
    let key = made["key"].as_str().unwrap().to_owned();
    let ask_far = async |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
        let Ok(reply) = tower::ServiceExt::oneshot(far.clone(), request.body(Body::empty()).unwrap()).await;
        reply.status().as_u16()
    };
    assert_eq!(ask_far(Method::POST, "/apps/shop/count/a").await, 201);
    tally.clock.set(tally.clock.now() + HOUR);
    assert_eq!(ask_far(Method::POST, "/apps/shop/count/a").await, 401);
    assert_eq!(ask_far(Method::POST, &format!("/event-tracker/{key}/api/events/a")).await, 401);
}

#[tokio::test]
async fn a_key_is_told_what_it_may_do_and_its_maker_all() {
    let tally = Tally::start().await;
    tally.app("shop").await;
    let filter = json!({"level": ["ERROR", "FATAL"], "user_id": "ann-canary", "attr.plan[ne]": "free"});
    let body = json!({"scopes": ["read"], "label": "board", "filter": filter, "hide": ["data", "people"],
        "expires_at": "2w", "view": "?app=shop&view=overview&since=24h"});
    let made = admin(&tally, Method::POST, "/apps/shop/keys", &body).await.json;
    let listed = json!({"level": ["ERROR", "FATAL"], "user_id": ["ann-canary"], "attr.plan[ne]": ["free"]});
    assert_eq!(
        (&made["filter"], &made["hide"], &made["statistics_only"]),
        (&listed, &json!(["people", "data"]), &json!(false))
    );
    assert_eq!(
        (&made["expires_at"], &made["view"]),
        (&json!("2026-12-05T10:08:25.123456Z"), &json!("app=shop&view=overview&since=24h"))
    );
    let list = admin(&tally, Method::GET, "/apps/shop/keys", &json!({})).await.json;
    let in_list = list["items"].as_array().unwrap().iter().find(|key| key["id"] == made["id"]).unwrap();
    assert_eq!((&in_list["filter"], &in_list["label"], in_list.get("key")), (&listed, &json!("board"), None));

    let key = made["key"].as_str().unwrap();
    let own = get(&tally, key, "/auth").await.json;
    assert_eq!(own["filter"], json!({"level": ["ERROR", "FATAL"]}), "what is hidden is not told by a filter either");
    for field in ["label", "hide", "statistics_only", "expires_at", "view", "scopes"] {
        assert_eq!(own[field], made[field], "{field}");
    }
    assert_eq!((&own["app"], &own["app_name"]), (&json!("shop"), &json!("shop")));
    assert_eq!(get(&tally, key, "/apps/shop").await.json, json!({"id": "shop", "name": "shop"}));

    for (body, fields) in [
        (json!({"filter": {"level": "LOUD"}}), vec!["filter.level"]),
        (json!({"filter": {"since": "7d"}}), vec!["filter.since"]),
        (json!({"filter": {"attr.a[like]": "x"}}), vec!["filter.attr.a[like]"]),
        (json!({"filter": {"name": {"a": 1}}}), vec!["filter.name"]),
        (json!({"filter": [1]}), vec!["filter"]),
        (json!({"filter": {"name": "x".repeat(2_100)}}), vec!["filter"]),
        (json!({"hide": ["users"]}), vec!["hide"]),
        (json!({"hide": "people"}), vec!["hide"]),
        (json!({"statistics_only": "yes"}), vec!["statistics_only"]),
        (json!({"view": "x".repeat(2_049)}), vec!["view"]),
        (json!({"view": "app=shop&read_key=secret"}), vec!["view"]),
        (json!({"chart": "since=7d", "hide": ["data"]}), vec!["chart"]),
        (json!({"chart": "since=soon"}), vec!["chart.since"]),
        (json!({"chart": "?since=7d&color=red&by=day"}), vec!["chart.by", "chart.color"]),
        (json!({"chart": "since=7d&since=8d"}), vec!["chart.since"]),
        (json!({"chart": "since=7d&interval=MINUTE"}), vec!["chart.interval"]),
        (json!({"chart": "since=7d&level=LOUD&tz=Nowhere&width=9"}), vec!["chart.level", "chart.tz", "chart.width"]),
        (json!({"chart": "since=7d&compare=previous"}), vec!["chart.compare"]),
        (json!({"chart": "attr.n[like]=1"}), vec!["chart.attr.n[like]"]),
        (json!({"expires_at": "yesterday-ish"}), vec!["expires_at"]),
        (json!({"expires_at": "2026-11-21T10:00:00Z"}), vec!["expires_at"]),
        (json!({"expires_at": "0d"}), vec!["expires_at"]),
        (json!({"expires_at": "4000000000w"}), vec!["expires_at"]),
        (json!({"scopes": ["ingest", "read"], "hide": ["people"]}), vec!["scopes"]),
        (json!({"scopes": ["ingest"], "view": "a=b"}), vec!["scopes"]),
    ] {
        let mut body = body;
        if body["scopes"].is_null() {
            body["scopes"] = json!(["read"]);
        }
        assert_problem(&admin(&tally, Method::POST, "/apps/shop/keys", &body).await, 400, &fields);
    }
}

#[tokio::test]
async fn a_key_of_one_chart_gives_this_picture_and_nothing_else() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let events = json!([{"name": "buy", "level": "ERROR"}, {"name": "visit"}, {"name": "visit"}]);
    tally.accept(&app, &events).await;
    tally.drain().await;
    let chart = json!({"chart": "?since=2026-11-21&interval=HOUR&by=name&name=visit&title=Visits", "expires_at": "1w"});
    let key = share(&tally, chart).await;
    let picture = async |path: &str| {
        let request = Request::get(format!("/apps/shop/{path}")).body(Body::empty()).unwrap();
        let (parts, body) = tally.raw(request).await;
        (parts, String::from_utf8_lossy(&body).into_owned())
    };
    let (parts, svg) = picture(&format!("chart.svg?read_key={key}")).await;
    assert_eq!(parts.status, 200, "{svg}");
    assert!(svg.contains("Visits") && svg.contains("visit") && !svg.contains("buy"), "{svg}");
    for (name, value) in [
        ("content-type", "image/svg+xml"),
        ("cache-control", "public, max-age=60"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    ] {
        assert_eq!(parts.headers[name], value, "{name}");
    }
    let etag = parts.headers["etag"].to_str().unwrap().to_owned();
    let again = Request::get(format!("/apps/shop/chart.svg?read_key={key}")).header("if-none-match", etag);
    let (parts, _) = tally.raw(again.body(Body::empty()).unwrap()).await;
    assert_eq!((parts.status.as_u16(), &parts.headers["cache-control"]), (304, &"public, max-age=60".parse().unwrap()));
    // How it looks is up to who shows it.
    let (parts, dark) = picture(&format!("chart.svg?read_key={key}&theme=dark&width=900&height=300&title=Mine")).await;
    assert_eq!(parts.status, 200, "{dark}");
    assert!(dark.contains("Mine") && !dark.contains("Visits") && dark.contains("900") && dark != svg, "{dark}");
    let (parts, png) = picture(&format!("chart.png?read_key={key}")).await;
    assert_eq!(
        (&parts.headers["content-type"], &parts.headers["cache-control"]),
        (&"image/png".parse().unwrap(), &"public, max-age=60".parse().unwrap()),
        "{png}"
    );

    for wider in
        ["since=2026-01-01", "name=buy", "name[ne]=visit", "by=level", "interval=DAY", "until=now", "color=red"]
    {
        let path = format!("/apps/shop/chart.svg?{}", wider.replace('[', "%5B").replace(']', "%5D"));
        assert_problem(&get(&tally, &key, &path).await, 400, &[wider.split('=').next().unwrap()]);
    }
    for closed in
        ["events", "reports/day?date=today", "stats/overview", "stats/totals", "histogram?date=today", "attributes", ""]
    {
        assert_problem(&get(&tally, &key, format!("/apps/shop/{closed}").trim_end_matches('/')).await, 403, &[]);
    }
    let own = get(&tally, &key, "/auth").await.json;
    assert_eq!(
        (&own["chart"], &own["filter"]),
        (&json!("since=2026-11-21&interval=HOUR&by=name&name=visit&title=Visits"), &json!(null))
    );

    let secret = "since=7d&user_id=secret-user&attr.plan%5Bne%5D=secret-plan&level=ERROR";
    let other = share(&tally, json!({"chart": secret})).await;
    assert_eq!(get(&tally, &other, "/auth").await.json["chart"], "since=7d&level=ERROR");
    let other = share(&tally, json!({"hide": ["people"], "view": format!("app=shop&{secret}")})).await;
    let shown = "app=shop&since=7d&attr.plan%5Bne%5D=secret-plan&level=ERROR";
    assert_eq!(get(&tally, &other, "/auth").await.json["view"], shown);

    // Other keys read charts within their bounds, and no cache of others keeps them.
    let bounded = share(&tally, json!({"filter": {"name": "visit"}, "statistics_only": true})).await;
    let (parts, svg) = picture(&format!("chart.svg?read_key={bounded}&since=2026-11-21&by=name")).await;
    assert!(svg.contains("visit") && !svg.contains("buy"), "{svg}");
    assert!(parts.headers["cache-control"].to_str().unwrap().starts_with("private"), "{:?}", parts.headers);
    tally.clock.set(tally.clock.now() + 7 * DAY);
    let (parts, told) = picture(&format!("chart.svg?read_key={key}")).await;
    assert_eq!(parts.status, 401);
    assert!(told.contains("urn:tally:expired-key"), "{told}");
}
