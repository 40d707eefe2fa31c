//! `cargo run -- cost`: dollars per million events and per million queries, based on units measured at run time.

mod measure;
mod tables;

use std::error::Error;
use std::process::ExitCode;

/// The default of `AggregateBatchWindow` in template.yaml.
pub const WINDOW: u16 = 2;

/// Options of the cost calculation.
#[derive(clap::Args)]
pub struct Cost {
    /// Seconds for which events are gathered before they are counted: `AggregateBatchWindow` of template.yaml.
    #[arg(long, value_name = "SECONDS", default_value_t = WINDOW, value_parser = clap::value_parser!(u16).range(1..=60))]
    window: u16,
}

/// Measures on a temporary database and prints the tables of docs/cost.md. Fails if counting costs more than its limit.
pub async fn run(cost: Cost) -> Result<ExitCode, Box<dyn Error>> {
    let within = tables::print(usize::from(cost.window)).await?;
    Ok(if within { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
