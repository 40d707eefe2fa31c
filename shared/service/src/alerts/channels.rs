//! The channels of a rule: encrypted where they are stored, and whole where something is sent.

use serde::{Deserialize, Serialize};
use tally_core::alert::rule::{RuleChannel, RuleId};
use tally_core::app::AppId;
use tally_core::time::{DAY, TimeDelta, Timestamp};
use tally_notify::{Channel, Secret};

use super::seal::{SealError, Sealer};

/// How long the old secret of a webhook signs beside the new one.
const OLD_SECRET: TimeDelta = DAY;

/// What is encrypted of a channel.
#[derive(Serialize, Deserialize)]
struct Sealed {
    channel: Channel,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// When the secret was rotated, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotated_at: Option<i64>,
}

/// A channel that can be told something.
pub struct OpenChannel {
    /// Where it leads.
    pub channel: Channel,
    /// What a webhook is signed with.
    pub secret: Option<Secret>,
    /// When the secret was rotated; none if it never was.
    pub rotated_at: Option<Timestamp>,
}

/// Where what is encrypted belongs.
fn place(app: &AppId, rule: &RuleId, channel: &RuleId) -> String {
    format!("{app}#{rule}#{channel}")
}

/// Encrypts a channel. A webhook has a secret.
pub fn seal(
    sealer: &Sealer,
    (app, rule): (&AppId, &RuleId),
    id: RuleId,
    name: Option<String>,
    OpenChannel { channel, secret, rotated_at }: OpenChannel,
) -> Result<RuleChannel, SealError> {
    let to = match &channel {
        Channel::Email { to } => to.clone(),
        other => other.url().and_then(|url| url.host_str()).map(str::to_owned).into_iter().collect(),
    };
    let kind = channel.kind().to_owned();
    let rotated_at = rotated_at.map(Timestamp::micros);
    let sealed = Sealed { channel, secret: secret.map(|secret| secret.expose()), rotated_at };
    let text = serde_json::to_string(&sealed).map_err(|_| SealError::Unreadable)?;
    let sealed = sealer.seal(&place(app, rule, &id), &text)?;
    Ok(RuleChannel { id, kind, name, to, sealed })
}

/// Decrypts a channel. A day after its secret was rotated it has the new one alone.
pub fn open(
    sealer: &Sealer,
    (app, rule): (&AppId, &RuleId),
    channel: &RuleChannel,
    now: Timestamp,
) -> Result<OpenChannel, SealError> {
    let text = sealer.unseal(&place(app, rule, &channel.id), &channel.sealed)?;
    let Sealed { channel, secret, rotated_at } = serde_json::from_str(&text).map_err(|_| SealError::Unreadable)?;
    let secret = secret.map(|secret| Secret::parse(&secret)).transpose().map_err(|_| SealError::Unreadable)?;
    let rotated_at = rotated_at.map(Timestamp::from_micros);
    // Earlier versions kept no time: what they rotated is over.
    let is_over = rotated_at.is_none_or(|at| now >= at + OLD_SECRET);
    let secret = secret.map(|secret| if is_over { secret.without_old() } else { secret });
    Ok(OpenChannel { channel, secret, rotated_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_core::app::AppSlug;

    #[test]
    fn an_old_secret_ends_a_day_after_it_was_rotated_or_at_once_where_no_time_is_known() {
        let sealer = Sealer::of(&[7; 32]).expect("a key");
        let (app, rule) = (AppId::new(&AppSlug::of_name("shop").expect("a name"), 1), RuleId::random());
        let rotated = Timestamp::EPOCH + DAY;
        for (rotated_at, now, is_over) in
            [(Some(rotated), rotated, false), (Some(rotated), rotated + DAY, true), (None, rotated, true)]
        {
            let channel = Channel::Email { to: vec!["ops@example.com".to_owned()] };
            let secret = Secret::generate().rotated();
            let both = OpenChannel { channel, secret: Some(secret.clone()), rotated_at };
            let sealed = seal(&sealer, (&app, &rule), RuleId::random(), None, both).expect("sealed");
            let opened = open(&sealer, (&app, &rule), &sealed, now).expect("its own place").secret.expect("a secret");
            let expected = if is_over { secret.without_old() } else { secret };
            assert_eq!(opened, expected, "{rotated_at:?} {now}");
        }
    }
}
