//! The versions of the protocol that are spoken, and which of the two kinds a request is of.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::message::{Code, Failure, Request};

/// The version without sessions: each request says its version itself.
const STATELESS: &str = "2026-07-28";
/// The versions that begin with `initialize`, the newest first. They differ in nothing that is said here.
const OLDER: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// What each request of the stateless version says in `_meta`.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

const VERSION_HEADER: &str = "mcp-protocol-version";
const METHOD_HEADER: &str = "mcp-method";
const NAME_HEADER: &str = "mcp-name";

/// The kind of protocol that a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// From 2026-07-28 on.
    Stateless,
    /// Before. No session is kept: what a server says in `initialize` is the same for everybody.
    Older,
}

/// All versions that are spoken, the newest first.
pub(crate) fn all() -> Vec<&'static str> {
    std::iter::once(STATELESS).chain(OLDER).collect()
}

/// The version that answers `initialize`: the one that was asked for, if it begins so, else the newest of these.
pub(crate) fn negotiated(asked: &str) -> &'static str {
    OLDER.into_iter().find(|version| *version == asked).unwrap_or(OLDER[0])
}

/// The kind of protocol of a request.
///
/// # Errors
/// Where headers and body disagree, where what a request must say is missing, or of a version that is not spoken.
pub(crate) fn era(request: &Request, headers: &HeaderMap) -> Result<Era, Failure> {
    let version = header(headers, VERSION_HEADER)?;
    let method = header(headers, METHOD_HEADER)?;
    if let Some(method) = &method
        && *method != request.method
    {
        return Err(Failure::new(
            Code::Headers,
            "the header `Mcp-Method` differs from `method`: send the same in both",
        ));
    }
    if request.method == "initialize" {
        return Ok(Era::Older);
    }
    let said = request.meta(VERSION);
    match (version.as_deref(), said) {
        (None, None) if request.method != "server/discover" => Ok(Era::Older),
        (Some(version), None) if OLDER.contains(&version) && request.method != "server/discover" => Ok(Era::Older),
        (Some(version), None) if !all().contains(&version) => Err(unknown(version)),
        (_, None) => Err(Failure::new(Code::Meta, format!("`_meta` lacks `{VERSION}` and `{CAPABILITIES}`"))),
        (version, Some(said)) => {
            let Some(said) = said.as_str() else {
                return Err(Failure::new(Code::Meta, format!("`_meta` has no text at `{VERSION}`")));
            };
            if version != Some(said) {
                let detail = format!("the header `MCP-Protocol-Version` must say the same as `_meta`: {said}");
                return Err(Failure::new(Code::Headers, detail));
            }
            if said != STATELESS {
                return Err(unknown(said));
            }
            if !request.meta(CAPABILITIES).is_some_and(Value::is_object) {
                return Err(Failure::new(Code::Meta, format!("`_meta` has no object at `{CAPABILITIES}`")));
            }
            if method.is_none() {
                return Err(Failure::new(Code::Headers, "the header `Mcp-Method` is missing: send `method` in it"));
            }
            let name = request.params.get("name").and_then(Value::as_str);
            if request.method == "tools/call" && header(headers, NAME_HEADER)?.as_deref() != name {
                return Err(Failure::new(Code::Headers, "the header `Mcp-Name` must say the same as `params.name`"));
            }
            Ok(Era::Stateless)
        }
    }
}

fn unknown(version: &str) -> Failure {
    Failure::new(Code::Version, "this version of the protocol is not spoken here")
        .with(json!({"requested": version, "supported": all()}))
}

/// The text of a header, which may be in base64 as `=?base64?…?=`.
fn header(headers: &HeaderMap, name: &str) -> Result<Option<String>, Failure> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let wrong = |what: &str| Failure::new(Code::Headers, format!("the header `{name}` {what}"));
    if values.next().is_some() {
        return Err(wrong("was sent twice: send it once"));
    }
    let text = value.to_str().map_err(|_| wrong("is no text of ASCII"))?.trim();
    let Some(encoded) = text.strip_prefix("=?base64?").and_then(|text| text.strip_suffix("?=")) else {
        return Ok(Some(text.to_owned()));
    };
    let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.map(Some).ok_or_else(|| wrong("has no text in base64"))
}
