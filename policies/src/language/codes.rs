//! Every code of a diagnostic, with what `qaqpa explain` tells of it.

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The code, for example `P0107`.
    pub code: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Why it is refused or told, and what to do.
    pub text: &'static str,
}

/// Returns the explanation of a code, whatever case it is written in.
#[must_use]
pub fn explain(code: &str) -> Option<&'static Explanation> {
    CODES.iter().find(|explanation| explanation.code.eq_ignore_ascii_case(code))
}

const fn code(code: &'static str, title: &'static str, text: &'static str) -> Explanation {
    Explanation { code, title, text }
}

/// Every code, in order: `P00` the file, `P01` keys and values, `P02` names and keys, `P03` what does not fit together, `P04` warnings.
pub const CODES: &[Explanation] = &[
    code(
        "P0001",
        "not YAML",
        "The file breaks the syntax of YAML 1.2 here; nothing after this place was read. Often it is a missing quote, a tab, or a line that is indented otherwise than those it belongs to.",
    ),
    code(
        "P0002",
        "too large",
        "A file, its depth, its number of values or a key is larger than anything a person writes. Split the file; the files of a directory are read as one. What aliases repeat is counted each time.",
    ),
    code(
        "P0003",
        "a key twice",
        "The same key stands twice in one mapping. YAML readers differ in which of the two they take, so neither is taken.",
    ),
    code(
        "P0004",
        "merge key",
        "`<<` merges keys from elsewhere so that a reader cannot see what applies. Write the keys out, or repeat a whole value by alias.",
    ),
    code(
        "P0005",
        "tag",
        "Tags such as `!!str` or `!include` are not read. Text that looks like a number needs quotes instead.",
    ),
    code("P0006", "several documents", "One file holds one document. Put what follows `---` in a file of its own."),
    code(
        "P0007",
        "alias",
        "An alias `*name` repeats what an anchor `&name` marked before it in the same file. Text that begins with `*` needs quotes.",
    ),
    code(
        "P0008",
        "key is no text",
        "Keys are plain words. A value that begins with `{` or `[` and is meant as text needs quotes.",
    ),
    code(
        "P0009",
        "hidden character",
        "A character that editors do not show could hide what applies, and some readers take it for the end of the file.",
    ),
    code(
        "P0010",
        "empty file",
        "A file without content is more likely a mistake than a wish. Begin it with `qaqpa: v1`, or delete it.",
    ),
    code(
        "P0011",
        "version missing",
        "Every file begins with `qaqpa: v1`, so that an older program never reads a newer file in its own way.",
    ),
    code(
        "P0012",
        "cannot be formatted",
        "`qaqpa fmt` changes how a file looks and never what it means. This one would not mean the same afterwards, so it was left as it is.",
    ),
    code(
        "P0101",
        "unknown key",
        "The key means nothing here. An unknown key is refused and never ignored: a misspelt limit would be no limit.",
    ),
    code("P0102", "key missing", "A value that has no safe default was not given."),
    code(
        "P0103",
        "wrong kind",
        "A list stands where a mapping is expected, or the like, or nothing stands there at all.",
    ),
    code(
        "P0104",
        "wrong form",
        "The value cannot be read. Quantities have units: `800ms`, `3s`, `64KiB`, `50/s`, `250000 KZT`. Booleans are `true` and `false`.",
    ),
    code("P0105", "out of range", "The value is outside of what this key may have."),
    code("P0106", "unknown word", "Only a few words may stand here, and this is none of them."),
    code(
        "P0107",
        "unknown operation",
        "The policy names an operation or a contract that does not exist. An operation is joined to its contract by `operationId`; one that no policy names is not exposed.",
    ),
    code("P0108", "unknown name", "Something is referred to that no file of the policy set defines."),
    code(
        "P0109",
        "secret in a file",
        "Secrets and private keys never stand in configuration. Refer to them with `secret:file:...` or `secret:env:...`, and replace the one that stood here: it may have been read.",
    ),
    code("P0110", "said twice", "The same thing stands twice in a list."),
    code("P0111", "empty list", "At least one item is needed."),
    code("P0112", "bad name", "Names are 1 to 64 letters, digits, `.`, `_` and `-`."),
    code(
        "P0201",
        "defined twice",
        "One name is defined in two places; policy never depends on which file is read last.",
    ),
    code(
        "P0202",
        "key not usable",
        "The public key is malformed or too weak, or its algorithm is none that FAPI 2.0 allows; ES256, EdDSA (Ed25519) and PS256 are.",
    ),
    code("P0203", "keys not distinct", "Two keys of a client have the same `kid`, or are the same key."),
    code(
        "P0204",
        "authentication does not fit",
        "`private_key_jwt` needs `keys`, `self_signed_tls_client_auth` needs `keys` with a certificate under `x5c`, `tls_client_auth` needs `certificate`, and none has a use for what another needs. Keys stand here, in a file, or at a URL of the client: in one place, so that nobody wonders which count.",
    ),
    code(
        "P0205",
        "endpoint not usable",
        "What others choose is called over https and at a public name or address, be it where events are sent, where keys are published, or where tokens are asked about: so nobody can make the gateway call into networks that trust it. Private addresses need the operator's `webhooks: {privateAddresses: allow}`.",
    ),
    code(
        "P0206",
        "nobody is sent back there",
        "A citizen's browser is sent back, with a code, to an address that equals one of `redirectUris` byte for byte. So it is written in full: https, or http to `127.0.0.1` or `[::1]` where an app listens on the citizen's own machine; without a fragment, and without parameters that the answer itself is told by. A client whose tokens come from another server has none here.",
    ),
    code(
        "P0207",
        "certificate names nobody",
        "A client that authenticates by certificate is known by exactly one name in it (RFC 8705, 2.1.2): a DNS name, URI, address or mail address among its alternative names, or its whole subject as RFC 4514 writes it, `CN=app,O=Example,C=KZ`.",
    ),
    code(
        "P0208",
        "no such keys",
        "`keys: {file: ...}` names a JWK set `{\"keys\": [...]}` (RFC 7517) that lies in the folder of the policy, or below it, and ends in `.jwks` or `.json`. It is a part of the set as the policies are: read, compared, approved and rolled back with them. It holds public keys only.",
    ),
    code(
        "P0301",
        "who answers",
        "An operation is either answered by the gateway itself or proxied to an upstream; the contract says which are the gateway's own.",
    ),
    code(
        "P0302",
        "step-up cannot work",
        "The step-up rule could never be met or never be judged: the operation has no body with an amount, or no provider reaches the level. Nor could a citizen ever agree to a consent at a level that no provider reaches.",
    ),
    code(
        "P0303",
        "cannot be settled",
        "`settledBy` names the operation by which the gateway asks a backend what became of a request whose answer was lost: an exposed GET of the same upstream whose one path parameter is the reference.",
    ),
    code(
        "P0304",
        "trigger missing or doubled",
        "A rule is brought into play by exactly one of two things: by an amount (`above` and `amount`), or by a condition (`when`).",
    ),
    code(
        "P0305",
        "no such place in the body",
        "The contract of an operation that uses this describes nothing at this place, so that the rule would never see it, or the mask never hide it. Bodies that a contract leaves open are not judged. A list of accounts that is filtered by consent has to be described in any case.",
    ),
    code(
        "P0306",
        "condition",
        "The condition cannot be read, names a fact that there is not, compares what cannot be compared, or costs too much. It is written in CEL (Common Expression Language); what it may name is told by the message.",
    ),
    code(
        "P0307",
        "operations collide",
        "Two operations have the same method and paths of the same shape, so that a request fits both. The contracts may describe both, but only one can be exposed.",
    ),
    code(
        "P0308",
        "cannot be exposed",
        "The contract does not say enough of the operation, or asks for something this gateway cannot do, for example a security scheme it does not know.",
    ),
    code(
        "P0311",
        "looser than the default",
        "Below the defaults of the set an API, and below those of an API an operation, may only be stricter: smaller bodies, shorter times, stronger audit, answers held closer to the contract. So a reader of the defaults knows the worst case. Whoever has to be looser says why, who has agreed, and until when: `override: {reason: ..., approvedBy: ..., expires: YYYY-MM-DD}`.",
    ),
    code(
        "P0312",
        "roles wider than the default",
        "The roles of an operation are a part of the roles that the API's defaults allow, unless an `override` lets it have others until a day.",
    ),
    code(
        "P0313",
        "no effect",
        "Roles, scopes, consents, conditions, fraud rules and step-ups are asked of who comes with an access token, limits of clients; this operation's contract asks for something else, so that the line would protect nothing. A limit that an operation names counts by what its calls have: a resource where the path has a parameter, a consent where one is needed, a provider where one is asked.",
    ),
    code(
        "P0314",
        "unknown scope",
        "Neither a contract nor a policy asks for this scope, so that it could only be a mistake.",
    ),
    code(
        "P0315",
        "scope not for this organisation",
        "The `scopes` section says which roles an organisation needs for a scope, and the client's organisation has none of them.",
    ),
    code(
        "P0316",
        "body is not read",
        "The contract describes a body or an answer here that is no JSON: it streams through, and only its size counts. A mask could hide nothing in it, nothing of it could be noted, and no account be left out of it.",
    ),
    code(
        "P0317",
        "consent cannot be asked for",
        "`consent` says which consent of a citizen a token has to carry. One to accounts names the path parameter that is the account (`account`), or where the answer lists accounts (`list`): those that are not shared are refused, or left out. One to a payment is used up by an operation that has a body and is done once per `x-idempotency-key`; the whole payment is compared, so that it names no places. `customerAccounts` names an exposed GET of an upstream whose `consent` has a `list`.",
    ),
    code(
        "P0318",
        "issuer not usable",
        "Another authorization server is known by its `iss`, byte for byte, and its tokens in one of two ways: by keys that it publishes (`jwks`), or by asking it (`introspection`). No two definitions have the same `iss`: a token would fit both.",
    ),
    code(
        "P0319",
        "limit does not fit",
        "A limit says in exactly one way how much there may be: `rate` with `burst` (a bucket, whose calls may have a `cost` by their status, and a `credit` by a later call), `quota`, `inFlight`, `polls` or `sessions`. `subject` goes with `per: subject`, `polls` with `per: resource`, `first` with `after`, and `cost` not with `per: provider`, for what a provider answers is no status of a call; calls under way are counted by each gateway, without the shared store.",
    ),
    code(
        "P0401",
        "licence over",
        "The organisation's licence is over: its clients are refused until `validUntil` is renewed.",
    ),
    code(
        "P0402",
        "licence ends soon",
        "The organisation's licence ends within 30 days; from the day after `validUntil` on its clients are refused.",
    ),
    code(
        "P0403",
        "any token will do",
        "The operation asks for no scope and no role, so that every client with a token may call it.",
    ),
    code("P0404", "scope in no contract", "The policy asks for a scope that no contract tells developers of."),
    code(
        "P0405",
        "defaults do not apply",
        "The API's defaults ask for something that only callers with an access token (limits: only clients) can be asked, and this operation has others, so it is not asked there.",
    ),
    code(
        "P0406",
        "outcome may stay unknown",
        "The operation is done once per key by a backend, and no `settledBy` says how to ask that backend for the outcome when its answer is lost.",
    ),
    code(
        "P0407",
        "override over",
        "The override was good through its last day; since then what is inherited holds again, as if the looser values were not there.",
    ),
    code(
        "P0408",
        "override ends soon",
        "The override ends within 30 days; from the day after `expires` on, what is inherited holds again.",
    ),
    code(
        "P0409",
        "override without effect",
        "Nothing is looser than what is inherited, or `replaces` names a list that the operation does not have. An override that nobody needs hides the next one.",
    ),
    code(
        "P0410",
        "scope that nothing asks for",
        "The `scopes` section tells of a scope that no contract and no policy asks for.",
    ),
    code(
        "P0411",
        "place not described",
        "The contract leaves the body open and describes nothing at this place, so that it may be there or be misspelt: what is misspelt is not hidden, not noted, and an amount that is not there denies. Take a place that is described, or have the contract describe this one. A mask of which no field is described is refused.",
    ),
    code(
        "P0412",
        "any account will do",
        "The operation needs a consent to accounts and does not say which account a call is about, so that a consent to one account opens all of them. Name the path parameter (`account`), or where the answer lists accounts (`list`).",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_unique() {
        assert!(CODES.windows(2).all(|pair| matches!(pair, [a, b] if a.code < b.code)));
        assert_eq!(explain("P9999"), None);
        assert_eq!(explain("p0107").map(|found| found.title), Some("unknown operation"));
    }
}
