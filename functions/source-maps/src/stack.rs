//! `GET /apps/{app}/events/{id}/stack`: the stack of an event, with the original place of each frame whose source map is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value};
use tally_core::app::App;
use tally_core::source_map::{DebugId, MAX_MAP};
use tally_http::event::{EventBody, read_event};
use tally_http::guard::Target;
use tally_http::limits::Limited;
use tally_http::openapi::{Operation, Parameter, text};
use tally_http::parameters::NoQuery;
use tally_http::problem::{Problem, json};
use tally_http::routes::READ_STACK;
use tally_http::service::Shared;
use tally_service::context::Context;
use tally_store::{MapFile, StoreError};

use crate::bundle::read_stored;
use crate::cache::{Cache, MapKey};
use crate::original::{Original, Parsed};

/// Most source maps that one stack is shown with.
const MAX_MAPS: usize = 20;
/// Most bytes of them in memory, of those that are read for it.
const MAX_BYTES: u64 = 256 << 20;
/// Most frames whose original place is looked up.
const MAX_FRAMES: usize = 500;
/// Most bytes of what is added to a stack: a reply of a function has at most 6 MB.
const MAX_ADDED: usize = 3 << 20;

/// The source maps of a stack.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "StackMaps")]
struct UsedMaps {
    /// The debug ids whose source maps are there.
    used: Vec<String>,
    /// The debug ids without one: upload it with sentry-cli.
    missing: Vec<String>,
}

/// A frame's source map.
enum Found {
    Map(Arc<Parsed>),
    Missing,
    /// It is there, but is not used; why.
    Unusable(&'static str),
}

/// The handler.
pub(crate) async fn read(
    State(context): Shared,
    Target(app): Target,
    Extension(cache): Extension<Arc<Cache>>,
    Path((_, id)): Path<(String, String)>,
    Limited(limits): Limited,
    _: NoQuery,
) -> Result<Response, Problem> {
    let event = read_event(&context, &app, &limits, &id).await?;
    let stack = EventBody::within(&limits, &app.slug, &event).stack;
    let stack =
        stack.ok_or_else(|| Problem::NotFound("the event has no stack: GET the event for its data".to_owned()))?;
    let mut stack = serde_json::to_value(stack).map_err(|error| Problem::Internal(error.to_string()))?;
    let mut ids = Vec::new();
    each_frame(&mut stack, &mut |frame| ids.extend(debug_id(frame)));
    let found = find(&context, &app, &cache, ids).await?;
    let mut maps = UsedMaps::default();
    for (id, found) in &found {
        let list = if matches!(found, Found::Missing) { &mut maps.missing } else { &mut maps.used };
        list.push(id.to_string());
    }
    // Other requests of a laptop go on meanwhile.
    let resolved = tokio::task::spawn_blocking(move || {
        let mut resolver =
            Resolver { found: &found, known: HashMap::new(), frames: MAX_FRAMES, bytes: Some(MAX_ADDED) };
        each_frame(&mut stack, &mut |frame| resolver.resolve(frame));
        stack
    });
    let stack = resolved.await.map_err(|error| Problem::Internal(error.to_string()))?;
    json(StatusCode::OK, &serde_json::json!({"stack": stack, "maps": maps}))
}

/// Calls something for each frame: those of exceptions, or of a list without exceptions.
fn each_frame(stack: &mut Value, act: &mut impl FnMut(&mut Map<String, Value>)) {
    match stack {
        Value::Array(items) => items.iter_mut().for_each(|item| each_in(item, act)),
        one => each_in(one, act),
    }
}

fn each_in(item: &mut Value, act: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(fields) = item else { return };
    match fields.get_mut("frames") {
        Some(Value::Array(frames)) => frames.iter_mut().filter_map(Value::as_object_mut).for_each(act),
        _ => act(fields),
    }
}

fn debug_id(frame: &Map<String, Value>) -> Option<DebugId> {
    DebugId::parse(frame.get("debug_id")?.as_str()?)
}

/// The source maps of debug ids.
async fn find(
    context: &Context,
    app: &App,
    cache: &Cache,
    ids: Vec<DebugId>,
) -> Result<BTreeMap<DebugId, Found>, StoreError> {
    // In the order of the frames: those of the innermost calls count most.
    let (mut found, mut seen, mut left) = (BTreeMap::new(), BTreeSet::new(), MAX_BYTES);
    for id in ids {
        if !seen.insert(id) {
            continue;
        }
        let map = if seen.len() > MAX_MAPS {
            Found::Unusable("the stack has more files than are looked up at once")
        } else {
            load(context, app, cache, id, &mut left).await?
        };
        found.insert(id, map);
    }
    Ok(found)
}

async fn load(context: &Context, app: &App, cache: &Cache, id: DebugId, left: &mut u64) -> Result<Found, StoreError> {
    let Some(item) = context.store.source_map(&app.id, id, context.clock.now()).await? else {
        return Ok(Found::Missing);
    };
    let key = MapKey { app: app.id.clone(), debug_id: id, uploaded_at: item.uploaded_at };
    if let Some(map) = cache.get(&key) {
        return Ok(Found::Map(map));
    }
    let Some(rest) = left.checked_sub(item.unpacked) else {
        return Ok(Found::Unusable("the source maps of the stack are too large together"));
    };
    *left = rest;
    let file = MapFile::Map(app.id.clone(), id);
    let Some(stored) = context.config.map_files.get(&file, 2 * MAX_MAP).await? else {
        return Ok(Found::Missing);
    };
    // Other requests of a laptop go on meanwhile.
    let parsed = tokio::task::spawn_blocking(move || {
        let (map, code) = read_stored(&stored).map_err(|error| error.to_string())?;
        match Parsed::read(&map, code) {
            Ok(map) => Ok(Some(map)),
            Err(error) if error.is_too_much() => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    });
    Ok(match parsed.await.map_err(|error| error.to_string()).flatten() {
        Ok(Some(map)) => {
            let map = Arc::new(map);
            cache.put(key, map.bytes(), Arc::clone(&map));
            // What it takes beside its texts. It is in memory now, so it is used.
            *left = left.saturating_sub(map.bytes().saturating_sub(item.unpacked));
            Found::Map(map)
        }
        Ok(None) => Found::Unusable("its source map is too large to be shown: split the bundle in your build"),
        Err(error) => {
            tracing::warn!(error, debug_id = %id, "a source map cannot be read");
            Found::Unusable("its source map cannot be read: upload it again")
        }
    })
}

/// What is looked up in a source map: its id, a line, a column, and the name of a function.
type Place = (DebugId, u32, u32, Option<String>);

/// Looks up where frames come from, within bounds.
struct Resolver<'a> {
    found: &'a BTreeMap<DebugId, Found>,
    /// What was looked up: a recursion has the same frame many times.
    known: HashMap<Place, Result<Value, &'static str>>,
    /// The frames that may still be looked up.
    frames: usize,
    /// The bytes that may still be added; none once something had no room.
    bytes: Option<usize>,
}

impl Resolver<'_> {
    /// Adds to a frame where it comes from, or a note why that is not known.
    fn resolve(&mut self, frame: &mut Map<String, Value>) {
        let Some(id) = debug_id(frame) else { return };
        let added = match self.found.get(&id) {
            None | Some(Found::Missing) => return,
            Some(Found::Unusable(why)) => Err(*why),
            Some(Found::Map(map)) => self.original(frame, id, map),
        };
        match added {
            Ok(original) => frame.insert("original".to_owned(), original),
            Err(note) => frame.insert("note".to_owned(), note.into()),
        };
    }

    fn original(&mut self, frame: &Map<String, Value>, id: DebugId, map: &Parsed) -> Result<Value, &'static str> {
        const FULL: &str = "the stack is too long to show all of its source";
        let bytes = self.bytes.ok_or(FULL)?;
        self.frames = self.frames.checked_sub(1).ok_or("the stack has more frames than are looked up")?;
        let place = place(frame, id).ok_or("the frame has no line and column")?;
        let original = self.known.entry(place).or_insert_with_key(|(_, line, column, function)| {
            let original = map.original(*line, *column, function.as_deref());
            let original = original.ok_or("the source map has nothing at this place")?;
            serde_json::to_value(original).map_err(|_| "its original place cannot be shown")
        });
        let original = original.as_ref().map_err(|note| *note)?;
        self.bytes = bytes.checked_sub(original.to_string().len());
        if self.bytes.is_some() { Ok(original.clone()) } else { Err(FULL) }
    }
}

/// The place that a frame names. Client libraries have names of their own for the same.
fn place(frame: &Map<String, Value>, id: DebugId) -> Option<Place> {
    let number = |names: [&str; 3]| {
        let value = names.into_iter().find_map(|name| frame.get(name))?;
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        u32::try_from(number).ok()
    };
    let function = ["function", "method", "func", "name"].into_iter().find_map(|name| frame.get(name)?.as_str());
    let (line, column) = (number(["lineno", "line", "line_number"])?, number(["colno", "column", "col"])?);
    Some((id, line, column, function.map(str::to_owned)))
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    let maps = schemas.subschema_for::<UsedMaps>();
    let original = schemas.subschema_for::<Original>();
    let frame = json_schema!({"properties": {"original": original, "note": {"type": "string"}}});
    let answer = json_schema!({
        "type": "object",
        "properties": {
            "stack": {"description": "The stack of the event. A frame that has a `debug_id` gets `original` where its source map \
                tells the place, or a `note` why it does not.", "items": {"properties": {"frames": {"items": frame}}}},
            "maps": maps,
        },
        "required": ["stack", "maps"],
    });
    Operation::of(&READ_STACK, "readStack", "Reads the stack of an event with the original source")
        .about("By the source maps that sentry-cli uploads. A key that hides data may not.")
        .takes([Parameter::path("id", "The event, by the `id` that Tally gave.", text())])
        .answers(StatusCode::OK, "The stack.", answer)
}
