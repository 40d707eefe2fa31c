//! Sends e-mail.

use std::sync::OnceLock;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor, transport::smtp};
use tokio::time::timeout;

use crate::body::mail;
use crate::channel::ChannelError;
use crate::error::SendError;
use crate::notification::Notification;
use crate::post::shown;
use crate::roots::Roots;
use crate::settings::{MailSettings, Security};

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Replies that tell of the settings rather than of the message, though they are permanent: they may be put right.
const NOT_SIGNED_IN: [u16; 4] = [530, 534, 535, 538];

/// Sends e-mail through one server.
pub(crate) struct Mailer {
    settings: MailSettings,
    roots: Roots,
    time: Duration,
    transport: OnceLock<Transport>,
}

impl Mailer {
    pub(crate) fn new(settings: MailSettings, roots: Roots, time: Duration) -> Self {
        Self { settings, roots, time, transport: OnceLock::new() }
    }

    /// Sends a notification in one message to all recipients. Where the server refuses that for good, each gets a message
    /// of its own, so that one address that is gone does not keep the others from it.
    pub(crate) async fn send(&self, to: &[String], notification: &Notification) -> Result<(), SendError> {
        timeout(self.time, self.send_to_all(to, notification)).await.unwrap_or_else(|_| {
            Err(SendError::Timeout { host: self.settings.host.clone(), seconds: self.time.as_secs() })
        })
    }

    async fn send_to_all(&self, to: &[String], notification: &Notification) -> Result<(), SendError> {
        let parsed = to.iter().map(|text| text.parse().map_err(|_| ChannelError::Recipient(text.clone())));
        let to = parsed.collect::<Result<Vec<Address>, _>>()?;
        let message = mail::message(notification, &self.settings.from, &to).map_err(|error| self.refused(0, &error))?;
        let bytes = message.formatted();
        let transport = self.transport()?;
        let sent = self.send_raw(transport, message.envelope(), &bytes).await;
        match sent {
            Err(error) if error.is_final() && to.len() > 1 => {}
            sent => return sent,
        }
        let (mut taken, mut last) = (0, Ok(()));
        for address in &to {
            let envelope = Envelope::new(Some(self.settings.from.email.clone()), vec![address.clone()]);
            let envelope = envelope.map_err(|error| self.refused(0, &error))?;
            match self.send_raw(transport, &envelope, &bytes).await {
                Ok(()) => taken += 1,
                refused => last = refused,
            }
        }
        match last {
            // Another attempt would send it again to those who have it.
            Err(SendError::Mail { host, code, said, .. }) if taken > 0 => {
                Err(SendError::Mail { host, code, said, is_final: true })
            }
            last => last,
        }
    }

    async fn send_raw(&self, transport: &Transport, envelope: &Envelope, message: &[u8]) -> Result<(), SendError> {
        match transport.send_raw(envelope, message).await {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.status() {
                Some(code) => self.refused(code.into(), &error),
                None => SendError::Unreachable {
                    host: self.settings.host.clone(),
                    what: shown(error.to_string().as_bytes()),
                },
            }),
        }
    }

    fn refused(&self, code: u16, error: &dyn std::error::Error) -> SendError {
        let said = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        let is_final = code == 0 || (code >= 500 && !NOT_SIGNED_IN.contains(&code));
        SendError::Mail { host: self.settings.host.clone(), code, said: shown(said.as_bytes()), is_final }
    }

    fn transport(&self) -> Result<&Transport, SendError> {
        if let Some(transport) = self.transport.get() {
            return Ok(transport);
        }
        let host = &self.settings.host;
        let failed = |error: smtp::Error| SendError::Unreachable { host: host.clone(), what: error.to_string() };
        let tls = match self.settings.security {
            Security::Plain => Tls::None,
            Security::Tls => Tls::Wrapper(self.tls().map_err(failed)?),
            Security::StartTls => Tls::Required(self.tls().map_err(failed)?),
        };
        let hello = ClientId::Domain(self.settings.from.email.domain().to_owned());
        let mut builder = Transport::builder_dangerous(host).port(self.settings.port).tls(tls).hello_name(hello);
        builder = builder.timeout(Some(self.time));
        if let Some((user, password)) = &self.settings.credentials {
            builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
        }
        Ok(self.transport.get_or_init(|| builder.build()))
    }

    fn tls(&self) -> Result<TlsParameters, smtp::Error> {
        let mut tls = TlsParameters::builder(self.settings.host.clone()).certificate_store(CertificateStore::None);
        for certificate in self.roots.certificates() {
            tls = tls.add_root_certificate(Certificate::from_der(certificate.to_vec())?);
        }
        tls.build()
    }
}
