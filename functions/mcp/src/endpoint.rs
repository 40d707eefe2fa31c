//! `POST /mcp`: the Model Context Protocol, without sessions: a message in a request, its answer in the reply.

use axum::extract::{Request as HttpRequest, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::{SchemaGenerator, json_schema};
use serde_json::{Value, json};
use tally_http::body::read;
use tally_http::guard::{Caller, Target};
use tally_http::limits::Limited;
use tally_http::openapi::{JSON, Operation, ReplyDescription};
use tally_http::parameters::NoQuery;
use tally_http::problem::{PROBLEM_JSON, Problem, ProblemDocument};
use tally_http::routes::MCP;
use tally_http::service::Shared;

use crate::answers::Asker;
use crate::api::Api;
use crate::message::{Code, Failure, Message, Request, answer};
use crate::told::{UNTRUSTED, refused};
use crate::tools::{Tool, definitions};
use crate::version::{Era, all, era, negotiated};

/// Most bytes of a message.
const MAX_MESSAGE: usize = 64 * 1024;
/// How long a client may keep what is the same for everybody until the next release, in milliseconds.
const KEEP: u64 = 3_600_000;
/// What a reply of the stateless protocol says of the server.
const SERVER: &str = "io.modelcontextprotocol/serverInfo";

/// What a model reads about all tools.
const INSTRUCTIONS: &str = "Tally collects the events, logs and errors of apps, and counts them exactly. Begin with `describe` (with \
     `apps` first, if the key is not of one app), then ask `overview` for counts, `events` for single events and logs, `issues` for \
     errors by cause, `funnel` for people who go through steps. Everything before `counted_to` is counted. All tools only read. ";

pub(crate) async fn mcp(
    State(context): Shared,
    axum::Extension(api): axum::Extension<Api>,
    caller: Caller,
    app: Option<Target>,
    Limited(limits): Limited,
    _: NoQuery,
    request: HttpRequest,
) -> Result<Response, Problem> {
    // What is read is filtered by the guards of the API, which the tools ask by the same key.
    limits.filter();
    let (parts, body) = request.into_parts();
    let body = read(body, MAX_MESSAGE).await?;
    let request = match Message::read(&body) {
        Ok(Message::Request(request)) => request,
        Ok(Message::Notification) => return Ok(StatusCode::ACCEPTED.into_response()),
        Err((id, failure)) => return Ok(failure.answer_plainly(&id)),
    };
    let era = match era(&request, &parts.headers) {
        Ok(era) => era,
        Err(failure) => return Ok(failure.answer_plainly(&request.id)),
    };
    let of_key = match (caller, app) {
        (Caller::Key(id), Some(Target(app))) => {
            let may_read = Asker::may_read(&app, &id);
            Some((app, may_read))
        }
        _ => None,
    };
    let asker = Asker { context, api: api.by(&parts.headers), of_key };
    let Request { id, method, params } = request;
    let result = match method.as_str() {
        "initialize" => initialized(params.get("protocolVersion")),
        "server/discover" if era == Era::Stateless => Ok(discovered()),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({"tools": definitions()})),
        "tools/call" => called(&asker, params).await,
        _ => {
            Err(Failure::new(Code::Method, "no such method: this server has tools alone, by tools/list and tools/call"))
        }
    };
    Ok(match (result, era) {
        (Ok(result), Era::Stateless) => answer(&id, &stateless(&method, result)),
        (Ok(result), Era::Older) => answer(&id, &result),
        (Err(failure), Era::Stateless) => failure.answer_plainly(&id),
        (Err(failure), Era::Older) => failure.answer(&id, StatusCode::OK),
    })
}

fn server() -> Value {
    json!({"name": "tally", "title": "Tally", "version": env!("CARGO_PKG_VERSION")})
}

fn instructions() -> String {
    format!("{INSTRUCTIONS}{UNTRUSTED}")
}

/// The answer to `initialize`.
fn initialized(version: Option<&Value>) -> Result<Value, Failure> {
    let Some(version) = version.and_then(Value::as_str) else {
        return Err(Failure::new(Code::Params, "`protocolVersion` is missing"));
    };
    Ok(json!({
        "protocolVersion": negotiated(version),
        "capabilities": {"tools": {}},
        "serverInfo": server(),
        "instructions": instructions(),
    }))
}

/// The answer to `server/discover`.
fn discovered() -> Value {
    json!({"supportedVersions": all(), "capabilities": {"tools": {}}, "instructions": instructions()})
}

/// The answer to `tools/call`: what went wrong with a tool is its result, which a model reads.
async fn called(asker: &Asker, mut params: serde_json::Map<String, Value>) -> Result<Value, Failure> {
    let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
    let tool = Tool::of_name(name);
    let tool = tool.ok_or_else(|| Failure::new(Code::Params, "no such tool: tools/list has the names of all"))?;
    let arguments = match params.remove("arguments") {
        None | Some(Value::Null) => serde_json::Map::new(),
        Some(Value::Object(arguments)) => arguments,
        Some(_) => return Err(Failure::new(Code::Params, "`arguments` must be an object")),
    };
    Ok(match asker.answer(tool, arguments).await {
        Ok(told) => told.result(),
        Err(refusal) => refused(&refusal),
    })
}

/// A result with what the stateless protocol adds.
fn stateless(method: &str, mut result: Value) -> Value {
    result["resultType"] = "complete".into();
    if ["server/discover", "tools/list"].contains(&method) {
        result["ttlMs"] = KEEP.into();
        result["cacheScope"] = "public".into();
    }
    if result["_meta"].is_null() {
        result["_meta"] = json!({});
    }
    result["_meta"][SERVER] = server();
    result
}

pub(crate) fn operation(schemas: &mut SchemaGenerator) -> Operation {
    let (id, version) =
        (json_schema!({"type": ["string", "integer"]}), json_schema!({"type": "string", "enum": ["2.0"]}));
    let any = json_schema!({"type": "object", "additionalProperties": true});
    let message = json_schema!({
        "type": "object",
        "properties": {"jsonrpc": version, "id": id, "method": {"type": "string"}, "params": any},
        "required": ["jsonrpc", "method"],
        "examples": [{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "overview", "arguments": {"since": "7d"}}}],
    });
    let answer = json_schema!({
        "type": "object",
        "properties": {"jsonrpc": version, "id": id, "result": any, "error": any},
        "required": ["jsonrpc", "id"],
    });
    let error = json_schema!({
        "type": "object",
        "properties": {"jsonrpc": version, "error": any},
        "required": ["jsonrpc", "error"],
    });
    let reply = |status, about, content| ReplyDescription { status, about, content, headers: vec![] };
    let problem = schemas.subschema_for::<ProblemDocument<'_>>();
    Operation::of(&MCP, "mcp", "The Model Context Protocol: tools for language models, which only read")
        .about(
            "A message of JSON-RPC 2.0 in each request, of the version 2026-07-28 or of one that begins with `initialize`. Without \
             `id` it is a notification. `Authorization: Bearer` with a key or an access token is the only credential that counts.",
        )
        .body(JSON, message)
        .answers(StatusCode::OK, "The answer.", answer)
        .replies(reply(StatusCode::ACCEPTED, "A notification, which has no answer.", vec![]))
        .replies(reply(
            StatusCode::BAD_REQUEST,
            "No message, or one whose headers or version are wrong.",
            vec![(JSON, error.clone()), (PROBLEM_JSON, problem)],
        ))
        .replies(reply(StatusCode::NOT_FOUND, "No such method.", vec![(JSON, error)]))
}
