//! How far back the memory of used proofs reaches, while policies change.

use crate::verify::Acceptance;

/// For how long the store remembers. It grows with the policies and never shrinks: an operator who lowers `max_age` and
/// raises it again must not revive what was used in between.
#[derive(Debug)]
pub(super) struct Memories {
    now: Acceptance,
    /// Proofs that were created up to a second may have been used under shorter memory: second, and how long that was.
    shorter: Vec<(i64, i64)>,
}

impl Memories {
    pub(super) fn new(acceptance: Acceptance) -> Self {
        Self { now: acceptance, shorter: Vec::new() }
    }

    /// For how many seconds after `created` a proof that is claimed now is remembered.
    pub(super) fn longest(&self) -> i64 {
        self.now.after
    }

    pub(super) fn extend(&mut self, acceptance: Acceptance, now: i64) {
        let before = self.now;
        self.now = before.or(acceptance);
        if self.now.after > before.after {
            self.shorter.push((now.saturating_add(before.before), before.after));
        }
        let longest = self.now.after;
        self.shorter.retain(|(until, _)| until.saturating_add(longest) >= now);
    }

    /// Whether a proof that was created then would still be remembered, had it been used.
    pub(super) fn reach(&self, created: i64, now: i64) -> bool {
        let mut shorter = self.shorter.iter().filter(|(until, _)| created <= *until);
        shorter.all(|(_, longest)| now <= created.saturating_add(*longest))
    }
}

#[cfg(test)]
mod tests {
    use super::{Acceptance, Memories};

    const MINUTE: Acceptance = Acceptance { after: 90, before: 30 };
    const HOUR: Acceptance = Acceptance { after: 3630, before: 30 };

    #[test]
    fn what_may_be_forgotten_is_out_of_reach_however_long_policies_accept_it_now() {
        let mut memories = Memories::new(MINUTE);
        memories.extend(HOUR, 1000);
        // Used at 900, it is forgotten after 990.
        assert!(memories.reach(900, 990));
        assert!(!memories.reach(900, 991));
        // By a clock that is ahead.
        assert!(!memories.reach(1030, 1121));
    }

    #[test]
    fn what_is_created_after_the_change_is_in_reach_for_as_long_as_policies_accept_it() {
        let mut memories = Memories::new(MINUTE);
        memories.extend(HOUR, 1000);
        assert!(memories.reach(1031, 1031 + 3630));
        assert_eq!(memories.longest(), 3630);
    }

    #[test]
    fn a_shorter_acceptance_shortens_no_memory() {
        let mut memories = Memories::new(HOUR);
        memories.extend(MINUTE, 1000);
        memories.extend(HOUR, 2000);
        assert_eq!(memories.longest(), 3630);
        assert!(memories.reach(900, 4000));
        assert!(memories.shorter.is_empty());
    }

    #[test]
    fn a_change_is_forgotten_when_it_matters_no_more() {
        let mut memories = Memories::new(MINUTE);
        memories.extend(HOUR, 1000);
        memories.extend(HOUR, 1030 + 3630);
        assert_eq!(memories.shorter.len(), 1);
        memories.extend(HOUR, 1030 + 3631);
        assert!(memories.shorter.is_empty());
    }
}
