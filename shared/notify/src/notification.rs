//! What is told.

use serde::{Deserialize, Serialize};
use tally_core::time::{Range, Timestamp};

/// What is told, whatever the channel. Text of events stands in `name`, `sentence` and `examples`, and each channel
/// shows it as text: it is no markup, and can mention nobody.
///
/// What is longer than a channel takes is cut, and ends with `…`.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// Identifies the notification: the same for each attempt to send it and for each channel. A receiver that honours
    /// `webhook-id` takes it once.
    pub id: String,
    /// What happened.
    pub kind: Kind,
    /// When it happened, not when it is sent.
    pub at: Timestamp,
    /// The slug of the app.
    pub app: String,
    /// The id of the rule.
    pub alert: String,
    /// The name of the rule, or the title of the issue.
    pub name: String,
    /// What happened, as a sentence for people.
    pub sentence: String,
    /// What was counted, where one number was.
    pub value: Option<f64>,
    /// Whether the value is a number of occurrences where there were none before, and no percentage.
    pub from_none: bool,
    /// What it was compared with.
    pub threshold: Option<f64>,
    /// The window that was judged.
    pub window: Option<Range>,
    /// The page of the dashboard, with this filter and range. Shown where it is an http or https URL.
    pub url: Option<String>,
    /// A picture that whoever has the URL may see. Shown where it is an https URL.
    pub chart: Option<String>,
    /// Events that show what happened. Channels show [`Example::MAX`] of them.
    pub examples: Vec<Example>,
    /// What a report says.
    pub report: Option<Report>,
}

/// The summary of a period. Text of events stands in `names` and `messages`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What it is about, such as `Shop, 26 November`.
    pub about: String,
    /// The start of the period.
    pub since: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// The number of occurrences; none if they are more than could be read.
    pub total: Option<i64>,
    /// The number in the period before.
    pub previous_total: Option<i64>,
    /// The occurrences of ERROR and FATAL.
    pub errors: Option<i64>,
    /// The same in the period before.
    pub previous_errors: Option<i64>,
    /// The most frequent names, the most frequent first. Channels show [`Report::MOST`] of them.
    pub names: Vec<ReportName>,
    /// The most frequent messages of WARN and above. Channels show [`Report::MOST`] of them.
    pub messages: Vec<ReportMessage>,
    /// Whether all of this is known.
    pub complete: bool,
}

/// How often a name occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportName {
    /// The name.
    pub name: String,
    /// The number of occurrences.
    pub count: i64,
    /// The number in the period before; none if it is not known.
    pub previous: Option<i64>,
}

/// How often a message occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportMessage {
    /// The message, or the template of a group of messages.
    pub message: String,
    /// The most severe level that it had.
    pub level: Option<&'static str>,
    /// The number of occurrences.
    pub count: i64,
}

impl Report {
    /// The most names and messages that a channel shows.
    pub const MOST: usize = 5;
}

/// An event that shows what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The message or the title of the event.
    pub title: String,
    /// The event in the dashboard.
    pub url: Option<String>,
    /// When it happened.
    pub at: Timestamp,
}

impl Example {
    /// The most examples that a channel shows.
    pub const MAX: usize = 3;
}

/// What happened. Serialized as [`Kind::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A rule's condition holds.
    #[serde(rename = "alert.firing")]
    AlertFiring,
    /// It holds no more.
    #[serde(rename = "alert.recovered")]
    AlertRecovered,
    /// Whether it holds is not known, since counting is behind.
    #[serde(rename = "alert.unknown")]
    AlertUnknown,
    /// A person tests the channels of a rule.
    #[serde(rename = "alert.test")]
    AlertTest,
    /// An issue was seen for the first time.
    #[serde(rename = "issue.new")]
    IssueNew,
    /// A resolved issue occurred again.
    #[serde(rename = "issue.regressed")]
    IssueRegressed,
    /// Several new issues, told at once.
    #[serde(rename = "issue.digest")]
    Digest,
    /// The summary of a day or a week.
    #[serde(rename = "alert.report")]
    Report,
}

impl Kind {
    /// Each kind.
    pub const ALL: [Self; 8] = [
        Self::AlertFiring,
        Self::AlertRecovered,
        Self::AlertUnknown,
        Self::AlertTest,
        Self::IssueNew,
        Self::IssueRegressed,
        Self::Digest,
        Self::Report,
    ];

    /// The `type` of a webhook's body, such as `alert.firing`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlertFiring => "alert.firing",
            Self::AlertRecovered => "alert.recovered",
            Self::AlertUnknown => "alert.unknown",
            Self::AlertTest => "alert.test",
            Self::IssueNew => "issue.new",
            Self::IssueRegressed => "issue.regressed",
            Self::Digest => "issue.digest",
            Self::Report => "alert.report",
        }
    }

    /// The words before the name, for people: `Firing`, `New issue`.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::AlertFiring => "Firing",
            Self::AlertRecovered => "Recovered",
            Self::AlertUnknown => "Unknown",
            Self::AlertTest => "Test",
            Self::IssueNew => "New issue",
            Self::IssueRegressed => "Regressed",
            Self::Digest => "New issues",
            Self::Report => "Report",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_stored_as_it_is_sent() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
        }
    }
}
