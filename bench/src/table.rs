//! One table of all measurements, to compare before and after a change.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::figures::Figures;
use crate::{endpoints, instructions, machine, throughput};

/// What to measure, and which earlier run to compare with.
#[derive(Args)]
pub(crate) struct Table {
    /// Use a tenth of the events and fewer repetitions: about a minute.
    #[arg(long)]
    quick: bool,
    /// Write the figures to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show the figures of a file that `--json` wrote next to the new ones.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

/// Measures and prints. Fails if the stored or counted events are not the accepted ones.
pub(crate) async fn run(options: Table) -> Result<ExitCode, Box<dyn Error>> {
    // Read first, so that an unreadable file fails before the measurement starts.
    let before = options.compare.as_deref().map(Figures::read).transpose()?;
    if before.as_ref().is_some_and(|before| before.quick != options.quick) {
        return Err("one of the runs to compare is quick, and the other is not".into());
    }
    let mut figures = Figures { quick: options.quick, rows: vec![] };
    throughput::measure(options.quick, &mut figures).await?;
    endpoints::measure(options.quick, &mut figures).await?;
    machine::measure(options.quick, &mut figures).await?;
    instructions::measure(&mut figures)?;
    println!("{}", figures.table(before.as_ref()));
    if let Some(file) = &options.json {
        figures.write(file)?;
    }
    Ok(ExitCode::SUCCESS)
}
