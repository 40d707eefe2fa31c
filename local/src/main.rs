//! `tally`: the server, and tools for its data.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tally::audit::{self, Audit};
use tally::backup::{Backup, Restore};
use tally::cli::{self, Ask};
use tally::cost::{self, Cost};
use tally::dead_batches::{self, DeadBatches};
use tally::demo::{self, Demo};
use tally::import::{self, Import};
use tally::mcp::{self, Mcp};
use tally::serve::{self, Serve};
use tally::sign_in::{self, SignIn};
use tracing_subscriber::EnvFilter;

// The server mostly reads and writes JSON. The system allocator takes a quarter of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long uninterruptible work may delay shutdown: one transaction.
const LAST_WORK: Duration = Duration::from_secs(2);

/// Tally on this machine: collects application events and answers questions about them.
#[derive(Parser)]
#[command(name = "tally", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Serves Tally; the same as no command.
    Serve(Serve),
    /// Prints a link that signs in the admin of this machine, while a Tally serves it.
    SignIn(SignIn),
    /// Fills the app `shop` with 30 days of a believable shop, and serves it.
    Demo(Demo),
    /// Sends the lines of logs as events of an app.
    Import(Import),
    /// Answers language models over standard input and output, for programs that start an MCP server themselves.
    Mcp(Mcp),
    /// Compares the counters of an app with its events.
    Audit(Audit),
    /// Compares the counters of an app with its events and repairs differences.
    Recount(Audit),
    /// Writes the data of this machine to one file, also while a Tally serves it.
    Backup(Backup),
    /// Restores such a file, and compares the counters with the events.
    Restore(Restore),
    /// Lists the days of batches that Lambda gave up on, and recounts them in a deployment.
    DeadBatches(DeadBatches),
    #[command(flatten)]
    Ask(Box<Ask>),
    /// Prints what completes the commands of this program in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Measures what events and queries use, and prints what that costs in the cloud.
    Cost(Cost),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = start_log().and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let done = runtime.block_on(run(cli));
        runtime.shutdown_timeout(LAST_WORK);
        done
    });
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tally: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(serve) => serve::run(serve).await,
        Command::SignIn(sign_in) => sign_in::run(sign_in).await,
        Command::Demo(demo) => demo::run(demo).await,
        Command::Import(import) => import::run(import).await,
        Command::Mcp(mcp) => mcp::run(mcp).await,
        Command::Audit(audit) => audit::run(audit, false).await,
        Command::Recount(audit) => audit::run(audit, true).await,
        Command::Backup(backup) => backup.run().await,
        Command::Restore(restore) => restore.run().await,
        Command::DeadBatches(batches) => dead_batches::run(batches).await,
        Command::Ask(ask) => cli::run(*ask).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tally", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Cost(cost) => cost::run(cost).await,
    }
}

/// Logs to standard error. `RUST_LOG` sets the filter (warnings by default), and `TALLY_LOG_FORMAT` the format.
fn start_log() -> Result<(), Box<dyn std::error::Error>> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let filter = match variable("RUST_LOG").as_str() {
        "" => EnvFilter::new("warn"),
        text => EnvFilter::try_new(text).map_err(|error| format!("RUST_LOG: {error}"))?,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match variable("TALLY_LOG_FORMAT").as_str() {
        "json" => log.json().flatten_event(true).init(),
        "" | "text" => {
            log.with_ansi(std::io::stderr().is_terminal() && variable("NO_COLOR").is_empty()).init();
        }
        other => return Err(format!("TALLY_LOG_FORMAT: {other:?} is neither `text` nor `json`").into()),
    }
    Ok(())
}
