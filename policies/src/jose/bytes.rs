//! Hashes, codes and comparisons: pure functions of bytes.

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Computes SHA-256.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    fixed(digest::digest(&digest::SHA256, data).as_ref())
}

/// Computes HMAC-SHA-256 of `data` under `key`.
#[must_use]
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    fixed(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref())
}

/// Computes SHA-256 over parts, each preceded by its length, so that no two lists of parts run into one another.
#[must_use]
pub fn digest_of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    fixed(context.finish().as_ref())
}

/// Tells whether two byte strings are equal, in a time that depends on their lengths only.
#[must_use]
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// Writes base64url without padding (RFC 7515, section 2).
#[must_use]
pub fn base64url(data: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(data)
}

/// Reads base64url without padding; `None` on padding, white space, another alphabet or stray bits at the end.
///
/// Each value has one text only, so that texts may be compared instead of values.
#[must_use]
pub fn base64url_decode_strict(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn fixed(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().expect("SHA-256 gives 32 bytes: FIPS 180-4")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c8_a_text_that_is_not_the_one_base64url_form_is_refused() {
        for text in ["YQ==", "YQ=", "Y Q", "YQ\n", " YQ", "YR", "Y", "+w", "/w", "YQ.", "ÿ"] {
            assert_eq!(base64url_decode_strict(text), None, "{text:?}");
        }
        assert_eq!(base64url_decode_strict("YQ"), Some(b"a".to_vec()));
        assert_eq!(base64url_decode_strict("-_8"), Some(vec![0xfb, 0xff]));
        assert_eq!(base64url_decode_strict(""), Some(Vec::new()));
    }

    // FIPS 180-4 example "abc"; RFC 4231, test case 2.
    #[test]
    fn hashes_agree_with_their_standards() {
        assert_eq!(base64url(&sha256(b"abc")), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        let expected = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00,
            0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
        ];
        assert_eq!(hmac_sha256(b"Jefe", b"what do ya want for nothing?"), expected);
    }

    #[test]
    fn parts_do_not_run_into_one_another() {
        assert_ne!(digest_of_parts(&[b"ab", b"c"]), digest_of_parts(&[b"a", b"bc"]));
        assert_ne!(digest_of_parts(&[b"abc"]), digest_of_parts(&[b"abc", b""]));
    }

    #[test]
    fn equality_is_told_for_equal_bytes_only() {
        assert!(constant_time_eq(b"same", b"same"));
        assert!(!constant_time_eq(b"same", b"some"));
        assert!(!constant_time_eq(b"same", b"sam"));
        assert!(constant_time_eq(b"", b""));
    }
}
