//! The signature algorithms that are spoken here, and no other.

use std::fmt;

/// A signature algorithm of the allow-list of FAPI 2.0 (section 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// EdDSA with Ed25519; also written `Ed25519` (RFC 9864).
    EdDsa,
    /// RSASSA-PSS with SHA-256.
    Ps256,
}

impl Algorithm {
    /// Every algorithm, in the order in which metadata tells them.
    pub const ALL: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256];

    /// Reads an `alg` value; anything outside the allow-list is `None`, letter case counts.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Algorithm::Es256),
            "EdDSA" | "Ed25519" => Some(Algorithm::EdDsa),
            "PS256" => Some(Algorithm::Ps256),
            _ => None,
        }
    }

    /// Returns the registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Ps256 => "PS256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_whatever_is_not_on_the_list_is_no_algorithm() {
        for name in [
            "none", "None", "nOnE", "NONE", "", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS384", "PS512",
            "ES384", "ES512", "ES256K", "es256", "eddsa", "EDDSA", "ps256", " ES256", "ES256 ", "Ed448", "dir",
        ] {
            assert_eq!(Algorithm::parse(name), None, "{name}");
        }
    }

    #[test]
    fn c5_the_list_is_read_with_both_names_of_ed25519() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
        }
        assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDsa));
    }
}
