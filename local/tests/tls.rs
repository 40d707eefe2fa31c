//! The server with a certificate of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{Server, binary, fails};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Writes a certificate for `localhost` and its key.
fn certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

async fn request(server: &str, trusted: CertificateDer<'static>, text: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(server).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    // The server may end the connection without a word of TLS.
    let _ = stream.read_to_end(&mut reply).await;
    String::from_utf8(reply).unwrap()
}

#[tokio::test]
async fn it_serves_https_with_secure_cookies_and_nothing_else_on_that_port() {
    let (data, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let trusted = certificate(files.path());
    let mut command = binary();
    command.arg("--tls-cert").arg(files.path().join("cert.pem")).arg("--tls-key").arg(files.path().join("key.pem"));
    command.args(["--port", "0", "--data"]).arg(data.path());
    let server = Server::started(&mut command, data.path());
    assert!(server.banner.contains("on https://127.0.0.1:"), "{}", server.banner);
    assert!(server.banner.contains("https://localhost:"), "{}", server.banner);

    let body = json!({"username": "admin", "password": server.password}).to_string();
    let head = format!(
        "POST /auth HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let reply = request(&server.url, trusted.clone(), &format!("{head}{body}")).await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    let cookie = reply.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie")).unwrap();
    assert!(cookie.contains("Secure"), "{cookie}");

    let mut plain = TcpStream::connect(&server.url).await.unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut reply = Vec::new();
    let _ = plain.read_to_end(&mut reply).await;
    assert!(!reply.starts_with(b"HTTP"), "{reply:?}");

    let reply = request(&server.url, trusted, "GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_before_anything_is_opened() {
    let folder = TempDir::new().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let data = folder.path().join("data");
    let mut command = binary();
    command.arg("--tls-cert").arg(&cert).arg("--tls-key").arg(&key).args(["--port", "0", "--data"]).arg(&data);
    let said = fails(&mut command);
    assert!(said.contains("cannot use the certificate"), "{said}");
    assert!(!data.exists());
}
