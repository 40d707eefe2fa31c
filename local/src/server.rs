//! The whole system in one process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tally_core::time::clock::Clock;
use tally_http::service::serve;
use tally_notify::{Sender, Settings};
use tally_service::config::{Config, ConfigError};
use tally_service::context::Context;
use tally_store::{Connection, InMemory, MapFiles, Store, StoreError, connect};

use crate::door::Door;
use crate::embedded::{Embedded, OpenError, SharedDatabase};
use crate::housekeeping::Housekeeping;
use crate::stream_poller::StreamPoller;

/// The default data folder.
pub const DATA: &str = ".tally";
/// The time in which one request may start reads: as long as somebody waits for an answer.
const READ_TIME: Duration = Duration::from_secs(3);

/// Why the system cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database of addresses.
    #[error(transparent)]
    GeoIp(#[from] ingest::geoip::GeoIpError),
    /// A port.
    #[error("cannot listen on {address}: {error}; choose another with {option}")]
    Port {
        /// The address with the port.
        address: std::net::SocketAddr,
        /// The option that sets it.
        option: &'static str,
        /// The error.
        error: std::io::Error,
    },
    /// There is no data to work on.
    #[error("{}", no_data(.0, *.1))]
    NoData(PathBuf, bool),
    /// The door for other processes failed.
    #[error("cannot let other processes reach the database: {0}")]
    Door(std::io::Error),
    /// The tables cannot be created.
    #[error("cannot make the tables: {0}")]
    Tables(#[from] StoreError),
}

/// Where the data is stored.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// In a folder.
    Folder(&'a Path),
    /// In a temporary folder, deleted at exit.
    Temporary,
    /// In memory.
    Memory,
}

/// The embedded database with its tables.
pub struct Stack {
    /// The database.
    pub embedded: SharedDatabase,
    /// The store over it.
    pub store: Store,
    /// What keeps it small.
    pub housekeeping: Arc<Housekeeping>,
}

impl Stack {
    /// Opens the database and creates missing tables.
    pub async fn start(data: Data<'_>, config: &Config) -> Result<Self, StartError> {
        let embedded = match data {
            Data::Folder(folder) => Embedded::open(folder)?,
            Data::Temporary => Embedded::temporary()?,
            Data::Memory => Embedded::in_memory()?,
        };
        let store = connect(Connection::Embedded(embedded.client()), config.tables.clone());
        store.create_tables(config.session_index).await?;
        let housekeeping = embedded.housekeeping()?;
        Ok(Self { embedded: Arc::new(embedded), store, housekeeping: Arc::new(housekeeping) })
    }

    /// Lets other processes reach the database while this one runs, and tells them where its admin may sign in.
    pub async fn open_door(&self, page: Option<String>) -> Result<(), StartError> {
        if self.embedded.folder().is_none() {
            return Ok(());
        }
        let door = Door::open(self.embedded.direct(), page).await.map_err(StartError::Door)?;
        self.embedded.announce(&door).map_err(StartError::Door)
    }

    /// A poller that sends the stream to `aggregate` and stores its position in `file`.
    pub fn poller(&self, context: &Arc<Context>, file: Option<PathBuf>) -> StreamPoller {
        StreamPoller::within(self.embedded.direct(), Arc::clone(context), file)
    }
}

/// What to do if a data folder has no database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Do not create one: a new database has nothing to show.
    Refuse,
    /// Create one and report it, but only if the folder was named explicitly.
    MakeWhereNamed,
}

fn no_data(folder: &Path, named: bool) -> String {
    let folder = folder.display();
    if named {
        format!("there is no data of a Tally in {folder}: name its folder with --data DIR")
    } else {
        format!(
            "no Tally runs here, and there is no data in {folder}: start one with `cargo run`, or name the folder of its data \
             with --data DIR"
        )
    }
}

/// Opens the store in a data folder, [`DATA`] by default: directly, with a poller that counts what is sent, or through
/// the Tally that runs on it.
pub async fn open(
    named: Option<&Path>,
    missing: Missing,
    config: Config,
) -> Result<(Arc<Context>, Option<StreamPoller>), StartError> {
    let data = named.unwrap_or(Path::new(DATA));
    if !Embedded::is_in(data) {
        if named.is_none() || missing == Missing::Refuse {
            return Err(StartError::NoData(data.to_owned(), named.is_some()));
        }
        eprintln!("There was no data: a new database is made in {}.", data.display());
    }
    match Stack::start(Data::Folder(data), &config).await {
        Ok(stack) => {
            stack.open_door(None).await?;
            let context = context(stack.store.clone(), config);
            let poller = stack.poller(&context, stack.embedded.position_file());
            // The database is open until the process ends.
            std::mem::forget(stack);
            Ok((context, Some(poller)))
        }
        Err(StartError::Open(OpenError::InUse { door: Some(door), .. })) => {
            let store = connect(Connection::Embedded(door.client()), config.tables.clone());
            Ok((context(store, config), None))
        }
        Err(e) => Err(e),
    }
}

/// The store of the Tally that runs on a folder, if one does.
pub(crate) fn running(folder: &Path, config: Config) -> Option<Arc<Context>> {
    if !Embedded::is_in(folder) {
        return None;
    }
    match Embedded::open(folder) {
        Err(OpenError::InUse { door: Some(door), .. }) => {
            let store = connect(Connection::Embedded(door.client()), config.tables.clone());
            Some(context(store, config))
        }
        // Whoever opens the folder next tells what is wrong.
        _ => None,
    }
}

/// Where the Tally that runs on a folder may be asked as its admin, if it tells.
pub(crate) fn page(folder: &Path) -> Option<String> {
    match Embedded::open(folder) {
        Err(OpenError::InUse { door, .. }) => door?.page,
        _ => None,
    }
}

/// Puts source maps beside the data, unless a bucket has them. Where nothing is kept they are in memory.
pub(crate) fn place_maps(data: Option<&Path>, config: &mut Config) {
    if config.map_files == MapFiles::Nowhere {
        let in_memory = || MapFiles::Memory(InMemory::default());
        config.map_files = data.map_or_else(in_memory, |data| MapFiles::Folder(data.join("source-maps")));
    }
}

/// The settings of this process, where a laptop differs from the cloud.
pub fn config() -> Result<Config, ConfigError> {
    let mut config = Config::from_env()?;
    // A page of plain HTTP would not be sent them.
    config.secure_cookies = false;
    config.read_time = READ_TIME;
    // Reading costs nothing here, so only time and memory bound a question, unless somebody asks for units.
    if std::env::var("TALLY_READ_BUDGET").unwrap_or_default().is_empty() {
        config.read_budget = f64::INFINITY;
    }
    Ok(config)
}

/// A context that uses the system clock.
pub fn context(store: Store, config: Config) -> Arc<Context> {
    Context::new(store, Clock::System, config)
}

/// All functions as one service. Alerts reach public addresses alone, and nobody by e-mail.
pub fn service(context: &Arc<Context>) -> Router {
    service_with(context, Arc::new(Sender::new(Settings::default())), web::router)
}

/// All functions as one service, with what sends notifications, and the page by a router.
pub fn service_with(context: &Arc<Context>, sender: Arc<Sender>, web: impl FnOnce(Arc<Config>) -> Router) -> Router {
    let routers = [
        ingest::router,
        query::router,
        reports::router,
        charts::router,
        people::router,
        mcp::router,
        source_maps::router,
        admin::router,
    ];
    let routers = routers.map(|router| router(Arc::clone(context)));
    let others = [alerts::router(Arc::clone(context), sender), web(Arc::new(context.config.clone()))];
    serve(Arc::clone(context), routers.into_iter().chain(others))
}

/// Ctrl-C, or the signal that asks a process to stop.
pub async fn end() {
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
    // Without a signal handler, the process can only be killed.
    if interrupt.await.is_err() {
        std::future::pending::<()>().await;
    }
}
