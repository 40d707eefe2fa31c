//! `tally serve`: all of Tally on this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::builder::FalseyValueParser;
use ipnet::IpNet;
use tally_notify::Sender;
use tally_service::config::{Config, ConfigError, collect_path, script_path};
use tally_service::context::Context;
use tally_store::Store;
use tokio::net::TcpListener;

use crate::background::Background;
use crate::connections::{Limits, serve_connections, serve_tls};
use crate::disk::DataDisk;
use crate::elsewhere::{Elsewhere, Endpoint};
use crate::embedded::{OpenError, make_private_folder};
use crate::first_start::Machine;
use crate::large::Large;
use crate::proxy::{BasePath, Proxies};
use crate::server::{Data, Stack, StartError, config, context, place_maps, service_with};
use crate::sign_in;
use crate::stream_poller::StreamPoller;
use crate::web_folder::WebFolder;
use crate::{tls, wire};

/// The exit code of a process that was interrupted.
const INTERRUPTED: i32 = 130;

/// Prints a line. A closed pipe (`tally | head`) is not an error.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($part)*);
    }};
}

/// How to serve.
#[derive(clap::Args)]
pub struct Serve {
    /// The port of the HTTP API.
    #[arg(long, env = "TALLY_PORT", default_value_t = 3000)]
    port: u16,
    /// The address of this machine at which the HTTP API is served; 0.0.0.0 means all addresses.
    #[arg(long, env = "TALLY_HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    host: IpAddr,
    /// The certificate with which the HTTP API is served over TLS: a PEM file, with those of the authorities in between after it. A
    /// new one is taken within a minute after its file changed.
    #[arg(long, env = "TALLY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate: a PEM file.
    #[arg(long, env = "TALLY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Also serves the DynamoDB API on this port, for `sam local`, the AWS CLI and other tools.
    #[arg(long, env = "TALLY_DYNAMODB_PORT", value_name = "PORT")]
    dynamodb_port: Option<u16>,
    /// The address of this machine at which the DynamoDB API is served. It asks for no credentials: anyone who can
    /// reach it can do everything.
    #[arg(long, env = "TALLY_DYNAMODB_HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    dynamodb_host: IpAddr,
    /// Does not serve the DynamoDB API, regardless of the other options.
    #[arg(long, env = "TALLY_NO_DYNAMODB", value_parser = FalseyValueParser::new())]
    no_dynamodb: bool,
    /// Keeps the data in the DynamoDB at this URL instead, such as <http://127.0.0.1:8000> or
    /// <https://dynamodb.eu-central-1.amazonaws.com>. Several servers may share it; one of them counts at a time. Tables are made where
    /// they are missing. Credentials and region come from where the AWS CLI has them. The folder of --data then keeps only
    /// this machine's secrets, and source maps unless a bucket has them.
    #[arg(long, env = "TALLY_DYNAMODB_ENDPOINT", value_name = "URL", conflicts_with_all = ["dynamodb_port", "memory"])]
    dynamodb_endpoint: Option<Endpoint>,
    /// Leaves counting to other servers over the same database.
    #[arg(long, env = "TALLY_NO_COUNTING", value_parser = FalseyValueParser::new(), requires = "dynamodb_endpoint")]
    no_counting: bool,
    /// The folder that keeps the data; it may hold other files.
    #[arg(long, env = "TALLY_DATA", value_name = "DIR", default_value = ".tally")]
    data: PathBuf,
    /// Keeps nothing: the data is only in memory, at most 1 GiB, regardless of `--data`.
    #[arg(long, env = "TALLY_MEMORY", value_parser = FalseyValueParser::new())]
    memory: bool,
    /// A network of reverse proxies, such as 10.0.0.0/8 or 127.0.0.1/32, that are trusted to report where a request
    /// comes from (`Forwarded`, or `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix`). Separate several with commas.
    #[arg(long, env = "TALLY_TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',', value_parser = network)]
    trusted_proxy: Vec<IpNet>,
    /// The path prefix in front of a reverse proxy, such as /tally. Links and redirects begin with it too.
    #[arg(long, env = "TALLY_BASE_PATH", value_name = "PATH", default_value = "")]
    base_path: BasePath,
    /// One more path of the script for web pages, such as /js/shop.js: a name that no filter list has.
    #[arg(long, env = "TALLY_SCRIPT_PATH", value_name = "PATH", value_parser = |text: &str| path_or_none(text, script_path))]
    script_path: Option<String>,
    /// The path that this script sends to, such as /c/shop.
    #[arg(long, env = "TALLY_COLLECT_PATH", value_name = "PATH", value_parser = |text: &str| path_or_none(text, collect_path))]
    collect_path: Option<String>,
    /// Serves the page from this folder, as it is, instead of the one in the program: for work on the page.
    #[arg(long, env = "TALLY_WEB_DIR", value_name = "DIR")]
    web_dir: Option<PathBuf>,
}

/// A path that `check` takes, or an empty text for none.
fn path_or_none(text: &str, check: fn(&str) -> Result<String, ConfigError>) -> Result<String, ConfigError> {
    if text.is_empty() { Ok(String::new()) } else { check(text) }
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| format!("`{text}` is no network such as 10.0.0.0/8"))
}

impl Serve {
    /// The folder of the data; none where nothing is kept.
    pub(crate) fn folder(&self) -> Option<&Path> {
        (!self.memory).then_some(&*self.data)
    }
}

/// What was done before the server accepts requests.
pub(crate) struct Filled {
    /// What to print of it.
    pub(crate) told: String,
    /// The path of the page that shows it.
    pub(crate) page: String,
}

const ONLY_HERE: &str = "the demo fills a database of this machine: leave out --dynamodb-endpoint";

/// What has the data.
pub(crate) enum Base {
    /// The database of this process.
    Here(Stack),
    /// Another DynamoDB, and the folder for what is of this machine.
    Elsewhere { endpoint: Endpoint, elsewhere: Elsewhere, store: Store, folder: PathBuf, counts: bool },
}

impl Base {
    async fn open(serve: &Serve, config: &Config) -> Result<Self, StartError> {
        if let Some(endpoint) = &serve.dynamodb_endpoint {
            let folder = serve.data.clone();
            make_private_folder(&folder).map_err(|e| OpenError::Folder(folder.clone(), e))?;
            let elsewhere = Elsewhere::at(endpoint).await;
            let store = elsewhere.connect(config).await?;
            let counts = !serve.no_counting;
            return Ok(Self::Elsewhere { endpoint: endpoint.clone(), elsewhere, store, folder, counts });
        }
        let data = if serve.memory { Data::Memory } else { Data::Folder(&serve.data) };
        Stack::start(data, config).await.map(Self::Here)
    }

    fn store(&self) -> Store {
        match self {
            Self::Here(stack) => stack.store.clone(),
            Self::Elsewhere { store, .. } => store.clone(),
        }
    }

    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Here(stack) => stack.embedded.folder(),
            Self::Elsewhere { folder, .. } => Some(folder),
        }
    }

    /// Where the data is kept.
    fn told(&self) -> String {
        match self {
            Self::Here(stack) => stack
                .embedded
                .folder()
                .map_or_else(|| "nowhere".to_owned(), |folder| format!("in {}", folder.display())),
            Self::Elsewhere { elsewhere, .. } => format!("in the DynamoDB at {}", elsewhere.url),
        }
    }

    fn background(&self, context: &Arc<Context>, large: &Large, sender: &Arc<Sender>) -> Background {
        match self {
            Self::Here(stack) => Background::start(stack, context, large, sender),
            Self::Elsewhere { endpoint, elsewhere, counts, .. } => {
                let poller = counts.then(|| StreamPoller::at(endpoint, elsewhere, Arc::clone(context)));
                Background::share(poller, context, large, sender)
            }
        }
    }
}

/// Serves until a signal stops it.
pub async fn run(serve: Serve) -> Result<ExitCode, Box<dyn std::error::Error>> {
    start(serve, async |_, _, _| Ok(None)).await
}

/// Serves data that something fills first, which counts it by the poller that it gets. Ends after that if it is `only` to be
/// filled.
pub(crate) async fn run_filled<E: std::error::Error + 'static>(
    serve: Serve,
    only: bool,
    fill: impl AsyncFnOnce(&Arc<Context>, &mut StreamPoller) -> Result<Filled, E>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    start(serve, async |base, context, signals| {
        let Base::Here(stack) = base else { return Err(ONLY_HERE.into()) };
        let mut poller = stack.poller(context, stack.embedded.position_file());
        say!("Filling…");
        tokio::select! {
            filled = fill(context, &mut poller) => Ok(Some((filled?, only))),
            () = signals.next() => Err("interrupted; run it again to go on".into()),
        }
    })
    .await
}

async fn start(
    serve: Serve,
    fill: impl AsyncFnOnce(&Base, &Arc<Context>, &mut Signals) -> Result<Option<(Filled, bool)>, Box<dyn std::error::Error>>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut config = config()?;
    config.script_path = serve.script_path.clone().filter(|path| !path.is_empty());
    config.collect_path = serve.collect_path.clone().filter(|path| !path.is_empty());
    let sender = alerts::sender()?;
    let folder = serve.web_dir.clone().filter(|dir| !dir.as_os_str().is_empty());
    let folder = folder.map(|dir| WebFolder::open(&dir)).transpose()?;
    let tls = serve.tls_cert.as_deref().zip(serve.tls_key.as_deref());
    let tls = tls.map(|(certificate, key)| tls::acceptor(certificate, key)).transpose()?;
    config.secure_cookies = tls.is_some();
    let mut signals = Signals::listen()?;
    // Done before the database is opened, so that a second start reports the conflict.
    let listener = listen((serve.host, serve.port).into(), "--port").await?;
    let dynamodb = match serve.dynamodb_port.filter(|_| !serve.no_dynamodb) {
        Some(port) => Some(listen((serve.dynamodb_host, port).into(), "--dynamodb-port").await?),
        None => None,
    };
    let base = Base::open(&serve, &config).await?;
    let mut machine = Machine::load_or_make(base.folder())?;
    let own_admin = std::env::var("TALLY_USERS").unwrap_or_default().is_empty();
    if own_admin {
        config.users = machine.users();
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr()?);
    config.page_url.get_or_insert_with(|| url.clone());
    place_maps(base.folder(), &mut config);
    let countries = config.geoip.as_deref().map(ingest::geoip::read).transpose()?;
    let context = context(base.store(), config);
    // Nobody else sets it.
    let _ = countries.map(|countries| context.countries.set(countries));
    if let Base::Here(stack) = &base {
        let _ = context.disk.set(Box::new(DataDisk(stack.embedded.folder().map(Path::to_owned))));
    }
    say!("Tally {} on {url}", env!("CARGO_PKG_VERSION"));
    say!("Data is kept {}.", base.told());
    if let (Some(listener), Base::Here(stack)) = (dynamodb, &base) {
        say!("DynamoDB API on http://{}", listener.local_addr()?);
        wire::spawn(listener, wire::for_tools(stack.embedded.direct()));
    }
    machine.make_demo(&context).await?;
    let server = own_admin.then(|| listener.local_addr().map(|address| sign_in::page(scheme, address))).transpose()?;
    if let Base::Here(stack) = &base {
        stack.open_door(server.clone()).await?;
    }
    let mut path = "/".to_owned();
    if let Some((filled, only)) = fill(&base, &context, &mut signals).await? {
        say!("{}", filled.told);
        if only {
            return Ok(ExitCode::SUCCESS);
        }
        path = filled.page;
    }
    say!("\n{}", machine.welcome(&url, own_admin));
    if let Some(server) = server {
        say!("{}", sign_in::link(&context, &server, &path).await?);
    } else {
        say!("Open {url}{path}\n");
    }
    say!("Ctrl-C ends it.");
    let large = Large::start()?;
    let background = base.background(&context, &large, &sender);
    let proxies = Proxies { trusted: serve.trusted_proxy, base_path: serve.base_path };
    let service = service_with(&context, sender, |config| match folder {
        Some(folder) => web::router_of(config, folder),
        None => web::router(config),
    });
    let end = async {
        signals.next().await;
        // A second signal ends the process at once.
        tokio::spawn(async move {
            signals.next().await;
            std::process::exit(INTERRUPTED);
        });
    };
    let app = proxies.before(large.serve(service));
    match tls {
        Some(tls) => serve_tls(listener, tls, app, Limits::default(), end).await,
        None => serve_connections(listener, app, Limits::default(), end).await,
    }
    background.stop().await;
    say!("{}", if serve.memory { "Ended; nothing is kept." } else { "Ended; what was accepted is kept." });
    Ok(ExitCode::SUCCESS)
}

async fn listen(address: SocketAddr, option: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Port { address, option, error })
}

/// The signals that ask a process to stop.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps)] // as on Unix
    fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        // Without a signal handler, the process can only be killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
