//! Settings, from environment variables.

use std::path::PathBuf;
use std::time::Duration;

use tally_core::app::{AppNameError, AppSlug};
use tally_core::time::TimeDelta;
use tally_store::MapFiles;
use tally_store::tables::{SessionIndex, TableNames};

use crate::auth::user::{Users, UsersError};

/// The default of `TALLY_TAIL_BUDGET`, and of `TailBudget` in template.yaml. docs/performance.md says why.
pub const TAIL_BUDGET: u32 = 600;

/// The seconds for which events are gathered before they are counted: the default of `AggregateBatchWindow` in template.yaml.
pub const BATCH_WINDOW: u16 = 20;
/// The most events that are counted at once: the default of `AggregateBatchSize` in template.yaml.
pub const BATCH_SIZE: u16 = 460;

/// The settings of a deployment.
#[derive(Clone)]
pub struct Config {
    /// `TALLY_EVENTS_TABLE`, `TALLY_COUNTERS_TABLE`, `TALLY_APPS_TABLE`, `TALLY_SALTS_TABLE`.
    pub tables: TableNames,
    /// What the index of sessions holds where this process makes the tables: whole events. Only tests change it; on AWS the
    /// parameter `SessionIndex` of the template does.
    pub session_index: SessionIndex,
    /// `TALLY_USERS`: the users who may sign in. Only `admin` gets this setting.
    pub users: Users,
    /// `TALLY_TOKEN_MINUTES` (1 to 1440, default 60): the lifetime of an access token.
    pub token_lifetime: TimeDelta,
    /// `TALLY_INGEST_ORIGINS` (default `*`): origins whose pages may send events, separated by commas.
    pub ingest_origins: Origins,
    /// `TALLY_READ_ORIGINS` (default none): origins whose pages may read.
    pub read_origins: Origins,
    /// `TALLY_READ_BUDGET` (default 1,000): the read units that one request may use. Infinite in the program for a laptop, where
    /// they cost nothing.
    pub read_budget: f64,
    /// `TALLY_TAIL_BUDGET` (default 600): the read units that the events of the newest minutes may take in a report, of those
    /// that a request may use. With 0, reports come from counters alone.
    pub tail_budget: f64,
    /// The time in which one request may start reads: 10 s, or 3 s in the program for a laptop.
    pub read_time: Duration,
    /// `TALLY_GITHUB_API` (default `https://api.github.com`): the API that identifies the owner of a GitHub token.
    pub github_api: String,
    /// `TALLY_PAGE_URL` (default none): where people open the page, for links in notifications.
    pub page_url: Option<String>,
    /// `TALLY_MAPS_BUCKET` (default none): the bucket of source maps. On a laptop they are in the data folder without it.
    pub map_files: MapFiles,
    /// `TALLY_SCRIPT_PATH` (default none): one more path of the script for web pages, `/js/NAME`.
    pub script_path: Option<String>,
    /// `TALLY_COLLECT_PATH` (default none: `/collect`): where that script sends to, `/c/NAME`.
    pub collect_path: Option<String>,
    /// `TALLY_COUNTRY_HEADER` (default none): the header, in lower case, in which a server in front tells the country of a
    /// visitor, such as `cloudfront-viewer-country`.
    pub country_header: Option<String>,
    /// `TALLY_GEOIP` (default none): a file in the format of `MaxMind` that tells the countries of addresses.
    pub geoip: Option<PathBuf>,
    /// `TALLY_LOGS_APP` (default none): the app of the log events that subscription filters of CloudWatch Logs send.
    pub logs_app: Option<AppSlug>,
    /// Whether cookies are sent over HTTPS only. Off for plain local HTTP.
    pub secure_cookies: bool,
}

/// Origins whose pages may call the API from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// All origins.
    Any,
    /// Only these origins.
    Only(Vec<String>),
}

/// An invalid setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `TALLY_USERS`.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// An invalid origin.
    #[error("{name}: {value:?} is no origin such as https://app.example")]
    Origin {
        /// The name of the variable.
        name: &'static str,
        /// The value of the variable.
        value: String,
    },
    /// An invalid URL of the page.
    #[error("TALLY_PAGE_URL: {0:?} is no URL such as https://tally.example")]
    PageUrl(String),
    /// An invalid path of the script or of where it sends to.
    #[error("{name}: {value:?} is not `{folder}` and 1 to {MAX_RENAMED} letters, digits, `-`, `_` or `.`")]
    Path {
        /// The name of the variable.
        name: &'static str,
        /// The value of the variable.
        value: String,
        /// What it must begin with.
        folder: &'static str,
    },
    /// An invalid name of a header.
    #[error("TALLY_COUNTRY_HEADER: {0:?} is no name of a header, such as CloudFront-Viewer-Country")]
    CountryHeader(String),
    /// An invalid name of an app.
    #[error("TALLY_LOGS_APP: {0:?} {1}")]
    LogsApp(String, AppNameError),
    /// A number out of range.
    #[error("{name}: {value:?} is not a whole number from {from} to {to}")]
    Number {
        /// The name of the variable.
        name: &'static str,
        /// The value of the variable.
        value: String,
        /// The minimum.
        from: u32,
        /// The maximum.
        to: u32,
    },
}

impl Origins {
    fn parse(name: &'static str, text: &str) -> Result<Self, ConfigError> {
        let list: Vec<_> = text.split(',').map(str::trim).filter(|o| !o.is_empty()).map(str::to_owned).collect();
        if let Some(wrong) = list.iter().find(|origin| *origin != "*" && !is_origin(origin)) {
            return Err(ConfigError::Origin { name, value: wrong.clone() });
        }
        Ok(if list.iter().any(|origin| origin == "*") { Self::Any } else { Self::Only(list) })
    }

    /// Returns whether pages of `origin` may call the API.
    pub fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(list) => list.iter().any(|allowed| allowed == origin),
        }
    }
}

/// Checks the URL of the page: `https://tally.example`, perhaps with a path.
fn page_url(value: String) -> Result<String, ConfigError> {
    let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'<' | b'>');
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && rest.bytes().all(is_plain) => Ok(value.trim_end_matches('/').to_owned()),
        _ => Err(ConfigError::PageUrl(value)),
    }
}

/// Checks the name of a header, and makes it lower case.
fn country_header(value: String) -> Result<String, ConfigError> {
    if value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        Ok(value.to_ascii_lowercase())
    } else {
        Err(ConfigError::CountryHeader(value))
    }
}

fn logs_app(name: String) -> Result<AppSlug, ConfigError> {
    AppSlug::of_name(&name).map_err(|error| ConfigError::LogsApp(name, error))
}

/// Most characters of the last part of [`script_path`] and [`collect_path`].
const MAX_RENAMED: usize = 64;

/// Checks a value of `TALLY_SCRIPT_PATH`, such as `/js/shop.js`.
///
/// # Errors
/// Where it is not right below `/js/`. API Gateway has one fixed route for all names there.
pub fn script_path(value: &str) -> Result<String, ConfigError> {
    renamed("TALLY_SCRIPT_PATH", "/js/", value)
}

/// Checks a value of `TALLY_COLLECT_PATH`, such as `/c/shop`.
///
/// # Errors
/// Where it is not right below `/c/`. API Gateway has one fixed route for all names there.
pub fn collect_path(value: &str) -> Result<String, ConfigError> {
    renamed("TALLY_COLLECT_PATH", "/c/", value)
}

fn renamed(name: &'static str, folder: &'static str, value: &str) -> Result<String, ConfigError> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match value.strip_prefix(folder) {
        // Browsers take dots alone for another folder.
        Some(last)
            if (1..=MAX_RENAMED).contains(&last.len())
                && last.bytes().all(is_plain)
                && last.bytes().any(|b| b != b'.') =>
        {
            Ok(value.to_owned())
        }
        _ => Err(ConfigError::Path { name, value: value.to_owned(), folder }),
    }
}

/// Returns whether a browser may send this as an `Origin`: a scheme and a host in lower case, an optional port, and no
/// path.
pub fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    let is_host = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b);
    is_scheme && !authority.is_empty() && authority.bytes().all(is_host)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tables: TableNames::default(),
            session_index: SessionIndex::default(),
            users: Users::default(),
            token_lifetime: TimeDelta::minutes(60),
            ingest_origins: Origins::Any,
            read_origins: Origins::Only(vec![]),
            read_budget: 1_000.0,
            tail_budget: f64::from(TAIL_BUDGET),
            read_time: Duration::from_secs(10),
            github_api: "https://api.github.com".to_owned(),
            page_url: None,
            map_files: MapFiles::Nowhere,
            script_path: None,
            collect_path: None,
            country_header: None,
            geoip: None,
            logs_app: None,
            secure_cookies: true,
        }
    }
}

impl Config {
    /// Reads the settings from the environment of this process.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads the settings from any source of variables. An empty variable counts as absent.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let number = |name: &'static str, default: u32, from: u32, to: u32| match variable(name) {
            None => Ok(default),
            Some(value) => match value.parse() {
                Ok(number) if (from..=to).contains(&number) => Ok(number),
                _ => Err(ConfigError::Number { name, value, from, to }),
            },
        };
        let origins = |name: &'static str, default: Origins| match variable(name) {
            None => Ok(default),
            Some(text) => Origins::parse(name, &text),
        };
        let default = Self::default();
        let table = |name: &str, default: String| variable(name).unwrap_or(default);
        Ok(Self {
            tables: TableNames {
                events: table("TALLY_EVENTS_TABLE", default.tables.events),
                counters: table("TALLY_COUNTERS_TABLE", default.tables.counters),
                apps: table("TALLY_APPS_TABLE", default.tables.apps),
                salts: table("TALLY_SALTS_TABLE", default.tables.salts),
            },
            session_index: default.session_index,
            users: variable("TALLY_USERS").map_or(Ok(Users::default()), |json| Users::parse(&json))?,
            token_lifetime: TimeDelta::minutes(number("TALLY_TOKEN_MINUTES", 60, 1, 1440)?.into()),
            ingest_origins: origins("TALLY_INGEST_ORIGINS", default.ingest_origins)?,
            read_origins: origins("TALLY_READ_ORIGINS", default.read_origins)?,
            read_budget: f64::from(number("TALLY_READ_BUDGET", 1_000, 10, 1_000_000)?),
            tail_budget: f64::from(number("TALLY_TAIL_BUDGET", TAIL_BUDGET, 0, 1_000_000)?),
            read_time: default.read_time,
            github_api: variable("TALLY_GITHUB_API").unwrap_or(default.github_api),
            map_files: variable("TALLY_MAPS_BUCKET").map_or(MapFiles::Nowhere, MapFiles::Bucket),
            page_url: variable("TALLY_PAGE_URL").map(page_url).transpose()?,
            script_path: variable("TALLY_SCRIPT_PATH").as_deref().map(script_path).transpose()?,
            collect_path: variable("TALLY_COLLECT_PATH").as_deref().map(collect_path).transpose()?,
            country_header: variable("TALLY_COUNTRY_HEADER").map(country_header).transpose()?,
            geoip: variable("TALLY_GEOIP").map(PathBuf::from),
            logs_app: variable("TALLY_LOGS_APP").map(logs_app).transpose()?,
            secure_cookies: default.secure_cookies,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> Result<Config, ConfigError> {
        Config::read(move |n| (n == name).then(|| value.to_owned()))
    }

    #[test]
    fn a_bad_setting_is_named() {
        for (name, value) in [
            ("TALLY_TOKEN_MINUTES", "0"),
            ("TALLY_READ_BUDGET", "lots"),
            ("TALLY_TAIL_BUDGET", "-1"),
            ("TALLY_USERS", "ann"),
            ("TALLY_PAGE_URL", "tally.example"),
            ("TALLY_PAGE_URL", "https://tally.example/?app=a"),
            ("TALLY_SCRIPT_PATH", "/shop.js"),
            ("TALLY_SCRIPT_PATH", "/js/"),
            ("TALLY_SCRIPT_PATH", "/js/a/b.js"),
            ("TALLY_COLLECT_PATH", "/c/.."),
            ("TALLY_COLLECT_PATH", "/c/{x}"),
            ("TALLY_COLLECT_PATH", "/js/shop"),
            ("TALLY_COUNTRY_HEADER", "the country"),
            ("TALLY_LOGS_APP", "logs/shop"),
            ("TALLY_READ_ORIGINS", "app.example"),
            ("TALLY_READ_ORIGINS", "https://a.example/"),
            ("TALLY_INGEST_ORIGINS", "https://a.example, https://B.example"),
        ] {
            let error = with(name, value).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.starts_with(name), "{error}");
        }
    }

    #[test]
    fn silence_means_the_defaults() {
        let config = with("TALLY_TOKEN_MINUTES", "").expect("valid");
        assert_eq!(config.token_lifetime, TimeDelta::minutes(60));
        assert!(config.ingest_origins.allow("https://a.example") && !config.read_origins.allow("https://a.example"));
        let some = with("TALLY_READ_ORIGINS", "https://a.example, https://b.example").expect("valid");
        assert!(some.read_origins.allow("https://b.example") && !some.read_origins.allow("https://c.example"));
    }
}
