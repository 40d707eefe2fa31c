//! The root certificates that receivers are checked with.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// Root certificates: those of the system, which are read when they are first needed.
#[derive(Clone, Default)]
pub(crate) struct Roots(Arc<OnceLock<Vec<CertificateDer<'static>>>>);

impl Roots {
    /// These certificates instead.
    pub(crate) fn of(certificates: Vec<CertificateDer<'static>>) -> Self {
        Self(Arc::new(OnceLock::from(certificates)))
    }

    /// Each certificate that can be used.
    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        self.0.get_or_init(|| {
            let all = rustls_native_certs::load_native_certs().certs;
            all.into_iter().filter(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok()).collect()
        })
    }

    /// How to speak TLS with a receiver.
    pub(crate) fn client(&self) -> Result<ClientConfig, rustls::Error> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.certificates().iter().cloned());
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let mut config =
            builder.with_safe_default_protocol_versions()?.with_root_certificates(store).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Roots")
    }
}
