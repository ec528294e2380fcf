//! The books under random use: whatever is asked in whatever order, money is neither made nor lost.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use super::ledger::{Booked, Leave, Ledger, LedgerError, Order, Refusal};
use crate::personas;
use crate::rehearsal::{Dice, Scratch};
use policies::national::{Currency, Iban, Money};
use std::collections::HashMap;
use uuid::Uuid;

const ROUNDS: usize = 6;
const ORDERS: usize = 250;
/// References are thrown from so few that many come again.
const REFERENCES: usize = 120;

/// What a simple mind expects of the books.
struct Model {
    balances: HashMap<String, i64>,
    /// By reference: the digest and the organisation of what was booked.
    booked: HashMap<Uuid, ([u8; 32], &'static str)>,
    left: i64,
}

impl Model {
    fn new() -> Self {
        let balance = |account: personas::Account| (account.iban.as_str().to_owned(), account.opening_tiyn);
        let balances = personas::accounts().into_iter().map(balance).collect();
        Self { balances, booked: HashMap::new(), left: 0 }
    }

    fn expect(&mut self, order: &Order) -> Result<bool, Refusal> {
        if let Some(booked) = self.booked.get(&order.reference) {
            let same = *booked == (order.digest, order.organisation);
            return if same { Ok(false) } else { Err(Refusal::ReferenceReused) };
        }
        let accounts = personas::accounts();
        let customers = personas::customers();
        let owner = accounts.iter().position(|account| account.iban == order.debtor).map(|at| &customers[at / 2]);
        let acts = |customer: &&personas::Customer| {
            customer.bank == order.organisation || customer.mandates.contains(&order.organisation)
        };
        let owner = owner.filter(acts).ok_or(Refusal::DebtorUnknown)?;
        if order.payer.as_ref().is_some_and(|payer| *payer != owner.iin) {
            return Err(Refusal::PayerMismatch);
        }
        if order.debtor == order.creditor {
            return Err(Refusal::SameAccount);
        }
        let (debtor, creditor) = (order.debtor.as_str(), order.creditor.as_str());
        if !self.balances.contains_key(creditor) && ["901", "902"].contains(&order.creditor.bank_code()) {
            return Err(Refusal::CreditorUnknown);
        }
        let tiyn = order.amount.tiyn();
        if self.balances[debtor] < tiyn {
            return Err(Refusal::InsufficientFunds);
        }
        *self.balances.get_mut(debtor).unwrap() -= tiyn;
        match self.balances.get_mut(creditor) {
            Some(balance) => *balance += tiyn,
            None => self.left += tiyn,
        }
        self.booked.insert(order.reference, (order.digest, order.organisation));
        Ok(true)
    }
}

/// An order in which anything may be wrong, and often is not.
fn thrown(dice: &mut Dice) -> Order {
    let accounts = personas::accounts();
    let customers = personas::customers();
    let organisations = ["demo-fintech", "demo-bank", "demo-second-bank", "demo-payments", "demo-treasury"];
    let elsewhere = [Iban::parse("KZ86125KZT5004100100").unwrap(), Iban::compose("901", "SBX9999999999").unwrap()];
    let debtor = dice.throw(20);
    let creditor = match dice.throw(8) {
        0 => elsewhere[dice.throw(2)].clone(),
        1 => accounts[debtor].iban.clone(),
        _ => accounts[dice.throw(accounts.len())].iban.clone(),
    };
    let payer = match dice.throw(4) {
        0 => Some(customers[dice.throw(customers.len())].iin.clone()),
        1 => Some(accounts[debtor].owner.clone()),
        _ => None,
    };
    let tiyn = match dice.throw(3) {
        0 => 1 + dice.throw(100),
        1 => 1 + dice.throw(10_000_000),
        _ => 1 + dice.throw(200_000_000),
    };
    // Few bodies per reference, so that the same and another one both come.
    let reference = dice.throw(REFERENCES);
    Order {
        reference: Uuid::from_u128(reference as u128 + 1),
        organisation: organisations[dice.throw(organisations.len())],
        leave: Leave::Mandates,
        payer,
        digest: [u8::try_from(dice.throw(2)).unwrap(); 32],
        debtor: accounts[debtor].iban.clone(),
        creditor,
        creditor_name: "Somebody".to_owned(),
        amount: Money::from_tiyn(i64::try_from(tiyn).unwrap(), Currency::Kzt),
        knp: "119".to_owned(),
        remittance: None,
        created_at: "2026-11-22T00:00:00Z".to_owned(),
    }
}

#[test]
fn money_is_neither_made_nor_lost() {
    let mut outcomes = HashMap::new();
    for _ in 0..ROUNDS {
        let seed = Dice::fresh().0;
        let mut dice = Dice(seed);
        let scratch = Scratch::new();
        let file = scratch.file("ledger.sqlite");
        let mut ledger = Ledger::open(&file).unwrap();
        let mut model = Model::new();
        let mut pending = false;
        for number in 0..ORDERS {
            if !pending {
                ledger.begin().unwrap();
                pending = true;
            }
            let order = thrown(&mut dice);
            let expected = model.expect(&order);
            let found = match ledger.book(&order) {
                Ok(Booked::Now(_)) => Ok(true),
                Ok(Booked::Before(_)) => Ok(false),
                Err(LedgerError::Refused(refusal)) => Err(refusal),
                Err(error) => panic!("{error:?}; seed {seed}, order {number}"),
            };
            assert_eq!(found, expected, "seed {seed}, order {number}");
            *outcomes.entry(format!("{found:?}")).or_insert(0) += 1;
            if dice.throw(5) == 0 {
                ledger.commit().unwrap();
                pending = false;
            }
            if dice.throw(50) == 0 && !pending {
                // Opening audits the books.
                drop(ledger);
                ledger = Ledger::open(&file).unwrap();
            }
        }
        if pending {
            ledger.commit().unwrap();
        }
        drop(ledger);
        let ledger = Ledger::open(&file).unwrap();
        for bank in ["demo-bank", "demo-second-bank"] {
            for row in ledger.accounts(bank, &Leave::Mandates).unwrap() {
                assert_eq!(model.balances[&row.iban], row.balance_tiyn, "seed {seed}");
            }
        }
    }
    assert_eq!(outcomes.len(), 8, "every outcome was thrown: {outcomes:?}");
}

#[test]
fn what_is_rolled_back_was_never_there() {
    let scratch = Scratch::new();
    let mut ledger = Ledger::open(&scratch.file("ledger.sqlite")).unwrap();
    let accounts = personas::accounts();
    let order = Order {
        organisation: "demo-bank",
        leave: Leave::Mandates,
        payer: None,
        debtor: accounts[0].iban.clone(),
        creditor: accounts[2].iban.clone(),
        amount: Money::from_tiyn(100, Currency::Kzt),
        ..thrown(&mut Dice(1))
    };
    for _ in 0..2 {
        ledger.begin().unwrap();
        assert!(matches!(ledger.book(&order), Ok(Booked::Now(_))));
        ledger.roll_back();
        assert!(!ledger.in_transaction());
    }
    let rows = ledger.accounts("demo-bank", &Leave::Mandates).unwrap();
    assert_eq!(rows[0].balance_tiyn, accounts[0].opening_tiyn);
}
