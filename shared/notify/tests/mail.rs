//! Sending e-mail, against a mail server of a few lines.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test that panics has failed

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tally_core::time::Timestamp;
use tally_notify::{Channel, Kind, MailSettings, Notification, SendError, Sender, Settings};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// What the server says to a command, where that is not what all servers say.
type Says = fn(&str) -> Option<&'static str>;

/// A mail that the server took: the commands of its transaction, and its text.
#[derive(Debug)]
struct Mail {
    from: String,
    to: Vec<String>,
    text: String,
}

struct Server {
    address: SocketAddr,
    mails: mpsc::UnboundedReceiver<Mail>,
    root: CertificateDer<'static>,
}

/// How a connection begins.
#[derive(Clone, Copy, PartialEq)]
enum Start {
    Plain,
    Upgraded,
    Tls,
}

async fn server(start: Start, says: Says) -> Server {
    let (acceptor, root) = certificate();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (told, mails) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, start, acceptor.clone(), says, told.clone()));
        }
    });
    Server { address, mails, root }
}

async fn serve(stream: TcpStream, start: Start, acceptor: TlsAcceptor, says: Says, told: mpsc::UnboundedSender<Mail>) {
    match start {
        Start::Plain => talk(stream, true, "250 mail.example", says, &told).await,
        Start::Tls => {
            if let Ok(stream) = acceptor.accept(stream).await {
                talk(stream, true, "250-mail.example\r\n250 AUTH PLAIN", says, &told).await;
            }
        }
        Start::Upgraded => {
            let mut stream = BufReader::new(stream);
            let _ = stream.write_all(b"220 mail.example\r\n").await;
            for answer in ["250-mail.example\r\n250 STARTTLS\r\n", "220 go ahead\r\n"] {
                let _ = stream.read_line(&mut String::new()).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            if let Ok(stream) = acceptor.accept(stream.into_inner()).await {
                talk(stream, false, "250-mail.example\r\n250 AUTH PLAIN", says, &told).await;
            }
        }
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    greets: bool,
    features: &str,
    says: Says,
    told: &mpsc::UnboundedSender<Mail>,
) {
    let mut stream = BufReader::new(stream);
    if greets && stream.write_all(b"220 mail.example\r\n").await.is_err() {
        return;
    }
    let mut mail = Mail { from: String::new(), to: vec![], text: String::new() };
    loop {
        let mut command = String::new();
        if stream.read_line(&mut command).await.unwrap_or(0) == 0 {
            return;
        }
        let command = command.trim_end();
        let answer = match (says(command), command.split([' ', ':']).next().unwrap_or_default()) {
            (Some(answer), _) => answer.to_owned(),
            (None, "EHLO") => features.to_owned(),
            (None, "AUTH") => "235 welcome".to_owned(),
            (None, "DATA") => "354 go ahead".to_owned(),
            (None, "QUIT") => "221 bye".to_owned(),
            (None, _) => "250 ok".to_owned(),
        };
        if answer.starts_with("250 ok") && command.starts_with("MAIL FROM:") {
            mail = Mail { from: command.to_owned(), to: vec![], text: String::new() };
        } else if answer.starts_with("250 ok") && command.starts_with("RCPT TO:") {
            mail.to.push(command["RCPT TO:".len()..].to_owned());
        }
        let data = answer.starts_with("354");
        let _ = stream.write_all(format!("{answer}\r\n").as_bytes()).await;
        if data {
            while !mail.text.ends_with("\r\n.\r\n") {
                if stream.read_line(&mut mail.text).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let taken = std::mem::replace(&mut mail, Mail { from: String::new(), to: vec![], text: String::new() });
            let _ = told.send(taken);
            let _ = stream.write_all(b"250 queued\r\n").await;
        }
    }
}

/// A certificate for `localhost`, and the root that it is issued by.
fn certificate() -> (TlsAcceptor, CertificateDer<'static>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, &root).expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = config.with_single_cert(vec![certificate.der().clone()], key.into()).expect("a certificate");
    (TlsAcceptor::from(Arc::new(config)), root.der().clone())
}

impl Server {
    fn sender(&self, scheme: &str, query: &str) -> Sender {
        let url = format!("{scheme}://{}{query}", self.address);
        let mail = MailSettings::parse(&url.replace("://", "://tally:p%40ss@"), "Tally <tally@example.com>");
        let mail = match query {
            "?anonymous" => MailSettings::parse(&format!("{scheme}://{}", self.address), "tally@example.com"),
            _ => mail,
        };
        let settings = Settings { mail: Some(mail.expect("settings")), ..Settings::default() };
        Sender::new(settings).with_roots(vec![self.root.clone()]).with_time(Duration::from_mins(2))
    }

    async fn send(&self, to: &[&str]) -> Result<(), SendError> {
        self.sender("smtp", "?anonymous").send(&people(to), None, &firing()).await
    }
}

fn people(to: &[&str]) -> Channel {
    let to: Vec<_> = to.iter().map(|address| (*address).to_owned()).collect();
    Channel::parse("email", None, Some(&to)).expect("a channel")
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
        sentence: "ERROR was 25 in 5 min\r\n.\r\nQUIT".to_owned(),
        value: Some(25.0),
        threshold: Some(20.0),
        window: None,
        url: None,
        chart: None,
        examples: vec![],
        report: None,
    }
}

const AS_USUAL: Says = |_| None;

#[tokio::test]
async fn a_mail_goes_to_all_recipients_at_once() {
    let mut server = server(Start::Plain, AS_USUAL).await;
    server.send(&["ops@example.com", "dev@example.com"]).await.expect("it is taken");
    let mail = server.mails.try_recv().expect("a mail");
    assert_eq!(mail.from, "MAIL FROM:<tally@example.com>");
    assert_eq!(mail.to, ["<ops@example.com>", "<dev@example.com>"]);
    for line in [
        "From: tally@example.com\r\n",
        "To: ops@example.com, dev@example.com\r\n",
        "Subject: [shop] Firing: Errors\r\n",
        "Message-ID: <msg_1@example.com>\r\n",
        "Date: Fri, 27 Nov 2026 11:40:00 +0000\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "ERROR was 25 in 5 min",
    ] {
        assert!(mail.text.contains(line), "{line}: {}", mail.text);
    }
    assert!(server.mails.try_recv().is_err(), "one mail");
}

#[tokio::test]
async fn a_mail_is_encrypted_from_the_start_or_by_starttls() {
    for (start, scheme, query) in [(Start::Tls, "smtps", ""), (Start::Upgraded, "smtp", "?tls=required")] {
        let mut server = server(start, |command| {
            // `AUTH PLAIN` with "\0tally\0p@ss".
            command.starts_with("AUTH").then_some(match command {
                "AUTH PLAIN AHRhbGx5AHBAc3M=" => "235 welcome",
                _ => "535 unknown",
            })
        })
        .await;
        server.sender(scheme, query).send(&people(&["ops@example.com"]), None, &firing()).await.expect("it is taken");
        assert!(server.mails.try_recv().is_ok());
        // Without its root the server is not known, and nothing is sent.
        let sender = server.sender(scheme, query).with_roots(vec![]);
        let error = sender.send(&people(&["ops@example.com"]), None, &firing()).await.expect_err("no such root");
        assert!(!error.is_final() && !error.to_string().contains("p@ss"), "{error}");
        assert!(server.mails.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_server_without_starttls_gets_neither_mail_nor_password() {
    // It would take a password in the clear.
    let says: Says = |command| command.starts_with("EHLO").then_some("250-mail.example\r\n250 AUTH PLAIN");
    let mut server = server(Start::Plain, says).await;
    let sender = server.sender("smtp", "?tls=required");
    let error = sender.send(&people(&["ops@example.com"]), None, &firing()).await.expect_err("no TLS");
    assert!(matches!(error, SendError::Unreachable { .. }), "{error}");
    assert!(server.mails.try_recv().is_err());
}

#[tokio::test]
async fn a_refusal_says_whether_to_try_again() {
    let says: [(Says, u16, bool); 4] = [
        (|command| command.starts_with("RCPT").then_some("550 no such user"), 550, true),
        (|command| command.starts_with("RCPT").then_some("450 greylisted"), 450, false),
        (|command| command.starts_with("MAIL").then_some("530 sign in first"), 530, false),
        (|command| command.starts_with("DATA").then_some("554 no"), 554, true),
    ];
    for (says, code, is_final) in says {
        let error = server(Start::Plain, says).await.send(&["ops@example.com"]).await.expect_err("a refusal");
        assert!(matches!(&error, SendError::Mail { code: told, .. } if *told == code), "{error}");
        assert_eq!(error.is_final(), is_final, "{error}");
        assert!(error.to_string().starts_with(&format!("127.0.0.1 answered {code}: ")), "{error}");
    }
}

#[tokio::test]
async fn one_address_that_is_gone_does_not_keep_the_others_from_it() {
    let says: Says = |command| match command {
        "RCPT TO:<gone@example.com>" => Some("550 no such user"),
        _ => None,
    };
    let mut server = server(Start::Plain, says).await;
    let error =
        server.send(&["ops@example.com", "gone@example.com", "dev@example.com"]).await.expect_err("one is gone");
    assert!(error.is_final(), "{error}");
    for expected in ["<ops@example.com>", "<dev@example.com>"] {
        assert_eq!(server.mails.try_recv().expect("a mail").to, [expected]);
    }
    assert!(server.mails.try_recv().is_err());
}

/// The clock is paused and goes on whenever all wait, so the test takes no time.
#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_has_ten_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("smtp://{}", listener.local_addr().expect("an address"));
    let mail = MailSettings::parse(&url, "tally@example.com").expect("settings");
    let sender = Sender::new(Settings { mail: Some(mail), ..Settings::default() });
    let error = sender.send(&people(&["ops@example.com"]), None, &firing()).await.expect_err("no greeting");
    assert!(!error.is_final(), "{error}");
}
