//! Which consent an operation needs, and where a call or its answer names accounts: held against the contract.

use super::layers::{Given, Merged};
use crate::consent::ConsentKind;
use crate::facts::{FieldKind, OperationFacts, Shape};
use crate::language::decode::Value;
use crate::language::document::Key;
use crate::language::problem::{Place, Problem, quoted};
use crate::language::suggest::{did_you_mean, listed};
use crate::language::tables::consents::NEEDS;
use crate::mask::FieldPath;
use crate::rulebook::{AccountList, ConsentNeed};

/// What one layer says of the consent that is needed.
pub(super) struct Said<'n> {
    /// Its kind; none if none is needed.
    kind: Option<ConsentKind>,
    account: Option<Value<'n>>,
    list: Option<(Value<'n>, Value<'n>)>,
}

impl<'n> Said<'n> {
    /// Tells whether one is needed at all.
    pub(super) const fn is_needed(&self) -> bool {
        self.kind.is_some()
    }

    /// Returns what is said of accounts, by key.
    pub(super) fn places(&self) -> impl Iterator<Item = (&'static str, Value<'n>)> {
        let (items, id) = self.list.unzip();
        [("account", self.account), ("items", items), ("id", id)]
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)))
    }
}

/// Reads the consent that is needed, in the short or the long form; nothing if it cannot be read, which is told.
pub(super) fn said<'n>(value: Value<'n>) -> Option<Given<Said<'n>>> {
    let given = |said: Said<'n>, place: &Place| {
        let word = said.kind.map_or("none", ConsentKind::word);
        Given { shown: vec![word.to_owned()], value: said, place: place.clone() }
    };
    if !value.is_mapping() {
        let kind = value.word(|word| NEEDS.contains(&word).then(|| ConsentKind::from_word(word)))?;
        return Some(given(Said { kind, account: None, list: None }, value.place()));
    }
    let fields = value.mapping()?;
    let kind = fields.at("kind").and_then(|value| value.word(ConsentKind::from_word));
    let account = fields.at("account");
    let account_read = account.is_none_or(|value| value.text().is_some());
    let (list, list_read) = match fields.at("list") {
        None => (None, true),
        Some(value) => {
            let fields = value.mapping();
            let pointer = |name: &str| {
                let value = fields.as_ref()?.at(name)?;
                value.pointer().map(|_| value)
            };
            let (items, id) = (pointer("items"), pointer("id"));
            let list = items.zip(id);
            (list, list.is_some())
        }
    };
    let kind = kind?;
    (account_read && list_read).then(|| given(Said { kind: Some(kind), account, list }, value.key_place()))
}

/// Holds the consent that an operation needs against its contract; nothing if it cannot work, which is told.
pub(super) fn needed(
    merged: Option<&Merged<'_, Said<'_>>>,
    facts: &OperationFacts,
    key: &Key,
    owner: Value<'_>,
) -> Option<Option<ConsentNeed>> {
    let Some((said, place, kind)) = merged.and_then(|found| {
        let said = &found.given.value;
        said.kind.map(|kind| (said, &found.given.place, kind))
    }) else {
        return Some(None);
    };
    match kind {
        ConsentKind::DomesticPayment => payment(said, place, facts, key, owner),
        ConsentKind::AccountAccess => access(said, place, facts, key, owner),
    }
    .map(Some)
}

fn payment(said: &Said<'_>, place: &Place, facts: &OperationFacts, key: &Key, owner: Value<'_>) -> Option<ConsentNeed> {
    let mut sound = true;
    for (name, value) in said.places() {
        value.report(
            Problem::error("P0317", value.key_place(), format!("`{name}` does not fit a consent to one payment"))
                .label("a payment is compared with what was agreed to, account and all")
                .help("remove it, or need `account-access`"),
        );
        sound = false;
    }
    if !facts.has_body || !facts.idempotent || facts.body_streams {
        let (what, why) = if facts.body_streams {
            ("describes a body that streams through unread", "the payment in it is compared with what was agreed to")
        } else if facts.has_body {
            ("does not require `x-idempotency-key`", "the consent is used up together with that key")
        } else {
            ("describes no body", "the payment in it is compared with what was agreed to")
        };
        owner.report(
            Problem::error("P0317", &key.place, format!("{} cannot use up a consent to a payment", quoted(&key.text)))
                .label(format!("the contract {what}"))
                .related(place, "needed here")
                .help(format!("{why}: name it at operations that make payments; see {}", facts.origin)),
        );
        sound = false;
    }
    sound.then_some(ConsentNeed { kind: ConsentKind::DomesticPayment, account: None, list: None })
}

fn access(said: &Said<'_>, place: &Place, facts: &OperationFacts, key: &Key, owner: Value<'_>) -> Option<ConsentNeed> {
    let account = said.account.map(|value| parameter(value, facts));
    let list = said.list.map(|(items, id)| list(items, id, facts));
    if account.is_none() && list.is_none() {
        let candidates: Vec<&str> = parameters(&facts.template).collect();
        let example = candidates
            .first()
            .map_or("list: {items: /accounts, id: /accountId}".to_owned(), |name| format!("account: {name}"));
        owner.report(
            Problem::warning(
                "P0412",
                &key.place,
                format!("{} does not say which accounts it is about", quoted(&key.text)),
            )
            .label("one consent to any account will do")
            .related(place, "the consent is needed here")
            .help(format!("write `consent: {{kind: account-access, {example}}}`")),
        );
    }
    // Both are held against the contract, whatever the first says.
    let (account, list) =
        (account.map_or(Some(None), |found| found.map(Some)), list.map_or(Some(None), |found| found.map(Some)));
    Some(ConsentNeed { kind: ConsentKind::AccountAccess, account: account?, list: list? })
}

fn parameter(value: Value<'_>, facts: &OperationFacts) -> Option<String> {
    let text = value.text()?;
    if parameters(&facts.template).any(|name| name == text) {
        return Some(text.to_owned());
    }
    let known = || parameters(&facts.template);
    let help = match did_you_mean(text, known()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known().next().is_none() => {
            "the path has no parameter; say by `list` where the answer lists accounts".to_owned()
        }
        None => format!("known: {}", listed(known())),
    };
    value.report(
        value
            .fault("P0317", format!("no path parameter is called {}", quoted(text)))
            .label(format!("{} {}, {}", facts.method, facts.template, facts.origin))
            .help(help),
    );
    None
}

fn list(items: Value<'_>, id: Value<'_>, facts: &OperationFacts) -> Option<AccountList> {
    let (list, member) = (items.pointer()?, id.pointer()?);
    if facts.answer_streams {
        items.report(
            items
                .fault("P0316", "no account can be left out of this answer")
                .label("the contract describes one that is no JSON, and it streams through unread")
                .help(format!("say `list` at operations whose answer is JSON; see {}", facts.origin)),
        );
        return None;
    }
    let there = described(items, &list, FieldKind::Array, facts, "a list");
    let inner = format!("{list}/*{member}");
    // Where the list itself is not there, nothing is said of its items.
    let named = there && described(id, &inner, FieldKind::Text, facts, "a text");
    (there && named).then_some(AccountList { items: FieldPath::parse(&list)?, id: FieldPath::parse(&member)? })
}

// What a filter does not find it cannot leave out: a place has to be described, open answers or not.
fn described(value: Value<'_>, pointer: &str, wanted: FieldKind, facts: &OperationFacts, what: &str) -> bool {
    let shape: &Shape = &facts.answer;
    let message = match shape.kind(pointer) {
        Some(kind) if kind == wanted || kind == FieldKind::Any => return true,
        Some(_) => format!("what stands at {} of the answer is not {what}", quoted(pointer)),
        None => format!("the answer has no {}", quoted(pointer)),
    };
    let known = || {
        let fits = |kind: FieldKind| kind == wanted || kind == FieldKind::Any;
        shape.fields.iter().filter(move |(_, kind)| fits(*kind)).map(|(known, _)| known.as_str())
    };
    let help = match did_you_mean(pointer, known()) {
        Some(place) => Some(format!("did you mean `{place}`?")),
        None if known().next().is_none() => None,
        None => Some(format!("known: {}", listed(known()))),
    };
    value.report(
        value
            .fault("P0305", message)
            .label(format!("{} {}, {}", facts.method, facts.template, facts.origin))
            .help_if(help),
    );
    false
}

/// Goes through the names of the parameters of a path.
pub(super) fn parameters(template: &str) -> impl Iterator<Item = &str> + Clone {
    template.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name))
}
