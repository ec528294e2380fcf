//! Changes of the policy set by administrators: proposed, approved by others, in force; nothing is ever taken back
//! without a trace.
//!
//! What happened is a list of entries that only grows; how things stand is worked out from it. Must never know where the
//! entries are kept, nor hold the texts of a set: those are named by their digest.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::admin::AdminRole;
use crate::id::AdminId;
use crate::time::Timestamp;

/// The longest note, in characters: a sentence and a ticket.
pub const NOTE_CHARACTERS_MAX: usize = 500;

/// The most people who can be asked for: the proposer and three more.
pub const PEOPLE_MAX: u64 = 4;

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Proposed a policy set; proposals are numbered by themselves, from 1 on.
    Proposed {
        /// SHA-256 of its texts.
        digest: [u8; 32],
        /// Why, in the words of who proposed it.
        note: String,
        /// The proposal that was in force then: the one that reviewers compare it with.
        base: Option<u64>,
        /// The earlier proposal whose texts these are, if it is a way back.
        restores: Option<u64>,
    },
    /// Approved a proposal.
    Approved {
        /// Which.
        proposal: u64,
        /// Whether that was the last approval that was needed, so that the set is in force from then on.
        applies: bool,
    },
    /// Withdrew a proposal, or refused it.
    Withdrawn {
        /// Which.
        proposal: u64,
    },
}

/// One entry of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1 on, without gaps.
    pub number: u64,
    /// Who.
    pub by: AdminId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub act: Act,
}

/// How a proposal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProposalState {
    /// It waits for approval.
    Open,
    /// It is in force.
    InForce,
    /// It was in force until a later one.
    Replaced,
    /// It never came into force.
    Withdrawn,
}

impl ProposalState {
    /// Returns the word of the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            ProposalState::Open => "open",
            ProposalState::InForce => "in_force",
            ProposalState::Replaced => "replaced",
            ProposalState::Withdrawn => "withdrawn",
        }
    }
}

/// A proposed policy set and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its number.
    pub number: u64,
    /// The number of the entry that made it, under which its texts are kept.
    pub entry: u64,
    /// Who proposed it.
    pub by: AdminId,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub note: String,
    /// SHA-256 of its texts.
    pub digest: [u8; 32],
    /// What was in force when it was proposed.
    pub base: Option<u64>,
    /// The earlier proposal whose texts these are.
    pub restores: Option<u64>,
    /// Who approved it, and when.
    pub approvals: Vec<(AdminId, Timestamp)>,
    /// When it came into force.
    pub applied: Option<Timestamp>,
    /// Who withdrew it, and when.
    pub withdrawn: Option<(AdminId, Timestamp)>,
}

/// How many people have to stand behind a change: who proposed it counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct People(u64);

impl People {
    /// Takes a number from 1 to [`PEOPLE_MAX`].
    #[must_use]
    pub fn new(count: u64) -> Option<Self> {
        (1..=PEOPLE_MAX).contains(&count).then_some(Self(count))
    }

    /// Returns the number.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.0
    }
}

/// Why somebody may not do this to a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeRefusal {
    /// There is none of that number.
    #[error("there is no proposal {0}")]
    Unknown(u64),
    /// It is decided.
    #[error("the proposal {number} is no longer open: it is {state}")]
    Decided {
        /// Which.
        number: u64,
        /// How it stands.
        state: ProposalState,
    },
    /// Another set came into force since it was proposed, so that what was reviewed is not what would change.
    #[error("another set came into force since the proposal {0} was made; propose it again")]
    Stale(u64),
    /// Who proposed it cannot also be the second person.
    #[error("whoever proposed the change cannot approve it; {0} people have to stand behind it")]
    OwnProposal(u64),
    /// The same person twice is one person.
    #[error("you have approved this proposal already")]
    ApprovedAlready,
    /// The same texts wait for approval.
    #[error("the same set waits for approval as proposal {0}")]
    ProposedAlready(u64),
    /// It was never in force, so that there is nothing to go back to.
    #[error("the proposal {0} was never in force")]
    NeverInForce(u64),
    /// The way back leads to where one stands.
    #[error("the proposal {0} is in force")]
    InForceAlready(u64),
}

impl fmt::Display for ProposalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How things stand after all entries that were taken in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    proposals: BTreeMap<u64, Proposal>,
    newest: u64,
    in_force: Option<u64>,
}

impl History {
    /// Takes in the next entry; `false` if it is not the next one, or speaks of a proposal that is not there or not open.
    #[must_use]
    pub fn take(&mut self, entry: Entry) -> bool {
        let Entry { number, by, at, act } = entry;
        if number != self.newest + 1 {
            return false;
        }
        let open = |history: &Self, proposal: u64| history.state(proposal) == Some(ProposalState::Open);
        match act {
            Act::Proposed { digest, note, base, restores } => {
                let proposal = Proposal {
                    number: self.proposed(),
                    entry: number,
                    by,
                    at,
                    note,
                    digest,
                    base,
                    restores,
                    approvals: Vec::new(),
                    applied: None,
                    withdrawn: None,
                };
                self.proposals.insert(proposal.number, proposal);
            }
            Act::Approved { proposal, applies } => {
                if !open(self, proposal) {
                    return false;
                }
                if let Some(found) = self.proposals.get_mut(&proposal) {
                    found.approvals.push((by, at));
                    found.applied = applies.then_some(at);
                }
                if applies {
                    self.in_force = Some(proposal);
                }
            }
            Act::Withdrawn { proposal } => {
                if !open(self, proposal) {
                    return false;
                }
                if let Some(found) = self.proposals.get_mut(&proposal) {
                    found.withdrawn = Some((by, at));
                }
            }
        }
        self.newest = number;
        true
    }

    /// Returns the number of the newest entry; 0 if there is none.
    #[must_use]
    pub const fn newest(&self) -> u64 {
        self.newest
    }

    /// Returns the number that the next proposal gets.
    fn proposed(&self) -> u64 {
        self.proposals.len() as u64 + 1
    }

    /// Returns the newest proposal, the one that was made by the newest entry that proposed.
    #[must_use]
    pub fn latest(&self) -> Option<&Proposal> {
        self.proposals.values().next_back()
    }

    /// Returns the proposal that is in force; none if the set of the folders is.
    #[must_use]
    pub fn in_force(&self) -> Option<&Proposal> {
        self.in_force.and_then(|number| self.proposals.get(&number))
    }

    /// Goes through all proposals, the newest first.
    pub fn proposals(&self) -> impl Iterator<Item = &Proposal> {
        self.proposals.values().rev()
    }

    /// Finds a proposal.
    ///
    /// # Errors
    /// [`ChangeRefusal::Unknown`].
    pub fn proposal(&self, number: u64) -> Result<&Proposal, ChangeRefusal> {
        self.proposals.get(&number).ok_or(ChangeRefusal::Unknown(number))
    }

    /// Tells how a proposal stands.
    #[must_use]
    pub fn state(&self, number: u64) -> Option<ProposalState> {
        let proposal = self.proposals.get(&number)?;
        Some(match proposal {
            _ if self.in_force == Some(number) => ProposalState::InForce,
            Proposal { applied: Some(_), .. } => ProposalState::Replaced,
            Proposal { withdrawn: Some(_), .. } => ProposalState::Withdrawn,
            _ => ProposalState::Open,
        })
    }

    /// Proposes a set.
    ///
    /// # Errors
    /// [`ChangeRefusal::ProposedAlready`] or [`ChangeRefusal::InForceAlready`] if the same texts wait or are in force.
    pub fn propose(&self, digest: [u8; 32], note: &str) -> Result<Act, ChangeRefusal> {
        if let Some(same) = self.in_force().filter(|found| found.digest == digest) {
            return Err(ChangeRefusal::InForceAlready(same.number));
        }
        // One that was compared with an earlier set can never be approved, so that it does not stand in the way.
        let waits = |found: &&Proposal| {
            found.digest == digest
                && found.base == self.in_force
                && self.state(found.number) == Some(ProposalState::Open)
        };
        match self.proposals().find(waits) {
            Some(same) => Err(ChangeRefusal::ProposedAlready(same.number)),
            None => Ok(Act::Proposed { digest, note: note.to_owned(), base: self.in_force, restores: None }),
        }
    }

    /// Proposes a set that was in force before.
    ///
    /// # Errors
    /// [`ChangeRefusal::Unknown`], [`ChangeRefusal::NeverInForce`] or [`ChangeRefusal::InForceAlready`].
    pub fn restore(&self, number: u64, note: &str) -> Result<Act, ChangeRefusal> {
        let earlier = self.proposal(number)?;
        match self.state(number) {
            Some(ProposalState::Replaced) => Ok(Act::Proposed {
                digest: earlier.digest,
                note: note.to_owned(),
                base: self.in_force,
                restores: Some(number),
            }),
            Some(ProposalState::InForce) => Err(ChangeRefusal::InForceAlready(number)),
            _ => Err(ChangeRefusal::NeverInForce(number)),
        }
    }

    /// Approves a proposal; the act says whether that puts it into force.
    ///
    /// `still` tells whether somebody may do today what they did then: whoever was sent away no longer stands behind
    /// anything.
    ///
    /// # Errors
    /// Every [`ChangeRefusal`] but the ones of ways back.
    pub fn approve(
        &self,
        number: u64,
        by: &AdminId,
        needed: People,
        still: &dyn Fn(&AdminId, AdminRole) -> bool,
    ) -> Result<Act, ChangeRefusal> {
        let proposal = self.open(number)?;
        if proposal.base != self.in_force {
            return Err(ChangeRefusal::Stale(number));
        }
        if *by == proposal.by && needed.count() > 1 {
            return Err(ChangeRefusal::OwnProposal(needed.count()));
        }
        if proposal.approvals.iter().any(|(earlier, _)| earlier == by) {
            return Err(ChangeRefusal::ApprovedAlready);
        }
        // Who proposed it is one of the people; approvals are by others, or the one and only.
        let proposer = still(&proposal.by, AdminRole::Editor) || *by == proposal.by;
        let stands = |earlier: &AdminId| *earlier != proposal.by && still(earlier, AdminRole::Approver);
        let others = proposal.approvals.iter().filter(|(earlier, _)| stands(earlier)).count() as u64;
        let people = u64::from(proposer) + others + u64::from(*by != proposal.by);
        Ok(Act::Approved { proposal: number, applies: people >= needed.count() })
    }

    /// Withdraws a proposal.
    ///
    /// # Errors
    /// [`ChangeRefusal::Unknown`] or [`ChangeRefusal::Decided`].
    pub fn withdraw(&self, number: u64) -> Result<Act, ChangeRefusal> {
        self.open(number).map(|proposal| Act::Withdrawn { proposal: proposal.number })
    }

    fn open(&self, number: u64) -> Result<&Proposal, ChangeRefusal> {
        let proposal = self.proposal(number)?;
        match self.state(number) {
            Some(ProposalState::Open) => Ok(proposal),
            Some(state) => Err(ChangeRefusal::Decided { number, state }),
            None => Err(ChangeRefusal::Unknown(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn who(name: &str) -> AdminId {
        AdminId::parse(name).unwrap()
    }

    fn two() -> People {
        People::new(2).unwrap()
    }

    fn does(history: &mut History, by: &str, act: Act) -> u64 {
        let number = history.newest() + 1;
        assert!(history.take(Entry { number, by: who(by), at: Timestamp::from_seconds(number.cast_signed()), act }));
        number
    }

    fn proposed(history: &mut History, by: &str) -> u64 {
        let digest = [u8::try_from(history.newest()).unwrap(); 32];
        let act = history.propose(digest, "because").unwrap();
        does(history, by, act);
        history.latest().unwrap().number
    }

    #[test]
    fn nobody_is_two_people() {
        let mut history = History::default();
        let number = proposed(&mut history, "aigul");
        assert_eq!(history.approve(number, &who("aigul"), two(), &|_, _| true), Err(ChangeRefusal::OwnProposal(2)));
        let three = People::new(3).unwrap();
        let act = history.approve(number, &who("berik"), three, &|_, _| true).unwrap();
        assert_eq!(act, Act::Approved { proposal: number, applies: false });
        does(&mut history, "berik", act);
        assert_eq!(history.approve(number, &who("berik"), three, &|_, _| true), Err(ChangeRefusal::ApprovedAlready));
        let act = history.approve(number, &who("dana"), three, &|_, _| true).unwrap();
        assert_eq!(act, Act::Approved { proposal: number, applies: true });
        assert_eq!(People::new(0), None);
        assert!(People::new(PEOPLE_MAX).is_some() && People::new(PEOPLE_MAX + 1).is_none());
    }

    #[test]
    fn where_one_is_enough_who_proposed_may_approve() {
        let mut history = History::default();
        let number = proposed(&mut history, "aigul");
        let act = history.approve(number, &who("aigul"), People::new(1).unwrap(), &|_, _| true).unwrap();
        does(&mut history, "aigul", act);
        assert_eq!(history.in_force().map(|found| found.number), Some(number));
    }

    #[test]
    fn an_own_approval_from_when_one_was_enough_does_not_count_among_two() {
        let mut history = History::default();
        let number = proposed(&mut history, "aigul");
        does(&mut history, "aigul", Act::Approved { proposal: number, applies: false });
        let act = history.approve(number, &who("berik"), People::new(3).unwrap(), &|_, _| true).unwrap();
        assert_eq!(act, Act::Approved { proposal: number, applies: false });
    }

    #[test]
    fn what_is_decided_stays_so() {
        let mut history = History::default();
        let (first, second) = (proposed(&mut history, "aigul"), proposed(&mut history, "aigul"));
        let act = history.withdraw(second).unwrap();
        does(&mut history, "aigul", act);
        let refused = |state| Err(ChangeRefusal::Decided { number: second, state });
        assert_eq!(history.approve(second, &who("berik"), two(), &|_, _| true), refused(ProposalState::Withdrawn));
        assert_eq!(history.withdraw(second), refused(ProposalState::Withdrawn));
        let act = history.approve(first, &who("berik"), two(), &|_, _| true).unwrap();
        does(&mut history, "berik", act.clone());
        let number = history.newest() + 1;
        assert!(!history.take(Entry { number, by: who("dana"), at: Timestamp::from_seconds(9), act }));
        assert_eq!(
            history.withdraw(first),
            Err(ChangeRefusal::Decided { number: first, state: ProposalState::InForce })
        );
        assert_eq!(history.approve(99, &who("berik"), two(), &|_, _| true), Err(ChangeRefusal::Unknown(99)));
    }

    #[test]
    fn what_was_compared_with_another_set_is_proposed_again() {
        let mut history = History::default();
        let (first, second) = (proposed(&mut history, "aigul"), proposed(&mut history, "berik"));
        let act = history.approve(first, &who("berik"), two(), &|_, _| true).unwrap();
        does(&mut history, "berik", act);
        assert_eq!(history.approve(second, &who("aigul"), two(), &|_, _| true), Err(ChangeRefusal::Stale(second)));
    }

    #[test]
    fn the_way_back_is_a_proposal_of_what_was_in_force() {
        let mut history = History::default();
        let mut applied = Vec::new();
        for _ in 0..2 {
            let number = proposed(&mut history, "aigul");
            let act = history.approve(number, &who("berik"), two(), &|_, _| true).unwrap();
            does(&mut history, "berik", act);
            applied.push(number);
        }
        let [first, second] = applied.as_slice() else { unreachable!("two were applied") };
        let open = proposed(&mut history, "aigul");
        assert_eq!(history.restore(open, "back"), Err(ChangeRefusal::NeverInForce(open)));
        assert_eq!(history.restore(*second, "back"), Err(ChangeRefusal::InForceAlready(*second)));
        let act = history.restore(*first, "back").unwrap();
        does(&mut history, "dana", act);
        let back = history.latest().unwrap().number;
        assert_eq!(back, 4, "proposals are numbered by themselves");
        assert_eq!(history.proposal(back).unwrap().restores, Some(*first));
        assert_eq!(history.approve(back, &who("dana"), two(), &|_, _| true), Err(ChangeRefusal::OwnProposal(2)));
        let act = history.approve(back, &who("berik"), two(), &|_, _| true).unwrap();
        does(&mut history, "berik", act);
        assert_eq!(history.state(*first), Some(ProposalState::Replaced));
        assert_eq!(history.in_force().map(|found| found.number), Some(back));
    }

    #[test]
    fn whoever_was_sent_away_stands_behind_nothing() {
        let mut history = History::default();
        let number = proposed(&mut history, "aigul");
        let three = People::new(3).unwrap();
        let act = history.approve(number, &who("berik"), three, &|_, _| true).unwrap();
        does(&mut history, "berik", act);
        for gone in ["berik", "aigul"] {
            let act = history.approve(number, &who("dana"), three, &|id, _| id.as_str() != gone).unwrap();
            assert_eq!(act, Act::Approved { proposal: number, applies: false }, "{gone}");
        }
        let act = history.approve(number, &who("dana"), three, &|_, role| role == AdminRole::Approver).unwrap();
        assert_eq!(act, Act::Approved { proposal: number, applies: false }, "aigul is no editor any more");
        let act = history.approve(number, &who("dana"), three, &|_, _| true).unwrap();
        assert_eq!(act, Act::Approved { proposal: number, applies: true });
    }

    #[test]
    fn the_same_set_waits_once() {
        let mut history = History::default();
        let number = proposed(&mut history, "aigul");
        let digest = history.latest().unwrap().digest;
        assert_eq!(history.propose(digest, "again"), Err(ChangeRefusal::ProposedAlready(number)));
        let act = history.approve(number, &who("berik"), two(), &|_, _| true).unwrap();
        does(&mut history, "berik", act);
        assert_eq!(history.propose(digest, "again"), Err(ChangeRefusal::InForceAlready(number)));
    }

    #[test]
    fn entries_come_one_after_the_other() {
        let mut history = History::default();
        let entry = |number| Entry {
            number,
            by: who("aigul"),
            at: Timestamp::from_seconds(1),
            act: Act::Proposed { digest: [1; 32], note: String::new(), base: None, restores: None },
        };
        assert!(!history.take(entry(2)));
        assert!(history.take(entry(1)));
        assert!(!history.take(entry(1)));
        let unknown = Act::Withdrawn { proposal: 7 };
        assert!(!history.take(Entry { number: 2, act: unknown, ..entry(2) }));
    }
}
