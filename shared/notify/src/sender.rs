//! Sends notifications.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue};
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tally_core::time::clock::Clock;
use tokio::time::Instant;
use url::Url;

use crate::body::{discord, has_picture, slack, stable_id, webhook};
use crate::channel::Channel;
use crate::error::SendError;
use crate::notification::Notification;
use crate::post::Poster;
use crate::resolve::{Resolve, System};
use crate::roots::Roots;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::smtp::Mailer;

/// The time of one notification: name, connection, request and reply.
const TIME: Duration = Duration::from_secs(10);

/// Sends notifications, once each. One for each process: what is costly, such as the system's root certificates, is
/// loaded when it is first needed and then kept.
pub struct Sender {
    settings: Settings,
    clock: Clock,
    poster: Poster,
    mailer: Option<Mailer>,
}

impl Sender {
    /// A sender with these settings, over the system's resolver and root certificates.
    pub fn new(settings: Settings) -> Self {
        Self::assembled(settings, Clock::System, Arc::new(System), Roots::default(), TIME)
    }

    /// The same with another clock, for tests.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The same with another resolver, for tests.
    #[must_use]
    pub fn with_resolver(self, resolver: Arc<dyn Resolve>) -> Self {
        Self::assembled(self.settings, self.clock, resolver, self.poster.roots, self.poster.time)
    }

    /// The same with these root certificates alone, for tests.
    #[must_use]
    pub fn with_roots(self, roots: Vec<CertificateDer<'static>>) -> Self {
        Self::assembled(self.settings, self.clock, self.poster.resolver, Roots::of(roots), self.poster.time)
    }

    /// The same with another time for one notification than 10 s, for tests.
    #[must_use]
    pub fn with_time(self, time: Duration) -> Self {
        Self::assembled(self.settings, self.clock, self.poster.resolver, self.poster.roots, time)
    }

    fn assembled(settings: Settings, clock: Clock, resolver: Arc<dyn Resolve>, roots: Roots, time: Duration) -> Self {
        let mailer = settings.mail.clone().map(|mail| Mailer::new(mail, roots.clone(), time));
        Self { settings, clock, poster: Poster::new(resolver, roots, time), mailer }
    }

    /// The settings, such as the allow list that [`Channel::check`] takes.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends a notification once, within 10 s in all. `secret` signs it if the channel is a webhook; others ignore it.
    ///
    /// An error is no proof that the receiver does not have it: the reply may have been lost. It is sent again under the
    /// same [`Notification::id`].
    pub async fn send(
        &self,
        channel: &Channel,
        secret: Option<&Secret>,
        notification: &Notification,
    ) -> Result<(), SendError> {
        channel.check(&self.settings.allow)?;
        let deadline = Instant::now() + self.poster.time;
        match channel {
            Channel::Webhook { url } => {
                let body = webhook::body(notification);
                let headers = self.signed(secret, notification, &body);
                self.post(url, headers, body, deadline).await
            }
            Channel::Slack { url } => self.people(url, slack::body, notification, deadline).await,
            Channel::Discord { url } => self.people(url, discord::body, notification, deadline).await,
            Channel::Email { to } => match &self.mailer {
                Some(mailer) => mailer.send(to, notification).await,
                None => Err(SendError::NoMail),
            },
        }
    }

    /// Slack and Discord may refuse a message whose picture they cannot fetch. Then they get the message without.
    async fn people(
        &self,
        url: &Url,
        body: fn(&Notification, bool) -> Value,
        notification: &Notification,
        deadline: Instant,
    ) -> Result<(), SendError> {
        let body = |with_picture| body(notification, with_picture).to_string();
        match self.post(url, HeaderMap::new(), body(true), deadline).await {
            Err(SendError::Status { status: 400, .. }) if has_picture(notification) => {
                self.post(url, HeaderMap::new(), body(false), deadline).await
            }
            sent => sent,
        }
    }

    async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: impl Into<Vec<u8>>,
        deadline: Instant,
    ) -> Result<(), SendError> {
        self.poster.post(url, self.settings.allow.contains(url), headers, body.into(), deadline).await
    }

    /// The headers of Standard Webhooks. The time is that of this attempt.
    fn signed(&self, secret: Option<&Secret>, notification: &Notification, body: &[u8]) -> HeaderMap {
        let (id, now) = (stable_id(notification), self.clock.now().seconds());
        let signature = secret.map(|secret| secret.signature(&id, now, body));
        let fields = [
            ("webhook-id", Some(id.into_owned())),
            ("webhook-timestamp", Some(now.to_string())),
            ("webhook-signature", signature),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| {
            // Each is of letters, digits and signs of base64, so each is a header's value.
            Some((http::HeaderName::from_static(name), HeaderValue::try_from(value?).ok()?))
        });
        fields.collect()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("settings", &self.settings).finish_non_exhaustive()
    }
}
