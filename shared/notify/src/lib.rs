//! Notifications: what an alert says, and how it reaches people and programs.
//!
//! A [`Notification`] goes to a [`Channel`] by a [`Sender`]. This crate builds the body of each channel, signs it, and
//! sends it once. It knows nothing of rules, retries or storage: the caller keeps the notification, and sends it again
//! under the same id where [`SendError::is_final`] says that this may help.
//!
//! A person who may write rules chooses where Tally connects to. So a channel's URL is https, each address that its
//! name resolves to is public, and the connection goes to the addresses that were checked. Redirects are not followed.

mod allow;
mod body;
mod channel;
mod error;
mod notification;
mod post;
mod public;
mod resolve;
mod roots;
mod secret;
mod sender;
mod settings;
mod smtp;
mod text;

pub use allow::{AllowError, AllowList};
pub use channel::{Channel, ChannelError, MAX_RECIPIENTS, MAX_URL};
pub use error::SendError;
pub use notification::{Example, Kind, Notification, Report, ReportMessage, ReportName};
pub use public::is_fetchable;
pub use resolve::{Addresses, Resolve};
pub use secret::{Secret, SecretError};
pub use sender::Sender;
pub use settings::{MailSettings, Settings, SettingsError};
