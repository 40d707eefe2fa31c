//! Cursors: where a list continues, as one opaque text.
//!
//! A cursor gives no rights, so it carries a checksum against alteration, not a signature.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tally_core::digest::sha256_u64;

/// Bytes of checksum.
pub const CHECK: usize = 8;
/// Separates this checksum from other uses of the same hash.
const DOMAIN: &[u8] = b"tally cursor 1";

/// Not a cursor of this list, or an altered one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list: send the `next` of a reply as it is, or leave it out to start over")]
pub struct CursorError;

/// The text of a cursor that holds something.
pub fn seal(mut content: Vec<u8>) -> String {
    let check = checksum(&content);
    content.extend_from_slice(&check);
    URL_SAFE_NO_PAD.encode(content)
}

/// What a cursor holds.
///
/// # Errors
/// Where [`seal`] did not give the text.
pub fn open(text: &str) -> Result<Vec<u8>, CursorError> {
    let mut content = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
    let check = content.split_off(content.len().checked_sub(CHECK).ok_or(CursorError)?);
    if check != checksum(&content) {
        return Err(CursorError);
    }
    Ok(content)
}

fn checksum(content: &[u8]) -> [u8; CHECK] {
    sha256_u64(&[DOMAIN, content].concat()).to_be_bytes()
}
