//! Concurrent requests.

use futures::stream::{self, StreamExt, TryStreamExt};
use tally_store::StoreError;

/// Requests under way at once.
const CONCURRENCY: usize = 16;

/// Runs futures, several at once, in no particular order.
pub(super) async fn all<T>(futures: Vec<impl Future<Output = Result<T, StoreError>>>) -> Result<Vec<T>, StoreError> {
    stream::iter(futures).buffer_unordered(CONCURRENCY).try_collect().await
}
