//! HTTP/1.1 connections within limits: idle clients are disconnected, and all connections end when the server does.
//!
//! HTTP/2 is not supported: without TLS, only clients that know about it in advance would use it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Request};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tower::ServiceExt;

use crate::refusals::Refusals;

/// Time and count limits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Simultaneous connections; more wait to be accepted. Below the 1,024 files that a process may usually have open.
    pub connections: usize,
    /// The time limit for the head of a request, and for the next request on a kept-alive connection.
    pub head: Duration,
    /// The time limit for the whole body of a request: 16 MB at 150 KB a second.
    pub body: Duration,
    /// Bytes that are read of a body that a handler left unread; past that the connection ends with the reply.
    pub unread: u64,
    /// The time limit for a client to read more of a reply.
    pub write: Duration,
    /// The time limit for requests in progress when the server shuts down.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head: Duration::from_secs(30),
            body: Duration::from_mins(2),
            // As much as the largest body may have once it is decompressed: sent as it is, it is read and refused.
            unread: 16 * 1024 * 1024,
            write: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

/// The wait after an error of the listener itself, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `end`, then lets requests in progress finish within the limits. Each request carries its
/// peer address.
pub async fn serve_connections(listener: TcpListener, app: Router, limits: Limits, end: impl Future<Output = ()>) {
    serve(listener, None, app, limits, end).await;
}

/// The same, over TLS.
pub(crate) async fn serve_tls(
    listener: TcpListener,
    tls: TlsAcceptor,
    app: Router,
    limits: Limits,
    end: impl Future<Output = ()>,
) {
    serve(listener, Some(tls), app, limits, end).await;
}

async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Router,
    limits: Limits,
    end: impl Future<Output = ()>,
) {
    let mut end = pin!(end);
    let connections = GracefulShutdown::new();
    let free = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = Arc::clone(&free).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut end => break,
        };
        match accepted {
            Ok((stream, from)) => {
                let (app, tls, watcher) = (app.clone(), tls.clone(), connections.watcher());
                tokio::spawn(async move {
                    // Errors on a connection concern only its client.
                    if let Ok(socket) = socket(stream, tls, limits).await {
                        let _ = watcher.watch(connection(socket, from, app, limits)).await;
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if timeout(limits.drain, connections.shutdown()).await.is_err() {
        tracing::warn!("requests that were under way are given up");
    }
}

/// A connection, with TLS or without.
type Socket = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// The stream of a connection.
type Stream = TokioIo<Refusals<Pin<Box<TimeoutStream<Socket>>>>>;

/// Agrees on TLS, if it is asked for, in the time that a head may take.
async fn socket(stream: TcpStream, tls: Option<TlsAcceptor>, limits: Limits) -> io::Result<Socket> {
    // A reply of two writes must not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    match tls {
        None => Ok(Either::Left(stream)),
        Some(tls) => Ok(Either::Right(Box::new(timeout(limits.head, tls.accept(stream)).await??))),
    }
}

fn connection(
    stream: Socket,
    from: SocketAddr,
    app: Router,
    limits: Limits,
) -> http1::Connection<Stream, impl HttpService<Incoming, ResBody = Body, Future: Send, Error = Infallible>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write));
    let service = service_fn(move |request: Request<Incoming>| {
        let rest = Rest::default();
        let waits = request.headers().contains_key(EXPECT);
        let mut request = request.map(|body| {
            let until = Box::pin(sleep(limits.body));
            Body::new(Timed { body: Some(Unread { body, until, waits }), rest: Arc::clone(&rest) })
        });
        request.extensions_mut().insert(ConnectInfo(from));
        let app = app.clone();
        async move {
            let mut reply = app.oneshot(request).await?;
            let unread = rest.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(unread) = unread
                && !unread.drain(limits.unread).await
            {
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(reply)
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(TokioIo::new(Refusals::of(Box::pin(stream))), service)
}

/// A body with a deadline, of which some may be unread.
struct Unread {
    body: Incoming,
    until: Pin<Box<Sleep>>,
    /// Whether the client sends it only once it is asked for.
    waits: bool,
}

/// What a handler left of a body.
type Rest = Arc<Mutex<Option<Unread>>>;

impl Unread {
    /// Reads and forgets the rest, so that the client gets the reply and may use the connection again. False where it is
    /// too much, too slow, or not worth asking for.
    async fn drain(mut self, most: u64) -> bool {
        if self.waits || self.body.size_hint().lower() > most {
            return false;
        }
        let mut read = 0;
        loop {
            let frame = tokio::select! {
                frame = self.body.frame() => frame,
                () = self.until.as_mut() => return false,
            };
            match frame {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, |data| data.len() as u64),
            }
            if read > most {
                return false;
            }
        }
    }
}

/// A body as a handler sees it. What it leaves is put into `rest`.
struct Timed {
    body: Option<Unread>,
    rest: Rest,
}

impl Drop for Timed {
    fn drop(&mut self) {
        let unread = self.body.take().filter(|unread| !unread.body.is_end_stream());
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = unread;
    }
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("the body takes too long")]
    TooSlow,
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(unread) = &mut self.body else { return Poll::Ready(None) };
        // Asking for it is what the client waits for.
        unread.waits = false;
        if let Poll::Ready(frame) = Pin::new(&mut unread.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)));
        }
        ready!(unread.until.as_mut().poll(context));
        Poll::Ready(Some(Err(BodyError::TooSlow)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|unread| unread.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), |unread| unread.body.size_hint())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::{get, post};
    use http::StatusCode;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    const SOON: Duration = Duration::from_millis(50);
    const PATIENT: Duration = Duration::from_secs(20);

    struct Server {
        address: SocketAddr,
        end: oneshot::Sender<()>,
        ended: JoinHandle<()>,
    }

    async fn server(limits: Limits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new()
            .route("/", get(async |ConnectInfo(from): ConnectInfo<SocketAddr>| from.ip().to_string()))
            .route("/length", post(async |body: Bytes| body.len().to_string()))
            .route("/refused", post(async || StatusCode::UNAUTHORIZED))
            .route("/large", get(async || vec![b'x'; 64 << 20]));
        let (end, ending) = oneshot::channel();
        let ended = tokio::spawn(serve_connections(listener, app, limits, async {
            let _ = ending.await;
        }));
        Server { address, end, ended }
    }

    /// Reads from a connection until the server closes it.
    async fn until_closed(stream: &mut TcpStream) -> String {
        let mut reply = Vec::new();
        // A reset also counts as closed.
        let _ = timeout(PATIENT, stream.read_to_end(&mut reply)).await.expect("the server closes it");
        String::from_utf8_lossy(&reply).into_owned()
    }

    async fn sent(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(text.as_bytes()).await.expect("room");
        stream
    }

    #[tokio::test]
    async fn requests_are_answered_and_know_where_they_come_from() {
        let server = server(Limits::default()).await;
        let mut stream = sent(server.address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(until_closed(&mut stream).await.ends_with("\r\n\r\n127.0.0.1"));
    }

    #[tokio::test]
    async fn http_2_is_not_spoken() {
        let server = server(Limits::default()).await;
        let mut stream = sent(server.address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
        let reply = until_closed(&mut stream).await;
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 400"), "{reply:?}");
    }

    /// A whole request whose body is `sent` of `length` bytes.
    fn refused(length: usize, sent: usize, more: &str) -> String {
        let body = "x".repeat(sent);
        format!("POST /refused HTTP/1.1\r\nhost: a\r\n{more}content-length: {length}\r\n\r\n{body}")
    }

    #[tokio::test]
    async fn after_a_refused_body_the_connection_goes_on() {
        let server = server(Limits::default()).await;
        let mut stream = sent(server.address, &refused(3_000_000, 3_000_000, "")).await;
        let next = format!("{}GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", refused(1_000, 1_000, ""));
        stream.write_all(next.as_bytes()).await.expect("room");
        let replies = until_closed(&mut stream).await;
        assert_eq!(replies.matches("401 Unauthorized").count(), 2, "{replies}");
        assert!(replies.ends_with("\r\n\r\n127.0.0.1"), "{replies}");
    }

    #[tokio::test]
    async fn what_is_not_read_of_a_refused_body_ends_the_connection_with_a_word() {
        let server = server(Limits { unread: 1_000, ..Limits::default() }).await;
        let chunked = "POST /refused HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = format!("7d0\r\n{}\r\n", "x".repeat(2_000));
        for request in [
            refused(1_001, 0, ""),
            // A client that waits need not send what nobody reads.
            refused(10, 0, "expect: 100-continue\r\n"),
            format!("{chunked}{chunk}"),
        ] {
            let reply = until_closed(&mut sent(server.address, &request).await).await.to_ascii_lowercase();
            assert!(reply.starts_with("http/1.1 401"), "{reply}");
            assert!(reply.contains("\r\nconnection: close\r\n"), "{reply}");
        }
    }

    #[tokio::test]
    async fn what_is_no_request_is_refused_with_a_problem_document() {
        let server = server(Limits::default()).await;
        let many = "a: b\r\n".repeat(200);
        for (request, status) in [
            ("GET /a<b>c HTTP/1.1\r\nhost: a\r\n\r\n", 400),
            ("GET /a b HTTP/1.1\r\nhost: a\r\n\r\n", 400),
            ("GET /?q=a b HTTP/1.1\r\nhost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nhost a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nho st: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: a\0b\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n", 400),
            ("nonsense\r\n\r\n", 400),
            (&format!("GET / HTTP/1.1\r\n{many}\r\n"), 431),
        ] {
            let reply = until_closed(&mut sent(server.address, request).await).await;
            let (head, body) = reply.split_once("\r\n\r\n").expect("a reply");
            assert!(head.contains("\r\ncontent-type: application/problem+json\r\n"), "{request}: {reply}");
            let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(problem["status"], status, "{request}: {reply}");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10));
            assert!(head.contains(&format!("content-length: {}", body.len())), "{reply}");
        }
        // Also after a request that could be read.
        let mut stream = sent(server.address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.expect("a reply");
        stream.write_all(b"GET /<> HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("room");
        let reply = until_closed(&mut stream).await;
        assert!(reply.contains("127.0.0.1") && reply.contains("application/problem+json"), "{reply}");
    }

    #[tokio::test]
    async fn slow_connections_end() {
        let server = server(Limits { head: SOON, body: SOON, ..Limits::default() }).await;
        for begun in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: a\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"] {
            until_closed(&mut sent(server.address, begun).await).await;
        }
        let half = "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345";
        let reply = until_closed(&mut sent(server.address, half).await).await;
        assert!(reply.starts_with("HTTP/1.1 4"), "{reply}");
    }

    #[tokio::test]
    async fn a_reply_that_nobody_takes_is_given_up() {
        let server = server(Limits { connections: 1, write: SOON, ..Limits::default() }).await;
        let _idle = sent(server.address, "GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
        // Its place is free again for this one.
        let mut next = sent(server.address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(until_closed(&mut next).await.contains("200 OK"));
    }

    #[tokio::test]
    async fn connections_beyond_the_bound_wait_for_a_place() {
        let server = server(Limits { connections: 2, head: SOON, ..Limits::default() }).await;
        let slow = [sent(server.address, "GET /").await, sent(server.address, "GET /").await];
        let mut next = sent(server.address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(until_closed(&mut next).await.contains("200 OK"));
        drop(slow);
    }

    #[tokio::test]
    async fn it_ends_although_requests_are_half_sent() {
        let server = server(Limits { drain: SOON, ..Limits::default() }).await;
        let mut open = vec![];
        for _ in 0..50 {
            open.push(sent(server.address, "").await);
            open.push(sent(server.address, "GET / HTTP/1.1\r\nho").await);
            open.push(sent(server.address, "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n1").await);
        }
        let started = Instant::now();
        server.end.send(()).expect("it serves");
        timeout(PATIENT, server.ended).await.expect("it ends").expect("without a panic");
        assert!(started.elapsed() < PATIENT);
        assert!(TcpStream::connect(server.address).await.is_err(), "nothing listens any more");
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_at_the_end() {
        let server = server(Limits::default()).await;
        let mut stream =
            sent(server.address, "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n1234").await;
        // Once a later request is answered, the first request is known to have started.
        let mut other = sent(server.address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        until_closed(&mut other).await;
        server.end.send(()).expect("it serves");
        stream.write_all(b"56789").await.expect("room");
        assert!(until_closed(&mut stream).await.ends_with("\r\n\r\n9"));
        server.ended.await.expect("without a panic");
    }
}
