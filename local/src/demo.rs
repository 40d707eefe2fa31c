//! `tally demo`: an app with 30 days of a believable shop, and a server that shows it.

mod deploys;
mod dice;
mod fill;
mod logs;
mod people;
mod shop;
mod visits;

use std::process::ExitCode;
use std::time::Instant;

use tally_core::app::AppSlug;

use self::fill::{Fill, FillError, counted, counted_elsewhere};
use crate::serve::{self, Filled, Serve};
use crate::server::{config, running};

/// Fills an app, and serves.
#[derive(clap::Args)]
pub struct Demo {
    /// The app to fill. It is created if it does not exist; one with events of its own is refused.
    #[arg(long, default_value = "shop", value_name = "NAME")]
    app: String,
    /// Another number makes another shop.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// How many days it is open, up to now.
    #[arg(long, default_value_t = 30, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..=365))]
    days: i64,
    /// Ends when the app is filled.
    #[arg(long)]
    no_serve: bool,
    #[command(flatten)]
    serve: Serve,
}

/// Fills the app through the code that answers requests, and serves it as `tally serve` does. If a Tally runs on the data
/// already, only fills.
pub async fn run(demo: Demo) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Demo { app, seed, days, no_serve, serve } = demo;
    let slug = AppSlug::of_name(&app).map_err(|error| format!("--app: {error}"))?;
    let page = format!("/?app={slug}");
    let started = Instant::now();
    let told = |events: usize| {
        let seconds = started.elapsed().as_secs_f64();
        format!("The app `{slug}` has {days} days of a shop: {events} events, sent and counted in {seconds:.1} s.")
    };
    if let Some(folder) = serve.folder()
        && let Some(context) = running(folder, config()?)
    {
        let events = Fill::begin(&context, &app, &slug, seed).await?.send(days).await?;
        counted_elsewhere(&context, folder).await?;
        println!("{}\nOpen {page} at the Tally that runs on {}.", told(events), folder.display());
        return Ok(ExitCode::SUCCESS);
    }
    serve::run_filled(serve, no_serve, async |context, poller| {
        let events = counted(poller, Fill::begin(context, &app, &slug, seed).await?, days).await?;
        Ok::<_, FillError>(Filled { told: told(events), page })
    })
    .await
}
