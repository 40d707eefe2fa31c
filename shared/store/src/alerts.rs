//! Alert rules, their state, and what they have told.
//!
//! All that a transition changes is one transaction, which requires that the rule is as it was read, and that no other evaluator
//! has judged a minute of the app since. So of several evaluators exactly one makes a transition.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use serde::{Deserialize, Serialize};
use tally_core::alert::judge::{State, Status, Why};
use tally_core::alert::minutes::Minutes;
use tally_core::alert::rule::{MAX_RULES, Rule, RuleId};
use tally_core::alert::sentence::condition;
use tally_core::app::AppId;
use tally_core::issue::News;
use tally_core::time::{TimeDelta, Timestamp, micros};

use crate::alert_deliveries::{Delivery, DeliveryStatus, due, pending_item};
use crate::client::error::StoreError;
use crate::issues::StoredIssue;
use crate::item::{Item, key, number, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, PK};

/// How long transitions are kept.
const LOG_KEPT: TimeDelta = TimeDelta::days(90);
/// The most transitions that are read of a rule.
const HISTORY: i32 = 100;
/// Up to which end of a window an app is judged, in microseconds.
const JUDGED: &str = "judged";
/// How often evaluators have written about an app.
const SEQ: &str = "seq";
/// When the first heartbeat was put that is not counted, in microseconds.
const BEAT: &str = "beat";
/// When the newest heartbeat was put, in microseconds.
const LAST_BEAT: &str = "last_beat";
/// The number of rules of an app.
const RULES: &str = "n";
/// Whether the app was given the rules that a new app has.
const DEFAULTS: &str = "defaults";
const VERSION: &str = "version";

/// A rule with its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRule {
    /// The rule.
    pub rule: Rule,
    /// Its state.
    pub state: State,
    /// The number of its changes.
    pub version: u64,
}

/// How far an app is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// The end of the last window that was judged; none if none was.
    pub to: Option<Timestamp>,
    /// When the first heartbeat was put that is not known to be counted yet; none if all are.
    pub beat: Option<Timestamp>,
    /// When the newest heartbeat was put; none if none was.
    pub last_beat: Option<Timestamp>,
    /// How often evaluators have written about the app.
    pub seq: u64,
}

/// The rules of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppRules {
    /// How far they are judged.
    pub judged: Judged,
    /// The rules, by id.
    pub rules: Vec<StoredRule>,
    /// Whether the app was given the rules that a new app has.
    pub has_defaults: bool,
}

/// A transition of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The rule.
    pub rule: RuleId,
    /// The version of the rule that the transition made.
    pub version: u64,
    /// The end of the window that made it.
    #[serde(with = "micros")]
    pub end: Timestamp,
    /// When that was found out.
    #[serde(with = "micros")]
    pub at: Timestamp,
    /// The state before.
    pub from: Status,
    /// The state since.
    pub to: Status,
    /// The value that was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Whether the value is a number of occurrences where there were none before, and no percentage.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_none: bool,
    /// What it was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u64>,
    /// Why the rule cannot be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// What it tells of issues; none where it tells of counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<ToldIssue>,
    /// The periods of a report; none where it is no report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ToldReport>,
    /// The length of the window.
    pub window: Minutes,
    /// What the rule waited for, in words.
    pub condition: String,
    /// Who is told.
    #[serde(default)]
    pub deliveries: Vec<Delivery>,
    /// The number of changes of the deliveries.
    #[serde(default)]
    pub changes: u64,
}

impl LogEntry {
    /// An entry of a rule that is found out at `now`, in which the rule stays ok and nothing else is said. Its channels are told, or kept
    /// as snoozed.
    pub fn of(stored: &StoredRule, end: Timestamp, now: Timestamp, is_told: bool) -> Self {
        let rule = &stored.rule;
        let status = if is_told { DeliveryStatus::Pending } else { DeliveryStatus::Snoozed };
        Self {
            rule: rule.id.clone(),
            version: stored.version + 1,
            end,
            at: now,
            from: Status::Ok,
            to: Status::Ok,
            value: None,
            from_none: false,
            threshold: None,
            why: None,
            issue: None,
            report: None,
            window: rule.window,
            condition: condition(rule),
            deliveries: Delivery::of_rule(rule, status, now),
            changes: 0,
        }
    }
}

/// What a transition tells of issues. Their texts are read when it is told: so they go with the events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldIssue {
    /// What happened.
    pub news: News,
    /// The group of the issue; none for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The number of issues.
    pub count: u64,
}

/// What a report tells of. What was counted is read when it is told: so it goes with the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldReport {
    /// The start of the period, which ends with the entry's `end`.
    #[serde(with = "micros")]
    pub since: Timestamp,
    /// The start of the period before.
    #[serde(with = "micros")]
    pub before: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct RuleItem {
    pk: String,
    sk: String,
    rule: Rule,
    state: State,
    version: u64,
}

impl From<RuleItem> for StoredRule {
    fn from(RuleItem { rule, state, version, .. }: RuleItem) -> Self {
        Self { rule, state, version }
    }
}

impl Store {
    /// Returns the rules of all apps that have any, strongly consistent.
    pub async fn all_alert_rules(&self) -> Result<BTreeMap<AppId, AppRules>, StoreError> {
        let (mut apps, mut start) = (BTreeMap::<AppId, AppRules>::new(), None);
        loop {
            let request = self.query_partition(&self.tables.apps, keys::ALERTS).consistent_read(true);
            let page = self.send_query(request.set_exclusive_start_key(start)).await?;
            for item in page.items {
                let app = sort_key(&item).split('#').next().and_then(AppId::parse);
                let app =
                    app.ok_or_else(|| StoreError::Unreadable(format!("the key {:?} of a rule", sort_key(&item))))?;
                apps.entry(app.0).or_default().add(item)?;
            }
            start = page.next;
            if start.is_none() {
                apps.retain(|_, app| !app.rules.is_empty());
                return Ok(apps);
            }
        }
    }

    /// Returns the rules of an app, strongly consistent.
    pub async fn alert_rules(&self, app: &AppId) -> Result<AppRules, StoreError> {
        let (mut rules, mut start) = (AppRules::default(), None);
        loop {
            // What is noted of all rules comes before them: no other app's key begins with this one's and a sign before `#`.
            let range = (app.as_str().to_owned(), keys::alert_rule(app, "~"));
            let request = self.query_between(&self.tables.apps, keys::ALERTS, range).consistent_read(true);
            let page = self.send_query(request.set_exclusive_start_key(start)).await?;
            page.items.into_iter().try_for_each(|item| rules.add(item))?;
            start = page.next;
            if start.is_none() {
                return Ok(rules);
            }
        }
    }

    /// Returns a rule.
    pub async fn alert_rule(&self, app: &AppId, rule: &RuleId) -> Result<Option<StoredRule>, StoreError> {
        let item = self.get(&self.tables.apps, keys::ALERTS, &keys::alert_rule(app, rule.as_str())).await?;
        Ok(item.map(serde_dynamo::from_item::<_, RuleItem>).transpose()?.map(StoredRule::from))
    }

    /// Adds a rule. Returns false if the app has as many as it may have.
    pub async fn add_alert_rule(&self, app: &AppId, new: &StoredRule) -> Result<bool, StoreError> {
        let put = Put::builder().table_name(&self.tables.apps).set_item(Some(rule_item(app, new)?));
        let put = put.condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", PK);
        let counted = self.count_rules(app, 1).condition_expression("attribute_not_exists(#n) OR #n < :most");
        let most = AttributeValue::N(MAX_RULES.to_string());
        let counted = counted.expression_attribute_values(":most", most);
        self.write_together(vec![
            TransactWriteItem::builder().put(put.build()?).build(),
            TransactWriteItem::builder().update(counted.build()?).build(),
        ])
        .await
    }

    /// Replaces a rule and its state. Returns false if it has another version than `version` now.
    pub async fn replace_alert_rule(&self, app: &AppId, new: &StoredRule, version: u64) -> Result<bool, StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.apps)
            .set_key(Some(key(keys::ALERTS, &keys::alert_rule(app, new.rule.id.as_str()))))
            .update_expression("SET #rule = :rule, #state = :state, #version = :next")
            .condition_expression("#version = :version")
            .expression_attribute_names("#rule", "rule")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":rule", serde_dynamo::to_attribute_value(&new.rule)?)
            .expression_attribute_values(":state", serde_dynamo::to_attribute_value(&new.state)?)
            .expression_attribute_values(":version", AttributeValue::N(version.to_string()))
            .expression_attribute_values(":next", AttributeValue::N(new.version.to_string()));
        Ok(self.send_conditional(request).await?.is_applied())
    }

    /// Deletes a rule. Returns false if there is none.
    pub async fn delete_alert_rule(&self, app: &AppId, rule: &RuleId) -> Result<bool, StoreError> {
        let delete = Delete::builder()
            .table_name(&self.tables.apps)
            .set_key(Some(key(keys::ALERTS, &keys::alert_rule(app, rule.as_str()))))
            .condition_expression("attribute_exists(#pk)")
            .expression_attribute_names("#pk", PK);
        self.write_together(vec![
            TransactWriteItem::builder().delete(delete.build()?).build(),
            TransactWriteItem::builder().update(self.count_rules(app, -1).build()?).build(),
        ])
        .await
    }

    /// Replaces how far an app is judged. Returns false if another evaluator has written about the app since.
    pub async fn set_judged(&self, app: &AppId, before: Judged, after: Judged) -> Result<bool, StoreError> {
        let (mut set, mut remove) = (vec![], vec![]);
        let mut request = self
            .client
            .update_item()
            .table_name(&self.tables.apps)
            .set_key(Some(key(keys::ALERTS, app.as_str())))
            .condition_expression(seq_is(before))
            .expression_attribute_names("#seq", SEQ)
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        for (placeholder, name, time) in
            [("judged", JUDGED, after.to), ("beat", BEAT, after.beat), ("last", LAST_BEAT, after.last_beat)]
        {
            request = request.expression_attribute_names(format!("#{placeholder}"), name);
            if let Some(time) = time {
                set.push(format!("#{placeholder} = :{placeholder}"));
                let micros = AttributeValue::N(time.micros().to_string());
                request = request.expression_attribute_values(format!(":{placeholder}"), micros);
            } else {
                remove.push(format!("#{placeholder}"));
            }
        }
        let clause = |word: &str, of: &[String]| {
            if of.is_empty() { String::new() } else { format!("{word} {} ", of.join(", ")) }
        };
        let expression = format!("{}{}ADD #seq :one", clause("SET", &set), clause("REMOVE", &remove));
        if before.seq > 0 {
            request = request.expression_attribute_values(":seq", AttributeValue::N(before.seq.to_string()));
        }
        Ok(self.send_conditional(request.update_expression(expression)).await?.is_applied())
    }

    /// Gives a rule a new state, with the transition that it makes, if it makes one, and a pointer to its deliveries, if any is due.
    /// Returns false, and changes nothing, if the rule has changed, or another evaluator has written about the app since. With an
    /// issue it also notes there that the rule was told, if the issue has not changed.
    pub async fn change_alert_state(
        &self,
        app: &AppId,
        judged: Judged,
        rule: &StoredRule,
        state: &State,
        entry: Option<&LogEntry>,
        issue: Option<&StoredIssue>,
    ) -> Result<bool, StoreError> {
        let table = &self.tables.apps;
        let changed = Update::builder()
            .table_name(table)
            .set_key(Some(key(keys::ALERTS, &keys::alert_rule(app, rule.rule.id.as_str()))))
            .update_expression("SET #state = :state, #version = :next")
            .condition_expression("#version = :version")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":state", serde_dynamo::to_attribute_value(state)?)
            .expression_attribute_values(":version", AttributeValue::N(rule.version.to_string()))
            .expression_attribute_values(":next", AttributeValue::N((rule.version + 1).to_string()));
        let counted = Update::builder()
            .table_name(table)
            .set_key(Some(key(keys::ALERTS, app.as_str())))
            .update_expression("ADD #seq :one")
            .condition_expression(seq_is(judged))
            .expression_attribute_names("#seq", SEQ)
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        let counted = match judged.seq {
            0 => counted,
            seq => counted.expression_attribute_values(":seq", AttributeValue::N(seq.to_string())),
        };
        let mut writes = vec![
            TransactWriteItem::builder().update(changed.build()?).build(),
            TransactWriteItem::builder().update(counted.build()?).build(),
        ];
        if let Some(issue) = issue {
            let told = self.told_of_issue(app, issue, &rule.rule.id).build()?;
            writes.push(TransactWriteItem::builder().update(told).build());
        }
        if let Some(entry) = entry {
            let put = Put::builder().table_name(table).set_item(Some(log_item(app, entry)?)).build()?;
            writes.push(TransactWriteItem::builder().put(put).build());
            if let Some(due) = due(&entry.deliveries) {
                let item = pending_item(app, &entry.rule, entry.version, due);
                let put = Put::builder().table_name(table).set_item(Some(item)).build()?;
                writes.push(TransactWriteItem::builder().put(put).build());
            }
        }
        self.write_together(writes).await
    }

    /// Returns a transition, strongly consistent.
    pub async fn alert_entry(&self, app: &AppId, rule: &RuleId, version: u64) -> Result<Option<LogEntry>, StoreError> {
        let sort = keys::alert_entry(rule.as_str(), version);
        let item = self.get(&self.tables.apps, &keys::alert_log(app), &sort).await?;
        Ok(item.map(serde_dynamo::from_item).transpose()?)
    }

    /// Returns the newest transitions of a rule, the newest first; at most 100.
    pub async fn alert_history(&self, app: &AppId, rule: &RuleId) -> Result<Vec<LogEntry>, StoreError> {
        let range = keys::alert_entries(rule.as_str());
        let request = self.query_between(&self.tables.apps, keys::alert_log(app), range);
        let page = self.send_query(request.scan_index_forward(false).limit(HISTORY).consistent_read(true)).await?;
        let entries = page.items.into_iter().map(serde_dynamo::from_item::<_, LogEntry>);
        Ok(entries.collect::<Result<_, _>>()?)
    }

    /// Erases a page of the transitions of a rule. Returns whether none is left.
    pub async fn erase_alert_history(&self, app: &AppId, rule: &RuleId) -> Result<bool, StoreError> {
        let range = keys::alert_entries(rule.as_str());
        let request = self.query_between(&self.tables.apps, keys::alert_log(app), range).consistent_read(true);
        let page = self.send_query(request).await?;
        self.delete_items(&self.tables.apps, page.items).await?;
        Ok(page.next.is_none())
    }

    /// Erases a page of the alert rules of an app and of their transitions. Returns whether none is left.
    pub async fn erase_alerts(&self, app: &AppId) -> Result<bool, StoreError> {
        let range = (keys::alert_rule(app, ""), keys::alert_rule(app, "~"));
        let rules = self.query_between(&self.tables.apps, keys::ALERTS, range).consistent_read(true);
        let log = self.query_partition(&self.tables.apps, keys::alert_log(app)).consistent_read(true);
        let (rules, log) = (self.send_query(rules).await?, self.send_query(log).await?);
        let gone = rules.next.is_none() && log.next.is_none();
        self.delete_items(&self.tables.apps, rules.items).await?;
        self.delete_items(&self.tables.apps, log.items).await?;
        if gone {
            let judged = key(keys::ALERTS, app.as_str());
            self.send(self.client.delete_item().table_name(&self.tables.apps).set_key(Some(judged))).await?;
        }
        Ok(gone)
    }

    /// Returns the key that encrypts channels, or `None` if it does not exist yet.
    pub async fn alert_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.secret_key(keys::ALERT_KEY).await
    }

    /// Stores the key that encrypts channels, if there is none. Returns false if there is one.
    pub async fn put_alert_key(&self, bytes: &[u8]) -> Result<bool, StoreError> {
        self.put_secret_key(keys::ALERT_KEY, bytes).await
    }

    /// Returns the key that signs links to charts, or `None` if it does not exist yet.
    pub async fn chart_link_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.secret_key(keys::CHART_LINK_KEY).await
    }

    /// Stores the key that signs links to charts, if there is none. Returns false if there is one.
    pub async fn put_chart_link_key(&self, bytes: &[u8]) -> Result<bool, StoreError> {
        self.put_secret_key(keys::CHART_LINK_KEY, bytes).await
    }

    async fn secret_key(&self, partition: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(item) = self.get(&self.tables.apps, partition, keys::ALONE).await? else { return Ok(None) };
        let bytes = item.get("key").and_then(|value| value.as_b().ok());
        let bytes = bytes.ok_or_else(|| StoreError::Unreadable(format!("the key in {partition}")))?;
        Ok(Some(bytes.as_ref().to_vec()))
    }

    async fn put_secret_key(&self, partition: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.apps)
            .set_key(Some(key(partition, keys::ALONE)))
            .update_expression("SET #key = :key")
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", "key")
            .expression_attribute_values(":key", AttributeValue::B(bytes.to_vec().into()));
        Ok(self.send_conditional(request).await?.is_applied())
    }

    /// Adds the rules that a new app has, if it never had them.
    pub async fn add_default_rules(&self, app: &AppId, rules: &[StoredRule]) -> Result<bool, StoreError> {
        let most = MAX_RULES.saturating_sub(rules.len());
        let marked = self
            .count_rules(app, i8::try_from(rules.len()).unwrap_or(0))
            .update_expression("ADD #n :by SET #defaults = :yes")
            .condition_expression("attribute_not_exists(#defaults) AND (attribute_not_exists(#n) OR #n <= :most)")
            .expression_attribute_names("#defaults", DEFAULTS)
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .expression_attribute_values(":most", AttributeValue::N(most.to_string()));
        let mut writes = vec![TransactWriteItem::builder().update(marked.build()?).build()];
        for rule in rules {
            let put = Put::builder().table_name(&self.tables.apps).set_item(Some(rule_item(app, rule)?)).build()?;
            writes.push(TransactWriteItem::builder().put(put).build());
        }
        self.write_together(writes).await
    }

    /// An update of the number of an app's rules.
    fn count_rules(&self, app: &AppId, by: i8) -> aws_sdk_dynamodb::types::builders::UpdateBuilder {
        Update::builder()
            .table_name(&self.tables.apps)
            .set_key(Some(key(keys::ALERTS, app.as_str())))
            .update_expression("ADD #n :by")
            .expression_attribute_names("#n", RULES)
            .expression_attribute_values(":by", AttributeValue::N(by.to_string()))
    }
}

/// The condition that no evaluator has written since.
const fn seq_is(judged: Judged) -> &'static str {
    if judged.seq == 0 { "attribute_not_exists(#seq)" } else { "#seq = :seq" }
}

impl AppRules {
    fn add(&mut self, item: Item) -> Result<(), StoreError> {
        if sort_key(&item).contains('#') {
            self.rules.push(serde_dynamo::from_item::<_, RuleItem>(item)?.into());
        } else {
            let time = |name| item.get(name).and_then(number).map(Timestamp::from_micros);
            let seq = item.get(SEQ).and_then(number).and_then(|seq| u64::try_from(seq).ok());
            self.has_defaults = item.contains_key(DEFAULTS);
            let (to, beat, last_beat) = (time(JUDGED), time(BEAT), time(LAST_BEAT));
            self.judged = Judged { to, beat, last_beat, seq: seq.unwrap_or(0) };
        }
        Ok(())
    }
}

fn rule_item(app: &AppId, StoredRule { rule, state, version }: &StoredRule) -> Result<Item, StoreError> {
    Ok(serde_dynamo::to_item(RuleItem {
        pk: keys::ALERTS.to_owned(),
        sk: keys::alert_rule(app, rule.id.as_str()),
        rule: rule.clone(),
        state: state.clone(),
        version: *version,
    })?)
}

fn log_item(app: &AppId, entry: &LogEntry) -> Result<Item, StoreError> {
    let mut item: Item = serde_dynamo::to_item(entry)?;
    item.extend(key(&keys::alert_log(app), &keys::alert_entry(entry.rule.as_str(), entry.version)));
    item.insert(EXPIRES_AT.to_owned(), AttributeValue::N((entry.at + LOG_KEPT).seconds().to_string()));
    Ok(item)
}
