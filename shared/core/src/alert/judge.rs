//! Judging: what a rule makes of the counts of a window, and which changes of its state are told.

use serde::{Deserialize, Serialize};

use super::rule::{Condition, Direction, Rule};
use crate::time::{HOUR, Timestamp, micros};

/// The state of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// What it waits for is not so.
    #[default]
    Ok,
    /// It is so.
    Firing,
    /// It cannot be judged.
    Unknown,
}

impl Status {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Firing => "firing",
            Self::Unknown => "unknown",
        }
    }
}

/// What is known of a rule from its windows so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its state.
    #[serde(default)]
    pub status: Status,
    /// For how many consecutive windows it has been so while the rule does not fire yet.
    #[serde(default)]
    pub streak: u32,
    /// The end of the last window that changed anything here, or of the last period that was reported. No window up to it is
    /// judged again.
    #[serde(with = "micros")]
    pub judged: Timestamp,
    /// Since when it has its status: the end of a window.
    #[serde(with = "micros")]
    pub since: Timestamp,
    /// For which window it was told last that it fires, in microseconds; none if it does not fire, or that was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<i64>,
    /// How much it told of issues.
    #[serde(default, skip_serializing_if = "Pace::is_new")]
    pub pace: Pace,
}

/// Most issues that a rule tells one by one in an hour. Those beyond are told together when the hour is over.
pub const MOST_TOLD: u32 = 10;

/// How much a rule has told of issues in an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// When the hour began, in microseconds.
    since: i64,
    /// The issues that were told one by one.
    told: u32,
    /// Those that were not.
    held: u64,
}

impl Pace {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    fn is_new(&self) -> bool {
        *self == Self::default()
    }

    fn is_over(self, now: Timestamp) -> bool {
        now >= Timestamp::from_micros(self.since) + HOUR
    }

    /// Takes an issue. Returns whether it is told by itself.
    pub fn take(&mut self, now: Timestamp) -> bool {
        if self.is_over(now) && self.held == 0 {
            *self = Self { since: now.micros(), told: 0, held: 0 };
        }
        if self.told < MOST_TOLD && self.held == 0 {
            self.told += 1;
            return true;
        }
        self.held += 1;
        false
    }

    /// The number of issues to tell together, once the hour is over.
    pub fn digest(&mut self, now: Timestamp) -> Option<u64> {
        if self.held == 0 || !self.is_over(now) {
            return None;
        }
        let held = self.held;
        *self = Self { since: now.micros(), told: 1, held: 0 };
        Some(held)
    }
}

impl State {
    /// That of a rule whose first window ends after a time.
    pub fn new(at: Timestamp) -> Self {
        Self { status: Status::Ok, streak: 0, judged: at, since: at, told: None, pace: Pace::default() }
    }
}

/// A number of occurrences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// The occurrences that are known.
    pub count: i64,
    /// Whether there are no more.
    pub complete: bool,
}

/// What the counts of a window say.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Whether it is so, and the value that says so: occurrences, or percent.
    Is(bool, f64),
    /// Whether it is so where nothing was before: a change of no percentage, by these occurrences.
    FromNone(bool, f64),
    /// It cannot be told.
    Unknown(Why),
    /// There is nothing to compare with yet.
    TooEarly,
}

/// Why a rule cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Counting is behind.
    Behind,
    /// The counts are more than may be read.
    TooMuch,
    /// Counters lack a part of the answer.
    Incomplete,
    /// It was changed while it fired.
    Changed,
}

impl Why {
    /// The reason as a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Behind => "Events are not counted for more than 15 minutes.",
            Self::TooMuch => "The counts of the window are more than one minute may read.",
            Self::Changed => "The rule was changed or turned off while it fired.",
            Self::Incomplete => {
                "The counters lack a part of the window: a day must be recounted, or they hold too many names."
            }
        }
    }
}

/// What the counts of a window, and of the one before, say about a condition. Counts that are not complete decide only what more
/// occurrences could not change.
#[allow(clippy::cast_precision_loss)] // percentages, and numbers up to 2^53
pub fn verdict(condition: &Condition, now: Value, before: Option<Value>) -> Verdict {
    let exceeds = |n: u64| u64::try_from(now.count).is_ok_and(|count| count > n);
    match condition {
        // They are not judged.
        Condition::Issue(_) | Condition::Report(_) => Verdict::Is(false, 0.0),
        Condition::Above(n) => match exceeds(*n) {
            false if !now.complete => Verdict::Unknown(Why::Incomplete),
            is => Verdict::Is(is, now.count as f64),
        },
        Condition::Below(n) => match *n == 0 || exceeds(n - 1) {
            false if !now.complete => Verdict::Unknown(Why::Incomplete),
            is_not => Verdict::Is(!is_not, now.count as f64),
        },
        Condition::ChangesBy { percent, direction, .. } => {
            let Some(before) = before else { return Verdict::TooEarly };
            if !now.complete || !before.complete {
                return Verdict::Unknown(Why::Incomplete);
            }
            let change = now.count.saturating_sub(before.count);
            let counts = match direction {
                Direction::Any => change != 0,
                Direction::Up => change > 0,
                Direction::Down => change < 0,
            };
            // From nothing, any occurrence is a rise.
            let is = if before.count <= 0 {
                change > 0
            } else {
                i128::from(change.unsigned_abs()) * 100 >= i128::from(*percent) * i128::from(before.count)
            };
            if before.count <= 0 && change != 0 {
                return Verdict::FromNone(is && counts, now.count as f64);
            }
            let value = if before.count <= 0 { 0.0 } else { change as f64 * 100.0 / before.count as f64 };
            Verdict::Is(is && counts, value)
        }
    }
}

/// A change of the state of a rule, or that it still fires and is told again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Its state before.
    pub from: Status,
    /// Its state from now on.
    pub to: Status,
    /// Whether it is told. What happens while a rule is snoozed is not, nor the end of what was not.
    pub is_told: bool,
}

/// Judges the window that ends at `end`. `is_next` tells whether the window that ended a minute before was judged last; else a
/// streak begins again.
pub fn judge(
    rule: &Rule,
    state: &State,
    end: Timestamp,
    verdict: &Verdict,
    is_next: bool,
    is_snoozed: bool,
) -> (State, Option<Transition>) {
    let from = state.status;
    let streak = if is_next { state.streak } else { 0 };
    let (to, streak) = match verdict {
        Verdict::Is(false, _) | Verdict::FromNone(false, _) | Verdict::TooEarly => (Status::Ok, 0),
        Verdict::Unknown(_) => (Status::Unknown, 0),
        // A rule that fires stays so without a new streak.
        Verdict::Is(true, _) | Verdict::FromNone(true, _) if from == Status::Firing || streak + 1 >= rule.hold.0 => {
            (Status::Firing, 0)
        }
        Verdict::Is(true, _) | Verdict::FromNone(true, _) => (Status::Ok, streak + 1),
    };
    let is_due = match (to, state.told.map(Timestamp::from_micros)) {
        (Status::Firing, _) if from != Status::Firing => true,
        (Status::Firing, None) => !is_snoozed,
        (Status::Firing, Some(told)) => {
            !is_snoozed && rule.renotify.is_some_and(|renotify| end >= told + renotify.length())
        }
        _ => from != to,
    };
    let is_told = !is_snoozed
        && match (from, to) {
            (Status::Firing, Status::Ok) => state.told.is_some(),
            _ => true,
        };
    let transition = is_due.then_some(Transition { from, to, is_told });
    let told = match to {
        Status::Firing if transition.is_some_and(|transition| transition.is_told) => Some(end.micros()),
        Status::Firing => state.told,
        Status::Ok | Status::Unknown => None,
    };
    let mut next = State { status: to, streak, told, ..state.clone() };
    if from != to {
        next.since = end;
    }
    if next != *state || transition.is_some() {
        next.judged = end;
    }
    (next, transition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::minutes::Minutes;
    use crate::alert::rule::RuleId;
    use crate::time::MINUTE;
    use proptest::prelude::*;

    fn rule(hold: u32, renotify: Option<u32>) -> Rule {
        Rule {
            id: RuleId::random(),
            name: "a".to_owned(),
            filter: crate::alert::filter::FilterParams::new(),
            window: Minutes(5),
            condition: Condition::Above(0),
            hold: Minutes(hold),
            renotify: renotify.map(Minutes),
            snoozed_until: None,
            enabled: true,
            channels: vec![],
            created_at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn counts_decide_what_they_can() {
        let value = |count, complete| Value { count, complete };
        let whole = |count| value(count, true);
        let unknown = Verdict::Unknown(Why::Incomplete);
        let change = |direction| Condition::ChangesBy { percent: 50, against: Minutes::DAY, direction };
        let any = || change(Direction::Any);
        for (condition, now, before, expected) in [
            (Condition::Above(20), whole(20), None, Verdict::Is(false, 20.0)),
            (Condition::Above(20), whole(21), None, Verdict::Is(true, 21.0)),
            (Condition::Above(20), value(21, false), None, Verdict::Is(true, 21.0)),
            (Condition::Above(20), value(20, false), None, unknown.clone()),
            (Condition::Below(1), whole(0), None, Verdict::Is(true, 0.0)),
            (Condition::Below(1), whole(1), None, Verdict::Is(false, 1.0)),
            (Condition::Below(1), value(1, false), None, Verdict::Is(false, 1.0)),
            (Condition::Below(1), value(0, false), None, unknown.clone()),
            (Condition::Below(0), whole(0), None, Verdict::Is(false, 0.0)),
            (any(), whole(10), None, Verdict::TooEarly),
            (any(), whole(15), Some(whole(10)), Verdict::Is(true, 50.0)),
            (any(), whole(14), Some(whole(10)), Verdict::Is(false, 40.0)),
            (any(), whole(5), Some(whole(10)), Verdict::Is(true, -50.0)),
            (any(), whole(0), Some(whole(10)), Verdict::Is(true, -100.0)),
            (change(Direction::Up), whole(5), Some(whole(10)), Verdict::Is(false, -50.0)),
            (change(Direction::Down), whole(5), Some(whole(10)), Verdict::Is(true, -50.0)),
            (change(Direction::Down), whole(15), Some(whole(10)), Verdict::Is(false, 50.0)),
            (any(), whole(3), Some(whole(0)), Verdict::FromNone(true, 3.0)),
            (change(Direction::Down), whole(3), Some(whole(0)), Verdict::FromNone(false, 3.0)),
            (any(), whole(0), Some(whole(0)), Verdict::Is(false, 0.0)),
            (any(), value(15, false), Some(whole(10)), unknown.clone()),
            (any(), whole(15), Some(value(10, false)), unknown.clone()),
        ] {
            assert_eq!(verdict(&condition, now, before), expected, "{condition:?} {now:?} {before:?}");
        }
    }

    fn any_verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            4 => Just(Verdict::Is(true, 1.0)),
            4 => Just(Verdict::Is(false, 0.0)),
            1 => Just(Verdict::Unknown(Why::Behind)),
            1 => Just(Verdict::TooEarly),
        ]
    }

    #[test]
    fn ten_issues_are_told_in_an_hour_and_the_others_together() {
        let at = Timestamp::from_seconds(1_795_702_231);
        let mut pace = Pace::default();
        assert_eq!((0..25).filter(|_| pace.take(at)).count(), 10);
        assert_eq!(pace.digest(at + 59 * MINUTE), None);
        assert!(!pace.take(at + HOUR), "what was held is told first");
        assert_eq!(pace.digest(at + HOUR), Some(16));
        assert_eq!(pace.digest(at + 3 * HOUR), None);
        assert_eq!((0..25).filter(|_| pace.take(at + HOUR)).count(), 9);
        let mut quiet = Pace::default();
        assert!((0..30).all(|n| quiet.take(at + n * 10 * MINUTE)));
    }

    proptest! {
        /// Against what the list of verdicts says as a whole.
        #[test]
        fn every_crossing_is_told_once_and_no_other(
            hold in 0u32..4, renotify in prop::option::of(1u32..6),
            verdicts in prop::collection::vec((any_verdict(), prop::bool::weighted(0.2), prop::bool::weighted(0.1)), 1..60),
        ) {
            let rule = rule(hold, renotify);
            let mut state = State::new(Timestamp::EPOCH);
            let (mut end, mut expected, mut streak, mut told_at) = (Timestamp::EPOCH, Status::Ok, 0, None);
            for (verdict, is_snoozed, is_gap) in verdicts {
                end += if is_gap { 3 * MINUTE } else { MINUTE };
                let before = expected;
                streak = match verdict { Verdict::Is(true, _) => if is_gap { 1 } else { streak + 1 }, _ => 0 };
                expected = match verdict {
                    Verdict::Unknown(_) => Status::Unknown,
                    Verdict::Is(true, _) if before == Status::Firing || streak >= hold.max(1) => Status::Firing,
                    _ => Status::Ok,
                };
                let (next, transition) = judge(&rule, &state, end, &verdict, !is_gap, is_snoozed);
                prop_assert_eq!(next.status, expected);
                let is_told = transition.is_some_and(|transition| transition.is_told);
                prop_assert!(!(is_told && is_snoozed));
                if let Some(transition) = transition {
                    prop_assert_eq!((transition.from, transition.to), (before, expected));
                    prop_assert_eq!(next.judged, end);
                }
                if before != expected {
                    prop_assert!(transition.is_some());
                    let was_told = before != Status::Firing || expected != Status::Ok || told_at.is_some();
                    prop_assert_eq!(is_told, !is_snoozed && was_told);
                } else if expected == Status::Firing {
                    let due = match (told_at, renotify) {
                        (None, _) => true,
                        (Some(told), Some(renotify)) => end - told >= i64::from(renotify) * MINUTE,
                        (Some(_), None) => false,
                    };
                    prop_assert_eq!(is_told, due && !is_snoozed);
                    prop_assert_eq!(transition.is_some(), is_told);
                } else {
                    prop_assert_eq!(transition, None);
                }
                if expected == Status::Firing { if is_told { told_at = Some(end); } } else { told_at = None; }
                prop_assert!(next == state || next.judged == end);
                state = next;
            }
        }
    }
}
