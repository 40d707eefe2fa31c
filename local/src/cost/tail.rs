//! What the newest minutes of a report cost, and how old a report is, by the rate of events.

use std::error::Error;

use tally_service::config::TAIL_BUDGET;
use tally_service::report::tail::{MARGIN_UNITS, STORED_WITHIN};

use super::gathered::Gathered;
use super::measure::Lab;
use crate::table::table;
use crate::workbench::Mix;

/// Events a second.
const RATES: [usize; 7] = [1, 3, 10, 30, 100, 300, 1_000];
/// Seconds until Lambda has polled the stream, and until a batch is counted (docs/cost.md).
const COUNTED_WITHIN: f64 = 0.35;
/// Bytes of an event.
const EVENT: f64 = 300.0;
/// The longest time in seconds by which a report without its newest events may be behind.
const OLDEST: f64 = 5.0;

/// Prints the table. The units of counting are measured, those of the tail calculated: its length depends on where in a minute
/// the counters are.
#[allow(clippy::cast_precision_loss)] // some thousand
pub(super) async fn print(gathered: Gathered) -> Result<(), Box<dyn Error>> {
    println!("\n## The newest minutes\n");
    println!(
        "Up to {} events are gathered for {} s; the tail may take {TAIL_BUDGET} read units, and {MARGIN_UNITS} where it begins earlier than it must.\n",
        gathered.most, gathered.window
    );
    let header = [
        "events a second",
        "events in a batch",
        "write units an event",
        "counters behind s",
        "margin min",
        "tail s",
        "tail read units",
        "report behind s",
    ];
    let mut rows = table(&header, 0);
    let mut lab = Lab::open().await?;
    for rate in RATES {
        let events = gathered.events(rate);
        let counted = lab.count(Mix::MANY, rate, events).await?;
        let gathering = events as f64 / rate as f64;
        let behind = gathering + COUNTED_WITHIN;
        let tail = Tail::of(rate as f64, gathering);
        let (margin, seconds, units, late) = match tail {
            Tail::Always { margins, seconds, units } => {
                let of = |(from, to): (f64, f64)| format!("{from:.0} to {to:.0}");
                (margins, of(seconds), of(units), 0.0)
            }
            Tail::Sometimes { share, units } => (
                format!("0, or no tail ({:.0} %)", 100.0 * (1.0 - share)),
                String::new(),
                format!("up to {units:.0}"),
                behind,
            ),
            Tail::Never => ("no tail".to_owned(), String::new(), String::new(), behind),
        };
        rows.add_row([
            rate.to_string(),
            events.to_string(),
            format!("{:.3}", counted.write_units / counted.events as f64),
            format!("{behind:.1}"),
            margin,
            seconds,
            units,
            format!("{late:.1}{}", if late > OLDEST { " TOO OLD" } else { "" }),
        ]);
    }
    println!("{rows}\n");
    for mix in [Mix::FEW, Mix::MANY] {
        let (today, past) = lab.day(mix).await?;
        println!(
            "A day's report with {} combinations at one event a second, after 11:30: {today:.1} read units; of a day that has passed {past:.1}.",
            mix.combinations()
        );
    }
    Ok(())
}

/// The tail at a rate.
enum Tail {
    /// It fits in every second of a minute.
    Always {
        margins: String,
        seconds: (f64, f64),
        units: (f64, f64),
    },
    /// It fits in some seconds of a minute.
    Sometimes {
        share: f64,
        units: f64,
    },
    Never,
}

impl Tail {
    /// Looks at every second of a minute, at the beginning and the end of a batch.
    fn of(rate: f64, gathering: f64) -> Self {
        let (mut chosen, mut all) = (Vec::new(), 0);
        for second in 0..60 {
            // The last batch that is counted began one batch ago at the least, and two at the most.
            for age in [gathering + COUNTED_WITHIN, 2.0 * gathering + COUNTED_WITHIN] {
                all += 1;
                let length = |margin: f64| f64::from(second) + f64::from(STORED_WITHIN) + age + 60.0 * margin;
                let units = |margin: f64| rate * length(margin) * EVENT / 4096.0;
                let most = |margin: f64| if margin > 0.0 { MARGIN_UNITS } else { f64::from(TAIL_BUDGET) };
                if let Some(margin) = [2.0, 1.0, 0.0].into_iter().find(|margin| units(*margin) <= most(*margin)) {
                    chosen.push((margin, length(margin), units(margin)));
                }
            }
        }
        let span = |of: fn(&(f64, f64, f64)) -> f64| {
            let values = chosen.iter().map(of);
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max))
        };
        let (least, most) = span(|one| one.0);
        let units = span(|one| one.2);
        if chosen.is_empty() {
            Self::Never
        } else if chosen.len() == all {
            let margins = if least < most { format!("{least:.0} to {most:.0}") } else { format!("{most:.0}") };
            Self::Always { margins, seconds: span(|one| one.1), units }
        } else {
            #[allow(clippy::cast_precision_loss)] // 120
            Self::Sometimes { share: chosen.len() as f64 / all as f64, units: units.1 }
        }
    }
}
