//! Values with one birthplace: what proves a check is made beside the check, and the check is asked for in one place.
//!
//! The compiler keeps private fields private inside a module; here the rest is held: that nobody adds a second way in
//! (`Default`, `Deserialize`, `From`, public fields, another function that makes one), and that a check is not called
//! from a second place, where one of its conditions could be forgotten.

use super::sizes::functions;
use super::source::line_of;
use super::tokens::{Token, closing, paths, starts_word, text, tokens};
use super::tree::{Module, Package, packages};

/// A type that proves something.
struct Proof {
    name: &'static str,
    home: &'static str,
    /// The functions of its home that make one.
    makers: &'static [&'static str],
    /// Whether it may be used once: not `Clone`, and `#[must_use]`.
    once: bool,
}

const fn proof(name: &'static str, home: &'static str, makers: &'static [&'static str]) -> Proof {
    Proof { name, home, makers, once: false }
}

const fn once(name: &'static str, home: &'static str, makers: &'static [&'static str]) -> Proof {
    Proof { name, home, makers, once: true }
}

/// The proofs that are tuple structs: of the others, `Name(..)` is a variant of some enum.
const TUPLES: [&str; 3] = ["BoundToken", "CanonicalPath", "Received"];

const STAGE: &str = "gateway/spine/src/stage.rs";

const PROOFS: [Proof; 29] = [
    proof("CanonicalPath", "openapi/src/path.rs", &["parse"]),
    proof("ValidBody", "openapi/src/validate.rs", &["check"]),
    proof("PeerCertificate", "policies/src/peer.rs", &["from_handshake"]),
    proof("BearerToken", "policies/src/token.rs", &["parse"]),
    proof("VerifiedToken", "policies/src/token.rs", &["judge"]),
    proof("BoundToken", "policies/src/binding.rs", &["bind"]),
    once("CheckedProof", "policies/src/proof.rs", &["check"]),
    proof("VerifiedProof", "policies/src/proof.rs", &["accept"]),
    proof("ClientForm", "policies/src/grant/form.rs", &["parse"]),
    once("CheckedAssertion", "policies/src/grant/client.rs", &["check_assertion"]),
    proof("AuthenticatedClient", "policies/src/grant/client.rs", &["accept", "check_certificate"]),
    once("AuthorizationRequest", "policies/src/authorization/request.rs", &["parse"]),
    proof("Redeemed", "policies/src/grant/redeem.rs", &["redeem"]),
    proof("Chosen", "policies/src/consent.rs", &["choose"]),
    proof("VerifiedCallback", "policies/src/callback.rs", &["verify"]),
    proof("Administrator", "policies/src/admin.rs", &["identify"]),
    proof("IdentityResult", "policies/src/result.rs", &["check"]),
    proof("Assured", "policies/src/evidence.rs", &["assure"]),
    proof("IdempotencyKey", "policies/src/id.rs", &["bind"]),
    once("Permit", "policies/src/decide.rs", &["permit"]),
    once("Clearance", "policies/src/decide.rs", &["assess"]),
    proof("Guarded", STAGE, &["admitted"]),
    proof("Received", STAGE, &["receive"]),
    proof("Routed", STAGE, &["found"]),
    proof("Identified", STAGE, &["proven"]),
    proof("Metered", STAGE, &["counted"]),
    proof("Permitted", STAGE, &["granted"]),
    proof("Sound", STAGE, &["checked"]),
    proof("Cleared", STAGE, &["judged"]),
];

/// A check, as `module::function` or `Type::function`, the file that declares it, and the files that may call it.
const CALLS: [(&str, &str, &[&str]); 31] = [
    // A trial makes its callers: nothing that it makes ever meets a listener.
    (
        "PeerCertificate::from_handshake",
        "policies/src/peer.rs",
        &["gateway/src/listen/tls.rs", "gateway/src/trial/caller.rs"],
    ),
    ("Guarded::admitted", STAGE, &["gateway/src/layer/guard.rs"]),
    ("Routed::found", STAGE, &["gateway/src/layer/route.rs"]),
    ("Identified::proven", STAGE, &["gateway/src/layer/authenticate.rs"]),
    ("Metered::counted", STAGE, &["gateway/src/layer/meter.rs"]),
    ("Permitted::granted", STAGE, &["gateway/src/layer/permit.rs"]),
    ("Sound::checked", STAGE, &["gateway/src/layer/validate.rs"]),
    ("Cleared::judged", STAGE, &["gateway/src/layer/assess.rs"]),
    // The loader asks too: a template that could never match a request's path is a fault of the contract.
    ("CanonicalPath::parse", "openapi/src/path.rs", &["gateway/src/layer/route.rs", "openapi/src/description.rs"]),
    ("BearerToken::parse", "policies/src/token.rs", &["gateway/oauth/src/introspect.rs"]),
    ("token::parse_authorization", "policies/src/token.rs", &["gateway/src/layer/authenticate/token.rs"]),
    (
        "token::verify",
        "policies/src/token.rs",
        // Who asks what a token is worth shows it in a form.
        &["gateway/src/layer/authenticate/token.rs", "gateway/oauth/src/introspect.rs"],
    ),
    ("token::verify_other", "policies/src/token.rs", &["gateway/src/layer/authenticate/token.rs"]),
    ("token::introspected", "policies/src/token.rs", &["adapters/src/oauth/introspection.rs"]),
    ("binding::bind", "policies/src/binding.rs", &["gateway/src/layer/authenticate/token.rs"]),
    ("proof::check", "policies/src/proof.rs", &["gateway/src/layer/authenticate/proof.rs"]),
    ("ClientForm::parse", "policies/src/grant/form.rs", &["gateway/src/layer/authenticate/form.rs"]),
    ("grant::check_assertion", "policies/src/grant/client.rs", &["gateway/src/layer/authenticate/form.rs"]),
    ("grant::check_certificate", "policies/src/grant/client.rs", &["gateway/src/layer/authenticate/form.rs"]),
    ("AuthorizationRequest::parse", "policies/src/authorization/request.rs", &["gateway/oauth/src/par.rs"]),
    ("grant::redeem", "policies/src/grant/redeem.rs", &["gateway/oauth/src/token.rs"]),
    ("grant::refresh", "policies/src/grant/redeem.rs", &["gateway/oauth/src/token.rs"]),
    ("grant::client_credentials", "policies/src/grant/exchange.rs", &["gateway/oauth/src/token.rs"]),
    ("callback::verify", "policies/src/callback.rs", &["gateway/src/layer/authenticate.rs"]),
    ("admin::identify", "policies/src/admin.rs", &["gateway/src/layer/authenticate.rs"]),
    ("decide::permit", "policies/src/decide.rs", &["gateway/src/layer/permit.rs"]),
    ("decide::assess", "policies/src/decide.rs", &["gateway/src/layer/assess.rs"]),
    ("result::check", "policies/src/result.rs", &["gateway/src/layer/assess.rs"]),
    ("evidence::assure", "policies/src/evidence.rs", &["gateway/broker/src/callback.rs"]),
    // A store reads back what `once` bound; a case has another call of the client use up a consent before.
    (
        "IdempotencyKey::bind",
        "policies/src/id.rs",
        &[
            "gateway/src/layer/once.rs",
            "adapters/src/store/sqlite/claims.rs",
            "adapters/src/store/postgres/claims.rs",
            "gateway/src/trial/consented.rs",
        ],
    ),
    ("OutgoingRequest::new", "adapters/src/upstream/request.rs", &["gateway/src/proxy.rs"]),
];

/// Finds proofs that are made outside their birthplace, in one file.
fn strange_births(proof: &Proof, module: &Module) -> Vec<String> {
    let words = tokens(&module.live);
    let inside = functions(&module.live);
    let impls = impls(&words);
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let own = word.text == "Self" && impls.iter().any(|block| block.is_of(proof.name) && block.holds(index));
        if (word.text != proof.name && !own) || !makes(&words, index, TUPLES.contains(&proof.name)) {
            continue;
        }
        let around = inside.iter().filter(|function| (function.start..function.end).contains(&word.at));
        let maker = around.max_by_key(|function| function.start).map_or("", |function| function.name.as_str());
        if module.file != proof.home || !proof.makers.contains(&maker) {
            let line = line_of(&module.live, word.at);
            found.push(format!(
                "{}:{line} makes a `{}`: only {:?} of {} may",
                module.file, proof.name, proof.makers, proof.home
            ));
        }
    }
    found
}

/// Finds other ways to a proof, in its home: derives, trait implementations and public fields.
fn back_doors(proof: &Proof, module: &Module) -> Vec<String> {
    let words = tokens(&module.live);
    let Some(declared) =
        (0..words.len()).find(|at| text(&words, *at) == "struct" && text(&words, at + 1) == proof.name)
    else {
        return vec![format!("{} does not declare `{}`: correct the table of births", module.file, proof.name)];
    };
    let mut found = Vec::new();
    let attributes = attributes_before(&words, declared);
    for trait_name in ["Default", "Deserialize", "From"] {
        let implemented =
            impls(&words).iter().any(|block| block.is_of(proof.name) && block.of_trait.contains(&trait_name));
        if attributes.contains(&trait_name) || implemented {
            found.push(format!(
                "{}: `{}` is `{trait_name}`, so it can be had without the check",
                module.file, proof.name
            ));
        }
    }
    if proof.once && attributes.contains(&"Clone") {
        found.push(format!("{}: `{}` is good for one use and may not be `Clone`", module.file, proof.name));
    }
    if proof.once && !attributes.contains(&"must_use") {
        found.push(format!("{}: `{}` needs `#[must_use]`", module.file, proof.name));
    }
    if (text(&words, declared + 2) == "(") != TUPLES.contains(&proof.name) {
        found.push(format!("{}: `{}` has another shape than the table of births says", module.file, proof.name));
    }
    let body = (declared..words.len()).find(|at| matches!(text(&words, *at), "{" | "(" | ";")).unwrap_or(declared);
    let end = (body..words.len()).find(|at| matches!(text(&words, *at), "}" | ";")).unwrap_or(body);
    if (body..end).any(|at| text(&words, at) == "pub") {
        found.push(format!("{}: `{}` has public fields", module.file, proof.name));
    }
    found
}

/// Finds calls of a check from files that may not, and tells if nobody calls it where it should be.
fn strange_calls<'a>(
    call: &str,
    home: &str,
    allowed: &[&str],
    modules: impl Iterator<Item = &'a Module>,
) -> Vec<String> {
    let (owner, function) = call.split_once("::").unwrap_or_default();
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for module in modules.filter(|module| module.file != home) {
        for path in paths(&tokens(&module.live)) {
            let mut last = path.segments.iter().rev();
            let (end, before) = (last.next(), last.next());
            let here = || format!("{}:{}", module.file, line_of(&module.live, path.at));
            if end.is_some_and(|end| end == function) && before.is_some_and(|before| before == owner) {
                seen.push(module.file.as_str());
                if !allowed.contains(&module.file.as_str()) {
                    found.push(format!("{} calls `{call}`: only {allowed:?} may", here()));
                }
            }
            if path.alias.is_some() && end.is_some_and(|end| end == owner) {
                found.push(format!("{} renames `{owner}`: then nobody finds its checks", here()));
            }
        }
    }
    found.extend(
        allowed
            .iter()
            .filter(|file| !seen.contains(file))
            .map(|file| format!("{file} does not call `{call}`: correct the table")),
    );
    found
}

struct Impl<'a> {
    of_trait: Vec<&'a str>,
    of_type: Vec<&'a str>,
    start: usize,
    end: usize,
}

impl Impl<'_> {
    fn is_of(&self, name: &str) -> bool {
        self.of_type.first() == Some(&name)
    }

    fn holds(&self, index: usize) -> bool {
        (self.start..self.end).contains(&index)
    }
}

fn impls<'a>(words: &[Token<'a>]) -> Vec<Impl<'a>> {
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        // `impl` at the start of an item, not in `-> impl Trait`.
        let before = index.checked_sub(1).map_or("", |before| text(words, before));
        if word.text != "impl" || !matches!(before, "" | "}" | ";" | "]" | "unsafe") {
            continue;
        }
        let Some(open) = (index..words.len()).find(|at| text(words, *at) == "{") else { continue };
        let header: Vec<&str> = (index + 1..open).map(|at| text(words, at)).collect();
        let header = without_generics(&header);
        let cut = header.iter().position(|word| *word == "for");
        let (of_trait, of_type) = match cut {
            Some(cut) => (header.get(..cut).unwrap_or_default(), header.get(cut + 1..).unwrap_or_default()),
            None => (&[] as &[&str], header.as_slice()),
        };
        let named = |words: &[&'a str]| -> Vec<&'a str> {
            words.iter().copied().take_while(|word| *word != "where").filter(|word| starts_word(word)).collect()
        };
        let mut of_type = named(of_type);
        of_type.reverse();
        found.push(Impl { of_trait: named(of_trait), of_type, start: open, end: closing(words, open) });
    }
    found
}

fn without_generics<'a>(header: &[&'a str]) -> Vec<&'a str> {
    let mut depth = 0_usize;
    let mut kept = Vec::new();
    for word in header {
        match *word {
            "<" => depth += 1,
            ">" => depth = depth.saturating_sub(1),
            word if depth == 0 => kept.push(word),
            _ => {}
        }
    }
    kept
}

/// Tells whether the name at `index` makes a value, rather than naming the type or taking it apart.
fn makes(words: &[Token<'_>], index: usize, tuple: bool) -> bool {
    let before = index.checked_sub(1).map_or("", |before| text(words, before));
    if matches!(before, "struct" | "enum" | "impl" | "for" | "->" | ":" | "&" | "let" | "dyn" | "mut" | "mod" | "fn") {
        return false;
    }
    match text(words, index + 1) {
        "{" if !tuple => !matches!(text(words, closing(words, index + 1) + 1), "=" | "=>" | "|"),
        "(" => tuple,
        // As a function, `map(Received)`, it makes one too.
        ")" => tuple && before == "(",
        _ => false,
    }
}

/// Collects the words of the attributes right before an item.
fn attributes_before<'a>(words: &[Token<'a>], item: usize) -> Vec<&'a str> {
    let start = (0..item).rev().find(|at| matches!(text(words, *at), "}" | ";" | "{")).map_or(0, |at| at + 1);
    words.get(start..item).unwrap_or_default().iter().map(|token| token.text).collect()
}

/// The other side of the wire and the onlookers prove nothing to us.
fn live(packages: &[Package]) -> Vec<&Module> {
    let ours = packages.iter().filter(|package| !matches!(package.manifest.name.as_str(), "sandbox" | "scenarios"));
    ours.flat_map(|package| &package.modules).filter(|module| !module.test).collect()
}

#[test]
fn proofs_are_made_beside_their_check_only() {
    let packages = packages();
    let live = live(packages);
    let births = PROOFS.iter().flat_map(|proof| live.iter().flat_map(|module| strange_births(proof, module)));
    let rule = "A proof is made in one function, beside the check that it proves: call that function instead.";
    super::hold(rule, &births.collect::<Vec<_>>());
}

#[test]
fn proofs_have_no_back_door() {
    let packages = packages();
    let live = live(packages);
    let mut complaints = Vec::new();
    for proof in &PROOFS {
        match live.iter().find(|module| module.file == proof.home) {
            Some(home) => complaints.extend(back_doors(proof, home)),
            None => complaints.push(format!("{} is gone: correct the table of births", proof.home)),
        }
    }
    super::hold("Proof types have private fields and are neither `Default`, `Deserialize` nor `From`.", &complaints);
}

#[test]
fn each_check_is_asked_for_in_one_place() {
    let packages = packages();
    let live = live(packages);
    let complaints: Vec<String> = CALLS
        .iter()
        .flat_map(|(call, home, allowed)| strange_calls(call, home, allowed, live.iter().copied()))
        .collect();
    let rule = "Each check is called from one place: pass its proof on instead of checking again. \
                If a second place is right, name it in the table with the reason.";
    super::hold(rule, &complaints);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Proof = once("Permit", "home.rs", &["permit"]);

    fn module(file: &str, live: &str) -> Module {
        Module { file: file.to_owned(), name: Vec::new(), test: false, live: live.to_owned(), text: live.to_owned() }
    }

    const GOOD: &str = "#[derive(Debug)] #[must_use = x] pub struct Permit { policy: u8 }\n\
                        impl Permit { pub fn policy(&self) -> u8 { self.policy } }\n\
                        pub fn permit() -> Permit { let Permit { policy } = f(); Permit { policy: 1 } }";

    #[test]
    fn a_proof_beside_its_check_is_fine() {
        let home = module("home.rs", GOOD);
        assert_eq!(strange_births(&SAMPLE, &home), Vec::<String>::new());
        assert_eq!(back_doors(&SAMPLE, &home), Vec::<String>::new());
    }

    #[test]
    fn a_second_maker_is_found() {
        for more in [
            "fn other() -> Permit { Permit { policy: 2 } }",
            "impl Permit { fn trusted() -> Self { Self { policy: 2 } } }",
        ] {
            assert_eq!(strange_births(&SAMPLE, &module("home.rs", &format!("{GOOD}\n{more}"))).len(), 1, "{more}");
        }
        assert_eq!(strange_births(&SAMPLE, &module("away.rs", "fn permit() { Permit { policy: 1 } }")).len(), 1);
    }

    #[test]
    fn tuples_are_made_by_calls() {
        let token = proof("BoundToken", "home.rs", &["bind"]);
        let births = |live: &str| strange_births(&token, &module("away.rs", live)).len();
        assert_eq!(births("fn f() { BoundToken(x) }"), 1);
        assert_eq!(births("fn f() { x.map(BoundToken) }"), 1);
        assert_eq!(births("fn f() -> (Scheme, BoundToken) { }"), 0);
    }

    #[test]
    fn back_doors_are_found() {
        for (bad, count) in [
            ("#[derive(Debug, Default)] #[must_use] struct Permit { policy: u8 }", 1),
            ("#[derive(Clone)] struct Permit { policy: u8 }", 2),
            ("#[must_use] struct Permit { pub policy: u8 }", 1),
            ("#[must_use] struct Permit { x: u8 } impl From<u8> for Permit { }", 1),
            ("#[must_use] struct Permit { x: u8 } impl<'de> serde::Deserialize<'de> for Permit { }", 1),
        ] {
            assert_eq!(back_doors(&SAMPLE, &module("home.rs", bad)).len(), count, "{bad}");
        }
    }

    #[test]
    fn a_second_caller_is_found_however_it_is_written() {
        let right = module("right.rs", "use policies::decide; fn f() { decide::permit(); }");
        let calls = |live: &str| {
            let other = module("other.rs", live);
            strange_calls("decide::permit", "home.rs", &["right.rs"], [&right, &other].into_iter()).len()
        };
        assert_eq!(calls("fn f() { decide::assess(); }"), 0);
        assert_eq!(calls("fn f() { policies::decide::permit(); }"), 1);
        assert_eq!(calls("use policies::decide::{assess, permit};"), 1);
        assert_eq!(calls("use policies::decide as d; fn f() { d::permit(); }"), 1);
    }

    #[test]
    fn a_check_that_nobody_asks_for_is_found() {
        let right = module("right.rs", "");
        assert_eq!(strange_calls("decide::permit", "home.rs", &["right.rs"], [&right].into_iter()).len(), 1);
    }
}
