//! Measures Tally: throughput, latencies, capacity units, and the load that the local server sustains. Build it with
//! `cargo build --profile fast -p tally -p bench`, then run `target/fast/bench`, `target/fast/bench questions`,
//! `target/fast/bench families` or `target/fast/bench load`.

mod alerts;
mod distinct;
mod endpoints;
mod families;
mod figures;
mod funnel;
mod handler;
mod instructions;
mod issues;
mod load;
mod machine;
mod peers;
mod questions;
mod server;
mod table;
mod throughput;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Tally on this machine.
#[derive(Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    table: table::Table,
}

#[derive(Subcommand)]
enum Command {
    /// Prints one table of all measurements, to compare before and after a change (the default).
    Table(table::Table),
    /// Prints the cost of queries over a million events: read units, round trips, times.
    Questions(questions::Questions),
    /// Prints what issues cost: the units of counting errors, and of questions.
    Issues(issues::Issues),
    /// Prints what questions about people cost: a funnel over 200,000 events, and the others.
    Funnel(funnel::Funnel),
    /// Prints what counting users and sessions costs, and how far it is off.
    Distinct(distinct::Distinct),
    /// Prints what a minute of alert rules costs, by the number of rules.
    Alerts,
    /// Prints the events per second of client libraries (OpenTelemetry, Sentry) beside native ones.
    Families(families::Families),
    /// Measures a server in its own process: events, questions, memory, disk and idle time.
    Machine(machine::Machine),
    /// Measures what SQLite and PostgreSQL alone do with the same rows.
    Peers(peers::Peers),
    /// Starts a server, sends events at a steady rate, and checks that every accepted event is stored and counted once.
    Load(load::Load),
    /// Runs one handler over a store that answers at once; `table` runs it under valgrind to count instructions.
    #[command(hide = true)]
    Handler(handler::Handler),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let command = cli.command.unwrap_or(Command::Table(cli.table));
    run(command).unwrap_or_else(|error| {
        eprintln!("bench: {error}");
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    // One thread, as on Lambda; threads that wait for each other would add instructions.
    let mut builder = if matches!(command, Command::Handler(_)) {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    builder.enable_all().build()?.block_on(async {
        match command {
            Command::Table(options) => table::run(options).await,
            Command::Questions(options) => questions::run(options).await.map(|()| ExitCode::SUCCESS),
            Command::Issues(options) => issues::run(options).await.map(|()| ExitCode::SUCCESS),
            Command::Funnel(options) => funnel::run(options).await.map(|()| ExitCode::SUCCESS),
            Command::Distinct(options) => distinct::run(options).await.map(|()| ExitCode::SUCCESS),
            Command::Alerts => alerts::minutes().await.map(|()| ExitCode::SUCCESS),
            Command::Families(options) => families::run(options).await,
            Command::Machine(options) => machine::run(options).await.map(|()| ExitCode::SUCCESS),
            Command::Peers(options) => peers::run(&options).map(|()| ExitCode::SUCCESS),
            Command::Load(options) => load::run(options).await,
            Command::Handler(options) => handler::run(options).await.map(|()| ExitCode::SUCCESS),
        }
    })
}
