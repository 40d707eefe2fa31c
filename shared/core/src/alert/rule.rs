//! Rules.

use serde::{Deserialize, Serialize};

use super::filter::FilterParams;
use super::minutes::Minutes;
use super::schedule::Schedule;
use crate::app::key::hex;
use crate::issue::News;
use crate::time::{Timestamp, micros};

/// Most rules of an app.
pub const MAX_RULES: usize = 100;
/// Most channels of a rule.
pub const MAX_CHANNELS: usize = 5;
/// Longest name of a rule, and of a channel, in bytes.
pub const MAX_RULE_NAME: usize = 100;
/// The shortest and the longest window.
pub const WINDOWS: [Minutes; 2] = [Minutes(1), Minutes::WEEK];
/// The longest `for`.
pub const MAX_FOR: Minutes = Minutes(60);
/// The shortest and the longest `renotify`.
pub const RENOTIFY: [Minutes; 2] = [Minutes(5), Minutes::WEEK];
/// The largest threshold. All numbers up to it are exact as a JSON number.
pub const MAX_THRESHOLD: u64 = 1_000_000_000_000_000;
/// The largest percentage.
pub const MAX_PERCENT: u32 = 1_000_000;

/// Twelve hexadecimal digits that name a rule, or a channel of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(String);

impl RuleId {
    /// A new one, at random.
    pub fn random() -> Self {
        Self(hex(&rand::random::<[u8; 6]>()))
    }

    /// Reads one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_one = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        is_one.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a rule waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// More occurrences than this.
    Above(u64),
    /// Fewer occurrences than this; fewer than 1 are none.
    Below(u64),
    /// At least so many percent more or fewer than in the window before.
    ChangesBy {
        /// Percent of the count before.
        percent: u32,
        /// How long before the other window ends.
        against: Minutes,
        /// Which changes count.
        direction: Direction,
    },
    /// An issue that is new, or that occurs again after it was resolved. It looks at issues, not at a window.
    Issue(News),
    /// A time of the day or the week. It tells what was counted since the last one, whatever that is.
    Report(Schedule),
}

/// Which changes count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Both.
    #[default]
    Any,
    /// More than before.
    Up,
    /// Fewer than before.
    Down,
}

impl Condition {
    /// The lengths of time against which a change may be measured.
    pub const AGAINST: [Minutes; 3] = [Minutes::HOUR, Minutes::DAY, Minutes::WEEK];

    /// How long before the window the other one ends, if there is another.
    pub fn against(&self) -> Option<Minutes> {
        match self {
            Self::ChangesBy { against, .. } => Some(*against),
            Self::Above(_) | Self::Below(_) | Self::Issue(_) | Self::Report(_) => None,
        }
    }

    /// What a value is compared with: occurrences, or percent.
    pub fn threshold(&self) -> u64 {
        match self {
            Self::Above(n) | Self::Below(n) => *n,
            Self::ChangesBy { percent, .. } => u64::from(*percent),
            Self::Issue(_) | Self::Report(_) => 0,
        }
    }
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleChannel {
    /// Which one it is.
    pub id: RuleId,
    /// `webhook`, `slack`, `discord` or `email`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is called in sentences, such as `#ops`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The host of its URL, or its addresses.
    pub to: Vec<String>,
    /// Its URL or addresses and its secret, encrypted, in base64.
    pub sealed: String,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Which one it is.
    pub id: RuleId,
    /// Its name.
    pub name: String,
    /// What it counts.
    #[serde(default, skip_serializing_if = "FilterParams::is_empty")]
    pub filter: FilterParams,
    /// The length of what it counts. It ends on a whole minute. Of a report it is a day or a week, an hour more or less where
    /// clocks change.
    pub window: Minutes,
    /// What it waits for.
    pub condition: Condition,
    /// For how many consecutive minutes that must be so; 0 and 1 mean once.
    #[serde(rename = "for", default)]
    pub hold: Minutes,
    /// After how long a firing rule is told again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renotify: Option<Minutes>,
    /// Until when nothing is told, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed_until: Option<i64>,
    /// Whether it is judged.
    pub enabled: bool,
    /// Who is told.
    #[serde(default)]
    pub channels: Vec<RuleChannel>,
    /// When it was made.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

impl Rule {
    /// The news of issues that it waits for; none if it waits for counts.
    pub fn news(&self) -> Option<News> {
        match self.condition {
            Condition::Issue(news) => Some(news),
            _ => None,
        }
    }

    /// When it reports; none if it waits for something.
    pub fn schedule(&self) -> Option<&Schedule> {
        match &self.condition {
            Condition::Report(schedule) => Some(schedule),
            _ => None,
        }
    }

    /// Whether nothing is told at a time.
    pub fn is_snoozed(&self, now: Timestamp) -> bool {
        self.snoozed_until.is_some_and(|until| now < Timestamp::from_micros(until))
    }

    /// Whether another rule asks something else, so that what was judged of this one says nothing about it.
    pub fn asks_as(&self, other: &Self) -> bool {
        self.filter == other.filter
            && self.window == other.window
            && self.condition == other.condition
            && self.hold == other.hold
            && self.enabled == other.enabled
    }
}
