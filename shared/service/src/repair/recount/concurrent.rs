//! Concurrent requests.

use futures::stream::{self, StreamExt, TryStreamExt};
use tally_store::StoreError;

/// The number of concurrent requests.
const CONCURRENCY: usize = 16;

/// Runs futures concurrently, in no particular order.
pub(super) async fn all<T>(futures: Vec<impl Future<Output = Result<T, StoreError>>>) -> Result<Vec<T>, StoreError> {
    stream::iter(futures).buffer_unordered(CONCURRENCY).try_collect().await
}
