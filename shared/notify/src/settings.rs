//! Settings, from environment variables.

use std::fmt;
use std::net::IpAddr;

use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::allow::{AllowError, AllowList};

/// What a [`Sender`](crate::Sender) is set up with.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `TALLY_WEBHOOK_ALLOW` (default none): targets that may be private or plain http, for development.
    pub allow: AllowList,
    /// `TALLY_SMTP_URL` and `TALLY_MAIL_FROM` (default none): how e-mail is sent. Without them there is no e-mail.
    pub mail: Option<MailSettings>,
}

/// How e-mail is sent. `Debug` hides the password.
#[derive(Clone)]
pub struct MailSettings {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
    /// User name and password.
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) from: Mailbox,
}

/// How a connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// TLS from the start, port 465.
    Tls,
    /// STARTTLS, or no mail, port 587.
    StartTls,
    /// Not at all, port 25.
    Plain,
}

/// An invalid setting. The message never repeats a URL, which holds a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// `TALLY_WEBHOOK_ALLOW`.
    #[error("TALLY_WEBHOOK_ALLOW: {0}")]
    Allow(#[from] AllowError),
    /// `TALLY_SMTP_URL` is no URL of a mail server.
    #[error("TALLY_SMTP_URL: write smtps://user:password@host:465, or smtp://host:587?tls=required")]
    Smtp,
    /// A password would be sent in the clear.
    #[error("TALLY_SMTP_URL: a password needs TLS: write smtps://, or append ?tls=required")]
    Password,
    /// `TALLY_MAIL_FROM` is no mailbox.
    #[error("TALLY_MAIL_FROM: write an e-mail address such as tally@example.com or Tally <tally@example.com>")]
    From,
    /// One of both is set.
    #[error("TALLY_SMTP_URL and TALLY_MAIL_FROM: set both, or none")]
    Half,
}

impl Settings {
    /// Reads the settings from variables, such as those of the environment. An empty variable is as good as none.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let variable = |name| variable(name).filter(|value| !value.trim().is_empty());
        let allow = variable("TALLY_WEBHOOK_ALLOW").map(|list| list.parse()).transpose()?.unwrap_or_default();
        let mail = match (variable("TALLY_SMTP_URL"), variable("TALLY_MAIL_FROM")) {
            (Some(url), Some(from)) => Some(MailSettings::parse(&url, &from)?),
            (None, None) => None,
            _ => return Err(SettingsError::Half),
        };
        Ok(Self { allow, mail })
    }
}

impl MailSettings {
    /// Reads `TALLY_SMTP_URL` and `TALLY_MAIL_FROM`. User and password are percent-encoded.
    pub fn parse(url: &str, from: &str) -> Result<Self, SettingsError> {
        let url = Url::parse(url.trim()).map_err(|_| SettingsError::Smtp)?;
        let mut parameters = url.query_pairs();
        let tls = parameters.next().map(|(name, value)| (name.into_owned(), value.into_owned()));
        if parameters.next().is_some() || !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(SettingsError::Smtp);
        }
        let (security, port) = match (url.scheme(), tls.as_ref().map(|(name, value)| (name.as_str(), value.as_str()))) {
            ("smtps", None) => (Security::Tls, 465),
            ("smtp", Some(("tls", "required"))) => (Security::StartTls, 587),
            ("smtp", None) => (Security::Plain, 25),
            _ => return Err(SettingsError::Smtp),
        };
        let decoded = |text| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| SettingsError::Smtp);
        let host = decoded(url.host_str().filter(|host| !host.is_empty()).ok_or(SettingsError::Smtp)?)?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let credentials = match url.password() {
            Some(password) => Some((decoded(url.username())?, decoded(password)?)),
            None if url.username().is_empty() => None,
            None => return Err(SettingsError::Smtp),
        };
        if credentials.is_some() && security == Security::Plain && !is_this_machine(&host) {
            return Err(SettingsError::Password);
        }
        let from = from.trim().parse().map_err(|_| SettingsError::From)?;
        Ok(Self { host, port: url.port().unwrap_or(port), security, credentials, from })
    }
}

fn is_this_machine(host: &str) -> bool {
    // A host of `smtp:` is a name to `url`, whatever it looks like.
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name == "localhost",
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Err(_) => host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}

impl fmt::Debug for MailSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailSettings({}:{}, {:?}, from {})", self.host, self.port, self.security, self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_variables(|name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn no_setting_is_needed() {
        let settings = read(&[("TALLY_SMTP_URL", " ")]).expect("settings");
        assert!(settings.mail.is_none());
        assert_eq!(settings.allow, AllowList::default());
    }

    #[test]
    fn a_mail_server_is_read_from_its_url() {
        for (url, host, port, security) in [
            ("smtps://u:p%40ss@mail.example", "mail.example", 465, Security::Tls),
            ("smtps://u:p%40ss@mail.example:4650", "mail.example", 4650, Security::Tls),
            ("smtp://u:p%40ss@mail.example?tls=required", "mail.example", 587, Security::StartTls),
            ("smtp://u:p%40ss@mail.example:25?tls=required", "mail.example", 25, Security::StartTls),
            ("smtp://u:p%40ss@localhost:1025", "localhost", 1025, Security::Plain),
            ("smtp://u:p%40ss@[::1]:1025", "::1", 1025, Security::Plain),
        ] {
            let mail = MailSettings::parse(url, "Tally <tally@example.com>").expect(url);
            assert_eq!((mail.host.as_str(), mail.port, mail.security), (host, port, security), "{url}");
            assert_eq!(mail.credentials, Some(("u".to_owned(), "p@ss".to_owned())));
            assert!(!format!("{mail:?}").contains("p@ss"));
        }
        assert!(
            MailSettings::parse("smtp://mail.example", "tally@example.com").expect("no password").credentials.is_none()
        );
    }

    #[test]
    fn what_is_wrong_is_named_without_the_password() {
        let from = ("TALLY_MAIL_FROM", "tally@example.com");
        for (url, expected) in [
            ("mail.example", SettingsError::Smtp),
            ("https://u:hidden@mail.example", SettingsError::Smtp),
            ("smtps://u@mail.example", SettingsError::Smtp),
            ("smtp://u:hidden@mail.example?tls=maybe", SettingsError::Smtp),
            ("smtp://u:hidden@mail.example?tls=required&x=y", SettingsError::Smtp),
            ("smtp://u:hidden@mail.example", SettingsError::Password),
            ("smtp:///", SettingsError::Smtp),
        ] {
            let error = read(&[("TALLY_SMTP_URL", url), from]).expect_err(url);
            assert_eq!(error, expected, "{url}");
            assert!(error.to_string().starts_with("TALLY_SMTP_URL: ") && !error.to_string().contains("hidden"));
        }
        let url = ("TALLY_SMTP_URL", "smtp://mail.example");
        assert_eq!(read(&[url]).expect_err("no sender"), SettingsError::Half);
        assert_eq!(read(&[from]).expect_err("no server"), SettingsError::Half);
        assert_eq!(read(&[url, ("TALLY_MAIL_FROM", "Tally")]).expect_err("no address"), SettingsError::From);
        let allow = read(&[("TALLY_WEBHOOK_ALLOW", "localhost")]).expect_err("no port").to_string();
        assert!(allow.starts_with("TALLY_WEBHOOK_ALLOW: `localhost`"), "{allow}");
    }
}
