//! What a page view tells beside what the page sends: from where, with what, and in which country.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tally_service::config::Config;

use crate::harness::{Reply, Tally, TestApp};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const SAFARI: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Version/26.1 Safari/605.1.15";
const URL: &str = "https://www.shop.example/cart?utm_source=news&utm_campaign=May#top";

async fn post(tally: &Tally, path: &str, body: &Value, headers: &[(&str, &str)]) -> Reply {
    let request = Request::post(path).header("accept-language", "de-at,de;q=0.8");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    tally.send(request.body(Body::from(body.to_string())).unwrap()).await
}

/// The data of the newest event.
async fn newest(tally: &Tally, app: &TestApp) -> Value {
    let mut events = tally.list(app, "consistent=true&limit=1").await;
    tally.clock.set(tally.clock.now() + tally_core::time::SECOND);
    events.remove(0)["data"].take()
}

/// A page view of each family, with where it is sent.
fn views(app: &TestApp) -> [(&'static str, String, Value); 3] {
    let key = &app.ingest_key;
    let referrer = "https://www.example.org/a?b";
    let umami = json!({"website": "w", "hostname": "shop.example", "url": URL, "referrer": referrer, "title": "Cart",
        "screen": "1920x1080", "language": "de-AT"});
    [
        (
            "script",
            format!("/collect?key={key}&z=Europe/Vienna&w=1920"),
            json!([{"name": "pageview", "data": {"url": URL, "referrer": referrer, "title": "Cart"}}]),
        ),
        (
            "plausible",
            format!("/k/{key}/api/event"),
            json!({"n": "pageview", "u": URL, "d": "shop.example", "r": referrer, "w": 1920, "h": 1}),
        ),
        ("umami", format!("/k/{key}/api/send"), json!({"type": "event", "payload": umami})),
    ]
}

#[tokio::test]
async fn every_family_tells_the_same_of_a_page_view() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (family, path, body) in views(&app) {
        let reply = post(&tally, &path, &body, &[("user-agent", FIREFOX)]).await;
        assert!(reply.status.is_success(), "{family}: {}", reply.json);
        let data = newest(&tally, &app).await;
        for (name, value) in [
            ("url", json!(URL)),
            ("path", json!("/cart")),
            ("referrer", json!("https://www.example.org/a?b")),
            ("referrer_host", json!("example.org")),
            ("utm_source", json!("news")),
            ("utm_campaign", json!("May")),
            ("utm_medium", Value::Null),
            ("browser", json!("Firefox")),
            ("os", json!("Linux")),
            ("device", json!("desktop")),
            ("language", json!("de-AT")),
            // Only Tally's own script tells the time zone.
            ("country", if family == "script" { json!("AT") } else { Value::Null }),
            ("country_guessed", if family == "script" { json!(true) } else { Value::Null }),
        ] {
            assert_eq!(data[name], value, "{family}: {name}");
        }
    }
}

#[tokio::test]
async fn what_the_page_itself_says_stays_and_other_events_tell_their_path_alone() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let path = format!("/collect?key={}&z=Europe/Vienna", app.ingest_key);
    let body = json!([{"name": "pageview", "data": {"url": URL, "browser": "Mine", "country": "NZ", "path": "/a"}}]);
    post(&tally, &path, &body, &[("user-agent", FIREFOX)]).await;
    let data = newest(&tally, &app).await;
    assert_eq!((&data["browser"], &data["country"], &data["path"]), (&json!("Mine"), &json!("NZ"), &json!("/a")));
    post(&tally, &path, &json!([{"name": "signup", "data": {"url": URL}}]), &[("user-agent", FIREFOX)]).await;
    assert_eq!(newest(&tally, &app).await, json!({"url": URL, "path": "/cart"}));
}

#[tokio::test]
async fn an_ipad_is_told_by_its_screen() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    for (width, os, device) in [("834", "iPadOS", "tablet"), ("1512", "macOS", "desktop")] {
        let path = format!("/collect?key={}&w={width}", app.ingest_key);
        post(&tally, &path, &json!([{"name": "pageview"}]), &[("user-agent", SAFARI)]).await;
        let data = newest(&tally, &app).await;
        assert_eq!((&data["os"], &data["device"]), (&json!(os), &json!(device)), "{width}");
    }
}

#[tokio::test]
async fn bots_are_dropped_in_the_words_of_each_family_and_are_counted_as_rejected() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    for (family, path, body) in views(&app) {
        let reply = post(&tally, &path, &body, &[("user-agent", bot)]).await;
        match family {
            "script" => assert_eq!(reply.json, json!({"accepted": 0, "rejected": 1})),
            "plausible" => {
                assert_eq!(
                    (reply.status.as_u16(), &reply.headers["x-plausible-dropped"]),
                    (202, &"1".parse().unwrap())
                );
            }
            _ => assert_eq!((reply.status.as_u16(), reply.json), (200, json!({"beep": "boop"}))),
        }
    }
    // A server that hands on what it knows of a visitor is none.
    let (_, path, body) = &views(&app)[1];
    for program in ["node", "python-requests/2.34.2", "Mozilla/5.0 Umami/v24.11.0"] {
        let reply = post(&tally, path, body, &[("user-agent", program)]).await;
        assert!(!reply.headers.contains_key("x-plausible-dropped"), "{program}");
    }
    assert_eq!(tally.list(&app, "consistent=true").await.len(), 3);
    tally.context.rejections.written().await;
    let rejected = tally.ask(&app, "/rejected").await["items"].clone();
    let kinds: Vec<_> =
        rejected.as_array().unwrap().iter().map(|kind| (&kind["reason"], &kind["count"], &kind["sample"])).collect();
    assert_eq!(kinds, [(&json!("bot"), &json!(1), &json!(bot)); 3]);
}

/// The country that a page view gets.
async fn country(tally: &Tally, app: &TestApp, headers: &[(&str, &str)]) -> Value {
    let path = format!("/collect?key={}", app.ingest_key);
    let reply = post(tally, &path, &json!([{"name": "pageview"}]), headers).await;
    assert_eq!(reply.json["accepted"], 1);
    newest(tally, app).await["country"].take()
}

#[tokio::test]
async fn a_header_tells_the_country_only_where_a_setting_names_it_and_a_browser_sends() {
    let header = ("cloudfront-viewer-country", "NL");
    let origin = ("origin", "https://shop.example");
    let plain = Tally::start().await;
    let app = plain.app("shop").await;
    assert_eq!(country(&plain, &app, &[header, origin]).await, Value::Null, "anybody could send it");
    let config = Config { country_header: Some("cloudfront-viewer-country".to_owned()), ..Config::default() };
    let tally = Tally::with(config).await;
    let app = tally.app("shop").await;
    assert_eq!(country(&tally, &app, &[header, origin]).await, "NL");
    assert_eq!(country(&tally, &app, &[("cloudfront-viewer-country", "XX"), origin]).await, Value::Null);
    assert_eq!(country(&tally, &app, &[header]).await, Value::Null, "a server's country is not the visitor's");
}

#[tokio::test]
async fn a_database_tells_the_country_of_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("countries.mmdb");
    std::fs::write(&file, database("GeoLite2-Country", &[([203, 0, 113, 0], 24, "AU"), ([198, 51, 100, 0], 25, "CH")]))
        .unwrap();
    let tally = Tally::start().await;
    assert!(tally.context.countries.set(ingest::geoip::read(&file).unwrap()).is_ok());
    let app = tally.app("shop").await;
    for (address, expected) in [
        ("203.0.113.7", json!("AU")),
        ("::ffff:203.0.113.7", json!("AU")),
        ("198.51.100.127", json!("CH")),
        ("198.51.100.128", Value::Null),
        ("2001:db8::1", Value::Null),
    ] {
        assert_eq!(country(&tally, &app, &[("x-forwarded-for", address)]).await, expected, "{address}");
    }
    // That of the visitor, whom a server of Umami's clients names, and not the server's.
    let body = json!({"type": "event", "payload": {"website": "w", "url": "/", "ip": "203.0.113.9"}});
    post(&tally, &format!("/k/{}/api/send", app.ingest_key), &body, &[("x-forwarded-for", "198.51.100.1")]).await;
    assert_eq!(newest(&tally, &app).await["country"], "AU");
}

#[test]
fn a_file_that_tells_no_countries_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.mmdb");
    let refused = || ingest::geoip::read(&file).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused().starts_with("TALLY_GEOIP: ") && refused().contains("other.mmdb"), "{}", refused());
    std::fs::write(&file, "not a database").unwrap();
    assert!(refused().contains("Name a database in MaxMind's format"), "{}", refused());
    std::fs::write(&file, database("GeoLite2-ASN", &[([203, 0, 113, 0], 24, "AU")])).unwrap();
    assert!(refused().contains("\"GeoLite2-ASN\" has no countries"), "{}", refused());
}

/// A database in the format of `MaxMind` (<https://maxmind.github.io/MaxMind-DB/>) with the countries of some IPv4 networks.
fn database(kind: &str, networks: &[([u8; 4], u8, &str)]) -> Vec<u8> {
    fn text(text: &str) -> Vec<u8> {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 29, "longer ones are written otherwise");
        [&[2 << 5 | length], text.as_bytes()].concat()
    }
    fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let written = fields.iter().flat_map(|(name, value)| [text(name), value.clone()]).flatten();
        [7 << 5 | u8::try_from(fields.len()).unwrap()].into_iter().chain(written).collect()
    }
    let short = |number: u16| [&[5 << 5 | 2][..], &number.to_be_bytes()].concat();
    let (mut data, mut nodes) = (Vec::new(), vec![[None, None]]);
    for (address, length, country) in networks {
        let place = data.len();
        data.extend(map(&[("country", map(&[("iso_code", text(country))]))]));
        let mut node: usize = 0;
        for bit in 0..*length {
            let side = usize::from(address[usize::from(bit / 8)] >> (7 - bit % 8) & 1);
            if bit + 1 == *length {
                nodes[node][side] = Some(Err(place));
            } else {
                let known = nodes[node][side].and_then(Result::ok);
                node = known.unwrap_or_else(|| {
                    nodes.push([None, None]);
                    let next = nodes.len() - 1;
                    nodes[node][side] = Some(Ok(next));
                    next
                });
            }
        }
    }
    let count = nodes.len();
    let record = |record: &Option<Result<usize, usize>>| {
        let value = match record {
            None => count,
            Some(Ok(node)) => *node,
            Some(Err(place)) => count + 16 + place,
        };
        u32::try_from(value).unwrap().to_be_bytes()[1..].to_vec()
    };
    let tree = nodes.iter().flatten().flat_map(record);
    let metadata = map(&[
        ("binary_format_major_version", short(2)),
        ("binary_format_minor_version", short(0)),
        ("build_epoch", vec![4, 2, 0x69, 0x20, 0, 0]),
        ("database_type", text(kind)),
        ("description", map(&[])),
        ("ip_version", short(4)),
        ("languages", vec![0, 4]),
        ("node_count", [&[6 << 5 | 4][..], &u32::try_from(count).unwrap().to_be_bytes()].concat()),
        ("record_size", short(24)),
    ]);
    let marker = b"\xab\xcd\xefMaxMind.com".iter().copied();
    tree.chain([0; 16]).chain(data).chain(marker).chain(metadata).collect()
}
