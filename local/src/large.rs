//! Work that takes long: requests with large bodies, and counting. It has threads of its own, so that the system shares the
//! processors between it and short requests. On the same threads, a single event waits for parts of every batch.

use std::io;
use std::panic::resume_unwind;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

/// Bytes of the largest body that is short work: some events.
const SHORT: u64 = 16 * 1024;

/// Threads for long work.
pub(crate) struct Large(Option<Runtime>);

impl Large {
    /// Starts as many threads as there are processors.
    pub(crate) fn start() -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime =
            Builder::new_multi_thread().worker_threads(threads).thread_name("long-work").enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Where to spawn long work.
    pub(crate) fn handle(&self) -> Handle {
        // It is there until it is dropped.
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }

    /// Serves requests with large bodies there.
    pub(crate) fn serve(&self, app: Router) -> Router {
        app.layer(from_fn_with_state(self.handle(), apart))
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        // A task may drop it, which must not wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Whether a request has a large body, or one of unknown length.
fn is_large(request: &Request) -> bool {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) => length > SHORT,
        None => !http_body::Body::is_end_stream(request.body()),
    }
}

async fn apart(State(large): State<Handle>, request: Request, next: Next) -> Response {
    if !is_large(&request) {
        return next.run(request).await;
    }
    // Ends with this request, such as when its client goes away.
    let mut task = JoinSet::new();
    task.spawn_on(next.run(request), &large);
    match task.join_next().await {
        Some(Ok(response)) => response,
        Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
        Some(Err(_)) | None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn large_bodies_have_their_own_threads() {
        let large = Large::start().expect("threads");
        let name = async |body: axum::body::Bytes| {
            format!("{} {}", std::thread::current().name().unwrap_or_default(), body.len())
        };
        let app = large.serve(Router::new().route("/", post(name)));
        for (length, apart) in [(10, false), (20_000, true)] {
            let request = Request::post("/").header(CONTENT_LENGTH, length).body(Body::from("x".repeat(length)));
            let Ok(reply) = app.clone().oneshot(request.expect("a request")).await;
            let body = axum::body::to_bytes(reply.into_body(), 1_000).await.expect("a body");
            let text = String::from_utf8(body.to_vec()).expect("a text");
            assert_eq!(text.starts_with("long-work"), apart, "{text}");
            assert!(text.ends_with(&format!(" {length}")), "{text}");
        }
    }
}
