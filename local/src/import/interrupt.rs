//! Ctrl-C during an import.

use tokio::sync::watch;

/// Whether Ctrl-C was pressed.
pub(super) type End = watch::Receiver<bool>;

/// Waits for Ctrl-C. Returns at once if it was pressed before.
pub(super) async fn told_to_end(end: &mut End) {
    if end.wait_for(|told| *told).await.is_err() {
        std::future::pending::<()>().await;
    }
}
