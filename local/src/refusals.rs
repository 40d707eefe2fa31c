//! Requests that cannot be read as HTTP are refused with a problem document, like all others.
//!
//! hyper refuses them itself, before any service sees them, with an empty body and no way to change it. So the reply is
//! replaced where it leaves.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that replaces hyper's own refusals.
pub(crate) struct Refusals<S> {
    stream: S,
    /// What is written in place of a refusal, and how much of it has been.
    instead: Vec<u8>,
    written: usize,
}

impl<S> Refusals<S> {
    /// A stream over another.
    pub(crate) fn of(stream: S) -> Self {
        Self { stream, instead: Vec::new(), written: 0 }
    }
}

/// The status of a reply that hyper made by itself: a head without a body, and without what every reply of Tally has.
fn own_refusal(written: &[u8]) -> Option<StatusCode> {
    let head = std::str::from_utf8(written).ok()?.strip_suffix("\r\n\r\n")?.to_ascii_lowercase();
    let status = head.strip_prefix("http/1.1 ").or_else(|| head.strip_prefix("http/1.0 "))?.get(..3)?;
    let status = StatusCode::from_bytes(status.as_bytes()).ok().filter(StatusCode::is_client_error)?;
    let is_bare = head.contains("\r\ncontent-length: 0") && !head.contains("\r\nx-request-id:");
    is_bare.then_some(status)
}

fn refusal(status: StatusCode) -> Vec<u8> {
    let detail = match status {
        StatusCode::URI_TOO_LONG => "the path and query are too long: send less",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the headers are too long, or too many: send less",
        _ => {
            "not a request of HTTP/1.1: check its first line and its headers; in a URL percent-encode spaces, `<`, `>`, `\"`, and \
             what is not ASCII"
        }
    };
    let title = status.canonical_reason().unwrap_or("Error");
    let document =
        json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail}).to_string();
    format!(
        "HTTP/1.1 {} {title}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\n\r\n{document}",
        status.as_u16(),
        document.len(),
    )
    .into_bytes()
}

impl<S: AsyncRead + Unpin> AsyncRead for Refusals<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Refusals<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<std::io::Result<usize>> {
        let this = &mut *self;
        if this.instead.is_empty() {
            match own_refusal(buffer) {
                Some(status) => (this.instead, this.written) = (refusal(status), 0),
                None => return Pin::new(&mut this.stream).poll_write(context, buffer),
            }
        }
        while this.written < this.instead.len() {
            let rest = this.instead.get(this.written..).unwrap_or_default();
            let more = ready!(Pin::new(&mut this.stream).poll_write(context, rest))?;
            if more == 0 {
                return Poll::Ready(Ok(0));
            }
            this.written += more;
        }
        this.instead.clear();
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
