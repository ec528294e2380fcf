//! What the codes of operators' files, contracts and the machine mean; those of policies stand in `policies::language`.

use policies::language::codes::{self, Explanation};
use policies::language::lint::{self, Rule};

/// Returns the explanation of any code that a command tells, whatever case it is written in.
#[must_use]
pub fn explain(code: &str) -> Option<Explanation> {
    let own = CODES.iter().find(|explanation| explanation.code.eq_ignore_ascii_case(code));
    let of_rule = |rule: &Rule| Explanation { code: rule.id, title: rule.title, text: rule.text };
    own.or_else(|| codes::explain(code)).copied().or_else(|| lint::rule(code).map(of_rule))
}

const fn code(code: &'static str, title: &'static str, text: &'static str) -> Explanation {
    Explanation { code, title, text }
}

/// Every code of this package, in order: `C` contracts, `G` the gateway's surroundings, `P012` the configuration.
pub const CODES: &[Explanation] = &[
    code(
        "C0001",
        "contract faulty",
        "A contract cannot be read, or describes something that this gateway cannot hold anybody to. Nothing of the set is applied. `qaqpa contract check` looks at contracts alone.",
    ),
    code(
        "C0002",
        "contract remarkable",
        "A contract loads, but says something that its author may not mean: an operation nobody can expose, two that no request can tell apart, a key that means nothing.",
    ),
    code(
        "G0001",
        "cannot be read",
        "A file or folder that was named is missing, is not text in UTF-8, or may not be read by this user.",
    ),
    code(
        "G0002",
        "backend without address",
        "Policies name a backend, and the configuration has no `upstreams` entry that says where it is. Addresses are the operator's business and never stand in policies.",
    ),
    code("G0003", "store not usable", "The stores that the configuration describes do not fit together."),
    code(
        "G0004",
        "certificate or authorities not usable",
        "A certificate, its key, or a bundle of authorities that the configuration names is missing, no PEM, or does not fit its key.",
    ),
    code(
        "G0005",
        "secret not usable",
        "A file or variable that holds a secret is missing, empty, or can be read by others than its owner (`chmod 600 FILE`). The secret itself is never shown.",
    ),
    code(
        "G0006",
        "certificate ends",
        "A certificate is over or ends within 30 days. Put the new one into the same file; a running gateway takes it without a restart.",
    ),
    code(
        "G0007",
        "files do not rest",
        "Files of contracts or policies changed each time they were read. Write a new file beside the old one and move it into place.",
    ),
    code("P0120", "listener without TLS", "A listener that asks for client certificates needs `tls`."),
    code(
        "P0121",
        "clear text",
        "A listener would speak clear text to other machines. Give it `tls`, or say `plaintext: trusted` where a trusted TLS terminator stands before it.",
    ),
    code("P0122", "bad name", "Names are 1 to 64 letters, digits, `.`, `_` and `-`."),
    code(
        "P0123",
        "address not usable",
        "Backends and providers are named by `http` or `https` URLs without a password.",
    ),
    code("P0124", "master missing", "Sentinels need the name of the `master` that they watch."),
    code("P0125", "two keys", "One key wraps the key of personal data: `wrap` or `pkcs11`, not both."),
    code("P0126", "too many places", "The audit trail is sent on to at most eight places."),
    code("P0127", "no place", "A place that the audit trail is sent on to is one of `file`, `postgres` or `nats`."),
    code(
        "P0128",
        "two ways to show who we are",
        "An authorization server is shown who we are in one way: `privateKeyJwt` or `tls`.",
    ),
    code("P0129", "issuer missing", "An assertion is for one issuer: name it beside `privateKeyJwt`."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_unique_and_nobody_elses() {
        assert!(CODES.windows(2).all(|pair| matches!(pair, [a, b] if a.code < b.code)));
        assert!(CODES.iter().all(|own| codes::explain(own.code).is_none()));
        assert_eq!(explain("g0001").map(|found| found.title), Some("cannot be read"));
        assert_eq!(explain("P0107").map(|found| found.title), Some("unknown operation"));
        assert_eq!(explain("Z0001"), None);
    }
}
