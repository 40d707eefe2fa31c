//! Where a notification goes.

use std::fmt;
use std::net::IpAddr;

use lettre::Address;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::allow::AllowList;
use crate::public::is_public;
use crate::text::has_plain_host;

/// The longest URL of a channel, in bytes.
pub const MAX_URL: usize = 2_048;
/// The most recipients of one e-mail channel.
pub const MAX_RECIPIENTS: usize = 10;
/// The longest e-mail address, in bytes (RFC 5321).
const MAX_ADDRESS: usize = 254;

/// Where a notification goes.
///
/// The URLs of Slack and Discord are secrets, and those of a webhook may hold one. So `Debug` and `Display` show the host
/// alone. Serialized (`{"type": "slack", "url": …}`, as in the API) a channel is whole: that is for storing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub enum Channel {
    /// A program that takes Standard Webhooks.
    Webhook {
        /// Where the notification is posted.
        url: Url,
    },
    /// A channel of Slack.
    Slack {
        /// An incoming webhook, on `hooks.slack.com`.
        url: Url,
    },
    /// A channel of Discord.
    Discord {
        /// A webhook, on `discord.com` or `discordapp.com`.
        url: Url,
    },
    /// People.
    Email {
        /// 1 to [`MAX_RECIPIENTS`] addresses, without names. All of them are seen by each.
        to: Vec<String>,
    },
}

/// A channel is not one that can be notified. The message names the field and says what to send instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// No such type.
    #[error("`type` is one of webhook, slack, discord, email")]
    Type,
    /// The field of another type.
    #[error("a channel of type `{kind}` has `{wanted}`, and no `{unwanted}`")]
    Field {
        /// The type.
        kind: &'static str,
        /// The field that the type has.
        wanted: &'static str,
        /// The field that it does not have.
        unwanted: &'static str,
    },
    /// No URL, or one that is too long.
    #[error("`url` is no URL of at most {MAX_URL} bytes such as https://hooks.example/tally")]
    Url,
    /// A scheme other than https.
    #[error("`url` starts with `https://`: plain http is only for what TALLY_WEBHOOK_ALLOW names")]
    Scheme,
    /// A user name or password in the URL.
    #[error("`url` holds a user name or password: leave them out, a receiver checks the signature instead")]
    Userinfo,
    /// A host that the type does not have.
    #[error("`url` of type `{kind}` is on {hosts}")]
    Host {
        /// The type.
        kind: &'static str,
        /// The hosts that it may be on.
        hosts: &'static str,
    },
    /// An address that is not on the public internet.
    #[error("`url` leads to {0}, which is not a public address")]
    Private(IpAddr),
    /// Too few or too many recipients.
    #[error("`to` is a list of 1 to {MAX_RECIPIENTS} e-mail addresses")]
    Recipients,
    /// A recipient that is no address.
    #[error("`to`: `{0}` is no e-mail address such as ops@example.com")]
    Recipient(String),
}

/// The fields of a channel, as the API has them.
#[derive(Serialize, Deserialize)]
struct Fields {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Vec<String>>,
}

impl Channel {
    /// Reads a channel from its type and the field that the type has. What it may reach is for [`Channel::check`].
    pub fn parse(kind: &str, url: Option<&str>, to: Option<&[String]>) -> Result<Self, ChannelError> {
        let with_url = |kind, make: fn(Url) -> Self| match (url, to) {
            (Some(url), None) => parse_url(url).map(make),
            _ => Err(ChannelError::Field { kind, wanted: "url", unwanted: "to" }),
        };
        match kind {
            "webhook" => with_url("webhook", |url| Self::Webhook { url }),
            "slack" => with_url("slack", |url| Self::Slack { url }),
            "discord" => with_url("discord", |url| Self::Discord { url }),
            "email" => match (url, to) {
                (None, Some(to)) => Ok(Self::Email { to: parse_recipients(to)? }),
                _ => Err(ChannelError::Field { kind: "email", wanted: "to", unwanted: "url" }),
            },
            _ => Err(ChannelError::Type),
        }
    }

    /// Checks that a notification may go there. Names are resolved when it is sent, and their addresses checked then.
    pub fn check(&self, allow: &AllowList) -> Result<(), ChannelError> {
        let Some(url) = self.url() else { return Ok(()) };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ChannelError::Userinfo);
        }
        if allow.contains(url) && matches!(url.scheme(), "http" | "https") {
            return Ok(());
        }
        if url.scheme() != "https" {
            return Err(ChannelError::Scheme);
        }
        let (suits, hosts) = match self {
            Self::Slack { .. } => (url.host_str() == Some("hooks.slack.com"), "hooks.slack.com"),
            Self::Discord { .. } => (is_discord(url), "discord.com or discordapp.com"),
            Self::Webhook { .. } | Self::Email { .. } => (true, ""),
        };
        if !suits {
            return Err(ChannelError::Host { kind: self.kind(), hosts });
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(ChannelError::Url),
        };
        address.filter(|address| !is_public(*address)).map_or(Ok(()), |address| Err(ChannelError::Private(address)))
    }

    /// The type, as the API names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Slack { .. } => "slack",
            Self::Discord { .. } => "discord",
            Self::Email { .. } => "email",
        }
    }

    /// The URL that is posted to; none for e-mail. It may be a secret.
    pub fn url(&self) -> Option<&Url> {
        match self {
            Self::Webhook { url } | Self::Slack { url } | Self::Discord { url } => Some(url),
            Self::Email { .. } => None,
        }
    }
}

fn is_discord(url: &Url) -> bool {
    ["discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"].map(Some).contains(&url.host_str())
}

fn parse_url(text: &str) -> Result<Url, ChannelError> {
    let mut url = Url::parse(text).map_err(|_| ChannelError::Url)?;
    url.set_fragment(None);
    if url.as_str().len() > MAX_URL || !has_plain_host(&url) {
        return Err(ChannelError::Url);
    }
    Ok(url)
}

/// Reads the addresses, each once.
fn parse_recipients(to: &[String]) -> Result<Vec<String>, ChannelError> {
    let mut recipients = Vec::new();
    for text in to {
        // An address beyond ASCII needs an extension that many servers lack.
        let valid = text.len() <= MAX_ADDRESS && text.is_ascii() && text.parse::<Address>().is_ok();
        if !valid {
            return Err(ChannelError::Recipient(text.chars().filter(|c| !c.is_control()).take(100).collect()));
        }
        if !recipients.contains(text) {
            recipients.push(text.clone());
        }
    }
    if recipients.is_empty() || recipients.len() > MAX_RECIPIENTS {
        return Err(ChannelError::Recipients);
    }
    Ok(recipients)
}

impl TryFrom<Fields> for Channel {
    type Error = ChannelError;

    fn try_from(fields: Fields) -> Result<Self, ChannelError> {
        Self::parse(&fields.kind, fields.url.as_deref(), fields.to.as_deref())
    }
}

impl From<Channel> for Fields {
    fn from(channel: Channel) -> Self {
        let (kind, url) = (channel.kind().to_owned(), channel.url().map(Url::to_string));
        let to = if let Channel::Email { to } = channel { Some(to) } else { None };
        Self { kind, url, to }
    }
}

impl fmt::Display for Channel {
    /// The type and where it leads, without what may be secret: `slack hooks.slack.com`, `email ops@example.com`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email { to } => write!(f, "email {}", to.join(", ")),
            _ => write!(f, "{} {}", self.kind(), self.url().and_then(Url::host_str).unwrap_or_default()),
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(kind: &str, url: &str, allow: &str) -> Result<Channel, ChannelError> {
        let channel = Channel::parse(kind, Some(url), None)?;
        channel.check(&allow.parse().expect("an allow list")).map(|()| channel)
    }

    #[test]
    fn a_channel_is_read_from_its_type_and_its_field() {
        let url = "https://hooks.example/a?b=c#d";
        let channel = Channel::parse("webhook", Some(url), None).expect("a channel");
        assert_eq!(channel.url().map(Url::as_str), Some("https://hooks.example/a?b=c"), "a fragment is never sent");
        let to = ["ops@example.com".to_owned(), "ops@example.com".to_owned()];
        let people = Channel::parse("email", None, Some(&to)).expect("a channel");
        assert_eq!(people, Channel::Email { to: vec!["ops@example.com".to_owned()] });
        for channel in [channel, people] {
            let text = serde_json::to_string(&channel).expect("JSON");
            assert_eq!(serde_json::from_str::<Channel>(&text).expect(&text), channel);
        }
        assert_eq!(Channel::parse("teams", Some(url), None), Err(ChannelError::Type));
        for (kind, url, to) in [
            ("slack", None, None),
            ("slack", Some(url), Some(&to[..])),
            ("email", Some(url), None),
            ("email", None, None),
        ] {
            let error = Channel::parse(kind, url, to).expect_err(kind);
            assert!(matches!(error, ChannelError::Field { kind: named, .. } if named == kind), "{error}");
        }
    }

    #[test]
    fn only_public_targets_over_https_are_taken() {
        for (kind, url, expected) in [
            ("webhook", "https://hooks.example/x", None),
            ("webhook", "https://1.1.1.1:8443/x", None),
            ("slack", "https://hooks.slack.com/services/T/B/x", None),
            ("discord", "https://discord.com/api/webhooks/1/x", None),
            ("discord", "https://discordapp.com/api/webhooks/1/x", None),
            ("webhook", "hooks.example", Some("`url`")),
            ("webhook", "https://hooks\".example/", Some("`url`")),
            ("webhook", "mailto:ops@example.com", Some("`url`")),
            ("webhook", "http://hooks.example/x", Some("TALLY_WEBHOOK_ALLOW")),
            ("webhook", "ftp://hooks.example/x", Some("https")),
            ("webhook", "https://user@hooks.example/", Some("user name")),
            ("webhook", "https://:password@hooks.example/", Some("user name")),
            ("webhook", "https://127.0.0.1/", Some("127.0.0.1")),
            ("webhook", "https://0x7f.1/", Some("127.0.0.1")),
            ("webhook", "https://2130706433/", Some("127.0.0.1")),
            ("webhook", "https://[::ffff:10.0.0.1]/", Some("::ffff:10.0.0.1")),
            ("webhook", "https://169.254.169.254/latest", Some("169.254.169.254")),
            ("slack", "https://hooks.slack.com.evil.example/x", Some("hooks.slack.com")),
            ("slack", "https://evil.example/hooks.slack.com", Some("hooks.slack.com")),
            ("discord", "https://notdiscord.com/x", Some("discord.com")),
        ] {
            match (checked(kind, url, ""), expected) {
                (Ok(_), None) => {}
                (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{url}: {error}"),
                (checked, _) => panic!("{url}: {checked:?}"),
            }
        }
    }

    #[test]
    fn what_the_allow_list_names_may_be_private_and_plain() {
        assert!(checked("slack", "http://127.0.0.1:9000/x", "127.0.0.1:9000").is_ok());
        assert!(checked("webhook", "http://127.0.0.1:9001/x", "127.0.0.1:9000").is_err());
        assert_eq!(checked("webhook", "ftp://127.0.0.1:9000/x", "127.0.0.1:9000"), Err(ChannelError::Scheme));
        assert_eq!(checked("webhook", "http://u@127.0.0.1:9000/x", "127.0.0.1:9000"), Err(ChannelError::Userinfo));
    }

    #[test]
    fn recipients_are_plain_addresses() {
        for wrong in
            ["", "ops", "Ops <ops@example.com>", "a@b\r\nBcc: c@d", "a@b, c@d", "ö@example.com", &"a".repeat(300)]
        {
            let error = Channel::parse("email", None, Some(&[wrong.to_owned()])).expect_err(wrong);
            assert!(matches!(error, ChannelError::Recipient(_)), "{wrong}");
            assert!(!error.to_string().contains('\n'));
        }
        let many: Vec<_> = (0..=MAX_RECIPIENTS).map(|n| format!("a{n}@example.com")).collect();
        assert_eq!(Channel::parse("email", None, Some(&many)), Err(ChannelError::Recipients));
        assert!(Channel::parse("email", None, Some(&many[1..])).is_ok());
        assert_eq!(Channel::parse("email", None, Some(&[])), Err(ChannelError::Recipients));
    }

    #[test]
    fn a_channel_is_shown_without_its_secret() {
        let channel = checked("slack", "https://hooks.slack.com/services/T0/B0/token", "").expect("a channel");
        assert_eq!(channel.to_string(), "slack hooks.slack.com");
        assert_eq!(format!("{channel:?}"), "Channel(slack hooks.slack.com)");
    }
}
