//! Posts a body over HTTP, to an address that was checked.
//!
//! One connection for each request, HTTP/1.1, by hyper's connection rather than by a client of it: so there is nothing
//! that follows redirects, keeps cookies, asks the environment for a proxy, decompresses, or connects elsewhere.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tally_core::time::TimeDelta;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::channel::MAX_URL;
use crate::error::{SHOWN, SendError};
use crate::public::is_public;
use crate::resolve::Resolve;
use crate::roots::Roots;

/// The largest body that is sent, in bytes.
pub(crate) const MAX_BODY: usize = 64 << 10;
/// The most bytes of a reply's head, and of what is read at once.
const MAX_READ: usize = 8 << 10;
/// The most bytes of a body that are read: what is shown, after a URL that it may repeat.
const MAX_SAID: usize = SHOWN + MAX_URL;
/// The most addresses of a name that are tried.
const MAX_TRIED: usize = 4;
/// The longest wait that a receiver may ask for.
const MAX_WAIT: TimeDelta = TimeDelta::days(1);

/// Posts bodies.
#[derive(Debug)]
pub(crate) struct Poster {
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) roots: Roots,
    /// The time for all of it: name, connection, request and reply.
    pub(crate) time: Duration,
    tls: OnceLock<Arc<ClientConfig>>,
}

/// What a connection reads and writes.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Poster {
    pub(crate) fn new(resolver: Arc<dyn Resolve>, roots: Roots, time: Duration) -> Self {
        Self { resolver, roots, time, tls: OnceLock::new() }
    }

    /// Posts JSON to a URL by `deadline`. Only where `allowed`, its addresses may be private.
    pub(crate) async fn post(
        &self,
        url: &Url,
        allowed: bool,
        headers: HeaderMap,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Result<(), SendError> {
        if body.len() > MAX_BODY {
            return Err(SendError::TooLarge(body.len()));
        }
        let host = url.host_str().unwrap_or_default();
        let failed = |what: String| SendError::Unreachable { host: host.to_owned(), what };
        let connected = async {
            let addresses = self.addresses(url, allowed).await?;
            self.connect(url, &addresses).await.map_err(|error| failed(error.to_string()))
        };
        let request = request(url, headers, body).map_err(|error| failed(error.to_string()))?;
        let late = || SendError::Timeout { host: host.to_owned(), seconds: self.time.as_secs() };
        let stream = timeout_at(deadline, connected).await.map_err(|_| late())??;
        match exchange(stream, request, deadline).await {
            Ok(reply) => reply.verdict(url),
            Err(Failed::Late) => Err(late()),
            Err(Failed::Broken(error)) => Err(failed(described(&error))),
        }
    }

    /// The addresses to connect to. Each is checked, also those that would not be tried.
    async fn addresses(&self, url: &Url, allowed: bool) -> Result<Vec<IpAddr>, SendError> {
        let host = url.host_str().unwrap_or_default();
        let failed = |what: &str| SendError::Unreachable { host: host.to_owned(), what: what.to_owned() };
        let mut addresses = match url.host() {
            Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
            Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
            Some(Host::Domain(name)) => {
                self.resolver.resolve(name).await.map_err(|_| failed("the name cannot be resolved"))?
            }
            None => vec![],
        };
        let private = addresses.iter().copied().find(|address| !allowed && !is_public(*address));
        if let Some(address) = private {
            return Err(SendError::Private { host: host.to_owned(), address });
        }
        if addresses.is_empty() {
            return Err(failed("the name has no address"));
        }
        // Functions have no IPv6, where they are in no network that has it.
        addresses.sort_by_key(IpAddr::is_ipv6);
        addresses.truncate(MAX_TRIED);
        Ok(addresses)
    }

    /// Connects to the first of these addresses that answers.
    async fn connect(&self, url: &Url, addresses: &[IpAddr]) -> io::Result<Box<dyn Stream>> {
        let port = url.port_or_known_default().unwrap_or(443);
        let mut last = None;
        for address in addresses {
            // One address that does not answer leaves time for the next.
            match timeout(self.time / 3, TcpStream::connect(SocketAddr::new(*address, port))).await {
                Ok(Ok(stream)) => return self.encrypt(url, stream).await,
                Ok(Err(error)) => last = Some(error),
                Err(_) => last = Some(io::Error::new(io::ErrorKind::TimedOut, "no connection in time")),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no address")))
    }

    async fn encrypt(&self, url: &Url, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        if url.scheme() == "http" {
            return Ok(Box::new(stream));
        }
        let config = if let Some(config) = self.tls.get() {
            config
        } else {
            let config = self.roots.client().map_err(io::Error::other)?;
            self.tls.get_or_init(|| Arc::new(config))
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?))
    }
}

fn request(url: &Url, headers: HeaderMap, body: Vec<u8>) -> Result<Request<Full<Bytes>>, http::Error> {
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut request = Request::post(path).header(HOST, host).body(Full::new(Bytes::from(body)))?;
    *request.headers_mut() =
        headers.into_iter().fold(std::mem::take(request.headers_mut()), |mut all, (name, value)| {
            if let Some(name) = name {
                all.insert(name, value);
            }
            all
        });
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("Tally"));
    Ok(request)
}

/// What a receiver answered.
#[derive(Debug)]
struct Reply {
    status: u16,
    retry_after: Option<TimeDelta>,
    /// The start of the body; empty for a success.
    said: Vec<u8>,
}

/// Why there is no reply.
#[derive(Debug)]
enum Failed {
    Late,
    Broken(hyper::Error),
}

/// Sends a request and reads the status, and where that is no success the start of the body.
async fn exchange<S: Stream>(stream: S, request: Request<Full<Bytes>>, deadline: Instant) -> Result<Reply, Failed> {
    let shake = http1::Builder::new().max_buf_size(MAX_READ).handshake(TokioIo::new(stream));
    let (mut sender, connection) =
        timeout_at(deadline, shake).await.map_err(|_| Failed::Late)?.map_err(Failed::Broken)?;
    let talk = async {
        let head = timeout_at(deadline, sender.send_request(request)).await.map_err(|_| Failed::Late)?;
        let response = head.map_err(Failed::Broken)?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        let mut said = vec![];
        if !status.is_success() {
            // The status is known: a body that does not come changes nothing.
            let _ = timeout_at(deadline, start_of(response.into_body(), &mut said)).await;
        }
        Ok(Reply { status: status.as_u16(), retry_after, said })
    };
    let (mut connection, mut talk) = (pin!(connection), pin!(talk));
    let mut open = true;
    // Both are polled here rather than in a task: when this function returns, the connection is closed.
    poll_fn(|cx| {
        if let Poll::Ready(done) = talk.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        if open && connection.as_mut().poll(cx).is_ready() {
            open = false;
            return talk.as_mut().poll(cx);
        }
        // The connection may have handed over what `talk` waits for; it wakes this task then.
        Poll::Pending
    })
    .await
}

/// Reads a body until there is enough for an error.
async fn start_of(mut body: Incoming, said: &mut Vec<u8>) {
    while let Some(Ok(frame)) = body.frame().await {
        said.extend(frame.into_data().unwrap_or_default().iter().take(MAX_SAID - said.len()));
        if said.len() >= MAX_SAID {
            return;
        }
    }
}

/// Reads `Retry-After`, which is seconds or a date.
fn retry_after<B>(response: &Response<B>) -> Option<TimeDelta> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match text.parse::<f64>() {
        Ok(seconds) if seconds >= 0.0 => Duration::try_from_secs_f64(seconds.ceil()).ok()?,
        Ok(_) => return None,
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).unwrap_or_default(),
    };
    Some(TimeDelta::seconds(i64::try_from(seconds.as_secs()).unwrap_or(i64::MAX)).min(MAX_WAIT))
}

impl Reply {
    fn verdict(self, url: &Url) -> Result<(), SendError> {
        if (200..300).contains(&self.status) {
            return Ok(());
        }
        Err(SendError::Status {
            host: url.host_str().unwrap_or_default().to_owned(),
            status: self.status,
            said: shown(&without_secrets(&self.said, url)),
            retry_after: self.retry_after,
        })
    }
}

/// The start of what was said, as one line of text.
pub(crate) fn shown(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(&said[..said.len().min(SHOWN)]);
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text without the parts of a URL that may be secret: receivers repeat what they do not know.
fn without_secrets(said: &[u8], url: &Url) -> Vec<u8> {
    let segments = url.path().split('/').filter(|segment| segment.len() >= 8);
    let values = url.query().into_iter().flat_map(|query| query.split('&'));
    let values =
        values.map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value)).filter(|value| value.len() >= 4);
    let mut text = String::from_utf8_lossy(said).into_owned();
    for secret in segments.chain(values) {
        let decoded = percent_decode_str(secret).decode_utf8_lossy();
        text = text.replace(secret, "…").replace(&*decoded, "…");
    }
    text.into_bytes()
}

/// An error of hyper with what caused it.
fn described(error: &hyper::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Channel;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What `exchange` makes of a receiver that writes `head`, then `body` again and again; and how many bytes it took.
    async fn exchanged(head: &'static str, body: &'static [u8]) -> (Result<Reply, Failed>, usize) {
        let (near, mut far) = tokio::io::duplex(1024);
        let url = Url::parse("https://hooks.example/").expect("a URL");
        let request = request(&url, HeaderMap::new(), b"{}".to_vec()).expect("a request");
        let receiver = async move {
            let _ = far.read(&mut [0; 1024]).await;
            let mut written = 0;
            let _ = far.write_all(head.as_bytes()).await;
            while !body.is_empty() && far.write_all(body).await.is_ok() {
                written += body.len();
            }
            if body.is_empty() {
                std::future::pending::<()>().await;
            }
            written
        };
        let receiver = tokio::spawn(receiver);
        let reply = exchange(near, request, Instant::now() + Duration::from_secs(10)).await;
        let written = if body.is_empty() { 0 } else { receiver.await.expect("it ends") };
        (reply, written)
    }

    #[tokio::test(start_paused = true)]
    async fn little_of_a_reply_is_read() {
        for head in [
            "HTTP/1.1 500 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n",
        ] {
            let (reply, written) = exchanged(head, &[b'x'; 512]).await;
            assert!(reply.is_ok_and(|reply| reply.said.len() <= MAX_SAID), "{head}");
            assert!(written <= 2 * MAX_READ, "{head}: {written}");
        }
        let (reply, written) = exchanged("HTTP/1.1 500 x\r\nx: ", &[b'x'; 512]).await;
        assert!(matches!(reply, Err(Failed::Broken(_))), "a head without end");
        assert!(written <= 2 * MAX_READ, "{written}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_counts_though_its_body_does_not_come() {
        let started = Instant::now();
        let (reply, _) = exchanged("HTTP/1.1 503 x\r\nContent-Length: 9\r\n\r\nbusy", b"").await;
        let reply = reply.expect("a reply");
        assert_eq!((reply.status, reply.said.as_slice()), (503, &b"busy"[..]));
        assert_eq!(started.elapsed().as_secs(), 10);
        let (reply, _) = exchanged("HTTP/1.1 503 x\r\n", b"").await;
        assert!(matches!(reply, Err(Failed::Late)));
        let (reply, _) = exchanged("HTTP/1.1 100 Continue\r\n\r\n", b"").await;
        assert!(matches!(reply, Err(Failed::Late)), "what comes before a reply is none");
    }

    proptest! {
        /// What a URL may hold and a request may not would fail at each attempt, for a day.
        #[test]
        fn any_channel_can_be_posted_to(rest in "[/?#]{0,2}\\PC{0,20}", any in any::<String>()) {
            for text in [format!("https://hooks.example:8443{rest}"), format!("https://hooks.example/{any}?{any}")] {
                let Ok(Channel::Webhook { url }) = Channel::parse("webhook", Some(&text), None) else { continue };
                let request = request(&url, HeaderMap::new(), vec![]);
                prop_assert!(request.is_ok(), "{}: {:?}", url, request);
                let request = request.expect("checked");
                prop_assert_eq!(request.uri().host(), None);
                let path = request.uri().path_and_query().map(ToString::to_string);
                prop_assert_eq!(path.as_deref(), Some(&url[url::Position::BeforePath..url::Position::AfterQuery]));
            }
        }
    }
}
