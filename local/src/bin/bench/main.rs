//! What questions cost, and how much the local server takes. `cargo build --profile fast -p local`, then
//! `target/fast/bench` or `target/fast/bench load`.

mod load;
mod questions;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Tally on this machine.
#[derive(Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    questions: questions::Questions,
}

#[derive(Subcommand)]
enum Command {
    /// Prints what questions cost: read units, round trips, times (the default).
    Questions(questions::Questions),
    /// Sends events to a server of its own at a steady rate, and checks that all it accepted is stored and counted.
    Load(load::Load),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command.unwrap_or(Command::Questions(cli.questions)) {
        Command::Questions(options) => questions::run(options).await.map(|()| ExitCode::SUCCESS),
        Command::Load(options) => load::run(options).await,
    };
    done.unwrap_or_else(|error| {
        eprintln!("bench: {error}");
        ExitCode::FAILURE
    })
}
