//! Exceptions: what was raised, its stack as frames, and what groups it with others of the same cause.

use std::collections::BTreeMap;

use tally_core::event::json::Json;
use tally_core::event::template::template;
use tally_core::source_map::DebugId;

use crate::compat::raised::{Called, Exception, Exceptions, Frame, MAX_EXCEPTIONS, without_origin};
use crate::compat::sanitize::distinct;
use crate::compat::sentry::fields::{Fields, text_of};

/// Reads the exceptions of an event or, without any, the stack of its thread: SDKs attach one to a message if they are asked
/// to.
pub(super) fn take(event: &mut Fields) -> Exceptions {
    let ids = debug_ids(event);
    // Sentry lists the cause first and the innermost call last.
    let values = event.values("exception").into_iter().rev();
    let exceptions: Vec<_> =
        values.filter_map(Fields::of).take(MAX_EXCEPTIONS).map(|fields| exception(fields, &ids)).collect();
    if !exceptions.is_empty() {
        return Exceptions(exceptions);
    }
    let threads: Vec<_> = event.values("threads").into_iter().filter_map(Fields::of).collect();
    let is = |thread: &Fields, flag: &str| thread.0.get(flag) == Some(&Json::Bool(true));
    let chosen = ["crashed", "current"].into_iter().find_map(|flag| threads.iter().position(|t| is(t, flag)));
    let mut thread = threads.into_iter().nth(chosen.unwrap_or(0)).unwrap_or_default();
    let stack = thread.take("stacktrace").or_else(|| event.take("stacktrace"));
    let Some(stack) = stack else { return Exceptions::default() };
    let mut only_stack = Fields::default();
    only_stack.put("stacktrace", Some(stack));
    Exceptions(Some(exception(only_stack, &ids)).filter(Exception::has_frames).into_iter().collect())
}

/// The debug ids of the minified files of an event, by the name that its frames have for the file.
type DebugIds = BTreeMap<String, DebugId>;

/// Most images of an event that are read: a page has a script for each view.
const MAX_IMAGES: usize = 200;

fn debug_ids(event: &mut Fields) -> DebugIds {
    let images = event.fields("debug_meta").unwrap_or_default().list("images");
    let ids = images.into_iter().take(MAX_IMAGES).filter_map(Fields::of).filter_map(|mut image| {
        let is_map = image.text("type").as_deref() == Some("sourcemap");
        let id = DebugId::parse(&image.text("debug_id")?)?;
        Some((image.text("code_file")?, id)).filter(|_| is_map)
    });
    ids.collect()
}

fn exception(mut fields: Fields, ids: &DebugIds) -> Exception {
    let (kind, value) = (fields.text("type"), fields.text("value"));
    let mut rest = Fields::default();
    for name in ["module", "mechanism", "thread_id"] {
        rest.put(name, fields.take(name));
    }
    let stack = fields.fields("stacktrace").or_else(|| fields.fields("raw_stacktrace"));
    let sent = stack.unwrap_or_default().list("frames");
    Exception::new(kind, value, rest.0, sent, |sent| Fields::of(sent).map(|sent| frame(sent, ids)))
}

fn frame(mut frame: Fields, ids: &DebugIds) -> Frame {
    let in_app = match frame.0.get("in_app") {
        Some(Json::Bool(in_app)) => Some(*in_app),
        _ => None,
    };
    let text = |name: &str| frame.0.get(name).cloned().and_then(text_of);
    let function = text("function");
    let place = text("module").or_else(|| text("filename")).or_else(|| text("abs_path")).map(without_origin);
    let own = text("debug_id").and_then(|id| DebugId::parse(&id));
    let of_file = || ["abs_path", "filename"].into_iter().find_map(|name| ids.get(&text(name)?).copied());
    let id = own.or_else(of_file).map(|id| Json::String(id.to_string()));
    frame.0.insert("debug_id".to_owned(), id.unwrap_or(Json::Null));
    frame.0.retain(|_, value| *value != Json::Null);
    Frame { call: Called { function, place, in_app }, all: frame.0 }
}

/// What groups an event: the client's own fingerprint, in which `{{ default }}` stands for the default grouping, or the
/// default grouping. Without one, the template of the message groups by default. What is longer than a field may be is hashed.
pub(super) fn fingerprint(own: Vec<Json>, default: Option<String>, message: Option<&str>) -> Option<String> {
    let parts: Vec<_> = own.into_iter().filter_map(text_of).collect();
    let is_default = |part: &str| {
        part.strip_prefix("{{").and_then(|part| part.strip_suffix("}}")).is_some_and(|name| name.trim() == "default")
    };
    let text = if parts.iter().all(|part| is_default(part)) {
        default?
    } else {
        let default = default.or_else(|| message.map(template));
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
            let exceptions = take(&mut fields(event));
            assert_eq!(
                (exceptions.message().as_deref(), exceptions.grouping().as_deref()),
                (message, grouping),
                "{event}"
            );
        }
    }

    #[test]
    fn a_frame_gets_the_debug_id_of_its_file() {
        let stack = |images: &str, frame: &str| {
            let event = format!(
                r#"{{"debug_meta":{{"images":{images}}},"exception":{{"type":"E","stacktrace":{{"frames":[{frame}]}}}}}}"#
            );
            let stack = take(&mut fields(&event)).stack().expect("a stack");
            serde_json::to_value(stack).expect("JSON")[0]["frames"][0]["debug_id"].clone()
        };
        let images = r#"[{"type":"sourcemap","code_file":"https://a.example/app.js","debug_id":"216AFA31025552e5a4a2f739258241b5"},
            {"type":"wasm","code_file":"b.js","debug_id":"216afa31-0255-52e5-a4a2-f739258241b5"},
            {"type":"sourcemap","code_file":"c.js","debug_id":"../../etc"}, 7]"#;
        let id = serde_json::json!("216afa31-0255-52e5-a4a2-f739258241b5");
        for (frame, expected) in [
            (r#"{"filename":"https://a.example/app.js"}"#, &id),
            (r#"{"filename":"app:///app.js","abs_path":"https://a.example/app.js"}"#, &id),
            (r#"{"filename":"d.js","debug_id":"216AFA31-0255-52E5-A4A2-F739258241B5"}"#, &id),
            (r#"{"filename":"b.js"}"#, &serde_json::Value::Null),
            (r#"{"filename":"c.js","debug_id":"nonsense"}"#, &serde_json::Value::Null),
        ] {
            assert_eq!(&stack(images, frame), expected, "{frame}");
        }
        assert_eq!(stack("{}", r#"{"filename":"https://a.example/app.js"}"#), serde_json::Value::Null);
    }

    #[test]
    fn a_deep_stack_keeps_its_ends() {
        let frames: Vec<_> = (0..1_000).map(|n| format!(r#"{{"function":"f{n}"}}"#)).collect();
        let event = format!(r#"{{"exception":{{"type":"E","stacktrace":{{"frames":[{}]}}}}}}"#, frames.join(","));
        let stack = take(&mut fields(&event)).stack().expect("a stack");
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
            assert_eq!(fingerprint(own(parts), default(), Some("cart 5")).as_deref(), Some(expected), "{parts:?}");
        }
        assert_eq!(fingerprint(own(&["{{ default }}"]), None, Some("cart 5")), None);
        let with_template = fingerprint(own(&["{{ default }}", "db"]), None, Some("cart 5 not found"));
        assert_eq!(with_template.as_deref(), Some("cart <n> not found | db"));
        assert_eq!(fingerprint(own(&["{{ default }}", "db"]), None, None).as_deref(), Some("db"));
        let long = "x".repeat(MAX_TEXT);
        assert_eq!(fingerprint(own(&[&long]), None, None), Some(long.clone()));
        let hashed = fingerprint(own(&[&long, "y"]), None, None).expect("a hash");
        assert_eq!(hashed.len(), 64);
        assert_ne!(Some(hashed), fingerprint(own(&[&long, "z"]), None, None));
    }
}
