//! The rules by which sets are judged, with what `qaqpa explain` tells of each.

use crate::language::problem::Severity;

/// A rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its id, for example `L0001`; never given to another.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// Why that matters, and what to do.
    pub text: &'static str,
}

/// Returns a rule by its id, whatever case it is written in.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.id.eq_ignore_ascii_case(id))
}

macro_rules! rules {
    ($($name:ident = $id:literal, $severity:ident, $title:literal, $text:literal;)*) => {
        $(pub(super) static $name: Rule =
            Rule { id: $id, severity: Severity::$severity, title: $title, text: $text };)*

        /// Every rule, in order.
        pub static RULES: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    NO_LIMIT = "L0001", Info, "operation without limits of its own",
        "Only the limits of the caller's plan hold here, and those that guard the process. An operation that costs more than others, or moves money, deserves a limit of its own: define it under `limits` and name it at the operation.";
    LIMITS_NOT_ENFORCED = "L0002", Warning, "no limit is enforced",
        "Every limit of the operation is in the mode `report` or `off`, so that nobody is ever refused by them.";
    RESPONSES_REPORTED = "L0003", Info, "answers are judged but not kept back",
        "An answer of the backend that breaks the contract is counted and recorded, and reaches the client all the same. Once the counts are zero, say `validate: {response: enforce}`.";
    RESPONSES_OFF = "L0004", Warning, "answers are not judged",
        "An answer of the backend that breaks the contract reaches the client, and nobody learns of it.";
    LOOSENED = "L0005", Info, "loosened by an override",
        "The operation is looser than its defaults, and somebody answers for that until the override ends. A warning comes 30 days before the end (`qaqpa check`).";
    NETWORK_OPEN = "L0006", Error, "network rule lets everybody in",
        "A range such as `0.0.0.0/0` holds every address, so that the rule protects nothing while it looks as if it did. Name the networks, or leave `networks` out to say that the client may call from anywhere.";
    NETWORK_WIDE = "L0007", Warning, "network rule is very wide",
        "A range of 16 million addresses or more (shorter than /8, or /16 in IPv6) is more than one organisation has.";
    RULE_REPORTED = "L0008", Info, "rule in trial",
        "A limit or fraud rule in the mode `report` refuses nobody; what it would have refused is counted. `qaqpa rehearse` tells what enforcing it would change.";
    RULE_OFF = "L0009", Warning, "rule switched off",
        "A limit or fraud rule in the mode `off` is not even judged. Take it away, or put it into the mode `report`.";
    NEVER_REFUSES = "L0010", Error, "condition that never refuses",
        "`allow: \"true\"` lets every call through, and a rule with `when: \"false\"` is never triggered: it looks like a protection and is none.";
    ALWAYS_REFUSES = "L0011", Warning, "condition that does not depend on the call",
        "The condition names no fact of the request, so that it comes out the same each time. `allow: \"false\"` closes an operation; leaving the operation out of the policy says so more clearly.";
    SCOPE_UNUSABLE = "L0012", Warning, "scope that a client can never use",
        "No exposed operation that the organisation's roles may call asks for this scope. A scope that is not needed is one that can be misused: take it away from the client.";
    UNUSED = "L0013", Warning, "defined and not used",
        "Nothing names this limit, rule, mask, backend or scope, so that it does nothing. Name it where it should work, or take it away.";
    PLAN_UNUSED = "L0014", Info, "plan without clients",
        "No client has this plan. That is as it should be for a plan that is kept ready.";
    AUDIT_NOT_REQUIRED = "L0015", Warning, "money moves without a durable record",
        "The operation is done once per key and its body holds an amount, and it is audited as `standard`: after a crash, money could have moved without a record. Say `audit: required`.";
    NO_STEP_UP = "L0016", Warning, "money moves without a verified payer",
        "The body holds an amount, and no step-up rule asks for a verified payer, whatever the amount. Name a rule of `stepUp`, or a fraud rule that asks for one.";
    BODY_LARGE = "L0017", Info, "large bodies",
        "Bodies of more than 1 MiB are kept in memory while they are judged, each caller's at once.";
    TIMEOUT_SHORT = "L0018", Warning, "the backend's time is never reached",
        "The operation gives up before its backend may take its time (`upstreams.<name>.timeouts`), so that a slow answer is lost although the backend was allowed to be slow. Make one longer or the other shorter.";
    TIMEOUT_LONG = "L0019", Info, "operation waits longer than its backend may take",
        "The operation may take more than twice as long as connecting to the backend and its answer together. A shorter time frees clients and connections sooner.";
    NO_ROLE = "L0020", Info, "no role is asked for",
        "Organisations with any licence may call the operation, as long as their client has the scope. Say `requires: {roles: [...]}` where the law knows who may.";
    NO_CASE = "L0021", Info, "no case",
        "No case of `tests:` calls the operation, so that nobody notices when a change of policy opens or closes it.";
    KEY_SHARED = "L0022", Warning, "clients share a key",
        "Two clients authenticate by the same key: each can take the other's place, and the audit trail cannot tell them apart.";
    BURST_LARGE = "L0023", Info, "burst is larger than a minute's worth",
        "The burst of a limit lets more calls come at once than its rate gives in a minute: the rate hardly matters then.";
    NOTHING_TO_GRANT = "L0024", Warning, "citizens can grant it nothing",
        "Citizens may be sent back to the client (`redirectUris`), and none of its scopes is one that they grant: no operation that it may call needs a consent. An address that nobody needs is one that can be misused: take it away, or give the client the scope.";
    NOT_A_BANK = "L0025", Warning, "consents left to who is no bank",
        "`consents: organisation` has operations not ask for the consent of a citizen, because a bank answers for its own customers. This organisation is licensed for something else: its citizens would never be asked.";
    NONCE_OPTIONAL = "L0026", Info, "payments by proofs made in advance",
        "The client may pay, its tokens are bound to a DPoP key, and its proofs need no nonce of ours: who can use its key for a moment can make proofs for later. Say `tokens: {bind: dpop, nonce: required}`; the client then repeats a first call with the nonce that it is told.";
    NO_CONSENT = "L0027", Info, "money moves without a consent",
        "The body holds an amount, and no consent of a citizen is asked for, so that the client's word is enough. Say `consent: domestic-payment` where citizens' money is moved.";
    NOTHING_TO_SHOW = "L0028", Warning, "consents are needed that nobody can give",
        "Operations that the client may call need the consent of a citizen, and it has no `redirectUris`, so that no citizen is ever sent back to it. Name its addresses, or take the scope away; a bank for its own customers has `consents: organisation`.";
    LIMIT_WAITS = "L0029", Warning, "limit waits for an operation that nobody can call",
        "The limit names an operation that is to give tokens back (`credit`), or that begins what is asked about (`polls.after`), and no policy exposes it: no token ever comes back, and the first question is never held back. Expose the operation, or name another.";
    LIMIT_WITHOUT_STORE = "L0030", Info, "limit does not hold without the store",
        "While the shared store is away, nothing is counted by a limit that says `withoutStore: allow`. `local-share` lets each gateway count against its share of it.";
    HEADER_OPTIONAL = "L0031", Warning, "who names nobody is not counted",
        "The limit counts by whom a header names (`subject`), and the contract lets calls come without that header: whoever leaves it out is not counted. Have the contract say `required: true`, so that such a call is refused. Until it does, only limits without `subject` hold for such calls: put one beside that is strict enough.";
    HEADER_UNSEEN = "L0032", Warning, "header that nothing but a limit sees",
        "The limit counts, or gives back, by what a header names, and the contract does not describe that header. So it may be left out, and no backend is sent it: a client names one person or thing to the limit, and another one in the call. Describe the header in the contract, with `required: true` where it counts; then it is sent on, and the backend should judge by it.";
    PLACES_SHARED = "L0033", Warning, "one caller can take everybody's places",
        "The limit lets so many calls be under way at once and counts all clients together. A client that reads its answers slowly, or sends slow requests, keeps its places, and everybody else is refused meanwhile. Let it count by `client` or `organisation` too; what a backend can bear at once is said by `maxRequests` of an upstream.";
    STRANGERS_COUNTED = "L0034", Warning, "strangers can use up the counters",
        "Anybody may call the operation, and the limit keeps a counter for an hour or longer for each address, resource or subject, of which strangers can have as many as they like. A gateway keeps so many counters for strangers: once all are taken, who comes next is refused until some are forgotten. Let the limit count in minutes.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_order_and_unique() {
        assert!(RULES.windows(2).all(|pair| matches!(pair, [a, b] if a.id < b.id)));
        assert!(RULES.iter().all(|rule| rule.id.starts_with('L') && rule.text.ends_with('.')));
        assert_eq!(rule("l0003").map(|rule| rule.severity), Some(Severity::Info));
        assert_eq!(rule("L9999"), None);
    }
}
