//! `/api/0/organizations/{organization}/chunk-upload`: a bundle comes in parts, each named by its SHA-1.

use std::io::Read;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::read::GzDecoder;
use futures::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, Uri};
use multer::Multipart;
use ring::digest::{Context as Digest, SHA1_FOR_LEGACY_USE_ONLY};
use schemars::{Schema, json_schema};
use serde::Serialize;
use tally_core::app::App;
use tally_core::app::key::hex;
use tally_core::source_map::MAX_BUNDLE;
use tally_http::guard::Target;
use tally_http::openapi::{Operation, Parameter, text};
use tally_http::problem::{Problem, json};
use tally_http::routes::{UPLOAD_CHUNKS, UPLOAD_SETTINGS};
use tally_http::service::{Shared, origin};
use tally_store::{MapFile, Uploader};

/// Bytes of a part when unpacked. Lambda takes 6 MB of a request in base64.
pub(crate) const CHUNK: usize = 1 << 20;
/// Most parts of a request.
const CHUNKS_PER_REQUEST: usize = 3;
/// Most bytes of a body: the parts, which gzip may make a little larger, and what is around them.
const MAX_BODY: usize = CHUNKS_PER_REQUEST * CHUNK + 64 * 1024;

/// What an uploader keeps to, in Sentry's words.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    url: String,
    chunk_size: usize,
    chunks_per_request: usize,
    max_file_size: usize,
    max_request_size: usize,
    concurrency: usize,
    hash_algorithm: &'static str,
    compression: [&'static str; 1],
    accept: [&'static str; 2],
}

/// Who uploads: the app of the key, or an admin.
pub(crate) fn uploader(app: Option<&Arc<App>>) -> Uploader {
    app.map_or(Uploader::Admins, |app| Uploader::App(app.id.clone()))
}

/// The SHA-1 of bytes in hexadecimal digits. Sentry's protocol names parts by it; nothing is trusted because of it.
pub(crate) fn sha1<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut digest = Digest::new(&SHA1_FOR_LEGACY_USE_ONLY);
    parts.into_iter().for_each(|part| digest.update(part));
    hex(digest.finish().as_ref())
}

/// Whether a text can be the name of a part.
pub(crate) fn is_sha1(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `GET /api/0/organizations/{organization}/chunk-upload`
pub(crate) async fn settings(State(context): Shared, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let settings = Settings {
        url: format!("{}{}", origin(&headers, &context.config), uri.path()),
        chunk_size: CHUNK,
        chunks_per_request: CHUNKS_PER_REQUEST,
        max_file_size: MAX_BUNDLE,
        max_request_size: CHUNKS_PER_REQUEST * CHUNK,
        concurrency: 4,
        hash_algorithm: "sha1",
        compression: ["gzip"],
        accept: ["artifact_bundles", "artifact_bundles_v2"],
    };
    json(StatusCode::OK, &settings)
}

/// `POST /api/0/organizations/{organization}/chunk-upload`
pub(crate) async fn upload(
    State(context): Shared,
    app: Option<Target>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let uploader = uploader(app.as_ref().map(|Target(app)| app));
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(media_type).map_err(|_| {
        Problem::UnsupportedMediaType(
            "send the parts of a bundle as `multipart/form-data`, as sentry-cli does".to_owned(),
        )
    })?;
    let body = axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| too_large("the body"))?;
    let mut parts = Multipart::new(stream::iter([Ok::<Bytes, std::io::Error>(body)]), boundary);
    let mut count = 0;
    while let Some(part) = parts.next_field().await.map_err(|e| unreadable(&e))? {
        count += 1;
        if count > CHUNKS_PER_REQUEST {
            return Err(too_large("the body"));
        }
        let is_packed = match part.name() {
            Some("file") => false,
            Some("file_gzip") => true,
            _ => return Err(Problem::field("body", "has a part that is neither `file` nor `file_gzip`")),
        };
        let name = part.file_name().unwrap_or_default().to_owned();
        let sent = part.bytes().await.map_err(|e| unreadable(&e))?;
        let chunk = if is_packed { unpack(&sent)? } else { sent.to_vec() };
        if chunk.len() > CHUNK {
            return Err(too_large("a part"));
        }
        if !is_sha1(&name) || sha1([chunk.as_slice()]) != name {
            return Err(Problem::field("filename", "is not the SHA-1 of its part: send the part again"));
        }
        context.config.map_files.put(&MapFile::Chunk(uploader.clone(), name), chunk).await?;
    }
    Ok((StatusCode::OK, [(CONTENT_TYPE, "application/json")], "{}").into_response())
}

/// Unpacks gzip, one byte beyond the limit at most.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut chunk = Vec::new();
    let most = u64::try_from(CHUNK + 1).unwrap_or(u64::MAX);
    let read = GzDecoder::new(packed).take(most).read_to_end(&mut chunk);
    read.map_err(|_| Problem::field("file_gzip", "is not gzip"))?;
    Ok(chunk)
}

fn too_large(what: &str) -> Problem {
    Problem::TooLarge(format!(
        "{what} is too large: send at most {CHUNKS_PER_REQUEST} parts of {CHUNK} bytes each, as GET of this path says"
    ))
}

fn unreadable(error: &multer::Error) -> Problem {
    Problem::field("body", format!("is not whole `multipart/form-data`: {error}"))
}

/// Any organization: Tally has none.
pub(crate) fn organization() -> Parameter {
    Parameter::path(
        "organization",
        "What the client is set to (SENTRY_ORG). Any text: Tally has no organizations.",
        text(),
    )
}

fn settings_schema() -> Schema {
    let whole = || json_schema!({"type": "integer", "minimum": 1});
    json_schema!({
        "type": "object",
        "properties": {
            "url": {"type": "string"}, "chunkSize": whole(), "chunksPerRequest": whole(), "maxFileSize": whole(),
            "maxRequestSize": whole(), "concurrency": whole(), "hashAlgorithm": {"const": "sha1"},
            "compression": {"type": "array", "items": {"type": "string"}},
            "accept": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["url", "chunkSize", "chunksPerRequest", "maxFileSize", "maxRequestSize", "hashAlgorithm"],
    })
}

pub(crate) fn operations() -> Vec<Operation> {
    let part = json_schema!({
        "type": "object",
        "properties": {
            "file_gzip": {"description": "A part in gzip; its file name is its SHA-1.", "type": "string", "format": "binary"},
        },
    });
    vec![
        Operation::of(&UPLOAD_SETTINGS, "readUploadSettings", "Says how sentry-cli uploads bundles of source maps")
            .takes([organization()])
            .answers(StatusCode::OK, "Sizes, and where parts go.", settings_schema()),
        Operation::of(&UPLOAD_CHUNKS, "uploadChunks", "Takes parts of a bundle of source maps from sentry-cli")
            .about(format!("At most {CHUNKS_PER_REQUEST} parts of {CHUNK} bytes each. They are kept for a day."))
            .takes([organization()])
            .body("multipart/form-data", part)
            .answers(StatusCode::OK, "They are stored.", json_schema!({"type": "object", "properties": {}}))
            .refuses([StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE]),
    ]
}
