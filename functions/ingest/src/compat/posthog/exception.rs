//! The exceptions of an event: what was raised, its frames, and what groups it with others of the same cause.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tally_core::event::MAX_DEPTH;
use tally_core::event::json::{self, Kind};

use crate::compat::fields::{Fields, scalar};
use crate::compat::raised::{Called, Exception, Exceptions, Frame, MAX_EXCEPTIONS, without_origin};
use crate::compat::sanitize;

/// The levels of a stack around a field of an exception: the list of exceptions, and the exception.
const ABOVE_FIELD: usize = 2;
/// The levels around a field of a frame: also the list of frames, and the frame.
const ABOVE_FRAME_FIELD: usize = 4;

/// Reads `$exception_list`. What is no exception is passed over.
pub(super) fn read(list: &RawValue) -> Exceptions {
    let (sent, _) = json::array_of_at_most(list, MAX_EXCEPTIONS).unwrap_or_default();
    Exceptions(sent.into_iter().map(exception).filter(|exception| !exception.is_empty()).collect())
}

fn exception(raw: &RawValue) -> Exception {
    let mut fields = Fields::of(raw);
    let (kind, value) = (fields.take_text("type"), fields.take_text("value"));
    let mut rest = BTreeMap::new();
    for name in ["mechanism", "module", "thread_id"] {
        if let Some(raw) = fields.take(name) {
            rest.insert(name.to_owned(), sanitize::within(raw, MAX_DEPTH - ABOVE_FIELD));
        }
    }
    let stack = fields.take_object("stacktrace");
    let sent = stack.and_then(|stack| stack.get("frames").and_then(|raw| json::array(raw).ok())).unwrap_or_default();
    Exception::new(kind, value, rest, sent, |raw| Some(frame(raw)))
}

fn frame(raw: &RawValue) -> Frame {
    let fields = Fields::of(raw);
    let text = |name: &str| fields.get(name).and_then(scalar).filter(|text| !text.is_empty());
    let function = text("function");
    let place = text("module").or_else(|| text("filename")).or_else(|| text("abs_path")).map(without_origin);
    let in_app = text("in_app").and_then(|text| text.parse().ok());
    let all = sanitize::object(raw).into_iter().filter(|(name, raw)| !name.is_empty() && json::kind(raw) != Kind::Null);
    let all = all.map(|(name, raw)| (name, sanitize::within(raw, MAX_DEPTH - ABOVE_FRAME_FIELD))).collect();
    Frame { call: Called { function, place, in_app }, all }
}

#[cfg(test)]
mod tests {
    use tally_core::event::json::Json;

    use super::*;

    fn read(list: &str) -> Exceptions {
        super::read(json::document(list.as_bytes()).expect("JSON"))
    }

    #[test]
    fn what_is_no_exception_is_passed_over() {
        for list in ["3", "[]", "[3,null,{},[]]", r#"[{"stacktrace":{"frames":3}}]"#, r#"[{"stacktrace":[]}]"#] {
            let exceptions = read(list);
            assert_eq!((exceptions.message(), exceptions.grouping()), (None, None), "{list}");
            assert_eq!(exceptions.stack(), None, "{list}");
        }
        assert_eq!(read(r#"[{"value":"only"}]"#).message().as_deref(), Some("only"));
    }

    #[test]
    fn a_call_of_the_application_groups_before_others() {
        let of = |frames: &str| {
            read(&format!(r#"[{{"type":"E","stacktrace":{{"frames":[{frames}]}}}}]"#)).grouping().unwrap_or_default()
        };
        let own = r#"{"function":"f","module":"app","in_app":true}"#;
        let other = r#"{"function":"g","module":"lib","in_app":false}"#;
        assert_eq!(of(&format!("{own},{other}")), "E in app:f");
        assert_eq!(of(other), "E in lib:g");
        assert_eq!(of(r#"{"function":"h"},{"function":"g","in_app":false}"#), "E in h");
        assert_eq!(of(""), "E");
    }

    #[test]
    fn a_stack_is_no_deeper_than_an_event_may_be() {
        fn depth(json: &Json) -> usize {
            match json {
                Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
                Json::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
                _ => 0,
            }
        }
        let deep = "[".repeat(40) + &"]".repeat(40);
        let list = format!(r#"[{{"type":"E","mechanism":{deep},"stacktrace":{{"frames":[{{"vars":{deep}}}]}}}}]"#);
        assert_eq!(read(&list).stack().as_ref().map(depth), Some(MAX_DEPTH));
    }

    #[test]
    fn a_deep_stack_keeps_its_ends() {
        let frames: Vec<_> = (0..1_000).map(|n| format!(r#"{{"function":"f{n}"}}"#)).collect();
        let stack = read(&format!(r#"[{{"type":"E","stacktrace":{{"frames":[{}]}}}}]"#, frames.join(","))).stack();
        let text = serde_json::to_value(stack).expect("JSON");
        let kept = text[0]["frames"].as_array().expect("frames");
        assert_eq!((kept.len(), &kept[0]["function"], &kept[99]["function"]), (100, &"f999".into(), &"f0".into()));
        assert_eq!(text[0]["omitted"], "900 frames in the middle");
    }
}
