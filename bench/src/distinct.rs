//! What counting users and sessions costs, and how far it is off.

use std::error::Error;

use clap::Args;
use tally::server::{Data, Stack};
use tally::stream_poller::StreamPoller;
use tally_core::app::App;
use tally_core::distinct::{ERROR, Marks, Sketch, Union};
use tally_core::event::draft::Draft;
use tally_core::time::clock::Clock;
use tally_core::time::{HOUR, SECOND};
use tally_service::config::Config;
use tally_service::context::Context;
use tally_store::Store;

/// Users in the hours of a day, and batches of events.
#[derive(Args)]
pub(crate) struct Distinct {
    /// Trials of each number of users.
    #[arg(long, default_value_t = 100)]
    trials: u64,
}

/// The numbers of users that are counted.
const USERS: [u64; 6] = [1, 380, 10_000, 100_000, 1_000_000, 5_000_000];
/// Events in a batch of the stream.
const BATCH: usize = 460;

/// Prints both.
pub(crate) async fn run(options: Distinct) -> Result<(), Box<dyn Error>> {
    println!("{:>12} {:>14} {:>14} {:>16}", "users", "mean error", "largest error", "within 3.25 %");
    for users in USERS {
        let errors: Vec<f64> = (0..options.trials).map(|trial| error(users, trial)).collect();
        let within = errors.iter().filter(|error| **error <= ERROR).count();
        let largest = errors.iter().copied().fold(0.0, f64::max);
        #[allow(clippy::cast_precision_loss)] // few
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        println!("{users:>12} {:>12.2} % {:>12.2} % {within:>9} of {}", mean * 100.0, largest * 100.0, errors.len());
    }
    println!("\n{:<66} {:>11} {:>10} {:>9}", "counted in a batch of one hour", "write units", "read units", "requests");
    for (about, known, new) in [
        ("no user, no session", 0, None),
        ("the first user and session", 0, Some((0, 1))),
        ("100 users and sessions, all new", 0, Some((0, 100))),
        ("460 users and sessions, all new, beside 10,000", 10_000, Some((10_000, 460))),
        ("460 users and sessions, all known, beside 10,000", 10_000, Some((0, 460))),
    ] {
        batch(about, known, new).await?;
    }
    Ok(())
}

/// By how much a number of users is off that is counted over the 24 hours of a day; each of them comes in two hours.
fn error(users: u64, trial: u64) -> f64 {
    let mut hours: Vec<Sketch> = (0..24).map(|_| Sketch::default()).collect();
    for user in 0..users {
        let marks = Marks::new(Some(&format!("{trial}-{user}")), None);
        for hour in [user % 24, user / 24 % 24] {
            // An hour is below 24.
            let hour = usize::try_from(hour).unwrap_or(0);
            marks.user.into_iter().for_each(|mark| hours[hour].add(mark));
        }
    }
    let mut union = Union::default();
    for hour in &hours {
        union.add(hour);
    }
    #[allow(clippy::cast_precision_loss)] // below 2^53
    let off = union.count() as f64 / users as f64 - 1.0;
    off.abs()
}

/// Prints what a batch takes: events of so many users from a number on, beside those that are known.
async fn batch(about: &str, known: usize, new: Option<(usize, usize)>) -> Result<(), Box<dyn Error>> {
    let config = Config::default();
    let stack = Stack::start(Data::Temporary, &config).await?;
    let context = Context::new(stack.store.clone(), Clock::System, config);
    let name = admin::NewApp { name: "shop".to_owned(), ..admin::NewApp::default() };
    let (app, _) = admin::create_app(&context.apps, name, &[]).await?;
    let mut poller = stack.poller(&context, None);
    let store = &context.store;
    put(store, &context.clock, &app, (0, known)).await?;
    poller.drain().await?;
    let (first, count) = new.unwrap_or((0, 0));
    put(store, &context.clock, &app, (first, count)).await?;
    if new.is_none() {
        put_one(store, &context.clock, &app).await?;
    }
    count_rest(about, store, &mut poller).await
}

async fn count_rest(about: &str, store: &Store, poller: &mut StreamPoller) -> Result<(), Box<dyn Error>> {
    let before = store.meter().usage();
    poller.drain().await?;
    let used = store.meter().usage() - before;
    let requests = used.write_requests + used.read_requests;
    println!("{about:<66} {:>11.1} {:>10.1} {requests:>9}", used.write_units, used.read_units);
    Ok(())
}

async fn put(store: &Store, clock: &Clock, app: &App, (first, count): (usize, usize)) -> Result<(), Box<dyn Error>> {
    let numbers: Vec<usize> = (first..first + count).collect();
    for part in numbers.chunks(BATCH) {
        let drafts = part.iter().map(|n| Draft {
            user_id: Some(format!("user-{n}")),
            session_id: Some(format!("session-{n}")),
            ..draft(clock)
        });
        store_all(store, clock, app, drafts).await?;
    }
    Ok(())
}

async fn put_one(store: &Store, clock: &Clock, app: &App) -> Result<(), Box<dyn Error>> {
    store_all(store, clock, app, std::iter::once(draft(clock))).await
}

/// An event of the middle of the hour before.
fn draft(clock: &Clock) -> Draft {
    let at = clock.now().floor(HOUR) - 1_800 * SECOND;
    Draft { name: Some("view".to_owned()), timestamp: Some(at), ..Draft::default() }
}

async fn store_all(
    store: &Store,
    clock: &Clock,
    app: &App,
    drafts: impl Iterator<Item = Draft>,
) -> Result<(), Box<dyn Error>> {
    let events = drafts.map(|draft| draft.accept(app, clock.now())).collect::<Result<Vec<_>, _>>()?;
    let stored = store.put_events(app, events.iter().collect::<Vec<_>>().as_slice(), store.deadline()).await;
    stored.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(())
}
