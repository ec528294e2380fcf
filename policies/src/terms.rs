//! The terms of a consent as clients write them: bodies of the consents' endpoints, and details of pushed requests.
//!
//! Both are read here, so that what a citizen is asked is the same whichever way it came. This module must not know how
//! long a consent may last: see [`Consent::create`](crate::consent::Consent::create).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::consent::{ACCOUNTS_MAX, AccountAccess, ConsentKind, PaymentOrder, Permission, Terms};
use crate::national::iban::Iban;
use crate::national::money::Money;
use crate::time::Timestamp;

/// The longest purpose, in characters: two lines of a page.
pub const PURPOSE_CHARACTERS_MAX: usize = 140;

/// The longest name of a creditor, in characters (ISO 20022, Max140Text).
pub const NAME_CHARACTERS_MAX: usize = 140;

/// The longest text for the creditor, in characters: three lines of 140.
pub const REMITTANCE_CHARACTERS_MAX: usize = 420;

/// What a client wants a citizen to agree to, well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTerms {
    /// What.
    pub terms: Terms,
    /// When it is to be over; none leaves that to policy.
    pub lasts_until: Option<Timestamp>,
}

/// One fault of terms, by its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsFault {
    /// A JSON pointer.
    pub pointer: String,
    /// The sentence for people; never holds the value.
    pub message: &'static str,
}

impl NewTerms {
    /// Reads terms; every member has to be known.
    ///
    /// # Errors
    /// All [`TermsFault`]s, at least one.
    pub fn parse(kind: ConsentKind, value: &Value) -> Result<Self, Vec<TermsFault>> {
        let Value::Object(members) = value else {
            return Err(vec![TermsFault { pointer: String::new(), message: "terms are an object" }]);
        };
        let mut reader = Reader { members, faults: Vec::new() };
        let terms = match kind {
            ConsentKind::AccountAccess => account_access(&mut reader).map(Terms::AccountAccess),
            ConsentKind::DomesticPayment => {
                order(&mut reader).filter(|order| elsewhere(order, &mut reader)).map(Terms::DomesticPayment)
            }
        };
        let lasts_until = reader.optional("expiresAt", |value| {
            let text = value.as_str().ok_or("a point in time is a text")?;
            Timestamp::parse(text).ok_or("a point in time is written like 2026-12-31T19:00:00Z")
        });
        let known: &[&str] = match kind {
            ConsentKind::AccountAccess => &["permissions", "accounts", "purpose", "expiresAt"],
            ConsentKind::DomesticPayment => &ORDER_MEMBERS_AND_END,
        };
        reader.only(known);
        match terms {
            Some(terms) if reader.faults.is_empty() => Ok(Self { terms, lasts_until }),
            _ => Err(reader.faults),
        }
    }
}

const ORDER_MEMBERS_AND_END: [&str; 7] = [
    "debtorAccount",
    "creditorAccount",
    "creditorName",
    "instructedAmount",
    "knp",
    "remittanceInformation",
    "expiresAt",
];

/// Reads a payment order out of an object that holds one; `None` if it is none, or has another member than those and
/// `beside`.
#[must_use]
pub(crate) fn read_order(members: &Map<String, Value>, beside: &[&str]) -> Option<PaymentOrder> {
    let mut reader = Reader { members, faults: Vec::new() };
    let read = order(&mut reader)?;
    let known: Vec<&str> =
        ORDER_MEMBERS_AND_END.into_iter().filter(|name| *name != "expiresAt").chain(beside.iter().copied()).collect();
    reader.only(&known);
    reader.faults.is_empty().then_some(read)
}

/// Writes the members of a payment order, as the contract has them.
#[must_use]
pub fn order_members(order: &PaymentOrder) -> Map<String, Value> {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    if let Some(debtor) = &order.debtor {
        put("debtorAccount", json!({ "iban": debtor.as_str() }));
    }
    put("creditorAccount", json!({ "iban": order.creditor.as_str() }));
    put("creditorName", Value::from(order.creditor_name.as_str()));
    let amount = json!({ "amount": order.amount.amount(), "currency": order.amount.currency().code() });
    put("instructedAmount", amount);
    put("knp", Value::from(order.knp.as_str()));
    if let Some(remittance) = &order.remittance {
        put("remittanceInformation", Value::from(remittance.as_str()));
    }
    members
}

/// Reads permissions: an array of words, no word twice, and `accounts` among them.
///
/// Who may see what is in an account may see which account it is: the rest is no group that could be agreed to.
///
/// # Errors
/// The place within the array, where there is one, and what is wrong.
pub(crate) fn read_permissions(value: &Value) -> Result<BTreeSet<Permission>, (Option<usize>, &'static str)> {
    let Value::Array(words) = value else { return Err((None, "permissions are a list")) };
    let mut permissions = BTreeSet::new();
    for (index, word) in words.iter().enumerate() {
        let permission = word.as_str().and_then(Permission::from_word).ok_or((Some(index), "no such permission"))?;
        if !permissions.insert(permission) {
            return Err((Some(index), "the permission stands twice"));
        }
    }
    if permissions.is_empty() {
        return Err((None, "at least one permission is needed"));
    }
    if !permissions.contains(&Permission::Accounts) {
        return Err((None, "balances and transactions need the permission `accounts`"));
    }
    Ok(permissions)
}

struct Reader<'a> {
    members: &'a Map<String, Value>,
    faults: Vec<TermsFault>,
}

impl Reader<'_> {
    fn fault(&mut self, pointer: String, message: &'static str) {
        self.faults.push(TermsFault { pointer, message });
    }

    fn optional<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, &'static str>) -> Option<T> {
        let found = read(self.members.get(name)?);
        found.map_err(|message| self.fault(format!("/{name}"), message)).ok()
    }

    fn required<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, &'static str>) -> Option<T> {
        if !self.members.contains_key(name) {
            self.fault(format!("/{name}"), "the member is missing");
        }
        self.optional(name, read)
    }

    // Names of strange members are somebody's text: told by their place alone, and bounded.
    fn only(&mut self, known: &[&str]) {
        if self.members.keys().any(|name| !known.contains(&name.as_str())) {
            self.fault(String::new(), "there is a member that has no meaning here");
        }
    }
}

fn account_access(reader: &mut Reader<'_>) -> Option<AccountAccess> {
    let mut at = None;
    let permissions = match reader.members.get("permissions").map(read_permissions) {
        Some(Ok(permissions)) => Some(permissions),
        Some(Err((index, message))) => {
            at = Some((index, message));
            None
        }
        None => {
            at = Some((None, "the member is missing"));
            None
        }
    };
    if let Some((index, message)) = at {
        let pointer = index.map_or_else(|| "/permissions".to_owned(), |index| format!("/permissions/{index}"));
        reader.fault(pointer, message);
    }
    let wanted = reader.optional("accounts", wanted);
    let purpose = reader.optional("purpose", |value| text(value, PURPOSE_CHARACTERS_MAX));
    Some(AccountAccess { permissions: permissions?, wanted: wanted.unwrap_or_default(), shared: Vec::new(), purpose })
}

fn wanted(value: &Value) -> Result<BTreeSet<Iban>, &'static str> {
    let Value::Array(accounts) = value else { return Err("accounts are a list") };
    if accounts.is_empty() || accounts.len() > ACCOUNTS_MAX {
        return Err("a consent names 1 to 20 accounts, or none");
    }
    let mut wanted = BTreeSet::new();
    for account in accounts {
        if !wanted.insert(iban(account)?) {
            return Err("an account stands twice");
        }
    }
    Ok(wanted)
}

fn order(reader: &mut Reader<'_>) -> Option<PaymentOrder> {
    let debtor = reader.optional("debtorAccount", iban);
    let creditor = reader.required("creditorAccount", iban);
    let creditor_name = reader.required("creditorName", |value| text(value, NAME_CHARACTERS_MAX));
    let amount = reader.required("instructedAmount", money);
    let knp = reader.required("knp", |value| {
        let code = value.as_str().filter(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()));
        code.map(str::to_owned).ok_or("the code of a purpose has three digits")
    });
    let remittance = reader.optional("remittanceInformation", |value| text(value, REMITTANCE_CHARACTERS_MAX));
    Some(PaymentOrder {
        debtor,
        creditor: creditor?,
        creditor_name: creditor_name?,
        amount: amount?,
        knp: knp?,
        remittance,
    })
}

// A payment from an account to itself moves nothing, and is never what somebody means.
fn elsewhere(order: &PaymentOrder, reader: &mut Reader<'_>) -> bool {
    let elsewhere = order.debtor.as_ref() != Some(&order.creditor);
    if !elsewhere {
        reader.fault("/creditorAccount".to_owned(), "the payment would go back to its own account");
    }
    elsewhere
}

fn iban(value: &Value) -> Result<Iban, &'static str> {
    let members = value.as_object().filter(|members| members.len() == 1).ok_or("an account is {\"iban\": ..}")?;
    let text = members.get("iban").and_then(Value::as_str).ok_or("an account is {\"iban\": ..}")?;
    Iban::parse(text).map_err(|_| "this is no account number of Kazakhstan")
}

fn money(value: &Value) -> Result<Money, &'static str> {
    let shape = "an amount is {\"amount\": \"1000.00\", \"currency\": \"KZT\"}";
    let members = value.as_object().filter(|members| members.len() == 2).ok_or(shape)?;
    let part = |name: &str| members.get(name).and_then(Value::as_str).ok_or(shape);
    let money = Money::parse(part("amount")?, part("currency")?).map_err(|_| shape)?;
    if money.tiyn() > 0 { Ok(money) } else { Err("an amount is more than nothing") }
}

fn text(value: &Value, characters_max: usize) -> Result<String, &'static str> {
    let text = value.as_str().ok_or("this is a text")?;
    if text.trim().is_empty() || text.chars().count() > characters_max {
        return Err("the text is empty or too long");
    }
    // What is shown to a citizen may not turn lines around or hide parts of itself.
    if text.chars().any(is_unseen) {
        return Err("the text holds characters that cannot be seen");
    }
    Ok(text.to_owned())
}

// Control characters, and the marks that change the direction of what follows, take no room or are a letter without ink
// (Unicode UAX 9, UTR 36, and what is to be ignored by default): a payee of such letters alone would be shown as nobody.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod tests;
