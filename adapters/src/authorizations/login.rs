//! How a citizen's way through the pages is written: JSON of structs that only this file knows.
//!
//! Three things rest as what stores call a login, under names that cannot meet: the login itself, how often a person was
//! asked for, and which login holds an authorization request.

use policies::consent::Person;
use policies::id::{ClientId, VerificationId};
use policies::jose::{base64url, digest_of_parts};
use policies::login::{ASKED_WITHIN, Asked, Errand, Holder, Login, Stage};
use policies::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::Kept;
use super::forms::{hash, read, written};
use crate::store::port::ItemKind;

/// Under which name it rests how often a person was asked for.
#[must_use]
pub fn asked_key(person: &[u8; 32]) -> [u8; 32] {
    digest_of_parts(&[b"asked for", person])
}

/// Under which name it rests which login holds a pushed request.
#[must_use]
pub fn holder_key(pushed: &[u8; 32]) -> [u8; 32] {
    digest_of_parts(&[b"held by", pushed])
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginForm {
    key: String,
    errand: ErrandForm,
    stage: StageForm,
    attempts: u8,
    expires: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case", deny_unknown_fields)]
enum ErrandForm {
    Request { pushed: String, client: String },
    OwnConsents,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case", deny_unknown_fields)]
enum StageForm {
    Begun,
    Verifying {
        verification: String,
        person: PersonForm,
        since: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<String>,
    },
    Verified {
        verification: String,
        person: PersonForm,
        acr: String,
        at: i64,
    },
    Over,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonForm {
    index: String,
    sealed: String,
}

impl PersonForm {
    fn of(person: &Person) -> Self {
        Self { index: base64url(&person.index), sealed: base64url(&person.sealed) }
    }

    fn read(self) -> Option<Person> {
        let sealed = policies::jose::base64url_decode_strict(&self.sealed)?;
        Some(Person { index: hash(&self.index)?, sealed })
    }
}

impl StageForm {
    fn of(stage: &Stage) -> Self {
        match stage {
            Stage::Begun => Self::Begun,
            Stage::Verifying { verification, person, since, ticket } => Self::Verifying {
                verification: verification.as_str().to_owned(),
                person: PersonForm::of(person),
                since: since.millis(),
                ticket: ticket.map(|ticket| base64url(&ticket)),
            },
            Stage::Verified { verification, person, acr, at } => Self::Verified {
                verification: verification.as_str().to_owned(),
                person: PersonForm::of(person),
                acr: acr.clone(),
                at: at.millis(),
            },
            Stage::Over => Self::Over,
        }
    }

    fn read(self) -> Option<Stage> {
        let verification = |text: String| VerificationId::parse(&text).ok();
        Some(match self {
            Self::Begun => Stage::Begun,
            Self::Verifying { verification: id, person, since, ticket } => Stage::Verifying {
                verification: verification(id)?,
                person: person.read()?,
                since: Timestamp::from_millis(since),
                ticket: match ticket {
                    Some(ticket) => Some(hash(&ticket)?),
                    None => None,
                },
            },
            Self::Verified { verification: id, person, acr, at } => Stage::Verified {
                verification: verification(id)?,
                person: person.read()?,
                acr,
                at: Timestamp::from_millis(at),
            },
            Self::Over => Stage::Over,
        })
    }
}

impl Kept for Login {
    const KIND: ItemKind = ItemKind::Login;

    fn key(&self) -> [u8; 32] {
        self.key
    }

    fn keep_until(&self) -> Timestamp {
        self.expires
    }

    fn write(&self) -> Vec<u8> {
        let errand = match &self.errand {
            Errand::Request { pushed, client } => {
                ErrandForm::Request { pushed: base64url(pushed), client: client.as_str().to_owned() }
            }
            Errand::OwnConsents => ErrandForm::OwnConsents,
        };
        written(&LoginForm {
            key: base64url(&self.key),
            errand,
            stage: StageForm::of(&self.stage),
            attempts: self.attempts,
            expires: self.expires.millis(),
        })
    }

    fn read(body: &[u8]) -> Option<Self> {
        let form: LoginForm = read(body)?;
        let errand = match form.errand {
            ErrandForm::Request { pushed, client } => {
                Errand::Request { pushed: hash(&pushed)?, client: ClientId::parse(&client).ok()? }
            }
            ErrandForm::OwnConsents => Errand::OwnConsents,
        };
        Some(Self {
            key: hash(&form.key)?,
            errand,
            stage: form.stage.read()?,
            attempts: form.attempts,
            expires: Timestamp::from_millis(form.expires),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedForm {
    person: String,
    times: Vec<i64>,
}

impl Kept for Asked {
    const KIND: ItemKind = ItemKind::Login;

    fn key(&self) -> [u8; 32] {
        asked_key(&self.person)
    }

    fn keep_until(&self) -> Timestamp {
        self.times.last().copied().unwrap_or(Timestamp::from_millis(0)) + ASKED_WITHIN
    }

    fn write(&self) -> Vec<u8> {
        let times = self.times.iter().map(|at| at.millis()).collect();
        written(&AskedForm { person: base64url(&self.person), times })
    }

    fn read(body: &[u8]) -> Option<Self> {
        let form: AskedForm = read(body)?;
        let times = form.times.into_iter().map(Timestamp::from_millis).collect();
        Some(Self { person: hash(&form.person)?, times })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HolderForm {
    pushed: String,
    login: String,
    expires: i64,
}

impl Kept for Holder {
    const KIND: ItemKind = ItemKind::Login;

    fn key(&self) -> [u8; 32] {
        holder_key(&self.pushed)
    }

    fn keep_until(&self) -> Timestamp {
        self.expires
    }

    fn write(&self) -> Vec<u8> {
        let (pushed, login) = (base64url(&self.pushed), base64url(&self.login));
        written(&HolderForm { pushed, login, expires: self.expires.millis() })
    }

    fn read(body: &[u8]) -> Option<Self> {
        let form: HolderForm = read(body)?;
        let expires = Timestamp::from_millis(form.expires);
        Some(Self { pushed: hash(&form.pushed)?, login: hash(&form.login)?, expires })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::fmt::Debug;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn comes_back<T: Kept + PartialEq + Debug>(value: &T) {
        assert_eq!(T::read(&value.write()).as_ref(), Some(value));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let client = ClientId::parse("app").unwrap();
        let person = Person { index: [2; 32], sealed: vec![3, 4] };
        let verification = VerificationId::parse("v").unwrap();
        let begun = Login::begin([1; 32], Errand::Request { pushed: [5; 32], client }, NOW);
        let verifying = begun.attempt(NOW).unwrap().verifying(verification, person, "ticket", NOW);
        let back = verifying.come_back("ticket").unwrap();
        let (old, new) = back.verified([6; 32], "acr".to_owned(), NOW).unwrap();
        for login in [begun, verifying, back, old, new, Login::begin([7; 32], Errand::OwnConsents, NOW)] {
            comes_back(&login);
        }
        comes_back(&Asked::never([8; 32]).once_more(1, NOW).unwrap());
        comes_back(&Holder { pushed: [9; 32], login: [1; 32], expires: NOW });
    }

    #[test]
    fn what_was_not_written_so_is_not_read() {
        let login = String::from_utf8(Login::begin([1; 32], Errand::OwnConsents, NOW).write()).unwrap();
        for body in
            [String::new(), "{}".to_owned(), login.replace("begun", "done"), login.replace("\"attempts\":0,", "")]
        {
            assert_eq!(Login::read(body.as_bytes()), None, "{body}");
        }
        assert_eq!(Asked::read(login.as_bytes()), None);
        assert_eq!(Holder::read(login.as_bytes()), None);
    }

    #[test]
    fn names_of_different_things_do_not_meet() {
        let same = [1; 32];
        assert_ne!(asked_key(&same), holder_key(&same));
        assert_ne!(asked_key(&same), same);
    }
}
