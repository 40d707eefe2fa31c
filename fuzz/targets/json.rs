//! Free JSON: every number keeps its value, every text its letters, every list its order.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;
use tally_core::event::MAX_DEPTH;
use tally_core::event::json;
use tally_core::event::json::{Json, Kind, Number};

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        number(text);
    }
    let Ok(raw) = json::document(data) else { return };
    let Ok(read) = json::value(raw, MAX_DEPTH) else { return };
    let printed = serde_json::to_string(&read).expect("JSON");
    let again = json::document(printed.as_bytes()).and_then(|raw| json::value(raw, MAX_DEPTH));
    assert_eq!(again.as_ref(), Ok(&read), "{printed}");
    let value: Value = serde_json::from_str(&printed).expect("JSON");
    // A number that serde_json cannot hold is not for it to judge.
    if let Ok(sent) = serde_json::from_slice::<Value>(data) {
        same(&read, raw, &sent);
        assert_eq!(shape(&value), shape(&sent), "{printed}");
    }
});

/// A value without its numbers.
fn shape(value: &Value) -> Value {
    match value {
        Value::Number(_) => Value::Null,
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        other => other.clone(),
    }
}

/// Each number is worth what was sent, and each text the same.
fn same(read: &Json, raw: &RawValue, sent: &Value) {
    match (read, sent) {
        (Json::Null, Value::Null) => {}
        (Json::Bool(is), Value::Bool(was)) => assert_eq!(is, was),
        (Json::Number(is), Value::Number(_)) => assert_worth(is, raw.get()),
        (Json::String(is), Value::String(was)) => assert_eq!(is, was),
        (Json::Array(is), Value::Array(was)) => {
            let raw = json::array(raw).expect("a list");
            assert!(is.len() == was.len() && is.len() == raw.len());
            for ((is, raw), was) in is.iter().zip(raw).zip(was) {
                same(is, raw, was);
            }
        }
        (Json::Object(is), Value::Object(was)) => {
            let raw = json::object(raw).expect("an object");
            assert!(is.len() == was.len() && is.len() == raw.len());
            for (key, raw) in raw {
                same(&is[&key], raw, &was[&key]);
            }
        }
        _ => panic!("{sent} was read as {read:?}"),
    }
}

fn number(text: &str) {
    let Ok(number) = Number::parse(text) else { return };
    assert_worth(&number, text);
    // What comes out is JSON, and its own spelling.
    let raw = json::document(number.as_str().as_bytes()).expect("JSON");
    assert_eq!(json::kind(raw), Kind::Number);
    assert_eq!(Number::parse(number.as_str()).as_ref(), Ok(&number));
}

fn assert_worth(number: &Number, sent: &str) {
    let (is, was) = (worth(number.as_str()), worth(sent));
    let was = was.unwrap_or_else(|| panic!("{sent:?} is no number, and was read as {}", number.as_str()));
    let tiny = was.as_ref().is_some_and(|(_, digits, last)| last + digits.len() as i128 - 1 < -130);
    assert_eq!(is, Some(if tiny { None } else { was }), "{sent}");
}

/// A number's sign, its digits from the first to the last that is not 0, and the power of ten of that one; none inside is
/// zero, none outside no number at all.
fn worth(text: &str) -> Option<Option<(bool, String, i128)>> {
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, power(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let ending = digits.len() - digits.trim_end_matches('0').len();
    let last = exponent - fraction.len() as i128 + ending as i128;
    let digits = digits.trim_matches('0');
    Some((!digits.is_empty()).then(|| (negative, digits.to_owned(), last)))
}

/// An exponent; one too long to be read is as far away as any.
fn power(text: &str) -> Option<i128> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let far = if text.starts_with('-') { i128::MIN / 4 } else { i128::MAX / 4 };
    Some(text.parse().unwrap_or(far).clamp(i128::MIN / 4, i128::MAX / 4))
}
