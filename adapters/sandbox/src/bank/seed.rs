//! What a fresh ledger begins with: tables, accounts, mandates and some months of ordinary life.

use super::posting::{ELSEWHERE, Entry, ISSUANCE, Side, settlement, transfer};
use crate::personas::{self, Account, Customer};
use policies::national::Iban;
use rusqlite::{Connection, params};

/// The tables. A customer's balance is never negative; every other account may owe.
const SCHEMA: &str = "
CREATE TABLE accounts (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('customer', 'settlement', 'issuance', 'elsewhere')),
  iban TEXT NOT NULL UNIQUE,
  owner_iin TEXT NOT NULL,
  owner_name TEXT NOT NULL,
  bank TEXT NOT NULL,
  product TEXT NOT NULL,
  status TEXT NOT NULL,
  balance_tiyn INTEGER NOT NULL DEFAULT 0 CHECK (kind <> 'customer' OR balance_tiyn >= 0)
) STRICT;
CREATE INDEX accounts_by_owner ON accounts (owner_iin);
CREATE TABLE mandates (
  organisation TEXT NOT NULL,
  iin TEXT NOT NULL,
  PRIMARY KEY (organisation, iin)
) STRICT, WITHOUT ROWID;
CREATE TABLE payments (
  id TEXT PRIMARY KEY,
  created_at TEXT NOT NULL,
  debtor_iban TEXT NOT NULL,
  creditor_iban TEXT NOT NULL,
  creditor_name TEXT NOT NULL,
  tiyn INTEGER NOT NULL CHECK (tiyn > 0),
  knp TEXT NOT NULL,
  remittance TEXT,
  organisation TEXT NOT NULL,
  digest BLOB NOT NULL
) STRICT;
CREATE TABLE entries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  booked_at TEXT NOT NULL,
  knp TEXT NOT NULL,
  remittance TEXT,
  payment TEXT UNIQUE REFERENCES payments (id)
) STRICT;
CREATE TABLE postings (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  entry INTEGER NOT NULL REFERENCES entries (id),
  account TEXT NOT NULL REFERENCES accounts (id),
  tiyn INTEGER NOT NULL CHECK (tiyn <> 0),
  counterparty_name TEXT NOT NULL,
  counterparty_iban TEXT NOT NULL
) STRICT;
CREATE INDEX postings_by_account ON postings (account, id);
CREATE INDEX postings_by_entry ON postings (entry);
";

/// What each bank has with the National Bank at first: 100 billion tenge.
const SETTLEMENT_OPENING_TIYN: i64 = 10_000_000_000_000;
/// When the opening balances were issued.
const OPENED_AT: &str = "2026-01-05T04:00:00Z";
/// The months of 2026 with ordinary life in them.
const MONTHS: std::ops::RangeInclusive<i64> = 3..=10;
/// The bank code of those who are not in this ledger.
const ELSEWHERE_BANK_CODE: &str = "903";

/// Somebody outside of this ledger who is paid each month by every customer.
struct Merchant {
    name: &'static str,
    day: i64,
    knp: &'static str,
    remittance: &'static str,
    tiyn: i64,
}

const EMPLOYER: &str = "Demo Works LLP";
const SALARY_TIYN: i64 = 28_000_000;
const SAVING_TIYN: i64 = 9_000_000;
const INTEREST_TIYN: i64 = 610_000;

const MERCHANTS: [Merchant; 4] = [
    Merchant { name: "Demo Housing", day: 7, knp: "859", remittance: "Rent", tiyn: 9_000_000 },
    Merchant { name: "Demo Grocery", day: 9, knp: "710", remittance: "Groceries", tiyn: 2_950_000 },
    Merchant { name: "Demo Utilities", day: 15, knp: "853", remittance: "Heating, water, light", tiyn: 2_210_000 },
    Merchant { name: "Demo Grocery", day: 22, knp: "710", remittance: "Groceries", tiyn: 3_120_000 },
];

/// A transfer of the past; accounts are named by their place in the country.
struct Past {
    at: String,
    knp: &'static str,
    remittance: &'static str,
    from: Party,
    to: Party,
    tiyn: i64,
}

enum Party {
    /// An account of the country.
    Ours(usize),
    /// Somebody of this name elsewhere.
    Theirs(&'static str),
}

/// Makes the tables and fills them.
pub(super) fn plant(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)?;
    let customers = personas::customers();
    let accounts = personas::accounts();
    plant_accounts(connection, &customers, &accounts)?;
    let history = history(accounts.len());
    issue(connection, &customers, &accounts, &history)?;
    for past in &history {
        let resolve = |party: &Party| match party {
            Party::Ours(index) => side(&customers, &accounts, *index),
            Party::Theirs(name) => OwnedSide {
                account: ELSEWHERE.to_owned(),
                bank: ELSEWHERE.to_owned(),
                name: (*name).to_owned(),
                iban: iban_elsewhere(name),
            },
        };
        let (from, to) = (resolve(&past.from), resolve(&past.to));
        let entry = Entry { booked_at: &past.at, knp: past.knp, remittance: Some(past.remittance), payment: None };
        transfer(connection, &entry, from.lend(), to.lend(), past.tiyn)?;
    }
    Ok(())
}

fn plant_accounts(connection: &Connection, customers: &[Customer], accounts: &[Account]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare(
        "INSERT INTO accounts (id, kind, iban, owner_iin, owner_name, bank, product, status)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'active')",
    )?;
    // Accounts of the house have no number of their own; their name stands in its place.
    for (id, kind) in [(ISSUANCE.to_owned(), "issuance"), (ELSEWHERE.to_owned(), "elsewhere")]
        .into_iter()
        .chain(banks().map(|bank| (settlement(bank), "settlement")))
    {
        insert.execute(params![id, kind, id, "", "National Bank", "national-bank", kind])?;
    }
    for (index, account) in accounts.iter().enumerate() {
        let owner = customer_of(customers, index);
        let (name, bank) = owner.map_or(("", ""), |customer| (customer.name.as_str(), customer.bank));
        insert.execute(params![
            account.id.to_string(),
            "customer",
            account.iban.as_str(),
            account.owner.as_str(),
            name,
            bank,
            account.product
        ])?;
    }
    let mut mandate = connection.prepare("INSERT INTO mandates (organisation, iin) VALUES (?1, ?2)")?;
    for customer in customers {
        // A bank acts for its own customers by contract, so one table answers for banks and others.
        for organisation in customer.mandates.iter().chain([&customer.bank]) {
            mandate.execute(params![organisation, customer.iin.as_str()])?;
        }
    }
    Ok(())
}

/// Issues what makes every balance the documented opening balance once the history is booked.
fn issue(
    connection: &Connection,
    customers: &[Customer],
    accounts: &[Account],
    history: &[Past],
) -> rusqlite::Result<()> {
    let issuance = OwnedSide {
        account: ISSUANCE.to_owned(),
        bank: String::new(),
        name: "National Bank".to_owned(),
        iban: iban_elsewhere("National Bank"),
    };
    let entry = Entry { booked_at: OPENED_AT, knp: "390", remittance: Some("Opening balance"), payment: None };
    for bank in banks() {
        let to =
            OwnedSide { account: settlement(bank), bank: String::new(), name: bank.to_owned(), iban: settlement(bank) };
        transfer(connection, &entry, issuance.lend(), to.lend(), SETTLEMENT_OPENING_TIYN)?;
    }
    for (index, account) in accounts.iter().enumerate() {
        let moved: i64 = history
            .iter()
            .map(|past| match (&past.from, &past.to) {
                (Party::Ours(from), _) if *from == index => -past.tiyn,
                (_, Party::Ours(to)) if *to == index => past.tiyn,
                _ => 0,
            })
            .sum();
        let mut to = side(customers, accounts, index);
        // The issuance credits the account directly and not over the settlement of its bank.
        to.bank = String::new();
        transfer(connection, &entry, issuance.lend(), to.lend(), account.opening_tiyn - moved)?;
    }
    Ok(())
}

/// The ordinary life of every customer, oldest first.
fn history(accounts: usize) -> Vec<Past> {
    let currents = (0..accounts).step_by(personas::ACCOUNTS_PER_CUSTOMER);
    let months = currents.flat_map(|current| MONTHS.map(move |month| (current, month)));
    let mut history: Vec<Past> = months.flat_map(|(current, month)| ordinary_month(current, month)).collect();
    // Postings are numbered as they are booked, and are read back in that order.
    history.sort_by(|a, b| a.at.cmp(&b.at));
    history
}

/// Salary, saving, rent, groceries, utilities and interest of one customer in one month.
fn ordinary_month(current: usize, month: i64) -> Vec<Past> {
    let customer = current / personas::ACCOUNTS_PER_CUSTOMER;
    let number = i64::try_from(customer).unwrap_or_default();
    // A few tenge up and down, so that no two months look alike.
    let wobble = (number * 37 + month * 101) % 997 * 100;
    let minute = (number * 7 + month) % 60;
    let past = |(day, hour), knp, remittance, from, to, tiyn| Past {
        at: format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:00Z"),
        knp,
        remittance,
        from,
        to,
        tiyn,
    };
    let (me, savings) = (|| Party::Ours(current), || Party::Ours(current + 1));
    let employer = Party::Theirs(EMPLOYER);
    let bank = Party::Theirs(if customer.is_multiple_of(2) { "Demo Bank" } else { "Second Demo Bank" });
    let mut pasts = vec![
        past((5, 6), "311", "Salary", employer, me(), SALARY_TIYN + wobble),
        past((6, 8), "342", "Saving", me(), savings(), SAVING_TIYN),
        past((28, 3), "314", "Interest", bank, savings(), INTEREST_TIYN + wobble / 7),
    ];
    for merchant in &MERCHANTS {
        let (at, to) = ((merchant.day, 12), Party::Theirs(merchant.name));
        pasts.push(past(at, merchant.knp, merchant.remittance, me(), to, merchant.tiyn + wobble / 3));
    }
    pasts
}

struct OwnedSide {
    account: String,
    bank: String,
    name: String,
    iban: String,
}

impl OwnedSide {
    fn lend(&self) -> Side<'_> {
        Side { account: &self.account, bank: &self.bank, name: &self.name, iban: &self.iban }
    }
}

fn side(customers: &[Customer], accounts: &[Account], index: usize) -> OwnedSide {
    let owner = customer_of(customers, index);
    let account = accounts.get(index);
    OwnedSide {
        account: account.map(|account| account.id.to_string()).unwrap_or_default(),
        bank: owner.map(|customer| customer.bank.to_owned()).unwrap_or_default(),
        name: owner.map(|customer| customer.name.clone()).unwrap_or_default(),
        iban: account.map(|account| account.iban.as_str().to_owned()).unwrap_or_default(),
    }
}

fn customer_of(customers: &[Customer], account_index: usize) -> Option<&Customer> {
    customers.get(account_index / personas::ACCOUNTS_PER_CUSTOMER)
}

/// The banks with a settlement account: ours, and one for all others.
fn banks() -> impl Iterator<Item = &'static str> {
    let ours = personas::organisations().into_iter().filter(|organisation| organisation.bank_code.is_some());
    ours.map(|organisation| organisation.id).chain([ELSEWHERE])
}

/// A number for somebody elsewhere that follows from the name.
fn iban_elsewhere(name: &str) -> String {
    let number = name.bytes().fold(0_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 10_000_000_000);
    let iban = Iban::compose(ELSEWHERE_BANK_CODE, &format!("SBX{number:010}"));
    iban.map(|iban| iban.as_str().to_owned()).unwrap_or_default()
}
