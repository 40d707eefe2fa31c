//! App items.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tally_core::app::key::{Key, KeyId, ReadLimits, Scope, SendLimits};
use tally_core::app::layout::Layout;
use tally_core::app::{App, AppId, AppSlug, AppState, EventClock};
use tally_core::event::level::Level;
use tally_core::time::Timestamp;

use crate::client::error::StoreError;
use crate::keys;

/// An app with its keys.
#[derive(Serialize, Deserialize)]
pub(crate) struct AppItem {
    pk: String,
    sk: String,
    slug: AppSlug,
    #[serde(rename = "life")]
    generation: u32,
    name: String,
    clock: EventClock,
    layout: Layout,
    /// Microseconds.
    created_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    events_per_minute: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_new_names_per_day: Option<u32>,
    #[serde(default = "error", skip_serializing_if = "is_error")]
    issue_level: Level,
    /// Keys by id. They are stored in the app's item, so one read returns both.
    keys: BTreeMap<KeyId, KeyItem>,
    state: AppState,
    /// Microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleting_since: Option<i64>,
}

/// The level of apps that were stored without one.
fn error() -> Level {
    Level::Error
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_error(level: &Level) -> bool {
    *level == Level::Error
}

/// A key in its app's item.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeyItem {
    scopes: Vec<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// Microseconds.
    created_at: i64,
    /// SHA-256 in base64.
    hash: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    origins: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    events_per_minute: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bounded: Option<BoundedItem>,
}

/// What bounds a key that expires or may not read all. Its scopes stand here alone: an earlier version, which knows no
/// bounds, then reads a key without scopes, which may do nothing.
#[derive(Serialize, Deserialize)]
struct BoundedItem {
    scopes: Vec<Scope>,
    /// Microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    filter: BTreeMap<String, Vec<String>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    hides_people: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    hides_data: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    statistics_only: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chart: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    view: Option<String>,
}

impl BoundedItem {
    fn of(key: &Key) -> Option<Self> {
        let Key { expires_at, reads, view, .. } = key;
        if expires_at.is_none() && reads.is_none() && view.is_none() {
            return None;
        }
        let ReadLimits { filter, hides_people, hides_data, statistics_only, chart } = reads.clone();
        Some(Self {
            scopes: key.scopes.clone(),
            expires_at: expires_at.map(Timestamp::micros),
            filter,
            hides_people,
            hides_data,
            statistics_only,
            chart,
            view: view.clone(),
        })
    }
}

impl From<&Key> for KeyItem {
    fn from(key: &Key) -> Self {
        let bounded = BoundedItem::of(key);
        Self {
            scopes: if bounded.is_some() { vec![] } else { key.scopes.clone() },
            bounded,
            label: key.label.clone(),
            created_at: key.created_at.micros(),
            hash: STANDARD.encode(key.hash),
            origins: key.limits.origins.clone(),
            events_per_minute: key.limits.events_per_minute,
        }
    }
}

impl From<&App> for AppItem {
    fn from(app: &App) -> Self {
        let keys = app.keys.iter().map(|key| (key.id.clone(), KeyItem::from(key)));
        Self {
            pk: keys::app(&app.slug),
            sk: keys::ALONE.to_owned(),
            slug: app.slug.clone(),
            generation: app.generation,
            name: app.name.clone(),
            clock: app.clock,
            layout: app.layout.clone(),
            created_at: app.created_at.micros(),
            events_per_minute: app.events_per_minute,
            names: app.names.clone(),
            max_new_names_per_day: app.max_new_names_per_day,
            issue_level: app.issue_level,
            keys: keys.collect(),
            state: app.state,
            deleting_since: app.deleting_since.map(Timestamp::micros),
        }
    }
}

impl TryFrom<AppItem> for App {
    type Error = StoreError;

    fn try_from(item: AppItem) -> Result<Self, StoreError> {
        let keys = item.keys.into_iter().map(|(id, key)| {
            let hash = STANDARD.decode(&key.hash).ok().and_then(|hash| hash.try_into().ok());
            let (scopes, expires_at, reads, view) = match key.bounded {
                None => (key.scopes, None, ReadLimits::default(), None),
                Some(BoundedItem {
                    scopes,
                    expires_at,
                    filter,
                    hides_people,
                    hides_data,
                    statistics_only,
                    chart,
                    view,
                }) => {
                    let reads = ReadLimits { filter, hides_people, hides_data, statistics_only, chart };
                    (scopes, expires_at.map(Timestamp::from_micros), reads, view)
                }
            };
            Ok(Key {
                id,
                scopes,
                expires_at,
                reads,
                view,
                label: key.label,
                created_at: Timestamp::from_micros(key.created_at),
                hash: hash.ok_or_else(|| StoreError::Unreadable("the hash of a key".to_owned()))?,
                limits: SendLimits { origins: key.origins, events_per_minute: key.events_per_minute },
            })
        });
        Ok(Self {
            id: AppId::new(&item.slug, item.generation),
            keys: keys.collect::<Result<_, StoreError>>()?,
            slug: item.slug,
            generation: item.generation,
            name: item.name,
            clock: item.clock,
            layout: item.layout,
            created_at: Timestamp::from_micros(item.created_at),
            events_per_minute: item.events_per_minute,
            names: item.names,
            max_new_names_per_day: item.max_new_names_per_day,
            issue_level: item.issue_level,
            state: item.state,
            deleting_since: item.deleting_since.map(Timestamp::from_micros),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_core::app::key::generate;

    #[test]
    fn an_earlier_version_reads_a_bounded_key_as_one_without_scopes() {
        let (plain, _) = generate(&[Scope::Read], None, Timestamp::EPOCH);
        assert_eq!(KeyItem::from(&plain).scopes, [Scope::Read]);
        let at = Some(Timestamp::EPOCH);
        let hiding = ReadLimits { hides_people: true, ..ReadLimits::default() };
        for bounded in [Key { reads: hiding, ..plain.clone() }, Key { expires_at: at, ..plain }] {
            let item = KeyItem::from(&bounded);
            assert!(item.scopes.is_empty());
            assert_eq!(item.bounded.map(|bounded| bounded.scopes), Some(vec![Scope::Read]));
        }
    }
}
