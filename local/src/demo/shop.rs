//! All that happened in the shop, day by day. A day is the same whenever it is asked for, so that a second run tells of the
//! same events.

use serde_json::Value;
use tally_core::time::Timestamp;

use super::deploys::Deploy;
use super::logs::logs;
use super::people::{LONGEST, Person, new_on};
use super::visits::visits;

/// A day in microseconds.
pub(super) const DAY: i64 = 24 * 3600 * 1_000_000;

/// An event and its time.
pub(super) struct Told {
    /// When it happened.
    pub(super) at: Timestamp,
    /// The event as a client sends it, with its id and time.
    pub(super) event: Value,
}

/// The events of a UTC day, by the number of days from 1970, in their order.
pub(super) fn day(seed: u64, day: i64) -> Vec<Told> {
    let mut all = logs(seed, day);
    for first in day - LONGEST..=day {
        for number in 0..new_on(seed, first) {
            let person = Person::of(seed, first, number);
            if day == first || person.returns(seed, day) {
                all.extend(visits(seed, &person, day));
            }
        }
    }
    let deploy = Deploy::at(seed, (day + 1) * DAY - 1);
    if deploy.at >= day * DAY {
        all.push((deploy.at, deploy.event(seed)));
    }
    all.sort_by_key(|(at, _)| *at);
    let told = all.into_iter().enumerate().map(|(n, (at, mut event))| {
        let at = Timestamp::from_micros(at);
        event["timestamp"] = at.to_string().into();
        event["id"] = format!("demo-{seed}-{day}-{n}").into();
        Told { at, event }
    });
    told.collect()
}

/// The event of the deploy whose release runs at a time in microseconds from 1970.
pub(super) fn running_release(seed: u64, time: i64) -> Option<Value> {
    let deploy = Deploy::at(seed, time);
    let mut of_day = day(seed, deploy.at.div_euclid(DAY)).into_iter();
    of_day.find(|told| told.at.micros() == deploy.at && told.event["name"] == "deploy").map(|told| told.event)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// 26 November 2026.
    const LAST: i64 = 20_783;

    fn days(seed: u64) -> Vec<(i64, Vec<Told>)> {
        (LAST - 62..=LAST).map(|number| (number, day(seed, number))).collect()
    }

    fn named<'a>(told: &'a [Told], name: &'a str) -> impl Iterator<Item = &'a Told> {
        told.iter().filter(move |told| told.event["name"] == name)
    }

    #[test]
    fn a_day_is_the_same_whenever_it_is_asked_for() {
        let texts = |seed| day(seed, LAST).into_iter().map(|told| told.event.to_string()).collect::<Vec<_>>();
        assert_eq!(texts(1), texts(1));
        assert_ne!(texts(1), texts(2));
    }

    #[test]
    fn events_are_in_order_and_have_ids_of_their_own() {
        let all = days(1);
        let mut ids = BTreeSet::new();
        for told in all.iter().flat_map(|(_, told)| told) {
            assert!(ids.insert(told.event["id"].as_str().expect("an id").to_owned()));
        }
        for (_, told) in &all {
            assert!(told.is_sorted_by_key(|told| told.at));
        }
        assert!((9_000..25_000).contains(&ids.len()), "{}", ids.len());
    }

    #[test]
    fn the_shop_has_what_a_shop_has() {
        let all = days(1);
        let mut levels = BTreeSet::new();
        for told in all.iter().flat_map(|(_, told)| told) {
            levels.insert(told.event["level"].as_str().expect("a level").to_owned());
        }
        assert_eq!(levels.len(), 6, "{levels:?}");
        for name in ["page_view", "signed_up", "cart_added", "checkout_started", "purchase", "deploy", "payment_failed"]
        {
            assert!(all.iter().any(|(_, told)| named(told, name).next().is_some()), "{name}");
        }
        let count = |name: &str| all.iter().map(|(_, told)| named(told, name).count()).sum::<usize>();
        let steps = ["page_view", "cart_added", "checkout_started", "purchase"].map(count);
        assert!(steps.is_sorted_by(|more, less| more > less), "a funnel: {steps:?}");
        // A weekend is busier, and an evening than a night.
        let views = |wanted: &dyn Fn(i64) -> bool| {
            let of = all.iter().filter(|(number, _)| wanted((number + 3).rem_euclid(7)));
            let counts: Vec<_> = of.map(|(_, told)| named(told, "page_view").count()).collect();
            counts.iter().sum::<usize>() / counts.len()
        };
        assert!(views(&|weekday| weekday >= 5) * 10 > views(&|weekday| weekday < 4) * 12);
        let at_hour = |hours: std::ops::Range<i64>| {
            let views = all.iter().flat_map(|(_, told)| named(told, "page_view"));
            views.filter(|told| hours.contains(&told.at.seconds().rem_euclid(86_400).div_euclid(3_600))).count()
        };
        assert!(at_hour(17..21) > 3 * at_hour(1..5));
    }

    #[test]
    fn an_error_begins_with_a_deploy_and_ends_with_the_next() {
        let all = days(1);
        let deploys: Vec<_> = all.iter().flat_map(|(_, told)| named(told, "deploy")).collect();
        assert!(deploys.len() >= 16, "two a week: {}", deploys.len());
        for (name, began, fixed) in [
            ("TypeError", "new cart", "fixes the total of carts"),
            ("RangeError", "delivery estimates", "fixes delivery estimates"),
        ] {
            let about = |told: &Told, text: &str| {
                told.event["message"].as_str().is_some_and(|m| m.ends_with(&format!(": {text}")))
            };
            let spans: Vec<_> = deploys.windows(2).filter(|pair| about(pair[0], began)).collect();
            assert!(!spans.is_empty() && spans.iter().all(|pair| about(pair[1], fixed)), "{name}");
            let errors: Vec<_> = all.iter().flat_map(|(_, told)| named(told, name)).collect();
            for error in &errors {
                assert!(
                    error.event["stack"][0]["frames"][0]["in_app"] == true && error.event["fingerprint"].is_string()
                );
            }
            // A visit may have begun just before the release that repairs it.
            let slack = tally_core::time::HOUR;
            let inside = |error: &&&Told| spans.iter().any(|pair| (pair[0].at..pair[1].at + slack).contains(&error.at));
            let within = errors.iter().filter(inside).count();
            assert!(within >= 20, "{name}: {within}");
            let first = deploys[0].at;
            assert_eq!(errors.iter().filter(|error| error.at > first).count(), within, "{name}: none at other times");
        }
    }

    #[test]
    fn people_come_back_less_and_less() {
        let mut seen: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
        for (number, told) in days(1) {
            for view in named(&told, "page_view") {
                let user = view.event["user_id"].as_str().expect("a user").to_owned();
                seen.entry(user).or_default().insert(number);
            }
        }
        // Of those who were new in the first two weeks after the days before which nobody is known.
        let cohort: Vec<_> = seen
            .values()
            .filter_map(|days| Some((*days.first()?, days)))
            .filter(|(first, _)| (LAST - 45..LAST - 30).contains(first))
            .collect();
        let returned = |days: std::ops::RangeInclusive<i64>| {
            cohort.iter().filter(|(first, seen)| days.clone().any(|after| seen.contains(&(first + after)))).count()
        };
        let weeks = [returned(1..=7), returned(8..=14), returned(22..=28)];
        assert!(weeks.is_sorted_by(|before, after| before > after), "{weeks:?} of {}", cohort.len());
        assert!(weeks[0] * 2 < cohort.len() && weeks[2] * 20 > cohort.len(), "{weeks:?} of {}", cohort.len());
    }
}
