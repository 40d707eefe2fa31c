//! `POST /api/0/organizations/{organization}/artifactbundle/assemble`: makes a bundle of its parts, and stores its source maps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use schemars::{SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tally_core::app::{App, AppSlug};
use tally_core::source_map::{DebugId, MAX_BUNDLE, MAX_MAPS, MAX_STORED};
use tally_http::guard::Target;
use tally_http::openapi::{JSON, Operation};
use tally_http::problem::{Problem, json};
use tally_http::routes::ASSEMBLE_BUNDLE;
use tally_http::service::Shared;
use tally_service::context::Context;
use tally_service::source_maps::known;
use tally_store::{MapFile, MapFiles, SourceMapItem, StoreError, Uploader};

use crate::bundle::{self, BundleError};
use crate::chunks::{CHUNK, is_sha1, organization, sha1, uploader};

/// Most bytes of a body: the names of all parts, and more.
const MAX_BODY: usize = 64 * 1024;
/// Most parts of a bundle.
const MAX_CHUNKS: usize = MAX_BUNDLE / CHUNK;
/// Files that are read or written at once.
const AT_ONCE: usize = 8;
/// Longest name of a release that is kept, in bytes.
const MAX_RELEASE: usize = 256;

/// What sentry-cli sends.
#[derive(Deserialize)]
struct Asked {
    checksum: String,
    chunks: Vec<String>,
    #[serde(default)]
    projects: Vec<String>,
    #[serde(default)]
    version: Option<String>,
}

/// What became of a bundle.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Assembled {
    state: Outcome,
    missing_chunks: Vec<String>,
    detail: Option<String>,
}

/// Sentry's word for it.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    NotFound,
    Ok,
    Error,
}

/// Why no map was stored.
enum Failed {
    /// A part is not there.
    Missing(Vec<String>),
    /// What is wrong with the bundle.
    Refused(String),
    Store(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BundleError> for Failed {
    fn from(error: BundleError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// The handler.
pub(crate) async fn assemble(State(context): Shared, of_key: Option<Target>, body: Body) -> Result<Response, Problem> {
    let too_large = || Problem::TooLarge(format!("the body is larger than {MAX_BODY} bytes: upload in several parts"));
    let body = axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| too_large())?;
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|e| Problem::field("body", format!("is not what sentry-cli sends: {e}")))?;
    let of_key = of_key.map(|Target(app)| app);
    let uploader = uploader(of_key.as_ref());
    let app = app_of(&context, of_key, &asked.projects).await?;
    if !is_sha1(&asked.checksum) || asked.chunks.iter().any(|chunk| !is_sha1(chunk)) {
        return Err(Problem::field("chunks", "must be SHA-1 in 40 lower-case hexadecimal digits, as the checksum"));
    }
    let (state, missing_chunks, detail) = match store(&context, &app, &uploader, &asked).await {
        Ok(()) => (Outcome::Ok, vec![], None),
        Err(Failed::Missing(chunks)) => (Outcome::NotFound, chunks, None),
        Err(Failed::Refused(detail)) => (Outcome::Error, vec![], Some(detail)),
        Err(Failed::Store(error)) => return Err(error.into()),
    };
    json(StatusCode::OK, &Assembled { state, missing_chunks, detail })
}

/// The app that the bundle is for: that of the key, which the project must name, or the one that an admin names.
async fn app_of(context: &Context, of_key: Option<Arc<App>>, projects: &[String]) -> Result<Arc<App>, Problem> {
    let [project] = projects else {
        return Err(Problem::field("projects", "must name one project, the id of the app: set SENTRY_PROJECT to it"));
    };
    let slug = AppSlug::of_name(project).ok();
    if let Some(app) = of_key {
        return if slug.as_ref() == Some(&app.slug) {
            Ok(app)
        } else {
            // Of a 404 sentry-cli shows a sentence of its own.
            Err(Problem::Forbidden(format!(
                "the key is of the app `{}`, not of this project: set SENTRY_PROJECT={}, or use a key of the other app",
                app.slug, app.slug
            )))
        };
    }
    let app = match slug {
        Some(slug) => context.apps.get(&slug).await?,
        None => None,
    };
    app.ok_or_else(|| {
        Problem::field(
            "projects",
            "no app has this id: set SENTRY_PROJECT to the `id` of an app, as GET /apps lists them",
        )
    })
}

/// Stores the source maps of a bundle.
async fn store(context: &Context, app: &App, uploader: &Uploader, asked: &Asked) -> Result<(), Failed> {
    if asked.chunks.is_empty() || asked.chunks.len() > MAX_CHUNKS {
        let most = MAX_BUNDLE >> 20;
        return Err(Failed::Refused(format!("a bundle has 1 byte to {most} MB: upload larger ones in several parts")));
    }
    let files = &context.config.map_files;
    let bundle = gather(files, uploader, asked).await?;
    // Other requests of a laptop go on meanwhile.
    let packed = tokio::task::spawn_blocking(move || bundle::read(&bundle)).await;
    let packed = packed.map_err(|error| Failed::Refused(format!("the bundle cannot be read: {error}")))??;

    let now = context.clock.now();
    let known = known(&context.store, &app.id, now).await?;
    let release = asked.version.as_deref().filter(|release| release.len() <= MAX_RELEASE);
    let mut after: BTreeMap<DebugId, u64> = known;
    after.extend(packed.iter().map(|map| (map.debug_id, length(&map.stored))));
    check_limits(&after)?;
    let new: Vec<_> = packed
        .into_iter()
        .map(|map| {
            let item = SourceMapItem {
                debug_id: map.debug_id,
                file: map.file,
                bytes: length(&map.stored),
                unpacked: u64::try_from(map.unpacked).unwrap_or(u64::MAX),
                release: release.map(str::to_owned),
                uploaded_at: now,
            };
            (item, map.stored)
        })
        .collect();
    let stored = new.into_iter().map(|(item, bytes)| async move {
        files.put(&MapFile::Map(app.id.clone(), item.debug_id), bytes).await?;
        context.store.put_source_map(&app.id, &item).await
    });
    stream::iter(stored).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    // The parts stay until they expire: a call that is made again, because its answer was lost, finds them.
    files.sweep(&app.id, &after.into_keys().collect());
    Ok(())
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn check_limits(maps: &BTreeMap<DebugId, u64>) -> Result<(), Failed> {
    if maps.len() > MAX_MAPS {
        return Err(Failed::Refused(format!(
            "the app would have {} source maps, of at most {MAX_MAPS}: delete old ones, or wait until they expire",
            maps.len()
        )));
    }
    let bytes: u64 = maps.values().sum();
    if bytes > MAX_STORED {
        return Err(Failed::Refused(format!(
            "the app's source maps would have {} MB, of at most {} MB: delete old ones, or wait until they expire",
            bytes >> 20,
            MAX_STORED >> 20
        )));
    }
    Ok(())
}

/// The bundle of its parts.
async fn gather(files: &MapFiles, uploader: &Uploader, asked: &Asked) -> Result<Bytes, Failed> {
    let chunks: Vec<_> = asked.chunks.iter().map(|name| MapFile::Chunk(uploader.clone(), name.clone())).collect();
    let read = chunks.into_iter().map(|chunk| async move { files.get(&chunk, CHUNK).await });
    let parts: Vec<_> = stream::iter(read).buffered(AT_ONCE).try_collect().await?;
    let named = asked.chunks.iter().zip(&parts);
    let missing = named.filter(|(_, chunk)| chunk.is_none()).map(|(name, _)| name.clone());
    let missing: Vec<_> = missing.collect::<BTreeSet<_>>().into_iter().collect();
    if !missing.is_empty() {
        return Err(Failed::Missing(missing));
    }
    let bundle = parts.into_iter().flatten().collect::<Vec<_>>().concat();
    if sha1([bundle.as_slice()]) != asked.checksum {
        return Err(Failed::Refused("the parts do not have the checksum of the bundle: upload it again".to_owned()));
    }
    Ok(bundle.into())
}

pub(crate) fn operation(_: &mut SchemaGenerator) -> Operation {
    let names = || json_schema!({"type": "array", "items": {"type": "string"}});
    let sha1 = || json_schema!({"type": "string", "pattern": "^[0-9a-f]{40}$"});
    let body = json_schema!({
        "type": "object",
        "properties": {
            "checksum": sha1(),
            "chunks": {"type": "array", "items": sha1()},
            "projects": {"description": "The app, by its `id`.", "type": "array", "items": {"type": "string"}},
            "version": {"description": "The release.", "type": ["string", "null"]},
        },
        "required": ["checksum", "chunks", "projects"],
    });
    let answer = json_schema!({
        "type": "object",
        "properties": {
            "state": {"type": "string", "enum": ["not_found", "ok", "error"]},
            "missingChunks": names(),
            "detail": {"description": "Why the bundle is refused.", "type": ["string", "null"]},
        },
        "required": ["state", "missingChunks", "detail"],
    });
    Operation::of(&ASSEMBLE_BUNDLE, "assembleBundle", "Stores the source maps of a bundle that sentry-cli has uploaded")
        .about(
            "Maps are found by the debug ids that `sentry-cli sourcemaps inject` writes. They are kept for 90 days after they \
             were uploaded last.",
        )
        .takes([organization()])
        .body(JSON, body)
        .answers(StatusCode::OK, "What became of it.", answer)
        .refuses([StatusCode::PAYLOAD_TOO_LARGE])
}
