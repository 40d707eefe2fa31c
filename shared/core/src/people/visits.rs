//! Visits of a web page: the events of a visitor with gaps of less than half an hour.

use std::collections::HashMap;

use super::{Hashed, MEDIAN, quantile};
use crate::event::Event;
use crate::event::json::Json;
use crate::time::{DAY, TimeDelta, Timestamp};
use crate::web::page_view::PAGEVIEW;
use crate::web::path_of;

/// How long nothing happens before the next event begins a new visit, as Plausible, Umami and Google Analytics have it.
pub const GAP: TimeDelta = TimeDelta::minutes(30);
/// The bytes that a new visit takes in memory, about.
pub const VISIT_BYTES: usize = 200;
/// The names of events that are views of a page: of Tally's script, Plausible and Umami; of `PostHog`; of Segment.
pub const VIEWS: [&str; 3] = [PAGEVIEW, "$pageview", "page"];
/// The event that tells how long a page was looked at. It makes a visit longer, and is nothing that a visitor did.
pub const ENGAGEMENT: &str = "engagement";

/// What an event is to a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A view of a page, by the number of its path; none where it names none.
    View(Option<u32>),
    /// Time on a page.
    Engagement,
    /// Anything else.
    Other,
}

/// An event of a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisitEvent {
    /// When it began.
    pub at: Timestamp,
    /// How long it lasted.
    pub lasted: TimeDelta,
    /// How many occurrences it stands for.
    pub count: u64,
    /// What it is.
    pub kind: Kind,
    /// Whether it is what is asked for.
    pub matches: bool,
}

/// The path of the page that a view shows: `path` of its data, else `PostHog`'s `$pathname`, else that of its `url` without what
/// follows a `#`, which nobody has said to be a part of it.
pub fn page_of(event: &Event) -> Option<String> {
    let text = |path| match event.attribute(path) {
        Some(Json::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let of_url = || {
        let url = text("url")?;
        let whole = url.split(['?', '#']).next().unwrap_or_default();
        // A text that is no address names a page all the same.
        Some(path_of(whole).unwrap_or(if whole.is_empty() { "/" } else { whole }).to_owned())
    };
    text("path").or_else(|| text("$pathname")).or_else(of_url)
}

/// How long a page was looked at, as an event `engagement` tells in `duration_ms`: at most a day.
pub fn engaged(event: &Event) -> TimeDelta {
    let Some(Json::Number(number)) = event.attribute("duration_ms") else { return TimeDelta::ZERO };
    // A fraction of a millisecond, and what is no length of time, is none.
    let millis = number.as_str().parse().unwrap_or(0);
    TimeDelta::milliseconds(i64::clamp(millis, 0, DAY.as_millis()))
}

/// The visits of visitors by a hash of who they are. Their events may come in any order.
#[derive(Clone, Debug, Default)]
pub struct Visits {
    all: HashMap<Hashed, Visitor>,
}

#[derive(Clone, Debug)]
struct Visitor {
    anonymous: bool,
    /// In descending order, at least `GAP` apart: events mostly come the newest first.
    visits: Vec<Visit>,
}

#[derive(Clone, Copy, Debug)]
struct Visit {
    first: Timestamp,
    /// When the last thing ended.
    end: Timestamp,
    /// The views, and those that match.
    views: u64,
    matching_views: u64,
    /// Whether something else happened than views and time on a page.
    more: bool,
    matches: bool,
    /// The first and the last view, with their pages.
    entry: Option<(Timestamp, Option<u32>)>,
    exit: Option<(Timestamp, Option<u32>)>,
}

impl Visit {
    fn of(event: &VisitEvent) -> Self {
        let view = match event.kind {
            Kind::View(page) => Some((event.at, page)),
            Kind::Engagement | Kind::Other => None,
        };
        let views = if view.is_some() { event.count } else { 0 };
        Self {
            first: event.at,
            end: event.at + event.lasted,
            views,
            matching_views: if event.matches { views } else { 0 },
            more: event.kind == Kind::Other,
            matches: event.matches,
            entry: view,
            exit: view,
        }
    }

    /// Whether less than `GAP` is between the two.
    fn touches(&self, other: &Self) -> bool {
        self.first < other.end + GAP && other.first < self.end + GAP
    }

    fn join(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.end = self.end.max(other.end);
        self.views = self.views.saturating_add(other.views);
        self.matching_views = self.matching_views.saturating_add(other.matching_views);
        self.more |= other.more;
        self.matches |= other.matches;
        self.entry = self.entry.into_iter().chain(other.entry).min();
        self.exit = self.exit.into_iter().chain(other.exit).max();
    }
}

/// What is told of some visits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The visitors.
    pub visitors: u64,
    /// Those of them without a user.
    pub anonymous: u64,
    /// How many visits they made.
    pub visits: u64,
    /// The views in them that match.
    pub views: u64,
    /// The visits with one view and nothing else.
    pub bounces: u64,
    /// The whole seconds of all visits together.
    pub seconds: i64,
    /// The median of their whole seconds; none of none.
    pub median_seconds: Option<i64>,
}

/// Visits that began or ended with a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfPage {
    /// How many.
    pub visits: u64,
    /// How many of them had one view and nothing else.
    pub bounces: u64,
}

/// All that is told of visits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Of all.
    pub all: Summary,
    /// Of those that began in a bucket, by its place in the list of starts. Buckets without visits are left out.
    pub buckets: Vec<(usize, Summary)>,
    /// By the page of their first view: the most visits first.
    pub entries: Vec<(u32, OfPage)>,
    /// By the page of their last view.
    pub exits: Vec<(u32, OfPage)>,
}

impl Visits {
    /// Adds an event. Returns whether it began a visit.
    pub fn add(&mut self, (visitor, anonymous): (Hashed, bool), event: &VisitEvent) -> bool {
        let mut visit = Visit::of(event);
        let visitor = self.all.entry(visitor).or_insert_with(|| Visitor { anonymous, visits: Vec::with_capacity(1) });
        visitor.anonymous &= anonymous;
        // Those that it touches are neighbours: the others are all later, or all earlier.
        let from = visitor.visits.partition_point(|other| other.first >= visit.end + GAP);
        let touched = visitor.visits[from..].iter().take_while(|other| other.touches(&visit)).count();
        let began = touched == 0;
        for other in visitor.visits.drain(from..from + touched) {
            visit.join(&other);
        }
        visitor.visits.insert(from, visit);
        began
    }

    /// What is told of the visits with a view, of which an event matches.
    pub fn tell(&self, starts: &[Timestamp]) -> Told {
        let mut all = Tally::default();
        let mut buckets: Vec<Tally> = starts.iter().map(|_| Tally::default()).collect();
        let (mut entries, mut exits) = (HashMap::<u32, OfPage>::new(), HashMap::<u32, OfPage>::new());
        for (visitor, Visitor { anonymous, visits }) in &self.all {
            for visit in visits.iter().filter(|visit| visit.matches && visit.views > 0) {
                let bounced = visit.views == 1 && !visit.more;
                all.add(*visitor, *anonymous, visit, bounced);
                let bucket = starts.partition_point(|start| *start <= visit.first).saturating_sub(1);
                if let Some(bucket) = buckets.get_mut(bucket) {
                    bucket.add(*visitor, *anonymous, visit, bounced);
                }
                for (pages, view) in [(&mut entries, visit.entry), (&mut exits, visit.exit)] {
                    if let Some((_, Some(page))) = view {
                        let page = pages.entry(page).or_default();
                        page.visits += 1;
                        page.bounces += u64::from(bounced);
                    }
                }
            }
        }
        let buckets = buckets.into_iter().map(Tally::summary).enumerate().filter(|(_, summary)| summary.visits > 0);
        Told { all: all.summary(), buckets: buckets.collect(), entries: most_first(entries), exits: most_first(exits) }
    }
}

fn most_first(pages: HashMap<u32, OfPage>) -> Vec<(u32, OfPage)> {
    let mut pages: Vec<_> = pages.into_iter().collect();
    pages.sort_unstable_by_key(|(number, page)| (std::cmp::Reverse(page.visits), *number));
    pages
}

/// What adds visits up. The visits of a visitor come one after the other.
#[derive(Default)]
struct Tally {
    last: Option<Hashed>,
    summary: Summary,
    seconds: Vec<i64>,
}

impl Tally {
    fn add(&mut self, visitor: Hashed, anonymous: bool, visit: &Visit, bounced: bool) {
        let summary = &mut self.summary;
        if self.last.replace(visitor) != Some(visitor) {
            summary.visitors += 1;
            summary.anonymous += u64::from(anonymous);
        }
        summary.visits += 1;
        summary.views = summary.views.saturating_add(visit.matching_views);
        summary.bounces += u64::from(bounced);
        self.seconds.push((visit.end - visit.first).as_seconds());
    }

    fn summary(mut self) -> Summary {
        self.seconds.sort_unstable();
        let seconds = self.seconds.iter().fold(0, |sum: i64, seconds| sum.saturating_add(*seconds));
        Summary { seconds, median_seconds: quantile(&self.seconds, MEDIAN), ..self.summary }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MINUTE;
    use proptest::prelude::*;

    /// What a plain walk over the events of each visitor, sorted by time, tells.
    fn naive(events: &[(u64, VisitEvent)], starts: &[Timestamp]) -> Told {
        let mut visits: Vec<(u64, Vec<VisitEvent>)> = Vec::new();
        for visitor in 0..4 {
            let mut own: Vec<_> = events.iter().filter(|(of, _)| *of == visitor).map(|(_, event)| *event).collect();
            own.sort_by_key(|event| event.at);
            let mut end = None;
            for event in own {
                if end.is_none_or(|end| event.at - end >= GAP) {
                    visits.push((visitor, vec![]));
                }
                visits.last_mut().expect("one").1.push(event);
                end = end.max(Some(event.at + event.lasted));
            }
        }
        let is_view = |event: &&VisitEvent| matches!(event.kind, Kind::View(_));
        visits.retain(|(_, events)| {
            events.iter().any(|e| e.matches) && events.iter().filter(is_view).any(|e| e.count > 0)
        });
        let bounced = |events: &[VisitEvent]| {
            events.iter().filter(is_view).map(|e| e.count).sum::<u64>() == 1
                && events.iter().all(|e| e.kind != Kind::Other)
        };
        let summary = |visits: &[&(u64, Vec<VisitEvent>)]| {
            let mut visitors: Vec<_> = visits.iter().map(|(visitor, _)| *visitor).collect();
            visitors.dedup();
            let mut seconds: Vec<_> = visits
                .iter()
                .map(|(_, events)| {
                    let end = events.iter().map(|e| e.at + e.lasted).max().expect("one");
                    (end - events[0].at).as_seconds()
                })
                .collect();
            seconds.sort_unstable();
            Summary {
                visitors: visitors.len() as u64,
                anonymous: visitors.iter().filter(|visitor| **visitor % 2 == 1).count() as u64,
                visits: visits.len() as u64,
                views: visits
                    .iter()
                    .flat_map(|(_, events)| events)
                    .filter(is_view)
                    .filter(|e| e.matches)
                    .map(|e| e.count)
                    .sum(),
                bounces: visits.iter().filter(|(_, events)| bounced(events)).count() as u64,
                seconds: seconds.iter().sum(),
                median_seconds: seconds.get(seconds.len().div_ceil(2).max(1) - 1).copied(),
            }
        };
        let all: Vec<_> = visits.iter().collect();
        let buckets = (0..starts.len()).map(|bucket| {
            let began =
                |events: &[VisitEvent]| starts.iter().filter(|start| **start <= events[0].at).count().max(1) - 1;
            (bucket, summary(&visits.iter().filter(|(_, events)| began(events) == bucket).collect::<Vec<_>>()))
        });
        let pages = |last: bool| {
            let mut pages = HashMap::<u32, OfPage>::new();
            for (_, events) in &visits {
                let views = events.iter().filter(is_view).filter_map(|e| match e.kind {
                    Kind::View(page) => Some((e.at, page)),
                    _ => None,
                });
                if let Some((_, Some(page))) = if last { views.max() } else { views.min() } {
                    let page = pages.entry(page).or_default();
                    page.visits += 1;
                    page.bounces += u64::from(bounced(events));
                }
            }
            most_first(pages)
        };
        Told {
            all: summary(&all),
            buckets: buckets.filter(|(_, summary)| summary.visits > 0).collect(),
            entries: pages(false),
            exits: pages(true),
        }
    }

    fn event() -> impl Strategy<Value = VisitEvent> {
        let kind = prop_oneof![
            3 => proptest::option::of(0u32..3).prop_map(Kind::View),
            1 => Just(Kind::Engagement),
            1 => Just(Kind::Other),
        ];
        (0i64..400, 0i64..60, 1u64..3, kind, any::<bool>()).prop_map(|(at, lasted, count, kind, matches)| VisitEvent {
            at: Timestamp::EPOCH + at * MINUTE,
            lasted: if kind == Kind::Engagement { lasted * MINUTE } else { TimeDelta::default() },
            count,
            kind,
            matches,
        })
    }

    proptest! {
        #[test]
        fn they_are_what_a_walk_in_order_finds_whatever_the_order(
            events in proptest::collection::vec((0u64..4, event()), 0..50),
        ) {
            let starts: Vec<_> = (0..5).map(|n| Timestamp::EPOCH + n * 90 * MINUTE).collect();
            let mut visits = Visits::default();
            for (visitor, event) in &events {
                visits.add((*visitor, visitor % 2 == 1), event);
            }
            prop_assert_eq!(visits.tell(&starts), naive(&events, &starts));
        }
    }

    #[test]
    fn a_page_is_the_path_of_its_url() {
        for (url, path) in [
            ("https://shop.example/pricing?plan=pro#top", "/pricing"),
            ("https://shop.example", "/"),
            ("https://shop.example?x=/y", "/"),
            ("/relative/path?q", "/relative/path"),
            ("relative", "relative"),
            ("#top", "/"),
        ] {
            let data = [("url".to_owned(), Json::String(url.to_owned()))];
            let view = Event { data: Some(Json::Object(data.into())), ..Event::bare() };
            assert_eq!(page_of(&view).as_deref(), Some(path), "{url}");
        }
    }
}
