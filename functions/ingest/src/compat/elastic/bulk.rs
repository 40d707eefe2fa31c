//! The body of `_bulk`: lines of actions, each followed by its document, and the reply to each.

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tally_core::event::json::{self, Kind};
use tally_core::rejected::{Reason, Refusal};
use tally_http::problem::Problem;
use tally_http::reply::shortened;

use crate::compat::fields::scalar;
use crate::compat::sanitize::pick;

/// The maximum number of actions in a request, whose reply has a line for each.
pub(super) const MAX_ITEMS: usize = 20_000;
/// The largest reply that repeats the names and ids of its items, in bytes. A function can return some 6 MB, with each quote
/// counted twice, and the JSON of a reply takes far more memory than its text.
const MAX_REPLY: usize = 1024 * 1024;
/// Bytes of a reply for the reasons of all items that are refused, which share them.
const REASONS: usize = 1024 * 1024;

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Index,
    Create,
    Update,
    Delete,
}

impl Action {
    const ALL: [Self; 4] = [Self::Index, Self::Create, Self::Update, Self::Delete];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// One action.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub action: Action,
    pub index: Option<String>,
    pub id: Option<String>,
    /// Its document, or why it cannot be stored.
    pub document: Result<&'a RawValue, Refusal>,
    /// The line of the document, or else of the action.
    pub line: &'a str,
}

/// Reads a body.
///
/// # Errors
/// Where a line that must be an action is none: nobody could tell what the lines after it are.
pub(super) fn read<'a>(text: &'a str, index: Option<&str>) -> Result<Vec<Item<'a>>, Problem> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut items = Vec::new();
    while let Some(line) = lines.next() {
        if items.len() == MAX_ITEMS {
            return Err(Problem::TooLarge(format!("more than {MAX_ITEMS} actions: send smaller batches")));
        }
        let number = items.len() + 1;
        let malformed = || {
            let detail =
                format!("Malformed action/metadata line of action {number}: send index or create, and a document");
            Problem::field("", detail)
        };
        let sent = json::document(line.as_bytes()).map_err(|_| malformed())?;
        let named = pick(sent, Action::ALL.map(Action::as_str));
        let found = Action::ALL.into_iter().zip(named).find_map(|(action, meta)| Some((action, meta?)));
        let (action, meta) = found.ok_or_else(malformed)?;
        let [own_index, id] = pick(meta, ["_index", "_id"]);
        let (document, line) = if action == Action::Delete {
            (Err(not_offered("events are not deleted by `_bulk`")), line)
        } else {
            let line = lines.next().ok_or_else(|| {
                Problem::field("", format!("the document of action {number} is missing: the body is cut off"))
            })?;
            (document(action, line), line)
        };
        items.push(Item {
            action,
            index: own_index.and_then(scalar).or_else(|| index.map(str::to_owned)),
            id: id.and_then(scalar).filter(|id| !id.is_empty()),
            document,
            line,
        });
    }
    Ok(items)
}

fn not_offered(detail: &str) -> Refusal {
    Refusal::new(Reason::NotOffered, detail)
}

fn document(action: Action, line: &str) -> Result<&RawValue, Refusal> {
    if action == Action::Update {
        return Err(not_offered("an event cannot be changed: send index or create"));
    }
    let sent = json::document(line.as_bytes()).map_err(|error| Refusal::new(Reason::Unreadable, error.to_string()))?;
    if json::kind(sent) != Kind::Object {
        return Err(Refusal::new(Reason::Unreadable, "a document must be an object"));
    }
    Ok(sent)
}

/// What became of an item.
pub(super) enum Outcome {
    /// It is stored, under this id.
    Stored(String),
    /// It is bad for good.
    Refused(Refusal),
    /// The same may be sent again.
    Failed,
}

/// What is said of a stored document.
pub(super) fn created(index: &str, id: &str) -> Value {
    json!({
        "_index": index, "_id": id, "_version": 1, "result": "created",
        "_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": 0, "_primary_term": 1,
    })
}

/// The reply to a body. It is brief where the client asks for parts of it, or where it would be very large.
pub(super) fn reply(items: &[Item<'_>], outcomes: Vec<Outcome>, is_brief: bool) -> Value {
    let named: usize = items.iter().map(|item| 200 + text_len(item.index.as_ref()) + text_len(item.id.as_ref())).sum();
    let is_brief = is_brief || named > MAX_REPLY;
    let share = (REASONS / items.len().max(1)).clamp(40, 500);
    let mut errors = false;
    let replies: Vec<Value> = items
        .iter()
        .zip(outcomes)
        .map(|(item, outcome)| {
            let index = item.index.as_deref().unwrap_or_default();
            let mut said = match &outcome {
                _ if is_brief => json!({}),
                Outcome::Stored(id) => created(index, id),
                _ => json!({"_index": index, "_id": item.id}),
            };
            let status = match outcome {
                Outcome::Stored(_) => 201,
                Outcome::Refused(_) if item.action == Action::Delete => {
                    said["result"] = "not_found".into();
                    404
                }
                Outcome::Refused(refusal) => {
                    errors = true;
                    said["error"] = error("mapper_parsing_exception", &shortened(refusal.detail, share));
                    400
                }
                // Not 503: clients repeat the items of this status, and of no other.
                Outcome::Failed => {
                    errors = true;
                    said["error"] = error("es_rejected_execution_exception", "could not be stored: send it again");
                    429
                }
            };
            said["status"] = status.into();
            json!({item.action.as_str(): said})
        })
        .collect();
    json!({"took": 1, "errors": errors, "items": replies})
}

fn error(kind: &str, reason: &str) -> Value {
    json!({"type": kind, "reason": reason})
}

fn text_len(text: Option<&String>) -> usize {
    text.map_or(0, String::len)
}
