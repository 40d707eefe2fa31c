//! The tables of docs/cost.md.

use std::error::Error;
use tally_service::report::prices::{AS_OF, Bill};
use tally_service::report::run_time as lambda;

use super::gathered::Gathered;
use super::measure::{Counting, Lab, Stored};
use super::tail;
use crate::table::table;
use crate::workbench::Mix;

/// Events in a request.
const BATCHES: [usize; 4] = [1, 25, 100, 500];
/// Events a second.
const RATES: [usize; 3] = [1, 100, 1_000];
/// The limit on the cost of counting with 160 combinations: write units per event, by events per second. With the sketches of
/// users and sessions, at most 12 write units a batch.
pub(super) const LIMITS: [(usize, f64); 3] = [(1, 1.2), (100, 0.06), (1_000, 0.06)];
/// A million events or queries.
const MILLION: f64 = 1e6;

/// Measures and prints. Returns whether counting stays within its cost limit.
pub(super) async fn print(gathered: Gathered) -> Result<bool, Box<dyn Error>> {
    let Gathered { window, most } = gathered;
    println!("Prices: {AS_OF}. Up to {most} events are gathered for {window} s before they are counted.\n");
    let mut lab = Lab::open().await?;
    let stored = storing(&mut lab).await?;
    let (counted, within) = counting(&mut lab, gathered).await?;
    properties(&mut lab, gathered).await?;
    all(&stored, &counted);
    questions(&mut lab).await?;
    tail::print(gathered).await?;
    Ok(within)
}

/// A million events stored in requests of `batch`.
#[allow(clippy::cast_precision_loss)] // small numbers
fn store_bill(batch: usize, stored: Stored) -> Bill {
    let requests = MILLION / batch as f64;
    Bill {
        requests,
        calls: requests,
        milliseconds: requests * lambda::ingest(batch as f64),
        write_units: MILLION * stored.write_units,
        read_units: 0.0,
    }
}

/// A million events counted.
#[allow(clippy::cast_precision_loss)] // small numbers
fn count_bill(counted: Counting) -> Bill {
    let batches = MILLION / counted.events as f64;
    let one = Bill {
        calls: 1.0,
        milliseconds: lambda::aggregate(counted.events as f64, counted.updates),
        write_units: counted.write_units,
        ..Bill::default()
    };
    one.times(batches)
}

/// One process of `ingest` and one of `aggregate` each read the app once a minute while a million events arrive.
#[allow(clippy::cast_precision_loss)] // small numbers
fn app_bill(rate: usize, stored: Stored) -> Bill {
    let minutes = MILLION / rate as f64 / 60.0;
    Bill { read_units: 2.0 * minutes * stored.app_read_units, ..Bill::default() }
}

async fn storing(lab: &mut Lab) -> Result<Vec<(usize, Stored)>, Box<dyn Error>> {
    println!("## Storing a million events\n");
    let header = [
        "sessions",
        "events in a request",
        "write units an event",
        "API",
        "Lambda",
        "DynamoDB",
        "dollars",
        "by Function URL",
    ];
    let mut rows = table(&header, 1);
    let mut plain = Vec::new();
    for sessions in [false, true] {
        for batch in BATCHES {
            let stored = lab.store(Mix { sessions, ..Mix::MANY }, batch).await?;
            let bill = store_bill(batch, stored);
            rows.add_row([
                if sessions { "yes" } else { "no" }.to_owned(),
                batch.to_string(),
                format!("{:.2}", stored.write_units),
                format!("{:.3}", bill.api()),
                format!("{:.3}", bill.lambda()),
                format!("{:.3}", bill.dynamodb()),
                format!("{:.3}", bill.dollars()),
                // It has no price of its own.
                format!("{:.3}", bill.dollars() - bill.api()),
            ]);
            if !sessions {
                plain.push((batch, stored));
            }
        }
    }
    println!("{rows}");
    Ok(plain)
}

/// The measurements of counting, by rate and number of combinations.
type AllCounting = Vec<(usize, usize, Counting)>;

async fn counting(lab: &mut Lab, gathered: Gathered) -> Result<(AllCounting, bool), Box<dyn Error>> {
    println!("\n## Counting a million events\n");
    let header = [
        "events a second",
        "combinations",
        "messages",
        "events in a batch",
        "updates",
        "write units a batch",
        "write units an event",
        "Lambda",
        "DynamoDB",
        "dollars",
    ];
    let mut rows = table(&header, 0);
    let mut measured = Vec::new();
    let mut within = true;
    for rate in RATES {
        for mix in [Mix::FEW, Mix::MANY, Mix { messages: 50, ..Mix::MANY }] {
            let counted = lab.count(mix, rate, gathered.events(rate)).await?;
            let bill = count_bill(counted);
            let per_event = bill.write_units / MILLION;
            rows.add_row([
                rate.to_string(),
                mix.combinations().to_string(),
                mix.messages.to_string(),
                counted.events.to_string(),
                format!("{:.1}", counted.updates),
                format!("{:.1}", counted.write_units),
                format!("{per_event:.3}"),
                format!("{:.3}", bill.lambda()),
                format!("{:.3}", bill.dynamodb()),
                format!("{:.3}", bill.dollars()),
            ]);
            if mix.messages == 0 {
                measured.push((rate, mix.combinations(), counted));
                let limit = LIMITS.iter().find(|(at, _)| *at == rate && mix.combinations() == Mix::MANY.combinations());
                within &= limit.is_none_or(|(_, limit)| per_event <= *limit);
            }
        }
    }
    println!("{rows}\n");
    let limits = LIMITS.map(|(rate, limit)| format!("{limit} write units an event at {rate} events a second"));
    println!(
        "With {} combinations at most {}: {}.",
        Mix::MANY.combinations(),
        limits.join(", "),
        if within { "kept" } else { "MISSED" }
    );
    Ok((measured, within))
}

/// What counted properties add.
async fn properties(lab: &mut Lab, gathered: Gathered) -> Result<(), Box<dyn Error>> {
    println!(
        "\n## Counted properties\n\nIn write units an event, of page views of which six properties are counted or none:\n"
    );
    let mut rows = table(&["views a second", "pages", "events in a batch", "without", "with", "updates", "more"], 0);
    for (rate, events) in [(1, 1)].into_iter().chain(RATES.map(|rate| (rate, gathered.events(rate)))) {
        for pages in [100, 1_000] {
            let mix = Mix { pages, ..Mix::WEB };
            let without = lab.count(mix, rate, events).await?;
            let with = lab.count(Mix { counted: true, ..mix }, rate, events).await?;
            #[allow(clippy::cast_precision_loss)] // some thousand
            let of_event = |counted: Counting| counted.write_units / counted.events as f64;
            rows.add_row([
                rate.to_string(),
                pages.to_string(),
                events.to_string(),
                format!("{:.3}", of_event(without)),
                format!("{:.3}", of_event(with)),
                format!("{:.1}", with.updates - without.updates),
                format!("{:.3}", of_event(with) - of_event(without)),
            ]);
        }
    }
    println!("{rows}");
    Ok(())
}

fn all(stored: &[(usize, Stored)], counted: &AllCounting) {
    println!("\n## A million events, stored and counted, in dollars\n");
    let header = [
        "events a second",
        "events in a request",
        "10 combinations",
        "160 combinations",
        "one update an event",
        "three updates an event",
        "a transaction an event",
    ];
    let mut rows = table(&header, 0);
    for rate in RATES {
        for (batch, stored) in stored {
            // At one event a second nobody gathers 500 for a request.
            if *batch > rate {
                continue;
            }
            let store = store_bill(*batch, *stored);
            let ours = |combinations: usize| {
                let counted = counted.iter().find(|(r, c, _)| (*r, *c) == (rate, combinations));
                counted.map_or(f64::NAN, |(_, _, counted)| {
                    (store + count_bill(*counted) + app_bill(rate, *stored)).dollars()
                })
            };
            // Items of up to 1 KB: a unit each; in a transaction two, for the counter and for the event's id, which tells a
            // repetition.
            let with =
                |write_units: f64| (store + Bill { write_units: MILLION * write_units, ..Bill::default() }).dollars();
            let dollars =
                [ours(Mix::FEW.combinations()), ours(Mix::MANY.combinations()), with(1.0), with(3.0), with(4.0)];
            let dollars = dollars.map(|dollars| format!("{dollars:.3}"));
            rows.add_row([rate.to_string(), batch.to_string()].into_iter().chain(dollars));
        }
    }
    println!("{rows}\n");
    println!(
        "An update is of one counter of an event's minute, hour or day; a transaction is of one counter and of the event's id, which tells a repetition."
    );
}

async fn questions(lab: &mut Lab) -> Result<(), Box<dyn Error>> {
    println!("\n## A million questions\n");
    println!("160 combinations on each of 30 days, in each hour of the last; 50 messages; one shard.\n");
    let mut rows = table(&["question", "read units", "round trips", "Lambda", "DynamoDB", "dollars"], 1);
    for asked in lab.ask().await? {
        let bill = Bill {
            requests: 1.0,
            calls: 1.0,
            milliseconds: lambda::question(asked.read_units, asked.trips),
            read_units: asked.read_units,
            write_units: 0.0,
        };
        let bill = bill.times(MILLION);
        rows.add_row([
            asked.question.to_owned(),
            format!("{:.1}", asked.read_units),
            asked.trips.to_string(),
            format!("{:.2}", bill.lambda()),
            format!("{:.2}", bill.dynamodb()),
            format!("{:.2}", bill.dollars()),
        ]);
    }
    println!("{rows}");
    Ok(())
}
