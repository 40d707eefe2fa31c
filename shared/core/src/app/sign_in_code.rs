//! Codes that sign a user in once. Only the hash of a code is kept.

use subtle::ConstantTimeEq;

use crate::app::key::{hex, is_hex};
use crate::digest::sha256;

/// A code as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInCode {
    /// Finds it; the first part of the code itself.
    pub id: String,
    /// SHA-256 of the whole code. Its 160 random bits need no slow hash.
    pub hash: [u8; 32],
}

/// A code as a caller shows it, of the right form but perhaps unknown.
pub struct PresentedCode {
    /// Which code it claims to be.
    pub id: String,
    text: String,
}

impl SignInCode {
    /// Makes a new code and the text to show once.
    pub fn generate() -> (Self, String) {
        let id = hex(&rand::random::<[u8; 6]>());
        let text = format!("{id}_{}", hex(&rand::random::<[u8; 20]>()));
        (Self { id, hash: sha256(text.as_bytes()) }, text)
    }
}

impl PresentedCode {
    /// Reads a text of the form of a code; none where it has another.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.split_once('_')?;
        (is_hex(id, 12) && is_hex(secret, 40)).then(|| Self { id: id.to_owned(), text: text.to_owned() })
    }

    /// Whether this is that code; in constant time.
    pub fn is(&self, code: &SignInCode) -> bool {
        sha256(self.text.as_bytes()).ct_eq(&code.hash).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_itself_alone() {
        let (code, text) = SignInCode::generate();
        let presented = PresentedCode::parse(&text).expect("its own form");
        assert!(presented.is(&code) && presented.id == code.id && !format!("{code:?}").contains(&text[13..]));
        let (other, _) = SignInCode::generate();
        assert!(!presented.is(&other));
        for text in ["", "_", &text[1..], &text[..52], &format!("{text}0"), &text.to_uppercase().replace('_', "-")] {
            assert!(PresentedCode::parse(text).is_none(), "{text}");
        }
    }
}
