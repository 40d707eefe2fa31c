//! What a minute of alert rules costs: read and write units, and milliseconds.

use std::error::Error;
use std::time::Instant;

use tally::server::{Data, Stack};
use tally_core::alert::filter::FilterParams;
use tally_core::alert::minutes::Minutes;
use tally_core::alert::rule::{Condition, MAX_RULES, Rule, RuleId};
use tally_core::event::draft::Draft;
use tally_core::time::clock::Clock;
use tally_core::time::{MINUTE, SECOND, Timestamp};
use tally_notify::{Sender, Settings};
use tally_service::alerts::{rules, run};
use tally_service::config::Config;
use tally_service::context::Context;

/// The numbers of rules of an app.
const RULES: [usize; 4] = [0, 1, 10, MAX_RULES];
/// The windows of rules, in turn.
const WINDOWS: [Minutes; 4] = [Minutes(5), Minutes(5), Minutes::HOUR, Minutes::DAY];
/// The names that occur in each minute.
const NAMES: usize = 20;
/// The minutes before in which they occurred.
const PAST: i64 = 60;

/// Prints what a minute costs.
pub(crate) async fn minutes() -> Result<(), Box<dyn Error>> {
    println!("{:>5} {:>7} {:>10} {:>11} {:>7}", "rules", "windows", "read units", "write units", "ms");
    for count in RULES {
        minute(count).await?;
    }
    Ok(())
}

/// Counts events of an app of one shard, and judges the minute that ended last.
async fn minute(count: usize) -> Result<(), Box<dyn Error>> {
    let config = Config::default();
    let stack = Stack::start(Data::Temporary, &config).await?;
    // What is stored now is counted as of now, so this is the last window that is judged.
    let last = (Clock::System.now() - 15 * SECOND).floor(MINUTE);
    let clock = Clock::at(last - (PAST + 1) * MINUTE);
    let context = Context::new(stack.store.clone(), clock.clone(), config);
    let new = admin::NewApp { name: "shop".to_owned(), shards: Some(1), ..admin::NewApp::default() };
    let (app, _) = admin::create_app(&context.apps, new, &[]).await?;
    clock.set(last - MINUTE);
    for n in 0..count {
        let saved = rules::create(&context, &app, rule(n, last - MINUTE), &[]).await;
        saved.map_err(|error| error.to_string())?;
    }
    clock.set(Clock::System.now());
    for ago in 1..=PAST {
        let events = (0..NAMES).map(|n| {
            let timestamp = Some(last - ago * MINUTE);
            let draft = Draft { name: Some(format!("name {n}")), timestamp, ..Draft::default() };
            draft.accept(&app, clock.now())
        });
        let events = events.collect::<Result<Vec<_>, _>>()?;
        let store = &context.store;
        let stored = store.put_events(&app, events.iter().collect::<Vec<_>>().as_slice(), store.deadline()).await;
        stored.into_iter().collect::<Result<Vec<_>, _>>()?;
    }
    stack.poller(&context, None).drain().await?;
    let sender = Sender::new(Settings::default());
    // A warm process knows the app.
    context.apps.get(&app.slug).await?;
    clock.set(Clock::System.now());
    let (before, started) = (context.store.meter().usage(), Instant::now());
    let ran = run(&context, &sender, clock.now()).await?;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let used = context.store.meter().usage() - before;
    let windows = ran.evaluated.windows;
    println!("{count:>5} {windows:>7} {:>10.1} {:>11.1} {ms:>7.1}", used.read_units, used.write_units);
    if windows < count {
        return Err(format!("of {count} rules {windows} windows were judged").into());
    }
    Ok(())
}

fn rule(n: usize, created_at: Timestamp) -> Rule {
    Rule {
        id: RuleId::random(),
        name: format!("rule {n}"),
        filter: FilterParams::from([("name".to_owned(), vec![format!("name {}", n % NAMES)])]),
        window: WINDOWS[n % WINDOWS.len()],
        condition: Condition::Above(1_000_000),
        hold: Minutes(0),
        renotify: None,
        snoozed_until: None,
        enabled: true,
        channels: vec![],
        created_at,
    }
}
