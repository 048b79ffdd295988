//! Which policies may match a request, found without looking at each.
//!
//! For every property of a request (method, host, number of segments, each segment) there is the set of policies that
//! its value leaves possible. What is in all of them is a candidate, and the candidates come in the order of the
//! policies. A set takes a bit a policy, so that a thousand policies are a few words more than ten.
//!
//! The sets may hold too much and never too little: whoever asks compares each candidate with the request.

use std::collections::HashMap;

use super::{Match, Path};

/// Policies, a bit each.
type Set = Box<[u64]>;

#[derive(Debug, Default)]
pub(super) struct Index {
    methods: Property,
    hosts: Property,
    /// By number of segments; the last is for whatever is longer than every pattern.
    lengths: Vec<Set>,
    segments: Vec<Property>,
}

/// One property of requests.
#[derive(Debug, Default)]
struct Property {
    /// What each value that a policy names leaves possible.
    named: HashMap<Box<[u8]>, Set>,
    /// What every other value leaves possible.
    other: Set,
}

impl Index {
    /// `policies` in order; those without a match are never candidates.
    pub(super) fn new<'a>(policies: impl Iterator<Item = Option<&'a Match>> + Clone) -> Self {
        let deepest = policies.clone().flatten().filter_map(|matching| matching.path.as_ref());
        let deepest = deepest.map(|pattern| pattern.segments()).max().unwrap_or_default();
        let at = |position: usize| {
            Property::new(policies.clone(), move |matching| {
                let literal = matching.path.as_ref().and_then(|pattern| pattern.literal(position));
                literal.map_or_else(Vec::new, |literal| vec![literal])
            })
        };
        let length = |length: usize| {
            set(policies.clone().map(|matching| {
                matching.is_some_and(|matching| {
                    matching.path.as_ref().is_none_or(|pattern| pattern.takes(length))
                })
            }))
        };
        Self {
            methods: Property::new(policies.clone(), |matching| {
                matching.methods.iter().map(|method| method.as_bytes()).collect()
            }),
            hosts: Property::new(policies.clone(), |matching| {
                // A policy with a suffix names no host in particular.
                let exact = matching.hosts.iter().map(|host| host.exact().map(str::as_bytes));
                exact.collect::<Option<Vec<_>>>().unwrap_or_default()
            }),
            lengths: (0..=deepest + 1).map(length).collect(),
            segments: (0..deepest).map(at).collect(),
        }
    }

    /// The positions of policies that may match, in order.
    pub(super) fn candidates(&self, method: &str, host: &str, path: &Path<'_>) -> Candidates<'_> {
        let length = path.segments().len().min(self.lengths.len().saturating_sub(1));
        let mut sets = Vec::with_capacity(3 + self.segments.len());
        sets.extend(self.lengths.get(length).map(|set| &**set));
        sets.push(self.methods.of(method.as_bytes()));
        sets.push(self.hosts.of(host.as_bytes()));
        let segments = self.segments.iter().zip(path.segments());
        sets.extend(segments.map(|(property, segment)| property.of(segment)));
        Candidates { sets, word: 0, bits: None }
    }
}

impl Property {
    /// `named` gives the values that a policy asks for; none where any value will do.
    fn new<'a>(
        policies: impl Iterator<Item = Option<&'a Match>> + Clone,
        named: impl Fn(&'a Match) -> Vec<&'a [u8]>,
    ) -> Self {
        let named: Vec<Vec<&[u8]>> =
            policies.map(|matching| matching.map_or_else(Vec::new, &named)).collect();
        let other = set(named.iter().map(Vec::is_empty));
        let mut property = Self { named: HashMap::new(), other };
        for (position, values) in named.into_iter().enumerate() {
            for value in values {
                let set = property.named.entry(value.into()).or_insert_with(|| property.other.clone());
                insert(set, position);
            }
        }
        property
    }

    fn of(&self, value: &[u8]) -> &[u64] {
        self.named.get(value).unwrap_or(&self.other)
    }
}

/// The positions that are in every set.
pub(super) struct Candidates<'i> {
    sets: Vec<&'i [u64]>,
    word: usize,
    /// What is left of the current word.
    bits: Option<u64>,
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let mut words = self.sets.iter().map(|set| set.get(self.word).copied());
            let bits = match self.bits {
                Some(bits) => bits,
                None => words.try_fold(u64::MAX, |bits, word| word.map(|word| bits & word))?,
            };
            if bits == 0 {
                self.word += 1;
                self.bits = None;
                continue;
            }
            self.bits = Some(bits & (bits - 1));
            return Some(self.word * 64 + bits.trailing_zeros() as usize);
        }
    }
}

fn set(members: impl Iterator<Item = bool>) -> Set {
    let mut words = Vec::new();
    for (position, is_member) in members.enumerate() {
        if position % 64 == 0 {
            words.push(0);
        }
        if is_member {
            insert(&mut words, position);
        }
    }
    words.into()
}

fn insert(set: &mut [u64], position: usize) {
    if let Some(word) = set.get_mut(position / 64) {
        *word |= 1 << (position % 64);
    }
}
