//! TLS of the server itself, with a certificate that is renewed while it runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at, when somebody connects.
const LOOK: Duration = Duration::from_mins(1);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The certificate.
    #[error("cannot use the certificate {0}: {1}; it must be PEM, the server's own certificate first")]
    Certificate(PathBuf, String),
    /// The key.
    #[error("cannot use the key {0}: {1}; it must be PEM, without a password")]
    Key(PathBuf, String),
    /// They do not belong together.
    #[error("the key {1} is not that of the certificate {0}: {2}")]
    Mismatch(PathBuf, PathBuf, String),
    /// The library.
    #[error("cannot start TLS: {0}")]
    Setup(#[from] rustls::Error),
}

/// Accepts connections with the certificate of two files.
pub(crate) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
    let loaded = Loaded { key: files.load()?, of: files.changed(), looked: Instant::now() };
    let provider = Arc::new(default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config =
        config.with_no_client_auth().with_cert_resolver(Arc::new(Renewed { files, loaded: Mutex::new(loaded) }));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Where a certificate and its key are.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn load(&self) -> Result<Arc<CertifiedKey>, TlsError> {
        let certificate = |e: String| TlsError::Certificate(self.certificate.clone(), e);
        let chain = CertificateDer::pem_file_iter(&self.certificate).map_err(|e| certificate(e.to_string()))?;
        let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|e| certificate(e.to_string()))?;
        if chain.is_empty() {
            return Err(certificate("it has no certificate".to_owned()));
        }
        let key = |e: String| TlsError::Key(self.key.clone(), e);
        let private = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| key(e.to_string()))?;
        let private = any_supported_type(&private).map_err(|e| key(e.to_string()))?;
        let both = CertifiedKey::new(chain, private);
        both.keys_match().map_err(|e| TlsError::Mismatch(self.certificate.clone(), self.key.clone(), e.to_string()))?;
        Ok(Arc::new(both))
    }

    /// When they were changed last.
    fn changed(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|file| file.metadata().and_then(|found| found.modified()).ok())
    }
}

struct Loaded {
    key: Arc<CertifiedKey>,
    /// When its files were changed.
    of: [Option<SystemTime>; 2],
    looked: Instant,
}

/// A certificate that is read again when its files change.
struct Renewed {
    files: Files,
    loaded: Mutex<Loaded>,
}

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Renewed({})", self.files.certificate.display())
    }
}

impl Renewed {
    fn current(&self, now: Instant) -> Arc<CertifiedKey> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(loaded.looked) >= LOOK {
            loaded.looked = now;
            let of = self.files.changed();
            if of != loaded.of {
                match self.files.load() {
                    Ok(key) => {
                        (loaded.key, loaded.of) = (key, of);
                        tracing::info!("the certificate was renewed");
                    }
                    // One of the files may be written later than the other.
                    Err(error) => tracing::warn!(%error, "the new certificate is not used; the old one is"),
                }
            }
        }
        Arc::clone(&loaded.key)
    }
}

impl ResolvesServerCert for Renewed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).expect("a file");
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("a file");
        made.cert.der().to_vec()
    }

    #[test]
    fn a_certificate_is_renewed_when_its_files_change_and_the_old_one_stays_while_they_are_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Files { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let first = write(folder.path(), "one.example");
        let now = Instant::now();
        let loaded = Mutex::new(Loaded { key: files.load().expect("a key"), of: files.changed(), looked: now });
        let renewed = Renewed { files, loaded };
        let shown = |minutes: u64| renewed.current(now + Duration::from_mins(minutes)).cert[0].to_vec();
        assert_eq!(shown(1), first);
        let at = |name: &str, seconds| {
            let file = std::fs::File::options().write(true).open(folder.path().join(name)).expect("a file");
            file.set_modified(SystemTime::now() + Duration::from_secs(seconds)).expect("its time");
        };
        std::fs::write(folder.path().join("cert.pem"), "half of it").expect("a file");
        at("cert.pem", 10);
        assert_eq!(shown(2), first);
        let second = write(folder.path(), "two.example");
        at("cert.pem", 20);
        // Looked at once a minute.
        assert_eq!(shown(2), first);
        assert_eq!(shown(3), second);
    }

    #[test]
    fn files_that_do_not_fit_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let said = || acceptor(&cert, &key).map(drop).expect_err("refused").to_string();
        assert!(said().contains("cert.pem"), "{}", said());
        write(folder.path(), "one.example");
        assert!(acceptor(&cert, &key).is_ok());
        let other = rcgen::generate_simple_self_signed(["x".to_owned()]).expect("a certificate");
        std::fs::write(&key, other.signing_key.serialize_pem()).expect("a file");
        assert!(said().contains("is not that of the certificate"), "{}", said());
        std::fs::write(&key, "no key").expect("a file");
        assert!(said().contains("key.pem"), "{}", said());
        std::fs::write(&cert, "no certificate").expect("a file");
        assert!(said().contains("it has no certificate"), "{}", said());
    }
}
