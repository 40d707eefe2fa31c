//! Sends what transitions have to tell: at least once each, under the same id, for a day.

use std::collections::BTreeMap;
use std::time::Instant;

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use tally_core::alert::rule::Rule;
use tally_core::app::{App, AppId};
use tally_core::time::{DAY, MINUTE, TimeDelta, Timestamp};
use tally_notify::{SendError, Sender};
use tally_store::{Delivery, DeliveryStatus, LogEntry, PendingDelivery, StoreError, Told};

use super::channels;
use super::content::Content;
use super::seal::{SealError, Sealer};
use super::telling;
use crate::context::Context;

/// The most transitions that are told in one run. The next run goes on.
const MOST: i32 = 200;
/// The number of rules that tell something at once.
const CONCURRENCY: usize = 16;
/// How long a sender has before another may send the same: each request takes at most 10 s.
const CLAIM: TimeDelta = TimeDelta::seconds(60);
/// How long after the transition it is still told.
const GIVEN_UP: TimeDelta = DAY;
/// The longest wait between two attempts, in minutes.
const LONGEST_WAIT: i64 = 60;
/// How often the outcome is written again where somebody else has changed the deliveries.
const TRIES: usize = 5;
/// The most bytes that are kept of what a receiver said.
const MOST_SAID: usize = 300;

/// What came of some deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Those that were taken.
    pub delivered: usize,
    /// Those that are tried again.
    pub again: usize,
    /// Those that were given up.
    pub failed: usize,
}

impl Delivered {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.again += other.again;
        self.failed += other.failed;
    }
}

/// Whether reports are sent. Each may read as much as a request may, so none is sent beside others, nor before rules are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reports {
    /// They are left for later.
    Later,
    /// They are sent after all others, one at a time.
    Last,
}

/// Sends everything that is due, and begins nothing after `end`. Returns also whether reports are left for later.
///
/// # Errors
/// Returns an error if the deliveries cannot be listed. Those that fail one by one are logged, and stay due.
pub async fn deliver(
    context: &Context,
    sender: &Sender,
    now: Timestamp,
    reports: Reports,
    end: Instant,
) -> Result<(Delivered, bool), SealError> {
    let due = context.store.due_deliveries(now, MOST).await?;
    let mut all = Delivered::default();
    if due.is_empty() {
        return Ok((all, false));
    }
    let sealer = Sealer::open(&context.store).await?;
    // What a rule has to tell is told in order.
    let mut rules = BTreeMap::<_, Vec<_>>::new();
    for pending in due {
        rules.entry((pending.app.clone(), pending.rule.clone())).or_default().push(pending);
    }
    let telling = Telling { context, sender, sealer: &sealer, now, end };
    let each = rules.into_values().map(|mut pending| {
        pending.sort_by_key(|pending| pending.version);
        telling.tell_all(pending, true)
    });
    let mut each = stream::iter(each.collect::<Vec<_>>()).buffer_unordered(CONCURRENCY);
    let mut of_reports = vec![];
    while let Some((told, later)) = each.next().await {
        all.add(told);
        of_reports.extend(later);
    }
    drop(each);
    if reports == Reports::Later || of_reports.is_empty() {
        return Ok((all, !of_reports.is_empty()));
    }
    all.add(telling.tell_all(of_reports, false).await.0);
    Ok((all, false))
}

#[derive(Clone, Copy)]
struct Telling<'a> {
    context: &'a Context,
    sender: &'a Sender,
    sealer: &'a Sealer,
    now: Timestamp,
    end: Instant,
}

/// What became of a transition.
enum Outcome {
    Told(Delivered),
    /// It is a report, which is told after the others.
    Later(PendingDelivery),
}

/// What became of one attempt.
enum Attempt {
    Taken,
    Again(String, Option<TimeDelta>),
    Failed(String),
}

impl From<Result<(), SendError>> for Attempt {
    fn from(sent: Result<(), SendError>) -> Self {
        match sent {
            Ok(()) => Self::Taken,
            Err(error) if error.is_final() => Self::Failed(error.to_string()),
            Err(error) => Self::Again(error.to_string(), error.retry_after()),
        }
    }
}

impl Telling<'_> {
    /// Tells transitions one after the other. Returns the reports among them where those come later.
    async fn tell_all(self, all: Vec<PendingDelivery>, reports_later: bool) -> (Delivered, Vec<PendingDelivery>) {
        let (mut done, mut later) = (Delivered::default(), vec![]);
        for pending in all {
            if Instant::now() >= self.end {
                break;
            }
            let (app, rule) = (pending.app.clone(), pending.rule.clone());
            match self.tell(pending, reports_later).await {
                Ok(Outcome::Told(told)) => done.add(told),
                Ok(Outcome::Later(pending)) => later.push(pending),
                Err(error) => {
                    tracing::warn!(%error, app = app.as_str(), rule = rule.as_str(), "could not tell an alert yet");
                }
            }
        }
        (done, later)
    }

    /// Tells a transition to the channels that are due.
    async fn tell(self, pending: PendingDelivery, reports_later: bool) -> Result<Outcome, SealError> {
        let store = &self.context.store;
        let app = self.app(&pending.app).await?;
        let entry = store.alert_entry(&pending.app, &pending.rule, pending.version).await?;
        let rule = store.alert_rule(&pending.app, &pending.rule).await?;
        let (Some(app), Some(mut entry), Some(rule)) = (app, entry, rule) else {
            store.forget_delivery(&pending).await?;
            return Ok(Outcome::Told(Delivered::default()));
        };
        // What ends the process each time, or could not be tried for a day, is not read once more.
        if self.now > entry.at + GIVEN_UP {
            return Ok(Outcome::Told(self.give_up(&pending, entry).await?));
        }
        if reports_later && entry.report.is_some() {
            return Ok(Outcome::Later(pending));
        }
        let due: Vec<_> = (0..entry.deliveries.len()).filter(|i| entry.deliveries[*i].is_due(self.now)).collect();
        for i in &due {
            let delivery = &mut entry.deliveries[*i];
            delivery.attempts += 1;
            delivery.next_at = (self.now + CLAIM).micros();
        }
        let told = Told { changes: entry.changes, deliveries: &entry.deliveries };
        let Ok(pending) = store.change_deliveries(&pending, &told).await? else {
            // Another process tells it.
            return Ok(Outcome::Told(Delivered::default()));
        };
        let Some(pending) = pending else { return Ok(Outcome::Told(Delivered::default())) };
        entry.changes += 1;
        let attempts = match Content::read(self.context, &app, &rule.rule, &entry, self.now).await {
            Ok(content) => {
                let each = due.iter().map(|i| self.attempt(&app, &rule.rule, &entry, &entry.deliveries[*i], &content));
                join_all(each).await
            }
            Err(error) => {
                tracing::warn!(%error, app = app.id.as_str(), rule = rule.rule.id.as_str(), "could not read what is told");
                let again = || Attempt::Again("what it tells could not be read".to_owned(), None);
                due.iter().map(|_| again()).collect()
            }
        };
        let attempts: Vec<_> = due.into_iter().zip(attempts).collect();
        Ok(Outcome::Told(self.note(pending, entry, &attempts).await?))
    }

    /// Ends what is too old to be told.
    async fn give_up(&self, pending: &PendingDelivery, mut entry: LogEntry) -> Result<Delivered, StoreError> {
        let mut outcome = Delivered::default();
        for delivery in entry.deliveries.iter_mut().filter(|delivery| delivery.status == DeliveryStatus::Pending) {
            delivery.status = DeliveryStatus::Failed;
            delivery.error.get_or_insert_with(|| "it could not be told for a day".to_owned());
            outcome.failed += 1;
        }
        let told = Told { changes: entry.changes, deliveries: &entry.deliveries };
        let is_written = self.context.store.change_deliveries(pending, &told).await?.is_ok();
        Ok(if is_written { outcome } else { Delivered::default() })
    }

    async fn app(&self, id: &AppId) -> Result<Option<std::sync::Arc<App>>, StoreError> {
        let Some((_, slug, _)) = AppId::parse(id.as_str()) else { return Ok(None) };
        Ok(self.context.apps.get(&slug).await?.filter(|app| app.id == *id))
    }

    /// Sends one delivery.
    async fn attempt(
        &self,
        app: &App,
        rule: &Rule,
        entry: &LogEntry,
        delivery: &Delivery,
        content: &Content,
    ) -> Attempt {
        let Some(channel) = rule.channels.iter().find(|channel| channel.id == delivery.channel) else {
            return Attempt::Failed("the rule has this channel no more".to_owned());
        };
        let open = match channels::open(self.sealer, (&app.id, &rule.id), channel, self.now) {
            Ok(open) => open,
            Err(error) => return Attempt::Failed(error.to_string()),
        };
        let config = &self.context.config;
        let id = channel.id.as_str();
        let notification = match &entry.issue {
            Some(told) => telling::of_issue(config, app, rule, (entry, told), content.issue.as_ref(), id),
            None if content.report.is_some() => telling::of_report(config, app, rule, entry, content, id),
            None => telling::of_transition(config, app, rule, entry, content, id),
        };
        self.sender.send(&open.channel, open.secret.as_ref(), &notification).await.into()
    }

    /// Writes down what became of some attempts.
    async fn note(
        &self,
        mut pending: PendingDelivery,
        mut entry: LogEntry,
        attempts: &[(usize, Attempt)],
    ) -> Result<Delivered, StoreError> {
        let store = &self.context.store;
        let now = self.context.clock.now();
        let mut outcome = Delivered::default();
        for _ in 0..TRIES {
            outcome = Delivered::default();
            for (i, attempt) in attempts {
                let Some(delivery) = entry.deliveries.get_mut(*i) else { continue };
                if delivery.status == DeliveryStatus::Pending {
                    outcome.add(settle(delivery, attempt, entry.at, now));
                }
            }
            let told = Told { changes: entry.changes, deliveries: &entry.deliveries };
            if store.change_deliveries(&pending, &told).await?.is_ok() {
                return Ok(outcome);
            }
            // Somebody else claimed it, after this process took too long: what was taken is taken all the same.
            let newer = store.alert_entry(&pending.app, &pending.rule, pending.version).await?;
            let (Some(newer), Some(pointer)) = (newer, self.pointer(&pending).await?) else { break };
            (entry, pending) = (newer, pointer);
        }
        Ok(outcome)
    }

    /// The pointer to the same transition as it is now.
    async fn pointer(&self, pending: &PendingDelivery) -> Result<Option<PendingDelivery>, StoreError> {
        let until = self.now + CLAIM + CLAIM;
        let all = self.context.store.due_deliveries(until, MOST).await?;
        Ok(all
            .into_iter()
            .find(|other| (&other.app, &other.rule, other.version) == (&pending.app, &pending.rule, pending.version)))
    }
}

/// Notes what became of an attempt of a transition that was found out at `since`.
fn settle(delivery: &mut Delivery, attempt: &Attempt, since: Timestamp, now: Timestamp) -> Delivered {
    let (error, wait) = match attempt {
        Attempt::Taken => {
            delivery.status = DeliveryStatus::Delivered;
            delivery.error = None;
            return Delivered { delivered: 1, ..Delivered::default() };
        }
        Attempt::Failed(error) => (error, None),
        Attempt::Again(error, asked) => (error, Some(wait(delivery.attempts).max(asked.unwrap_or_default()))),
    };
    delivery.error = Some(shortened(error));
    if let Some(next) = wait.map(|wait| now + wait).filter(|next| *next <= since + GIVEN_UP) {
        delivery.next_at = next.micros();
        return Delivered { again: 1, ..Delivered::default() };
    }
    delivery.status = DeliveryStatus::Failed;
    Delivered { failed: 1, ..Delivered::default() }
}

/// How long to wait after so many attempts: 1, 2, 4, … 60 minutes.
fn wait(attempts: u32) -> TimeDelta {
    let minutes = 1i64.checked_shl(attempts.saturating_sub(1)).unwrap_or(LONGEST_WAIT);
    minutes.clamp(1, LONGEST_WAIT) * MINUTE
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(MOST_SAID)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_core::alert::rule::RuleId;
    use tally_core::time::HOUR;

    #[test]
    fn attempts_are_made_for_a_day_and_ever_more_seldom() {
        let mut delivery = Delivery {
            channel: RuleId::random(),
            kind: "webhook".to_owned(),
            status: DeliveryStatus::Pending,
            attempts: 0,
            next_at: 0,
            error: None,
        };
        let again = Attempt::Again("hooks.example answered 500".to_owned(), None);
        let mut waits = vec![];
        let mut now = Timestamp::EPOCH;
        while delivery.status == DeliveryStatus::Pending {
            delivery.attempts += 1;
            settle(&mut delivery, &again, Timestamp::EPOCH, now);
            waits.push((Timestamp::from_micros(delivery.next_at) - now) / MINUTE);
            now = Timestamp::from_micros(delivery.next_at).max(now);
            assert!(waits.len() < 100, "it does not end");
        }
        assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(now <= Timestamp::EPOCH + DAY && now > Timestamp::EPOCH + DAY - 2 * HOUR, "{now}");
        assert_eq!(delivery.error.as_deref(), Some("hooks.example answered 500"));
    }

    #[test]
    fn a_receiver_decides_how_long_to_wait_and_that_nothing_more_comes() {
        let pending = || Delivery {
            channel: RuleId::random(),
            kind: "webhook".to_owned(),
            status: DeliveryStatus::Pending,
            attempts: 1,
            next_at: 0,
            error: None,
        };
        let mut delivery = pending();
        let attempt = Attempt::Again("429".to_owned(), Some(2 * HOUR));
        assert_eq!(settle(&mut delivery, &attempt, Timestamp::EPOCH, Timestamp::EPOCH).again, 1);
        assert_eq!(delivery.next_at, (Timestamp::EPOCH + 2 * HOUR).micros());
        let mut delivery = pending();
        let attempt = Attempt::Failed("x".repeat(1_000));
        assert_eq!(settle(&mut delivery, &attempt, Timestamp::EPOCH, Timestamp::EPOCH).failed, 1);
        assert_eq!((delivery.status, delivery.error.map_or(0, |error| error.len())), (DeliveryStatus::Failed, 300));
        assert_eq!(wait(u32::MAX), HOUR);
    }
}
