//! Events accepted, stored and counted per second by the handlers in this process, and the write units of each.

use std::error::Error;
use std::time::Instant;

use futures::stream::{self, StreamExt, TryStreamExt};
use tally::workbench::{Mix, Workbench};
use tally_core::time::clock::Clock;
use tally_core::time::{DAY, HOUR};

use crate::figures::Figures;

/// Events in a request.
const BATCH: usize = 100;
/// Concurrent requests.
const AT_ONCE: usize = 4;

/// Sends events, lists them and counts them; each must appear exactly once.
#[allow(clippy::cast_precision_loss)] // figures to print
pub(crate) async fn measure(quick: bool, figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let events = if quick { 20_000 } else { 200_000 };
    let at = Clock::System.now().floor(DAY) - DAY / 2;
    let mut bench = Workbench::start(Clock::at(at)).await?;
    let app = bench.app("throughput").await?;
    let mix = Mix { messages: 50, ..Mix::MANY };
    let bodies: Vec<_> = (0..events).step_by(BATCH).map(|first| mix.body(first, BATCH, at - HOUR, HOUR)).collect();

    let before = bench.usage();
    let started = Instant::now();
    let sent = stream::iter(bodies).map(|body| bench.send(&app, body)).buffer_unordered(AT_ONCE);
    sent.try_for_each(|_| async { Ok(()) }).await?;
    let elapsed = started.elapsed().as_secs_f64();
    let used = bench.usage() - before;
    figures.add("events accepted and stored, in requests of 100", "events/s", events as f64 / elapsed);
    figures.add("storing an event", "write units", used.write_units / events as f64);

    let before = bench.usage();
    let started = Instant::now();
    let counted = bench.count().await?;
    let elapsed = started.elapsed().as_secs_f64();
    let used = bench.usage() - before;
    figures.add("events counted, in batches of up to 5,000", "events/s", counted as f64 / elapsed);
    figures.add("counting an event in a batch of up to 5,000", "write units", used.write_units / events as f64);

    let mut stored = 0;
    let mut path = "events?consistent=true&limit=1000".to_owned();
    loop {
        let page = bench.ask(&app, &path).await?;
        stored += page["items"].as_array().map_or(0, Vec::len);
        match page["next"].as_str() {
            Some(next) => path = format!("events?cursor={next}"),
            None => break,
        }
    }
    let totals = bench.ask(&app, "stats/totals").await?;
    let total: u64 = totals["items"].as_array().into_iter().flatten().filter_map(|row| row["count"].as_u64()).sum();
    if (stored, counted, total) != (events, events, events as u64) {
        return Err(format!("{events} events accepted, {stored} stored, {counted} counted, {total} reported").into());
    }
    Ok(())
}
