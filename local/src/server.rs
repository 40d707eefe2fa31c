//! The whole system in one process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::map_request;
use tally_core::time::clock::Clock;
use tally_http::service::serve;
use tally_http::source::Source;
use tally_service::config::Config;
use tally_service::context::Context;
use tally_store::{Connection, Store, StoreError, connect};
use tokio::net::TcpListener;

use crate::embedded::{Embedded, OpenError, SharedDatabase};
use crate::stream_poller::StreamPoller;

/// Where the poller keeps its position, in the data folder.
pub(crate) const POSITION: &str = "stream-position.json";
/// The data folder where none is named.
pub const DATA: &str = ".tally";
/// Any free port of this machine, that other machines do not reach.
pub const FREE_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How often expired items and old stream records are looked for.
const SWEEP: Duration = Duration::from_mins(1);

/// Why the system does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A port.
    #[error("cannot listen on port {port}: {error}; choose another with {option}")]
    Port {
        /// Which.
        port: u16,
        /// The option that sets it.
        option: &'static str,
        /// Why not.
        error: std::io::Error,
    },
    /// There is no data to work on.
    #[error("{}", no_data(.0, *.1))]
    NoData(PathBuf, bool),
    /// The tables cannot be made.
    #[error("cannot make the tables: {0}")]
    Tables(#[from] StoreError),
}

/// The embedded database, served and with its tables.
pub struct Stack {
    /// The database.
    pub embedded: SharedDatabase,
    /// Where it serves the DynamoDB API.
    pub dynamodb: SocketAddr,
    /// The store over it.
    pub store: Store,
}

impl Stack {
    /// Opens the database (in a temporary folder where none is given), serves its DynamoDB API at an address, and makes
    /// what tables are missing.
    pub async fn start(data: Option<&Path>, dynamodb: SocketAddr, config: &Config) -> Result<Self, StartError> {
        let mut embedded = match data {
            Some(folder) => Embedded::open(folder)?,
            None => Embedded::temporary()?,
        };
        let dynamodb = embedded.serve(dynamodb).map_err(|error| StartError::Port {
            port: dynamodb.port(),
            option: "--dynamodb-port",
            error,
        })?;
        let store = connect(Connection::Embedded(embedded.client()), config.tables.clone());
        store.create_tables().await?;
        Ok(Self { embedded: Arc::new(embedded), dynamodb, store })
    }

    /// A poller of its stream into `aggregate`, which keeps its position in `file`.
    pub fn poller(&self, context: &Arc<Context>, file: Option<PathBuf>) -> StreamPoller {
        StreamPoller::new(self.embedded.client(), &self.dynamodb_url(), Arc::clone(context), file)
    }

    /// The URL of the DynamoDB API.
    pub fn dynamodb_url(&self) -> String {
        format!("http://{}", self.dynamodb)
    }

    /// Where the poller's position is kept.
    pub fn position_file(&self) -> PathBuf {
        self.embedded.folder().join(POSITION)
    }
}

/// What to do where a data folder has no database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Make none: there is nothing to look at in a new one.
    Refuse,
    /// Make one, and say so, where the folder was named; never where it is only the default.
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

/// The store in a data folder, [`DATA`] where none is named: by itself, with a poller to count what is sent, or through the
/// Tally that runs on it.
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
    match Stack::start(Some(data), FREE_PORT, &config).await {
        Ok(stack) => {
            let context = context(stack.store.clone(), config);
            let poller = stack.poller(&context, Some(stack.position_file()));
            // The database is served until the process ends.
            std::mem::forget(stack);
            Ok((context, Some(poller)))
        }
        Err(StartError::Open(OpenError::InUse { dynamodb: Some(url), .. })) => {
            let store = connect(Connection::Local(url), config.tables.clone());
            Ok((context(store, config), None))
        }
        Err(e) => Err(e),
    }
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

/// The service for connections, each request with the address that it comes from.
pub fn service_of_connections(context: &Arc<Context>) -> IntoMakeServiceWithConnectInfo<Router, SocketAddr> {
    let with_source = |mut request: Request| async move {
        let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
        request.extensions_mut().insert(Source(from));
        request
    };
    service(context).layer(map_request(with_source)).into_make_service_with_connect_info()
}

/// Takes a port for HTTP.
pub async fn listen(port: u16) -> Result<TcpListener, StartError> {
    TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| StartError::Port { port, option: "--port", error })
}

/// Starts the poller, and the sweeps of what has expired, for as long as the process lives.
pub fn start_background(stack: &Stack, context: &Arc<Context>) {
    let poller = stack.poller(context, Some(stack.position_file()));
    let embedded = Arc::clone(&stack.embedded);
    let context = Arc::clone(context);
    let mut swept = std::time::Instant::now();
    tokio::spawn(poller.run(move |counted| {
        if swept.elapsed() < SWEEP {
            return;
        }
        swept = std::time::Instant::now();
        let embedded = Arc::clone(&embedded);
        let table = context.config.tables.events.clone();
        let now = context.clock.now().seconds();
        // One stream shard is all that the embedded database has.
        let counted = counted.values().max().cloned();
        tokio::task::spawn_blocking(move || {
            embedded.sweep_expired();
            if let Some(counted) = counted
                && let Err(error) = embedded.trim_stream(&table, &counted, now)
            {
                tracing::warn!(%error, "could not trim the stream");
            }
        });
    }));
}

/// Ctrl-C, or the signal that asks a process to end.
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
    // Without a signal to wait for, the process can only be killed.
    if interrupt.await.is_err() {
        std::future::pending::<()>().await;
    }
}
