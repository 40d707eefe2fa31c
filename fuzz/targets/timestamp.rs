//! Times, days, zones and buckets: what is read is what is printed, and a bucket holds its moment.

#![no_main]

use fuzz::now;
use libfuzzer_sys::fuzz_target;
use tally_core::time::calendar::{Interval, WeekStart};
use tally_core::time::zone::Zone;
use tally_core::time::{DAY, MICROSECOND, Range, SECOND, Timestamp, parse_date};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (time, zone) = text.split_once('\n').unwrap_or((text, "Europe/Berlin"));
    if let Ok(number) = time.parse::<f64>() {
        unix(number);
    }
    let Ok(zone) = zone.parse::<Zone>() else { return };
    if let Ok(date) = zone.read_date(time, now()) {
        assert!(time == "today" || parse_date(&date.to_string()) == Ok(date), "{time}");
        if let Ok(start) = zone.start_of_day(date) {
            // A zone may skip a day whole.
            assert!(zone.date(start) >= date, "{date} {start}");
        }
    }
    if let Ok(at) = time.parse::<Timestamp>() {
        printed(at);
        buckets(at, &zone);
    }
});

fn unix(number: f64) {
    let Ok(at) = Timestamp::from_unix(number) else { return };
    assert!(Timestamp::EPOCH <= at && at <= Timestamp::MAX, "{number}");
    let seconds = if number < 1e11 { number } else { number / 1e3 };
    #[expect(clippy::cast_precision_loss)]
    let difference = at.micros() as f64 / 1e6 - seconds;
    assert!(difference.abs() < 1e-4, "{number} is {at}");
}

fn printed(at: Timestamp) {
    assert!(at <= Timestamp::MAX);
    let text = at.to_string();
    assert_eq!(text.parse(), Ok(at), "{text}");
    assert!(text.ends_with('Z') && matches!(text.len(), 20 | 24 | 27), "{text}");
}

fn buckets(at: Timestamp, zone: &Zone) {
    // Where a bucket's start and end can be named.
    if at < Timestamp::EPOCH + 40 * DAY || at > Timestamp::MAX - 40 * DAY {
        return;
    }
    for interval in [
        Interval::Minute,
        Interval::Hour,
        Interval::Day,
        Interval::Week(WeekStart::Monday),
        Interval::Week(WeekStart::Sunday),
        Interval::Month,
    ] {
        let start = interval.floor(at, zone);
        assert!(start <= at, "{interval:?} of {at} from {start}");
        assert_eq!(interval.floor(start, zone), start, "{interval:?} of {at}");
        let range = Range::new(at, at + 3 * DAY + SECOND).expect("in order");
        let starts = interval.starts(range, zone).expect("few");
        assert_eq!(starts.first(), Some(&start));
        assert!(starts.is_sorted_by(|one, next| one < next), "{starts:?}");
        for pair in starts.windows(2) {
            assert_eq!(interval.floor(pair[1] - MICROSECOND, zone), pair[0], "{interval:?} in {}", zone.name());
        }
    }
}
