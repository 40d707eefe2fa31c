//! Messages of JSON-RPC 2.0, one for each request of HTTP, and what is answered.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

/// A message of a client that can be answered, or needs no answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    /// It is to be answered.
    Request(Request),
    /// It has no id, so nothing is answered.
    Notification,
}

/// A request of a client.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    /// A text or a whole number; the answer has the same.
    pub(crate) id: Value,
    pub(crate) method: String,
    pub(crate) params: Map<String, Value>,
}

impl Request {
    /// A field of `_meta`, which has what the protocol says of a request.
    pub(crate) fn meta(&self, name: &str) -> Option<&Value> {
        self.params.get("_meta")?.get(name)
    }
}

/// What went wrong, as a number of JSON-RPC or of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The body is no JSON.
    Parse,
    /// It is JSON, but no message.
    Request,
    /// No such method.
    Method,
    /// The parameters of a method.
    Params,
    /// The fields that each request has in `_meta`.
    Meta,
    /// A header says something else than the body.
    Headers,
    /// A version of the protocol that is not spoken here.
    Version,
}

impl Code {
    const fn number(self) -> i32 {
        match self {
            Self::Parse => -32700,
            Self::Request => -32600,
            Self::Method => -32601,
            Self::Params | Self::Meta => -32602,
            Self::Headers => -32020,
            Self::Version => -32022,
        }
    }

    /// Its status in the stateless protocol. The older one knows 200 alone for what is a message.
    const fn status(self) -> StatusCode {
        match self {
            Self::Parse | Self::Request | Self::Meta | Self::Headers | Self::Version => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::NOT_FOUND,
            Self::Params => StatusCode::OK,
        }
    }
}

/// An error of the protocol, not of a tool.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Failure {
    pub(crate) code: Code,
    detail: String,
    data: Option<Value>,
}

impl Failure {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), data: None }
    }

    pub(crate) fn with(self, data: Value) -> Self {
        Self { data: Some(data), ..self }
    }

    /// The answer to a request with this id, `null` where that is not known.
    pub(crate) fn answer(&self, id: &Value, status: StatusCode) -> Response {
        let mut error = json!({"code": self.code.number(), "message": self.detail});
        if let Some(data) = &self.data {
            error["data"] = data.clone();
        }
        reply(status, &json!({"jsonrpc": "2.0", "id": id, "error": error}))
    }

    /// The answer in the stateless protocol, and to what is no message.
    pub(crate) fn answer_plainly(&self, id: &Value) -> Response {
        self.answer(id, self.code.status())
    }
}

/// The answer with a result.
pub(crate) fn answer(id: &Value, result: &Value) -> Response {
    reply(StatusCode::OK, &json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

fn reply(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

impl Message {
    /// Reads a body.
    ///
    /// # Errors
    /// With the id of the message as far as it is known.
    pub(crate) fn read(body: &[u8]) -> Result<Self, (Value, Failure)> {
        let json = serde_json::from_slice(body);
        let json = json.map_err(|e| (Value::Null, Failure::new(Code::Parse, format!("the body is no JSON: {e}"))))?;
        let wrong = |id: &Value, detail: &str| (id.clone(), Failure::new(Code::Request, detail));
        let mut fields = match json {
            Value::Object(fields) => fields,
            Value::Array(_) => return Err(wrong(&Value::Null, "batches are not taken: send one message in a request")),
            _ => return Err(wrong(&Value::Null, "send a message of JSON-RPC 2.0: an object")),
        };
        let id = fields.remove("id");
        let is_id = |id: &Value| id.is_string() || id.is_i64() || id.is_u64();
        let known = id.as_ref().filter(|id| is_id(id)).cloned().unwrap_or_default();
        if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(wrong(&known, "`jsonrpc` must be \"2.0\""));
        }
        let Some(Value::String(method)) = fields.remove("method") else {
            return Err(wrong(&known, "`method` must be a text: nothing was asked here that a response could answer"));
        };
        let params = match fields.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Err(wrong(&known, "`params` must be an object")),
        };
        match id {
            None => Ok(Self::Notification),
            Some(id) if is_id(&id) => Ok(Self::Request(Request { id, method, params })),
            Some(_) => Err(wrong(&known, "`id` must be a text or a whole number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_a_request_a_notification_or_an_error() {
        let read = |text: &str| match Message::read(text.as_bytes()) {
            Ok(Message::Request(request)) => format!("{} {}", request.id, request.method),
            Ok(Message::Notification) => "nothing".to_owned(),
            Err((id, failure)) => format!("{id} {:?}", failure.code),
        };
        for (body, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "1 ping"),
            (r#"{"jsonrpc":"2.0","id":"a","method":"ping","params":{}}"#, "\"a\" ping"),
            (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, "nothing"),
            ("", "null Parse"),
            ("{", "null Parse"),
            ("[]", "null Request"),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "null Request"),
            ("1", "null Request"),
            (r#"{"id":1,"method":"ping"}"#, "1 Request"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "null Request"),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, "null Request"),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "1 Request"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, "1 Request"),
        ] {
            assert_eq!(read(body), expected, "{body}");
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(read(&deep), "null Parse");
    }
}
