//! What the servers of the shop write: log lines of all levels, errors of the back end, and a bad evening now and then.

use fastrand::Rng;
use serde_json::{Value, json};

use super::deploys::Deploy;
use super::dice::{dice, one_of, spread};

/// Requests and jobs of a day that are logged, on average. Each writes some lines at once, so that counting the demo takes
/// little: a line in a minute of its own costs a counter of its own.
const LOGGED: i64 = 34;
/// The microseconds of a second.
const SECOND: i64 = 1_000_000;
/// A day in microseconds.
const DAY: i64 = 24 * 3600 * SECOND;
/// How busy the servers are, by the hour in UTC.
const HOURS: [(i64, u32); 24] = [
    (0, 4),
    (1, 3),
    (2, 6),
    (3, 5),
    (4, 2),
    (5, 3),
    (6, 5),
    (7, 8),
    (8, 10),
    (9, 10),
    (10, 11),
    (11, 12),
    (12, 12),
    (13, 11),
    (14, 11),
    (15, 12),
    (16, 13),
    (17, 15),
    (18, 17),
    (19, 18),
    (20, 15),
    (21, 11),
    (22, 8),
    (23, 5),
];

/// The log lines of a day, with their times in microseconds from 1970.
pub(super) fn logs(seed: u64, day: i64) -> Vec<(i64, Value)> {
    let mut rng = dice(seed, &[7, day]);
    let mut events = vec![];
    for _ in 0..rng.i64(LOGGED * 9 / 10..LOGGED * 11 / 10) {
        let mut at = day * DAY + one_of(&mut rng, &HOURS) * 3600 * SECOND + rng.i64(0..3600) * SECOND;
        for _ in 0..rng.u32(1..6) {
            at += rng.i64(SECOND / 100..SECOND / 2);
            events.push((at, line(&mut rng, &Deploy::at(seed, at).version())));
        }
    }
    // Jobs of the night.
    for (minute, name, took) in [(135, "nightly export", 95.0), (150, "rebuild search index", 240.0)] {
        let at = day * DAY + (minute * 60 + rng.i64(0..40)) * SECOND;
        let data = json!({"job": name, "seconds": whole(spread(&mut rng, took)) + 10, "host": "worker-1"});
        events.push((
            at,
            json!({"name": "job finished", "category": "worker", "level": "INFO",
            "message": format!("{name} finished"), "data": data}),
        ));
    }
    // Every eleventh day the payment provider is away for half an hour of the evening.
    if day.rem_euclid(11) == 5 {
        let start = day * DAY + 18 * 3600 * SECOND + rng.i64(0..3600 * SECOND);
        for n in 0..rng.i64(22..38) {
            let at = start + n * rng.i64(30..60) * SECOND;
            events.push((at, away(&mut rng, &Deploy::at(seed, at).version())));
        }
    }
    if day.rem_euclid(6) == 2 {
        let at = day * DAY + one_of(&mut rng, &HOURS) * 3600 * SECOND + rng.i64(0..3600 * SECOND);
        events.push((at, json!({"name": "worker killed", "category": "worker", "level": "FATAL",
            "message": "worker-2 was killed: out of memory", "data": {"host": "worker-2", "mb": 2048, "job": "resize pictures"}})));
    }
    events
}

fn line(rng: &mut Rng, release: &str) -> Value {
    let host = one_of(rng, &[("web-1", 5), ("web-2", 5)]);
    let route = one_of(
        rng,
        &[("/api/products", 9), ("/api/search", 5), ("/api/cart", 4), ("/api/checkout", 2), ("/api/account", 2)],
    );
    let ms = whole(spread(rng, 34.0)) + 3;
    match one_of(
        rng,
        &[('t', 11), ('d', 26), ('r', 26), ('m', 12), ('s', 8), ('q', 5), ('b', 3), ('p', 2), ('c', 2), ('i', 1)],
    ) {
        't' => {
            json!({"name": "cache", "category": "api", "level": "TRACE", "message": one_of(rng, &[("hit", 7), ("miss", 3)]),
            "data": {"key": format!("product:{}", rng.u32(1..40)), "host": host}})
        }
        'd' => json!({"name": "query", "category": "api", "level": "DEBUG", "message": format!("SELECT … FROM {}",
            one_of(rng, &[("products", 5), ("carts", 3), ("orders", 2)])), "data": {"ms": ms / 4 + 1, "host": host}}),
        'r' => json!({"name": "request", "category": "api", "level": "INFO", "message": format!("GET {route}"),
            "data": {"route": route, "status": 200, "ms": ms, "host": host}}),
        'm' => json!({"name": "email sent", "category": "worker", "level": "INFO",
            "message": one_of(rng, &[("order confirmation", 5), ("shipping notice", 4), ("welcome", 2), ("password reset", 1)]),
            "data": {"ms": ms * 3, "host": "worker-1"}}),
        's' => json!({"name": "slow query", "category": "api", "level": "WARN",
            "message": format!("slow query on {}", one_of(rng, &[("orders", 4), ("products", 2), ("reviews", 1)])),
            "data": {"ms": 1_000 + ms * 12, "host": host}}),
        'q' => json!({"name": "retry", "category": "worker", "level": "WARN",
            "message": one_of(rng, &[("webhook of the carrier is tried again", 3), ("email is tried again", 2)]),
            "data": {"attempt": rng.u32(2..5), "host": "worker-1"}}),
        'b' => json!({"name": "stock low", "category": "shop", "level": "WARN",
            "message": format!("stock of {} is below 5", one_of(rng, &[("headlamp", 3), ("camp-stove", 2), ("enamel-mug", 2)])),
            "data": {"left": rng.u32(0..5)}}),
        'c' => exception(&RESET, release, host),
        'i' => exception(&PICTURE, release, "worker-2"),
        _ => away(rng, release),
    }
}

/// The payment provider does not answer.
fn away(rng: &mut Rng, release: &str) -> Value {
    let host = one_of(rng, &[("web-1", 1), ("web-2", 1)]);
    let mut event = exception(&PAYMENT, release, host);
    event["data"]["order"] = format!("T-{}", rng.u32(10_000..99_999)).into();
    event["data"]["seconds"] = 10.into();
    event
}

/// An exception of the back end: type, value, and frames of function, file, line.
struct Exception(&'static str, &'static str, &'static [(&'static str, &'static str, u32)]);

const PAYMENT: Exception = Exception(
    "PaymentTimeout",
    "the payment provider did not answer within 10 s",
    &[
        ("charge", "shop/payments.py", 118),
        ("place_order", "shop/orders.py", 64),
        ("post_checkout", "shop/api.py", 203),
        ("__call__", "site-packages/starlette/routing.py", 290),
    ],
);
const RESET: Exception = Exception(
    "ConnectionResetError",
    "[Errno 104] Connection reset by peer",
    &[
        ("recv", "site-packages/urllib3/connection.py", 516),
        ("track_parcel", "shop/carrier.py", 47),
        ("refresh_parcels", "shop/jobs.py", 88),
    ],
);
const PICTURE: Exception = Exception(
    "UnidentifiedImageError",
    "cannot identify image file",
    &[("open", "site-packages/PIL/Image.py", 3498), ("resize", "shop/pictures.py", 33), ("run", "shop/jobs.py", 21)],
);

fn exception(&Exception(kind, value, frames): &Exception, release: &str, host: &str) -> Value {
    let in_app = |file: &str| !file.starts_with("site-packages/");
    let listed: Value = frames
        .iter()
        .map(|(function, file, line)| {
            json!({"function": function, "filename": file, "lineno": line, "in_app": in_app(file)})
        })
        .collect();
    let own = frames.iter().find(|(_, file, _)| in_app(file)).map_or("", |(function, ..)| function);
    json!({
        "name": kind, "category": "error", "level": "ERROR", "message": format!("{kind}: {value}"),
        "fingerprint": format!("{kind} in {own}"), "stack": [{"type": kind, "value": value, "frames": listed}],
        "data": {"host": host}, "tags": {"release": release, "environment": "production"},
    })
}

#[allow(clippy::cast_possible_truncation)] // milliseconds or seconds of something short
fn whole(number: f64) -> i64 {
    number as i64
}
