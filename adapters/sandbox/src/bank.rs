//! The reference National Bank: accounts and payments over HTTP, for whom the gateway says is calling.
//!
//! Believes the trusted headers, as a backend in a closed network does; so it listens on loopback only. Checks
//! again what it can check alone: mandates, ownership, balances.

mod desk;
mod fault;
mod ledger;
mod posting;
mod seed;
mod wire;

use crate::clock;
use crate::personas;
use crate::reply::{self, HungUp, Problem, Reply};
use crate::server::{self, Running, SandboxError, Site};
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use desk::Desk;
use fault::{Fault, Faults};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header::LOCATION};
use hyper::body::Incoming;
use ledger::{Booked, Leave, Ledger, LedgerError, Order, Refusal, Window};
use policies::national::{Iban, Iin, Money};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;
use wire::PaymentOrder;

/// Who calls; set by the gateway.
const ORGANISATION: &str = "x-qaqpa-organisation";
/// The name of the payment that a POST is to book.
const REFERENCE: &str = "x-qaqpa-reference";
/// The IIN of a payer whom the gateway has verified.
const PAYER: &str = "x-qaqpa-payer";
/// The consent by which the organisation acts; without one the bank asks its own mandates.
const CONSENT: &str = "x-qaqpa-consent";
/// The accounts that the consent is about, by their ids with commas between; none if it is about one payment.
const ACCOUNTS: &str = "x-qaqpa-accounts";
/// The IIN of a customer who stands before the gateway's own page and is shown their accounts.
const CUSTOMER: &str = "x-qaqpa-customer";

/// Transactions of one page when none is said, and at most.
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 500;
/// Characters of a creditor's name, as ISO 20022 has them.
const NAME_CHARS_MAX: usize = 140;
/// Characters of a remittance text: three lines of ISO 20022.
const REMITTANCE_CHARS_MAX: usize = 420;
const DAY_SECONDS: i64 = 86_400;
/// How far back transactions are given when no beginning is said.
const HISTORY_SECONDS: i64 = 90 * DAY_SECONDS;
/// Days are days of Astana, five hours east of UTC and without summer time.
const ASTANA_SECONDS: i64 = 5 * 3600;

/// How the reference National Bank is to run.
#[derive(Clone, Debug)]
pub struct BankConfig {
    /// Where to listen: a loopback address; port 0 finds a free one.
    pub listen: SocketAddr,
    /// The ledger's SQLite file; made and seeded when it does not exist.
    pub ledger: PathBuf,
}

/// Starts the reference National Bank on the current runtime.
///
/// # Errors
/// [`SandboxError::NotLoopback`] and [`SandboxError::Listen`] for the address; [`SandboxError::Ledger`],
/// [`SandboxError::NotALedger`] and [`SandboxError::Unbalanced`] for the file; [`SandboxError::Thread`].
pub async fn start_bank(config: BankConfig) -> Result<Running, SandboxError> {
    let door = server::listen(config.listen).await?;
    // Opening seeds or audits the books, which takes the disk and the processor for some time.
    let opening = tokio::task::spawn_blocking(move || Ledger::open(&config.ledger));
    let ledger = opening.await.map_err(|error| SandboxError::Thread(error.into()))??;
    let (desk, behind) = Desk::open(ledger)?;
    let organisations = personas::organisations().into_iter().map(|organisation| organisation.id).collect();
    let bank = Arc::new(Bank { desk, organisations, faults: Faults::default() });
    let (stop, _) = watch::channel(false);
    Ok(server::serve(door, bank, stop, Some(behind)))
}

struct Bank {
    desk: Desk,
    organisations: Vec<&'static str>,
    faults: Faults,
}

/// What a request leads to.
enum Outcome {
    Answer(Reply),
    HangUp,
}

impl Site for Bank {
    async fn answer(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Reply, HungUp> {
        let (parts, body) = request.into_parts();
        let mut reply = match self.route(&parts, body).await {
            Ok(Outcome::Answer(reply)) => reply,
            Ok(Outcome::HangUp) => return Err(HungUp),
            Err(problem) => problem.reply(),
        };
        reply::echo(&parts.headers, &mut reply);
        Ok(reply)
    }
}

impl Bank {
    async fn route(self: &Arc<Self>, parts: &Parts, body: Incoming) -> Result<Outcome, Problem> {
        let path: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
        let reads = reply::reads(&parts.method);
        let answer = match path.as_slice() {
            ["health"] if reads => self.health().await?,
            ["v1", "accounts"] if reads => self.accounts(parts).await?,
            ["v1", "accounts", id, "balances"] if reads => self.balances(parts, id).await?,
            ["v1", "accounts", id, "transactions"] if reads => self.transactions(parts, id).await?,
            ["v1", "domestic-payments", id] if reads => self.payment(parts, id).await?,
            ["v1", "domestic-payments"] if parts.method == http::Method::POST => {
                return self.pay(parts, body).await;
            }
            ["v1", "domestic-payments"] => reply::method_not_allowed("POST"),
            ["health"]
            | ["v1", "accounts"]
            | ["v1", "accounts", _, "balances" | "transactions"]
            | ["v1", "domestic-payments", _] => reply::method_not_allowed("GET"),
            _ => return Err(Problem::not_found("The bank has no such path.")),
        };
        Ok(Outcome::Answer(answer))
    }

    async fn health(&self) -> Result<Reply, Problem> {
        self.desk.ask(|_| Ok(())).await.map_err(problem_of)?;
        Ok(reply::json(StatusCode::OK, &serde_json::json!({ "status": "ok" })))
    }

    async fn accounts(&self, parts: &Parts) -> Result<Reply, Problem> {
        let leave = leave(parts)?;
        // The gateway itself shows customers their accounts, for no organisation.
        let organisation = match leave {
            Leave::Customer(_) => "",
            _ => self.organisation(parts)?,
        };
        let wanted = Wanted::read(parts)?;
        let rows = self.desk.ask(move |ledger| ledger.accounts(organisation, &leave)).await.map_err(problem_of)?;
        let after = wanted.cursor.unwrap_or_default();
        let mut rows: Vec<_> = rows.into_iter().filter(|row| row.id > after).collect();
        let next = cut(&mut rows, wanted.limit, |row| row.id.clone());
        Ok(reply::json(StatusCode::OK, &wire::accounts(rows, next)))
    }

    async fn balances(&self, parts: &Parts, id: &str) -> Result<Reply, Problem> {
        let (organisation, leave) = (self.organisation(parts)?, leave(parts)?);
        let id = id.to_owned();
        let row = self.desk.ask(move |ledger| ledger.account(organisation, &leave, &id)).await.map_err(problem_of)?;
        let row = row.ok_or_else(account_unknown)?;
        Ok(reply::json(StatusCode::OK, &wire::balances(row, &clock::write(clock::now()))))
    }

    async fn transactions(&self, parts: &Parts, id: &str) -> Result<Reply, Problem> {
        let (organisation, leave) = (self.organisation(parts)?, leave(parts)?);
        let wanted = Wanted::read(parts)?;
        let window = wanted.window(clock::now())?;
        let account = id.to_owned();
        let read = self.desk.ask(move |ledger| match ledger.account(organisation, &leave, &account)? {
            Some(row) => Ok(Some((ledger.transactions(&row.id, &window)?, row.id))),
            None => Ok(None),
        });
        let (mut rows, account_id) = read.await.map_err(problem_of)?.ok_or_else(account_unknown)?;
        let next = cut(&mut rows, wanted.limit, |row| row.posting.to_string());
        Ok(reply::json(StatusCode::OK, &wire::transactions(account_id, rows, next)))
    }

    async fn payment(&self, parts: &Parts, id: &str) -> Result<Reply, Problem> {
        let organisation = self.organisation(parts)?;
        let unknown = || Problem::not_found("There is no such payment of this organisation.");
        let id = Uuid::try_parse(id).map_err(|_| unknown())?;
        if self.faults.happens(id) {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(Problem::new(status, "fault_switch", "The fault switch asked to tell nothing yet."));
        }
        let row = self.desk.ask(move |ledger| ledger.payment(organisation, id)).await.map_err(problem_of)?;
        Ok(reply::json(StatusCode::OK, &wire::payment(row.ok_or_else(unknown)?)))
    }

    async fn pay(self: &Arc<Self>, parts: &Parts, body: Incoming) -> Result<Outcome, Problem> {
        let organisation = self.organisation(parts)?;
        let reference = header(parts, REFERENCE)?
            .and_then(|text| Uuid::try_parse(text).ok())
            .ok_or(Problem::shape("The header x-qaqpa-reference is to be a UUID."))?;
        let payer = header(parts, PAYER)?.map(Iin::parse).transpose().map_err(|_| identifier_invalid())?;
        let who = Who { organisation, leave: leave(parts)?, payer };
        let bytes = reply::read_body(&parts.headers, body).await?;
        let wanted: PaymentOrder = reply::read_json(&bytes)?;
        let fault = Fault::read(wanted.remittance_information.as_deref())?;
        if let Some(Fault::Status(status)) = fault {
            let problem = Problem::new(status, "fault_switch", "The fault switch asked for this status.");
            return Ok(Outcome::Answer(problem.reply()));
        }
        let order = order(wanted, who, reference, &bytes)?;
        match fault {
            Some(Fault::Dropped) if self.faults.note(reference, 0) => return Ok(Outcome::HangUp),
            Some(Fault::Late(delay)) if self.faults.note(reference, 0) => {
                self.book_later(order, delay);
                return Ok(Outcome::HangUp);
            }
            _ => {}
        }
        let booked = self.desk.ask(move |ledger| ledger.book(&order)).await.map_err(problem_of)?;
        let row = match (booked, fault) {
            (Booked::Before(row), _) => row,
            (Booked::Now(_), Some(Fault::Lost)) => return Ok(Outcome::HangUp),
            (Booked::Now(_), Some(Fault::Mute(count))) => {
                self.faults.note(reference, count);
                return Ok(Outcome::HangUp);
            }
            (Booked::Now(row), Some(Fault::Delay(delay))) => {
                tokio::time::sleep(delay).await;
                row
            }
            (Booked::Now(row), _) => row,
        };
        let location = HeaderValue::from_str(&format!("/v1/domestic-payments/{}", row.id));
        let mut reply = reply::json(StatusCode::CREATED, &wire::payment(row));
        if let Ok(location) = location {
            reply.headers_mut().insert(LOCATION, location);
        }
        Ok(Outcome::Answer(reply))
    }

    /// Books when nobody waits for it any more; a bank that stops before does not.
    fn book_later(self: &Arc<Self>, order: Order, delay: Duration) {
        let bank = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            if let Some(bank) = bank.upgrade() {
                // What a refusal is worth, the ledger's reader sees: there is no such payment.
                let _ = bank.desk.ask(move |ledger| ledger.book(&order)).await;
            }
        });
    }

    /// Who calls, as the gateway says.
    fn organisation(&self, parts: &Parts) -> Result<&'static str, Problem> {
        let unknown = Problem::new(
            StatusCode::FORBIDDEN,
            "organisation_unknown",
            "The header x-qaqpa-organisation is to name an organisation that takes part.",
        );
        let name = header(parts, ORGANISATION)?.ok_or_else(|| unknown.clone())?;
        self.organisations.iter().find(|id| **id == name).copied().ok_or(unknown)
    }
}

/// A trusted header; two of one name are refused, because which of them is trusted?
fn header<'a>(parts: &'a Parts, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let mut values = parts.headers.get_all(name).iter();
    let first = values.next();
    let text = first.map(|value| value.to_str()).transpose();
    match (text, values.next()) {
        (Ok(text), None) => Ok(text),
        _ => Err(Problem::shape("A trusted header is there twice or is not plain text.")),
    }
}

/// By whose leave the organisation acts, as the gateway says.
fn leave(parts: &Parts) -> Result<Leave, Problem> {
    match (header(parts, CUSTOMER)?, header(parts, CONSENT)?, header(parts, ACCOUNTS)?) {
        (None, None, None) => Ok(Leave::Mandates),
        (Some(customer), None, None) => Iin::parse(customer).map(Leave::Customer).map_err(|_| identifier_invalid()),
        (None, Some(_), None) => Ok(Leave::Payment),
        (None, Some(_), Some(accounts)) => Ok(Leave::Accounts(accounts.split(',').map(str::to_owned).collect())),
        _ => Err(Problem::shape("Trusted headers contradict each other.")),
    }
}

/// Who orders a payment.
struct Who {
    organisation: &'static str,
    leave: Leave,
    payer: Option<Iin>,
}

/// Reads the values of an order, each by its own rule.
fn order(wanted: PaymentOrder, who: Who, reference: Uuid, body: &[u8]) -> Result<Order, Problem> {
    let iban = |text: &str| Iban::parse(text).map_err(|_| identifier_invalid());
    let amount = Money::parse(&wanted.instructed_amount.amount, &wanted.instructed_amount.currency)
        .map_err(|_| Problem::shape("The amount is to be like 1000.00, in KZT."))?;
    if amount.tiyn() <= 0 {
        return Err(Problem::shape("The amount is to be more than nothing."));
    }
    if wanted.knp.len() != 3 || !wanted.knp.bytes().all(|b| b.is_ascii_digit()) {
        return Err(identifier_invalid());
    }
    let fits = |text: &str, max: usize| text.chars().count() <= max && !text.chars().any(char::is_control);
    if wanted.creditor_name.trim().is_empty() || !fits(&wanted.creditor_name, NAME_CHARS_MAX) {
        return Err(Problem::shape("The creditor's name has 1 to 140 characters of one line."));
    }
    if wanted.remittance_information.as_ref().is_some_and(|text| !fits(text, REMITTANCE_CHARS_MAX)) {
        return Err(Problem::shape("The remittance text has at most 420 characters of one line."));
    }
    let digest = digest::digest(&digest::SHA256, body);
    Ok(Order {
        reference,
        organisation: who.organisation,
        leave: who.leave,
        payer: who.payer,
        digest: digest.as_ref().first_chunk().copied().unwrap_or_default(),
        debtor: iban(&wanted.debtor_account.iban)?,
        creditor: iban(&wanted.creditor_account.iban)?,
        creditor_name: wanted.creditor_name,
        amount,
        knp: wanted.knp,
        remittance: wanted.remittance_information,
        created_at: clock::write(clock::now()),
    })
}

/// The part of a list that is asked for.
struct Wanted {
    /// The first second.
    from: Option<i64>,
    /// The second after the last one.
    until: Option<i64>,
    limit: usize,
    /// What stood in the cursor.
    cursor: Option<String>,
}

impl Wanted {
    /// Reads `from`, `to`, `limit` and `cursor`; names that are not known are passed over.
    fn read(parts: &Parts) -> Result<Self, Problem> {
        let mut wanted = Self { from: None, until: None, limit: PAGE_DEFAULT, cursor: None };
        let query = parts.uri.query().unwrap_or_default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode(value).ok_or(Problem::shape("A parameter is not encoded rightly."))?;
            match name {
                "from" => wanted.from = Some(span(&value)?.0),
                "to" => wanted.until = Some(span(&value)?.1),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                    wanted.limit = limit.ok_or(Problem::shape("The limit is a number from 1 to 500."))?;
                }
                "cursor" => {
                    let bytes = URL_SAFE_NO_PAD.decode(&value).ok();
                    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
                    wanted.cursor = Some(text.ok_or(CURSOR_UNKNOWN)?);
                }
                _ => {}
            }
        }
        Ok(wanted)
    }

    /// The transactions that are asked for, and one more that tells whether there is a next page.
    fn window(&self, now: i64) -> Result<Window, Problem> {
        let until = self.until.unwrap_or(clock::LAST);
        let from = self.from.unwrap_or(until.min(now + 1) - HISTORY_SECONDS);
        let before = self.cursor.as_ref().map(|text| text.parse()).transpose();
        Ok(Window {
            from: clock::write(from),
            until: clock::write(until.min(clock::LAST)),
            before: before.map_err(|_| CURSOR_UNKNOWN)?.unwrap_or(i64::MAX),
            limit: self.limit + 1,
        })
    }
}

const CURSOR_UNKNOWN: Problem = Problem::shape("The cursor is not one of ours.");

/// The first second of a time or a day, and the second after it.
fn span(text: &str) -> Result<(i64, i64), Problem> {
    let time = clock::read(text).ok_or(Problem::shape("A time is not RFC 3339."))?;
    match text.len() {
        10 => Ok((time - ASTANA_SECONDS, time - ASTANA_SECONDS + DAY_SECONDS)),
        _ => Ok((time, time + 1)),
    }
}

/// Cuts rows to a page; the cursor of the next one follows from the last row that is left.
fn cut<T>(rows: &mut Vec<T>, limit: usize, name: impl Fn(&T) -> String) -> Option<String> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more)?;
    Some(URL_SAFE_NO_PAD.encode(name(last)))
}

/// Decodes `%hh`; a plus stays a plus, as it stands in times.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

fn account_unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "account_unknown", "There is no such account for this organisation.")
}

fn identifier_invalid() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "identifier_invalid",
        "An IBAN, IIN or KNP does not have its form or its check digits.",
    )
}

fn problem_of(error: LedgerError) -> Problem {
    let refused = |name, detail| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, name, detail);
    match error {
        LedgerError::Busy => Problem::capacity(),
        LedgerError::Gone => {
            tracing::error!("the sandbox's ledger did not take a write");
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ledger_unavailable",
                "The ledger does not answer; read the payment before you send it again.",
            )
        }
        LedgerError::Refused(refusal) => match refusal {
            Refusal::DebtorUnknown => {
                refused("account_unknown", "There is no such debtor account for this organisation.")
            }
            Refusal::CreditorUnknown => refused("account_unknown", "The creditor's bank has no such account."),
            Refusal::SameAccount => refused("identifier_invalid", "Debtor and creditor are the same account."),
            Refusal::InsufficientFunds => refused("insufficient_funds", "The balance is smaller than the amount."),
            Refusal::PayerMismatch => Problem::new(
                StatusCode::FORBIDDEN,
                "payer_mismatch",
                "The verified payer is not the owner of the debtor's account.",
            ),
            Refusal::ReferenceReused => Problem::new(
                StatusCode::CONFLICT,
                "idempotency_mismatch",
                "The reference names another payment already.",
            ),
        },
    }
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
