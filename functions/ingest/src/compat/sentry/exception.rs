//! Exceptions: what was raised, its stack as frames, and what groups it with others of the same cause.

use tally_core::event::json::Json;

use crate::compat::raised::{Called, grouping, title, without_origin};
use crate::compat::sanitize::distinct;
use crate::compat::sentry::fields::{Fields, text_of};

/// Most exceptions of a chain that are kept.
const MAX_EXCEPTIONS: usize = 20;
/// Most frames of an exception that are kept: half of them from either end, since a recursion repeats in the middle.
const MAX_FRAMES: usize = 100;

/// The exceptions of an event: the one that was raised first, then its causes.
#[derive(Debug, Default)]
pub(super) struct Exceptions(Vec<Exception>);

#[derive(Debug)]
struct Exception {
    kind: Option<String>,
    value: Option<String>,
    /// The other fields.
    rest: Fields,
    /// The innermost call first.
    frames: Vec<Frame>,
    frames_omitted: usize,
}

#[derive(Debug)]
struct Frame {
    call: Called,
    all: Fields,
}

impl Exceptions {
    /// Reads the exceptions of an event or, without any, the stack of its thread: SDKs attach one to a message if they are
    /// asked to.
    pub(super) fn take(event: &mut Fields) -> Self {
        // Sentry lists the cause first and the innermost call last.
        let values = event.values("exception").into_iter().rev();
        let exceptions: Vec<_> = values.filter_map(Fields::of).take(MAX_EXCEPTIONS).map(Exception::read).collect();
        if !exceptions.is_empty() {
            return Self(exceptions);
        }
        let threads: Vec<_> = event.values("threads").into_iter().filter_map(Fields::of).collect();
        let is = |thread: &Fields, flag: &str| thread.0.get(flag) == Some(&Json::Bool(true));
        let chosen = ["crashed", "current"].into_iter().find_map(|flag| threads.iter().position(|t| is(t, flag)));
        let mut thread = threads.into_iter().nth(chosen.unwrap_or(0)).unwrap_or_default();
        let stack = thread.take("stacktrace").or_else(|| event.take("stacktrace"));
        let Some(stack) = stack else { return Self::default() };
        let mut only_stack = Fields::default();
        only_stack.put("stacktrace", Some(stack));
        let exception = Exception::read(only_stack);
        Self(if exception.frames.is_empty() { vec![] } else { vec![exception] })
    }

    /// The type of what was raised.
    pub(super) fn kind(&self) -> Option<&str> {
        self.0.first()?.kind.as_deref()
    }

    /// `Type: value` of what was raised.
    pub(super) fn message(&self) -> Option<String> {
        let raised = self.0.first()?;
        title(raised.kind.as_deref(), raised.value.as_deref())
    }

    /// The type of what was raised and the innermost call that is the application's own, without its line: what Sentry
    /// calls the default grouping, in short.
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
    fn read(mut exception: Fields) -> Self {
        let (kind, value) = (exception.text("type"), exception.text("value"));
        let mut rest = Fields::default();
        for name in ["module", "mechanism", "thread_id"] {
            rest.put(name, exception.take(name));
        }
        let stack = exception.fields("stacktrace").or_else(|| exception.fields("raw_stacktrace"));
        let sent = stack.unwrap_or_default().list("frames");
        let frames_omitted = sent.len().saturating_sub(MAX_FRAMES);
        let newest_first = sent.into_iter().rev().enumerate();
        let kept = newest_first.filter(|(at, _)| *at < MAX_FRAMES / 2 || *at >= MAX_FRAMES / 2 + frames_omitted);
        let frames = kept.filter_map(|(_, frame)| Fields::of(frame)).map(Frame::read).collect();
        Self { kind, value, rest, frames, frames_omitted }
    }

    fn json(self) -> Option<Json> {
        let mut exception = self.rest;
        exception.put_text("type", self.kind);
        exception.put_text("value", self.value);
        if !self.frames.is_empty() {
            let frames = self.frames.into_iter().map(|frame| Json::Object(frame.all.0)).collect();
            exception.put("frames", Some(Json::Array(frames)));
        }
        if self.frames_omitted > 0 {
            exception.put_text("omitted", Some(format!("{} frames in the middle", self.frames_omitted)));
        }
        exception.json()
    }
}

impl Frame {
    fn read(mut frame: Fields) -> Self {
        let in_app = match frame.0.get("in_app") {
            Some(Json::Bool(in_app)) => Some(*in_app),
            _ => None,
        };
        let text = |name: &str| frame.0.get(name).cloned().and_then(text_of);
        let function = text("function");
        let place = text("module").or_else(|| text("filename")).or_else(|| text("abs_path")).map(without_origin);
        frame.0.retain(|_, value| *value != Json::Null);
        Self { call: Called { function, place, in_app }, all: frame }
    }
}

/// What groups an event: the client's own fingerprint, in which `{{ default }}` stands for the default grouping, or the
/// default grouping. What is longer than a field may be is hashed.
pub(super) fn fingerprint(own: Vec<Json>, default: Option<String>) -> Option<String> {
    let parts: Vec<_> = own.into_iter().filter_map(text_of).collect();
    let is_default = |part: &str| {
        part.strip_prefix("{{").and_then(|part| part.strip_suffix("}}")).is_some_and(|name| name.trim() == "default")
    };
    let text = if parts.is_empty() {
        default?
    } else {
        let expanded =
            parts.into_iter().filter_map(|part| if is_default(&part) { default.clone() } else { Some(part) });
        expanded.collect::<Vec<_>>().join(" | ")
    };
    (!text.is_empty()).then(|| distinct(text))
}

#[cfg(test)]
mod tests {
    use tally_core::event::MAX_TEXT;

    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::read(text.as_bytes(), 1_000_000).expect("an object")
    }

    #[test]
    fn the_raised_exception_and_its_innermost_own_call_group() {
        for (event, message, grouping) in [
            (
                r#"{"exception":{"values":[{"type":"OSError","value":"gone"},{"type":"ValueError","value":"bad","stacktrace":
                    {"frames":[{"function":"main","module":"app","in_app":true},{"function":"run","module":"app.jobs","in_app":true},
                    {"function":"loads","module":"json","in_app":false}]}}]}}"#,
                Some("ValueError: bad"),
                Some("ValueError in app.jobs:run"),
            ),
            (
                r#"{"exception":[{"type":"TypeError","stacktrace":{"frames":[{"filename":"https://a.example/js/app.js?v=1"}]}}]}"#,
                Some("TypeError"),
                Some("TypeError in /js/app.js"),
            ),
            (
                r#"{"exception":{"type":"E","value":"v","stacktrace":{"frames":[{"function":"f","in_app":false}]}}}"#,
                Some("E: v"),
                Some("E in f"),
            ),
            (r#"{"exception":{"values":[{"value":"only"}]}}"#, Some("only"), None),
            (r#"{"exception":{"values":[null,3]}}"#, None, None),
            (
                r#"{"threads":{"values":[{"stacktrace":{"frames":[{"function":"a"}]}},{"crashed":true,"stacktrace":{"frames":[{"function":"b"}]}}]}}"#,
                None,
                Some("b"),
            ),
        ] {
            let exceptions = Exceptions::take(&mut fields(event));
            assert_eq!(
                (exceptions.message().as_deref(), exceptions.grouping().as_deref()),
                (message, grouping),
                "{event}"
            );
        }
    }

    #[test]
    fn a_deep_stack_keeps_its_ends() {
        let frames: Vec<_> = (0..1_000).map(|n| format!(r#"{{"function":"f{n}"}}"#)).collect();
        let event = format!(r#"{{"exception":{{"type":"E","stacktrace":{{"frames":[{}]}}}}}}"#, frames.join(","));
        let stack = Exceptions::take(&mut fields(&event)).stack().expect("a stack");
        let text = serde_json::to_value(stack).expect("JSON");
        let frames = text[0]["frames"].as_array().expect("frames");
        assert_eq!(
            (frames.len(), &frames[0]["function"], &frames[99]["function"]),
            (100, &"f999".into(), &"f0".into())
        );
        assert_eq!(text[0]["omitted"], "900 frames in the middle");
    }

    #[test]
    fn a_fingerprint_expands_its_default() {
        let own = |parts: &[&str]| parts.iter().map(|part| Json::String((*part).to_owned())).collect::<Vec<_>>();
        let default = || Some("E in f".to_owned());
        for (parts, expected) in [
            (&[][..], "E in f"),
            (&["{{ default }}"], "E in f"),
            (&["{{default}}", "db"], "E in f | db"),
            (&["a", "b"], "a | b"),
        ] {
            assert_eq!(fingerprint(own(parts), default()).as_deref(), Some(expected), "{parts:?}");
        }
        assert_eq!(fingerprint(own(&["{{ default }}"]), None), None);
        let long = "x".repeat(MAX_TEXT);
        assert_eq!(fingerprint(own(&[&long]), None), Some(long.clone()));
        let hashed = fingerprint(own(&[&long, "y"]), None).expect("a hash");
        assert_eq!(hashed.len(), 64);
        assert_ne!(Some(hashed), fingerprint(own(&[&long, "z"]), None));
    }
}
