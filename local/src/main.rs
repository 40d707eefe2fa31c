//! `cargo run`: the whole of Tally on this machine.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tally::audit::{self, Audit};
use tally::cost::{self, Cost};
use tally::dead_batches::{self, DeadBatches};
use tally::first_start::Machine;
use tally::import::{self, Import};
use tally::server::{Stack, context, listen, service_of_connections, start_background};
use tally_service::config::Config;

// The system allocator takes a quarter of the time of a server that does little but read and write JSON.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Prints a line. Nobody may be reading any more (`cargo run | head`), which is no reason to end.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($part)*);
    }};
}

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
    /// Sends the lines of a log as events of an app.
    Import(Import),
    /// Holds the counters of an app to its events and tells what differs.
    Audit(Audit),
    /// Holds the counters of an app to its events and mends what differs.
    Recount(Audit),
    /// Names the days of batches that Lambda gave up, and recounts them in a deployment.
    DeadBatches(DeadBatches),
    /// Measures what events and questions use, and prints what that costs in the cloud.
    Cost(Cost),
}

#[derive(clap::Args)]
struct Serve {
    /// The port of the HTTP API.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// The port of the DynamoDB API, for `sam local`, the AWS CLI and other tools.
    #[arg(long, default_value_t = 8000)]
    dynamodb_port: u16,
    /// The address of this machine at which the DynamoDB API is served. It asks for no credentials: whoever reaches it may
    /// do everything.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    dynamodb_host: IpAddr,
    /// The folder that keeps the data; it may hold other files.
    #[arg(long, value_name = "DIR", default_value = ".tally")]
    data: PathBuf,
    /// Keep nothing: the data is gone when this ends.
    #[arg(long, conflicts_with = "data")]
    memory: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match std::env::var("TALLY_LOG_FORMAT").as_deref() {
        Ok("json") => log.json().flatten_event(true).init(),
        _ => log.init(),
    }
    let done = match cli.command {
        None => run(cli.serve).await,
        Some(Command::Import(import)) => import::run(import).await,
        Some(Command::Audit(audit)) => audit::run(audit, false).await,
        Some(Command::Recount(audit)) => audit::run(audit, true).await,
        Some(Command::DeadBatches(batches)) => dead_batches::run(batches).await,
        Some(Command::Cost(cost)) => cost::run(cost).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tally: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(serve: Serve) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut config = Config::from_env()?;
    config.secure_cookies = false;
    // Before the database is opened, so that a second start says what is in its way.
    let listener = listen(serve.port).await?;
    let data = (!serve.memory).then_some(serve.data.as_path());
    let stack = Stack::start(data, (serve.dynamodb_host, serve.dynamodb_port).into(), &config).await?;
    let folder = stack.embedded.folder().to_owned();
    let mut machine = Machine::load_or_make(&folder)?;
    let own_admin = std::env::var("TALLY_USERS").unwrap_or_default().is_empty();
    if own_admin {
        config.users = machine.users();
    }
    let context = context(stack.store.clone(), config);
    let url = format!("http://{}", listener.local_addr()?);
    let kept = if serve.memory { "kept nowhere".to_owned() } else { format!("kept in {}", folder.display()) };
    say!("Tally {} on {url}", env!("CARGO_PKG_VERSION"));
    say!("Data is {kept}; DynamoDB API on {}\n", stack.dynamodb_url());
    machine.make_demo(&context, &folder).await?;
    say!("{}", machine.try_lines(&url));
    if own_admin {
        say!("{}", machine.sign_in_line(&url));
    } else {
        say!("Sign in with POST {url}/auth as one of TALLY_USERS.\n");
    }
    say!("Ctrl-C ends it.");
    start_background(&stack, &context);
    axum::serve(listener, service_of_connections(&context)).with_graceful_shutdown(end()).await?;
    say!("Ended; what was accepted is kept.");
    Ok(ExitCode::SUCCESS)
}

/// Ctrl-C, or the signal that asks a process to end.
async fn end() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a signal to wait for, the process can only be killed.
    if interrupt.await.is_err() {
        std::future::pending::<()>().await;
    }
}
