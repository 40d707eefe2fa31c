//! HTTP/1.1 connections within limits: idle clients are disconnected, and all connections end when the server does.
//!
//! HTTP/2 is not supported: without TLS, only clients that know about it in advance would use it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

/// Time and count limits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Simultaneous connections; more wait to be accepted. Below the 1,024 files that a process may usually have open.
    pub connections: usize,
    /// The time limit for the head of a request, and for the next request on a kept-alive connection.
    pub head: Duration,
    /// The time limit for the whole body of a request: 16 MB at 150 KB a second.
    pub body: Duration,
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
                let connection = connections.watch(connection(stream, from, app.clone(), limits));
                tokio::spawn(async move {
                    // Errors on a connection concern only its client.
                    let _ = connection.await;
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

/// The stream of a connection.
type Stream = TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>;

fn connection(
    stream: TcpStream,
    from: SocketAddr,
    app: Router,
    limits: Limits,
) -> http1::Connection<Stream, impl HttpService<Incoming, ResBody = Body, Future: Send, Error = Infallible>> {
    // A reply of two writes must not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write));
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(Timed { body, until: Box::pin(sleep(limits.body)) }));
        request.extensions_mut().insert(ConnectInfo(from));
        app.clone().oneshot(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
}

/// A body with a deadline.
struct Timed {
    body: Incoming,
    until: Pin<Box<Sleep>>,
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
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)));
        }
        ready!(self.until.as_mut().poll(context));
        Poll::Ready(Some(Err(BodyError::TooSlow)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::{get, post};
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
