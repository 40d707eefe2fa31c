//! Making, changing and testing rules.

use std::time::{Duration, Instant};

use futures::future::join_all;
use tally_core::alert::filter::FilterParams;
use tally_core::alert::judge::{State, Why};
use tally_core::alert::minutes::Minutes;
use tally_core::alert::rule::{Condition, MAX_RULES, Rule, RuleId};
use tally_core::app::App;
use tally_core::issue::News;
use tally_core::time::{MICROSECOND, MINUTE, Timestamp};
use tally_notify::{Channel, Secret, Sender};
use tally_store::{LogEntry, Store, StoreError, StoredRule};

use super::channels::{OpenChannel, open, seal};
use super::content::Content;
use super::seal::{SealError, Sealer};
use super::telling;
use crate::context::Context;

/// Attempts at a change while the rule is judged.
const ATTEMPTS: usize = 5;
/// How long the history of a deleted rule is erased.
const ERASING: Duration = Duration::from_secs(15);

/// Why a rule is not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The app has as many as it may have.
    #[error("an app has at most {MAX_RULES} alert rules: delete one first")]
    Full,
    /// There is none.
    #[error("there is no such alert rule: GET the alerts of the app to list them")]
    Missing,
    /// It has no such channel, or one that has no secret.
    #[error("the rule has no such webhook: GET the rule to list its channels")]
    NoSecret,
    /// It changes all the time.
    #[error("the rule is being judged or changed: try again")]
    Busy,
    /// Its channels cannot be encrypted or decrypted.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl From<StoreError> for RuleError {
    fn from(error: StoreError) -> Self {
        Self::Seal(error.into())
    }
}

/// A channel of a rule that is made or changed.
#[derive(Clone)]
pub enum ChannelChange {
    /// One that the rule has already.
    Keep(RuleId),
    /// A new one, and what it is called.
    New(Channel, Option<String>),
}

/// A rule after it was made or changed, with the secrets of its new webhooks, which are shown once.
pub struct Saved {
    /// The rule.
    pub stored: StoredRule,
    /// Secrets by channel.
    pub secrets: Vec<(RuleId, String)>,
}

/// Gives a rule its channels. Returns the secrets of the new ones, and the first channel that it lacks, if it lacks one.
async fn set_channels(
    store: &Store,
    app: &App,
    rule: &mut Rule,
    channels: &[ChannelChange],
) -> Result<Vec<(RuleId, String)>, RuleError> {
    let sealer = Sealer::open(store).await?;
    let (mut all, mut secrets) = (vec![], vec![]);
    for change in channels {
        match change {
            ChannelChange::Keep(id) => {
                all.extend(rule.channels.iter().find(|channel| channel.id == *id).cloned());
            }
            ChannelChange::New(channel, name) => {
                let id = RuleId::random();
                let secret = matches!(channel, Channel::Webhook { .. }).then(Secret::generate);
                secrets.extend(secret.as_ref().map(|secret| (id.clone(), secret.expose_newest())));
                let open = OpenChannel { channel: channel.clone(), secret, rotated_at: None };
                all.push(seal(&sealer, (&app.id, &rule.id), id, name.clone(), open)?);
            }
        }
    }
    rule.channels = all;
    Ok(secrets)
}

/// The rules of an app. It has two from the start, about issues that are new and that occur again. They tell nobody until they
/// are given a channel, so they are stored when the rules are first asked for.
///
/// # Errors
/// Where the store fails.
pub async fn list(store: &Store, app: &App, now: Timestamp) -> Result<Vec<StoredRule>, StoreError> {
    let rules = store.alert_rules(&app.id).await?;
    if rules.has_defaults {
        return Ok(rules.rules);
    }
    // In this order.
    let about = |news, name: &str, place: i64| {
        let rule = Rule {
            id: RuleId::random(),
            name: name.to_owned(),
            filter: FilterParams::new(),
            window: Minutes(1),
            condition: Condition::Issue(news),
            hold: Minutes(0),
            renotify: None,
            snoozed_until: None,
            enabled: true,
            channels: vec![],
            created_at: now + place * MICROSECOND,
        };
        StoredRule { state: State::new(now.floor(MINUTE)), rule, version: 1 }
    };
    let defaults = [about(News::New, "New issues", 0), about(News::Regressed, "Regressions", 1)];
    // If another process was faster, it has added the same.
    store.add_default_rules(&app.id, &defaults).await?;
    Ok(store.alert_rules(&app.id).await?.rules)
}

/// Makes a rule. Its first window ends after now.
pub async fn create(
    context: &Context,
    app: &App,
    mut rule: Rule,
    channels: &[ChannelChange],
) -> Result<Saved, RuleError> {
    let secrets = set_channels(&context.store, app, &mut rule, channels).await?;
    let stored = StoredRule { state: State::new(rule.created_at.floor(MINUTE)), rule, version: 1 };
    if !context.store.add_alert_rule(&app.id, &stored).await? {
        return Err(RuleError::Full);
    }
    Ok(Saved { stored, secrets })
}

/// Changes a rule by a function. A rule that asks something else begins anew; who was told that it fires is told that it does no more.
pub async fn change(
    context: &Context,
    app: &App,
    id: &RuleId,
    channels: Option<&[ChannelChange]>,
    change: impl Fn(&mut Rule),
) -> Result<Saved, RuleError> {
    for _ in 0..ATTEMPTS {
        let before = context.store.alert_rule(&app.id, id).await?.ok_or(RuleError::Missing)?;
        let mut rule = before.rule.clone();
        change(&mut rule);
        let secrets = match channels {
            Some(channels) => set_channels(&context.store, app, &mut rule, channels).await?,
            None => vec![],
        };
        if !rule.asks_as(&before.rule) && before.state.told.is_some() {
            // The next attempt finds it recovered.
            end_firing(context, app, &before).await?;
            continue;
        }
        let state =
            if rule.asks_as(&before.rule) { before.state } else { State::new(context.clock.now().floor(MINUTE)) };
        let stored = StoredRule { rule, state, version: before.version + 1 };
        if context.store.replace_alert_rule(&app.id, &stored, before.version).await? {
            return Ok(Saved { stored, secrets });
        }
    }
    Err(RuleError::Busy)
}

/// Ends that a rule fires, and tells so, unless others have changed it meanwhile.
async fn end_firing(context: &Context, app: &App, stored: &StoredRule) -> Result<(), StoreError> {
    let now = context.clock.now();
    let end = now.floor(MINUTE);
    let entry = LogEntry {
        from: stored.state.status,
        why: Some(Why::Changed),
        ..LogEntry::of(stored, end, now, !stored.rule.is_snoozed(now))
    };
    let judged = context.store.alert_rules(&app.id).await?.judged;
    let state = State::new(end);
    context.store.change_alert_state(&app.id, judged, stored, &state, Some(&entry), None).await?;
    Ok(())
}

/// Gives a webhook a new secret. For a day, what is sent is signed with the old one too.
pub async fn rotate_secret(context: &Context, app: &App, id: &RuleId, channel: &RuleId) -> Result<String, RuleError> {
    let sealer = Sealer::open(&context.store).await?;
    for _ in 0..ATTEMPTS {
        let before = context.store.alert_rule(&app.id, id).await?.ok_or(RuleError::Missing)?;
        let mut rule = before.rule.clone();
        let place = (&app.id, &before.rule.id);
        let known = rule.channels.iter_mut().find(|known| known.id == *channel).ok_or(RuleError::NoSecret)?;
        let now = context.clock.now();
        let OpenChannel { channel: target, secret, .. } = open(&sealer, place, known, now)?;
        let secret = secret.ok_or(RuleError::NoSecret)?.rotated();
        let shown = secret.expose_newest();
        let opened = OpenChannel { channel: target, secret: Some(secret), rotated_at: Some(now) };
        *known = seal(&sealer, place, known.id.clone(), known.name.clone(), opened)?;
        let stored = StoredRule { rule, state: before.state, version: before.version + 1 };
        if context.store.replace_alert_rule(&app.id, &stored, before.version).await? {
            return Ok(shown);
        }
    }
    Err(RuleError::Busy)
}

/// Deletes a rule with all that it has told.
pub async fn delete(store: &Store, app: &App, id: &RuleId) -> Result<(), RuleError> {
    if !store.delete_alert_rule(&app.id, id).await? {
        return Err(RuleError::Missing);
    }
    // What is left after that expires by itself.
    let end = Instant::now() + ERASING;
    while Instant::now() < end && !store.erase_alert_history(&app.id, id).await? {}
    Ok(())
}

/// What a channel said to a test.
pub struct Tested {
    /// The channel.
    pub channel: RuleId,
    /// Its type.
    pub kind: String,
    /// What went wrong; none if it was taken.
    pub error: Option<String>,
}

/// Sends a test to each channel of a rule.
pub async fn test(
    context: &Context,
    sender: &Sender,
    app: &App,
    id: &RuleId,
    now: Timestamp,
) -> Result<Vec<Tested>, RuleError> {
    let rule = context.store.alert_rule(&app.id, id).await?.ok_or(RuleError::Missing)?.rule;
    let sealer = Sealer::open(&context.store).await?;
    let content = match rule.schedule().and_then(|schedule| schedule.periods(schedule.last(now)?)) {
        Some(periods) => Content::of_report(context, app, &rule, periods, now).await?,
        None => Content::default(),
    };
    let tests = rule.channels.iter().map(async |channel| {
        let sent = match open(&sealer, (&app.id, &rule.id), channel, now) {
            Ok(OpenChannel { channel: target, secret, .. }) => {
                let (config, id) = (&context.config, channel.id.as_str());
                let test = if content.report.is_some() {
                    telling::of_report_test(config, app, &rule, &content, now, id)
                } else {
                    telling::of_test(config, app, &rule, now, id)
                };
                sender.send(&target, secret.as_ref(), &test).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        Tested { channel: channel.id.clone(), kind: channel.kind.clone(), error: sent.err() }
    });
    Ok(join_all(tests).await)
}
