//! Writes protobuf, field by field.

use crate::harness::{NOW, at};

/// Nanoseconds since 1970 of the tests' now.
pub(crate) fn now() -> u64 {
    u64::try_from(at(NOW).micros()).unwrap() * 1_000
}

/// A field that has a length.
pub(crate) fn field(tag: u64, content: &[u8]) -> Vec<u8> {
    [varint(tag << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// A field of eight bytes.
pub(crate) fn fixed64(tag: u64, number: u64) -> Vec<u8> {
    [varint(tag << 3 | 1), number.to_le_bytes().to_vec()].concat()
}

/// A field that is a number.
pub(crate) fn number(tag: u64, number: u64) -> Vec<u8> {
    [varint(tag << 3), varint(number)].concat()
}

/// A number in seven bits a byte, the lowest first.
pub(crate) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = vec![];
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
