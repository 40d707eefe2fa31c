//! Lets other processes on this machine reach the database while a Tally has it open: a loopback port that requires a
//! secret. The lock file in the data folder holds the secret for anyone allowed to read it.

use std::net::{Ipv4Addr, SocketAddr};

use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use serde::{Deserialize, Serialize};
use tally_core::app::key::hex;
use tokio::net::TcpListener;

use crate::direct::Direct;
use crate::wire;

/// How to reach the database of another process.
#[derive(Clone, Serialize, Deserialize)]
pub struct Door {
    address: SocketAddr,
    secret: String,
    /// The beginning of links that sign in the admin of this machine; none where nothing is served, or to other users.
    #[serde(default)]
    pub(crate) page: Option<String>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Door({})", self.address)
    }
}

impl Door {
    /// Opens a door to a database, for as long as the runtime lives.
    pub(crate) async fn open(database: Direct, page: Option<String>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let door = Self { address: listener.local_addr()?, secret: hex(&rand::random::<[u8; 16]>()), page };
        wire::spawn(listener, wire::for_holders_of(door.secret.clone(), database));
        Ok(door)
    }

    /// A client that connects through the door.
    pub(crate) fn client(self) -> SharedHttpClient {
        SharedHttpClient::new(Through { inner: Builder::new().build_http(), door: self })
    }
}

#[derive(Clone, Debug)]
struct Through<T> {
    inner: T,
    door: Door,
}

impl HttpClient for Through<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Through { inner, door: self.door.clone() })
    }
}

impl HttpConnector for Through<SharedHttpConnector> {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        if let Err(error) = request.set_uri(format!("http://{}", self.door.address)) {
            return HttpConnectorFuture::ready(Err(ConnectorError::other(error.into(), None)));
        }
        request.headers_mut().insert(wire::SECRET, self.door.secret.clone());
        self.inner.call(request)
    }
}
