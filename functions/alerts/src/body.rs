//! A rule as it is shown.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use tally_core::alert::judge::{Status, Why};
use tally_core::alert::rule::{Condition, Direction, Rule, RuleId};
use tally_core::alert::sentence::sentence;
use tally_core::issue::News;
use tally_core::time::Timestamp;
use tally_service::alerts::rules::Saved;
use tally_store::{Delivery, DeliveryStatus, LogEntry, StoredRule};

/// An alert rule.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Alert")]
pub(crate) struct AlertBody {
    id: String,
    name: String,
    /// The rule as a sentence.
    sentence: String,
    /// What it counts: values by field, each field also with `[ne]` for other values than these.
    filter: BTreeMap<String, Vec<String>>,
    /// The length of what is counted.
    window: String,
    condition: ConditionBody,
    /// For how many consecutive minutes that must be so; null for once.
    r#for: Option<String>,
    /// After how long a firing rule is told again; null for never.
    renotify: Option<String>,
    /// Until when nothing is told; null unless the rule is snoozed.
    snoozed_until: Option<Timestamp>,
    /// Whether it is judged.
    enabled: bool,
    channels: Vec<ChannelBody>,
    state: Status,
    /// Since when it has its state.
    since: Timestamp,
    created_at: Timestamp,
    /// Its transitions, the newest first, at most 100 of the last 90 days; only where one rule is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<TransitionBody>>,
}

/// What a rule waits for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertCondition")]
struct ConditionBody {
    /// More occurrences than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    above: Option<u64>,
    /// Fewer occurrences than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<u64>,
    /// At least so many percent more or fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes_by: Option<u32>,
    /// How long before the other window ends: `1h`, `1d` or `7d`, which is shown as `1w`.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<String>,
    /// Which changes count: `any`, `up` or `down`.
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    /// An issue is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_issue: Option<bool>,
    /// A resolved issue occurs again.
    #[serde(skip_serializing_if = "Option::is_none")]
    regression: Option<bool>,
    /// It reports each `day` or `week`.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'static str>,
    /// At which time of the day, as `HH:MM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// In which time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    tz: Option<String>,
    /// On which day of the week.
    #[serde(skip_serializing_if = "Option::is_none")]
    weekday: Option<&'static str>,
}

/// Who is told.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertChannel")]
struct ChannelBody {
    id: String,
    /// `webhook`, `slack`, `discord` or `email`.
    r#type: String,
    /// What it is called in sentences.
    name: Option<String>,
    /// The host of its URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// Its addresses, of an `email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Vec<String>>,
    /// What a webhook is signed with; only in the reply that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// A value, without a fraction where it has none.
#[derive(JsonSchema)]
#[schemars(rename = "AlertValue")]
pub(crate) struct ValueBody(pub(crate) f64);

impl Serialize for ValueBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[allow(clippy::cast_possible_truncation)] // a whole number of that size
        if self.0.fract() == 0.0 && self.0.abs() < 1e15 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// A transition of a rule.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertTransition")]
struct TransitionBody {
    /// The end of the window that made it, or of the period that it reports.
    at: Timestamp,
    /// When that was found out.
    found_at: Timestamp,
    from: Status,
    /// The same as `from` where a rule that fires was told again.
    to: Status,
    /// The value of the window: occurrences, or a change in percent; null where it is not known.
    value: Option<ValueBody>,
    /// True if the value is a number of occurrences where there were none before, and no percentage; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_none: Option<bool>,
    /// What it was compared with.
    threshold: Option<u64>,
    /// What the rule waited for.
    condition: String,
    /// The issue that it tells of, of a rule about issues.
    #[serde(skip_serializing_if = "Option::is_none")]
    issue: Option<String>,
    /// The number of issues that it tells of, of a rule about issues.
    #[serde(skip_serializing_if = "Option::is_none")]
    issues: Option<u64>,
    /// The start of the period that it reports, of a rule that reports; the period ends with `at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// Why the rule could not be judged, or the report may lack counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    deliveries: Vec<DeliveryBody>,
}

/// A notification for one channel.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertDelivery")]
struct DeliveryBody {
    /// The id of the channel.
    channel: String,
    r#type: String,
    /// `snoozed` where nothing is sent.
    status: DeliveryStatus,
    attempts: u32,
    /// When it is tried next; null unless it is pending.
    next_at: Option<Timestamp>,
    /// What the receiver said last.
    error: Option<String>,
}

impl AlertBody {
    pub(crate) fn new(StoredRule { rule, state, .. }: &StoredRule, now: Timestamp) -> Self {
        let length = |length: tally_core::alert::minutes::Minutes| length.to_string();
        Self {
            id: rule.id.to_string(),
            name: rule.name.clone(),
            sentence: sentence(rule),
            filter: rule.filter.clone(),
            window: length(rule.window),
            condition: (&rule.condition).into(),
            r#for: (rule.hold.0 > 0).then(|| length(rule.hold)),
            renotify: rule.renotify.map(length),
            snoozed_until: rule.snoozed_until.map(Timestamp::from_micros).filter(|until| *until > now),
            enabled: rule.enabled,
            channels: channels(rule),
            state: state.status,
            since: state.since,
            created_at: rule.created_at,
            history: None,
        }
    }

    /// The rule with the secrets of its new webhooks.
    pub(crate) fn saved(Saved { stored, secrets }: &Saved, now: Timestamp) -> Self {
        let mut body = Self::new(stored, now);
        for channel in &mut body.channels {
            let secret = secrets.iter().find(|(id, _): &&(RuleId, String)| id.as_str() == channel.id);
            channel.secret = secret.map(|(_, secret)| secret.clone());
        }
        body
    }

    pub(crate) fn with_history(stored: &StoredRule, history: Vec<LogEntry>, now: Timestamp) -> Self {
        Self { history: Some(history.into_iter().map(Into::into).collect()), ..Self::new(stored, now) }
    }
}

fn channels(rule: &Rule) -> Vec<ChannelBody> {
    let channels = rule.channels.iter().map(|channel| {
        let is_mail = channel.kind == "email";
        ChannelBody {
            id: channel.id.to_string(),
            r#type: channel.kind.clone(),
            name: channel.name.clone(),
            host: if is_mail { None } else { channel.to.first().cloned() },
            to: is_mail.then(|| channel.to.clone()),
            secret: None,
        }
    });
    channels.collect()
}

impl From<&Condition> for ConditionBody {
    fn from(condition: &Condition) -> Self {
        let none = Self {
            above: None,
            below: None,
            changes_by: None,
            against: None,
            direction: None,
            new_issue: None,
            regression: None,
            report: None,
            at: None,
            tz: None,
            weekday: None,
        };
        match condition {
            Condition::Above(n) => Self { above: Some(*n), ..none },
            Condition::Below(n) => Self { below: Some(*n), ..none },
            Condition::Issue(News::New) => Self { new_issue: Some(true), ..none },
            Condition::Issue(News::Regressed) => Self { regression: Some(true), ..none },
            Condition::Report(schedule) => Self {
                report: Some(schedule.every()),
                at: Some(schedule.at().to_string()),
                tz: Some(schedule.zone().name().to_owned()),
                weekday: schedule.weekday(),
                ..none
            },
            Condition::ChangesBy { percent, against, direction } => Self {
                changes_by: Some(*percent),
                against: Some(against.to_string()),
                direction: Some(match direction {
                    Direction::Any => "any",
                    Direction::Up => "up",
                    Direction::Down => "down",
                }),
                ..none
            },
        }
    }
}

impl From<LogEntry> for TransitionBody {
    fn from(entry: LogEntry) -> Self {
        Self {
            at: entry.end,
            found_at: entry.at,
            from: entry.from,
            to: entry.to,
            value: entry.value.map(ValueBody),
            from_none: entry.from_none.then_some(true),
            threshold: entry.threshold,
            condition: entry.condition,
            issues: entry.issue.as_ref().map(|told| told.count),
            issue: entry.issue.and_then(|told| told.group),
            since: entry.report.map(|told| told.since),
            reason: entry.why.map(Why::sentence),
            deliveries: entry.deliveries.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Delivery> for DeliveryBody {
    fn from(delivery: Delivery) -> Self {
        let is_pending = delivery.status == DeliveryStatus::Pending;
        Self {
            channel: delivery.channel.to_string(),
            r#type: delivery.kind,
            status: delivery.status,
            attempts: delivery.attempts,
            next_at: is_pending.then(|| Timestamp::from_micros(delivery.next_at)),
            error: delivery.error,
        }
    }
}
