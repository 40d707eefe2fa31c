//! `cargo run -- cost`: dollars per million events and per million queries, based on units measured at run time.

mod gathered;
mod measure;
mod tables;
mod tail;

use std::error::Error;
use std::process::ExitCode;

use gathered::Gathered;
use tally_service::config::{BATCH_SIZE, BATCH_WINDOW};

/// Options of the cost calculation.
#[derive(clap::Args)]
pub struct Cost {
    /// Seconds for which events are gathered before they are counted: `AggregateBatchWindow` of template.yaml.
    #[arg(long, value_name = "SECONDS", default_value_t = BATCH_WINDOW, value_parser = clap::value_parser!(u16).range(1..=60))]
    window: u16,
    /// Events that are counted at once at most: `AggregateBatchSize` of template.yaml.
    #[arg(long, value_name = "EVENTS", default_value_t = BATCH_SIZE, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch_size: u16,
    /// Prints only the last table: what the newest minutes of a report and counting cost by the rate of events.
    #[arg(long)]
    tail: bool,
}

/// Measures on a temporary database and prints the tables of docs/cost.md. Fails if counting costs more than its limit.
pub async fn run(cost: Cost) -> Result<ExitCode, Box<dyn Error>> {
    let gathered = Gathered { window: usize::from(cost.window), most: usize::from(cost.batch_size) };
    if cost.tail {
        tail::print(gathered).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let within = tables::print(gathered).await?;
    Ok(if within { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
