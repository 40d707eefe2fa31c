//! The whole system in one process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use tally_core::time::clock::Clock;
use tally_http::runtime::serve;
use tally_service::config::{Config, ConfigError};
use tally_service::context::Context;
use tally_store::{Connection, Store, StoreError, connect};

use crate::door::Door;
use crate::embedded::{Embedded, OpenError, SharedDatabase};
use crate::housekeeping::Housekeeping;
use crate::stream_poller::StreamPoller;

/// Read units that one request may use: 800 MB, or 2.7 million events of 300 bytes.
const READ_BUDGET: f64 = 100_000.0;

/// Why the system does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A port.
    #[error("cannot listen on {address}: {error}; choose another with {option}")]
    Port {
        /// The address with the port.
        address: std::net::SocketAddr,
        /// The option that sets it.
        option: &'static str,
        /// Why not.
        error: std::io::Error,
    },
    /// The way for other processes.
    #[error("cannot let other processes reach the database: {0}")]
    Door(std::io::Error),
    /// The tables cannot be made.
    #[error("cannot make the tables: {0}")]
    Tables(#[from] StoreError),
}

/// Where the data lies.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// In a folder.
    Folder(&'a Path),
    /// In a temporary folder, deleted at the end.
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
    /// Opens the database and makes what tables are missing.
    pub async fn start(data: Data<'_>, config: &Config) -> Result<Self, StartError> {
        let embedded = match data {
            Data::Folder(folder) => Embedded::open(folder)?,
            Data::Temporary => Embedded::temporary()?,
            Data::Memory => Embedded::in_memory()?,
        };
        let store = connect(Connection::Embedded(embedded.client()), config.tables.clone());
        store.create_tables().await?;
        let housekeeping = embedded.housekeeping()?;
        Ok(Self { embedded: Arc::new(embedded), store, housekeeping: Arc::new(housekeeping) })
    }

    /// Lets other processes reach the database, for as long as this one lives.
    pub async fn open_door(&self) -> Result<(), StartError> {
        Door::open(&self.embedded).await.map_err(StartError::Door)
    }

    /// A poller of its stream into `aggregate`, which keeps its position in `file`.
    pub fn poller(&self, context: &Arc<Context>, file: Option<PathBuf>) -> StreamPoller {
        StreamPoller::new(self.embedded.client(), "http://embedded", Arc::clone(context), file)
    }
}

/// The store in the data folder: by itself, with a poller to count what is sent, or through the Tally that runs on it.
pub async fn open(data: &Path, config: Config) -> Result<(Arc<Context>, Option<StreamPoller>), StartError> {
    match Stack::start(Data::Folder(data), &config).await {
        Ok(stack) => {
            stack.open_door().await?;
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

/// The settings of this process, where a laptop's differ from the cloud's.
pub fn config() -> Result<Config, ConfigError> {
    let mut config = Config::from_env()?;
    // A page of plain HTTP would not be sent them.
    config.secure_cookies = false;
    // Reading costs nothing here. The bound keeps one question from taking minutes.
    if std::env::var("TALLY_READ_BUDGET").unwrap_or_default().is_empty() {
        config.read_budget = READ_BUDGET;
    }
    Ok(config)
}

/// A context on the machine's clock.
pub fn context(store: Store, config: Config) -> Arc<Context> {
    Context::new(store, Clock::System, config)
}

/// All functions as one service.
pub fn service(context: &Arc<Context>) -> Router {
    let routers = [ingest::router, query::router, reports::router, admin::router];
    serve(Arc::clone(context), routers.map(|router| router(Arc::clone(context))))
}
