//! Sending, against receivers of every behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test that panics has failed

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tally_core::time::clock::Clock;
use tally_core::time::{TimeDelta, Timestamp};
use tally_notify::{Addresses, Channel, Example, Kind, Notification, Resolve, Secret, SendError, Sender, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// Long enough for any machine: a test that waits for it fails.
const ENOUGH: Duration = Duration::from_mins(2);

/// A receiver that answers each connection with the next of its replies, and tells what it was sent.
struct Receiver {
    address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
}

/// What a receiver does once it has read a request.
enum Reply {
    /// Writes this and closes.
    Text(String),
    /// Writes this and then more and more.
    Endless(String),
    /// Nothing.
    Hang,
}

fn status(line: &str, headers: &str, body: &str) -> Reply {
    Reply::Text(format!("HTTP/1.1 {line}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len()))
}

async fn receiver(replies: Vec<Reply>) -> Receiver {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (told, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for reply in replies {
            let (stream, _) = listener.accept().await.expect("a connection");
            answer(stream, reply, &told).await;
        }
    });
    Receiver { address, requests }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, reply: Reply, told: &mpsc::UnboundedSender<String>) {
    let _ = told.send(read_request(&mut stream).await);
    match reply {
        Reply::Text(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Reply::Endless(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            // Ends when the sender closes.
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        }
        Reply::Hang => std::future::pending().await,
    }
}

/// Reads head and body.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let (mut all, mut part) = (vec![], [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&all).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return text,
            Ok(n) => all.extend(&part[..n]),
        }
    }
}

impl Receiver {
    fn url(&self) -> String {
        format!("http://{}/services/T0/token-of-eight?key=hidden", self.address)
    }

    fn channel(&self, kind: &str) -> Channel {
        Channel::parse(kind, Some(&self.url()), None).expect("a channel")
    }

    /// A sender that may reach this receiver.
    fn sender(&self) -> Sender {
        sender(&self.address.to_string())
    }

    /// The next request. It was told before it was answered.
    fn request(&mut self) -> String {
        self.requests.try_recv().expect("a request")
    }
}

fn sender(allow: &str) -> Sender {
    let settings = Settings { allow: allow.parse().expect("an allow list"), mail: None };
    Sender::new(settings).with_time(ENOUGH)
}

fn firing() -> Notification {
    Notification {
        from_none: false,
        id: "msg_1".to_owned(),
        kind: Kind::AlertFiring,
        at: Timestamp::from_seconds(1_795_779_600),
        app: "shop".to_owned(),
        alert: "01KB".to_owned(),
        name: "Errors".to_owned(),
        sentence: "ERROR was 25 in 5 min".to_owned(),
        value: Some(25.0),
        threshold: Some(20.0),
        window: None,
        url: None,
        chart: Some("https://tally.example/chart.png".to_owned()),
        examples: vec![Example {
            title: "cart not found".to_owned(),
            url: None,
            at: Timestamp::from_seconds(1_795_779_600),
        }],
        report: None,
    }
}

/// What becomes of a notification to a receiver that answers so.
async fn outcome(reply: Reply) -> Result<(), SendError> {
    let receiver = receiver(vec![reply]).await;
    receiver.sender().send(&receiver.channel("webhook"), None, &firing()).await
}

async fn refusal(reply: Reply) -> SendError {
    outcome(reply).await.expect_err("a refusal")
}

#[tokio::test]
async fn a_webhook_is_posted_once_and_signed() {
    let mut receiver = receiver(vec![status("204 No Content", "", "")]).await;
    let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
    let sender = receiver.sender().with_clock(Clock::at(Timestamp::from_seconds(1_795_779_700)));
    sender.send(&receiver.channel("webhook"), Some(&secret), &firing()).await.expect("it is taken");
    let request = receiver.request();
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("POST /services/T0/token-of-eight?key=hidden HTTP/1.1\r\n"), "{head}");
    let mut headers: Vec<_> = head.lines().skip(1).map(str::to_lowercase).collect();
    headers.sort();
    let signed = ring::hmac::sign(
        &ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &base64("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
        format!("msg_1.1795779700.{body}").as_bytes(),
    );
    let signature = format!("webhook-signature: v1,{}", encoded(signed.as_ref()).to_lowercase());
    let length = format!("content-length: {}", body.len());
    let host = format!("host: {}", receiver.address);
    let expected = [
        length.as_str(),
        "content-type: application/json",
        host.as_str(),
        "user-agent: tally",
        "webhook-id: msg_1",
        signature.as_str(),
        "webhook-timestamp: 1795779700",
    ];
    assert_eq!(headers, expected);
    assert!(
        body.starts_with(r#"{"type":"alert.firing","timestamp":"2026-11-27T11:40:00Z","data":{"app":"shop""#),
        "{body}"
    );
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

fn encoded(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn each_status_says_whether_to_try_again() {
    for (line, is_final) in [
        ("400 Bad Request", true),
        ("401 Unauthorized", true),
        ("404 Not Found", true),
        ("408 Request Timeout", false),
        ("410 Gone", true),
        ("425 Too Early", false),
        ("429 Too Many Requests", false),
        ("500 Internal Server Error", false),
        ("503 Service Unavailable", false),
    ] {
        let error = refusal(status(line, "", "no such hook")).await;
        assert_eq!(error.is_final(), is_final, "{line}");
        assert_eq!(error.is_gone(), line.starts_with("410"));
        let code = line.split(' ').next().unwrap_or_default();
        assert_eq!(error.to_string(), format!("127.0.0.1 answered {code}: no such hook"));
        assert_eq!(error.retry_after(), None);
    }
    for line in ["200 OK", "201 Created", "202 Accepted", "204 No Content"] {
        assert!(outcome(status(line, "", "")).await.is_ok(), "{line}");
    }
}

#[tokio::test]
async fn a_receiver_says_when_to_try_again() {
    let soon = httpdate::fmt_http_date(std::time::SystemTime::now() - Duration::from_mins(1));
    for (header, expected) in [
        ("120", Some(TimeDelta::seconds(120))),
        ("0.3", Some(TimeDelta::seconds(1))),
        ("999999999", Some(TimeDelta::days(1))),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(TimeDelta::days(1))),
        (soon.as_str(), Some(TimeDelta::ZERO)),
        ("-1", None),
        ("NaN", None),
        ("inf", None),
        ("later", None),
    ] {
        let error = refusal(status("429 Too Many Requests", &format!("Retry-After: {header}\r\n"), "")).await;
        assert_eq!(error.retry_after(), expected, "{header}");
        assert_eq!(error.to_string(), "127.0.0.1 answered 429");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut elsewhere = receiver(vec![status("200 OK", "", "")]).await;
    for line in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let error = refusal(status(line, &format!("Location: http://{}/\r\n", elsewhere.address), "")).await;
        assert!(error.is_final() && matches!(error, SendError::Status { .. }), "{line}: {error}");
    }
    assert!(elsewhere.requests.try_recv().is_err(), "nothing came there");
}

#[tokio::test]
async fn a_long_or_endless_reply_is_not_read_to_its_end() {
    let endless = "HTTP/1.1 500 Internal Server Error\r\n\r\n".to_owned();
    let error = refusal(Reply::Endless(endless)).await.to_string();
    assert_eq!(error.len(), "127.0.0.1 answered 500: ".len() + 200, "{error}");
    assert!(outcome(Reply::Endless("HTTP/1.1 200 OK\r\n\r\n".to_owned())).await.is_ok(), "a success needs no body");
    let error = refusal(Reply::Endless("HTTP/1.1 200 OK\r\nx: ".to_owned())).await;
    assert!(matches!(error, SendError::Unreachable { .. }) && !error.is_final(), "a head without end: {error}");
}

#[tokio::test]
async fn a_connection_that_closes_early_is_tried_again() {
    for text in ["", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\n", "no HTTP at all\r\n\r\n"] {
        let error = refusal(Reply::Text(text.to_owned())).await;
        assert!(matches!(error, SendError::Unreachable { .. }) && !error.is_final(), "{text:?}: {error}");
    }
    let cut = Reply::Text("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 100\r\n\r\nhalf".to_owned());
    assert_eq!(refusal(cut).await.to_string(), "127.0.0.1 answered 500: half", "a status counts without its body");
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let channel = Channel::parse("webhook", Some(&format!("http://{closed}/")), None).expect("a channel");
    let error = sender(&closed.to_string()).send(&channel, None, &firing()).await.expect_err("nobody listens");
    assert!(matches!(error, SendError::Unreachable { .. }) && !error.is_final(), "{error}");
}

/// The clock is paused and goes on whenever all wait, so the test takes no time.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_has_ten_seconds() {
    let receiver = receiver(vec![Reply::Hang]).await;
    let settings = Settings { allow: receiver.address.to_string().parse().expect("a list"), mail: None };
    let started = Instant::now();
    let error = Sender::new(settings).send(&receiver.channel("webhook"), None, &firing()).await.expect_err("no reply");
    assert_eq!(started.elapsed().as_secs(), 10);
    assert_eq!(error.to_string(), "127.0.0.1 did not answer within 10 s");
    assert!(!error.is_final());
}

#[tokio::test]
async fn an_error_repeats_no_secret() {
    let said = "no hook at /services/T0/token-of-eight?key=hidden\r\n\0\u{202e}".to_owned() + &"x".repeat(500);
    let error = refusal(status("404 Not Found", "", &said)).await.to_string();
    assert!(error.starts_with("127.0.0.1 answered 404: no hook at /…/T0/…?key=…"), "{error}");
    assert!(error.len() < 300 && !error.contains(char::is_control), "{error}");
    let late = "x".repeat(190) + "token-of-eight";
    let error = refusal(status("404 Not Found", "", &late)).await.to_string();
    assert!(!error.contains("token"), "a secret that the end would cut: {error}");
}

#[tokio::test]
async fn slack_gets_the_message_without_a_picture_that_it_refuses() {
    let mut receiver =
        receiver(vec![status("400 Bad Request", "", "invalid_blocks"), status("200 OK", "", "ok")]).await;
    receiver.sender().send(&receiver.channel("slack"), None, &firing()).await.expect("it is taken");
    assert!(receiver.request().contains("chart.png"));
    let second = receiver.request();
    assert!(!second.contains("chart.png") && second.contains("ERROR was 25"), "{second}");
    assert!(!second.contains("webhook-"), "others than webhooks have no such headers");
}

#[tokio::test]
async fn discord_gets_its_message() {
    let mut receiver = receiver(vec![status("204 No Content", "", "")]).await;
    receiver.sender().send(&receiver.channel("discord"), None, &firing()).await.expect("it is taken");
    assert!(receiver.request().contains(r#""allowed_mentions":{"parse":[]}"#));
}

/// A resolver that answers these addresses for any name.
#[derive(Debug)]
struct Fixed(Vec<IpAddr>);

impl Resolve for Fixed {
    fn resolve<'a>(&'a self, _: &'a str) -> Addresses<'a> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

fn resolving(addresses: &[&str]) -> Arc<Fixed> {
    Arc::new(Fixed(addresses.iter().map(|address| address.parse().expect(address)).collect()))
}

#[tokio::test]
async fn a_name_with_any_private_address_is_not_connected_to() {
    let mut receiver = receiver(vec![status("200 OK", "", "")]).await;
    let port = receiver.address.port();
    let channel =
        |host: &str| Channel::parse("webhook", Some(&format!("https://{host}:{port}/")), None).expect("a channel");
    for addresses in [
        &["127.0.0.1"][..],
        &["8.8.8.8", "127.0.0.1"],
        &["2606:4700::1111", "::1"],
        &["169.254.169.254"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["0.0.0.0"],
    ] {
        let sender = sender("").with_resolver(resolving(addresses));
        let error = sender.send(&channel("hooks.example"), None, &firing()).await.expect_err("it is private");
        assert!(matches!(error, SendError::Private { .. }) && error.is_final(), "{addresses:?}: {error}");
        assert!(error.to_string().starts_with("hooks.example resolves to "), "{error}");
    }
    // The real resolver, and an allow list that names another port.
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let error = sender("localhost:1").send(&channel(host), None, &firing()).await.expect_err("it is private");
        assert!(error.is_final(), "{host}: {error}");
    }
    assert!(receiver.requests.try_recv().is_err(), "nothing came there");
    let error = sender("").with_resolver(resolving(&[])).send(&channel("hooks.example"), None, &firing()).await;
    assert!(error.is_err_and(|error| !error.is_final()), "a name may have an address later");
}

/// Channels are checked when they are made, but then the allow list may have been longer, or the rules fewer.
#[tokio::test]
async fn a_channel_is_checked_again_when_it_is_sent_to() {
    let public = || sender("").with_resolver(resolving(&["192.0.2.1"]));
    for (kind, url) in [
        ("webhook", "http://hooks.example/"),
        ("webhook", "https://user:password@hooks.example/"),
        ("slack", "https://hooks.example/"),
        ("discord", "https://hooks.example/"),
    ] {
        let channel = Channel::parse(kind, Some(url), None).expect("a channel");
        let error = public().send(&channel, None, &firing()).await.expect_err(url);
        assert!(matches!(error, SendError::Channel(_)) && error.is_final(), "{url}: {error}");
        assert!(!error.to_string().contains("password@"), "{error}");
    }
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_refuses() {
    let receiver = receiver(vec![status("200 OK", "", "")]).await;
    // Nobody listens at the first.
    let name = format!("hooks.example:{}", receiver.address.port());
    let channel = Channel::parse("webhook", Some(&format!("http://{name}/")), None).expect("a channel");
    let sender = sender(&name).with_resolver(resolving(&["127.9.9.9", "127.0.0.1"]));
    sender.send(&channel, None, &firing()).await.expect("it is taken");
}

/// A receiver over TLS whose certificate is for `name`, and the root that it is issued by.
async fn encrypted(name: &str) -> (Receiver, CertificateDer<'static>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, &root).expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = config.with_single_cert(vec![certificate.der().clone()], key.into()).expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (told, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, status("200 OK", "", ""), &told).await;
            }
        }
    });
    (Receiver { address, requests }, root.der().clone())
}

#[tokio::test]
async fn a_receiver_is_known_by_its_certificate() {
    let (mut receiver, root) = encrypted("hooks.example").await;
    let port = receiver.address.port();
    let sender = |roots| {
        let allow = format!("hooks.example:{port},other.example:{port}");
        sender(&allow).with_resolver(resolving(&["127.0.0.1"])).with_roots(roots)
    };
    let channel =
        |host: &str| Channel::parse("webhook", Some(&format!("https://{host}:{port}/")), None).expect("a channel");
    sender(vec![root.clone()]).send(&channel("hooks.example"), None, &firing()).await.expect("it is taken");
    let request = receiver.request().to_lowercase();
    assert!(request.contains(&format!("host: hooks.example:{port}\r\n")), "{request}");
    let error = sender(vec![root]).send(&channel("other.example"), None, &firing()).await.expect_err("another name");
    assert!(matches!(error, SendError::Unreachable { .. }) && !error.is_final(), "{error}");
    let error = sender(vec![]).send(&channel("hooks.example"), None, &firing()).await.expect_err("no such root");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(receiver.requests.try_recv().is_err(), "nothing came there");
}

#[tokio::test]
async fn e_mail_that_is_not_set_up_is_said_so() {
    let to = ["ops@example.com".to_owned()];
    let channel = Channel::parse("email", None, Some(&to)).expect("a channel");
    let error = sender("").send(&channel, None, &firing()).await.expect_err("no server");
    assert!(error.is_final() && error.to_string().contains("TALLY_SMTP_URL"), "{error}");
}
