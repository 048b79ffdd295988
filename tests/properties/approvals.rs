//! Whether the approvals of a request are enough, compared with a decision that tries everything.

use std::cell::Cell;

use proof_messenger_relay::timestamp::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::ask::{Ask, signing};
use crate::support::relay::START;
use crate::support::service::Blocking;
use crate::support::signer::Signer;

const ROLES: [&str; 3] = ["clerk", "manager", "auditor"];
const TAGS: [&str; 3] = ["submit", "approve", "other"];
/// For how long a submission is accepted, and how long approvals may be.
const SUBMISSION: u64 = 60;
const AGES: [u64; 5] = [0, 60, 61, 1800, 1801];

/// A key of the trust store.
#[derive(Debug, Clone)]
struct Key {
    subject: u8,
    /// A bit for each role.
    roles: u8,
    /// Keys of the same material are one key under several ids.
    material: u8,
}

#[derive(Debug, Clone)]
struct Needed {
    role: Option<usize>,
    count: usize,
    max_age: u64,
    tag: Option<usize>,
}

#[derive(Debug, Clone)]
struct Rule {
    needed: Vec<Needed>,
    excluded: bool,
    /// A bit for each role that may submit; none for everybody.
    submitters: u8,
    tag: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    /// A signature over something else.
    Broken,
    /// A signature that covers less than it must.
    Little,
    /// By a key that nobody knows.
    Stranger,
}

#[derive(Debug, Clone)]
struct Proof {
    key: usize,
    tag: Option<usize>,
    age: u64,
    flaw: Flaw,
}

fn keys() -> impl Strategy<Value = Vec<Key>> {
    let roles = || prop_oneof![1 => 0..8_u8, 1 => prop::sample::select(vec![1_u8, 2, 4, 3, 6])];
    // Mostly a key for each, sometimes a subject or a key in common.
    let key = move |at: u8| {
        (prop_oneof![6 => Just(at), 1 => 0..at + 1], roles(), prop_oneof![6 => Just(at), 1 => 0..at + 1])
            .prop_map(|(subject, roles, material)| Key { subject, roles, material })
    };
    (3..7_u8).prop_flat_map(move |count| (0..count).map(key).collect::<Vec<_>>())
}

fn rule() -> impl Strategy<Value = Rule> {
    let tag = || prop::option::weighted(0.15, 0..2_usize);
    let max_age = prop::sample::select(vec![SUBMISSION, SUBMISSION, 1800]);
    let needed =
        (prop::option::weighted(0.7, 0..3_usize), prop_oneof![4 => Just(1), 1 => Just(2)], max_age, tag())
            .prop_map(|(role, count, max_age, tag)| Needed { role, count, max_age, tag });
    let submitters = prop_oneof![2 => Just(0_u8), 1 => 1..8_u8];
    (
        prop_oneof![prop::collection::vec(needed.clone(), 1..3), prop::collection::vec(needed, 3)],
        any::<bool>(),
        submitters,
        tag(),
    )
        .prop_map(|(needed, excluded, submitters, tag)| Rule { needed, excluded, submitters, tag })
}

fn proof() -> impl Strategy<Value = Proof> {
    let age = prop_oneof![4 => Just(0), 1 => prop::sample::select(&AGES[..])];
    let tag = prop::option::weighted(0.2, 0..3_usize);
    let flaw = prop_oneof![
        60 => Just(Flaw::None), 1 => Just(Flaw::Broken), 1 => Just(Flaw::Little), 1 => Just(Flaw::Stranger)
    ];
    (0..6_usize, tag, age, flaw).prop_map(|(key, tag, age, flaw)| Proof { key, tag, age, flaw })
}

fn roles(mask: u8) -> Vec<&'static str> {
    ROLES.into_iter().enumerate().filter(|(at, _)| mask & (1 << at) != 0).map(|(_, role)| role).collect()
}

impl Rule {
    fn settings(&self) -> String {
        let needed = |needed: &Needed| {
            let mut approval = json!({"count": needed.count, "max_age": format!("{}s", needed.max_age)});
            if let Some(role) = needed.role {
                approval["role"] = json!(ROLES[role]);
            }
            if let Some(tag) = needed.tag {
                approval["tag"] = json!(TAGS[tag]);
            }
            approval
        };
        let mut proof = json!({"max_age": format!("{SUBMISSION}s"), "clock_skew": "0s"});
        if self.submitters != 0 {
            proof["roles"] = json!(roles(self.submitters));
        }
        if let Some(tag) = self.tag {
            proof["tag"] = json!(TAGS[tag]);
        }
        let policy = json!({
            "name": "approved",
            "match": {},
            "proof": proof,
            "approvals": self.needed.iter().map(needed).collect::<Vec<Value>>(),
            "submitter": if self.excluded { "excluded" } else { "counted" },
        });
        format!("policies: [{policy}]")
    }
}

/// The world of one case.
struct World {
    keys: Vec<Key>,
    rule: Rule,
    /// Whose key each is, by number.
    people: Vec<usize>,
    signers: Vec<Signer>,
    service: Blocking,
}

impl World {
    fn new(keys: Vec<Key>, rule: Rule) -> Self {
        let signer = |(at, key): (usize, &Key)| {
            let members = json!({"sub": format!("person-{}", key.subject), "roles": roles(key.roles)});
            Signer {
                id: format!("key-{at}"),
                ..Signer::ed25519(&format!("material-{}", key.material)).with(members)
            }
        };
        let signers: Vec<Signer> = keys.iter().enumerate().map(signer).collect();
        let service = Blocking::new(&rule.settings(), &signers.iter().collect::<Vec<_>>());
        // Whoever shares something takes the lower number, until nobody shares anything with another number.
        let mut people: Vec<usize> = (0..keys.len()).collect();
        while let Some((one, two)) =
            (0..keys.len()).flat_map(|one| (0..keys.len()).map(move |two| (one, two))).find(|(one, two)| {
                let (a, b) = (&keys[*one], &keys[*two]);
                (a.subject == b.subject || a.material == b.material) && people[*one] < people[*two]
            })
        {
            people[two] = people[one];
        }
        Self { keys, rule, people, signers, service }
    }

    fn sign(&self, label: usize, proof: &Proof) -> Ask {
        let path = if proof.flaw == Flaw::Broken { "/elsewhere" } else { "/" };
        let cover: &[&str] = match proof.flaw {
            Flaw::Little => &["@method", "@target-uri"],
            _ => &["@method", "@target-uri", "content-digest"],
        };
        let mut signing = signing(&format!("l{label}"), cover);
        signing.created = Some(Timestamp::from_unix_seconds(START - proof.age));
        signing.tag = proof.tag.map(|tag| TAGS[tag].to_owned());
        let stranger = Signer::ed25519("stranger");
        let signer = if proof.flaw == Flaw::Stranger { &stranger } else { &self.signers[self.key(proof)] };
        Ask::post(path, b"{}").signed_as(signer, &signing)
    }

    fn key(&self, proof: &Proof) -> usize {
        proof.key % self.keys.len()
    }

    /// What the relay says.
    fn allows(&self, proofs: &[Proof]) -> bool {
        let signed: Vec<Ask> =
            proofs.iter().enumerate().map(|(label, proof)| self.sign(label, proof)).collect();
        let mut ask = Ask::post("/", b"{}");
        for name in ["signature-input", "signature"] {
            let members: Vec<String> = signed.iter().map(|proof| proof.value(name)).collect();
            if !members.is_empty() {
                ask = ask.header(name, members.join(", "));
            }
        }
        self.service.ask(ask.check_request()).allowed
    }

    /// What whoever tries everything says.
    fn should_allow(&self, proofs: &[Proof]) -> bool {
        let Rule { needed, tag, submitters, .. } = &self.rule;
        let counted: Vec<&Proof> = proofs
            .iter()
            .filter(|proof| match tag {
                None => true,
                Some(tag) => {
                    proof.tag.is_some()
                        && (proof.tag == Some(*tag) || needed.iter().any(|n| n.tag == proof.tag))
                }
            })
            .collect();
        let longest = needed.iter().map(|needed| needed.max_age).max().unwrap_or_default().max(SUBMISSION);
        if counted.iter().any(|proof| proof.flaw != Flaw::None || proof.age > longest) {
            return false;
        }
        let submits = |proof: &&&Proof| {
            let may = *submitters == 0 || self.keys[self.key(proof)].roles & submitters != 0;
            may && proof.age <= SUBMISSION && (tag.is_none() || proof.tag == *tag)
        };
        let slots: Vec<&Needed> =
            needed.iter().flat_map(|needed| std::iter::repeat_n(needed, needed.count)).collect();
        counted.iter().filter(submits).any(|submission| {
            let submitter = self.people[self.key(submission)];
            let busy = if self.rule.excluded { vec![submitter] } else { Vec::new() };
            self.can_fill(&slots, &counted, &busy)
        })
    }

    fn can_fill(&self, slots: &[&Needed], proofs: &[&Proof], busy: &[usize]) -> bool {
        let Some((slot, others)) = slots.split_first() else { return true };
        proofs.iter().any(|proof| {
            let person = self.people[self.key(proof)];
            !busy.contains(&person)
                && self.fills(slot, proof)
                && self.can_fill(others, proofs, &[busy, &[person]].concat())
        })
    }

    fn fills(&self, slot: &Needed, proof: &Proof) -> bool {
        let tag = slot.tag.or(self.rule.tag);
        slot.role.is_none_or(|role| self.keys[self.key(proof)].roles & (1 << role) != 0)
            && proof.age <= slot.max_age
            && (tag.is_none() || proof.tag == tag)
    }

    /// A proof that somebody with the role of some approval would add.
    fn approval(&self, key: usize, slot: usize) -> Option<Proof> {
        let slot = &self.rule.needed[slot % self.rule.needed.len()];
        let proof = Proof { key, tag: slot.tag.or(self.rule.tag), age: 0, flaw: Flaw::None };
        self.fills(slot, &proof).then_some(proof)
    }
}

#[test]
fn approvals_are_enough_where_some_way_of_sharing_them_out_is() {
    let (allowed, denied) = (Cell::new(0), Cell::new(0));
    let proofs =
        prop_oneof![1 => prop::collection::vec(proof(), 0..3), 3 => prop::collection::vec(proof(), 3..7)];
    proptest!(ProptestConfig::with_cases(768), |(
        (keys, rule, proofs, order) in (keys(), rule(), proofs).prop_flat_map(|(keys, rule, proofs)| {
            let order = Just((0..proofs.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(keys), Just(rule), Just(proofs), order)
        }),
    )| {
        let world = World::new(keys, rule);
        let expected = world.should_allow(&proofs);
        prop_assert_eq!(world.allows(&proofs), expected);
        // In another order too, under other labels.
        let shuffled: Vec<Proof> = order.into_iter().map(|at| proofs[at].clone()).collect();
        prop_assert_eq!(world.allows(&shuffled), expected);
        (if expected { &allowed } else { &denied }).update(|count| count + 1);
    });
    // Both are tried often enough to mean something.
    assert!(allowed.get() > 50 && denied.get() > 50, "{allowed:?} {denied:?}");
}

#[test]
fn nothing_but_an_approval_turns_a_denial_into_an_allow() {
    let proofs = prop::collection::vec(proof(), 1..6);
    let useless = prop_oneof![Just(Flaw::Broken), Just(Flaw::Little), Just(Flaw::Stranger)];
    proptest!(ProptestConfig::with_cases(384), |(
        keys in keys(), rule in rule(), proofs in proofs, copied: prop::sample::Index, flaw in useless,
        tag in prop::option::of(0..3_usize), at: prop::sample::Index,
    )| {
        let world = World::new(keys, rule);
        if world.allows(&proofs) {
            return Ok(());
        }
        let copy = copied.get(&proofs).clone();
        let broken = Proof { flaw, tag, ..copy.clone() };
        for extra in [copy, broken] {
            let mut more = proofs.clone();
            more.insert(at.index(proofs.len() + 1), extra);
            prop_assert!(!world.allows(&more), "{:?}", more);
        }
    });
}

#[test]
fn an_approval_more_never_turns_an_allow_into_a_denial() {
    let tried = Cell::new(0);
    // Fewer flaws and fewer kinds, so that more of them are allowed.
    let proofs = prop::collection::vec(proof().prop_map(|proof| Proof { flaw: Flaw::None, ..proof }), 1..7);
    proptest!(ProptestConfig::with_cases(512), |(
        keys in keys(), rule in rule(), proofs in proofs, key in 0..6_usize, slot in 0..3_usize,
        at: prop::sample::Index,
    )| {
        let world = World::new(keys, rule);
        if let Some(approval) = world.approval(key, slot) && world.allows(&proofs) {
            tried.update(|count| count + 1);
            let mut more = proofs.clone();
            more.insert(at.index(proofs.len() + 1), approval);
            prop_assert!(world.allows(&more), "{:?}", more);
        }
    });
    assert!(tried.get() > 30, "{tried:?}");
}
