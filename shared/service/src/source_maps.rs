//! Which source maps are known, and the files that a folder keeps without need.

use std::collections::BTreeMap;

use tally_core::app::AppId;
use tally_core::source_map::DebugId;
use tally_core::time::Timestamp;
use tally_store::{Store, StoreError};

use crate::context::Context;

/// Items that are read at once.
const PAGE: u16 = 1_000;

/// All source maps of an app that have not expired, and the bytes that each has as it is stored.
///
/// # Errors
/// Where the store fails.
pub async fn known(store: &Store, app: &AppId, now: Timestamp) -> Result<BTreeMap<DebugId, u64>, StoreError> {
    let (mut all, mut after) = (BTreeMap::new(), None);
    loop {
        let (page, next) = store.source_maps(app, after, PAGE, now).await?;
        all.extend(page.into_iter().map(|map| (map.debug_id, map.bytes)));
        after = next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

/// Removes from the folder of source maps the files of all apps that have expired, as the lifecycle of a bucket does. Without a
/// folder this does nothing.
///
/// # Errors
/// Where the store fails. What was removed up to then is gone.
pub async fn sweep(context: &Context) -> Result<(), StoreError> {
    let files = &context.config.map_files;
    for app in files.apps() {
        let known = known(&context.store, &app, context.clock.now()).await?;
        files.sweep(&app, &known.into_keys().collect());
    }
    files.sweep_chunks();
    Ok(())
}
