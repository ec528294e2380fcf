//! The seeded country: organisations, customers, accounts and the scenario of each customer.
//!
//! The same in every run, so that examples and tests can name them. Every person is born in the 1800s (seventh
//! digit of the IIN 1 or 2): the numbers are well formed and belong to nobody alive.

use policies::national::{Bin, Iban, Iin};
use std::fmt;
use uuid::Uuid;

/// How many customers the country has.
pub const CUSTOMERS: usize = 30;
/// How many accounts each customer has.
pub const ACCOUNTS_PER_CUSTOMER: usize = 2;

/// The two banks in which the customers have their accounts: odd customers in the first, even in the second.
const BANKS: [(&str, &str); 2] = [("demo-bank", "901"), ("demo-second-bank", "902")];
/// Who may act for whom beside the customer's own bank: organisation, first customer, last customer.
const MANDATES: [(&str, usize, usize); 3] = [("demo-fintech", 1, 9), ("demo-payments", 10, 11), ("demo-mfo", 12, 13)];
/// The scenarios of the first customers; all further ones match.
const SCENARIOS: [Scenario; 9] = [
    Scenario::Match,
    Scenario::Match,
    Scenario::NoMatch,
    Scenario::Spoof,
    Scenario::CouldNotTell,
    Scenario::Late,
    Scenario::Duplicate,
    Scenario::Forged,
    Scenario::Error,
];
const PRODUCTS: [&str; ACCOUNTS_PER_CUSTOMER] = ["current", "savings"];

/// Given and family names; invented pairs.
const NAMES: [(&str, &str); CUSTOMERS] = [
    ("Aisulu", "Sandbaeva"),
    ("Bolat", "Sandbaev"),
    ("Saule", "Demova"),
    ("Daniyar", "Demov"),
    ("Gulnar", "Testova"),
    ("Erlan", "Testov"),
    ("Zhanar", "Samplova"),
    ("Kairat", "Samplov"),
    ("Madina", "Mockova"),
    ("Nurlan", "Mockov"),
    ("Raushan", "Sandbaeva"),
    ("Serik", "Sandbaev"),
    ("Togzhan", "Demova"),
    ("Askar", "Demov"),
    ("Dinara", "Testova"),
    ("Bauyrzhan", "Testov"),
    ("Aliya", "Samplova"),
    ("Marat", "Samplov"),
    ("Assel", "Mockova"),
    ("Timur", "Mockov"),
    ("Kamila", "Sandbaeva"),
    ("Yerzhan", "Sandbaev"),
    ("Botagoz", "Demova"),
    ("Ruslan", "Demov"),
    ("Laura", "Testova"),
    ("Sanzhar", "Testov"),
    ("Meruert", "Samplova"),
    ("Talgat", "Samplov"),
    ("Zarina", "Mockova"),
    ("Olzhas", "Mockov"),
];

/// What happens when a customer's identity is to be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scenario {
    /// The face is the customer's.
    Match,
    /// The face is another person's.
    NoMatch,
    /// The camera is shown a picture or a recording.
    Spoof,
    /// The pictures are too poor to tell.
    CouldNotTell,
    /// The customer leaves; the provider never calls back.
    Late,
    /// The face matches and the provider calls back twice with the same message id.
    Duplicate,
    /// Somebody else calls back, with a signature of the wrong secret.
    Forged,
    /// The provider answers 503 when the session is asked for.
    Error,
}

impl Scenario {
    /// The word that stands in tables and pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::NoMatch => "no_match",
            Self::Spoof => "spoof",
            Self::CouldNotTell => "could_not_tell",
            Self::Late => "late",
            Self::Duplicate => "duplicate",
            Self::Forged => "forged",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An organisation that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisation {
    /// The name that programs use, as in the header `x-qaqpa-organisation`.
    pub id: &'static str,
    /// The name that people read.
    pub title: &'static str,
    /// `bank`, `payment_organisation`, `mfo`, `fintech` or `treasury`.
    pub kind: &'static str,
    /// The business identification number.
    pub bin: Bin,
    /// The three digits in its accounts' IBANs; banks only.
    pub bank_code: Option<&'static str>,
}

/// A customer of one of the two banks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// The individual identification number.
    pub iin: Iin,
    /// Given name and family name.
    pub name: String,
    /// The bank in which the accounts are, by organisation id.
    pub bank: &'static str,
    /// The organisations beside the bank that may act for this customer.
    pub mandates: Vec<&'static str>,
    /// What happens when this customer is verified.
    pub scenario: Scenario,
}

/// An account of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account number.
    pub iban: Iban,
    /// The name of the account in paths.
    pub id: Uuid,
    /// Whose it is.
    pub owner: Iin,
    /// `current` or `savings`.
    pub product: &'static str,
    /// The balance that a fresh ledger begins with, in tiyn.
    pub opening_tiyn: i64,
}

/// A customer as an identity provider sees one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The individual identification number.
    pub iin: Iin,
    /// What happens when this customer is verified.
    pub scenario: Scenario,
    /// The customer's first account.
    pub iban: Iban,
}

/// The six organisations.
#[must_use]
pub fn organisations() -> Vec<Organisation> {
    let [(first, first_code), (second, second_code)] = BANKS;
    [
        (first, "Demo Bank", "bank", "260140000015", Some(first_code)),
        (second, "Second Demo Bank", "bank", "260140000025", Some(second_code)),
        ("demo-payments", "Demo Payments", "payment_organisation", "260140000035", None),
        ("demo-mfo", "Demo Microfinance", "mfo", "260140000045", None),
        ("demo-fintech", "Demo Fintech", "fintech", "260140000055", None),
        ("demo-treasury", "Demo Treasury", "treasury", "260140000065", None),
    ]
    .into_iter()
    .filter_map(|(id, title, kind, bin, bank_code)| {
        // A wrong number in the table above would lose a row; a test counts them.
        Some(Organisation { id, title, kind, bin: Bin::parse(bin).ok()?, bank_code })
    })
    .collect()
}

/// The thirty customers.
#[must_use]
pub fn customers() -> Vec<Customer> {
    numbered().map(|(number, customer)| (number, customer).1).collect()
}

/// The sixty accounts, two of each customer, in the order of the customers.
#[must_use]
pub fn accounts() -> Vec<Account> {
    numbered()
        .flat_map(|(number, customer)| {
            PRODUCTS.iter().enumerate().filter_map(move |(index, product)| {
                let ordinal = index + 1;
                let (_, bank_code) = bank_of(number);
                Some(Account {
                    iban: Iban::compose(bank_code, &format!("SBX{number:08}{ordinal:02}"))?,
                    id: account_id(number, ordinal),
                    owner: customer.iin.clone(),
                    product,
                    opening_tiyn: opening_tiyn(number, ordinal),
                })
            })
        })
        .collect()
}

/// The customers as an identity provider sees them, in the order of the customers.
///
/// The first nine have given `demo-fintech` a mandate and show one scenario each, `match` twice.
#[must_use]
pub fn subjects() -> Vec<Subject> {
    let first_accounts = accounts().into_iter().step_by(ACCOUNTS_PER_CUSTOMER);
    customers()
        .into_iter()
        .zip(first_accounts)
        .map(|(customer, account)| Subject { iin: customer.iin, scenario: customer.scenario, iban: account.iban })
        .collect()
}

/// A name as strangers may read it: the given name and one letter.
pub(crate) fn masked(name: &str) -> String {
    match name.split_once(' ') {
        Some((given, family)) => format!("{given} {}.", family.chars().next().unwrap_or('*')),
        None => name.to_owned(),
    }
}

/// The bank of a customer: organisation id and bank code.
fn bank_of(number: usize) -> (&'static str, &'static str) {
    let [first, second] = BANKS;
    if number % 2 == 1 { first } else { second }
}

fn numbered() -> impl Iterator<Item = (usize, Customer)> {
    NAMES.iter().enumerate().filter_map(|(index, (given, family))| {
        let number = index + 1;
        let mandates = MANDATES
            .iter()
            .filter(|(_, from, to)| (*from..=*to).contains(&number))
            .map(|(organisation, _, _)| *organisation)
            .collect();
        let customer = Customer {
            iin: iin(number)?,
            name: format!("{given} {family}"),
            bank: bank_of(number).0,
            mandates,
            scenario: SCENARIOS.get(index).copied().unwrap_or(Scenario::Match),
        };
        Some((number, customer))
    })
}

/// The number of a person born in the 1880s or 1890s; women have odd customer numbers.
fn iin(number: usize) -> Option<Iin> {
    let date = format!("{:02}{:02}{:02}", 80 + number % 20, 1 + number % 12, 1 + number % 28);
    let century_and_sex = if number % 2 == 1 { 2 } else { 1 };
    let first = u16::try_from(number).ok()? * 10;
    // Some prefixes are never issued; the next serial number then is.
    (first..first + 10).find_map(|serial| Iin::compose(&date, century_and_sex, serial))
}

/// A legible UUID of version 7, with the time 2026-01-01 and the customer's and account's number at its end.
fn account_id(number: usize, ordinal: usize) -> Uuid {
    const TEMPLATE: u128 = 0x019b_76da_a800_7000_8000_0000_0000_0000;
    // Written in decimal digits that read the same in hexadecimal: customer 12, account 2 ends in 1202.
    let decimal = |value: usize| (value / 10 * 16 + value % 10) as u128;
    Uuid::from_u128(TEMPLATE | decimal(number) << 8 | decimal(ordinal))
}

/// Between 350 000 and 4 000 000 tenge, and not round.
fn opening_tiyn(number: usize, ordinal: usize) -> i64 {
    let number = i64::try_from(number).unwrap_or_default();
    match ordinal {
        1 => 35_000_000 + number * 1_234_567,
        _ => 120_000_000 + number * 9_254_321,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_country_is_complete_and_nobody_is_twice() {
        assert_eq!(organisations().len(), 6);
        assert_eq!(customers().len(), CUSTOMERS);
        assert_eq!(accounts().len(), CUSTOMERS * ACCOUNTS_PER_CUSTOMER);
        assert_eq!(subjects().len(), CUSTOMERS);
        assert_eq!(customers().iter().map(|c| c.iin.clone()).collect::<HashSet<_>>().len(), CUSTOMERS);
        assert_eq!(accounts().iter().map(|a| a.iban.clone()).collect::<HashSet<_>>().len(), 60);
        assert_eq!(accounts().iter().map(|a| a.id).collect::<HashSet<_>>().len(), 60);
        assert_eq!(accounts(), accounts());
    }

    #[test]
    fn nobody_alive_has_such_a_number() {
        for customer in customers() {
            let seventh = customer.iin.as_str().chars().nth(6).unwrap();
            assert!(matches!(seventh, '1' | '2'));
        }
    }

    #[test]
    fn the_fintech_has_mandates_of_every_scenario() {
        let mandated: Vec<_> = customers().into_iter().filter(|c| c.mandates.contains(&"demo-fintech")).collect();
        assert_eq!(mandated.len(), 9);
        let first: Vec<_> = mandated.iter().take(5).map(|c| c.scenario).collect();
        assert_eq!(first.iter().filter(|s| **s == Scenario::Match).count(), 2);
        assert!(first.contains(&Scenario::NoMatch));
        assert_eq!(mandated.iter().map(|c| c.scenario).collect::<HashSet<_>>().len(), 8);
    }

    #[test]
    fn the_front_page_names_everybody() {
        let page = include_str!("../README.md");
        for organisation in organisations() {
            let code = organisation.bank_code.unwrap_or("-");
            let row = format!(
                "| `{}` | {} | `{}` | {} | {code} |",
                organisation.id, organisation.title, organisation.kind, organisation.bin
            );
            assert!(page.contains(&row), "{row}");
        }
        for ((number, customer), subject) in numbered().zip(subjects()) {
            let mandates = customer.mandates.join(", ");
            let row = format!(
                "| {number} | {} | `{}` | `{}` | {} | {} | {} |",
                customer.name,
                subject.iin.as_str(),
                subject.iban.as_str(),
                customer.bank,
                if mandates.is_empty() { "-" } else { &mandates },
                customer.scenario
            );
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn a_masked_name_keeps_one_letter_of_the_family() {
        assert_eq!(masked("Aisulu Sandbaeva"), "Aisulu S.");
        assert_eq!(masked("Single"), "Single");
        assert_eq!(masked("Given "), "Given *.");
    }
}
