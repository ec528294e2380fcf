//! Proof key for code exchange (RFC 7636), method S256 only.

use crate::jose::{base64url, base64url_decode_strict, constant_time_eq, sha256};

/// The fewest characters of a verifier (RFC 7636, section 4.1).
pub const VERIFIER_CHARACTERS_MIN: usize = 43;

/// The most characters of a verifier (RFC 7636, section 4.1).
pub const VERIFIER_CHARACTERS_MAX: usize = 128;

/// Tells whether a text can be a challenge of the method S256: base64url of 32 bytes, 43 characters.
#[must_use]
pub fn is_challenge(text: &str) -> bool {
    base64url_decode_strict(text).is_some_and(|bytes| bytes.len() == 32)
}

/// Tells whether a verifier is well formed and the challenge was made of it; compared in constant time.
#[must_use]
pub fn fits(verifier: &str, challenge: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let well_formed = (VERIFIER_CHARACTERS_MIN..=VERIFIER_CHARACTERS_MAX).contains(&verifier.len())
        && verifier.bytes().all(unreserved);
    let made = base64url(&sha256(verifier.as_bytes()));
    well_formed && is_challenge(challenge) && constant_time_eq(made.as_bytes(), challenge.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::testing::{CHALLENGE, VERIFIER};

    #[test]
    fn as24_the_example_of_rfc_7636_holds() {
        assert!(fits(VERIFIER, CHALLENGE));
    }

    #[test]
    fn as24_another_verifier_does_not_fit() {
        let mut last = VERIFIER.to_owned();
        last.pop();
        for verifier in [
            String::new(),
            last.clone(),
            format!("{last}l"),
            format!("{VERIFIER}x"),
            VERIFIER.to_lowercase(),
            format!(" {VERIFIER}"),
            format!("{VERIFIER}="),
            format!("{VERIFIER}\n"),
            // The method `plain`.
            CHALLENGE.to_owned(),
        ] {
            assert!(!fits(&verifier, CHALLENGE), "{verifier:?}");
        }
    }

    #[test]
    fn as24_a_challenge_is_43_characters_of_base64url() {
        for challenge in [
            "",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cMA",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw/cM",
            // Bits behind the last byte: a second text of the same 32 bytes.
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN",
            " 9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstwқM",
        ] {
            assert!(!is_challenge(challenge), "{challenge:?}");
            assert!(!fits(VERIFIER, challenge), "{challenge:?}");
        }
        assert!(is_challenge(CHALLENGE));
    }

    #[test]
    fn as24_a_verifier_has_43_to_128_unreserved_characters() {
        let check = |verifier: &str| fits(verifier, &base64url(&sha256(verifier.as_bytes())));
        for verifier in [
            "v".repeat(VERIFIER_CHARACTERS_MIN - 1),
            "v".repeat(VERIFIER_CHARACTERS_MAX + 1),
            format!("{}+", "v".repeat(60)),
            format!("{}/", "v".repeat(60)),
            format!("{}=", "v".repeat(60)),
            format!("{} ", "v".repeat(60)),
            format!("{}%", "v".repeat(60)),
            format!("{}\0", "v".repeat(60)),
            "қ".repeat(40),
        ] {
            assert!(!check(&verifier), "{verifier:?}");
        }
        assert!(check(&"v".repeat(VERIFIER_CHARACTERS_MIN)));
        assert!(check(&"-._~Az09".repeat(VERIFIER_CHARACTERS_MAX / 8)));
    }
}
