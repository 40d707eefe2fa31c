//! Why a notification was not taken.

use std::net::IpAddr;

use tally_core::time::TimeDelta;

use crate::channel::ChannelError;

/// The bytes of a reply that an error shows.
pub(crate) const SHOWN: usize = 200;

/// Why a notification was not sent, or not taken. The message is for people who may write the rule: it says what the
/// receiver said, and holds no secret and no URL with its path.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The channel may not be notified. An allow list may have changed since it was made.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The name resolves to an address that is not public.
    #[error("{host} resolves to {address}, which is not a public address")]
    Private {
        /// The host of the URL.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// The name has no address, or the connection failed or ended early.
    #[error("{host}: {what}")]
    Unreachable {
        /// The host of the URL, or the mail server.
        host: String,
        /// What failed.
        what: String,
    },
    /// There was no reply in time.
    #[error("{host} did not answer within {seconds} s")]
    Timeout {
        /// The host of the URL, or the mail server.
        host: String,
        /// The time that it had.
        seconds: u64,
    },
    /// The receiver refused.
    #[error("{host} answered {status}{}{said}", if said.is_empty() { "" } else { ": " })]
    Status {
        /// The host of the URL.
        host: String,
        /// The HTTP status.
        status: u16,
        /// The first 200 bytes of what it said, as text.
        said: String,
        /// When to try again, as it said: at most a day later.
        retry_after: Option<TimeDelta>,
    },
    /// The mail server refused.
    #[error("{host} answered {code}: {said}")]
    Mail {
        /// The mail server.
        host: String,
        /// The SMTP status, such as 550; 0 where there was none.
        code: u16,
        /// The first 200 bytes of what it said, as text.
        said: String,
        /// Whether it will never take the message.
        is_final: bool,
    },
    /// E-mail is not set up.
    #[error("e-mail is not set up: set TALLY_SMTP_URL and TALLY_MAIL_FROM")]
    NoMail,
    /// The body is larger than receivers take. Texts are cut before, so this does not happen.
    #[error("the notification has {0} bytes, which is more than 64 KB")]
    TooLarge(usize),
}

impl SendError {
    /// Whether another attempt is pointless: a redirect, a status from 400 to 499 except 408, 425 and 429, a target that
    /// is not public, a recipient that is refused for good.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Status { status, .. } => (300..500).contains(status) && ![408, 425, 429].contains(status),
            Self::Mail { is_final, .. } => *is_final,
            Self::Unreachable { .. } | Self::Timeout { .. } => false,
            Self::Channel(_) | Self::Private { .. } | Self::NoMail | Self::TooLarge(_) => true,
        }
    }

    /// Whether the receiver said that it is gone for good (410): by Standard Webhooks, send it nothing more.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Status { status: 410, .. })
    }

    /// How long the receiver asked to wait, at most a day.
    pub fn retry_after(&self) -> Option<TimeDelta> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
