//! The ranges that query strings name: of lists, of reports, of statistics.

#![no_main]

use fuzz::{app, now};
use libfuzzer_sys::fuzz_target;
use query::AskedList;
use reports::{Period, TimeRange};
use tally_core::app::EventClock;
use tally_core::time::calendar::{Interval, MAX_BUCKETS};
use tally_core::time::moment::Calendar;
use tally_core::time::zone::Zone;
use tally_core::time::{DAY, HOUR, Range, TimeDelta, Timestamp};
use tally_http::parameters::{FromQuery, Params};

fuzz_target!(|data: &[u8]| {
    let Some((about, query)) = data.split_first() else { return };
    let Ok(query) = std::str::from_utf8(query) else { return };
    match about % 7 {
        0 => list(query),
        1 => statistic(query),
        2 => report("hour", query),
        3 => report("day", query),
        4 => report("week", query),
        5 => report("month", query),
        _ => report("period", query),
    }
});

fn list(query: &str) {
    let Ok(AskedList { query, .. }) = AskedList::read(Some(query), &app(EventClock::Event), now()) else { return };
    nameable(query.range);
    assert!((1..=1_000).contains(&query.limit) && query.skip <= 10_000, "{query:?}");
}

fn statistic(query: &str) {
    let Some((mut params, calendar)) = in_calendar(query) else { return };
    let range = TimeRange::in_calendar(&mut params, &calendar);
    let zone = calendar.zone;
    if params.finish().is_ok() {
        let TimeRange(range) = range.expect("a range, since no error was recorded");
        nameable(range);
        series(range, Interval::Hour, &zone);
    }
}

/// The parameters of a query and its calendar; none where the calendar is wrong, which is then said.
fn in_calendar(query: &str) -> Option<(Params, Calendar)> {
    let mut params = Params::parse(Some(query));
    let Some(calendar) = Calendar::read(&mut params, now()) else {
        assert!(params.finish().is_err(), "{query}");
        return None;
    };
    Some((params, calendar))
}

fn report(name: &str, query: &str) {
    let period = Period::of_name(name).expect("a report");
    let Some((mut params, calendar)) = in_calendar(query) else { return };
    let asked = period.read(&mut params, &calendar);
    let zone = calendar.zone;
    if params.finish().is_err() {
        return;
    }
    let asked = asked.expect("a range, since no error was recorded");
    let range = asked.range;
    nameable(range);
    let length = range.until() - range.since();
    let days = match period {
        Period::Hour => 0..=0,
        Period::Day => 1..=1,
        Period::Week => 7..=7,
        Period::Month => 28..=31,
        Period::Between => 0..=(Timestamp::MAX - Timestamp::EPOCH) / DAY,
    };
    if period == Period::Hour {
        // Clocks skip an hour, or pass it twice, at most three hours apart.
        assert!(length <= 4 * HOUR && asked.parts.len() <= 2, "{range:?}");
    } else if zone.name() == "UTC" && period != Period::Between {
        assert!(length % DAY == TimeDelta::ZERO && days.contains(&(length / DAY)), "{range:?}");
    } else {
        // Clocks change, and Samoa has left out a day.
        assert!(length >= (days.start() - 1) * DAY && length <= (days.end() + 1) * DAY);
    }
    series(range, period.interval(), &zone);
}

fn nameable(range: Range) {
    assert!(Timestamp::EPOCH <= range.since(), "{range:?}");
    assert!(range.since() <= range.until() && range.until() <= Timestamp::MAX, "{range:?}");
}

/// The buckets of a range cover it, in order.
fn series(range: Range, interval: Interval, zone: &Zone) {
    let Ok(starts) = interval.starts(range, zone) else { return };
    assert!(starts.len() <= MAX_BUCKETS);
    assert_eq!(starts.is_empty(), range.is_empty(), "{range:?}");
    assert!(starts.first().is_none_or(|first| *first <= range.since()), "{range:?}");
    assert!(starts.iter().skip(1).all(|start| range.contains(*start)), "{range:?}");
    assert!(starts.is_sorted_by(|one, next| one < next), "{range:?}");
}
