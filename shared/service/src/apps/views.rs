//! Saving and deleting views, while others do the same.

use tally_core::app::AppId;
use tally_core::app::view::{View, ViewOwner, put_view};
use tally_store::{Store, StoreError};

/// How often a change is tried again after another one came first.
const TRIES: usize = 8;

/// Why a view cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveViewError {
    /// The owner has as many as there may be.
    #[error("there are {} views already: delete one first", tally_core::app::view::MAX_VIEWS)]
    Full,
    /// Others kept changing them.
    #[error("others change these views at the moment: try again")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Saves a view in place of the one of its name. Returns whether it is new.
pub async fn save_view(store: &Store, app: &AppId, owner: &ViewOwner, view: &View) -> Result<bool, SaveViewError> {
    change(store, app, owner, |views| put_view(views, view.clone()).ok_or(SaveViewError::Full)).await
}

/// Deletes a view. Returns whether there was one.
pub async fn delete_view(store: &Store, app: &AppId, owner: &ViewOwner, name: &str) -> Result<bool, SaveViewError> {
    change(store, app, owner, |views| {
        let before = views.len();
        views.retain(|view| view.name != name);
        Ok(views.len() < before)
    })
    .await
}

async fn change(
    store: &Store,
    app: &AppId,
    owner: &ViewOwner,
    change: impl Fn(&mut Vec<View>) -> Result<bool, SaveViewError>,
) -> Result<bool, SaveViewError> {
    for _ in 0..TRIES {
        let (before, version) = store.views(app, owner).await?;
        let mut views = before.clone();
        let result = change(&mut views)?;
        if views == before || store.put_views(app, owner, &views, version).await? {
            return Ok(result);
        }
    }
    Err(SaveViewError::Busy)
}
