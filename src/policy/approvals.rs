//! Who must approve a request: how many people, in which roles, how recently.

use super::{Submission, submission::has_tag};
use crate::denial::{Code, Denial};
use crate::timestamp::Timestamp;
use crate::verify::VerifiedProof;

/// The approvals that a policy asks for: all of them, each by somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approvals {
    pub needed: Vec<Needed>,
    pub submitter: Submitter,
}

/// Approvals of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// The role that the approver holds; whoever the trust store knows, where there is none.
    pub role: Option<Box<str>>,
    /// How many people.
    pub count: usize,
    /// Seconds after `created` for which the approval is accepted.
    pub max_age: i64,
    /// Count only proofs with this tag.
    pub tag: Option<Box<str>>,
}

/// Whether whoever submits the request may be one of those who approve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Submitter {
    #[default]
    Counted,
    /// The approvals are by others.
    Excluded,
}

/// One person, as far as proofs can tell: everybody who shares a key with somebody is one with them.
struct Person<'p, 'a> {
    proofs: Vec<&'p VerifiedProof<'a>>,
}

impl Approvals {
    /// How many approvals there must be.
    #[must_use]
    pub fn total(&self) -> usize {
        self.needed.iter().map(|needed| needed.count).sum()
    }

    /// Whether the proofs are the approvals that are needed, and a submission: then the last second at which they are.
    ///
    /// More proofs than are needed do no harm, and no order of them matters: every way to share the approvals out among
    /// the people is considered.
    ///
    /// # Errors
    /// `approvals-insufficient`, and what [`Submission::check`] says where no proof is a submission.
    pub(super) fn check(
        &self,
        submission: &Submission,
        proofs: &[VerifiedProof<'_>],
        now: Timestamp,
    ) -> Result<i64, Denial> {
        let best = self.best(submission, &people(proofs), now);
        if best.submitter.is_none() {
            // Nobody submits. The reason that helps is that of whoever comes closest: approvers are no submitters.
            let reasons = proofs.iter().filter_map(|proof| submission.check(proof, now).err());
            let closest = reasons.min_by_key(|denial| match denial.code {
                Code::ProofTooOld => 0,
                Code::SignerNotPermitted => 1,
                _ => 2,
            });
            closest.map_or(Ok(()), Err)?;
        }
        best.usable_until.ok_or_else(|| self.insufficient(&best.sharing, proofs))
    }

    /// The best way to share the approvals out, of those that leave somebody to submit the request.
    fn best(&self, submission: &Submission, people: &[Person<'_, '_>], now: Timestamp) -> Best {
        let mut best = Best::default();
        for (at, person) in people.iter().enumerate() {
            let Some(submitted_until) = person.usable_until(|proof| submission.takes(proof, now)) else {
                continue;
            };
            let excluded = (self.submitter == Submitter::Excluded).then_some(at);
            let sharing = self.share(submission, people, excluded, now);
            if sharing.given.len() == self.total() {
                let until = submitted_until.min(sharing.usable_until());
                best.usable_until = best.usable_until.max(Some(until));
            }
            if sharing.given.len() >= best.sharing.given.len() {
                best.sharing = sharing;
                best.submitter = Some(at);
            }
        }
        best
    }

    /// Who gives which approval: what [`Policy::permit`](super::Policy::permit) decides by, for people to read.
    pub(super) fn shared_out<'p>(
        &'p self,
        submission: &Submission,
        proofs: &'p [VerifiedProof<'_>],
        now: Timestamp,
    ) -> Vec<Place<'p>> {
        let people = people(proofs);
        let best = self.best(submission, &people, now);
        let places = self.needed.iter().flat_map(|needed| std::iter::repeat_n(needed, needed.count));
        let place = |(approval, needed): (usize, &'p Needed)| {
            let given = best.sharing.given.iter().find(|(_, given, _)| *given == approval);
            let person = given.and_then(|(person, ..)| people.get(*person));
            let takes = |proof: &&&'p VerifiedProof<'_>| needed.takes(submission, proof, now).is_some();
            let by = person.and_then(|person| person.proofs.iter().find(takes));
            Place { role: needed.role.as_deref(), by: by.map(|proof| proof.proof().label()) }
        };
        places.enumerate().map(place).collect()
    }

    /// Whether a proof is an approval of some kind that is needed.
    pub(super) fn takes(&self, submission: &Submission, proof: &VerifiedProof<'_>, now: Timestamp) -> bool {
        self.needed.iter().any(|needed| needed.takes(submission, proof, now).is_some())
    }

    /// Shares out the approvals among the people: each gives one at most, and as many as can be are given. This is
    /// Kuhn's algorithm: when all who could give an approval are taken, one of them is freed if they can give another.
    fn share(
        &self,
        submission: &Submission,
        people: &[Person<'_, '_>],
        excluded: Option<usize>,
        now: Timestamp,
    ) -> Sharing {
        let mut sharing = Sharing::default();
        let approvals = self.needed.iter().flat_map(|needed| std::iter::repeat_n(needed, needed.count));
        let approvals: Vec<Vec<(usize, i64)>> = approvals
            .map(|needed| {
                let gives = |(at, person): (usize, &Person<'_, '_>)| {
                    let until = person.usable_until(|proof| needed.takes(submission, proof, now))?;
                    (Some(at) != excluded).then_some((at, until))
                };
                people.iter().enumerate().filter_map(gives).collect()
            })
            .collect();
        for approval in 0..approvals.len() {
            sharing.give(approval, &approvals, &mut vec![false; people.len()]);
        }
        sharing
    }

    fn insufficient(&self, best: &Sharing, proofs: &[VerifiedProof<'_>]) -> Denial {
        let (total, given) = (self.total(), best.given.len());
        let mut first = 0;
        let mut roles = Vec::new();
        for Needed { role, count, .. } in &self.needed {
            let places = first..first + count;
            let given = best.given.iter().filter(|(_, approval, _)| places.contains(approval)).count();
            roles.push(format!("{} {given} of {count}", role.as_deref().unwrap_or("any role")));
            first += count;
        }
        let others = match self.submitter {
            Submitter::Counted => "",
            Submitter::Excluded => ", none of them by the submitter",
        };
        let signers: Vec<&str> = proofs.iter().map(|proof| &*proof.key().subject).collect();
        // The number only: who is missing is the operator's to know.
        Denial::new(
            Code::ApprovalsInsufficient,
            format!("this request needs {total} approvals by different people{others}, and has {given}"),
        )
        .with_particulars(format!("given: {}; signed by {}", roles.join(", "), signers.join(", ")))
    }
}

impl Needed {
    /// The last second at which the proof is such an approval, if it is one.
    fn takes(&self, submission: &Submission, proof: &VerifiedProof<'_>, now: Timestamp) -> Option<i64> {
        let tag = self.tag.as_deref().or(submission.tag.as_deref());
        let holds_role = self.role.as_ref().is_none_or(|role| proof.key().roles.contains(role));
        let until = proof.usable_until(self.max_age, submission.clock_skew);
        (holds_role && has_tag(proof, tag) && now.unix_seconds() <= until).then_some(until)
    }
}

/// One approval that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'p> {
    pub role: Option<&'p str>,
    /// The label of the proof that is this approval; none where nobody gives it.
    pub by: Option<&'p str>,
}

/// The best way to share approvals out.
#[derive(Default)]
struct Best {
    /// The person that submits the request.
    submitter: Option<usize>,
    sharing: Sharing,
    /// The last second at which the approvals are enough, if they are.
    usable_until: Option<i64>,
}

/// Who gives which approval.
#[derive(Default)]
struct Sharing {
    /// Person, approval, and until when.
    given: Vec<(usize, usize, i64)>,
}

impl Sharing {
    fn give(&mut self, approval: usize, approvals: &[Vec<(usize, i64)>], asked: &mut [bool]) -> bool {
        for &(person, until) in approvals.get(approval).into_iter().flatten() {
            match asked.get_mut(person) {
                Some(asked) if !*asked => *asked = true,
                _ => continue,
            }
            let taken = self.given.iter().find(|(giver, ..)| *giver == person).copied();
            if taken.is_none_or(|(_, other, _)| self.give(other, approvals, asked)) {
                self.given.retain(|(giver, given, _)| *giver != person && *given != approval);
                self.given.push((person, approval, until));
                return true;
            }
        }
        false
    }

    fn usable_until(&self) -> i64 {
        self.given.iter().map(|(.., until)| *until).min().unwrap_or(i64::MAX)
    }
}

fn people<'p, 'a>(proofs: &'p [VerifiedProof<'a>]) -> Vec<Person<'p, 'a>> {
    let mut people: Vec<Person<'p, 'a>> = Vec::new();
    for proof in proofs {
        let is_same = |person: &&mut Person<'p, 'a>| {
            person.proofs.first().is_some_and(|known| known.person() == proof.person())
        };
        match people.iter_mut().find(is_same) {
            Some(person) => person.proofs.push(proof),
            None => people.push(Person { proofs: vec![proof] }),
        }
    }
    people
}

impl<'a> Person<'_, 'a> {
    /// The last second at which one of their proofs will do.
    fn usable_until(&self, takes: impl Fn(&VerifiedProof<'a>) -> Option<i64>) -> Option<i64> {
        self.proofs.iter().filter_map(|proof| takes(proof)).max()
    }
}
