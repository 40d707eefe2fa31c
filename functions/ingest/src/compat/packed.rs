//! Bodies and parameters that are packed for browsers: forms with a field `data`, and base64.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Base64 with or without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The maximum number of fields of a form that are read. Libraries send three.
const MAX_FIELDS: usize = 100;

/// A body: a form, if it has one.
#[derive(Debug, Default)]
pub struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Form<'a> {
    /// Reads a form. A body that is none has no fields.
    pub fn of(body: &'a [u8]) -> Self {
        // JSON, base64 and binary bodies do not start with the name of a field.
        let name = body.iter().position(|byte| *byte == b'=').map(|end| &body[..end]);
        let is_form = name.is_some_and(|name| {
            !name.is_empty()
                && name.len() <= 64
                && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        });
        // Base64 may end in `=` and have no other.
        let is_base64 = body.iter().skip_while(|byte| **byte != b'=').all(|byte| *byte == b'=');
        if !is_form || (is_base64 && !body.starts_with(b"data=")) {
            return Self::default();
        }
        Self(form_urlencoded::parse(body).take(MAX_FIELDS).collect())
    }

    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(sent, _)| sent == name).map(|(_, value)| &**value)
    }
}

/// A JSON text that may be in base64.
pub fn json(text: &str) -> Cow<'_, [u8]> {
    if text.trim_start().starts_with(['{', '[']) {
        return Cow::Borrowed(text.as_bytes());
    }
    // A form turns pluses into spaces.
    let packed = match text.trim() {
        packed if packed.contains(' ') => Cow::Owned(packed.replace(' ', "+")),
        packed => Cow::Borrowed(packed),
    };
    LENIENT.decode(&*packed).map_or(Cow::Borrowed(text.as_bytes()), Cow::Owned)
}

/// The smallest GIF: one transparent pixel.
pub const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_base64_are_unpacked() {
        let form = Form::of(b"verbose=1&data=%7B%22a%22%3A1%7D");
        assert_eq!((form.get("verbose"), form.get("data")), (Some("1"), Some(r#"{"a":1}"#)));
        for body in [r#"{"a":"b=c"}"#, "eyJhIjoxfQ==", "", "=", "a b=1"] {
            assert_eq!(Form::of(body.as_bytes()).0, [], "{body}");
        }
        for packed in [r#"{"a":1}"#, "eyJhIjoxfQ==", "eyJhIjoxfQ", " eyJhIjoxfQ=="] {
            assert_eq!(&*json(packed), br#"{"a":1}"#, "{packed}");
        }
        assert_eq!(&*json("eyJhIjoi8J+YgCJ9"), "{\"a\":\"😀\"}".as_bytes());
        assert_eq!(json("eyJhIjoi8J YgCJ9"), json("eyJhIjoi8J+YgCJ9"));
        assert_eq!(&*json("not packed?"), b"not packed?");
    }
}
