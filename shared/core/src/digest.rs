//! SHA-256, the one hash of Tally.

use ring::digest::{SHA256, digest};

/// The SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// The first 64 bits of the SHA-256 of `bytes`, as a big-endian number.
pub fn sha256_u64(bytes: &[u8]) -> u64 {
    sha256(bytes).iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_the_start_of_the_digest() {
        // SHA-256("abc") begins ba7816bf 8f01cfea (FIPS 180-4).
        assert_eq!(sha256_u64(b"abc"), 0xba78_16bf_8f01_cfea);
        assert_eq!(sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
