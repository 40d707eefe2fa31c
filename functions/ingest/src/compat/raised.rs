//! What was raised: exceptions with their frames, their title, and what groups them with others of the same cause.

use std::collections::BTreeMap;

use tally_core::event::json::Json;

/// Most exceptions of a chain that are kept.
pub(super) const MAX_EXCEPTIONS: usize = 20;
/// Most frames of an exception that are kept: half of them from either end, since a recursion repeats in the middle.
const MAX_FRAMES: usize = 100;

/// The exceptions of an event: the one that was raised first, then its causes.
#[derive(Debug, Default)]
pub(super) struct Exceptions(pub(super) Vec<Exception>);

/// One of them.
#[derive(Debug)]
pub(super) struct Exception {
    kind: Option<String>,
    value: Option<String>,
    /// The innermost call first.
    frames: Vec<Frame>,
    /// The other fields.
    rest: BTreeMap<String, Json>,
}

/// A call of its stack, and all fields of it.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) call: Called,
    pub(super) all: BTreeMap<String, Json>,
}

impl Exceptions {
    /// The type of what was raised.
    pub(super) fn kind(&self) -> Option<&str> {
        self.0.first()?.kind.as_deref()
    }

    /// `Type: value` of what was raised.
    pub(super) fn message(&self) -> Option<String> {
        let raised = self.0.first()?;
        title(raised.kind.as_deref(), raised.value.as_deref())
    }

    /// The type of what was raised and the innermost call that is the application's own, without its line: what the
    /// vendors call the default grouping, in short.
    pub(super) fn grouping(&self) -> Option<String> {
        let raised = self.0.first()?;
        grouping(raised.kind.as_deref(), raised.frames.iter().map(|frame| &frame.call))
    }

    /// The stack of an event: a list of exceptions, each with its frames.
    pub(super) fn stack(self) -> Option<Json> {
        let stack: Vec<_> = self.0.into_iter().filter_map(Exception::json).collect();
        (!stack.is_empty()).then_some(Json::Array(stack))
    }
}

impl Exception {
    /// An exception whose frames are sent with the innermost call last; `read` reads one that is kept.
    pub(super) fn new<T>(
        kind: Option<String>,
        value: Option<String>,
        mut rest: BTreeMap<String, Json>,
        sent: Vec<T>,
        read: impl Fn(T) -> Option<Frame>,
    ) -> Self {
        let omitted = sent.len().saturating_sub(MAX_FRAMES);
        if omitted > 0 {
            rest.insert("omitted".to_owned(), Json::String(format!("{omitted} frames in the middle")));
        }
        let innermost_first = sent.into_iter().rev().enumerate();
        let kept = innermost_first.filter(|(at, _)| *at < MAX_FRAMES / 2 || *at >= MAX_FRAMES / 2 + omitted);
        Self { kind, value, frames: kept.filter_map(|(_, frame)| read(frame)).collect(), rest }
    }

    /// Whether it has frames.
    pub(super) fn has_frames(&self) -> bool {
        !self.frames.is_empty()
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.kind.is_none() && self.value.is_none() && self.frames.is_empty()
    }

    fn json(self) -> Option<Json> {
        let mut exception = self.rest;
        for (name, text) in [("type", self.kind), ("value", self.value)] {
            exception.extend(text.map(|text| (name.to_owned(), Json::String(text))));
        }
        let frames: Vec<_> = self.frames.into_iter().filter(|frame| !frame.all.is_empty()).collect();
        if !frames.is_empty() {
            let frames = frames.into_iter().map(|frame| Json::Object(frame.all)).collect();
            exception.insert("frames".to_owned(), Json::Array(frames));
        }
        (!exception.is_empty()).then_some(Json::Object(exception))
    }
}

/// A call of a stack.
#[derive(Debug)]
pub(super) struct Called {
    /// The function.
    pub function: Option<String>,
    /// The module, or the file without one.
    pub place: Option<String>,
    /// Whether it is the application's own, if the library says so.
    pub in_app: Option<bool>,
}

/// `Type: value`, or the one of them that there is.
pub(super) fn title(kind: Option<&str>, value: Option<&str>) -> Option<String> {
    match (kind, value) {
        (Some(kind), Some(value)) => Some(format!("{kind}: {value}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

/// The type of what was raised and the innermost call that is the application's own, without its line. The innermost call
/// comes first.
fn grouping<'a>(kind: Option<&str>, calls: impl Iterator<Item = &'a Called>) -> Option<String> {
    // The first of the best.
    let call = calls.min_by_key(|call| match call.in_app {
        Some(true) => 0,
        None => 1,
        Some(false) => 2,
    });
    let call = call.and_then(|call| match (&call.place, &call.function) {
        (Some(place), Some(function)) => Some(format!("{place}:{function}")),
        (one, other) => one.clone().or_else(|| other.clone()),
    });
    match (kind, call) {
        (Some(kind), Some(call)) => Some(format!("{kind} in {call}")),
        (kind, call) => kind.map(str::to_owned).or(call),
    }
}

/// The path of a script's URL: the same script is served from many hosts, and its query often names a build.
pub(super) fn without_origin(place: String) -> String {
    let Some((_, rest)) = place.split_once("://") else { return place };
    let path = rest.find('/').map_or(rest, |start| &rest[start..]);
    path.split(['?', '#']).next().unwrap_or(path).to_owned()
}
