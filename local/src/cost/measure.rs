//! Measures what functions use. Runs the real handlers over the embedded database, which reports capacity units by
//! DynamoDB's rules.

use std::error::Error;

use tally_core::counter::property::{CountedPath, WEB};
use tally_core::time::clock::Clock;
use tally_core::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};

use crate::workbench::{Mix, WorkApp, Workbench};

/// Requests of one size that are sent and averaged.
const REQUESTS: usize = 20;
/// Events to send before a rate is measured: by then, counter items have grown to their final size.
const ENOUGH: usize = 6_000;
/// Maximum events in a batch of the stream: Lambda accepts 6 MB, and an event takes about 1.2 KB there.
const FULL: usize = 5_000;
/// Days in a report of a month.
const MONTH: i64 = 30;
/// Events in a request when their number does not matter.
const BATCH: usize = 500;

/// The units used to store events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    /// Write units of one event, index included.
    pub(super) write_units: f64,
    /// Read units of a process that has not read the app for a minute.
    pub(super) app_read_units: f64,
}

/// The units used to count events at a given rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counting {
    /// Events in a batch.
    pub(super) events: usize,
    /// Counter items that a batch updates.
    pub(super) updates: f64,
    /// Write units of a batch.
    pub(super) write_units: f64,
}

/// The units used to answer a query.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) question: &'static str,
    pub(super) read_units: f64,
    pub(super) trips: f64,
}

/// Takes the measurements. Each measurement has its own app.
pub(super) struct Lab {
    bench: Workbench,
    /// The clock at the beginning of each measurement: 11:30 yesterday.
    start: Timestamp,
    apps: usize,
}

impl Lab {
    pub(super) async fn open() -> Result<Self, Box<dyn Error>> {
        let start = Clock::System.now().floor(DAY) - DAY / 2 - HOUR / 2;
        Ok(Self { bench: Workbench::start(Clock::at(start)).await?, start, apps: 0 })
    }

    async fn app(&mut self) -> Result<WorkApp, Box<dyn Error>> {
        self.app_that_counts(&[]).await
    }

    async fn app_that_counts(&mut self, paths: &[&str]) -> Result<WorkApp, Box<dyn Error>> {
        self.apps += 1;
        self.bench.context.clock.set(self.start);
        let counted = paths.iter().map(|path| CountedPath::parse(path)).collect::<Result<_, _>>()?;
        let new = admin::NewApp { name: format!("app {}", self.apps), counted, ..admin::NewApp::default() };
        self.bench.app_with(new).await
    }

    /// Stores events in requests of `batch`.
    #[allow(clippy::cast_precision_loss)] // some thousand
    pub(super) async fn store(&mut self, mix: Mix, batch: usize) -> Result<Stored, Box<dyn Error>> {
        let app = self.app().await?;
        let before = self.bench.usage();
        self.bench.send(&app, mix.body(0, batch, self.start, SECOND)).await?;
        let first = self.bench.usage() - before;
        let before = self.bench.usage();
        for n in 1..=REQUESTS {
            self.bench.send(&app, mix.body(n * batch, batch, self.start, SECOND)).await?;
        }
        let used = self.bench.usage() - before;
        if used.read_requests > 0 {
            return Err(format!("an app that is known was read {} times", used.read_requests).into());
        }
        self.bench.count().await?;
        Ok(Stored { write_units: used.write_units / (REQUESTS * batch) as f64, app_read_units: first.read_units })
    }

    /// Counts `rate` events a second in batches of `events`, over a minute of the clock or [`ENOUGH`] events.
    /// By then the counters of the hour and the day hold every combination, as they do except in the first moments of
    /// an hour.
    #[allow(clippy::cast_precision_loss)] // some thousand
    pub(super) async fn count(&mut self, mix: Mix, rate: usize, events: usize) -> Result<Counting, Box<dyn Error>> {
        let app = self.app_that_counts(if mix.counted { &WEB } else { &[] }).await?;
        let mut sent = mix.combinations().max(mix.messages).max(mix.pages);
        self.bench.send(&app, mix.body(0, sent, self.start, SECOND)).await?;
        self.bench.count().await?;
        let events = FULL.min(events);
        let length = i64::try_from(events)? * SECOND / i64::try_from(rate)?;
        let began = self.start + MINUTE;
        let mut at = began;
        let (mut batches, mut updates, mut write_units) = (0, 0, 0.0);
        while at < began + MINUTE && batches * events < ENOUGH {
            self.bench.context.clock.set(at);
            for first in (0..events).step_by(BATCH) {
                let size = BATCH.min(events - first);
                let share = |n: usize| Ok::<_, Box<dyn Error>>(length * i64::try_from(n)? / i64::try_from(events)?);
                self.bench.send(&app, mix.body(sent, size, at + share(first)?, share(size)?)).await?;
                sent += size;
            }
            let before = self.bench.usage();
            let counted = self.bench.count().await?;
            if counted != events {
                return Err(format!("of {events} events {counted} were counted at once").into());
            }
            let used = self.bench.usage() - before;
            updates += used.write_requests;
            write_units += used.write_units;
            batches += 1;
            at += length;
        }
        let batches = batches as f64;
        Ok(Counting { events, updates: updates as f64 / batches, write_units: write_units / batches })
    }

    /// Queries an app that had every combination every day for a month, and every hour for two days.
    #[allow(clippy::cast_precision_loss)] // some
    pub(super) async fn ask(&mut self) -> Result<Vec<Asked>, Box<dyn Error>> {
        let mix = Mix { messages: 50, ..Mix::MANY };
        let app = self.app().await?;
        let today = self.start.floor(DAY);
        let days = (2..=MONTH).map(|n| (today - n * DAY, DAY));
        let hours = (0..24).map(|n| (today + n * HOUR - DAY, HOUR));
        let mut sent = 0;
        for (at, length) in days.chain(hours) {
            self.bench.send(&app, mix.body(sent, mix.combinations(), at, length)).await?;
            sent += mix.combinations();
        }
        self.bench.count().await?;
        let day = |n: i64| (today - n * DAY).to_string()[..10].to_owned();
        let (yesterday, first) = (day(1), day(MONTH));
        let all = format!("since={}&until={today}", today - MONTH * DAY);
        let questions = [
            ("day, by hour", format!("reports/day?date={yesterday}")),
            ("30 days, by day", format!("reports/period?from={first}&to={yesterday}")),
            ("30 days, by day, of ERROR", format!("reports/period?from={first}&to={yesterday}&level=ERROR")),
            ("top 10 messages of 30 days", format!("stats/top-messages?{all}")),
            ("page of 50 events", format!("events?limit=50&{all}")),
            ("page of 50 events of one name", format!("events?limit=50&name=payment+failed&{all}")),
        ];
        let mut asked = Vec::new();
        for (question, path) in questions {
            let before = self.bench.usage();
            self.bench.ask(&app, &path).await?;
            let used = self.bench.usage() - before;
            asked.push(Asked { question, read_units: used.read_units, trips: used.read_requests as f64 });
        }
        Ok(asked)
    }

    /// The read units of the report of a day in an app of one event a second, half an hour after 11:00: of that day, and of the
    /// same hours of a day that has passed.
    pub(super) async fn day(&mut self, mix: Mix) -> Result<(f64, f64), Box<dyn Error>> {
        let app = self.app().await?;
        let today = self.start.floor(DAY);
        let mut sent = 0;
        for day in [today - DAY, today] {
            for hour in 0..(self.start - today) / HOUR {
                self.bench.send(&app, mix.body(sent, mix.combinations(), day + hour * HOUR, HOUR)).await?;
                sent += mix.combinations();
            }
            for minute in 0..30 {
                let at = self.start - today - HOUR / 2 + minute * MINUTE;
                self.bench.send(&app, mix.body(sent, 60, day + at, MINUTE)).await?;
                sent += 60;
            }
        }
        self.bench.count().await?;
        let mut units = [0.0; 2];
        for (day, units) in [today, today - DAY].into_iter().zip(&mut units) {
            let path = format!("reports/day?date={}", &day.to_string()[..10]);
            self.bench.ask(&app, &path).await?;
            let before = self.bench.usage();
            self.bench.ask(&app, &path).await?;
            *units = (self.bench.usage() - before).read_units;
        }
        Ok((units[0], units[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::gathered::Gathered;
    use crate::cost::tables::LIMITS;

    #[tokio::test]
    async fn an_event_is_one_write_unit_and_a_second_with_a_session() {
        let mut lab = Lab::open().await.expect("a lab");
        for (sessions, units) in [(false, 1.0), (true, 2.0)] {
            for batch in [1, 25] {
                let stored = lab.store(Mix { sessions, ..Mix::MANY }, batch).await.expect("stored");
                assert!((stored.write_units - units).abs() < 1e-9, "{stored:?}");
            }
        }
    }

    #[tokio::test]
    async fn counting_costs_no_more_than_it_may() {
        let mut lab = Lab::open().await.expect("a lab");
        for (rate, limit) in LIMITS {
            let counted = lab.count(Mix::MANY, rate, Gathered::default().events(rate)).await.expect("counted");
            #[allow(clippy::cast_precision_loss)] // some thousand
            let per_event = counted.write_units / counted.events as f64;
            assert!(per_event <= limit, "{rate} events a second: {per_event}");
        }
    }

    #[tokio::test]
    async fn counting_costs_less_the_more_is_counted_at_once() {
        let mut lab = Lab::open().await.expect("a lab");
        let (few, many) =
            (lab.count(Mix::FEW, 10, 20).await.expect("few"), lab.count(Mix::FEW, 100, 200).await.expect("many"));
        assert_eq!((few.events, many.events), (20, 200));
        // A minute, an hour and a day, of both kinds of cells, each below 1 KB; and the sketches of the hour and the day.
        for counted in [few, many] {
            assert!(
                (6.0..=18.0).contains(&counted.write_units) && (6.0..=8.0).contains(&counted.updates),
                "{counted:?}"
            );
        }
    }
}
